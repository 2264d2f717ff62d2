"""A whole training run: progress, a log, evaluation, samples, checkpoints, going on after a stop.

`run` is what the training scripts share.
It asks nothing of the clock but the times it shows: the steps, the evaluations and the checkpoints
come by the number of the step, so a run that was stopped and resumed equals one that was not.
"""

import argparse
import csv
import hashlib
import io
import math
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import numpy as np

from literategpt.files import replace_file
from literategpt.model import GPTModel
from literategpt.optimizer import AdamW
from literategpt.tokenizer import BPETokenizer
from literategpt.training import StepReport, TrainingSettings, evaluate, train, worker_pool
from literategpt.types import Array
from literategpt.utils import DataLoader, TextDataset

__all__ = ["Run", "RunResult", "TrainingLog", "run"]

LOG_COLUMNS = (
    "step", "seconds", "training_loss", "validation_loss", "learning_rate", "gradient_norm",
)  # fmt: skip


class TrainingLog:
    """A CSV file with one line a step; the validation loss stands where one was measured.

    Args:
        path: The file.
        start_step: Lines of this step and later ones are dropped: they were written after the
            checkpoint that the run goes on from.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     log = TrainingLog(Path(directory) / "log.csv", start_step=0)
        ...     log.write(StepReport(0, 7.6, 0.001, 2.0, 4096, 0.25), 0.25, None)
        ...     print(log.path.read_text(encoding="utf-8").splitlines()[1])
        0,0.25,7.6,,0.001,2.0
    """

    def __init__(self, path: Path, start_step: int) -> None:
        self.path = path
        kept = []
        if start_step > 0 and path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                kept = [row for row in csv.reader(file) if row and row[0].isdigit()]
            kept = [row for row in kept if int(row[0]) < start_step]
        self.seconds = float(kept[-1][1]) if kept else 0.0
        with replace_file(path) as binary:
            text = io.TextIOWrapper(binary, "utf-8", newline="")
            csv.writer(text, lineterminator="\n").writerows([LOG_COLUMNS, *kept])
            text.flush()
            text.detach()

    def write(self, report: StepReport, seconds: float, validation_loss: float | None) -> None:
        """Add a line; seconds count from the start of the run, without pauses."""
        row = (
            report.step,
            round(seconds, 3),
            round(report.loss, 6),
            "" if validation_loss is None else round(validation_loss, 6),
            float(f"{report.learning_rate:.6g}"),
            round(report.gradient_norm, 6),
        )
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)


class Interrupt:
    """Remembers that the run was asked to stop, so that a step is never cut in two."""

    requested = False


