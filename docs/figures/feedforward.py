"""The figures of the page on the feed-forward network."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from literategpt import load_pretrained
from literategpt.activations import gelu, gelu_backward, relu, relu_backward
from literategpt.layers import Linear
from literategpt.model import GPTModel
from literategpt.types import Array
from pagetools.drawing import SENTENCE, SMALL, SPEECH, label, surprises
from pagetools.svg import Axis, Line, Picture, line_chart

# --- the network ---------------------------------------------------------------------------------


def box(
    picture: Picture, x: float, y: float, width: float, height: float, colour: str, count: int
) -> None:
    """Draw a vector as a box that is cut into cells."""
    picture.rectangle(x, y, width, height, colour=colour, opacity=0.12, outline=True)
    for i in range(1, count):
        at = x + width * i / count
        picture.line([(at, y), (at, y + height)], colour=colour, width="0.6")


def flow() -> Picture:
    """Draw the way of three tokens through the network, each in a lane of its own."""
    picture = Picture(height=308)
    rows = (
        (26, 36, 4, "residual", "(T, C)"),
        (104, 128, 16, "neutral", "(T, 4C)"),
        (182, 128, 16, "neutral", "(T, 4C)"),
        (260, 36, 4, "residual", "(T, C)"),
    )
    for token, middle in enumerate((68, 204, 340)):
        picture.text(middle, 14, f"token {token}", anchor="middle", size=SMALL)
        for y, width, count, colour, _ in rows:
            box(picture, middle - width / 2, y, width, 22, colour, count)
        for y in (48, 126, 204):
            picture.arrow([(middle, y + 5), (middle, y + 51)])
    for y, _, _, _, shape in rows:
        picture.text(414, y + 16, shape, code=True, size=SMALL)
    for y, name in ((83, "expand"), (161, "bend"), (239, "contract")):
        picture.text(414, y, name, size=SMALL)
    return picture


# --- bends ---------------------------------------------------------------------------------------


def bends() -> Picture:
    """Draw GELU and ReLU over one another."""
    x = np.linspace(-4, 3, 141)
    few = np.array([-4.0, 0.0, 3.0])
    lines = [
        Line(x.tolist(), gelu(x).tolist(), "residual", "GELU"),
        Line(few.tolist(), relu(few).tolist(), "neutral", "ReLU", "6 4"),
    ]
    return line_chart(lines, Axis("hidden unit x"), Axis("after the bend", "", (-0.5, 3)), 280)


def tents() -> Picture:
    """Draw what three hinges add up to, with ReLU, with GELU, and with GELU four times as sharp."""
    x = np.linspace(-2, 4, 121)
    corners = np.array([-2.0, 0.0, 1.0, 2.0, 4.0])
    relus = relu(corners) - 2 * relu(corners - 1) + relu(corners - 2)
    gelus = gelu(x) - 2 * gelu(x - 1) + gelu(x - 2)
    fourfold = (gelu(4 * x) - 2 * gelu(4 * x - 4) + gelu(4 * x - 8)) / 4
    lines = [
        Line(corners.tolist(), relus.tolist(), "neutral", "ReLU", "6 4"),
        Line(x.tolist(), gelus.tolist(), "residual", "GELU"),
        Line(x.tolist(), fourfold.tolist(), "residual", "GELU, four times as sharp", "2 4"),
    ]
    return line_chart(lines, Axis("input x"), Axis("output", "", (-0.1, 1.1)), 280)


def slopes() -> Picture:
    """Draw the slopes of GELU and of ReLU."""
    x = np.linspace(-4, 4, 161)
    left, right = np.array([-4.0, 0.0]), np.array([1e-9, 4.0])
    one = np.ones(2)
    steps = np.concatenate([relu_backward(one, left), relu_backward(one, right)])
    lines = [
        Line(x.tolist(), gelu_backward(np.ones_like(x), x).tolist(), "gradient", "GELU"),
        Line([*left, *right], steps.tolist(), "neutral", "ReLU", "6 4"),
    ]
    return line_chart(lines, Axis("hidden unit z"), Axis("local slope", "", (-0.25, 1.25)), 280)


def exact_gelu(x: Array) -> Array:
    """Compute GELU by its definition, x times the normal distribution's share below x."""
    shares = [0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.tolist()]
    exact: Array = x * np.array(shares)
    return exact


def tanh_error() -> Picture:
    """Draw how far the tanh form of GELU lies from the definition."""
    x = np.linspace(-5, 5, 201)
    error = (gelu(x) - exact_gelu(x)) * 1e4
    return line_chart(
        [Line(x.tolist(), error.tolist(), "neutral", "tanh form less definition")],
        Axis("x"), Axis("difference", "ten-thousandths", (-3, 5)), 260,
    )  # fmt: skip


def hinge_fit(count: int, x: Array) -> Array:
    """Fit one turn of a sine with `count` ReLU hinges at even distances."""
    corners = np.linspace(0, 2 * math.pi, count, endpoint=False)
    hinges = relu(x[:, None] - corners)
    fitted: Array = hinges @ np.linalg.lstsq(hinges, np.sin(x), rcond=None)[0]
    return fitted


def fits() -> Picture:
    """Draw a sine and its fits by four and by eight hinges."""
    x = np.linspace(0, 2 * math.pi, 97)
    lines = [
        Line(x.tolist(), np.sin(x).tolist(), "neutral", "sine", "2 4"),
        Line(x.tolist(), hinge_fit(4, x).tolist(), "neutral", "4 hinges", "8 4"),
        Line(x.tolist(), hinge_fit(8, x).tolist(), "residual", "8 hinges"),
    ]
    return line_chart(lines, Axis("input x"), Axis("output", "", (-1.3, 1.3)), 280)


