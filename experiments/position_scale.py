"""How loud should positions be? `python -m experiments.position_scale`, about 5 minutes.

Question: sinusoids have an amplitude of 1, a newborn model's embeddings are fifty times smaller;
what is lost when the positions are added as they are, and what when they are much softer?

Varied: `position_scale`, the factor in front of the sinusoids, from 0 (no positions) over 0.02
(the package's default, as loud as the embeddings) to 1 (the paper's sinusoids, not scaled).

Fixed: all else, see `Plan`; 500 steps at a peak of 0.003, three seeds.
All scales start from the same weights and read the same batches.

Measured: the validation loss and the curve; the mean length of the embeddings before and after
training beside that of the positions; and how many of its steps each scale needs to reach the
validation loss that the scale of 1 has at its end, on the mean curve of the seeds, read off on
straight lines between its points.
"""

import math
import statistics

import numpy as np

from experiments.small import Ablation, Data, Plan, Tables, grid, run
from experiments.tables import Row
from literategpt.model import GPTModel

STANDARD = 1.0
"""The scale that the others are compared with."""


def look(model: GPTModel, plan: Plan, data: Data) -> Row:
    """Measure how long embeddings and positions are, on average."""
    positions = model.positional_encoding
    return {
        "embedding_norm": float(np.linalg.norm(model.token_embedding.weight, axis=1).mean()),
        "position_norm": positions.scale * math.sqrt(positions.table.shape[1] / 2),
    }


def mean_curve(curves: list[Row], scale: float) -> list[tuple[int, float]]:
    """Average the validation losses of a scale over its seeds, point by point."""
    own = [point for point in curves if point["position_scale"] == scale]
    return [
        (step, statistics.fmean(p["validation_loss"] for p in own if p["step"] == step))
        for step in sorted({point["step"] for point in own})
    ]


def first_step_at(curve: list[tuple[int, float]], loss: float) -> float | None:
    """Find where a curve first comes down to a loss, on straight lines between its points.

    Returns:
        The step, or `None` where the curve stays above.

    Examples:
        >>> first_step_at([(10, 5.0), (20, 4.0), (30, 3.5)], 4.5)
        15.0
    """
    before: tuple[int, float] | None = None
    for step, height in curve:
        if height <= loss:
            if before is None or before[1] == height:
                return float(step)
            return before[0] + (step - before[0]) * (before[1] - loss) / (before[1] - height)
        before = step, height
    return None


def measure(ablation: Ablation, tables: Tables) -> Tables:
    """Say after which share of its steps each scale is where the standard scale ends."""
    loss = mean_curve(tables["_curves"], STANDARD)[-1][1]
    rows = []
    for variant in ablation.variants:
        step = first_step_at(mean_curve(tables["_curves"], variant["position_scale"]), loss)
        share = None if step is None else step / ablation.plan.steps
        rows.append({**variant, "loss_to_reach": loss, "steps": step, "share_of_steps": share})
    return {"_steps": rows}


ABLATION = Ablation(
    name="position_scale",
    plan=Plan(curve_every=50, curve_validation=True),
    variants=grid(position_scale=[0.0, 0.005, 0.02, 0.1, 0.3, STANDARD]),
    look=look,
    measure=measure,
)

if __name__ == "__main__":
    run(ABLATION)