@contextmanager
def stop_between_steps() -> Iterator[Interrupt]:
    """Turn Ctrl-C and a polite request to end into a flag; a second Ctrl-C stops at once."""
    interrupt = Interrupt()

    def remember(number: int, frame: FrameType | None) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def format_duration(seconds: float) -> str:
    """Write a time as seconds, minutes or hours.

    Examples:
        >>> [format_duration(s) for s in (41, 240, 9000)]
        ['41 s', '4 min', '2.5 h']
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def progress_line(report: StepReport, total_steps: int, seconds: float) -> str:
    """Say where a run stands, in one line.

    Args:
        report: Of the last step.
        total_steps: Length of the run.
        seconds: What a step takes, on average.

    Examples:
        >>> progress_line(StepReport(99, 5.25, 0.003, 1.0, 4096, 0.2), 1000, 0.25)
        'step 100/1,000  loss 5.250  rate 3.0e-03  16,384 tokens/s  4 min left'
    """
    left = (total_steps - report.step - 1) * seconds
    return (
        f"step {report.step + 1:,}/{total_steps:,}  loss {report.loss:.3f}  "
        f"rate {report.learning_rate:.1e}  {report.tokens / seconds:,.0f} tokens/s  "
        f"{format_duration(left)} left"
    )


@dataclass
class Run:
    """Everything a training run needs.

    Args:
        model: Trained in place.
        tokenizer: Shows samples; stored in the checkpoint by `save`.
        optimizer: Over the model's trainable parameters.
        loader: Gives the batches.
        validation: Token ids to be judged on.
        validation_characters: Length of that text, for bits per character.
        settings: The numbers of the run.
        save: Writes a checkpoint, given the number of steps done.
        log_path: The CSV file.
        start_step: Steps done before.
        evaluate_every: Steps from one evaluation to the next.
        checkpoint_every: Steps from one checkpoint to the next.
        workers: Number of threads; the result does not depend on it.
        prompt: Start of the samples shown with each evaluation.
        ignore_index: Targets that do not count.

    Examples:
        >>> import inspect
        >>> [name for name in inspect.signature(Run).parameters][:4]
        ['model', 'tokenizer', 'optimizer', 'loader']
    """

    model: GPTModel
    tokenizer: BPETokenizer
    optimizer: AdamW
    loader: DataLoader
    validation: Array
    validation_characters: int
    settings: TrainingSettings
    save: Callable[[int], None]
    log_path: Path
    start_step: int = 0
    evaluate_every: int = 500
    checkpoint_every: int = 100
    workers: int = 1
    prompt: str = "\n"
    ignore_index: int | None = None

    def is_due(self, done: int, every: int) -> bool:
        """Tell whether something that comes every so many steps, and at the end, comes now."""
        return done % every == 0 or done == self.settings.total_steps

    def measure(self) -> float:
        """Evaluate the model on the validation text, in nats per token."""
        with worker_pool(self.workers) as ordered_map:
            return evaluate(self.model, self.validation, ordered_map=ordered_map)

    def sample(self, count: int = 60, seed: int = 0) -> str:
        """Let the model write on from the prompt."""
        tokens = np.array([self.tokenizer.encode(self.prompt)])
        written = self.model.generate(
            tokens, count, temperature=0.8, top_p=0.95, rng=np.random.default_rng(seed)
        )
        return self.tokenizer.decode(written[0].tolist())


class RunResult(NamedTuple):
    """How a run ended."""

    steps: int  # done in all
    finished: bool
    training_loss: float | None  # mean of the last steps, nats per token
    validation_loss: float | None  # nats per token
    seconds: float  # of this session and those before


def nats_per_character(loss: float, targets: int, characters: int) -> float:
    """Turn nats per token into nats per character, to compare across tokenizers.

    Examples:
        >>> nats_per_character(4.0, targets=10, characters=40)
        1.0
    """
    return loss * targets / characters


def bits_per_character(loss: float, targets: int, characters: int) -> float:
    """Turn nats per token into bits per character, to compare across tokenizers.

    Examples:
        >>> round(bits_per_character(math.log(2), targets=10, characters=40), 3)
        0.25
    """
    return nats_per_character(loss, targets, characters) / math.log(2)


def describe_evaluation(task: Run, step: int, loss: float) -> str:
    """Say how well the model does on the validation text, and let it write a little."""
    bits = bits_per_character(loss, len(task.validation) - 1, task.validation_characters)
    sample = task.sample().strip().replace("\n", "\n    ")
    return (
        f"step {step:,}: validation loss {loss:.4f} nats per token, "
        f"{bits:.4f} bits per character\n    {sample}"
    )


class Pace:
    """Shows progress: in place on a terminal, otherwise a line now and then."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.on_terminal = sys.stdout.isatty()
        self.line_is_open = False

    def show(self, report: StepReport, total_steps: int) -> None:
        """Show the line of a step."""
        self.times = [*self.times[-49:], report.seconds]
        line = progress_line(report, total_steps, sum(self.times) / len(self.times))
        if self.on_terminal:
            print(f"\r{line:<79}", end="", flush=True)
            self.line_is_open = True
        elif (report.step + 1) % 50 == 0:
            print(line, flush=True)

    def end_line(self) -> None:
        """Go to a new line, so that what follows does not overwrite the progress."""
        if self.line_is_open:
            print()
            self.line_is_open = False


