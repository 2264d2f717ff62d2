"""What the shipped recipe writes along its way: `python -m experiments.samples`.

The log of the shipped run holds losses and no texts.
So its first 2,000 of 16,000 steps are made again, with the same settings and seed, and at some of
them the model writes; that takes about ten minutes on two processors.
"""

import argparse
import statistics
from typing import Any

import numpy as np

from experiments.tables import Row, write_table
from literategpt.corpus import prepare_corpus
from literategpt.model import GPTModel
from literategpt.runs import default_workers
from literategpt.tokenizer import BPETokenizer
from literategpt.train_pretrain import parse, start
from literategpt.training import train

STEPS = (0, 100, 300, 1000, 2000)
PROMPT, TOKENS, TEMPERATURE, TOP_P, SEED = "\n", 40, 0.8, 0.95, 0


def write(model: GPTModel, tokenizer: BPETokenizer) -> str:
    """Let a model write on from a line break, always with the same random numbers."""
    prompt = np.array([tokenizer.encode(PROMPT)])
    rng = np.random.default_rng(SEED)
    written = model.generate(prompt, TOKENS, TEMPERATURE, top_p=TOP_P, rng=rng)
    return tokenizer.decode(written[0, prompt.shape[1] :])


def along_the_way(steps: tuple[int, ...]) -> list[Row]:
    """Train as the shipped model was, and let it write after each of these steps."""
    corpus = prepare_corpus()
    arguments = parse(["--preset", "shipped", "--workers", str(default_workers())])
    run, _ = start(arguments, corpus.train, corpus.validation, print)
    rows: list[Row] = [{"step": 0, "loss": None, "text": write(run.model, run.tokenizer)}]
    losses: list[float] = []
    reports = train(
        run.model, run.optimizer, run.loader, settings=run.settings, workers=run.workers
    )
    for report in reports:
        losses.append(report.loss)
        done = report.step + 1
        if done in steps:
            mean = statistics.fmean(losses[-50:])
            rows.append({"step": done, "loss": mean, "text": write(run.model, run.tokenizer)})
            print(f"step {done}, loss {mean:.3f}:\n{rows[-1]['text']}\n", flush=True)
        if done == max(steps):
            break
    return rows


def main() -> None:
    """Train, write, and keep what was written."""
    argparse.ArgumentParser(prog="python -m experiments.samples", description=__doc__).parse_args()
    settings: dict[str, Any] = {
        "preset": "shipped", "steps": max(STEPS), "loss": "mean of the last 50 steps",
        "prompt": PROMPT, "tokens": TOKENS, "temperature": TEMPERATURE, "top_p": TOP_P,
        "seed": SEED,
    }  # fmt: skip
    rows = along_the_way(STEPS)
    write_table("samples", rows, command="python -m experiments.samples", settings=settings)


if __name__ == "__main__":
    main()
