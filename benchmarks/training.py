"""A training step beside PyTorch's: the default model, then wider ones and longer texts.

A step is forward, backward, clipping and AdamW, in float32, on 4,096 tokens.
LiterateGPT works as `train_pretrain` does: two threads over pieces of four sequences.
PyTorch has two threads, its fused attention and its fused AdamW, and runs eagerly or compiled.
First both libraries multiply matrices of 1,024 x 1,024 with two threads and do nothing else, which
says what the machine can do at most, and how much of a ratio comes from the library.
All sides report the loss of every step; where these differ, nothing was compared.
"""

from typing import Any

from benchmarks.turns import KEEP_FREED_MEMORY, OURS, Case, Record, Side

EAGER = "PyTorch eager"
TOKENS, THREADS = 4096, 2
LOSS_TOLERANCE = 5e-6
"""How far the losses of a step may differ, relatively; rounding stays below 1e-6."""

PEAK = "matrix products of 1,024 x 1,024"


def step_flops(width: int, sequence_length: int) -> float:
    """Count the operations of the matrix products of a step: a third forward, two thirds back."""
    layers, vocabulary_size = 4, 2000
    in_blocks = layers * (24 * width**2 + 4 * sequence_length * width)
    return 3.0 * TOKENS * (in_blocks + 2 * vocabulary_size * width)


def losses_agree(results: Record) -> bool:
    """Tell whether the losses of a round are the same but for rounding."""
    return all(
        abs(a - b) <= LOSS_TOLERANCE * abs(b)
        for theirs in results.values()
        for a, b in zip(results[OURS], theirs, strict=True)
    )


def case(width: int, sequence_length: int, steps: int) -> Case:
    """Describe a turn of some steps at one shape."""
    shape: dict[str, Any] = {
        "width": width,
        "batch_size": TOKENS // sequence_length,
        "sequence_length": sequence_length,
        "steps": steps,
        "workers": THREADS,
    }
    torch = "benchmarks.works.training_torch"
    sides = (
        Side(OURS, "benchmarks.works.training", shape),
        Side(EAGER, torch, shape, needs=("torch",)),
        Side("PyTorch compiled", torch, shape | {"compiled": True}, needs=("torch",)),
    )
    return Case(
        name=f"width {width}, {shape['batch_size']} x {sequence_length} tokens",
        amount=steps * TOKENS,
        unit="tokens",
        sides=sides,
        threads=THREADS,
        environment=KEEP_FREED_MEMORY,
        agree=losses_agree,
        about=shape | {"flops": steps * step_flops(width, sequence_length)},
    )


def peak() -> Case:
    """Describe a turn of matrix products alone."""
    about = {"size": 1024, "products": 20, "workers": THREADS}
    works = "benchmarks.works.peak"
    return Case(
        name=PEAK,
        amount=2.0 * about["size"] ** 3 * about["products"] * THREADS,
        unit="FLOPs",
        sides=(
            Side(OURS, works, about),
            Side(EAGER, f"{works}_torch", about, needs=("torch",)),
        ),
        threads=THREADS,
        about=about,
    )


CASES = (
    peak(),
    case(128, 128, steps=5),
    case(256, 128, steps=2),
    case(512, 128, steps=1),
    case(128, 256, steps=3),
    case(128, 512, steps=2),
)
