"""The layers of a transformer: Linear, LayerNorm, Embedding, PositionalEncoding, Dropout.

A layer owns arrays, its parameters, and offers two methods.

`forward(x)` returns the output and a small named tuple, `saved`: what backward will need.
`backward(grad_output, saved)` returns the slope of the loss with respect to x, and a dictionary
with the slope for each parameter, under the parameter's name.

A layer remembers nothing between the two.
So one layer can be used twice in a pass, several threads can share it, and whatever backward uses
can be looked at in `saved`.

Randomness is an argument too: `forward(x, rng=generator)` means training, and only `Dropout` draws
from the generator; without one the layer evaluates.

Run `python -m literategpt.layers` to see each layer on numbers small enough for a pencil.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from literategpt.activations import sum_of_products
from literategpt.types import Array, Gradients

__all__ = ["Dropout", "Embedding", "LayerNorm", "Linear", "Module", "PositionalEncoding"]

INITIAL_STD = 0.02
"""Standard deviation of a weight before training, as in GPT-2."""


def prefixed(name: str, arrays: dict[str, Array]) -> dict[str, Array]:
    """Put a module's name before each of its arrays' names.

    Examples:
        >>> prefixed("query", {"weight": 1, "bias": 2})
        {'query.weight': 1, 'query.bias': 2}
    """
    return {f"{name}.{key}": value for key, value in arrays.items()}


class Module:
    """A part of a model: it owns parameters and other modules, and knows their names.

    A subclass lists its own arrays in `parameter_names`; its children are whatever modules stand
    in its attributes, alone or in a list.
    Parameters are changed in place and never rebound, so whoever holds the array holds the model.

    Examples:
        >>> layer = Linear(2, 3, rng=np.random.default_rng(0))
        >>> {name: array.shape for name, array in layer.named_parameters().items()}
        {'weight': (2, 3), 'bias': (3,)}
        >>> layer.freeze()
        >>> layer.trainable_parameters()
        {}
    """

    parameter_names: tuple[str, ...] = ()
    """The attributes that hold this module's own arrays; one that is None does not count."""

    frozen_names: frozenset[str] = frozenset()
    """Those of `parameter_names` that training leaves alone."""

    def forward(self, x: Array, *, rng: np.random.Generator | None = None) -> tuple[Array, Any]:
        """Return the output and what `backward` needs; a generator means training."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, grad_output: Array, saved: Any) -> tuple[Any, Gradients]:
        """Return the gradient of the input and one gradient a trainable parameter."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def __call__(self, x: Array) -> Array:
        """Evaluate: the output alone, without dropout."""
        return self.forward(x)[0]

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield the modules directly inside this one, each with its name."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list):
                yield from ((f"{name}.{i}", m) for i, m in enumerate(value))

    def named_parameters(self) -> dict[str, Array]:
        """List every array once, under its dotted name."""
        return self._collect(trainable_only=False)

    def trainable_parameters(self) -> dict[str, Array]:
        """List the arrays that are not frozen; backward returns a gradient for exactly these."""
        return self._collect(trainable_only=True)

    def freeze(self) -> None:
        """Take every array of this module and of those inside it out of training."""
        self.frozen_names = frozenset(self.parameter_names)
        for _, child in self.children():
            child.freeze()

    def unfreeze(self) -> None:
        """Put every array of this module and of those inside it back into training."""
        self.frozen_names = frozenset()
        for _, child in self.children():
            child.unfreeze()

    def trains(self, name: str) -> bool:
        """Tell whether this module's own array of that name exists and is not frozen."""
        return getattr(self, name) is not None and name not in self.frozen_names

    def _collect(self, trainable_only: bool) -> dict[str, Array]:
        own = (n for n in self.parameter_names if getattr(self, n) is not None)
        found = {n: getattr(self, n) for n in own if self.trains(n) or not trainable_only}
        for child_name, child in self.children():
            found |= prefixed(child_name, child._collect(trainable_only))
        return found


