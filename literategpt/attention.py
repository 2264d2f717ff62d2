"""Attention: each position asks a question, and takes what it learns from the positions before it.

First one head, as two pure functions: `scaled_dot_product_attention` and its backward.
Then many heads side by side, as a layer: `MultiHeadAttention`.
Last `KVCache`, which keeps the keys and values of tokens already read, so that generation does
not compute them again.

Run `python -m literategpt.attention` to follow three tokens through one head and back.
"""

import math
from typing import NamedTuple

import numpy as np

from literategpt.activations import check_floating, softmax, softmax_backward
from literategpt.layers import (
    Linear,
    LinearSaved,
    Module,
    check_positive,
    prefixed,
)
from literategpt.types import Array, Gradients

__all__ = [
    "KVCache",
    "MultiHeadAttention",
    "create_causal_mask",
    "scaled_dot_product_attention",
    "scaled_dot_product_attention_backward",
]


def create_causal_mask(query_length: int, key_length: int | None = None) -> Array:
    """Say which positions each position may look at: itself and those before it.

    () -> (query_length, key_length), boolean, True where attention is allowed

    The two sequences are aligned at their ends: the last query is at the last key.
    So a single new token, after others that were read before, sees all of them.

    Args:
        query_length: Number of positions that ask.
        key_length: Number of positions that can be looked at; as many as ask unless given.

    Returns:
        The mask.

    Raises:
        ValueError: A length is not a positive integer, or there are fewer keys than queries.

    Examples:
        >>> print(create_causal_mask(3).astype(int))
        [[1 0 0]
         [1 1 0]
         [1 1 1]]
        >>> print(create_causal_mask(1, 3).astype(int))
        [[1 1 1]]
    """
    key_length = query_length if key_length is None else key_length
    check_positive(query_length=query_length, key_length=key_length)
    if key_length < query_length:
        raise ValueError(
            f"expected at least as many keys as queries, got {query_length} queries "
            f"and {key_length} keys"
        )
    return np.tri(query_length, key_length, key_length - query_length, dtype=bool)


def check_attention_shapes(query: Array, key: Array, value: Array, mask: Array | None) -> None:
    """Refuse queries, keys, values and masks that do not fit together.

    Raises:
        ValueError: What does not fit, with the shapes or the dtype given.
    """
    for array in (query, key, value):
        check_floating(array)
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ValueError(
            f"expected query, key and value of at least two dimensions, got shapes "
            f"{query.shape}, {key.shape} and {value.shape}"
        )
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"expected query and key vectors of one length, got {query.shape[-1]} "
            f"and {key.shape[-1]}"
        )
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(
            f"expected as many keys as values, got {key.shape[-2]} and {value.shape[-2]}"
        )
    if mask is not None:
        if mask.dtype != bool:
            raise ValueError(f"expected a boolean mask, True where allowed, got {mask.dtype}")
        expected = (query.shape[-2], key.shape[-2])
        if mask.ndim < 2 or mask.shape[-2:] != expected:
            raise ValueError(f"expected a mask of shape (..., {expected}), got {mask.shape}")


def scaled_dot_product_attention(
    query: Array, key: Array, value: Array, mask: Array | None = None
) -> tuple[Array, Array]:
    r"""Let each query take a weighted average of the values, weighted by how well the keys match.

    (..., T, D), (..., S, D), (..., S, E) -> (..., T, E), (..., T, S)

    $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{D}}\right) V$$

    The mask acts before the softmax, so that a forbidden position gets a weight of exactly 0 and
    the others still sum to 1.
    A query that may look nowhere gets weights and an output of all zeros.

    Args:
        query: One vector for each position that asks.
        key: One vector for each position that can be looked at.
        value: What each of those positions has to give.
        mask: True where attention is allowed; any shape that broadcasts to (..., T, S).

    Returns:
        The output, and the attention weights, which backward needs.

    Raises:
        ValueError: The shapes do not fit, or the mask is not boolean.

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762, equation 1.

    Examples:
        >>> scores = np.log([1.0, 2.0, 5.0])
        >>> key = scores[:, None] * np.ones(4)
        >>> query = np.full((3, 4), 0.5)  # so that the scaled scores are ln 1, ln 2, ln 5
        >>> value = np.array([[8.0, 0.0], [0.0, 8.0], [4.0, 4.0]])
        >>> output, weights = scaled_dot_product_attention(
        ...     query, key, value, create_causal_mask(3))
        >>> print(weights.round(3))
        [[1.    0.    0.   ]
         [0.333 0.667 0.   ]
         [0.125 0.25  0.625]]
        >>> print(output.round(3))
        [[8.    0.   ]
         [2.667 5.333]
         [3.5   4.5  ]]
    """
    check_attention_shapes(query, key, value, mask)
    # Score every query against every key.
    scores: Array = query @ np.swapaxes(key, -1, -2)
    scores *= 1.0 / math.sqrt(query.shape[-1])
    # Forbid before the softmax: minus infinity becomes a weight of 0.
    if mask is not None:
        np.copyto(scores, -np.inf, where=~mask)
    weights = softmax(scores)
    return weights @ value, weights


