"""Attention: the worked example, what a position may see, the paths back, and the KV cache."""

import math

import numpy as np
import pytest
from small import assert_gradients_right, generator

from literategpt.activations import softmax
from literategpt.attention import (
    KVCache,
    MultiHeadAttention,
    create_causal_mask,
    join_heads,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
    split_heads,
)
from literategpt.gradcheck import check_gradients, check_layer, randomize_parameters
from literategpt.layers import Module

CHANNELS, HEADS = 6, 3


class Masked(Module):
    """Multi-head attention with a fixed mask, so that it has one input like every layer."""

    def __init__(self, mask):
        self.attention = attention_layer()
        self.mask = mask

    def forward(self, x, *, rng=None):
        """Attend under the mask."""
        return self.attention.forward(x, mask=self.mask, rng=rng)

    def backward(self, grad_output, saved):
        """Carry back; the names get the child's prefix."""
        grad_input, gradients = self.attention.backward(grad_output, saved)
        return grad_input, {f"attention.{name}": g for name, g in gradients.items()}


def attention_layer(seed=0):
    """Make a layer of three heads of two features, all parameters random."""
    layer = MultiHeadAttention(CHANNELS, HEADS, rng=generator(seed), dtype="float64")
    randomize_parameters(layer, generator(seed + 1))
    return layer


def draw(*shape, seed=5):
    """Draw normal values."""
    return generator(seed).normal(size=shape)


def worked_example():
    """Queries and keys whose scaled scores are ln 1, ln 2, ln 5 in each row, and three values."""
    key = np.log([1.0, 2.0, 5.0])[:, None] * np.ones(4)
    return np.full((3, 4), 0.5), key, np.array([[8.0, 0.0], [0.0, 8.0], [4.0, 4.0]])


# The mask


def test_causal_mask_by_hand():
    """Row i allows columns 0 to i, and nothing after."""
    expected = [[True, False, False], [True, True, False], [True, True, True]]
    mask = create_causal_mask(3)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, expected)


def test_causal_mask_of_unequal_lengths():
    """With more keys than queries the last query still stands at the last key."""
    np.testing.assert_array_equal(create_causal_mask(2, 4), create_causal_mask(4)[2:])
    np.testing.assert_array_equal(create_causal_mask(1, 4), [[True] * 4])


@pytest.mark.parametrize(
    ("lengths", "message"),
    [((0,), "query_length.*0"), ((2, 0), "key_length.*0"), ((3, 2), "3 queries and 2 keys")],
)
def test_bad_mask_lengths_are_refused(lengths, message):
    """Lengths below 1, and fewer keys than queries, are refused with what was given."""
    with pytest.raises(ValueError, match=message):
        create_causal_mask(*lengths)


# One head


def test_attention_by_hand():
    """The weights are 1; 1/3, 2/3; 1/8, 2/8, 5/8, and the outputs their averages of the values."""
    output, weights = scaled_dot_product_attention(*worked_example(), create_causal_mask(3))
    np.testing.assert_allclose(weights, [[1, 0, 0], [1 / 3, 2 / 3, 0], [1 / 8, 2 / 8, 5 / 8]])
    np.testing.assert_allclose(output, [[8, 0], [8 / 3, 16 / 3], [3.5, 4.5]], atol=1e-15)


def test_attention_backward_by_hand():
    """A slope of (1, 0) on the third output gives score slopes .5625, -.875, .3125."""
    query, key, value = worked_example()
    _, weights = scaled_dot_product_attention(query, key, value, create_causal_mask(3))
    upstream = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    grad_query, grad_key, grad_value = scaled_dot_product_attention_backward(
        upstream, query, key, value, weights
    )
    slopes = np.array([0.5625, -0.875, 0.3125])
    # scores = query · key / 2, and every feature of the third query is 0.5
    np.testing.assert_allclose(grad_key, np.outer(slopes, np.full(4, 0.25)), rtol=1e-14)
    np.testing.assert_allclose(grad_query[2], np.full(4, slopes @ key[:, 0] / 2), rtol=1e-14)
    np.testing.assert_array_equal(grad_query[:2], np.zeros((2, 4)))
    np.testing.assert_allclose(grad_value, [[1 / 8, 0], [2 / 8, 0], [5 / 8, 0]], atol=1e-16)


