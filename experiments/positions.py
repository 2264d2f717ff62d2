"""What do positions do? `python -m experiments.positions`, about 5 minutes.

Question: what does a model lose without positions or with wrong ones, and what happens past the
longest sequence it was trained on?

Varied: what is added to the embeddings.
"true": sinusoids, as in the package; "learned": a table with a row a place; "shuffled once": the
sinusoids' rows in one other order, the same for all sequences and for good; "shuffled every time":
in another order for each sequence; "frozen": the row of the first place everywhere; "absent":
nothing.
A row that is shuffled once still names its place, but neighbours no longer look alike; the last
three say nothing of the place, and only the causal mask is left to tell order.

Fixed: all else, see `Plan`; 500 steps at a peak of 0.003, three seeds.
Except for the learned table all kinds start from the same weights; all read the same batches.

Measured: the validation loss and the curve of models trained that way; the validation loss of the
shipped model, trained with true positions, when they are disturbed afterwards
(`positions_checkpoint.csv`); and its loss by place in windows four times as long as its context,
over all validation plays (`positions_beyond.csv`).
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from experiments.small import (
    Ablation,
    Plan,
    Tables,
    adapt,
    checkpoint_hash,
    grid,
    read_text,
    run,
)
from experiments.tables import Row
from experiments.variants import use_positions
from literategpt.model import GPTModel, cross_entropy_loss
from literategpt.pretrained import load_pretrained
from literategpt.runs import encode
from literategpt.training import evaluate
from literategpt.types import Array

DISTURBED = ["true", "shuffled once", "shuffled every time", "frozen", "absent"]
TIMES_LONGER = 4
BIN = 64
"""Places that share a row of the table."""


def change(model: GPTModel, variant: Row) -> GPTModel:
    """Disturb the positions as the variant says."""
    learned = variant["positions"] == "learned"
    return model if learned else use_positions(model, variant["positions"])


def choose_encoding(plan: Plan, variant: Row) -> Plan:
    """Ask for a learned table where the variant has one."""
    kind = "learned" if variant["positions"] == "learned" else "sinusoidal"
    return replace(adapt(plan, variant), positional_encoding=kind)


def disturb_checkpoint(plan: Plan) -> list[Row]:
    """Measure the shipped model's validation loss with each kind of positions."""
    rows = []
    for positions in DISTURBED:
        model, tokenizer = load_pretrained()
        tokens = encode(tokenizer, read_text(plan.text)[1][: plan.validation_characters])
        loss = evaluate(use_positions(model, positions), tokens)
        rows.append({"positions": positions, "validation_loss": loss})
    return rows


def lengthen(model: GPTModel, length: int) -> GPTModel:
    """Make a model with a longer table of sinusoids and the same parameters."""
    config = replace(model.config, max_sequence_length=length)
    longer = GPTModel(config, rng=np.random.default_rng(0))
    for name, array in longer.named_parameters().items():
        array[...] = model.named_parameters()[name]
    return longer


def windows(tokens: Array, length: int) -> Iterator[tuple[Array, Array]]:
    """Cut a text into full windows that follow each other, each (1, T) inputs and targets."""
    for start in range(0, len(tokens) - length, length):
        window = tokens[None, start : start + length + 1]
        yield window[:, :-1], window[:, 1:]


def loss_by_place(model: GPTModel, tokens: Array, length: int) -> list[float]:
    """Average the loss over all windows, for each bin of places."""
    losses = []
    for inputs, targets in windows(tokens, length):
        logits = model(inputs)
        parts = [slice(start, start + BIN) for start in range(0, length, BIN)]
        losses.append([cross_entropy_loss(logits[:, p], targets[:, p])[0] for p in parts])
    return [float(loss) for loss in np.mean(losses, axis=0)]


def go_beyond(plan: Plan) -> list[Row]:
    """Measure the shipped model's loss by place, within its context and past it."""
    model, tokenizer = load_pretrained()
    context = model.config.max_sequence_length
    length = TIMES_LONGER * context
    tokens = encode(tokenizer, read_text(plan.text)[1])
    losses = loss_by_place(lengthen(model, length), tokens, length)
    return [
        {
            "first_position": BIN * number,
            "last_position": BIN * (number + 1) - 1,
            "trained": "yes" if BIN * number < context else "no",
            "windows": (len(tokens) - 1) // length,
            "validation_loss": loss,
        }
        for number, loss in enumerate(losses)
    ]


def measure(ablation: Ablation, tables: Tables) -> Tables:
    """Make the tables of the shipped model."""
    plan = ablation.plan
    return {"_checkpoint": disturb_checkpoint(plan), "_beyond": go_beyond(plan)}


ABLATION = Ablation(
    name="positions",
    plan=Plan(),
    variants=grid(positions=["true", "learned", *DISTURBED[1:]]),
    change=change,
    adapt=choose_encoding,
    measure=measure,
    settings={"checkpoint": checkpoint_hash(), "times_longer": TIMES_LONGER},
)

if __name__ == "__main__":
    run(ABLATION)
