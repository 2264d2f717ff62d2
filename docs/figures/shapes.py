"""The figures of the page on shapes and slopes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from literategpt import Linear
from pagetools.svg import Picture, round_ticks

CELL_WIDTH, CELL_HEIGHT = 38, 28

Tick = tuple[float, str]


def whole(value: float) -> str:
    """Write a whole number with a proper minus."""
    return f"{value:.0f}".replace("-", "−")


# --- tables of numbers ---------------------------------------------------------------------------


def draw_table(
    picture: Picture,
    x: float,
    y: float,
    values: np.ndarray,
    *,
    colour: str = "neutral",
    ghost: Callable[[int, int], bool] = lambda i, j: False,
    strong: Callable[[int, int], bool] = lambda i, j: False,
) -> None:
    """Draw an array as cells; a ghost is a copy that only broadcasting makes."""
    for (i, j), value in np.ndenumerate(values):
        left, top = x + j * CELL_WIDTH, y + i * CELL_HEIGHT
        if not ghost(i, j):
            picture.rectangle(
                left + 1, top + 1, CELL_WIDTH - 2, CELL_HEIGHT - 2, colour=colour,
                opacity=0.3 if strong(i, j) else 0.1, outline=strong(i, j),
            )  # fmt: skip
        picture.text(
            left + CELL_WIDTH / 2, top + 19, whole(value), anchor="middle",
            colour="neutral" if ghost(i, j) else "text",
        )  # fmt: skip


def outline(picture: Picture, x: float, y: float, rows: int, columns: int) -> None:
    """Draw a dashed line around the place of a table."""
    right, bottom = x + columns * CELL_WIDTH, y + rows * CELL_HEIGHT
    corners = [(x, y), (right, y), (right, bottom), (x, bottom), (x, y)]
    picture.line(corners, dash="3 3")


def example() -> tuple[np.ndarray, Linear]:
    """Return the three rows and the layer that the page works with."""
    layer = Linear(2, 2, rng=np.random.default_rng(0), dtype="float64")
    layer.weight[...] = [[3, 0], [1, -1]]
    return np.array([[1.0, 2.0], [0.0, 1.0], [4.0, 0.0]]), layer


def product() -> Picture:
    """Draw a matrix product: each output stands right of its row and under its column."""
    rows, layer = example()
    picture = Picture(height=208)
    left, middle, top, below = 96, 222, 20, 112
    draw_table(picture, middle, top, layer.weight, strong=lambda i, j: j == 0)
    draw_table(picture, left, below, rows, strong=lambda i, j: i == 0)
    draw_table(picture, middle, below, layer(rows), strong=lambda i, j: i == j == 0)
    picture.text(middle - 12, top + 33, "weight (2, 2)", anchor="end")
    picture.text(left - 12, below + 46, "rows (3, 2)", anchor="end")
    picture.text(middle + 2 * CELL_WIDTH + 12, below + 46, "rows @ weight (3, 2)")
    picture.text(middle + 2 * CELL_WIDTH + 12, below + 18, "1 · 3 + 2 · 1 = 5")
    picture.arrow([(left + 2 * CELL_WIDTH + 8, below + 14), (middle - 6, below + 14)])
    picture.arrow([(middle + 19, top + 2 * CELL_HEIGHT + 6), (middle + 19, below - 4)])
    return picture


def broadcasting() -> Picture:
    """Draw two sums of arrays of different shapes, with the copies that broadcasting makes."""
    rows, layer = example()
    picture = Picture(height=264)
    _draw_sum(picture, 24, layer(rows), np.array([[10.0, 20.0]]), ("(3, 2)", "(2,)", "(3, 2)"))
    column, row = np.array([[0.0], [10.0], [20.0]]), np.array([[1.0, 2.0, 3.0]])
    _draw_sum(picture, 160, column, row, ("(3, 1)", "(3,)", "(3, 3)"))
    return picture


def beyond(array: np.ndarray) -> Callable[[int, int], bool]:
    """Tell of a place whether it lies outside a table, where broadcasting puts copies."""
    rows, columns = array.shape
    return lambda i, j: i >= rows or j >= columns


def _draw_sum(
    picture: Picture, top: float, first: np.ndarray, second: np.ndarray, names: Sequence[str]
) -> None:
    """Draw one sum of two arrays with three rows between them; names are their shapes."""
    places = (6, 176, 346)
    total = first + second
    for place, array, name in zip(places, (first, second, total), names, strict=True):
        draw_table(picture, place, top, np.broadcast_to(array, total.shape), ghost=beyond(array))
        outline(picture, place, top, *total.shape)
        width = total.shape[1] * CELL_WIDTH
        picture.text(place + width / 2, top - 7, name, anchor="middle", code=True, size=13)
        sign = {176: "+", 346: "="}.get(place)
        if sign:
            picture.text(place - 29, top + 47, sign, anchor="middle")


# --- charts --------------------------------------------------------------------------------------


@dataclass
class Chart:
    """A picture with one pair of axes, whose ticks carry their own labels."""

    picture: Picture
    x: tuple[float, float]
    y: tuple[float, float]
    left: float = 62
    top: float = 12

    @property
    def right(self) -> float:
        """Where the horizontal axis ends."""
        return self.picture.width - 12

    @property
    def bottom(self) -> float:
        """Where the vertical axis begins."""
        return self.picture.height - 48

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a pair of numbers is drawn."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.left + across * (self.right - self.left),
            self.bottom - up * (self.bottom - self.top),
        )

    def axes(self, x_name: str, x_ticks: list[Tick], y_name: str, y_ticks: list[Tick]) -> None:
        """Draw both axes with their ticks and names, and faint lines across."""
        for value, label in y_ticks:
            _, y = self.at(self.x[0], value)
            self.picture.line([(self.left, y), (self.right, y)], width="0.4")
            self.picture.text(self.left - 6, y + 4, label, anchor="end", size=12.5)
        for value, label in x_ticks:
            x, _ = self.at(value, self.y[0])
            self.picture.line([(x, self.bottom), (x, self.bottom + 4)])
            self.picture.text(x, self.bottom + 19, label, anchor="middle", size=12.5)
        self.picture.line([(self.left, self.bottom), (self.right, self.bottom)])
        centre = (self.left + self.right) / 2
        self.picture.text(centre, self.bottom + 40, x_name, anchor="middle")
        middle = (self.top + self.bottom) / 2
        self.picture.text(14, middle, y_name, anchor="middle", turned=True)

    def curve(
        self, x: Sequence[float], y: Sequence[float], colour: str, dash: str | None = None
    ) -> None:
        """Draw a line through points."""
        points = [self.at(a, b) for a, b in zip(x, y, strict=True)]
        self.picture.line(points, colour=colour, width="2", dash=dash)

    def dot(self, x: float, y: float, colour: str = "residual") -> None:
        """Mark one point."""
        left, top = self.at(x, y)
        self.picture.rectangle(left - 3.5, top - 3.5, 7, 7, colour=colour)


def ticks(low: float, high: float, count: int, digits: int = 0) -> list[Tick]:
    """Return round numbers with their labels."""
    return [(tick, f"{tick:.{digits}f}") for tick in round_ticks(low, high, count)]


def surprise() -> Picture:
    """Draw the surprise at the token that came, against the probability that it was given."""
    chart = Chart(Picture(height=272), x=(0, 1), y=(0, 5))
    chart.axes(
        "probability of the token that came", ticks(0, 1, 5, 1),
        "surprise (nats)", ticks(0, 5, 5),
    )  # fmt: skip
    p = np.concatenate([np.geomspace(0.007, 0.1, 40), np.linspace(0.1, 1, 60)])
    chart.curve(p.tolist(), (-np.log(p)).tolist(), "neutral")
    for probability, name in ((0.01, "1 %"), (0.1, "10 %"), (0.5, "50 %"), (0.9, "90 %")):
        nats = -float(np.log(probability))
        chart.dot(probability, nats)
        x, y = chart.at(probability, nats)
        end = probability > 0.8
        chart.picture.text(
            x + (6 if end else 10), y - (10 if end else 6), f"{name}: {nats:.3f}",
            anchor="middle" if end else "start",
        )  # fmt: skip
    return chart.picture


def parabola(w: float) -> float:
    """Compute the loss of the page's first example."""
    return (3 * w - 1) ** 2


