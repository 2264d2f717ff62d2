"""The exercises of a page: each with a hint, a checker, a solution and its wrong answers.

An exercise is a heading that begins with `Exercise`, and what stands below it. Its checker, a
function `check_NAME(answer)`, returns one sentence: one that begins with `Right`, or one that
names the mistake. A `rejected` comment lists wrong answers with words of the message that each
must get; the tests of the page run it like a block.
"""

from __future__ import annotations

import ast
import itertools
import re
from dataclasses import dataclass

from pagetools import guard
from pagetools.pages import Block, Element, Page

FOLDS = ("hint", "check", "solution")
FEWEST_REJECTED = 2

_FOLD = re.compile(r'<details class="(\w+)" markdown>')


@dataclass(frozen=True)
class Exercise:
    """An exercise: its heading, its line and its elements."""

    title: str
    line: int
    elements: tuple[Element, ...]


def exercises(page: Page) -> list[Exercise]:
    """The exercises of a page, in page order."""
    headings = [i for i, element in enumerate(page.elements) if element.kind == "heading"]
    bounds = itertools.pairwise([*headings, len(page.elements)])
    return [
        Exercise(page.elements[start].text, page.elements[start].line, page.elements[start:end])
        for start, end in bounds
        if page.elements[start].text.startswith("Exercise ")
    ]


def exercise_faults(page: Page) -> list[str]:
    """What the exercises of a page lack."""
    found = [(e.line, fault) for e in exercises(page) for fault in _faults(e, page)]
    inside = {element.line for exercise in exercises(page) for element in exercise.elements}
    found += [
        (element.line, "`rejected` stands in no exercise")
        for element in page.elements
        if element.info == "rejected" and element.kind == "comment" and element.line not in inside
    ]
    return [f"{page.name}:{line}: {what}" for line, what in sorted(found)]


def _faults(exercise: Exercise, page: Page) -> list[str]:
    folds = {name for e in exercise.elements if e.kind == "prose" for name in _FOLD.findall(e.text)}
    found = [f"expected a fold `{name}`, found none" for name in FOLDS if name not in folds]
    lines = {element.line for element in exercise.elements}
    blocks = [block for block in page.blocks if block.line in lines]
    checkers = {name for block in blocks for name in _checkers(block)}
    if not checkers:
        found.append("expected a function `check_NAME(answer)`, found none")
    solved = {name for block in blocks for name in checkers if _accepts(block, name)}
    found += [f"no block shows that {name} finds a solution right" for name in checkers - solved]
    comments = [e for e in exercise.elements if e.kind == "comment" and e.info == "rejected"]
    listed = sum(map(guard.rejections, comments))
    if listed < FEWEST_REJECTED:
        found.append(f"expected {FEWEST_REJECTED} wrong answers in `rejected`, got {listed}")
    unrejected = [n for n in checkers if not any(f"{n}(" in comment.text for comment in comments)]
    return found + [f"no wrong answer is given to {name}" for name in unrejected]


def _checkers(block: Block) -> list[str]:
    nodes = ast.parse(block.source).body
    names = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    return [name for name in names if name.startswith("check_")]


def _accepts(block: Block, checker: str) -> bool:
    shown = block.shown.text if block.shown else ""
    return f"{checker}(" in block.source and "Right" in shown
