"""The whole model: every parameter's gradient, what each position may know, and the loss."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from small import (
    VOCABULARY,
    assert_gradients_right,
    generator,
    lock,
    small_batch,
    small_config,
    small_model,
)

from literategpt.gradcheck import check_gradients, check_model
from literategpt.layers import Module
from literategpt.model import GPTConfig, GPTModel, add_gradients, cross_entropy_loss

KINDS = [
    {"tie_weights": tied, "positional_encoding": positions}
    for tied, positions in itertools.product((True, False), ("sinusoidal", "learned"))
]


def kind_id(kind):
    """Name a kind of model in the list of tests."""
    return f"{'tied' if kind['tie_weights'] else 'untied'}-{kind['positional_encoding']}"


every_kind = pytest.mark.parametrize("kind", KINDS, ids=kind_id)


def gradients_of(model, tokens, targets):
    """Run forward, loss and backward."""
    logits, saved = model.forward(tokens)
    return model.backward(cross_entropy_loss(logits, targets)[1], saved)


# Gradients


@every_kind
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_of_every_parameter(kind, dropout):
    """Every number of every parameter has the slope that nudging it measures."""
    model = small_model(dropout=dropout, num_layers=1 if dropout else 2, **kind)
    tokens, targets = small_batch()
    assert len(np.unique(tokens)) < tokens.size, "tokens must repeat"
    targets[0, :2] = targets[2, 4] = -1
    check = check_model(
        model, tokens, targets, ignore_index=-1, dropout_seed=3 if dropout else None
    )
    assert_gradients_right(check)
    assert check.errors.keys() == model.named_parameters().keys()


@every_kind
def test_gradients_of_one_token(kind):
    """One sequence of one token has the right slopes, and its rows alone move in the table."""
    model = small_model(num_layers=1, **kind)
    check = check_model(model, np.array([[3]]), np.array([[5]]))
    assert_gradients_right(check)


def test_gradients_of_one_repeated_token():
    """A batch of nothing but one token adds up all of its slopes."""
    model = small_model(tie_weights=False, positional_encoding="learned", num_layers=1)
    tokens = np.full((2, 3), 4)
    assert_gradients_right(check_model(model, tokens, np.array([[1, 2, 3], [4, 5, 6]])))


@every_kind
def test_gradients_of_a_random_upstream(kind):
    """Logits with any upstream gradient, not only the loss's, lead to the right slopes."""
    model = small_model(num_layers=1, **kind)
    tokens, _ = small_batch(3, 2)
    logits, saved = model.forward(tokens)
    upstream = generator(9).normal(size=logits.shape)
    gradients = model.backward(upstream, saved)
    check = check_gradients(
        lambda: float(np.sum(model(tokens) * upstream)), model.named_parameters(), gradients
    )
    assert_gradients_right(check)


def test_the_key_bias_has_no_slope():
    """The true gradient of each key bias is 0, and ours is below 1e-9."""
    gradients = gradients_of(small_model(), *small_batch())
    for layer in range(2):
        assert np.abs(gradients[f"blocks.{layer}.attention.key.bias"]).max() < 1e-9
        assert np.abs(gradients[f"blocks.{layer}.attention.query.bias"]).max() > 1e-6


FROZEN = [
    [],
    ["token_embedding"],
    ["final_norm"],
    ["blocks.0"],
    ["blocks.1.attention.query", "blocks.1.attention.value", "blocks.0.feed_forward.expand"],
    ["token_embedding", "position_embedding", "head", "blocks.0", "blocks.1"],
]


def freeze_parts(model, names):
    """Freeze the parts of those names, as far as the model has them."""
    for name in names:
        part: Module | list = model
        for step in name.split("."):
            part = part[int(step)] if isinstance(part, list) else getattr(part, step, None)
        if part is not None:
            part.freeze()


