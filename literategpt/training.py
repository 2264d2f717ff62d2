"""The training loop that the scripts share: steps, workers, evaluation, progress, checkpoints.

A step cuts its batch into pieces of a few sequences, whatever the number of workers.
Workers take pieces, and the gradients of the pieces are added in the order of the pieces, not of
their arrival.
So one worker and many give the same model, to the bit.

All randomness of a step is a function of the seed, the number of the step and the number of the
piece; all that the next step depends on is in the checkpoint.
So a run that was stopped, or killed, goes on to the same model as one that was not.
"""

import ctypes
import math
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from literategpt.layers import check_positive
from literategpt.model import GPTModel, cross_entropy_loss
from literategpt.optimizer import AdamW, clip_gradients, cosine_schedule
from literategpt.types import Array, Gradients
from literategpt.utils import DataLoader

__all__ = [
    "StepReport",
    "TrainingSettings",
    "batch_gradients",
    "evaluate",
    "keep_freed_memory",
    "train",
    "worker_pool",
]


class OrderedMap(Protocol):
    """A `map` that may work on several items at once and yields results in the items' order."""

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any], /) -> Iterator[Any]:
        """Apply the function to each item."""


@contextmanager
def worker_pool(workers: int) -> Iterator[OrderedMap]:
    """Offer a `map` over threads; with one worker it is Python's own, and no thread starts.

    NumPy lets other threads run while it computes, so two threads keep two processors busy.
    The matrix library should then use one thread itself: set `OPENBLAS_NUM_THREADS=1` before NumPy
    is imported, as the training scripts do.

    Args:
        workers: Number of threads, at least 1.

    Examples:
        >>> with worker_pool(2) as ordered_map:
        ...     print(list(ordered_map(abs, [-3, 2, -1])))
        [3, 2, 1]
    """
    check_positive(workers=workers)
    if workers == 1:
        yield map
        return
    with ThreadPoolExecutor(workers) as executor:
        yield executor.map


