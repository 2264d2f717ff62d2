"""What the ablations share: a small model, a fixed text, a short training, a process for each run.

An ablation says what it varies, how a newborn model is changed for a variant, and what is to be
looked at before and after training.
`run` trains every variant from every seed and writes three tables: `NAME.csv`, the mean and the
range over the seeds; `NAME_runs.csv`, a row a run; `NAME_curves.csv`, the loss along the way.

Variants of one seed start from the same weights and read the same batches.
A run is a function of its variant and its seed, so the tables do not depend on the number of
processes.
"""

import argparse
import functools
import hashlib
import itertools
import math
import multiprocessing
import statistics
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.tables import LOGS, Row, write_table
from literategpt.corpus import prepare_corpus
from literategpt.model import GPTConfig, GPTModel, cross_entropy_loss
from literategpt.optimizer import AdamW
from literategpt.pretrained import pretrained_path
from literategpt.runs import bits_per_character, default_workers, encode, new_loader, positive
from literategpt.tokenizer import BPETokenizer
from literategpt.training import OrderedMap, TrainingSettings, evaluate, keep_freed_memory, train
from literategpt.types import Array

Tables = dict[str, list[Row]]


# --- one run -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is: the text, the shape of the model, the training.

    Args:
        text: "plays", or "sample" for a trial without them.
        tokenizer_characters: The tokenizer learns from so many characters of the training plays;
            the default is the first round number with every letter in it.
        training_characters: The model learns from so many.
        validation_characters: It is judged on so many of the validation plays.
        vocabulary_size: Tokens.
        context: The longest sequence, in tokens; the windows of training are as long.
        embedding_dim: Length of a token's vector; the feed-forward networks have four times as
            many hidden units.
        num_heads: Attention heads in a block.
        num_layers: Blocks.
        dropout: Rate while training.
        positional_encoding: As in `GPTConfig`.
        position_scale: As in `GPTConfig`.
        batch_size: Windows in a step.
        steps: Length of the training.
        learning_rate: Peak; the last step has a tenth of it.
        warmup_steps: Length of the rise to the peak.
        curve_every: Steps from one point of the curve to the next.
        curve_validation: Whether the curve has the validation loss, too.
        seeds: Each variant is trained from each.
    """

    text: str = "plays"
    tokenizer_characters: int = 1_100_000
    training_characters: int = 1_100_000
    validation_characters: int = 100_000
    vocabulary_size: int = 512
    context: int = 64
    embedding_dim: int = 64
    num_heads: int = 4
    num_layers: int = 4
    dropout: float = 0.0
    positional_encoding: str = "sinusoidal"
    position_scale: float = 0.02
    batch_size: int = 16
    steps: int = 500
    learning_rate: float = 3e-3
    warmup_steps: int = 50
    curve_every: int = 25
    curve_validation: bool = False
    seeds: tuple[int, ...] = (0, 1, 2)

    def config(self, vocabulary_size: int) -> GPTConfig:
        """Return the shape of the model, for a tokenizer of so many tokens."""
        return GPTConfig(
            vocabulary_size=vocabulary_size,
            max_sequence_length=self.context,
            embedding_dim=self.embedding_dim,
            num_heads=self.num_heads,
            num_layers=self.num_layers,
            feed_forward_dim=4 * self.embedding_dim,
            dropout=self.dropout,
            positional_encoding=self.positional_encoding,  # type: ignore[arg-type]
            position_scale=self.position_scale,
        )

    def training(self, seed: int) -> TrainingSettings:
        """Return the numbers of the training."""
        return TrainingSettings(
            total_steps=self.steps,
            peak_learning_rate=self.learning_rate,
            minimum_learning_rate=self.learning_rate / 10,
            warmup_steps=self.warmup_steps,
            piece_size=self.batch_size,
            seed=seed,
        )


def trial(plan: Plan) -> Plan:
    """Make a plan tiny, so that it takes a moment: what `--quick` does."""
    return replace(
        plan, text="sample", tokenizer_characters=3000, training_characters=3000,
        validation_characters=3000, vocabulary_size=66, context=8, embedding_dim=8, num_heads=2,
        num_layers=2, batch_size=2, steps=4, warmup_steps=1, curve_every=2, seeds=(0,),
    )  # fmt: skip


class Data(NamedTuple):
    """A tokenizer, and the tokens of both texts."""

    tokenizer: BPETokenizer
    training: Array
    validation: Array
    validation_characters: int


def sample_text(characters: int, seed: int) -> str:
    """Write letters and spaces in any order, for a trial.

    Examples:
        >>> sample_text(18, seed=0)
        'ztpijbcafyt ps vsq'
    """
    drawn = np.random.default_rng(seed).choice(list("abcdefghijklmnopqrstuvwxyz    "), characters)
    return "".join(drawn)


@functools.cache
def read_text(text: str) -> tuple[str, str]:
    """Return the training and the validation text: "plays" or "sample"."""
    if text == "sample":
        return sample_text(8000, seed=0), sample_text(8000, seed=1)
    corpus = prepare_corpus()
    return corpus.train, corpus.validation


@functools.cache
def learn_tokenizer(text: str, characters: int, vocabulary_size: int) -> BPETokenizer:
    """Train a tokenizer on the first characters of the training text."""
    tokenizer = BPETokenizer()
    tokenizer.train(read_text(text)[0][:characters], vocabulary_size)
    return tokenizer


@functools.cache
def load_tokens(
    text: str, part: int, characters: int, learned_from: int, vocabulary_size: int
) -> Array:
    """Turn the first characters of the training (0) or the validation text (1) into tokens."""
    tokenizer = learn_tokenizer(text, learned_from, vocabulary_size)
    return encode(tokenizer, read_text(text)[part][:characters])


def load_data(plan: Plan) -> Data:
    """Prepare what a plan reads; a process does it once."""
    learned = plan.tokenizer_characters, plan.vocabulary_size
    return Data(
        learn_tokenizer(plan.text, *learned),
        load_tokens(plan.text, 0, plan.training_characters, *learned),
        load_tokens(plan.text, 1, plan.validation_characters, *learned),
        plan.validation_characters,
    )


def checkpoint_hash() -> str:
    """Return the SHA-256 of the shipped model's file: what is measured on it belongs to it."""
    return hashlib.sha256(pretrained_path().read_bytes()).hexdigest()


