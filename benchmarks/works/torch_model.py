"""The same model in PyTorch's own modules: one product for queries, keys, values; fused attention.

`extend` reads new tokens with the keys and values of those before in arrays that were made once.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

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

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, C) -> three of (B, H, T, D)."""
        heads = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        return query, key, value

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Mix the heads, then the feed-forward network, (B, T, C), (B, H, T, D) -> (B, T, C)."""
        x = x + self.output(attended.transpose(1, 2).flatten(-2))
        hidden = functional.gelu(self.expand(self.feed_forward_norm(x)), approximate="tanh")
        return x + self.contract(hidden)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        query, key, value = self.project(x)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.finish(x, attended)

    def extend(self, x: Tensor, keys: Tensor, values: Tensor, start: int) -> Tensor:
        """Read new tokens after `start` others, whose keys and values the two caches hold."""
        query, key, value = self.project(x)
        end = start + x.shape[1]
        keys[:, :, start:end], values[:, :, start:end] = key, value
        attended = functional.scaled_dot_product_attention(
            query, keys[:, :, :end], values[:, :, :end], is_causal=start == 0
        )
        return self.finish(x, attended)


class PeerGPT(nn.Module):
    """A model with a tied head and fixed positions, with the weights of one of ours."""

    def __init__(self, model: GPTModel) -> None:
        super().__init__()
        config = model.config
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_dim)
        table = model.positional_encoding.table * config.position_scale
        self.register_buffer("positions", torch.from_numpy(table))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(config.embedding_dim)
        self.load_state_dict(peer_state(model.named_parameters(), config.num_layers), strict=False)
        assert sum(p.numel() for p in self.parameters()) == model.num_parameters()

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)."""
        x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.final_norm(x), self.embedding.weight)

    def extend(self, tokens: Tensor, cache: Tensor, start: int) -> Tensor:
        """Score what follows the new tokens, (B, T), (2, L, B, H, S, D) -> (B, V)."""
        x = self.embedding(tokens) + self.positions[start : start + tokens.shape[1]]
        for block, keys, values in zip(self.blocks, cache[0], cache[1], strict=True):
            x = block.extend(x, keys, values, start)
        return functional.linear(self.final_norm(x[:, -1]), self.embedding.weight)


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
