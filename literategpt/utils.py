"""What stands around the model: the data set, the loader, and checkpoints.

A language model's data set is one long row of tokens, cut into windows; the targets of a window
are its inputs, one place on.
A checkpoint is one file that holds a usable model: its shape, its parameters, its tokenizer, and,
while training, what the next step depends on.

Run `python -m literategpt.utils` to cut windows, save a model and load it again.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from literategpt.files import replace_file
from literategpt.layers import check_positive
from literategpt.model import GPTConfig, GPTModel
from literategpt.optimizer import AdamW, check_same_arrays
from literategpt.tokenizer import BPETokenizer
from literategpt.types import Array

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "DataLoader",
    "TextDataset",
    "load_checkpoint",
    "save_checkpoint",
]


class TextDataset:
    """Windows of a long row of tokens, each with its targets.

    The targets are the inputs shifted by one: at each place, the token that came next.
    Every window has the full length; the last one ends at the last token, and overlaps the one
    before it if the tokens do not divide evenly.

    Args:
        tokens: Token ids, at least `sequence_length` + 1 of them.
        sequence_length: Number of inputs in a window, T.
        stride: From the start of one window to the start of the next; T unless given.

    Raises:
        ValueError: There are too few tokens, or they are not integers.

    Examples:
        >>> dataset = TextDataset([10, 11, 12, 13, 14, 15], sequence_length=3)
        >>> for inputs, targets in dataset:
        ...     print(inputs, targets)
        [10 11 12] [11 12 13]
        [12 13 14] [13 14 15]
    """

    def __init__(
        self, tokens: Sequence[int] | Array, sequence_length: int, stride: int | None = None
    ) -> None:
        self.tokens = np.array(tokens)
        self.sequence_length = sequence_length
        self.stride = sequence_length if stride is None else stride
        check_positive(sequence_length=sequence_length, stride=self.stride)
        if self.tokens.ndim != 1 or len(self.tokens) <= sequence_length:
            raise ValueError(
                f"expected a row of at least {sequence_length + 1} tokens, "
                f"got shape {self.tokens.shape}"
            )
        if not np.issubdtype(self.tokens.dtype, np.integer):
            raise ValueError(f"expected integer tokens, got {self.tokens.dtype}")

    def __len__(self) -> int:
        """Count the windows."""
        room = len(self.tokens) - 1 - self.sequence_length
        return 1 + -(-room // self.stride)

    def __getitem__(self, i: int) -> tuple[Array, Array]:
        """Return inputs and targets of window i, each (T,)."""
        if not 0 <= i < len(self):
            raise IndexError(f"expected a window from 0 to {len(self) - 1}, got {i}")
        start = min(i * self.stride, len(self.tokens) - 1 - self.sequence_length)
        window = self.tokens[start : start + self.sequence_length + 1]
        return window[:-1], window[1:]


class DataLoader:
    """Batches of windows, in an order that three integers fix.

    Each epoch goes through all windows once, but for a last batch that is dropped; shuffled, in an
    order that depends on the seed and on the number of the epoch.
    Iterating yields what is left of the current epoch, and then stands at the start of the next.

    Args:
        dataset: Has a length, and gives inputs and targets for an index.
        batch_size: Number of windows in a batch.
        shuffle: Whether to mix the windows anew in every epoch.
        drop_last: Whether to leave out a last batch that is not full.
        rng: The seed of all orders is drawn from it, once.

    Raises:
        ValueError: Every batch would be left out.

    Examples:
        >>> dataset = TextDataset(np.arange(9), sequence_length=2)
        >>> loader = DataLoader(dataset, 2, shuffle=False, rng=np.random.default_rng(0))
        >>> for inputs, targets in loader:
        ...     print(inputs.tolist(), targets.tolist())
        [[0, 1], [2, 3]] [[1, 2], [3, 4]]
        [[4, 5], [6, 7]] [[5, 6], [7, 8]]
    """

    def __init__(
        self,
        dataset: TextDataset,
        batch_size: int,
        *,
        shuffle: bool = True,
        drop_last: bool = False,
        rng: np.random.Generator,
    ) -> None:
        check_positive(batch_size=batch_size)
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = int(rng.integers(2**63))
        self.epoch = 0
        self.batch = 0
        if len(self) == 0:
            raise ValueError(
                f"expected at least one full batch of {batch_size}, got {len(dataset)} windows"
            )

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Yield the batches left in this epoch, inputs and targets of (B, T)."""
        order = self.epoch_order()
        while self.batch < len(self):
            start = self.batch * self.batch_size
            self.batch += 1
            windows = [self.dataset[int(i)] for i in order[start : start + self.batch_size]]
            inputs, targets = zip(*windows, strict=True)
            if self.batch == len(self):
                self.epoch, self.batch = self.epoch + 1, 0
                yield np.stack(inputs), np.stack(targets)
                return
            yield np.stack(inputs), np.stack(targets)

    def epoch_order(self) -> Array:
        """Return the order of the windows in the current epoch."""
        count = len(self.dataset)
        if not self.shuffle:
            return np.arange(count)
        return np.random.default_rng([self.seed, self.epoch]).permutation(count)

    def state(self) -> dict[str, int]:
        """Return the three integers that say where the loader stands."""
        return {"seed": self.seed, "epoch": self.epoch, "batch": self.batch}

    def restore(self, state: dict[str, int]) -> None:
        """Go to where another loader of this data set stood.

        Raises:
            ValueError: The state is not of this form, or its batch is past the epoch's end.
        """
        if state.keys() != {"seed", "epoch", "batch"}:
            raise ValueError(f"expected seed, epoch and batch, got {sorted(state)}")
        if not 0 <= state["batch"] < len(self) or state["epoch"] < 0 or state["seed"] < 0:
            raise ValueError(f"expected a batch from 0 to {len(self) - 1}, got {state}")
        self.seed, self.epoch, self.batch = state["seed"], state["epoch"], state["batch"]


