"""Small models for the tests, and the tools to look into all that passes through them.

The sizes are unequal on purpose, so that no two axes can be mistaken for each other:
four sequences of five tokens, three heads of two features, eight hidden units, seven tokens.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from literategpt.gradcheck import GradientCheck, randomize_parameters
from literategpt.layers import Module
from literategpt.model import GPTConfig, GPTModel

BATCH, TIME, VOCABULARY = 4, 5, 7
TOLERANCE = 1e-6


def generator(seed: int = 0) -> np.random.Generator:
    """Make a generator with a fixed seed."""
    return np.random.default_rng(seed)


def small_config(**changes: Any) -> GPTConfig:
    """Make a configuration that is small enough to nudge every parameter."""
    settings: dict[str, Any] = {
        "vocabulary_size": VOCABULARY,
        "max_sequence_length": 8,
        "embedding_dim": 6,
        "num_heads": 3,
        "num_layers": 2,
        "feed_forward_dim": 8,
        "position_scale": 0.5,
        "dtype": "float64",
    }
    return GPTConfig(**(settings | changes))


def small_model(seed: int = 0, **changes: Any) -> GPTModel:
    """Make a small model whose gains, biases and weights are all random."""
    model = GPTModel(small_config(**changes), rng=generator(seed))
    randomize_parameters(model, generator(seed + 1))
    return model


def small_batch(batch: int = BATCH, time: int = TIME, seed: int = 2) -> tuple[Any, Any]:
    """Draw tokens and targets; with more places than entries, tokens must repeat."""
    drawn = generator(seed).integers(0, VOCABULARY, (2, batch, time))
    return drawn[0], drawn[1]


def assert_gradients_right(check: GradientCheck) -> None:
    """Demand an error below 1e-6, and name the worst tensor otherwise."""
    assert check.error < TOLERANCE, f"wrong gradient: {check}"


def assert_same_bits(first: Any, second: Any) -> None:
    """Demand that two structures hold the same arrays, to the last bit."""
    ours, theirs = dict(walk(first)), dict(walk(second))
    assert ours.keys() == theirs.keys()
    for path, array in ours.items():
        assert array.dtype == theirs[path].dtype, f"another dtype in {path}"
        assert array.tobytes() == theirs[path].tobytes(), f"other bits in {path}"


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every array inside tuples, lists, dictionaries and modules, with its path."""
    if isinstance(value, np.ndarray):
        yield path, value
    elif isinstance(value, Module):
        yield from walk(vars(value), path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, f"{path}.{key}")
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        for key in value._fields:
            yield from walk(getattr(value, key), f"{path}.{key}")
    elif isinstance(value, tuple | list):
        for key, item in enumerate(value):
            yield from walk(item, f"{path}[{key}]")


def base_of(array: Any) -> Any:
    """Find the array that owns the memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def lock(*values: Any) -> None:
    """Set every array inside read-only, and those whose memory they show as well."""
    for value in values:
        for _, array in walk(value):
            base_of(array).setflags(write=False)
            array.setflags(write=False)


@contextlib.contextmanager
def nothing_may_be_written() -> Iterator[None]:
    """Turn NumPy's refusal to write into a locked array into a failure of the test."""
    try:
        yield
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise AssertionError(f"an array that was lent was changed in place: {error}") from error
