"""The tokenizer on more and more text: up to all of the training plays."""

from pathlib import Path

from benchmarks.tokenizer import SIZE, WORKS
from benchmarks.turns import OURS, Case, Side

PARTS = (8, 4, 2, 1)


def cases(text: Path) -> tuple[Case, ...]:
    """Describe learning and encoding for an eighth, a quarter, half and all of a text."""
    length = len(text.read_text(encoding="utf-8"))
    found = []
    for task, name in (("train", "learning"), ("encode", "encoding")):
        for part in PARTS:
            characters = length // part
            settings = {
                "path": str(text.resolve()), "size": SIZE, "task": task, "level": "character",
                "characters": characters,
            }  # fmt: skip
            case = Case(
                name=f"{name} {characters:,} characters",
                amount=characters,
                unit="characters",
                sides=(Side(OURS, WORKS, settings),),
                about={"text": text.name, "task": task, "characters": characters},
            )
            found.append(case)
    return tuple(found)
