"""The second judge: PyTorch computes the same results, every gradient by autograd.

Nothing here comes from the package but the names of parameters and settings.
Where PyTorch has an operation of its own, that one is used: `layer_norm`, `gelu`, fused attention,
`cross_entropy`, `clip_grad_norm_`, `AdamW`, and its schedulers.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from oracles.given import Arrays, put_under, under, unpack
from torch import Tensor
from torch.nn import functional

Tensors = dict[str, Tensor]

# These arrays are so small that a second thread would only wait for the first.
torch.set_num_threads(1)


def tensor(array: Any) -> Tensor:
    """Copy an array into a tensor."""
    return torch.tensor(array)


def leaf(array: Any) -> Tensor:
    """Copy an array into a tensor that collects a gradient."""
    return torch.tensor(array, requires_grad=True)


def leaves(arrays: Arrays) -> Tensors:
    """Copy arrays into tensors that collect gradients."""
    return {name: leaf(array) for name, array in arrays.items()}


def plain(value: Tensor) -> Any:
    """Copy a tensor into an array."""
    return value.detach().numpy().copy()


def number(value: Tensor) -> Any:
    """Copy a number into a float64 array, as a Python float would be."""
    return np.array(value.item())


def gradients_of(tensors: Tensors) -> Arrays:
    """Read the gradients; a parameter that was not used has none, which counts as 0."""
    return {
        name: plain(torch.zeros_like(t) if t.grad is None else t.grad)
        for name, t in tensors.items()
    }


def judge_activations(given: Arrays) -> Arrays:
    """Evaluate the curves and their slopes."""
    curves = {
        "softmax_-1": lambda x: torch.softmax(x, -1),
        "softmax_1": lambda x: torch.softmax(x, 1),
        "gelu": lambda x: functional.gelu(x, approximate="tanh"),
        "relu": torch.relu,
    }
    results = {}
    for name, curve in curves.items():
        x = leaf(given["x"])
        output = curve(x)
        output.backward(tensor(given["grad_output"]))
        kind, _, axis = name.partition("_")
        grad_name = f"{kind}_grad_{axis}" if axis else f"{kind}_grad"
        results |= {name: plain(output), grad_name: plain(x.grad)}
    return results


def judge_layers(given: Arrays) -> Arrays:
    """Evaluate a linear layer, a LayerNorm, a table and positions, and their gradients."""
    x = leaf(given["x"])
    weight, bias = leaf(given["linear_weight"]), leaf(given["linear_bias"])
    output = functional.linear(x, weight.T, bias)
    output.backward(tensor(given["linear_grad"]))
    results = {
        "linear": plain(output), "linear_grad_x": plain(x.grad),
        "linear_grad_weight": plain(weight.grad), "linear_grad_bias": plain(bias.grad),
    }  # fmt: skip

    x = leaf(given["x"])
    weight, bias = leaf(given["norm_weight"]), leaf(given["norm_bias"])
    output = functional.layer_norm(x, (6,), weight, bias, 1e-5)
    output.backward(tensor(given["norm_grad"]))
    results |= {
        "norm": plain(output), "norm_grad_x": plain(x.grad),
        "norm_grad_weight": plain(weight.grad), "norm_grad_bias": plain(bias.grad),
    }  # fmt: skip
    for name in ("flat", "far"):
        other = tensor(given[f"{name}_x"])
        results[f"norm_{name}"] = plain(functional.layer_norm(other, (6,), weight, bias, 1e-5))

    table = leaf(given["table"])
    embedded = functional.embedding(tensor(given["ids"]), table)
    embedded.backward(tensor(given["norm_grad"]))
    results |= {"embedded": plain(embedded), "table_grad": plain(table.grad)}
    return results | {"positions": plain(tensor(given["x"]) + sinusoids(5, 3, 6, 0.7, x.dtype))}


def sinusoids(start: int, length: int, size: int, scale: float, dtype: torch.dtype) -> Tensor:
    """Make rows of the position table, as turning complex numbers: sine is the imaginary part."""
    rates = torch.exp(-math.log(10000.0) / size * torch.arange(0, size, 2, dtype=torch.float64))
    angles = torch.arange(start, start + length, dtype=torch.float64)[:, None] * rates
    turns = torch.polar(torch.ones_like(angles), angles)
    table = torch.view_as_real(turns).flip(-1).reshape(length, size)
    return table.to(dtype) * scale


def judge_attention(given: Arrays) -> Arrays:
    """Attend with the fused operation; the weights are what it gives for one-hot values."""
    results = {}
    causal = torch.ones(3, 5).tril(2).bool()
    for name, mask in (("open", None), ("causal", causal)):
        tensors = leaves({n: given[n] for n in ("query", "key", "value")})
        output = functional.scaled_dot_product_attention(*tensors.values(), attn_mask=mask)
        output.backward(tensor(given["grad_output"]))
        query, key = tensors["query"], tensors["key"]
        one_hot = torch.eye(5, dtype=query.dtype).expand(*key.shape[:-1], 5)
        weights = functional.scaled_dot_product_attention(query, key, one_hot, attn_mask=mask)
        results |= {f"{name}_output": plain(output), f"{name}_weights": plain(weights)}
        results |= {f"{name}_grad_{n}": plain(t.grad) for n, t in tensors.items()}
    return results


def judge_loss(given: Arrays) -> Arrays:
    """Evaluate the loss over all places, over those that count, and with a denominator."""
    results = {}
    ignored = int(given["ignore_index"])
    for name, index, reduction, denominator in (
        ("all", -100, "mean", 1.0), ("counted", ignored, "mean", 1.0),
        ("shared", ignored, "sum", 30.0),
    ):  # fmt: skip
        logits = leaf(given["logits"])
        loss = cross_entropy(logits, tensor(given["targets"]), index, reduction) / denominator
        loss.backward()
        results |= {f"{name}_loss": number(loss), f"{name}_grad": plain(logits.grad)}
    return results


def cross_entropy(logits: Tensor, targets: Tensor, ignored: int, reduction: str = "mean") -> Tensor:
    """Call PyTorch's loss on a row of places."""
    return functional.cross_entropy(
        logits.flatten(0, -2), targets.flatten(), ignore_index=ignored, reduction=reduction
    )