def first_batch(plan: Plan, tokens: Array) -> tuple[Array, Array]:
    """Cut the first windows of a text, as many as a batch has, inputs and targets of (B, T)."""
    size = plan.batch_size * plan.context
    shape = plan.batch_size, plan.context
    return tokens[:size].reshape(shape), tokens[1 : size + 1].reshape(shape)


def fit(model: GPTModel, plan: Plan, data: Data, seed: int) -> list[Row]:
    """Train a model, and return its curve: the mean loss of the steps since the point before."""
    optimizer = AdamW(model.trainable_parameters())
    loader = new_loader(data.training, plan.context, plan.batch_size, seed)
    curve: list[Row] = []
    losses: list[float] = []
    for report in train(model, optimizer, loader, settings=plan.training(seed)):
        losses.append(report.loss)
        done = report.step + 1
        if done % plan.curve_every == 0 or done == plan.steps:
            point: Row = {"step": done, "training_loss": statistics.fmean(losses)}
            if plan.curve_validation:
                point["validation_loss"] = evaluate(model, data.validation)
            curve.append(point)
            losses = []
    return curve


def gradients_by_block(model: GPTModel, inputs: Array, targets: Array) -> tuple[list[float], ...]:
    """Measure how long the gradient is at each depth.

    Returns:
        For each block the length of the loss's gradient with respect to the stream that enters it,
        and with respect to all of its parameters.
    """
    logits, saved = model.forward(inputs)
    _, grad = cross_entropy_loss(logits, targets)
    grad, _ = model.unembed_backward(grad, saved.head)
    grad, _ = model.final_norm.backward(grad, saved.final_norm)
    stream, parameters = [], []
    for block, block_saved in zip(reversed(model.blocks), reversed(saved.blocks), strict=True):
        grad, gradients = block.backward(grad, block_saved)
        stream.append(float(np.linalg.norm(grad)))
        parameters.append(math.hypot(*(float(np.linalg.norm(g)) for g in gradients.values())))
    return stream[::-1], parameters[::-1]