@every_kind
@pytest.mark.parametrize("frozen", FROZEN, ids=lambda names: "+".join(names) or "nothing")
def test_gradients_are_those_of_the_trainable_parameters(kind, frozen):
    """The names are equal, the shapes too, and freezing changes no bit of the others."""
    everything = gradients_of(small_model(**kind), *small_batch())
    model = small_model(**kind)
    freeze_parts(model, frozen)
    gradients = gradients_of(model, *small_batch())
    trainable = model.trainable_parameters()
    assert set(gradients) == set(trainable)
    expected = {n for n in everything if not any(n.startswith(f"{f}.") for f in frozen)}
    assert set(gradients) == expected
    for name, gradient in gradients.items():
        assert gradient.shape == trainable[name].shape
        np.testing.assert_array_equal(gradient, everything[name])


@every_kind
def test_a_frozen_model_has_no_gradients(kind):
    """With everything frozen backward returns an empty dictionary."""
    model = small_model(**kind)
    model.freeze()
    assert gradients_of(model, *small_batch()) == {}


def test_position_gradient_is_summed_over_the_batch():
    """Two equal sequences give the learned positions the slope of one, counted twice."""
    model = small_model(positional_encoding="learned")
    tokens, _ = small_batch(1, 4)
    logits, saved = model.forward(tokens)
    upstream = generator(9).normal(size=logits.shape)
    one = model.backward(upstream, saved)
    _, saved = model.forward(np.concatenate([tokens, tokens]))
    two = model.backward(np.concatenate([upstream, upstream]), saved)
    for name, gradient in one.items():
        np.testing.assert_allclose(two[name], 2 * gradient, atol=1e-12)
    assert np.abs(one["position_embedding.weight"][:4]).min(axis=1).all()
    np.testing.assert_array_equal(one["position_embedding.weight"][4:], 0)


# Tied weights and names


def test_default_model_has_1049344_parameters():
    """The default model has 1,049,344 numbers, 1,042,432 of them 12LC² + VC."""
    config = GPTConfig()
    model = GPTModel(config, rng=generator())
    assert model.num_parameters() == 1_049_344
    size = config.embedding_dim
    assert 12 * config.num_layers * size**2 + config.vocabulary_size * size == 1_042_432
    assert GPTModel(GPTConfig(tie_weights=False), rng=generator()).num_parameters() == (
        1_049_344 + 2000 * 128
    )


def test_a_tied_head_is_one_array():
    """No head is listed, the table counts once, and changing a row changes that token's logit."""
    model = small_model()
    assert "head.weight" not in model.named_parameters()
    tokens, _ = small_batch()
    before = model(tokens)
    unused = next(t for t in range(VOCABULARY) if t not in tokens[:1])
    model.token_embedding.weight[unused] *= 2
    after = model(tokens[:1])
    np.testing.assert_allclose(after[..., unused], 2 * before[:1, :, unused])


def test_a_tied_head_has_two_contributions():
    """The table's slope is that of the embedding plus that of the head, as two arrays have them."""
    tied, untied = small_model(), small_model(tie_weights=False)
    for name, array in tied.named_parameters().items():
        untied.named_parameters()[name][...] = array
    untied.head.weight[...] = tied.token_embedding.weight.T
    tokens, targets = small_batch()
    np.testing.assert_allclose(untied(tokens), tied(tokens), atol=1e-13)
    one, two = gradients_of(tied, tokens, targets), gradients_of(untied, tokens, targets)
    both = two["token_embedding.weight"] + two["head.weight"].T
    np.testing.assert_allclose(one["token_embedding.weight"], both, atol=1e-13)
    assert np.abs(two["token_embedding.weight"]).max() > 1e-3


def test_adding_gradients_keeps_both_dictionaries():
    """Names of one dictionary are kept, those of both are added, and neither is changed."""
    first, second = {"a": np.ones(1), "b": np.ones(1)}, {"b": np.ones(1), "c": np.ones(1)}
    lock(first, second)
    joined = add_gradients(first, second)
    assert {name: float(g[0]) for name, g in joined.items()} == {"a": 1, "b": 2, "c": 1}


