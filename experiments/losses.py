r"""Is my loss right? The recorded runs of the presets, read, put together and compared with.

`python -m literategpt.train_pretrain --preset NAME` leaves a log, one line a step, and a record
beside it. Those of the presets lie in `recipes/`, as `NAME-seedN.csv` and `NAME-seedN.json`; the
functions here turn them into tables and curves, and compare a log of your own with them:

    python -m experiments.losses plays checkpoints/pretrained.csv

That takes a second.

A log holds losses in nats per token. Tokens of different tokenizers are of different length, so
what is compared is the loss of a character. With $N$ tokens that are predicted and $C$ characters
in the validation text, it is

$$\text{nats per character} = \text{nats per token} \cdot \frac{N}{C}.$$
"""

import argparse
import csv
import json
import math
import statistics
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from experiments.tables import Row

RECIPES = Path(__file__).parent / "recipes"
SHIPPED = Path(__file__).parents[1] / "data" / "shakespeare.json"

MILESTONES = (1, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)
"""Numbers of steps after which a loss is looked up, where a run has so many."""


class RecordedRun(NamedTuple):
    """One run: what it was, and its log, one row a step."""

    preset: str
    seed: int
    record: dict[str, Any]
    log: list[Row]

    @property
    def tokens_per_character(self) -> float:
        """What turns nats per token into nats per character, on the validation text."""
        targets = self.record["validation_tokens"] - 1
        return float(targets / self.record["validation_characters"])


class Curve(NamedTuple):
    """The validation losses of one run, each where it was measured."""

    seed: int
    steps: list[int]  # done before the evaluation
    seconds: list[float]
    nats_per_character: list[float]


class Spread(NamedTuple):
    """A number over the seeds of a preset."""

    lowest: float
    mean: float
    highest: float


def spread(values: Iterable[float]) -> Spread:
    """Return the lowest, the mean and the highest of some numbers.

    Examples:
        >>> spread([1.5, 1.0, 2.0])
        Spread(lowest=1.0, mean=1.5, highest=2.0)
    """
    values = sorted(values)
    return Spread(values[0], statistics.fmean(values), values[-1])


