"""What the site adds to a page: steps, parts, needs, terms and the line at the foot."""

import html
import itertools
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from markdown import Markdown
from mkdocs.utils.yaml import yaml_load
from scratch_site import PAGES, ROOT, build, configuration
from site_checks import Element, Site, article, read_html

from pagetools import guard
from pagetools.book import STEPS, part_faults
from pagetools.devices import DeviceError, mark_needs
from pagetools.exercises import exercise_faults
from pagetools.ledger import LedgerError
from pagetools.pages import Page, needed_blocks, parse_page, read_page, standalone_source
from pagetools.snippets import PageRun, run_block

ATTENTION = (PAGES / "Attention.md").read_text(encoding="utf-8")


def convert(text: str, page: str = "Attention.md", docs: Path = PAGES) -> Element:
    """Convert a page as the site does, without the site's generator."""
    config: Any = yaml_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    options: dict[str, Any] = {}
    for extension in config["markdown_extensions"]:
        options |= extension if isinstance(extension, dict) else {extension: {}}
    options["pagetools.devices"] = {"page": page, "docs": str(docs)}
    md = Markdown(extensions=list(options), extension_configs=options)
    return read_html(md.convert(text))


@pytest.fixture(scope="module")
def attention() -> Element:
    """The scratch page with every device."""
    return convert(ATTENTION)


# --- steps and parts -----------------------------------------------------------------------------


def test_the_bar_shows_where_the_reader_is(attention: Element) -> None:
    """All eleven steps are there by number and name, one is marked, and only pages are linked."""
    (bar,) = attention.find("nav", "steps")
    items = bar.find("li")
    assert [item.find("span", "number")[0].text() for item in items] == [str(i) for i in range(11)]
    assert all(step.name in item.text() for step, item in zip(STEPS, items, strict=True))
    here = [e for e in bar.walk() if e.attributes.get("aria-current") == "step"]
    assert [e.text() for e in here] == ["4Attention"]
    links = [a.attributes["href"] for a in bar.find("a")]
    assert links == ["ShapesAndSlopes.md", "FeedForwardNetwork.md"]
    assert bar.text().count("in preparation") == 8
    assert bar.attributes["aria-label"]


@pytest.mark.parametrize("page", ["index.md", "Other.md", "reference/attention.md", ""])
def test_other_pages_have_no_bar_and_no_parts(page: str) -> None:
    """A page that is no step has no bar and no parts; the reference and docstrings have nothing."""
    made = convert("# T\n\nA token.\n\n## First pass\n\nText.\n", page)
    assert not made.find("nav")
    assert not made.find("p", "parts") + made.find("p", "reading-time")
    is_page = page in {"index.md", "Other.md"}
    assert bool(made.find("p", "verified")) == bool(made.find("dfn")) == is_page


def test_each_part_says_how_long_it_takes(attention: Element) -> None:
    """Under the title are all parts with links and minutes, under each heading its own."""
    (parts,) = attention.find("p", "parts")
    assert parts.text() == "First pass 2 min · Backward 1 min · In depth 1 min"
    assert [a.attributes["href"] for a in parts.find("a")] == [
        "#first-pass",
        "#backward",
        "#in-depth",
    ]
    assert [p.text() for p in attention.find("p", "reading-time")] == [
        "2 minutes to read", "1 minute to read", "1 minute to read",
    ]  # fmt: skip


def test_times_grow_with_the_text() -> None:
    """A part with more words and a line of code more takes longer: nothing is typed."""
    longer = ATTENTION.replace("### By hand", "### By hand\n\n" + "word " * 2000)
    assert convert(longer).find("p", "reading-time")[0].text() == "12 minutes to read"


def test_the_end_of_the_first_pass_is_marked(attention: Element) -> None:
    """Right before the second part stands what comes next in the book and on the page."""
    (end,) = attention.find("div", "end")
    assert [a.attributes["href"] for a in end.find("a")] == [
        "FeedForwardNetwork.md", "#backward", "#in-depth",
    ]  # fmt: skip
    siblings = [e for e in attention.content if isinstance(e, Element)]
    assert siblings[siblings.index(end) + 1].attributes["id"] == "backward"


