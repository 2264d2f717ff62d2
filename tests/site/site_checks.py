"""What can be wrong with a built site: each check returns its faults, one line each."""

from __future__ import annotations

import ast
import json
import posixpath
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input"}
    | {"link", "meta", "param", "source", "track", "wbr"}
)
LOADING_LINKS = frozenset(
    {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "modulepreload"}
)
LATEX = re.compile(r"\\[()\[\]]|\$\$|\\(?:frac|sqrt|sum|mathrm|cdot|left|right)\b")
CSS_URL = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")
LONGEST_SYMBOL = 5  # a shorter formula may also be a word of the text
MATHML_NOISE = re.compile(r"<m(?:ath|row|i|o|n|frac|sup|sub)\b|\\(?:frac|mathrm|sqrt)\b")


@dataclass
class Element:
    """An element of a page."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    content: list[Element | str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def walk(self) -> Iterator[Element]:
        """Every element inside, in the order of the page."""
        for child in self.content:
            if isinstance(child, Element):
                yield child
                yield from child.walk()

    def find(self, tag: str, class_: str = "") -> list[Element]:
        return [e for e in self.walk() if e.tag == tag and (not class_ or class_ in e.classes)]

    def text(self, *, without: Iterable[str] = ()) -> str:
        """The text inside, without that of some tags."""
        parts = (
            child if isinstance(child, str)
            else "" if child.tag in without
            else child.text(without=without)
            for child in self.content
        )  # fmt: skip
        return "".join(parts)

    def ancestors(self) -> Iterator[Element]:
        if self.parent is not None:
            yield self.parent
            yield from self.parent.ancestors()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.now = Element("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {k: v or "" for k, v in attrs}, self.now)
        self.now.content.append(element)
        if tag not in VOID:
            self.now = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.now.content.append(Element(tag, {k: v or "" for k, v in attrs}, self.now))

    def handle_endtag(self, tag: str) -> None:
        open_elements = [self.now, *self.now.ancestors()]
        found = next((e for e in open_elements if e.tag == tag), None)
        if found is not None and found.parent is not None:
            self.now = found.parent

    def handle_data(self, data: str) -> None:
        self.now.content.append(data)


def read_html(text: str) -> Element:
    """Read a page into its elements."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.root


@dataclass(frozen=True)
class Site:
    """A built site."""

    root: Path

    @cached_property
    def pages(self) -> dict[str, Element]:
        """Every page by its path, without the one for missing pages, whose links are absolute."""
        paths = sorted(p for p in self.root.rglob("*.html") if p.name != "404.html")
        return {
            p.relative_to(self.root).as_posix(): read_html(p.read_text(encoding="utf-8"))
            for p in paths
        }

    @cached_property
    def inventory(self) -> set[str]:
        """Every name in `objects.inv`, without the second names under which others import it."""
        raw = (self.root / "objects.inv").read_bytes().split(b"\n", 4)[4]
        lines = [line.split() for line in zlib.decompress(raw).decode().splitlines() if line]
        return {name for name, _, _, place, *_ in lines if place.rpartition("#")[2] in {"$", name}}


def article(page: Element) -> Element:
    """The part of a page that its Markdown made."""
    return next((e for e in page.walk() if e.tag == "article"), page)


