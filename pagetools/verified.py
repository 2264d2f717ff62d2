"""The line at the foot of a page that says what was checked, counted as the tests count it."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

import numpy as np

from pagetools import guard
from pagetools.collected import EXERCISES, GLOSSARY
from pagetools.pages import Page


def build_date() -> str:
    """The day of the build; `SOURCE_DATE_EPOCH` sets it, so that a build can be repeated."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    day = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return f"{day.day} {day:%B %Y}"


def verified_line(page: Page, date: str) -> str:
    """Say what the tests of a page run and hold, or that the page is not as it should be.

    The counts are those of the tests: `page.blocks` are the blocks they run, and `guard.counts`
    tells what backs each guarded number. A page in which they would find a fault is not called
    verified.

    Args:
        page: a parsed page.
        date: the day of the build.
    """
    built = f"Built on {date} with Python {platform.python_version()} and NumPy {np.__version__}."
    if faults := [*page.faults, *guard.faults(page)]:
        return f"Not verified: {_many(len(faults), 'fault')}, see `pytest {page.name}`. {built}"
    total = guard.counts([page])
    asserted = total["checked"] + total["logged"]
    if not total["blocks"] + total["numerals"]:
        return f"{_without_blocks(page)} {built}"
    said = (
        f"The tests run {_many(total['blocks'], 'block')} of this page, compare "
        f"{_many(total['outputs'], 'output')} and assert {_many(asserted, 'number')}."
    )
    verb = "is" if total["cited"] == 1 else "are"
    cited = f" {_many(total['cited'], 'number')} {verb} cited from other work."
    return f"{said}{cited if total['cited'] else ''} {built}"


def _without_blocks(page: Page) -> str:
    """What holds for a page without a block or a guarded number of its own."""
    if commands := sum(element.is_command for element in page.elements):
        return f"The tests run {_many(commands, 'command')} of this page and compare every line."
    if page.name == f"docs/{EXERCISES}":
        return "The tests run the blocks and assert the numbers on the exercises' own pages."
    if page.name == f"docs/{GLOSSARY}":
        return "The tests hold each term to the page and the part that introduce it."
    if checks := sum(element.info == "check" for element in page.elements):
        return f"The tests run {_many(checks, 'check')} that the page holds out of sight."
    return "The page runs no code of its own; what it shows is tested with the package."


def _many(count: int, what: str) -> str:
    """A count with its noun.

    Examples:
        >>> [_many(count, "block") for count in (0, 1, 2)]
        ['0 blocks', '1 block', '2 blocks']
    """
    return f"{count} {what}" + "s" * (count != 1)
