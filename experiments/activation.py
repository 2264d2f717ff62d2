"""Which bend? `python -m experiments.activation`, about 4 minutes.

Question: what does a feed-forward network lose with ReLU in place of GELU, and with no bend at
all, when its two layers are one?

Varied: what stands between the two layers of every feed-forward network (GELU, ReLU, nothing).

Fixed: all else, see `Plan`; 1,000 steps at a peak of 0.003, three seeds.
All kinds start from the same weights and read the same batches.

Measured: the validation loss and the curve.
"""

from experiments.small import Ablation, Plan, grid, run
from experiments.tables import Row
from experiments.variants import ACTIVATIONS, use_activation
from literategpt.model import GPTModel


def change(model: GPTModel, variant: Row) -> GPTModel:
    """Put the variant's bend into every block."""
    use_activation(model, variant["activation"])
    return model


ABLATION = Ablation(
    name="activation",
    plan=Plan(steps=1000, curve_every=25),
    variants=grid(activation=list(ACTIVATIONS)),
    change=change,
)

if __name__ == "__main__":
    run(ABLATION)