def test_the_end_says_when_the_next_page_is_to_come(tmp_path: Path) -> None:
    """A next page that does not exist is not linked, and the last page of the book has none."""
    shutil.copy(PAGES / "ledger.toml", tmp_path)
    (end,) = convert(ATTENTION, docs=tmp_path).find("div", "end")
    assert "step 5, Feed-forward network, which is in preparation" in end.text()
    (end,) = convert(ATTENTION, "FineTuning.md", tmp_path).find("div", "end")
    assert "the whole book" in end.text()


def test_a_place_to_rest_says_how_far_it_is(attention: Element) -> None:
    """The minutes so far, and those of the whole part."""
    assert attention.find("div", "rest")[0].find("span", "time")[0].text() == "1 of 2 minutes"
    for heading, time in (("### By hand", "11 of 12"), ("### Check yourself", "1 of 12")):
        longer = convert(ATTENTION.replace(heading, heading + "\n\n" + "word " * 2000))
        assert longer.find("span", "time")[0].text() == f"{time} minutes"


def test_a_part_that_the_site_would_not_show_stops_the_build() -> None:
    """Where source and site disagree about the parts, no time is made up."""
    hidden = ATTENTION.replace("## In depth", "> ## In depth")
    with pytest.raises(DeviceError, match=r"3 headings `##`, the site shows 2"):
        convert(hidden)


# --- terms ---------------------------------------------------------------------------------------


def terms(page: Element) -> list[str]:
    """The terms that a page defines, as they are written."""
    return [e.text().removesuffix(e.find("span")[0].text()) for e in page.find("dfn", "term")]


def test_the_first_use_of_a_term_is_defined(attention: Element) -> None:
    """Each term once, at its first use; headings, code, folds and titles are passed over."""
    assert terms(attention) == ["token", "query", "attention weight", "temperature"]
    text = "# Token\n\n## Query\n\n`token`, [token](Attention.md), a token, the Queries, a token.\n"
    assert terms(convert(text, "Other.md")) == ["token", "Queries"]
    folded = "<details class='hint' markdown>\n<summary>Token</summary>\n\nA token.\n\n</details>\n"
    assert terms(convert(folded + "\n| token |\n|---|\n| token |\n\n- Tokens\n", "Other.md")) == [
        "Tokens"
    ]


def test_a_definition_is_reached_by_focus_and_heard(attention: Element) -> None:
    """A term takes the focus and is described by its definition; the search passes it over."""
    for term in attention.find("dfn", "term"):
        (definition,) = term.find("span", "definition")
        assert term.attributes["tabindex"] == "0"
        assert term.attributes["aria-describedby"] == definition.attributes["id"]
        assert definition.attributes["role"] == "tooltip"
        assert "data-search-exclude" in definition.attributes
    (code,) = attention.find("dfn")[2].find("code")
    assert code.text() == "weights"


def test_defining_terms_changes_no_word() -> None:
    """The text of a page is the same with and without the ledger, definitions apart."""
    text = "A token, *a query, and* a **token** `of` a query.\nAn attention weight & more.\n"
    plain = read_html(Markdown().convert(text))
    made = convert(text, "Other.md")
    shown = made.find("p")[0].text()
    for definition in made.find("span", "definition"):
        shown = shown.replace(definition.text(), "")
    assert shown == plain.find("p")[0].text()


def test_a_site_without_a_ledger_does_not_build(tmp_path: Path) -> None:
    """A ledger that is missing or broken stops the build."""
    with pytest.raises(FileNotFoundError):
        convert("Text.", docs=tmp_path)
    (tmp_path / "ledger.toml").write_text("[[word]]\n", encoding="utf-8")
    with pytest.raises(LedgerError):
        convert("Text.", docs=tmp_path)


# --- needs ---------------------------------------------------------------------------------------


def need_faults(made: Element, page: Page) -> list[str]:
    """How the buttons of a page differ from what its blocks need."""
    expected = [
        standalone_source(page, i) for i in range(len(page.blocks)) if needed_blocks(page, i)
    ]
    buttons = [b for e in made.find("div", "needs") for b in e.find("button")]
    found = [button.attributes.get("data-clipboard-text", "") for button in buttons]
    ids = {e.attributes.get("id") for e in made.walk()}
    links = [a.attributes["href"] for e in made.find("div", "needs") for a in e.find("a")]
    faults = [f"no button copies {source!r}" for source in expected if source not in found]
    faults += [f"{len(found)} buttons for {len(expected)} blocks"] * (len(found) != len(expected))
    return faults + [f"{link} leads nowhere" for link in links if link[1:] not in ids]


