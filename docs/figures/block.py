"""The figures of the page on the transformer block."""

import math

import numpy as np

from experiments.tables import read_table
from literategpt import load_pretrained, softmax
from literategpt.model import GPTModel
from literategpt.types import Array
from pagetools.drawing import SENTENCE, SMALL, SPEECH, box
from pagetools.svg import Axis, Line, Picture, bar_chart, line_chart, paint

# --- diagrams ------------------------------------------------------------------------------------


def step(picture: Picture, y: float, name: str, colour: str) -> None:
    """Draw a layer on a branch, as a box without a shape."""
    picture.rectangle(214, y, 256, 28, colour=colour, opacity=0.1, outline=True)
    picture.text(342, y + 19, name, anchor="middle")


def plus(picture: Picture, y: float, colour: str) -> None:
    """Draw an addition, or the meeting of two paths, on the stream."""
    picture.element(
        "circle", cx=79, cy=y, r=11, fill="none", stroke=paint(colour),
        stroke_width="1.5",
    )  # fmt: skip
    picture.line([(73, y), (85, y)], colour=colour, width="1.5")
    picture.line([(79, y - 6), (79, y + 6)], colour=colour, width="1.5")


def flow() -> Picture:
    """Draw one block: the stream on the left, the two branches on the right."""
    picture = Picture(height=448)
    subs = (("attention", "attention"), ("feed-forward network", "neutral"))
    names = ("x", "h", "y")
    for i, name in enumerate(names):
        box(picture, 4, 2 + 200 * i, 150, name, "(B, T, C)", "residual")
    for i, (name, colour) in enumerate(subs):
        top = 44 + 200 * i
        picture.arrow([(79, top), (79, top + 106)], colour="residual")
        picture.arrow([(79, top + 24), (342, top + 24), (342, top + 44)], colour="residual")
        step(picture, top + 46, "LayerNorm", "neutral")
        picture.arrow([(342, top + 74), (342, top + 90)])
        step(picture, top + 92, name, colour)
        plus(picture, top + 118, "residual")
        picture.arrow(
            [(342, top + 120), (342, top + 134), (150, top + 134), (94, top + 121)], colour=colour
        )
        picture.arrow([(79, top + 130), (79, top + 156)], colour="residual")
        kind = ("tokens exchange", "each token alone")[i]
        picture.text(350, top + 153, f"{kind}, (B, T, C)", anchor="middle", size=SMALL)
    return picture


def back() -> Picture:
    """Draw the slopes of a block: along the stream, and through the two branches."""
    picture = Picture(height=448)
    subs = (("attention", "dx"), ("feed-forward network", "dh"))
    for i, name in enumerate(("dx", "dh", "dy")):
        box(picture, 4, 2 + 200 * i, 150, name, "(B, T, C)", "gradient")
    for i, (name, _) in enumerate(subs):
        top = 44 + 200 * i
        picture.arrow([(79, top + 156), (79, top + 54)], colour="gradient")
        picture.arrow([(79, top + 136), (342, top + 136), (342, top + 122)], colour="gradient")
        step(picture, top + 92, f"{name}, backward", "gradient")
        picture.arrow([(342, top + 90), (342, top + 76)], colour="gradient")
        step(picture, top + 46, "LayerNorm, backward", "gradient")
        plus(picture, top + 42, "gradient")
        picture.arrow(
            [(342, top + 44), (342, top + 22), (150, top + 22), (93, top + 38)], colour="gradient"
        )
        picture.arrow([(79, top + 30), (79, top + 2)], colour="gradient")
        picture.text(88, top + 92, "as it is", size=SMALL)
    return picture


