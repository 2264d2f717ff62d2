"""The figures of the page on positional encoding."""

import numpy as np

from experiments.tables import read_table
from literategpt import load_pretrained
from literategpt.layers import sinusoid_table
from pagetools.drawing import SENTENCE, SMALL, box
from pagetools.svg import Axis, Line, Picture, bar_chart, line_chart

PLACES = 256
"""Positions that the trained model has."""

WAVES = (8, 24, 36)
"""The hands whose sines are drawn."""

KINDS = {
    "true": "as trained",
    "frozen": "row 0 everywhere",
    "absent": "nothing added",
    "shuffled every time": "shuffled, anew for each text",
    "shuffled once": "shuffled, one order",
}
"""How the page names the kinds of the recorded measurement."""


# --- diagrams ------------------------------------------------------------------------------------


def flow() -> Picture:
    """Draw the sum of embeddings and position rows, with shapes."""
    picture = Picture(height=248)
    box(picture, 24, 2, 150, "ids", "(B, T)", "neutral")
    box(picture, 306, 2, 150, "positions 0, 1, …", "(T,)", "neutral")
    picture.arrow([(99, 48), (99, 88)])
    picture.arrow([(381, 48), (381, 88)])
    picture.text(107, 72, "rows of the token table", size=SMALL)
    picture.text(373, 72, "rows of a table", anchor="end", size=SMALL)
    box(picture, 24, 92, 150, "embeddings", "(B, T, C)", "residual")
    box(picture, 306, 92, 150, "position vectors", "(T, C)", "neutral")
    picture.arrow([(99, 138), (200, 194)], colour="residual")
    picture.arrow([(381, 138), (280, 194)])
    picture.text(338, 180, "copied to each text", size=SMALL)
    picture.text(240, 186, "+", anchor="middle", size=20)
    box(picture, 150, 198, 180, "vectors with positions", "(B, T, C)", "residual")
    return picture


def hands() -> Picture:
    """Draw the two clock hands of four numbers at positions 0 to 3."""
    picture = Picture(height=250)
    table = sinusoid_table(4, 4)
    radius = 36.0
    for hand, (name, middle) in enumerate((("hand 0", 70.0), ("hand 1", 180.0))):
        picture.text(4, middle + 4, name, size=SMALL)
        for p in range(4):
            x = 106 + 106 * p
            sine, cosine = table[p, 2 * hand : 2 * hand + 2]
            picture.element(
                "circle", cx=x, cy=middle, r=radius, fill="none",
                stroke="var(--concept-neutral, #5c6470)", stroke_width="1",
            )  # fmt: skip
            tip = (x + radius * sine, middle - radius * cosine)
            picture.arrow([(x, middle), tip], colour="residual")
            if not hand:
                picture.text(x, 18, f"position {p}", anchor="middle", size=SMALL)
            pair = f"{sine:.3f}, {cosine:.3f}".replace("-", "−")
            picture.text(x, middle + radius + 17, pair, anchor="middle", size=SMALL)
    return picture


def gradient() -> Picture:
    """Draw the slopes of two texts, which add in the rows of a learned table."""
    picture = Picture(height=236)
    slopes = np.array([[[1, 0], [2, -1]], [[3, 1], [-2, 4]]])
    totals = np.concatenate([slopes.sum(axis=0), [[0, 0]]])
    for text in range(2):
        picture.text(4, 54 + 50 * text, f"slopes of text {text}", size=SMALL)
    picture.text(4, 206, "gradient of", size=SMALL)
    picture.text(4, 222, "the learned table", size=SMALL)
    for p, total in enumerate(totals):
        x = 136 + 116 * p
        picture.text(x + 48, 18, f"position {p}", anchor="middle", size=SMALL)
        cells = [(30, slopes[0, p]), (80, slopes[1, p])] if p < 2 else []
        for y, pair in [*cells, (184, total)]:
            picture.rectangle(x, y, 96, 38, colour="gradient", opacity=0.1, outline=True)
            label = f"({pair[0]}, {pair[1]})".replace("-", "−")
            picture.text(x + 48, y + 24, label, anchor="middle")
        if cells:
            picture.arrow([(x + 48, 122), (x + 48, 180)], colour="gradient")
            picture.text(x + 56, 156, "add", size=SMALL)
        else:
            picture.text(x + 48, 104, "not reached", anchor="middle", size=SMALL)
    return picture


# --- charts --------------------------------------------------------------------------------------


def waves() -> Picture:
    """Draw the sines of three hands of the trained model's table, over all its positions."""
    table = sinusoid_table(PLACES, 128)
    places = list(range(PLACES))
    styles = (("neutral", "2 5"), ("neutral", "8 4"), ("residual", None))
    lines = [
        Line(places, table[:, 2 * hand].tolist(), colour, f"hand {hand}", dash)
        for hand, (colour, dash) in zip(WAVES, styles, strict=True)
    ]
    return line_chart(lines, Axis("position"), Axis("sine", "", (-1, 1)), 260)


def products() -> Picture:
    """Draw the dot product of two rows of 128 numbers against their distance."""
    table = sinusoid_table(129, 128)
    values = (table @ table[64]).tolist()
    lines = [Line(list(range(-64, 65)), values, "residual", "dot product of two rows")]
    return line_chart(lines, Axis("distance", "positions"), Axis("dot product", "", (0, 70)), 280)


def loudness() -> Picture:
    """Draw how long the rows of the sentence's tokens are, beside the rows of positions."""
    model, tokenizer = load_pretrained()
    ids = tokenizer.encode(SENTENCE)
    lengths = np.linalg.norm(model.token_embedding.weight[ids], axis=1)
    layer = model.positional_encoding
    labels = [tokenizer.decode([number]).replace(" ", "·") for number in ids]
    labels.append("position")
    values = [*lengths.tolist(), layer.scale * float(np.linalg.norm(layer.table[0]))]
    return bar_chart(labels, values, Axis("length of the row"), colour="residual", code=True)


def disturbed() -> Picture:
    """Draw the trained model's loss with each kind of positions."""
    rows = {row["positions"]: row["validation_loss"] for row in read_table("positions_checkpoint")}
    values = [float(rows[kind]) for kind in KINDS]
    return bar_chart(list(KINDS.values()), values, Axis("loss", "nats"), colour="neutral")


def beyond() -> Picture:
    """Draw the trained model's loss by position, within and past what it was trained on."""
    rows = read_table("positions_beyond")
    lines = []
    for trained, colour, label, dash in (
        ("yes", "residual", "met in training", None),
        ("no", "neutral", "not met", "6 4"),
    ):
        chosen = [row for row in rows if row["trained"] == trained]
        x: list[float] = []
        y: list[float] = []
        for row in chosen:
            x += [float(row["first_position"]), float(row["last_position"]) + 1]
            y += [float(row["validation_loss"])] * 2
        lines.append(Line(x, y, colour, label, dash))
    return line_chart(lines, Axis("position", "", (0, 1024)), Axis("loss", "nats", (3.5, 5.5)))
