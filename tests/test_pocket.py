"""The pocket model: 200 numbers in tenths, and all that the pages promise of its one sentence."""

import math

import numpy as np
import pytest
from small import assert_gradients_right

from literategpt.activations import softmax
from literategpt.demos.pocket import (
    POCKET_WEIGHTS,
    POCKET_WORDS,
    pocket_model,
    pocket_text,
    pocket_tokens,
)
from literategpt.gradcheck import check_model
from literategpt.model import cross_entropy_loss
from literategpt.optimizer import AdamW
from literategpt.tokenizer import BPETokenizer

SENTENCE, REVERSED = "dog bites man", "man bites dog"
FULL_STOP = POCKET_WORDS.index(".")


def path(text=SENTENCE):
    """Every number on the way from the tokens to the probabilities, by station, (T, ...)."""
    model, tokens = pocket_model(), pocket_tokens(text)
    logits, saved = model.forward(tokens)
    block, attention = saved.blocks[0], saved.blocks[0].attention
    scores = attention.query @ attention.key.swapaxes(-1, -2)
    projected = model.blocks[0].attention.output(attention.output.input)
    middle = block.input + projected
    fed = model.blocks[0].feed_forward.contract(block.feed_forward.contract.input)
    stations = {
        "embedding": model.token_embedding(tokens),
        "position": model.positional_encoding(np.zeros((1, tokens.shape[1], 4))),
        "input": block.input,
        "attention norm": attention.input.input,
        "query": attention.query,
        "key": attention.key,
        "value": attention.value,
        "score": scores,
        "scaled score": scores / math.sqrt(2),
        "weight": attention.weights,
        "joined": attention.output.input,
        "projected": projected,
        "middle": middle,
        "feed-forward norm": block.feed_forward.expand.input,
        "hidden": block.feed_forward.hidden,
        "gelu": block.feed_forward.contract.input,
        "fed": fed,
        "output": middle + fed,
        "final norm": saved.head.input,
        "logits": logits,
        "probabilities": softmax(logits),
    }
    return {name: array[0] for name, array in stations.items()}


def loss_and_gradients(model, text=f"{SENTENCE} ."):
    """The loss of predicting each next word, and its gradients."""
    tokens = pocket_tokens(text)
    logits, saved = model.forward(tokens[:, :-1])
    loss, grad_logits = cross_entropy_loss(logits, tokens[:, 1:])
    return loss, model.backward(grad_logits, saved)


# --- what it is made of --------------------------------------------------------------------------


def test_two_hundred_parameters_in_shapes_that_cannot_be_confused():
    """It has 200 numbers; three tokens, four features, five words, six places, eight units."""
    model = pocket_model()
    assert model.num_parameters() == 200
    config = model.config
    sizes = (
        pocket_tokens(SENTENCE).shape[1],
        config.embedding_dim,
        config.vocabulary_size,
        config.max_sequence_length,
        config.feed_forward_dim,
    )
    assert sizes == (3, 4, 5, 6, 8)
    assert (config.num_heads, config.head_dim, config.num_layers) == (2, 2, 1)


def test_every_parameter_is_a_whole_number_of_tenths():
    """Each is the float64 nearest to k/10, from -1.3 to 1.2."""
    for name, array in pocket_model().named_parameters().items():
        tenths = np.rint(array * 10)
        assert (array == tenths / 10).all(), name
        assert tenths.min() >= -13, name
        assert tenths.max() <= 12, name


def test_what_the_table_leaves_out_is_as_in_a_new_model():
    """The table names arrays of the model in their shapes; other gains are 1, other biases 0."""
    parameters = pocket_model().named_parameters()
    assert POCKET_WEIGHTS.keys() <= parameters.keys()
    for name, weights in POCKET_WEIGHTS.items():
        np.testing.assert_array_equal(parameters[name], weights)
    for name in parameters.keys() - POCKET_WEIGHTS.keys():
        assert (parameters[name] == float("norm.weight" in name)).all(), name
    assert np.count_nonzero(POCKET_WEIGHTS["blocks.0.feed_forward.expand.bias"]) == 3


