"""Temperature, top-k, top-p and the draw: by hand, at the borders, and by counting."""

import math

import numpy as np
import pytest
from small import generator, lock, nothing_may_be_written

from literategpt.activations import softmax
from literategpt.model import choose_token
from literategpt.sampling import apply_temperature, sample, top_k_filter, top_p_filter

EXAMPLE = np.log([[8.0, 4.0, 2.0, 1.0, 1.0]])
FILTERS = [
    lambda logits: apply_temperature(logits, 0.7),
    lambda logits: apply_temperature(logits, 0),
    lambda logits: top_k_filter(logits, 2),
    lambda logits: top_k_filter(logits, 99),
    lambda logits: top_p_filter(logits, 0.6),
    lambda logits: top_p_filter(logits, 1.0),
]


def kept(filtered):
    """Say which tokens are left, as a list of booleans for each row."""
    return (filtered > -np.inf).tolist()


# Temperature


def test_temperature_by_hand():
    """(8,4,2,1,1)/16 at temperature ½ is (64,16,4,1,1)/86, and at 2 has the roots' proportions."""
    half = softmax(apply_temperature(EXAMPLE, 0.5))
    np.testing.assert_allclose(half, np.array([[64, 16, 4, 1, 1]]) / 86, rtol=1e-14)
    double = softmax(apply_temperature(EXAMPLE, 2.0))
    np.testing.assert_allclose(double, [[0.343, 0.243, 0.172, 0.121, 0.121]], atol=5e-4)


@pytest.mark.parametrize(("temperature", "bits"), [(0.5, 1.12), (1.0, 1.875), (2.0, 2.20)])
def test_temperature_raises_the_entropy(temperature, bits):
    """The worked example's entropy is 1.12, 1.875 and 2.20 bits at ½, 1 and 2."""
    p = softmax(apply_temperature(EXAMPLE, temperature))
    assert abs(-np.sum(p * np.log2(p)) - bits) < 5e-3


def test_temperature_zero_keeps_the_likeliest():
    """At 0 one token is left in each row, the first of equals."""
    logits = np.array([[1.0, 3.0, 3.0], [2.0, 0.0, -1.0]])
    expected = [[False, True, False], [True, False, False]]
    assert kept(apply_temperature(logits, 0)) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("temperature", [1e-5, 1e-40, 1e-50, 1e-300])
def test_tiny_temperature(dtype, temperature):
    """However small, a temperature above 0 gives no NaN and leaves the likeliest alone."""
    logits = np.array([[5.0, 7.0, 1.0]], dtype)
    np.testing.assert_array_equal(softmax(apply_temperature(logits, temperature)), [[0, 1, 0]])


# Top-k


