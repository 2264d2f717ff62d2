"""The layers alone: numbers by hand, gradients by nudging, refusals, and the rules of Module."""

import math

import numpy as np
import pytest
from small import assert_gradients_right, generator

from literategpt.gradcheck import check_layer, randomize_parameters
from literategpt.layers import (
    Dropout,
    Embedding,
    EmbeddingSaved,
    LayerNorm,
    Linear,
    LinearSaved,
    Module,
    PositionalEncoding,
    check_positive,
    sinusoid_table,
    sum_rows,
)

SHAPES = [(2, 3, 4), (3, 4), (1, 1, 4), (4,)]


def randomized(layer):
    """Draw the parameters of a layer anew and return it."""
    randomize_parameters(layer, generator(1))
    return layer


def norm64(size, **settings):
    """Make a LayerNorm in float64."""
    return LayerNorm(size, dtype="float64", **settings)


# Linear


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_gradients(shape, bias):
    """Input, weight and bias have the right slopes, whatever dimensions lead."""
    layer = randomized(Linear(4, 3, bias=bias, rng=generator(), dtype="float64"))
    check = check_layer(layer, generator(2).normal(size=shape), rng=generator(3))
    assert check.errors.keys() == {"input", "weight"} | ({"bias"} if bias else set())
    assert_gradients_right(check)


def test_linear_by_hand():
    """Two rows pass through a 2 × 2 weight and back; the bias gradient is the sum of the rows."""
    layer = Linear(2, 2, rng=generator(), dtype="float64")
    layer.weight[...], layer.bias[...] = [[3, 0], [1, -1]], [10, 20]
    output, saved = layer.forward(np.array([[1.0, 2.0], [0.0, 1.0]]))
    np.testing.assert_array_equal(output, [[15, 18], [11, 19]])
    grad_input, gradients = layer.backward(np.array([[1.0, 10.0], [2.0, 0.0]]), saved)
    np.testing.assert_array_equal(grad_input, [[3, -9], [6, 2]])
    np.testing.assert_array_equal(gradients["weight"], [[1, 10], [4, 20]])
    np.testing.assert_array_equal(gradients["bias"], [3, 10])


def test_sum_rows():
    """Adding rows as a product equals adding them as a sum."""
    matrix = generator().normal(size=(50, 3))
    np.testing.assert_allclose(sum_rows(matrix), matrix.sum(axis=0), rtol=1e-13)


# LayerNorm


@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm_gradients(shape):
    """Input, gain and bias have the right slopes, with gains that are not 1."""
    layer = randomized(norm64(4))
    assert_gradients_right(check_layer(layer, generator(2).normal(size=shape), rng=generator(3)))


def test_layer_norm_by_hand():
    """(0,0,4,4) and (2,2,6,6) both become (-1,-1,1,1); the variance divides by C, not by C - 1."""
    norm = norm64(4, eps=0.0)
    x = np.array([[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 6.0, 6.0]])
    np.testing.assert_allclose(norm(x), [[-1, -1, 1, 1]] * 2, rtol=1e-15)


def test_layer_norm_of_two_features():
    """Two features always become -1 and 1, in order of size."""
    pairs = np.array([[3.0, 5.0], [5.0, 3.0], [-40.0, 2.0]])
    np.testing.assert_allclose(norm64(2, eps=0.0)(pairs), [[-1, 1], [1, -1], [-1, 1]])


def test_layer_norm_backward_by_hand():
    """For (0,0,4,4), a slope of (1,0,0,0) comes back as (.25,-.25,0,0), not as (.5,0,0,0)."""
    norm = norm64(4, eps=0.0)
    _, saved = norm.forward(np.array([0.0, 0.0, 4.0, 4.0]))
    grad_input, _ = norm.backward(np.array([1.0, 0.0, 0.0, 0.0]), saved)
    np.testing.assert_allclose(grad_input, [0.25, -0.25, 0, 0], atol=1e-15)


def test_layer_norm_eps_is_inside_the_root():
    """With variance 4 and eps 5 the spread is the root of 9, so 2 becomes 2/3."""
    norm = norm64(2, eps=5.0)
    np.testing.assert_allclose(norm(np.array([-2.0, 2.0])), [-2 / 3, 2 / 3], rtol=1e-15)