def run(task: Run, say: Callable[[str], None] = print) -> RunResult:
    """Train to the last step, or until asked to stop; save, log and report along the way.

    Args:
        task: What to train, and how.
        say: Shows a line.

    Returns:
        How it ended.

    Examples:
        >>> import tempfile
        >>> from literategpt.model import GPTConfig
        >>> tokenizer = BPETokenizer()
        >>> tokenizer.train("to be or not to be " * 20, 20)
        >>> tokens = encode(tokenizer, "to be or not to be " * 20)
        >>> config = GPTConfig(vocabulary_size=20, max_sequence_length=8, embedding_dim=8)
        >>> model = GPTModel(config, rng=np.random.default_rng(0))
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     result = run(Run(
        ...         model=model, tokenizer=tokenizer, loader=new_loader(tokens, 8, 4, seed=0),
        ...         optimizer=AdamW(model.trainable_parameters()), validation=tokens,
        ...         validation_characters=380, settings=TrainingSettings(total_steps=3),
        ...         save=lambda step: None, log_path=Path(directory) / "log.csv",
        ...     ), say=lambda line: None)
        >>> result.steps, result.finished
        (3, True)
    """
    log = TrainingLog(task.log_path, task.start_step)
    started, before = time.perf_counter(), log.seconds
    done, validation_loss, losses = task.start_step, None, deque[float](maxlen=100)
    reports = train(
        task.model, task.optimizer, task.loader, settings=task.settings,
        start_step=task.start_step, ignore_index=task.ignore_index, workers=task.workers,
    )  # fmt: skip
    pace = Pace()
    with stop_between_steps() as interrupt:
        for report in reports:
            done = report.step + 1
            losses.append(report.loss)
            validation_loss = None
            if task.is_due(done, task.evaluate_every):
                pace.end_line()
                validation_loss = task.measure()
                say(describe_evaluation(task, done, validation_loss))
            log.write(report, before + time.perf_counter() - started, validation_loss)
            pace.show(report, task.settings.total_steps)
            if interrupt.requested or task.is_due(done, task.checkpoint_every):
                task.save(done)
            if interrupt.requested:
                break
    pace.end_line()
    seconds = before + time.perf_counter() - started
    training_loss = sum(losses) / len(losses) if losses else None
    finished = done == task.settings.total_steps
    return RunResult(done, finished, training_loss, validation_loss, seconds)


def encode(tokenizer: BPETokenizer, text: str) -> Array:
    """Turn a text into a row of token ids."""
    return np.array(tokenizer.encode(text))


def new_loader(tokens: Array, sequence_length: int, batch_size: int, seed: int) -> DataLoader:
    """Make a loader of windows that start anywhere in a text, in an order that the seed fixes."""
    dataset = TextDataset(tokens, sequence_length, stride=1)
    return DataLoader(dataset, batch_size, drop_last=True, rng=np.random.default_rng((seed, 1)))


def text_hash(*texts: str) -> str:
    """Hash texts, to recognise the data that a run was started with."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def default_workers() -> int:
    """Count the processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_losses(task: Run, result: RunResult) -> list[str]:
    """Say in a few lines how a run ended."""
    lines = [f"{result.steps:,} steps done in {format_duration(result.seconds)}"]
    if result.training_loss is not None:
        lines.append(f"training loss of the last steps: {result.training_loss:.4f} nats per token")
    if result.validation_loss is not None:
        size = len(task.validation) - 1, task.validation_characters
        nats = nats_per_character(result.validation_loss, *size)
        lines.append(
            f"validation loss: {result.validation_loss:.4f} nats per token, "
            f"{nats:.4f} nats or {nats / math.log(2):.4f} bits per character"
        )
    return lines


def duration(text: str) -> float:
    """Read a positive, finite number from the command line."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


def positive(text: str) -> int:
    """Read a positive whole number from the command line."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {value}")
    return value