def test_models_share_nothing():
    """Changing one pocket model changes neither the next one nor the table."""
    changed, untouched = pocket_model(), pocket_model()
    for array in changed.named_parameters().values():
        array += 1
    for name, array in pocket_model().named_parameters().items():
        np.testing.assert_array_equal(array, untouched.named_parameters()[name])


def test_words_and_ids():
    """A text becomes one row of ids in the tokenizer's order, and comes back."""
    assert POCKET_WORDS[1:] == tuple(sorted(POCKET_WORDS[1:]))
    tokens = pocket_tokens("man bites dog . <EOS>")
    assert tokens.tolist() == [[4, 2, 3, 1, 0]]
    assert pocket_text(tokens[0]) == "man bites dog . <EOS>"


def test_unknown_word_is_refused():
    """A word outside the vocabulary is named, with the words there are."""
    with pytest.raises(ValueError, match=r"among <EOS>, ., bites, dog, man, got 'cat'"):
        pocket_tokens("dog bites cat")


def test_words_are_what_byte_pair_encoding_ends_with():
    """Trained on the sentence until no pair is left, BPE makes each word one token."""
    tokenizer = BPETokenizer()
    tokenizer.train(f"{SENTENCE} .", vocabulary_size=100)
    pieces = [tokenizer.decode([number]) for number in tokenizer.encode(f"{SENTENCE} .")]
    assert [piece.strip() for piece in pieces] == f"{SENTENCE} .".split()
    assert len(tokenizer) < 100


# --- what its numbers are like -------------------------------------------------------------------


def test_nouns_are_near_each_other_and_nothing_else_is():
    """The cosine of `dog` and `man` is above 0.9, of all other two words below 0.4."""
    rows = pocket_model().token_embedding.weight
    lengths = np.linalg.norm(rows, axis=-1)
    cosines = rows @ rows.T / np.outer(lengths, lengths)
    dog, man = POCKET_WORDS.index("dog"), POCKET_WORDS.index("man")
    assert cosines[dog, man] > 0.9
    cosines[[dog, man], [man, dog]] = 0
    assert np.max(cosines - np.eye(5)) < 0.4


def test_rows_of_words_and_of_positions_are_about_as_long():
    """Words have lengths from 1.45 to 1.66, positions the root of 2."""
    lengths = np.linalg.norm(pocket_model().token_embedding.weight, axis=-1)
    assert (round(lengths.min(), 2), round(lengths.max(), 2)) == (1.45, 1.66)
    np.testing.assert_allclose(np.linalg.norm(path()["position"], axis=-1), math.sqrt(2))


@pytest.mark.parametrize("text", [SENTENCE, REVERSED])
def test_heads_have_their_own_patterns(text):
    """Head 0 looks most at the token before, head 1 at its own."""
    previous, own = path(text)["weight"]
    for t in (1, 2):
        assert previous[t].argmax() == t - 1
        assert own[t].argmax() == t


def test_weights_are_neither_even_nor_extreme():
    """On the path no weight is below 0.1, and each row's largest is above 0.6, below 0.75."""
    weights = path()["weight"]
    assert (weights[:, 0] == [1, 0, 0]).all()
    assert weights[:, np.tri(3, dtype=bool)].min() > 0.1
    largest = weights[:, 1:].max(axis=-1)
    assert 0.6 < largest.min() < largest.max() < 0.75


def test_numbers_suit_a_pencil():
    """Apart from exact zeros none is below 0.02 in size; apart from scores none is above 2.5."""
    for name, array in path().items():
        sizes = np.abs(array[array != 0])
        if name != "position":
            assert sizes.min() > 0.02, name
        assert sizes.max() < (7 if "score" in name else 2.5), name


def test_norms_are_given_vectors_that_vary():
    """The spread of every vector before a LayerNorm is above 0.45."""
    stations = path()
    for name in ("input", "middle", "output"):
        assert stations[name].std(axis=-1).min() > 0.45, name


def test_gelu_sees_both_signs_at_every_token():
    """At each token three to five of the eight hidden units are negative."""
    negative = np.sum(path()["hidden"] < 0, axis=-1)
    assert negative.min() >= 3
    assert negative.max() <= 5


