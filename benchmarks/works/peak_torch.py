"""Large matrix products and nothing else, in PyTorch: all threads share each product."""

from collections.abc import Callable

import torch


def prepare(size: int, products: int, workers: int) -> Callable[[], None]:
    """Make the turn: as many products as the workers of the other side do together."""
    torch.set_num_threads(workers)
    first, second = torch.rand(2, size, size)
    result = torch.empty(size, size)

    def work() -> None:
        for _ in range(products * workers):
            torch.matmul(first, second, out=result)

    return work
