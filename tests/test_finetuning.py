"""Fine-tuning: the two scripts, their records, the demo with an adapter, and the comparison."""

import json
import re

import numpy as np
import pytest

from experiments import finetuning as comparison
from experiments.tables import read_about, read_table
from literategpt import finetuning, pretrained, run_demo, train_finetune_full, train_finetune_lora
from literategpt.corpus import CorpusError, load_text, split_text
from literategpt.lora import apply_lora, base_hash, load_adapter, merge_lora, save_adapter
from literategpt.model import GPTConfig, GPTModel
from literategpt.optimizer import AdamW
from literategpt.runs import encode, new_loader
from literategpt.tokenizer import BPETokenizer
from literategpt.training import TrainingSettings, evaluate, train
from literategpt.utils import load_checkpoint, save_checkpoint

OLD = "\n".join(
    f"The {a} {b} the {c}." for a in ("cat", "dog", "hen") for b in ("saw", "met", "fed", "led")
    for c in ("fox", "owl", "ant", "bee", "cow", "pig", "rat", "ram")
) + "\n"  # fmt: skip
NEW = "The owl fed the owl.\n" * 600
LOSS = r"(\d\.\d{4})"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny model that has learned a little of the old text."""
    tokenizer = BPETokenizer()
    tokenizer.train(OLD, 40)
    config = GPTConfig(
        vocabulary_size=len(tokenizer), max_sequence_length=16, embedding_dim=16, num_heads=2,
        num_layers=1, feed_forward_dim=64,
    )  # fmt: skip
    model = GPTModel(config, rng=np.random.default_rng(0))
    loader = new_loader(encode(tokenizer, OLD), 16, 4, seed=0)
    settings = TrainingSettings(total_steps=60, peak_learning_rate=0.01, warmup_steps=5)
    list(train(model, AdamW(model.trainable_parameters()), loader, settings=settings))
    path = tmp_path_factory.mktemp("base") / "base.npz"
    save_checkpoint(path, model, tokenizer)
    return path


@pytest.fixture(scope="module")
def new_text(tmp_path_factory):
    """The file of a text that says one thing only."""
    path = tmp_path_factory.mktemp("text") / "new.txt"
    path.write_text(NEW, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    """An adapter of that base that changes what it writes."""
    model = load_checkpoint(base).model
    apply_lora(model, rng=np.random.default_rng(0))
    for array in model.trainable_parameters().values():
        array[...] = np.random.default_rng(1).normal(0, 1, array.shape)
    path = tmp_path_factory.mktemp("adapter") / "adapter.npz"
    save_adapter(path, model)
    return path


@pytest.fixture(autouse=True)
def plays(monkeypatch):
    """A stand-in for the plays, so that nothing depends on the corpus being prepared."""
    monkeypatch.setattr(finetuning, "read_plays", lambda: OLD)
    return OLD


def options(base, new_text, output, *more):
    """A short run at a rate at which it learns."""
    return [
        "--checkpoint", str(base), "--data", str(new_text), "--output", str(output),
        "--steps", "40", "--learning-rate", "0.02", *more,
    ]  # fmt: skip


def record_of(path):
    """Read what was written beside an output."""
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def losses_of(model, tokenizer):
    """The losses on the new text's validation part and on the old text."""
    texts = (split_text(NEW)[1], OLD)
    return tuple(evaluate(model, encode(tokenizer, text)) for text in texts)


