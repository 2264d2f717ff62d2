"""Record a preset of `train_pretrain`: `python -m experiments.record PRESET [--data FILE]`.

It runs `python -m literategpt.train_pretrain --preset PRESET` once a seed, one after the other, and
keeps log and record as `experiments/recipes/PRESET-seedN.csv` and `.json`.
The checkpoints stay in `checkpoints/`.
The times in the logs mean something only if the machine has no other work.
"""

import argparse
import shutil
from pathlib import Path

from literategpt import train_pretrain

RECIPES = Path(__file__).parent / "recipes"


def record(preset: str, seed: int, options: list[str], directory: Path = RECIPES) -> None:
    """Run a preset from one seed, and keep its log and record.

    Args:
        preset: A name in `PRESETS`.
        seed: Of everything random.
        options: What else to give to the script.
        directory: Where log and record go.

    Raises:
        SystemExit: The run failed, or was stopped.
    """
    checkpoint = Path("checkpoints") / f"{preset}-seed{seed}.npz"
    command = ["--preset", preset, "--seed", str(seed), "--checkpoint", str(checkpoint)]
    checkpoint.with_suffix(".json").unlink(missing_ok=True)
    if train_pretrain.main([*command, "--overwrite", *options]) != 0:
        raise SystemExit(f"expected {preset} to run to its end; it failed")
    if not checkpoint.with_suffix(".json").is_file():
        raise SystemExit(f"expected {preset} to run to its end; it was stopped")
    directory.mkdir(parents=True, exist_ok=True)
    for suffix in (".csv", ".json"):
        shutil.copyfile(checkpoint.with_suffix(suffix), directory / f"{checkpoint.stem}{suffix}")


def main() -> None:
    """Record what the command line names."""
    parser = argparse.ArgumentParser(description="Record a preset of train_pretrain.")
    parser.add_argument("preset", choices=train_pretrain.PRESETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments, options = parser.parse_known_args()
    for seed in arguments.seeds:
        record(arguments.preset, seed, options)


if __name__ == "__main__":
    main()
