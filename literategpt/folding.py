r"""The same function in fewer operations: a model folded to read one new token at a time.

A single token is little arithmetic, spread over many calls of NumPy, each of which takes its time.
So whatever depends on the weights alone is done once, before the first token.

- The mean of every vector of the stream can be taken away from whatever is added to it: from the
  rows of the tables, from the output weights and biases.
  Then the mean is 0 throughout, and `LayerNorm` has none to subtract.
- Its gain and its bias go into the linear layer behind it: $(n \circ w + b)\,W + c$ is
  $n\,(w \circ W) + (b\,W + c)$.
- Queries, keys and values are one product, and the queries are divided by $\sqrt{D}$ in advance.

Nothing is approximated: the logits differ from those of `GPTModel.extend` by rounding alone.
The folded weights stand beside the model's own and take a little more memory than they.
"""

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from literategpt.activations import gelu, softmax, sum_of_products
from literategpt.attention import KVCache, MultiHeadAttention
from literategpt.layers import (
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Module,
    PositionalEncoding,
)
from literategpt.lora import LoRALinear
from literategpt.model import GPTModel
from literategpt.transformer import FeedForwardNetwork, TransformerBlock
from literategpt.types import Array

__all__ = ["FoldedModel", "can_fold"]

KNOWN: Final = {
    Dropout, Embedding, FeedForwardNetwork, LayerNorm, Linear, MultiHeadAttention,
    PositionalEncoding, TransformerBlock,
}  # fmt: skip
"""What a model may be made of; a class derived from one of them may compute something else."""


def modules(module: Module) -> Iterator[Module]:
    """Yield every module inside this one, at any depth."""
    for _, child in module.children():
        yield child
        yield from modules(child)


def can_fold(model: GPTModel) -> bool:
    """Tell whether every part of a model is one that `FoldedModel` knows.

    A LoRA layer is one once it is merged.

    Examples:
        >>> from literategpt import GPTConfig, apply_lora, merge_lora
        >>> model = GPTModel(GPTConfig(vocabulary_size=9), rng=np.random.default_rng(0))
        >>> can_fold(model)
        True
        >>> apply_lora(model, rng=np.random.default_rng(0))
        >>> can_fold(model)  # its corrections are computed beside the weights
        False
        >>> merge_lora(model)
        >>> can_fold(model)
        True
    """
    parts = list(modules(model))
    known = type(model) is GPTModel and all(
        type(part) in KNOWN or (type(part) is LoRALinear and part.base is not None)
        for part in parts
    )
    return known and len({part.eps for part in parts if isinstance(part, LayerNorm)}) == 1


def centred(vectors: Array) -> Array:
    """Take its mean away from each vector, (..., C) -> (..., C)."""
    result: Array = vectors - vectors.mean(axis=-1, keepdims=True)
    return result


class Affine(NamedTuple):
    """A weight and a bias: x -> x @ weight + bias."""

    weight: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        """(B, in_features) -> (B, out_features)."""
        output: Array = x @ self.weight
        output += self.bias
        return output


def affine(linear: Linear) -> Affine:
    """Take the weight and the bias of a linear layer; one without a bias has a bias of 0."""
    size = linear.weight.shape[1]
    bias = np.zeros(size, linear.weight.dtype) if linear.bias is None else linear.bias
    return Affine(linear.weight, bias)


def behind_norm(norm: LayerNorm, layer: Affine) -> Affine:
    """Fold the gain and the bias of a norm into the layer behind it.

    What remains of the norm is `FoldedModel.direction`, which makes vectors of length 1; the
    normalized ones have length sqrt(C), so that factor goes into the weight too.
    """
    gain = norm.weight * math.sqrt(len(norm.weight))
    return Affine(gain[:, None] * layer.weight, norm.bias @ layer.weight + layer.bias)


class FoldedBlock(NamedTuple):
    """The four products of a block."""

    project: Affine  # C -> 3C, queries, keys and values
    output: Affine  # C -> C
    expand: Affine  # C -> F
    contract: Affine  # F -> C


