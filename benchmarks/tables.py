"""Print the stored figures as the tables of the page Benchmarks."""

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.generation import FOLDED
from benchmarks.training import EAGER
from benchmarks.turns import OURS, Record, read_results

NAMES = (
    "training", "ways", "profile", "memory", "generation", "positions", "tokenizer", "scaling",
    "project",
)  # fmt: skip


QUARTILES = ("lower_quartile", "median", "upper_quartile")


def claims(name: str) -> Iterator[tuple[Record, str, str, dict[str, float]]]:
    """Yield each comparison of a benchmark: its case, our side, the peer, the ratio's quartiles."""
    for case in read_results(name)["cases"]:
        for ours, peers in case["ratio"].items():
            for peer, ratio in peers.items():
                yield case, ours, peer, ratio


def claim(name: str, start: str, peer: str, ours: str = OURS) -> float:
    """Return the lower quartile of one ratio, of the case whose name starts as given.

    Raises:
        ValueError: There is no such comparison.
    """
    for case, mine, theirs, ratio in claims(name):
        if case["case"].startswith(start) and (mine, theirs) == (ours, peer):
            return ratio["lower_quartile"]
    raise ValueError(f"expected a comparison of {ours} with {peer} in {name}, got none: {start!r}")


def short(value: float) -> str:
    """Write a number with three digits and a thousands separator.

    Examples:
        >>> short(23456.7), short(0.123456), short(7.0)
        ('23,500', '0.123', '7.00')
    """
    if value >= 1000:
        digits = len(str(int(value))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.{max(0, 3 - len(str(int(value))))}f}"


def show_speeds(name: str, per: float = 1.0) -> None:
    """Print the median speed of each side in each case, in units of `per` a second."""
    for case in read_results(name)["cases"]:
        print(case["case"])
        for side, speed in case["speed"].items():
            low, middle, high = (short(speed[key] / per) for key in QUARTILES)
            print(f"    {side:30}{middle:>8}   ({low} to {high})")
        for side in case["missing"]:
            print(f"    {side:30} missing")


AIMS: tuple[tuple[str, str, str, str, str, float | None], ...] = (
    ("a training step", "training", "width 128, 32", "PyTorch eager", OURS, 1.2),
    ("", "training", "width 128, 32", "PyTorch compiled", OURS, None),
    ("200 tokens of one text", "generation", "1 sequence, 1", "transformers", OURS, 8.0),
    ("", "generation", "1 sequence, 1", "PyTorch loop", OURS, 2.0),
    ("the same, folded", "generation", "1 sequence, 1", "transformers", FOLDED, 8.0),
    ("", "generation", "1 sequence, 1", "PyTorch loop", FOLDED, 2.0),
    ("learning 2,000 entries", "tokenizer", "learning", "tokenizers", OURS, 1.0),
    ("encoding a text", "tokenizer", "encoding", "tokenizers", OURS, 2.0),
    ("", "tokenizer", "encoding", "tiktoken", OURS, None),
)
"""The work, where it is stored, the peer, our side, and what the project set out to reach."""


def show_aims() -> None:
    """Print each claim, and the aim where there was one."""
    print(f"{'times as fast as':26}{'':18}{'claim':>6}{'aim':>6}")
    for work, name, case, peer, ours, aim in AIMS:
        goal = "" if aim is None else f"{aim:6.1f}"
        print(f"{work:26}{peer:18}{claim(name, case, peer, ours):6.2f}{goal}")


def show_ratios(name: str) -> None:
    """Print the quartiles of each ratio; the first is the claim."""
    width = max(len(case["case"]) for case, *_ in claims(name))
    header = f"{'':{width}}  {'':24}{'lower':>6}{'median':>8}{'upper':>7}"
    print(header)
    before = ""
    for case, ours, peer, ratio in claims(name):
        low, middle, high = (ratio[key] for key in QUARTILES)
        who = peer if ours == OURS else f"{ours.removeprefix('LiterateGPT ')} : {peer}"
        label = "" if case["case"] == before else case["case"]
        print(f"{label:{width}}  {who:24}{low:6.2f}{middle:8.2f}{high:7.2f}")
        before = case["case"]


class StepRates(NamedTuple):
    """FLOPs a second of a training step, and what both libraries reach in products alone."""

    case: str
    ours: float
    theirs: float
    our_peak: float
    their_peak: float

    def with_faster_torch(self) -> float:
        """Estimate the ratio if PyTorch's products ran as fast as NumPy's, and all else as now."""
        seconds = 1 / self.theirs - 1 / self.their_peak + 1 / self.our_peak
        return self.ours * seconds

    def with_slower_numpy(self) -> float:
        """Estimate the ratio if NumPy's products ran as fast as PyTorch's, and all else as now."""
        seconds = 1 / self.ours - 1 / self.our_peak + 1 / self.their_peak
        return 1 / (self.theirs * seconds)


