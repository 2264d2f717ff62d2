"""The data set, the loader and checkpoints."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from literategpt.files import replace_file
from literategpt.lora import apply_lora, remove_lora
from literategpt.model import GPTConfig, GPTModel, cross_entropy_loss
from literategpt.optimizer import AdamW
from literategpt.tokenizer import BPETokenizer
from literategpt.utils import (
    CheckpointError,
    DataLoader,
    TextDataset,
    load_checkpoint,
    save_checkpoint,
)

TEXT = "to be or not to be that is the question"


def make_tokenizer():
    """Train a tokenizer on a sentence."""
    tokenizer = BPETokenizer()
    tokenizer.train(TEXT, 30)
    return tokenizer


def make_model(seed=0, **changes):
    """Make a small model."""
    config = {
        "vocabulary_size": 30, "max_sequence_length": 8, "embedding_dim": 8,
        "num_heads": 2, "num_layers": 2, "feed_forward_dim": 16,
    }  # fmt: skip
    return GPTModel(GPTConfig(**config | changes), rng=np.random.default_rng(seed))


def take_step(model, optimizer, seed=0):
    """Take one training step on random tokens."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 30, (2, 6))
    logits, saved = model.forward(tokens)
    _, grad = cross_entropy_loss(logits, tokens)
    optimizer.step(model.backward(grad, saved))


def assert_equal_models(first, second):
    """Compare all parameters of two models to the bit."""
    ours, theirs = first.named_parameters(), second.named_parameters()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


class TestTextDataset:
    """Windows and their targets."""

    def test_targets_are_the_inputs_shifted_once(self):
        """Each target is the token after its input, in every window."""
        for inputs, targets in TextDataset(np.arange(50), 7):
            np.testing.assert_array_equal(targets, inputs + 1)

    @pytest.mark.parametrize("count", range(8, 30))
    @pytest.mark.parametrize("stride", [None, 1, 3, 7, 11])
    def test_the_last_window_ends_at_the_last_token(self, count, stride):
        """The last target of the last window is the last token, whatever divides evenly."""
        dataset = TextDataset(np.arange(count), 7, stride)
        inputs, targets = dataset[len(dataset) - 1]
        assert targets[-1] == count - 1
        assert inputs.shape == targets.shape == (7,)

    @pytest.mark.parametrize("count", range(8, 30))
    def test_every_token_is_a_target_but_the_first(self, count):
        """With the usual stride no target is left out."""
        targets = {int(t) for _, window in TextDataset(np.arange(count), 7) for t in window}
        assert targets == set(range(1, count))

    def test_no_window_is_given_twice(self):
        """Where the tokens divide evenly, the last window is not repeated."""
        dataset = TextDataset(np.arange(13), 4)
        assert [int(inputs[0]) for inputs, _ in dataset] == [0, 4, 8]

    @pytest.mark.parametrize(
        ("tokens", "length", "message"),
        [
            (np.arange(4), 4, "at least 5 tokens"),
            (np.arange(8).reshape(2, 4), 2, r"got shape \(2, 4\)"),
            (np.ones(9), 2, "integer tokens, got float64"),
            (np.arange(9), 0, "sequence_length to be a positive integer, got 0"),
        ],
    )
    def test_bad_input_is_refused(self, tokens, length, message):
        """Too few tokens, a wrong shape, a wrong dtype, a length of zero."""
        with pytest.raises(ValueError, match=message):
            TextDataset(tokens, length)

    @pytest.mark.parametrize("i", [-1, 3])
    def test_a_window_that_is_not_there(self, i):
        """An index outside is an IndexError, also a negative one."""
        with pytest.raises(IndexError, match=f"from 0 to 2, got {i}"):
            TextDataset(np.arange(13), 4)[i]

    def test_the_tokens_are_copied(self):
        """What the caller does to the array later changes no window."""
        tokens = np.arange(9)
        dataset = TextDataset(tokens, 4)
        tokens[:] = 0
        assert dataset[0][1].tolist() == [1, 2, 3, 4]