def target(path: str, link: str) -> tuple[str, str] | None:
    """Resolve a link of a page to a path of the site and an anchor; None if it leaves the site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(parts.path) or "."))
    if not parts.path:
        place = path
    elif parts.path.endswith("/") or place == "." or not posixpath.splitext(place)[1]:
        place = posixpath.normpath(posixpath.join(place, "index.html"))
    return place, unquote(parts.fragment)


# --- checks: each takes a site and returns its faults ---------------------------------------------


def embeds(site: Site) -> list[str]:
    """Embeds without the code of their symbol, folded away, or left as Markdown."""
    faults = []
    for path, page in site.pages.items():
        for embed in page.find("figure", "embed"):
            symbol = embed.attributes.get("data-symbol", "")
            code = "".join(e.text() for e in embed.find("code"))
            if not re.search(rf"\b{re.escape(symbol.rpartition('.')[2])}\b.*\S", code, re.DOTALL):
                faults.append(f"{path}: the embed of {symbol or 'nothing'} does not show it")
            if any(e.tag == "details" for e in embed.ancestors()):
                faults.append(f"{path}: the embed of {symbol} is folded")
            links = [e.attributes.get("href", "") for e in embed.find("a", "embed-reference")]
            if symbol in site.inventory and not any(a.endswith("#" + symbol) for a in links):
                faults.append(f"{path}: the embed of {symbol} has no link to its reference entry")
        if re.search(r"^\s*::: ", article(page).text(without=("code", "pre")), re.MULTILINE):
            faults.append(f"{path}: an embed was left as Markdown")
    return faults


def public_names(package: Path) -> set[str]:
    """The names that the modules of a package declare, as `package.module.name`.

    They stand in `__all__`; a module without one that only names types declares those.
    """
    names = set()
    for path in sorted(package.glob("[!_]*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        declared = [n.value for n in body if isinstance(n, ast.Assign) and _is_all(n.targets[0])]
        types = [n.target for n in body if isinstance(n, ast.AnnAssign) and _is_type(n.annotation)]
        found = ast.literal_eval(declared[0]) if declared else map(ast.unparse, types)
        names |= {f"{package.name}.{path.stem}.{name}" for name in found}
    return names


def _is_all(node: ast.expr) -> bool:
    return ast.unparse(node) == "__all__"


def _is_type(node: ast.expr) -> bool:
    return ast.unparse(node) == "TypeAlias"


def names(site: Site, declared: set[str]) -> list[str]:
    """Public names that the reference or the inventory lacks, or that only they have."""
    ids = {
        e.attributes["id"]
        for path, page in site.pages.items() if path.startswith("reference/")
        for e in page.walk() if e.tag in {"h2", "h3"} and e.attributes.get("id", "").count(".") == 2
    }  # fmt: skip
    listed = {name for name in site.inventory if name.count(".") == 2}
    faults = [f"{n} is public and not on a reference page" for n in declared - ids]
    faults += [f"{n} is public and not in the inventory" for n in declared - listed]
    faults += [f"{n} is in the reference and in no __all__" for n in (ids | listed) - declared]
    return sorted(faults)


def orphans(site: Site) -> list[str]:
    """Pages that no other page links to."""
    linked = {
        found[0]
        for path, page in site.pages.items() for a in page.find("a")
        if (found := target(path, a.attributes.get("href", ""))) and found[0] != path
    }  # fmt: skip
    return [f"{path}: no page links to it" for path in site.pages if path not in linked]


def dead_links(site: Site) -> list[str]:
    """Links inside the site that lead nowhere."""
    anchors = {
        path: {e.attributes.get("id") or e.attributes.get("name") for e in page.walk()}
        for path, page in site.pages.items()
    }
    faults = []
    for path, page in site.pages.items():
        for link in page.find("a"):
            found = target(path, link.attributes.get("href", ""))
            if "href" not in link.attributes or found is None:
                continue
            place, anchor = found
            if not (site.root / place).is_file():
                faults.append(f"{path}: {link.attributes['href']} does not exist")
            elif anchor and place in anchors and anchor not in anchors[place]:
                faults.append(f"{path}: {link.attributes['href']} has no such anchor")
    return faults


def _loaded(page: Element) -> Iterator[str]:
    for element in page.walk():
        a = element.attributes
        if element.tag == "link" and LOADING_LINKS & set(a.get("rel", "").split()):
            yield a.get("href", "")
        elif element.tag not in {"a", "link"}:
            yield from (a[k] for k in ("src", "srcset", "poster", "data") if k in a)
        yield from CSS_URL.findall(a.get("style", ""))
        if element.tag == "style":
            yield from CSS_URL.findall(element.text())
        if element.tag in {"use", "image"}:
            yield a.get("href", a.get("xlink:href", ""))


def foreign_resources(site: Site) -> list[str]:
    """Resources that a page or a style sheet would load from another host."""
    places = [(path, url) for path, page in site.pages.items() for url in _loaded(page)]
    for path in sorted(site.root.rglob("*.css")):
        css = path.read_text(encoding="utf-8")
        places += [(path.relative_to(site.root).as_posix(), url) for url in CSS_URL.findall(css)]
    return [f"{path}: loads {url}" for path, url in places if re.match(r"(?:https?:)?//", url)]


def wordless_figures(site: Site) -> list[str]:
    """Pictures that say nothing to those who do not see them."""
    faults = []
    for path, page in site.pages.items():
        for image in article(page).find("img"):
            words = image.attributes.get("alt", "").strip()
            faults += [] if words else [f"{path}: an image without alternative text"]
        for drawing in page.find("div", "drawing"):
            for svg in drawing.find("svg") or [Element("svg", {})]:
                ids = svg.attributes.get("aria-labelledby", "").split()
                named = {e.attributes.get("id") for e in svg.walk() if e.text().strip()}
                if svg.attributes.get("role") != "img" or not ids or not set(ids) <= named:
                    faults.append(f"{path}: a drawing without a description")
    return faults


def stray_formulas(site: Site) -> list[str]:
    """Formulas that did not become MathML."""
    faults = []
    for path, page in site.pages.items():
        found = LATEX.search(article(page).text(without=("code", "pre", "script", "style")))
        if found:
            faults.append(f"{path}: LaTeX in the text: {found.group()}")
        if page.find("span", "arithmatex") or page.find("div", "arithmatex"):
            faults.append(f"{path}: a formula that is not MathML")
    return faults


def repeated_ids(site: Site) -> list[str]:
    """Identifiers that occur twice in one page."""
    faults = []
    for path, page in site.pages.items():
        ids = [e.attributes["id"] for e in page.walk() if "id" in e.attributes]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        faults += [f"{path}: {i} occurs twice" for i in twice]
    return faults


def search_noise(site: Site) -> list[str]:
    """Entries of the search that contain what the formulas of their page are made of."""
    formulas = {
        path.removesuffix("index.html"): {
            text for math in page.find("math") if len(text := math.text()) > LONGEST_SYMBOL
        }
        for path, page in site.pages.items()
    }
    index = json.loads((site.root / "search" / "search_index.json").read_text(encoding="utf-8"))
    faults = []
    for entry in index["docs"]:
        text = entry["text"]
        noise = [found.group() for found in MATHML_NOISE.finditer(text)]
        own = formulas.get(entry["location"].partition("#")[0], set())
        noise += [formula for formula in own if formula in text]
        faults += [f"{entry['location']}: {piece} in the search" for piece in noise[:1]]
    return faults


def announced_pages(text: str, docs: Path) -> list[str]:
    """Pages that the learning path calls in preparation although they exist."""
    announced = re.findall(r"(\w+) \(in preparation\)", text)
    return [f"{n} exists; link it" for n in announced if (docs / f"{n}.md").exists()]
