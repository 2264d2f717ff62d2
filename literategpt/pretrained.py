"""The model that comes with the package, trained on the plays of Shakespeare."""

from pathlib import Path

from literategpt.model import GPTModel
from literategpt.tokenizer import BPETokenizer
from literategpt.utils import load_checkpoint

__all__ = ["load_pretrained"]

CHECKPOINT_NAME = "shakespeare.npz"


def data_directories() -> list[Path]:
    """List where the shipped files can be: inside an installed package, or in a checkout."""
    package = Path(__file__).resolve().parent
    return [package / "data", package.parent / "data"]


def pretrained_path() -> Path:
    """Find the shipped checkpoint.

    Raises:
        FileNotFoundError: The file is in none of its places.
    """
    places = [directory / CHECKPOINT_NAME for directory in data_directories()]
    for path in places:
        if path.is_file():
            return path
    raise FileNotFoundError(f"expected {CHECKPOINT_NAME} in one of {[str(p) for p in places]}")


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
