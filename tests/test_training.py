"""The training loop: pieces and workers, evaluation, resuming to the bit, the scripts."""

import csv
import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from literategpt import run_demo, train_pretrain
from literategpt.corpus import prepare_corpus
from literategpt.model import GPTConfig, GPTModel, cross_entropy_loss
from literategpt.optimizer import AdamW
from literategpt.runs import bits_per_character, format_duration
from literategpt.tokenizer import BPETokenizer
from literategpt.training import (
    TrainingSettings,
    batch_gradients,
    evaluate,
    keep_freed_memory,
    train,
    worker_pool,
)
from literategpt.utils import DataLoader, TextDataset, load_checkpoint, save_checkpoint

RNG = np.random.default_rng(0)
TEXT = "\n".join(
    f"The {a} {b} the {c}." for a in ("cat", "dog", "hen") for b in ("saw", "met", "fed", "led")
    for c in ("fox", "owl", "ant", "bee", "cow", "pig", "rat", "ram")
) + "\n"  # fmt: skip


def make_model(seed=0, **changes):
    """Make a small float32 model with dropout."""
    config = {
        "vocabulary_size": 13, "max_sequence_length": 8, "embedding_dim": 8, "num_heads": 2,
        "num_layers": 2, "feed_forward_dim": 16, "dropout": 0.1,
    }  # fmt: skip
    return GPTModel(GPTConfig(**config | changes), rng=np.random.default_rng(seed))


def make_loader(seed=0, batch_size=5):
    """Make a loader over random tokens; its last batch is short."""
    tokens = np.random.default_rng(7).integers(0, 13, 200)
    dataset = TextDataset(tokens, 8, stride=3)
    return DataLoader(dataset, batch_size, rng=np.random.default_rng(seed))


def parameters_after(workers=1, steps=6, **options):
    """Train for some steps and return the parameters."""
    model = make_model()
    optimizer = AdamW(model.trainable_parameters())
    settings = TrainingSettings(total_steps=steps, warmup_steps=2, piece_size=2)
    list(train(model, optimizer, make_loader(), settings=settings, workers=workers, **options))
    return model.named_parameters()


def assert_equal(first, second):
    """Compare two dictionaries of arrays to the bit."""
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


class TestBatchGradients:
    """A batch in pieces."""

    @pytest.mark.parametrize("piece_size", [1, 2, 3, 4, 7, 9])
    def test_pieces_add_up_to_the_batch(self, piece_size):
        """Loss and gradients do not depend on the piece size, also when the last piece is short."""
        model = make_model(dropout=0.0, dtype="float64")
        tokens = RNG.integers(0, 13, (7, 8))
        targets = np.where(RNG.random((7, 8)) < 0.3, 0, tokens)  # id 0 is padding, unevenly spread
        logits, saved = model.forward(tokens)
        loss, grad = cross_entropy_loss(logits, targets, ignore_index=0)
        expected = model.backward(grad, saved)
        pieces_loss, pieces = batch_gradients(
            model, tokens, targets, seed=(0,), piece_size=piece_size, ignore_index=0
        )
        assert math.isclose(loss, pieces_loss, rel_tol=1e-13)
        for name, gradient in expected.items():
            np.testing.assert_allclose(pieces[name], gradient, rtol=1e-10, atol=1e-15, err_msg=name)

    def test_a_batch_of_padding_only(self):
        """Nothing counts: the loss is 0 and so is every gradient."""
        tokens = np.zeros((4, 8), int)
        loss, gradients = batch_gradients(make_model(), tokens, tokens, seed=(0,), ignore_index=0)
        assert loss == 0
        assert not any(np.any(gradient) for gradient in gradients.values())

    def test_dropout_depends_on_seed_step_and_piece(self):
        """Two equal pieces get different masks; the same call gives the same gradients again."""
        model = make_model(dropout=0.5)
        tokens = np.tile(RNG.integers(0, 13, (1, 8)), (2, 1))

        def gradients(seed, piece_size, rows=slice(None)):
            found = batch_gradients(
                model, tokens[rows], tokens[rows], seed=seed, piece_size=piece_size
            )
            return found[1]["blocks.0.attention.query.weight"]

        np.testing.assert_array_equal(gradients((0, 1), 1), gradients((0, 1), 1))
        assert np.any(gradients((0, 1), 1) != gradients((0, 2), 1))
        one_piece = gradients((0, 1), 1, slice(0, 1))
        assert np.any(gradients((0, 1), 1) != one_piece)

    @pytest.mark.parametrize("shapes", [((0, 4), (0, 4)), ((2, 4), (2, 3))])
    def test_bad_batches_are_refused(self, shapes):
        """An empty batch, or targets of another shape."""
        with pytest.raises(ValueError, match="expected inputs and targets"):
            batch_gradients(make_model(), *(np.zeros(shape, int) for shape in shapes), seed=(0,))


