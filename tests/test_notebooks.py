"""The notebooks: they run from a clean start, and the site offers them for download."""

import json
import runpy

import jupytext
import pytest

from pagetools import notebooks
from pagetools.pages import ROOT

PATHS = sorted((ROOT / "docs" / "notebooks").glob("*.py"))
every_notebook = pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])


def test_all_four_are_there():
    """Three explorations, and a model of one's own."""
    assert [path.stem for path in PATHS] == [
        "explore_attention", "explore_temperature", "explore_tokenizer", "train_your_own",
    ]  # fmt: skip


@pytest.mark.slow
@every_notebook
def test_a_notebook_runs_and_its_assertions_hold(path, tmp_path, monkeypatch, capsys):
    """Each runs in any directory, prints something, and leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path))
    assert capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@every_notebook
def test_a_notebook_asserts_what_it_says(path):
    """Each has at least three assertions, and a task that is solved or something to try."""
    text = path.read_text(encoding="utf-8")
    assert text.count("\nassert ") >= 3
    assert "## Solutions" in text or "## What to try" in text


@every_notebook
def test_what_is_downloaded_is_the_same_notebook(path):
    """The file for Jupyter has the cells of the script."""
    cells = json.loads(jupytext.writes(jupytext.read(path), fmt="ipynb"))["cells"]
    assert {cell["cell_type"] for cell in cells} == {"code", "markdown"}
    code = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert "from literategpt import" in code


def test_a_finished_page_has_a_link_and_no_diagrams():
    """The link stands under the title, and the script from another host is gone."""
    script = '<script type="module">\nimport("https://a/mermaid.mjs")\n</script>'
    html = notebooks.finish(f"{script}<h1>Title</h1><p>Text.</p>", "explore.ipynb")
    assert html.startswith("<h1>Title</h1><p data-search-exclude><a href=")
    assert "mermaid" not in html
    assert html.endswith("<p>Text.</p>")


def test_wide_code_is_reached_from_the_keyboard():
    """A block of code takes the focus, so that it can be scrolled without a mouse."""
    html = notebooks.finish('<h1>T</h1><div class="highlight-ipynb hl-python"></div>', "a.ipynb")
    assert '<div tabindex="0" class="highlight-ipynb hl-python">' in html


def test_a_page_without_a_title_is_refused():
    """Without a title there is no place for the link."""
    with pytest.raises(ValueError, match=r"expected a title in explore\.ipynb"):
        notebooks.finish("<p>Text.</p>", "explore.ipynb")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("notebooks/a.py", True), ("figures/a.py", False), ("notebooks/a.md", False)],
)
def test_notebooks_are_told_from_other_files(path, expected):
    """Only scripts in the folder of notebooks are notebooks."""

    class Page:
        class file:  # noqa: N801
            src_uri = path

    assert notebooks.is_notebook(Page) is expected
