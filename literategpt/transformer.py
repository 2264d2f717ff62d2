"""The block that a GPT repeats: attention, then a feed-forward network, each on a bypass.

Attention moves information between positions; the feed-forward network works on each position by
itself.
Both add their result to what came in, so a block changes the stream of vectors a little and can
also leave it as it is.

Run `python -m literategpt.transformer` to follow a vector through a block.
"""

from typing import NamedTuple

import numpy as np

from literategpt.activations import gelu, gelu_backward, gelu_gate
from literategpt.attention import AttentionSaved, KVCache, MultiHeadAttention, create_causal_mask
from literategpt.layers import (
    Dropout,
    DropoutSaved,
    LayerNorm,
    LayerNormSaved,
    Linear,
    LinearSaved,
    Module,
    prefixed,
)
from literategpt.types import Array, Gradients

__all__ = ["FeedForwardNetwork", "TransformerBlock"]


class FeedForwardSaved(NamedTuple):
    """What `FeedForwardNetwork.backward` needs."""

    expand: LinearSaved
    hidden: Array  # (..., hidden_dim), before GELU
    gate: Array  # (..., hidden_dim), the share that GELU lets pass
    contract: LinearSaved  # (..., hidden_dim), after GELU


class FeedForwardNetwork(Module):
    r"""Two linear layers with a bend between them, applied to each position alone.

    (..., C) -> (..., C)

    $$\mathrm{FFN}(x) = \mathrm{gelu}(x W_1 + b_1)\, W_2 + b_2$$

    Args:
        embedding_dim: Length of a vector, C.
        hidden_dim: Number of hidden units; four times C is usual.
        rng: Draws the initial weights.
        dtype: "float32", or "float64" for checks.

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762, equation 2, with GELU in place of ReLU as in
        Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training".

    Examples:
        >>> network = FeedForwardNetwork(2, 8, rng=np.random.default_rng(0))
        >>> x = np.ones((3, 2), "float32")
        >>> output, saved = network.forward(x)
        >>> output.shape, saved.hidden.shape
        ((3, 2), (3, 8))
    """

    def __init__(
        self,
        embedding_dim: int,
        hidden_dim: int,
        *,
        rng: np.random.Generator,
        dtype: str = "float32",
    ) -> None:
        self.expand = Linear(embedding_dim, hidden_dim, rng=rng, dtype=dtype)
        self.contract = Linear(hidden_dim, embedding_dim, rng=rng, dtype=dtype)

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, FeedForwardSaved]:
        """Expand, bend, contract."""
        hidden, expand_saved = self.expand.forward(x)
        gate = gelu_gate(hidden)
        output, contract_saved = self.contract.forward(gelu(hidden, gate))
        return output, FeedForwardSaved(expand_saved, hidden, gate, contract_saved)

    def backward(self, grad_output: Array, saved: FeedForwardSaved) -> tuple[Array, Gradients]:
        """Carry a gradient back through the two layers and the bend."""
        # output = self.contract(gelu(hidden))
        grad_activated, gradients_contract = self.contract.backward(grad_output, saved.contract)
        grad_hidden = gelu_backward(grad_activated, saved.hidden, saved.gate)
        # hidden = self.expand(x)
        grad_input, gradients_expand = self.expand.backward(grad_hidden, saved.expand)
        gradients = prefixed("expand", gradients_expand) | prefixed("contract", gradients_contract)
        return grad_input, gradients


class BlockSaved(NamedTuple):
    """What `TransformerBlock.backward` needs, and `input`, the stream as it came in."""

    input: Array  # (B, T, C)
    attention_norm: LayerNormSaved
    attention: AttentionSaved
    attention_dropout: DropoutSaved
    feed_forward_norm: LayerNormSaved
    feed_forward: FeedForwardSaved
    feed_forward_dropout: DropoutSaved


