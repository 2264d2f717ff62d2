"""Does dropout help on a small text? `python -m experiments.dropout`, about 5 minutes.

Question: a model that reads a small text again and again learns it by heart; how much of that does
dropout prevent, and at what price?

Varied: the rate (0, 0.1, 0.2, 0.3).

Fixed: all else, see `Plan`; the model learns from the first 100,000 characters of the training
plays, 1,200 steps at a peak of 0.003, two seeds.
The tokenizer is that of the other ablations.
All rates start from the same weights and read the same batches.

Measured: the loss in training, with dropout on, and the validation loss, every 100 steps.
"""

from experiments.small import Ablation, Plan, grid, run

ABLATION = Ablation(
    name="dropout",
    plan=Plan(
        training_characters=100_000,
        steps=1200,
        curve_every=100,
        curve_validation=True,
        seeds=(0, 1),
    ),
    variants=grid(dropout=[0.0, 0.1, 0.2, 0.3]),
)

if __name__ == "__main__":
    run(ABLATION)