def test_both_sublayers_are_heard():
    """What attention and the feed-forward network add is 0.3 to 0.8 of the vector that came in."""
    stations = path()
    size = np.linalg.norm(stations["input"], axis=-1)
    for name in ("projected", "fed"):
        share = np.linalg.norm(stations[name], axis=-1) / size
        assert 0.29 < share.min() < share.max() < 0.81, name


def test_feed_forward_network_changes_the_choice():
    """Through the lens, `dog bites man` goes on with `man` before the network, `bites` after."""
    model, stations = pocket_model(), path()
    lens = {
        name: POCKET_WORDS[model.unembed(model.final_norm(stations[name]))[-1].argmax()]
        for name in ("input", "middle", "output")
    }
    assert lens == {"input": "man", "middle": "man", "output": "bites"}


def test_order_matters():
    """The order of the earlier words changes the last logits, and only through the positions."""
    model = pocket_model()
    assert np.abs(path(SENTENCE)["logits"][-1] - path(REVERSED)["logits"][-1]).max() > 0.5

    def last(text):
        return model(pocket_tokens(text))[0, -1]

    assert np.abs(last(SENTENCE) - last("bites dog man")).max() > 0.1
    model.positional_encoding.scale = 0.0
    np.testing.assert_allclose(last(SENTENCE), last("bites dog man"), rtol=0, atol=1e-12)


# --- what it predicts and learns -----------------------------------------------------------------


def test_it_is_wrong_at_first():
    """After `dog bites man` it prefers `bites`, and its loss is above a guess's ln 5 by 0.4."""
    last = path()["probabilities"][-1]
    assert POCKET_WORDS[last.argmax()] == "bites"
    assert 0.05 < last[FULL_STOP] < 0.1
    assert loss_and_gradients(pocket_model())[0] > math.log(5) + 0.4


def test_gradients_are_right():
    """Nudging each of the 200 numbers agrees with the backward pass."""
    tokens = pocket_tokens(f"{SENTENCE} .")
    check = check_model(pocket_model(), tokens[:, :-1], tokens[:, 1:])
    assert_gradients_right(check)
    assert len(check.errors) == 19


def test_no_gradient_hides():
    """Every number has a gradient of at least 0.0005, but for the key biases, which have none."""
    _, gradients = loss_and_gradients(pocket_model())
    for name, gradient in gradients.items():
        if name.endswith("key.bias"):
            assert np.abs(gradient).max() < 1e-15
        else:
            assert np.abs(gradient).min() > 5e-4, name


def test_one_step_of_plain_descent_lowers_the_loss():
    """A step of 0.1 down the gradient takes the loss from 2.015 to 0.899."""
    model = pocket_model()
    before, gradients = loss_and_gradients(model)
    for name, array in model.named_parameters().items():
        array -= 0.1 * gradients[name]
    assert [round(x, 3) for x in (before, loss_and_gradients(model)[0])] == [2.015, 0.899]


def test_one_step_of_adamw_leaves_tenths_and_finds_the_full_stop():
    """A step of 0.1 moves all but the key biases by a tenth; loss 0.811, and `.` comes next."""
    model = pocket_model()
    _, gradients = loss_and_gradients(model)
    AdamW(model.trainable_parameters(), 0.1, weight_decay=0.0).step(gradients)
    for name, array in model.named_parameters().items():
        moved = array - pocket_model().named_parameters()[name]
        expected = 0.0 if name.endswith("key.bias") else -0.1 * np.sign(gradients[name])
        np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-5)
    assert round(loss_and_gradients(model)[0], 3) == 0.811
    last = model(pocket_tokens(SENTENCE))[0, -1]
    assert (last.argmax(), round(softmax(last)[FULL_STOP], 3)) == (FULL_STOP, 0.763)


def test_five_steps_teach_it_the_sentence():
    """After five steps of AdamW on the sentence with its end it writes it, and stops."""
    model = pocket_model()
    optimizer = AdamW(model.trainable_parameters(), 0.1, weight_decay=0.0)
    for _ in range(5):
        optimizer.step(loss_and_gradients(model, f"{SENTENCE} . <EOS>")[1])
    written = model.generate(pocket_tokens("dog"), 5, temperature=0, eos_id=0)
    assert pocket_text(written[0]) == f"{SENTENCE} . <EOS>"


