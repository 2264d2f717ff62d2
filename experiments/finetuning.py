"""What do full fine-tuning and LoRA learn, forget and cost? `python -m experiments.finetuning`.

It takes about 15 minutes on two processors, and needs the prepared corpus.
With `--time` it only measures how long a step takes, in a minute, on a machine without other work.

Every run starts from the shipped model and reads the fables for the same number of steps.
What is learned is the loss on the fables' validation part, what is forgotten the loss on the
validation plays, both in nats per token.
LoRA has alpha / rank = 2 throughout, and is on query and value with rank 4 where nothing else is
said.

- `finetuning_sweep`: which learning rate suits each method?
  The loss at the end decides, on one seed, and of rates that tie the lowest is taken; all rates
  together are the frontier of learned against forgotten.
- `finetuning_seeds`: both methods at their rate, with seeds that had no part in choosing it:
  losses, trained parameters, the optimizer's memory; samples are in the JSON file.
- `finetuning_ranks`, `finetuning_targets`: LoRA by rank, and by the layers it is put on, at the
  rate that was chosen for query and value with rank 4.
- `finetuning_curves`: the losses of all these runs along the way.
- `finetuning_spectrum`: of the change of each matrix, the share of the sum of squares that its
  first directions hold, for both methods and for a random matrix.
- `finetuning_cut`: the losses when only the first directions of each matrix's change are kept in
  the fully fine-tuned models; embeddings, norms and biases keep theirs, also at rank 0.
- `finetuning_time`: seconds a step, the two methods in turns.

In the curves and the cuts "plays" is only the start of the validation plays, `part_characters`.
A run is a function of its trial, so the tables do not depend on the number of processes.
"""

import argparse
import functools
import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.small import Tables, process_pool
from experiments.tables import LOGS, Row, write_table
from literategpt.corpus import corpus_directory, load_text, prepare_corpus, split_text
from literategpt.finetuning import (
    BATCH_SIZE,
    SEQUENCE_LENGTH,
    STEPS,
    finetuning_settings,
    optimizer_bytes,
    trained_parameters,
)
from literategpt.lora import TARGETS, apply_lora, base_hash, merge_lora
from literategpt.model import GPTModel
from literategpt.optimizer import AdamW
from literategpt.pretrained import fables_path, pretrained_path
from literategpt.records import describe_machine
from literategpt.runs import default_workers, encode, new_loader, positive, text_hash
from literategpt.tokenizer import BPETokenizer
from literategpt.training import evaluate, keep_freed_memory, train
from literategpt.types import Array
from literategpt.utils import load_checkpoint

ALPHA_PER_RANK = 2.0
TIE = 0.02
"""Losses that differ by less, in nats per token, are taken as equal: LoRA's differ so by seed."""

PROMPT = "The king"
DIRECTIONS = (1, 2, 4, 8, 16, 32)
CUTS = (0, 1, 2, 4, 8, 16, 32, 64)

METHODS = ("full", "lora")


# --- what is run ---------------------------------------------------------------------------------


class Plan(NamedTuple):
    """The values that are tried."""

    rates: dict[str, tuple[float, ...]]
    seeds: tuple[int, ...]  # beside 0, the seed of the sweep
    ranks: tuple[int, ...]
    targets: tuple[tuple[str, ...], ...]
    rounds: int  # of measuring time
    steps_a_round: int


def doublings(first: float, count: int) -> tuple[float, ...]:
    """List rates, each twice the one before.

    Examples:
        >>> doublings(0.001, 3)
        (0.001, 0.002, 0.004)
    """
    return tuple(first * 2**i for i in range(count))


