"""The built site: what a reader would stumble over, and proof that each check sees its fault."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import site_checks
from site_checks import Site

ROOT = Path(__file__).resolve().parents[2]
CHECKS = {
    check.__name__: check
    for check in (
        site_checks.embeds,
        site_checks.orphans,
        site_checks.dead_links,
        site_checks.foreign_resources,
        site_checks.wordless_figures,
        site_checks.stray_formulas,
        site_checks.repeated_ids,
        site_checks.search_noise,
    )
}
Make = Callable[..., Site]


@pytest.fixture
def make_site(tmp_path: Path) -> Make:
    """Make a small site: two pages that link to each other, and what a test adds."""

    def make(body: str = "", *, css: str = "", search: str = "", inventory: str = "") -> Site:
        (tmp_path / "other").mkdir()
        (tmp_path / "search").mkdir()
        other = '<h1 id="there">T</h1><a href="../">Home</a>'
        (tmp_path / "other" / "index.html").write_text(other, encoding="utf-8")
        home = f'<a href="other/#there">There</a><article>{body}</article>'
        (tmp_path / "index.html").write_text(home, encoding="utf-8")
        (tmp_path / "site.css").write_text(css, encoding="utf-8")
        docs = {"docs": [{"location": "", "text": search}]}
        (tmp_path / "search" / "search_index.json").write_text(json.dumps(docs), encoding="utf-8")
        head = b"# Sphinx inventory version 2\n# Project: x\n# Version: 0\n# zlib\n"
        (tmp_path / "objects.inv").write_bytes(head + zlib.compress(inventory.encode()))
        return Site(tmp_path)

    return make


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_the_built_site_has_no_fault(site: Site, check: str) -> None:
    """No page of the site has the kind of fault that the check looks for."""
    assert CHECKS[check](site) == []


@pytest.mark.slow
def test_public_names_reference_and_inventory_are_one_set(site: Site) -> None:
    """Every name of every `__all__` is on a reference page and in the inventory, and no other."""
    declared = site_checks.public_names(ROOT / "literategpt")
    assert len(declared) > 30
    assert site_checks.names(site, declared) == []


@pytest.mark.slow
def test_the_site_shows_what_the_checks_look_at(site: Site) -> None:
    """The site has formulas, drawings, embeds and folds, so that the checks are not idle."""
    pages = site.pages.values()
    assert sum(len(page.find("math")) for page in pages) > 20
    assert sum(len(page.find("div", "drawing")) for page in pages) > 1
    assert sum(len(page.find("figure", "embed")) for page in pages) > 1
    assert sum(len(page.find("details", "source")) for page in pages) > 30


def test_a_small_site_without_faults_passes(make_site: Make) -> None:
    """The checks report nothing where nothing is wrong."""
    small = make_site(
        '<figure class="embed" data-symbol="p.m.f"><code>def f(): pass</code></figure>'
        '<img src="a.png" alt="a dot"><p>A <math alttext="\\frac{1}{2}"></math></p>'
        '<script src="book.js"></script><a href="https://example.org">elsewhere</a>'
    )
    assert {name: check(small) for name, check in CHECKS.items()} == {name: [] for name in CHECKS}


INVENTORY = """p.m.f py:function 1 index.html#$ -
p.m.g py:function 1 index.html#$ -
p.n.f py:function -1 index.html#p.m.f -
"""
EMBED = '<figure class="embed" data-symbol="p.m.f">{}</figure>'
BROKEN = {
    "an embed without code": ("embeds", {"body": EMBED.format("<code></code>")}),
    "an embed of other code": ("embeds", {"body": EMBED.format("<code>def g(): pass</code>")}),
    "an embed that shows the name alone": ("embeds", {"body": EMBED.format("<code>f</code>")}),
    "a folded embed": (
        "embeds",
        {"body": f"<details>{EMBED.format('<code>def f(): 1</code>')}</details>"},
    ),
    "an embed without its link": (
        "embeds",
        {"body": EMBED.format("<code>def f(): 1</code>"), "inventory": INVENTORY},
    ),
    "an embed left as Markdown": ("embeds", {"body": "<p>::: p.m.f</p>"}),
    "a link to a missing page": ("dead_links", {"body": '<a href="gone/">x</a>'}),
    "a link to a missing anchor": ("dead_links", {"body": '<a href="other/#gone">x</a>'}),
    "a link to a missing anchor here": ("dead_links", {"body": '<a href="#gone">x</a>'}),
    "a script of another host": (
        "foreign_resources",
        {"body": '<script src="https://cdn.example.org/a.js"></script>'},
    ),
    "a font of another host": (
        "foreign_resources",
        {"css": "@font-face{src:url('//fonts.example.org/a.woff2')}"},
    ),
    "an import of another host": (
        "foreign_resources",
        {"css": '@import "https://fonts.example.org/css";'},
    ),
    "a preconnect": (
        "foreign_resources",
        {"body": '<link rel="preconnect" href="https://fonts.example.org">'},
    ),
    "an image without words": ("wordless_figures", {"body": '<img src="a.png">'}),
    "a drawing without words": (
        "wordless_figures",
        {"body": '<div class="drawing"><svg role="img"></svg></div>'},
    ),
    "a drawing whose title is empty": (
        "wordless_figures",
        {
            "body": '<div class="drawing"><svg role="img" aria-labelledby="t">'
            '<title id="t"></title></svg></div>'
        },
    ),
    "a figure that was not drawn": ("wordless_figures", {"body": '<div class="drawing"></div>'}),
    "a formula left as LaTeX": ("stray_formulas", {"body": r"<p>\(x^2\)</p>"}),
    "a formula between dollar signs": ("stray_formulas", {"body": "<p>$$x^2$$</p>"}),
    "a formula that was only marked": (
        "stray_formulas",
        {"body": '<span class="arithmatex">x</span>'},
    ),
    "an identifier twice": ("repeated_ids", {"body": '<p id="a"></p><p id="a"></p>'}),
    "MathML in the search": ("search_noise", {"search": "<mi>x</mi>"}),
    "the characters of a formula in the search": (
        "search_noise",
        {"body": "<math><mi>y</mi><mo>=</mo><mi>wx+b</mi></math>", "search": "It is y=wx+b here."},
    ),
    "LaTeX in the search": ("search_noise", {"search": r"\frac{a}{b}"}),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_check_reports_its_fault(make_site: Make, fault: str) -> None:
    """Each check turns red on a page with the fault it is there for, and only that check."""
    check, broken = BROKEN[fault]
    small = make_site(**broken)
    assert {name for name, run in CHECKS.items() if run(small)} == {check}


def test_orphans_are_reported(make_site: Make, tmp_path: Path) -> None:
    """A page that only links out is an orphan."""
    small = make_site()
    (tmp_path / "lost.html").write_text('<a href="index.html">Home</a>', encoding="utf-8")
    assert site_checks.orphans(small) == ["lost.html: no page links to it"]


def test_a_missing_or_a_surplus_name_is_reported(make_site: Make, tmp_path: Path) -> None:
    """A name that one of the three sets lacks is named, with the set."""
    small = make_site(inventory=INVENTORY)
    (tmp_path / "reference").mkdir()
    entries = '<h2 id="p.m.f">f</h2><h2 id="p.m.k">k</h2>'
    (tmp_path / "reference" / "index.html").write_text(entries, encoding="utf-8")
    assert site_checks.names(small, {"p.m.f", "p.m.g", "p.m.h"}) == [
        "p.m.g is public and not on a reference page",
        "p.m.h is public and not in the inventory",
        "p.m.h is public and not on a reference page",
        "p.m.k is in the reference and in no __all__",
    ]


def test_declared_names_are_read_from_the_source(tmp_path: Path) -> None:
    """The names of `__all__`, or else of types, are found without importing the module."""
    package = tmp_path / "p"
    package.mkdir()
    (package / "m.py").write_text('__all__ = ["f"]\nraise SystemExit\n', encoding="utf-8")
    (package / "n.py").write_text("Words: TypeAlias = str\nhidden = 1\n", encoding="utf-8")
    assert site_checks.public_names(package) == {"p.m.f", "p.n.Words"}


def test_the_learning_path_links_every_page_that_exists() -> None:
    """No page is called in preparation once it is there."""
    text = (ROOT / "docs" / "LearningPath.md").read_text(encoding="utf-8")
    assert site_checks.announced_pages(text, ROOT / "docs") == []


def test_a_page_that_was_forgotten_in_the_learning_path_is_reported(tmp_path: Path) -> None:
    """A page that exists and is still announced is named."""
    (tmp_path / "Attention.md").touch()
    text = "| Attention (in preparation) | Training (in preparation) |"
    assert site_checks.announced_pages(text, tmp_path) == ["Attention exists; link it"]


def test_the_parts_of_demos_that_the_learning_path_names_exist() -> None:
    """Every part of a demo that a step tells the reader to run is a heading of some demo."""
    text = (ROOT / "docs" / "LearningPath.md").read_text(encoding="utf-8")
    runs = [line for line in text.splitlines() if line.startswith("- **Run**")]
    parts = [part.split("”")[0] for line in runs for part in line.split("“")[1:]]
    demos = (ROOT / "literategpt" / "demos").glob("*.py")
    spoken = "".join(path.read_text(encoding="utf-8") for path in demos)
    assert len(runs) == 10
    assert parts
    assert [part for part in parts if part not in spoken] == []
