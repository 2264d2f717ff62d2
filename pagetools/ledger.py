r"""The ledger of terms and symbols: where each is introduced, and what it means.

`docs/ledger.toml` lists them, each with the page and the part that introduces it and with the
definition that the reader sees on hover. A term stands in bold or in italics where it is
introduced. `order_faults` holds that no page uses it before: the first passes of all pages, in the
order of the steps, are one book; a Backward may use the first passes up to its own and the
Backwards before it; what goes deeper may use all that stands before it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pagetools.book import BACKWARD, FIRST_PASS, HOME, STEPS, part_names, parts
from pagetools.guard import prose_of
from pagetools.pages import ROOT, Page

LEDGER = ROOT / "docs" / "ledger.toml"
IN_SCOPE = (HOME, *(step.page for step in STEPS))
# A list of what is to come names it before it is introduced.
ANNOUNCEMENTS = {(HOME, "What you will learn")}
LONGEST_DEFINITION = 240

_KEYS = {"page", "part", "definition"}
_FORMULA = re.compile(r"\$\$.+?\$\$|\$(?=\S)[^$\n]+?(?<=\S)\$(?![0-9])", re.DOTALL)
_SHAPE = re.compile(r"`\([A-Z][A-Z0-9, ]*\)`")
_WORDS_IN_LATEX = re.compile(r"\\(?:mathrm|text|operatorname|mathit)\s*\{[^}]*\}")
_EMPHASIS = r"(?P<stars>\*{{1,2}})(?:{})(?P=stars)"


class LedgerError(ValueError):
    """The ledger is not as it should be."""


@dataclass(frozen=True)
class Entry:
    """A term or a symbol of the ledger."""

    name: str
    page: str
    part: str
    definition: str
    is_symbol: bool = False
    forms: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """A name for identifiers: small letters and hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Place:
    """Where something stands: the page's place in the book, the part's in the reading, the line."""

    page: int
    rank: int
    line: int

    def may_use(self, introduced: Place) -> bool:
        """Tell whether what was introduced there is known to who reads here."""
        before = (introduced.page, introduced.line) <= (self.page, self.line)
        if self.rank == FIRST_PASS:
            return introduced.rank == FIRST_PASS and before
        if self.rank == BACKWARD:
            first = introduced.rank == FIRST_PASS and introduced.page <= self.page
            return first or (introduced.rank == BACKWARD and before)
        return before


@dataclass(frozen=True)
class Ledger:
    """The entries in the order of the file."""

    entries: tuple[Entry, ...]

    @cached_property
    def terms(self) -> tuple[Entry, ...]:
        """The entries that are words."""
        return tuple(entry for entry in self.entries if not entry.is_symbol)

    @cached_property
    def _spellings(self) -> dict[str, Entry | None]:
        # What is an exception to one term may be a term of its own.
        spelt: dict[str, Entry | None] = {}
        spelt |= dict.fromkeys(one for entry in self.terms for one in entry.exceptions)
        spelt |= {one: entry for entry in self.terms for one in (entry.name, *entry.forms)}
        return spelt

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # The longest first: `attention weight` is no use of `attention`.
        ordered = sorted(self._spellings, key=len, reverse=True)
        either = "|".join(f"(?P<s{i}>{_spelling(one)})" for i, one in enumerate(ordered))
        return re.compile(rf"(?<![\w-])(?:{either or '(?!)'})(?![\w])(?!-\w)")

    def find(self, text: str) -> Iterator[tuple[re.Match[str], Entry]]:
        """Every use of a term in a text, the longest spelling first."""
        ordered = sorted(self._spellings, key=len, reverse=True)
        for found in self._pattern.finditer(text):
            index = next(i for i in range(len(ordered)) if found.group(f"s{i}") is not None)
            entry = self._spellings[ordered[index]]
            if entry is not None:
                yield found, entry


def _spelling(term: str) -> str:
    """A pattern for a term: with small or capital first letter, with its plural."""
    words = [re.escape(word) for word in re.split(r"[ -]", term)]
    first, rest = term[0], r"[ \u00a0-]".join(words)[len(re.escape(term[0])) :]
    opening = f"[{first.lower()}{first.upper()}]" if first.isalpha() else re.escape(first)
    acronym = len(term) > 1 and term[:2].isupper()
    return (re.escape(first) if acronym else opening) + rest + "(?:e?s)?"


def read_ledger(path: Path = LEDGER) -> Ledger:
    """Read the ledger from its file.

    Raises:
        LedgerError: if an entry is incomplete, too long or twice there; the message names it.
    """
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    if unknown := set(tables) - {"term", "symbol"}:
        raise LedgerError(f"expected [[term]] and [[symbol]], got {sorted(unknown)}")
    entries = [_entry(table, kind) for kind in ("term", "symbol") for table in tables.get(kind, [])]
    for kind in (True, False):
        spelt = [n for e in entries if e.is_symbol == kind for n in (e.name, *e.forms)]
        if twice := sorted({name for name in spelt if spelt.count(name) > 1}):
            raise LedgerError(f"the ledger has {', '.join(twice)} twice")
    return Ledger(tuple(entries))


