"""The figure of Home."""

from pagetools.svg import Picture


def loop() -> Picture:
    """Draw the loop that writes text, one token a turn."""
    picture = Picture(height=196)
    boxes = (
        (0, 122, "the text so far", "as tokens", "neutral", False),
        (160, 80, "the model", "", "residual", True),
        (278, 90, "a probability", "for each token", "attention", False),
        (406, 74, "draw one", "token", "neutral", False),
    )
    for x, width, first, second, colour, strong in boxes:
        fill = 0.18 if strong else 0.08
        picture.rectangle(x + 1, 36, width - 2, 64, colour=colour, opacity=fill, outline=True)
        picture.text(x + width / 2, 63, first, anchor="middle", size=12.5)
        picture.text(x + width / 2, 82, second, anchor="middle", size=12.5)
    for (x, width, *_), (following, *_) in zip(boxes, boxes[1:], strict=False):
        picture.arrow([(x + width + 4, 68), (following - 4, 68)])
    picture.arrow([(443, 104), (443, 150), (61, 150), (61, 104)])
    picture.text(252, 170, "append it and go around again", anchor="middle", size=12.5)
    return picture
