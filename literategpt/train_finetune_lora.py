"""Adapt a model to a new text with LoRA: `python -m literategpt.train_finetune_lora`.

Without arguments it starts from the shipped model, on the fables that come with the package.
The base is not changed; what is learned is written to a small adapter file.
"""

import os

# Each worker computes with one thread: this must be set before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from pathlib import Path

import numpy as np

from literategpt.finetuning import base_parser, finetune
from literategpt.lora import TARGETS, apply_lora, save_adapter
from literategpt.model import GPTModel


def parse(command_line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = base_parser(
        "train_finetune_lora", "Train small corrections beside a model's frozen weights.", 8e-3
    )
    add = parser.add_argument
    add(
        "--output",
        type=Path,
        default=Path("checkpoints/adapter/adapter.npz"),
        help="file to write",
    )
    add("--rank", type=int, default=4, help="width of the corrections")
    add("--alpha", type=float, default=8.0, help="they are multiplied by alpha / rank")
    add("--targets", nargs="+", choices=TARGETS, default=["query", "value"], help="layers")
    add("--precision", choices=("float32", "float16"), default="float32", help="of the file")
    return parser.parse_args(command_line)


def main(command_line: list[str] | None = None) -> int:
    """Fine-tune with LoRA, and return 0 if all went well."""
    arguments = parse(command_line)
    output = arguments.output

    def prepare(model: GPTModel) -> None:
        rng = np.random.default_rng((arguments.seed, 2))
        apply_lora(model, arguments.rank, arguments.alpha, tuple(arguments.targets), rng=rng)

    return finetune(
        arguments,
        output,
        prepare=prepare,
        save=lambda model, tokenizer, step: save_adapter(
            output, model, precision=arguments.precision
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