def _entry(table: Mapping[str, object], kind: str) -> Entry:
    name = table.get(kind)
    optional = {"forms", "except"} if kind == "term" else set()
    if not isinstance(name, str) or not name or not set(table) - optional == _KEYS | {kind}:
        raise LedgerError(f"expected {sorted(_KEYS | {kind})} in a [[{kind}]], got {dict(table)}")
    page, part, definition = (str(table[key]) for key in ("page", "part", "definition"))
    known = page in IN_SCOPE and (part in part_names(page) or (page == HOME and not part))
    if not known:
        raise LedgerError(f"{name}: no part {part!r} of a page {page!r} in the book")
    if not 0 < len(definition) <= LONGEST_DEFINITION or "$" in definition:
        limit = f"1 to {LONGEST_DEFINITION} characters without a formula"
        raise LedgerError(f"{name}: expected a definition of {limit}, got {definition!r}")
    forms, exceptions = (_texts(table.get(key, [])) for key in ("forms", "except"))
    return Entry(name, page, part, definition, kind == "symbol", forms, exceptions)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise LedgerError(f"expected a list of texts, got {value!r}")
    return tuple(value)


# --- the order -----------------------------------------------------------------------------------


def order_faults(pages: Mapping[str, Page], ledger: Ledger) -> list[str]:
    """Every use of a term or symbol before its introduction, and every missing introduction.

    Args:
        pages: the pages of the book that exist, by their names in `docs/`.
        ledger: the terms and symbols.
    """
    lines = {name: list(_lines(pages[name], i)) for i, name in enumerate(IN_SCOPE) if name in pages}
    introduced = {e: _introduction(e, lines.get(e.page, [])) for e in ledger.entries}
    faults = []
    for entry, place in introduced.items():
        if place is None and entry.page in lines:
            how = "in a formula or a shape" if entry.is_symbol else "in bold or italics"
            faults.append(f"{entry.page}: expected {entry.name!r} {how} in {entry.part!r}")
    for name, found in lines.items():
        for line in found:
            for entry in dict.fromkeys(_uses(line, ledger)):
                known = introduced[entry]
                missing = known is None and entry.page in lines  # reported above
                if not missing and (known is None or not line.place.may_use(known)):
                    where = f"{entry.page}, {entry.part}".rstrip(", ")
                    faults.append(f"{name}:{line.place.line}: {entry.name!r} comes in {where}")
    return faults


@dataclass(frozen=True)
class _Line:
    """A line of a page: its place and part, as written, its prose, and its formulas."""

    place: Place
    part: str
    written: str
    prose: str
    formulas: str


def _lines(page: Page, index: int) -> Iterator[_Line]:
    ranks = part_names(page.name)
    for part in parts(page):
        if (IN_SCOPE[index], part.name) in ANNOUNCEMENTS:
            continue
        name, rank = (part.name if ranks else ""), ranks.get(part.name, FIRST_PASS)
        for element in part.elements:
            if element.kind == "prose" or element.is_plain_text:
                first = element.line + (element.kind == "fence")
                readings = (element.text, prose_of(element.text), _formulas_of(element.text))
                rows = zip(*(text.split("\n") for text in readings), strict=True)
                for offset, row in enumerate(rows):
                    yield _Line(Place(index, rank, first + offset), name, *row)


def _formulas_of(text: str) -> str:
    """A text with blanks in place of all that is no formula and no shape."""
    kept = [" " if letter != "\n" else letter for letter in text]
    for found in [*_FORMULA.finditer(text), *_SHAPE.finditer(text)]:
        kept[found.start() : found.end()] = found.group()
    shown = "".join(kept)
    return _WORDS_IN_LATEX.sub(lambda found: " " * len(found.group()), shown)


def _introduction(entry: Entry, lines: Sequence[_Line]) -> Place | None:
    spellings = "|".join(map(_spelling, (entry.name, *entry.forms)))
    emphasis = re.compile(_EMPHASIS.format(spellings))
    for line in lines:
        shown = _has_symbol(line, entry.name) if entry.is_symbol else emphasis.search(line.written)
        if line.part == entry.part and shown:
            return line.place
    return None


def _uses(line: _Line, ledger: Ledger) -> Iterator[Entry]:
    yield from (entry for _, entry in ledger.find(line.prose))
    yield from (e for e in ledger.entries if e.is_symbol and _has_symbol(line, e.name))


def _has_symbol(line: _Line, symbol: str) -> bool:
    pattern = rf"(?<![A-Za-z\\]){re.escape(symbol)}(?![A-Za-z_])"
    return bool(re.search(pattern, line.formulas))
