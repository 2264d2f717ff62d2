"""The memory of a training step, beyond what the libraries take: by batch, and by piece.

Peak memory of the process over all its steps, less what it had before the model was made.
It holds the model, its gradients, both moments of AdamW, and all that backward needs.
LiterateGPT keeps freed memory for the next arrays, as `train_pretrain` does.
"""

from typing import Any

from benchmarks.training import THREADS, losses_agree
from benchmarks.turns import OURS, Case, Side


def case(batch_size: int, piece_size: int = 4, peers: bool = True) -> Case:
    """Describe one step at one size of batch and piece."""
    shape: dict[str, Any] = {
        "width": 128, "batch_size": batch_size, "sequence_length": 128, "steps": 1,
        "workers": THREADS,
    }  # fmt: skip
    ours = Side(OURS, "benchmarks.works.training", shape | {"piece_size": piece_size})
    torch = Side("PyTorch eager", "benchmarks.works.training_torch", shape, needs=("torch",))
    return Case(
        name=f"{batch_size} sequences in pieces of {piece_size}",
        amount=batch_size * 128,
        unit="tokens",
        sides=(ours, torch) if peers else (ours,),
        threads=THREADS,
        agree=losses_agree,
        about={"batch_size": batch_size, "piece_size": piece_size},
    )


CASES = (
    *(case(batch_size) for batch_size in (8, 16, 32, 64)),
    *(case(32, piece_size, peers=False) for piece_size in (1, 2, 8, 16)),
)
