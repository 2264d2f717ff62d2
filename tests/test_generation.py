"""Generation: the cache against recomputation, the end of the context, and what may be drawn."""

import itertools
import math

import numpy as np
import pytest
from small import VOCABULARY, generator, lock, nothing_may_be_written, small_model

from literategpt.activations import softmax
from literategpt.model import GPTConfig, GPTModel, cross_entropy_loss
from literategpt.optimizer import AdamW

CONTEXT = 8  # of the small models
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}

every_model = pytest.mark.parametrize(
    "settings",
    [
        {"dtype": dtype, "positional_encoding": positions, "tie_weights": tied}
        for dtype, positions, tied in itertools.product(
            TOLERANCES, ("sinusoidal", "learned"), (True, False)
        )
    ],
    ids=lambda s: "-".join(map(str, s.values())),
)


def prompts(batch=3, time=2, seed=4):
    """Draw prompts."""
    return generator(seed).integers(0, VOCABULARY, (batch, time))


def lively_model():
    """Make a model that does not repeat itself when it is greedy, as one with a tied head would."""
    return small_model(tie_weights=False)


def test_the_lively_model_is_lively():
    """Greedy texts of this model are worth comparing: they use three tokens and more."""
    for row in lively_model().generate(prompts(3, 4), 30, temperature=0)[:, 4:]:
        assert len(set(row.tolist())) >= 3


# Cache and recomputation


@every_model
@pytest.mark.parametrize("chunks", [(8,), (1,) * 8, (3, 1, 4), (2, 5, 1)])
def test_extend_equals_recomputation(settings, chunks):
    """After each chunk the logits are those of a whole pass, up to the end of the context."""
    gpt, tokens = small_model(**settings), prompts(3, CONTEXT)
    cache, end = gpt.create_cache(3), 0
    for size in chunks:
        logits = gpt.extend(tokens[:, end : end + size], cache)
        end += size
        expected = gpt(tokens[:, :end])[:, -1]
        np.testing.assert_allclose(logits, expected, atol=TOLERANCES[settings["dtype"]])
    assert cache.length == CONTEXT


@every_model
@pytest.mark.parametrize("length", [1, 5, CONTEXT, CONTEXT + 1, 3 * CONTEXT])
def test_generation_with_the_cache_equals_recomputation(settings, length):
    """The tokens are equal within the context, at its end and far beyond it."""
    gpt = small_model(**settings)
    for new in (0, 1, 6, 40):
        cached, computed = (
            gpt.generate(prompts(2, length), new, rng=generator(), use_cache=use)
            for use in (True, False)
        )
        assert cached.shape == (2, length + new)
        np.testing.assert_array_equal(cached, computed)