def step_rates() -> list[StepRates]:
    """Return the rates of each training step beside PyTorch eager, from the median speeds."""
    peak, *cases = read_results("training")["cases"]
    peaks = [peak["speed"][side]["median"] for side in (OURS, EAGER)]
    found = []
    for case in cases:
        flops = case["about"]["flops"] / case["amount"]
        rates = [flops * case["speed"][side]["median"] for side in (OURS, EAGER)]
        found.append(StepRates(case["case"], *rates, *peaks))
    return found


def show_share_of_peak() -> None:
    """Print how much of the speed of matrix products alone each side reaches in a step."""
    steps = step_rates()
    print(f"{'GFLOP/s':28}{'LiterateGPT':>16}{EAGER:>16}{'estimates':>14}")
    peaks = f"{steps[0].our_peak / 1e9:16.0f}{steps[0].their_peak / 1e9:16.0f}"
    print(f"{'matrix products alone':28}{peaks}")
    for step in steps:
        ours = f"{step.ours / 1e9:9.0f} = {step.ours / step.our_peak:4.0%}"
        theirs = f"{step.theirs / 1e9:9.0f} = {step.theirs / step.their_peak:4.0%}"
        estimates = f"{step.with_faster_torch():8.2f}{step.with_slower_numpy():6.2f}"
        print(f"{step.case:28}{ours}{theirs}{estimates}")


def show_profile() -> None:
    """Print the milliseconds and the share of each part of a training step."""
    seconds = read_results("profile")["seconds"]
    for part, value in seconds.items():
        print(f"{part:32}{value * 1000:7.1f} ms{value / seconds['a step']:7.0%}")


def show_memory() -> None:
    """Print the peak memory of a step, ours by pieces and PyTorch's of the whole batch."""
    print(f"{'sequences':>9}{'in a piece':>12}{'LiterateGPT':>13}{EAGER:>17}")
    for case in read_results("memory")["cases"]:
        about, peak = case["about"], {n: f"{b / 1e6:.0f} MB" for n, b in case["peak_bytes"].items()}
        row = f"{about['batch_size']:9}{about['piece_size']:12}"
        print(f"{row}{peak[OURS]:>13}{peak.get(EAGER, ''):>17}".rstrip())


def show_positions() -> None:
    """Print what a token costs at its position, in microseconds."""
    case = read_results("positions")["cases"][0]
    costs, stretch = case["kept"], case["about"]["stretch"]
    names = [name.removeprefix("LiterateGPT ") for name in costs]
    print(f"{'position':12}" + "".join(f"{name:>16}" for name in names))
    for number in range(len(costs[OURS])):
        place = f"{number * stretch} to {(number + 1) * stretch - 1}"
        print(f"{place:12}" + "".join(f"{cost[number]:16,.0f}" for cost in costs.values()))


def show_scaling() -> None:
    """Print seconds and memory of the tokenizer for more and more text."""
    for case in read_results("scaling")["cases"]:
        rate, amount = case["speed"][OURS]["median"], case["amount"]
        print(
            f"{case['case']:32}{amount / rate:6.2f} s{rate / 1e6:7.2f} million characters/s"
            f"{case['peak_bytes'][OURS] / 1e6:6.0f} MB"
        )


def show_project() -> None:
    """Print what readers and editors wait for, and the limits."""
    record = read_results("project")
    for row in record["commands"]:
        print(f"{row['command']:28}{max(row['seconds']):6.0f} s, limit {row['limit']} s")
    heaviest, size = max(record["page_bytes"].items(), key=lambda item: item[1])
    limit = record["page_limit"] / 1000
    print(f"{'heaviest page':28}{size / 1000:6.0f} kB ({heaviest}), limit {limit:.0f} kB")


def show_conditions() -> None:
    """Print when, where, and with which versions each benchmark was run."""
    for name in NAMES:
        record = read_results(name)
        load = record["machine"]["load_before"]
        print(f"{record['command']:56} {record['machine']['date']}, load before {load}")
    record = read_results(NAMES[0])
    machine = record["machine"]
    print(f"{machine['processor']}, {machine['processors']} processors, {machine['system']}")
    print(f"Python {machine['python']}, NumPy {machine['numpy']}, {machine['matrix_products']}")
    print(", ".join(f"{package} {number}" for package, number in record["versions"].items()))