class TestWorkers:
    """The number of workers changes the time, and not one bit of the result."""

    def test_one_two_and_many_workers_are_equal_to_the_bit(self):
        """Six steps with dropout, clipping and a schedule."""
        alone = parameters_after(workers=1)
        for workers in (2, 5):
            assert_equal(parameters_after(workers=workers), alone)

    def test_the_order_of_arrival_does_not_matter(self):
        """If the first piece is the slowest, its gradients are still added first."""
        model, tokens = make_model(), RNG.integers(0, 13, (6, 8))
        expected = batch_gradients(model, tokens, tokens, seed=(0,), piece_size=2)
        with worker_pool(3) as pool_map:

            def reversed_arrival(function, items):
                def late(item):
                    result = function(item)
                    time.sleep(0.05 * (3 - item))
                    return result

                return pool_map(late, items)

            found = batch_gradients(
                model, tokens, tokens, seed=(0,), piece_size=2, ordered_map=reversed_arrival
            )
        assert found[0] == expected[0]
        assert_equal(found[1], expected[1])

    def test_one_worker_starts_no_thread(self):
        """With one worker the map is Python's own: a browser has no threads."""
        with worker_pool(1) as ordered_map:
            assert ordered_map is map

    def test_no_workers_are_refused(self):
        """Zero is not a number of workers."""
        with (
            pytest.raises(ValueError, match="workers to be a positive integer, got 0"),
            worker_pool(0),
        ):
            pass


class TestTrain:
    """The loop."""

    def test_reports(self):
        """Each step reports its number, its rate from the schedule, its tokens."""
        model = make_model()
        settings = TrainingSettings(total_steps=4, peak_learning_rate=0.1, warmup_steps=2)
        reports = list(
            train(model, AdamW(model.trainable_parameters()), make_loader(), settings=settings)
        )
        assert [r.step for r in reports] == [0, 1, 2, 3]
        assert [r.learning_rate for r in reports] == [settings.learning_rate(s) for s in range(4)]
        assert reports[1].learning_rate == 0.1
        assert all(r.tokens == 40 and r.gradient_norm > 0 and r.seconds > 0 for r in reports)

    def test_a_loss_that_is_not_finite_stops_before_the_step(self):
        """NaN in a weight is reported with the step, and nothing is changed by it."""
        model = make_model()
        model.blocks[0].feed_forward.expand.weight[0, 0] = np.nan
        before = {n: a.copy() for n, a in model.named_parameters().items()}
        with pytest.raises(ValueError, match="finite loss, got nan at step 0"):
            next(train(model, AdamW(model.trainable_parameters()), make_loader(), total_steps=3))
        assert_equal(model.named_parameters(), before)

    def test_settings_or_steps(self):
        """One of the two says how long; both or none is refused."""
        model = make_model()
        with pytest.raises(ValueError, match="either settings or total_steps"):
            next(train(model, AdamW(model.trainable_parameters()), make_loader()))

    def test_a_frozen_part_stays(self):
        """Freezing a block leaves its bits, and training goes on around it."""
        model = make_model()
        model.blocks[0].freeze()
        before = {n: a.copy() for n, a in model.named_parameters().items()}
        list(train(model, AdamW(model.trainable_parameters()), make_loader(), total_steps=2))
        for name, array in model.named_parameters().items():
            assert np.array_equal(array, before[name]) == name.startswith("blocks.0."), name


