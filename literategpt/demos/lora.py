"""The demo of `literategpt.lora`: one first step by hand, then a model adapted and restored."""

import numpy as np

from literategpt.demos.narration import heading, number, say, show, table, title, yes
from literategpt.layers import Linear
from literategpt.lora import (
    LoRALinear,
    apply_lora,
    merge_lora,
    remove_lora,
    unmerge_lora,
)
from literategpt.model import GPTConfig, GPTModel, cross_entropy_loss
from literategpt.optimizer import AdamW
from literategpt.types import Array

VOCABULARY_SIZE, PROMPT = 10, 5
TARGETS = ("query", "key", "value", "output", "expand", "contract")


def make_layer() -> LoRALinear:
    """Make a layer with a correction of rank one and whole numbers."""
    rng = np.random.default_rng(0)
    linear = Linear(2, 2, rng=rng, dtype="float64")
    linear.weight[...] = [[3.0, 0.0], [1.0, -1.0]]
    layer = LoRALinear(linear, rank=1, alpha=2, rng=rng)
    layer.lora_a[...] = 1.0
    return layer


def copies(arrays: dict[str, Array]) -> dict[str, Array]:
    """Copy every array."""
    return {name: array.copy() for name, array in arrays.items()}


def same_bits(first: dict[str, Array], second: dict[str, Array]) -> bool:
    """Tell whether two sets of arrays hold the same numbers, to the bit."""
    return all((array == second[name]).all() for name, array in first.items())


def section_start() -> None:
    """Show that a correction starts at nothing."""
    heading("A correction that starts at nothing")
    layer = make_layer()
    x = np.array([[1.0, 2.0]])
    say(f"""The weight W stays as it is. Beside it stand two narrow matrices, A and B, and the layer
        adds `(x @ A) @ B`, times alpha / rank, here {number(layer.alpha)} / {number(layer.rank)}.
        B starts at zero, so at first nothing is added.""")
    show("x", x)
    show("weight W, frozen", layer.weight)
    show("A", layer.lora_a)
    show("B", layer.lora_b)
    show("x @ W", x @ layer.weight)
    show("output with LoRA", layer(x))
    show("equal to the bit", yes((layer(x) == x @ layer.weight).all()))


def section_first_step() -> None:
    """Take the first step by hand."""
    heading("The first step, by hand")
    layer = make_layer()
    x, upstream, rate = np.array([[1.0, 2.0]]), np.array([[1.0, -1.0]]), 0.1
    _, saved = layer.forward(x)
    _, gradients = layer.backward(upstream, saved)
    say(f"""The slopes g come in. A's gradient passes through B, and B is zero: A cannot move yet.
        B's gradient passes through `x @ A`, which is {number((x @ layer.lora_a)[0, 0])}; times
        {number(layer.factor)} for alpha / rank, times g.""")
    show("upstream g", upstream)
    show("gradient of A", gradients["lora_a"])
    show("gradient of B", gradients["lora_b"])
    show("gradient of W", gradients.get("weight", "none"))
    for name, array in layer.trainable_parameters().items():
        array -= rate * gradients[name]
    say(f"""One step of gradient descent with rate {number(rate)} changes B alone, and through it
        the whole weight by alpha / rank times A @ B. In the next step A moves too.""")
    show("B after the step", layer.lora_b)
    show("change of the weight", layer.factor * layer.lora_a @ layer.lora_b)
    show("output with LoRA", layer(x))
    _, saved = layer.forward(x)
    show("A's gradient, same g", layer.backward(upstream, saved)[1]["lora_a"])


def section_both_zero() -> None:
    """Show why A must not be zero too."""
    heading("Were A zero as well")
    layer = make_layer()
    layer.lora_a[...] = 0.0
    _, saved = layer.forward(np.array([[1.0, 2.0]]))
    _, gradients = layer.backward(np.array([[1.0, -1.0]]), saved)
    say("""With both at zero each waits for the other, and neither ever moves. So A is random and B
        is zero.""")
    show("gradient of A", gradients["lora_a"])
    show("gradient of B", gradients["lora_b"])


def count_trained(targets: tuple[str, ...], rank: int) -> int:
    """Count what LoRA trains on a default model."""
    model = GPTModel(GPTConfig(), rng=np.random.default_rng(0))
    apply_lora(model, rank, targets=targets, rng=np.random.default_rng(1))
    return sum(array.size for array in model.trainable_parameters().values())


