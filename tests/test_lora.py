"""LoRA: starting from the base, its gradients, merging, removing, and adapter files."""

import numpy as np
import pytest

from literategpt.gradcheck import check_layer, check_model, randomize_parameters
from literategpt.layers import Linear
from literategpt.lora import (
    TARGETS,
    LoRALinear,
    apply_lora,
    load_adapter,
    lora_layers,
    merge_lora,
    remove_lora,
    save_adapter,
    unmerge_lora,
)
from literategpt.model import GPTConfig, GPTModel, cross_entropy_loss
from literategpt.optimizer import AdamW
from literategpt.utils import CheckpointError

TOKENS = np.array([[3, 1, 4, 1], [5, 9, 2, 6]])


def make_model(seed=0, **changes):
    """Make a small float64 model with no special values in it."""
    config = {
        "vocabulary_size": 11, "max_sequence_length": 6, "embedding_dim": 8, "num_heads": 2,
        "num_layers": 2, "feed_forward_dim": 12, "dtype": "float64",
    }  # fmt: skip
    model = GPTModel(GPTConfig(**config | changes), rng=np.random.default_rng(seed))
    randomize_parameters(model, np.random.default_rng(seed + 100), std=0.3)
    return model


def adapt(model, targets=("query", "value"), rank=3, alpha=5.0, seed=1, random=True):
    """Put corrections on a model, and draw their values."""
    rng = np.random.default_rng(seed)
    apply_lora(model, rank, alpha, targets, rng=rng)
    if random:
        for array in model.trainable_parameters().values():
            array[...] = rng.normal(0, 0.3, array.shape)
    return model


def base_arrays(model):
    """Copy every array that is not a correction."""
    return {n: a.copy() for n, a in model.named_parameters().items() if ".lora_" not in n}


def assert_equal(first, second):
    """Compare two dictionaries of arrays to the bit."""
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def steps(model, count=5):
    """Take some training steps and return the optimizer."""
    optimizer = AdamW(model.trainable_parameters(), learning_rate=0.05)
    for _ in range(count):
        logits, saved = model.forward(TOKENS)
        _, grad = cross_entropy_loss(logits, TOKENS)
        optimizer.step(model.backward(grad, saved))
    return optimizer


@pytest.mark.parametrize("targets", [("query", "value"), TARGETS])
def test_the_start_is_the_base_to_the_bit(targets):
    """B is zero, so before the first step the adapted model gives the base's very bits."""
    before = make_model()(TOKENS)
    model = adapt(make_model(), targets, random=False)
    np.testing.assert_array_equal(model(TOKENS), before)
    arrays = model.trainable_parameters()
    assert all(np.any(a) for n, a in arrays.items() if n.endswith("lora_a"))
    assert not any(np.any(a) for n, a in arrays.items() if n.endswith("lora_b"))


def test_only_the_corrections_are_trained():
    """The trainable parameters are the matrices A and B of the targets, and nothing else."""
    model = adapt(make_model(), ("query", "contract"), rank=3)
    shapes = {n: a.shape for n, a in model.trainable_parameters().items()}
    expected = {}
    for i in range(2):
        expected |= {
            f"blocks.{i}.attention.query.lora_a": (8, 3),
            f"blocks.{i}.attention.query.lora_b": (3, 8),
            f"blocks.{i}.feed_forward.contract.lora_a": (12, 3),
            f"blocks.{i}.feed_forward.contract.lora_b": (3, 8),
        }
    assert shapes == expected


def test_the_default_has_8192_parameters():
    """Query and value at rank 4 in the default model: 8,192 numbers beside 1,049,344."""
    model = GPTModel(GPTConfig(), rng=np.random.default_rng(0))
    apply_lora(model, rng=np.random.default_rng(0))
    assert sum(a.size for a in model.trainable_parameters().values()) == 8192
    assert model.num_parameters() == 1049344 + 8192


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (1, 1, 4)])
def test_layer_gradients(shape):
    """The input's, A's and B's gradients agree with nudging, with alpha / rank not 1."""
    rng = np.random.default_rng(0)
    layer = LoRALinear(Linear(4, 6, rng=rng, dtype="float64"), rank=3, alpha=7, rng=rng)
    randomize_parameters(layer, rng)
    check = check_layer(layer, rng.normal(size=shape), rng=rng)
    assert check.error < 1e-6, str(check)
    assert set(check.errors) == {"input", "lora_a", "lora_b"}


def test_model_gradients():
    """Through a whole model, with every target adapted."""
    check = check_model(adapt(make_model(), TARGETS), TOKENS, TOKENS[:, ::-1])
    assert check.error < 1e-6, str(check)
    assert len(check.errors) == 2 * 6 * 2


