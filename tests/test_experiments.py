"""The ablations: every variant's backward pass, every script in small, and the committed logs."""

import importlib
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small import (
    assert_gradients_right,
    assert_same_bits,
    generator,
    lock,
    nothing_may_be_written,
    small_batch,
    small_model,
)

from experiments import (
    attention_scale,
    normalization,
    position_scale,
    positions,
    samples,
    vocabulary_size,
)
from experiments.small import (
    Plan,
    adapt,
    first_batch,
    gradients_by_block,
    load_data,
    new_model,
    run,
    summarize,
    trial,
)
from experiments.tables import LOGS, read_about, read_table
from experiments.variants import (
    ACTIVATIONS,
    LinearFeedForward,
    NoNorm,
    NoResidualBlock,
    PostNormBlock,
    ReLUFeedForward,
    become,
    draw_order,
    remove_attention_scale,
    remove_residuals,
    use_activation,
    use_positions,
    use_post_norm,
)
from literategpt.activations import softmax
from literategpt.attention import create_causal_mask
from literategpt.gradcheck import check_layer, check_model, randomize_parameters
from literategpt.layers import LayerNorm, PositionalEncoding
from literategpt.model import GPTConfig, GPTModel, cross_entropy_loss
from literategpt.pretrained import load_pretrained
from literategpt.training import evaluate
from literategpt.transformer import FeedForwardNetwork, TransformerBlock

ROOT = Path(__file__).resolve().parent.parent
CHANNELS, HEADS, HIDDEN = 6, 3, 8

ABLATIONS = (
    "normalization", "residuals", "positions", "attention_scale", "activation", "dropout",
    "vocabulary_size", "position_scale",
)  # fmt: skip

STRUCTURES = {
    "post_norm": use_post_norm,
    "no_residuals": remove_residuals,
    "unscaled": remove_attention_scale,
    "relu": lambda model: use_activation(model, "relu"),
    "linear": lambda model: use_activation(model, "none"),
}
DISTURBANCES = ("shuffled once", "shuffled every time", "frozen", "absent")
CHANGES = (*STRUCTURES, *DISTURBANCES)
"""Everything that an ablation does to a model, beside its numbers."""


def draw(*shape, seed=1):
    """Draw an array of normal numbers."""
    return generator(seed).normal(size=shape)


def changed_model(name, **sizes):
    """Make a small model and change it."""
    model = small_model(**sizes)
    if name in DISTURBANCES:
        return use_positions(model, name)
    STRUCTURES[name](model)
    return model


def random_block(kind, dropout=0.0):
    """Make a block of a kind, with random parameters."""
    block = TransformerBlock(
        CHANNELS, HEADS, HIDDEN, dropout=dropout, rng=generator(), dtype="float64"
    )
    randomize_parameters(block, generator(3), std=0.3)
    return become(block, kind)


def random_feed_forward(kind):
    """Make a feed-forward network of a kind, with random parameters."""
    network = FeedForwardNetwork(CHANNELS, HIDDEN, rng=generator(), dtype="float64")
    randomize_parameters(network, generator(3))
    return become(network, kind)


# --- the variants ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dropout_seed", [None, 4])
@pytest.mark.parametrize("shape", [(4, 5), (1, 1)])
@pytest.mark.parametrize("kind", [PostNormBlock, NoResidualBlock])
def test_block_gradients(kind, shape, dropout_seed):
    """A variant block's backward pass agrees with nudging, with dropout and without."""
    block = random_block(kind, dropout=0.3)
    check = check_layer(block, draw(*shape, CHANNELS), rng=generator(2), dropout_seed=dropout_seed)
    assert_gradients_right(check)
    assert len(check.errors) == 17


def unscaled_attention():
    """Make an attention layer without its scale, with random parameters."""
    model = small_model()
    randomize_parameters(model, generator(3), std=0.3)
    remove_attention_scale(model)
    return model.blocks[0].attention


@pytest.mark.parametrize("shape", [(4, 5), (1, 1)])
def test_unscaled_layer_gradients(shape):
    """The layer without scale agrees with nudging its input and its eight arrays."""
    layer = unscaled_attention()
    check = check_layer(layer, draw(*shape, len(layer.query.weight)), rng=generator(2))
    assert_gradients_right(check)
    assert len(check.errors) == 9