class TestDataLoader:
    """Batches, their order, and going on from a stored place."""

    def loader(self, seed=0, count=41, batch_size=3, **options):
        dataset = TextDataset(np.arange(count), 4)
        return DataLoader(dataset, batch_size, rng=np.random.default_rng(seed), **options)

    def starts(self, loader):
        return [batch[:, 0].tolist() for batch, _ in loader]

    def test_an_epoch_has_every_window_once(self):
        """Shuffling leaves none out and repeats none."""
        starts = [start for batch in self.starts(self.loader()) for start in batch]
        assert sorted(starts) == list(range(0, 40, 4))
        assert starts != sorted(starts)

    def test_epochs_differ_and_are_repeatable(self):
        """Two epochs have two orders; the same seed gives the same two."""
        first, again = self.loader(), self.loader()
        epochs = [self.starts(first), self.starts(first)]
        assert epochs[0] != epochs[1]
        assert epochs == [self.starts(again), self.starts(again)]
        assert self.starts(self.loader(seed=1)) != epochs[0]

    def test_lengths(self):
        """The number of batches counts the last, short one, unless it is dropped."""
        assert len(self.loader()) == 4
        assert [len(b) for b in self.starts(self.loader())] == [3, 3, 3, 1]
        assert len(self.loader(drop_last=True)) == 3
        assert [len(b) for b in self.starts(self.loader(drop_last=True))] == [3, 3, 3]

    @pytest.mark.parametrize("done", range(9))
    def test_a_restored_loader_goes_on(self, done):
        """From any place, also at the end of an epoch, the batches that follow are the same."""

        def batches(loader):
            while True:
                yield from loader

        whole = self.loader()
        stream = batches(whole)
        for _ in range(done):
            next(stream)
        state = json.loads(json.dumps(whole.state()))
        other = self.loader(seed=99)
        other.restore(state)
        resumed = batches(other)
        for _ in range(6):
            np.testing.assert_array_equal(next(stream)[0], next(resumed)[0])

    def test_a_state_is_three_integers(self):
        """The state is small and plain."""
        state = self.loader().state()
        assert set(state) == {"seed", "epoch", "batch"}
        assert all(type(value) is int for value in state.values())

    @pytest.mark.parametrize(
        "state",
        [
            {"seed": 1, "epoch": 0, "batch": 4},
            {"seed": 1, "epoch": -1, "batch": 0},
            {"seed": 1, "epoch": 0},
        ],
    )
    def test_a_bad_state_is_refused(self, state):
        """A place that does not exist is refused, and the loader stays where it was."""
        loader = self.loader()
        before = loader.state()
        with pytest.raises(ValueError, match="expected"):
            loader.restore(state)
        assert loader.state() == before

    def test_no_batch_at_all_is_refused(self):
        """Dropping the only batch would train on nothing."""
        with pytest.raises(ValueError, match="full batch of 20, got 10 windows"):
            self.loader(batch_size=20, drop_last=True)


