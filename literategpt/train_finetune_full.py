"""Train every parameter of a model on a new text: `python -m literategpt.train_finetune_full`.

Without arguments it goes on from the shipped model, on the fables that come with the package.
The result is a model of its own, and the base is not changed.
"""

import os

# Each worker computes with one thread: this must be set before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from pathlib import Path

from literategpt.finetuning import base_parser, finetune
from literategpt.utils import save_checkpoint


def parse(command_line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = base_parser(
        "train_finetune_full", "Go on training every parameter of a model, on a new text.", 2e-4
    )
    parser.add_argument(
        "--output", type=Path, default=Path("checkpoints/finetuned.npz"), help="file to write"
    )
    return parser.parse_args(command_line)


def main(command_line: list[str] | None = None) -> int:
    """Fine-tune all parameters, and return 0 if all went well."""
    arguments = parse(command_line)
    output = arguments.output
    return finetune(
        arguments,
        output,
        prepare=lambda model: None,
        save=lambda model, tokenizer, step: save_checkpoint(output, model, tokenizer, step=step),
    )


if __name__ == "__main__":
    sys.exit(main())
