"""What both sides of a training step start from, and LiterateGPT's: as `train_pretrain` steps."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from literategpt.model import GPTConfig, GPTModel
from literategpt.optimizer import AdamW, clip_gradients
from literategpt.training import batch_gradients, keep_freed_memory, worker_pool
from literategpt.types import Array

LEARNING_RATE, MAX_NORM = 1e-3, 1.0
BATCHES = 8


def initial_model(width: int, sequence_length: int) -> GPTModel:
    """Make the model that both start from, the default one or a wider one.

    Its weights are four times the usual ones, so that a difference in any part shows in the loss.
    """
    config = GPTConfig(
        embedding_dim=width,
        num_heads=width // 32,
        feed_forward_dim=4 * width,
        max_sequence_length=max(sequence_length, GPTConfig().max_sequence_length),
    )
    model = GPTModel(config, rng=np.random.default_rng(0))
    for array in model.named_parameters().values():
        if array.ndim >= 2:
            array *= 4.0 * (128 / width) ** 0.5
    return model


def endless_batches(batch_size: int, sequence_length: int) -> Iterator[tuple[Array, Array]]:
    """Yield a few batches round and round, with rare and frequent tokens as in a text."""
    rng, size = np.random.default_rng(1), GPTConfig().vocabulary_size
    weights = 1.0 / np.arange(10, size + 10)
    shape = (BATCHES, batch_size, sequence_length + 1)
    drawn = rng.choice(size, shape, p=weights / weights.sum())
    while True:
        for tokens in drawn:
            yield tokens[:, :-1], tokens[:, 1:]


def several(steps: Iterator[float], count: int) -> Callable[[], list[float]]:
    """Make a turn of some steps, which returns their losses."""
    return lambda: [next(steps) for _ in range(count)]


def train(
    width: int,
    batch_size: int,
    sequence_length: int,
    workers: int,
    piece_size: int = 4,
    keep_memory: bool = True,
) -> Iterator[float]:
    """Train, yielding the loss of each step."""
    if keep_memory:
        keep_freed_memory()
    model = initial_model(width, sequence_length)
    optimizer = AdamW(model.trainable_parameters(), learning_rate=LEARNING_RATE)
    batches = endless_batches(batch_size, sequence_length)
    with worker_pool(workers) as ordered_map:
        for step, (inputs, targets) in enumerate(batches):
            loss, gradients = batch_gradients(
                model, inputs, targets, seed=(0, step), piece_size=piece_size,
                ordered_map=ordered_map,
            )  # fmt: skip
            clip_gradients(gradients, MAX_NORM)
            optimizer.step(gradients)
            yield loss


def prepare(steps: int, **settings: Any) -> Callable[[], list[float]]:
    """Make LiterateGPT's turn of some steps; the settings are those of `train`."""
    return several(train(**settings), steps)