def test_first_gradients_by_hand():
    """With B zero, A's first gradient is exactly zero and B's is not; one step moves both after."""
    rng = np.random.default_rng(0)
    layer = LoRALinear(Linear(2, 2, rng=rng, dtype="float64"), rank=1, alpha=2, rng=rng)
    layer.lora_a[...] = 1
    _, saved = layer.forward(np.array([[1.0, 2.0]]))
    _, gradients = layer.backward(np.array([[1.0, -1.0]]), saved)
    assert not np.any(gradients["lora_a"])
    np.testing.assert_array_equal(gradients["lora_b"], [[6.0, -6.0]])
    layer.lora_b -= 0.1 * gradients["lora_b"]
    change = layer.factor * layer.lora_a @ layer.lora_b
    np.testing.assert_allclose(change, [[-1.2, 1.2], [-1.2, 1.2]], rtol=1e-15)
    _, gradients = layer.backward(np.array([[1.0, -1.0]]), saved)
    assert np.any(gradients["lora_a"])


def test_the_base_is_identical_after_training():
    """Training moves the corrections only; the base keeps its bits, and has no moments."""
    model = make_model()
    before = base_arrays(model)
    adapt(model, TARGETS, random=False)
    loss_before = cross_entropy_loss(model(TOKENS), TOKENS)[0]
    optimizer = steps(model)
    assert cross_entropy_loss(model(TOKENS), TOKENS)[0] < loss_before
    assert_equal(base_arrays(model), before)
    assert all(".lora_" in name for name in optimizer.first_moment)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_merging_changes_no_output(dtype):
    """Merged and unmerged give the same logits, to rounding; alpha / rank is in both."""
    model = adapt(make_model(dtype=dtype), TARGETS)
    before = model(TOKENS)
    merge_lora(model)
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(model(TOKENS), before, rtol=0, atol=tolerance)


def test_unmerging_restores_the_base_to_the_bit():
    """Subtracting would leave rounding errors; the base that was kept aside does not."""
    model = adapt(make_model(), TARGETS)
    base, before = base_arrays(model), model(TOKENS)
    merge_lora(model)
    assert np.any(base["blocks.0.attention.query.weight"] != model.blocks[0].attention.query.weight)
    unmerge_lora(model)
    assert_equal(base_arrays(model), base)
    np.testing.assert_array_equal(model(TOKENS), before)


def test_merged_weights_are_the_same_arrays():
    """Merging writes into the arrays, so whoever holds them holds the model."""
    model = adapt(make_model())
    held = model.blocks[0].attention.query.weight
    merge_lora(model)
    assert model.blocks[0].attention.query.weight is held
    unmerge_lora(model)
    remove_lora(model)
    assert model.blocks[0].attention.query.weight is held


def test_merging_twice_is_refused():
    """A second merge would add the correction again; nothing is changed."""
    model = adapt(make_model())
    merge_lora(model)
    before = base_arrays(model)
    with pytest.raises(ValueError, match="merged already"):
        merge_lora(model)
    assert_equal(base_arrays(model), before)


def test_unmerging_what_is_not_merged_is_refused():
    """There is nothing to restore."""
    with pytest.raises(ValueError, match="expected a merged layer"):
        unmerge_lora(adapt(make_model()))


def test_training_a_merged_model_is_refused():
    """Its weights would not follow the corrections."""
    model = adapt(make_model())
    merge_lora(model)
    logits, saved = model.forward(TOKENS)
    with pytest.raises(ValueError, match="unmerge_lora"):
        model.backward(logits, saved)


def test_removing_gives_the_base_back():
    """Without merging, the model is the base again: its names, its bits, all trainable."""
    plain = make_model()
    model = adapt(make_model(), TARGETS)
    steps(model)
    remove_lora(model)
    assert_equal(model.named_parameters(), plain.named_parameters())
    assert model.trainable_parameters().keys() == plain.trainable_parameters().keys()
    np.testing.assert_array_equal(model(TOKENS), plain(TOKENS))


def test_removing_after_merging_keeps_what_was_learned():
    """The result is an ordinary model that computes what the adapted one did."""
    model = adapt(make_model(), TARGETS)
    before = model(TOKENS)
    merge_lora(model)
    remove_lora(model)
    assert not any(".lora_" in name for name in model.named_parameters())
    np.testing.assert_allclose(model(TOKENS), before, rtol=0, atol=1e-12)


def test_the_tied_head_stays_tied():
    """Adapting, merging and removing leave one array for embedding and head."""
    model = adapt(make_model())
    merge_lora(model)
    remove_lora(model)
    before = model(TOKENS)
    model.token_embedding.weight[10] += 1  # a token that is not read, only scored
    assert np.flatnonzero(np.any(before != model(TOKENS), axis=(0, 1))).tolist() == [10]