def test_a_full_context_goes_on_with_its_later_half():
    """Token by token, generation reads what the rule says, written out here once more."""
    gpt, new = lively_model(), 40
    for length in (1, CONTEXT - 1, CONTEXT, CONTEXT + 5):
        written = prompts(1, length)
        context = written[:, -CONTEXT:]
        for _ in range(new):
            if context.shape[1] > CONTEXT:
                context = context[:, -(CONTEXT // 2) :]
            token = gpt(context)[:, -1].argmax(axis=-1)[:, None]
            context = np.concatenate([context, token], axis=1)
            written = np.concatenate([written, token], axis=1)
        for use_cache in (True, False):
            result = gpt.generate(prompts(1, length), new, temperature=0, use_cache=use_cache)
            np.testing.assert_array_equal(result, written)


@pytest.mark.parametrize("context", [1, 2, 3])
def test_the_shortest_contexts(context):
    """Contexts of one, two and three tokens generate on, the cache as the recomputation."""
    gpt = small_model(max_sequence_length=context)
    cached, computed = (
        gpt.generate(prompts(2, 4), 9, rng=generator(), use_cache=use) for use in (True, False)
    )
    np.testing.assert_array_equal(cached, computed)


def test_the_cache_saves_work(monkeypatch):
    """Within the context every token is read once with the cache, and again and again without."""
    gpt, read = small_model(), []
    embed = gpt.embed

    def counting(tokens, start=0):
        read.append(tokens.shape[1])
        return embed(tokens, start)

    monkeypatch.setattr(gpt, "embed", counting)
    gpt.generate(prompts(1, 2), 6, temperature=0)
    assert read == [2, 1, 1, 1, 1, 1]
    read.clear()
    gpt.generate(prompts(1, 2), 6, temperature=0, use_cache=False)
    assert read == [2, 3, 4, 5, 6, 7]


def test_extend_refuses_to_pass_the_context():
    """One token too many is refused, and the cache goes on as if it had not been tried."""
    gpt, tokens = small_model(), prompts(2, CONTEXT)
    cache = gpt.create_cache(2)
    gpt.extend(tokens[:, :6], cache)
    keys, values = cache.keys.copy(), cache.values.copy()
    with pytest.raises(ValueError, match="at most 8 tokens in all, got 9"):
        gpt.extend(tokens[:, :3], cache)
    with pytest.raises(ValueError, match="batch of 2 as in the cache, got 1"):
        gpt.extend(tokens[:1, :1], cache)
    assert cache.length == 6
    np.testing.assert_array_equal((cache.keys, cache.values), (keys, values))
    logits = gpt.extend(tokens[:, 6:], cache)
    np.testing.assert_allclose(logits, gpt(tokens)[:, -1], atol=1e-12)


def test_each_prompt_has_a_fresh_cache():
    """Generating from another prompt in between changes nothing."""
    gpt = lively_model()
    first = gpt.generate(prompts(), 6, temperature=0)
    gpt.generate(prompts(2, 5, seed=9), 6, temperature=0)
    np.testing.assert_array_equal(gpt.generate(prompts(), 6, temperature=0), first)


def test_rows_of_a_batch_are_on_their_own():
    """Greedily, a batch writes what its prompts write alone, beyond the context too."""
    gpt = lively_model()
    together = gpt.generate(prompts(3, 4), 20, temperature=0)
    for row in range(3):
        alone = gpt.generate(prompts(3, 4)[row : row + 1], 20, temperature=0)
        np.testing.assert_array_equal(together[row], alone[0])


def test_dropout_is_off():
    """A model with dropout generates as the same model without."""
    for use_cache in (True, False):
        one, other = (
            small_model(dropout=rate).generate(prompts(), 20, rng=generator(), use_cache=use_cache)
            for rate in (0.5, 0.0)
        )
        np.testing.assert_array_equal(one, other)


# End of text


def first_of_each_row(sequence, token):
    """Find where a token first stands in each row; past the end where it does not."""
    return [
        list(row).index(token) if token in row else sequence.shape[1] for row in sequence.tolist()
    ]


@pytest.mark.parametrize("use_cache", [True, False])
def test_rows_stop_on_their_own(use_cache):
    """A row that wrote the end token is filled with it; the others write on undisturbed."""
    gpt, eos = small_model(), 3
    free = gpt.generate(prompts(6), 30, rng=generator(1), use_cache=use_cache)[:, 2:]
    stopped = gpt.generate(prompts(6), 30, rng=generator(1), eos_id=eos, use_cache=use_cache)[:, 2:]
    ends = first_of_each_row(free, eos)
    assert len(set(ends)) > 2
    assert stopped.shape[1] == min(max(ends) + 1, 30)
    for row, end in enumerate(ends):
        until = min(end + 1, stopped.shape[1])
        np.testing.assert_array_equal(stopped[row, :until], free[row, :until])
        assert (stopped[row, end:] == eos).all()


def test_an_end_token_in_the_prompt_does_not_stop():
    """Only a token that was written ends a row."""
    gpt = small_model()
    prompt = np.array([[3, 3]])
    free = gpt.generate(prompt, 12, temperature=0)
    absent = next(t for t in range(VOCABULARY) if t not in free[0, 2:])
    prompt = np.array([[absent, 3]])
    written = gpt.generate(prompt, 12, temperature=0)
    ends = first_of_each_row(written[:, 2:], absent)[0]
    result = gpt.generate(prompt, 12, temperature=0, eos_id=absent)
    assert result.shape[1] == 2 + min(ends + 1, 12)
    assert result.shape[1] > 2


# Settings


def test_temperature_zero_is_the_likeliest_token():
    """At temperature 0 each token is the argmax of a whole pass, and no generator is needed."""
    gpt, text = lively_model(), prompts(3, 2)
    result = gpt.generate(text, 6, temperature=0)
    for end in range(2, 8):
        np.testing.assert_array_equal(result[:, end], gpt(result[:, :end])[:, -1].argmax(axis=-1))


@pytest.mark.parametrize(
    "settings", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-6}, {"top_k": 1, "top_p": 0.5}]
)
def test_settings_that_leave_one_token_are_greedy(settings):
    """One token left by any of the settings is the likeliest one."""
    gpt = lively_model()
    np.testing.assert_array_equal(
        gpt.generate(prompts(), 15, rng=generator(), **settings),
        gpt.generate(prompts(), 15, temperature=0),
    )