def test_layer_norm_eps_is_one_in_a_hundred_thousand():
    """Unless told otherwise eps is 1e-5: a spread as small as its root is halved in variance."""
    size = 1e-5**0.5
    np.testing.assert_allclose(norm64(2)(np.array([-size, size])), [-(0.5**0.5), 0.5**0.5])


def test_layer_norm_of_a_constant_vector():
    """A vector without spread becomes the bias, and its slopes are finite."""
    norm = randomized(norm64(3))
    output, saved = norm.forward(np.full((1, 3), 7.0))
    np.testing.assert_array_equal(output[0], norm.bias)
    assert np.isfinite(norm.backward(np.array([[1.0, 2.0, 4.0]]), saved)[0]).all()


def test_layer_norm_far_from_zero():
    """At mean 1000 and spread 0.1, float32 agrees with float64 to the rounding of the input."""
    x = (1000 + 0.1 * generator().normal(size=(20, 64))).astype("float32")
    exact = norm64(64)(x.astype("float64"))
    with np.errstate(all="ignore"):
        difference = np.abs(LayerNorm(64)(x) - exact)
    assert difference.max() < 2e-3


# Embedding


def test_embedding_gradient_by_hand():
    """For ids [1, 3, 1] the table's first row gets both of its slopes, (1,2) + (5,6)."""
    table = Embedding(4, 2, rng=generator(), dtype="float64")
    output, saved = table.forward(np.array([1, 3, 1]))
    np.testing.assert_array_equal(output, table.weight[[1, 3, 1]])
    grad_input, gradients = table.backward(np.array([[1.0, 2], [3, 4], [5, 6]]), saved)
    assert grad_input is None
    np.testing.assert_array_equal(gradients["weight"], [[0, 0], [6, 8], [0, 0], [3, 4]])


@pytest.mark.parametrize("ids", [[[0, 3, 3], [3, 1, 0]], [[2]], [1, 1, 1, 1]])
def test_embedding_gradients(ids):
    """The table has the right slopes with rows taken never, once and several times."""
    table = randomized(Embedding(4, 3, rng=generator(), dtype="float64"))
    check = check_layer(table, np.array(ids), rng=generator(3))
    assert check.errors.keys() == {"weight"}
    assert_gradients_right(check)


# PositionalEncoding


def test_sinusoids_by_hand():
    """Positions 0 to 3 of four features are the clock hands of the worked example."""
    expected = [[0, 1, 0, 1], [0.841, 0.540, 0.010, 1], [0.909, -0.416, 0.020, 1],
                [0.141, -0.990, 0.030, 1]]  # fmt: skip
    np.testing.assert_allclose(sinusoid_table(4, 4), expected, atol=6e-4)
    angle = 5 / 10000 ** (2 / 6)  # position 5, pair 1 of six features
    np.testing.assert_allclose(sinusoid_table(6, 6)[5, 2:4], [math.sin(angle), math.cos(angle)])


def test_sine_and_cosine_share_the_exponent():
    """Each pair of columns is a clock hand: of length 1, and turned on by one fixed angle."""
    table = sinusoid_table(50, 8).reshape(50, 4, 2)
    np.testing.assert_allclose((table**2).sum(-1), 1, rtol=1e-13)
    hands = table[..., 1] + 1j * table[..., 0]
    np.testing.assert_allclose(hands[1:] / hands[:-1], np.broadcast_to(hands[1], (49, 4)))


def test_dot_products_depend_on_the_distance_only():
    """Rows 0 and 2, and rows 1 and 3, have the same product: 0.584 for the first pair."""
    table = sinusoid_table(4, 4)[:, :2]
    assert abs(table[0] @ table[2] + 0.416) < 1e-3
    full = sinusoid_table(4, 4)
    assert abs(full[0] @ full[2] - 0.584) < 1e-3
    assert abs(full[1] @ full[3] - full[0] @ full[2]) < 1e-12