def fold_block(block: TransformerBlock) -> FoldedBlock:
    """Fold a block's norms into what is behind them, and centre what is added to the stream."""
    attention, network = block.attention, block.feed_forward
    query, key, value = map(affine, (attention.query, attention.key, attention.value))
    scale = 1.0 / math.sqrt(len(query.bias) // attention.num_heads)
    project = Affine(
        np.concatenate([query.weight * scale, key.weight, value.weight], axis=1),
        np.concatenate([query.bias * scale, key.bias, value.bias]),
    )
    return FoldedBlock(
        behind_norm(block.attention_norm, project),
        Affine(*map(centred, affine(attention.output))),
        behind_norm(block.feed_forward_norm, affine(network.expand)),
        Affine(*map(centred, affine(network.contract))),
    )


class FoldedModel(GPTModel):
    """A model that reads one new token in fewer operations, with its weights as they are now.

    It shares the arrays of the model it is made from, and differs from it in `extend` alone; a
    later change of the weights does not reach what was folded.

    Args:
        model: Of parts that `can_fold` knows.

    Raises:
        ValueError: It has others.

    Examples:
        >>> from literategpt import GPTConfig
        >>> model = GPTModel(GPTConfig(vocabulary_size=9), rng=np.random.default_rng(0))
        >>> prompt = np.array([[1, 2, 3]])
        >>> plain, fast = (m.generate(prompt, 50, 0) for m in (model, FoldedModel(model)))
        >>> bool((plain == fast).all())
        True
    """

    def __init__(self, model: GPTModel) -> None:
        if not can_fold(model):
            raise ValueError("expected a model of plain parts, got one with others; see can_fold")
        vars(self).update(vars(model))
        config = model.config
        self.eps = model.final_norm.eps * config.embedding_dim
        self.token_rows = centred(model.token_embedding.weight)
        if config.positional_encoding == "learned":
            self.position_rows = centred(model.position_embedding.weight)
        else:
            self.position_rows = centred(model.positional_encoding.table * config.position_scale)
        self.folded_blocks = tuple(fold_block(block) for block in model.blocks)
        head = model.token_embedding.weight.T if config.tie_weights else model.head.weight
        no_bias = np.zeros(config.vocabulary_size, config.dtype)
        self.folded_head = behind_norm(model.final_norm, Affine(head, no_bias))

    def extend(self, tokens: Array, cache: KVCache) -> Array:
        """Read new tokens as `GPTModel.extend` does: one in few operations, several as usual.

        (B, T) -> (B, V), the logits of the last position
        """
        tokens = self.check_tokens(tokens)
        if tokens.shape[1] != 1 or cache.length == cache.max_sequence_length:
            return super().extend(tokens, cache)
        x = self.token_rows[tokens[:, 0]] + self.position_rows[cache.length]
        for layer, block in enumerate(self.folded_blocks):
            x += self.attend(block, x, cache, layer)
            x += block.contract(gelu(block.expand(self.direction(x))))
        cache.advance(1)
        return self.folded_head(self.direction(x))

    def direction(self, x: Array) -> Array:
        """Shorten or stretch each vector to length 1, but for eps, (B, C) -> (B, C)."""
        stretched: Array = x / np.sqrt(sum_of_products(x, x) + self.eps)
        return stretched

    def attend(self, block: FoldedBlock, x: Array, cache: KVCache, layer: int) -> Array:
        """Attend from one new position to all in the cache and to itself, (B, C) -> (B, C)."""
        heads = block.project(self.direction(x)).reshape(len(x), 3, self.config.num_heads, 1, -1)
        keys, values = cache.append(layer, heads[:, 1], heads[:, 2])
        weights = softmax(heads[:, 0] @ np.swapaxes(keys, -1, -2))
        return block.output((weights @ values).reshape(x.shape))
