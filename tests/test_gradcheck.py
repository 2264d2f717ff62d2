"""The judge is judged: against a second measurement, and by gradients that are wrong on purpose."""

import math

import numpy as np
import pytest
from small import (
    TOLERANCE,
    assert_gradients_right,
    generator,
    small_batch,
    small_model,
)

from literategpt.activations import softmax, softmax_backward
from literategpt.gradcheck import (
    GradientCheck,
    check_gradients,
    check_layer,
    check_model,
    gradient_error,
    numerical_gradient,
    randomize_parameters,
)
from literategpt.layers import LayerNorm, Linear
from literategpt.model import cross_entropy_loss


def plain_loss(model, tokens, targets):
    """Compute the mean surprise with the math module alone, one place after another."""
    logits = model(tokens).reshape(-1, model.config.vocabulary_size)
    surprises = []
    for row, target in zip(logits.tolist(), targets.ravel().tolist(), strict=True):
        largest = max(row)
        log_sum = largest + math.log(math.fsum(math.exp(z - largest) for z in row))
        surprises.append(log_sum - row[target])
    return math.fsum(surprises) / len(surprises)


def five_point_slope(function, vector, index, step=1e-3):
    """Measure one slope from four nudges; the formula's error is of fourth order."""
    start, values = vector[index], []
    for distance in (-2, -1, 1, 2):
        vector[index] = start + distance * step
        values.append(function())
    vector[index] = start
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)


def test_a_second_measurement_agrees():
    """A five-point formula and a loss of its own give the gradients that backward returns."""
    model = small_model(num_layers=1)
    tokens, targets = small_batch(batch=2, time=3)
    logits, saved = model.forward(tokens)
    loss, grad_logits = cross_entropy_loss(logits, targets)
    assert abs(loss - plain_loss(model, tokens, targets)) < 1e-12
    gradients = model.backward(grad_logits, saved)
    for name, array in model.named_parameters().items():
        vector = array.reshape(-1)
        assert np.shares_memory(vector, array)
        measured = [
            five_point_slope(lambda: plain_loss(model, tokens, targets), vector, i)
            for i in range(vector.size)
        ]
        worst = np.max(np.abs(gradients[name].ravel() - measured))
        assert worst < 1e-8, f"{name} is off by {worst}"


class Tampered(Linear):
    """A linear layer whose backward pass is changed by a function before it is returned."""

    def __init__(self, tamper):
        super().__init__(4, 3, rng=generator(), dtype="float64")
        randomize_parameters(self, generator(1))
        self.tamper = tamper

    def backward(self, grad_output, saved):
        """Return the right gradients, tampered with."""
        grad_input, gradients = super().backward(grad_output, saved)
        return self.tamper(grad_input, gradients)


def spoil(name, change):
    """Make a function that changes one of the gradients of `Tampered`."""

    def tamper(grad_input, gradients):
        everything = {"input": grad_input} | gradients
        everything[name] = change(everything[name])
        return everything.pop("input"), everything

    return tamper


def one_wrong_element(array):
    """Change a single number of an array."""
    array = array.copy()
    array.flat[-1] += 1e-3
    return array


@pytest.mark.parametrize("name", ["input", "weight", "bias"])
@pytest.mark.parametrize(
    "change",
    [
        lambda g: g * (1 + 1e-4),
        lambda g: -g,
        np.zeros_like,
        one_wrong_element,
        lambda g: np.where(np.arange(g.size).reshape(g.shape) == 0, np.nan, g),
        lambda g: np.where(np.arange(g.size).reshape(g.shape) == 0, np.inf, g),
    ],
    ids=["scaled", "negated", "zero", "one element", "NaN", "infinity"],
)
def test_wrong_gradients_are_rejected(name, change):
    """A wrong gradient of any tensor is found, and the report names that tensor."""
    x = generator(2).normal(size=(2, 5, 4))
    assert_gradients_right(check_layer(Tampered(lambda *right: right), x, rng=generator(3)))
    check = check_layer(Tampered(spoil(name, change)), x, rng=generator(3))
    assert check.error > 10 * TOLERANCE
    assert check.name == name
    with pytest.raises(AssertionError, match=f"in {name}, of 3 tensors"):
        assert_gradients_right(check)


def test_a_missing_or_surplus_gradient_is_rejected():
    """The names must be the parameters' names; the message lists the difference."""
    x = generator(2).normal(size=(2, 4))
    missing = Tampered(lambda grad, gradients: (grad, {"weight": gradients["weight"]}))
    with pytest.raises(ValueError, match="difference in .*bias"):
        check_layer(missing, x, rng=generator(3))
    surplus = Tampered(lambda grad, gradients: (grad, gradients | {"gain": grad}))
    with pytest.raises(ValueError, match="difference in .*gain"):
        check_layer(surplus, x, rng=generator(3))


def test_a_wrong_shape_is_rejected():
    """A gradient of another shape is refused, even one that would broadcast."""
    with pytest.raises(ValueError, match=r"\(1, 3\) and \(3,\)"):
        gradient_error(np.zeros((1, 3)), np.zeros(3))


