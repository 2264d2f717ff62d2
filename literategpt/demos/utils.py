"""The demo of `literategpt.utils`: windows, batches, and a model saved and loaded again."""

import tempfile
from pathlib import Path

import numpy as np

from literategpt.demos.narration import heading, number, say, show, table, title, vector, yes
from literategpt.model import GPTConfig, GPTModel, cross_entropy_loss
from literategpt.optimizer import AdamW
from literategpt.tokenizer import BPETokenizer
from literategpt.utils import (
    Checkpoint,
    CheckpointError,
    DataLoader,
    TextDataset,
    load_checkpoint,
    save_checkpoint,
)

TEXT = "to be or not to be that is the question"


def show_windows(dataset: TextDataset) -> None:
    """Print a table of the windows of a data set."""
    windows = [dataset[i] for i in range(len(dataset))]
    table(
        {
            "window": range(len(windows)),
            "inputs": [vector(inputs) for inputs, _ in windows],
            "targets": [vector(targets) for _, targets in windows],
        }
    )


def section_windows() -> None:
    """Cut a row of tokens into windows."""
    heading("TextDataset: windows, and what came next")
    tokens = list(range(10, 18))
    dataset = TextDataset(tokens, sequence_length=3)
    say(f"""A text is one long row of tokens. It is cut into windows of
        {number(dataset.sequence_length)}, and the targets are the inputs shifted by one place: at
        every place the model is to name the token that came next.""")
    show("tokens", tokens)
    show_windows(dataset)
    last_inputs, last_targets = dataset[len(dataset) - 1]
    say(f"""The last window ends at the last token, {number(last_targets[-1])}, even where the
        tokens do not divide evenly; it then overlaps the one before. A shorter stride makes more
        windows, which overlap; here from the first few tokens:""")
    show_windows(TextDataset(tokens[:6], sequence_length=3, stride=1))
    say(f"""Inputs and targets share all tokens but two: the inputs {vector(last_inputs)} and the
        targets {vector(last_targets)}. Shifting twice would ask for the token after the next, and
        the model would leave out every other token when it writes.""")


def make_loader() -> DataLoader:
    """Make a loader over ten windows of one input each, in batches of four."""
    dataset = TextDataset(np.arange(11), sequence_length=1)
    return DataLoader(dataset, 4, rng=np.random.default_rng(0))


def epoch(loader: DataLoader) -> str:
    """Run through what is left of an epoch, and write the first input of each window."""
    return "  ".join(vector(inputs[:, 0]) for inputs, _ in loader)


def section_batches() -> None:
    """Run through two epochs, and stop in the middle of the next."""
    heading("DataLoader: every window once an epoch, in a new order")
    loader = make_loader()
    say(f"""{number(len(loader.dataset))} windows of one token each, in batches of
        {number(loader.batch_size)}; the last batch has what is left. Each epoch has its own order,
        which follows from a seed and the number of the epoch.""")
    show("first epoch", epoch(loader))
    show("second epoch", epoch(loader))
    state = loader.state()
    show("state", ", ".join(name if name == "seed" else f"{name} {state[name]}" for name in state))
    say(f"""Where a loader stands is {number(len(state))} integers. Another loader that is given
        them goes on where the first one was stopped: here after one batch of the next
        epoch. Epochs and batches are counted from zero.""")
    next(iter(loader))
    other = make_loader()
    other.restore(loader.state())
    state = loader.state()
    show("stopped at", f"epoch {state['epoch']}, batch {state['batch']}")
    show("the first goes on", epoch(loader))
    show("the other goes on", epoch(other))


def go_on(checkpoint: Checkpoint, steps: int) -> Checkpoint:
    """Train on from a checkpoint, and return where it leads."""
    model, tokenizer, optimizer = checkpoint.model, checkpoint.tokenizer, checkpoint.optimizer
    dataset = TextDataset(tokenizer.encode(TEXT), sequence_length=8)
    loader = DataLoader(dataset, 2, rng=np.random.default_rng(1))
    if optimizer is None or checkpoint.loader_state is None:
        raise ValueError("expected a checkpoint of a training run, got one of a model alone")
    loader.restore(checkpoint.loader_state)
    for _ in range(steps):
        inputs, targets = next(iter(loader))
        logits, saved = model.forward(inputs)
        _, grad_logits = cross_entropy_loss(logits, targets)
        optimizer.step(model.backward(grad_logits, saved))
    return checkpoint._replace(loader_state=loader.state(), step=checkpoint.step + steps)


