"""What comes with the package: a model trained on the plays, their words, a new text, an adapter.

The files lie in `data/`, of a checkout as of an installed package.
"""

from pathlib import Path

from literategpt.model import GPTModel
from literategpt.tokenizer import BPETokenizer
from literategpt.utils import load_checkpoint

__all__ = ["adapter_path", "fables_path", "load_pretrained", "words_path"]

CHECKPOINT_NAME = "shakespeare.npz"
FABLES_NAME = "fables.txt"
WORDS_NAME = "words.txt"
ADAPTERS = ("fables",)
"""The adapters that come with the package, by the text they were trained on."""


def data_directories() -> list[Path]:
    """List where the shipped files can be: inside an installed package, or in a checkout."""
    package = Path(__file__).resolve().parent
    return [package / "data", package.parent / "data"]


def shipped_path(name: str) -> Path:
    """Find a file that comes with the package.

    Raises:
        FileNotFoundError: The file is in none of its places.
    """
    places = [directory / name for directory in data_directories()]
    for path in places:
        if path.is_file():
            return path
    raise FileNotFoundError(f"expected {name} in one of {[str(p) for p in places]}")


def pretrained_path() -> Path:
    """Find the shipped checkpoint.

    Raises:
        FileNotFoundError: The file is in none of its places.
    """
    return shipped_path(CHECKPOINT_NAME)


def fables_path() -> Path:
    """Find the fables, short tales in modern English, on which the model can be fine-tuned.

    Raises:
        FileNotFoundError: The file is in none of its places.

    Examples:
        >>> from literategpt.corpus import load_text, split_text
        >>> train_text, validation_text = split_text(load_text(fables_path()))
        >>> len(train_text) > 8 * len(validation_text)  # the last tenth is for validation
        True
    """
    return shipped_path(FABLES_NAME)


def words_path() -> Path:
    """Find the list of the different words of all 37 plays, in small letters, one a line.

    A word is a run of letters, in which apostrophes may stand.

    Raises:
        FileNotFoundError: The file is in none of its places.

    Examples:
        >>> words = set(words_path().read_text(encoding="utf-8").split())
        >>> [word in words for word in ("light", "cunning'st", "snail", "computer")]
        [True, True, True, False]
    """
    return shipped_path(WORDS_NAME)


def adapter_path(name: str) -> Path:
    """Find a LoRA adapter that comes with the package, for `load_adapter`.

    Args:
        name: One of `ADAPTERS`; "fables" makes the shipped model write like them.

    Raises:
        ValueError: No adapter of this name is shipped.
        FileNotFoundError: The file is in none of its places.

    Examples:
        >>> try:
        ...     adapter_path("riddles")
        ... except ValueError as error:
        ...     print(error)
        expected a shipped adapter, one of fables, got riddles
    """
    if name not in ADAPTERS:
        raise ValueError(f"expected a shipped adapter, one of {', '.join(ADAPTERS)}, got {name}")
    return shipped_path(f"{name}-adapter.npz")


def load_pretrained() -> tuple[GPTModel, BPETokenizer]:
    """Load the model that comes with the package, and its tokenizer.

    Returns:
        A model of the default configuration, and the tokenizer it was trained with.

    Raises:
        FileNotFoundError: The file is in none of its places.

    Examples:
        >>> model, tokenizer = load_pretrained()
        >>> model.num_parameters(), len(tokenizer)
        (1049344, 2000)
    """
    checkpoint = load_checkpoint(pretrained_path())
    return checkpoint.model, checkpoint.tokenizer
