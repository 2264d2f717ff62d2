"""Where should the norm stand? `python -m experiments.normalization`, about 11 minutes.

Question: does a block learn better with its norms before the sub-layers (pre-LN) or behind the
additions (post-LN), and does post-LN need a warm-up, as is often said?

Varied: the place of the norms, the number of blocks (4, 8, 16), and the warm-up (none, or 50 steps
up to the peak).
Post-LN has no final norm, since its last block ends with one.

Fixed: all else, see `Plan`; 300 steps at a peak of 0.003, three seeds.
Both places start from the same weights and read the same batches.

Measured: the validation loss, the curve, and the gradient at every depth before training.
The gradient depends on how large the initial weights are, so it is measured with the package's
standard deviation of 0.02 and with 1 / sqrt(inputs), at which a product keeps the size of what
passes; only the first of them is trained.
"""

import math
import statistics

from experiments.small import (
    Ablation,
    Plan,
    Tables,
    first_batch,
    gradients_by_block,
    grid,
    load_data,
    new_model,
    run,
)
from experiments.tables import Row
from experiments.variants import use_post_norm
from literategpt.layers import INITIAL_STD
from literategpt.model import GPTModel


def change(model: GPTModel, variant: Row) -> GPTModel:
    """Move the norms where the variant has them."""
    if variant["normalization"] == "post":
        use_post_norm(model)
    return model


def enlarge_weights(model: GPTModel) -> None:
    """Give the matrices of all blocks a standard deviation of 1 / sqrt(inputs)."""
    for block in model.blocks:
        for weight in block.named_parameters().values():
            if weight.ndim == 2:
                weight *= 1.0 / (INITIAL_STD * math.sqrt(len(weight)))


def measure_gradients(ablation: Ablation, variant: Row, large: bool) -> list[Row]:
    """Measure the gradient in each block before training, averaged over the seeds."""
    plan = ablation.adapt(ablation.plan, variant)
    batch = first_batch(plan, load_data(plan).training)
    measured = []
    for seed in plan.seeds:
        model = new_model(ablation, variant, seed)
        if large:
            enlarge_weights(model)
        measured.append(gradients_by_block(model, *batch))
    key = {
        "num_layers": variant["num_layers"],
        "normalization": variant["normalization"],
        "initial_weights": f"std {'1/sqrt(inputs)' if large else INITIAL_STD}",
    }
    return [
        {
            **key,
            "block": block,
            "stream_gradient": statistics.fmean(stream[block] for stream, _ in measured),
            "parameter_gradient": statistics.fmean(own[block] for _, own in measured),
        }
        for block in range(plan.num_layers)
    ]


def measure(ablation: Ablation, tables: Tables) -> Tables:
    """Make the table of gradients; a warm-up has no part in it."""
    newborn = [variant for variant in ablation.variants if variant["warmup_steps"] == 0]
    measured = [measure_gradients(ablation, v, large) for v in newborn for large in (False, True)]
    return {"_gradients": [row for rows in measured for row in rows]}


ABLATION = Ablation(
    name="normalization",
    plan=Plan(steps=300, curve_every=10),
    variants=grid(num_layers=[4, 8, 16], normalization=["pre", "post"], warmup_steps=[0, 50]),
    change=change,
    measure=measure,
)

if __name__ == "__main__":
    run(ABLATION)