@pytest.mark.parametrize("shape", [(4, 5), (1, 1)])
@pytest.mark.parametrize("kind", ACTIVATIONS.values())
def test_feed_forward_gradients(kind, shape):
    """A feed-forward network's backward pass agrees with nudging, whatever stands in it."""
    check = check_layer(random_feed_forward(kind), draw(*shape, CHANNELS), rng=generator(2))
    assert_gradients_right(check)


@pytest.mark.parametrize("name", CHANGES)
def test_whole_model_gradients(name):
    """The gradients of a whole changed model agree with nudging each of its parameters."""
    model = changed_model(name, num_layers=1)
    check = check_model(model, *small_batch())
    assert_gradients_right(check)
    assert check.errors.keys() == model.trainable_parameters().keys()


@pytest.mark.parametrize("name", CHANGES)
def test_variants_change_nothing_they_are_lent(name):
    """Forward and backward run with everything locked, and twice on one `saved` with one result."""
    model, (tokens, targets) = changed_model(name), small_batch()
    with nothing_may_be_written():
        lock(model, tokens, targets)
        logits, saved = model.forward(tokens)
        _, grad = cross_entropy_loss(logits, targets)
        lock(grad, saved)
        first, second = model.backward(grad, saved), model.backward(grad, saved)
    assert_same_bits(first, second)


@pytest.mark.parametrize("name", CHANGES)
def test_variants_differ_from_the_package(name):
    """A changed model gives other logits from the same weights: the ablation compares something."""
    tokens, _ = small_batch()
    assert np.abs(changed_model(name)(tokens) - small_model()(tokens)).max() > 1e-3


@pytest.mark.parametrize("name", STRUCTURES)
def test_variants_write_the_same_with_a_cache(name):
    """Reading tokens one after another into a cache ends at the logits of reading them at once."""
    model, (tokens, _) = changed_model(name), small_batch()
    cache = model.create_cache(len(tokens))
    model.extend(tokens[:, :2], cache)
    for place in range(2, tokens.shape[1]):
        logits = model.extend(tokens[:, place : place + 1], cache)
    np.testing.assert_allclose(logits, model(tokens)[:, -1], atol=1e-12)


def test_variants_keep_the_parameters():
    """A variant holds the very arrays of the block it was made from, under the same names."""
    block = random_block(TransformerBlock)
    twin = become(block, NoResidualBlock).named_parameters()
    assert twin.keys() == block.named_parameters().keys()
    assert all(array is twin[name] for name, array in block.named_parameters().items())


def test_post_norm_is_normalized_behind_the_additions():
    """The block is its formula, LayerNorm(h + FFN(h)) with h = LayerNorm(x + Attention(x))."""
    block, x = random_block(PostNormBlock), draw(2, 4, CHANNELS)
    attended = block.attention.forward(x, mask=create_causal_mask(4))[0]
    h = block.attention_norm(x + attended)
    np.testing.assert_array_equal(block(x), block.feed_forward_norm(h + block.feed_forward(h)))


def test_post_norm_model_has_no_final_norm():
    """The last norm of a post-LN model is that of its last block: logits come right from it."""
    model, (tokens, _) = small_model(), small_batch()
    use_post_norm(model)
    assert not any(name.startswith("final_norm") for name in model.named_parameters())
    x, _ = model.embed(tokens)
    for block in model.blocks:
        x = block(x)
    np.testing.assert_array_equal(model(tokens), model.unembed(x))
    assert NoNorm()(x) is x


def test_without_residuals_silence_is_silence():
    """Where both sub-layers give nothing, nothing comes out; with bypasses the input would."""
    block, x = random_block(NoResidualBlock), draw(2, 4, CHANNELS)
    h = block.attention.forward(block.attention_norm(x), mask=create_causal_mask(4))[0]
    np.testing.assert_array_equal(block(x), block.feed_forward(block.feed_forward_norm(h)))
    for layer in (block.attention.output, block.feed_forward.contract):
        layer.weight[...], layer.bias[...] = 0.0, 0.0
    assert not block(x).any()
    assert become(block, TransformerBlock)(x).tobytes() == x.tobytes()