# --- the numbers the pages print -----------------------------------------------------------------


def fragile(values):
    """Count the numbers that the last bits of a machine could round otherwise at three digits."""
    thousands = np.ravel(values) * 1000
    inexact = thousands[np.abs(thousands - np.rint(thousands)) > 1e-9]
    return int(np.sum(np.abs(inexact - np.floor(inexact) - 0.5) < 1e-3))


def test_no_printed_number_is_on_the_edge():
    """Neither a number of the path nor a gradient is within 1e-6 of a rounding border."""
    loss, gradients = loss_and_gradients(pocket_model())
    arrays = path() | gradients | {"loss": loss}
    assert {name: fragile(a) for name, a in arrays.items() if fragile(a)} == {}
    assert fragile([0.1235 + 1e-7, 0.5, 0.1234]) == 1


LAST = {
    "embedding": [0.3, 0.8, -0.6, 1.0],
    "position": [0.909, -0.416, 0.02, 1.0],
    "input": [1.209, 0.384, -0.58, 2.0],
    "attention norm": [0.476, -0.385, -1.391, 1.3],
    "query": [-0.055, -1.333, 1.753, 2.162],
    "key": [2.205, 1.86, 1.729, 1.43],
    "value": [-1.089, 0.867, -0.629, 0.736],
    "score": [-3.03, -0.553, -2.602, 4.181, 4.84, 6.123],
    "scaled score": [-2.143, -0.391, -1.84, 2.956, 3.423, 4.329],
    "weight": [0.123, 0.71, 0.167, 0.153, 0.244, 0.603],
    "joined": [-1.209, 0.208, -0.61, 0.761],
    "projected": [-1.272, 0.287, 1.12, -0.703],
    "middle": [-0.063, 0.671, 0.54, 1.296],
    "feed-forward norm": [-1.396, 0.124, -0.147, 1.419],
    "hidden": [-0.979, 0.761, 1.055, 0.962, -0.733, -1.1, -0.083, 0.071],
    "gelu": [-0.16, 0.591, 0.901, 0.801, -0.17, -0.149, -0.039, 0.037],
    "fed": [-0.409, -0.78, 0.278, -0.186],
    "output": [-0.472, -0.109, 0.818, 1.111],
    "final norm": [-1.247, -0.687, 0.742, 1.193],
    "logits": [-2.16, -1.214, 0.332, -0.44, -0.176],
    "probabilities": [0.035, 0.09, 0.424, 0.196, 0.255],
}
"""What stands at the last token of `dog bites man`, to three digits; heads one after the other."""


def test_numbers_are_those_of_the_pages():
    """Every station of the path is as it was when the pages were written."""
    stations = path()
    last = {
        name: np.ravel(array[:, -1] if array.ndim == 3 else array[-1]).round(3).tolist()
        for name, array in stations.items()
    }
    assert last == LAST


GRADIENTS = {
    "token_embedding.weight": [-0.053, -0.018, 0.019, 0.052],
    "blocks.0.attention.query.weight": [-0.002, -0.112, -0.027, 0.013],
    "blocks.0.attention.key.weight": [0.118, 0.015, -0.132, -0.153],
    "blocks.0.attention.value.weight": [-0.339, 0.108, -0.166, -0.383],
    "blocks.0.attention.output.weight": [0.134, 0.414, -0.152, -0.397],
    "blocks.0.feed_forward.expand.bias": [
        -0.303,
        -1.042,
        -0.562,
        0.3,
        -0.042,
        -0.327,
        -0.07,
        -0.408,
    ],
    "blocks.0.feed_forward.contract.weight": [0.04, -0.184, 0.27, -0.125],
    "final_norm.weight": [-0.09, 0.382, -0.146, 0.572],
}
"""Parts of the gradients of the loss over the three predictions, to three digits."""


def test_gradients_are_those_of_the_pages():
    """The gradients are as they were when the pages were written."""
    loss, gradients = loss_and_gradients(pocket_model())
    assert round(loss, 3) == 2.015
    first_rows = {name: np.atleast_2d(gradients[name])[0].round(3).tolist() for name in GRADIENTS}
    assert first_rows == GRADIENTS