def keep_freed_memory() -> bool:
    """Ask the C library to keep the memory of freed arrays for the next ones.

    By default glibc returns large arrays to the system at once, which then has to clear every
    page of the next one: that can take longer than the arithmetic on it.
    Only Linux with glibc has this setting; elsewhere nothing happens.

    Returns:
        Whether the setting was made.

    Examples:
        >>> keep_freed_memory() in (True, False)  # True on Linux with glibc
        True
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    trim_threshold, mmap_threshold, gigabyte = -1, -3, 2**30  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
    library = ctypes.CDLL(None)
    return all(library.mallopt(option, gigabyte) for option in (trim_threshold, mmap_threshold))


def batch_gradients(
    model: GPTModel,
    inputs: Array,
    targets: Array,
    *,
    seed: tuple[int, ...],
    piece_size: int = 4,
    ignore_index: int | None = None,
    ordered_map: OrderedMap = map,
) -> tuple[float, Gradients]:
    """Compute the loss of a batch and its gradients, piece by piece.

    Args:
        model: Not changed.
        inputs: Token ids, (B, T).
        targets: Token ids, (B, T).
        seed: With the number of the piece added, it seeds that piece's dropout.
        piece_size: Number of sequences in a piece.
        ignore_index: Targets that do not count.
        ordered_map: From `worker_pool`.

    Returns:
        The mean loss in nats over all targets of the batch that count, and its gradients.

    Examples:
        >>> from literategpt.model import GPTConfig
        >>> config = GPTConfig(vocabulary_size=5, embedding_dim=4, num_heads=1, num_layers=1)
        >>> model = GPTModel(config, rng=np.random.default_rng(0))
        >>> tokens = np.array([[0, 1, 2], [2, 3, 4]])
        >>> loss, gradients = batch_gradients(model, tokens, tokens, seed=(0,), piece_size=1)
        >>> gradients.keys() == model.trainable_parameters().keys()
        True
    """
    if len(inputs) == 0 or inputs.shape != targets.shape:
        raise ValueError(
            f"expected inputs and targets of one shape, got {inputs.shape} and {targets.shape}"
        )
    counted = targets.size if ignore_index is None else np.count_nonzero(targets != ignore_index)
    # Share one denominator, so that the losses and gradients of the pieces simply add up.
    denominator = float(max(counted, 1))

    def piece_gradients(piece: int) -> tuple[float, Gradients]:
        rows = slice(piece * piece_size, (piece + 1) * piece_size)
        rng = np.random.default_rng((*seed, piece))
        logits, saved = model.forward(inputs[rows], rng=rng)
        loss, grad_logits = cross_entropy_loss(logits, targets[rows], ignore_index, denominator)
        del logits
        return loss, model.backward(grad_logits, saved)

    pieces = range(-(-len(inputs) // piece_size))
    results = iter(ordered_map(piece_gradients, pieces))
    loss, total = next(results)
    # Add in the order of the pieces, while the workers are on later ones.
    for piece_loss, gradients in results:
        loss += piece_loss
        for name, gradient in gradients.items():
            total[name] += gradient
    return loss, total


class StepReport(NamedTuple):
    """What one training step did."""

    step: int  # from 0
    loss: float  # nats per token, before the step
    learning_rate: float
    gradient_norm: float  # before clipping
    tokens: int  # read in this step
    seconds: float  # taken by this step


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The numbers of the loop itself; model, optimizer and loader bring their own.

    Args:
        total_steps: Length of the run.
        peak_learning_rate: Highest learning rate.
        minimum_learning_rate: Learning rate of the last step of a run longer than its warm-up.
        warmup_steps: Length of the rise to the peak; at most total_steps is used.
        max_norm: Gradients longer than this are shortened.
        piece_size: Sequences in a piece of a batch.
        seed: Of dropout; initial values and the order of the data have their own.

    Examples:
        >>> settings = TrainingSettings(total_steps=1000, peak_learning_rate=0.01)
        >>> [round(settings.learning_rate(step), 5) for step in (0, 99, 999)]
        [0.0001, 0.01, 0.0003]
    """

    total_steps: int
    peak_learning_rate: float = 3e-3
    minimum_learning_rate: float = 3e-4
    warmup_steps: int = 100
    max_norm: float = 1.0
    piece_size: int = 4
    seed: int = 0

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        return cosine_schedule(
            step,
            peak=self.peak_learning_rate,
            warmup_steps=min(self.warmup_steps, self.total_steps),
            total_steps=self.total_steps,
            minimum=self.minimum_learning_rate,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, to be stored."""
        return asdict(self)


def endless(loader: DataLoader) -> Iterator[tuple[Array, Array]]:
    """Yield batches, one epoch after another."""
    while True:
        yield from loader


def train(
    model: GPTModel,
    optimizer: AdamW,
    loader: DataLoader,
    *,
    settings: TrainingSettings | None = None,
    total_steps: int | None = None,
    start_step: int = 0,
    ignore_index: int | None = None,
    workers: int = 1,
) -> Iterator[StepReport]:
    """Train a model, yielding a report after each step.

    Between two reports nothing goes on: the caller can evaluate, save, or stop.

    Args:
        model: Changed in place.
        optimizer: Over the model's trainable parameters.
        loader: Gives the batches, from where it stands.
        settings: The numbers of the run.
        total_steps: In place of `settings`, for a run with the usual numbers.
        start_step: Number of steps done before.
        ignore_index: Targets that do not count.
        workers: Number of threads.

    Yields:
        One report a step.

    Raises:
        ValueError: The loss or a gradient is not finite; the model is unchanged by that step.

    Examples:
        >>> from literategpt.model import GPTConfig
        >>> from literategpt.utils import TextDataset
        >>> config = GPTConfig(vocabulary_size=3, embedding_dim=8, num_heads=1, num_layers=1)
        >>> model = GPTModel(config, rng=np.random.default_rng(0))
        >>> dataset = TextDataset(np.arange(90) % 3, sequence_length=8)
        >>> loader = DataLoader(dataset, 4, rng=np.random.default_rng(0))
        >>> optimizer = AdamW(model.trainable_parameters())
        >>> losses = [report.loss for report in train(model, optimizer, loader, total_steps=30)]
        >>> losses[0] > 1.0 > losses[-1]
        True
    """
    if (settings is None) == (total_steps is None):
        raise ValueError("expected either settings or total_steps")
    if settings is None:
        settings = TrainingSettings(total_steps=total_steps or 0)
    batches = endless(loader)
    with worker_pool(workers) as ordered_map:
        for step in range(start_step, settings.total_steps):
            start = time.perf_counter()
            inputs, targets = next(batches)
            loss, gradients = batch_gradients(
                model, inputs, targets, seed=(settings.seed, step),
                piece_size=settings.piece_size, ignore_index=ignore_index, ordered_map=ordered_map,
            )  # fmt: skip
            if not math.isfinite(loss):
                raise ValueError(f"expected a finite loss, got {loss} at step {step}")
            norm = clip_gradients(gradients, settings.max_norm)
            rate = settings.learning_rate(step)
            optimizer.step(gradients, rate)
            seconds = time.perf_counter() - start
            yield StepReport(step, loss, rate, norm, inputs.size, seconds)


def evaluate(
    model: GPTModel,
    tokens: Array,
    *,
    sequence_length: int | None = None,
    batch_size: int = 4,
    ordered_map: OrderedMap = map,
) -> float:
    """Measure the mean surprise at a text, in nats per token, each target counted once.

    The text is read in windows that follow each other without overlap; the last may be shorter.

    Args:
        model: Not changed.
        tokens: Token ids of the text, (N,), at least two.
        sequence_length: Length of a window; the model's longest context unless given.
        batch_size: Windows read at once.
        ordered_map: From `worker_pool`.

    Returns:
        The sum of all surprises divided by N - 1.

    Raises:
        ValueError: There are fewer than two tokens.

    Examples:
        >>> from literategpt.model import GPTConfig
        >>> model = GPTModel(GPTConfig(vocabulary_size=8), rng=np.random.default_rng(0))
        >>> loss = evaluate(model, np.arange(100) % 8)
        >>> abs(loss - math.log(8)) < 0.1  # a newborn model has no opinion
        True
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or len(tokens) < 2:
        raise ValueError(f"expected a row of at least two tokens, got shape {tokens.shape}")
    length = sequence_length or model.config.max_sequence_length
    count = len(tokens) - 1

    def surprise(span: tuple[int, int]) -> float:
        start, stop = span
        shape = (-1, min(length, stop - start))
        inputs = tokens[start:stop].reshape(shape)
        targets = tokens[start + 1 : stop + 1].reshape(shape)
        return cross_entropy_loss(model(inputs), targets, denominator=1.0)[0]

    whole = count - count % length  # tokens in full windows
    spans = [(i, min(i + batch_size * length, whole)) for i in range(0, whole, batch_size * length)]
    if whole < count:
        spans.append((whole, count))
    total: float = sum(ordered_map(surprise, spans))
    return total / count
