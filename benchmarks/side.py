"""What both sides of the benchmark share: the start, the batches, and how they are told to step."""

import json
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from literategpt.model import GPTConfig, GPTModel
from literategpt.types import Array

BATCH_SIZE, SEQUENCE_LENGTH, BATCHES = 32, 128, 8
LEARNING_RATE, MAX_NORM, THREADS = 1e-3, 1.0, 2


def initial_model() -> GPTModel:
    """Make the model that both start from.

    Its weights are four times the usual ones, so that a difference in any part shows in the loss.
    """
    model = GPTModel(GPTConfig(), rng=np.random.default_rng(0))
    for array in model.named_parameters().values():
        if array.ndim >= 2:
            array *= 4.0
    return model


def endless_batches() -> Iterator[tuple[Array, Array]]:
    """Yield a few batches round and round, with rare and frequent tokens as in a text."""
    rng, size = np.random.default_rng(1), GPTConfig().vocabulary_size
    weights = 1.0 / np.arange(10, size + 10)
    shape = (BATCHES, BATCH_SIZE, SEQUENCE_LENGTH + 1)
    drawn = rng.choice(size, shape, p=weights / weights.sum())
    while True:
        for tokens in drawn:
            yield tokens[:, :-1], tokens[:, 1:]


def obey(steps: Iterator[float]) -> None:
    """Do as many steps as each line of the input asks for, and answer with a line of JSON."""
    waiting_since = time.process_time()
    for line in sys.stdin:
        cpu_start, times, losses = time.process_time(), [time.perf_counter()], []
        for _ in range(int(line)):
            losses.append(next(steps))
            times.append(time.perf_counter())
        answer: dict[str, Any] = {
            "losses": losses,
            "seconds": times[-1] - times[0],
            "fastest_step": min(after - before for before, after in pairwise(times)),
            "cpu_seconds": time.process_time() - cpu_start,
            "cpu_seconds_while_waiting": cpu_start - waiting_since,
        }
        waiting_since = time.process_time()
        print(json.dumps(answer), flush=True)
