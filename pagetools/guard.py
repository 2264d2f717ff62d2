r"""Hold every numeral of the prose against what backs it.

A numeral is guarded when it has a decimal point, a percent sign, a thousands separator, an
exponent or a unit, and every whole number above 12 is. Something on the page must back it:

- `<!-- check: 7.601 = loss -->` under its paragraph: the numeral is the value of the expression
  in the namespace of the page, rounded to the digits that are written;
- `<!-- log: data/log.csv 1.589 = min(validation_loss) -->` under its paragraph: the same, where
  the names are the columns of a recorded log;
- `<!-- cited: 12,288 — Brown et al. 2020, arXiv:2005.14165 -->` anywhere on the page.

Two numerals are the same when they are written with the same digits, separators apart: `0.09` is
not `0.090`, because it claims less. A backing whose numeral has left the text is a fault too.
"""

from __future__ import annotations

import ast
import builtins
import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pagetools.pages import GOES_ON, Element, Page, is_list_item, page_paths, read_page

_UNITS = """
ns µs μs ms s second seconds min minute minutes h hour hours day days times
byte bytes kB KB MB GB TB kiB KiB MiB GiB bit bits nat nats token tokens tokens/s character
characters parameter parameters FLOP FLOPs FLOP/s MFLOP MFLOPs GFLOP GFLOPs GFLOP/s TFLOP TFLOPs
PFLOPs degree degrees ° radian radians rad GHz
"""
UNITS = tuple(_UNITS.split())
SCALES = {
    "%": 0.01, "percent": 0.01, "per cent": 0.01, "k": 1e3, "thousand": 1e3, "M": 1e6,
    "million": 1e6, "B": 1e9, "billion": 1e9, "trillion": 1e12,
}  # fmt: skip
LARGEST_FREE_INTEGER = 12

_SPACE = r"[ \u00a0\u2009\u202f]"
_POWER = "⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹"
_DIGITS = r"(?:[0-9]{1,3}(?:[,\u2009\u202f][0-9]{3})+(?![0-9])|[0-9]+)"
_NUMBER = rf"[-−+]?(?:{_DIGITS}(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-−+]?[0-9]+)?[{_POWER}]*"
_SCALE = rf"(?:{_SPACE}?(?:%|(?:percent|per cent|thousand|(?:m|b|tr)illion)\b)|[kMB]\b)"
_UNIT = rf"(?:(?:{_SPACE}|-)?(?:{'|'.join(map(re.escape, UNITS))})(?![A-Za-z]))"
_RANGE = rf"(?:\s?[–-]\s?|\s(?:to|and|or)\s){_NUMBER}"
_NUMERAL = re.compile(
    rf"(?<![A-Za-z0-9_.])(?<![A-Za-z][-‑])(?P<number>{_NUMBER})(?P<scale>{_SCALE})?"
    rf"(?=(?P<unit>(?:{_RANGE})?(?:{_SCALE}|{_UNIT}))?)"
)
_NORMAL = re.compile(
    rf"(?P<mantissa>-?[0-9]*\.?[0-9]*)(?:[eE](?P<exponent>[-+]?[0-9]+))?"
    rf"(?P<power>[{_POWER}]*)(?P<scale>.*)"
)
_LIST = rf"{_NUMBER}{_SCALE}?{_UNIT}?(?:,\s+{_NUMBER}{_SCALE}?{_UNIT}?)*"
_RELATION = r"(?:<=|>=|=(?!=)|~|<|>)"
_CLAIM = re.compile(rf"^(?P<numerals>{_LIST})\s*(?P<relation>{_RELATION})\s*(?P<value>.+)$")
_NEXT_CLAIM = re.compile(rf";\s*(?={_LIST}\s*{_RELATION})")
_REJECTED = re.compile(r"^(?P<call>check_\w+\(.*\))\s+—\s+(?P<words>\S.*)$")
_GOES_ON_QUOTED = re.compile(r">(?!\s*\[!)")
_CITATION = re.compile(rf"^(?P<numerals>{_LIST})\s*(?:—|:)\s*(?P<reference>.+)$")