PASSAGE = "Full fathom five thy father lies; of his bones are coral made;"


def test_a_passage_is_learned_by_heart(tmp_path):
    """Trained, saved, loaded: the file alone writes the passage, greedily, from its first word."""
    tokenizer = BPETokenizer()
    tokenizer.train(PASSAGE, 40)
    tokens = np.array(tokenizer.encode(PASSAGE))
    model = make_model(
        vocabulary_size=len(tokenizer), max_sequence_length=64, embedding_dim=32, dropout=0.0
    )
    loader = DataLoader(TextDataset(tokens, len(tokens) - 1), 1, rng=np.random.default_rng(0))
    settings = TrainingSettings(total_steps=120, peak_learning_rate=1e-2, warmup_steps=10)
    optimizer = AdamW(model.trainable_parameters())
    losses = [report.loss for report in train(model, optimizer, loader, settings=settings)]
    assert losses[0] > 1.0
    assert losses[-1] < 0.05
    save_checkpoint(tmp_path / "m.npz", model, tokenizer)

    loaded = load_checkpoint(tmp_path / "m.npz")
    prompt = np.array([loaded.tokenizer.encode("Full")])
    written = loaded.model.generate(prompt, len(tokens) - prompt.shape[1], temperature=0)
    assert loaded.tokenizer.decode(written[0].tolist()) == PASSAGE


class TestEvaluate:
    """The validation loss."""

    @pytest.mark.parametrize("count", [2, 8, 9, 10, 17, 33, 40])
    @pytest.mark.parametrize("batch_size", [1, 4])
    def test_each_target_counts_once(self, count, batch_size):
        """It equals the sum over windows written out plainly, divided by N - 1."""
        model = make_model(dtype="float64")
        tokens = np.random.default_rng(3).integers(0, 13, count)
        total = 0.0
        for start in range(0, count - 1, 8):
            inputs, targets = tokens[start : start + 8], tokens[start + 1 : start + 9]
            logits = model(inputs[None, : len(targets)])[0]
            chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
            total -= np.log(chances[np.arange(len(targets)), targets]).sum()
        found = evaluate(model, tokens, batch_size=batch_size)
        assert math.isclose(found, total / (count - 1), rel_tol=1e-12)

    def test_workers_give_the_same_bits(self):
        """The sum is made in the order of the text."""
        model, tokens = make_model(), RNG.integers(0, 13, 300)
        with worker_pool(3) as ordered_map:
            assert evaluate(model, tokens) == evaluate(model, tokens, ordered_map=ordered_map)

    def test_dropout_is_off(self):
        """Evaluating twice gives the same number, whatever the dropout rate."""
        model, tokens = make_model(dropout=0.5), RNG.integers(0, 13, 60)
        assert evaluate(model, tokens) == evaluate(model, tokens)
        assert evaluate(model, tokens) == evaluate(make_model(dropout=0.0), tokens)

    def test_too_few_tokens(self):
        """One token has nothing to predict."""
        with pytest.raises(ValueError, match="at least two tokens"):
            evaluate(make_model(), np.array([1]))


def test_the_memory_setting_is_made_on_linux():
    """On Linux with glibc the C library accepts the setting; elsewhere nothing happens."""
    expected = sys.platform.startswith("linux") and "glibc" in os.confstr("CS_GNU_LIBC_VERSION")
    assert keep_freed_memory() is expected


def test_bits_per_character():
    """A loss of ln 2 a token is one bit; with four characters a token, a quarter a character."""
    assert bits_per_character(math.log(2), 100, 400) == pytest.approx(0.25, rel=1e-15)


def test_durations():
    """Seconds, then minutes, then hours."""
    assert [format_duration(s) for s in (0.4, 99, 101, 5990, 6100)] == [
        "0 s", "99 s", "2 min", "100 min", "1.7 h",
    ]  # fmt: skip


@pytest.fixture
def text_file(tmp_path):
    """A text with words that can be recognised."""
    path = tmp_path / "text.txt"
    path.write_text(TEXT * 6, encoding="utf-8")
    return path