@pytest.mark.parametrize("factor", [1 + 1e-4, -1.0, math.nan])
@pytest.mark.parametrize("name", ["final_norm.bias", "blocks.0.attention.query.weight"])
def test_wrong_gradients_of_a_model_are_rejected(factor, name):
    """One tensor that is off by one part in ten thousand is found among all of a model's."""
    model = small_model(embedding_dim=4, num_heads=2, feed_forward_dim=4, num_layers=1)
    right = model.backward
    model.backward = lambda grad, saved: (g := right(grad, saved)) | {name: g[name] * factor}
    check = check_model(model, *small_batch(2, 3))
    assert check.error > 10 * TOLERANCE
    assert check.name == name


def test_an_upstream_of_ones_would_prove_nothing():
    """Softmax sums to 1, so its summed output has no slope: a backward of zeros would pass.

    The same is true of LayerNorm before its gain; that is why the upstream gradient is random.
    """
    scores = generator().normal(size=(3, 4))
    norm = LayerNorm(4, dtype="float64")
    random = generator(1).normal(size=(3, 4))
    for function in (softmax, norm):
        for upstream, accepted in ((np.ones((3, 4)), True), (random, False)):

            def objective(function=function, upstream=upstream):
                return float(np.sum(function(scores) * upstream))

            check = check_gradients(objective, {"x": scores}, {"x": np.zeros((3, 4))})
            assert (check.error < TOLERANCE) is accepted
    right = softmax_backward(np.ones((3, 4)), softmax(scores))
    assert np.abs(right).max() < 1e-15


class Vacuous(LayerNorm):
    """A LayerNorm whose backward pass claims that the input has no slope."""

    def backward(self, grad_output, saved):
        """Return zeros for the input."""
        grad_input, gradients = super().backward(grad_output, saved)
        return np.zeros_like(grad_input), gradients


def test_the_upstream_gradient_is_random():
    """A backward pass of zeros, which an upstream of ones would accept, is rejected."""
    x = generator().normal(size=(3, 4))
    check = check_layer(Vacuous(4, dtype="float64"), x, rng=generator(1))
    assert check.error > TOLERANCE
    assert check.name == "input"


def test_numerical_gradient_puts_every_number_back():
    """After the nudging the array has its old bits, and the slopes are those of the function."""
    x = generator().normal(size=(2, 3))
    before = x.copy()
    slopes = numerical_gradient(lambda: float(np.sum(np.sin(x))), x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(slopes, np.cos(x), atol=1e-9)


def test_numerical_gradient_refuses_float32():
    """In float32 rounding drowns the difference, so the dtype is refused by name."""
    with pytest.raises(ValueError, match="float64 array, got float32"):
        numerical_gradient(lambda: 0.0, np.zeros(2, "float32"))


def test_error_by_hand():
    """The error is the largest difference over the largest slope of either."""
    assert gradient_error(np.array([1.0, -4.0]), np.array([1.0, -3.0])) == 0.25
    assert gradient_error(np.array([3.0]), np.array([4.0])) == 0.25
    assert gradient_error(np.array([0.0, 2.0]), np.array([0.0, 2.0])) == 0


def test_error_where_the_true_gradient_is_zero():
    """Only below 1e-9 on both sides counts as zero; there is no other floor."""
    assert gradient_error(np.array([9e-10]), np.array([-9e-10])) == 0
    assert gradient_error(np.array([2e-9]), np.array([0.0])) == 1
    assert gradient_error(np.array([0.0]), np.array([2e-9])) == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_error_of_nan(bad):
    """A value that is not finite, on either side, is an infinite error and is the worst one."""
    one, other = np.array([1.0, 1.0]), np.array([1.0, bad])
    assert gradient_error(other, one) == math.inf
    assert gradient_error(one, other) == math.inf


def test_a_loss_of_nan_is_not_passed_over():
    """A function that is NaN when the second array is nudged fails the check by that name."""
    arrays = {"first": np.array([1.0]), "second": np.array([1.0])}

    def objective():
        return float(arrays["first"][0]) + (math.nan if arrays["second"][0] != 1 else 0.0)

    check = check_gradients(objective, arrays, {"first": np.ones(1), "second": np.zeros(1)})
    assert not check.error < TOLERANCE
    assert check.name == "second"


def test_report_names_the_worst_tensor():
    """Printed, a check says its error, the tensor and how many were compared."""
    check = GradientCheck(0.5, "head.weight", {"head.weight": 0.5, "bias": 0.0})
    assert str(check) == "largest error 5.0e-01 in head.weight, of 2 tensors"


def test_randomized_parameters_leave_no_special_values():
    """Gains are drawn around 1, the rest around 0, and none stays exactly there."""
    model = small_model()
    for name, array in model.named_parameters().items():
        assert not np.isin(array, (0.0, 1.0)).any(), name
    gains = np.concatenate([a for n, a in model.named_parameters().items() if "norm.weight" in n])
    assert 0.7 < gains.mean() < 1.3
