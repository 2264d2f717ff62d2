"""Write the stored oracles: what PyTorch computes from given numbers, one .npz a subject.

    python tests/oracles/make_oracles.py [FOLDER]

FOLDER is the one this script is in, unless given.
Each file holds what was given (`given/...`), what PyTorch computed (`expected/...`, every gradient
by autograd), and with what it was made (`made_with`, JSON).
`tests/test_oracles.py` compares LiterateGPT with these files and needs no PyTorch.
`make parity` makes them anew and compares them with the stored ones.

PyTorch comes with `make parity`, or `pip install torch==2.13.0`.
"""

import datetime
import platform
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

try:
    import torch
except ModuleNotFoundError as error:
    raise SystemExit("expected PyTorch to be installed: pip install torch==2.13.0") from error

from oracles.given import DRAW, TIED, UNTIED, Arrays, draw_model, pack, put_under  # noqa: E402
from parity.torch_reference import JUDGE  # noqa: E402


def stored_given() -> dict[str, Arrays]:
    """Draw what the files hold: each subject once, the model in two configurations.

    All is float64 but one file: there, LayerNorm meets vectors near 1000 in float32.
    """

    def rng() -> np.random.Generator:
        return np.random.default_rng(0)

    given = {name: draw(rng(), "float64") for name, draw in DRAW.items() if name != "model"}
    given["layers_float32"] = DRAW["layers"](rng(), "float32")
    given["model_tied"] = draw_model(rng(), "float64", TIED)
    given["model_untied"] = draw_model(rng(), "float64", UNTIED)
    return given


def made_with() -> dict[str, str]:
    """Name the versions and the day."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def write_oracle(path: Path, given: Arrays, expected: Arrays) -> None:
    """Write one file, complete or not at all."""
    temporary = path.with_suffix(".tmp")
    arrays = put_under("given", given) | put_under("expected", expected)
    with temporary.open("wb") as file:
        np.savez_compressed(file, made_with=pack(**made_with()), **arrays)
    temporary.replace(path)


def main() -> None:
    """Write every oracle."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, given in stored_given().items():
        path = folder / f"{name}.npz"
        write_oracle(path, given, JUDGE[name.partition("_")[0]](given))
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
