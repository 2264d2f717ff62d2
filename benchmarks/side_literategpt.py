"""LiterateGPT's side: a step as `train_pretrain` makes it."""

from collections.abc import Iterator

from benchmarks.side import LEARNING_RATE, MAX_NORM, THREADS, endless_batches, initial_model, obey
from literategpt.optimizer import AdamW, clip_gradients
from literategpt.training import batch_gradients, keep_freed_memory, worker_pool


def steps() -> Iterator[float]:
    """Train, yielding the loss of each step."""
    keep_freed_memory()
    model = initial_model()
    optimizer = AdamW(model.trainable_parameters(), learning_rate=LEARNING_RATE)
    with worker_pool(THREADS) as ordered_map:
        for step, (inputs, targets) in enumerate(endless_batches()):
            loss, gradients = batch_gradients(
                model, inputs, targets, seed=(0, step), ordered_map=ordered_map
            )
            clip_gradients(gradients, MAX_NORM)
            optimizer.step(gradients)
            yield loss


if __name__ == "__main__":
    obey(steps())