class TransformerBlock(Module):
    r"""Attention and a feed-forward network, each normalized before and added to its input.

    (B, T, C) -> (B, T, C)

    $$h = x + \mathrm{Attention}(\mathrm{LayerNorm}(x)), \qquad
      y = h + \mathrm{FFN}(\mathrm{LayerNorm}(h))$$

    Attention is causal: a position sees itself and those before it.

    Args:
        embedding_dim: Length of a vector, C.
        num_heads: Number of attention heads, H.
        feed_forward_dim: Number of hidden units of the feed-forward network.
        dropout: Rate at which values of the two results are dropped in training.
        rng: Draws the initial weights.
        dtype: "float32", or "float64" for checks.

    Reference:
        Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3,
        for the place of the norms; Xiong et al. 2020, arXiv:2002.04745, for what it does.

    Examples:
        >>> block = TransformerBlock(8, 2, 32, rng=np.random.default_rng(0))
        >>> x = np.ones((1, 3, 8), "float32")
        >>> block.attention.output.weight[...] = 0  # silence both sub-layers:
        >>> block.feed_forward.contract.weight[...] = 0
        >>> bool((block(x) == x).all())  # the block passes its input on
        True
    """

    def __init__(
        self,
        embedding_dim: int,
        num_heads: int,
        feed_forward_dim: int,
        *,
        dropout: float = 0.0,
        rng: np.random.Generator,
        dtype: str = "float32",
    ) -> None:
        self.attention_norm = LayerNorm(embedding_dim, dtype=dtype)
        self.attention = MultiHeadAttention(embedding_dim, num_heads, rng=rng, dtype=dtype)
        self.feed_forward_norm = LayerNorm(embedding_dim, dtype=dtype)
        self.feed_forward = FeedForwardNetwork(
            embedding_dim, feed_forward_dim, rng=rng, dtype=dtype
        )
        self.dropout = Dropout(dropout)

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, BlockSaved]:
        """Let positions exchange what they know, then let each think by itself."""
        mask = create_causal_mask(x.shape[1])
        normalized, norm1_saved = self.attention_norm.forward(x)
        attended, attention_saved = self.attention.forward(normalized, mask=mask)
        attended, dropout1_saved = self.dropout.forward(attended, rng=rng)
        middle = x + attended
        normalized, norm2_saved = self.feed_forward_norm.forward(middle)
        worked, feed_forward_saved = self.feed_forward.forward(normalized)
        worked, dropout2_saved = self.dropout.forward(worked, rng=rng)
        saved = BlockSaved(
            x, norm1_saved, attention_saved, dropout1_saved,
            norm2_saved, feed_forward_saved, dropout2_saved,
        )  # fmt: skip
        return middle + worked, saved

    def backward(self, grad_output: Array, saved: BlockSaved) -> tuple[Array, Gradients]:
        """Carry a gradient back along the bypass and through each sub-layer, and add."""
        # output = middle + dropout(feed_forward(feed_forward_norm(middle)))
        grad, _ = self.dropout.backward(grad_output, saved.feed_forward_dropout)
        grad, gradients_feed_forward = self.feed_forward.backward(grad, saved.feed_forward)
        grad, gradients_norm2 = self.feed_forward_norm.backward(grad, saved.feed_forward_norm)
        grad_middle = grad_output + grad
        # middle = x + dropout(attention(attention_norm(x)))
        grad, _ = self.dropout.backward(grad_middle, saved.attention_dropout)
        grad, gradients_attention = self.attention.backward(grad, saved.attention)
        grad, gradients_norm1 = self.attention_norm.backward(grad, saved.attention_norm)
        gradients = (
            prefixed("attention_norm", gradients_norm1)
            | prefixed("attention", gradients_attention)
            | prefixed("feed_forward_norm", gradients_norm2)
            | prefixed("feed_forward", gradients_feed_forward)
        )
        return grad_middle + grad, gradients

    def extend(self, x: Array, cache: KVCache, layer: int) -> Array:
        """Evaluate new tokens after those in the cache, (B, T, C) -> (B, T, C)."""
        middle = x + self.attention.extend(self.attention_norm(x), cache, layer)
        return middle + self.feed_forward(self.feed_forward_norm(middle))


if __name__ == "__main__":
    from literategpt.demos.transformer import main

    main()
