"""Measure one training step beside PyTorch: the same model, weights, batches and optimizer.

    python -m benchmarks.training_step [--rounds 15] [--steps 5] [--output results.json]

A step is forward, backward, clipping and AdamW on 32 sequences of 128 tokens, in float32, for the
default model.
LiterateGPT works as `train_pretrain` does: two threads over pieces of four sequences.
PyTorch runs eagerly in two threads with its fused attention and its fused AdamW.

Each side is a process of its own, which waits on a pipe until it is told to do a few steps.
The two take turns, so that whatever else the machine does meets both, and the order within a round
changes from round to round.
Both report the loss of every step; where these differ, nothing was compared, and the run fails.
"""

import argparse
import datetime
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BATCH_SIZE, SEQUENCE_LENGTH, BATCHES = 32, 128, 8
LEARNING_RATE, MAX_NORM, THREADS = 1e-3, 1.0, 2
LOSS_TOLERANCE = 1e-3
"""How far the two losses of a step may differ, relatively; rounding alone stays below 1e-4."""

# OpenBLAS reads this when NumPy is imported; the peer's threads are set in `peer_steps`.
ENVIRONMENTS = {"ours": {"OPENBLAS_NUM_THREADS": "1"}, "peer": {}}

Batches = list[tuple[Any, Any]]


def initial_model() -> Any:
    """Make the model that both start from."""
    import numpy as np

    from literategpt.model import GPTConfig, GPTModel

    return GPTModel(GPTConfig(), rng=np.random.default_rng(0))


def make_batches(vocabulary_size: int) -> Batches:
    """Draw the batches that both are given; rare and frequent tokens as in a text."""
    import numpy as np

    rng = np.random.default_rng(1)
    weights = 1.0 / np.arange(10, vocabulary_size + 10)
    shape = (BATCHES, BATCH_SIZE, SEQUENCE_LENGTH + 1)
    drawn = rng.choice(vocabulary_size, shape, p=weights / weights.sum())
    return [(tokens[:, :-1], tokens[:, 1:]) for tokens in drawn]


def endless(batches: Batches) -> Iterator[tuple[Any, Any]]:
    """Yield batches, round and round."""
    while True:
        yield from batches


def our_steps() -> Iterator[float]:
    """Train with LiterateGPT, yielding the loss of each step."""
    from literategpt.optimizer import AdamW, clip_gradients
    from literategpt.training import batch_gradients, keep_freed_memory, worker_pool

    keep_freed_memory()
    model = initial_model()
    optimizer = AdamW(model.trainable_parameters(), learning_rate=LEARNING_RATE)
    with worker_pool(THREADS) as ordered_map:
        for step, (inputs, targets) in enumerate(endless(make_batches(2000))):
            loss, gradients = batch_gradients(
                model, inputs, targets, seed=(0, step), ordered_map=ordered_map
            )
            clip_gradients(gradients, MAX_NORM)
            optimizer.step(gradients)
            yield loss


def make_peer(model: Any) -> Any:
    """Make the same model of PyTorch's own modules, with the same weights."""
    import torch
    from torch import nn
    from torch.nn import functional

    config = model.config

    class Block(nn.Module):
        """Pre-LN; one product makes queries, keys and values."""

        def __init__(self) -> None:
            super().__init__()
            size = config.embedding_dim
            self.attention_norm = nn.LayerNorm(size)
            self.qkv = nn.Linear(size, 3 * size)
            self.output = nn.Linear(size, size)
            self.feed_forward_norm = nn.LayerNorm(size)
            self.expand = nn.Linear(size, config.feed_forward_dim)
            self.contract = nn.Linear(config.feed_forward_dim, size)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            batch, time_steps, size = x.shape
            heads = self.qkv(self.attention_norm(x)).view(
                batch, time_steps, 3, config.num_heads, config.head_dim
            )
            query, key, value = heads.permute(2, 0, 3, 1, 4)
            attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + self.output(attended.transpose(1, 2).reshape(batch, time_steps, size))
            hidden = functional.gelu(self.expand(self.feed_forward_norm(x)), approximate="tanh")
            return x + self.contract(hidden)

    class GPT(nn.Module):
        """A tied head, and fixed positions."""

        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_dim)
            table = model.positional_encoding.table * config.position_scale
            self.register_buffer("positions", torch.from_numpy(table))
            self.blocks = nn.ModuleList(Block() for _ in range(config.num_layers))
            self.final_norm = nn.LayerNorm(config.embedding_dim)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
            for block in self.blocks:
                x = block(x)
            return functional.linear(self.final_norm(x), self.embedding.weight)

    peer = GPT()
    copy_weights(model.named_parameters(), peer)
    return peer