# What a reader does not read as a number of the text.
_HIDDEN = re.compile(
    r"(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"  # inline code
    r"|\$\$.+?\$\$|\$(?=\S)[^$\n]+?(?<=\S)\$(?![0-9])|\\\(.+?\\\)|\\\[.+?\\\]"  # formulas
    r"|(?<=\])\([^()\s]*(?=[\s)])|(?<=\])\[[^\]]*\]|https?://\S+"  # targets of links, not captions
    r"|^\s*\[[^\]]+\]:\s[^\n]*|\[\^[^\]]+\]|^[ \t>]*[0-9]+[.)](?=\s)"  # notes, list markers
    r"|<(?P<element>svg|style|script)\b.*?</(?P=element)>|</?[A-Za-z][^>]*>"  # HTML
    r"|\{\s*(?:[:.#]|[\w-]+=)[^}]*\}|&#?\w+;|:[a-z][\w-]*:",  # attributes, emoji
    re.DOTALL | re.MULTILINE,
)
# Numerals that are names: of papers, dates, versions and places in a text; years in references.
_NAMES = re.compile(
    r"arXiv[: ][0-9]{4}\.[0-9]{4,5}(?:v[0-9]+)?|\b10\.[0-9]{4,}/\S+|\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b"
    r"|\bv?[0-9]+(?:\.[0-9]+){2,}|\b(?:Python|NumPy|PyTorch|Pyodide|MkDocs) v?[0-9.]*[0-9]"
    r"(?:(?:, | and | or | to |–)[0-9]\.[0-9]+)*"
    r"|\b(?:Tables?|Figures?|Sections?|Equations?|Eq\.|Chapters?|Appendix|Algorithm|pages?|pp?\.)"
    r" [0-9][0-9.–]*"
)
_YEAR = re.compile(rf"\b(?:19[0-9]{{2}}|20[0-3][0-9])\b(?!,[0-9]|{_UNIT})")
_TITLED_WORK = re.compile(r"\b[A-Z]\w+ (?:19|20)[0-9]{2}, [“\"]")  # Shannon 1948, “A …”
_REFERENCE = re.compile(r"\b(?:19|20)[0-9]{2}\b|arXiv|https?://")


@dataclass(frozen=True)
class Numeral:
    """A guarded or free numeral of the prose: as written, in its normal form, and its line."""

    written: str
    normal: str
    line: int
    guarded: bool


@dataclass(frozen=True)
class Claim:
    """`numerals relation value`, one statement of a `check` or `log` comment."""

    numerals: tuple[str, ...]
    relation: str
    value: str
    line: int


@dataclass(frozen=True)
class Paragraph:
    """Prose that comments can back: its numerals, and the comments that stand under it."""

    numerals: tuple[Numeral, ...]
    comments: tuple[Element, ...]


# --- reading numerals ----------------------------------------------------------------------------


def normal(numeral: str) -> str:
    """The normal form of a numeral: no separators, no unit, one minus, `%` or a power of ten.

    Examples:
        >>> [normal(numeral) for numeral in ("1,049,344 parameters", "−0.50", "78.1 percent")]
        ['1049344', '-0.50', '78.1%']
    """
    found = _NUMERAL.match(numeral.strip())
    if not found:
        raise ValueError(f"expected a numeral such as 1,049,344 or 78.1 %, got {numeral!r}")
    number = re.sub(r"[,\u2009\u202f]", "", found["number"]).replace("−", "-").lstrip("+")
    scale = (found["scale"] or "").strip(" \u00a0\u2009\u202f")
    return number + {"percent": "%", "per cent": "%"}.get(scale, scale)


def numerals(text: str, first_line: int = 1) -> list[Numeral]:
    """Every numeral of a piece of prose; code, formulas, links and names are passed over.

    Examples:
        >>> [n.written for n in numerals("The 4 heads and `n = 13` cost 0.5 % of GPT-2's 12,288.")]
        ['4', '0.5 %', '12,288']
    """
    shown = _blank(_NAMES, prose_of(text))
    lines = shown.split("\n")
    shown = "\n".join(_blank(_YEAR, line) if _is_reference(raw) else line
                      for line, raw in zip(lines, text.split("\n"), strict=True))  # fmt: skip
    return [
        Numeral(m["number"] + (m["scale"] or ""), normal(m.group()),
                first_line + shown.count("\n", 0, m.start()), _is_guarded(m))
        for m in _NUMERAL.finditer(shown)
    ]  # fmt: skip


def prose_of(text: str) -> str:
    """A text with blanks in place of code, formulas, targets of links and HTML."""
    return _blank(_HIDDEN, text)


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """Replace matches by blanks, so that every position and line stays."""
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def _is_reference(line: str) -> bool:
    return "arXiv" in line or "et al." in line or _TITLED_WORK.search(line) is not None