@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 2), (5, 2), (5, 4)),
        ((2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 4)),
        ((2, 1, 3), (2, 4, 3), (2, 4, 2)),
        ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1)),
    ],
)
@pytest.mark.parametrize("causal", [True, False])
def test_attention_gradients(shapes, causal):
    """Query, key and value have the right slopes, for any leading dimensions and lengths."""
    arrays = {n: draw(*s, seed=i) for i, (n, s) in enumerate(zip("qkv", shapes, strict=True))}
    lengths = shapes[0][-2], shapes[1][-2]
    mask = create_causal_mask(*lengths) if causal else None
    output, weights = scaled_dot_product_attention(*arrays.values(), mask)
    upstream = draw(*output.shape, seed=9)
    gradients = scaled_dot_product_attention_backward(upstream, *arrays.values(), weights)

    def objective():
        return float(np.sum(scaled_dot_product_attention(*arrays.values(), mask)[0] * upstream))

    named = dict(zip(arrays, gradients, strict=True))
    assert_gradients_right(check_gradients(objective, arrays, named))


def test_scores_are_divided_by_the_root_of_the_head_dimension():
    """With sixteen equal features the score of 16 is divided by 4, in one head and in many."""
    one = np.ones((1, 16))
    _, weights = scaled_dot_product_attention(one, np.vstack([one, 0 * one]), np.zeros((2, 1)))
    np.testing.assert_allclose(weights, softmax(np.array([[4.0, 0.0]])))


def test_weights_sum_to_one_under_the_mask():
    """The mask acts before the softmax: allowed weights sum to 1, forbidden ones are exactly 0."""
    mask = create_causal_mask(4)
    _, weights = scaled_dot_product_attention(draw(2, 4, 3), draw(2, 4, 3), draw(2, 4, 3), mask)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-14)
    assert (weights[:, ~mask] == 0).all()
    assert (weights[:, mask] > 0).all()