@every_kind
def test_parameter_names_are_the_published_ones(kind):
    """The names, and the order of a block's, are those that checkpoints and pages rely on."""
    block = [
        "attention_norm.weight", "attention_norm.bias",
        *(f"attention.{p}.{a}" for p in ("query", "key", "value", "output")
          for a in ("weight", "bias")),
        "feed_forward_norm.weight", "feed_forward_norm.bias",
        *(f"feed_forward.{p}.{a}" for p in ("expand", "contract") for a in ("weight", "bias")),
    ]  # fmt: skip
    expected = ["token_embedding.weight"]
    if kind["positional_encoding"] == "learned":
        expected.append("position_embedding.weight")
    expected += [f"blocks.{i}.{name}" for i in range(2) for name in block]
    expected += ["final_norm.weight", "final_norm.bias"]
    if not kind["tie_weights"]:
        expected.append("head.weight")
    assert list(small_model(**kind).named_parameters()) == expected


def test_initial_values():
    """A new model has gains of 1, biases of 0, and weights of standard deviation 0.02."""
    for name, array in GPTModel(GPTConfig(), rng=generator()).named_parameters().items():
        if name.endswith("bias"):
            assert not array.any(), name
        elif array.ndim == 1:
            assert (array == 1).all(), name
        else:
            assert abs(array.std() - 0.02) < 5e-4, name
            assert abs(array.mean()) < 5e-4, name


# What a position knows


@every_kind
def test_no_logit_depends_on_a_later_token(kind):
    """Changing a token changes its own logits and later ones, and no bit of those before it."""
    model, (tokens, _) = small_model(**kind), small_batch(1, 6)
    before = model(tokens)
    for place in range(6):
        changed = tokens.copy()
        changed[0, place] = (changed[0, place] + 1) % VOCABULARY
        same = (model(changed) == before).all(axis=-1)[0]
        np.testing.assert_array_equal(same, np.arange(6) < place)


def last_logits_after_swap(num_layers, positions):
    """Return the last logits of a text, and of the text with two earlier tokens swapped."""
    model = small_model(num_layers=num_layers)
    if not positions:
        model.positional_encoding.table[...] = 0
    return model(np.array([[1, 2, 3, 4]]))[0, -1], model(np.array([[2, 1, 3, 4]]))[0, -1]


def test_positions_tell_the_order():
    """In one layer, swapping two earlier tokens changes the last logits through positions only."""
    np.testing.assert_allclose(*last_logits_after_swap(1, positions=False), atol=1e-13)
    original, swapped = last_logits_after_swap(1, positions=True)
    assert np.abs(original - swapped).max() > 1e-3


def test_two_layers_know_the_order_without_positions():
    """A causal stack is not blind to order: two layers tell a swap even without positions."""
    original, swapped = last_logits_after_swap(2, positions=False)
    assert np.abs(original - swapped).max() > 1e-3


def test_sinusoids_do_not_drown_the_embeddings():
    """At the default scale the positions are as loud as new embeddings, not 35 times louder."""
    model = GPTModel(GPTConfig(), rng=generator())
    tokens = generator(1).integers(0, 2000, (1, 256))
    rows = model.token_embedding(tokens)
    positions = model.embed(tokens)[0] - rows
    loudness = np.linalg.norm(positions, axis=-1).mean() / np.linalg.norm(rows, axis=-1).mean()
    assert 0.5 < loudness < 2
    table = model.positional_encoding.table
    np.testing.assert_allclose(np.linalg.norm(table, axis=-1), 8, rtol=1e-5)


@every_kind
def test_sequences_of_a_batch_do_not_mix(kind):
    """A sequence has the same logits alone as in a batch."""
    model, (tokens, _) = small_model(**kind), small_batch()
    together = model(tokens)
    for row in range(len(tokens)):
        np.testing.assert_allclose(model(tokens[row : row + 1])[0], together[row], atol=1e-13)


@every_kind
def test_evaluation_equals_forward(kind):
    """Calling the model gives the bits of a forward pass without a generator, dropout or not."""
    model, (tokens, _) = small_model(dropout=0.4, **kind), small_batch()
    np.testing.assert_array_equal(model(tokens), model.forward(tokens)[0])
    trained = model.forward(tokens, rng=generator())[0]
    assert np.abs(trained - model(tokens)).max() > 1e-3


