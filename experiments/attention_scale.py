"""Why divide by the root of D? `python -m experiments.attention_scale`, about 3 minutes.

Question: how large do scores get without the division by sqrt(D), how often does one weight take
all, and does a model learn worse?

Varied: the division (on, off), and the initial weights of queries and keys: the package's, with a
standard deviation of 0.02, or 1 / sqrt(C), at which queries and keys have unit variance.

Fixed: all else, see `Plan`; 500 steps at a peak of 0.003, three seeds.
Both kinds start from the same weights and read the same batches.

Measured, before and after training: the standard deviation of the scores that softmax gets, divided
or not; the share of rows in which one weight is above 0.99, the first row of a sequence
left out, which has a single weight of 1; and the length of the loss's gradient with respect to all
weights of queries and keys.
Then the validation loss and the curve.
The same for the default model, newborn and as shipped, whose division is only taken away
afterwards (`attention_scale_default.csv`), and for random vectors of unit variance, eight at a
time, without a mask (`attention_scale_random.csv`).
"""

import math

import numpy as np

from experiments.small import (
    Ablation,
    Data,
    Plan,
    Tables,
    checkpoint_hash,
    first_batch,
    grid,
    read_text,
    run,
)
from experiments.tables import Row
from experiments.variants import remove_attention_scale
from literategpt.attention import create_causal_mask, scaled_dot_product_attention
from literategpt.layers import INITIAL_STD
from literategpt.model import GPTModel, cross_entropy_loss
from literategpt.pretrained import load_pretrained
from literategpt.runs import encode
from literategpt.training import evaluate
from literategpt.types import Array

PACKAGE = f"std {INITIAL_STD}"
"""The package's initial weights."""

SHARP = 0.99
"""A row with a weight above it looks at one place only."""

ROWS = 16_000
"""Rows of random attention."""

TIME = 8
"""Vectors that attend to each other in it."""


def unit_variance(model: GPTModel) -> None:
    """Enlarge the weights of queries and keys: a normalized vector then gives unit variance."""
    for block in model.blocks:
        for weight in (block.attention.query.weight, block.attention.key.weight):
            weight *= 1.0 / (INITIAL_STD * math.sqrt(len(weight)))


def change(model: GPTModel, variant: Row) -> GPTModel:
    """Scale the attention and its initial weights as the variant says."""
    if variant["scale"] == "off":
        remove_attention_scale(model)
    if variant["initial_weights"] == "unit variance":
        unit_variance(model)
    return model


def share_of_sharp_rows(weights: Array) -> float:
    """Count the rows, (..., T, S) -> a share, in which one weight is above `SHARP`."""
    return float(np.mean(weights.max(axis=-1) > SHARP))


def describe_attention(model: GPTModel, inputs: Array, targets: Array) -> Row:
    """Measure scores, weights and gradients of all layers on a batch."""
    logits, saved = model.forward(inputs)
    gradients = model.backward(cross_entropy_loss(logits, targets)[1], saved)
    maps = [block.attention for block in saved.blocks]
    mask = create_causal_mask(inputs.shape[1])
    products = np.stack([m.query @ np.swapaxes(m.key, -1, -2) for m in maps])[..., mask]
    scores = products / math.sqrt(maps[0].query.shape[-1])
    names = (".query.weight", ".key.weight")
    lengths = [float(np.linalg.norm(g)) for name, g in gradients.items() if name.endswith(names)]
    return {
        "score_std": float(scores.std()),
        "sharp_rows": share_of_sharp_rows(np.stack([m.weights[..., 1:, :] for m in maps])),
        "query_key_gradient": math.hypot(*lengths),
    }


def look(model: GPTModel, plan: Plan, data: Data) -> Row:
    """Measure the attention on the first windows of the training text."""
    return describe_attention(model, *first_batch(plan, data.training))


def describe_default(state: str, scale: str, tokens: Array) -> Row:
    """Measure the attention of the default model, newborn or as shipped, with or without scale."""
    model, _ = load_pretrained()
    if state != "shipped":
        model = GPTModel(model.config, rng=np.random.default_rng(0))
    model = change(model, {"scale": scale, "initial_weights": state})
    length = model.config.max_sequence_length
    size = min(4, (len(tokens) - 1) // length) * length
    batch = tokens[:size].reshape(-1, length), tokens[1 : size + 1].reshape(-1, length)
    return {
        "initial_weights": state,
        "scale": scale,
        **describe_attention(model, *batch),
        "validation_loss": evaluate(model, tokens),
    }


def measure_default(plan: Plan) -> list[Row]:
    """Measure the default model in each state, with and without the scale."""
    text = read_text(plan.text)[1][: plan.validation_characters]
    tokens = encode(load_pretrained()[1], text)
    states = (PACKAGE, "unit variance", "shipped")
    return [describe_default(s, scale, tokens) for s in states for scale in ("on", "off")]


def measure_random(rng: np.random.Generator) -> list[Row]:
    """Let random vectors of unit variance attend to each other, at several sizes of a head."""
    rows = []
    for head_dim in (8, 16, 32, 64, 128):
        query, key = rng.normal(size=(2, ROWS // TIME, TIME, head_dim))
        for scale in ("on", "off"):
            # Without the scale, multiply by what the scores will be divided by.
            factor = 1.0 if scale == "on" else math.sqrt(head_dim)
            _, weights = scaled_dot_product_attention(factor * query, key, key)
            rows.append(
                {
                    "head_dim": head_dim,
                    "scale": scale,
                    "raw_score_std": float((query @ np.swapaxes(key, -1, -2)).std()),
                    "sharp_rows": share_of_sharp_rows(weights),
                }
            )
    return rows


def measure(ablation: Ablation, tables: Tables) -> Tables:
    """Make the tables of the default model and of random vectors."""
    random = measure_random(np.random.default_rng(0))
    return {"_default": measure_default(ablation.plan), "_random": random}


ABLATION = Ablation(
    name="attention_scale",
    plan=Plan(),
    variants=grid(initial_weights=[PACKAGE, "unit variance"], scale=["on", "off"]),
    change=change,
    look=look,
    measure=measure,
    settings={"checkpoint": checkpoint_hash(), "random_rows": ROWS, "random_time": TIME},
)

if __name__ == "__main__":
    run(ABLATION)
