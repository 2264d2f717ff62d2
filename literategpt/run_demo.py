"""Let a model write: `python -m literategpt.run_demo --prompt "The king"`.

It uses the newest checkpoint in `checkpoints/`, or, if there is none, the model that comes with the
package.
`--checkpoint FILE` takes another, after any training; `--adapter FILE` puts a LoRA adapter on it.
`--adapter fables` takes the one that comes with the package.
`--compare` writes without the adapter first and then with it, from the same prompt and the same
random numbers.
"""

import os

# One token at a time is too little work to share between threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.random import SeedSequence

from literategpt.folding import FoldedModel, can_fold
from literategpt.lora import load_adapter, remove_lora
from literategpt.model import GPTModel
from literategpt.pretrained import ADAPTERS, adapter_path, load_pretrained
from literategpt.runs import positive
from literategpt.tokenizer import BPETokenizer
from literategpt.utils import load_checkpoint


def newest_checkpoint(directory: Path) -> Path | None:
    """Find the checkpoint that was written last, if there is one."""
    files = sorted(directory.glob("*.npz"), key=lambda path: path.stat().st_mtime)
    return files[-1] if files else None


def find_adapter(name: str) -> Path:
    """Turn the name of a shipped adapter, or of a file, into a path."""
    path = Path(name)
    return path if path.suffix or path.is_file() else adapter_path(name)


def load_model(checkpoint: Path | None, adapter: Path | None) -> tuple[GPTModel, BPETokenizer, str]:
    """Load what was asked for, or the newest, or what is shipped; say which it was."""
    # An adapter is usually of the shipped model, and never of whatever is newest.
    path = checkpoint or (newest_checkpoint(Path("checkpoints")) if adapter is None else None)
    if path is None:
        return *load_pretrained(), "the model that comes with the package"
    return *load_checkpoint(path)[:2], str(path)


def stream_text(tokenizer: BPETokenizer, prompt: list[int], new: Iterator[int]) -> Iterator[str]:
    """Turn tokens into text piece by piece; a character cut in two waits for its other half."""
    yield tokenizer.decode(prompt)
    waiting: list[int] = []
    for token in new:
        waiting.append(token)
        text = tokenizer.decode(waiting)
        if not text.endswith("\ufffd"):
            yield text
            waiting = []
    yield tokenizer.decode(waiting)


def encode_prompt(tokenizer: BPETokenizer, prompt: str) -> list[int]:
    """Turn the prompt into tokens, and say so if some of it is unknown.

    Raises:
        ValueError: The prompt is empty.
    """
    ids = tokenizer.encode(prompt)
    if not ids:
        raise ValueError("expected a prompt of at least one character, got none")
    unknown = ids.count(tokenizer.unk_id) if tokenizer.unk_id is not None else 0
    if unknown:
        print(f"{unknown} character(s) of the prompt are unknown to this model", file=sys.stderr)
    return ids


def parse(command_line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m literategpt.run_demo",
        description="Let a trained model write on from a prompt.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--checkpoint",
        type=Path,
        help="model to use; unless given the newest in checkpoints/, or else the shipped one",
    )
    add("--adapter", help=f"LoRA adapter to put on it: a file, or one of {', '.join(ADAPTERS)}")
    add("--compare", action="store_true", help="write without the adapter, then with it")
    add("--prompt", default="The king", help="start of the text")
    add("--tokens", type=positive, default=200, help="tokens to write")
    add("--temperature", type=float, default=0.8, help="0 always takes the likeliest token")
    add("--top-k", type=positive, help="draw from so many of the likeliest tokens")
    add("--top-p", type=float, default=0.95, help="draw from the fewest tokens of this probability")
    add("--seed", type=int, help="write the same text each time; unless given it differs")
    return parser.parse_args(command_line)


def write(
    model: GPTModel,
    tokenizer: BPETokenizer,
    prompt: list[int],
    arguments: argparse.Namespace,
    seed: SeedSequence,
) -> None:
    """Write one text, and say how fast it was."""
    start = time.perf_counter()
    writer = FoldedModel(model) if can_fold(model) else model
    stream = writer.stream(
        np.array([prompt]),
        arguments.tokens,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        eos_id=tokenizer.eos_id,
        rng=np.random.default_rng(seed),
    )
    for piece in stream_text(tokenizer, prompt, (int(token[0]) for token in stream)):
        print(piece, end="", flush=True)
    speed = arguments.tokens / (time.perf_counter() - start)
    print(flush=True)
    print(f"\n[up to {arguments.tokens} tokens, {speed:,.0f} a second]", file=sys.stderr)


def write_all(arguments: argparse.Namespace) -> None:
    """Load what was asked for, and write: once, or without the adapter and with it.

    Raises:
        ValueError: There is no adapter to compare with.
    """
    if arguments.compare and arguments.adapter is None:
        raise ValueError("expected --adapter beside --compare, got none")
    adapter = None if arguments.adapter is None else find_adapter(arguments.adapter)
    model, tokenizer, source = load_model(arguments.checkpoint, adapter)
    prompt, seed = encode_prompt(tokenizer, arguments.prompt), SeedSequence(arguments.seed)
    # A foreign adapter is refused before anything is written.
    if adapter is not None:
        load_adapter(adapter, model)
    print(f"[{source}, {model.num_parameters():,} parameters]\n", file=sys.stderr)
    if adapter is not None and arguments.compare:
        remove_lora(model)
        print("--- without the adapter ---")
        write(model, tokenizer, prompt, arguments, seed)
        load_adapter(adapter, model)
        print("\n--- with the adapter ---")
    write(model, tokenizer, prompt, arguments, seed)


def main(command_line: list[str] | None = None) -> int:
    """Write, and return 0 if all went well."""
    arguments = parse(command_line)
    try:
        write_all(arguments)
    except (OSError, ValueError) as error:
        print(f"run_demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
