"""Train a model from nothing: `python -m literategpt.train_pretrain`.

Without arguments it trains the default model for half an hour on the plays of Shakespeare, which it
downloads and cleans on first use.
With `--data FILE` it trains on a text of your own.
`--preset NAME` takes the settings of a recorded run, `PRESETS`; options beside it go before.

Ctrl-C saves and stops; `--resume` goes on, to the same model as if nothing had happened.
"""

import os

# Each worker computes with one thread: this must be set before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import math
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from literategpt.corpus import CorpusError, load_text, prepare_corpus, split_text
from literategpt.model import GPTConfig, GPTModel
from literategpt.optimizer import AdamW
from literategpt.records import describe_machine, write_record
from literategpt.runs import (
    Run,
    RunResult,
    default_workers,
    describe_losses,
    duration,
    encode,
    nats_per_character,
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

# The settings of the recorded runs, by the names of the options. Those called tiny are for Tiny
# Shakespeare, given by --data.
PRESETS: dict[str, dict[str, Any]] = {
    "plays": {},
    "shipped": {"steps": 16_000, "dropout": 0.1},
    "tiny-fast": {
        "steps": 1000, "vocabulary_size": 1024, "context": 64, "num_layers": 2,
        "position_scale": 0.005, "batch_size": 8, "piece_size": 4, "learning_rate": 4e-3,
        "evaluate_every": 500, "checkpoint_every": 1000,
    },
    "tiny-10min": {
        "steps": 5500, "vocabulary_size": 1024, "context": 128, "num_layers": 2,
        "batch_size": 16, "piece_size": 4, "learning_rate": 4e-3,
        "dropout": 0.1, "weight_decay": 0.5,
        "evaluate_every": 500, "checkpoint_every": 500,
    },
    "tiny-60min": {
        "steps": 13_000, "vocabulary_size": 1024, "context": 128,
        "embedding_dim": 192, "num_heads": 6, "num_layers": 4,
        "batch_size": 16, "piece_size": 4, "learning_rate": 3e-3,
        "dropout": 0.2, "weight_decay": 0.5,
        "evaluate_every": 500, "checkpoint_every": 500,
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a pretraining run is, beside its length: stored in the checkpoint, and resumed from it.

    Args:
        batch_size: Sequences in a step.
        piece_size: Sequences in a piece of the batch.
        learning_rate: Peak; the last step has a hundredth of it.
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
            minimum_learning_rate=self.learning_rate / 100,
            piece_size=self.piece_size,
            seed=self.seed,
        )


def add_model_options(add: Callable[..., Any]) -> None:
    """Add the options that say what is trained."""
    model = GPTConfig()
    add("--level", choices=("character", "byte"), default="character", help="of the tokenizer")
    add("--vocabulary-size", type=positive, default=model.vocabulary_size, help="tokens")
    add("--context", type=positive, default=model.max_sequence_length, help="tokens it sees")
    add("--embedding-dim", type=positive, default=model.embedding_dim, help="length of a vector")
    add("--num-heads", type=positive, default=model.num_heads, help="attention heads in a block")
    add("--num-layers", type=positive, default=model.num_layers, help="blocks")
    add("--position-scale", type=float, default=model.position_scale, help="of the sinusoids")
    add("--dropout", type=float, default=model.dropout, help="rate while training")


def add_plan_options(add: Callable[..., Any]) -> None:
    """Add the options that say how it is trained."""
    plan = Plan()
    add("--seed", type=int, default=plan.seed, help="of everything random")
    add("--batch-size", type=positive, default=plan.batch_size, help="sequences in a step")
    add("--piece-size", type=positive, default=plan.piece_size, help="sequences in a piece")
    add("--learning-rate", type=float, default=plan.learning_rate, help="highest learning rate")
    add("--weight-decay", type=float, default=plan.weight_decay, help="of matrices, as in AdamW")
    add("--evaluate-every", type=positive, default=plan.evaluate_every, help="steps")
    add("--checkpoint-every", type=positive, default=plan.checkpoint_every, help="steps")


def new_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m literategpt.train_pretrain",
        description="Train a GPT from nothing, on Shakespeare or on a text of your own.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--preset", choices=PRESETS, default="plays", help="settings of a recorded run")
    add("--data", type=Path, help="a UTF-8 text; its last tenth is for validation")
    add("--checkpoint", type=Path, default=Path("checkpoints/pretrained.npz"), help="file to write")
    add("--resume", action="store_true", help="go on from the checkpoint, with its settings")
    add("--overwrite", action="store_true", help="start anew although the checkpoint exists")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=duration, help="length of the run, 30 unless given")
    length.add_argument("--steps", type=positive, help="length of the run instead")
    add("--workers", type=positive, default=default_workers(), help="threads; same result")
    add_model_options(add)
    add_plan_options(add)
    return parser


