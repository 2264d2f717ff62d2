"""What a reader and an editor wait for: building the site, loading a page, the test commands."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.turns import Record

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {
    "make build": (60, 3),
    "make check": (60, 1),
    "make test": (15 * 60, 1),
}
"""Each command with its limit in seconds, and how often it is run."""

HEAVIEST = 400_000
"""Limit of what a first visit to a page transfers, in bytes."""


def run_command(command: str, times: int) -> list[float]:
    """Run a command, and return the seconds it took each time.

    Raises:
        SystemExit: It failed.
    """
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        done = subprocess.run(
            command.split(), cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"expected {command} to pass:\n{done.stdout[-2000:]}{done.stderr}")
        seconds.append(round(time.perf_counter() - start, 1))
        print(f"  {command}: {seconds[-1]} s", flush=True)
    return seconds


def page_weights() -> dict[str, int]:
    """Visit each step's page for the first time, and count the bytes that are transferred."""
    sys.path.insert(0, str(ROOT / "tests" / "site"))
    browsing = importlib.import_module("browsing")
    steps = importlib.import_module("pagetools.book").STEPS  # needs what builds the site
    with tempfile.TemporaryDirectory() as directory:
        build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", directory]
        subprocess.run(build, cwd=ROOT, check=True)
        weights = {}
        with browsing.serving(Path(directory)) as address, browsing.chromium() as browser:
            for step in steps:
                name = step.page.removesuffix(".md")
                visit = browsing.Visit(browser, address)
                weights[name] = browsing.look(visit, f"{name}/", None).weight
                visit.close()
        return weights


def measure() -> dict[str, Any]:
    """Run the commands and visit the pages."""
    if importlib.util.find_spec("playwright") is None or shutil.which("chromium") is None:
        raise SystemExit("expected playwright and Chromium to be installed, to visit the pages")
    commands: list[Record] = [
        {"command": command, "limit": limit, "seconds": run_command(command, times)}
        for command, (limit, times) in COMMANDS.items()
    ]
    return {"commands": commands, "page_bytes": page_weights(), "page_limit": HEAVIEST}