def test_dropout_acts_on_the_embedding_sum_too():
    """In training the first block receives the masked sum of embedding and position."""
    model, (tokens, _) = small_model(dropout=0.5), small_batch()
    _, saved = model.forward(tokens, rng=generator())
    mask = saved.dropout.mask
    np.testing.assert_array_equal(saved.blocks[0].input, model.embed(tokens)[0] * mask)
    assert (mask == 0).any()


def test_final_norm_stands_before_the_head():
    """What the head reads has the mean and spread of a normalized vector."""
    model, (tokens, _) = small_model(), small_batch()
    model.final_norm.weight[...], model.final_norm.bias[...] = 1, 0
    _, saved = model.forward(tokens)
    np.testing.assert_allclose(saved.head.input.mean(axis=-1), 0, atol=1e-13)
    np.testing.assert_allclose(saved.head.input.std(axis=-1), 1, rtol=1e-3)


def test_final_norm_is_trained():
    """Gain and bias of the last norm have a gradient, and it is not zero."""
    gradients = gradients_of(small_model(), *small_batch())
    for name in ("final_norm.weight", "final_norm.bias"):
        assert name in gradients
        assert np.abs(gradients[name]).max() > 1e-3


def test_saved_shows_the_attention_maps():
    """Each layer's weights are public, causal, and sum to 1."""
    model, (tokens, _) = small_model(), small_batch()
    _, saved = model.forward(tokens)
    assert len(saved.blocks) == 2
    for block in saved.blocks:
        assert block.attention.weights.shape == (4, 3, 5, 5)
        np.testing.assert_allclose(block.attention.weights.sum(axis=-1), 1)
        assert (block.attention.weights[..., ~np.tri(5, dtype=bool)] == 0).all()


# The loss


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("level", [0.0, 1e4, -1e4])
def test_uniform_logits_cost_ln_v(dtype, level):
    """Equal logits, of any size, cost the logarithm of the vocabulary."""
    loss, grad = cross_entropy_loss(np.full((2, 3, 50), level, dtype), np.zeros((2, 3), int))
    assert abs(loss - math.log(50)) < 1e-6
    assert np.isfinite(grad).all()


def test_loss_by_hand():
    """Logits ln 1, ln 2, ln 5 with the second as target: loss ln 4, slopes .125, -.75, .625."""
    logits = np.log([[1.0, 2.0, 5.0]])
    loss, grad = cross_entropy_loss(logits, np.array([1]))
    assert abs(loss - math.log(4)) < 1e-14
    np.testing.assert_allclose(grad, [[0.125, -0.75, 0.625]], rtol=1e-14)
    after, _ = cross_entropy_loss(logits - grad, np.array([1]))
    assert abs(after - 0.610) < 5e-4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_loss_of_extreme_logits(dtype):
    """Logits of ±1e4 cost their exact difference: nothing is clipped, and the slope stays."""
    logits = np.array([[1e4, -1e4, 0.0]], dtype)
    for target, expected in ((0, 0.0), (1, 2e4), (2, 1e4)):
        loss, grad = cross_entropy_loss(logits, np.array([target]))
        assert loss == expected
        np.testing.assert_array_equal(grad[0], np.eye(3)[0] - np.eye(3)[target])


def test_loss_of_a_certain_right_answer():
    """A sure and right answer costs what log-sum-exp says, and never less than 0."""
    for logit in (10.0, 20.0, 30.0):
        loss, _ = cross_entropy_loss(np.array([[logit, 0.0]]), np.array([0]))
        assert abs(loss - math.log1p(math.exp(-logit))) < 1e-15
        assert loss >= 0


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 3, 2), ()])
def test_loss_gradients(shape):
    """The slope of the loss is the measured one, for any dimensions and with ignored places."""
    rng = generator()
    logits = rng.normal(size=(*shape, 5))
    targets = rng.integers(0, 5, shape)
    if shape:
        targets.flat[0] = -1
    _, grad = cross_entropy_loss(logits, targets, -1)
    check = check_gradients(
        lambda: cross_entropy_loss(logits, targets, -1)[0], {"logits": logits}, {"logits": grad}
    )
    assert_gradients_right(check)


