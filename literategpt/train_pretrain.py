"""Train a model from nothing: `python -m literategpt.train_pretrain`.

Without arguments it trains the default model for half an hour on the plays of Shakespeare, which it
downloads and cleans on first use.
With `--data FILE` it trains on a text of your own.

Ctrl-C saves and stops; `--resume` goes on, to the same model as if nothing had happened.
"""

import os

# Each worker computes with one thread: this must be set before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from literategpt.corpus import CorpusError, load_text, prepare_corpus, split_text
from literategpt.model import GPTConfig, GPTModel
from literategpt.optimizer import AdamW
from literategpt.runs import (
    Run,
    RunResult,
    default_workers,
    describe_losses,
    duration,
    encode,
    new_loader,
    positive,
    run,
    text_hash,
)
from literategpt.tokenizer import BPETokenizer
from literategpt.training import TrainingSettings, keep_freed_memory, train
from literategpt.types import Array
from literategpt.utils import (
    CheckpointError,
    DataLoader,
    load_checkpoint,
    save_checkpoint,
)

MEASURED_STEPS = 20


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a pretraining run is, beside its length: stored in the checkpoint, and resumed from it.

    Args:
        batch_size: Sequences in a step.
        piece_size: Sequences in a piece of the batch.
        learning_rate: Peak; the last step has a tenth of it.
        weight_decay: As for `AdamW`.
        evaluate_every: Steps from one evaluation to the next.
        checkpoint_every: Steps from one checkpoint to the next.
        seed: Of initial values, order of the data, and dropout.
    """

    batch_size: int = 16
    piece_size: int = 2
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    evaluate_every: int = 500
    checkpoint_every: int = 100
    seed: int = 0

    def settings(self, total_steps: int) -> TrainingSettings:
        """Return the numbers of a run of so many steps."""
        return TrainingSettings(
            total_steps=total_steps,
            peak_learning_rate=self.learning_rate,
            minimum_learning_rate=self.learning_rate / 10,
            piece_size=self.piece_size,
            seed=self.seed,
        )


def read_data(path: Path | None) -> tuple[str, str]:
    """Return the training and the validation text."""
    if path is None:
        corpus = prepare_corpus()
        return corpus.train, corpus.validation
    return split_text(load_text(path))


def new_model(config: GPTConfig, plan: Plan) -> tuple[GPTModel, AdamW]:
    """Make a newborn model and its optimizer."""
    model = GPTModel(config, rng=np.random.default_rng((plan.seed, 0)))
    return model, AdamW(model.trainable_parameters(), weight_decay=plan.weight_decay)


def loader_of(tokens: Array, config: GPTConfig, plan: Plan) -> DataLoader:
    """Make the loader that a plan asks for."""
    return new_loader(tokens, config.max_sequence_length, plan.batch_size, plan.seed)


def measure_steps(
    minutes: float, config: GPTConfig, plan: Plan, tokens: Array, workers: int
) -> int:
    """Find how many steps fit in a time, by trying some on a model that is then thrown away."""
    model, optimizer = new_model(config, plan)
    trial = plan.settings(MEASURED_STEPS)
    reports = train(
        model, optimizer, loader_of(tokens, config, plan), settings=trial, workers=workers
    )
    seconds = sorted(report.seconds for report in reports)
    typical = seconds[len(seconds) // 2]
    # Leave three parts in a hundred for evaluations and checkpoints.
    return max(1, round(0.97 * 60 * minutes / typical))


def assemble(
    arguments: argparse.Namespace,
    plan: Plan,
    total_steps: int,
    model: GPTModel,
    tokenizer: BPETokenizer,
    optimizer: AdamW,
    loader: DataLoader,
    start_step: int,
    train_text: str,
    validation_text: str,
) -> Run:
    """Join the parts of a run, with a function that saves them."""
    stored: dict[str, Any] = {
        "plan": vars(plan),
        "total_steps": total_steps,
        "data": text_hash(train_text, validation_text),
    }

    def save(step: int) -> None:
        save_checkpoint(
            arguments.checkpoint, model, tokenizer,
            optimizer=optimizer, loader=loader, step=step, settings=stored,
        )  # fmt: skip

    return Run(
        model=model,
        tokenizer=tokenizer,
        optimizer=optimizer,
        loader=loader,
        validation=encode(tokenizer, validation_text),
        validation_characters=len(validation_text),
        settings=plan.settings(total_steps),
        save=save,
        log_path=arguments.checkpoint.with_suffix(".csv"),
        start_step=start_step,
        evaluate_every=plan.evaluate_every,
        checkpoint_every=plan.checkpoint_every,
        workers=arguments.workers,
    )


def start(
    arguments: argparse.Namespace, train_text: str, validation_text: str, say: Callable[[str], None]
) -> Run:
    """Set up a run from the beginning."""
    tokenizer = BPETokenizer(level=arguments.level)
    tokenizer.train(train_text, arguments.vocabulary_size)
    tokens = encode(tokenizer, train_text)
    config = GPTConfig(
        vocabulary_size=len(tokenizer),
        max_sequence_length=arguments.context,
        embedding_dim=arguments.embedding_dim,
        num_heads=arguments.num_heads,
        num_layers=arguments.num_layers,
        feed_forward_dim=4 * arguments.embedding_dim,
        dropout=arguments.dropout,
    )
    plan = Plan(
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
        evaluate_every=arguments.evaluate_every,
        checkpoint_every=arguments.checkpoint_every,
    )
    total_steps = arguments.steps
    if total_steps is None:
        say(f"measuring {MEASURED_STEPS} steps: how many fit in {arguments.minutes:g} minutes?")
        total_steps = measure_steps(arguments.minutes, config, plan, tokens, arguments.workers)
    model, optimizer = new_model(config, plan)
    loader = loader_of(tokens, config, plan)
    return assemble(
        arguments, plan, total_steps, model, tokenizer, optimizer, loader, 0,
        train_text, validation_text,
    )  # fmt: skip


def resume(arguments: argparse.Namespace, train_text: str, validation_text: str) -> Run:
    """Set up a run from its checkpoint.

    Raises:
        CheckpointError: The checkpoint is not of a pretraining run, or of one on other data.
    """
    checkpoint = load_checkpoint(arguments.checkpoint)
    settings, optimizer = checkpoint.settings, checkpoint.optimizer
    if optimizer is None or checkpoint.loader_state is None or "plan" not in settings:
        raise CheckpointError(f"{arguments.checkpoint} is a model, not a run to go on with")
    if settings["data"] != text_hash(train_text, validation_text):
        raise CheckpointError(
            f"{arguments.checkpoint} was trained on another text; give the same --data"
        )
    plan = Plan(**settings["plan"])
    loader = loader_of(encode(checkpoint.tokenizer, train_text), checkpoint.model.config, plan)
    loader.restore(checkpoint.loader_state)
    return assemble(
        arguments, plan, settings["total_steps"], checkpoint.model, checkpoint.tokenizer,
        optimizer, loader, checkpoint.step, train_text, validation_text,
    )  # fmt: skip


def describe_start(task: Run, train_characters: int) -> str:
    """Say what is going to be trained, on what."""
    steps = task.settings.total_steps
    return (
        f"model: {task.model.num_parameters():,} parameters, "
        f"{task.model.config.vocabulary_size:,} tokens in the vocabulary\n"
        f"text: {train_characters:,} characters to train on, "
        f"{task.validation_characters:,} to validate\n"
        f"run: {steps:,} steps of {task.loader.batch_size} x "
        f"{task.model.config.max_sequence_length} tokens, {task.workers} worker(s), "
        f"from step {task.start_step:,}"
    )


def describe_end(task: Run, result: RunResult, checkpoint: Path) -> str:
    """Say how the run ended, and what can be done next."""
    lines = describe_losses(task, result)
    lines.append(f"checkpoint: {checkpoint}   log: {task.log_path}")
    if result.finished:
        command = f"python -m literategpt.run_demo --checkpoint {checkpoint}"
        lines.append(f'next: {command} --prompt "The king"')
    else:
        lines.append("stopped; to go on, repeat the command with --resume")
    return "\n".join(lines)


def parse(command_line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m literategpt.train_pretrain",
        description="Train a GPT from nothing, on Shakespeare or on a text of your own.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    model, plan = GPTConfig(), Plan()
    add = parser.add_argument
    add("--data", type=Path, help="a UTF-8 text; its last tenth is for validation")
    add("--checkpoint", type=Path, default=Path("checkpoints/pretrained.npz"), help="file to write")
    add("--resume", action="store_true", help="go on from the checkpoint, with its settings")
    add("--overwrite", action="store_true", help="start anew although the checkpoint exists")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=duration, default=30.0, help="length of the run")
    length.add_argument("--steps", type=positive, help="length of the run instead")
    add("--workers", type=positive, default=default_workers(), help="threads; same result")
    add("--seed", type=int, default=plan.seed, help="of everything random")
    add("--level", choices=("character", "byte"), default="character", help="of the tokenizer")
    add("--vocabulary-size", type=positive, default=model.vocabulary_size, help="tokens")
    add("--context", type=positive, default=model.max_sequence_length, help="tokens it sees")
    add("--embedding-dim", type=positive, default=model.embedding_dim, help="length of a vector")
    add("--num-heads", type=positive, default=model.num_heads, help="attention heads in a block")
    add("--num-layers", type=positive, default=model.num_layers, help="blocks")
    add("--dropout", type=float, default=model.dropout, help="rate while training")
    add("--batch-size", type=positive, default=plan.batch_size, help="sequences in a step")
    add("--learning-rate", type=float, default=plan.learning_rate, help="highest learning rate")
    add("--evaluate-every", type=positive, default=plan.evaluate_every, help="steps")
    add("--checkpoint-every", type=positive, default=plan.checkpoint_every, help="steps")
    return parser.parse_args(command_line)


def check_resumable(arguments: argparse.Namespace) -> None:
    """Refuse settings beside --resume: a resumed run keeps those that it was started with.

    Raises:
        ValueError: The first option that would be ignored.
    """
    free = {"data", "checkpoint", "resume", "workers"}
    for name, default in vars(parse([])).items():
        if name not in free and getattr(arguments, name) != default:
            option = "--" + name.replace("_", "-")
            raise ValueError(
                f"a resumed run keeps its settings; expected no {option} with --resume"
            )


def main(command_line: list[str] | None = None) -> int:
    """Train, and return 0 if all went well."""
    arguments = parse(command_line)
    try:
        if arguments.checkpoint.exists() and not (arguments.resume or arguments.overwrite):
            raise CheckpointError(
                f"{arguments.checkpoint} exists; give --resume, --overwrite or another --checkpoint"
            )
        if arguments.resume:
            check_resumable(arguments)
        train_text, validation_text = read_data(arguments.data)
        keep_freed_memory()
        if arguments.resume:
            task = resume(arguments, train_text, validation_text)
        else:
            task = start(arguments, train_text, validation_text, print)
        print(describe_start(task, len(train_text)), flush=True)
        result = run(task)
    except (CorpusError, OSError, ValueError) as error:
        print(f"train_pretrain: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped at once; what was saved before is unchanged", file=sys.stderr)
        return 130
    print(describe_end(task, result, arguments.checkpoint))
    return 0


if __name__ == "__main__":
    sys.exit(main())
