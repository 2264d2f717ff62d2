"""Measure, print and keep the figures of the benchmarks.

    python -m benchmarks [NAME ...] [--rounds 15] [--text FILE]

Each benchmark runs LiterateGPT and its peers alternately on the same work and with the same number
of threads, and writes `benchmarks/results/NAME.json`, from which the page Benchmarks is made.
A peer that is not installed is named as missing, and the rest is measured.
"""

import argparse
from pathlib import Path

from benchmarks import (
    generation,
    memory,
    positions,
    profile,
    project,
    scaling,
    tokenizer,
    training,
    ways,
)
from benchmarks.turns import Record, conditions, run_case, store
from literategpt.corpus import corpus_directory, prepare_corpus

CASES = {
    "training": training.CASES,
    "ways": ways.CASES,
    "memory": memory.CASES,
    "generation": generation.CASES,
    "positions": positions.CASES,
}
TOKENIZER, SCALING, PROFILE, PROJECT = "tokenizer", "scaling", "profile", "project"
NAMES = (*CASES, PROFILE, TOKENIZER, SCALING, PROJECT)


def prepared_plays() -> Path:
    """Return the text of the training plays, which is downloaded first where it is not there."""
    prepare_corpus()
    return corpus_directory() / "train.txt"


def measure(name: str, rounds: int, text: Path | None) -> Record:
    """Run one benchmark, and say with which command."""
    print(f"--- {name} ---")
    command = f"python -m benchmarks {name}"
    if name == PROJECT:
        return {"command": command} | project.measure()
    command += f" --rounds {rounds}"
    if name == PROFILE:
        return {"command": command, "rounds": rounds} | profile.measure(rounds)
    if name == TOKENIZER:
        command += " --text FILE" if text else ""
        cases = tokenizer.cases(text or prepared_plays())
    else:
        cases = scaling.cases(prepared_plays()) if name == SCALING else CASES[name]
    done = [run_case(case, rounds) for case in cases]
    return {"command": command, "rounds": rounds, "cases": done}


def main() -> None:
    """Measure what was asked for, one after another."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; or all")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each side, from 9 (15)")
    parser.add_argument(
        "--text", type=Path, help="text for the tokenizer, such as Tiny Shakespeare"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"expected names among {', '.join(NAMES)}, got {', '.join(sorted(unknown))}")
    if arguments.rounds < 9:
        parser.error(f"expected at least 9 rounds, got {arguments.rounds}")
    if arguments.text and not arguments.text.is_file():
        parser.error(f"expected a file, got {arguments.text}")
    where = conditions()
    for name in arguments.names or NAMES:
        store({"benchmark": name} | where | measure(name, arguments.rounds, arguments.text))


if __name__ == "__main__":
    main()