def test_ignored_places_count_nowhere():
    """Padding is in neither the sum, nor the number of places, nor the gradient."""
    logits, targets = generator().normal(size=(2, 4, 5)), generator(1).integers(1, 5, (2, 4))
    targets[0, 2:] = targets[1, 0] = 0
    counted = targets != 0
    loss, grad = cross_entropy_loss(logits, targets, ignore_index=0)
    expected, expected_grad = cross_entropy_loss(logits[counted], targets[counted])
    assert abs(loss - expected) < 1e-14
    np.testing.assert_allclose(grad[counted], expected_grad, atol=1e-16)
    np.testing.assert_array_equal(grad[~counted], 0)


@pytest.mark.parametrize("ignore_index", [0, -100, 3])
def test_a_batch_of_padding_costs_nothing(ignore_index):
    """Where no place counts, loss and gradient are 0, whatever the denominator."""
    targets = np.full((2, 3), ignore_index)
    for denominator in (None, 7):
        loss, grad = cross_entropy_loss(np.ones((2, 3, 5)), targets, ignore_index, denominator)
        assert loss == 0
        np.testing.assert_array_equal(grad, np.zeros((2, 3, 5)))


def test_pieces_of_a_batch_add_up():
    """Losses and gradients of unequal pieces, with a common denominator, add to the whole's."""
    model, (tokens, targets) = small_model(), small_batch()
    targets[0, :4] = targets[3, 2] = -1
    count = int((targets != -1).sum())
    logits, saved = model.forward(tokens)
    whole_loss, grad = cross_entropy_loss(logits, targets, -1)
    whole = model.backward(grad, saved)
    loss, parts = 0.0, []
    for piece in (slice(0, 1), slice(1, 4)):
        logits, saved = model.forward(tokens[piece])
        piece_loss, grad = cross_entropy_loss(logits, targets[piece], -1, denominator=count)
        loss += piece_loss
        parts.append(model.backward(grad, saved))
    assert abs(loss - whole_loss) < 1e-13
    for name, gradient in whole.items():
        np.testing.assert_allclose(parts[0][name] + parts[1][name], gradient, atol=1e-13)


# Refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary_size": 0}, "vocabulary_size.*got 0"),
        ({"max_sequence_length": -1}, "max_sequence_length.*got -1"),
        ({"num_layers": 2.0}, "num_layers.*got 2.0"),
        ({"num_heads": True}, "num_heads.*got True"),
        ({"feed_forward_dim": "8"}, "feed_forward_dim.*got '8'"),
        ({"num_heads": 4}, "multiple of num_heads, got 6 and 4"),
        ({"embedding_dim": 9}, "even embedding_dim, got 9"),
        ({"dropout": 1.0}, r"\[0, 1\), got 1.0"),
        ({"dropout": -0.5}, r"\[0, 1\), got -0.5"),
        ({"positional_encoding": "rotary"}, "got 'rotary'"),
        ({"position_scale": math.nan}, "position_scale, got nan"),
        ({"dtype": "float16"}, "got 'float16'"),
    ],
)
def test_bad_configurations_are_refused(changes, message):
    """A value out of its range is refused with its name and what was given."""
    with pytest.raises(ValueError, match=message):
        small_config(**changes)


def test_default_configuration():
    """The default model is the one of the pages: each value is written down here once more."""
    assert GPTConfig().to_dict() == {
        "vocabulary_size": 2000, "max_sequence_length": 256, "embedding_dim": 128,
        "num_heads": 4, "num_layers": 4, "feed_forward_dim": 512, "dropout": 0.0,
        "tie_weights": True, "positional_encoding": "sinusoidal", "position_scale": 0.02,
        "dtype": "float32",
    }  # fmt: skip


def test_odd_dimensions_are_fine_with_learned_positions():
    """Only sines and cosines come in pairs."""
    config = small_config(embedding_dim=9, positional_encoding="learned")
    assert GPTModel(config, rng=generator())(np.array([[1, 2]])).shape == (1, 2, VOCABULARY)


