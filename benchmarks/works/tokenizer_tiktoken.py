"""OpenAI's `tiktoken`, in Rust, with our merges."""

from collections.abc import Callable
from typing import Any

import tiktoken

from benchmarks.works.tokenizer import learned, read_text
from literategpt.tokenizer import byte_symbols

PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def prepare(path: str, size: int, task: str, characters: int | None = None) -> Callable[[], Any]:
    """Make the turn: "encode" or "decode"; it does not learn merges."""
    text = read_text(path, characters)
    ours = learned(text, size, "byte")
    bytes_of = {symbol: byte for byte, symbol in byte_symbols().items()}
    ranks = {
        bytes(bytes_of[symbol] for symbol in token): number
        for token, number in ours.vocabulary.items()
        if number != ours.eos_id
    }
    encoding = tiktoken.Encoding(
        "benchmark", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={}
    )
    if task == "encode":
        return lambda: encoding.encode_ordinary(text)
    ids = encoding.encode_ordinary(text)
    return lambda: encoding.decode(ids)
