"""Softmax and GELU, which the model uses, and ReLU, its simpler relative, with their derivatives.

Everything that a gradient passes through comes in pairs.
The first function of a pair computes a value.
The second takes the slope of the loss with respect to that value, `grad_output`, and returns the
slope of the loss with respect to the input.
What the second function needs from the first stands in its signature: `softmax_backward` takes the
output of `softmax`, `gelu_backward` takes the input of `gelu`.
There is no other channel between the two.

Run `python -m literategpt.activations` to see each curve, and each slope checked by nudging.
"""

import math

import numpy as np

from literategpt.types import Array

__all__ = [
    "gelu",
    "gelu_backward",
    "gelu_gate",
    "relu",
    "relu_backward",
    "softmax",
    "softmax_backward",
]

# Constants are Python floats: a NumPy float64 scalar would turn float32 arrays into float64.
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715


def check_floating(x: Array) -> None:
    """Refuse integers: the results are fractions, and an integer array has no room for them.

    Raises:
        ValueError: The dtype, as given.

    Examples:
        >>> check_floating(np.array([1, 2], dtype="int64"))
        Traceback (most recent call last):
            ...
        ValueError: expected an array of floating-point numbers, got int64
    """
    if x.dtype.kind != "f":
        raise ValueError(f"expected an array of floating-point numbers, got {x.dtype}")


def sum_of_products(first: Array, second: Array, axis: int = -1) -> Array:
    """Multiply two arrays of one shape and add along an axis, which stays, with length 1.

    (..., N), (..., N) -> (..., 1)

    Unlike `np.sum(first * second, ...)` it makes no array for the products.

    Examples:
        >>> print(sum_of_products(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 1.0, 10.0]])))
        [[33.]]
    """
    # NumPy's type stubs do not know these two arguments yet.
    sums: Array = np.vecdot(first, second, axis=axis, keepdims=True)  # type: ignore[call-overload]
    return sums


def softmax(x: Array, axis: int = -1) -> Array:
    r"""Turn scores into positive numbers that sum to 1.

    (..., N) -> (..., N)

    $$\mathrm{softmax}(x)_i = \frac{e^{x_i}}{\sum_j e^{x_j}}$$

    The largest score is subtracted first: that changes nothing in the formula and keeps the
    exponential from overflowing.
    A score of minus infinity becomes exactly 0, and where every score is minus infinity the result
    is all zeros: there is nothing to choose from.

    Args:
        x: Scores, of any shape and floating dtype.
        axis: The axis along which the result sums to 1.

    Returns:
        An array of the same shape and dtype.

    Reference:
        Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".

    Examples:
        >>> scores = np.array([2.0, 1.0, 0.0])
        >>> print(softmax(scores).round(3))
        [0.665 0.245 0.09 ]
        >>> print(softmax(scores + 1000).round(3))
        [0.665 0.245 0.09 ]
    """
    check_floating(x)
    largest = x.max(axis=axis, keepdims=True)
    # Subtract a finite number: minus infinity less itself would be NaN.
    exponentials: Array = x - np.maximum(largest, np.finfo(x.dtype).min)
    np.exp(exponentials, out=exponentials)
    # The largest score adds e**0 = 1, so the total is below 1 only where it is 0.
    total = exponentials.sum(axis=axis, keepdims=True)
    exponentials /= np.maximum(total, 1)
    return exponentials


def softmax_backward(grad_output: Array, output: Array, axis: int = -1) -> Array:
    r"""Carry a gradient back through softmax.

    (..., N), (..., N) -> (..., N)

    $$\frac{\partial L}{\partial x_i} = p_i \left(g_i - \sum_j g_j\, p_j\right)$$

    Raising one score takes probability from all the others, so each slope is compared with the
    average slope under the probabilities.
    The result sums to 0: raising every score by the same amount changes nothing.

    Args:
        grad_output: Slope of the loss with respect to the probabilities, g.
        output: The probabilities that `softmax` returned, p.
        axis: The axis that `softmax` was given.

    Returns:
        Slope of the loss with respect to the scores.

    Examples:
        >>> p = np.array([1 / 8, 2 / 8, 5 / 8])
        >>> print(softmax_backward(np.array([8.0, 0.0, 4.0]), p))
        [ 0.5625 -0.875   0.3125]
    """
    average = sum_of_products(grad_output, output, axis)
    grad_input: Array = grad_output - average
    grad_input *= output
    return grad_input