def scaled_dot_product_attention_backward(
    grad_output: Array, query: Array, key: Array, value: Array, weights: Array
) -> tuple[Array, Array, Array]:
    r"""Carry a gradient back to the queries, the keys and the values.

    (..., T, E), (..., T, D), (..., S, D), (..., S, E), (..., T, S)
    -> (..., T, D), (..., S, D), (..., S, E)

    $$dV = P^\top\, dO, \qquad dP = dO\, V^\top, \qquad
      dS = P \circ \bigl(dP - \mathrm{rowsum}(dP \circ P)\bigr)$$

    $$dQ = \frac{dS\, K}{\sqrt{D}}, \qquad dK = \frac{dS^\top Q}{\sqrt{D}}$$

    P are the weights, and each d is the slope of the loss with respect to what follows it.
    The mask does not appear: where it forbade, the weight is 0, and `softmax_backward` multiplies
    by the weight.

    Args:
        grad_output: Slope of the loss with respect to the output.
        query: What forward was given.
        key: What forward was given.
        value: What forward was given.
        weights: What forward returned.

    Returns:
        The slopes with respect to query, key and value.

    Reference:
        The forward pass is equation 1 of Vaswani et al. 2017, arXiv:1706.03762.

    Examples:
        >>> query = key = np.zeros((2, 1))
        >>> value = np.array([[8.0], [0.0]])
        >>> output, weights = scaled_dot_product_attention(query, key, value)
        >>> grad_query, grad_key, grad_value = scaled_dot_product_attention_backward(
        ...     np.array([[1.0], [0.0]]), query, key, value, weights)
        >>> print(grad_value)
        [[0.5]
         [0.5]]
    """
    # output = weights @ value
    grad_value = np.swapaxes(weights, -1, -2) @ grad_output
    grad_weights = grad_output @ np.swapaxes(value, -1, -2)
    # weights = softmax(scores)
    grad_scores = softmax_backward(grad_weights, weights)
    # scores = (query @ keyᵀ) / sqrt(D)
    grad_scores *= 1.0 / math.sqrt(query.shape[-1])
    grad_query = grad_scores @ key
    grad_key = np.swapaxes(grad_scores, -1, -2) @ query
    return grad_query, grad_key, grad_value


