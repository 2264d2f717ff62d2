"""PyTorch's side: the same model in its own modules, eager, with fused attention and AdamW."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from benchmarks.side import LEARNING_RATE, MAX_NORM, THREADS, endless_batches, initial_model, obey
from literategpt.model import GPTConfig, GPTModel
from literategpt.types import Array


class Block(nn.Module):
    """A pre-LN block; one product makes queries, keys and values."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        size = config.embedding_dim
        self.num_heads = config.num_heads
        self.attention_norm = nn.LayerNorm(size)
        self.qkv = nn.Linear(size, 3 * size)
        self.output = nn.Linear(size, size)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.expand = nn.Linear(size, config.feed_forward_dim)
        self.contract = nn.Linear(config.feed_forward_dim, size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        heads = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.output(attended.transpose(1, 2).flatten(-2))
        hidden = functional.gelu(self.expand(self.feed_forward_norm(x)), approximate="tanh")
        return x + self.contract(hidden)


class PeerGPT(nn.Module):
    """The default model, with a tied head and fixed positions."""

    def __init__(self, model: GPTModel) -> None:
        super().__init__()
        config = model.config
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_dim)
        table = model.positional_encoding.table * config.position_scale
        self.register_buffer("positions", torch.from_numpy(table))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(config.embedding_dim)
        self.load_state_dict(peer_state(model.named_parameters(), config.num_layers), strict=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)."""
        x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.final_norm(x), self.embedding.weight)


def peer_state(parameters: dict[str, Array], num_layers: int) -> dict[str, Tensor]:
    """Give our parameters the peer's names and layout: a linear weight there is (out, in)."""
    state = {"embedding.weight": parameters["token_embedding.weight"]}
    for name, array in parameters.items():
        if name != "token_embedding.weight":
            short = name.replace("attention.output", "output").replace("feed_forward.", "")
            state[short] = array.T
    for i in range(num_layers):
        for kind in ("weight", "bias"):
            names = [f"blocks.{i}.attention.{part}.{kind}" for part in ("query", "key", "value")]
            state[f"blocks.{i}.qkv.{kind}"] = np.concatenate([state.pop(n) for n in names])
    return {name: torch.from_numpy(array.copy()) for name, array in state.items()}


def steps() -> Iterator[float]:
    """Train, yielding the loss of each step."""
    torch.set_num_threads(THREADS)
    model = initial_model()
    peer = PeerGPT(model)
    parameters = list(peer.parameters())
    assert sum(p.numel() for p in parameters) == model.num_parameters()
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.95), fused=True)
    for inputs, targets in endless_batches():
        optimizer.zero_grad(set_to_none=True)
        logits = peer(torch.from_numpy(inputs))
        loss = functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets).flatten())
        loss.backward()
        clip_grad_norm_(parameters, MAX_NORM)
        optimizer.step()
        yield loss.item()


if __name__ == "__main__":
    obey(steps())
