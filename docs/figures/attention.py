"""The figures of the page on attention."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from literategpt import load_pretrained
from literategpt.attention import split_heads
from literategpt.demos.pocket import pocket_model, pocket_tokens
from literategpt.model import GPTModel
from literategpt.types import Array
from pagetools.drawing import SENTENCE, SMALL, SPEECH, box, label, surprises
from pagetools.svg import STRONGEST, Axis, Line, Picture, line_chart

# --- diagrams ------------------------------------------------------------------------------------


def flow() -> Picture:
    """Draw one head, from the vectors of the tokens to what each of them takes."""
    picture = Picture(height=332)
    box(picture, 160, 2, 160, "vectors", "(T, C)", "residual")
    columns = (("queries", 4, "query"), ("keys", 172, "key"), ("values", 340, "value"))
    for name, x, colour in columns:
        picture.arrow([(240 + (x - 172) / 4, 48), (x + 68, 80)], colour=colour)
        box(picture, x, 84, 136, name, "(T, D)", colour)
    picture.text(332, 28, "three linear layers:", size=SMALL)
    picture.arrow([(72, 130), (110, 164)], colour="query")
    picture.arrow([(240, 130), (202, 164)], colour="key")
    box(picture, 66, 168, 180, "scores", "(T, T)", "neutral")
    picture.text(258, 184, "query · key / √D,", size=SMALL)
    picture.text(258, 201, "later tokens forbidden", size=SMALL)
    picture.arrow([(156, 214), (156, 244)], colour="attention")
    picture.text(168, 233, "softmax along each row", size=SMALL)
    box(picture, 66, 248, 180, "attention weights", "(T, T)", "attention")
    picture.arrow([(250, 269), (316, 269)], colour="attention")
    picture.arrow([(408, 130), (408, 244)], colour="value")
    box(picture, 320, 248, 156, "output", "(T, D)", "value")
    picture.text(398, 310, "weighted averages", anchor="middle", size=SMALL)
    picture.text(398, 326, "of the values", anchor="middle", size=SMALL)
    return picture


def draw_row(picture: Picture, x: float, y: float, values: Sequence[float]) -> None:
    """Draw numbers of a token as cells; its first half, features 0 and 1 of 4, is darker."""
    for i, value in enumerate(values):
        fill = 0.34 if value % 4 < 2 else 0.05
        picture.rectangle(x + 34 * i, y, 31, 26, opacity=fill, outline=True)
        picture.text(x + 34 * i + 15.5, y + 18, f"{value:.0f}", anchor="middle")


def split() -> Picture:
    """Draw two tokens of four features, cut into two heads: rightly, and by reshape alone."""
    x = np.arange(8.0).reshape(1, 2, 4)
    picture = Picture(height=236)
    picture.text(4, 16, "two tokens")
    for t in range(2):
        draw_row(picture, 62, 28 + 34 * t, x[0, t])
        picture.text(54, 46 + 34 * t, f"token {t}", anchor="end", size=SMALL)
    at_once = x.reshape(1, 2, 2, 2)
    kinds = (("reshape, then transpose", split_heads(x, 2)), ("reshape at once", at_once))
    for top, (name, cut) in zip((28, 154), kinds, strict=True):
        picture.text(256, top - 12, name)
        for head in range(2):
            left = 256 + 116 * head
            for t in range(2):
                draw_row(picture, left, top + 32 * t, cut[0, head, t])
            picture.text(left + 34, top + 78, f"head {head}", anchor="middle", size=SMALL)
    # Let both arrows start from a bracket around the two tokens.
    picture.line([(202, 28), (208, 28), (208, 88), (202, 88)])
    picture.arrow([(208, 58), (246, 58)])
    picture.arrow([(208, 58), (246, 170)])
    return picture


def paths() -> Picture:
    """Draw the three paths on which a vector reaches the output, and the slopes coming back."""
    picture = Picture(height=196)
    box(picture, 4, 76, 68, "x", "(T, C)", "residual")
    rows = (("Q", 4, "query", "dQ Wqᵀ"), ("K", 76, "key", "dK Wkᵀ"), ("V", 148, "value", "dV Wvᵀ"))
    places = ((124, 36, "end"), (132, 88, "middle"), (124, 170, "end"))
    for (name, y, colour, slope), (across, down, anchor) in zip(rows, places, strict=True):
        box(picture, 188, y, 68, name, "(T, D)", colour)
        picture.arrow([(184, y + 21), (76, 97 + (y - 76) / 4)], colour="gradient")
        picture.text(across, down, slope, anchor=anchor, colour="gradient", size=SMALL)
    # Reach queries and keys through the weights, and values at once.
    box(picture, 300, 40, 68, "P", "(T, T)", "attention")
    box(picture, 408, 76, 68, "O", "(T, D)", "value")
    picture.arrow([(296, 56), (260, 29)], colour="gradient")
    picture.arrow([(296, 68), (260, 93)], colour="gradient")
    picture.arrow([(404, 91), (372, 70)], colour="gradient")
    picture.arrow([(404, 105), (260, 165)], colour="gradient")
    return picture


# --- maps of attention ---------------------------------------------------------------------------

LEVELS = 12
"""Of fullness in a map without numbers."""


def draw_map(picture: Picture, x: float, y: float, cell: float, weights: Array) -> None:
    """Draw a map of attention: the fuller a cell, the larger the weight; nothing where it is 0."""
    levels = np.rint(weights * LEVELS).astype(int)
    for level in range(1, LEVELS + 1):
        places = np.argwhere(levels == level)
        side = cell - 1
        path = "".join(
            f"M{x + cell * column:.1f} {y + cell * row:.1f}h{side:.1f}v{side:.1f}h{-side:.1f}z"
            for row, column in places
        )
        if path:
            fill = "var(--concept-attention, #4e266d)"
            picture.element("path", d=path, fill=fill, fill_opacity=f"{level / LEVELS:.3f}")
    # Outline what the mask allows: a staircase.
    size = len(weights)
    left, top = x - 0.5, y - 0.5
    corners = [(left, top)]
    for t in range(size):
        right = left + cell * (t + 1)
        corners += [(right, top + cell * t), (right, top + cell * (t + 1))]
    corners += [(left, top + cell * size), (left, top)]
    picture.line(corners, width="0.6")


def pocket_maps() -> Picture:
    """Draw the attention weights of both heads of the pocket model, with their numbers."""
    words = ("dog", "bites", "man")
    _, saved = pocket_model().forward(pocket_tokens(" ".join(words)))
    picture = Picture(height=186)
    for head, weights in enumerate(saved.blocks[0].attention.weights[0]):
        left = 82 + 216 * head
        picture.text(left + 90, 14, f"head {head}: key of", anchor="middle", size=SMALL)
        for i, word in enumerate(words):
            picture.text(left + 60 * i + 30, 38, word, anchor="middle", code=True, size=SMALL)
            if not head:
                picture.text(left - 6, 70 + 40 * i, word, anchor="end", code=True, size=SMALL)
            for j in range(i + 1):
                weight = float(weights[i, j])
                picture.rectangle(
                    left + 60 * j + 1, 47 + 40 * i, 58, 37,
                    colour="attention", opacity=STRONGEST * weight,
                )  # fmt: skip
                number = f"{weight:.3f}"
                picture.text(left + 60 * j + 30, 70 + 40 * i, number, anchor="middle")
    picture.text(14, 106, "query of", anchor="middle", turned=True, size=SMALL)
    return picture


class Look(NamedTuple):
    """What the heads of the trained model do: maps of the sentence, and costs in the speech."""

    labels: tuple[str, ...]  # the tokens of the sentence
    maps: Array  # (L, H, T, T)
    costs: Array  # (L, H), in nats per token of the speech


def largest_weights(maps: Array) -> Array:
    """Average the largest weight of each query but the first, (L, H, T, T) -> (L, H)."""
    averages: Array = maps[..., 1:, :].max(axis=-1).mean(axis=-1)
    return averages


def maps_of(model: GPTModel, tokens: Array) -> Array:
    """Return the attention weights of all heads, (1, T) -> (L, H, T, T)."""
    _, saved = model.forward(tokens)
    return np.stack([block.attention.weights[0] for block in saved.blocks])


def head_costs(model: GPTModel, tokens: Array) -> Array:
    """Remove each head in turn, and say how much the loss rises, (1, T) -> (L, H)."""
    layers, heads, size = model.config.num_layers, model.config.num_heads, model.config.head_dim
    costs = np.zeros((layers, heads))
    before = surprises(model, tokens).mean()
    for layer, head in np.ndindex(layers, heads):
        rows = model.blocks[layer].attention.output.weight[head * size : (head + 1) * size]
        kept = rows.copy()
        rows[...] = 0
        costs[layer, head] = surprises(model, tokens).mean() - before
        rows[...] = kept
    return costs


@lru_cache(maxsize=1)
def look() -> Look:
    """Measure the heads of the trained model once for all figures."""
    model, tokenizer = load_pretrained()
    ids = tokenizer.encode(SENTENCE)
    speech = np.array([tokenizer.encode(SPEECH)])
    return Look(
        tuple(label(tokenizer.decode([number])) for number in ids),
        maps_of(model, np.array([ids])),
        head_costs(model, speech),
    )


def draw_labelled_map(
    picture: Picture, left: float, weights: Array, labels: Sequence[str], title: str
) -> None:
    """Draw one map with a title above it and the tokens below it."""
    cell, top = 15.0, 30.0
    draw_map(picture, left, top, cell, weights)
    picture.text(left + cell * len(labels) / 2, 16, title, anchor="middle")
    for t, token in enumerate(labels):
        at = left + cell * (t + 0.5) + 4
        bottom = top + cell * len(labels) + 6
        picture.text(at, bottom, token, anchor="end", code=True, size=11.5, turned=True)


def trained() -> Picture:
    """Draw the maps of the sharpest and of the flattest head of the trained model."""
    seen = look()
    sharpness = largest_weights(seen.maps)
    height = 30 + 15 * len(seen.labels) + 62
    picture = Picture(height=height)
    for left, chosen in ((66, sharpness.argmax()), (278, sharpness.argmin())):
        layer, head = np.unravel_index(chosen, sharpness.shape)
        title = f"layer {layer}, head {head}"
        draw_labelled_map(picture, left, seen.maps[layer, head], seen.labels, title)
    for t, token in enumerate(seen.labels):
        picture.text(60, 41.5 + 15 * t, token, anchor="end", code=True, size=11.5)
    return picture


def all_maps() -> Picture:
    """Draw the maps of all heads on the sentence, each with what its removal costs."""
    seen = look()
    cell = 7.0
    layers, heads = seen.costs.shape
    picture = Picture(height=24 + 124 * layers)
    for head in range(heads):
        picture.text(94 + 112 * head, 14, f"head {head}", anchor="middle", size=SMALL)
    for layer in range(layers):
        top = 24 + 124 * layer
        picture.text(14, top + 46, f"layer {layer}", anchor="middle", size=SMALL, turned=True)
        for head in range(heads):
            left = 48 + 112 * head
            draw_map(picture, left, top, cell, seen.maps[layer, head])
            cost = f"{seen.costs[layer, head]:+.3f}".replace("-", "−")
            picture.text(left + 46, top + 108, cost, anchor="middle", size=SMALL)
    return picture


# --- charts --------------------------------------------------------------------------------------


def cost() -> Picture:
    """Draw the arithmetic of one token in an attention layer against the length of the text."""
    size = load_pretrained()[0].config.embedding_dim
    lengths = [0, 1024]
    projections = [8 * size * size / 1e6] * 2
    mixing = [4 * length * size / 1e6 for length in lengths]
    lines = [
        Line(lengths, mixing, "attention", "scores and mixing"),
        Line(lengths, projections, "neutral", "four linear layers", "6 4"),
    ]
    return line_chart(lines, Axis("tokens to look at"), Axis("per token", "MFLOPs", (0, 0.6)))
