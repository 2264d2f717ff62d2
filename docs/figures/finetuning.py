"""The figures of the page on fine-tuning."""

from collections.abc import Sequence
from functools import lru_cache
from statistics import fmean
from typing import NamedTuple

import numpy as np

from experiments.tables import Row, read_table
from literategpt import load_pretrained
from literategpt.lora import TARGETS, load_adapter
from literategpt.pretrained import adapter_path
from literategpt.types import Array
from pagetools.drawing import SENTENCE, SMALL, surprises
from pagetools.svg import WIDTH, Axis, Line, Picture, bar_chart, line_chart

FRONTIER = ((3.8, 4.6), (3.9, 5.4))
"""The losses that the chart of learned and forgotten shows: of the fables, of the plays."""


def box(picture: Picture, x: float, y: float, width: float, name: str, shape: str) -> None:
    """Draw an array as a box: its name above its shape."""
    picture.rectangle(x, y, width, 42, opacity=0.08, outline=True)
    picture.text(x + width / 2, y + 18, name, anchor="middle")
    picture.text(x + width / 2, y + 35, shape, anchor="middle", code=True, size=SMALL)


def flow() -> Picture:
    """Draw a layer with its correction: the frozen matrix above, the narrow way below."""
    picture = Picture(height=214)
    box(picture, 2, 86, 74, "x", "(T, in)")
    box(picture, 152, 24, 196, "W, frozen", "(in, out)")
    picture.line([(76, 98), (112, 45)], width="1.5")
    picture.arrow([(112, 45), (150, 45)])
    picture.arrow([(348, 45), (411, 92)])
    box(picture, 112, 148, 82, "A", "(in, r)")
    box(picture, 222, 148, 66, "x A", "(T, r)")
    box(picture, 316, 148, 82, "B", "(r, out)")
    picture.arrow([(76, 116), (124, 145)])
    picture.arrow([(194, 169), (220, 169)])
    picture.arrow([(288, 169), (314, 169)])
    picture.arrow([(392, 147), (415, 122)])
    picture.text(418, 146, "· α / r", size=SMALL)
    picture.element("circle", cx=420, cy=107, r=14, fill="none", stroke="currentColor")
    picture.text(420, 112, "+", anchor="middle")
    picture.arrow([(434, 107), (456, 107)])
    picture.text(462, 112, "y")
    picture.text(250, 16, "trained once, on the plays", anchor="middle", size=SMALL)
    picture.text(255, 208, "the correction, trained on the new text", anchor="middle", size=SMALL)
    return picture


# --- the sentence --------------------------------------------------------------------------------


class Read(NamedTuple):
    """The surprises at the tokens of the sentence but the first, and at the line break after it."""

    labels: tuple[str, ...]
    base: Array
    adapted: Array


@lru_cache(maxsize=1)
def read_sentence() -> Read:
    """Let the base read the sentence, then the base with the adapter of the fables."""
    model, tokenizer = load_pretrained()
    ids = tokenizer.encode(SENTENCE + "\n")
    tokens = np.array([ids])
    base = surprises(model, tokens)
    load_adapter(adapter_path("fables"), model)
    written = [tokenizer.decode([number]) for number in ids[1:]]
    labels = tuple(token.replace(" ", "·").replace("\n", "⏎") for token in written)
    return Read(labels, base, surprises(model, tokens))


def sentence() -> Picture:
    """Draw the surprise at each token, of the base and with the adapter: two bars a token."""
    seen = read_sentence()
    left, top, row, full = 78, 30, 27, 330
    longest = float(np.ceil(max(seen.base.max(), seen.adapted.max())))
    picture = Picture(height=top + row * len(seen.labels) + 48)
    for x, name, opacity in ((left, "base", 0.25), (left + 90, "with the adapter", 0.9)):
        picture.rectangle(x, 6, 20, 11, opacity=opacity, outline=True)
        picture.text(x + 26, 16, name, size=SMALL)
    bottom = top + row * len(seen.labels)
    for nats in range(0, int(longest) + 1, 2):
        x = left + full * nats / longest
        picture.line([(x, top - 4), (x, bottom)], width="0.4")
        picture.text(x, bottom + 17, str(nats), anchor="middle", size=SMALL)
    for i, label in enumerate(seen.labels):
        y = top + row * i
        picture.text(left - 8, y + 15, label, anchor="end", code=True, size=SMALL)
        for j, (values, opacity) in enumerate(((seen.base, 0.25), (seen.adapted, 0.9))):
            length = full * float(values[i]) / longest
            picture.rectangle(left, y + 10 * j, length, 9, opacity=opacity, outline=True)
            picture.text(left + length + 6, y + 9 + 10 * j, f"{values[i]:.1f}", size=11)
    picture.line([(left, top - 4), (left, bottom)])
    picture.text(left + full / 2, bottom + 38, "surprise (nats)", anchor="middle")
    return picture


# --- the records ---------------------------------------------------------------------------------


def inside(row: Row) -> bool:
    """Tell whether a run of the sweep lies within the chart."""
    (left, right), (low, high) = FRONTIER
    return left <= row["fables"] <= right and low <= row["plays"] <= high


def frontier() -> Picture:
    """Draw learned against forgotten: a point for each learning rate of both methods."""
    rows = [row for row in read_table("finetuning_sweep") if inside(row)]
    kinds = (("full", "full fine-tuning", None), ("lora", "LoRA, query and value", "6 4"))
    lines = [
        Line(
            [row["fables"] for row in rows if row["method"] == method],
            [row["plays"] for row in rows if row["method"] == method],
            "text" if method == "full" else "neutral",
            name,
            dash,
        )
        for method, name, dash in kinds
    ]
    horizontal = Axis("loss on the fables", "nats per token", FRONTIER[0])
    vertical = Axis("loss on the plays", "nats per token", FRONTIER[1])
    picture = line_chart(lines, horizontal, vertical, height=330)
    (left, right), (low, high) = FRONTIER
    for line in lines:
        for x, y in zip(line.x, line.y, strict=True):
            across = 62 + (WIDTH - 74) * (x - left) / (right - left)
            down = 282 - 246 * (y - low) / (high - low)
            fill = "currentColor" if line.colour == "text" else "var(--concept-neutral, #5c6470)"
            picture.element("circle", cx=across, cy=down, r=4, fill=fill)
    return picture


def held(kind: str, count: int = 4) -> float:
    """Average the share of a change's squares in its first directions, over blocks and seeds."""
    rows: Sequence[Row] = read_table("finetuning_spectrum")
    return fmean(
        row[f"share_{count}"]
        for row in rows
        if (row["method"] == "full" and row["matrix"].split(".")[-2] == kind)
        or (row["method"] == "random" and row["matrix"] == kind)
    )


def spectrum() -> Picture:
    """Draw what four directions hold of the change of each kind of matrix, and of noise."""
    labels = [*TARGETS, "random, 128 × 128", "random, 128 × 512"]
    values = [held(label.removeprefix("random, ").replace("×", "x")) for label in labels]
    return bar_chart(labels, values, Axis("share of the squares in 4 directions"), colour="neutral")
