"""Where the time of a training step goes, part by part: the default model, 32 x 128 tokens.

One thread, since Python's own profiler watches one.
Each part is the time inside some functions of the package; what is inside another part is taken
away from it.
"""

import cProfile
import pstats
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import literategpt
from benchmarks.turns import OURS, Case, Process, Record, Side
from benchmarks.works.training import train
from literategpt.layers import LayerNorm, Linear
from literategpt.optimizer import AdamW

PACKAGE = Path(literategpt.__file__).parent
STEPS = 3

PARTS: Final = {
    "linear layers of the blocks": (("Linear.forward", "Linear.backward"), ()),
    "scores and mixing": (
        ("scaled_dot_product_attention", "scaled_dot_product_attention_backward"),
        ("softmax", "softmax_backward"),
    ),
    "softmax of the scores": (("softmax", "softmax_backward"), ()),
    "splitting and joining heads": (("split_heads", "join_heads"), ()),
    "GELU": (("gelu_gate", "gelu", "gelu_backward"), ()),
    "LayerNorm": (("LayerNorm.forward", "LayerNorm.backward"), ()),
    "head": (("unembed", "unembed_backward"), ()),
    "loss": (("cross_entropy_loss",), ()),
    "tables of tokens and positions": (("embed", "embed_backward"), ()),
    "clipping and AdamW": (("clip_gradients", "AdamW.step"), ()),
}
"""The functions of each part, and those inside them that are another part's."""


def seconds_in(profiler: cProfile.Profile) -> dict[str, float]:
    """Return the seconds inside each function of the package, what it calls included."""
    places = {
        (method.__code__.co_filename, method.__code__.co_firstlineno): method.__qualname__
        for owner in (Linear, LayerNorm, AdamW)
        for method in vars(owner).values()
        if callable(method)
    }
    found: dict[str, float] = {}
    entries: dict[Any, Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    for (file, line, name), (_, _, _, cumulative, _) in entries.items():
        if Path(file).parent == PACKAGE:
            key = places.get((file, line), name)
            found[key] = found.get(key, 0.0) + cumulative
    return found


def prepare() -> Callable[[], Record]:
    """Make the turn: some steps under the profiler; return the seconds of a step and its parts."""
    steps = train(width=128, batch_size=32, sequence_length=128, workers=1)

    def work() -> Record:
        start = time.perf_counter()
        with cProfile.Profile() as profiler:
            for _ in range(STEPS):
                next(steps)
        total = time.perf_counter() - start
        inside = seconds_in(profiler)
        parts = {
            part: sum(inside[n] for n in names) - sum(inside[n] for n in without)
            for part, (names, without) in PARTS.items()
        }
        parts["the rest"] = total - sum(parts.values())
        return {part: seconds / STEPS for part, seconds in (parts | {"a step": total}).items()}

    return work


def measure(rounds: int) -> Record:
    """Profile some turns after a warm-up; return the median milliseconds of each part."""
    case = Case(name="profile", amount=STEPS, unit="steps", sides=())
    process = Process(Side(OURS, "benchmarks.profile"), case)
    turns = [process.turn()["result"] for _ in range(rounds + 1)][1:]
    process.end()
    parts = {name: statistics.median(t[name] for t in turns) for name in turns[0]}
    for name, seconds in parts.items():
        print(f"  {name:32} {seconds * 1000:6.1f} ms")
    return {"seconds": parts}
