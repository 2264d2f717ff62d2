"""Writing 200 tokens beside PyTorch: the shipped model, greedy, with a KV cache.

LiterateGPT writes with the plain model and with the folded one.
The peers hold the same weights: `transformers` in its GPT-2, through `generate`, and a plain loop
in PyTorch with fused attention and a cache that is made once.
All sides return the tokens of the first sequence; where these differ, nothing was compared.
"""

from benchmarks.turns import KEEP_FREED_MEMORY, OURS, Case, Record, Side

COUNT = 200
FOLDED = "LiterateGPT folded"
LOOP, TRANSFORMERS = "PyTorch loop", "transformers"
WORKS = "benchmarks.works.generation"


def tokens_agree(results: Record) -> bool:
    """Tell whether all sides wrote the same tokens."""
    return len({tuple(tokens) for tokens in results.values()}) == 1


def case(batch_size: int, threads: int) -> Case:
    """Describe a turn: so many sequences at once, with so many threads for the peers' products."""
    ours = {"batch_size": batch_size, "count": COUNT}
    theirs = ours | {"threads": threads}
    sequences = "1 sequence" if batch_size == 1 else f"{batch_size} sequences"
    return Case(
        name=f"{sequences}, {threads} thread{'s' if threads > 1 else ''}",
        amount=batch_size * COUNT,
        unit="tokens",
        sides=(
            Side(OURS, WORKS, ours),
            Side(FOLDED, WORKS, ours | {"folded": True}),
            Side(LOOP, f"{WORKS}_torch", theirs, needs=("torch",)),
            Side(TRANSFORMERS, f"{WORKS}_transformers", theirs, needs=("torch", "transformers")),
        ),
        threads=threads,
        product_threads=threads,
        environment=KEEP_FREED_MEMORY,
        agree=tokens_agree,
        about=ours,
    )


CASES = (case(1, 1), case(1, 2), case(16, 1), case(16, 2))
