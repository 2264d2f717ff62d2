"""The devices of a page in Chromium: mouse, finger and keyboard, with and without a script."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import pytest
from browsing import PATIENCE, PHONE, Visit
from scratch_site import PAGES, build

from pagetools.pages import read_page, standalone_source

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium on the path"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="needs playwright"),
]
SMALL = {"width": 360, "height": 780}
TERM = "[aria-describedby=term-attention-weight]"
DEFINITION = "#term-attention-weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address at which the scratch site is served."""
    with browsing.serving(build(tmp_path_factory.mktemp("scratch"))) as address:
        yield address


@pytest.fixture
def visit(browser: Any, base: str) -> Iterator[Visit]:
    """A window on a laptop with the scratch page."""
    window = Visit(browser, base)
    assert window.open("Attention/") == []
    yield window
    window.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_devices_are_accessible(browser: Any, base: str, axe: Path | None, scheme: str) -> None:
    """axe-core finds no violation with folds closed, and none with folds and definitions open."""
    if axe is None:
        pytest.skip("needs npm and a network, to fetch axe-core")
    window = Visit(browser, base, scheme)
    window.open("Attention/")
    window.page.add_script_tag(path=axe)
    closed = window.page.evaluate(browsing.AXE, ["all", True])
    window.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    window.page.focus(TERM)
    opened = window.page.evaluate(browsing.AXE, ["all", True])
    window.close()
    assert (closed, opened) == ([], [])


def test_the_devices_fit_on_a_small_phone(browser: Any, base: str) -> None:
    """At 360 pixels nothing scrolls sideways, folds open, and every step can be tapped."""
    window = Visit(browser, base, size=SMALL)
    window.open("Attention/")
    page = window.page
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.focus(TERM)
    sideways, box = page.evaluate(browsing.SIDEWAYS), page.locator(DEFINITION).bounding_box()
    sizes = page.evaluate("""() => [...document.querySelectorAll(".steps li > *")]
        .map(e => [e.offsetWidth, e.offsetHeight])""")
    window.close()
    assert sideways == 0
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= SMALL["width"]
    assert len(sizes) == 11
    assert min(min(size) for size in sizes) >= 24


def test_the_place_in_the_steps_is_always_visible(visit: Visit) -> None:
    """Far down the page the bar of steps stands right under the header, and covers no anchor."""
    visit.page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    bar = visit.page.locator(".steps").bounding_box()
    header = visit.page.locator(".md-header").bounding_box()
    assert bar["y"] == pytest.approx(header["y"] + header["height"], abs=2)
    visit.page.locator(".end a[href='#in-depth']").click()
    heading = visit.page.locator("#in-depth").bounding_box()
    assert bar["y"] + bar["height"] <= heading["y"] < bar["y"] + bar["height"] + 100


def test_definitions_open_by_hover_focus_and_tap(browser: Any, visit: Visit, base: str) -> None:
    """A definition shows for the mouse, the keyboard and the finger; Escape closes it."""
    page = visit.page
    definition = page.locator(DEFINITION)
    assert not definition.is_visible()
    page.hover(TERM)
    assert definition.is_visible()
    page.keyboard.press("Escape")
    assert not definition.is_visible()
    page.hover("h1")
    page.focus(TERM)
    assert definition.is_visible()
    page.keyboard.press("Escape")
    assert not definition.is_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert definition.is_visible()
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    context.set_default_timeout(PATIENCE)
    phone = context.new_page()
    phone.goto(f"{base}Attention/")
    phone.tap(TERM)
    tapped = phone.locator(DEFINITION).is_visible()
    phone.tap("h1")
    left = phone.locator(DEFINITION).is_visible()
    context.close()
    assert (tapped, left) == (True, False)


def test_questions_answer_the_keyboard_without_a_script(browser: Any, base: str) -> None:
    """Without JavaScript, Tab and Enter open an option, and definitions show by focus."""
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"{base}Attention/")
    option = page.locator(".question details").first
    answer = option.locator("p")
    assert not answer.is_visible()
    option.locator("summary").focus()
    page.keyboard.press("Enter")
    assert answer.is_visible()
    assert answer.inner_text().startswith("Wrong. You took it that position 0 shares")
    page.locator(TERM).focus()
    assert page.locator(DEFINITION).is_visible()
    assert not page.locator(".needs button").first.is_visible()
    assert page.locator(".needs span").first.is_visible()
    context.close()


def test_the_button_copies_a_block_with_what_it_needs(visit: Visit) -> None:
    """What lands in the clipboard is the text that the tests run alone; the reader is told."""
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.page.locator(".needs button").first.click()
    visit.page.locator(".md-dialog--active").wait_for()
    copied = visit.page.evaluate("navigator.clipboard.readText()")
    assert copied == standalone_source(read_page(PAGES / "Attention.md"), 1)


def test_paper_shows_every_answer(visit: Visit) -> None:
    """In print every fold is open, and buttons are gone; the bar of steps does not float."""
    page = visit.page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    hidden = page.evaluate("""() => [...document.querySelectorAll("article details p")]
        .filter(p => !p.checkVisibility()).length""")
    assert hidden == 0
    assert page.locator("article details p").count() >= 10
    assert not page.locator(".needs button").first.is_visible()
    position = "getComputedStyle(document.querySelector('.steps')).position"
    assert page.evaluate(position) == "static"


def test_a_question_that_does_not_fit_is_seen(browser: Any, base: str) -> None:
    """The checks of this file can fail: without the style sheet the phone scrolls sideways."""
    window = Visit(browser, base, size=SMALL)
    window.context.route("**/book.css", lambda route: route.abort())
    window.open("Attention/")
    position = "getComputedStyle(document.querySelector('.steps')).position"
    seen = window.page.evaluate(position), window.page.locator(DEFINITION).is_visible()
    window.close()
    assert seen == ("static", True)