def judge_sampling(given: Arrays) -> Arrays:
    """Filter, and return the probabilities of the tokens that are left."""
    logits, k = tensor(given["logits"]), int(given["k"])
    cooled = logits / float(given["temperature"])
    smallest = torch.topk(cooled, k).values[:, -1:]
    kept = cooled.masked_fill(cooled < smallest, -math.inf)
    filtered = {"temperature": cooled, "top_k": kept}
    for p in given["p"]:
        filtered |= {f"top_p_{p}": nucleus(logits, float(p)), f"all_{p}": nucleus(kept, float(p))}
    return {name: plain(torch.softmax(left, -1)) for name, left in filtered.items()}


def nucleus(logits: Tensor, p: float) -> Tensor:
    """Drop, from the unlikely end, the tokens whose tail fits into 1 - p."""
    ascending, order = torch.sort(logits)
    tail = torch.softmax(ascending, -1).double().cumsum(-1)
    drop = tail <= 1.0 - p
    drop[:, -1] = False
    return logits.masked_fill(drop.scatter(-1, order, drop), -math.inf)


def decay_groups(parameters: Tensors, weight_decay: float) -> list[dict[str, Any]]:
    """Let the arrays of two or more dimensions decay, and no others."""
    matrices = [p for p in parameters.values() if p.ndim >= 2]
    vectors = [p for p in parameters.values() if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def adamw(parameters: Tensors, settings: dict[str, Any]) -> torch.optim.AdamW:
    """Make PyTorch's optimizer over two groups."""
    groups = decay_groups(parameters, settings["weight_decay"])
    return torch.optim.AdamW(groups, lr=1.0, betas=tuple(settings["betas"]), eps=settings["eps"])


def judge_optimizer(given: Arrays) -> Arrays:
    """Clip and step eight times."""
    settings = unpack(given["settings"])
    parameters = leaves(under("parameters", given))
    optimizer = adamw(parameters, settings)
    results, norms = {}, []
    for step, rate in enumerate(given["rates"]):
        for name, gradient in under("gradients", given).items():
            parameters[name].grad = tensor(gradient[step])
        norms.append(clip(parameters, settings["max_norm"]))
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.step()
        results |= put_under(f"clipped_{step}", gradients_of(parameters))
        results |= put_under(f"step_{step}", {n: plain(p) for n, p in parameters.items()})
    return results | {"norms": np.array(norms)}


def clip(parameters: Tensors, max_norm: float) -> float:
    """Clip as PyTorch does; it adds 1e-6 to the norm, which is taken out here.

    `clip_grad_norm_` multiplies by max_norm / (norm + 1e-6), LiterateGPT by max_norm / norm.
    So the limit is raised by what makes both the same.
    """
    tensors = list(parameters.values())
    norm = torch.nn.utils.get_total_norm([t.grad for t in tensors if t.grad is not None]).item()
    limit = max_norm * (norm + 1e-6) / norm if norm > max_norm else math.inf
    measured: float = torch.nn.utils.clip_grad_norm_(tensors, limit).item()
    assert measured == norm
    return norm


def judge_schedule(given: Arrays) -> Arrays:
    """Let PyTorch's schedulers run through whole runs."""
    settings = unpack(given["settings"])
    results = {}
    for warmup, total in settings["runs"]:
        rates = schedule(settings["peak"], settings["minimum"], warmup, total)
        results[f"{warmup}_of_{total}"] = np.array(rates)
    return results


def schedule(peak: float, minimum: float, warmup: int, total: int) -> list[float]:
    """List the rates of a linear rise followed by half a cosine.

    Warm-up of W steps is `LinearLR` from 1/W to 1 in W - 1 steps, so that step s has (s + 1) / W.
    The cosine is `CosineAnnealingLR` from step W - 1, the peak, to the last step: total - W steps.
    """
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    schedulers = torch.optim.lr_scheduler
    scheduler: torch.optim.lr_scheduler.LRScheduler
    if warmup < 2:
        scheduler = schedulers.CosineAnnealingLR(optimizer, total - 1, minimum)
    else:
        rise = schedulers.LinearLR(optimizer, 1.0 / warmup, 1.0, warmup - 1)
        fall = schedulers.CosineAnnealingLR(optimizer, total - warmup, minimum)
        scheduler = schedulers.SequentialLR(optimizer, [rise, fall], [warmup - 1])
    rates = []
    for _ in range(total):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


def gpt(
    parameters: Tensors, tokens: Tensor, config: dict[str, Any], masks: Tensors | None = None
) -> Tensor:
    """Evaluate a whole GPT, (B, T) -> (B, T, V); `masks` are the factors of dropout."""
    table = parameters["token_embedding.weight"]
    length, size = tokens.shape[1], config["embedding_dim"]
    x = functional.embedding(tokens, table)
    if config["positional_encoding"] == "learned":
        x = x + parameters["position_embedding.weight"][:length]
    else:
        x = x + sinusoids(0, length, size, config["position_scale"], x.dtype)
    x = x if masks is None else x * masks["embedding"]
    for i in range(config["num_layers"]):
        prefix = f"blocks.{i}"
        own = {n.removeprefix(prefix + "."): p for n, p in parameters.items() if prefix + "." in n}
        first = attend(own, norm(own, "attention_norm", x), config["num_heads"])
        x = x + (first if masks is None else first * masks[f"{prefix}.first"])
        hidden = linear(own, "feed_forward.expand", norm(own, "feed_forward_norm", x))
        second = linear(own, "feed_forward.contract", functional.gelu(hidden, approximate="tanh"))
        x = x + (second if masks is None else second * masks[f"{prefix}.second"])
    x = norm(parameters, "final_norm", x)
    return x @ (table.T if config["tie_weights"] else parameters["head.weight"])


def norm(parameters: Tensors, name: str, x: Tensor) -> Tensor:
    """Apply PyTorch's LayerNorm."""
    weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    return functional.layer_norm(x, x.shape[-1:], weight, bias, 1e-5)


def linear(parameters: Tensors, name: str, x: Tensor) -> Tensor:
    """Apply PyTorch's linear layer, whose weight is (out, in)."""
    return functional.linear(x, parameters[f"{name}.weight"].T, parameters[f"{name}.bias"])


def attend(parameters: Tensors, x: Tensor, num_heads: int) -> Tensor:
    """Attend in every head with the fused causal operation."""
    query, key, value = (
        linear(parameters, f"attention.{name}", x).unflatten(-1, (num_heads, -1)).transpose(1, 2)
        for name in ("query", "key", "value")
    )
    heads = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    return linear(parameters, "attention.output", heads.transpose(1, 2).flatten(-2))


def judge_model(given: Arrays) -> Arrays:
    """Evaluate a model, and differentiate its loss: logits, loss and every gradient."""
    config, tokens = unpack(given["config"]), tensor(given["tokens"])
    parameters = leaves(under("parameters", given))
    masks = {name: tensor(mask) for name, mask in under("masks", given).items()}
    logits = gpt(parameters, tokens, config, masks)
    loss = cross_entropy(logits, tensor(given["targets"]), int(given["ignore_index"]))
    loss.backward()
    evaluated = gpt(parameters, tokens, config)
    return put_under("gradients", gradients_of(parameters)) | {
        "logits": plain(logits), "loss": number(loss), "evaluated": plain(evaluated),
    }  # fmt: skip


def judge_training(given: Arrays) -> Arrays:
    """Train for twenty steps, each batch in one piece."""
    config, settings = unpack(given["config"]), unpack(given["settings"])
    parameters = leaves(under("parameters", given))
    optimizer = adamw(parameters, unpack(given["optimizer"]))
    rates = schedule(
        settings["peak_learning_rate"], settings["minimum_learning_rate"],
        settings["warmup_steps"], settings["total_steps"],
    )  # fmt: skip
    losses, norms = [], []
    batches = zip(rates, tensor(given["tokens"]), tensor(given["targets"]), strict=True)
    for rate, tokens, targets in batches:
        optimizer.zero_grad()
        logits = gpt(parameters, tokens, config)
        loss = cross_entropy(logits, targets, int(given["ignore_index"]))
        loss.backward()
        losses.append(loss.item())
        norms.append(clip(parameters, settings["max_norm"]))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    return {
        "losses": np.array(losses), "rates": np.array(rates), "norms": np.array(norms),
    } | put_under("parameters", {n: plain(p) for n, p in parameters.items()})  # fmt: skip


def judge_lora(given: Arrays) -> Arrays:
    """Correct the weight itself, in the paper's column form, and let autograd find the factors."""
    settings = unpack(given["settings"])
    factor = settings["alpha"] / settings["rank"]
    x = leaf(given["x"])
    factors = leaves({name: given[name] for name in ("lora_a", "lora_b")})
    merged = corrected(tensor(given["weight"]), factors["lora_a"], factors["lora_b"], factor)
    output = functional.linear(x, merged.T, tensor(given["bias"]))
    output.backward(tensor(given["grad_output"]))
    results = {"output": plain(output), "grad_x": plain(x.grad), "merged": plain(merged)}
    results |= put_under("gradients", gradients_of(factors))

    parameters = {n: tensor(a) for n, a in under("model/parameters", given).items()}
    corrections = leaves(under("corrections", given))
    for name in [n.removesuffix(".lora_a") for n in corrections if n.endswith("a")]:
        parameters[f"{name}.weight"] = corrected(
            parameters[f"{name}.weight"],
            corrections[f"{name}.lora_a"], corrections[f"{name}.lora_b"], factor,
        )  # fmt: skip
    logits = gpt(parameters, tensor(given["model/tokens"]), unpack(given["model/config"]))
    loss = cross_entropy(logits, tensor(given["model/targets"]), -100)
    loss.backward()
    return results | put_under("model_gradients", gradients_of(corrections)) | {
        "loss": number(loss), "logits": plain(logits), "merged_logits": plain(logits),
    }  # fmt: skip


def corrected(weight: Tensor, lora_a: Tensor, lora_b: Tensor, factor: float) -> Tensor:
    """Correct a weight: its transpose is W + factor B A, as the paper writes it."""
    return torch.addmm(weight.T, lora_b.T, lora_a.T, alpha=factor).T


JUDGE: dict[str, Callable[[Arrays], Arrays]] = {
    "activations": judge_activations,
    "layers": judge_layers,
    "attention": judge_attention,
    "loss": judge_loss,
    "sampling": judge_sampling,
    "optimizer": judge_optimizer,
    "schedule": judge_schedule,
    "model": judge_model,
    "training": judge_training,
    "lora": judge_lora,
}
"""What computes the results of each subject."""
