"""The built site in Chromium: what no look at the files can tell."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import pytest
from browsing import Look, Visit
from site_checks import Site

CHROMIUM = shutil.which("chromium")
PLAYWRIGHT = importlib.util.find_spec("playwright")
MOST_BYTES = 400_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the search path"),
    pytest.mark.skipif(PLAYWRIGHT is None, reason="needs playwright"),
]


@pytest.fixture(scope="module")
def base(site: Site) -> Iterator[str]:
    """The address at which the site is served."""
    with browsing.serving(site.root) as address:
        yield address


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Any]:
    """Serve one page with a fault and return its address."""
    with browsing.serving(tmp_path) as address:

        def serve(body: str) -> str:
            page = f'<!doctype html><html lang="en"><title>T</title><main>{body}</main>'
            (tmp_path / "index.html").write_text(page, encoding="utf-8")
            return address

        yield serve


@pytest.fixture(scope="module")
def looks(site: Site, browser: Any, base: str, axe: Path | None) -> dict[tuple[str, str], Look]:
    """What every page looks like in both schemes, by page and scheme."""
    seen = {}
    # Only colours change with the scheme, so the other rules are needed once.
    for scheme, rules in (("light", "all"), ("dark", "color-contrast")):
        visit = Visit(browser, base, scheme)
        seen |= {(path, scheme): browsing.look(visit, path, axe, rules) for path in site.pages}
        visit.close()
    return seen


def found(looks: dict[tuple[str, str], Look], what: str) -> dict[tuple[str, str], Any]:
    """The pages of which something was seen that should not be, and what it was."""
    return {key: getattr(look, what) for key, look in looks.items() if getattr(look, what)}


def test_no_page_complains(looks: dict[tuple[str, str], Look]) -> None:
    """No page logs an error, misses a file, or asks another host for anything."""
    assert len(looks) > 20
    assert found(looks, "faults") == {}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<img alt="x" src="http://example.org/a.png">', "request to another host"),
        ("<script>fetch('https://example.org/').catch(() => 0)</script>", "request to another"),
        ("<script>console.error('no')</script>", "console: no"),
        ("<script>throw new Error('no')</script>", "error: no"),
        ('<img alt="x" src="gone.png">', "404"),
    ],
)
def test_a_complaint_is_heard(browser: Any, broken: Any, body: str, fault: str) -> None:
    """A page with a fault is reported, so silence means that there is none."""
    visit = Visit(browser, broken(body))
    seen = browsing.look(visit, "index.html", None)
    visit.close()
    assert any(fault in text for text in seen.faults), seen.faults


def test_everything_fits_on_a_laptop(looks: dict[tuple[str, str], Look]) -> None:
    """No code, formula or table scrolls sideways in a window of 1280 pixels, folds included."""
    assert found(looks, "too_wide") == {}


def test_no_page_scrolls_sideways_on_a_phone(looks: dict[tuple[str, str], Look]) -> None:
    """On a phone the page is as wide as the screen; only code and tables scroll by themselves."""
    assert found(looks, "sideways") == {}


def test_what_is_too_wide_is_seen(browser: Any, broken: Any) -> None:
    """What is too wide for a laptop is reported, and a page too wide for a phone."""
    code = f"<pre><code style='display: block; overflow: auto'>{'x' * 400}</code></pre>"
    formula = f"<div class='formula-display' style='overflow: auto'>{'y' * 400}</div>"
    table = f"<div class='md-typeset__scrollwrap' style='overflow: auto'>{'z' * 400}</div>"
    cell = f"<div class='highlight-ipynb' style='overflow: auto'>{'c' * 400}</div>"
    body = f"{code}{formula}{table}{cell}<div style='width: 900px'>x</div>"
    visit = Visit(browser, broken(body))
    seen = browsing.look(visit, "index.html", None)
    visit.close()
    assert seen.too_wide == ["x" * 400, "y" * 400, "z" * 400, "c" * 400]
    assert seen.sideways > 0


def test_what_belongs_together_stays_on_a_line(looks: dict[tuple[str, str], Look]) -> None:
    """On a phone no line ends inside a shape or `20 %`, or between a formula and its full stop."""
    assert found(looks, "split") == {}


def test_what_is_split_is_seen(browser: Any, broken: Any) -> None:
    """A word or a formula that two lines share is reported, and one that stays whole is not."""
    kinds = ("split", "normal", "whole"), ("kept", "nowrap", "whole"), ("f", "normal", "formula")
    words = [
        f"<p style='width: 3em'><span class='{kind}' style='white-space: {space}'>{name} {name}s"
        for name, space, kind in kinds
    ]
    visit = Visit(browser, broken("".join(words)))
    seen = browsing.look(visit, "index.html", None)
    visit.close()
    assert seen.split == ["split splits"]


def test_lines_have_the_length_of_a_book(looks: dict[tuple[str, str], Look]) -> None:
    """Lines of long paragraphs have 65 to 75 characters in the middle, and none leaves 60 to 80."""
    lengths = sorted(length for look in looks.values() for length in look.line_lengths)
    assert len(lengths) > 10
    assert 65 <= lengths[len(lengths) // 2] <= 75
    assert 60 <= lengths[0] <= lengths[-1] <= 80


def test_no_page_is_heavy(looks: dict[tuple[str, str], Look]) -> None:
    """A first visit to any page transfers less than 400 kB, text compressed."""
    weights = {path: look.weight for (path, _), look in looks.items()}
    assert min(weights.values()) > 50_000
    assert {path: weight for path, weight in weights.items() if weight > MOST_BYTES} == {}


def test_every_page_is_accessible(looks: dict[tuple[str, str], Look], axe: Path | None) -> None:
    """axe-core finds no violation on any page, contrast included, in either scheme."""
    if axe is None:
        pytest.skip("needs npm and a network, to fetch axe-core")
    assert found(looks, "violations") == {}


def test_axe_sees_a_faint_text(browser: Any, broken: Any, axe: Path | None) -> None:
    """Text without contrast is reported, so that silence means there is enough of it."""
    if axe is None:
        pytest.skip("needs npm and a network, to fetch axe-core")
    visit = Visit(browser, broken('<h1 style="background: #fff; color: #ddd">faint</h1>'))
    seen = browsing.look(visit, "index.html", axe)
    visit.close()
    assert any("color-contrast" in fault for fault in seen.violations)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_system(browser: Any, base: str, scheme: str) -> None:
    """Before the reader chooses, the scheme is the system's."""
    visit = Visit(browser, base, scheme)
    visit.open("")
    chosen = visit.page.evaluate("document.body.dataset.mdColorScheme")
    visit.close()
    assert chosen == {"light": "default", "dark": "slate"}[scheme]


