"""The model that is shipped: what it is, that it writes, and that its stated loss is its loss."""

import csv
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from experiments.words import list_words
from literategpt import pretrained, train_pretrain
from literategpt.corpus import ALPHABET, prepare_corpus
from literategpt.model import GPTConfig
from literategpt.pretrained import load_pretrained, words_path
from literategpt.runs import bits_per_character, default_workers, encode
from literategpt.training import evaluate, worker_pool

DATA = Path(__file__).resolve().parents[1] / "data"


def stated(pattern):
    """Find a number in the provenance of the data."""
    text = (DATA / "README.md").read_text(encoding="utf-8")
    found = re.search(pattern, text)
    assert found, f"expected {pattern} in data/README.md"
    return float(found[1].replace(",", ""))


def test_it_is_the_default_model():
    """Its configuration is the default one, its parameters float32, its alphabet the corpus's."""
    model, tokenizer = load_pretrained()
    assert model.config == GPTConfig()
    assert model.num_parameters() == 1_049_344
    assert {array.dtype for array in model.named_parameters().values()} == {np.dtype("float32")}
    assert len(tokenizer) == 2000
    assert "".join(sorted(token for token in tokenizer.vocabulary if len(token) == 1)) == ALPHABET


def test_the_file_is_the_one_the_pages_are_written_on():
    """Not a bit of it changes: later runs add logs, not weights."""
    content = (DATA / pretrained.CHECKPOINT_NAME).read_bytes()
    frozen = "4a0e53cf92a4fb049c258c9be5e630d2cf1548afd85b59a0825b00c44a5edd9e"
    assert hashlib.sha256(content).hexdigest() == frozen


def test_its_record_is_that_of_its_run():
    """The record has the settings of the preset, the result of the log, and what was stored."""
    record = json.loads((DATA / "shakespeare.json").read_text(encoding="utf-8"))
    arguments = train_pretrain.parse(["--preset", "shipped"])
    assert record["plan"] == vars(train_pretrain.plan_of(arguments))
    assert record["steps"] == arguments.steps == stated(r"([\d,]+) steps")
    assert GPTConfig(**record["model"]) == train_pretrain.config_of(arguments, 2000)
    assert record["seconds"] / 60 == pytest.approx(stated(r"in (\d+) minutes"), abs=0.5)
    half = record["half_precision"]
    assert half["validation_loss"] == pytest.approx(
        stated(r"\*\*([\d.]+) nats per token\*\*"), abs=5e-5
    )
    assert abs(half["validation_loss"] - record["validation_loss"]) < 1e-3


def test_the_file_is_small():
    """At most four megabytes, so that a checkout and a wheel stay small."""
    assert (DATA / pretrained.CHECKPOINT_NAME).stat().st_size < 4_000_000


def test_a_missing_file_names_the_places(monkeypatch, tmp_path):
    """Where the file was looked for stands in the message."""
    monkeypatch.setattr(pretrained, "data_directories", lambda: [tmp_path / "a", tmp_path / "b"])
    with pytest.raises(FileNotFoundError, match=r"shakespeare\.npz in one of .*a.*b"):
        load_pretrained()


def test_its_log_is_whole():
    """The log has a line for each step, and ends with the loss that the provenance states."""
    with (DATA / "shakespeare.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(len(rows)))
    assert len(rows) == stated(r"([\d,]+) steps")
    assert float(rows[-1]["validation_loss"]) == pytest.approx(
        stated(r"([\d.]+) nats per token in single precision"), abs=5e-5
    )


@pytest.mark.corpus
@pytest.mark.slow
def test_its_loss_is_the_stated_one():
    """As shipped, in half precision, over all of the validation plays, each token once."""
    text = prepare_corpus().validation
    model, tokenizer = load_pretrained()
    tokens = encode(tokenizer, text)
    assert tokenizer.unk_id not in tokens
    with worker_pool(default_workers()) as ordered_map:
        loss = evaluate(model, tokens, ordered_map=ordered_map)
    assert loss == pytest.approx(stated(r"\*\*([\d.]+) nats per token\*\*"), abs=1e-4)
    bits = bits_per_character(loss, len(tokens) - 1, len(text))
    assert bits == pytest.approx(stated(r"([\d.]+) bits per character"), abs=1e-4)


def test_words_are_runs_of_letters_with_apostrophes_inside():
    """Capitals count as small letters, each word once, in alphabetical order."""
    assert list_words("'Tis thine, I'll swear: self-will'd -- THINE!") == "\n".join(
        ["i'll", "self", "swear", "thine", "tis", "will'd", ""]
    )


def test_the_words_of_the_plays_are_as_many_as_stated():
    """The list is one of `list_words`, as long as data/README.md says."""
    text = words_path().read_text(encoding="utf-8")
    assert list_words(text) == text
    assert text.count("\n") == stated(r"The ([\d,]+) different words")


@pytest.mark.corpus
def test_the_words_are_those_of_all_plays():
    """Those kept from the model in training are among them."""
    corpus = prepare_corpus()
    assert list_words(corpus.train + corpus.validation) == words_path().read_text(encoding="utf-8")
