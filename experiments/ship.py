"""Make the files in `data/` from a finished run: `python -m experiments.ship CHECKPOINT`.

The model is stored in half precision and with a dropout of 0, which makes its configuration the
default one; the run's log and record go beside it.
The record gains the validation loss of what was stored, measured over the plays that were held out.

It was run once, after the run of the preset `shipped`.
The pages are written on the model it left, so a test holds the file's hash.
"""

import argparse
import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np

from literategpt.corpus import prepare_corpus
from literategpt.model import GPTModel
from literategpt.pretrained import CHECKPOINT_NAME
from literategpt.records import write_record
from literategpt.runs import encode, nats_per_character
from literategpt.tokenizer import BPETokenizer
from literategpt.training import evaluate
from literategpt.utils import load_checkpoint, save_checkpoint

DATA = Path(__file__).resolve().parents[1] / "data"


def without_dropout(model: GPTModel) -> GPTModel:
    """Make a model with the same parameters that does not drop anything when it is trained on."""
    config = dataclasses.replace(model.config, dropout=0.0)
    bare = GPTModel(config, rng=np.random.default_rng(0))
    for name, array in bare.named_parameters().items():
        array[...] = model.named_parameters()[name]
    return bare


def losses(model: GPTModel, tokenizer: BPETokenizer, text: str) -> dict[str, float]:
    """Measure the loss of a model on a text, in the units that people use."""
    tokens = encode(tokenizer, text)
    loss = evaluate(model, tokens)
    nats = nats_per_character(loss, len(tokens) - 1, len(text))
    return {
        "validation_loss": loss,
        "nats_per_character": nats,
        "bits_per_character": nats / math.log(2),
    }


def ship(source: Path, directory: Path, validation_text: str) -> None:
    """Write model, log and record of a finished run into a directory.

    Args:
        source: The run's checkpoint; log and record lie beside it.
        directory: Where the files are to be.
        validation_text: What the stored model is judged on.
    """
    target = directory / CHECKPOINT_NAME
    checkpoint = load_checkpoint(source)
    save_checkpoint(
        target, without_dropout(checkpoint.model), checkpoint.tokenizer,
        step=checkpoint.step, settings=checkpoint.settings, precision="float16",
    )  # fmt: skip
    shutil.copyfile(source.with_suffix(".csv"), target.with_suffix(".csv"))
    record = json.loads(source.with_suffix(".json").read_text(encoding="utf-8"))
    stored = load_checkpoint(target)
    record["half_precision"] = losses(stored.model, stored.tokenizer, validation_text)
    write_record(target.with_suffix(".json"), record)


def main() -> None:
    """Ship what the command line names."""
    parser = argparse.ArgumentParser(description="Make the files in data/ from a finished run.")
    parser.add_argument("checkpoint", type=Path, help="of a run that was finished")
    ship(parser.parse_args().checkpoint, DATA, prepare_corpus().validation)


if __name__ == "__main__":
    main()
