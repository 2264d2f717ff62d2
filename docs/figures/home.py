"""The figure of Home."""

from itertools import pairwise

from pagetools.svg import Picture


def loop() -> Picture:
    """Draw the loop that writes text, one token a turn."""
    picture = Picture(height=168)
    boxes = (
        (0, 122, "the text so far", "as tokens", "neutral"),
        (150, 82, "the", "model", "residual"),
        (260, 110, "a probability", "for each token", "attention"),
        (398, 82, "draw one", "token", "neutral"),
    )
    for x, width, first, second, colour in boxes:
        picture.rectangle(x + 1, 4, width - 2, 68, colour=colour, opacity=0.1, outline=True)
        picture.text(x + width / 2, 34, first, anchor="middle")
        picture.text(x + width / 2, 53, second, anchor="middle")
    for (x, width, *_), (following, *_) in pairwise(boxes):
        picture.arrow([(x + width + 4, 38), (following - 4, 38)])
    picture.arrow([(439, 76), (439, 128), (61, 128), (61, 76)])
    picture.text(250, 150, "append it and go around again", anchor="middle")
    return picture