SMALL = (
    "--vocabulary-size", "40", "--context", "16", "--embedding-dim", "16", "--num-heads", "2",
    "--num-layers", "1", "--batch-size", "4", "--dropout", "0.1",
)  # fmt: skip


def pretrain(text_file, checkpoint, *options):
    """Run the script in this process and return its exit code."""
    small = () if "--resume" in options else SMALL
    return train_pretrain.main(
        ["--data", str(text_file), "--checkpoint", str(checkpoint), *small, *options]
    )


def read_log(path):
    """Read the lines of a log."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(path):
    """Read a log without the one column that depends on the clock."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_log(path)]


class TestPretraining:
    """`python -m literategpt.train_pretrain`."""

    def test_it_learns_and_leaves_a_model_that_writes(self, text_file, tmp_path, capsys):
        """Train, save, load, write: the loss falls, and the demo writes words of the text."""
        path = tmp_path / "m.npz"
        assert pretrain(text_file, path, "--steps", "200", "--evaluate-every", "100") == 0
        printed = capsys.readouterr().out
        assert "run: 200 steps of 4 x 16 tokens" in printed
        record = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
        per_character = f"{record['nats_per_character']:.4f} nats or "
        assert f"{per_character}{record['bits_per_character']:.4f} bits per character" in printed
        assert f"run_demo --checkpoint {path}" in printed
        rows = read_log(tmp_path / "m.csv")
        assert [int(row["step"]) for row in rows] == list(range(200))
        assert [row["step"] for row in rows if row["validation_loss"]] == ["99", "199"]
        assert float(rows[-1]["training_loss"]) < 0.6 * float(rows[0]["training_loss"])
        arguments = ["--checkpoint", str(path), "--prompt", "The ", "--seed", "1", "--tokens", "40"]
        assert run_demo.main(arguments) == 0
        written = capsys.readouterr().out
        words = re.findall(r"[a-z]+", written)
        assert sum(word in TEXT for word in words) / len(words) > 0.5

    def test_validation_is_split_off_before_the_tokenizer_is_trained(self, tmp_path):
        """A character that only the last tenth has is not in the vocabulary."""
        path = tmp_path / "text.txt"
        path.write_text(TEXT * 6 + "ZEBRA\n" * 200, encoding="utf-8")
        assert pretrain(path, tmp_path / "m.npz", "--steps", "1") == 0
        vocabulary = load_checkpoint(tmp_path / "m.npz").tokenizer.vocabulary
        assert "T" in vocabulary
        assert "Z" not in vocabulary

    def test_options_reach_model_and_plan(self, text_file, tmp_path):
        """What an option says is what was trained, and how, and the record says so."""
        options = (
            "--steps", "1", "--position-scale", "0.005", "--piece-size", "3",
            "--weight-decay", "0.5", "--learning-rate", "0.004",
        )  # fmt: skip
        assert pretrain(text_file, tmp_path / "m.npz", *options) == 0
        record = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
        model, plan = record["model"], record["plan"]
        assert (model["position_scale"], model["dropout"]) == (0.005, 0.1)
        assert (plan["piece_size"], plan["weight_decay"]) == (3, 0.5)
        assert plan["learning_rate"] == 0.004
        assert read_log(tmp_path / "m.csv")[0]["learning_rate"] == "0.004"
        loaded = load_checkpoint(tmp_path / "m.npz").model
        assert loaded.positional_encoding.scale == 0.005

    def test_one_and_two_workers_are_equal_to_the_bit(self, text_file, tmp_path):
        """The two checkpoints hold the same bytes."""
        for workers in ("1", "2"):
            options = ("--steps", "12", "--workers", workers)
            assert pretrain(text_file, tmp_path / f"{workers}.npz", *options) == 0
        assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
        assert without_seconds(tmp_path / "1.csv") == without_seconds(tmp_path / "2.csv")

    def test_an_existing_checkpoint_is_not_overwritten(self, text_file, tmp_path, capsys):
        """Without --resume or --overwrite the run is refused, and the file stays."""
        path = tmp_path / "m.npz"
        path.write_bytes(b"precious")
        assert pretrain(text_file, path, "--steps", "1") == 1
        assert "give --resume, --overwrite" in capsys.readouterr().err
        assert path.read_bytes() == b"precious"

    def test_resuming_on_another_text_is_refused(self, text_file, tmp_path, capsys):
        """The checkpoint knows what it was trained on."""
        path = tmp_path / "m.npz"
        assert pretrain(text_file, path, "--steps", "2") == 0
        other = tmp_path / "other.txt"
        other.write_text(TEXT * 7, encoding="utf-8")
        assert pretrain(other, path, "--resume") == 1
        assert "trained on another text" in capsys.readouterr().err

    def test_a_resumed_run_keeps_its_settings(self, text_file, tmp_path, capsys):
        """An option that would be ignored is refused, and named."""
        path = tmp_path / "m.npz"
        assert pretrain(text_file, path, "--steps", "2") == 0
        arguments = ["--data", str(text_file), "--checkpoint", str(path), "--resume"]
        assert train_pretrain.main([*arguments, "--steps", "9"]) == 1
        assert "expected no --steps with --resume" in capsys.readouterr().err

    @pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
    def test_impossible_minutes_are_refused(self, text_file, tmp_path, minutes):
        """Before anything is measured or written."""
        with pytest.raises(SystemExit):
            pretrain(text_file, tmp_path / "m.npz", "--minutes", minutes)
        assert not (tmp_path / "m.npz").exists()

    def test_minutes_fix_the_number_of_steps(self, text_file, tmp_path, capsys):
        """The number found is printed and stored; from then on the clock has no influence."""
        path = tmp_path / "m.npz"
        assert pretrain(text_file, path, "--minutes", "0.005") == 0
        steps = int(re.search(r"run: ([\d,]+) steps", capsys.readouterr().out)[1].replace(",", ""))
        checkpoint = load_checkpoint(path)
        assert checkpoint.settings["total_steps"] == checkpoint.step == steps

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--data", "none.txt"), "none.txt"),
            (("--vocabulary-size", "5"), "5"),
            (("--num-heads", "3"), "multiple of num_heads"),
            (("--dropout", "1.5"), "dropout rate"),
            (("--learning-rate", "-1"), "peak"),
        ],
    )
    def test_bad_options_are_explained(self, text_file, tmp_path, capsys, options, message):
        """One line on the error stream, a failing exit code, and no checkpoint."""
        assert pretrain(text_file, tmp_path / "m.npz", "--steps", "1", *options) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.startswith("train_pretrain: ")
        assert error.count("\n") == 1
        assert not (tmp_path / "m.npz").exists()