class CheckpointError(ValueError):
    """A file is not a checkpoint of this project, or is damaged, or belongs to something else."""


class Checkpoint(NamedTuple):
    """What a checkpoint file holds.

    Attributes:
        model: Ready to use.
        tokenizer: The one the model was trained with.
        optimizer: Over the model's parameters, or None if it was saved without.
        loader_state: For `DataLoader.restore`, or None.
        step: Number of training steps that were done.
        settings: Whatever a training script stored beside it.
    """

    model: GPTModel
    tokenizer: BPETokenizer
    optimizer: AdamW | None
    loader_state: dict[str, int] | None
    step: int
    settings: dict[str, Any]


CHECKPOINT_FORMAT = "literategpt checkpoint 1"


def optimizer_header(optimizer: AdamW) -> dict[str, Any]:
    """List the numbers of an optimizer, beside its moments."""
    return {
        "learning_rate": optimizer.learning_rate,
        "betas": list(optimizer.betas),
        "eps": optimizer.eps,
        "weight_decay": optimizer.weight_decay,
        "step_count": optimizer.step_count,
    }


def archive_hash(header: dict[str, Any], arrays: dict[str, Array]) -> str:
    """Hash a header and arrays: names, dtypes, shapes and bytes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode("utf-8"))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_archive(
    path: Path | str, file_format: str, header: dict[str, Any], arrays: dict[str, Array]
) -> None:
    """Write arrays and a JSON header to one .npz file, with a checksum of both."""
    whole = header | {"format": file_format, "sha256": archive_hash(header, arrays)}
    text = np.frombuffer(json.dumps(whole, ensure_ascii=False).encode("utf-8"), np.uint8)
    members: dict[str, Any] = {"header": text, **arrays}
    with replace_file(path) as file:
        np.savez(file, **members)


def save_checkpoint(
    path: Path | str,
    model: GPTModel,
    tokenizer: BPETokenizer,
    *,
    optimizer: AdamW | None = None,
    loader: DataLoader | None = None,
    step: int = 0,
    settings: dict[str, Any] | None = None,
    precision: str | None = None,
) -> None:
    """Write a model, and what is needed to go on training it, to one file.

    The file is a NumPy archive (.npz) of plain arrays, with a header in JSON and a checksum.
    It takes the place of an older file only when it is complete.

    Args:
        path: Where to write; the name is used as it is.
        model: Its parameters and its configuration.
        tokenizer: Stored inside, so that the file alone can read and write text.
        optimizer: Stored with its settings and moments.
        loader: Its position in the data is stored, not the data.
        step: Number of training steps done.
        settings: Anything that JSON can hold.
        precision: "float16" halves the parameters of a float32 model; loading gives the rounded
            values. The moments of an optimizer stay as they are.

    Raises:
        ValueError: The model carries LoRA layers: merge and remove them, or save the adapter.
        OSError: The file cannot be written.

    Examples:
        >>> import tempfile
        >>> tokenizer = BPETokenizer()
        >>> tokenizer.train("to be or not to be", 20)
        >>> config = GPTConfig(vocabulary_size=20, embedding_dim=8, feed_forward_dim=16)
        >>> model = GPTModel(config, rng=np.random.default_rng(0))
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     save_checkpoint(f"{directory}/model.npz", model, tokenizer, step=7)
        ...     checkpoint = load_checkpoint(f"{directory}/model.npz")
        >>> checkpoint.step, checkpoint.model.num_parameters() == model.num_parameters()
        (7, True)
    """
    parameters = model.named_parameters()
    if lora := [name for name in parameters if ".lora_" in name]:
        raise ValueError(
            f"expected a model without LoRA layers, got {lora[0]}; "
            "use remove_lora, or save_adapter for the adapter"
        )
    arrays = {f"model/{name}": array for name, array in parameters.items()}
    if precision is not None:
        arrays = {name: array.astype(precision) for name, array in arrays.items()}
    header = {
        "config": model.config.to_dict(),
        "tokenizer": tokenizer.to_dict(),
        "optimizer": None if optimizer is None else optimizer_header(optimizer),
        "loader": None if loader is None else loader.state(),
        "step": step,
        "settings": settings or {},
    }
    if optimizer is not None:
        state = optimizer.state()
        for moment in ("first_moment", "second_moment"):
            arrays |= {f"{moment}/{name}": array for name, array in state[moment].items()}
    write_archive(path, CHECKPOINT_FORMAT, header, arrays)


def select(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    """Take the arrays whose name starts with a prefix, without it.

    Examples:
        >>> select({"model/w": 1, "moment/w": 2}, "model/")
        {'w': 1}
    """
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def load_optimizer(numbers: dict[str, Any], arrays: dict[str, Array], model: GPTModel) -> AdamW:
    """Make an optimizer over the model's parameters, in the state that was stored."""
    moments = {name: select(arrays, f"{name}/") for name in ("first_moment", "second_moment")}
    parameters = model.named_parameters()
    optimizer = AdamW(
        {name: parameters[name] for name in moments["first_moment"]},
        learning_rate=numbers["learning_rate"],
        betas=tuple(numbers["betas"]),
        eps=numbers["eps"],
        weight_decay=numbers["weight_decay"],
    )
    optimizer.restore(moments | {"step_count": numbers["step_count"]})
    return optimizer