def test_no_layers_to_merge_or_remove():
    """Each operation on a plain model says so."""
    for operation in (merge_lora, unmerge_lora, remove_lora):
        with pytest.raises(ValueError, match="apply_lora"):
            operation(make_model())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": ("queries",)}, "among"),
        ({"targets": ()}, "among"),
        ({"targets": ("query", "query")}, "different"),
        ({"rank": 0}, "rank to be a positive integer"),
        ({"alpha": 0.0}, "alpha above 0"),
        ({"alpha": float("nan")}, "alpha above 0"),
    ],
)
def test_bad_arguments_change_nothing(arguments, message):
    """A refused call leaves the model plain and trainable."""
    model = make_model()
    with pytest.raises(ValueError, match=message):
        apply_lora(model, **{"rank": 2, "rng": np.random.default_rng(0)} | arguments)
    assert model.trainable_parameters().keys() == model.named_parameters().keys()
    assert not any(".lora_" in name for name in model.named_parameters())


def test_adapting_twice_is_refused():
    """A correction of a correction is not what anyone means."""
    model = adapt(make_model())
    with pytest.raises(ValueError, match="remove_lora first"):
        adapt(model)


class TestAdapterFiles:
    """Saving, loading and swapping adapters on one base."""

    def test_round_trip(self, tmp_path):
        """On a fresh copy of the base, the file gives the same logits to the bit."""
        model = adapt(make_model(), ("value", "expand"), rank=2, alpha=3)
        save_adapter(tmp_path / "a.npz", model)
        other = make_model()
        load_adapter(tmp_path / "a.npz", other)
        np.testing.assert_array_equal(other(TOKENS), model(TOKENS))
        layer = next(lora_layers(other))[3]
        assert (layer.rank, layer.alpha) == (2, 3)

    def test_swapping(self, tmp_path):
        """Two adapters of different shape take turns on one base, and the base stays."""
        base = make_model()
        first, second = adapt(make_model(), rank=2), adapt(make_model(), TARGETS, seed=5)
        save_adapter(tmp_path / "1.npz", first)
        save_adapter(tmp_path / "2.npz", second)
        model = make_model()
        for path, expected in [("1.npz", first), ("2.npz", second), ("1.npz", first)]:
            load_adapter(tmp_path / path, model)
            np.testing.assert_array_equal(model(TOKENS), expected(TOKENS))
        remove_lora(model)
        np.testing.assert_array_equal(model(TOKENS), base(TOKENS))

    def test_saved_while_merged(self, tmp_path):
        """The file of a merged model belongs to the same base."""
        model = adapt(make_model())
        expected = model(TOKENS)
        merge_lora(model)
        save_adapter(tmp_path / "a.npz", model)
        other = make_model()
        load_adapter(tmp_path / "a.npz", other)
        np.testing.assert_array_equal(other(TOKENS), expected)

    @pytest.mark.parametrize("change", ["weight", "heads"])
    def test_a_foreign_base_is_refused(self, tmp_path, change):
        """A base that differs in one number, or in its number of heads, is not this adapter's."""
        save_adapter(tmp_path / "a.npz", adapt(make_model()))
        other = make_model(num_heads=4) if change == "heads" else make_model()
        if change == "weight":
            other.blocks[1].feed_forward.expand.bias[0] += 1e-9
        before = other.named_parameters()
        with pytest.raises(CheckpointError, match="another base"):
            load_adapter(tmp_path / "a.npz", other)
        assert other.trainable_parameters().keys() == before.keys()

    def test_a_merged_model_is_refused(self, tmp_path):
        """Swapping under a merged correction would leave it in the weights."""
        model = adapt(make_model())
        save_adapter(tmp_path / "a.npz", model)
        merge_lora(model)
        with pytest.raises(ValueError, match="unmerge_lora first"):
            load_adapter(tmp_path / "a.npz", model)

    def test_a_damaged_or_foreign_file(self, tmp_path):
        """Neither changes the model."""
        path = tmp_path / "a.npz"
        save_adapter(path, adapt(make_model()))
        path.write_bytes(path.read_bytes()[:-40])
        model = make_model()
        with pytest.raises(CheckpointError, match="is not a literategpt adapter, or is damaged"):
            load_adapter(path, model)
        np.savez(path, x=np.ones(2))
        with pytest.raises(CheckpointError, match="is not a literategpt adapter"):
            load_adapter(path, model)
        assert model.trainable_parameters().keys() == model.named_parameters().keys()

    def test_a_plain_model_has_no_adapter_to_save(self, tmp_path):
        """The message says what is missing, and no file is written."""
        with pytest.raises(ValueError, match="apply_lora"):
            save_adapter(tmp_path / "a.npz", make_model())
        assert not (tmp_path / "a.npz").exists()


def test_generation_is_the_same_with_and_without_cache():
    """The cached path goes through the corrections as well."""
    model = adapt(make_model(), TARGETS)
    prompt = TOKENS[:, :2]
    cached = model.generate(prompt, 12, temperature=0)
    np.testing.assert_array_equal(
        cached, model.generate(prompt, 12, temperature=0, use_cache=False)
    )
    base = make_model().generate(prompt, 12, temperature=0)
    assert np.any(cached != base)