def draw_weights(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Draw initial values in float64, then round: both dtypes start from the same model."""
    return rng.normal(0.0, INITIAL_STD, shape).astype(dtype)


def check_last_dimension(x: Array, expected: int, layer: str) -> None:
    """Refuse an input whose last dimension is not the layer's.

    Raises:
        ValueError: The last dimension differs; both are named.
    """
    if x.ndim == 0 or x.shape[-1] != expected:
        raise ValueError(f"{layer} expected an input of shape (..., {expected}), got {x.shape}")


def check_positive(**sizes: int) -> None:
    """Refuse sizes that are not positive integers.

    Raises:
        ValueError: One of them is not; its name and value are given.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"expected {name} to be a positive integer, got {size!r}")


class LinearSaved(NamedTuple):
    """What `Linear.backward` needs: the input."""

    input: Array


def sum_rows(matrix: Array) -> Array:
    """Add up the rows of a matrix, (N, C) -> (C,), faster than `sum(axis=0)` for tall matrices.

    Examples:
        >>> print(sum_rows(np.array([[1.0, 2.0], [3.0, 4.0]])))
        [4. 6.]
    """
    total: Array = np.ones(len(matrix), matrix.dtype) @ matrix
    return total


class Linear(Module):
    r"""A matrix product and a shift: each output is a weighted sum of all inputs.

    (..., in_features) -> (..., out_features)

    $$y = x W + b$$

    Args:
        in_features: Length of an input vector.
        out_features: Length of an output vector.
        bias: Whether there is a shift b; it starts at zero.
        rng: Draws the initial weights, normal with standard deviation 0.02.
        dtype: "float32", or "float64" for checks.

    Attributes:
        weight: (in_features, out_features), so that the formula is the line of code.
        bias: (out_features,), or None.

    Examples:
        >>> layer = Linear(2, 2, rng=np.random.default_rng(0), dtype="float64")
        >>> layer.weight[...] = [[3, 0], [1, -1]]
        >>> x = np.array([[1.0, 2.0]])
        >>> output, saved = layer.forward(x)
        >>> print(output)
        [[ 5. -2.]]
        >>> grad_x, gradients = layer.backward(np.array([[1.0, 10.0]]), saved)
        >>> print(grad_x)
        [[ 3. -9.]]
        >>> print(gradients["weight"])
        [[ 1. 10.]
         [ 2. 20.]]
    """

    parameter_names: tuple[str, ...] = ("weight", "bias")

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        rng: np.random.Generator,
        dtype: str = "float32",
    ) -> None:
        check_positive(in_features=in_features, out_features=out_features)
        self.weight = draw_weights(rng, (in_features, out_features), dtype)
        self.bias = np.zeros(out_features, dtype) if bias else None

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, LinearSaved]:
        """Multiply by the weight and add the bias."""
        in_features, out_features = self.weight.shape
        check_last_dimension(x, in_features, "Linear")
        # Lay all vectors under one another: one large product is faster than many small ones.
        output: Array = x.reshape(-1, in_features) @ self.weight
        if self.bias is not None:
            output += self.bias
        return output.reshape(*x.shape[:-1], out_features), LinearSaved(x)

    def backward(self, grad_output: Array, saved: LinearSaved) -> tuple[Array, Gradients]:
        r"""Carry a gradient back through the product and the shift.

        $$\frac{\partial L}{\partial x} = g W^\top, \qquad
          \frac{\partial L}{\partial W} = x^\top g, \qquad
          \frac{\partial L}{\partial b} = \sum_n g_n$$

        Args:
            grad_output: Slope of the loss with respect to the output, (..., out_features).
            saved: What `forward` returned.

        Returns:
            The slope with respect to the input, and the gradients of weight and bias.
        """
        in_features, out_features = self.weight.shape
        grad = grad_output.reshape(-1, out_features)
        gradients: Gradients = {}
        # output = x @ weight
        if self.trains("weight"):
            gradients["weight"] = saved.input.reshape(-1, in_features).T @ grad
        # output += bias: the bias was copied to every row, so its gradients add
        if self.trains("bias"):
            gradients["bias"] = sum_rows(grad)
        grad_input = grad @ self.weight.T
        return grad_input.reshape(saved.input.shape), gradients


