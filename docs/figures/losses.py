"""The figures of "Is my loss right?": recorded losses, and the ladder of counts beside them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from experiments.losses import RecordedRun, curve, read_runs, runs_of, smoothed
from experiments.tables import Row, read_table
from pagetools.svg import WIDTH, Picture

Points = list[tuple[float, float]]

TIMES = (
    (1, "1 s"), (3, "3 s"), (10, "10 s"), (30, "30 s"), (60, "1 min"), (180, "3 min"),
    (600, "10 min"), (1800, "30 min"), (3600, "1 h"), (7200, "2 h"), (14400, "4 h"),
)  # fmt: skip
STEPS = tuple((n, f"{n:,}") for n in (1, 3, 10, 30, 100, 300, 1000))
DASHES = ("", "7 4", "2 4")
"""Of the presets in one chart, so that they are told apart without colours."""

APART = 11
"""Between the names of two levels; of two that are closer the better one is drawn."""

TINY = ("tiny-fast", "tiny-10min", "tiny-60min")
"""Presets for Tiny Shakespeare, the shortest run first."""

PUBLISHED = {"nanoGPT CPU": 1.88, "nanoGPT GPU": 1.4697}
"""Validation losses of Tiny Shakespeare from the README of nanoGPT; the page cites them."""


class Frame(NamedTuple):
    """A chart with time or steps on a logarithmic axis, and room for names on its right."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float = 62
    right: float = WIDTH - 118
    top: float = 36
    bottom: float = 300

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a pair of numbers is drawn; what is too high stays at the top."""
        across = math.log(x / self.x[0]) / math.log(self.x[1] / self.x[0])
        down = (self.y[1] - min(y, self.y[1])) / (self.y[1] - self.y[0])
        return (
            self.left + across * (self.right - self.left),
            self.top + down * (self.bottom - self.top),
        )


def draw_axes(
    picture: Picture, frame: Frame, ticks: Sequence[tuple[float, str]], names: tuple[str, str]
) -> None:
    """Draw both axes with ticks and names."""
    for value, text in ticks:
        if frame.x[0] <= value <= frame.x[1]:
            x, _ = frame.at(value, frame.y[0])
            picture.line([(x, frame.bottom), (x, frame.bottom + 4)])
            picture.text(x, frame.bottom + 19, text, anchor="middle", size=12.5)
    step = 0.2 if frame.y[1] - frame.y[0] < 2 else 1
    for i in range(math.ceil(frame.y[0] / step), math.floor(frame.y[1] / step + 1e-9) + 1):
        _, y = frame.at(frame.x[0], i * step)
        picture.line([(frame.left - 4, y), (frame.left, y)])
        picture.text(frame.left - 8, y + 4, f"{i * step:.1f}", anchor="end", size=12.5)
    corners = [(frame.left, frame.top), (frame.left, frame.bottom), (frame.right, frame.bottom)]
    picture.line(corners)
    across, up = names
    picture.text((frame.left + frame.right) / 2, frame.bottom + 40, across, anchor="middle")
    picture.text(14, (frame.top + frame.bottom) / 2, up, anchor="middle", turned=True)


def draw_levels(picture: Picture, frame: Frame, levels: dict[str, float], colour: str) -> None:
    """Draw a line across for each level, with its name and its height on the right."""
    lowest = frame.bottom
    for name, height in sorted(levels.items(), key=lambda level: level[1]):
        _, y = frame.at(frame.x[0], height)
        if lowest - y < APART:
            continue  # its name would stand on that of a better one
        lowest = y
        picture.line([(frame.left, y), (frame.right, y)], colour=colour, dash="1 3")
        picture.text(frame.right + 5, y + 4, f"{height:.2f} {name}", colour=colour, size=12)


def draw_legend(picture: Picture, frame: Frame, names: Sequence[str]) -> None:
    """Name the kinds of lines in a row above the chart."""
    x = frame.left
    for name, dash in zip(names, DASHES, strict=False):
        picture.line([(x, 14), (x + 26, 14)], colour="text", width="2", dash=dash or None)
        picture.text(x + 32, 18, name, size=12.5)
        x += 48 + 7 * len(name)


def rungs(name: str, unit: str, low: float, high: float) -> dict[str, float]:
    """Return the rungs of a ladder, up to its best, that lie between two losses."""
    rows = [row for row in read_table(f"ngrams_{name}") if row["unit"] == unit]
    key = "nats_per_character" if unit == "character" else "nats_per_unit"
    best = min(row[key] for row in rows)
    climbing = rows[: [row[key] for row in rows].index(best) + 1]
    return {rung_name(row): row[key] for row in climbing if low < row[key] < high}


def rung_name(row: Row) -> str:
    """Name a rung for a figure: what it counts together."""
    if row["order"] == 0:
        return "uniform"
    plural = "s" if row["order"] > 1 else ""
    return f"{row['order']} {row['unit']}{plural}"


def draw_results(
    presets: Sequence[str], ladder: str, losses: tuple[float, float], published: dict[str, float]
) -> Picture:
    """Draw the validation losses of some presets against time, with what they must beat."""
    found = [runs_of(preset, read_runs()) for preset in presets]
    curves = [[curve(run) for run in runs] for runs in found]
    ends = [seconds for group in curves for one in group for seconds in one.seconds]
    frame = Frame(x=(min(ends) * 0.9, max(ends) * 1.1), y=losses)
    picture = Picture(frame.bottom + 50)
    draw_axes(picture, frame, TIMES, ("training time", "loss (nats per character)"))
    draw_levels(picture, frame, rungs(ladder, "character", *losses), "neutral")
    draw_levels(picture, frame, published, "text")
    for group, dash in zip(curves, DASHES, strict=False):
        for one in group:
            pairs = zip(one.seconds, one.nats_per_character, strict=True)
            points = [frame.at(*pair) for pair in pairs]
            picture.line(points, colour="text", width="1.6", dash=dash or None)
    draw_legend(picture, frame, presets)
    return picture


def tiny() -> Picture:
    """Draw those presets for Tiny Shakespeare that are recorded."""
    known = {run.preset for run in read_runs()}
    presets = [preset for preset in TINY if preset in known]
    return draw_results(presets, "tiny_shakespeare", (1.4, 2.2), PUBLISHED)


def plays() -> Picture:
    """Draw the recorded runs on the plays."""
    return draw_results(("plays", "shipped"), "plays", (1.3, 2.1), {})


def beginning_of(run: RecordedRun) -> Points:
    """Return the smoothed training losses of the first steps, ever further apart."""
    numbers = sorted({round(10 ** (i / 20)) for i in range(61)})
    return [(steps, smoothed(run.log, steps)) for steps in numbers if steps <= len(run.log)]


def beginning() -> Picture:
    """Draw how the training loss falls in the first thousand steps on the plays."""
    frame = Frame(x=(1, 1000), y=(3.8, 7.8))
    picture = Picture(frame.bottom + 50)
    draw_axes(picture, frame, STEPS, ("steps", "training loss (nats per token)"))
    draw_levels(picture, frame, rungs("plays", "token", *frame.y), "neutral")
    for run in runs_of("plays", read_runs()):
        points = [frame.at(*pair) for pair in beginning_of(run)]
        picture.line(points, colour="text", width="1.6")
    return picture
