r"""The adapter that is shipped, and the comparison on which the scripts' defaults rest.

The adapter belongs to one checkpoint, to the bit.
Where `data/shakespeare.npz` is replaced, the adapter and the comparison are made anew:

    python -m literategpt.train_finetune_lora --precision float16 \
        --targets query key value output expand contract --output data/fables-adapter.npz
    python -m experiments.finetuning
"""

import json

import numpy as np
import pytest

from experiments.finetuning import TIE, WHOLE
from experiments.tables import read_about, read_table
from literategpt import run_demo, train_finetune_full, train_finetune_lora
from literategpt.corpus import load_text, split_text
from literategpt.finetuning import PLAYS_CHARACTERS, read_plays, trained_parameters
from literategpt.lora import base_hash, load_adapter, remove_lora
from literategpt.pretrained import adapter_path, fables_path, load_pretrained
from literategpt.runs import encode, text_hash
from literategpt.training import evaluate

MARGIN = 1.0
"""What the adapter must at least gain on fables it was not trained on, in nats per token."""


@pytest.fixture(scope="module")
def record():
    """What was recorded when the adapter was made."""
    return json.loads(adapter_path("fables").with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture
def adapted():
    """The shipped model with the shipped adapter, and its tokenizer."""
    model, tokenizer = load_pretrained()
    load_adapter(adapter_path("fables"), model)
    return model, tokenizer


def test_it_is_small(record):
    """The file has the size of its numbers in half precision, and little more."""
    size = 2 * record["trained_parameters"]
    assert size < adapter_path("fables").stat().st_size < size + 30_000


def test_the_provenance_states_what_was_recorded(record):
    """The sizes and the losses of data/README.md are those of the record."""
    text = (adapter_path("fables").parent / "README.md").read_text(encoding="utf-8")
    section = text.partition("## The adapter")[2]
    assert f"{record['trained_parameters']:,} numbers" in section
    learned = f"from {record['validation_loss_before']:.2f} to {record['validation_loss']:.2f}"
    forgotten = f"from {record['plays_loss_before']:.2f} to {record['plays_loss']:.2f}"
    assert learned in section
    assert forgotten in section
    options = " ".join(record["settings"]["targets"])
    assert f"--precision {record['settings']['precision']} --targets {options} " in section


def test_it_fits_the_shipped_model(adapted, record):
    """Base, text and number of parameters are those that are recorded."""
    model, _ = adapted
    assert record["base"] == base_hash(load_pretrained()[0])
    assert record["data"] == text_hash(*split_text(load_text(fables_path())))
    assert trained_parameters(model) == record["trained_parameters"]
    assert {a.dtype for a in model.trainable_parameters().values()} == {np.dtype("float32")}


def test_it_has_learned_the_fables(adapted, record):
    """Held-out fables surprise the adapted model less, by what is recorded and by the margin."""
    model, tokenizer = adapted
    tokens = encode(tokenizer, split_text(load_text(fables_path()))[1])
    after = evaluate(model, tokens)
    remove_lora(model)
    before = evaluate(model, tokens)
    assert before == pytest.approx(record["validation_loss_before"], abs=1e-4)
    # The record is of single precision, the file of half.
    assert after == pytest.approx(record["validation_loss"], abs=2e-3)
    assert before - after > MARGIN


@pytest.mark.corpus
@pytest.mark.slow
def test_it_has_forgotten_what_is_recorded(adapted, record):
    """The plays surprise the adapted model more, by what is recorded."""
    model, tokenizer = adapted
    tokens = encode(tokenizer, read_plays())
    assert record["plays_characters"] == PLAYS_CHARACTERS
    assert evaluate(model, tokens) == pytest.approx(record["plays_loss"], abs=2e-3)
    assert record["plays_loss"] > record["plays_loss_before"]


def test_taking_it_off_gives_the_shipped_model(adapted):
    """Without the adapter each parameter is back, to the bit."""
    model, _ = adapted
    remove_lora(model)
    arrays = load_pretrained()[0].named_parameters()
    assert model.named_parameters().keys() == arrays.keys()
    for name, array in model.named_parameters().items():
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)


def test_the_demo_swaps_it_by_name(capsys):
    """`run_demo --adapter fables --compare` writes two texts from one prompt and one seed."""
    line = ["--adapter", "fables", "--compare", "--prompt", "The fox", "--seed", "0"]
    assert run_demo.main([*line, "--tokens", "40"]) == 0
    texts = capsys.readouterr().out.split("--- with the adapter ---\n")
    plain = texts[0].removeprefix("--- without the adapter ---\n").strip()
    assert plain != texts[1].strip()
    assert all(text.strip().startswith("The fox") for text in (plain, texts[1]))


def test_it_was_made_with_the_usual_numbers(record):
    """The shipped adapter is what the script writes by itself, in half precision."""
    usual, settings = train_finetune_lora.parse([]), record["settings"]
    for name in ("steps", "seed", "batch_size", "sequence_length", "learning_rate"):
        assert settings[name] == getattr(usual, name), name
    assert settings["precision"] == "float16"


@pytest.mark.parametrize(
    ("method", "script"),
    [("full", train_finetune_full), ("lora", train_finetune_lora)],
    ids=("full", "lora"),
)
def test_the_default_rate_is_the_one_that_the_sweep_chose(method, script):
    """The recorded sweep has its lowest loss, or a tie, there, and tried rates beyond it."""
    chosen = read_about("finetuning_sweep")["settings"]["chosen_rates"]
    assert script.parse([]).learning_rate == pytest.approx(chosen[method])
    own = [row for row in read_table("finetuning_sweep") if row["method"] == method]
    rates = [row["learning_rate"] for row in own]
    assert rates == pytest.approx(WHOLE.rates[method])
    assert rates[0] < chosen[method] < rates[-1]
    best = min(row["fables"] for row in own)
    assert next(r["learning_rate"] for r in own if r["fables"] < best + TIE) == chosen[method]


def test_the_comparison_is_of_the_shipped_model():
    """Each of its tables was made from the checkpoint and the fables that are shipped."""
    base, data = base_hash(load_pretrained()[0]), text_hash(load_text(fables_path()))
    for name in ("sweep", "seeds", "ranks", "targets", "curves", "spectrum", "cut"):
        settings = read_about(f"finetuning_{name}")["settings"]
        assert (settings["base"], settings["data"]) == (base, data), name
