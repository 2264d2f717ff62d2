"""The conventions of the text: one sentence a line, Markdown that GitHub reads too, live links."""

import itertools
import re
from pathlib import Path

import pytest

from pagetools.pages import ROOT, is_list_item, page_paths, parse_page, read_page

PATHS = page_paths()
every_page = pytest.mark.parametrize(
    "path", PATHS, ids=[path.relative_to(ROOT).as_posix() for path in PATHS]
)
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|et al|cf|vs|Eq|Fig|Sec|No|Dr|Mr|Mrs|St|approx|resp)\.")
MASKED = re.compile(r"!\[[^\]]*\]\([^)]*\)|`[^`]*`|\$[^$\n]+\$|\]\([^)]*\)|<[^>]+>")
SENTENCE_END = re.compile(r"[a-z0-9)\]`%_*\"”][.!?][\"”)*_]*\s+[\"“(*_]*[A-Z]")
LINK = re.compile(r"\]\(\s*<?([^()\s>]+)|\b(?:src|href)=\"([^\"]+)\"")


def text_faults(page):
    """Return the lines of the prose that break a convention."""
    found = []
    for element in page.elements:
        if element.kind not in {"prose", "embed"}:
            continue
        for offset, line in enumerate(element.text.split("\n")):
            found += [(element.line + offset, fault) for fault in _line_faults(line)]
        if element.kind == "prose":
            found += _wrapped_lines(element)
    return [f"{page.name}:{line}: {fault}" for line, fault in found]


def _line_faults(line):
    bare = MASKED.sub("x", ABBREVIATION.sub("x", re.sub(r"^\s*\d+\.\s", "", line)))
    if "arXiv" not in line and not line.lstrip().startswith("|") and SENTENCE_END.search(bare):
        yield "one sentence a line"
    if "--8<--" in line:
        yield "no snippet syntax; embed code by symbol with ::: name"
    if "\\operatorname" in line:
        yield "write \\mathrm, which GitHub reads, and not \\operatorname"
    if re.match(r"\s*!!!\s", line):
        yield "a note is written `> [!NOTE]`, which GitHub reads too"


def _wrapped_lines(element):
    """A line that goes on in lower case after one without an end is a wrapped sentence."""
    lines = element.text.split("\n")
    if is_list_item(element.text) or lines[0].lstrip().startswith(("|", "<")):
        return []
    pairs = itertools.pairwise(lines)
    wrapped = [re.search(r"[a-z,]$", a) and re.match(r"[a-z]", b) for a, b in pairs]
    return [(element.line + i + 1, "one sentence a line") for i, is_ in enumerate(wrapped) if is_]


def dead_links(page, directory):
    """Return the links of a page to files that are not there."""
    texts = [re.sub(r"`[^`]*`", "", e.text) for e in page.elements if e.kind == "prose"]
    targets = [a or b for text in texts for a, b in LINK.findall(text)]
    local = [t.split("#")[0] for t in targets if not re.match(r"[a-z]+:|#|/", t)]
    return [t for t in local if t and not (directory / t).exists() and not _is_drawn(t)]


def _is_drawn(target):
    """Tell whether a link is to a figure that a function draws when the site is built."""
    found = re.fullmatch(r"(?:\.\./)*figures/(\w+)/(\w+)\.svg", target)
    source = ROOT / "docs" / "figures" / f"{found[1]}.py" if found else None
    return bool(source and source.is_file() and f"\ndef {found[2]}(" in source.read_text("utf-8"))


@every_page
def test_text_follows_the_conventions(path):
    """The prose of a page keeps to the conventions of CONTRIBUTING."""
    assert text_faults(read_page(path)) == []


@every_page
def test_links_lead_to_files(path):
    """No page links to a file that is not there."""
    assert dead_links(read_page(path), path.parent) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("One is here. Two is there.\n", "page.md:1: one sentence a line"),
        ("One is `here`. **Two** is there.\n", "page.md:1: one sentence a line"),
        ("A long sentence that\ngoes on here.\n", "page.md:2: one sentence a line"),
        ('--8<-- "file.py"\n', "page.md:1: no snippet syntax"),
        ("$$\\operatorname{softmax}(x)$$\n", "page.md:1: write \\mathrm"),
        ('!!! note "Title"\n    Text.\n', "page.md:1: a note is written `> [!NOTE]`"),
    ],
)
def test_broken_conventions_are_red(text, fault):
    """Each broken convention is named with its line."""
    assert fault in "\n".join(text_faults(parse_page(text)))


@pytest.mark.parametrize(
    "text",
    [
        "One sentence, e.g. this, i.e. that.\nThe next, by Brown et al. They say so.\n",
        "See Fig. A and the file `a. B`.\n",
        "- Vaswani et al. (2017). Attention Is All You Need. arXiv:1706.03762.\n",
        "| Cell. Another | B |\n|---|---|\n",
        "First line:\nsecond line.\n",
        "A list:\n\n- one\n  goes on\n",
        "1. **One.**\n2. Two.\n",
        '![A dot. Another.](figures/a/b.svg "One sentence. Two.")\n',
        "```text\nOne. Two. Three.\n~~~\n```\n",
    ],
)
def test_good_text_passes(text):
    """Abbreviations, code, references, tables and lists make no noise."""
    assert text_faults(parse_page(text)) == []


def test_dead_links_are_named(tmp_path):
    """A link or a picture without its file is red; anchors and other hosts are left alone."""
    (tmp_path / "a.md").write_text("", encoding="utf-8")
    page = parse_page(
        '[a](a.md#x) [b](b.md) ![c](c.svg) <img src="d.png"> [e](#e) [f](https://f.org) `[g](g)`\n'
    )
    assert dead_links(page, Path(tmp_path)) == ["b.md", "c.svg", "d.png"]
    page = parse_page("![x](figures/home/loop.svg)\n\n![y](figures/home/gone.svg)\n")
    assert dead_links(page, Path(tmp_path)) == ["figures/home/gone.svg"]
