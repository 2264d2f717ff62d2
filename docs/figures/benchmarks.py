"""Figures of measured speed, drawn from what the benchmarks stored."""

from benchmarks.positions import WITHOUT
from benchmarks.tables import claims
from benchmarks.turns import OURS, read_results
from pagetools.svg import Axis, Line, Picture, line_chart

DASHES = {WITHOUT: ("without a cache", "2 4"), OURS: ("with the cache", None)}


def positions() -> Picture:
    """Draw what a token costs at its position, without a cache and with one."""
    case = read_results("positions")["cases"][0]
    stretch = case["about"]["stretch"]
    lines = [
        Line(
            x=[(number + 0.5) * stretch for number in range(len(case["kept"][side]))],
            y=[cost / 1000 for cost in case["kept"][side]],
            colour="neutral",
            label=label,
            dash=dash,
        )
        for side, (label, dash) in DASHES.items()
    ]
    highest = max(lines[0].y)
    return line_chart(
        lines, Axis("number of the new token"), Axis("time for it", "ms", limits=(0, highest))
    )


def trend() -> Picture:
    """Draw the ratio of a training step to PyTorch's, for wider models and longer texts."""
    wider, longer = {}, {}
    for case, _, peer, ratio in claims("training"):
        about = case["about"]
        if peer == "PyTorch eager" and "width" in about:
            if about["sequence_length"] == 128:
                wider[about["width"] / 128] = ratio["median"]
            if about["width"] == 128:
                longer[about["sequence_length"] / 128] = ratio["median"]
    lines = [
        Line(list(wider), list(wider.values()), "neutral", "wider model"),
        Line(list(longer), list(longer.values()), "neutral", "longer texts", dash="8 4"),
    ]
    highest = 1.1 * max(max(line.y) for line in lines)
    return line_chart(
        lines,
        Axis("times the default"),
        Axis("speed, PyTorch eager = 1", limits=(0, highest)),
    )
