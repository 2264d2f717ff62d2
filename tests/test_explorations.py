"""The three exploration exercises: a tokenizer, an attention pattern, a temperature."""

from itertools import pairwise

import numpy as np
import pytest

import literategpt
from literategpt.attention import create_causal_mask, scaled_dot_product_attention
from literategpt.model import cross_entropy_loss
from literategpt.tokenizer import BPETokenizer

# --- 1. tokenizer --------------------------------------------------------------------------------

QUESTION = "to be or not to be that is the question"


@pytest.fixture
def rng():
    """A generator with a fixed seed."""
    return np.random.default_rng(0)


def trained(vocabulary_size):
    """Train a tokenizer on the question."""
    tokenizer = BPETokenizer()
    tokenizer.train(QUESTION, vocabulary_size)
    return tokenizer


def pieces(tokenizer, text):
    """The text of each token."""
    return [tokenizer.decode([token]) for token in tokenizer.encode(text)]


def test_seen_words_become_few_tokens_and_come_back():
    """With 30 entries the question takes 21 tokens for its 39 characters, and `to be` two."""
    tokenizer = trained(30)
    assert (len(tokenizer), len(QUESTION), len(tokenizer.encode(QUESTION))) == (30, 39, 21)
    assert pieces(tokenizer, "to be") == ["to", " be"]
    assert tokenizer.decode(tokenizer.encode(QUESTION)) == QUESTION


def test_unseen_word_of_known_letters_is_spelled():
    """`banana` is new and has only letters of the text: six tokens, none unknown."""
    tokenizer = trained(30)
    assert pieces(tokenizer, "banana") == list("banana")
    assert tokenizer.unk_id not in tokenizer.encode("banana")


def test_unseen_letters_are_unknown():
    """`zephyr` has three letters that the text has not; they cannot come back."""
    assert pieces(trained(30), "zephyr") == ["<UNK>", "e", "<UNK>", "h", "<UNK>", "r"]


def test_larger_vocabulary_makes_fewer_tokens():
    """17, 21, 26 and 30 entries give 39, 30, 25 and 21 tokens; at 41 no pair is left."""
    counts = [len(trained(size).encode(QUESTION)) for size in (17, 21, 26, 30)]
    assert counts == [39, 30, 25, 21]
    assert len(trained(41)) == len(trained(1000)) == 41
    with pytest.raises(ValueError, match="at least 17"):
        trained(16)


# --- 2. attention --------------------------------------------------------------------------------


@pytest.fixture
def query_key_value(rng):
    """Random queries, keys and values of shape (1, 4, 8)."""
    return rng.normal(size=(3, 1, 4, 8))


def test_without_a_mask_every_token_sees_every_token(query_key_value):
    """All sixteen weights are above zero, and each row sums to one."""
    output, weights = scaled_dot_product_attention(*query_key_value)
    assert output.shape == (1, 4, 8)
    assert weights.shape == (1, 4, 4)
    assert (weights > 0).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-12)


def test_mask_makes_future_weights_exactly_zero(query_key_value):
    """The six weights above the diagonal are 0, not merely small; the first row is 1, 0, 0, 0."""
    _, weights = scaled_dot_product_attention(*query_key_value, create_causal_mask(4))
    future = ~create_causal_mask(4)
    assert future.sum() == 6
    assert (weights[0][future] == 0).all()
    assert (weights[0][~future] > 0).all()
    assert weights[0, 0].tolist() == [1, 0, 0, 0]


def test_mask_shares_the_rest_in_the_old_proportions(query_key_value):
    """A masked row is the unmasked one, cut off and divided by what is left of it."""
    _, free = scaled_dot_product_attention(*query_key_value)
    _, masked = scaled_dot_product_attention(*query_key_value, create_causal_mask(4))
    kept = free * create_causal_mask(4)
    np.testing.assert_allclose(masked, kept / kept.sum(axis=-1, keepdims=True), atol=1e-12)
    np.testing.assert_array_equal(masked[0, -1], free[0, -1])


