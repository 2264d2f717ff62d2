"""Draw the figures of a page when the site is built.

A Markdown extension. A paragraph that is one image of `figures/`,

    ![What the picture shows, in words.](figures/home/likeliest.svg "The caption, with *Markdown*.")

becomes a drawing: the function `likeliest` of `docs/figures/home.py`, which takes nothing and
returns a `pagetools.svg.Picture`, is called, and its SVG stands inside the page with the words as
its description and the title as its caption. No picture is kept in the repository, so none can be
older than the code it shows.
"""

from __future__ import annotations

import html
import importlib.util
import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from xml.etree.ElementTree import Element, SubElement

from markdown import Extension, Markdown
from markdown.blockprocessors import BlockProcessor

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "figures"

_IMAGE = re.compile(
    r"^ {0,3}!\[(?P<words>[^\]]*)\]\((?:\.\./)*figures/(?P<page>\w+)/(?P<name>\w+)\.svg"
    r'(?:\s+"(?P<caption>.*)")?\)\s*$',
    re.DOTALL,
)
_NEAR_MISS = re.compile(r"!\[[^\]]*\]\((?:\.\./)*figures/")


class FigureError(ValueError):
    """A page asks for a figure that cannot be drawn."""


def newest_change(directories: Iterable[Path]) -> float:
    """Return when any Python file below the directories was last changed."""
    return max(path.stat().st_mtime for d in directories for path in d.rglob("*.py"))


def _load(page: str, changed: float) -> ModuleType:
    """Import the module that draws the figures of one page.

    `mkdocs serve` is one long process. When a file has changed, what figures are drawn from is
    forgotten and imported anew.
    """
    name, path = f"docs_figures.{page}", FIGURES / f"{page}.py"
    module = sys.modules.get(name)
    if module is not None and module.__dict__["changed"] == changed:
        return module
    if module is not None:
        for known in [
            n
            for n in sys.modules
            if re.match(r"(literategpt|docs_figures|pagetools\.(svg|drawing))\b", n)
        ]:
            del sys.modules[known]
    if not path.is_file():
        raise FigureError(f"expected figures in docs/figures/{page}.py, which does not exist")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FigureError(f"docs/figures/{page}.py cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__dict__["changed"] = changed
    sys.modules[name] = module
    return module


@lru_cache(maxsize=256)
def _draw(page: str, name: str, changed: float) -> str:
    function = getattr(_load(page, changed), name, None)
    if not callable(function):
        raise FigureError(f"expected a function {name} in docs/figures/{page}.py, found none")
    picture = function()
    if not hasattr(picture, "_repr_svg_"):
        raise FigureError(f"expected {page}.{name} to return a Picture, got {type(picture)}")
    svg: str = picture._repr_svg_()
    return svg


def draw(page: str, name: str) -> str:
    """Return the SVG of one figure.

    Args:
        page: The module in `docs/figures/`.
        name: The function in it.

    Raises:
        FigureError: If there is no such function, or it does not return a picture.
    """
    return _draw(page, name, newest_change([FIGURES, ROOT / "literategpt", ROOT / "pagetools"]))


def describe(svg: str, words: str, identity: str) -> str:
    """Give an SVG its description for those who do not see it.

    Args:
        svg: The drawing.
        words: What it shows: the first sentence is its title, the rest its description.
        identity: A name that is unique in the page.

    Returns:
        The SVG as an image with an accessible name.

    Raises:
        FigureError: If there are no words.

    Examples:
        >>> print(describe('<svg viewBox="0 0 1 1"></svg>', "A dot. It is red.", "dot"))
        <svg role="img" aria-labelledby="dot-title dot-desc" viewBox="0 0 1 1"><title \
id="dot-title">A dot.</title><desc id="dot-desc">It is red.</desc></svg>
    """
    title, _, rest = re.sub(r"\s+", " ", words.strip()).partition(". ")
    if not title:
        raise FigureError(f"expected the figure {identity} to be described in words, got none")
    title = title + "." if rest else title
    named = f"{identity}-title {identity}-desc" if rest else f"{identity}-title"
    inside = f'<title id="{identity}-title">{html.escape(title)}</title>'
    inside += f'<desc id="{identity}-desc">{html.escape(rest)}</desc>' if rest else ""
    opening, closing, drawing = svg.partition(">")
    opening = opening.replace("<svg", f'<svg role="img" aria-labelledby="{named}"', 1)
    return opening + closing + inside + drawing


class FigureProcessor(BlockProcessor):
    """Replace a paragraph that is one image of `figures/`."""

    def test(self, parent: Element, block: str) -> bool:
        """Say whether a block asks for a figure."""
        return bool(_NEAR_MISS.search(block))

    def run(self, parent: Element, blocks: list[str]) -> None:
        """Put the figure in the place of the first block."""
        block = blocks.pop(0)
        found = _IMAGE.match(block)
        if found is None:
            raise FigureError(
                "expected a paragraph of the form "
                f'![words](figures/page/name.svg "caption"), got {block!r}'
            )
        svg = describe(
            draw(found["page"], found["name"]),
            html.unescape(found["words"]),
            f"figure-{found['page']}-{found['name']}".replace("_", "-"),
        )
        width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])  # type: ignore[index]
        figure = SubElement(parent, "figure", {"class": "figure"})
        drawing = SubElement(figure, "div", {"class": "drawing", "data-search-exclude": ""})
        drawing.set("style", f"--width: {width:g}")
        drawing.text = self.parser.md.htmlStash.store(svg)
        if found["caption"]:
            SubElement(figure, "figcaption").text = found["caption"]


class FigureExtension(Extension):
    """Register the processor of figures."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (the name is Markdown's)
        """Add the processor to a Markdown instance, before paragraphs are made."""
        md.parser.blockprocessors.register(FigureProcessor(md.parser), "figures", 75)


def makeExtension(**options: object) -> FigureExtension:  # noqa: N802 (the name is Markdown's)
    """Make the extension; Markdown calls this by its name."""
    return FigureExtension(**options)
