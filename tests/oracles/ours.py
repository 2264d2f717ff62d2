"""Compute with LiterateGPT what PyTorch computed, under the same names.

Each function takes what `given.py` drew and returns a flat dictionary of results.
`deviation` then compares two such dictionaries.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from oracles.given import Arrays, put_under, under, unpack

from literategpt import activations, attention, layers, lora, optimizer, sampling
from literategpt.model import GPTConfig, GPTModel, cross_entropy_loss
from literategpt.training import TrainingSettings, train
from literategpt.types import Array


class Deviation(NamedTuple):
    """The largest difference between two judges, relative to the largest value of its array."""

    size: float
    name: str

    def __str__(self) -> str:
        """Say how large it is and where."""
        return f"{self.size:.1e} in {self.name}"


def deviation(results: Arrays, expected: Arrays, zero: float = 1e-12) -> Deviation:
    """Compare two dictionaries of results, array by array.

    Args:
        results: From one judge.
        expected: From the other, under the same names.
        zero: Arrays that stay below this in both count as equal: their true value is 0.

    Raises:
        AssertionError: The names, a shape or a dtype differ, or a number is not finite.
    """
    assert results.keys() == expected.keys(), sorted(results.keys() ^ expected.keys())
    assert results, "nothing to compare"
    found = [Deviation(difference(results[n], expected[n], n, zero), n) for n in expected]
    return max(found)


def difference(result: Array, expected: Array, name: str, zero: float) -> float:
    """Measure max |a - b| / max |b| of two arrays."""
    assert result.shape == expected.shape, f"{name}: {result.shape} and {expected.shape}"
    assert result.dtype == expected.dtype, f"{name}: {result.dtype} and {expected.dtype}"
    assert np.isfinite(result).all(), f"{name} is not finite"
    assert np.isfinite(expected).all(), f"{name} is not finite"
    size = float(np.max(np.abs(expected)))
    if max(size, float(np.max(np.abs(result)))) < zero:
        return 0.0
    return float(np.max(np.abs(result - expected))) / max(size, zero)


def run_activations(given: Arrays) -> Arrays:
    """Evaluate the curves and their slopes."""
    x, grad = given["x"], given["grad_output"]
    results = {}
    for axis in (-1, 1):
        output = activations.softmax(x, axis)
        results[f"softmax_{axis}"] = output
        results[f"softmax_grad_{axis}"] = activations.softmax_backward(grad, output, axis)
    return results | {
        "gelu": activations.gelu(x),
        "gelu_grad": activations.gelu_backward(grad, x),
        "relu": activations.relu(x),
        "relu_grad": activations.relu_backward(grad, x),
    }


def run_layers(given: Arrays) -> Arrays:
    """Evaluate a linear layer, a LayerNorm, a table and positions, and their gradients."""
    x, dtype = given["x"], given["x"].dtype.name
    rng = np.random.default_rng(0)
    linear = layers.Linear(6, 5, rng=rng, dtype=dtype)
    norm = layers.LayerNorm(6, dtype=dtype)
    results = {}
    for name, layer in (("linear", linear), ("norm", norm)):
        layer.weight[...], layer.bias[...] = given[f"{name}_weight"], given[f"{name}_bias"]
        results[name], saved = layer.forward(x)
        results[f"{name}_grad_x"], gradients = layer.backward(given[f"{name}_grad"], saved)
        results[f"{name}_grad_weight"] = gradients["weight"]
        results[f"{name}_grad_bias"] = gradients["bias"]
    table = layers.Embedding(4, 6, rng=rng, dtype=dtype)
    table.weight[...] = given["table"]
    results["embedded"], saved = table.forward(given["ids"])
    results["table_grad"] = table.backward(given["norm_grad"], saved)[1]["weight"]
    positions = layers.PositionalEncoding(9, 6, scale=0.7, dtype=dtype)
    results["positions"] = positions.forward(x, start=5)[0]
    return results | {"norm_flat": norm(given["flat_x"]), "norm_far": norm(given["far_x"])}


def run_attention(given: Arrays) -> Arrays:
    """Attend without and with a causal mask."""
    query, key, value = given["query"], given["key"], given["value"]
    results = {}
    for name, mask in (("open", None), ("causal", attention.create_causal_mask(3, 5))):
        output, weights = attention.scaled_dot_product_attention(query, key, value, mask)
        gradients = attention.scaled_dot_product_attention_backward(
            given["grad_output"], query, key, value, weights
        )
        results |= {f"{name}_output": output, f"{name}_weights": weights}
        names = ("query", "key", "value")
        results |= {f"{name}_grad_{n}": g for n, g in zip(names, gradients, strict=True)}
    return results


def run_loss(given: Arrays) -> Arrays:
    """Evaluate the loss over all places, over those that count, and with a denominator."""
    logits, targets, ignored = given["logits"], given["targets"], int(given["ignore_index"])
    results = {}
    for name, index, denominator in (
        ("all", None, None), ("counted", ignored, None), ("shared", ignored, 30.0),
    ):  # fmt: skip
        loss, grad = cross_entropy_loss(logits, targets, index, denominator)
        results |= {f"{name}_loss": np.array(loss), f"{name}_grad": grad}
    return results


def run_sampling(given: Arrays) -> Arrays:
    """Filter, and return the probabilities of the tokens that are left."""
    logits, temperature, k = given["logits"], float(given["temperature"]), int(given["k"])
    cooled = sampling.apply_temperature(logits, temperature)
    kept = sampling.top_k_filter(cooled, k)
    filtered = {"temperature": cooled, "top_k": kept}
    for p in given["p"]:
        filtered[f"top_p_{p}"] = sampling.top_p_filter(logits, float(p))
        filtered[f"all_{p}"] = sampling.top_p_filter(kept, float(p))
    return {name: activations.softmax(left) for name, left in filtered.items()}


def run_optimizer(given: Arrays) -> Arrays:
    """Clip and step eight times."""
    settings = unpack(given["settings"])
    max_norm = settings.pop("max_norm")
    parameters = {name: array.copy() for name, array in under("parameters", given).items()}
    adamw = optimizer.AdamW(parameters, **settings)
    results, norms = {}, []
    for step, rate in enumerate(given["rates"]):
        gradients = {name: g[step].copy() for name, g in under("gradients", given).items()}
        norms.append(optimizer.clip_gradients(gradients, max_norm))
        adamw.step(gradients, float(rate))
        results |= put_under(f"clipped_{step}", gradients)
        results |= put_under(f"step_{step}", {n: p.copy() for n, p in parameters.items()})
    return results | {"norms": np.array(norms)}


def run_schedule(given: Arrays) -> Arrays:
    """List the learning rates of whole runs."""
    settings = unpack(given["settings"])
    results = {}
    for warmup, total in settings.pop("runs"):
        rates = [
            optimizer.cosine_schedule(step, warmup_steps=warmup, total_steps=total, **settings)
            for step in range(total)
        ]
        results[f"{warmup}_of_{total}"] = np.array(rates)
    return results


def build(given: Arrays) -> GPTModel:
    """Make the model that was drawn."""
    model = GPTModel(GPTConfig(**unpack(given["config"])), rng=np.random.default_rng(0))
    for name, array in model.named_parameters().items():
        array[...] = given[f"parameters/{name}"]
    return model


def run_model(given: Arrays) -> Arrays:
    """Evaluate a model, and train it for one pass: logits, loss and every gradient."""
    model, ignored = build(given), int(given["ignore_index"])
    logits, saved = model.forward(
        given["tokens"], rng=np.random.default_rng(int(given["dropout_seed"]))
    )
    loss, grad_logits = cross_entropy_loss(logits, given["targets"], ignored)
    gradients = put_under("gradients", model.backward(grad_logits, saved))
    return gradients | {
        "logits": logits, "loss": np.array(loss), "evaluated": model(given["tokens"]),
    }  # fmt: skip


def run_training(given: Arrays) -> Arrays:
    """Train for twenty steps, in pieces of four sequences and two."""
    model = build(given)
    adamw = optimizer.AdamW(model.trainable_parameters(), **unpack(given["optimizer"]))
    batches = list(zip(given["tokens"], given["targets"], strict=True))
    reports = list(
        train(
            model, adamw, batches,
            settings=TrainingSettings(**unpack(given["settings"])),
            ignore_index=int(given["ignore_index"]),
        )
    )  # fmt: skip
    return {
        "losses": np.array([report.loss for report in reports]),
        "rates": np.array([report.learning_rate for report in reports]),
        "norms": np.array([report.gradient_norm for report in reports]),
    } | put_under("parameters", model.named_parameters())


def run_lora(given: Arrays) -> Arrays:
    """Evaluate, differentiate and merge a layer with a correction, then a whole model."""
    settings, rng = unpack(given["settings"]), np.random.default_rng(0)
    rank, alpha = settings["rank"], settings["alpha"]
    linear = layers.Linear(6, 5, rng=rng, dtype=given["x"].dtype.name)
    linear.weight[...], linear.bias[...] = given["weight"], given["bias"]
    layer = lora.LoRALinear(linear, rank, alpha, rng=rng)
    layer.lora_a[...], layer.lora_b[...] = given["lora_a"], given["lora_b"]
    output, saved = layer.forward(given["x"])
    grad_x, gradients = layer.backward(given["grad_output"], saved)
    layer.merge()
    results = {"output": output, "grad_x": grad_x, "merged": layer.weight}
    results |= put_under("gradients", gradients)

    model = build(under("model", given))
    lora.apply_lora(model, rank, alpha, tuple(settings["targets"]), rng=rng)
    for name, array in under("corrections", given).items():
        model.named_parameters()[name][...] = array
    tokens, targets = given["model/tokens"], given["model/targets"]
    logits, model_saved = model.forward(tokens)
    loss, grad_logits = cross_entropy_loss(logits, targets)
    results |= put_under("model_gradients", model.backward(grad_logits, model_saved))
    lora.merge_lora(model)
    return results | {"loss": np.array(loss), "logits": logits, "merged_logits": model(tokens)}


RUN: dict[str, Callable[[Arrays], Arrays]] = {
    "activations": run_activations,
    "layers": run_layers,
    "attention": run_attention,
    "loss": run_loss,
    "sampling": run_sampling,
    "optimizer": run_optimizer,
    "schedule": run_schedule,
    "model": run_model,
    "training": run_training,
    "lora": run_lora,
}
"""What computes the results of each subject."""