def split_heads(x: Array, num_heads: int) -> Array:
    """Cut each vector into one part a head, and set the heads before the positions.

    (B, T, C) -> (B, H, T, D) with D = C / H

    First reshape, then transpose: reshaping to (B, H, T, D) at once has the right shape and
    mixes positions with features.

    Examples:
        >>> x = np.arange(8).reshape(1, 2, 4)  # two tokens, four features
        >>> print(split_heads(x, 2)[0, 0])  # the first head has half of each token
        [[0 1]
         [4 5]]
    """
    batch, time, channels = x.shape
    heads = x.reshape(batch, time, num_heads, channels // num_heads)
    # Lay each head's numbers side by side in memory: matrix products run faster on them.
    return np.ascontiguousarray(heads.transpose(0, 2, 1, 3))


def join_heads(heads: Array) -> Array:
    """Put the heads' parts of each vector together again; undoes `split_heads`.

    (B, H, T, D) -> (B, T, C)

    Examples:
        >>> x = np.arange(8).reshape(1, 2, 4)
        >>> print(join_heads(split_heads(x, 2))[0])
        [[0 1 2 3]
         [4 5 6 7]]
    """
    batch, num_heads, time, head_dim = heads.shape
    return heads.transpose(0, 2, 1, 3).reshape(batch, time, num_heads * head_dim)


class AttentionSaved(NamedTuple):
    """What `MultiHeadAttention.backward` needs; `weights` is what the figures show."""

    input: LinearSaved  # (B, T, C), the input of the three projections
    query: Array  # (B, H, T, D)
    key: Array  # (B, H, T, D)
    value: Array  # (B, H, T, D)
    weights: Array  # (B, H, T, T)
    output: LinearSaved  # (B, T, C), the input of the last projection


class KVCache:
    """The keys and values of the tokens read so far, for every layer.

    Room for the longest sequence is made at once; `length` says how much of it is filled.

    Args:
        num_layers: Number of attention layers.
        batch_size: Number of sequences, B.
        num_heads: H.
        max_sequence_length: The most tokens it can hold.
        head_dim: D.
        dtype: "float32" or "float64".

    Attributes:
        length: Number of tokens whose keys and values every layer has.

    Examples:
        >>> cache = KVCache(1, batch_size=1, num_heads=1, max_sequence_length=4, head_dim=2)
        >>> new = np.ones((1, 1, 3, 2), "float32")
        >>> keys, values = cache.append(0, new, new)
        >>> cache.advance(3)
        >>> keys.shape, cache.length
        ((1, 1, 3, 2), 3)
    """

    def __init__(
        self,
        num_layers: int,
        *,
        batch_size: int,
        num_heads: int,
        max_sequence_length: int,
        head_dim: int,
        dtype: str = "float32",
    ) -> None:
        check_positive(num_layers=num_layers, batch_size=batch_size, num_heads=num_heads)
        check_positive(max_sequence_length=max_sequence_length, head_dim=head_dim)
        shape = (num_layers, batch_size, num_heads, max_sequence_length, head_dim)
        self.keys = np.zeros(shape, dtype)
        self.values = np.zeros(shape, dtype)
        self.length = 0

    @property
    def max_sequence_length(self) -> int:
        """The most tokens the cache can hold."""
        return self.keys.shape[3]

    def append(self, layer: int, keys: Array, values: Array) -> tuple[Array, Array]:
        """Write a layer's new keys and values after the old ones, and return all of them.

        (B, H, T, D), (B, H, T, D) -> (B, H, S, D), (B, H, S, D) with S = length + T

        Raises:
            ValueError: The shapes do not fit, or there is no room; nothing is written then.
        """
        end = self.length + keys.shape[2]
        expected = (*self.keys.shape[1:3], keys.shape[2], self.keys.shape[4])
        if keys.shape != expected or values.shape != expected:
            raise ValueError(
                f"expected keys and values of shape {expected}, got {keys.shape} and {values.shape}"
            )
        if end > self.max_sequence_length:
            raise ValueError(
                f"expected at most {self.max_sequence_length} tokens in the cache, got {end}"
            )
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, count: int) -> None:
        """Count the new tokens as read, once every layer has appended them."""
        self.length += count