def test_settings_that_keep_all_change_nothing():
    """A k above V and p = 1 draw as if they were not given."""
    gpt = small_model()
    np.testing.assert_array_equal(
        gpt.generate(prompts(), 15, rng=generator(), top_k=99, top_p=1.0),
        gpt.generate(prompts(), 15, rng=generator()),
    )


def test_frequencies_of_the_next_token():
    """Of 20,000 draws from one prompt the counts fit the model's probabilities (chi-square)."""
    gpt, prompt = small_model(), np.array([[1, 2]])
    drawn = gpt.generate(np.repeat(prompt, 20_000, axis=0), 1, rng=generator())[:, -1]
    expected = 20_000 * softmax(gpt(prompt)[0, -1])
    counts = np.bincount(drawn, minlength=VOCABULARY)
    assert np.sum((counts - expected) ** 2 / expected) < 22.46  # 99.9 %, six degrees of freedom


def test_a_generator_fixes_the_text_and_none_does_not():
    """One seed writes one text; without a generator each call has a fresh one."""
    gpt = small_model()
    one, same, other = (gpt.generate(prompts(), 20, rng=generator(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert (gpt.generate(prompts(), 40) != gpt.generate(prompts(), 40)).any()


def test_stream_yields_what_generate_collects():
    """The stream gives one (B,) array a token, and they are the columns of generate's text."""
    gpt = small_model()
    for settings in ({}, {"eos_id": 3}, {"temperature": 0}, {"top_k": 2, "use_cache": False}):
        stream = gpt.stream(prompts(), 20, rng=generator(), **settings)
        columns = list(stream)
        assert {column.shape for column in columns} == {(3,)}
        whole = gpt.generate(prompts(), 20, rng=generator(), **settings)
        np.testing.assert_array_equal(np.stack(columns, axis=1), whole[:, 2:])
        np.testing.assert_array_equal(whole[:, :2], prompts())


def test_a_stream_computes_a_token_when_it_is_asked_for():
    """Nothing runs ahead: a stream that is dropped after two tokens has computed two."""
    gpt, calls = small_model(), []
    extend = gpt.extend
    gpt.extend = lambda *arguments: calls.append(1) or extend(*arguments)
    stream = gpt.stream(prompts(), 20, rng=generator())
    assert not calls
    next(stream)
    next(stream)
    assert len(calls) == 2


def test_the_prompt_is_not_changed():
    """The caller's prompt is read only, and the result is another array."""
    gpt, prompt = small_model(), prompts()
    lock(prompt, gpt)
    with nothing_may_be_written():
        for new in (0, 20):
            assert not np.shares_memory(gpt.generate(prompt, new, rng=generator(), top_k=3), prompt)
    np.testing.assert_array_equal(prompt, prompts())


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "int32", "int64", "uint64"])
@pytest.mark.parametrize("use_cache", [True, False])
def test_prompts_of_any_integer_dtype(dtype, use_cache):
    """The text does not depend on the dtype of the prompt, and consists of integers."""
    gpt = lively_model()
    text = gpt.generate(prompts().astype(dtype), 12, temperature=0, use_cache=use_cache)
    assert np.issubdtype(text.dtype, np.integer)
    np.testing.assert_array_equal(text, gpt.generate(prompts(), 12, temperature=0))


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_a_broken_model_does_not_write(temperature):
    """Logits of NaN are refused, greedily too, instead of becoming token 0."""
    gpt = small_model()
    gpt.final_norm.bias[0] = np.nan
    with pytest.raises(ValueError, match="without NaN"):
        gpt.generate(prompts(), 3, temperature=temperature)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": np.array([1, 2])}, r"\(B, T\).*got \(2,\)"),
        ({"tokens": np.zeros((1, 0), int)}, r"got \(1, 0\)"),
        ({"tokens": np.array([[1.0, 2.0]])}, "integer dtype, got float64"),
        ({"tokens": np.array([[7]])}, "from 0 to 6, got 7"),
        ({"tokens": np.array([[-1]])}, "from 0 to 6, got -1"),
        ({"tokens": np.array([[7] + [0] * 20])}, "from 0 to 6, got 7"),
        ({"max_new_tokens": -1}, "max_new_tokens.*got -1"),
        ({"max_new_tokens": 2.5}, "max_new_tokens.*got 2.5"),
        ({"temperature": -1.0}, "temperature.*got -1.0"),
        ({"temperature": math.nan}, "temperature.*got nan"),
        ({"top_k": 0}, "top_k.*got 0"),
        ({"top_k": 2.0}, "top_k.*got 2.0"),
        ({"top_p": 0.0}, "top_p.*got 0.0"),
        ({"top_p": 1.5}, "top_p.*got 1.5"),
        ({"top_k": 0, "temperature": 0}, "top_k.*got 0"),
        ({"top_p": 1.5, "temperature": 0}, "top_p.*got 1.5"),
        ({"eos_id": 7}, "from 0 to 6, got 7"),
        ({"eos_id": -1}, "from 0 to 6, got -1"),
    ],
)
def test_bad_settings_are_refused_before_the_first_token(changes, message):
    """Each is refused by the call itself, not by the first step, and the generator is untouched."""
    gpt, rng = small_model(), generator()
    arguments = {"tokens": prompts(), "max_new_tokens": 3, "rng": rng} | changes
    with pytest.raises(ValueError, match=message):
        gpt.stream(**arguments)
    with pytest.raises(ValueError, match=message):
        gpt.generate(**arguments)
    assert rng.random() == generator().random()