def test_unscaled_scores_are_raw():
    """Without the scale the weights are the softmax of the plain products."""
    layer = unscaled_attention()
    _, saved = layer.forward(draw(1, 5, len(layer.query.weight)))
    x, heads = saved.input.input[0], layer.num_heads
    query, key = (
        np.split(x @ linear.weight + linear.bias, heads, axis=-1)
        for linear in (layer.query, layer.key)
    )
    for head in range(heads):
        products = query[head] @ key[head].T
        np.testing.assert_allclose(saved.weights[0, head], softmax(products), rtol=1e-12)


def test_two_linear_layers_are_one():
    """Without a bend the network is one matrix and one shift; with ReLU it is not."""
    network, x = random_feed_forward(LinearFeedForward), draw(5, CHANNELS)
    matrix = network.expand.weight @ network.contract.weight
    shift = network.expand.bias @ network.contract.weight + network.contract.bias
    np.testing.assert_allclose(network(x), x @ matrix + shift, rtol=1e-12)
    bent = become(network, ReLUFeedForward)(x)
    hidden = np.maximum(x @ network.expand.weight + network.expand.bias, 0)
    np.testing.assert_allclose(bent, network.contract(hidden), rtol=1e-12)
    assert np.abs(bent - network(x)).max() > 0.1


# --- positions -----------------------------------------------------------------------------------


def rows_added(positions, tokens):
    """Return what a model with such positions adds to the embeddings, (B, T, C)."""
    model = use_positions(small_model(), positions)
    return (model.embed(tokens)[0] - model.token_embedding(tokens)) / model.config.position_scale


def test_positions_are_disturbed_as_promised():
    """Each kind of positions adds the rows that its name says."""
    tokens, _ = small_batch(batch=3, time=8)
    true = rows_added("true", tokens)
    once, always = (rows_added(f"shuffled {how}", tokens) for how in ("once", "every time"))
    for shuffled in (once, always):
        for sequence in shuffled:
            np.testing.assert_allclose(np.sort(sequence, axis=0), np.sort(true[0], axis=0))
    np.testing.assert_allclose(once, np.broadcast_to(once[0], once.shape))
    assert np.abs(once - true).max() > 0.1
    assert np.abs(always[0] - always[1]).max() > 0.1
    np.testing.assert_allclose(
        rows_added("frozen", tokens), np.broadcast_to(true[:, :1], true.shape)
    )
    assert not rows_added("absent", tokens).any()


def test_unknown_positions_are_refused():
    """A kind of positions that nobody knows is named, and the table stays as it is."""
    model = small_model()
    before = model.positional_encoding.table.copy()
    with pytest.raises(ValueError, match="got 'turned'"):
        use_positions(model, "turned")
    assert_same_bits(before, model.positional_encoding.table)


def test_order_belongs_to_the_sequence():
    """The same sequence is mixed the same way each time, and another one differently."""
    first, second = generator().integers(0, 9, (2, 40))
    assert (draw_order(first) == draw_order(first.copy())).all()
    assert (draw_order(first) != draw_order(second)).any()
    assert sorted(draw_order(first)) == list(range(40))


@pytest.mark.parametrize(
    ("positions", "blind"), [("true", False), ("frozen", True), ("absent", True)]
)
def test_one_layer_without_positions_is_blind_to_order(positions, blind):
    """One layer's last logits ignore the order of earlier tokens where no place has a name."""
    model = use_positions(small_model(num_layers=1), positions)
    logits = model(np.array([[1, 2, 3, 4], [3, 1, 2, 4]]))[:, -1]
    assert np.allclose(logits[0], logits[1], atol=1e-12) == blind


def test_longer_table_changes_nothing_within_the_context():
    """A model with a longer table gives the same logits within its old context, and more after."""
    model = small_model()
    longer, tokens = positions.lengthen(model, 20), small_batch(time=8)[0]
    np.testing.assert_allclose(longer(tokens), model(tokens), rtol=1e-12)
    assert longer(np.tile(tokens, 2)).shape[1] == 16


def test_loss_by_place_averages_to_the_loss(monkeypatch):
    """The bins of places average to the loss of the windows, and each is the loss at its places."""
    monkeypatch.setattr(positions, "BIN", 4)
    model, tokens = small_model(), generator().integers(0, 7, 25)
    by_place = positions.loss_by_place(model, tokens, 8)
    assert math.isclose(np.mean(by_place), evaluate(model, tokens, sequence_length=8))
    inputs, targets = tokens[:-1].reshape(3, 8), tokens[1:].reshape(3, 8)
    first = cross_entropy_loss(model(inputs)[:, :4], targets[:, :4])[0]
    assert math.isclose(by_place[0], first)


