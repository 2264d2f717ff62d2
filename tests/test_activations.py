"""Softmax, GELU and ReLU: values by hand, slopes by nudging, and the ends of the number line."""

import math

import numpy as np
import pytest
from small import TOLERANCE, generator

from literategpt.activations import (
    gelu,
    gelu_backward,
    gelu_gate,
    relu,
    relu_backward,
    softmax,
    softmax_backward,
)
from literategpt.gradcheck import gradient_error, numerical_gradient

PAIRS = [(gelu, gelu_backward), (relu, relu_backward)]
DTYPES = ["float32", "float64"]


def test_softmax_by_hand():
    """Scores ln 1, ln 2, ln 5 are probabilities 1/8, 2/8, 5/8."""
    np.testing.assert_allclose(softmax(np.log([1.0, 2.0, 5.0])), [1 / 8, 2 / 8, 5 / 8], rtol=1e-15)


def test_softmax_of_large_scores():
    """Scores of a thousand or minus ten thousand give the probabilities of their difference."""
    expected = np.array([1 / (1 + math.e), math.e / (1 + math.e)])
    with np.errstate(all="ignore"):
        for shift in (1000.0, -10000.0):
            scores = np.array([shift, shift + 1], "float32")
            np.testing.assert_allclose(softmax(scores), expected, rtol=1e-6)


def test_softmax_of_a_fully_masked_row():
    """A row of minus infinities becomes zeros and leaves the rows beside it alone."""
    scores = np.array([[-np.inf, -np.inf], [0.0, -np.inf], [0.0, 0.0]])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(softmax(scores), [[0, 0], [1, 0], [0.5, 0.5]])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_along_any_axis(axis):
    """The result sums to 1 along the axis that was asked for, and its backward uses the same."""
    scores, upstream = generator().normal(size=(2, 3, 4, 5))
    probabilities = softmax(scores, axis=axis)
    np.testing.assert_allclose(probabilities.sum(axis=axis), 1, rtol=1e-14)
    measured = numerical_gradient(lambda: float(np.sum(softmax(scores, axis) * upstream)), scores)
    assert gradient_error(softmax_backward(upstream, probabilities, axis), measured) < TOLERANCE


def test_softmax_backward_by_hand():
    """The slopes of attention's worked example are 9/16, -7/8 and 5/16, and sum to 0."""
    probabilities = np.array([1 / 8, 2 / 8, 5 / 8])
    slopes = softmax_backward(np.array([8.0, 0.0, 4.0]), probabilities)
    np.testing.assert_allclose(slopes, [0.5625, -0.875, 0.3125], rtol=1e-15)
    assert abs(slopes.sum()) < 1e-15


def test_gelu_against_its_definition():
    """The tanh form is off from x times the normal distribution by 4.7e-4, near |x| = 2.70."""
    x = np.linspace(-6, 6, 4801)
    exact = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x])
    difference = np.abs(gelu(x) - exact)
    assert 4.6e-4 < difference.max() < 4.75e-4
    assert abs(abs(x[difference.argmax()]) - 2.70) < 0.05


def test_gelu_by_hand():
    """GELU is 0 at 0, dips to -0.170 at -0.75, and tends to x and to 0 at the ends."""
    assert gelu(np.array([0.0])) == 0
    x = np.linspace(-3, 3, 6001)
    values = gelu(x)
    assert abs(values.min() + 0.170) < 5e-4
    assert abs(x[values.argmin()] + 0.75) < 5e-3
    np.testing.assert_allclose(gelu(np.array([-100.0, 100.0])), [0, 100])


def test_gelu_gradient():
    """The slope of GELU is that of the tanh form, not of the form by erf."""
    x = np.linspace(-5, 5, 41)
    upstream = generator().normal(size=x.shape)
    measured = numerical_gradient(lambda: float(np.sum(gelu(x) * upstream)), x)
    assert gradient_error(gelu_backward(upstream, x), measured) < TOLERANCE


def test_gelu_with_its_gate_given():
    """Handing the gate to GELU and its backward changes no bit."""
    x, upstream = generator().normal(size=(2, 3, 4))
    gate = gelu_gate(x)
    np.testing.assert_array_equal(gelu(x, gate), gelu(x))
    np.testing.assert_array_equal(gelu_backward(upstream, x, gate), gelu_backward(upstream, x))


def test_relu_backward():
    """ReLU passes the gradient where x is positive, and nothing at 0 or below."""
    x = np.array([-2.0, -0.0, 0.0, 3.0])
    np.testing.assert_array_equal(relu(x), [0, 0, 0, 3])
    np.testing.assert_array_equal(relu_backward(np.full(4, 5.0), x), [0, 0, 0, 5])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 1, 3, 2), (1,)])
def test_shapes_and_dtypes_are_kept(dtype, shape):
    """Every function returns the shape and the dtype that it was given, and leaves it unchanged."""
    x, upstream = (generator(seed).normal(size=shape).astype(dtype) for seed in (0, 1))
    before = x.copy()
    results = [softmax(x), softmax_backward(upstream, softmax(x)), gelu_gate(x)]
    results += [forward(x) for forward, _ in PAIRS]
    results += [backward(upstream, x) for _, backward in PAIRS]
    assert {(r.shape, r.dtype.name) for r in results} == {(shape, dtype)}
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("value", [1e4, -1e4, 1e18, -1e18])
def test_extreme_inputs_stay_finite(value):
    """In float32 the curves and their slopes are finite far outside what a network produces."""
    x = np.array([value, 0.0], "float32")
    with np.errstate(over="ignore"):
        for forward, backward in PAIRS:
            assert np.isfinite(forward(x)).all()
            assert np.isfinite(backward(np.ones_like(x), x)).all()
        assert np.isfinite(softmax(x)).all()


@pytest.mark.parametrize("function", [gelu, gelu_gate, relu])
def test_single_numbers(function):
    """An array without dimensions is a shape too."""
    assert function(np.array(1.5)) == function(np.array([1.5]))[0]


@pytest.mark.parametrize("function", [softmax, gelu])
def test_integers_are_refused_clearly(function):
    """Integers are refused, with the dtype that was given and the one that was expected."""
    with pytest.raises(ValueError, match="float.*int64"):
        function(np.array([1, 2, 3]))
