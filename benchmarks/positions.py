"""What a token costs at its position: with a KV cache, without one, and in PyTorch's plain loop.

One sequence, greedy, the shipped model with room for 512 tokens; one thread.
Each turn writes all tokens, and returns the seconds that each took.
"""

import statistics

from benchmarks.generation import FOLDED, LOOP, WORKS
from benchmarks.turns import KEEP_FREED_MEMORY, OURS, Case, Record, Side

LONGEST, COUNT = 512, 480
WITHOUT = "LiterateGPT without cache"

STRETCH = 48
"""Tokens over which the cost is averaged."""


def cost_by_position(results: list[Record]) -> Record:
    """Return for each side the microseconds a token takes, stretch by stretch, at the median."""
    costs = {}
    for name in results[0]:
        rounds = [result[name] for result in results]
        typical = [statistics.median(at) for at in zip(*rounds, strict=True)]
        stretches = [typical[start : start + STRETCH] for start in range(0, COUNT, STRETCH)]
        costs[name] = [round(statistics.fmean(stretch) * 1e6, 1) for stretch in stretches]
    return costs


SETTINGS = {"longest": LONGEST, "count": COUNT, "each": True}
CASES = (
    Case(
        name=f"{COUNT} tokens, one by one",
        amount=COUNT,
        unit="tokens",
        sides=(
            Side(OURS, WORKS, SETTINGS),
            Side(FOLDED, WORKS, SETTINGS | {"folded": True}),
            Side(WITHOUT, WORKS, SETTINGS | {"use_cache": False}),
            Side(LOOP, f"{WORKS}_torch", SETTINGS, needs=("torch",)),
        ),
        environment=KEEP_FREED_MEMORY,
        keep=cost_by_position,
        about={"longest": LONGEST, "stretch": STRETCH},
    ),
)
