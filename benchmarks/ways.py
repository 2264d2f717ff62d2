"""What each way of going faster gives a training step: the step as it is, and without one of them.

The default model, 32 x 128 tokens; all take the same step, but for rounding.
"""

from benchmarks.training import losses_agree
from benchmarks.turns import OURS, Case, Side

WORKS = "benchmarks.works.training"
SHAPE = {"width": 128, "batch_size": 32, "sequence_length": 128, "steps": 3, "workers": 2}

CASES = (
    Case(
        name="a step as `train_pretrain` takes it",
        amount=3 * 4096,
        unit="tokens",
        sides=(
            Side(OURS, WORKS, SHAPE),
            Side("one thread", WORKS, SHAPE | {"workers": 1}),
            Side("freed memory given back", WORKS, SHAPE | {"keep_memory": False}),
            Side("pieces of 16 sequences, not 4", WORKS, SHAPE | {"piece_size": 16}),
        ),
        threads=2,
        agree=losses_agree,
        about=SHAPE,
    ),
)
