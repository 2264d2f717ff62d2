"""Build the site once for all tests of it."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import pytest
from site_checks import Site

ROOT = Path(__file__).resolve().parents[2]
AXE_PACKAGE = "axe-core@4.10.3"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site, built as `make build` builds it, in a directory of this test process."""
    directory = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert built.returncode == 0, f"the site does not build:\n{built.stdout}{built.stderr}"
    assert "WARNING" not in built.stderr, built.stderr
    return Site(directory)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests of a module."""
    with browsing.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The accessibility checker axe-core, fetched with npm for this run; None if it cannot be."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    directory = tmp_path_factory.mktemp("axe")
    packed = subprocess.run(
        [npm, "pack", "--silent", AXE_PACKAGE], cwd=directory, capture_output=True, check=False,
        timeout=120,
    )  # fmt: skip
    archive = next(directory.glob("*.tgz"), None)
    if packed.returncode != 0 or archive is None:
        return None
    with tarfile.open(archive) as file:
        file.extractall(directory, filter="data")
    return directory / "package" / "axe.min.js"