class LayerNormSaved(NamedTuple):
    """What `LayerNorm.backward` needs: the normalized input and one over its spread."""

    normalized: Array  # (..., C)
    inverse_std: Array  # (..., 1)


class LayerNorm(Module):
    r"""Shift and stretch each vector to mean 0 and variance 1, then let it be re-scaled.

    (..., C) -> (..., C)

    $$\hat{x} = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}, \qquad y = w\,\hat{x} + b$$

    The mean and the variance are those of one vector, over its C features, so a token's result
    does not depend on the other tokens.
    The variance divides by C, and $\epsilon$ stands inside the root.

    Args:
        embedding_dim: Length of a vector, C.
        eps: Keeps the root away from 0.
        dtype: "float32", or "float64" for checks.

    Attributes:
        weight: (C,), starts at 1.
        bias: (C,), starts at 0.

    Reference:
        Ba, Kiros and Hinton 2016, arXiv:1607.06450, equation 4.

    Examples:
        >>> norm = LayerNorm(4, dtype="float64")
        >>> print(norm(np.array([[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 6.0, 6.0]])).round(3))
        [[-1. -1.  1.  1.]
         [-1. -1.  1.  1.]]
    """

    parameter_names = ("weight", "bias")

    def __init__(self, embedding_dim: int, eps: float = 1e-5, *, dtype: str = "float32") -> None:
        check_positive(embedding_dim=embedding_dim)
        self.eps = float(eps)
        self.weight = np.ones(embedding_dim, dtype)
        self.bias = np.zeros(embedding_dim, dtype)

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, LayerNormSaved]:
        """Normalize each vector, then multiply by the weight and add the bias."""
        check_last_dimension(x, len(self.weight), "LayerNorm")
        size = x.shape[-1]
        normalized: Array = x - x.sum(axis=-1, keepdims=True) / size
        # Take the variance of the centred values: E[x²] - E[x]² would lose digits.
        variance = sum_of_products(normalized, normalized) / size
        inverse_std = 1.0 / np.sqrt(variance + self.eps)
        normalized *= inverse_std
        output: Array = normalized * self.weight
        output += self.bias
        return output, LayerNormSaved(normalized, inverse_std)

    def backward(self, grad_output: Array, saved: LayerNormSaved) -> tuple[Array, Gradients]:
        r"""Carry a gradient back through the normalization.

        Every feature of a vector helped to make its mean and its spread, so two averages are
        taken away: the gradient cannot point along a shift of x, which leaves the output as it
        is, nor, as long as the variance is large against eps, along a stretch.

        $$\frac{\partial L}{\partial x} = \frac{\hat g - \mathrm{mean}(\hat g)
          - \hat x \, \mathrm{mean}(\hat g \hat x)}{\sqrt{\sigma^2 + \epsilon}},
          \qquad \hat g = g\, w$$

        Args:
            grad_output: Slope of the loss with respect to the output, (..., C).
            saved: What `forward` returned.

        Returns:
            The slope with respect to the input, and the gradients of weight and bias.
        """
        normalized, inverse_std = saved
        size = normalized.shape[-1]
        gradients: Gradients = {}
        # output = normalized * weight + bias
        if self.trains("weight"):
            gradients["weight"] = sum_rows((grad_output * normalized).reshape(-1, size))
        if self.trains("bias"):
            gradients["bias"] = sum_rows(grad_output.reshape(-1, size))
        grad_normalized = grad_output * self.weight
        # normalized = (x - mean) * inverse_std, where mean and inverse_std depend on x
        along_shift = grad_normalized.sum(axis=-1, keepdims=True) / size
        along_stretch = sum_of_products(grad_normalized, normalized) / size
        grad_input: Array = grad_normalized - along_shift
        grad_input -= normalized * along_stretch
        grad_input *= inverse_std
        return grad_input, gradients


class EmbeddingSaved(NamedTuple):
    """What `Embedding.backward` needs: which rows were taken."""

    ids: Array