def _is_guarded(found: re.Match[str]) -> bool:
    plain = re.fullmatch(r"[-−+]?([0-9]+)", found["number"])
    if found["scale"] or found["unit"] or not plain:
        return True
    return int(plain.group(1)) > LARGEST_FREE_INTEGER


def paragraphs(page: Page) -> list[Paragraph]:
    """The prose of a page in groups, each with the `check` and `log` comments under it.

    A list or an indented body belongs to the paragraph that introduces it; so does text in a
    plain fence, and the paragraphs of one quote belong together, and two paragraphs with
    `<!-- goes on -->` between them. Comments belong to the last paragraph above them, blocks in
    between or not.
    """
    groups: list[tuple[list[Numeral], list[Element]]] = [([], [])]
    joins = quoted = marked = False
    for element in page.elements:
        is_text = element.kind == "prose" or element.is_plain_text
        goes_on = marked or element.is_plain_text or is_list_item(element.text)
        goes_on = goes_on or (quoted and bool(_GOES_ON_QUOTED.match(element.text)))
        stays = joins and not groups[-1][1] and goes_on
        if element.kind == "heading" or (is_text and not stays):
            groups.append(([], []))
            joins = is_text
        if is_text:
            quoted = element.text.startswith(">")
        marked = element.kind == "comment" and element.info == GOES_ON
        if element.kind == "prose":
            groups[-1][0].extend(numerals(element.text, element.line))
        elif element.is_plain_text:
            groups[-1][0].extend(_fence_numerals(element))
        elif element.kind == "comment" and element.info in {"check", "log"}:
            groups[-1][1].append(element)
    return [Paragraph(tuple(found), tuple(comments)) for found, comments in groups]


def _fence_numerals(fence: Element) -> list[Numeral]:
    lines = fence.text.split("\n")
    if fence.language == "console":
        lines = ["" if re.match(r"\s*(\$|>|PS)", line) else line for line in lines]
    return numerals("\n".join(lines), fence.line + 1)


# --- reading comments ----------------------------------------------------------------------------


def python_of(comment: Element) -> tuple[str, list[Claim]]:
    """The Python of a `check`, `log` or `rejected` comment, and its claims.

    A line that begins with numerals and a relation is a claim and becomes a call of `__claim__`,
    and in a `rejected` comment a line such as `check_sum(4) — the reason` becomes a call of
    `__rejects__`; every other line is Python as it stands. Lines keep their numbers.

    Examples:
        >>> python_of(Element("comment", 1, 1, " 7.60 = math.log(n)", "check"))[0]
        "__claim__(('7.60',), '=', (math.log(n)))"
    """
    lines = comment.text.split("\n")
    if comment.info == "log":
        lines[0] = re.sub(r"^\s*\S+", "", lines[0])
    lines = [lines[0].strip(), *_dedent(lines[1:])]
    if comment.info == "rejected":
        return "\n".join(map(_python_of_rejection, lines)), []
    claims: list[Claim] = []
    code = [_python_of_line(line, comment.line + i, claims) for i, line in enumerate(lines)]
    return "\n".join(code), claims


def _dedent(lines: list[str]) -> list[str]:
    filled = [line for line in lines if line.strip(" \t>")]
    indent = min((len(line) - len(line.lstrip(" \t>")) for line in filled), default=0)
    return [line[indent:].rstrip() for line in lines]


def _python_of_line(line: str, number: int, claims: list[Claim]) -> str:
    body = line.lstrip(" ")
    if not _CLAIM.match(body):
        return line
    calls = []
    for part in _NEXT_CLAIM.split(body):
        found = _CLAIM.match(part)
        assert found, part
        written = tuple(re.split(r",\s+", found["numerals"]))
        claims.append(Claim(written, found["relation"], found["value"].strip(), number))
        calls.append(f"__claim__({written!r}, {found['relation']!r}, ({found['value'].strip()}))")
    return line[: len(line) - len(body)] + "; ".join(calls)


def _python_of_rejection(line: str) -> str:
    body = line.lstrip(" ")
    found = _REJECTED.match(body)
    call = f"__rejects__(({found['call']}), {found['words']!r})" if found else body
    return line[: len(line) - len(body)] + call


