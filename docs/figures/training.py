"""The figures of the page on training."""

import json
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from experiments.losses import read_log
from experiments.tables import Row, read_table
from literategpt import GPTModel, load_pretrained, softmax
from literategpt.pretrained import pretrained_path
from literategpt.types import Array
from pagetools.drawing import SENTENCE, SMALL
from pagetools.svg import Axis, Line, Picture, bar_chart, line_chart

# --- one step ------------------------------------------------------------------------------------


def box(
    picture: Picture, x: float, y: float, width: float, name: str, below: str, colour: str
) -> None:
    """Draw an array or an act as a box: its name above a shape or a remark."""
    picture.rectangle(x, y, width, 44, colour=colour, opacity=0.1, outline=True)
    picture.text(x + width / 2, y + 19, name, anchor="middle")
    picture.text(x + width / 2, y + 36, below, anchor="middle", code=below[0] == "(", size=SMALL)


def step() -> Picture:
    """Draw a training step: from windows of the text to changed numbers, and round again."""
    picture = Picture(height=272)
    box(picture, 4, 4, 132, "inputs", "(B, T)", "neutral")
    box(picture, 4, 112, 132, "targets", "(B, T)", "neutral")
    box(picture, 184, 4, 132, "logits", "(B, T, V)", "residual")
    box(picture, 344, 58, 132, "loss", "one number", "neutral")
    picture.arrow([(140, 26), (180, 26)], colour="residual")
    picture.text(160, 18, "model", anchor="middle", size=SMALL)
    picture.arrow([(320, 26), (396, 54)], colour="residual")
    picture.arrow([(140, 134), (340, 92)], colour="neutral")
    picture.text(8, 74, "the same text,", size=SMALL)
    picture.text(8, 91, "one token on", size=SMALL)
    box(picture, 344, 200, 132, "gradients", "one a number", "gradient")
    picture.arrow([(410, 106), (410, 196)], colour="gradient")
    picture.text(402, 156, "backward", anchor="end", colour="gradient", size=SMALL)
    box(picture, 184, 200, 132, "optimizer", "how far each moves", "neutral")
    picture.arrow([(340, 222), (320, 222)], colour="gradient")
    box(picture, 4, 200, 132, "the model", "changed numbers", "residual")
    picture.arrow([(180, 222), (140, 222)])
    picture.text(240, 264, "then the next windows of the text", anchor="middle", size=SMALL)
    return picture


# --- the recorded run ----------------------------------------------------------------------------


@lru_cache
def log() -> list[Row]:
    """Read the log of the shipped model."""
    return read_log(pretrained_path().with_suffix(".csv"))


def run() -> Picture:
    """Draw the losses of the recorded run, in training and on the plays kept from it."""
    rows = log()
    counted = next(
        row["nats_per_unit"]
        for row in read_table("ngrams_plays")
        if row["unit"] == "token" and row["order"] == 3
    )
    ends = [i + 1 for i, row in enumerate(rows) if row["validation_loss"] is not None]
    training = [float(np.mean([r["training_loss"] for r in rows[n - 100 : n]])) for n in ends]
    validation = [rows[n - 1]["validation_loss"] for n in ends]
    steps = [n / 1000 for n in ends]
    return line_chart(
        [
            Line([steps[0], steps[-1]], [counted, counted], "neutral", "counts of three", "1 3"),
            Line(steps, training, "residual", "training", "6 4"),
            Line(steps, validation, "value", "validation"),
        ],
        Axis("thousands of steps", limits=(0, 16)),
        Axis("loss", "nats per token", (3.2, 5.0)),
    )


def schedule() -> Picture:
    """Draw the learning rate of the recorded run."""
    rows = log()
    places = [*range(0, 100, 9), *range(99, 16000, 300), 15999]
    line = Line(
        [p / 1000 for p in places], [1000 * rows[p]["learning_rate"] for p in places],
        "neutral", "learning rate of a step",
    )  # fmt: skip
    return line_chart(
        [line],
        Axis("thousands of steps", limits=(0, 16)),
        Axis("learning rate", "thousandths", (0, 3.2)),
        height=240,
    )