WHOLE = Plan(
    rates={"full": doublings(5e-5, 7), "lora": doublings(1e-3, 8)},
    seeds=(1, 2, 3),
    ranks=(1, 2, 4, 8, 16, 32),
    targets=(("query", "value"), TARGETS[:4], TARGETS[4:], TARGETS),
    rounds=40,
    steps_a_round=5,
)
QUICK = Plan(
    rates={"full": doublings(1e-3, 2), "lora": doublings(1e-3, 2)},
    seeds=(1,),
    ranks=(1, 4),
    targets=(("query", "value"), TARGETS),
    rounds=2,
    steps_a_round=1,
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all runs have in common.

    Args:
        checkpoint: The model to start from.
        data: The new text; its last tenth is for validation.
        plays: What the model may forget.
        steps: Length of a run.
        batch_size: Sequences in a step.
        sequence_length: Tokens in a sequence.
        evaluate_every: Steps from one point of the curve to the next.
        part_characters: How much of the plays a point of the curve is measured on.
    """

    checkpoint: Path
    data: Path
    plays: Path
    steps: int = STEPS
    batch_size: int = BATCH_SIZE
    sequence_length: int = SEQUENCE_LENGTH
    evaluate_every: int = 25
    part_characters: int = 30_000


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What makes one run differ from the others; rank and targets are LoRA's."""

    method: str
    learning_rate: float
    seed: int = 0
    rank: int = 4
    targets: tuple[str, ...] = ("query", "value")

    def key(self) -> Row:
        """Return what identifies the run in a table; full fine-tuning has no rank and targets."""
        lora = self.method == "lora"
        return {
            "method": self.method,
            "learning_rate": self.learning_rate,
            "rank": self.rank if lora else None,
            "targets": "+".join(self.targets) if lora else None,
            "seed": self.seed,
        }


class Outcome(NamedTuple):
    """What a run gave."""

    result: Row  # losses at the end, sizes
    curve: list[Row]
    sample: str
    spectrum: list[Row]
    cut: list[Row]  # empty for LoRA


Outcomes = dict[Trial, Outcome]


# --- one run -------------------------------------------------------------------------------------


class Texts(NamedTuple):
    """The tokens that a run reads."""

    training: Array  # of the fables
    fables: Array  # held out
    plays: Array  # held out when the base was trained
    part: Array  # the start of these


@functools.cache
def read_texts(setting: Setting) -> Texts:
    """Turn the texts into the base's tokens; a process does it once."""
    tokenizer = load_checkpoint(setting.checkpoint).tokenizer
    training, fables = split_text(load_text(setting.data))
    plays = load_text(setting.plays)
    texts = (training, fables, plays, plays[: setting.part_characters])
    return Texts(*(encode(tokenizer, text) for text in texts))


def adapt(model: GPTModel, trial: Trial) -> None:
    """Put the corrections on a base, if the trial is one of LoRA."""
    if trial.method == "lora":
        rng = np.random.default_rng((trial.seed, 2))
        apply_lora(model, trial.rank, ALPHA_PER_RANK * trial.rank, trial.targets, rng=rng)


def fit(model: GPTModel, optimizer: AdamW, setting: Setting, trial: Trial) -> list[Row]:
    """Train a model, and return its curve; a training loss is the mean since the point before."""
    texts = read_texts(setting)
    loader = new_loader(texts.training, setting.sequence_length, setting.batch_size, trial.seed)
    settings = finetuning_settings(setting.steps, trial.learning_rate, trial.seed)

    def point(step: int, training_loss: float | None) -> Row:
        fables, plays = evaluate(model, texts.fables), evaluate(model, texts.part)
        return {"step": step, "training_loss": training_loss, "fables": fables, "plays": plays}

    curve, losses = [point(0, None)], []
    for report in train(model, optimizer, loader, settings=settings):
        losses.append(report.loss)
        done = report.step + 1
        if done % setting.evaluate_every == 0 or done == setting.steps:
            curve.append(point(done, statistics.fmean(losses)))
            losses = []
    return curve


def write_sample(model: GPTModel, tokenizer: BPETokenizer, count: int = 80) -> str:
    """Let a model write on from the prompt, from the same random numbers each time."""
    rng = np.random.default_rng(0)
    tokens = np.array([tokenizer.encode(PROMPT)])
    return tokenizer.decode(model.generate(tokens, count, 0.8, top_p=0.95, rng=rng)[0].tolist())


def matrices(model: GPTModel) -> dict[str, Array]:
    """Copy the weights of all layers that LoRA could be put on."""
    return {
        name: array.copy()
        for name, array in model.named_parameters().items()
        if name.endswith(".weight") and name.split(".")[-2] in TARGETS
    }


def shares(matrix: Array) -> Row:
    """Measure which share of a matrix's sum of squares its first directions hold.

    Examples:
        >>> shares(np.diag([2.0, 1.0, 1.0, 0.0]))["share_1"].round(3)
        np.float64(0.667)
    """
    energy = np.linalg.svd(matrix.astype("float64"), compute_uv=False) ** 2
    held = np.cumsum(energy) / np.sum(energy)
    return {f"share_{count}": held[min(count, len(held)) - 1] for count in DIRECTIONS}


def spectrum_of(before: dict[str, Array], after: dict[str, Array]) -> list[Row]:
    """Measure the change of each matrix that changed: its length, relatively, and its shares."""
    rows = []
    for name, matrix in after.items():
        change = matrix - before[name]
        if np.any(change):
            length = float(np.linalg.norm(change) / np.linalg.norm(before[name]))
            rows.append({"matrix": name, "relative_change": length, **shares(change)})
    return rows


def cut_changes(model: GPTModel, before: dict[str, Array], texts: Texts) -> list[Row]:
    """Keep only the first directions of each matrix's change, and measure the losses."""
    parameters = model.named_parameters()
    parts = {
        name: np.linalg.svd(parameters[name] - old, full_matrices=False)
        for name, old in before.items()
    }
    rows = []
    for rank in CUTS:
        for name, old in before.items():
            left, values, right = parts[name]
            parameters[name][...] = old + (left[:, :rank] * values[:rank]) @ right[:rank]
        fables, plays = evaluate(model, texts.fables), evaluate(model, texts.part)
        rows.append({"rank": rank, "fables": fables, "plays": plays})
    return rows


def perform(setting: Setting, trial: Trial) -> Outcome:
    """Fine-tune the base as the trial says, and look at what came of it."""
    texts = read_texts(setting)
    model, tokenizer = load_checkpoint(setting.checkpoint)[:2]
    before = matrices(model)
    adapt(model, trial)
    optimizer = AdamW(model.trainable_parameters())
    curve = fit(model, optimizer, setting, trial)
    best = min(curve, key=lambda point: point["fables"])
    result = {
        "training_loss": curve[-1]["training_loss"],
        "fables": curve[-1]["fables"],
        "plays": evaluate(model, texts.plays),
        "lowest_fables": best["fables"],
        "lowest_at_step": best["step"],
        "trained_parameters": trained_parameters(model),
        "optimizer_bytes": optimizer_bytes(optimizer),
    }
    sample = write_sample(model, tokenizer)
    if trial.method == "lora":
        merge_lora(model)
    spectrum = spectrum_of(before, matrices(model))
    cut = cut_changes(model, before, texts) if trial.method == "full" else []
    return Outcome(result, curve, sample, spectrum, cut)


# --- all runs ------------------------------------------------------------------------------------


def perform_all(setting: Setting, trials: Iterable[Trial], processes: int) -> Outcomes:
    """Perform each trial once, however often it is listed, and show what came of it."""
    different = list(dict.fromkeys(trials))
    outcomes: Outcomes = {}
    with process_pool(processes) as ordered_map:
        results = ordered_map(functools.partial(perform, setting), different)
        for trial, outcome in zip(different, results, strict=True):
            outcomes[trial] = outcome
            shown = ", ".join(f"{k} {v}" for k, v in trial.key().items() if v is not None)
            losses = f"fables {outcome.result['fables']:.4f}, plays {outcome.result['plays']:.4f}"
            print(f"{len(outcomes)}/{len(different)} {shown}: {losses}", flush=True)
    return outcomes


def choose(outcomes: Outcomes) -> dict[str, float]:
    """Find for each method the rate with the lowest loss on the fables at the end of the run.

    Of rates that tie, the lowest is taken, because it forgets the least.
    """
    chosen = {}
    for method in METHODS:
        own = [trial for trial in outcomes if trial.method == method]
        losses = {trial: outcomes[trial].result["fables"] for trial in own}
        best = next(trial for trial in own if losses[trial] < min(losses.values()) + TIE)
        chosen[method] = best.learning_rate
        if best.learning_rate in (own[0].learning_rate, own[-1].learning_rate):
            print(f"the best rate of {method} is at the edge of those tried", flush=True)
    return chosen


def random_shares(shape: tuple[int, ...], draws: int = 20) -> Row:
    """Average the shares of random matrices of a shape."""
    rng = np.random.default_rng(0)
    drawn = [shares(rng.normal(size=shape)) for _ in range(draws)]
    return {name: statistics.fmean(float(row[name]) for row in drawn) for name in drawn[0]}


def spectrum_table(trials: Sequence[Trial], outcomes: Outcomes, base: GPTModel) -> list[Row]:
    """Join the spectra of some runs, with those of random matrices of the same shapes."""
    rows = [
        {"method": trial.method, "seed": trial.seed, **row}
        for trial in trials
        for row in outcomes[trial].spectrum
    ]
    for shape in sorted({matrix.shape for matrix in matrices(base).values()}):
        name = " x ".join(map(str, shape))
        key = {"method": "random", "seed": None, "matrix": name, "relative_change": None}
        rows.append({**key, **random_shares(shape)})
    return rows


def compare(setting: Setting, plan: Plan, processes: int) -> tuple[Tables, Row, dict[str, str]]:
    """Perform all trials; return the tables, what is recorded beside them, and samples."""
    base, tokenizer = load_checkpoint(setting.checkpoint)[:2]
    settings = describe(setting, base)
    sweep = [Trial(method=m, learning_rate=rate) for m in METHODS for rate in plan.rates[m]]
    outcomes = perform_all(setting, sweep, processes)
    chosen = choose(outcomes)
    trials = {method: Trial(method=method, learning_rate=chosen[method]) for method in METHODS}
    lists = {
        "seeds": [replace(trials[m], seed=seed) for m in METHODS for seed in plan.seeds],
        "ranks": [replace(trials["lora"], rank=r, seed=s) for r in plan.ranks for s in plan.seeds],
        "targets": [
            replace(trials["lora"], targets=t, seed=s) for t in plan.targets for s in plan.seeds
        ],
    }
    outcomes |= perform_all(setting, itertools.chain(*lists.values()), processes)
    tables = {
        name: [trial.key() | outcomes[trial].result for trial in trials]
        for name, trials in {"sweep": sweep, **lists}.items()
    }
    tables["curves"] = [t.key() | point for t, o in outcomes.items() for point in o.curve]
    tables["spectrum"] = spectrum_table(lists["seeds"], outcomes, base)
    tables["cut"] = [{"seed": t.seed, **row} for t in lists["seeds"] for row in outcomes[t].cut]
    samples = {f"{t.method}, seed {t.seed}": outcomes[t].sample for t in lists["seeds"]}
    samples["before"] = write_sample(base, tokenizer)
    return tables, settings | {"chosen_rates": chosen}, samples


def describe(setting: Setting, base: GPTModel) -> Row:
    """Say what all runs have in common, and how the base does before."""
    texts = read_texts(setting)
    numbers = {name: v for name, v in vars(setting).items() if isinstance(v, int)}
    return {
        "base": base_hash(base),
        "data": text_hash(load_text(setting.data)),
        **numbers,
        "dropout": base.config.dropout,
        "parameters": base.num_parameters(),
        "training_tokens": len(texts.training),
        "fables_tokens": len(texts.fables),
        "plays_tokens": len(texts.plays),
        "alpha_per_rank": ALPHA_PER_RANK,
        "fables_before": evaluate(base, texts.fables),
        "plays_before": evaluate(base, texts.plays),
        "part_before": evaluate(base, texts.part),
        "prompt": PROMPT,
    }


# --- time ----------------------------------------------------------------------------------------


def measure_steps(setting: Setting, plan: Plan) -> dict[str, list[float]]:
    """Let both methods do a few steps in turns, and return the seconds of each step."""
    texts, reports = read_texts(setting), {}
    total = (plan.rounds + 1) * plan.steps_a_round
    for method in METHODS:
        trial = Trial(method=method, learning_rate=plan.rates[method][0])
        model = load_checkpoint(setting.checkpoint).model
        adapt(model, trial)
        optimizer = AdamW(model.trainable_parameters())
        loader = new_loader(texts.training, setting.sequence_length, setting.batch_size, 0)
        settings = finetuning_settings(total, trial.learning_rate, 0)
        reports[method] = train(
            model, optimizer, loader, settings=settings, workers=default_workers()
        )
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    for number in range(plan.rounds + 1):
        for method in sorted(METHODS, reverse=number % 2 == 1):
            steps = list(itertools.islice(reports[method], plan.steps_a_round))
            # The first round warms up.
            if number > 0:
                seconds[method] += [report.seconds for report in steps]
    return seconds


def time_table(seconds: dict[str, list[float]]) -> list[Row]:
    """Return the median and the quartiles of a step, in seconds, a row a method."""
    rows = []
    for method, values in seconds.items():
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        quartiles = {"lower_quartile": low, "median": middle, "upper_quartile": high}
        rows.append({"method": method, **quartiles, "steps": len(values)})
    return rows


# --- the command ---------------------------------------------------------------------------------


def parse(command_line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.finetuning",
        description="Compare full fine-tuning with LoRA, and write the tables.",
    )
    add = parser.add_argument
    add("--time", action="store_true", help="measure the time of a step instead")
    add("--quick", action="store_true", help="try it in a few short runs; needs --output")
    add("--output", type=Path, default=LOGS, help="directory of the tables (experiments/logs)")
    add("--processes", type=positive, default=default_workers(), help="runs at a time; same result")
    add("--checkpoint", type=Path, help="model to start from; the shipped one unless given")
    add("--data", type=Path, help="the new text; the shipped fables unless given")
    add("--plays", type=Path, help="the old text; the validation plays unless given")
    arguments = parser.parse_args(command_line)
    if arguments.quick and arguments.output == LOGS:
        parser.error("expected --output with --quick, which would write over the logs")
    return arguments


def setting_of(arguments: argparse.Namespace) -> Setting:
    """Find the files, and choose the numbers that all runs have in common."""
    plays = arguments.plays
    if plays is None:
        prepare_corpus()
        plays = corpus_directory() / "validation.txt"
    setting = Setting(
        checkpoint=arguments.checkpoint or pretrained_path(),
        data=arguments.data or fables_path(),
        plays=plays,
    )
    if not arguments.quick:
        return setting
    short = replace(setting, steps=4, evaluate_every=2, part_characters=2000)
    return replace(short, batch_size=2, sequence_length=16)


def main(command_line: list[str] | None = None) -> None:
    """Repeat the comparison, or measure the time, and write the tables."""
    arguments = parse(command_line)
    setting, plan = setting_of(arguments), QUICK if arguments.quick else WHOLE
    command = "python -m experiments.finetuning" + " --quick" * arguments.quick
    keep_freed_memory()
    if arguments.time:
        load = describe_machine()["load_before"]
        tables = {"time": time_table(measure_steps(setting, plan))}
        numbers = {"batch_size": setting.batch_size, "sequence_length": setting.sequence_length}
        settings = {**numbers, "workers": default_workers(), "load_before": load}
        command += " --time"
    else:
        tables, settings, samples = compare(setting, plan, arguments.processes)
    for name, rows in tables.items():
        table = f"finetuning_{name}"
        own = settings | ({"samples": samples} if name == "seeds" else {})
        write_table(table, rows, command=command, settings=own, directory=arguments.output)
        print(f"written: {arguments.output / table}.csv, {len(rows)} rows")


if __name__ == "__main__":
    main()