# --- the trained model ---------------------------------------------------------------------------


def trained() -> Picture:
    """Mark the hidden units above 0 at each token of the sentence, in the first network."""
    model, tokenizer = load_pretrained()
    ids = tokenizer.encode(SENTENCE)
    _, saved = model.forward(np.array([ids]))
    on = saved.blocks[0].feed_forward.hidden[0] > 0
    # Put the units in the order in which they are first above 0, and leave out the others.
    somewhere = on.any(axis=0)
    first = on[:, somewhere].argmax(axis=0)
    marks = on[:, somewhere][:, np.argsort(first, kind="stable")]
    left, top, row = 66.0, 8.0, 17.0
    step = (472 - left) / marks.shape[1]
    picture = Picture(height=top + row * len(ids) + 34)
    for t, number in enumerate(ids):
        y = top + row * t
        word = label(tokenizer.decode([number]))
        picture.text(left - 8, y + 12.5, word, anchor="end", code=True, size=SMALL)
        path = "".join(
            f"M{left + step * unit:.1f} {y + 1:.0f}v14" for unit in np.flatnonzero(marks[t])
        )
        colour = "var(--concept-residual, #181614)"
        picture.element("path", d=path, stroke=colour, stroke_width="0.9", fill="none")
    words = "hidden units, in the order in which they are first above 0"
    picture.text((left + 472) / 2, picture.height - 8, words, anchor="middle", size=SMALL)
    return picture


class Removal(NamedTuple):
    """How much the loss rises without one part, and how far chance moves that."""

    name: str
    rise: float
    error: float


def rise_without(model: GPTModel, layer: Linear, tokens: Array) -> tuple[float, float]:
    """Set a layer to 0, compare the surprises, and put it back."""
    assert layer.bias is not None
    before = surprises(model, tokens)
    kept = [layer.weight.copy(), layer.bias.copy()]
    layer.weight[...] = 0
    layer.bias[...] = 0
    rise = surprises(model, tokens) - before
    layer.weight[...], layer.bias[...] = kept
    return float(rise.mean()), float(rise.std() / math.sqrt(len(rise)))


@lru_cache(maxsize=1)
def measure_removals() -> tuple[Removal, ...]:
    """Remove each attention layer and each feed-forward network of the trained model in turn."""
    model, tokenizer = load_pretrained()
    tokens = np.array([tokenizer.encode(SPEECH)])
    found = []
    for number, block in enumerate(model.blocks):
        parts = (("attention", block.attention.output), ("network", block.feed_forward.contract))
        for name, last in parts:
            found.append(Removal(f"{name} {number}", *rise_without(model, last, tokens)))
    return tuple(found)


def removals() -> Picture:
    """Draw the rises as bars with two standard errors to both sides."""
    found = measure_removals()
    row, left, right = 26, 96, 420
    scale = (right - left) / 4.5
    picture = Picture(height=row * len(found) + 44)
    for i, (name, rise, error) in enumerate(found):
        y = 6 + row * i
        colour = "attention" if name.startswith("attention") else "residual"
        picture.text(left - 8, y + 15, name, anchor="end", size=SMALL)
        picture.rectangle(left, y + 2, scale * rise, 18, colour=colour, opacity=0.55)
        ends = [left + scale * (rise + k * error) for k in (-2, 2)]
        picture.line([(ends[0], y + 11), (ends[1], y + 11)], colour="residual", width="1.5")
        picture.text(ends[1] + 6, y + 15, f"{rise:.3f}", size=SMALL)
    bottom = 6 + row * len(found)
    picture.line([(left, 2), (left, bottom), (right, bottom)])
    for tick in range(5):
        picture.line([(left + scale * tick, bottom), (left + scale * tick, bottom + 4)])
        picture.text(left + scale * tick, bottom + 18, str(tick), anchor="middle", size=SMALL)
    name = "rise of the loss (nats per token)"
    picture.text((left + right) / 2, bottom + 35, name, anchor="middle", size=SMALL)
    return picture


def promotes(model: GPTModel, rows: Array) -> Array:
    """Say how far each row raises each token's score, in spreads over the vocabulary.

    (N, C) -> (N, V)
    """
    centred = rows - rows.mean(axis=-1, keepdims=True)
    raised = (centred * model.final_norm.weight) @ model.token_embedding.weight.T
    raised -= raised.mean(axis=-1, keepdims=True)
    spreads: Array = raised / raised.std(axis=-1, keepdims=True)
    return spreads


def clarity(spreads: Array) -> Array:
    """Average the five largest of each row, (N, V) -> (N,)."""
    averages: Array = np.sort(spreads, axis=-1)[:, -5:].mean(axis=-1)
    return averages


def units() -> Picture:
    """Draw how clearly the units of the last network promote tokens, beside random units."""
    model, _ = load_pretrained()
    rows = model.blocks[-1].feed_forward.contract.weight
    random = np.random.default_rng(0).normal(size=rows.shape)
    edges = np.arange(1.75, 5.76, 0.25)
    lines = []
    kinds = (("trained", rows, "residual", None), ("random", random, "neutral", "6 4"))
    for name, some, colour, dash in kinds:
        counts = np.histogram(clarity(promotes(model, some)), edges)[0]
        x = np.repeat(edges, 2).tolist()
        y = [0, *np.repeat(counts, 2).tolist(), 0]
        lines.append(Line(x, y, colour, f"512 {name} units", dash))
    clear = "mean of the five largest rises, in spreads over the vocabulary"
    return line_chart(lines, Axis(clear), Axis("units"), 280)