# Memorisation

PASSAGE = "the cat sat on the mat; the dog lay by the door."


def memorise(steps=300, shift=1):
    """Train a new model on one passage, and return its last loss and what it writes greedily."""
    alphabet = sorted(set(PASSAGE))
    ids = np.array([[alphabet.index(letter) for letter in PASSAGE]])
    config = GPTConfig(
        vocabulary_size=len(alphabet), max_sequence_length=64, embedding_dim=32,
        num_heads=4, num_layers=1, feed_forward_dim=64, position_scale=0.1,
    )  # fmt: skip
    gpt = GPTModel(config, rng=generator())
    optimizer = AdamW(gpt.trainable_parameters(), learning_rate=1e-2, weight_decay=0.0)
    inputs, targets = ids[:, :-shift], ids[:, shift:]
    for _ in range(steps):
        logits, saved = gpt.forward(inputs)
        loss, grad_logits = cross_entropy_loss(logits, targets)
        if loss < 0.02:
            break
        optimizer.step(gpt.backward(grad_logits, saved))
    written = gpt.generate(ids[:, :4], len(PASSAGE) - 4, temperature=0)
    return loss, "".join(alphabet[i] for i in written[0])


def test_a_memorised_passage_is_reproduced():
    """A model that has learned one passage by heart, loss below 0.05, writes it out greedily."""
    loss, written = memorise()
    assert loss < 0.05
    assert written == PASSAGE


def test_a_passage_learned_with_targets_shifted_twice_is_not():
    """With targets two places on, the loss falls as low, and only the text shows the mistake."""
    loss, written = memorise(shift=2)
    assert loss < 0.05
    assert written != PASSAGE