class TestPresets:
    """`--preset`: the settings of the recorded runs."""

    @pytest.mark.parametrize("preset", train_pretrain.PRESETS)
    def test_a_preset_gives_its_settings(self, preset):
        """What the preset names is what the run gets; the rest stays as it is without."""
        given = train_pretrain.PRESETS[preset]
        arguments = vars(train_pretrain.parse(["--preset", preset]))
        usual = vars(train_pretrain.parse([]))
        assert {name: arguments[name] for name in given} == given
        changed = {name for name in usual if arguments[name] != usual[name]}
        assert changed - {"preset"} <= given.keys()

    def test_an_option_goes_before_the_preset(self):
        """An option given beside it counts, also where it gives the length in another unit."""
        arguments = train_pretrain.parse(["--preset", "shipped", "--dropout", "0.3"])
        assert (arguments.dropout, arguments.steps) == (0.3, 16_000)
        arguments = train_pretrain.parse(["--preset", "shipped", "--minutes", "5"])
        assert (arguments.minutes, arguments.steps) == (5.0, None)

    def test_the_presets_for_tiny_shakespeare_want_a_text(self, tmp_path, capsys):
        """Without --data they would train on the plays, and their loss would mean nothing."""
        path = tmp_path / "m.npz"
        assert train_pretrain.main(["--preset", "tiny-fast", "--checkpoint", str(path)]) == 1
        assert "give it with --data" in capsys.readouterr().err

    def test_the_command_repeats_the_run(self):
        """Preset, text and options that differ from the preset stand in it, and no more."""
        line = ["--preset", "shipped", "--data", "a/b.txt", "--seed", "2", "--dropout", "0.1"]
        command = train_pretrain.command_of(train_pretrain.parse(line))
        expected = "python -m literategpt.train_pretrain --preset shipped --data b.txt --seed 2"
        assert command == expected
        line = ["--minutes", "5", "--workers", "7", "--checkpoint", "x.npz"]
        command = train_pretrain.command_of(train_pretrain.parse(line))
        assert command == "python -m literategpt.train_pretrain --minutes 5.0"

    def test_a_finished_run_leaves_a_record(self, text_file, tmp_path):
        """Its loss is that of the checkpoint, its sizes those of the text and the model."""
        path = tmp_path / "m.npz"
        assert pretrain(text_file, path, "--steps", "12") == 0
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        train_text, validation_text = train_pretrain.read_data(text_file)
        model, tokenizer = load_checkpoint(path)[:2]
        tokens = np.array(tokenizer.encode(validation_text))
        loss = evaluate(model, tokens)
        assert record["validation_loss"] == pytest.approx(loss, rel=1e-6)
        nats = loss * (len(tokens) - 1) / len(validation_text)
        assert record["nats_per_character"] == pytest.approx(nats, rel=1e-6)
        assert record["bits_per_character"] == pytest.approx(nats / np.log(2), rel=1e-6)
        assert record["training_characters"] == len(train_text)
        assert record["training_tokens"] == len(tokenizer.encode(train_text))
        assert record["parameters"] == model.num_parameters()
        assert record["unknown_tokens"] == tokens.tolist().count(tokenizer.unk_id) == 0
        assert record["steps"] == 12
        assert record["tokens_per_step"] == 4 * 16
        assert record["model"] == model.config.to_dict()
        assert record["machine"].keys() >= {"date", "python", "numpy", "processor"}

    def test_resuming_a_finished_run_changes_nothing(self, text_file, tmp_path):
        """There is nothing left to do: that is no error, and the record stays as it was."""
        path = tmp_path / "m.npz"
        assert pretrain(text_file, path, "--steps", "2") == 0
        before = path.with_suffix(".json").read_bytes()
        assert pretrain(text_file, path, "--resume") == 0
        assert path.with_suffix(".json").read_bytes() == before

    def test_a_text_of_unknown_characters_is_counted(self, tmp_path):
        """The record says how many tokens of the validation part mean only "something"."""
        path = tmp_path / "text.txt"
        path.write_text(TEXT * 6 + "ZZZ ZZ\n" * 100, encoding="utf-8")
        assert pretrain(path, tmp_path / "m.npz", "--steps", "1") == 0
        record = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
        assert record["unknown_tokens"] == 500