class TestScripts:
    """`python -m literategpt.train_finetune_full` and `…_lora`."""

    def test_full(self, base, new_text, tmp_path, capsys):
        """Report and record hold the losses of the base and of the model that was written."""
        path = tmp_path / "full.npz"
        assert train_finetune_full.main(options(base, new_text, path)) == 0
        printed = capsys.readouterr().out
        before = losses_of(*load_checkpoint(base)[:2])
        result = load_checkpoint(path)
        after = losses_of(*result[:2])
        assert result.step == 40
        assert after[0] < 0.8 * before[0]
        assert after[1] > before[1]
        learned = re.search(rf"learned: {LOSS} -> {LOSS}", printed)
        forgotten = re.search(rf"forgotten: {LOSS} -> {LOSS}", printed)
        shown = [float(x) for x in (*learned.groups(), *forgotten.groups())]
        assert shown == pytest.approx([before[0], after[0], before[1], after[1]], abs=1e-4)
        record = record_of(path)
        names = ("validation_loss_before", "validation_loss", "plays_loss_before", "plays_loss")
        assert [record[n] for n in names] == pytest.approx(shown, abs=1e-4)

    def test_lora(self, base, new_text, tmp_path, capsys):
        """The loss falls, the base file is untouched, and the adapter fits it."""
        path, bytes_before = tmp_path / "adapter.npz", base.read_bytes()
        assert train_finetune_lora.main(options(base, new_text, path)) == 0
        printed = capsys.readouterr().out
        assert base.read_bytes() == bytes_before
        model, tokenizer = load_checkpoint(base)[:2]
        before = losses_of(model, tokenizer)
        load_adapter(path, model)
        after = losses_of(model, tokenizer)
        assert after[0] < before[0]
        assert f"learned: {before[0]:.4f} -> {after[0]:.4f}" in printed
        assert f"run_demo --checkpoint {base} --adapter {path} --compare" in printed

    def test_what_is_trained(self, base, new_text, tmp_path, capsys):
        """LoRA on query and value at rank 4 trains 256 numbers here, and AdamW keeps two each."""
        path = tmp_path / "adapter.npz"
        assert train_finetune_lora.main(options(base, new_text, path)) == 0
        record = record_of(path)
        assert (record["trained_parameters"], record["optimizer_bytes"]) == (256, 256 * 2 * 4)
        model = load_checkpoint(base).model
        assert record["parameters"] == model.num_parameters() + 256
        printed = capsys.readouterr().out
        assert f"256 of {model.num_parameters() + 256:,} parameters are trained" in printed
        assert record["base"] == base_hash(model)

    def test_samples_before_and_after(self, base, new_text, tmp_path, capsys):
        """The model writes from the same prompt and seed before the first step and at the end."""
        path = tmp_path / "full.npz"
        assert train_finetune_full.main(options(base, new_text, path)) == 0
        printed = capsys.readouterr().out
        for step, checkpoint in ((0, base), (40, path)):
            model, tokenizer = load_checkpoint(checkpoint)[:2]
            written = model.generate(
                np.array([tokenizer.encode("\n")]), 60, temperature=0.8, top_p=0.95,
                rng=np.random.default_rng(0),
            )  # fmt: skip
            text = tokenizer.decode(written[0].tolist()).strip().replace("\n", "\n    ")
            assert re.search(rf"step {step}: .*\n    {re.escape(text)}", printed)

    def test_workers_change_nothing(self, base, new_text, tmp_path):
        """One thread and two write the same bytes."""
        for workers in ("1", "2"):
            path = tmp_path / f"{workers}.npz"
            more = ("--workers", workers)
            assert train_finetune_lora.main(options(base, new_text, path, *more)) == 0
        assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()

    def test_without_the_corpus(self, base, new_text, tmp_path, capsys, monkeypatch):
        """The run says that forgetting is not measured, and goes on."""
        monkeypatch.setattr(finetuning, "read_plays", lambda: None)
        path = tmp_path / "full.npz"
        assert train_finetune_full.main(options(base, new_text, path)) == 0
        printed = capsys.readouterr().out
        assert "the corpus is not prepared" in printed
        assert "forgotten:" not in printed
        assert record_of(path)["plays_loss"] is None

    def test_the_fables_are_the_default(self, base, new_text, tmp_path, monkeypatch):
        """Without --data the text is the one that comes with the package."""
        monkeypatch.setattr(finetuning, "fables_path", lambda: new_text)
        given, default = tmp_path / "given.npz", tmp_path / "default.npz"
        line = options(base, new_text, given)
        assert train_finetune_full.main(line) == 0
        without = [*line[:2], *line[4:]]
        assert train_finetune_full.main([*without, "--output", str(default)]) == 0
        assert given.read_bytes() == default.read_bytes()

    def test_half_precision(self, base, new_text, tmp_path):
        """The adapter's file holds rounded numbers, and loads into a float32 model."""
        whole, half = tmp_path / "whole.npz", tmp_path / "half.npz"
        assert train_finetune_lora.main(options(base, new_text, whole)) == 0
        more = ("--precision", "float16")
        assert train_finetune_lora.main(options(base, new_text, half, *more)) == 0
        arrays = []
        for path in (whole, half):
            model = load_checkpoint(base).model
            load_adapter(path, model)
            arrays.append(model.blocks[0].attention.value.lora_b)
        assert arrays[1].dtype == np.float32
        np.testing.assert_array_equal(arrays[1], arrays[0].astype("float16"))
        assert np.any(arrays[0] != arrays[1])

    def test_an_existing_file_is_not_overwritten(self, base, new_text, capsys):
        """Also when it is the base itself."""
        before = base.read_bytes()
        assert train_finetune_full.main(options(base, new_text, base)) == 1
        assert "give --overwrite" in capsys.readouterr().err
        assert base.read_bytes() == before

    def test_a_damaged_corpus_is_one_line(self, base, new_text, tmp_path, capsys, monkeypatch):
        """What is found where the corpus should be is not taken for it."""

        def refuse():
            raise CorpusError("validation.txt is refused")

        monkeypatch.setattr(finetuning, "read_plays", refuse)
        assert train_finetune_full.main(options(base, new_text, tmp_path / "f.npz")) == 1
        assert capsys.readouterr().err == "fine-tuning: validation.txt is refused\n"
        assert not (tmp_path / "f.npz").exists()

    def test_paths_stay_out_of_the_record(self, base, new_text, tmp_path):
        """A text and a checkpoint are named without their directories."""
        path = tmp_path / "full.npz"
        assert train_finetune_full.main(options(base, new_text, path)) == 0
        assert str(tmp_path.parent) not in path.with_suffix(".json").read_text(encoding="utf-8")
        settings = record_of(path)["settings"]
        assert (settings["data"], settings["checkpoint"]) == ("new.txt", "base.npz")


