"""PyTorch writes in a plain loop, with a KV cache made once, without gradients."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.works.generation import model_and_prompt, timed
from benchmarks.works.torch_model import PeerGPT


def prepare(
    batch_size: int = 1,
    count: int = 200,
    longest: int | None = None,
    each: bool = False,
    threads: int = 1,
) -> Callable[[], Any]:
    """Make PyTorch's turn: `count` tokens for each sequence, greedy."""
    torch.set_num_threads(threads)
    model, prompt = model_and_prompt(batch_size, longest)
    config, peer = model.config, PeerGPT(model).eval()
    shape = (
        2, config.num_layers, batch_size, config.num_heads, config.max_sequence_length,
        config.head_dim,
    )  # fmt: skip

    def stream() -> Iterator[torch.Tensor]:
        cache, tokens, start = torch.zeros(shape), torch.from_numpy(prompt), 0
        for _ in range(count):
            token = peer.extend(tokens, cache, start).argmax(-1)
            yield token
            tokens, start = token[:, None], start + tokens.shape[1]

    @torch.inference_mode()
    def write() -> list[int]:
        written = torch.stack(list(stream()), dim=1)[0].tolist()
        return [*prompt[0].tolist(), *written]

    @torch.inference_mode()
    def write_each() -> list[float]:
        tokens = stream()
        return timed(lambda: next(tokens), count)

    return write_each if each else write
