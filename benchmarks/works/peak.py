"""Large matrix products and nothing else, in NumPy: one thread each."""

from collections.abc import Callable

import numpy as np

from literategpt.training import worker_pool


def prepare(size: int, products: int, workers: int) -> Callable[[], None]:
    """Make the turn: every worker multiplies its own matrices."""
    rng = np.random.default_rng(0)
    matrices = [rng.random((2, size, size), dtype=np.float32) for _ in range(workers)]
    results = [np.empty((size, size), np.float32) for _ in range(workers)]

    def multiply(worker: int) -> None:
        for _ in range(products):
            np.matmul(matrices[worker][0], matrices[worker][1], out=results[worker])

    def work() -> None:
        with worker_pool(workers) as ordered_map:
            list(ordered_map(multiply, range(workers)))

    return work