# --- what is measured ----------------------------------------------------------------------------


def test_gradients_by_block_are_those_of_the_model():
    """The lengths are those of the model's own gradients; learned rows show that of the stream."""
    model, (tokens, targets) = small_model(positional_encoding="learned"), small_batch(1, 8)
    stream, parameters = gradients_by_block(model, tokens, targets)
    logits, saved = model.forward(tokens)
    gradients = model.backward(cross_entropy_loss(logits, targets)[1], saved)
    for i, length in enumerate(parameters):
        own = [g.ravel() for name, g in gradients.items() if name.startswith(f"blocks.{i}.")]
        assert math.isclose(length, np.linalg.norm(np.concatenate(own)))
    # One sequence: what enters the first block is the rows of the table plus the tokens'.
    assert math.isclose(stream[0], np.linalg.norm(gradients["position_embedding.weight"]))
    assert len(stream) == len(parameters) == 2


def test_sharp_rows_are_counted():
    """A row is sharp if one weight is above 0.99, whichever."""
    weights = np.array([[0.995, 0.005], [0.5, 0.5], [0.0, 1.0], [0.01, 0.99]])
    assert attention_scale.share_of_sharp_rows(weights) == 0.5


def test_unit_variance_initialisation():
    """Enlarged query and key weights turn normalized vectors into ones of unit variance."""
    model = GPTModel(GPTConfig(vocabulary_size=9, num_layers=1), rng=generator())
    attention_scale.unit_variance(model)
    x = LayerNorm(128)(draw(400, 128).astype("float32"))
    attention = model.blocks[0].attention
    for layer in (attention.query, attention.key):
        assert abs(float(layer(x).var()) - 1.0) < 0.05
    assert abs(float(attention.value(x).var()) - 0.02**2 * 128) < 0.005


def test_scores_of_unit_variance_have_a_deviation_of_root_d():
    """Raw scores of random vectors spread like sqrt(D), and only they make sharp rows at 32."""
    rows = attention_scale.measure_random(generator())
    for row in rows:
        assert abs(row["raw_score_std"] / math.sqrt(row["head_dim"]) - 1) < 0.03
    sharp = {(row["head_dim"], row["scale"]): row["sharp_rows"] for row in rows}
    assert sharp[32, "on"] < 0.001
    assert 0.15 < sharp[32, "off"] < 0.3


def test_enlarged_weights_keep_the_size_of_a_vector():
    """Weights of deviation 1 / sqrt(inputs) give a product as large as what came in."""
    model = GPTModel(GPTConfig(vocabulary_size=9, num_layers=1), rng=generator())
    normalization.enlarge_weights(model)
    network = model.blocks[0].feed_forward
    for layer, size in ((network.expand, 128), (network.contract, 512)):
        assert abs(float(layer(draw(400, size).astype("float32")).var()) - 1.0) < 0.05


def test_share_of_steps_is_read_off_on_straight_lines():
    """The step at which a curve reaches a loss lies between its points, or nowhere."""
    curve = [(10, 5.0), (20, 4.0), (30, 4.2), (40, 3.0)]
    found = [position_scale.first_step_at(curve, loss) for loss in (6.0, 4.75, 4.0, 3.6, 2.9)]
    assert found == [10.0, 12.5, 20.0, 35.0, None]


def test_budgets_are_kept():
    """Every vocabulary reads as many characters, or does as much arithmetic, up to half a step."""
    ablation = vocabulary_size.ABLATION
    plan = replace(trial(ablation.plan), steps=5000)

    def spent(own, budget):
        data = load_data(own)
        if budget == "characters":
            return own.steps * own.training_characters / len(data.training)
        return own.steps * vocabulary_size.operations(own, data)

    whole = adapt(plan, {"vocabulary_size": 66})
    assert {v["budget"] for v in ablation.variants} == {"both", "characters", "compute"}
    for variant in ablation.variants:
        own, budget = vocabulary_size.adapt(plan, variant), variant["budget"]
        assert own.vocabulary_size == variant["vocabulary_size"]
        assert abs(spent(own, budget) / spent(whole, budget) - 1) < 0.51 / own.steps
    assert vocabulary_size.adapt(plan, ablation.variants[0]).steps == 5000