def test_positional_encoding_scales_and_starts():
    """It adds scale times the rows from start on, to each sequence of the batch."""
    layer = PositionalEncoding(8, 4, scale=0.25, dtype="float64")
    x = generator().normal(size=(2, 3, 4))
    np.testing.assert_array_equal(layer(x), x + 0.25 * layer.table[:3])
    np.testing.assert_array_equal(layer.forward(x, start=5)[0], x + 0.25 * layer.table[5:8])
    assert layer.named_parameters() == {}


def test_positional_encoding_gradients():
    """Adding a constant passes the slope on as it is."""
    layer = PositionalEncoding(8, 4, scale=0.25, dtype="float64")
    assert_gradients_right(check_layer(layer, generator().normal(size=(2, 3, 4)), rng=generator(1)))


# Dropout


def test_dropout_keeps_the_mean():
    """What stays is enlarged: at rate 0.2 the values are 0 and 1.25, and the mean stays 1."""
    output, _ = Dropout(0.2).forward(np.ones(100_000), rng=generator())
    np.testing.assert_array_equal(np.unique(output), [0, 1.25])
    assert abs(output.mean() - 1) < 0.01


def test_dropout_gradients():
    """Backward uses the mask that forward drew."""
    x = generator().normal(size=(4, 5))
    assert_gradients_right(check_layer(Dropout(0.4), x, rng=generator(1), dropout_seed=7))


def test_dropout_is_off_without_a_generator():
    """Evaluation, and a rate of 0, return the input itself and draw nothing."""
    x, rng = generator().normal(size=(4, 5)), generator(1)
    assert Dropout(0.9)(x) is x
    assert Dropout(0.0).forward(x, rng=rng)[0] is x
    assert rng.random() == generator(1).random()


def test_dropout_drops_the_same_in_both_dtypes():
    """One generator drops the same values in float32 and in float64."""
    masks = [
        Dropout(0.3).forward(np.ones((6, 7), dtype), rng=generator())[0] == 0
        for dtype in ("float32", "float64")
    ]
    np.testing.assert_array_equal(*masks)
    assert 0 < masks[0].sum() < 42


# Module


class Pair(Module):
    """Two layers, one alone and one in a list, to look at names."""

    def __init__(self):
        self.first = Linear(2, 2, rng=generator())
        self.rest = [Linear(2, 2, bias=False, rng=generator()), LayerNorm(2)]


def test_names_are_dotted_and_complete():
    """Children stand under their attribute's name, those in a list under their index too."""
    names = ["first.weight", "first.bias", "rest.0.weight", "rest.1.weight", "rest.1.bias"]
    assert list(Pair().named_parameters()) == names


def test_freezing_takes_a_part_out_of_training():
    """A frozen layer has no gradient, its neighbour has; the arrays are still listed."""
    pair = Pair()
    pair.first.freeze()
    assert not [n for n in pair.trainable_parameters() if n.startswith("first")]
    assert len(pair.named_parameters()) == 5
    pair.freeze()
    assert pair.trainable_parameters() == {}


@pytest.mark.parametrize("frozen", [{"weight"}, {"bias"}, {"weight", "bias"}])
@pytest.mark.parametrize("make", [lambda: Linear(4, 4, rng=generator()), lambda: LayerNorm(4)])
def test_backward_leaves_frozen_arrays_out(make, frozen):
    """Whatever is frozen has no gradient, and everything else has the same bits as before."""
    layer, x = make(), generator(1).normal(size=(3, 4)).astype("float32")
    _, saved = layer.forward(x)
    grad_input, gradients = layer.backward(x, saved)
    layer.frozen_names = frozenset(frozen)
    grad_frozen, gradients_frozen = layer.backward(x, saved)
    assert (
        gradients_frozen.keys()
        == layer.trainable_parameters().keys()
        == (gradients.keys() - frozen)
    )
    np.testing.assert_array_equal(grad_frozen, grad_input)
    for name, gradient in gradients_frozen.items():
        np.testing.assert_array_equal(gradient, gradients[name])


class ShapeAlone:
    """What can be asked for its shape, and for nothing else."""

    shape = (3, 4)

    def __getattr__(self, name):
        raise AssertionError(f"the values were asked for, by {name}")


