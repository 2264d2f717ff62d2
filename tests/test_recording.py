"""How runs and tables are recorded: nothing is lost, nothing is made up."""

import json

import numpy as np
import pytest

from experiments import record, ship, tables
from literategpt import train_pretrain
from literategpt.model import GPTConfig
from literategpt.runs import encode
from literategpt.training import evaluate
from literategpt.utils import load_checkpoint

TEXT = 60 * "".join(
    f"The {a} and the {b} went out.\n" for a in ("cat", "dog", "hen") for b in "abcde"
)

SMALL = {
    "steps": 3, "vocabulary_size": 40, "context": 16, "embedding_dim": 16, "num_heads": 2,
    "num_layers": 1, "batch_size": 4, "dropout": 0.1,
}  # fmt: skip


@pytest.fixture
def text_file(tmp_path, monkeypatch):
    """A text, a preset that is quick, and a directory to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(train_pretrain.PRESETS, "small", SMALL)
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_recorded_preset_keeps_log_and_record(text_file, tmp_path):
    """Both are those of the run, under the names of preset and seed; a second run replaces them."""
    for _ in range(2):
        record.record("small", 7, ["--data", str(text_file)], tmp_path / "recipes")
    names = sorted(path.name for path in (tmp_path / "recipes").iterdir())
    assert names == ["small-seed7.csv", "small-seed7.json"]
    about = json.loads((tmp_path / "recipes" / "small-seed7.json").read_text(encoding="utf-8"))
    assert (about["preset"], about["plan"]["seed"], about["steps"]) == ("small", 7, 3)
    assert about["command"].endswith("--preset small --data text.txt --seed 7")


def test_a_run_that_failed_is_not_recorded(text_file, tmp_path, capsys):
    """Nothing is kept of it, also where an earlier run has left its record."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "small-seed7.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SystemExit, match="it failed"):
        record.record("small", 7, ["--data", "none.txt"], tmp_path / "recipes")
    assert "none.txt" in capsys.readouterr().err
    assert not (tmp_path / "recipes").exists()


def test_what_is_shipped_is_the_run_in_half_precision(text_file, tmp_path):
    """Parameters rounded, dropout off, log and record beside them, the loss that of the file."""
    record.record("small", 0, ["--data", str(text_file)], tmp_path / "recipes")
    source = tmp_path / "checkpoints" / "small-seed0.npz"
    validation_text = train_pretrain.read_data(text_file)[1]
    ship.ship(source, tmp_path, validation_text)
    trained, shipped = load_checkpoint(source), load_checkpoint(tmp_path / "shakespeare.npz")
    assert shipped.model.config == GPTConfig(**trained.model.config.to_dict() | {"dropout": 0.0})
    for name, array in trained.model.named_parameters().items():
        rounded = array.astype("float16").astype("float32")
        np.testing.assert_array_equal(shipped.model.named_parameters()[name], rounded)
    log = tmp_path / "shakespeare.csv"
    assert log.read_bytes() == source.with_suffix(".csv").read_bytes()
    about = json.loads((tmp_path / "shakespeare.json").read_text(encoding="utf-8"))
    half = about.pop("half_precision")
    assert about == json.loads(source.with_suffix(".json").read_text(encoding="utf-8"))
    tokens = encode(shipped.tokenizer, validation_text)
    loss = evaluate(shipped.model, tokens)
    assert half["validation_loss"] == pytest.approx(loss)
    nats = loss * (len(tokens) - 1) / len(validation_text)
    assert half["nats_per_character"] == pytest.approx(nats)
    assert half["bits_per_character"] == pytest.approx(nats / np.log(2))


def test_a_table_comes_back_as_it_was_written(tmp_path):
    """Whole numbers, numbers to six digits, texts and empty cells keep their kind."""
    rows = [{"n": 3, "loss": 1.23456789, "kind": "a,b", "rank": None}]
    tables.write_table("t", rows, command="c", settings={"steps": 5}, directory=tmp_path)
    (row,) = tables.read_table("t", tmp_path)
    assert row == {"n": 3, "loss": 1.23457, "kind": "a,b", "rank": None}
    assert isinstance(row["n"], int)
    about = tables.read_about("t", tmp_path)
    assert (about["command"], about["settings"]) == ("c", {"steps": 5})
    assert about["machine"].keys() >= {"date", "python", "numpy", "processor"}


@pytest.mark.parametrize("rows", [[], [{"a": 1}, {"b": 2}], [{"a": 1, "b": 2}, {"a": 1}]])
def test_rows_that_do_not_match_are_refused(rows, tmp_path):
    """A table without rows, or with other keys in one of them, is not written."""
    with pytest.raises(ValueError, match="same keys"):
        tables.write_table("t", rows, command="c", settings={}, directory=tmp_path)
    assert list(tmp_path.iterdir()) == []
