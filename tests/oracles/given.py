"""Draw what both judges are given: random inputs, parameters and settings for each subject.

A subject is one kind of comparison: `activations`, `layers`, `attention`, `loss`, `sampling`,
`optimizer`, `schedule`, `model`, `training`, `lora`.
`DRAW[subject](rng, dtype)` returns a flat dictionary of arrays, so that it can be stored.
`ours.py` computes from it with LiterateGPT, `tests/parity/torch_reference.py` with PyTorch.
Sizes are odd and unequal, so that no two axes can be mistaken for each other.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from literategpt.gradcheck import randomize_parameters
from literategpt.model import GPTConfig, GPTModel
from literategpt.types import Array

Arrays = dict[str, Array]

TIED: dict[str, Any] = {
    "vocabulary_size": 11, "max_sequence_length": 7, "embedding_dim": 6, "num_heads": 3,
    "num_layers": 2, "feed_forward_dim": 9, "dropout": 0.0, "tie_weights": True,
    "positional_encoding": "sinusoidal", "position_scale": 0.3, "dtype": "float64",
}  # fmt: skip
UNTIED = TIED | {
    "embedding_dim": 5, "num_heads": 1, "dropout": 0.2, "tie_weights": False,
    "positional_encoding": "learned",
}  # fmt: skip


def pack(**settings: Any) -> Array:
    """Store settings as an array that holds their JSON text."""
    return np.array(json.dumps(settings))


def unpack(settings: Array) -> dict[str, Any]:
    """Read settings that `pack` stored."""
    return dict(json.loads(str(settings)))


def under(prefix: str, arrays: Arrays) -> Arrays:
    """Take the arrays under a prefix, without it."""
    start = f"{prefix}/"
    return {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}


def put_under(prefix: str, arrays: Arrays) -> Arrays:
    """Put a prefix before the name of each array."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def drawer(rng: np.random.Generator, dtype: str) -> Callable[..., Array]:
    """Make a function that draws normal numbers of a shape, in float64, then rounds."""
    return lambda *shape, std=1.0: rng.normal(0.0, std, shape).astype(dtype)


def draw_activations(rng: np.random.Generator, dtype: str) -> Arrays:
    """Draw inputs from far below to far above zero, and upstream gradients."""
    normal = drawer(rng, dtype)
    return {"x": normal(3, 5, 4, std=3.0), "grad_output": normal(3, 5, 4)}


def draw_layers(rng: np.random.Generator, dtype: str) -> Arrays:
    """Draw inputs and parameters for a linear layer, a LayerNorm, a table and positions."""
    normal = drawer(rng, dtype)
    return {
        "x": normal(2, 3, 6) + normal(2, 3, 1, std=5.0),
        "linear_weight": normal(6, 5), "linear_bias": normal(5), "linear_grad": normal(2, 3, 5),
        "norm_weight": normal(6) + 1, "norm_bias": normal(6), "norm_grad": normal(2, 3, 6),
        "flat_x": normal(2, 6, std=1e-3), "far_x": normal(2, 6) + 1000,
        "table": normal(4, 6), "ids": np.array([[1, 3, 1], [0, 1, 3]]),
    }  # fmt: skip


def draw_attention(rng: np.random.Generator, dtype: str) -> Arrays:
    """Draw three queries, five keys and values, each of its own size."""
    normal = drawer(rng, dtype)
    return {
        "query": normal(2, 3, 3, 4), "key": normal(2, 3, 5, 4), "value": normal(2, 3, 5, 6),
        "grad_output": normal(2, 3, 3, 6),
    }  # fmt: skip


def draw_loss(rng: np.random.Generator, dtype: str) -> Arrays:
    """Draw logits, some of them enormous, and targets, some of them padding."""
    normal = drawer(rng, dtype)
    logits = normal(4, 5, 7, std=2.0)
    logits[0, 0] *= 1e4
    targets = rng.integers(0, 7, (4, 5))
    targets[1, 2:] = 3
    return {"logits": logits, "targets": targets, "ignore_index": np.array(3)}


def draw_sampling(rng: np.random.Generator, dtype: str) -> Arrays:
    """Draw logits without ties, and the settings of the filters."""
    normal = drawer(rng, dtype)
    return {
        "logits": normal(6, 13, std=2.0), "temperature": np.array(0.7), "k": np.array(5),
        "p": np.array([0.05, 0.5, 0.9, 1.0]),
    }  # fmt: skip


def draw_optimizer(rng: np.random.Generator, dtype: str) -> Arrays:
    """Draw parameters of one, two and three dimensions, and gradients for eight steps."""
    shapes = {"bias": (5,), "matrix": (4, 3), "cube": (2, 3, 2)}
    normal = drawer(rng, dtype)
    parameters = {name: normal(*shape) for name, shape in shapes.items()}
    # Let the size of the gradients differ from step to step: some are clipped, some are not.
    sizes = np.array([0.01, 3.0, 1.0, 0.1, 10.0, 0.3, 0.03, 1.0]).astype(dtype)
    gradients = {
        name: normal(8, *shape) * sizes.reshape(8, *(1 for _ in shape))
        for name, shape in shapes.items()
    }
    settings = pack(betas=[0.8, 0.97], eps=1e-3, weight_decay=0.2, max_norm=2.0)
    rates = np.array([0.1, 0.2, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05])
    return {"settings": settings, "rates": rates} | (
        put_under("parameters", parameters) | put_under("gradients", gradients)
    )