def test_a_frozen_weight_s_gradient_is_not_computed():
    """Frozen layers never read the values that only a weight's gradient needs."""
    linear = Linear(4, 2, rng=generator())
    linear.frozen_names = frozenset({"weight"})
    _, gradients = linear.backward(np.ones((3, 2), "float32"), LinearSaved(ShapeAlone()))
    assert gradients.keys() == {"bias"}
    table = Embedding(4, 2, rng=generator())
    table.freeze()
    assert table.backward(np.ones((3, 2)), EmbeddingSaved(None)) == (None, {})


def test_both_dtypes_start_from_one_draw():
    """The float32 weights are the float64 weights, rounded."""
    for make in (lambda d: Linear(3, 4, rng=generator(), dtype=d),
                 lambda d: Embedding(5, 4, rng=generator(), dtype=d)):  # fmt: skip
        single, double = make("float32").weight, make("float64").weight
        assert (single.dtype, double.dtype) == (np.float32, np.float64)
        np.testing.assert_array_equal(single, double.astype("float32"))


def test_module_itself_has_no_passes():
    """A module without forward or backward says so by its name."""
    with pytest.raises(NotImplementedError, match="Pair has no forward"):
        Pair()(np.zeros(2))
    with pytest.raises(NotImplementedError, match="Pair has no backward"):
        Pair().backward(np.zeros(2), None)


# Refusals


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (lambda: Linear(0, 2, rng=generator()), "in_features.*0"),
        (lambda: Linear(2, -1, rng=generator()), "out_features.*-1"),
        (lambda: Linear(2, 1.5, rng=generator()), "out_features.*1.5"),
        (lambda: LayerNorm(0), "embedding_dim.*0"),
        (lambda: Embedding(True, 2, rng=generator()), "vocabulary_size.*True"),
        (lambda: PositionalEncoding(4, 3), "even embedding_dim, got 3"),
        (lambda: sinusoid_table(4, 3), "even embedding_dim, got 3"),
        (lambda: sinusoid_table(0, 4), "max_sequence_length"),
        (lambda: PositionalEncoding(0, 4), "max_sequence_length.*0"),
        (lambda: Dropout(1.0), r"\[0, 1\), got 1.0"),
        (lambda: Dropout(-0.1), r"\[0, 1\), got -0.1"),
        (lambda: Dropout(math.nan), "got nan"),
    ],
)
def test_bad_sizes_are_refused(make, given):
    """A size or rate out of its range is refused with its name and value."""
    with pytest.raises(ValueError, match=given):
        make()


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (Linear(4, 2, rng=generator()), "Linear"),
        (LayerNorm(4), "LayerNorm"),
        (PositionalEncoding(9, 4), "PositionalEncoding"),
    ],
)
@pytest.mark.parametrize("shape", [(2, 5), (4, 1)])
def test_wrong_last_dimension_is_refused(layer, name, shape):
    """The message names the layer, the expected last dimension and the given shape."""
    with pytest.raises(ValueError, match=rf"{name}.*\(\.\.\., 4\), got \({shape[0]}, {shape[1]}\)"):
        layer(np.zeros(shape, "float32"))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([4], "from 0 to 3, got 4"),
        ([0, -1], "from 0 to 3, got -1"),
        ([1.0], "integer dtype, got float64"),
        ([True], "integer dtype, got bool"),
    ],
)
def test_bad_token_ids_are_refused(ids, message):
    """Ids past the table, negative ones and those that are no integers are refused."""
    with pytest.raises(ValueError, match=message):
        Embedding(4, 2, rng=generator())(np.array(ids))


@pytest.mark.parametrize(("start", "given"), [(3, "3 to 5"), (-1, "-1 to 1"), (5, "5 to 7")])
def test_positions_outside_the_table_are_refused(start, given):
    """Positions past the end, and negative ones, are refused with both ranges."""
    with pytest.raises(ValueError, match=f"within 0 to 4, got {given}"):
        PositionalEncoding(5, 4).forward(np.zeros((1, 3, 4), "float32"), start=start)


def test_check_positive_accepts_numpy_integers():
    """Sizes that come out of NumPy are sizes too."""
    check_positive(size=np.int64(3))
