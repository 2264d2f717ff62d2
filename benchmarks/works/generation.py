"""LiterateGPT writes: `GPTModel.generate`, or token by token with the time of each."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from literategpt.folding import FoldedModel
from literategpt.model import GPTConfig, GPTModel
from literategpt.pretrained import load_pretrained
from literategpt.types import Array

PROMPT = "Put out the light, and then"


def model_and_prompt(batch_size: int, longest: int | None) -> tuple[GPTModel, Array]:
    """Make what all sides start from: the shipped model, or an untrained one of longer context."""
    model, tokenizer = load_pretrained()
    prompt = np.array([tokenizer.encode(PROMPT)]).repeat(batch_size, axis=0)
    if longest is not None:
        config = GPTConfig(**model.config.to_dict() | {"max_sequence_length": longest})
        longer = GPTModel(config, rng=np.random.default_rng(0))
        for name, array in longer.named_parameters().items():
            array[...] = model.named_parameters()[name]
        model = longer
    return model, prompt


def timed(write_one: Callable[[], Any], count: int) -> list[float]:
    """Write tokens one by one, and return the seconds that each took."""
    times = [time.perf_counter()]
    for _ in range(count):
        write_one()
        times.append(time.perf_counter())
    return [after - before for before, after in pairwise(times)]


def prepare(
    batch_size: int = 1,
    count: int = 200,
    longest: int | None = None,
    each: bool = False,
    use_cache: bool = True,
    folded: bool = False,
) -> Callable[[], Any]:
    """Make LiterateGPT's turn: `count` tokens for each sequence, greedy."""
    model, prompt = model_and_prompt(batch_size, longest)
    writer = FoldedModel(model) if folded else model

    def write() -> list[int]:
        written: list[int] = writer.generate(prompt, count, 0.0, use_cache=use_cache)[0].tolist()
        return written

    def write_each() -> list[float]:
        stream = writer.stream(prompt, count, 0.0, use_cache=use_cache)
        return timed(lambda: next(stream), count)

    return write_each if each else write