def test_fully_masked_query():
    """A query that may look nowhere gets zeros, and its slopes are zeros, not NaN."""
    mask = np.array([[False, False], [True, True]])
    query, key, value = draw(2, 3), draw(2, 3, seed=6), draw(2, 3, seed=7)
    with np.errstate(all="ignore"):
        output, weights = scaled_dot_product_attention(query, key, value, mask)
        np.testing.assert_array_equal(output[0], np.zeros(3))
        gradients = scaled_dot_product_attention_backward(output, query, key, value, weights)
    np.testing.assert_array_equal(gradients[0][0], np.zeros(3))
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_attention_of_large_scores_is_finite():
    """Queries and keys of size 1e4 give weights of 0 and 1 in float32, and no NaN."""
    big = (1e4 * draw(3, 4)).astype("float32")
    output, weights = scaled_dot_product_attention(big, big, big, create_causal_mask(3))
    assert np.isfinite(output).all()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("shapes", "mask", "message"),
    [
        (((3, 2), (3, 4), (3, 2)), None, "got 2 and 4"),
        (((3, 2), (4, 2), (3, 2)), None, "got 4 and 3"),
        (((2,), (3, 2), (3, 2)), None, r"\(2,\)"),
        (((3, 2), (3, 2), (3, 2)), np.ones((3, 3)), "boolean mask.*float64"),
        (((3, 2), (3, 2), (3, 2)), np.ones((2, 3), bool), r"\(3, 3\).*got \(2, 3\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes, mask, message):
    """Vectors of two lengths, missing values, and masks of another shape or dtype are refused."""
    with pytest.raises(ValueError, match=message):
        scaled_dot_product_attention(*(np.zeros(shape) for shape in shapes), mask)


# Many heads


def test_heads_are_parts_of_each_token():
    """The first head of tokens (0,1,2,3), (4,5,6,7) is (0,1), (4,5), a part of each token."""
    x = np.arange(8).reshape(1, 2, 4)
    np.testing.assert_array_equal(split_heads(x, 2)[0, 0], [[0, 1], [4, 5]])
    np.testing.assert_array_equal(split_heads(x, 2)[0, 1], [[2, 3], [6, 7]])
    np.testing.assert_array_equal(join_heads(split_heads(x, 2)), x)


def test_permuting_the_tokens_permutes_the_outputs():
    """Without a mask attention does not know the order, so it must follow any permutation.

    A reshape to heads without the transpose keeps every shape, and backward agrees with it; only
    this test sees that it mixes positions with features.
    """
    layer, x, order = attention_layer(), draw(2, 5, CHANNELS), np.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(layer(x[:, order]), layer(x)[:, order], atol=1e-12)


def test_each_head_is_attention_on_its_own_columns():
    """A plain loop over sequences and heads gives the layer's output, scaled by the root of D."""
    layer, x, mask = attention_layer(), draw(2, 5, CHANNELS), create_causal_mask(5)
    size = CHANNELS // HEADS
    joined = np.zeros_like(x)
    for b in range(len(x)):
        q, k, v = (x[b] @ p.weight + p.bias for p in (layer.query, layer.key, layer.value))
        for h in range(HEADS):
            part = slice(h * size, (h + 1) * size)
            scores = np.where(mask, q[:, part] @ k[:, part].T / math.sqrt(size), -np.inf)
            joined[b, :, part] = softmax(scores) @ v[:, part]
    expected = joined @ layer.output.weight + layer.output.bias
    np.testing.assert_allclose(layer.forward(x, mask=mask)[0], expected, atol=1e-13)


def test_each_sequence_may_have_a_mask_of_its_own():
    """A mask of (B, 1, T, T) acts on each sequence alone, in forward and in backward."""
    layer, x = attention_layer(), draw(2, 4, CHANNELS)
    masks = np.stack([create_causal_mask(4), np.ones((4, 4), bool)])
    masks[1, :, 0] = False  # the second sequence begins with padding
    together = layer.forward(x, mask=masks[:, None])[0]
    for row in range(2):
        alone = layer.forward(x[row : row + 1], mask=masks[row])[0]
        np.testing.assert_allclose(together[row], alone[0], atol=1e-13)
    check = check_layer(Masked(masks[:, None]), x, rng=generator(3))
    assert_gradients_right(check)


def test_layer_gradients():
    """The input's slope is the sum of the paths through queries, keys and values."""
    layer = Masked(create_causal_mask(5))
    check = check_layer(layer, draw(4, 5, CHANNELS), rng=generator(3))
    assert_gradients_right(check)
    assert len(check.errors) == 9


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (2, 1)])
@pytest.mark.parametrize("causal", [True, False])
def test_layer_gradients_at_the_edges(shape, causal):
    """One token, one sequence, and no mask at all have the right slopes too."""
    layer = Masked(create_causal_mask(shape[1]) if causal else None)
    assert_gradients_right(check_layer(layer, draw(*shape, CHANNELS), rng=generator(3)))


def test_input_gradient_needs_all_three_paths():
    """Silencing a projection takes exactly its path away, and none of the three is nothing."""
    layer, x = attention_layer(), draw(2, 5, CHANNELS)
    output, saved = layer.forward(x, mask=create_causal_mask(5))
    upstream = draw(*output.shape, seed=8)
    whole, _ = layer.backward(upstream, saved)
    paths = []
    for name in ("query", "key", "value"):
        weight = getattr(layer, name).weight
        kept = weight.copy()
        weight[...] = 0  # only this projection's way back is cut: saved has what forward made
        paths.append(whole - layer.backward(upstream, saved)[0])
        weight[...] = kept
    assert min(np.abs(path).max() for path in paths) > 0.01
    np.testing.assert_allclose(sum(paths), whole, atol=1e-12)