def read_log(path: Path) -> list[Row]:
    """Read the log of a training run: a row of numbers for each step; an empty cell is `None`."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [{key: float(cell) if cell else None for key, cell in row.items()} for row in rows]


def read_run(path: Path) -> RecordedRun:
    """Read one recorded run, given its record."""
    record = json.loads(path.read_text(encoding="utf-8"))
    log = read_log(path.with_suffix(".csv"))
    return RecordedRun(record["preset"], record["plan"]["seed"], record, log)


def read_runs(directory: Path = RECIPES) -> list[RecordedRun]:
    """Read all recorded runs, ordered by preset and seed.

    Args:
        directory: Where the logs and the records lie. With those of the presets comes the run that
            made the shipped model, whose log lies beside it.

    Raises:
        ValueError: A record is not what the name of its file says.
    """
    runs = [read_run(SHIPPED)] if directory == RECIPES else []
    for path in sorted(directory.glob("*-seed*.json")):
        found = read_run(path)
        name = f"{found.preset}-seed{found.seed}"
        if path.stem != name:
            raise ValueError(f"expected {found.preset}, seed {found.seed} in {name}, got {path}")
        runs.append(found)
    return sorted(runs, key=lambda run: (run.preset, run.seed))


def runs_of(preset: str, runs: Sequence[RecordedRun]) -> list[RecordedRun]:
    """Pick the runs of one preset.

    Raises:
        ValueError: There is none.
    """
    found = [run for run in runs if run.preset == preset]
    if not found:
        known = sorted({run.preset for run in runs})
        raise ValueError(f"expected a preset with a recorded run, one of {known}, got {preset!r}")
    return found


def mean_of_records(runs: Sequence[RecordedRun], key: str) -> float:
    """Return the mean of a number of the records."""
    return statistics.fmean(run.record[key] for run in runs)


def summary(preset: str, runs: Sequence[RecordedRun]) -> Row:
    """Say what a preset reaches, over its seeds, and what it costs.

    Args:
        preset: Its name.
        runs: All that are recorded.

    Returns:
        Seeds, parameters, vocabulary; steps, readings of the text and seconds, each the mean; the
        loss of the validation text in nats per character, the lowest, the mean and the highest; and
        both losses in nats per token, the mean.
    """
    found = runs_of(preset, runs)
    record, mean_of = found[0].record, partial(mean_of_records, found)
    low, mean, high = spread(run.record["nats_per_character"] for run in found)
    return {
        "preset": preset,
        "seeds": len(found),
        "parameters": record["parameters"],
        "vocabulary_size": record["vocabulary_size"],
        "steps": round(mean_of("steps")),
        "readings": mean_of("steps") * record["tokens_per_step"] / record["training_tokens"],
        "seconds": mean_of("seconds"),
        "lowest": low,
        "mean": mean,
        "highest": high,
        "training_loss": mean_of("training_loss"),
        "validation_loss": mean_of("validation_loss"),
    }


def curve(run: RecordedRun) -> Curve:
    """Take the validation losses out of the log of a run, in nats per character."""
    rows = [row for row in run.log if row["validation_loss"] is not None]
    return Curve(
        run.seed,
        [int(row["step"]) + 1 for row in rows],
        [row["seconds"] for row in rows],
        [row["validation_loss"] * run.tokens_per_character for row in rows],
    )


def smoothed(log: Sequence[Row], steps: int) -> float:
    """Return the training loss after so many steps, smoothed, in nats per token.

    The loss of a step is that of its batch alone and jumps about. This is the mean of the last
    tenth of the steps so far, at most of 50.

    Examples:
        >>> log = [{"training_loss": 7.0 - 0.01 * step} for step in range(100)]
        >>> round(smoothed(log, 1), 3), round(smoothed(log, 100), 3)
        (7.0, 6.055)
    """
    window = min(50, max(1, steps // 10))
    return statistics.fmean(row["training_loss"] for row in log[steps - window : steps])


def milestones(preset: str, runs: Sequence[RecordedRun]) -> list[tuple[int, Spread]]:
    """Say where the smoothed training loss of a preset stands along the way, over its seeds."""
    found = runs_of(preset, runs)
    length = min(len(run.log) for run in found)
    reached = [steps for steps in MILESTONES if steps < length] + [length]
    return [(steps, spread(smoothed(run.log, steps) for run in found)) for steps in reached]


def compare(log: Sequence[Row], preset: str, runs: Sequence[RecordedRun]) -> list[Row]:
    """Compare the training losses of a log with those of the recorded runs of a preset.

    Args:
        log: Of a run of your own.
        preset: What to compare with.
        runs: All that are recorded.

    Returns:
        A row for each milestone that the log has reached: the recorded losses, yours, and how far
        yours is from the mean of the recorded ones.
    """
    return [
        {"steps": steps, "lowest": low, "highest": high,
         "yours": smoothed(log, steps), "difference": smoothed(log, steps) - mean}
        for steps, (low, mean, high) in milestones(preset, runs)
        if steps <= len(log)
    ]  # fmt: skip


def describe_summaries(presets: Sequence[str], runs: Sequence[RecordedRun]) -> str:
    """Write what some presets reach as a table of text."""
    lines = [
        f"{'time':>44}    nats per character",
        "preset       parameters tokens  steps     (s) lowest   mean highest seeds",
    ]
    for preset in presets:
        row = summary(preset, runs)
        lines.append(
            f"{preset:12} {row['parameters']:>10,} {row['vocabulary_size']:>6,} {row['steps']:>6,} "
            f"{row['seconds']:>7,.0f} {row['lowest']:6.3f} {row['mean']:6.3f} "
            f"{row['highest']:7.3f} {row['seeds']:>5}"
        )
    return "\n".join(lines)


def describe_milestones(presets: Sequence[str], runs: Sequence[RecordedRun]) -> str:
    """Write the smoothed training losses of some presets along the way, side by side."""
    columns = {preset: dict(milestones(preset, runs)) for preset in presets}
    width = 15
    lines = [f"{'steps':>6}" + "".join(f"{preset:>{width}}" for preset in presets)]
    for steps in sorted({steps for column in columns.values() for steps in column}):
        cells = (column.get(steps) for column in columns.values())
        texts = ("" if cell is None else describe_spread(cell) for cell in cells)
        lines.append((f"{steps:>6,}" + "".join(f"{text:>{width}}" for text in texts)).rstrip())
    return "\n".join(lines)


def describe_spread(losses: Spread) -> str:
    """Write where a loss lies over the seeds: one number where they agree to two decimals.

    Examples:
        >>> describe_spread(Spread(4.034, 4.05, 4.081)), describe_spread(Spread(4.05, 4.05, 4.05))
        ('4.03 to 4.08', '4.05')
    """
    low, high = f"{losses.lowest:.2f}", f"{losses.highest:.2f}"
    return low if low == high else f"{low} to {high}"


def describe_comparison(rows: Sequence[Row]) -> str:
    """Write a comparison as a table of text."""
    lines = [" steps    recorded   yours   difference"]
    for row in rows:
        between = Spread(row["lowest"], math.nan, row["highest"])
        lines.append(
            f"{row['steps']:>6,} {describe_spread(between):>12} "
            f"{row['yours']:6.2f} {row['difference']:+11.2f}"
        )
    return "\n".join(lines)


def main(command_line: list[str] | None = None) -> int:
    """Compare a log with the recorded runs of a preset."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.losses",
        description="Compare the log of a training run with the recorded runs of a preset.",
    )
    parser.add_argument("preset", help="what was trained")
    parser.add_argument("log", type=Path, help="its log, a CSV file")
    parser.add_argument("--recipes", type=Path, default=RECIPES, help="the recorded runs")
    given = parser.parse_args(command_line)
    try:
        rows = compare(read_log(given.log), given.preset, read_runs(given.recipes))
    except (OSError, ValueError) as error:
        print(f"losses: {error}", file=sys.stderr)
        return 1
    print("training loss in nats per token, the mean of the last tenth of the steps, at most 50")
    print(describe_comparison(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
