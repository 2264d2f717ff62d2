"""Train every parameter of a model on a new text: `python -m literategpt.train_finetune_full`."""

import os

# Each worker computes with one thread: this must be set before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
from pathlib import Path

from literategpt.finetuning import base_parser, finetune
from literategpt.utils import save_checkpoint


def main(command_line: list[str] | None = None) -> int:
    """Fine-tune all parameters, and return 0 if all went well."""
    parser = base_parser(
        "train_finetune_full", "Go on training every parameter of a model, on a new text.", 3e-4
    )
    parser.add_argument(
        "--output", type=Path, default=Path("checkpoints/finetuned.npz"), help="file to write"
    )
    arguments = parser.parse_args(command_line)
    output = arguments.output
    return finetune(
        arguments,
        output,
        prepare=lambda model: None,
        save=lambda model, tokenizer, step: save_checkpoint(output, model, tokenizer, step=step),
    )


if __name__ == "__main__":
    sys.exit(main())