def test_configuration_is_plain_values():
    """A configuration cannot be changed, and its dictionary makes an equal one."""
    config = small_config(dropout=0.25)
    assert GPTConfig(**config.to_dict()) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.dropout = 0.5


BAD_TOKENS = [
    (np.array([1, 2]), r"\(B, T\).*got \(2,\)"),
    (np.zeros((1, 2, 3), int), r"\(B, T\).*got \(1, 2, 3\)"),
    (np.zeros((2, 0), int), r"got \(2, 0\)"),
    (np.zeros((0, 2), int), r"got \(0, 2\)"),
    (np.array([[1.0]]), "integer dtype, got float64"),
    (np.array([[7]]), "from 0 to 6, got 7"),
    (np.array([[0, -1]]), "from 0 to 6, got -1"),
    (np.zeros((1, 9), int), "at most 8 tokens, got 9"),
]


@pytest.mark.parametrize(("tokens", "message"), BAD_TOKENS)
def test_bad_tokens_are_refused(tokens, message):
    """Forward, evaluation and extend refuse what is not (B, T) ids, and the cache is unchanged."""
    model = small_model()
    cache = model.create_cache(max(len(tokens), 1))
    for call in (model, model.forward, lambda t: model.extend(t, cache)):
        with pytest.raises(ValueError, match=message):
            call(tokens)
    assert cache.length == 0
    assert not cache.keys.any()


def test_backward_refuses_another_shape():
    """A gradient that does not belong to the saved pass is refused with both shapes."""
    model, (tokens, _) = small_model(), small_batch()
    _, saved = model.forward(tokens)
    with pytest.raises(ValueError, match=r"\(4, 5, 7\), got \(4, 4, 7\)"):
        model.backward(np.zeros((4, 4, 7)), saved)


@pytest.mark.parametrize(
    ("targets", "settings", "message"),
    [
        (np.zeros((2, 7), int), {}, r"\(2, 8\), got \(2, 7\)"),
        (np.zeros(16, int), {}, r"\(2, 8\), got \(16,\)"),
        (np.full((2, 8), 3), {}, "from 0 to 2, got 3"),
        (np.full((2, 8), -1), {}, "from 0 to 2, got -1"),
        (np.full((2, 8), -1), {"ignore_index": -2}, "got -1"),
        (np.zeros((2, 8)), {}, "integer dtype, got float64"),
        (np.zeros((2, 8), int), {"denominator": 0}, "positive denominator, got 0"),
        (np.zeros((2, 8), int), {"denominator": math.nan}, "got nan"),
    ],
)
def test_bad_targets_are_refused(targets, settings, message):
    """Targets of another shape or dtype, or outside the vocabulary, are refused."""
    with pytest.raises(ValueError, match=message):
        cross_entropy_loss(np.zeros((2, 8, 3)), targets, **settings)


def test_integer_logits_are_refused_clearly():
    """Whole numbers typed without a point are refused with the dtype that was expected."""
    with pytest.raises(ValueError, match="float.*int64"):
        cross_entropy_loss(np.zeros((2, 3), int), np.array([0, 1]))


def test_lists_are_taken_for_arrays():
    """Tokens and targets may be lists of lists, as a tokenizer's encode makes them."""
    gpt, tokens, targets = small_model(), [[1, 2, 3], [4, 5, 6]], [[2, 3, 4], [5, 6, 0]]
    logits, saved = gpt.forward(tokens)
    np.testing.assert_array_equal(logits, gpt.forward(np.array(tokens))[0])
    np.testing.assert_array_equal(gpt(tokens), logits)
    np.testing.assert_array_equal(saved.tokens.ids, tokens)
    loss, _ = cross_entropy_loss(logits, targets)
    assert loss == cross_entropy_loss(logits, np.array(targets))[0]
    last = gpt.extend(tokens, gpt.create_cache(2))
    np.testing.assert_allclose(last, logits[:, -1], atol=1e-12)
    written = gpt.generate(tokens, 3, temperature=0)
    np.testing.assert_array_equal(written, gpt.generate(np.array(tokens), 3, temperature=0))
