"""What the shipped recipe writes along its way: `python -m experiments.samples`.

The log of the shipped run holds losses and no texts.
So its first 2,000 of 16,000 steps are made again, with the same settings and seed, and after some
of them the model writes fifty texts; that takes about ten minutes on two processors.
The first of the fifty is kept, and the share of their words that stand in the plays.
"""

import argparse
import statistics
from collections import deque
from collections.abc import Iterator
from itertools import islice

import numpy as np

from experiments.tables import Row, write_table
from experiments.words import WORD
from literategpt.corpus import prepare_corpus
from literategpt.model import GPTModel
from literategpt.pretrained import words_path
from literategpt.runs import default_workers
from literategpt.tokenizer import BPETokenizer
from literategpt.train_pretrain import parse, start
from literategpt.training import train

STEPS = (0, 100, 300, 1000, 2000)
AVERAGED = 50
PROMPT, TEXTS, TOKENS, TEMPERATURE, TOP_P, SEED = "\n", 50, 40, 0.8, 0.95, 0
SETTINGS = {
    "preset": "shipped", "steps": max(STEPS), "loss": f"mean of the last {AVERAGED} steps",
    "prompt": PROMPT, "texts": TEXTS, "tokens": TOKENS, "temperature": TEMPERATURE,
    "top_p": TOP_P, "seed": SEED,
}  # fmt: skip


def write(model: GPTModel, tokenizer: BPETokenizer) -> list[str]:
    """Let a model write on from a line break, many times and with the same random numbers."""
    prompt = np.array([tokenizer.encode(PROMPT)]).repeat(TEXTS, axis=0)
    rng = np.random.default_rng(SEED)
    written = model.generate(prompt, TOKENS, TEMPERATURE, top_p=TOP_P, rng=rng)
    return [tokenizer.decode(row[prompt.shape[1] :]) for row in written]


def words_of_the_plays(texts: list[str]) -> float:
    """Share of words that stand in the plays, but for the last of each text, which may be cut."""
    known = set(words_path().read_text(encoding="utf-8").split())
    words = [word for text in texts for word in WORD.findall(text.lower())[:-1]]
    return statistics.fmean(word in known for word in words)


def describe(step: int, loss: float | None, texts: list[str]) -> Row:
    """Make a row of the table: the first text, and what was counted over all."""
    return {
        "step": step, "loss": loss, "words_of_the_plays": words_of_the_plays(texts),
        "text": texts[0],
    }  # fmt: skip


def along_the_way() -> Iterator[Row]:
    """Train as the shipped model was, and let it write after some of the steps."""
    corpus = prepare_corpus()
    arguments = parse(["--preset", "shipped", "--workers", str(default_workers())])
    run, _ = start(arguments, corpus.train, corpus.validation, print)
    yield describe(0, None, write(run.model, run.tokenizer))
    reports = train(
        run.model, run.optimizer, run.loader, settings=run.settings, workers=run.workers
    )
    losses = deque[float](maxlen=AVERAGED)
    for report in islice(reports, max(STEPS)):
        losses.append(report.loss)
        if report.step + 1 in STEPS:
            mean = statistics.fmean(losses)
            yield describe(report.step + 1, mean, write(run.model, run.tokenizer))


def main() -> None:
    """Train, write, and keep what was written."""
    argparse.ArgumentParser(prog="python -m experiments.samples", description=__doc__).parse_args()
    rows = []
    for row in along_the_way():
        print(row, flush=True)
        rows.append(row)
    write_table("samples", rows, command="python -m experiments.samples", settings=SETTINGS)


if __name__ == "__main__":
    main()