def test_paper_shows_everything_in_ink(browser: Any, base: str) -> None:
    """Printing opens the folds and takes the light scheme; afterwards all is as it was."""
    visit = Visit(browser, base, "dark")
    visit.open("reference/activations/")
    state = """[document.querySelectorAll('details:not([open])').length,
        document.body.dataset.mdColorScheme]"""
    before = visit.page.evaluate(state)
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    printed = visit.page.evaluate(state)
    visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
    after = visit.page.evaluate(state)
    visit.close()
    assert before == after
    assert before[0] > 0
    assert before[1] == "slate"
    assert printed == [0, "default"]


def test_the_search_index_waits_until_somebody_searches(browser: Any, base: str) -> None:
    """A visit does not fetch the search index, which is larger than a page; searching does."""
    visit = Visit(browser, base)
    visit.open("Attention/")
    assert not any("search_index" in url for url in visit.asked)
    visit.page.locator("[data-md-component=search-query]").fill("softmax")
    visit.page.wait_for_selector(".md-search-result__link")
    assert any("search_index" in url for url in visit.asked)
    visit.close()


def test_search_finds_a_function(browser: Any, base: str) -> None:
    """Typing the name of a function into the search leads to its reference entry."""
    visit = Visit(browser, base)
    visit.open("")
    visit.page.keyboard.press("s")
    visit.page.keyboard.type("softmax_backward")
    results = visit.page.locator(".md-search-result__link")
    results.first.wait_for(state="visible", timeout=10_000)
    links = results.evaluate_all("all => all.map(a => a.href)")
    visit.close()
    assert any(link.endswith("#literategpt.activations.softmax_backward") for link in links)


def test_an_example_is_copied_without_its_prompts(browser: Any, base: str) -> None:
    """The button beside an example copies code that runs, without `>>>` and without outputs."""
    visit = Visit(browser, base)
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.open("reference/activations/")
    block = visit.page.locator(".language-pycon").first
    block.hover()
    block.locator("button").click()
    copied = visit.page.evaluate("navigator.clipboard.readText()")
    visit.close()
    assert "softmax(scores)" in copied
    assert ">>>" not in copied
    compile(copied, "copied", "exec")