def copy_weights(parameters: dict[str, Any], peer: Any) -> None:
    """Write our parameters into the peer's; a linear weight there is (out, in)."""
    import numpy as np
    import torch

    state = {"embedding.weight": parameters["token_embedding.weight"]}
    for name, array in parameters.items():
        if name.startswith(("blocks", "final")):
            short = name.replace("attention.output", "output").replace("feed_forward.", "")
            state[short] = array.T if array.ndim == 2 else array
    for i in range(len(peer.blocks)):
        for kind in ("weight", "bias"):
            parts = [
                state.pop(f"blocks.{i}.attention.{n}.{kind}") for n in ("query", "key", "value")
            ]
            state[f"blocks.{i}.qkv.{kind}"] = np.concatenate(parts)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in state.items()}
    peer.load_state_dict(tensors | {"positions": peer.positions})


def peer_steps() -> Iterator[float]:
    """Train with PyTorch, yielding the loss of each step."""
    import torch
    from torch.nn import functional
    from torch.nn.utils import clip_grad_norm_

    torch.set_num_threads(THREADS)
    model = initial_model()
    peer = make_peer(model)
    assert sum(p.numel() for p in peer.parameters()) == model.num_parameters()
    groups = [
        {"params": [p for p in peer.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in peer.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.95), fused=True)
    batches = [(torch.tensor(x), torch.tensor(y)) for x, y in make_batches(2000)]
    for inputs, targets in endless(batches):
        optimizer.zero_grad(set_to_none=True)
        logits = peer(inputs)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        clip_grad_norm_(peer.parameters(), MAX_NORM)
        optimizer.step()
        yield loss.item()


STEPS: dict[str, Callable[[], Iterator[float]]] = {"ours": our_steps, "peer": peer_steps}


def obey(side: str) -> None:
    """Do as many steps as each line of the input asks for, and answer with a line of JSON."""
    steps = STEPS[side]()
    idle_since = time.process_time()
    for line in sys.stdin:
        idle = time.process_time() - idle_since
        start = time.perf_counter()
        losses = [next(steps) for _ in range(int(line))]
        seconds = time.perf_counter() - start
        idle_since = time.process_time()
        answer = {"seconds": seconds, "losses": losses, "idle_cpu_seconds": idle}
        print(json.dumps(answer), flush=True)


class Side:
    """One of the two processes."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, "-m", "benchmarks.training_step", "--side", name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | ENVIRONMENTS[name], cwd=Path(__file__).resolve().parents[1],
        )  # fmt: skip

    def run(self, steps: int) -> dict[str, Any]:
        """Have some steps done, and wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("expected an answer from both sides; one of them ended (see above)")
        return dict(json.loads(answer))

    def end(self) -> None:
        """Close the pipe, which ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def take_turns(rounds: int, steps: int) -> dict[str, list[dict[str, Any]]]:
    """Let both do a warm-up and then some rounds of steps, in turns."""
    sides = {name: Side(name) for name in STEPS}
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in STEPS}
    for number in range(rounds + 1):
        for name in sorted(sides, reverse=number % 2 == 1):
            time.sleep(0.05)  # let the threads of the other side fall asleep
            answers[name].append(sides[name].run(steps))
        if number:
            speeds = [answers[name][-1]["seconds"] / steps * 1000 for name in ("ours", "peer")]
            print("round {}: {:.0f} ms a step, PyTorch {:.0f} ms".format(number, *speeds))
    for side in sides.values():
        side.end()
    return answers


def quartiles(values: list[float]) -> dict[str, float]:
    """Return the median and the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"lower_quartile": low, "median": middle, "upper_quartile": high}


