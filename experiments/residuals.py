"""What do the bypasses do? `python -m experiments.residuals`, about 6 minutes.

Question: does a stack of blocks learn without residual connections, and how much of the gradient
reaches its first block?

Varied: the residual connections (on, off) and the number of blocks (2, 4, 8, 16).
Without them each sub-layer's result takes the place of its input; the norms stay where they are.

Fixed: all else, see `Plan`; 300 steps at a peak of 0.003, three seeds.
Both kinds start from the same weights and read the same batches.

Measured: the validation loss, the curve, and, before and after training, the length of the loss's
gradient with respect to the stream that enters the last block and the first, for the first windows
of the training text.
"""

from experiments.small import (
    Ablation,
    Data,
    Plan,
    first_batch,
    gradients_by_block,
    grid,
    run,
)
from experiments.tables import Row
from experiments.variants import remove_residuals
from literategpt.model import GPTModel


def change(model: GPTModel, variant: Row) -> GPTModel:
    """Take the bypasses out where the variant has none."""
    if variant["residuals"] == "off":
        remove_residuals(model)
    return model


def look(model: GPTModel, plan: Plan, data: Data) -> Row:
    """Measure the gradient at both ends of the stack."""
    stream, _ = gradients_by_block(model, *first_batch(plan, data.training))
    return {"gradient_last_block": stream[-1], "gradient_first_block": stream[0]}


ABLATION = Ablation(
    name="residuals",
    plan=Plan(steps=300, curve_every=10),
    variants=grid(num_layers=[2, 4, 8, 16], residuals=["on", "off"]),
    change=change,
    look=look,
)

if __name__ == "__main__":
    run(ABLATION)