# --- an ablation ---------------------------------------------------------------------------------


def grid(**axes: Iterable[Any]) -> list[Row]:
    """List every combination of the values of some axes.

    Examples:
        >>> grid(norm=["pre", "post"], num_layers=[4])
        [{'norm': 'pre', 'num_layers': 4}, {'norm': 'post', 'num_layers': 4}]
    """
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def keep(model: GPTModel, variant: Row) -> GPTModel:
    """Leave a newborn model as it is."""
    return model


def look_away(model: GPTModel, plan: Plan, data: Data) -> Row:
    """Look at nothing."""
    return {}


def measure_nothing(ablation: "Ablation", tables: Tables) -> Tables:
    """Make no further tables."""
    return {}


def adapt(plan: Plan, variant: Row) -> Plan:
    """Put a variant's values in the place of the plan's, where the plan has such a field.

    Examples:
        >>> adapt(Plan(), {"num_layers": 8, "norm": "post"}).num_layers
        8
    """
    names = {f.name for f in fields(Plan)}
    return replace(plan, **{name: value for name, value in variant.items() if name in names})


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What an ablation varies, and how.

    Args:
        name: Of the script and of its tables.
        plan: What all runs have in common.
        variants: One dictionary a variant, all with the same keys.
        change: Turns a newborn model into a variant, and returns it.
        look: Measures something on a model; the run's row has it before and after training.
        adapt: Makes a variant's plan.
        measure: Makes further tables, under the endings of their names.
        settings: Whatever else the measurement depends on, to be recorded.
    """

    name: str
    plan: Plan
    variants: list[Row]
    change: Callable[[GPTModel, Row], GPTModel] = keep
    look: Callable[[GPTModel, Plan, Data], Row] = look_away
    adapt: Callable[[Plan, Row], Plan] = adapt
    measure: Callable[["Ablation", Tables], Tables] = measure_nothing
    settings: Row = field(default_factory=dict)

    def to_dict(self) -> Row:
        """Return all that is recorded beside the tables, as plain values."""
        plan = asdict(self.plan)
        plan["seeds"] = list(self.plan.seeds)
        return {"plan": plan, "variants": self.variants, **self.settings}


class Task(NamedTuple):
    """One run: a variant and a seed."""

    ablation: Ablation
    variant: Row
    seed: int


class Outcome(NamedTuple):
    """What a run gave: its row, and its curve."""

    row: Row
    curve: list[Row]


def new_model(ablation: Ablation, variant: Row, seed: int) -> GPTModel:
    """Make a newborn model of a variant."""
    plan = ablation.adapt(ablation.plan, variant)
    config = plan.config(len(load_data(plan).tokenizer))
    model = GPTModel(config, rng=np.random.default_rng((seed, 0)))
    return ablation.change(model, variant)


def train_variant(task: Task) -> Outcome:
    """Train one variant from one seed, and look at it before and after."""
    ablation, variant, seed = task
    plan = ablation.adapt(ablation.plan, variant)
    data = load_data(plan)
    model = new_model(ablation, variant, seed)
    before = {f"{k}_before": v for k, v in ablation.look(model, plan, data).items()}
    curve = fit(model, plan, data, seed)
    after = {f"{k}_after": v for k, v in ablation.look(model, plan, data).items()}
    loss = evaluate(model, data.validation)
    bits = bits_per_character(loss, len(data.validation) - 1, data.validation_characters)
    losses = {
        "steps": plan.steps,
        "training_loss": curve[-1]["training_loss"],
        "validation_loss": loss,
        "bits_per_character": bits,
    }
    key = {**variant, "seed": seed}
    return Outcome(key | losses | before | after, [key | point for point in curve])


def summarize(variants: list[Row], runs: list[Row]) -> list[Row]:
    """Take the mean and the range of the validation loss over the seeds of each variant.

    Examples:
        >>> runs = [{"norm": "pre", "validation_loss": 3.0, "bits_per_character": 2.0},
        ...     {"norm": "pre", "validation_loss": 4.0, "bits_per_character": 2.5}]
        >>> summarize([{"norm": "pre"}], runs)[0]["validation_loss"]
        3.5
    """
    rows = []
    for variant in variants:
        own = [row for row in runs if variant.items() <= row.items()]
        losses = [row["validation_loss"] for row in own]
        rows.append(
            {
                **variant,
                "seeds": len(own),
                "validation_loss": statistics.fmean(losses),
                "validation_loss_lowest": min(losses),
                "validation_loss_highest": max(losses),
                "bits_per_character": statistics.fmean(row["bits_per_character"] for row in own),
            }
        )
    return rows


@contextmanager
def process_pool(processes: int) -> Iterator[OrderedMap]:
    """Offer a `map` over processes; with one it is Python's own, and no process starts."""
    if processes == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=keep_freed_memory) as executor:
        yield executor.map