def summarize(answers: dict[str, list[dict[str, Any]]], steps: int) -> dict[str, Any]:
    """Turn the answers, without those of the warm-up, into speeds and their ratio."""
    tokens = steps * BATCH_SIZE * SEQUENCE_LENGTH
    speeds = {name: [tokens / a["seconds"] for a in rest[1:]] for name, rest in answers.items()}
    ratios = [ours / peer for ours, peer in zip(speeds["ours"], speeds["peer"], strict=True)]
    losses = {name: [x for a in rest for x in a["losses"]] for name, rest in answers.items()}
    differences = [
        abs(a - b) / b for a, b in zip(losses["ours"], losses["peer"], strict=True)
    ]  # fmt: skip
    return {
        "tokens_per_second": {name: quartiles(values) for name, values in speeds.items()},
        "ratio": quartiles(ratios),
        "first_losses": {name: values[0] for name, values in losses.items()},
        "last_losses": {name: values[-1] for name, values in losses.items()},
        "largest_relative_difference_of_losses": max(differences, key=lambda d: (math.isnan(d), d)),
        "largest_cpu_seconds_while_waiting": {
            name: max(a["idle_cpu_seconds"] for a in rest[1:]) for name, rest in answers.items()
        },
        "rounds_tokens_per_second": speeds,
    }


def processor() -> str:
    """Name the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def conditions(arguments: argparse.Namespace) -> dict[str, Any]:
    """Say with what, how, where and when it was measured."""
    from importlib.metadata import version

    return {
        "command": f"python -m benchmarks.training_step --rounds {arguments.rounds} "
        f"--steps {arguments.steps}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {
            "processor": processor(), "processors": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        },
        "versions": {
            "python": platform.python_version(), "numpy": version("numpy"),
            "torch": version("torch"),
        },
        "settings": {
            "batch": [BATCH_SIZE, SEQUENCE_LENGTH], "threads": THREADS, "rounds": arguments.rounds,
            "steps_a_round": arguments.steps, "dtype": "float32",
        },
    }  # fmt: skip


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a file, complete or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def report(summary: dict[str, Any]) -> None:
    """Print the figures."""
    named = {"LiterateGPT": "ours", "PyTorch": "peer"}
    for name, key in named.items():
        print("{:12} {median:8,.0f} tokens/s, quartiles {lower_quartile:,.0f} to "
              "{upper_quartile:,.0f}".format(name, **summary["tokens_per_second"][key]))  # fmt: skip
    print("{:12} {median:8.3f}, quartiles {lower_quartile:.3f} to {upper_quartile:.3f}".format(
        "ratio", **summary["ratio"]))  # fmt: skip
    print("losses       {ours:.6f} and {peer:.6f} in the last step".format(
        **summary["last_losses"]))  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure a training step beside PyTorch.")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each side, at least 9")
    parser.add_argument("--steps", type=int, default=5, help="steps in a turn")
    parser.add_argument("--output", type=Path, help="write all figures to this file, as JSON")
    parser.add_argument("--side", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rounds < 9 or arguments.steps < 1:
        parser.error(f"expected at least 9 rounds of 1 step, got {arguments.rounds} of "
                     f"{arguments.steps}")  # fmt: skip
    return arguments


def main() -> None:
    """Measure, report, and fail if the losses differ or the ratio is below 1."""
    arguments = parse_arguments()
    if arguments.side:
        obey(arguments.side)
        return
    try:
        before = conditions(arguments)
    except ModuleNotFoundError as error:
        raise SystemExit("expected PyTorch to be installed: pip install torch==2.13.0") from error
    summary = summarize(take_turns(arguments.rounds, arguments.steps), arguments.steps)
    report(summary)
    if arguments.output:
        write_json(arguments.output, before | summary)
    difference = summary["largest_relative_difference_of_losses"]
    if not difference < LOSS_TOLERANCE:
        raise SystemExit(f"void: the losses differ by {difference:.1e}, so nothing was compared")
    if summary["ratio"]["median"] < 1.0:
        raise SystemExit("slower than PyTorch")


if __name__ == "__main__":
    main()