class TestReadPlays:
    """The plays are read where they are, and not fetched."""

    READ = staticmethod(finetuning.read_plays)

    def test_nothing_is_downloaded(self, tmp_path, monkeypatch):
        """Without a corpus there is no text, and nobody asks for one."""
        monkeypatch.setattr(finetuning, "corpus_directory", lambda: tmp_path)
        monkeypatch.setattr(finetuning, "prepare_corpus", lambda: pytest.fail("asked for it"))
        assert self.READ() is None

    @pytest.mark.corpus
    def test_it_is_the_start_of_the_validation_plays(self):
        """The text is the front of the file."""
        text = load_text(finetuning.corpus_directory() / "validation.txt")
        assert self.READ(500) == text[:500]
        assert len(self.READ()) == finetuning.PLAYS_CHARACTERS


class TestShippedPaths:
    """Where the files that come with the package are looked for."""

    def test_each_name_is_found_in_either_place(self, tmp_path, monkeypatch):
        """Inside an installed package, or beside it in a checkout."""
        places = [tmp_path / "package", tmp_path / "checkout"]
        monkeypatch.setattr(pretrained, "data_directories", lambda: places)
        for place in reversed(places):
            place.mkdir()
            for name in ("fables.txt", "fables-adapter.npz", "words.txt"):
                (place / name).touch()
            assert pretrained.fables_path() == place / "fables.txt"
            assert pretrained.adapter_path("fables") == place / "fables-adapter.npz"
            assert pretrained.words_path() == place / "words.txt"

    def test_a_missing_file_names_the_places(self, tmp_path, monkeypatch):
        """Where the file was looked for stands in the message."""
        monkeypatch.setattr(pretrained, "data_directories", lambda: [tmp_path / "a"])
        for find, name in [
            (pretrained.fables_path, "fables.txt"),
            (pretrained.words_path, "words.txt"),
            (lambda: pretrained.adapter_path("fables"), "fables-adapter.npz"),
        ]:
            with pytest.raises(FileNotFoundError, match=f"expected {name} in one of .*a"):
                find()


class TestDemo:
    """`python -m literategpt.run_demo` with an adapter."""

    LINE = ("--tokens", "12", "--seed", "3", "--prompt", "The ")

    def written(self, capsys, *more):
        """What the demo prints."""
        assert run_demo.main([*self.LINE, *more]) == 0
        return capsys.readouterr().out

    def test_comparing_writes_both(self, base, adapter, capsys):
        """The first text is the base's, the second the adapted model's, from one seed."""
        plain = self.written(capsys, "--checkpoint", str(base))
        line = ("--checkpoint", str(base), "--adapter", str(adapter))
        adapted = self.written(capsys, *line)
        assert plain != adapted
        assert self.written(capsys, *line, "--compare") == (
            f"--- without the adapter ---\n{plain}\n--- with the adapter ---\n{adapted}"
        )

    def test_comparing_without_a_seed_uses_one_all_the_same(self, base, tmp_path, capsys):
        """An adapter that changes nothing yet writes the same text as the base."""
        model = load_checkpoint(base).model
        apply_lora(model, rng=np.random.default_rng(0))
        save_adapter(tmp_path / "a.npz", model)
        line = ["--checkpoint", str(base), "--adapter", str(tmp_path / "a.npz"), "--compare"]
        assert run_demo.main([*line, "--tokens", "30", "--prompt", "The "]) == 0
        first, second = re.findall(r"---\n(The [^-]*?)\n(?:\n-|$)", capsys.readouterr().out)
        assert first.rstrip("\n") == second.rstrip("\n")

    def test_a_shipped_adapter_has_a_name(self, base, adapter, tmp_path, capsys, monkeypatch):
        """`--adapter fables` is the file beside the shipped checkpoint, on that checkpoint."""
        (tmp_path / "shakespeare.npz").write_bytes(base.read_bytes())
        (tmp_path / "fables-adapter.npz").write_bytes(adapter.read_bytes())
        monkeypatch.setattr(pretrained, "data_directories", lambda: [tmp_path])
        expected = self.written(capsys, "--checkpoint", str(base), "--adapter", str(adapter))
        assert self.written(capsys, "--adapter", "fables") == expected

    def test_errors_come_before_anything_is_written(self, base, adapter, tmp_path, capsys):
        """No adapter to compare with, an unknown name, a missing file, a foreign adapter."""
        other = load_checkpoint(base)
        other.model.token_embedding.weight[0, 0] += 1
        save_checkpoint(tmp_path / "other.npz", other.model, other.tokenizer)
        for line, message in [
            (["--checkpoint", str(base), "--compare"], "expected --adapter beside --compare"),
            (["--adapter", "riddles"], "expected a shipped adapter, one of fables, got riddles"),
            (["--adapter", str(tmp_path / "none.npz")], "expected a literategpt adapter at"),
            (
                ["--checkpoint", str(tmp_path / "other.npz"), "--adapter", str(adapter)],
                "another base",
            ),
        ]:
            assert run_demo.main([*self.LINE, *line]) == 1
            printed = capsys.readouterr()
            assert message in printed.err
            assert printed.out == ""