def test_a_block_says_what_it_needs(attention: Element) -> None:
    """Names link to the blocks that define them, and the button has the text of them all."""
    first = attention.find("div", "needs")[0]
    assert first.find("span")[0].text() == "Needs np, weights from above"
    assert [a.attributes["href"] for a in first.find("a")] == ["#block-1", "#block-1"]
    assert need_faults(attention, read_page(PAGES / "Attention.md")) == []
    assert len(attention.find("div", "needs")) == 5


def test_what_is_copied_runs_alone(attention: Element) -> None:
    """The text of each button runs in a fresh namespace; its last lines are those of its block."""
    page = read_page(PAGES / "Attention.md")
    shown = {block.source: block.shown.text for block in page.blocks if block.shown}
    texts = [html.unescape(b.attributes["data-clipboard-text"]) for b in attention.find("button")]
    printed = {text: run_block(text, {}) for text in texts}
    compared = [
        printed[text].endswith(output)
        for text, (source, output) in itertools.product(texts, shown.items())
        if text.endswith(source)
    ]
    assert compared == [True] * 4


def test_a_button_with_another_text_is_red(attention: Element) -> None:
    """A text that is cut, or a link to no block, is reported."""
    page = read_page(PAGES / "Attention.md")
    made = convert(ATTENTION)
    made.find("button")[0].attributes["data-clipboard-text"] = "print(1)"
    assert len(need_faults(made, page)) == 1
    made.find("div", "needs")[0].find("a")[0].attributes["href"] = "#block-9"
    assert need_faults(made, page)[1:] == ["#block-9 leads nowhere"]
    made = convert(ATTENTION.replace("weights @ values).round", "np.ones(3)).round"))
    assert need_faults(made, page)


def test_a_block_that_the_site_does_not_show_stops_the_build() -> None:
    """A block of the source that is missing from the site, or changed on the way, is refused."""
    page = parse_page("Text.\n\n```python\nx = 1\n```\n")
    shown = '<div class="language-python highlight"><pre><code>x = {}\n</code></pre></div>'
    assert mark_needs(shown.format(1), page) == shown.format(1)
    for made in (shown.format(2), ""):
        with pytest.raises(DeviceError, match=r"page.md:3: the site does not show this block"):
            mark_needs(made, page)


@pytest.mark.slow
def test_what_speaks_to_the_tests_is_not_in_the_site(site: Site) -> None:
    """No page carries the comments with which its numbers are checked."""
    kept = re.compile(r"<!--\s*((check|log|cited|rejected|not run|not compared):|goes on)")
    pages = sorted(site.root.rglob("index.html"))
    assert [page for page in pages if kept.search(page.read_text(encoding="utf-8"))] == []


def test_short_code_is_not_broken() -> None:
    """A shape stays on one line; a word has nowhere to break, and long code and blocks must."""
    codes = "`(2, 1)` `1e-6` `x` `(..., in) @ (in, out) -> (..., out)`"
    page = convert(f"# Title\n\nText {codes}.\n\n```text\na b\n```\n", "CommonQuestions.md")
    assert [e.text() for e in page.walk() if "whole" in e.classes] == ["(2, 1)", "1e-6"]


def test_what_reads_as_one_word_is_not_broken() -> None:
    """A percentage keeps its sign and a name its number, but not in code, formulas and tags."""
    text = "GPT-2 has C = 12,288, p = 1. Of 3 × 10²³, (0, 1) 9.5 % fell"
    code = '<a href="#GPT-3">there</a>, in `GPT-2 5 %` too, $9 %$'
    page = convert(f"# Title\n\n{text} {code}.\n\n```text\nGPT-2 20 %\n```\n", "CommonQuestions.md")
    kept = [e.text() for e in page.walk() if "whole" in e.classes and e.tag == "span"]
    assert kept == ["GPT-2", "C = 12,288", "p = 1", "3 × 10²³", "(0, 1)", "9.5 %"]


def test_the_line_at_the_foot_is_the_last(attention: Element) -> None:
    """The counts of the page stand at its end."""
    last = [e for e in attention.content if isinstance(e, Element)][-1]
    assert last.classes == ["verified"]
    assert last.text().startswith("The tests run 6 blocks of this page, compare 5 outputs and ass")


