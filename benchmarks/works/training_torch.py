"""PyTorch's training step, eager or compiled, with its fused attention and fused AdamW."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from benchmarks.works.torch_model import PeerGPT
from benchmarks.works.training import (
    LEARNING_RATE,
    MAX_NORM,
    endless_batches,
    initial_model,
    several,
)


def train(
    width: int, batch_size: int, sequence_length: int, workers: int, compiled: bool = False
) -> Iterator[float]:
    """Train, yielding the loss of each step."""
    torch.set_num_threads(workers)
    peer = PeerGPT(initial_model(width, sequence_length))
    parameters = list(peer.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.95), fused=True)

    def loss_of(tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(peer(tokens).flatten(0, 1), targets.flatten())

    if compiled:
        loss_of = torch.compile(loss_of)
    for inputs, targets in endless_batches(batch_size, sequence_length):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(torch.from_numpy(inputs), torch.from_numpy(targets))
        loss.backward()
        clip_grad_norm_(parameters, MAX_NORM)
        optimizer.step()
        yield loss.item()


def prepare(steps: int, **settings: Any) -> Callable[[], list[float]]:
    """Make PyTorch's turn of some steps; the settings are those of `train`."""
    return several(train(**settings), steps)