@pytest.fixture(scope="module")
def files(base, new_text, tmp_path_factory):
    """The options that name model and texts, and a setting that has them."""
    old = tmp_path_factory.mktemp("old") / "old.txt"
    old.write_text(OLD, encoding="utf-8")
    line = ["--checkpoint", str(base), "--data", str(new_text), "--plays", str(old)]
    quick = comparison.parse([*line, "--quick", "--output", "elsewhere"])
    return line, comparison.setting_of(quick)


@pytest.fixture(scope="module")
def tables(files, tmp_path_factory):
    """The tables of a quick comparison."""
    directory = tmp_path_factory.mktemp("tables")
    line = [*files[0], "--quick", "--output", str(directory), "--processes", "1"]
    comparison.main(line)
    return directory


class TestComparison:
    """`python -m experiments.finetuning`."""

    def test_each_question_has_its_table(self, tables):
        """There is a row a rate, a seed, a rank and a set of targets, and the runs' curves."""
        names = ("sweep", "seeds", "ranks", "targets", "curves")
        rows = {name: read_table(f"finetuning_{name}", tables) for name in names}
        assert [row["learning_rate"] for row in rows["sweep"]] == [0.001, 0.002] * 2
        assert [row["rank"] for row in rows["ranks"]] == [1, 4]
        assert [row["targets"] for row in rows["targets"]] == [
            "query+value",
            "query+key+value+output+expand+contract",
        ]
        assert {row["method"] for row in rows["seeds"]} == {"full", "lora"}
        assert not {row["seed"] for row in rows["seeds"]} & {row["seed"] for row in rows["sweep"]}
        runs = {tuple(list(row.items())[:5]) for n in names[:4] for row in rows[n]}
        assert {tuple(list(row.items())[:5]) for row in rows["curves"]} == runs
        assert [row["step"] for row in rows["curves"]][:3] == [0, 2, 4]

    def test_the_chosen_rate_has_the_lowest_end(self, tables):
        """Of each method's rates, the lowest of those whose end ties with the best end."""
        sweep = read_table("finetuning_sweep", tables)
        chosen = read_about("finetuning_seeds", tables)["settings"]["chosen_rates"]
        for method, rate in chosen.items():
            own = {r["learning_rate"]: r["fables"] for r in sweep if r["method"] == method}
            assert rate == min(r for r in own if own[r] < min(own.values()) + 0.02)
        seeds = read_table("finetuning_seeds", tables)
        assert {row["method"]: row["learning_rate"] for row in seeds} == chosen

    def test_choosing_looks_at_the_end_and_not_at_the_best(self, capsys):
        """What counts is the end, not the lowest point; of a tie the lower rate is chosen."""
        ends = {("full", 1.0): 3.0, ("full", 2.0): 2.01, ("full", 4.0): 2.0, ("lora", 1.0): 1.0}
        outcomes = {
            comparison.Trial(method=method, learning_rate=rate): comparison.Outcome(
                {"fables": end, "lowest_fables": -end}, [], "", [], []
            )
            for (method, rate), end in ends.items()
        }
        assert comparison.choose(outcomes) == {"full": 2.0, "lora": 1.0}
        assert capsys.readouterr().out == "the best rate of lora is at the edge of those tried\n"

    @pytest.mark.parametrize("method", comparison.METHODS)
    def test_a_run_is_that_of_the_script(self, method, files, base, new_text, tmp_path):
        """With the same numbers, the comparison and the script come to the same loss."""
        setting = comparison.replace(files[1], steps=10, batch_size=8, sequence_length=16)
        outcome = comparison.perform(setting, comparison.Trial(method=method, learning_rate=0.01))
        script = train_finetune_full if method == "full" else train_finetune_lora
        path = tmp_path / "m.npz"
        more = ("--steps", "10", "--learning-rate", "0.01")
        assert script.main(options(base, new_text, path, *more)) == 0
        record = record_of(path)
        assert outcome.result["fables"] == pytest.approx(record["validation_loss"], rel=1e-6)
        assert outcome.result["plays"] == pytest.approx(record["plays_loss"], rel=1e-6)
        assert outcome.curve[0]["fables"] == pytest.approx(
            record["validation_loss_before"], rel=1e-6
        )
        for name in ("trained_parameters", "optimizer_bytes"):
            assert outcome.result[name] == record[name]

    def test_lora_changes_matrices_in_as_many_directions_as_its_rank(self, files):
        """All of the change's energy is in the first two directions at rank 2, not in the first."""
        trial = comparison.Trial(method="lora", learning_rate=0.05, rank=2)
        spectrum = comparison.perform(files[1], trial).spectrum
        assert [row["matrix"].split(".")[-2] for row in spectrum] == ["query", "value"]
        for row in spectrum:
            assert row["share_1"] < 1 - 1e-6
            assert row["share_2"] == pytest.approx(1, abs=1e-9)

    def test_cut_at_every_direction_is_the_tuned_model(self, files):
        """With all 16 directions kept nothing is cut; with none, the matrices are the base's."""
        trial = comparison.Trial(method="full", learning_rate=0.02)
        outcome = comparison.perform(files[1], trial)
        cuts = {row["rank"]: row["fables"] for row in outcome.cut}
        assert cuts[16] == pytest.approx(outcome.result["fables"], abs=1e-4)
        assert cuts[0] > outcome.result["fables"] + 0.01

    def test_shares_of_known_matrices(self):
        """A product of two vectors has one direction; the unit matrix has them all alike."""
        outer = np.outer(np.arange(1, 6), np.arange(2, 7))
        assert comparison.shares(outer)["share_1"] == pytest.approx(1)
        flat = comparison.shares(np.eye(64))
        assert [flat[f"share_{n}"] for n in (1, 4, 32)] == pytest.approx([1 / 64, 1 / 16, 1 / 2])

    def test_merging_is_what_the_spectrum_sees(self, files, adapter):
        """The change of a merged matrix is alpha / rank times the product of A and B."""
        model = load_checkpoint(files[1].checkpoint).model
        before = comparison.matrices(model)
        load_adapter(adapter, model)
        layer = model.blocks[0].attention.value
        expected = layer.factor * layer.lora_a @ layer.lora_b
        merge_lora(model)
        change = comparison.matrices(model)["blocks.0.attention.value.weight"]
        change = change - before["blocks.0.attention.value.weight"]
        np.testing.assert_allclose(change, expected, atol=1e-4)

    def test_time_has_its_own_table(self, files, tmp_path):
        """`--time` writes quartiles of both methods, and no other table."""
        comparison.main([*files[0], "--quick", "--time", "--output", str(tmp_path)])
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            "finetuning_time.csv", "finetuning_time.json",
        ]  # fmt: skip
        rows = read_table("finetuning_time", tmp_path)
        assert [row["method"] for row in rows] == ["full", "lora"]
        for row in rows:
            assert 0 < row["lower_quartile"] <= row["median"] <= row["upper_quartile"]
            assert row["steps"] == 2

    def test_a_trial_does_not_write_over_the_logs(self, capsys):
        """Without a directory of its own it is refused before anything is done."""
        with pytest.raises(SystemExit):
            comparison.main(["--quick"])
        assert "expected --output with --quick" in capsys.readouterr().err

    @pytest.mark.slow
    def test_the_number_of_processes_changes_nothing(self, files, tables, tmp_path):
        """Two processes write the same tables as one, to the byte."""
        line = [*files[0], "--quick", "--output", str(tmp_path), "--processes", "2"]
        comparison.main(line)
        written = sorted(tables.glob("*.csv"))
        assert len(written) == 7
        for path in written:
            assert (tmp_path / path.name).read_bytes() == path.read_bytes()