def test_the_scratch_page_is_true() -> None:
    """The page on which the devices are tried keeps the rules of the book."""
    path = PAGES / "Attention.md"
    page = read_page(path)
    run = PageRun(page, path)
    outcomes = {step.line: run.outcome(step.line) for step in page.steps}
    run.close()
    assert not [outcome.error for outcome in outcomes.values() if outcome.error]
    for block in page.blocks:
        assert outcomes[block.line].printed == (block.shown.text if block.shown else "")
    assert not [*page.faults, *guard.faults(page), *exercise_faults(page), *part_faults(page)]


def test_the_template_of_a_page_is_complete() -> None:
    """The page in CONTRIBUTING has every part, its blocks run, its exercise is complete."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (template,) = re.findall(r"^````markdown\n(.*?)^````$", text, re.DOTALL | re.MULTILINE)
    page = parse_page(template, "docs/Attention.md")
    assert not [*page.faults, *guard.faults(page), *exercise_faults(page), *part_faults(page)]
    run = PageRun(page, PAGES)
    for step in page.steps:
        outcome = run.outcome(step.line)
        assert outcome.error is None
        shown = getattr(step, "shown", None)
        assert outcome.printed == (shown.text if shown else "")
    run.close()
    made = convert(template)
    assert [len(made.find("div", kind)) for kind in ("prediction", "question", "end")] == [1, 1, 1]


# --- on the site ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_scratch_site_builds_strictly(tmp_path: Path) -> None:
    """Every device goes through the site's generator; its links lead where they should."""
    made = Site(build(tmp_path)).pages["Attention/index.html"]
    (bar,) = made.find("nav", "steps")
    assert [a.attributes["href"] for a in bar.find("a")] == [
        "../ShapesAndSlopes/", "../FeedForwardNetwork/",
    ]  # fmt: skip
    assert "<title>Attention" in (tmp_path / "site/Attention/index.html").read_text("utf-8")
    assert need_faults(made, read_page(PAGES / "Attention.md")) == []
    assert not list((tmp_path / "site").rglob("ledger.toml"))
    index = (tmp_path / "site/search/search_index.json").read_text("utf-8")
    added = ("to read", "Needs", "Built on", "in preparation", "Your guess", "and reads and writes")
    assert "One head is complete" in index
    assert [text for text in added if text in index] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("- [x] The first\n>   Softmax", "- [ ] The first\n>   *softmax*: it", "an option that is"),
        ("[!REST]", "[!QUESTION]", "expected options"),
    ],
)
def test_a_broken_page_stops_the_build_of_the_site(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    """What the extensions refuse fails `mkdocs build`, by name."""
    docs = tmp_path / "docs"
    shutil.copytree(PAGES, docs)
    assert old in ATTENTION
    (docs / "Attention.md").write_text(ATTENTION.replace(old, new), encoding="utf-8")
    with pytest.raises(RuntimeError, match=complaint):
        build(tmp_path)


def test_the_scratch_site_is_configured_like_the_book() -> None:
    """The scratch pages are built with every extension of the book."""
    config = yaml_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    made: Any = configuration(PAGES)
    names = [
        [next(iter(one)) if isinstance(one, dict) else one for one in c["markdown_extensions"]]
        for c in (config, made)
    ]
    assert sorted(names[0]) == sorted(names[1])
    # The scratch site lies elsewhere, so that it needs the whole path of the templates.
    templates = str(ROOT / config["theme"]["custom_dir"])
    assert made["theme"] == config["theme"] | {"custom_dir": templates}


@pytest.mark.slow
def test_every_page_of_the_site_says_what_was_verified(site: Site) -> None:
    """All pages but the reference end with their counts, and each block has its needs."""
    pages = list((ROOT / "docs").glob("*.md"))
    for path in pages:
        stem = "" if path.stem == "index" else f"{path.stem}/"
        made = article(site.pages[f"{stem}index.html"])
        (line,) = made.find("p", "verified")
        assert re.match(r"The (tests (run|hold)|page runs no code)", line.text()), path.name
        assert need_faults(made, read_page(path)) == [], path.name
    steps = [step for step in STEPS if (ROOT / "docs" / step.page).is_file()]
    bars = [path for path, page in site.pages.items() if page.find("nav", "steps")]
    assert len(bars) == len(steps)
    assert len(pages) > 3