def parse(command_line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, with the settings of the preset where it says nothing."""
    parser = new_parser()
    preset = dict(PRESETS[parser.parse_args(command_line).preset])
    steps = preset.pop("steps", None)
    parser.set_defaults(**preset)
    arguments = parser.parse_args(command_line)
    # A length that was asked for goes before that of the preset.
    if arguments.steps is None and arguments.minutes is None:
        arguments.steps = steps
    return arguments


def command_of(arguments: argparse.Namespace) -> str:
    """Write the command that repeats a run; a text is named without its directory."""
    words = ["python -m literategpt.train_pretrain"]
    without = {"checkpoint", "resume", "overwrite", "workers", "preset", "data"}
    if arguments.preset != "plays":
        words.append(f"--preset {arguments.preset}")
    if arguments.data is not None:
        words.append(f"--data {arguments.data.name}")
    preset = vars(parse(["--preset", arguments.preset]))
    for name, value in vars(arguments).items():
        if name not in without and value is not None and value != preset[name]:
            words.append(f"--{name.replace('_', '-')} {value}")
    return " ".join(words)


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
    stored: dict[str, Any],
    model: GPTModel,
    tokenizer: BPETokenizer,
    optimizer: AdamW,
    loader: DataLoader,
    start_step: int,
    validation_text: str,
) -> Run:
    """Join the parts of a run, with a function that saves them beside what is `stored`."""
    plan = Plan(**stored["plan"])

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
        settings=plan.settings(stored["total_steps"]),
        save=save,
        log_path=arguments.checkpoint.with_suffix(".csv"),
        start_step=start_step,
        evaluate_every=plan.evaluate_every,
        checkpoint_every=plan.checkpoint_every,
        workers=arguments.workers,
    )


def plan_of(arguments: argparse.Namespace) -> Plan:
    """Take the plan from the command line."""
    names = [field.name for field in fields(Plan) if field.name in arguments]
    return Plan(**{name: getattr(arguments, name) for name in names})


def config_of(arguments: argparse.Namespace, vocabulary_size: int) -> GPTConfig:
    """Take the model's configuration from the command line."""
    return GPTConfig(
        vocabulary_size=vocabulary_size,
        max_sequence_length=arguments.context,
        embedding_dim=arguments.embedding_dim,
        num_heads=arguments.num_heads,
        num_layers=arguments.num_layers,
        feed_forward_dim=4 * arguments.embedding_dim,
        dropout=arguments.dropout,
        position_scale=arguments.position_scale,
    )


def start(
    arguments: argparse.Namespace, train_text: str, validation_text: str, say: Callable[[str], None]
) -> tuple[Run, dict[str, Any]]:
    """Set up a run from the beginning; return it, and what is stored about it."""
    tokenizer = BPETokenizer(level=arguments.level)
    tokenizer.train(train_text, arguments.vocabulary_size)
    tokens = encode(tokenizer, train_text)
    config, plan = config_of(arguments, len(tokenizer)), plan_of(arguments)
    total_steps = arguments.steps
    if total_steps is None:
        minutes = arguments.minutes or 30.0
        say(f"measuring {MEASURED_STEPS} steps: how many fit in {minutes:g} minutes?")
        total_steps = measure_steps(minutes, config, plan, tokens, arguments.workers)
    stored = {
        "command": command_of(arguments),
        "preset": arguments.preset,
        "plan": vars(plan),
        "total_steps": total_steps,
        "data": text_hash(train_text, validation_text),
    }
    model, optimizer = new_model(config, plan)
    loader = loader_of(tokens, config, plan)
    task = assemble(arguments, stored, model, tokenizer, optimizer, loader, 0, validation_text)
    return task, stored


def resume(
    arguments: argparse.Namespace, train_text: str, validation_text: str
) -> tuple[Run, dict[str, Any]]:
    """Set up a run from its checkpoint; return it, and what is stored about it.

    Raises:
        CheckpointError: The checkpoint is not of a pretraining run, or of one on other data.
    """
    checkpoint = load_checkpoint(arguments.checkpoint)
    stored, optimizer = checkpoint.settings, checkpoint.optimizer
    if optimizer is None or checkpoint.loader_state is None or "plan" not in stored:
        raise CheckpointError(f"{arguments.checkpoint} is a model, not a run to go on with")
    if stored["data"] != text_hash(train_text, validation_text):
        raise CheckpointError(
            f"{arguments.checkpoint} was trained on another text; give the same --data"
        )
    tokens = encode(checkpoint.tokenizer, train_text)
    loader = loader_of(tokens, checkpoint.model.config, Plan(**stored["plan"]))
    loader.restore(checkpoint.loader_state)
    task = assemble(
        arguments, stored, checkpoint.model, checkpoint.tokenizer,
        optimizer, loader, checkpoint.step, validation_text,
    )  # fmt: skip
    return task, stored


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


def describe_end(task: Run, result: RunResult, arguments: argparse.Namespace) -> str:
    """Say how the run ended, and what can be done next."""
    lines = describe_losses(task, result)
    checkpoint = arguments.checkpoint
    lines.append(f"checkpoint: {checkpoint}   log: {task.log_path}")
    if result.finished:
        command = f"python -m literategpt.run_demo --checkpoint {checkpoint}"
        lines.append(f'next: {command} --prompt "The king"')
    else:
        words = ["python", "-m", "literategpt.train_pretrain", "--checkpoint", str(checkpoint)]
        words += ["--data", str(arguments.data)] if arguments.data else []
        lines.append(f"stopped; to go on: {shlex.join(words)} --resume")
    return "\n".join(lines)


def record_of(
    task: Run,
    stored: dict[str, Any],
    result: RunResult,
    validation_loss: float,
    train_text: str,
    machine: dict[str, Any],
) -> dict[str, Any]:
    """Gather what is worth knowing about a finished run, beside its log."""
    config = task.model.config
    unknown = np.count_nonzero(task.validation == task.tokenizer.unk_id)
    per_character = nats_per_character(
        validation_loss, len(task.validation) - 1, task.validation_characters
    )
    return stored | {
        "steps": result.steps,
        "vocabulary_size": config.vocabulary_size,
        "model": config.to_dict(),
        "parameters": task.model.num_parameters(),
        "tokens_per_step": task.loader.batch_size * config.max_sequence_length,
        "training_characters": len(train_text),
        "training_tokens": len(task.loader.dataset.tokens),
        "validation_characters": task.validation_characters,
        "validation_tokens": len(task.validation),
        "unknown_tokens": int(unknown),
        "training_loss": result.training_loss,
        "validation_loss": validation_loss,
        "nats_per_character": per_character,
        "bits_per_character": per_character / math.log(2),
        "seconds": round(result.seconds, 1),
        "workers": task.workers,
        "machine": machine,
    }


def check(arguments: argparse.Namespace) -> None:
    """Refuse what would overwrite, or be ignored, or mean nothing.

    A resumed run keeps the settings that it was started with, so none may stand beside --resume.

    Raises:
        ValueError: What is wrong, and what was expected.
    """
    path = arguments.checkpoint
    if path.exists() and not (arguments.resume or arguments.overwrite):
        raise CheckpointError(f"{path} exists; give --resume, --overwrite or another --checkpoint")
    kept = vars(parse([])) if arguments.resume else {}
    for name in sorted(kept.keys() - {"data", "checkpoint", "resume", "workers"}):
        if getattr(arguments, name) != kept[name]:
            option = "--" + name.replace("_", "-")
            raise ValueError(
                f"a resumed run keeps its settings; expected no {option} with --resume"
            )
    if arguments.preset.startswith("tiny") and arguments.data is None:
        raise ValueError(f"{arguments.preset} is for Tiny Shakespeare; give it with --data FILE")


def train_and_record(arguments: argparse.Namespace) -> str:
    """Train, write the record of a finished run, and return what there is to say at the end."""
    train_text, validation_text = read_data(arguments.data)
    keep_freed_memory()
    machine = describe_machine()
    if arguments.resume:
        task, stored = resume(arguments, train_text, validation_text)
    else:
        task, stored = start(arguments, train_text, validation_text, print)
    print(describe_start(task, len(train_text)), flush=True)
    result = run(task)
    # A run that was finished before has its record already, and no new loss.
    if result.finished and result.validation_loss is not None:
        record = record_of(task, stored, result, result.validation_loss, train_text, machine)
        write_record(arguments.checkpoint.with_suffix(".json"), record)
    return describe_end(task, result, arguments)


def main(command_line: list[str] | None = None) -> int:
    """Train, and return 0 if all went well."""
    arguments = parse(command_line)
    try:
        check(arguments)
        print(train_and_record(arguments))
    except (CorpusError, OSError, ValueError) as error:
        print(f"train_pretrain: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped at once; what was saved before is unchanged", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
