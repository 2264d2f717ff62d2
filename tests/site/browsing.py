"""Open a built site in Chromium and tell what is wrong with its pages."""

from __future__ import annotations

import functools
import gzip
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-first-run",
)  # fmt: skip
LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
CODE_IS_CHECKED = (
    "index.html",
    "ShapesAndSlopes/",
    "notebooks/explore_attention/",
    "reference/types/",
)
PATIENCE = 120_000  # milliseconds: a busy machine is no fault of the page
COMPRESSED = (".html", ".css", ".js", ".json", ".svg", "/")

TOO_WIDE = """() => [...document.querySelectorAll(
        "pre > code, .formula-display, .md-typeset__scrollwrap, .highlight-ipynb"
    )]
    .filter(e => e.scrollWidth > e.clientWidth + 1)
    .map(e => e.textContent.trim().split("\\n")[0])"""
SPLIT = """() => [...document.querySelectorAll(".whole, .formula")]
    .filter(e => e.getClientRects().length > 1)
    .map(e => e.textContent)"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Characters that fit into a line of each long paragraph.
LINE_LENGTHS = """() => [...document.querySelectorAll(".md-content__inner > p")]
    .filter(p => !p.matches("h1 + p, .parts + p, .verified"))
    .filter(p => p.textContent.length > 150)
    .map(p => {
        const line = document.createElement("span");
        line.style.cssText = "position: absolute; white-space: nowrap";
        line.textContent = p.textContent;
        p.append(line);
        const width = line.offsetWidth;
        line.remove();
        return p.textContent.length * p.clientWidth / width;
    })"""
# The theme puts a landmark around each button that copies code; it is the one rule left out.
# Blocks of code are thousands of elements in the colours of one style sheet: a few pages will do.
AXE = """async ([runOnly, withCode]) => {
    const rules = { "landmark-unique": { enabled: false } };
    const where = withCode ? document : { exclude: [["pre"]] };
    const found = await axe.run(where, runOnly === "all" ? { rules } : { runOnly });
    return found.violations.map(v => v.id + ": " + v.nodes.map(n => n.target).join("; "));
}"""


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """Serve a directory on this machine and yield its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(root))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium and yield the browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(ARGUMENTS)
        )
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A window in which pages are opened, with what they asked for and complained of."""

    def __init__(self, browser: Any, base: str, scheme: str = "light", size: Any = None) -> None:
        self.base = base
        self.context = browser.new_context(
            viewport=size or LAPTOP, color_scheme=scheme, reduced_motion="reduce"
        )
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.asked: set[str] = set()
        self.sizes: dict[str, int] = {}
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("response", self._received)
        self.context.route("**/*", self._requested)

    def _heard(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"console: {message.text}")

    def _requested(self, route: Any) -> None:
        url = route.request.url
        if url.startswith((self.base, "data:", "blob:")):
            route.continue_()
        else:
            self.faults.append(f"request to another host: {url}")
            route.abort()

    def _received(self, response: Any) -> None:
        url = response.url
        if response.status >= 400:
            self.faults.append(f"{response.status}: {url}")
        elif url.startswith(self.base):
            self.asked.add(url)
            if url not in self.sizes:
                body = response.body()
                self.sizes[url] = len(gzip.compress(body) if url.endswith(COMPRESSED) else body)

    @property
    def weight(self) -> int:
        """Bytes that a first visit to this page transfers, text compressed."""
        return sum(self.sizes[url] for url in self.asked)

    def open(self, path: str) -> list[str]:
        """Open a page, wait until it is quiet, and return what went wrong."""
        self.faults.clear()
        self.asked.clear()
        self.page.goto(self.base + path, wait_until="networkidle")
        return list(self.faults)

    def close(self) -> None:
        self.context.close()


@dataclass(frozen=True)
class Look:
    """What was seen of one page in one scheme."""

    faults: list[str]
    weight: int
    too_wide: list[str]
    line_lengths: list[float]
    sideways: int
    split: list[str]
    violations: list[str]


def look(visit: Visit, path: str, axe: Path | None, rules: str = "all") -> Look:
    """Open a page of the site and look at it on a laptop, with all folds open, and on a phone."""
    page = visit.page
    page.set_viewport_size(LAPTOP)
    faults = visit.open(path.removesuffix("index.html"))
    weight = visit.weight
    violations = []
    if axe is not None:
        page.add_script_tag(path=axe)
        violations = page.evaluate(AXE, [rules, path.startswith(CODE_IS_CHECKED)])
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    too_wide, line_lengths = page.evaluate(TOO_WIDE), page.evaluate(LINE_LENGTHS)
    page.set_viewport_size(PHONE)
    sideways, split = page.evaluate(SIDEWAYS), page.evaluate(SPLIT)
    return Look(faults, weight, too_wide, line_lengths, sideways, split, violations)
