"""Draw small figures as SVG: lines, bars, heat maps and diagrams of boxes and arrows.

A figure stands inside the page, so its colours are CSS custom properties: it follows the light and
the dark scheme and print, and its text is the page's own. Each concept of the book has one colour
in every figure (`COLOURS`); a figure that is opened on its own shows the light ones.

    >>> picture = bar_chart(["mat", "floor"], [0.31, 0.12], Axis("probability"), colour="neutral")
    >>> str(picture).startswith('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 ')
    True
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Colour(NamedTuple):
    """One concept's colour on light and on dark ground."""

    light: str
    dark: str


COLOURS = {
    "query": Colour("#2827ce", "#639afe"),
    "key": Colour("#a65e1a", "#eda63c"),
    "value": Colour("#04827f", "#2cdfb9"),
    "attention": Colour("#4e266d", "#c172b1"),
    "residual": Colour("#181614", "#fdfaee"),
    "gradient": Colour("#86242c", "#f25159"),
    "neutral": Colour("#5c6470", "#a3abb8"),
}
"""Colour of each concept; the first six are told apart by colour-blind readers as well."""

GROUND = Colour("#fffefb", "#1e2129")
"""What the figures stand on."""

WIDTH = 480
TEXT_SIZE = 14
STRONGEST = 0.32
"""Opacity of the fullest cell of a heat map, so that the number on it stays readable."""

_TEXT = "currentColor"
_CHARACTER = 0.56  # average width of a character, in units of the text size


def colour_rules() -> str:
    """Return the CSS that defines the colours in both schemes; `figures.css` holds it."""
    light = "".join(f"  --concept-{name}: {c.light};\n" for name, c in COLOURS.items())
    dark = "".join(f"  --concept-{name}: {c.dark};\n" for name, c in COLOURS.items())
    return (
        f":root {{\n  --ground: {GROUND.light};\n{light}}}\n\n"
        f'[data-md-color-scheme="slate"] {{\n  --ground: {GROUND.dark};\n{dark}}}\n'
    )


def paint(colour: str) -> str:
    """Return what SVG writes for the colour of a concept.

    Raises:
        ValueError: If there is no such concept.

    Examples:
        >>> paint("query")
        'var(--concept-query, #2827ce)'
    """
    if colour == "text":
        return _TEXT
    if colour not in COLOURS:
        raise ValueError(f"expected 'text' or one of {', '.join(COLOURS)}, got {colour!r}")
    return f"var(--concept-{colour}, {COLOURS[colour].light})"


def _number(value: float) -> str:
    """Write a coordinate with at most one decimal."""
    return f"{round(float(value), 1) + 0.0:.1f}".removesuffix(".0")


def _attributes(values: dict[str, Any]) -> str:
    pairs = ((name.rstrip("_").replace("_", "-"), value) for name, value in values.items())
    return "".join(
        f' {name}="{_number(value) if isinstance(value, int | float) else html.escape(value)}"'
        for name, value in pairs
        if value is not None
    )


@dataclass
class Picture:
    """A drawing: shapes in the order in which they are added."""

    height: float
    width: float = WIDTH
    parts: list[str] = field(default_factory=list)

    def element(self, name: str, content: str = "", **attributes: Any) -> None:
        """Add one SVG element; underscores in the names of attributes stand for hyphens."""
        self.parts.append(f"<{name}{_attributes(attributes)}>{content}</{name}>")

    def rectangle(  # noqa: D417 (x, y, width and height speak for themselves)
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        colour: str = "neutral",
        opacity: float = 1.0,
        outline: bool = False,
    ) -> None:
        """Add a rectangle.

        Args:
            colour: The concept it stands for.
            opacity: How full its colour is, from 0 to 1.
            outline: Whether it has a line around it in the full colour.
        """
        self.element(
            "rect", x=x, y=y, width=width, height=height, rx=3, fill=paint(colour),
            fill_opacity=f"{opacity:.3f}", stroke=paint(colour) if outline else None,
        )  # fmt: skip

    def line(
        self,
        points: Sequence[tuple[float, float]],
        *,
        colour: str = "neutral",
        width: str = "1",
        dash: str | None = None,
    ) -> None:
        """Add a line through the points."""
        path = "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)
        self.element(
            "path", d=path, fill="none", stroke=paint(colour), stroke_width=width,
            stroke_dasharray=dash, stroke_linejoin="round", stroke_linecap="round",
        )  # fmt: skip

    def arrow(self, points: Sequence[tuple[float, float]], *, colour: str = "neutral") -> None:
        """Add a line through the points with a head at its end."""
        (x0, y0), (x1, y1) = points[-2:]
        length = math.hypot(x1 - x0, y1 - y0)
        dx, dy = 6 * (x1 - x0) / length, 6 * (y1 - y0) / length
        self.line([*points[:-1], (x1 - dx, y1 - dy)], colour=colour, width="1.5")
        corners = [(x1, y1), (x1 - 1.4 * dx - dy / 2, y1 - 1.4 * dy + dx / 2),
                   (x1 - 1.4 * dx + dy / 2, y1 - 1.4 * dy - dx / 2)]  # fmt: skip
        joined = " ".join(f"{_number(x)},{_number(y)}" for x, y in corners)
        self.element("polygon", points=joined, fill=paint(colour))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        colour: str = "text",
        anchor: str = "start",
        size: float = TEXT_SIZE,
        code: bool = False,
        turned: bool = False,
    ) -> None:
        """Add a line of text whose baseline starts, has its middle or ends at (x, y).

        Args:
            x: Where it is anchored.
            y: Its baseline.
            text: What it says.
            colour: A concept, or "text".
            anchor: "start", "middle" or "end".
            size: In units of the picture.
            code: Whether it is set in the font of code.
            turned: Whether it reads upwards.
        """
        self.element(
            "text", html.escape(text, quote=False), x=x, y=y, fill=paint(colour), font_size=size,
            text_anchor=None if anchor == "start" else anchor, class_="code" if code else None,
            transform=f"rotate(-90 {_number(x)} {_number(y)})" if turned else None,
        )  # fmt: skip

    def __str__(self) -> str:
        """Return the SVG."""
        box = f"0 0 {_number(self.width)} {_number(self.height)}"
        parts = "".join(self.parts)
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{parts}</svg>'

    def _repr_svg_(self) -> str:
        """Let a notebook show the picture."""
        return str(self)