def rejections(comment: Element) -> int:
    """How many wrong answers a `rejected` comment lists."""
    return python_of(comment)[0].count("__rejects__((")


def citations(page: Page) -> list[tuple[str, str, int]]:
    """The list of cited facts: numeral, reference, line."""
    found = []
    for comment in page.elements:
        if comment.kind == "comment" and comment.info == "cited":
            for offset, line in enumerate(comment.text.split("\n")):
                if line.strip(" \t>"):
                    found.extend(_citation(line.strip(" \t>"), comment.line + offset, page.name))
    return found


def _citation(line: str, number: int, name: str) -> list[tuple[str, str, int]]:
    found = _CITATION.match(line)
    if not found or not _REFERENCE.search(found["reference"]):
        expected = "expected `numeral — author year, arXiv id`"
        raise ValueError(f"{name}:{number}: {expected}, got {line!r}")
    return [(one, found["reference"], number) for one in re.split(r",\s+", found["numerals"])]


# --- what a claim means --------------------------------------------------------------------------


def hold(written: tuple[str, ...], relation: str, value: Any) -> None:
    """Raise AssertionError unless the numerals stand in their relation to the value.

    `=` is equality after rounding to the digits written, `~` after rounding to the digits before
    the trailing zeros; `<`, `>`, `<=`, `>=` are meant as they read. A value for `78.1 %` is a
    share (0.781), one for `1.5 million` a count (1,500,000).

    Examples:
        >>> hold(("0.67", "0.24", "0.09"), "=", [0.6652, 0.2447, 0.0900])
        >>> hold(("7.601",), "=", 7.594)
        Traceback (most recent call last):
        AssertionError: the page says 7.601, the code gives 7.594
    """
    values = np.ravel(value).tolist()
    if len(values) != len(written):
        raise AssertionError(f"{len(written)} numerals for {len(values)} values: {values!r:.200}")
    for one, actual in zip(written, values, strict=True):
        number, unit = _value(one, relation)
        half = 0.5 * unit * (1 + 1e-9)
        holds = {
            "=": abs(actual - number) <= half, "~": abs(actual - number) <= half,
            "<": number < actual, ">": number > actual,
            "<=": number <= actual, ">=": number >= actual,
        }[relation]  # fmt: skip
        if not holds:
            says = one if relation == "=" else f"{one} {relation}"
            raise AssertionError(f"the page says {says}, the code gives {actual!r}")


def rejects(message: Any, words: str) -> None:
    """Raise AssertionError unless a checker's message turns an answer down and names the mistake.

    Examples:
        >>> rejects("Not yet: the mask is missing.", "mask is missing")
        >>> rejects("Right.", "mask is missing")
        Traceback (most recent call last):
        AssertionError: a wrong answer is taken for right: 'Right.'
    """
    if not isinstance(message, str):
        raise AssertionError(f"expected a checker to return a sentence, got {message!r}")
    if message.startswith("Right"):
        raise AssertionError(f"a wrong answer is taken for right: {message!r}")
    if words.lower() not in message.lower():
        raise AssertionError(f"expected a message with {words!r}, got {message!r}")


def _value(written: str, relation: str) -> tuple[float, float]:
    """Return the number that a numeral says, and one unit of its last digit that counts."""
    found = _NORMAL.fullmatch(normal(written))
    assert found, written
    mantissa, factor = found["mantissa"], SCALES.get(found["scale"], 1.0)
    if found["power"]:
        exponent = int(found["power"].translate(str.maketrans(_POWER, "-+0123456789")))
        return factor * float(mantissa) ** exponent, 1e-9 * factor * float(mantissa) ** exponent
    factor *= 10.0 ** int(found["exponent"] or 0)
    decimals = len(mantissa.partition(".")[2])
    if relation == "~" and not decimals:
        decimals = len(mantissa.rstrip("0")) - len(mantissa)
    return float(mantissa) * factor, 10.0**-decimals * factor


