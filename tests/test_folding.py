"""Folding: the same function of one new token, in fewer operations."""

from itertools import product

import numpy as np
import pytest

from literategpt.folding import FoldedModel, can_fold
from literategpt.layers import LayerNorm, Linear
from literategpt.lora import apply_lora, merge_lora
from literategpt.model import GPTConfig, GPTModel

SHAPE = {
    "vocabulary_size": 11, "max_sequence_length": 10, "embedding_dim": 12, "num_heads": 3,
    "num_layers": 2, "feed_forward_dim": 20, "dtype": "float64",
}  # fmt: skip


def random_model(seed: int = 0, **settings) -> GPTModel:
    """A model whose arrays, gains and biases too, are random and large."""
    model = GPTModel(GPTConfig(**SHAPE | settings), rng=np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 1)
    for array in model.named_parameters().values():
        array[...] = rng.normal(0.3, 0.5, array.shape)
    return model


@pytest.mark.parametrize(
    ("tied", "positions"), list(product((True, False), ("sinusoidal", "learned"))), ids=str
)
def test_logits_are_those_of_the_plain_model(tied, positions):
    """At every position, tied or not, with learned or computed positions, the logits agree."""
    model = random_model(tie_weights=tied, positional_encoding=positions, position_scale=0.7)
    folded = FoldedModel(model)
    plain, fast = model.create_cache(3), folded.create_cache(3)
    tokens = np.random.default_rng(2).integers(11, size=(3, 10))
    for t in range(10):
        expected = model.extend(tokens[:, t : t + 1], plain)
        np.testing.assert_allclose(
            folded.extend(tokens[:, t : t + 1], fast), expected, rtol=1e-10, atol=1e-10
        )
        assert np.abs(expected).max() > 1
    np.testing.assert_allclose(fast.keys, plain.keys, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(fast.values, plain.values, rtol=1e-10, atol=1e-10)


def test_large_eps_is_kept():
    """The eps of the norms reaches the folded model: vectors shorter than its root show it."""
    model = random_model()
    for module in (model.final_norm, *(b.attention_norm for b in model.blocks)):
        module.eps = 0.5
    assert not can_fold(model)  # one eps for all norms, or none
    for block in model.blocks:
        block.feed_forward_norm.eps = 0.5
    tokens = np.array([[3]])
    expected = model.extend(tokens, model.create_cache(1))
    folded = FoldedModel(model)
    np.testing.assert_allclose(folded.extend(tokens, folded.create_cache(1)), expected, rtol=1e-10)


def test_float32_stays_float32():
    """A float32 model has float32 logits, the same but for rounding."""
    model = random_model(dtype="float32")
    folded = FoldedModel(model)
    one = np.array([[1], [7]])
    logits = folded.extend(one, folded.create_cache(2))
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, model.extend(one, model.create_cache(2)), atol=1e-3)


def test_generation_is_the_same_past_the_end_of_the_context():
    """Prompts, full contexts and fresh caches included, the folded model writes the same text."""
    model = random_model()
    prompt = np.array([[1, 2, 3], [4, 5, 6]])
    expected = model.generate(prompt, 40, temperature=0.9, rng=np.random.default_rng(5))
    written = FoldedModel(model).generate(prompt, 40, temperature=0.9, rng=np.random.default_rng(5))
    np.testing.assert_array_equal(written, expected)
    assert len(np.unique(expected[:, 3:])) > 3


def test_the_model_is_shared_and_unchanged():
    """The arrays are the model's own, and folding changes none of them."""
    model = random_model()
    before = {name: array.copy() for name, array in model.named_parameters().items()}
    shared = FoldedModel(model).named_parameters()
    assert shared.keys() == before.keys()
    for name, array in model.named_parameters().items():
        assert shared[name] is array
        np.testing.assert_array_equal(array, before[name])


def test_what_it_does_not_know_is_refused():
    """Corrections beside the weights, or a class of one's own, cannot be folded."""
    adapted = random_model()
    apply_lora(adapted, rng=np.random.default_rng(0))
    assert not can_fold(adapted)
    with pytest.raises(ValueError, match="can_fold"):
        FoldedModel(adapted)

    class Doubled(Linear):
        def forward(self, x, *, rng=None):
            output, saved = super().forward(x)
            return 2 * output, saved

    other = random_model()
    other.blocks[1].attention.key = Doubled(12, 12, rng=np.random.default_rng(0))
    assert not can_fold(other)
    assert not can_fold(FoldedModel(random_model()))  # nor a class derived from the model

    class NoCentre(LayerNorm):
        pass

    third = random_model()
    third.final_norm = NoCentre(12)
    assert not can_fold(third)


def test_a_bad_token_leaves_the_cache_alone():
    """A token that is not in the vocabulary, and one too many, are refused before a write."""
    folded = FoldedModel(random_model())
    cache = folded.create_cache(1)
    with pytest.raises(ValueError, match="from 0 to 10, got 11"):
        folded.extend(np.array([[11]]), cache)
    assert cache.length == 0
    assert not cache.keys.any()
    folded.extend(np.arange(10)[None], cache)
    kept = cache.keys.copy()
    with pytest.raises(ValueError, match="at most 10 tokens"):
        folded.extend(np.array([[1]]), cache)
    with pytest.raises(ValueError, match="shape"):
        folded.extend(np.array([[1], [2]]), folded.create_cache(1))
    np.testing.assert_array_equal(cache.keys, kept)


def test_later_changes_do_not_reach_it():
    """It reads one token with the weights as they were when it was made."""
    model = random_model()
    folded = FoldedModel(model)
    before = folded.extend(np.array([[3]]), folded.create_cache(1))
    merge = random_model(seed=4)
    for name, array in model.named_parameters().items():
        array[...] = merge.named_parameters()[name]
    after = folded.extend(np.array([[3]]), folded.create_cache(1))
    np.testing.assert_array_equal(after, before)


def test_a_merged_adapter_is_folded():
    """A correction that was merged is inside the weight, so the folded model has it."""
    model = random_model()
    apply_lora(model, rng=np.random.default_rng(0))
    for name, array in model.named_parameters().items():
        if "lora_b" in name:
            array[...] = 0.5
    tokens = np.array([[3]])
    expected = model.extend(tokens, model.create_cache(1))
    merge_lora(model)
    folded = FoldedModel(model)
    logits = folded.extend(tokens, folded.create_cache(1))
    np.testing.assert_allclose(logits, expected, rtol=1e-8)
