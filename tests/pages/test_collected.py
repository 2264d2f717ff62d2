"""The pages that collect: all exercises, and all terms of the ledger."""

import pytest

from pagetools.book import STEPS
from pagetools.collected import LINK, CollectedError, exercise_links, expand, glossary
from pagetools.exercises import exercises
from pagetools.ledger import read_ledger
from pagetools.pages import ROOT, read_page

DOCS = ROOT / "docs"
PAGES = [step.page for step in STEPS if (DOCS / step.page).is_file()]
COLLECTED = (DOCS / "Exercises.md").read_text(encoding="utf-8")
LINKS = [link for line in COLLECTED.split("\n") if (link := LINK.match(line))]


def test_every_exercise_is_collected_once_and_in_order():
    """The page of exercises links to those of all pages, in the order of the book."""
    expected = [(page, one.title) for page in PAGES for one in exercises(read_page(DOCS / page))]
    assert exercise_links(COLLECTED) == expected


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_at_least_four_exercises(page):
    """Each page of the steps has at least four exercises."""
    assert len(exercises(read_page(DOCS / page))) >= 4


@pytest.mark.parametrize("link", LINKS, ids=[link["title"] for link in LINKS])
def test_a_collected_exercise_has_its_hint_and_solution_and_not_its_checker(link):
    """What is collected opens with a link, and leaves checker, comments and bare anchors behind."""
    text = "\n".join(expand(link, DOCS))
    assert text.startswith(f"### [{link['title']}]({link['page']}#")
    assert text.count('<details class="hint"') == text.count('<details class="solution"') == 1
    assert text.count("<details") == text.count("</details>") == 2
    assert not any(mark in text for mark in ('class="check"', "<!--", "](#"))


def test_a_link_to_a_missing_exercise_is_refused():
    """A title that its page does not have stops the build, and the message lists those it has."""
    wrong = LINK.match("[Exercise 1: no such](Attention.md#exercise-1-no-such)")
    with pytest.raises(CollectedError, match="Exercise 1: a mixture by hand"):
        expand(wrong, DOCS)


# What a reader of these pages looks up first.
SOUGHT = (
    "token, vocabulary, embedding, attention, query, key, value vector, transformer, causal mask,"
    " logit, cross-entropy, backpropagation, gradient descent, learning rate, epoch, batch,"
    " fine-tuning, LoRA, language model, parameter, gradient, loss, optimizer, layer normalization"
)


@pytest.mark.parametrize("term", SOUGHT.split(", "))
def test_the_glossary_has_what_is_looked_up_first(term):
    """The basic words of the field stand in the glossary under their own names."""
    assert f"**{term}**" in glossary(read_ledger(DOCS / "ledger.toml").terms)


def test_the_glossary_has_every_term_once():
    """Every term of the ledger stands in the glossary, with its definition and a link."""
    terms = read_ledger(DOCS / "ledger.toml").terms
    lines = glossary(terms)
    names = [line.strip("*") for line in lines if line.startswith("**")]
    assert names == sorted((term.name for term in terms), key=str.lower)
    assert all(any(term.definition in line and "](" in line for line in lines) for term in terms)
