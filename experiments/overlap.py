"""How much of a text have the plays said already? `python -m experiments.overlap --data FILE`.

Question: may a model that was trained on the plays be judged on another text of Shakespeare's, and
the other way round?

Measured: for the training and the validation part of the text, how many of its lines also stand,
character for character, in the training plays and in the plays that are held out.
Lines of fewer than 20 characters are left out, since anybody may have said "My lord?".

It takes a second. With `--name NAME` it writes the log `overlap_NAME`.
"""

import argparse
import sys
from pathlib import Path

from experiments.ngrams import describe_text
from experiments.tables import LOGS, Row, write_table
from literategpt.corpus import load_text, prepare_corpus, split_text

SHORTEST = 20
"""Characters that a line must have to count."""


def count_shared(text: str, other: str) -> tuple[int, int]:
    r"""Count the lines of a text, and those of them that also stand in another.

    Args:
        text: Whose lines are counted, as often as they occur; short ones are left out.
        other: Where they are looked for.

    Examples:
        >>> line = "that is the question:"
        >>> count_shared(f"To be, or not to be,\n{line}\nAy.", line)
        (2, 1)
    """
    known = set(other.split("\n"))
    lines = [line for line in text.split("\n") if len(line) >= SHORTEST]
    return len(lines), sum(line in known for line in lines)


def overlap_rows(parts: dict[str, str], plays: dict[str, str]) -> list[Row]:
    """Compare each part of a text with each part of the plays."""
    rows = []
    for part, text in parts.items():
        for which, other in plays.items():
            lines, shared = count_shared(text, other)
            rows.append(
                {"part": part, "plays": which, "lines": lines, "shared": shared,
                 "share": shared / lines}
            )  # fmt: skip
    return rows


def main(command_line: list[str] | None = None) -> int:
    """Compare a text with the plays, print the result, and write its log where it has a name."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.overlap",
        description="Count the lines of a text that also stand in the plays.",
    )
    parser.add_argument("--data", type=Path, required=True, help="a UTF-8 text")
    parser.add_argument("--name", help="write the log overlap_NAME")
    parser.add_argument("--output", type=Path, default=LOGS, help="directory of the log")
    given = parser.parse_args(command_line)
    corpus, halves = prepare_corpus(), split_text(load_text(given.data))
    rows = overlap_rows(
        dict(zip(("train", "validation"), halves, strict=True)),
        {"train": corpus.train, "validation": corpus.validation},
    )
    for row in rows:
        print(f"{row['part']:10} in the {row['plays']:10} plays: "
              f"{row['shared']:,} of {row['lines']:,} lines, {row['share']:.1%}")  # fmt: skip
    if given.name:
        command = f"python -m experiments.overlap --data {given.data.name} --name {given.name}"
        parts = dict(zip(("train", "validation"), map(describe_text, halves), strict=True))
        settings = {"shortest_line": SHORTEST} | parts
        write_table(
            f"overlap_{given.name}", rows, command=command, settings=settings,
            directory=given.output,
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