class TestCheckpoints:
    """One file is a usable model; a bad file is refused."""

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("tie_weights", [True, False])
    @pytest.mark.parametrize("positional_encoding", ["sinusoidal", "learned"])
    def test_round_trip(self, tmp_path, dtype, tie_weights, positional_encoding):
        """Every parameter, the tokenizer and the configuration come back to the bit."""
        model = make_model(
            dtype=dtype, tie_weights=tie_weights, positional_encoding=positional_encoding
        )
        tokenizer = make_tokenizer()
        save_checkpoint(tmp_path / "m.npz", model, tokenizer, step=5, settings={"a": [1, "é"]})
        loaded = load_checkpoint(tmp_path / "m.npz")
        assert_equal_models(model, loaded.model)
        assert loaded.model.config == model.config
        assert loaded.tokenizer.encode(TEXT) == tokenizer.encode(TEXT)
        assert loaded.tokenizer.decode(loaded.tokenizer.encode(TEXT)) == TEXT
        assert (loaded.step, loaded.settings) == (5, {"a": [1, "é"]})
        assert loaded.optimizer is None
        assert loaded.loader_state is None

    def test_the_tied_head_is_still_one_array(self, tmp_path):
        """After loading, a change of the embedding changes the logits' weights as well."""
        save_checkpoint(tmp_path / "m.npz", make_model(), make_tokenizer())
        model = load_checkpoint(tmp_path / "m.npz").model
        assert "head.weight" not in model.named_parameters()
        tokens = np.array([[1, 2, 3]])
        before = model(tokens)
        model.token_embedding.weight[20] += 1  # a token that is not read, only scored
        changed = np.any(before != model(tokens), axis=(0, 1))
        assert np.flatnonzero(changed).tolist() == [20]

    def test_training_goes_on_to_the_bit(self, tmp_path):
        """Saved with its optimizer, a run makes the same next steps as one that was not saved."""
        model = make_model()
        optimizer = AdamW(model.trainable_parameters(), weight_decay=0.3, betas=(0.8, 0.9))
        for seed in range(3):
            take_step(model, optimizer, seed)
        save_checkpoint(tmp_path / "m.npz", model, make_tokenizer(), optimizer=optimizer)
        loaded = load_checkpoint(tmp_path / "m.npz")
        for seed in range(3, 6):
            take_step(model, optimizer, seed)
            take_step(loaded.model, loaded.optimizer, seed)
        assert_equal_models(model, loaded.model)
        assert loaded.optimizer.step_count == 6

    def test_half_precision(self, tmp_path):
        """A half-precision file gives the rounded values, in the model's own dtype."""
        model = make_model()
        save_checkpoint(tmp_path / "h.npz", model, make_tokenizer(), precision="float16")
        loaded = load_checkpoint(tmp_path / "h.npz").model
        for name, array in loaded.named_parameters().items():
            expected = model.named_parameters()[name].astype("float16").astype("float32")
            assert array.dtype == np.float32
            np.testing.assert_array_equal(array, expected)

    def test_saving_twice_gives_equal_files(self, tmp_path):
        """The bytes depend on nothing but the content."""
        for name in ("a.npz", "b.npz"):
            save_checkpoint(tmp_path / name, make_model(), make_tokenizer())
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()

    def test_a_lora_model_is_refused(self, tmp_path):
        """A checkpoint holds plain models; the message says what to do."""
        model = make_model()
        apply_lora(model, rng=np.random.default_rng(0))
        with pytest.raises(ValueError, match="remove_lora, or save_adapter"):
            save_checkpoint(tmp_path / "m.npz", model, make_tokenizer())
        assert not (tmp_path / "m.npz").exists()
        remove_lora(model)
        save_checkpoint(tmp_path / "m.npz", model, make_tokenizer())
        assert_equal_models(load_checkpoint(tmp_path / "m.npz").model, make_model())

    def test_a_missing_file(self, tmp_path):
        """The message names the path."""
        with pytest.raises(FileNotFoundError, match=r"none\.npz"):
            load_checkpoint(tmp_path / "none.npz")

    @pytest.mark.parametrize(
        "content", [b"", b"not a checkpoint", b"PK\x03\x04broken", b"\x80\x04K."]
    )
    def test_a_foreign_file(self, tmp_path, content):
        """Whatever the bytes are, the message says that this is no checkpoint."""
        path = tmp_path / "m.npz"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="is not a literategpt checkpoint"):
            load_checkpoint(path)

    def test_a_foreign_archive(self, tmp_path):
        """Arrays without our header are not a checkpoint."""
        np.savez(tmp_path / "m.npz", weights=np.ones(3))
        with pytest.raises(CheckpointError, match="is not a literategpt checkpoint"):
            load_checkpoint(tmp_path / "m.npz")
        np.save(tmp_path / "m.npy", np.ones(3))
        with pytest.raises(CheckpointError, match="is not a literategpt checkpoint"):
            load_checkpoint(tmp_path / "m.npy")

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
    def test_a_truncated_file(self, tmp_path, share):
        """A file that was cut off is refused."""
        path = tmp_path / "m.npz"
        save_checkpoint(path, make_model(), make_tokenizer())
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(CheckpointError):
            load_checkpoint(path)

    @pytest.mark.parametrize("member", ["model/blocks.0.attention.query.weight.npy", "header.npy"])
    def test_a_changed_number(self, tmp_path, member):
        """Changing one byte, with a valid archive around it, is noticed by the checksum."""
        path, changed = tmp_path / "m.npz", tmp_path / "changed.npz"
        save_checkpoint(path, make_model(), make_tokenizer(), step=5)
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
            for name in source.namelist():
                data = source.read(name)
                if name == member == "header.npy":
                    data = data.replace(b'"step": 5', b'"step": 6')
                elif name == member:
                    data = data[:-1] + bytes([data[-1] ^ 1])
                target.writestr(name, data)
        with pytest.raises(CheckpointError, match="checksum"):
            load_checkpoint(changed)

    def test_pickles_are_not_run(self, tmp_path):
        """An array of objects, which would be unpickled, is refused and nothing in it runs."""

        class Bomb:
            def __reduce__(self):
                return (os.mkdir, (str(tmp_path / "exploded"),))

        np.savez(tmp_path / "m.npz", header=np.array([Bomb()], dtype=object))
        with pytest.raises(CheckpointError):
            load_checkpoint(tmp_path / "m.npz")
        assert not (tmp_path / "exploded").exists()

    def test_a_failed_write_keeps_the_old_file(self, tmp_path):
        """If writing fails halfway, the file before is still there, and no rest beside it."""
        path = tmp_path / "m.npz"
        path.write_bytes(b"old")

        def fail():
            with replace_file(path) as file:
                file.write(b"half")
                raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            fail()
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    def test_settings_that_json_cannot_hold(self, tmp_path):
        """A setting that cannot be stored is refused before the old file is touched."""
        path = tmp_path / "m.npz"
        save_checkpoint(path, make_model(), make_tokenizer(), step=1)
        with pytest.raises(TypeError, match="not JSON serializable"):
            save_checkpoint(path, make_model(), make_tokenizer(), settings={"x": object()})
        assert load_checkpoint(path).step == 1

    def test_loading_works_in_a_locale_without_utf8(self, tmp_path):
        """Text inside is UTF-8 whatever the environment says."""
        tokenizer = BPETokenizer()
        tokenizer.train("naïve café ☕ " * 3, 20)
        model = make_model(vocabulary_size=len(tokenizer))
        save_checkpoint(tmp_path / "m.npz", model, tokenizer)
        code = (
            "import sys; from literategpt import load_checkpoint;"
            "t = load_checkpoint(sys.argv[1]).tokenizer;"
            "assert t.decode(t.encode('caf\\u00e9')) == 'caf\\u00e9'"
        )
        environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "m.npz")], check=True, env=environment
        )
