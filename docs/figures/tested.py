"""The figure of the page on tests."""

from pagetools.svg import COLOURS, Picture

NAMES = {"attention": "attention weight", "residual": "residual stream"}


def colours() -> Picture:
    """Show the colour of each concept, as an area and as a line."""
    concepts = [name for name in COLOURS if name != "neutral"]
    picture = Picture(height=34 * ((len(concepts) + 1) // 2) + 6)
    for i, name in enumerate(concepts):
        x, y = 244 * (i % 2), 4 + 34 * (i // 2)
        picture.rectangle(x + 2, y, 26, 24, colour=name)
        picture.line([(x + 38, y + 12), (x + 74, y + 12)], colour=name, width="2.5")
        picture.text(x + 84, y + 17, NAMES.get(name, name), colour=name)
    return picture