def copy_arrays(source: dict[str, Array], target: dict[str, Array]) -> None:
    """Copy values into arrays of the same names and shapes, after checking all of them."""
    check_same_arrays(target, source, "stored array")
    for name, array in target.items():
        array[...] = source[name]


def read_archive(path: Path | str, file_format: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read what `write_archive` wrote, and check that it is whole.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged, or is something else.
    """
    path, kind = Path(path), file_format.rsplit(" ", 1)[0]
    if not path.is_file():
        raise FileNotFoundError(f"expected a {kind} at {path}, found none")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes().decode("utf-8"))
        found, checksum = header.pop("format"), header.pop("sha256")
    except (
        OSError, ValueError, KeyError, AttributeError, TypeError, EOFError, zipfile.BadZipFile
    ) as error:  # fmt: skip
        raise CheckpointError(f"{path} is not a {kind}, or is damaged") from error
    if found != file_format:
        raise CheckpointError(f'expected a file of format "{file_format}", got "{found}" in {path}')
    if checksum != archive_hash(header, arrays):
        raise CheckpointError(f"{path} is damaged: its checksum does not match what it holds")
    return header, arrays


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Nothing in the file is run: it is read without pickle, and its checksum and shapes are checked
    before a model is made.

    Args:
        path: The file.

    Returns:
        The model with its tokenizer, and what is needed to go on training.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged, or is something else.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = Path(directory) / "model.npz"
        ...     _ = path.write_bytes(b"not a model")
        ...     try:
        ...         load_checkpoint(path)
        ...     except CheckpointError as error:
        ...         print(path.name, str(error).removeprefix(str(path)).split(":")[0])
        model.npz  is not a literategpt checkpoint, or is damaged
    """
    header, arrays = read_archive(path, CHECKPOINT_FORMAT)
    try:
        tokenizer = BPETokenizer.from_dict(header["tokenizer"])
        model = GPTModel(GPTConfig(**header["config"]), rng=np.random.default_rng(0))
        copy_arrays(select(arrays, "model/"), model.named_parameters())
        optimizer = None
        if header["optimizer"] is not None:
            optimizer = load_optimizer(header["optimizer"], arrays, model)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not hold a valid checkpoint: {error}") from error
    return Checkpoint(
        model, tokenizer, optimizer, header["loader"], header["step"], header["settings"]
    )


if __name__ == "__main__":
    from literategpt.demos.utils import main

    main()
