"""What the two fine-tuning scripts share: a base model, a new text, and a short run on it.

Whoever learns something new may forget something old.
So a run is judged twice, before and after: on a part of the new text that was kept out of training,
and, where the corpus is prepared, on plays that the shipped model was never trained on.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from literategpt.corpus import CorpusError, corpus_directory, load_text, prepare_corpus, split_text
from literategpt.lora import base_hash
from literategpt.model import GPTModel
from literategpt.optimizer import AdamW
from literategpt.pretrained import fables_path, load_pretrained
from literategpt.records import describe_machine, write_record
from literategpt.runs import (
    Run,
    RunResult,
    default_workers,
    describe_evaluation,
    describe_losses,
    encode,
    new_loader,
    positive,
    run,
    text_hash,
)
from literategpt.tokenizer import BPETokenizer
from literategpt.training import TrainingSettings, evaluate, keep_freed_memory, worker_pool
from literategpt.types import Array
from literategpt.utils import load_checkpoint

__all__ = [
    "base_parser",
    "finetune",
    "finetuning_settings",
    "optimizer_bytes",
    "read_plays",
    "trained_parameters",
]

STEPS, BATCH_SIZE, SEQUENCE_LENGTH = 200, 8, 128

PLAYS_CHARACTERS = 100_000
"""How much of the validation plays a run is judged on, so that it takes a few seconds."""


def base_parser(name: str, description: str, learning_rate: float) -> argparse.ArgumentParser:
    """Make a command line with what both scripts understand.

    Args:
        name: Of the script.
        description: What it does.
        learning_rate: Its default.

    Examples:
        >>> parser = base_parser("train_finetune_full", "Train on.", learning_rate=3e-4)
        >>> arguments = parser.parse_args(["--data", "riddles.txt"])
        >>> arguments.learning_rate, arguments.steps
        (0.0003, 200)
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m literategpt.{name}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        help="a UTF-8 text, whose last tenth is for validation; the shipped fables unless given",
    )
    add("--checkpoint", type=Path, help="model to start from; the shipped one unless given")
    add("--overwrite", action="store_true", help="write although the file exists")
    add("--steps", type=positive, default=STEPS, help="length of the run")
    add("--workers", type=positive, default=default_workers(), help="threads; same result")
    add("--seed", type=int, default=0, help="of everything random")
    add("--batch-size", type=positive, default=BATCH_SIZE, help="sequences in a step")
    add("--sequence-length", type=positive, default=SEQUENCE_LENGTH, help="tokens in a sequence")
    add("--learning-rate", type=float, default=learning_rate, help="highest learning rate")
    add("--evaluate-every", type=positive, default=50, help="steps")
    return parser