def describe(row: Row) -> str:
    """Show a row in one line.

    Examples:
        >>> describe({"norm": "pre", "validation_loss": 3.25})
        'norm pre, validation_loss 3.25'
    """
    shown = {key: f"{v:.4g}" if isinstance(v, float) else v for key, v in row.items()}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def train_all(ablation: Ablation, processes: int) -> Tables:
    """Train every variant from every seed, and collect the tables."""
    tasks = [Task(ablation, v, seed) for v in ablation.variants for seed in ablation.plan.seeds]
    runs, curves = [], []
    with process_pool(processes) as ordered_map:
        for number, (row, curve) in enumerate(ordered_map(train_variant, tasks), 1):
            runs.append(row)
            curves += curve
            shown = {name: row[name] for name in (*tasks[0].variant, "seed", "validation_loss")}
            print(f"{number}/{len(tasks)}: {describe(shown)}", flush=True)
    return {"": summarize(ablation.variants, runs), "_runs": runs, "_curves": curves}


def parse(ablation: Ablation, command_line: list[str] | None) -> argparse.Namespace:
    """Read the command line of an ablation."""
    parser = argparse.ArgumentParser(
        prog=f"python -m experiments.{ablation.name}",
        description=f"Repeat the ablation {ablation.name!r} and write its tables.",
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="try it in a second, on a tiny model")
    add("--output", type=Path, default=LOGS, help="directory of the tables (experiments/logs)")
    add("--processes", type=positive, default=default_workers(), help="runs at a time; same result")
    arguments = parser.parse_args(command_line)
    if arguments.quick and arguments.output == LOGS:
        parser.error("expected --output with --quick: a trial does not write over the logs")
    return arguments


def run(ablation: Ablation, command_line: list[str] | None = None) -> None:
    """Repeat an ablation: train, measure, and write its tables.

    Args:
        ablation: What is varied.
        command_line: `--quick`, `--output`, `--processes`; that of the program unless given.
    """
    arguments = parse(ablation, command_line)
    command = f"python -m experiments.{ablation.name}"
    if arguments.quick:
        ablation = replace(ablation, plan=trial(ablation.plan))
        command += " --quick"
    tables = train_all(ablation, arguments.processes)
    tables |= ablation.measure(ablation, tables)
    for ending, rows in tables.items():
        name, settings = ablation.name + ending, ablation.to_dict()
        write_table(name, rows, command=command, settings=settings, directory=arguments.output)
        print(f"written: {arguments.output / name}.csv, {len(rows)} rows")