def draw_schedule(rng: np.random.Generator, dtype: str) -> Arrays:
    """Choose runs without, with a little, and with a long warm-up."""
    peak = float(rng.uniform(0.5, 2.0))
    runs = [[0, 9], [2, 10], [5, 23], [20, 24]]
    return {"settings": pack(peak=peak, minimum=peak / 10, runs=runs)}


def draw_config(rng: np.random.Generator, dtype: str) -> dict[str, Any]:
    """Draw the configuration of a small model."""
    heads = int(rng.integers(1, 4))
    return {
        "vocabulary_size": int(rng.integers(5, 14)),
        "max_sequence_length": int(rng.integers(3, 9)),
        "embedding_dim": heads * int(rng.choice([2, 4])),
        "num_heads": heads,
        "num_layers": int(rng.integers(1, 4)),
        "feed_forward_dim": int(rng.integers(3, 12)),
        "dropout": float(rng.choice([0.0, 0.3])),
        "tie_weights": bool(rng.integers(2)),
        "positional_encoding": str(rng.choice(["sinusoidal", "learned"])),
        "position_scale": float(rng.uniform(0.1, 1.0)),
        "dtype": dtype,
    }


def draw_parameters(rng: np.random.Generator, config: dict[str, Any], std: float) -> Arrays:
    """Draw every parameter of a model at random, gains around 1."""
    model = GPTModel(GPTConfig(**config), rng=rng)
    randomize_parameters(model, rng, std)
    return model.named_parameters()


def draw_masks(seed: int, config: dict[str, Any], shape: tuple[int, int]) -> Arrays:
    """State which values dropout drops: the embedding sum first, then each sub-layer's result."""
    rng, rate = np.random.default_rng(seed), config["dropout"]
    names = ["embedding"]
    for i in range(config["num_layers"]):
        names += [f"blocks.{i}.first", f"blocks.{i}.second"]
    masks = {}
    for name in names:
        kept = rng.random((*shape, config["embedding_dim"]), dtype=np.float32) >= rate
        masks[name] = (kept / (1.0 - rate)).astype(config["dtype"])
    return masks


def draw_model(
    rng: np.random.Generator, dtype: str, config: dict[str, Any] | None = None
) -> Arrays:
    """Draw a model, a batch with repeated tokens and padding, and the masks of dropout."""
    config = draw_config(rng, dtype) if config is None else config | {"dtype": dtype}
    size = config["vocabulary_size"]
    shape = (int(rng.integers(2, 5)), int(rng.integers(2, config["max_sequence_length"] + 1)))
    targets = rng.integers(0, size, shape)
    targets[0, -1] = 0
    return (
        {
            "config": pack(**config), "tokens": rng.integers(0, size, shape), "targets": targets,
            "ignore_index": np.array(0), "dropout_seed": np.array(3),
        }
        | put_under("parameters", draw_parameters(rng, config, 0.5))
        | put_under("masks", draw_masks(3, config, shape))
    )  # fmt: skip


def draw_training(rng: np.random.Generator, dtype: str) -> Arrays:
    """Draw a model and twenty batches of six sequences, with more padding in some pieces."""
    config = TIED | {"dtype": dtype}
    tokens = rng.integers(0, 11, (20, 6, 6))
    targets = tokens[:, :, 1:].copy()
    targets[:, 4:, 2:] = 0
    settings = pack(
        total_steps=20, peak_learning_rate=0.05, minimum_learning_rate=0.002, warmup_steps=4,
        max_norm=1.0, piece_size=4,
    )  # fmt: skip
    return {
        "config": pack(**config), "settings": settings, "ignore_index": np.array(0),
        "optimizer": pack(betas=[0.9, 0.95], eps=1e-7, weight_decay=0.1),
        "tokens": tokens[:, :, :-1], "targets": targets,
    } | put_under("parameters", draw_parameters(rng, config, 0.3))  # fmt: skip


def draw_lora(rng: np.random.Generator, dtype: str) -> Arrays:
    """Draw a layer and a model, both with corrections that are no longer zero."""
    normal = drawer(rng, dtype)
    given = {
        "settings": pack(rank=2, alpha=5.0, targets=["query", "value", "expand"]),
        "x": normal(2, 3, 6), "grad_output": normal(2, 3, 5),
        "weight": normal(6, 5), "bias": normal(5), "lora_a": normal(6, 2), "lora_b": normal(2, 5),
    }  # fmt: skip
    model = draw_model(rng, dtype, TIED)
    for name, weight in under("parameters", model).items():
        if name.split(".")[-2] in ("query", "value", "expand") and name.endswith("weight"):
            layer = name.removesuffix(".weight")
            given[f"corrections/{layer}.lora_a"] = normal(len(weight), 2, std=0.5)
            given[f"corrections/{layer}.lora_b"] = normal(2, weight.shape[1], std=0.5)
    return given | put_under("model", model)


DRAW: dict[str, Callable[[np.random.Generator, str], Arrays]] = {
    "activations": draw_activations,
    "layers": draw_layers,
    "attention": draw_attention,
    "loss": draw_loss,
    "sampling": draw_sampling,
    "optimizer": draw_optimizer,
    "schedule": draw_schedule,
    "model": draw_model,
    "training": draw_training,
    "lora": draw_lora,
}
"""What draws the given of each subject."""