class MultiHeadAttention(Module):
    """Several attention heads side by side, each with its own part of the features.

    (B, T, C) -> (B, T, C)

    The input is projected three times, to queries, keys and values.
    Each is cut into H parts of D = C / H features; each head attends with its own part, and a last
    projection mixes what the heads found.

    Args:
        embedding_dim: Length of a vector, C; a multiple of `num_heads`.
        num_heads: H.
        rng: Draws the initial weights.
        dtype: "float32", or "float64" for checks.

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.

    Examples:
        >>> layer = MultiHeadAttention(8, 2, rng=np.random.default_rng(0))
        >>> x = np.random.default_rng(1).normal(size=(1, 3, 8)).astype("float32")
        >>> output, saved = layer.forward(x, mask=create_causal_mask(3))
        >>> output.shape, saved.weights.shape
        ((1, 3, 8), (1, 2, 3, 3))
        >>> print(saved.weights[0, 0, 0])  # the first position sees only itself
        [1. 0. 0.]
    """

    def __init__(
        self,
        embedding_dim: int,
        num_heads: int,
        *,
        rng: np.random.Generator,
        dtype: str = "float32",
    ) -> None:
        check_positive(embedding_dim=embedding_dim, num_heads=num_heads)
        if embedding_dim % num_heads:
            raise ValueError(
                f"expected embedding_dim to be a multiple of num_heads, "
                f"got {embedding_dim} and {num_heads}"
            )
        self.num_heads = num_heads
        self.query = Linear(embedding_dim, embedding_dim, rng=rng, dtype=dtype)
        self.key = Linear(embedding_dim, embedding_dim, rng=rng, dtype=dtype)
        self.value = Linear(embedding_dim, embedding_dim, rng=rng, dtype=dtype)
        self.output = Linear(embedding_dim, embedding_dim, rng=rng, dtype=dtype)

    def project(self, x: Array) -> tuple[Array, Array, Array]:
        """Make the queries, keys and values of every head, (B, T, C) -> three of (B, H, T, D)."""
        if x.ndim != 3:
            raise ValueError(f"MultiHeadAttention expected (B, T, C), got shape {x.shape}")
        return (
            split_heads(self.query(x), self.num_heads),
            split_heads(self.key(x), self.num_heads),
            split_heads(self.value(x), self.num_heads),
        )

    def forward(
        self, x: Array, *, mask: Array | None = None, rng: np.random.Generator | None = None
    ) -> tuple[Array, AttentionSaved]:
        """Attend in every head, then mix.

        Args:
            x: (B, T, C).
            mask: True where attention is allowed, broadcast to (B, H, T, T); none unless given.
            rng: Not used; attention has no dropout of its own.
        """
        query, key, value = self.project(x)
        attended, weights = scaled_dot_product_attention(query, key, value, mask)
        output, output_saved = self.output.forward(join_heads(attended))
        return output, AttentionSaved(LinearSaved(x), query, key, value, weights, output_saved)

    def backward(self, grad_output: Array, saved: AttentionSaved) -> tuple[Array, Gradients]:
        """Carry a gradient back through the mixing, the heads and the three projections."""
        # output = self.output(join_heads(attended))
        grad_joined, gradients_output = self.output.backward(grad_output, saved.output)
        grad_attended = split_heads(grad_joined, self.num_heads)
        # attended, weights = scaled_dot_product_attention(query, key, value, mask)
        grad_heads = scaled_dot_product_attention_backward(
            grad_attended, saved.query, saved.key, saved.value, saved.weights
        )
        # query, key, value = split_heads(projection(x)), so three paths lead back to x
        grad_query, grad_key, grad_value = (join_heads(grad) for grad in grad_heads)
        grad_x_query, gradients_query = self.query.backward(grad_query, saved.input)
        grad_x_key, gradients_key = self.key.backward(grad_key, saved.input)
        grad_x_value, gradients_value = self.value.backward(grad_value, saved.input)
        gradients = (
            prefixed("query", gradients_query)
            | prefixed("key", gradients_key)
            | prefixed("value", gradients_value)
            | prefixed("output", gradients_output)
        )
        return grad_x_query + grad_x_key + grad_x_value, gradients

    def extend(self, x: Array, cache: KVCache, layer: int) -> Array:
        """Attend from new tokens to those in the cache and to themselves.

        (B, T, C) -> (B, T, C); the keys and values of the new tokens are added to the cache.
        """
        query, new_keys, new_values = self.project(x)
        keys, values = cache.append(layer, new_keys, new_values)
        # A single new token comes last and sees everything: it needs no mask.
        mask = create_causal_mask(x.shape[1], keys.shape[2]) if x.shape[1] > 1 else None
        attended, _ = scaled_dot_product_attention(query, keys, values, mask)
        return self.output(join_heads(attended))


if __name__ == "__main__":
    from literategpt.demos.attention import main

    main()
