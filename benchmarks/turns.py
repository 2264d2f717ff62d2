"""Let several sides take turns on the same work, and turn their times into ratios.

Each side is a process of its own that waits on a pipe until it is its turn, so that whatever else
the machine does meets all of them.
The order within a round changes from round to round.
A ratio belongs to one round: the peer's seconds divided by ours.
The claim is the lower quartile of the ratios, which three rounds in four reach or pass.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from literategpt.records import describe_machine, write_record

RESULTS = Path(__file__).parent / "results"
OURS = "LiterateGPT"
PEERS = ("torch", "transformers", "tokenizers", "tiktoken")

OTHER_PROCESSOR = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Settings with which OpenBLAS computes as for another processor than the one it runs on."""

KEEP_FREED_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
}
"""Makes the C library of Linux keep freed memory, as `train_pretrain` does: PyTorch gains too."""

BUSY = 0.5
"""Load above which the machine had other work."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """What one side is called, what it runs, and which packages that needs; ours needs none."""

    name: str
    module: str
    settings: Record = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One piece of work for several sides.

    Attributes:
        name: Tells it from the other cases of its benchmark.
        amount: How much one turn does, in `unit`.
        threads: Of each side.
        product_threads: Threads of one matrix product in NumPy; LiterateGPT trains with threads
            of its own and one here.
        environment: Variables that every side gets.
        agree: Tells from the results of a round whether all sides did the same work.
        keep: Makes of the results of all rounds what is kept of them.
        about: Further facts to keep.
    """

    name: str
    amount: float
    unit: str
    sides: tuple[Side, ...]
    threads: int = 1
    product_threads: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    agree: Callable[[Record], bool] = lambda results: True
    keep: Callable[[list[Record]], Any] = lambda results: None
    about: Record = field(default_factory=dict)


class Process:
    """A side at work."""

    def __init__(self, side: Side, case: Case) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in OTHER_PROCESSOR}
        # OpenBLAS and OpenMP read theirs when the library is loaded.
        threads = {
            "OPENBLAS_NUM_THREADS": str(case.product_threads),
            "OMP_NUM_THREADS": str(case.threads),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.side", side.module, json.dumps(side.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=kept | threads | case.environment,
            cwd=Path(__file__).resolve().parents[1],
        )
        self.name = side.name

    def turn(self) -> Record:
        """Have the work done once, and wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"expected an answer from {self.name}, but its process ended")
        return dict(json.loads(answer))

    def end(self) -> None:
        """Close the pipes, which ends the process."""
        self.process.communicate()


def versions() -> dict[str, str]:
    """Name the version of each peer that is installed."""
    found = {}
    for package in PEERS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def quartiles(values: list[float]) -> dict[str, float]:
    """Return the median and the quartiles.

    Examples:
        >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
        {'lower_quartile': 2.0, 'median': 3.0, 'upper_quartile': 4.0}
    """
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"lower_quartile": low, "median": middle, "upper_quartile": high}


def take_turns(case: Case, sides: list[Side], rounds: int) -> list[Record]:
    """Let the sides do a warm-up and then some rounds; return the answers of each round."""
    processes = [Process(side, case) for side in sides]
    answers = []
    for number in range(rounds + 1):
        answer = {}
        for process in processes if number % 2 else reversed(processes):
            time.sleep(0.05)  # let the threads of the other side fall asleep
            answer[process.name] = process.turn()
        answers.append(answer)
        times = ", ".join(f"{p.name} {answer[p.name]['seconds'] * 1000:,.0f} ms" for p in processes)
        print(f"  {f'round {number}' if number else 'warm-up'}: {times}", flush=True)
    for process in processes:
        process.end()
    return answers


def beyond_start(answer: Record) -> int:
    """Return the peak memory of a side less what it had when its libraries were loaded."""
    return int(answer["bytes_at_peak"] - answer["bytes_before"])


def summarize(case: Case, answers: list[Record]) -> Record:
    """Turn the answers, without those of the warm-up, into speeds and ratios."""
    names = [side.name for side in case.sides if side.name in answers[0]]
    seconds = {name: [a[name]["seconds"] for a in answers[1:]] for name in names}
    ours = [side.name for side in case.sides if not side.needs]
    ratios = {
        mine: {
            peer: quartiles([b / a for a, b in zip(seconds[mine], seconds[peer], strict=True)])
            for peer in names
            if peer not in ours
        }
        for mine in ours
    }
    results = [{name: a[name]["result"] for name in names} for a in answers]
    return {
        "case": case.name,
        "threads": case.threads,
        "unit": case.unit,
        "amount": case.amount,
        "speed": {n: quartiles([case.amount / s for s in seconds[n]]) for n in names},
        "ratio": ratios,
        "seconds": {n: [round(s, 6) for s in seconds[n]] for n in names},
        "peak_bytes": {n: beyond_start(answers[-1][n]) for n in names},
        "agree": all(case.agree(result) for result in results),
        "kept": case.keep(results[1:]),
        "about": case.about,
    }


def run_case(case: Case, rounds: int) -> Record:
    """Run one case with the sides that are installed, and name those that are not."""
    installed = versions()
    print(case.name)
    here = [side for side in case.sides if all(need in installed for need in side.needs)]
    missing = [side.name for side in case.sides if side not in here]
    for name in missing:
        print(f"  missing: {name} is not installed")
    record = summarize(case, take_turns(case, here, rounds)) | {"missing": missing}
    for mine, ratios in record["ratio"].items():
        for peer, ratio in ratios.items():
            low, middle, high = ratio.values()
            print(f"  {mine} : {peer} {middle:.2f} (quartiles {low:.2f} to {high:.2f})")
    if not record["agree"]:
        raise SystemExit(f"void: in {case.name!r} the sides did not compute the same")
    return record


def conditions() -> Record:
    """Say with what, where and when it is measured; the load is that before anything is run."""
    machine = describe_machine()
    load = machine["load_before"] or 0
    if load > BUSY:
        print(f"The machine is busy (load {load}): expect other ratios than when it is idle.")
    return {
        "machine": machine | {"matrix_products": matrix_library()},
        "versions": versions(),
    }


def matrix_library() -> str:
    """Name the library of NumPy's matrix products, and for which processor it computes here."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    kept = {name: value for name, value in os.environ.items() if name not in OTHER_PROCESSOR}
    told = subprocess.run(
        [sys.executable, "-c", "import numpy"], env=kept | {"OPENBLAS_VERBOSE": "2"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    core = re.search(r"^Core: (\w+)", told.stdout + told.stderr, re.MULTILINE)
    return f"{blas['name']} {blas['version']}" + (f" for {core[1]}" if core else "")


def store(record: Record) -> None:
    """Keep a benchmark's figures, as JSON."""
    RESULTS.mkdir(exist_ok=True)
    write_record(RESULTS / f"{record['benchmark']}.json", record)


def read_results(name: str) -> Record:
    """Read the stored figures of a benchmark.

    Raises:
        FileNotFoundError: It has not been run.
    """
    return dict(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))
