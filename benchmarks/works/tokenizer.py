"""LiterateGPT's tokenizer: learning merges from a text, encoding it, decoding it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from literategpt.tokenizer import BPETokenizer


def read_text(path: str, characters: int | None) -> str:
    """Read the text, or the first part of it."""
    return Path(path).read_text(encoding="utf-8")[:characters]


def learned(text: str, size: int, level: str) -> BPETokenizer:
    """Train a tokenizer."""
    tokenizer = BPETokenizer(level)
    tokenizer.train(text, size)
    return tokenizer


def prepare(
    path: str, size: int, task: str, level: str = "byte", characters: int | None = None
) -> Callable[[], Any]:
    """Make the turn: "train", "encode" or "decode"."""
    text = read_text(path, characters)
    if task == "train":
        return lambda: len(learned(text, size, level))
    tokenizer = learned(text, size, level)
    if task == "encode":
        return lambda: tokenizer.encode(text)
    ids = tokenizer.encode(text)
    return lambda: tokenizer.decode(ids)