def normalized() -> Picture:
    """Draw two vectors as marks on a line, and the one vector that LayerNorm makes of both."""
    picture = Picture(height=214)
    rows = (
        ("(0, 0, 4, 4)", (0, 0, 4, 4), "residual"),
        ("(2, 2, 6, 6)", (2, 2, 6, 6), "residual"),
        ("after LayerNorm", (-1, -1, 1, 1), "neutral"),
    )

    def at(value: float) -> float:
        return 190 + 38 * float(value)

    for tick in range(-1, 7):
        picture.line([(at(tick), 20), (at(tick), 172)], width="0.4")
        picture.text(at(tick), 190, f"{tick}".replace("-", "−"), anchor="middle", size=SMALL)
    for i, (name, values, colour) in enumerate(rows):
        y = 48 + 52 * i
        picture.text(4, y + 5, name, size=SMALL)
        picture.line([(at(-1), y), (at(6), y)])
        mean = float(np.mean(values))
        picture.line([(at(mean), y - 12), (at(mean), y + 12)], colour=colour, width="2")
        for value in sorted(set(values)):
            picture.text(at(value), y - 12, "two", anchor="middle", size=SMALL)
            picture.element("circle", cx=at(value), cy=y, r=6, fill=paint(colour))
    picture.text(at(2.5), 208, "size of a number", anchor="middle", size=SMALL)
    return picture


# --- the trained model ---------------------------------------------------------------------------


def lengths(model: GPTModel, tokens: Array) -> list[tuple[str, float, float]]:
    """For each sub-layer: its name, the mean length of the stream, and of what it adds."""
    _, saved = model.forward(tokens)
    found = []
    for i, (block, kept) in enumerate(zip(model.blocks, saved.blocks, strict=True)):
        attended = block.attention.output(kept.attention.output.input)
        middle = kept.input + attended
        worked = block.feed_forward(block.feed_forward_norm(middle))
        parts = (("attention", kept.input, attended), ("feed-forward", middle, worked))
        for name, stream, added in parts:
            sizes = [float(np.linalg.norm(a, axis=-1).mean()) for a in (stream, added)]
            found.append((f"{name} {i}", *sizes))
    return found


def sizes() -> Picture:
    """Draw how long the stream is before each sub-layer, and how long what it adds."""
    model, tokenizer = load_pretrained()
    rows = lengths(model, np.array([tokenizer.encode(SENTENCE)]))
    picture = Picture(height=36 + 44 * len(rows) + 26)
    left, scale = 130, 15.5
    for x, colour, opacity, name in (
        (left, "residual", 1.0, "stream that arrives"), (left + 170, "residual", 0.25, "added")
    ):  # fmt: skip
        picture.rectangle(x, 4, 14, 14, colour=colour, opacity=opacity, outline=True)
        picture.text(x + 20, 16, name, size=SMALL)
    for i, (name, stream, added) in enumerate(rows):
        y = 32 + 44 * i
        picture.text(left - 8, y + 22, name, anchor="end", size=SMALL)
        for offset, value, opacity in ((0, stream, 1.0), (17, added, 0.25)):
            picture.rectangle(
                left, y + offset, scale * value, 14, colour="residual", opacity=opacity,
                outline=True,
            )  # fmt: skip
            picture.text(left + scale * value + 6, y + offset + 12, f"{value:.1f}", size=SMALL)
    picture.line([(left, 28), (left, 36 + 44 * len(rows))])
    picture.text(left, picture.height - 8, "mean length of a token's vector", size=SMALL)
    return picture


def loss_on(model: GPTModel, tokens: Array) -> float:
    """Return the mean surprise at the tokens, each predicted from those before it."""
    p = softmax(model(tokens[:, :-1])[0].astype("float64"))
    return float(-np.log(p[np.arange(len(p)), tokens[0, 1:]]).mean())


def losses_without() -> dict[str, float]:
    """Return the loss on the speech: of the whole model, then with one block taken out."""
    model, tokenizer = load_pretrained()
    tokens = np.array([tokenizer.encode(SPEECH)])
    found = {"whole model": loss_on(model, tokens)}
    for i in range(len(model.blocks)):
        shorter = load_pretrained()[0]
        del shorter.blocks[i]
        found[f"without block {i}"] = loss_on(shorter, tokens)
    return found