def test_key_bias_has_no_slope():
    """A shift of all keys shifts all of a query's scores: the true gradient is 0."""
    layer, x = attention_layer(), draw(2, 5, CHANNELS)
    output, saved = layer.forward(x, mask=create_causal_mask(5))
    _, gradients = layer.backward(draw(*output.shape, seed=8), saved)
    assert np.abs(gradients["key.bias"]).max() < 1e-9
    assert np.abs(gradients["query.bias"]).max() > 1e-3


@pytest.mark.parametrize(
    ("sizes", "message"), [((6, 4), "multiple of num_heads, got 6 and 4"), ((6, 0), "num_heads.*0")]
)
def test_heads_that_do_not_divide_are_refused(sizes, message):
    """The embedding must be cut into equal heads."""
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(*sizes, rng=generator())


def test_input_of_two_dimensions_is_refused():
    """Without a batch dimension the layer says what it expected."""
    with pytest.raises(ValueError, match=r"\(B, T, C\), got shape \(5, 6\)"):
        attention_layer()(np.zeros((5, CHANNELS)))


# The cache


def make_cache(length=5, batch=2):
    """Make a cache for one layer of the test's sizes."""
    return KVCache(1, batch_size=batch, num_heads=HEADS, max_sequence_length=length,
                   head_dim=CHANNELS // HEADS, dtype="float64")  # fmt: skip


@pytest.mark.parametrize("chunks", [(5,), (1, 1, 1, 1, 1), (2, 3), (1, 3, 1), (4, 1)])
def test_extend_equals_forward(chunks):
    """Reading in chunks of any size gives what one causal pass over everything gives."""
    layer, x, cache = attention_layer(), draw(2, 5, CHANNELS), make_cache()
    outputs = []
    for chunk in np.split(x, np.cumsum(chunks)[:-1], axis=1):
        outputs.append(layer.extend(chunk, cache, 0))
        cache.advance(chunk.shape[1])
    expected = layer.forward(x, mask=create_causal_mask(5))[0]
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), expected, atol=1e-13)
    assert cache.length == 5


def test_cache_keeps_what_was_appended():
    """The keys and values come back in order, and only as many as were read."""
    cache, first, second = make_cache(), draw(2, HEADS, 2, 2), draw(2, HEADS, 1, 2, seed=6)
    cache.append(0, first, -first)
    cache.advance(2)
    keys, values = cache.append(0, second, -second)
    np.testing.assert_array_equal(keys, np.concatenate([first, second], axis=2))
    np.testing.assert_array_equal(values, -keys)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, HEADS, 3, 2), "at most 5 tokens in the cache, got 6"),
        ((1, HEADS, 1, 2), r"\(2, 3, 1, 2\)"),
        ((2, HEADS, 1, 3), r"got \(2, 3, 1, 3\)"),
    ],
)
def test_cache_refuses_what_does_not_fit(shape, message):
    """Too many tokens, another batch or another head size are refused, and nothing is written."""
    cache = make_cache()
    cache.append(0, *draw(2, 2, HEADS, 3, 2))
    cache.advance(3)
    before = cache.keys.copy(), cache.values.copy()
    with pytest.raises(ValueError, match=message):
        cache.append(0, np.ones(shape), np.ones(shape))
    np.testing.assert_array_equal((cache.keys, cache.values), before)
    assert cache.length == 3


def test_integers_are_refused_clearly():
    """Whole numbers typed without a point are refused with the dtype that was expected."""
    with pytest.raises(ValueError, match="float.*int64"):
        scaled_dot_product_attention(*np.ones((3, 2, 2), int))
