"""The figures of the page on embeddings."""

from functools import lru_cache

import numpy as np

from literategpt import load_pretrained
from literategpt.demos.pocket import POCKET_WORDS, pocket_model, pocket_tokens
from literategpt.types import Array
from pagetools.drawing import SMALL
from pagetools.svg import Axis, Line, Picture, line_chart

CELL = 38
"""Width of a number."""

EDGES = np.linspace(0.2, 1.0, 33)
"""Borders of the bins of cosines."""


def draw_row(
    picture: Picture, x: float, y: float, values: Array, colour: str, opacity: float, digits: int
) -> None:
    """Draw a vector as a row of cells."""
    for i, value in enumerate(values):
        left = x + CELL * i
        picture.rectangle(left, y, CELL - 3, 26, colour=colour, opacity=opacity, outline=True)
        text = f"{value:.{digits}f}".replace("-", "−")
        picture.text(left + (CELL - 3) / 2, y + 18, text, anchor="middle", size=SMALL)


def lookup() -> Picture:
    """Draw the token table of the pocket model, and the rows that three ids take from it."""
    model, ids = pocket_model(), pocket_tokens("dog bites man")[0]
    table = model.token_embedding.weight
    picture = Picture(height=214)
    picture.text(78, 16, "token table (V, C)", size=SMALL)
    picture.text(316, 16, "vectors (T, C)", size=SMALL)
    for i, word in enumerate(POCKET_WORDS):
        y = 28 + 36 * i
        picture.text(70, y + 18, f"{word} {i}", anchor="end", code=True, size=SMALL)
        draw_row(picture, 78, y, table[i], "residual", 0.16 if i in ids else 0.02, 1)
    for place, i in enumerate(ids):
        y = 64 + 36 * place
        picture.arrow([(232, 41 + 36 * i), (312, y + 13)], colour="residual")
        draw_row(picture, 316, y, table[i], "residual", 0.16, 1)
    picture.text(316, 192, "ids 3, 2, 4", size=SMALL)
    return picture


def repeated() -> Picture:
    """Draw the slopes of three places on their way back to the rows of the table."""
    ids, slopes = np.array([1, 3, 1]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    table = np.zeros((4, 2))
    np.add.at(table, ids, slopes)
    picture = Picture(height=178)
    picture.text(96, 16, "slopes of the vectors", size=SMALL)
    picture.text(340, 16, "gradient of the table", size=SMALL)
    for place, i in enumerate(ids):
        y = 46 + 36 * place
        picture.text(88, y + 18, f"id {i}", anchor="end", code=True, size=SMALL)
        draw_row(picture, 96, y, slopes[place], "gradient", 0.14, 0)
        picture.arrow([(174, y + 13), (336, 41 + 36 * i)], colour="gradient")
    for i, row in enumerate(table):
        draw_row(picture, 340, 28 + 36 * i, row, "gradient", 0.14 if row.any() else 0.02, 0)
        picture.text(424, 46 + 36 * i, f"row {i}", code=True, size=SMALL)
    return picture


def best_cosines(table: Array) -> Array:
    """Return the cosine of each row with its nearest other row, (V,)."""
    rows = table / np.linalg.norm(table, axis=-1, keepdims=True)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -1)
    best: Array = cosines.max(axis=-1)
    return best


@lru_cache
def tables() -> dict[str, Array]:
    """Return the three tables whose neighbours are compared."""
    trained = load_pretrained()[0].token_embedding.weight.astype(np.float64)
    rng = np.random.default_rng(0)
    return {
        "random": rng.normal(size=trained.shape),
        "trained": trained,
        "shuffled": np.random.default_rng(0).permuted(trained, axis=0),
    }


def histogram(kinds: tuple[tuple[str, str, str | None], ...]) -> Picture:
    """Draw how many rows have their best cosine in each bin."""
    lines = []
    for name, colour, dash in kinds:
        counts, _ = np.histogram(best_cosines(tables()[name]), EDGES)
        # Two points a bin make steps.
        x, y = np.repeat(EDGES, 2)[1:-1], np.repeat(counts, 2)
        lines.append(Line(x.tolist(), y.tolist(), colour, name, dash))
    return line_chart(lines, Axis("cosine with the nearest neighbour"), Axis("rows in a bin"))


def neighbours() -> Picture:
    """Draw the best cosines of the trained table and of a random one."""
    return histogram((("random", "neutral", "5 3"), ("trained", "residual", None)))


def floors() -> Picture:
    """Draw the best cosines of the trained table beside those of the same numbers, shuffled."""
    return histogram((("shuffled", "neutral", "5 3"), ("trained", "residual", None)))