def test_arithmetic_is_that_of_the_matrices():
    """Six operations for each number of a matrix that a token meets, twelve for T x C a layer."""
    plan = trial(vocabulary_size.ABLATION.plan)
    data = load_data(plan)
    model = GPTModel(plan.config(len(data.tokenizer)), rng=generator())
    matrices = sum(a.size for a in model.named_parameters().values() if a.ndim == 2)
    expected = 6 * matrices + 12 * plan.num_layers * plan.context * plan.embedding_dim
    assert vocabulary_size.operations(plan, data) == expected


def test_summary_has_mean_and_range():
    """The summary of a variant is over its own runs, and has their mean, lowest and highest."""
    runs = [
        {"dropout": rate, "seed": seed, "validation_loss": loss, "bits_per_character": 2 * loss}
        for rate, seed, loss in [(0.0, 0, 3.0), (0.0, 1, 4.0), (0.1, 0, 9.0)]
    ]
    rows = summarize([{"dropout": 0.0}, {"dropout": 0.1}], runs)
    assert list(rows[0].values()) == [0.0, 2, 3.5, 3.0, 4.0, 7.0]
    assert list(rows[1].values()) == [0.1, 1, 9.0, 9.0, 9.0, 18.0]


def test_variants_of_a_seed_start_alike():
    """Variants start from the same weights; another seed starts from others."""
    ablation = replace(normalization.ABLATION, plan=trial(normalization.ABLATION.plan))
    pre, post = (v for v in ablation.variants[:4] if v["warmup_steps"] == 0)
    models = [
        new_model(ablation, pre, 0),
        new_model(ablation, post, 0),
        new_model(ablation, pre, 1),
    ]
    first, second, other = ([*m.named_parameters().values()] for m in models)
    assert_same_bits(first[: len(second)], second)
    assert (first[0] != other[0]).any()
    assert isinstance(models[1].blocks[0], PostNormBlock)


def test_first_batch_is_the_start_of_the_text():
    """The windows follow each other from the first token, and targets are one ahead."""
    inputs, targets = first_batch(Plan(batch_size=3, context=4), np.arange(20))
    assert inputs.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert (targets == inputs + 1).all()


# --- the scripts ---------------------------------------------------------------------------------

LOSSES = ["validation_loss", "validation_loss_lowest", "validation_loss_highest"]
ENDING = ["steps", "training_loss", "validation_loss", "bits_per_character"]
LOOKS = {
    "residuals": ["gradient_last_block", "gradient_first_block"],
    "attention_scale": ["score_std", "sharp_rows", "query_key_gradient"],
    "position_scale": ["embedding_norm", "position_norm"],
}
VARIED = {
    "normalization": ["num_layers", "normalization", "warmup_steps"],
    "residuals": ["num_layers", "residuals"],
    "positions": ["positions"],
    "attention_scale": ["initial_weights", "scale"],
    "activation": ["activation"],
    "dropout": ["dropout"],
    "vocabulary_size": ["vocabulary_size", "budget"],
    "position_scale": ["position_scale"],
}
FURTHER = {
    "normalization_gradients": [
        "num_layers", "normalization", "initial_weights", "block",
        "stream_gradient", "parameter_gradient",
    ],
    "positions_checkpoint": ["positions", "validation_loss"],
    "positions_beyond": [
        "first_position", "last_position", "trained", "windows", "validation_loss",
    ],
    "attention_scale_default": [
        "initial_weights", "scale", *LOOKS["attention_scale"], "validation_loss",
    ],
    "attention_scale_random": ["head_dim", "scale", "raw_score_std", "sharp_rows"],
    "vocabulary_size_tokens": [
        "vocabulary_size", "training_tokens", "validation_tokens", "characters_per_token",
        "characters_in_context", "embedding_parameters", "operations_per_token",
    ],
    "position_scale_steps": ["position_scale", "loss_to_reach", "steps", "share_of_steps"],
}  # fmt: skip
MAY_BE_EMPTY = {("position_scale_steps", "steps"), ("position_scale_steps", "share_of_steps")}
"""A scale that never gets as far as the standard one has no step at which it does."""


