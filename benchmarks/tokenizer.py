"""The tokenizer beside two written in Rust: learning 2,000 entries, encoding, decoding.

The text is Tiny Shakespeare where `--text` gives it, or else as much of the prepared plays.
All sides cut the text as GPT-2 does; `tokenizers` learns its own merges, and for encoding and
decoding both peers hold ours, so that the tokens have to be the same.
`tokenizers` may use its own threads; LiterateGPT and `tiktoken` use one.
"""

from pathlib import Path

from benchmarks.turns import OURS, Case, Record, Side

SIZE, CHARACTERS = 2000, 1_115_394
RUST, TIKTOKEN = "tokenizers", "tiktoken"
WORKS = "benchmarks.works.tokenizer"


def results_agree(results: Record) -> bool:
    """Tell whether all sides returned the same."""
    return len(set(results.values())) == 1


def case(task: str, name: str, text: Path) -> Case:
    """Describe one task on the text."""
    settings = {"path": str(text.resolve()), "size": SIZE, "task": task, "characters": CHARACTERS}
    peers = [Side(RUST, f"{WORKS}_tokenizers", settings, needs=("tokenizers",))]
    if task != "train":
        peers.append(Side(TIKTOKEN, f"{WORKS}_tiktoken", settings, needs=("tiktoken",)))
    characters = len(text.read_text(encoding="utf-8")[:CHARACTERS])
    return Case(
        name=name,
        amount=characters,
        unit="characters",
        sides=(Side(OURS, WORKS, settings), *peers),
        agree=results_agree,
        about={"text": text.name, "characters": characters, "entries": SIZE},
    )


def cases(text: Path) -> tuple[Case, ...]:
    """Describe the three tasks on a text."""
    return (
        case("train", "learning 2,000 entries", text),
        case("encode", "encoding", text),
        case("decode", "decoding", text),
    )
