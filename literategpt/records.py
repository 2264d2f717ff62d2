"""Record what was measured with: date, versions and machine, beside the numbers.

A loss or a time without them cannot be compared.
"""

import datetime
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from literategpt.files import replace_file

__all__ = ["describe_machine", "write_record"]


def processor() -> str:
    """Name the processor, as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def load() -> float | None:
    """Return how many processes wanted a processor in the last minute, where that is known."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def describe_machine() -> dict[str, Any]:
    """Say when, where and with which versions something is measured.

    Returns:
        Date, versions of Python and NumPy, processor, number of processors, system, and the load:
        the mean number of processes that wanted a processor in the last minute.
        With a load above about 0.5 before a measurement, the machine had other work.

    Examples:
        >>> list(describe_machine())
        ['date', 'python', 'numpy', 'processor', 'processors', 'system', 'load_before']
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "processor": processor(),
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_before": load(),
    }


def write_record(path: Path | str, record: dict[str, Any]) -> None:
    """Write a record as JSON, as a whole or not at all.

    Args:
        path: The file.
        record: Plain values: numbers, texts, lists and dictionaries of them.

    Raises:
        TypeError: A value is not plain.
        ValueError: A number is not finite; JSON has no word for it.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = Path(directory) / "run.json"
        ...     write_record(path, {"steps": 100, "validation_loss": 4.25})
        ...     print(path.read_text(encoding="utf-8").rstrip())
        {
          "steps": 100,
          "validation_loss": 4.25
        }
    """
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    with replace_file(path) as file:
        file.write((text + "\n").encode("utf-8"))
