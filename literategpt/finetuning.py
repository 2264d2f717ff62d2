"""What the two fine-tuning scripts share: a base model, a new text, and a short run on it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from literategpt.corpus import load_text, split_text
from literategpt.model import GPTModel
from literategpt.optimizer import AdamW
from literategpt.pretrained import load_pretrained, pretrained_path
from literategpt.runs import (
    Run,
    default_workers,
    describe_losses,
    encode,
    new_loader,
    positive,
    run,
)
from literategpt.tokenizer import BPETokenizer
from literategpt.training import TrainingSettings, keep_freed_memory
from literategpt.types import Array
from literategpt.utils import load_checkpoint

__all__ = ["base_parser", "finetune"]


def base_parser(name: str, description: str, learning_rate: float) -> argparse.ArgumentParser:
    """Make a command line with what both scripts understand.

    Args:
        name: Of the script.
        description: What it does.
        learning_rate: Its default.

    Examples:
        >>> parser = base_parser("train_finetune_full", "Train on.", learning_rate=3e-4)
        >>> arguments = parser.parse_args(["--data", "fables.txt"])
        >>> arguments.learning_rate, arguments.steps
        (0.0003, 200)
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m literategpt.{name}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="a UTF-8 text; its last tenth is for validation")
    add("--checkpoint", type=Path, help="model to start from; the shipped one unless given")
    add("--overwrite", action="store_true", help="write although the file exists")
    add("--steps", type=positive, default=200, help="length of the run")
    add("--workers", type=positive, default=default_workers(), help="threads; same result")
    add("--seed", type=int, default=0, help="of everything random")
    add("--batch-size", type=positive, default=8, help="sequences in a step")
    add("--sequence-length", type=positive, default=128, help="tokens in a sequence")
    add("--learning-rate", type=float, default=learning_rate, help="highest learning rate")
    add("--evaluate-every", type=positive, default=100, help="steps")
    return parser


def load_base(path: Path | None) -> tuple[GPTModel, BPETokenizer]:
    """Load the model to start from."""
    if path is None:
        return load_pretrained()
    checkpoint = load_checkpoint(path)
    return checkpoint.model, checkpoint.tokenizer


def encode_known(tokenizer: BPETokenizer, text: str) -> Array:
    """Encode a text, and say how much of it the tokenizer does not know."""
    tokens = encode(tokenizer, text)
    if tokenizer.unk_id is not None:
        unknown = np.count_nonzero(tokens == tokenizer.unk_id)
        if unknown:
            print(f"{unknown:,} characters are unknown to the model's tokenizer", file=sys.stderr)
    return tokens


def assemble(
    arguments: argparse.Namespace,
    output: Path,
    model: GPTModel,
    tokenizer: BPETokenizer,
    train_text: str,
    validation_text: str,
    save: Callable[[GPTModel, BPETokenizer, int], None],
) -> Run:
    """Join the parts of a fine-tuning run."""
    keep_freed_memory()
    tokens = encode_known(tokenizer, train_text)
    length = min(arguments.sequence_length, model.config.max_sequence_length)
    settings = TrainingSettings(
        total_steps=arguments.steps,
        peak_learning_rate=arguments.learning_rate,
        minimum_learning_rate=0.0,
        warmup_steps=max(1, arguments.steps // 20),
        seed=arguments.seed,
    )
    return Run(
        model=model,
        tokenizer=tokenizer,
        optimizer=AdamW(model.trainable_parameters()),
        loader=new_loader(tokens, length, arguments.batch_size, arguments.seed),
        validation=encode_known(tokenizer, validation_text),
        validation_characters=len(validation_text),
        settings=settings,
        save=lambda step: save(model, tokenizer, step),
        log_path=output.with_suffix(".csv"),
        evaluate_every=arguments.evaluate_every,
        checkpoint_every=arguments.steps,
        workers=arguments.workers,
    )


def demo_options(arguments: argparse.Namespace, output: Path) -> str:
    """Say how the demo uses what was written: an adapter needs the model it was trained on."""
    if "rank" not in arguments:
        return f"--checkpoint {output}"
    return f"--checkpoint {arguments.checkpoint or pretrained_path()} --adapter {output}"


def finetune(
    arguments: argparse.Namespace,
    output: Path,
    prepare: Callable[[GPTModel], None],
    save: Callable[[GPTModel, BPETokenizer, int], None],
) -> int:
    """Fine-tune a base on a text, and return 0 if all went well.

    Args:
        arguments: From `base_parser`.
        output: The file that `save` writes.
        prepare: Called with the base before training; adapts it, or does nothing.
        save: Writes the result, given model, tokenizer and number of steps.

    Examples:
        >>> parser = base_parser("train_finetune_full", "Train on.", learning_rate=3e-4)
        >>> arguments = parser.parse_args(["--data", __file__])
        >>> finetune(arguments, Path(__file__), print, print)  # the output exists: refused
        1
    """
    try:
        if output.exists() and not arguments.overwrite:
            raise ValueError(f"{output} exists; give --overwrite or another name")
        train_text, validation_text = split_text(load_text(arguments.data))
        model, tokenizer = load_base(arguments.checkpoint)
        prepare(model)
        task = assemble(arguments, output, model, tokenizer, train_text, validation_text, save)
        trained = sum(array.size for array in model.trainable_parameters().values())
        print(f"{trained:,} of {model.num_parameters():,} parameters are trained")
        print(f"before: {task.measure():.4f} nats per token on the validation part", flush=True)
        result = run(task)
    except (OSError, ValueError) as error:
        print(f"fine-tuning: {error}", file=sys.stderr)
        return 1
    print("\n".join([*describe_losses(task, result), f"written: {output}   log: {task.log_path}"]))
    print(f"next: python -m literategpt.run_demo {demo_options(arguments, output)}")
    return 0
