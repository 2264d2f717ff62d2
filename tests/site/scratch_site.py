"""Build a small site of scratch pages with the project's own configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from mkdocs.utils.yaml import yaml_load

ROOT = Path(__file__).resolve().parents[2]
PAGES = Path(__file__).with_name("scratch")


def copy_pages(docs: Path) -> None:
    """Copy the scratch pages, and the style sheets and scripts of the site."""
    shutil.copytree(PAGES, docs)
    shutil.copytree(ROOT / "docs" / "assets", docs / "assets")


def configuration(docs: Path) -> dict[str, object]:
    """The project's configuration for other pages, without the reference."""
    config = yaml_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    devices = {"pagetools.devices": {"docs": str(docs)}}
    extensions = [one for one in config["markdown_extensions"] if one != "pagetools.devices"]
    pages = sorted(path.name for path in docs.glob("*.md") if path.name != "index.md")
    theme = config["theme"] | {"custom_dir": str(ROOT / "overrides" / "theme")}
    return config | {
        "theme": theme,
        "docs_dir": str(docs), "plugins": ["search"], "hooks": [], "watch": [],
        "nav": ["index.md", *pages], "markdown_extensions": [*extensions, devices],
    }  # fmt: skip


def build(directory: Path) -> Path:
    """Build the scratch site strictly in a directory; return where it stands."""
    docs, built = directory / "docs", directory / "site"
    if not docs.exists():
        copy_pages(docs)
    path = directory / "mkdocs.yml"
    path.write_text(yaml.safe_dump(configuration(docs)), encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(built)]
    done = subprocess.run(
        [*command, "--config-file", str(path)], cwd=ROOT, capture_output=True, encoding="utf-8",
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the scratch site does not build:\n{done.stdout}{done.stderr}")
    return built