def nudging() -> Picture:
    """Draw a curve, its tangent, and the two chords whose slopes a nudge measures."""
    chart = Chart(Picture(height=330), x=(0.2, 1.8), y=(-3, 17))
    chart.axes("w", ticks(0.2, 1.8, 6, 1), "loss", ticks(0, 16, 4))
    places = [float(w) for w in np.linspace(0.2, 1.67, 80)]
    chart.curve(places, [parabola(w) for w in places], "neutral")
    below, here, above = (parabola(one) for one in (0.5, 1.0, 1.5))
    forward, central = (above - here) / 0.5, (above - below) / 1.0
    straight = (
        ("forward chord", f"{forward:.1f}", [1.0, 1.5], [here, above], "9 4"),
        ("central chord", f"{central:.0f}", [0.5, 1.5], [below, above], None),
        ("tangent", "12", [0.45, 1.75], [here - 12 * 0.55, here + 12 * 0.75], "2 5"),
    )
    for row, (name, slope, across, up, dash) in enumerate(straight):
        chart.curve(across, up, "gradient", dash)
        y = 56 + 18 * row
        picture = chart.picture
        picture.line([(78, y), (112, y)], colour="gradient", width="2", dash=dash)
        picture.text(120, y + 5, f"{name}: slope {slope}")
    for one, value in ((0.5, below), (1.0, here), (1.5, above)):
        chart.dot(one, value)
    return chart.picture


