"""Finish the pages that mkdocs-jupyter makes: a notebook to download, and nothing from elsewhere.

A hook of MkDocs, because mkdocs-jupyter makes its pages without Markdown's extensions. Notebooks
are kept as percent scripts, `docs/notebooks/*.py`, which differ line by line like other code; what
a reader downloads is the same as `.ipynb`, written when the site is built.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import jupytext

# Draws diagrams that no notebook here has, with a script from another host.
_MERMAID = re.compile(r'<script type="module">(?:(?!</script>).)*mermaid.*?</script>', re.DOTALL)
_TITLE_END = re.compile(r"</h1>")


def is_notebook(page: Any) -> bool:
    """Say whether a page of the site is made of a notebook.

    Examples:
        >>> from types import SimpleNamespace
        >>> page = SimpleNamespace(file=SimpleNamespace(src_uri="notebooks/explore_attention.py"))
        >>> is_notebook(page)
        True
    """
    path = Path(page.file.src_uri)
    return path.suffix == ".py" and path.parent.name == "notebooks"


def finish(html: str, name: str) -> str:
    """Take out the script for diagrams, let code be scrolled, and put a link under the title.

    Args:
        html: the content of the page.
        name: the file to download, beside the page.

    Raises:
        ValueError: the page has no title to put the link under.
    """
    html = _MERMAID.sub("", html)
    # Code that is too wide scrolls, so it must be reached from the keyboard.
    html = html.replace('<div class="highlight-ipynb ', '<div tabindex="0" class="highlight-ipynb ')
    link = (
        f'</h1><p data-search-exclude><a href="{name}" download>Download this notebook</a>, '
        "to change it and run it where the package is installed.</p>"
    )
    html, found = _TITLE_END.subn(link, html, count=1)
    if not found:
        raise ValueError(f"expected a title in {name}, found none")
    return html


def on_startup(**_: Any) -> None:
    """Give nbconvert the settings in `pagetools/jupyter`.

    A kernel warns of listeners each time it starts; those of a build talk on this machine alone,
    and what goes wrong in a cell stops the build all the same.
    """
    os.environ["JUPYTER_CONFIG_PATH"] = str(Path(__file__).parent / "jupyter")


def on_page_content(html: str, *, page: Any, **_: Any) -> str:
    """Finish the content of a notebook's page, and write the notebook beside it."""
    if not is_notebook(page):
        return html
    source, target = Path(page.file.abs_src_path), Path(page.file.abs_dest_path).parent
    name = source.with_suffix(".ipynb").name
    target.mkdir(parents=True, exist_ok=True)
    jupytext.write(jupytext.read(source), target / name)
    return finish(html, name)