def read_log(path: Path) -> dict[str, Any]:
    """The columns of a CSV file as arrays, or the keys of a JSON file.

    An empty cell is NaN; a column with other text stays text.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return dict(json.loads(text))
    rows = list(csv.DictReader(text.splitlines()))
    return {name: _column([row[name] for row in rows]) for name in rows[0]}


def _column(cells: list[str]) -> np.ndarray:
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return np.array(cells)


# --- the guard -----------------------------------------------------------------------------------


def faults(page: Page) -> list[str]:
    """Everything that is wrong with the numerals of a page, one message a fault."""
    try:
        cited = citations(page)
    except ValueError as error:
        return [str(error)]
    found: list[tuple[int, str]] = []
    standing: set[str] = set()
    for paragraph in paragraphs(page):
        here = {numeral.normal for numeral in paragraph.numerals}
        standing |= here
        backed = {normal(one) for claim in _claims(paragraph.comments) for one in claim.numerals}
        backed |= {normal(one) for one, _, _ in cited}
        found += [(n.line, _unbacked(n)) for n in paragraph.numerals
                  if n.guarded and n.normal not in backed]  # fmt: skip
        for comment in paragraph.comments:
            found += _comment_faults(comment, here)
    found += [(line, f"{one!r} is cited and stands nowhere on the page")
              for one, _, line in cited if normal(one) not in standing]  # fmt: skip
    return [f"{page.name}:{line}: {what}" for line, what in sorted(found)]


def counts(pages: Iterable[Page] | None = None) -> dict[str, int]:
    """How many numerals of the prose are guarded, and by what they are backed.

    Args:
        pages: parsed pages; all pages of the project if none are given.

    Returns:
        `checked`, `logged` and `cited` add up to `numerals`; `blocks` run, of which `outputs` show
        a compared output.
    """
    if pages is None:
        pages = [read_page(path) for path in page_paths()]
    total = dict.fromkeys(("numerals", "checked", "logged", "cited", "blocks", "outputs"), 0)
    for page in pages:
        for paragraph in paragraphs(page):
            for numeral in paragraph.numerals:
                if numeral.guarded:
                    total["numerals"] += 1
                    total[_kind(numeral, paragraph)] += 1
        runs = [block for block in page.blocks if block.not_run is None]
        shows = [b for b in runs if b.shown or b.fence.language == "pycon"]
        total["blocks"] += len(runs)
        total["outputs"] += sum(1 for block in shows if block.not_compared is None)
    return total


def _kind(numeral: Numeral, paragraph: Paragraph) -> str:
    for key, kind in (("check", "checked"), ("log", "logged")):
        claims = _claims(c for c in paragraph.comments if c.info == key)
        if any(numeral.normal == normal(one) for claim in claims for one in claim.numerals):
            return kind
    return "cited"


def _claims(comments: Iterable[Element]) -> list[Claim]:
    return [claim for comment in comments for claim in python_of(comment)[1]]


def _unbacked(numeral: Numeral) -> str:
    one = numeral.written
    return (
        f"nothing backs {one!r}; write <!-- check: {one} = expression --> or "
        f"<!-- log: data/file.csv {one} = expression --> under its paragraph, or "
        f"<!-- cited: {one} — author year, arXiv id --> on the page"
    )


def _comment_faults(comment: Element, here: set[str]) -> Iterator[tuple[int, str]]:
    source, claims = python_of(comment)
    for claim in claims:
        stale = [one for one in claim.numerals if normal(one) not in here]
        if stale:
            yield claim.line, f"{', '.join(stale)} is backed here and not said in the paragraph"
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        yield comment.line + (error.lineno or 1) - 1, f"cannot read `{comment.info}`: {error.msg}"
        return
    if not claims and not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
        expected = "expected `7.601 = loss` or assert"
        yield comment.line, f"this `{comment.info}` claims nothing, {expected}"
    values = {_value(one, "=")[0] for claim in claims for one in claim.numerals}
    for node in ast.walk(tree):
        line = comment.line + getattr(node, "lineno", 1) - 1
        if isinstance(node, ast.Assign) and not _reads(node.value):
            yield line, "a check computes; it may not set a name to a constant"
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "__claim__":
            if not _reads(node.args[2]):
                yield line, f"`{ast.unparse(node.args[2])}` reads nothing from the page"
            elif values & _constants(node.args[2]):
                yield line, f"`{ast.unparse(node.args[2])}` contains the number that it should give"


def _reads(node: ast.AST) -> bool:
    # What a comprehension binds is no name of the page; doctest leaves `_` in the built-in names.
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    bound = {n.id for n in names if isinstance(n.ctx, ast.Store)}
    return bool({n.id for n in names} - bound - set(dir(builtins)) - {"_"})


def _constants(node: ast.AST) -> set[float]:
    found = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant))
    return {float(value) for value in found if isinstance(value, int | float)}