def step_error(step: str, dtype: str) -> float:
    """Return the relative error of the measured slope of the cube at 1, which is 3."""
    one, h = np.ones(1, dtype), np.array([step], dtype)
    above, below = one + h, one - h
    slope = (above * above * above - below * below * below) / (h + h)
    return abs(float(slope[0]) - 3) / 3


def step_size() -> Picture:
    """Draw the error of a measured slope against the step, both on logarithmic axes."""
    chart = Chart(Picture(height=320), x=(-12, -1), y=(-12, 0.3), left=76)
    powers = [(float(k), f"1e{k}") for k in range(-12, 0, 2)]
    chart.axes(
        "step h (logarithmic)", powers,
        "relative error (logarithmic)", [*powers, (0.0, "1")],
    )  # fmt: skip
    for dtype, dash in (("float64", None), ("float32", "9 4")):
        steps = [(k, m) for k in range(-12, -1) for m in (1, 2, 5)] + [(-1, 1)]
        errors = [step_error(f"{m}e{k}", dtype) for k, m in steps]
        places = [k + float(np.log10(m)) for k, m in steps]
        shown = [(x, e) for x, e in zip(places, errors, strict=True) if e > 0]
        chart.curve([x for x, _ in shown], [float(np.log10(e)) for _, e in shown], "gradient", dash)
    for power, log_error, label in ((-10.6, -0.9, "float32"), (-11.2, -6.4, "float64")):
        chart.picture.text(*chart.at(power, log_error), label, colour="gradient", code=True)
    return chart.picture


# --- diagrams ------------------------------------------------------------------------------------


def paths() -> Picture:
    """Draw two paths from w to the loss, with the slope of each step."""
    picture = Picture(height=176)
    boxes = (
        (4, 66, 76, "w", "1"),
        (168, 4, 120, "a = 3w − 1", "2"),
        (168, 128, 120, "c = w + 4", "5"),
        (376, 66, 100, "loss = ac", "10"),
    )
    for x, y, width, name, value in boxes:
        picture.rectangle(x, y, width, 44, opacity=0.1, outline=True)
        picture.text(x + width / 2, y + 19, name, anchor="middle")
        picture.text(x + width / 2, y + 37, value, anchor="middle", size=13)
    arrows = (
        ((84, 80), (164, 30), "3"),
        ((84, 96), (164, 146), "1"),
        ((292, 30), (372, 80), "5"),
        ((292, 146), (372, 96), "2"),
    )
    for start, end, slope in arrows:
        picture.arrow([start, end])
        # Write outside the ring of arrows: left of the first two, right of the others.
        side, low = (-8 if start[0] < 200 else 8), max(start[1], end[1]) > 100
        middle = (start[0] + end[0]) / 2 + side
        baseline = (start[1] + end[1]) / 2 + (16 if low else -6)
        anchor = "end" if side < 0 else "start"
        picture.text(middle, baseline, f"slope {slope}", anchor=anchor, colour="gradient")
    picture.text(228, 70, "3 · 5 = 15", anchor="middle", colour="gradient")
    picture.text(228, 116, "1 · 2 = 2", anchor="middle", colour="gradient")
    return picture