def tables_of(name):
    """List the tables that an ablation promises, with their columns."""
    varied, looks = VARIED[name], LOOKS.get(name, [])
    along = ["validation_loss"] if name in ("dropout", "position_scale") else []
    looked = [f"{look}_{when}" for when in ("before", "after") for look in looks]
    return {
        name: [*varied, "seeds", *LOSSES, "bits_per_character"],
        f"{name}_runs": [*varied, "seed", *ENDING, *looked],
        f"{name}_curves": [*varied, "seed", "step", "training_loss", *along],
    } | {table: columns for table, columns in FURTHER.items() if table.startswith(f"{name}_")}


def ablation_of(name):
    """Import what a script measures."""
    return importlib.import_module(f"experiments.{name}").ABLATION


def faulty_cells(table, rows):
    """Find the cells that are empty or not finite, but for those that may be empty."""
    return [
        f"{table}: {key} is {value}"
        for row in rows
        for key, value in row.items()
        if (value is None and (table, key) not in MAY_BE_EMPTY)
        or (isinstance(value, float) and not math.isfinite(value))
    ]


def test_every_ablation_is_tested():
    """The scripts that train small models are exactly those tested here."""
    sources = {p.stem: p.read_text("utf-8") for p in (ROOT / "experiments").glob("*.py")}
    assert {n for n, source in sources.items() if "\nABLATION = " in source} == set(ABLATIONS)


@pytest.mark.parametrize("name", ABLATIONS)
def test_script_writes_what_it_promises(name, tmp_path, capsys):
    """In small, a script writes its tables, with the promised columns and with finite numbers."""
    run(ablation_of(name), ["--quick", "--processes", "1", "--output", str(tmp_path)])
    written = {path.stem for path in tmp_path.glob("*.csv")}
    assert written == tables_of(name).keys() == {path.stem for path in tmp_path.glob("*.json")}
    for table, columns in tables_of(name).items():
        rows = read_table(table, tmp_path)
        assert list(rows[0]) == columns, table
        assert faulty_cells(table, rows) == []
        about = read_about(table, tmp_path)
        assert about["command"] == f"python -m experiments.{name} --quick"
        assert about["settings"]["plan"]["text"] == "sample"
    ablation = ablation_of(name)
    assert len(read_table(name, tmp_path)) == len(ablation.variants)
    assert len(read_table(f"{name}_runs", tmp_path)) == len(ablation.variants)
    assert f"written: {tmp_path / name}.csv" in capsys.readouterr().out


def test_trial_does_not_write_over_the_logs(capsys):
    """A trial without a directory of its own is refused before anything is done."""
    with pytest.raises(SystemExit):
        run(ablation_of("activation"), ["--quick"])
    assert "expected --output with --quick" in capsys.readouterr().err


def test_faulty_cells_are_found():
    """An empty cell and a number that is not finite are found, where they must not be."""
    rows = [{"steps": None, "loss": 1.0}, {"steps": 3, "loss": math.inf}]
    assert faulty_cells("position_scale_steps", rows) == ["position_scale_steps: loss is inf"]
    assert faulty_cells("residuals", rows) == ["residuals: steps is None", "residuals: loss is inf"]


@pytest.mark.slow
def test_result_does_not_depend_on_the_number_of_processes(tmp_path, capsys):
    """One process and two write the same tables, to the byte."""
    for processes in ("1", "2"):
        output = str(tmp_path / processes)
        run(ablation_of("residuals"), ["--quick", "--processes", processes, "--output", output])
    for table in tables_of("residuals"):
        first, second = ((tmp_path / p / f"{table}.csv").read_bytes() for p in ("1", "2"))
        assert first == second


# --- what the shipped recipe writes --------------------------------------------------------------


def test_words_of_the_plays_are_counted():
    """The last word of a text may be cut, and does not count; capitals do not matter."""
    assert samples.words_of_the_plays(["Put out the lightt, and", "I qwx, thou l"]) == 5 / 7


def test_samples_do_not_depend_on_when_they_are_written():
    """The same model writes the same texts, as many and as long as the record says."""
    model, tokenizer = load_pretrained()
    first, again = (samples.write(model, tokenizer) for _ in range(2))
    assert first == again
    assert len(first) == samples.TEXTS == len(set(first))


def test_samples_are_of_the_recorded_run():
    """The steps made again have the losses of the shipped run, and the script's settings."""
    recorded = [row["training_loss"] for row in read_table("shakespeare", ROOT / "data")]
    rows = read_table("samples")
    assert tuple(row["step"] for row in rows) == samples.STEPS
    for row in rows[1:]:
        last = recorded[row["step"] - samples.AVERAGED : row["step"]]
        assert abs(row["loss"] - np.mean(last)) < 1e-3
    assert read_about("samples")["settings"] == samples.SETTINGS


