"""Collect on one page what stands on many: the exercises, and the terms of the ledger.

A Markdown extension. On `Exercises.md` a paragraph that is one link to an exercise,

    [Exercise 1: a mixture by hand](Attention.md#exercise-1-a-mixture-by-hand)

becomes that exercise, with its hint and its solution; the page it comes from keeps its checker.
On `Glossary.md` the line `[The terms of the ledger]` becomes the list of all terms.
Nothing is written twice, and on a code host the links lead to the exercises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

from pagetools.book import STEPS
from pagetools.exercises import Exercise, exercises
from pagetools.ledger import Entry, read_ledger
from pagetools.pages import ROOT, read_page

EXERCISES, GLOSSARY = "Exercises.md", "Glossary.md"
TERMS = "[The terms of the ledger]"

LINK = re.compile(r"^\[(?P<title>Exercise [^\]]+)\]\((?P<page>\w+\.md)#(?P<anchor>[\w-]+)\)$")
_ON_THIS_PAGE = re.compile(r"\]\(#")
_CHECK = '<details class="check" markdown>'


class CollectedError(ValueError):
    """A page asks for an exercise that does not exist."""


def exercise_links(text: str) -> list[tuple[str, str]]:
    """The exercises that a page collects, each as its page and its title.

    Examples:
        >>> exercise_links("[Exercise 1: shares](Attention.md#exercise-1-shares)")
        [('Attention.md', 'Exercise 1: shares')]
    """
    found = filter(None, map(LINK.match, text.split("\n")))
    return [(link["page"], link["title"]) for link in found]


def told(exercise: Exercise, source: list[str], page: str) -> list[str]:
    """The lines of an exercise without its heading, its checker and the comments for the tests.

    Args:
        exercise: of the page.
        source: the lines of the page.
        page: its name, for links within it.
    """
    hidden = {exercise.line}
    hidden |= {
        n for e in exercise.elements if e.kind == "comment" for n in range(e.line, e.end + 1)
    }
    lines = [
        (n, source[n - 1]) for n in range(exercise.line, exercise.elements[-1].end + 1)
        if n not in hidden
    ]  # fmt: skip
    return [_ON_THIS_PAGE.sub(f"]({page}#", line) for line in _without_check(lines)]


def _without_check(lines: list[tuple[int, str]]) -> Iterator[str]:
    depth = 0
    for _, line in lines:
        if depth or line == _CHECK:
            depth += line.startswith("<details") - line.startswith("</details>")
        else:
            yield line


def expand(link: re.Match[str], docs: Path) -> list[str]:
    """The Markdown of a linked exercise, under a heading that leads to its page.

    Raises:
        CollectedError: The page has no exercise of that title.
    """
    path = docs / link["page"]
    found = exercises(read_page(path)) if path.is_file() else []
    exercise = next((one for one in found if one.title == link["title"]), None)
    if exercise is None:
        titles = [one.title for one in found]
        raise CollectedError(
            f"expected an exercise of {link['page']} among {titles}, got {link[0]}"
        )
    source = path.read_text(encoding="utf-8").split("\n")
    return [f"### {link[0]}", "", *told(exercise, source, link["page"]), ""]


def glossary(entries: tuple[Entry, ...]) -> list[str]:
    """A definition list of all terms in the order of the alphabet, each with its place."""
    lines = []
    for entry in sorted(entries, key=lambda one: one.name.lower()):
        anchor = re.sub(r"[^\w]+", "-", entry.part.lower()).strip("-")
        place = f"{entry.page}#{anchor}" if entry.part else entry.page
        name = next((step.name for step in STEPS if step.page == entry.page), "Home")
        where = f"[{name}, {entry.part}]({place})" if entry.part else f"[{name}]({place})"
        lines += [f"**{entry.name}**", f":   {entry.definition} {where}", ""]
    return lines


class Collector(Preprocessor):
    """Put in what the two pages collect, after the page itself has been read."""

    def __init__(self, md: Markdown, docs: Path) -> None:
        super().__init__(md)
        self.docs = docs

    def run(self, lines: list[str]) -> list[str]:
        """Return the lines with exercises and terms in their places."""
        name = ""
        if "relpath" in self.md.treeprocessors:
            name = self.md.treeprocessors["relpath"].file.src_uri
        if name == EXERCISES:
            links = ((LINK.match(line), line) for line in lines)
            found = [expand(link, self.docs) if link else [line] for link, line in links]
            return [line for lines in found for line in lines]
        if name == GLOSSARY:
            terms = glossary(read_ledger(self.docs / "ledger.toml").terms)
            return [one for line in lines for one in (terms if line == TERMS else [line])]
        return lines


class CollectedExtension(Extension):
    """Register the collector behind what reads the page as it is written."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (the name is Markdown's)
        """Add the collector to a Markdown instance."""
        md.preprocessors.register(Collector(md, ROOT / "docs"), "book-collected", 150)


def makeExtension(**options: object) -> CollectedExtension:  # noqa: N802 (the name is Markdown's)
    """Make the extension; Markdown calls this by its name."""
    return CollectedExtension(**options)
