"""What the figures of several pages share: the sentence of the book, and small drawing helpers."""

import numpy as np

from literategpt.model import GPTModel
from literategpt.types import Array
from pagetools.svg import Picture

SENTENCE = "Put out the light, and then put out the light:"
"""Othello, act 5, scene 2; one of the plays that the trained model has not read."""

SPEECH = """\
It is the cause, it is the cause, my soul,--
Let me not name it to you, you chaste stars!--
It is the cause. Yet I'll not shed her blood;
Nor scar that whiter skin of hers than snow,
And smooth as monumental alabaster.
Yet she must die, else she'll betray more men.
Put out the light, and then put out the light:
If I quench thee, thou flaming minister,
I can again thy former light restore,
Should I repent me: but once put out thy light,
Thou cunning'st pattern of excelling nature,
I know not where is that Promethean heat
That can thy light relume. When I have pluck'd the rose,
I cannot give it vital growth again."""
"""The speech around the sentence, as it stands on the pages."""

SMALL = 12.5
"""Text size of labels."""


def box(
    picture: Picture, x: float, y: float, width: float, name: str, shape: str, colour: str
) -> None:
    """Draw an array as a box: its name above its shape."""
    picture.rectangle(x, y, width, 42, colour=colour, opacity=0.1, outline=True)
    picture.text(x + width / 2, y + 18, name, anchor="middle")
    picture.text(x + width / 2, y + 35, shape, anchor="middle", code=True, size=SMALL)


def label(token: str) -> str:
    """Write a token with its space as a dot and its line break as an arrow.

    Examples:
        >>> label(" light")
        '·light'
    """
    return token.replace(" ", "·").replace("\n", "⏎")


def surprises(model: GPTModel, tokens: Array) -> Array:
    """Compute the surprise at each token but the first, (1, T) -> (T - 1,)."""
    logits = model(tokens[:, :-1])[0].astype("float64")
    logits -= logits.max(axis=-1, keepdims=True)
    totals = np.log(np.exp(logits).sum(axis=-1))
    nats: Array = totals - logits[np.arange(len(totals)), tokens[0, 1:]]
    return nats