def start_run(text_file, checkpoint, *options):
    """Start the script in a process of its own."""
    command = [
        sys.executable, "-m", "literategpt.train_pretrain", "--data", str(text_file),
        "--checkpoint", str(checkpoint), *(() if "--resume" in options else SMALL), *options,
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process, seconds=60):
    """Wait until a condition holds while the process runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "the run did not get there in time"
        time.sleep(0.005)


@pytest.mark.slow
class TestKilling:
    """Runs that are stopped, politely or not, and go on."""

    STEPS = ("--steps", "400", "--checkpoint-every", "20", "--evaluate-every", "150")

    @pytest.fixture
    def whole(self, text_file, tmp_path):
        """A run that nothing stopped."""
        path = tmp_path / "whole.npz"
        assert pretrain(text_file, path, *self.STEPS, "--workers", "1") == 0
        return path

    def finish_and_compare(self, text_file, path, whole):
        stopped_at = load_checkpoint(path).step
        assert 0 < stopped_at < 400
        assert pretrain(text_file, path, "--resume", "--workers", "2") == 0
        assert path.read_bytes() == whole.read_bytes()
        ours, theirs = (without_seconds(p.with_suffix(".csv")) for p in (path, whole))
        assert ours == theirs

    def test_killed(self, text_file, tmp_path, whole):
        """After SIGKILL, twice, the run ends with the bytes and the log of one that was not."""
        path = tmp_path / "m.npz"
        process = start_run(text_file, path, *self.STEPS)
        wait_for(path.exists, process)
        process.kill()
        process.communicate()
        first = load_checkpoint(path).step
        process = start_run(text_file, path, "--resume")
        wait_for(lambda: load_checkpoint(path).step > first, process)
        process.kill()
        process.communicate()
        self.finish_and_compare(text_file, path, whole)

    def test_interrupted(self, text_file, tmp_path, whole):
        """Ctrl-C finishes the step, saves, says how to go on, and exits well."""
        path = tmp_path / "m.npz"
        process = start_run(text_file, path, *self.STEPS)
        wait_for(path.exists, process)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        command = f"train_pretrain --checkpoint {path} --data {text_file} --resume"
        assert f"stopped; to go on: python -m literategpt.{command}" in output
        assert "Traceback" not in error
        self.finish_and_compare(text_file, path, whole)


class TestDemo:
    """`python -m literategpt.run_demo`."""

    @pytest.fixture
    def checkpoint(self, text_file, tmp_path):
        path = tmp_path / "m.npz"
        assert (
            pretrain(text_file, path, "--steps", "5", "--level", "byte", "--vocabulary-size", "280")
            == 0
        )
        return path

    def test_the_streamed_text_is_the_decoded_text(self, checkpoint, capsys):
        """Piece by piece gives what decoding all tokens at once gives, half characters included."""
        options = ["--checkpoint", str(checkpoint), "--tokens", "80", "--temperature", "2"]
        capsys.readouterr()
        assert run_demo.main([*options, "--top-p", "1", "--seed", "3", "--prompt", "The é"]) == 0
        shown = capsys.readouterr().out
        model, tokenizer = load_checkpoint(checkpoint)[:2]
        ids = model.generate(
            np.array([tokenizer.encode("The é")]), 80, temperature=2, top_p=1.0,
            eos_id=tokenizer.eos_id, rng=np.random.default_rng(3),
        )  # fmt: skip
        assert shown == tokenizer.decode(ids[0].tolist()) + "\n"
        assert "\ufffd" in shown

    def test_errors_are_one_line(self, checkpoint, capsys, tmp_path):
        """A missing file, an empty prompt, a bad setting."""
        capsys.readouterr()
        for options, message in [
            (["--checkpoint", str(tmp_path / "none.npz")], "none.npz"),
            (["--checkpoint", str(checkpoint), "--prompt", ""], "at least one character"),
            (["--checkpoint", str(checkpoint), "--top-p", "0"], "top_p"),
        ]:
            assert run_demo.main(options) == 1
            error = capsys.readouterr().err
            assert message in error
            assert "Traceback" not in error

    def test_the_newest_checkpoint_is_used(self, tmp_path):
        """Of several, the one that was written last."""
        assert run_demo.newest_checkpoint(tmp_path / "none") is None
        for age, name in enumerate(("c.npz", "a.npz", "b.npz")):
            (tmp_path / name).touch()
            os.utime(tmp_path / name, (1000 - age, 1000 - age))
        assert run_demo.newest_checkpoint(tmp_path) == tmp_path / "c.npz"


@pytest.mark.parametrize(
    "script", ["train_pretrain", "train_finetune_full", "train_finetune_lora", "run_demo"]
)
def test_help(script):
    """Each script explains itself."""
    command = [sys.executable, "-W", "error", "-m", f"literategpt.{script}", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"python -m literategpt.{script}" in result.stdout
    assert "--checkpoint" in result.stdout
    assert result.stderr == ""


@pytest.mark.corpus
def test_the_default_run_trains_on_the_plays():
    """The default data are the prepared plays, whole plays held out."""
    train_text, validation_text = train_pretrain.read_data(None)
    corpus = prepare_corpus()
    assert (train_text, validation_text) == (corpus.train, corpus.validation)