def test_top_k_by_hand():
    """Exactly the k largest are kept, with their values."""
    filtered = top_k_filter(EXAMPLE, 2)
    np.testing.assert_array_equal(filtered, [[*EXAMPLE[0, :2], -np.inf, -np.inf, -np.inf]])


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_top_k_with_ties_keeps_exactly_k(k):
    """Of equal logits at the border those that come first are kept."""
    logits = np.array([[1.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    assert [sum(row) for row in kept(top_k_filter(logits, k))] == [k, k]
    assert kept(top_k_filter(logits, 2))[0] == [False, True, True, False]


def test_top_k_above_the_vocabulary_keeps_all():
    """A k above V is V."""
    np.testing.assert_array_equal(top_k_filter(EXAMPLE, 6), EXAMPLE)


def test_rows_are_filtered_on_their_own():
    """A batch gives what its rows give alone, for each of the filters."""
    logits = generator().normal(size=(3, 6)) * np.array([[1.0], [5.0], [0.1]])
    for function in FILTERS:
        rows = [function(row[None])[0] for row in logits]
        np.testing.assert_array_equal(function(logits), rows)


# Top-p


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("p", "count"), [(0.5, 1), (0.51, 2), (0.75, 2), (0.76, 3), (0.875, 3),
                                          (0.9, 4), (1.0, 5), (1e-9, 1)])  # fmt: skip
def test_top_p_by_hand(dtype, p, count):
    """8/16 and 4/16 reach 0.75 exactly; the token that crosses p is kept, and none after it."""
    assert kept(top_p_filter(EXAMPLE.astype(dtype), p)) == [[True] * count + [False] * (5 - count)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shift", [0.0, 1.0, -3.7, 100.0])
def test_top_p_at_a_sum_that_rounds(dtype, shift):
    """[.3, .1, .1, .5] at 0.8 keeps exactly two, in both dtypes and after adding constants."""
    check_top_p_at_a_sum_that_rounds(dtype, shift)


def check_top_p_at_a_sum_that_rounds(dtype, shift):
    """Demand that exactly the first and the last are kept."""
    logits = (np.log([[0.3, 0.1, 0.1, 0.5]]) + shift).astype(dtype)
    assert kept(top_p_filter(logits, 0.8)) == [[True, False, False, True]]


def test_top_p_tolerance_holds_for_every_shift():
    """Of a thousand constants added to the logits none changes which tokens are kept."""
    for shift in np.linspace(-50, 50, 1000):
        check_top_p_at_a_sum_that_rounds("float64", shift)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_top_p_tolerance_is_as_stated(dtype):
    """A p above 8/16 + 4/16 by half the tolerance, 4 eps V, keeps two tokens, by twice it three."""
    tolerance = 4 * float(np.finfo(dtype).eps) * 5
    for factor, count in ((0.5, 2), (2.0, 3)):
        filtered = top_p_filter(EXAMPLE.astype(dtype), 0.75 + factor * tolerance)
        assert np.isfinite(filtered).sum() == count


def test_top_p_of_one_keeps_the_last_crumb():
    """At p = 1 a token of probability 1e-22 is kept too, though it is far below the tolerance."""
    assert kept(top_p_filter(np.array([[0.0, -50.0]]), 1.0)) == [[True, True]]
    assert kept(top_p_filter(np.array([[0.0, -50.0]]), 0.999)) == [[True, False]]


def test_top_p_reaches_p_and_not_a_token_less():
    """On random rows the kept mass reaches p, and without the least of them it does not."""
    logits = 2 * generator().normal(size=(200, 20))
    p = softmax(logits)
    filtered = top_p_filter(logits, 0.7)
    for row, keep in zip(p, filtered > -np.inf, strict=True):
        assert row[keep].sum() >= 0.7 - 1e-12
        assert row[keep].sum() - row[keep].min() < 0.7
        assert row[keep].min() >= row[~keep].max()


def test_top_p_after_top_k_acts_on_what_is_left():
    """After top-k the rest is renormalized: 8/12 alone reaches 0.6, though 8/16 does not."""
    assert kept(top_p_filter(EXAMPLE, 0.6)) == [[True, True, False, False, False]]
    assert kept(top_p_filter(top_k_filter(EXAMPLE, 2), 0.6)) == [[True] + [False] * 4]


def drawn_tokens(**settings):
    """Draw often from the worked example through all settings, and list what came."""
    arguments = {"temperature": 1.0, "top_k": None, "top_p": None} | settings
    drawn = choose_token(np.repeat(EXAMPLE, 500, axis=0), **arguments, rng=generator())
    return sorted(set(drawn.tolist()))


def test_order_of_the_settings():
    """Temperature acts first: at 0.75 two tokens are kept, and three once temperature is 2.

    Top-k acts before top-p: of the first two, 8/12 alone reaches 0.6.
    """
    assert drawn_tokens(top_p=0.75) == [0, 1]
    assert drawn_tokens(top_p=0.75, temperature=2.0) == [0, 1, 2]
    assert drawn_tokens(top_p=0.6) == [0, 1]
    assert drawn_tokens(top_p=0.6, top_k=2) == [0]
    assert drawn_tokens(top_k=3) == [0, 1, 2]


# The draw


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_the_probabilities(temperature):
    """Of 20,000 draws the counts fit the probabilities: chi-square below its 99.9 % point."""
    logits = apply_temperature(EXAMPLE, temperature)
    drawn = sample(np.repeat(logits, 20_000, axis=0), generator())
    expected = 20_000 * softmax(logits)[0]
    chi_square = np.sum((np.bincount(drawn, minlength=5) - expected) ** 2 / expected)
    assert chi_square < 18.47  # four degrees of freedom


def test_rows_draw_independently():
    """Two equal rows of a batch agree as often as independent draws do, not always."""
    rng = generator()
    pairs = np.array([sample(np.zeros((2, 4)), rng) for _ in range(2000)])
    assert abs(np.mean(pairs[:, 0] == pairs[:, 1]) - 0.25) < 0.04


def test_removed_tokens_are_never_drawn():
    """A logit of minus infinity has probability 0, at either end of the row."""
    logits = np.repeat([[-np.inf, 0.0, -np.inf, 0.0, -np.inf]], 1000, axis=0)
    assert set(sample(logits, generator())) == {1, 3}


class Constant:
    """A generator that always gives one number."""

    def __init__(self, number):
        self.number = number

    def random(self, shape):
        """Return the number, in the shape asked for."""
        return np.full(shape, self.number)


@pytest.mark.parametrize(("number", "token"), [(0.0, 1), (0.5, 3), (np.nextafter(1.0, 0.0), 3)])
def test_the_ends_of_the_draw(number, token):
    """The smallest and the largest uniform number fall on tokens that are there."""
    row = np.array([[-np.inf, 0.0, -np.inf, 0.0, -np.inf]])
    assert sample(row, Constant(number)) == [token]


def test_a_draw_is_fixed_by_the_generator():
    """The same generator state draws the same tokens, in float32 as in float64."""
    logits = generator(1).normal(size=(50, 9)).astype("float32")
    first = sample(logits, generator())
    np.testing.assert_array_equal(first, sample(logits, generator()))
    np.testing.assert_array_equal(first, sample(logits.astype("float64"), generator()))
    assert (first != sample(logits, generator(2))).any()


# Purity and refusals


def test_the_callers_logits_are_not_changed():
    """Each filter returns a new array and reads the old one only."""
    logits = generator().normal(size=(2, 5))
    before = logits.copy()
    lock(logits)
    with nothing_may_be_written():
        for function in FILTERS:
            assert not np.shares_memory(function(logits), logits)
        sample(logits, generator())
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_are_kept(dtype):
    """Filters return the dtype they were given, also when a setting is a NumPy number."""
    logits = generator().normal(size=(2, 5)).astype(dtype)
    results = [function(logits) for function in FILTERS]
    results += [apply_temperature(logits, np.float64(0.7)), top_p_filter(logits, np.float64(0.6))]
    assert {result.dtype.name for result in results} == {dtype}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: apply_temperature(z, -0.1), "0 or above, got -0.1"),
        (lambda z: apply_temperature(z, math.nan), "got nan"),
        (lambda z: apply_temperature(z, math.inf), "got inf"),
        (lambda z: top_k_filter(z, 0), "positive integer, got 0"),
        (lambda z: top_k_filter(z, -1), "positive integer, got -1"),
        (lambda z: top_k_filter(z, 1.5), "positive integer, got 1.5"),
        (lambda z: top_k_filter(z, True), "positive integer, got True"),
        (lambda z: top_p_filter(z, 0.0), "above 0 and at most 1, got 0.0"),
        (lambda z: top_p_filter(z, -0.5), "got -0.5"),
        (lambda z: top_p_filter(z, 1.01), "got 1.01"),
        (lambda z: top_p_filter(z, math.nan), "got nan"),
    ],
)
def test_settings_out_of_range_are_refused(call, message):
    """A temperature, k or p out of its range is refused with what was given."""
    with pytest.raises(ValueError, match=message):
        call(EXAMPLE)


@pytest.mark.parametrize("logits", [np.zeros(5), np.zeros((2, 5), int), np.zeros((1, 2, 5))])
def test_logits_of_another_form_are_refused(logits):
    """Logits must be (B, V) floating-point numbers; the message has dtype and shape."""
    calls = [*FILTERS, lambda z: sample(z, generator())]
    for call in calls:
        with pytest.raises(ValueError, match=rf"\(B, V\), got {logits.dtype} \({logits.shape[0]}"):
            call(logits)


@pytest.mark.parametrize("row", [[np.nan, 0.0], [np.inf, 0.0], [-np.inf, -np.inf]])
def test_rows_without_a_distribution_are_refused(row):
    """NaN, plus infinity, and a row with nothing left are refused before anything is drawn."""
    rng = generator()
    with pytest.raises(ValueError, match="without NaN or infinity"):
        sample(np.array([[0.0, 0.0], row]), rng)
    assert rng.random() == generator().random()