def finetuning_settings(steps: int, learning_rate: float, seed: int) -> TrainingSettings:
    """Choose the numbers of a short run: a twentieth to warm up, then down to nothing.

    Args:
        steps: Length of the run.
        learning_rate: Highest learning rate.
        seed: Of dropout.

    Examples:
        >>> settings = finetuning_settings(200, learning_rate=1e-3, seed=0)
        >>> [settings.learning_rate(step) for step in (0, 9, 199)]
        [0.0001, 0.001, 0.0]
    """
    return TrainingSettings(
        total_steps=steps,
        peak_learning_rate=learning_rate,
        minimum_learning_rate=0.0,
        warmup_steps=max(1, steps // 20),
        seed=seed,
    )


def load_base(path: Path | None) -> tuple[GPTModel, BPETokenizer]:
    """Load the model to start from."""
    if path is None:
        return load_pretrained()
    checkpoint = load_checkpoint(path)
    return checkpoint.model, checkpoint.tokenizer


def trained_parameters(model: GPTModel) -> int:
    """Count the numbers that training changes.

    Args:
        model: With LoRA layers or without.

    Examples:
        >>> from literategpt.lora import apply_lora
        >>> model = load_base(None)[0]
        >>> trained_parameters(model)
        1049344
        >>> apply_lora(model, rng=np.random.default_rng(0))
        >>> trained_parameters(model)
        8192
    """
    return sum(array.size for array in model.trainable_parameters().values())


def optimizer_bytes(optimizer: AdamW) -> int:
    """Count the bytes of what AdamW remembers: two numbers for each that it trains.

    Args:
        optimizer: Over some parameters.

    Examples:
        >>> optimizer_bytes(AdamW({"weight": np.zeros((128, 128), "float32")}))
        131072
    """
    moments = [*optimizer.first_moment.values(), *optimizer.second_moment.values()]
    return sum(moment.nbytes for moment in moments)


def read_plays(characters: int = PLAYS_CHARACTERS) -> str | None:
    """Read the start of the validation plays; nothing is downloaded.

    Args:
        characters: How much to read.

    Returns:
        The text, or None where the corpus is not prepared.

    Raises:
        CorpusError: What is there is not the corpus.

    Examples:
        >>> read_plays(3) in ("ORL", None)  # they start with Orlando
        True
    """
    if not (corpus_directory() / "validation.txt").is_file():
        return None
    return prepare_corpus().validation[:characters]


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
    return Run(
        model=model,
        tokenizer=tokenizer,
        optimizer=AdamW(model.trainable_parameters()),
        loader=new_loader(tokens, length, arguments.batch_size, arguments.seed),
        validation=encode_known(tokenizer, validation_text),
        validation_characters=len(validation_text),
        settings=finetuning_settings(arguments.steps, arguments.learning_rate, arguments.seed),
        save=lambda step: save(model, tokenizer, step),
        log_path=output.with_suffix(".csv"),
        evaluate_every=arguments.evaluate_every,
        checkpoint_every=arguments.steps,
        workers=arguments.workers,
    )


class Losses(NamedTuple):
    """How surprised a model is, in nats per token."""

    text: float  # at the validation part of the new text
    plays: float | None  # at what the base was trained for; None where that is not prepared


def measure(task: Run, plays: Array | None) -> Losses:
    """Evaluate the model on both texts."""
    with worker_pool(task.workers) as ordered_map:
        text = evaluate(task.model, task.validation, ordered_map=ordered_map)
        if plays is None:
            return Losses(text, None)
        return Losses(text, evaluate(task.model, plays, ordered_map=ordered_map))


def describe_start(task: Run, before: Losses) -> str:
    """Say what is trained, and what the model writes before."""
    share = f"{trained_parameters(task.model):,} of {task.model.num_parameters():,} parameters"
    text = (
        f"{share} are trained; the optimizer keeps {optimizer_bytes(task.optimizer):,} bytes\n"
        f"{describe_evaluation(task, 0, before.text)}"
    )
    if before.plays is None:
        text += "\nthe corpus is not prepared, so what is forgotten is not measured"
    return text


def describe_end(task: Run, result: RunResult, before: Losses, after: Losses) -> str:
    """Say how long it took, what was learned and what was forgotten."""
    lines = describe_losses(task, result)
    lines.append(f"learned: {before.text:.4f} -> {after.text:.4f} nats per token of the new text")
    if before.plays is not None:
        lines.append(
            f"forgotten: {before.plays:.4f} -> {after.plays:.4f} nats per token "
            f"of the validation plays, first {PLAYS_CHARACTERS:,} characters"
        )
    return "\n".join(lines)


def demo_options(arguments: argparse.Namespace, output: Path) -> str:
    """Say how the demo uses what was written: an adapter needs the model it was trained on."""
    if "rank" not in arguments:
        return f"--checkpoint {output}"
    base = f"--checkpoint {arguments.checkpoint} " if arguments.checkpoint else ""
    return f"{base}--adapter {output} --compare"


def plain_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """List the options of a run; a file is named without its directory."""
    without = {"overwrite", "output", "workers"}
    return {
        name: value.name if isinstance(value, Path) else value
        for name, value in vars(arguments).items()
        if name not in without
    }


def record_of(task: Run, result: RunResult, before: Losses, after: Losses) -> dict[str, Any]:
    """Gather what is worth knowing about a run, beside its log."""
    return {
        "steps": result.steps,
        "parameters": task.model.num_parameters(),
        "trained_parameters": trained_parameters(task.model),
        "optimizer_bytes": optimizer_bytes(task.optimizer),
        "training_tokens": len(task.loader.dataset.tokens),
        "validation_tokens": len(task.validation),
        "training_loss": result.training_loss,
        "validation_loss_before": before.text,
        "validation_loss": after.text,
        "plays_characters": PLAYS_CHARACTERS,
        "plays_loss_before": before.plays,
        "plays_loss": after.plays,
        "seconds": round(result.seconds, 1),
        "workers": task.workers,
    }


def perform(
    arguments: argparse.Namespace,
    output: Path,
    prepare: Callable[[GPTModel], None],
    save: Callable[[GPTModel, BPETokenizer, int], None],
) -> str:
    """Fine-tune, write the record, and return the end report."""
    if output.exists() and not arguments.overwrite:
        raise ValueError(f"{output} exists; give --overwrite or another name")
    train_text, validation_text = split_text(load_text(arguments.data or fables_path()))
    model, tokenizer = load_base(arguments.checkpoint)
    about = {
        "settings": plain_settings(arguments),
        "base": base_hash(model),
        "data": text_hash(train_text, validation_text),
        "machine": describe_machine(),
    }
    prepare(model)
    task = assemble(arguments, output, model, tokenizer, train_text, validation_text, save)
    known = read_plays()
    plays = None if known is None else encode(tokenizer, known)
    before = measure(task, plays)
    print(describe_start(task, before), flush=True)
    result = run(task)
    after = measure(task, plays)
    write_record(output.with_suffix(".json"), about | record_of(task, result, before, after))
    return describe_end(task, result, before, after)


def finetune(
    arguments: argparse.Namespace,
    output: Path,
    prepare: Callable[[GPTModel], None],
    save: Callable[[GPTModel, BPETokenizer, int], None],
) -> int:
    """Fine-tune a base on a text, and return 0 if all went well.

    Beside the output a log (`.csv`) and a record (`.json`) are written.

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
        report = perform(arguments, output, prepare, save)
    except (CorpusError, OSError, ValueError) as error:
        print(f"fine-tuning: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped at once; nothing was written but the log", file=sys.stderr)
        return 130
    print(report)
    print(f"written: {output}   log: {output.with_suffix('.csv')}")
    print(f"next: python -m literategpt.run_demo {demo_options(arguments, output)}")
    return 0
