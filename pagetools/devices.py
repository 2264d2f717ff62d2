"""What the site adds to a page: its place in the book, its times, its needs, its terms.

A Markdown extension; nothing of this is written in the source. It adds

- to a page of the steps: the bar of all steps, the parts with the minutes they take, and a mark
  where the first pass ends;
- to a Python block that uses names of earlier blocks: which, and a button that copies it with them;
- to the first use of a term of the ledger: its definition, by hover, focus and tap;
- to short code in a sentence, such as a shape, and to what reads as one word, such as 20 %, C = 4
  and GPT-2: that no line ends inside it;
- to the foot of each page: what the tests run and hold.

Pages of the reference, and docstrings, are left as they are.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

from markdown import Extension, Markdown
from markdown.postprocessors import Postprocessor
from markdown.preprocessors import Preprocessor
from markdown.treeprocessors import Treeprocessor

from pagetools.book import STEPS, Part, Step, minutes, part_names, parts, reading_seconds, step_of
from pagetools.ledger import Entry, Ledger, read_ledger
from pagetools.pages import ROOT, Page, needed_blocks, needed_names, parse_page, standalone_source
from pagetools.verified import build_date, verified_line

LONGEST_WHOLE = 24  # characters of code that no line ends inside: (B, T, C) -> (B, T, V)

_NUMBER = r"\d(?:[\d.,]*\d)?"
_BREAKABLE = re.compile(  # code that can be broken, words, and first of all what is left as it is
    r"<(?P<tag>pre|svg|math)\b.*?</(?P=tag)>"
    r"|<code>(?P<code>[^<]*)</code>|<code\b.*?</code>|<[^>]*>"
    rf"|(?P<words>{_NUMBER}(?: %| × 10[⁰¹²³⁴-⁹]+)|\b[A-Z]+-\d+\b"
    rf"|\b[A-Za-z] = {_NUMBER}|\(\d+, \d+\))",
    re.DOTALL,
)
_BLOCK = re.compile(r'<div class="language-\w+ highlight">(?P<inside>.*?</pre>)</div>', re.DOTALL)
_CODE = re.compile(r"<code>(?P<code>.*?)</code></pre>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_REST = re.compile(r">\s*\[!REST\]", re.IGNORECASE)


class DeviceError(ValueError):
    """The site cannot add to a page what it should."""


# --- the steps -----------------------------------------------------------------------------------


def step_bar(current: Step, docs: Path) -> Element:
    """The bar of all steps, with the current one marked and a link to each page that exists."""
    bar = Element("nav", {"class": "steps", "aria-label": "Steps of the book"})
    bar.set("data-search-exclude", "")
    steps = SubElement(bar, "ol")
    for step in STEPS:
        item = SubElement(steps, "li")
        exists = (docs / step.page).is_file()
        if step == current:
            place = SubElement(item, "span", {"class": "here", "aria-current": "step"})
        elif exists:
            place = SubElement(item, "a", {"href": step.page})
        else:
            place = SubElement(item, "span", {"class": "missing"})
        SubElement(place, "span", {"class": "number"}).text = str(step.number)
        name = SubElement(place, "span", {"class": "name"})
        name.text = step.name if exists or step == current else f"{step.name} (in preparation)"
    return bar


def _link(href: str, text: str) -> Element:
    link = Element("a", {"href": href})
    link.text = text
    return link


def _paragraph(class_: str, *pieces: str | Element) -> Element:
    """A paragraph of pieces of text and elements, which the search passes over."""
    paragraph = Element("p", {"class": class_} if class_ else {})
    paragraph.set("data-search-exclude", "")
    for piece in pieces:
        if isinstance(piece, Element):
            paragraph.append(piece)
        elif len(paragraph):
            paragraph[-1].tail = (paragraph[-1].tail or "") + piece
        else:
            paragraph.text = (paragraph.text or "") + piece
    return paragraph


def _timed(heading: Element, part: Part, separator: str) -> list[str | Element]:
    """A link to a part with the minutes it takes."""
    time = f" {minutes(reading_seconds(part.elements))} min{separator}"
    return [_link(f"#{heading.get('id')}", part.name), time]


def end_mark(step: Step, ahead: list[tuple[Element, Part]], docs: Path) -> Element:
    """The mark at the end of a first pass: what comes next in the book and on the page."""
    mark = Element("div", {"class": "device end", "role": "group"})
    mark.set("aria-labelledby", "end-of-the-first-pass")
    title = SubElement(mark, "p", {"class": "device-title", "id": "end-of-the-first-pass"})
    title.text = "End of the first pass"
    following = STEPS[step.number + 1] if step.number + 1 < len(STEPS) else None
    if following is None:
        mark.append(_paragraph("", "You have read the first pass of the whole book."))
    elif (docs / following.page).is_file():
        name = f"step {following.number}, {following.name}"
        mark.append(_paragraph("", "The book goes on with ", _link(following.page, name), "."))
    else:
        name = f"step {following.number}, {following.name}"
        mark.append(_paragraph("", f"The book goes on with {name}, which is in preparation."))
    if ahead:
        pieces = [piece for heading, part in ahead for piece in _timed(heading, part, ", ")]
        pieces[-1] = str(pieces[-1]).removesuffix(", ") + "."
        mark.append(_paragraph("", "This page goes deeper below: ", *pieces))
    return mark


def mark_parts(root: Element, page: Page, step: Step, docs: Path) -> None:
    """Write the minutes of each part under the title and under its heading, and mark the end."""
    found, headings = parts(page), [child for child in root if child.tag == "h2"]
    if len(found) != len(headings):
        what = f"{len(found)} headings `##`, the site shows {len(headings)}"
        raise DeviceError(f"{page.name}: the source has {what}")
    pairs = list(zip(headings, found, strict=True))
    pieces = [piece for heading, part in pairs for piece in _timed(heading, part, " · ")]
    pieces[-1] = str(pieces[-1]).removesuffix(" · ")
    title = next((i for i, child in enumerate(root) if child.tag == "h1"), -1)
    root.insert(title + 1, _paragraph("parts", *pieces))
    for heading, part in pairs:
        count = minutes(reading_seconds(part.elements))
        time = f"{count} minute{'s' * (count != 1)} to read"
        root.insert(list(root).index(heading) + 1, _paragraph("reading-time", time))
    end = list(root).index(headings[1]) if len(headings) > 1 else len(root)
    root.insert(end, end_mark(step, pairs[1:], docs))


def mark_rests(root: Element, page: Page) -> None:
    """Write how much of its part has been read where a part can be left."""
    places = [
        (part, i) for part in parts(page) for i, element in enumerate(part.elements)
        if element.kind == "prose" and _REST.match(element.text)
    ]  # fmt: skip
    rests = [child for child in root.iter("div") if child.get("class") == "device rest"]
    for rest, (part, index) in zip(rests, places, strict=True):
        so_far, whole = (reading_seconds(e) for e in (part.elements[:index], part.elements))
        time = SubElement(rest[0], "span", {"class": "time"})
        time.text = f"{minutes(so_far)} of {minutes(whole)} minutes"


# --- what stays on one line ----------------------------------------------------------------------


def keep_whole(text: str) -> str:
    """Let no line end inside short code or a word such as `20 %`; blocks are left as they are."""

    def mark(found: re.Match[str]) -> str:
        code, words = found["code"], found["words"]
        if words:
            return f'<span class="whole">{words}</span>'
        if code and re.search("[ -]", code) and len(html.unescape(code)) <= LONGEST_WHOLE:
            return f'<code class="whole">{code}</code>'
        return found[0]

    return _BREAKABLE.sub(mark, text)


# --- terms ---------------------------------------------------------------------------------------

_BLOCKS = {"p", "li", "dd"}
_NOT_TEXT = {"code", "a", "math", "dfn", "label", "kbd"}
_CLOSED = {"details", "table", "nav", "figure", "h1", "h2", "h3", "h4", "h5", "h6"}
_CLOSED_CLASSES = {"device-title", "admonition-title"}


def definition_of(entry: Entry, written: str) -> Element:
    """A term with its definition, which shows when it is hovered or has the focus."""
    term = Element("dfn", {"class": "term", "tabindex": "0"})
    identity = f"term-{entry.slug}"
    term.set("aria-describedby", identity)
    term.text = written
    definition = SubElement(term, "span", {"class": "definition", "role": "tooltip"})
    definition.set("id", identity)
    definition.set("data-search-exclude", "")
    definition.text, *codes = entry.definition.split("`")
    for i, piece in enumerate(codes):
        if i % 2 == 0:
            SubElement(definition, "code").text = piece
        else:
            definition[-1].tail = piece
    return term


def define_terms(root: Element, ledger: Ledger) -> None:
    """Give the first use of each term on a page its definition."""
    _define_inside(root, ledger, set(), is_text=False)


def _define_inside(element: Element, ledger: Ledger, seen: set[Entry], *, is_text: bool) -> None:
    children = list(element)
    content: list[Element] = []
    if is_text:
        element.text, content = _split(element.text, ledger, seen)
    for child in children:
        class_ = set(child.get("class", "").split())
        if child.tag not in _CLOSED | _NOT_TEXT and not class_ & _CLOSED_CLASSES:
            inside = is_text or child.tag in _BLOCKS
            _define_inside(child, ledger, seen, is_text=inside)
        content.append(child)
        if is_text:
            child.tail, made = _split(child.tail, ledger, seen)
            content += made
    element[:] = content


def _split(text: str | None, ledger: Ledger, seen: set[Entry]) -> tuple[str | None, list[Element]]:
    """Cut a text at the first uses of terms: what stands before them, and the terms."""
    made: list[Element] = []
    first, done = text, 0
    for found, entry in ledger.find(text or ""):
        if entry not in seen:
            seen.add(entry)
            before = (text or "")[done : found.start()]
            if made:
                made[-1].tail = before
            else:
                first = before
            made.append(definition_of(entry, found.group()))
            done = found.end()
    if made:
        made[-1].tail = (text or "")[done:]
    return first, made


@lru_cache(maxsize=8)
def _ledger(path: Path, changed: float) -> Ledger:
    return read_ledger(path)


# --- blocks --------------------------------------------------------------------------------------


def mark_needs(text: str, page: Page) -> str:
    """Say under each block what it takes from blocks above, with a button that copies them all.

    Raises:
        DeviceError: if the site does not show a block of the source.
    """
    needs = {i: needed_names(page, i) for i in range(len(page.blocks)) if needed_blocks(page, i)}
    linked = {block for names in needs.values() for block in names.values()}
    done, pieces = 0, []
    for index, block in enumerate(page.blocks):
        shown = _find_block(text, block.fence.text, done)
        if shown is None:
            raise DeviceError(f"{page.name}:{block.line}: the site does not show this block")
        identity = f' id="block-{index + 1}"' if index in linked else ""
        pieces += [text[done : shown.start()], shown.group()[:4], identity]
        pieces.append(shown.group()[4:].removesuffix("</div>"))
        pieces += [_needs(needs[index], standalone_source(page, index))] if index in needs else []
        pieces.append("</div>")
        done = shown.end()
    return "".join([*pieces, text[done:]])


def _find_block(text: str, code: str, start: int) -> re.Match[str] | None:
    for shown in _BLOCK.finditer(text, start):
        found = _CODE.search(shown["inside"])
        if found and html.unescape(_TAG.sub("", found["code"])).strip() == code.strip():
            return shown
    return None


def _needs(names: dict[str, int], source: str) -> str:
    links = [f'<a href="#block-{i + 1}"><code>{name}</code></a>' for name, i in names.items()]
    return (
        f'<div class="needs" data-search-exclude><span>Needs {", ".join(links)} from above</span>'
        f'<button type="button" data-clipboard-text="{html.escape(source, quote=True)}">'
        "Copy with what it needs</button></div>"
    )


# --- the extension -------------------------------------------------------------------------------


class PageReader(Preprocessor):
    """Read the page from its source, before anything else does."""

    page: Page | None = None
    is_whole = False

    def __init__(self, md: Markdown, name: str) -> None:
        super().__init__(md)
        self.name = name

    def run(self, lines: list[str]) -> list[str]:
        """Parse the page; a text that is not a page of the book is passed over."""
        name = self.name
        if not name and "relpath" in self.md.treeprocessors:
            name = self.md.treeprocessors["relpath"].file.src_uri
        is_page = bool(name) and not name.startswith("reference/")
        self.page = parse_page("\n".join(lines), f"docs/{name}") if is_page else None
        self.is_whole = False
        return lines if self.page is None else _without_comments(lines, self.page)


def _without_comments(lines: list[str], page: Page) -> list[str]:
    """Leave out what speaks to the tests alone; its lines stay, empty."""
    hidden = {
        number for element in page.elements if element.kind == "comment" and element.info
        for number in range(element.line, element.end + 1)
    }  # fmt: skip
    return ["" if number in hidden else line for number, line in enumerate(lines, 1)]


class FurnitureProcessor(Treeprocessor):
    """Add what stands between the paragraphs of a page."""

    def __init__(self, md: Markdown, reader: PageReader, docs: Path) -> None:
        super().__init__(md)
        self.reader, self.docs = reader, docs

    def run(self, root: Element) -> None:
        """Add terms, parts, rests, the bar of steps and the line at the foot."""
        page = self.reader.page
        if page is None:
            return
        self.reader.is_whole = True
        path = self.docs / "ledger.toml"
        define_terms(root, _ledger(path, path.stat().st_mtime))
        mark_rests(root, page)
        step = step_of(page.name)
        if step is not None:
            if part_names(page.name):
                mark_parts(root, page, step, self.docs)
            root.insert(0, step_bar(step, self.docs))
        root.append(_paragraph("verified", verified_line(page, build_date())))


class CodeProcessor(Postprocessor):
    """Add to each block what it needs, and keep on one line what belongs together."""

    def __init__(self, md: Markdown, reader: PageReader) -> None:
        super().__init__(md)
        self.reader = reader

    def run(self, text: str) -> str:
        """Return the HTML with both; pieces such as headings come before."""
        page = self.reader.page
        if page is None or not self.reader.is_whole:
            return text
        return keep_whole(mark_needs(text, page))


class DeviceExtension(Extension):
    """Register the processors around all others.

    The title of a page is read from its first element and links are resolved at the very end; the
    furniture is added between the two.
    """

    def __init__(self, **options: object) -> None:
        self.config = {
            "page": ["", "the page's path in docs, where the site's generator does not tell it"],
            "docs": [str(ROOT / "docs"), "the directory of the pages and of ledger.toml"],
        }
        super().__init__(**options)

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (the name is Markdown's)
        """Add the processors to a Markdown instance."""
        reader = PageReader(md, self.getConfig("page"))
        docs = Path(self.getConfig("docs"))
        md.preprocessors.register(reader, "book-page", 200)
        md.treeprocessors.register(FurnitureProcessor(md, reader, docs), "book-furniture", 0.5)
        md.postprocessors.register(CodeProcessor(md, reader), "book-code", 0.5)


def makeExtension(**options: object) -> DeviceExtension:  # noqa: N802 (the name is Markdown's)
    """Make the extension; Markdown calls this by its name."""
    return DeviceExtension(**options)