def surprises(model: GPTModel, tokens: Array) -> Array:
    """Return the surprise at each token of a row but the first, in nats."""
    chances = softmax(model(tokens[:, :-1]))[0]
    came: Array = chances[np.arange(tokens.shape[1] - 1), tokens[0, 1:]]
    return np.asarray(-np.log(came))


def sentence() -> Picture:
    """Draw how surprised the trained model is at each token of the sentence."""
    model, tokenizer = load_pretrained()
    tokens = np.array([tokenizer.encode(SENTENCE)])
    labels = [tokenizer.decode([token]).replace(" ", "·") for token in tokens[0, 1:].tolist()]
    values = [float(value) for value in surprises(model, tokens)]
    return bar_chart(labels, values, Axis("surprise", "nats", (0, 9)), colour="residual", code=True)


# --- what must be beaten -------------------------------------------------------------------------


def ladder() -> Picture:
    """Draw what counting reaches on the plays that were kept back, and the trained model."""
    names = {
        ("character", 0): "uniform",
        ("character", 1): "1 character",
        ("character", 2): "2 characters",
        ("character", 5): "5 characters",
        ("token", 3): "3 tokens",
    }
    rows = {(r["unit"], r["order"]): r["nats_per_character"] for r in read_table("ngrams_plays")}
    return bar_chart(
        [*names.values(), "the model"],
        [*(rows[key] for key in names), model_nats()],
        Axis("validation loss", "nats per character", (0, 5)),
        colour="neutral",
    )


def model_nats() -> float:
    """Read the result of the shipped run, in nats per character."""
    record = json.loads(pretrained_path().with_suffix(".json").read_text(encoding="utf-8"))
    return float(record["nats_per_character"])


# --- optimizers ----------------------------------------------------------------------------------


class Path(NamedTuple):
    """Where an optimizer was, step by step, and its name."""

    name: str
    points: Array


STEEP = 25.0
"""How much steeper the valley is across than along."""


def slope(point: Array) -> Array:
    """Return the slopes of (θ₁² + 25 θ₂²) / 2."""
    return np.asarray(point * np.array([1.0, STEEP]))


def paths(steps: int = 20) -> list[Path]:
    """Let gradient descent, momentum and Adam go down a narrow valley from one place."""
    start, found = np.array([4.0, 1.0]), []
    for name in ("gradient descent", "momentum", "Adam"):
        point, mean, square, points = start, np.zeros(2), np.zeros(2), [start]
        for t in range(1, steps + 1):
            g = slope(point)
            if name == "gradient descent":
                move = 0.07 * g
            elif name == "momentum":
                mean = 0.7 * mean + g
                move = 0.03 * mean
            else:
                mean, square = 0.9 * mean + 0.1 * g, 0.95 * square + 0.05 * g * g
                move = 0.3 * (mean / (1 - 0.9**t)) / np.sqrt(square / (1 - 0.95**t))
            point = point - move
            points.append(point)
        found.append(Path(name, np.array(points)))
    return found


def valley() -> Picture:
    """Draw the ways of three optimizers down a narrow valley."""
    dashes, colours = ("2 4", "6 4", None), ("neutral", "key", "gradient")
    lines = [
        Line(p.points[:, 0].tolist(), p.points[:, 1].tolist(), colour, p.name, dash)
        for p, dash, colour in zip(paths(), dashes, colours, strict=True)
    ]
    return line_chart(lines, Axis("θ₁", limits=(-2, 4)), Axis("θ₂", limits=(-1, 1)))


# --- dropout -------------------------------------------------------------------------------------


def dropout() -> Picture:
    """Draw validation losses with four rates of dropout, means of the seeds."""
    rows, lines = read_table("dropout_curves"), []
    kinds = ((0, "neutral", None), (0.1, "value", None), (0.2, "query", "6 4"), (0.3, "key", "2 4"))
    for rate, colour, dash in kinds:
        chosen = [row for row in rows if row["dropout"] == rate]
        steps = sorted({row["step"] for row in chosen})
        means = [
            float(np.mean([row["validation_loss"] for row in chosen if row["step"] == step]))
            for step in steps
        ]
        lines.append(Line(steps, means, colour, f"rate {rate}", dash))
    return line_chart(
        lines,
        Axis("steps", limits=(0, 1200)),
        Axis("validation loss", "nats per token", (4.5, 5.3)),
    )
