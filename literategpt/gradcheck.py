"""Proof that a backward pass is right: nudge every number, and compare the slopes.

A gradient claims: change this number a little, and the loss changes by so much.
So each claim can be tried: move the number up and down by a small step, and divide the difference
of the two losses by twice the step.
Nothing is assumed about how the backward pass was written.

Use float64, where the rounding of a loss does not drown the difference, and a random upstream
gradient: with all ones, softmax and LayerNorm would have a gradient of zero whatever their code.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from literategpt.layers import Module
from literategpt.model import GPTModel, cross_entropy_loss
from literategpt.types import Array, Gradients

__all__ = [
    "GradientCheck",
    "check_layer",
    "check_model",
    "gradient_error",
    "numerical_gradient",
    "randomize_parameters",
]

STEP = 1e-5
"""How far a number is moved, up and down."""

ZERO = 1e-9
"""Where the true gradient is zero, both gradients must stay below this."""


class GradientCheck(NamedTuple):
    """The worst disagreement that a check found, and the tensor it was found in.

    Examples:
        >>> print(GradientCheck(0.25, "bias", {"weight": 1e-9, "bias": 0.25}))
        largest error 2.5e-01 in bias, of 2 tensors
    """

    error: float
    name: str
    errors: dict[str, float]

    def __str__(self) -> str:
        """Say the worst error and where it is."""
        return f"largest error {self.error:.1e} in {self.name}, of {len(self.errors)} tensors"


def numerical_gradient(function: Callable[[], float], array: Array, step: float = STEP) -> Array:
    r"""Measure the slope of a function with respect to every number of an array.

    $$\frac{f(x + h) - f(x - h)}{2h}$$

    Args:
        function: Returns a number that depends on the array.
        array: float64; each number is moved and put back, so it must not be read-only.
        step: How far each is moved, h.

    Returns:
        An array of slopes, of the array's shape.

    Raises:
        ValueError: The array is not float64.

    Examples:
        >>> w = np.array([1.0])
        >>> print(numerical_gradient(lambda: float((3 * w[0] - 1) ** 2), w).round(6))
        [12.]
    """
    if array.dtype != np.float64:
        raise ValueError(f"expected a float64 array, got {array.dtype}")
    slopes = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        before = array[index]
        array[index] = before + step
        above = function()
        array[index] = before - step
        below = function()
        array[index] = before
        slopes[index] = (above - below) / (2.0 * step)
    return slopes


def randomize_parameters(module: Module, rng: np.random.Generator, std: float = 0.5) -> None:
    """Draw every parameter anew, in place, so that a check meets no special values.

    A fresh layer has gains of exactly 1, biases of exactly 0 and weights so small that its curves
    look straight; mistakes can hide behind each.

    Args:
        module: A layer or a model.
        rng: Draws the values.
        std: Standard deviation; gains are drawn around 1, all else around 0.

    Examples:
        >>> from literategpt.layers import LayerNorm
        >>> norm = LayerNorm(3, dtype="float64")
        >>> randomize_parameters(norm, np.random.default_rng(0))
        >>> print(norm.weight.round(2), norm.bias.round(2))
        [1.06 0.93 1.32] [ 0.05 -0.27  0.18]
    """
    for name, array in module.named_parameters().items():
        is_gain = array.ndim == 1 and name.endswith("weight")
        array[...] = rng.normal(1.0 if is_gain else 0.0, std, array.shape)


def gradient_error(analytic: Array, numerical: Array) -> float:
    r"""Compare two gradients of one tensor.

    $$\frac{\max |a - n|}{\max(\max |a|, \max |n|)}$$

    Where both stay below 1e-9 the true gradient is zero, and so is the error.

    Args:
        analytic: What a backward pass returned, a.
        numerical: What nudging measured, n.

    Returns:
        The error; infinite if one of them is not finite.

    Raises:
        ValueError: The shapes differ.

    Examples:
        >>> gradient_error(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
        0.2
    """
    if analytic.shape != numerical.shape:
        raise ValueError(
            f"expected gradients of one shape, got {analytic.shape} and {numerical.shape}"
        )
    if not (np.isfinite(analytic).all() and np.isfinite(numerical).all()):
        return float("inf")
    size = max(float(np.max(np.abs(analytic))), float(np.max(np.abs(numerical))))
    if size < ZERO:
        return 0.0
    return float(np.max(np.abs(analytic - numerical))) / size


def check_gradients(
    function: Callable[[], float], arrays: dict[str, Array], gradients: Gradients
) -> GradientCheck:
    """Nudge every number of every array, and compare with the gradients given.

    Args:
        function: Returns a number that depends on the arrays.
        arrays: What is moved.
        gradients: What a backward pass claims, under the same names.

    Raises:
        ValueError: The names are not the same.
    """
    if arrays.keys() != gradients.keys():
        differing = sorted(arrays.keys() ^ gradients.keys())
        raise ValueError(f"expected one gradient for each array, got a difference in {differing}")
    errors = {
        name: gradient_error(gradients[name], numerical_gradient(function, array))
        for name, array in arrays.items()
    }
    worst = max(errors, key=lambda name: errors[name])
    return GradientCheck(errors[worst], worst, errors)


def check_layer(
    layer: Module, x: Array, *, rng: np.random.Generator, dropout_seed: int | None = None
) -> GradientCheck:
    """Check a layer's backward pass: its input and each of its trainable parameters.

    The number that is differentiated is the sum of the output times a random array.

    Args:
        layer: A float64 layer.
        x: Its input, float64; integers, such as token ids, are not moved.
        rng: Draws the random upstream gradient.
        dropout_seed: Given, forward trains, each time with a fresh generator from this seed.

    Returns:
        The worst error, and where; below 1e-6 for a right backward pass.

    Examples:
        >>> from literategpt.layers import LayerNorm
        >>> rng = np.random.default_rng(0)
        >>> norm = LayerNorm(4, dtype="float64")
        >>> check = check_layer(norm, rng.normal(size=(2, 3, 4)), rng=rng)
        >>> check.error < 1e-6, sorted(check.errors)
        (True, ['bias', 'input', 'weight'])
    """

    def forward() -> tuple[Array, object]:
        generator = None if dropout_seed is None else np.random.default_rng(dropout_seed)
        return layer.forward(x, rng=generator)

    output, saved = forward()
    upstream = rng.normal(size=output.shape)
    grad_input, gradients = layer.backward(upstream, saved)
    arrays = dict(layer.trainable_parameters())
    if grad_input is not None:
        arrays, gradients = {"input": x} | arrays, {"input": grad_input} | gradients
    return check_gradients(lambda: float(np.sum(forward()[0] * upstream)), arrays, gradients)


def check_model(
    model: GPTModel,
    tokens: Array,
    targets: Array,
    *,
    ignore_index: int | None = None,
    dropout_seed: int | None = None,
) -> GradientCheck:
    """Check the loss's gradient with respect to every trainable parameter of a whole model.

    Args:
        model: A float64 model, small enough to run twice for each of its numbers.
        tokens: (B, T).
        targets: (B, T).
        ignore_index: As for `cross_entropy_loss`.
        dropout_seed: Given, forward trains, each time with a fresh generator from this seed.

    Returns:
        The worst error, and the parameter it was found in.

    Examples:
        >>> from literategpt.model import GPTConfig
        >>> config = GPTConfig(vocabulary_size=5, max_sequence_length=4, embedding_dim=4,
        ...     num_heads=2, num_layers=1, feed_forward_dim=8, dtype="float64")
        >>> rng = np.random.default_rng(0)
        >>> model = GPTModel(config, rng=rng)
        >>> randomize_parameters(model, rng)
        >>> check = check_model(model, np.array([[1, 2, 1]]), np.array([[2, 1, 3]]))
        >>> check.error < 1e-6, len(check.errors)
        (True, 19)
    """

    def forward() -> tuple[float, Array, object]:
        generator = None if dropout_seed is None else np.random.default_rng(dropout_seed)
        logits, saved = model.forward(tokens, rng=generator)
        return *cross_entropy_loss(logits, targets, ignore_index), saved

    _, grad_logits, saved = forward()
    gradients = model.backward(grad_logits, saved)  # type: ignore[arg-type]
    return check_gradients(lambda: forward()[0], model.trainable_parameters(), gradients)