def small_training() -> Checkpoint:
    """Take a few steps of training with a small model."""
    tokenizer = BPETokenizer()
    tokenizer.train(TEXT, 30)
    config = GPTConfig(
        vocabulary_size=len(tokenizer), max_sequence_length=8, embedding_dim=8, num_heads=2,
        num_layers=1, feed_forward_dim=16,
    )  # fmt: skip
    model = GPTModel(config, rng=np.random.default_rng(0))
    optimizer = AdamW(model.trainable_parameters(), learning_rate=0.01)
    dataset = TextDataset(tokenizer.encode(TEXT), sequence_length=8)
    loader = DataLoader(dataset, 2, rng=np.random.default_rng(1))
    training = Checkpoint(model, tokenizer, optimizer, loader.state(), 0, {})
    return go_on(training, steps=3)


def save(path: Path, training: Checkpoint) -> None:
    """Write a training run to a file."""
    dataset = TextDataset(training.tokenizer.encode(TEXT), sequence_length=8)
    loader = DataLoader(dataset, 2, rng=np.random.default_rng(1))
    loader.restore(training.loader_state or loader.state())
    save_checkpoint(
        path, training.model, training.tokenizer,
        optimizer=training.optimizer, loader=loader, step=training.step,
    )  # fmt: skip


def same_parameters(first: GPTModel, second: GPTModel) -> bool:
    """Tell whether two models hold the same numbers, to the bit."""
    others = second.named_parameters()
    return all((array == others[name]).all() for name, array in first.named_parameters().items())


def section_checkpoint() -> None:
    """Save a training run, load it, and go on with both."""
    heading("Checkpoints: one file is a usable model")
    training = small_training()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.npz"
        save(path, training)
        loaded = load_checkpoint(path)
    ids = np.array([loaded.tokenizer.encode("to be")])
    config = loaded.model.config
    say(f"""A small model, one block with {number(config.embedding_dim)} features and
        {number(config.feed_forward_dim)} hidden units for {number(config.vocabulary_size)} tokens,
        was trained for {number(training.step)} steps, then saved and loaded. The
        file holds the parameters, the tokenizer, the optimizer's moments, the place in the data and
        the number of steps.""")
    show("step", loaded.step)
    show("parameters", loaded.model.num_parameters())
    show("same parameters", yes(same_parameters(loaded.model, training.model)))
    show("same logits", yes((loaded.model(ids) == training.model(ids)).all()))
    show("tokenizer reads", loaded.tokenizer.decode(ids[0]))
    further, reloaded = go_on(training, steps=4), go_on(loaded, steps=4)
    say("""Both now train on. As nothing was lost, they arrive at the same parameters: a run that
        was interrupted equals one that was not.""")
    show("step", reloaded.step)
    show("same parameters", yes(same_parameters(further.model, reloaded.model)))


def attempt(path: Path) -> str:
    """Load a checkpoint, and say what came of it."""
    try:
        load_checkpoint(path)
    except (CheckpointError, FileNotFoundError) as error:
        return f"refused, {type(error).__name__}"
    return "loaded"


def section_damage() -> None:
    """Change one byte of a file, cut a file, and read a file of another kind."""
    heading("Damaged files are refused")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.npz"
        training = small_training()
        save(path, training)
        content = path.read_bytes()
        weight = content.index(training.model.token_embedding.weight.tobytes())
        flipped = content[:weight] + bytes([content[weight] ^ 1]) + content[weight + 1 :]
        damaged = {
            "one bit of a weight": flipped,
            "half of the file": content[: len(content) // 2],
            "a text file": TEXT.encode(),
        }
        say("""A checkpoint carries a checksum, and nothing in it is run. So a file that was
            damaged is refused before a model is made.""")
        show("the whole file", attempt(path))
        for what, changed in damaged.items():
            path.write_bytes(changed)
            show(what, attempt(path))
        path.unlink()
        show("no file", attempt(path))


def main() -> None:
    """Cut windows, make batches, save and load."""
    title("Utils: windows, batches and checkpoints")
    section_windows()
    section_batches()
    section_checkpoint()
    section_damage()
