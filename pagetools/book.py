"""The order of the book: its steps, the parts of a page, and how long a part takes to read.

The eleven pages of the steps share one structure. Every heading of the second level is a part of
the page: the first pass, which only runs forward, the part that runs backward, and what goes
deeper. The times are computed from what the parts hold and never typed.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pagetools.embeds import shorten_docstrings
from pagetools.pages import ROOT, Element, Page

HOME = "index.md"


@dataclass(frozen=True)
class Step:
    """One of the steps of the learning path: its number, its page in `docs/`, its name."""

    number: int
    page: str
    name: str


STEPS = (
    Step(0, "ShapesAndSlopes.md", "Shapes and slopes"),
    Step(1, "Tokenization.md", "Tokenization"),
    Step(2, "Embeddings.md", "Embeddings"),
    Step(3, "PositionalEncoding.md", "Positional encoding"),
    Step(4, "Attention.md", "Attention"),
    Step(5, "FeedForwardNetwork.md", "Feed-forward network"),
    Step(6, "TransformerBlock.md", "Transformer block"),
    Step(7, "GPTModel.md", "GPT model"),
    Step(8, "Training.md", "Training"),
    Step(9, "TextGeneration.md", "Text generation"),
    Step(10, "FineTuning.md", "Fine-tuning"),
)

FIRST_PASS, BACKWARD, IN_DEPTH = range(3)
DEEP_DIVE = {"First pass": FIRST_PASS, "Backward": BACKWARD, "In depth": IN_DEPTH}
STEP_ZERO = {"A. Shapes and scores": FIRST_PASS, "B. Slopes": BACKWARD}
LONGEST_FIRST_PASS = {"words": 1500, "minutes": 20}


def step_of(page: str) -> Step | None:
    """The step that a page of `docs/` teaches, None if it teaches none.

    Examples:
        >>> step_of("Attention.md").number
        4
    """
    name = page.removeprefix("docs/")
    return next((step for step in STEPS if step.page == name), None)


def part_names(page: str) -> dict[str, int]:
    """The parts that a page has, in order, each with its place in the order of reading."""
    step = step_of(page)
    if step is None:
        return {}
    return DEEP_DIVE if step.number else STEP_ZERO


@dataclass(frozen=True)
class Part:
    """One part of a page: its heading and what stands in it."""

    name: str
    line: int
    elements: tuple[Element, ...]


def parts(page: Page) -> list[Part]:
    """The parts of a page; what stands before the first heading of a part belongs to it.

    A page without headings of the second level is one part without a name.
    """
    starts = [i for i, e in enumerate(page.elements) if e.kind == "heading" and e.marker == "##"]
    ends = [*starts[1:], len(page.elements)]
    bounds = zip([0, *starts[1:]], ends, strict=True) if starts else [(0, len(page.elements))]
    heads = [page.elements[i] for i in starts] or [Element("heading", 1, 1, "")]
    return [
        Part(head.text, head.line, page.elements[start:end])
        for head, (start, end) in zip(heads, bounds, strict=True)
    ]


def part_faults(page: Page) -> list[str]:
    """What is wrong with the parts of a page of the steps."""
    expected, found = list(part_names(page.name)), [part.name for part in parts(page)]
    if not expected or found == expected:
        return []
    return [f"{page.name}: expected the parts {expected} as headings `##`, got {found}"]


# --- how long it takes ---------------------------------------------------------------------------

WORDS_A_MINUTE = 200
SECONDS = {"code line": 4.0, "display formula": 20.0, "formula": 2.0, "figure": 30.0}

_DISPLAY = re.compile(r"\$\$.+?\$\$", re.DOTALL)
_INLINE = re.compile(r"\$(?=\S)[^$\n]+?(?<=\S)\$(?![0-9])")
_FIGURE = re.compile(r"!\[[^\]]*\]\([^\s)]+(?:\s+\"(?P<caption>[^\"]*)\")?\)")
_MARKUP = re.compile(
    r"\[!\w+\]|\]\([^)]*\)|\[\^?[^\]\s]*\]:.*|</?[A-Za-z][^>]*>|\{[^}]*\}|\[[ xX]\]"
)
_WORD = re.compile(r"\w[\w'’.,·-]*")
_DETAILS = re.compile(r"<(/?)details\b")


def reading_seconds(elements: Iterable[Element]) -> float:
    r"""How many seconds it takes to read a piece of a page, without folds and exercises.

    Each exercise says itself how long it takes.
    Words at 200 a minute, in tables and outputs too; 4 seconds a line of Python, embedded code
    included; some seconds for each formula and each figure.

    Examples:
        >>> from pagetools.pages import parse_page
        >>> reading_seconds(parse_page("Two words.\n\n```python\nx = 1\n```\n").elements)
        4.6
    """
    return math.fsum(_element_seconds(element) for element in _unfolded(_told(elements)))


def words_of(elements: Iterable[Element]) -> int:
    """How many words of prose a piece of a page has, folds, code and outputs left out."""
    return sum(_count_words(e.text) for e in _unfolded(elements) if e.kind == "prose")


def minutes(seconds: float) -> int:
    """Whole minutes, at least one.

    Examples:
        >>> [minutes(seconds) for seconds in (5, 89, 91)]
        [1, 1, 2]
    """
    return max(1, round(seconds / 60))


def _told(elements: Iterable[Element]) -> Iterator[Element]:
    """Leave out the exercises: a heading that says so, and all under it to the next heading."""
    in_exercise = False
    for element in elements:
        if element.kind == "heading":
            in_exercise = element.text.startswith("Exercise ")
        if not in_exercise:
            yield element


def _unfolded(elements: Iterable[Element]) -> list[Element]:
    """Leave out what stands inside `<details>`."""
    kept, depth = [], 0
    for element in elements:
        before = depth
        if element.kind == "prose":
            for closing in _DETAILS.findall(element.text):
                depth += -1 if closing else 1
        if not before and not depth:
            kept.append(element)
    return kept


def _element_seconds(element: Element) -> float:
    if element.kind == "embed":
        return SECONDS["code line"] * embedded_lines(element.text)
    if element.kind == "fence":
        if element.is_python:
            return SECONDS["code line"] * sum(1 for line in element.text.split("\n") if line)
        return len(_WORD.findall(element.text)) * 60 / WORDS_A_MINUTE
    if element.kind not in {"prose", "heading"}:
        return 0.0
    displays, figures = _DISPLAY.findall(element.text), _FIGURE.findall(element.text)
    formulas = _INLINE.findall(_DISPLAY.sub("", element.text))
    seconds = _count_words(element.text) * 60 / WORDS_A_MINUTE
    seconds += SECONDS["display formula"] * len(displays) + SECONDS["formula"] * len(formulas)
    return seconds + SECONDS["figure"] * len(figures)


def _count_words(text: str) -> int:
    text = _FIGURE.sub(lambda found: found["caption"] or "", text)
    return len(_WORD.findall(_MARKUP.sub(" ", _INLINE.sub(" ", _DISPLAY.sub(" ", text)))))


def embedded_lines(embed: str) -> int:
    """How many lines of code an embed such as `::: literategpt.activations.relu` shows."""
    symbol = embed.strip().removeprefix(":::").split()[0]
    package, module, *names = symbol.split(".")
    path = ROOT / package / f"{module}.py"
    source = path.read_text(encoding="utf-8") if path.is_file() else ""
    node: ast.AST = ast.parse(source)
    for name in names:
        body = getattr(node, "body", [])
        node = next((n for n in body if _defines(n, name)), ast.Pass())
    shown = shorten_docstrings(ast.get_source_segment(source, node, padded=True) or "")
    return sum(1 for line in shown.split("\n") if line.strip())


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name == name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)
