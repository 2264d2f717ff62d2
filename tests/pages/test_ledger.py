"""The ledger: no page uses a term or a symbol before it is introduced."""

import itertools

import pytest

from pagetools import guard
from pagetools.book import HOME
from pagetools.ledger import (
    IN_SCOPE,
    Entry,
    Ledger,
    LedgerError,
    Place,
    order_faults,
    read_ledger,
)
from pagetools.pages import ROOT, parse_page, read_page


def test_no_page_uses_a_term_before_its_introduction():
    """In the order of reading, every term and symbol of the ledger is introduced, then used."""
    paths = {name: ROOT / "docs" / name for name in IN_SCOPE}
    pages = {name: read_page(path) for name, path in paths.items() if path.is_file()}
    assert HOME in pages
    assert order_faults(pages, read_ledger()) == []


def test_definitions_are_sentences_without_numbers():
    """A definition ends with a full stop and has no number that something would have to back."""
    for entry in read_ledger().entries:
        assert entry.definition.endswith("."), entry.name
        assert not [n.written for n in guard.numerals(entry.definition) if n.guarded], entry.name


QUERY = Entry("query", "Attention.md", "First pass", "A.", forms=("queries",))
WEIGHT = Entry("attention weight", "Attention.md", "First pass", "A.", exceptions=("weight loss",))
LOGIT = Entry("logit", "GPTModel.md", "First pass", "A.")
SLOPE = Entry("slope", "ShapesAndSlopes.md", "B. Slopes", "A.")
HEAD = Entry("head", "Attention.md", "First pass", "A.", exceptions=("head of state",))
TIME = Entry("T", "Attention.md", "First pass", "A.", is_symbol=True)
DIM = Entry("d_k", "Attention.md", "Backward", "A.", is_symbol=True)


def faults(entries, **texts):
    """Return the faults of a book of some pages, given by name."""
    pages = {f"{name}.md": parse_page(text, f"docs/{name}.md") for name, text in texts.items()}
    return order_faults(pages, Ledger(tuple(entries)))


def dive(first="", backward="", depth=""):
    """Return a deep dive with one paragraph a part."""
    parts = {"First pass": first, "Backward": backward, "In depth": depth}
    return "# T\n\n" + "".join(f"## {name}\n\n{text}\n\n" for name, text in parts.items())


def test_a_term_in_its_place_is_no_fault():
    """A term in bold or italics introduces itself; afterwards it may be used everywhere."""
    text = dive("A **query** asks; queries do.", "The query.", "Queries.")
    assert faults([QUERY], Attention=text, GPTModel=dive("A query.")) == []
    assert faults([QUERY], Attention=text.replace("**", "*")) == []


@pytest.mark.parametrize(
    ("entry", "texts", "fault"),
    [
        (QUERY, {"Attention": dive("A query.\n\nA **query**.")}, "Attention.md:5: 'query' comes"),
        (QUERY, {"Attention": dive("The queries.\n\nA **query**.")}, "Attention.md:5: 'query'"),
        (QUERY, {"index": "A query.\n", "Attention": dive("A **query**.")}, "index.md:1: 'query'"),
        (QUERY, {"Attention": dive("A query.")}, "expected 'query' in bold or italics"),
        (QUERY, {"Attention": dive("x", "A **query**.")}, "expected 'query' in bold or italics"),
        (QUERY, {"Embeddings": dive("A query.")}, "Embeddings.md:5: 'query' comes in Attention"),
        (SLOPE, {"ShapesAndSlopes": "## A. Shapes and scores\n\nA slope.\n\n## B. Slopes\n\n"
                 "A **slope**.\n"}, "ShapesAndSlopes.md:3: 'slope' comes"),
        (SLOPE, {"ShapesAndSlopes": "## A. Shapes and scores\n\n## B. Slopes\n\nA **slope**.\n",
                 "Attention": dive("A slope.")}, "Attention.md:5: 'slope' comes"),
        (TIME, {"Attention": dive("$T$"), "Embeddings": dive("It is `(B, T)`.")},
         "Embeddings.md:5: 'T' comes"),
        (TIME, {"Attention": dive("A.", "$T$")}, "expected 'T' in a formula or a shape"),
        (DIM, {"Attention": dive("$$\n\\sqrt{d_k}\n$$", "$d_k$")}, "Attention.md:6: 'd_k' comes"),
    ],
)  # fmt: skip
def test_a_use_before_the_introduction_is_red(entry, texts, fault):
    """A use too early, on an earlier page, in an earlier reading, or without introduction."""
    assert fault in "\n".join(faults([entry], **texts))