def check_token_ids(ids: Array, vocabulary_size: int) -> None:
    """Refuse ids that are not integers or that have no row in the table.

    Raises:
        ValueError: The dtype or one of the ids does not fit.

    Examples:
        >>> check_token_ids(np.array([3, 9]), 5)
        Traceback (most recent call last):
            ...
        ValueError: expected token ids from 0 to 4, got 9
    """
    if not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"expected token ids of an integer dtype, got {ids.dtype}")
    outside = (ids < 0) | (ids >= vocabulary_size)
    if outside.any():
        first = ids[outside].flat[0]
        raise ValueError(f"expected token ids from 0 to {vocabulary_size - 1}, got {first}")


class Embedding(Module):
    r"""A table with one row of numbers a token: looking a token up is taking its row.

    (...) integers -> (..., embedding_dim)

    Args:
        vocabulary_size: Number of rows, V.
        embedding_dim: Length of a row, C.
        rng: Draws the initial rows, normal with standard deviation 0.02.
        dtype: "float32", or "float64" for checks.

    Attributes:
        weight: (V, C).

    Examples:
        >>> table = Embedding(4, 2, rng=np.random.default_rng(0), dtype="float64")
        >>> output, saved = table.forward(np.array([1, 3, 1]))
        >>> _, gradients = table.backward(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), saved)
        >>> print(gradients["weight"])  # row 1 was taken twice: its gradients add
        [[0. 0.]
         [6. 8.]
         [0. 0.]
         [3. 4.]]
    """

    parameter_names = ("weight",)

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        *,
        rng: np.random.Generator,
        dtype: str = "float32",
    ) -> None:
        check_positive(vocabulary_size=vocabulary_size, embedding_dim=embedding_dim)
        self.weight = draw_weights(rng, (vocabulary_size, embedding_dim), dtype)

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, EmbeddingSaved]:
        """Take the row of each token id.

        Raises:
            ValueError: An id is not an integer, or not in 0 ... V - 1.
        """
        check_token_ids(x, len(self.weight))
        return self.weight[x], EmbeddingSaved(x)

    def backward(self, grad_output: Array, saved: EmbeddingSaved) -> tuple[None, Gradients]:
        """Add each position's gradient to the row it was taken from.

        Returns:
            None, since a token id has no slope, and the gradient of the table.
        """
        gradients: Gradients = {}
        if self.trains("weight"):
            grad_weight = np.zeros_like(self.weight)
            # output = weight[ids]: a row taken twice receives two gradients
            np.add.at(grad_weight, saved.ids, grad_output)
            gradients["weight"] = grad_weight
        return None, gradients


def sinusoid_table(max_sequence_length: int, embedding_dim: int) -> Array:
    r"""Make the table of position vectors, in float64.

    () -> (max_sequence_length, embedding_dim)

    $$\mathrm{table}[p, 2i] = \sin\frac{p}{10000^{2i/d}}, \qquad
      \mathrm{table}[p, 2i+1] = \cos\frac{p}{10000^{2i/d}}$$

    Each pair of columns is a clock hand; the first turns by one radian a position, the last,
    with many columns, close to ten thousand times slower.

    Raises:
        ValueError: A size is not positive, or embedding_dim is odd: a hand needs two columns.

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.5.

    Examples:
        >>> print(sinusoid_table(2, 4).round(3))
        [[0.    1.    0.    1.   ]
         [0.841 0.54  0.01  1.   ]]
    """
    check_positive(max_sequence_length=max_sequence_length, embedding_dim=embedding_dim)
    if embedding_dim % 2:
        raise ValueError(f"expected an even embedding_dim, got {embedding_dim}")
    positions = np.arange(max_sequence_length)[:, None]
    # Sine and cosine of a pair share the exponent 2i/d.
    exponents = np.arange(0, embedding_dim, 2) / embedding_dim
    angles = positions / 10000.0**exponents
    table = np.empty((max_sequence_length, embedding_dim))
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles)
    return table