def gelu_gate(x: Array) -> Array:
    r"""Compute the share of x that GELU lets pass, between 0 and 1.

    (...) -> (...)

    $$g(x) = \tfrac{1}{2}\left(1 + \tanh\!\left(\sqrt{2/\pi}\,(x + 0.044715\,x^3)\right)\right)$$

    By definition the share is the probability that a standard normal number is below x; this is
    its approximation by a hyperbolic tangent, from the same paper, as GPT-2 uses it.
    It is the costly part, and both `gelu` and `gelu_backward` need it: a layer computes it once and
    hands it to both.

    Args:
        x: Values, of any shape and floating dtype.

    Returns:
        An array of the same shape and dtype.

    Reference:
        Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2.

    Examples:
        >>> print(gelu_gate(np.array([-1.0, 0.0, 1.0])).round(4))
        [0.1588 0.5    0.8412]
    """
    check_floating(x)
    # inner = sqrt(2/pi) * (x + 0.044715 x^3), as products: x**3 takes NumPy many times as long
    inner: Array = np.asarray(x * x)
    inner *= _CUBIC * _SQRT_2_OVER_PI
    inner += _SQRT_2_OVER_PI
    inner *= x
    # gate = 0.5 * (1 + tanh(inner)), made in the same array
    gate = np.tanh(inner, out=inner)
    gate += 1.0
    gate *= 0.5
    return gate


def gelu(x: Array, gate: Array | None = None) -> Array:
    r"""Let large values pass, hold small ones back, with a smooth bend between.

    (...) -> (...)

    $$\mathrm{gelu}(x) = x\,g(x)$$

    The gate g is the tanh form, which GPT-2 uses; with it, GELU is off by at most 0.0005 from its
    definition by the normal distribution.

    Args:
        x: Values, of any shape and floating dtype.
        gate: What `gelu_gate(x)` returns, where the caller has it already.

    Returns:
        An array of the same shape and dtype.

    Reference:
        Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2.

    Examples:
        >>> print(gelu(np.array([-3.0, -0.75, 0.0, 1.0, 3.0])).round(3))
        [-0.004 -0.17   0.     0.841  2.996]
    """
    output: Array = x * (gelu_gate(x) if gate is None else gate)
    return output


def gelu_backward(grad_output: Array, x: Array, gate: Array | None = None) -> Array:
    r"""Carry a gradient back through GELU.

    (...), (...) -> (...)

    $$\mathrm{gelu}'(x) = g + x\,g', \qquad
      g' = 2\,g\,(1 - g)\,\sqrt{2/\pi}\,(1 + 3 \cdot 0.044715\,x^2)$$

    It is the derivative of the tanh form itself, not of the definition it approximates.

    Args:
        grad_output: Slope of the loss with respect to `gelu(x)`.
        x: The values that `gelu` was given.
        gate: What `gelu_gate(x)` returns, where the caller has it already.

    Returns:
        Slope of the loss with respect to x.

    Examples:
        >>> x, step = np.array([-1.0, 0.0, 2.0]), 1e-5
        >>> print(gelu_backward(np.ones(3), x).round(6))
        [-0.082964  0.5       1.086099]
        >>> print(((gelu(x + step) - gelu(x - step)) / (2 * step)).round(6))
        [-0.082964  0.5       1.086099]
    """
    gate = gelu_gate(x) if gate is None else gate
    # gate = 0.5 * (1 + tanh(inner)), and tanh' = 1 - tanh^2 = 4 * gate * (1 - gate)
    slope: Array = np.asarray(x * x)
    slope *= 6.0 * _CUBIC * _SQRT_2_OVER_PI
    slope += 2.0 * _SQRT_2_OVER_PI
    slope *= 1.0 - gate
    slope *= gate
    # output = x * gate: the product rule gives two terms
    slope *= x
    slope += gate
    slope *= grad_output
    return slope


def relu(x: Array) -> Array:
    r"""Let positive values pass and set the others to 0.

    (...) -> (...)

    $$\mathrm{relu}(x) = \max(x, 0)$$

    Args:
        x: Values, of any shape and floating dtype.

    Returns:
        An array of the same shape and dtype.

    Reference:
        Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".

    Examples:
        >>> print(relu(np.array([-2.0, 0.0, 3.0])))
        [0. 0. 3.]
    """
    output: Array = np.maximum(x, 0)
    return output


def relu_backward(grad_output: Array, x: Array) -> Array:
    r"""Carry a gradient back through ReLU.

    (...), (...) -> (...)

    The slope is 1 where x is positive and 0 elsewhere.
    At 0 itself the curve has a corner; 0 is chosen there, as usual.

    Args:
        grad_output: Slope of the loss with respect to `relu(x)`.
        x: The values that `relu` was given.

    Returns:
        Slope of the loss with respect to x.

    Examples:
        >>> print(relu_backward(np.array([5.0, 5.0, 5.0]), np.array([-2.0, 0.0, 3.0])))
        [0. 0. 5.]
    """
    grad_input: Array = grad_output * (x > 0)
    return grad_input


if __name__ == "__main__":
    from literategpt.demos.activations import main

    main()
