"""The ladder of counts: probabilities that sum to one, and numbers worked out by hand."""

import math
import random
from fractions import Fraction

import pytest

from experiments import ngrams
from experiments.tables import read_about, read_table
from literategpt.corpus import prepare_corpus
from literategpt.pretrained import load_pretrained
from literategpt.tokenizer import BPETokenizer

TEXT = "to be, or not to be, that is the question: whether 'tis nobler in the mind to suffer"


def rungs_of(units, longest):
    """Count the rungs of a ladder."""
    return [ngrams.count_rung(units, length) for length in range(longest)]


def witten_bell(train, alphabet_size, context, unit):
    """The formula of the module once more, as a recursion in fractions, by counting in the text."""
    below = (
        witten_bell(train, alphabet_size, context[1:], unit)
        if context
        else Fraction(1, alphabet_size)
    )
    ends = range(len(context), len(train))
    followers = [train[i] for i in ends if train[i - len(context) : i] == context]
    if not followers:
        return below
    kinds = len(set(followers))
    return (followers.count(unit) + kinds * below) / (len(followers) + kinds)


def test_a_tiny_text_by_hand():
    """In abracadabra, a stands 5 times in 11 and b follows it 2 times in 4, c and d once."""
    single = Fraction(2 + 5 * Fraction(1, 5), 11 + 5)
    after_a = (2 + 3 * single) / (4 + 3)
    assert (single, after_a) == (Fraction(3, 16), Fraction(41, 112))
    got = ngrams.probabilities(rungs_of("abracadabra", 2), 5, "ab")
    assert got == pytest.approx([1 / 5, 3 / 16, 41 / 112], rel=1e-14)


@pytest.mark.parametrize("context", ["", "o", " t", "the", "zzz", "t z"])
def test_each_rung_is_the_formula(context):
    """Every rung equals the recursion in fractions, met contexts and others."""
    rungs = rungs_of(TEXT, 4)
    for unit in "eotz":
        got = ngrams.probabilities(rungs, 30, context + unit)
        suffixes = [context[max(0, len(context) - n) :] for n in range(4)]
        expected = [Fraction(1, 30), *(witten_bell(TEXT, 30, s, unit) for s in suffixes)]
        assert got == pytest.approx([float(p) for p in expected], rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_probabilities_sum_to_one(seed):
    """After any context, met or not, the probabilities over the alphabet sum to one."""
    draw = random.Random(seed)
    alphabet = sorted(set(TEXT) | set("zyx"))
    rungs = rungs_of(TEXT, 5)
    start = draw.randrange(len(TEXT) - 4)
    contexts = [TEXT[start : start + 4], "".join(draw.choices(alphabet, k=draw.randrange(5)))]
    for context in contexts:
        ladders = [ngrams.probabilities(rungs, len(alphabet), context + c) for c in alphabet]
        for rung in zip(*ladders, strict=True):
            assert sum(rung) == pytest.approx(1, abs=1e-12)
            assert min(rung) > 0


def test_the_judged_text_is_not_counted():
    """A loss is the mean surprise at the validation text, with the counts of the training text."""
    train, validation = TEXT, "the question is not to be"
    losses = ngrams.ladder_losses(rungs_of(train, 3), 30, validation)
    surprise = 0.0
    for i, unit in enumerate(validation):
        surprise -= math.log(witten_bell(train, 30, validation[max(0, i - 2) : i], unit))
    assert losses[0] == pytest.approx(math.log(30))
    assert losses[3] == pytest.approx(surprise / len(validation), rel=1e-12)


def test_tokens_climb_the_same_ladder():
    """Token ids are counted as characters are, and their losses are spread over the characters."""
    tokenizer = BPETokenizer()
    tokenizer.train(TEXT, 40)
    tokens, judged = tuple(tokenizer.encode(TEXT)), tuple(tokenizer.encode("the mind to be"))
    rows = list(ngrams.ladder_rows("token", tokens, judged, 40, 2, characters=14))
    assert [row["order"] for row in rows] == [0, 1, 2]
    assert rows[0]["nats_per_unit"] == pytest.approx(math.log(40))
    pair = [witten_bell(tokens, 40, judged[max(0, i - 1) : i], t) for i, t in enumerate(judged)]
    assert rows[2]["nats_per_character"] == pytest.approx(-sum(map(math.log, pair)) / 14)


def test_a_new_character_keeps_its_share():
    """A character of the validation part alone has a probability, and the log counts it."""
    rows, settings = ngrams.measure(TEXT * 3, "to be & not & be", 3, 1, 40)
    assert settings["characters_never_seen_in_training"] == 2
    assert settings["alphabet"] == len(set(TEXT)) + 1
    assert all(math.isfinite(row["nats_per_unit"]) for row in rows)


def test_the_log_says_what_was_measured(tmp_path, capsys):
    """A named text leaves a log with the command, the sizes and the hashes, without its folder."""
    path = tmp_path / "own.txt"
    path.write_text((TEXT + "\n") * 200, encoding="utf-8")
    options = ["--data", str(path), "--orders", "3", "--vocabulary-size", "60"]
    assert ngrams.main([*options, "--output", str(tmp_path)]) == 0
    assert not list(tmp_path.glob("ngrams_*")), "a text without a name leaves no log"
    assert ngrams.main([*options, "--name", "own", "--output", str(tmp_path)]) == 0
    rows, about = read_table("ngrams_own", tmp_path), read_about("ngrams_own", tmp_path)
    orders = [(row["unit"], row["order"]) for row in rows]
    assert orders == [("character", n) for n in range(4)] + [("token", n) for n in range(5)]
    assert about["command"] == "python -m experiments.ngrams --data own.txt --name own"
    sizes = [about["settings"][part]["characters"] for part in ("train", "validation")]
    assert sum(sizes) == 200 * (len(TEXT) + 1)
    assert len(about["settings"]["validation"]["sha256"]) == 64
    assert "3-character" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["plays", "tiny_shakespeare"])
def test_recorded_ladders_make_sense(name):
    """Each rung of the recorded ladders beats the one below, up to five characters."""
    rows, about = read_table(f"ngrams_{name}"), read_about(f"ngrams_{name}")
    settings = about["settings"]
    characters = [r["nats_per_character"] for r in rows if r["unit"] == "character"]
    tokens = [r for r in rows if r["unit"] == "token"]
    assert characters[0] == pytest.approx(math.log(settings["alphabet"]), abs=1e-5)
    assert characters[:6] == sorted(characters[:6], reverse=True)
    assert settings["characters_never_seen_in_training"] == settings["unknown_tokens"] == 0
    per_token = settings["validation"]["characters"] / settings["validation"]["tokens"]
    for row in tokens:
        assert row["nats_per_unit"] / row["nats_per_character"] == pytest.approx(per_token, 1e-5)


@pytest.mark.corpus
@pytest.mark.slow
def test_the_plays_are_recounted():
    """The lowest rungs of the plays, counted again, are those of the log, with its tokenizer."""
    train, validation, *_ = prepare_corpus()
    recorded = read_table("ngrams_plays")[:4]
    losses = ngrams.ladder_losses(rungs_of(train, 3), len(set(train)), validation)
    assert losses == pytest.approx([row["nats_per_unit"] for row in recorded], abs=1e-5)
    settings = read_about("ngrams_plays")["settings"]
    assert settings["validation"] == settings["validation"] | ngrams.describe_text(validation)
    _, tokenizer = load_pretrained()
    assert len(tokenizer.encode(validation)) == settings["validation"]["tokens"]
