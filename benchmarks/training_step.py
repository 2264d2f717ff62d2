"""Measure one training step beside PyTorch: the same model, weights, batches and optimizer.

    python -m benchmarks.training_step [--rounds 15] [--steps 5] [--output results.json]

A step is forward, backward, clipping and AdamW on 32 sequences of 128 tokens, in float32, for the
default model.
LiterateGPT works as `train_pretrain` does: two threads over pieces of four sequences.
PyTorch runs eagerly in two threads with its fused attention and its fused AdamW.

Each side is a process of its own, which waits on a pipe until it is told to do a few steps.
The two take turns, so that whatever else the machine does meets both, and the order within a round
changes from round to round.
Both report the loss of every step; where these differ, nothing was compared, and the run fails.
It fails as well where the median of the ratios is below 1.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.side import BATCH_SIZE, SEQUENCE_LENGTH, THREADS
from literategpt.records import describe_machine, write_record

Answers = dict[str, list[dict[str, Any]]]

NAMES = {"literategpt": "LiterateGPT", "torch": "PyTorch"}

LOSS_TOLERANCE = 5e-6
"""How far the two losses of a step may differ, relatively; rounding stays below 1e-6."""

BUSY = 0.5
"""Load above which the machine had other work, from which PyTorch suffers more than NumPy."""


class Side:
    """One of the two processes."""

    def __init__(self, name: str) -> None:
        # OpenBLAS reads its variable when NumPy is imported; PyTorch has a library of its own.
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.side_{name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            cwd=Path(__file__).resolve().parents[1],
        )

    def run(self, steps: int) -> dict[str, Any]:
        """Have some steps done, and wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("expected an answer from both sides, but one of them ended")
        return dict(json.loads(answer))

    def end(self) -> None:
        """Close the pipe, which ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def take_turns(rounds: int, steps: int) -> Answers:
    """Let both do a warm-up and then some rounds of steps, in turns."""
    sides = {name: Side(name) for name in NAMES}
    answers: Answers = {name: [] for name in NAMES}
    for number in range(rounds + 1):
        for name in sorted(sides, reverse=number % 2 == 1):
            time.sleep(0.05)  # let the threads of the other side fall asleep
            answers[name].append(sides[name].run(steps))
        times = [f"{NAMES[n]} {answers[n][-1]['seconds'] / steps * 1000:.0f} ms" for n in NAMES]
        print(f"{f'round {number}' if number else 'warm-up'}: {', '.join(times)} a step")
    for side in sides.values():
        side.end()
    return answers


def quartiles(values: list[float]) -> dict[str, float]:
    """Return the median and the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"lower_quartile": low, "median": middle, "upper_quartile": high}


def summarize(answers: Answers, steps: int) -> dict[str, Any]:
    """Turn the answers, without those of the warm-up, into speeds and their ratio."""
    tokens = steps * BATCH_SIZE * SEQUENCE_LENGTH
    measured = {name: rounds[1:] for name, rounds in answers.items()}
    speeds = {name: [tokens / a["seconds"] for a in rounds] for name, rounds in measured.items()}
    ratios = [a / b for a, b in zip(speeds["literategpt"], speeds["torch"], strict=True)]
    return {
        "tokens_per_second": {name: quartiles(values) for name, values in speeds.items()},
        "ratio": quartiles(ratios),
        "fastest_step_in_seconds": {
            name: min(a["fastest_step"] for a in rounds) for name, rounds in measured.items()
        },
        "cpu_seconds_a_step": {
            name: statistics.median(a["cpu_seconds"] / steps for a in rounds)
            for name, rounds in measured.items()
        },
        "largest_cpu_seconds_while_waiting": {
            name: max(a["cpu_seconds_while_waiting"] for a in rounds)
            for name, rounds in measured.items()
        },
        "rounds": speeds,
    } | compare_losses(answers)


def compare_losses(answers: Answers) -> dict[str, Any]:
    """Set the losses of the two sides against each other, step by step."""
    losses = {name: [x for a in rounds for x in a["losses"]] for name, rounds in answers.items()}
    pairs = zip(losses["literategpt"], losses["torch"], strict=True)
    return {
        "first_losses": {name: values[0] for name, values in losses.items()},
        "last_losses": {name: values[-1] for name, values in losses.items()},
        "losses_agree": all(abs(a - b) <= LOSS_TOLERANCE * abs(b) for a, b in pairs),
    }


def conditions(rounds: int, steps: int) -> dict[str, Any]:
    """Say with what, how, where and when it is measured."""
    return {
        "command": f"python -m benchmarks.training_step --rounds {rounds} --steps {steps}",
        "machine": describe_machine() | {"torch": version("torch")},
        "batch": [BATCH_SIZE, SEQUENCE_LENGTH],
        "threads": THREADS,
        "dtype": "float32",
    }


def named(values: dict[str, float]) -> list[tuple[str, float]]:
    """Put the printed name of each side before its value."""
    return [(NAMES[name], value) for name, value in values.items()]


def report(results: dict[str, Any]) -> None:
    """Print the figures."""
    for name, shown in NAMES.items():
        low, middle, high = results["tokens_per_second"][name].values()
        print(f"{shown:12} {middle:7,.0f} tokens/s (quartiles {low:,.0f} to {high:,.0f})")
    low, middle, high = results["ratio"].values()
    print(f"{'ratio':12} {middle:7.3f}          (quartiles {low:.3f} to {high:.3f})")
    fastest = [f"{name} {t * 1000:.0f} ms" for name, t in named(results["fastest_step_in_seconds"])]
    print(f"fastest step {', '.join(fastest)}")
    last = results["last_losses"]
    print(f"last losses  {last['literategpt']:.6f} and {last['torch']:.6f}")
    if (results["machine"]["load_before"] or 0) > BUSY:
        print("The machine was busy before: the ratio is not that of an idle one.")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure a training step beside PyTorch.")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each side (15)")
    parser.add_argument("--steps", type=int, default=5, help="steps in a turn (5)")
    parser.add_argument("--output", type=Path, help="write all figures to this file, as JSON")
    arguments = parser.parse_args()
    if arguments.rounds < 2 or arguments.steps < 1:
        parser.error("expected at least two rounds of one step")
    return arguments


def main() -> None:
    """Measure, report, and fail if the losses differ or the ratio is below 1."""
    arguments = parse_arguments()
    try:
        before = conditions(arguments.rounds, arguments.steps)
    except PackageNotFoundError as error:
        raise SystemExit("expected PyTorch to be installed: pip install torch==2.13.0") from error
    results = before | summarize(take_turns(arguments.rounds, arguments.steps), arguments.steps)
    report(results)
    if arguments.output:
        write_record(arguments.output, results)
    if not results["losses_agree"]:
        raise SystemExit("void: the losses differ, so the two did not compute the same")
    if results["ratio"]["median"] < 1.0:
        raise SystemExit("slower than PyTorch")


if __name__ == "__main__":
    main()