@pytest.mark.parametrize(
    "texts",
    [
        {"Attention": dive("A **query**.", "x"), "Embeddings": dive("x", "`query`, $query$")},
        {"Attention": dive("A **query**."), "Embeddings": dive("[x](query.md) <b class='query'>")},
        {"Attention": dive("A **query**."), "Embeddings": "# Query\n\n### The query\n"},
        {"Attention": dive("A **query**."), "Embeddings": dive("A subquery, query-like, query_a.")},
    ],
)
def test_code_links_and_headings_use_no_term(texts):
    """What is not read as a word of the text is no use."""
    assert faults([QUERY], **texts) == []


def test_what_is_announced_is_no_use():
    """Home may list what the reader will learn, and nothing else before its introduction."""
    home = "# T\n\n## What you will learn\n\n- queries\n\n## Else\n\n{}\n"
    attention = dive("A **query**.")
    assert faults([QUERY], index=home.format("Text."), Attention=attention) == []
    (fault,) = faults([QUERY], index=home.format("A query."), Attention=attention)
    assert fault.startswith("index.md:9")


def test_the_longest_spelling_counts():
    """An attention weight is no use of attention, and an exception is no use at all."""
    attention = Entry("attention", "GPTModel.md", "First pass", "A.")
    text = dive("An **attention weight**.\nA head of state.")
    assert faults([attention, WEIGHT], Attention=text) == []
    assert faults([HEAD], Embeddings=dive("A head of state.")) == []
    assert len(faults([HEAD], Embeddings=dive("The head of a state."))) == 1


def test_an_exception_may_be_a_term_of_its_own():
    """What is no use of one term is a use of the other, whichever stands first."""
    weight = Entry("weight", "Attention.md", "First pass", "A.", exceptions=("attention weight",))
    for entries in itertools.permutations([weight, WEIGHT]):
        text = dive("A **weight**.\n\nAn attention weight.\n\nAn **attention weight**.")
        (fault,) = faults(entries, Attention=text)
        assert fault.startswith("Attention.md:7: 'attention weight'")


def test_symbols_are_found_in_formulas_and_shapes_alone():
    """A letter of a word, of a command or of another symbol is not the symbol."""
    quiet = dive("Text T, `T`, `x.T`, $\\mathrm{T}$, $K^\\top$, $T_a$, `(BT, C)`.")
    assert faults([TIME], Embeddings=quiet) == []
    assert len(faults([TIME], Embeddings=dive("$T$"))) == 1


def test_the_order_of_reading():
    """First passes are one book; a Backward uses those up to its own; what goes deeper uses all."""
    places = [Place(page, rank, 10 * rank) for page, rank in itertools.product((0, 1), (0, 1, 2))]
    allowed = {(p.page, p.rank): [(q.page, q.rank) for q in places if p.may_use(q)] for p in places}
    assert allowed == {
        (0, 0): [(0, 0)],
        (0, 1): [(0, 0), (0, 1)],
        (0, 2): [(0, 0), (0, 1), (0, 2)],
        (1, 0): [(0, 0), (1, 0)],
        (1, 1): [(0, 0), (0, 1), (1, 0), (1, 1)],
        (1, 2): [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)],
    }


GOOD = '[[term]]\nterm = "a"\npage = "Attention.md"\npart = "Backward"\ndefinition = "A."\n'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('definition = "A."', "", "expected ['definition', 'page', 'part', 'term']"),
        ('definition = "A."', 'definition = ""', "expected a definition"),
        ('definition = "A."', 'definition = "$A$."', "expected a definition"),
        ('definition = "A."', f'definition = "{"A" * 300}"', "expected a definition"),
        ("Backward", "B. Slopes", "no part 'B. Slopes' of a page 'Attention.md'"),
        ("Attention.md", "Gone.md", "no part 'Backward' of a page 'Gone.md'"),
        ("[[term]]", "[[terms]]", "expected [[term]] and [[symbol]]"),
        ("[[term]]", '[[term]]\nform = ["b"]', "expected ['definition'"),
        ("[[term]]", '[[term]]\nforms = "b"', "expected a list of texts"),
        ("[[term]]", '[[term]]\nforms = ["a"]', "the ledger has a twice"),
    ],
)
def test_a_broken_ledger_is_refused(tmp_path, old, new, message):
    """An entry that is incomplete, too long, twice there, or of no page is named."""
    path = tmp_path / "ledger.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert read_ledger(path).entries[0].part == "Backward"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(LedgerError) as refusal:
        read_ledger(path)
    assert message in str(refusal.value)