class Axis(NamedTuple):
    """What an axis measures, in which unit, and from where to where."""

    name: str
    unit: str = ""
    limits: tuple[float, float] | None = None

    @property
    def label(self) -> str:
        """The name with its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


class Line(NamedTuple):
    """One curve of a chart."""

    x: Sequence[float]
    y: Sequence[float]
    colour: str
    label: str
    dash: str | None = None


def round_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round numbers from low to high.

    Examples:
        >>> round_ticks(0, 0.83)
        [0.0, 0.2, 0.4, 0.6, 0.8]
        >>> round_ticks(-4, 4, 4)
        [-4.0, -2.0, 0.0, 2.0, 4.0]
    """
    if not low < high:
        raise ValueError(f"expected limits in rising order, got {low} and {high}")
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs((high - low) / s - count))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [round(i * step, digits) + 0.0 for i in range(first, last + 1)]


def _limits(axis: Axis, values: Sequence[float]) -> tuple[float, float]:
    return axis.limits or (float(min(values)), float(max(values)))


def _tick_texts(ticks: Sequence[float]) -> list[str]:
    digits = max(len(f"{tick:g}".partition(".")[2]) for tick in ticks)
    return [f"{tick:,.{digits}f}".replace("-", "−") for tick in ticks]


class _Frame(NamedTuple):
    """The part of a chart inside its axes, and the numbers at its edges."""

    left: float
    right: float
    top: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a pair of numbers is drawn."""
        across = (float(x) - self.x[0]) / (self.x[1] - self.x[0])
        up = (float(y) - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.left + across * (self.right - self.left),
            self.bottom - up * (self.bottom - self.top),
        )


def _draw_axes(picture: Picture, frame: _Frame, x_axis: Axis, y_axis: Axis) -> None:
    """Draw both axes with ticks, faint lines across, and names."""
    ticks = round_ticks(*frame.x)
    for tick, text in zip(ticks, _tick_texts(ticks), strict=True):
        x, _ = frame.at(tick, frame.y[0])
        picture.line([(x, frame.bottom), (x, frame.bottom + 4)])
        picture.text(x, frame.bottom + 19, text, anchor="middle", size=12.5)
    ticks = round_ticks(*frame.y)
    for tick, text in zip(ticks, _tick_texts(ticks), strict=True):
        _, y = frame.at(frame.x[0], tick)
        picture.line([(frame.left, y), (frame.right, y)], width="0.4")
        picture.text(frame.left - 6, y + 4, text, anchor="end", size=12.5)
    picture.line([(frame.left, frame.bottom), (frame.right, frame.bottom)])
    middle = (frame.left + frame.right) / 2
    picture.text(middle, frame.bottom + 40, x_axis.label, anchor="middle")
    picture.text(14, (frame.top + frame.bottom) / 2, y_axis.label, anchor="middle", turned=True)


def _draw_legend(picture: Picture, lines: Sequence[Line], left: float) -> None:
    """Name the curves in one row above the chart."""
    for line in lines:
        picture.line([(left, 14), (left + 24, 14)], colour=line.colour, width="2.5", dash=line.dash)
        picture.text(left + 30, 19, line.label)
        left += 52 + len(line.label) * TEXT_SIZE * _CHARACTER


def line_chart(lines: Sequence[Line], x_axis: Axis, y_axis: Axis, height: float = 300) -> Picture:
    """Draw curves over one pair of axes.

    Args:
        lines: The curves, at least one; each has a label, and a dash where paper has no colours.
        x_axis: The horizontal axis; without limits it runs over all curves.
        y_axis: The vertical axis, likewise.
        height: Height of the picture; its width is `WIDTH`.

    Raises:
        ValueError: If there is no curve, or one whose x and y differ in length.
    """
    if not lines or any(len(line.x) != len(line.y) for line in lines):
        raise ValueError(
            f"expected curves with as many y as x, got {[(len(c.x), len(c.y)) for c in lines]}"
        )
    frame = _Frame(
        left=62, right=WIDTH - 12, top=36, bottom=height - 48,
        x=_limits(x_axis, [x for line in lines for x in line.x]),
        y=_limits(y_axis, [y for line in lines for y in line.y]),
    )  # fmt: skip
    picture = Picture(height)
    _draw_axes(picture, frame, x_axis, y_axis)
    for line in lines:
        points = [frame.at(x, y) for x, y in zip(line.x, line.y, strict=True)]
        picture.line(points, colour=line.colour, width="2.5", dash=line.dash)
    _draw_legend(picture, lines, frame.left)
    return picture


def bar_chart(
    labels: Sequence[str],
    values: Sequence[float],
    axis: Axis,
    *,
    colour: str,
    digits: int = 2,
    code: bool = False,
) -> Picture:
    """Draw one bar a row, with its label on the left and its number on the right.

    Args:
        labels: One a bar.
        values: Lengths, not negative; without limits the axis runs from 0 to the largest.
        axis: What the bars measure.
        colour: The concept they stand for.
        digits: Decimals of the numbers.
        code: Whether the labels are set in the font of code.

    Raises:
        ValueError: If there is no bar, not one label a value, or a negative value.
    """
    if not labels or len(labels) != len(values) or min(values) < 0:
        raise ValueError(
            f"expected as many labels as values, none negative, got {labels} and {values}"
        )
    row, top = 28, 8
    left = 16 + max(map(len, labels)) * TEXT_SIZE * (0.62 if code else _CHARACTER)
    full = WIDTH - left - 24 - (digits + 2) * TEXT_SIZE * 0.6
    longest = axis.limits[1] if axis.limits else max(values) or 1.0
    picture = Picture(top + row * len(labels) + 30)
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        y, length = top + row * i, full * value / longest
        picture.text(left - 8, y + 17, label, anchor="end", code=code)
        picture.rectangle(left, y + 2, length, row - 8, colour=colour)
        picture.text(left + length + 8, y + 17, f"{value:.{digits}f}")
    picture.line([(left, top - 4), (left, top + row * len(labels))])
    picture.text(left, picture.height - 8, axis.label)
    return picture


def heat_map(
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    row_axis: Axis,
    column_axis: Axis,
    *,
    colour: str,
    digits: int = 2,
) -> Picture:
    """Draw a table of numbers whose cells are the fuller the larger the number.

    Args:
        values: One sequence a row, none negative; an exact 0 is an empty cell with a plain 0.
        rows: Labels of the rows.
        columns: Labels of the columns.
        row_axis: What the rows are.
        column_axis: What the columns are.
        colour: The concept the numbers stand for.
        digits: Decimals of the numbers.

    Raises:
        ValueError: If labels and values do not fit together.
    """
    if [len(row) for row in values] != [len(columns)] * len(rows) or not rows or not columns:
        raise ValueError(
            f"expected {len(rows)} rows of {len(columns)}, got {[len(row) for row in values]}"
        )
    left = 34 + max(map(len, rows)) * TEXT_SIZE * 0.62
    cell, top = min(72.0, (WIDTH - left - 4) / len(columns)), 52
    largest = max(float(v) for row in values for v in row) or 1.0
    picture = Picture(top + 34 * len(rows) + 6)
    for j, label in enumerate(columns):
        picture.text(left + (j + 0.5) * cell, top - 8, label, anchor="middle", code=True, size=13)
    for i, (label, row) in enumerate(zip(rows, values, strict=True)):
        y = top + 34 * i
        picture.text(left - 8, y + 21, label, anchor="end", code=True, size=13)
        for j, value in enumerate(row):
            _draw_cell(picture, left + j * cell, y, cell, float(value), largest, colour, digits)
    picture.text(left + cell * len(columns) / 2, 16, column_axis.label, anchor="middle")
    picture.text(14, top + 17 * len(rows), row_axis.label, anchor="middle", turned=True)
    return picture


def _draw_cell(
    picture: Picture, x: float, y: float, cell: float, value: float, largest: float,
    colour: str, digits: int,
) -> None:  # fmt: skip
    """Draw one cell of a heat map with its number."""
    if value:
        opacity = STRONGEST * value / largest
        picture.rectangle(x + 1, y + 1, cell - 2, 32, colour=colour, opacity=opacity)
    picture.text(
        x + cell / 2, y + 22, f"{value:.{digits}f}" if value else "0", anchor="middle", size=13,
        colour="text" if value else "neutral",
    )  # fmt: skip
