"""The feed-forward network and the block: gradients, bypasses, causality, and the cache."""

import numpy as np
import pytest
from small import assert_gradients_right, generator

from literategpt.activations import gelu
from literategpt.attention import KVCache
from literategpt.gradcheck import check_layer, randomize_parameters
from literategpt.transformer import FeedForwardNetwork, TransformerBlock

CHANNELS, HEADS, HIDDEN = 6, 3, 8


def make_block(dropout=0.0):
    """Make a block with all parameters random."""
    block = TransformerBlock(
        CHANNELS, HEADS, HIDDEN, dropout=dropout, rng=generator(), dtype="float64"
    )
    randomize_parameters(block, generator(1))
    return block


def draw(*shape, seed=5):
    """Draw normal values."""
    return generator(seed).normal(size=shape)


@pytest.mark.parametrize("shape", [(4, 5, CHANNELS), (1, 1, CHANNELS), (3, CHANNELS)])
def test_feed_forward_gradients(shape):
    """Input and both layers have the right slopes."""
    network = FeedForwardNetwork(CHANNELS, HIDDEN, rng=generator(), dtype="float64")
    randomize_parameters(network, generator(1))
    check = check_layer(network, draw(*shape), rng=generator(2))
    assert_gradients_right(check)
    assert len(check.errors) == 5


def test_feed_forward_is_its_formula():
    """The network is gelu(x W1 + b1) W2 + b2, at each position alone."""
    network = FeedForwardNetwork(CHANNELS, HIDDEN, rng=generator(), dtype="float64")
    randomize_parameters(network, generator(1))
    x, first, second = draw(2, 3, CHANNELS), network.expand, network.contract
    expected = gelu(x @ first.weight + first.bias) @ second.weight + second.bias
    np.testing.assert_allclose(network(x), expected, atol=1e-14)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_block_gradients(dropout):
    """Input and all sixteen parameters have the right slopes, with dropout on and off."""
    seed = 7 if dropout else None
    block = make_block(dropout)
    check = check_layer(block, draw(4, 5, CHANNELS), rng=generator(2), dropout_seed=seed)
    assert_gradients_right(check)
    assert len(check.errors) == 17


def test_block_gradients_of_one_token():
    """One sequence of one token has the right slopes."""
    assert_gradients_right(check_layer(make_block(), draw(1, 1, CHANNELS), rng=generator(2)))


def test_block_with_silent_sub_layers_is_a_bypass():
    """When both sub-layers write zeros, input and gradient pass through unchanged."""
    block, x, upstream = make_block(), draw(2, 5, CHANNELS), draw(2, 5, CHANNELS, seed=6)
    for last in (block.attention.output, block.feed_forward.contract):
        last.weight[...] = last.bias[...] = 0
    output, saved = block.forward(x)
    np.testing.assert_array_equal(output, x)
    np.testing.assert_array_equal(block.backward(upstream, saved)[0], upstream)


def test_block_normalizes_before_each_sub_layer():
    """The block is h = x + attention(norm(x)) and then h + feed_forward(norm(h))."""
    block, x = make_block(), draw(2, 5, CHANNELS)
    mask = np.tril(np.ones((5, 5), bool))
    middle = x + block.attention.forward(block.attention_norm(x), mask=mask)[0]
    expected = middle + block.feed_forward(block.feed_forward_norm(middle))
    np.testing.assert_allclose(block(x), expected, atol=1e-13)


def test_block_does_not_see_the_future():
    """Changing one position leaves all before it as they were, and changes it and all after."""
    block, x = make_block(), draw(1, 5, CHANNELS)
    changed = x.copy()
    changed[0, 2, 0] += 1
    same = (block(x) == block(changed)).all(axis=-1)[0]
    np.testing.assert_array_equal(same, [True, True, False, False, False])


def test_dropout_acts_on_both_sub_layers_and_not_on_the_bypass():
    """In training each sub-layer's result is masked by its own mask, before it is added."""
    block, x = make_block(0.5), draw(2, 5, CHANNELS)
    output, saved = block.forward(x, rng=generator(3))
    first, second = saved.attention_dropout.mask, saved.feed_forward_dropout.mask
    assert (first != second).any()
    mask = np.tril(np.ones((5, 5), bool))
    middle = x + first * block.attention.forward(block.attention_norm(x), mask=mask)[0]
    expected = middle + second * block.feed_forward(block.feed_forward_norm(middle))
    np.testing.assert_allclose(output, expected, atol=1e-13)


def test_block_saves_its_input_and_its_attention_maps():
    """What came in and the attention weights can be read from saved, under those names."""
    block, x = make_block(), draw(2, 5, CHANNELS)
    _, saved = block.forward(x)
    np.testing.assert_array_equal(saved.input, x)
    assert saved.attention.weights.shape == (2, HEADS, 5, 5)


@pytest.mark.parametrize("chunks", [(5,), (1, 1, 1, 1, 1), (2, 3)])
def test_block_extends_as_it_evaluates(chunks):
    """With a cache, in chunks, the block gives what one pass gives."""
    block, x = make_block(0.5), draw(2, 5, CHANNELS)
    cache = KVCache(1, batch_size=2, num_heads=HEADS, max_sequence_length=5,
                    head_dim=2, dtype="float64")  # fmt: skip
    outputs = []
    for chunk in np.split(x, np.cumsum(chunks)[:-1], axis=1):
        outputs.append(block.extend(chunk, cache, 0))
        cache.advance(chunk.shape[1])
    np.testing.assert_allclose(np.concatenate(outputs, axis=1), block(x), atol=1e-12)