def section_counts() -> None:
    """Count what is trained and what is frozen."""
    heading("How much is trained")
    choices: list[tuple[tuple[str, ...], int]] = [
        (("query", "value"), 4),
        (("query", "key", "value", "output"), 4),
        (("query", "value"), 64),
    ]
    model = GPTModel(GPTConfig(), rng=np.random.default_rng(0))
    total = model.num_parameters()
    counts = [count_trained(targets, rank) for targets, rank in choices]
    say(f"""The default model has {number(total)} parameters. LoRA freezes them and trains a pair of
        matrices beside each target layer. How much that saves depends on the targets and on the
        rank.""")
    table(
        {
            "targets": [", ".join(targets) for targets, _ in choices],
            "rank": [rank for _, rank in choices],
            "trained": counts,
            "percent": [100 * count / total for count in counts],
            "times fewer": [total // count for count in counts],
        },
        digits=2,
    )
    weight, rank = model.blocks[0].attention.query.weight, choices[-1][1]
    say(f"""One weight of {len(weight)} by {len(weight)} has {number(weight.size)} entries. At rank
        {number(rank)} its pair of matrices has {number(rank * sum(weight.shape))} too: nothing is
        saved on this weight, and what is saved is that the other layers have no pair.""")
    moments = 2 * weight.itemsize
    say(f"""AdamW keeps two numbers of {number(weight.itemsize)} bytes for each one it trains:
        {number(moments * total)} bytes for the whole model, {number(moments * counts[0])} for the
        first choice.""")


def counting(direction: int) -> Array:
    """Make sequences that count round and round, one from each start."""
    starts = np.arange(VOCABULARY_SIZE)[:, None]
    return (starts + direction * np.arange(9)) % VOCABULARY_SIZE


def train(model: GPTModel, sequences: Array, steps: int) -> list[float]:
    """Train what is not frozen, and return the loss before each step."""
    optimizer = AdamW(model.trainable_parameters(), learning_rate=0.02, weight_decay=0.0)
    losses = []
    for _ in range(steps):
        logits, saved = model.forward(sequences[:, :-1])
        loss, grad_logits = cross_entropy_loss(logits, sequences[:, 1:])
        optimizer.step(model.backward(grad_logits, saved))
        losses.append(loss)
    return losses


def trained_model() -> GPTModel:
    """Train a small float64 model to count upwards."""
    config = GPTConfig(
        vocabulary_size=VOCABULARY_SIZE, max_sequence_length=8, embedding_dim=16, num_heads=2,
        num_layers=1, feed_forward_dim=32, dtype="float64",
    )  # fmt: skip
    model = GPTModel(config, rng=np.random.default_rng(0))
    train(model, counting(+1), steps=100)
    return model


def continued(model: GPTModel) -> Array:
    """Let the model count on, greedily."""
    row: Array = model.generate(np.array([[PROMPT]]), 4, temperature=0)[0]
    return row


def section_training() -> None:
    """Teach a model that counts upwards to count downwards."""
    heading("A model learns to count downwards, and its base stays")
    model = trained_model()
    base = copies(model.named_parameters())
    upwards = counting(+1)[:, :-1]
    plain = model(upwards)
    config = model.config
    say(f"""A small model, one block with {number(config.embedding_dim)} features and
        {number(config.feed_forward_dim)} hidden units, was trained to count upwards, round and
        round over its {number(VOCABULARY_SIZE)} tokens. With LoRA on it, before the first step, it
        still computes the same.""")
    show(f"the base writes, from {PROMPT}", continued(model))
    rank = 4
    apply_lora(model, rank, targets=TARGETS, rng=np.random.default_rng(1))
    show("same logits, to the bit", yes((model(upwards) == plain).all()))
    losses = train(model, counting(-1), steps=101)
    trained = sum(array.size for array in model.trainable_parameters().values())
    say(f"""Now only the corrections are trained, of rank {number(rank)} on all
        {number(len(TARGETS))} linear layers: {number(trained)} numbers beside
        {number(sum(array.size for array in base.values()))} frozen ones, on sequences that count
        downwards.""")
    shown = range(0, len(losses), 25)
    table({"step": shown, "loss": [losses[step] for step in shown]}, digits=2)
    show("the adapted model writes", continued(model))
    show("base, same bits as before", yes(same_bits(base, model.named_parameters())))


def refuses_to_merge(model: GPTModel) -> bool:
    """Try to merge once more, and tell whether the package refuses."""
    try:
        merge_lora(model)
    except ValueError:
        return True
    return False


def section_merge() -> None:
    """Merge the corrections, take them out again, and take them off."""
    heading("Merge, unmerge, remove")
    model, upwards = trained_model(), counting(+1)[:, :-1]
    base, plain = copies(model.named_parameters()), model(upwards)
    apply_lora(model, targets=TARGETS, rng=np.random.default_rng(1))
    train(model, counting(-1), steps=100)
    adapted = model(upwards)
    say("""Merged, the correction is added to the weight once and costs no time afterwards. The base
        is kept aside, so that it comes back exactly: subtracting the correction again would leave
        rounding errors.""")
    merge_lora(model)
    show("merged writes", continued(model))
    show("merging twice is refused", yes(refuses_to_merge(model)))
    unmerge_lora(model)
    show("unmerged, to the bit", yes((model(upwards) == adapted).all()))
    show("base, to the bit", yes(same_bits(base, model.named_parameters())))
    say("Removed, the corrections are gone, and everything can be trained again.")
    remove_lora(model)
    show("the base writes again", continued(model))
    show("as before, to the bit", yes((model(upwards) == plain).all()))
    show("all parameters train", yes(model.trainable_parameters().keys() == base.keys()))


def main() -> None:
    """Adapt a layer by hand, then a model."""
    title("LoRA: a small correction beside frozen weights")
    section_start()
    section_first_step()
    section_both_zero()
    section_counts()
    section_training()
    section_merge()