def test_later_tokens_change_earlier_outputs_only_without_a_mask(query_key_value):
    """Another last token changes every output without the mask, and with it only the last."""
    changed = query_key_value.copy()
    changed[:, :, -1] += 1
    for mask, expected in ((None, [True] * 4), (create_causal_mask(4), [False] * 3 + [True])):
        before, _ = scaled_dot_product_attention(*query_key_value, mask)
        after, _ = scaled_dot_product_attention(*changed, mask)
        assert (before != after).any(axis=-1)[0].tolist() == expected


# --- 3. temperature ------------------------------------------------------------------------------

PROMPT = "The king"
TEMPERATURES = (0.1, 0.5, 1.0, 2.0)
SEEDS = range(12)
NEW_TOKENS = 20


@pytest.fixture(scope="module")
def pretrained():
    """The shipped model and its tokenizer."""
    return literategpt.load_pretrained()


@pytest.fixture(scope="module")
def written(pretrained):
    """Twenty tokens after the prompt for each temperature and seed, as ids (seeds, T)."""
    model, tokenizer = pretrained
    prompt = np.array([tokenizer.encode(PROMPT)])
    return {
        temperature: np.concatenate([
            model.generate(
                prompt, NEW_TOKENS, temperature=temperature, rng=np.random.default_rng(seed)
            )
            for seed in SEEDS
        ])
        for temperature in TEMPERATURES
    }  # fmt: skip


def surprise(model, rows):
    """Mean surprise of the new tokens under the model at temperature 1, in nats."""
    logits = model(rows[:, :-1])[:, -NEW_TOKENS:]
    return cross_entropy_loss(logits, rows[:, -NEW_TOKENS:])[0]


def repeated_pairs(tokenizer, rows):
    """How many pairs of words occur a second time in the same row."""
    texts = [tokenizer.decode(row).split() for row in rows]
    return sum(len(list(pairwise(words))) - len(set(pairwise(words))) for words in texts)


def test_prompt_is_kept_and_twenty_tokens_follow(pretrained, written):
    """Each text begins with the prompt, at each temperature, and decodes."""
    _, tokenizer = pretrained
    for rows in written.values():
        assert rows.shape == (len(SEEDS), len(tokenizer.encode(PROMPT)) + NEW_TOKENS)
        assert all(tokenizer.decode(row).startswith(PROMPT) for row in rows)


def test_surprise_rises_with_temperature(pretrained, written):
    """The hotter, the more surprising the text is to the model that wrote it."""
    model, _ = pretrained
    surprises = [surprise(model, rows) for rows in written.values()]
    assert surprises == sorted(surprises)
    assert surprises[-1] > 2 * surprises[0]


def test_variety_rises_and_repetition_falls_with_temperature(pretrained, written):
    """Hotter texts draw on more of the vocabulary, and the coldest repeat themselves most."""
    _, tokenizer = pretrained
    different = [len(np.unique(rows[:, -NEW_TOKENS:])) for rows in written.values()]
    assert different == sorted(different)
    assert different[-1] > 1.5 * different[0]
    assert repeated_pairs(tokenizer, written[0.1]) >= repeated_pairs(tokenizer, written[2.0])


def test_temperature_zero_is_the_limit_of_cold(pretrained, written):
    """At temperature 0 the seed does not matter, and each token is the likeliest."""
    model, tokenizer = pretrained
    prompt = np.array([tokenizer.encode(PROMPT)])
    greedy, again = (
        model.generate(prompt, NEW_TOKENS, temperature=0, rng=np.random.default_rng(seed))
        for seed in (0, 1)
    )
    assert (greedy == again).all()
    likeliest = model(greedy[:, :-1]).argmax(axis=-1)[:, -NEW_TOKENS:]
    assert (likeliest == greedy[:, -NEW_TOKENS:]).all()
    assert surprise(model, greedy) < surprise(model, written[1.0])