def without() -> Picture:
    """Draw the loss on the speech with one block taken out."""
    found = losses_without()
    return bar_chart(
        list(found), list(found.values()), Axis("loss", "nats"), colour="residual", digits=2
    )


# --- recorded measurements -----------------------------------------------------------------------


def depths() -> Picture:
    """Draw the recorded losses with and without residual connections, by number of blocks."""
    rows = read_table("residuals")
    lines = []
    for kind, colour, label, dash in (
        ("off", "neutral", "without the connections", "7 4"),
        ("on", "residual", "with them", None),
    ):
        chosen = [row for row in rows if row["residuals"] == kind]
        lines.append(
            Line(
                [row["num_layers"] for row in chosen],
                [row["validation_loss"] for row in chosen],
                colour,
                label,
                dash,
            )
        )
    return line_chart(
        lines,
        Axis("number of blocks", "", (0, 16)),
        Axis("loss on held-out text", "nats", (4, 6)),
        270,
    )


def runs() -> Picture:
    """Draw the recorded loss of each run: place of the norm, number of blocks, rate."""
    rows = read_table("normalization_runs")
    kinds = [(n, p, w) for n in (4, 8, 16) for p in ("pre", "post") for w in (0, 50)]
    left, right, low, high = 150, 468, 4.0, 6.0
    picture = Picture(height=30 + 26 * len(kinds) + 3 * 12 + 52)

    def at(loss: float) -> float:
        return left + (right - left) * (loss - low) / (high - low)

    bottom = picture.height - 50
    for tick in (4.0, 4.5, 5.0, 5.5, 6.0):
        picture.line([(at(tick), 24), (at(tick), bottom)], width="0.4")
        picture.text(at(tick), bottom + 18, f"{tick:.1f}", anchor="middle", size=SMALL)
    y = 24.0
    for number, kind in enumerate(kinds):
        blocks, place, warmup = kind
        if number % 4 == 0:
            y += 12 if number else 0
            picture.text(4, y + 17, f"{blocks} blocks", size=SMALL)
        name = f"{place}, {'rising' if warmup else 'full'}"
        picture.text(left - 8, y + 17, name, anchor="end", size=SMALL)
        picture.line([(left, y + 13), (right, y + 13)], width="0.4")
        for row in rows:
            if (row["num_layers"], row["normalization"], row["warmup_steps"]) == kind:
                x, colour = at(row["validation_loss"]), "residual"
                if place == "pre":
                    picture.element(
                        "circle", cx=x, cy=y + 13, r=5, fill=paint(colour),
                        fill_opacity="0.55",
                    )  # fmt: skip
                else:
                    for sign in (1, -1):
                        picture.line(
                            [(x - 5, y + 13 - 5 * sign), (x + 5, y + 13 + 5 * sign)],
                            colour=colour, width="2",
                        )  # fmt: skip
        y += 26
    picture.text((left + right) / 2, bottom + 40, "loss on held-out text (nats)", anchor="middle")
    return picture


def gradients() -> Picture:
    """Draw the recorded gradient of each of 16 blocks' own arrays before training."""
    lines = []
    for place, colour, label, dash in (
        ("pre", "gradient", "pre-LN", None), ("post", "gradient", "post-LN", "7 4")
    ):  # fmt: skip
        chosen = [
            row
            for row in read_table("normalization_gradients")
            if (row["num_layers"], row["normalization"], row["initial_weights"])
            == (16, place, "std 0.02")
        ]
        lines.append(
            Line(
                [row["block"] for row in chosen],
                [math.log10(row["parameter_gradient"]) for row in chosen],
                colour,
                label,
                dash,
            )
        )
    return line_chart(
        lines,
        Axis("block, counted from the input", "", (0, 15)),
        Axis("power of ten of the gradient's length", "", (-2, 0)),
        280,
    )