# --- the committed logs --------------------------------------------------------------------------


def log_faults(directory):
    """Find tables without a record, records without a table, and logs of other settings."""
    tables, records = ({p.stem for p in directory.glob(f"*.{e}")} for e in ("csv", "json"))
    faults = [f"{name}: a table or its record is missing" for name in sorted(tables ^ records)]
    for name in sorted(tables & records):
        about = read_about(name, directory)
        empty = {"command", "settings", "machine"} - {key for key, v in about.items() if v}
        faults += [f"{name}: no {key}" for key in sorted(empty)]
        faults += [] if empty else other_settings(name, about)
    return faults


def other_settings(name, about):
    """Say whether the record of an ablation's table is not of the script as it is now."""
    owner = next((a for a in ABLATIONS if name in tables_of(a)), None)
    if owner is None:
        return []
    present = json.loads(json.dumps(ablation_of(owner).to_dict()))
    faults = [] if about["settings"] == present else [f"{name}: made with other settings"]
    if about["command"] != f"python -m experiments.{owner}":
        faults.append(f"{name}: made by another command")
    return faults


def test_logs_have_their_records():
    """Every committed log says how it was made, and an ablation's was made as it is now."""
    assert log_faults(LOGS) == []


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_table_is_recorded(name):
    """Every table that an ablation promises is among the committed logs, whole."""
    if not (LOGS / f"{name}.csv").is_file():
        pytest.skip(f"not recorded yet: python -m experiments.{name}")
    for table, columns in tables_of(name).items():
        rows = read_table(table)
        assert list(rows[0]) == columns, table
        assert faulty_cells(table, rows) == []
    ablation = ablation_of(name)
    assert len(read_table(f"{name}_runs")) == len(ablation.variants) * len(ablation.plan.seeds)


def test_log_faults_are_found(tmp_path, capsys):
    """A log of a trial, of another plan, without a record or without a machine is found."""
    run(ablation_of("activation"), ["--quick", "--processes", "1", "--output", str(tmp_path)])
    assert log_faults(tmp_path) == [
        f"activation{ending}: made {what}"
        for ending in ("", "_curves", "_runs")
        for what in ("with other settings", "by another command")
    ]
    for path in tmp_path.glob("*.json"):
        about = json.loads(path.read_text("utf-8"))
        about["command"] = "python -m experiments.activation"
        about["settings"] = ablation_of("activation").to_dict()
        path.write_text(json.dumps(about), "utf-8")
    assert log_faults(tmp_path) == []
    (tmp_path / "activation_runs.json").unlink()
    about.pop("machine")
    (tmp_path / "activation.json").write_text(json.dumps(about), "utf-8")
    shutil.copy(tmp_path / "activation.csv", tmp_path / "another.csv")
    assert log_faults(tmp_path) == [
        "activation_runs: a table or its record is missing",
        "another: a table or its record is missing",
        "activation: no machine",
    ]


def test_the_shipped_model_is_what_was_measured():
    """The ablations that measure the shipped model record which one it was."""
    hashes = {name: ablation_of(name).settings.get("checkpoint") for name in ABLATIONS}
    assert {name for name, value in hashes.items() if value} == {"positions", "attention_scale"}
    assert hashes["positions"] == hashes["attention_scale"]
    assert load_pretrained()[0].config.positional_encoding == "sinusoidal"


# --- the guide -----------------------------------------------------------------------------------


def test_guide_names_every_ablation_and_its_tables():
    """The guide's table has a row for each ablation, with its command and its logs."""
    guide = (ROOT / "experiments" / "README.md").read_text("utf-8")
    rows = [line for line in guide.splitlines() if line.startswith("| [`")]
    for name in ABLATIONS:
        row = next(line for line in rows if f"`{name}.py`" in line)
        assert f"`python -m experiments.{name}`" in row
        assert set(tables_of(name)) == {
            cell for cell in row.replace("`", " ").split() if cell.startswith(name)
        } - {f"{name}.py"}


def test_positional_encoding_is_the_packages():
    """The disturbances act on the package's own layer, so that they measure it."""
    assert type(small_model().positional_encoding) is PositionalEncoding