def check_positions(start: int, length: int, available: int) -> None:
    """Refuse positions that a table does not have.

    Raises:
        ValueError: `start` is negative, or the last position is past the table's end.
    """
    if start < 0 or start + length > available:
        raise ValueError(
            f"expected positions within 0 to {available - 1}, got {start} to {start + length - 1}"
        )


class PositionalEncoding(Module):
    r"""Add to each token's vector a pattern of waves that says where the token stands.

    (..., T, C) -> (..., T, C)

    $$y_p = x_p + \mathrm{scale} \cdot t_p, \qquad
      t_{p, 2i} = \sin\frac{p}{10000^{2i/C}}, \qquad
      t_{p, 2i+1} = \cos\frac{p}{10000^{2i/C}}$$

    It has no parameters: the table is computed, not learned.

    Args:
        max_sequence_length: Number of positions in the table.
        embedding_dim: Length of a vector, C; even, since sines and cosines come in pairs.
        scale: The table is multiplied by it; 1 is the paper's amplitude.
        dtype: "float32", or "float64" for checks.

    Attributes:
        table: (max_sequence_length, C), not scaled.

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.5.

    Examples:
        >>> positions = PositionalEncoding(8, 4, scale=0.5, dtype="float64")
        >>> print(positions(np.zeros((2, 4))).round(3))
        [[0.    0.5   0.    0.5  ]
         [0.421 0.27  0.005 0.5  ]]
    """

    def __init__(
        self,
        max_sequence_length: int,
        embedding_dim: int,
        *,
        scale: float = 1.0,
        dtype: str = "float32",
    ) -> None:
        self.scale = float(scale)
        self.table = sinusoid_table(max_sequence_length, embedding_dim).astype(dtype)

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None, start: int = 0
    ) -> tuple[Array, None]:
        """Add the scaled rows for the positions start ... start + T - 1.

        Raises:
            ValueError: One of the positions is not in the table.
        """
        check_last_dimension(x, self.table.shape[1], "PositionalEncoding")
        check_positions(start, x.shape[-2], len(self.table))
        return x + self.scale * self.table[start : start + x.shape[-2]], None

    def backward(self, grad_output: Array, saved: None) -> tuple[Array, Gradients]:
        """Pass the gradient on: adding a constant changes no slope."""
        return grad_output, {}


class DropoutSaved(NamedTuple):
    """What `Dropout.backward` needs: the factor of each value, or None where none was drawn."""

    mask: Array | None


class Dropout(Module):
    r"""While training, set each value to 0 with probability `rate` and enlarge the others.

    (...) -> (...)

    A value that stays is divided by 1 - rate, so that the expected value is unchanged and
    evaluation needs no correction.

    Args:
        rate: Probability of dropping a value, from 0 up to, but not including, 1.

    Reference:
        Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from
        Overfitting", section 10 for the scaling while training.

    Examples:
        >>> layer, ones = Dropout(0.5), np.ones(8)
        >>> print(layer.forward(ones, rng=np.random.default_rng(0))[0])
        [2. 2. 2. 0. 0. 0. 0. 0.]
        >>> print(layer(ones))
        [1. 1. 1. 1. 1. 1. 1. 1.]
    """

    def __init__(self, rate: float) -> None:
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"expected a dropout rate in [0, 1), got {rate}")
        self.rate = float(rate)

    def forward(
        self, x: Array, *, rng: np.random.Generator | None = None
    ) -> tuple[Array, DropoutSaved]:
        """Multiply by a mask drawn from `rng`; without one, return x itself."""
        if rng is None or self.rate == 0.0:
            return x, DropoutSaved(None)
        # Draw in float32 whatever the dtype, so that float32 and float64 drop the same values.
        keep = rng.random(x.shape, dtype=np.float32) >= self.rate
        mask = keep.astype(x.dtype)
        mask *= 1.0 / (1.0 - self.rate)
        return x * mask, DropoutSaved(mask)

    def backward(self, grad_output: Array, saved: DropoutSaved) -> tuple[Array, Gradients]:
        """Multiply by the same mask."""
        return (grad_output if saved.mask is None else grad_output * saved.mask), {}


if __name__ == "__main__":
    from literategpt.demos.layers import main

    main()
