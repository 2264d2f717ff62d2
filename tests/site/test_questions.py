"""Questions: what the extension makes of them, and what it refuses."""

import pytest
from markdown import Markdown
from site_checks import Element, read_html

from pagetools.questions import QuestionError

QUESTION = """\
> [!QUESTION]
> What is the softmax of $x$?
>
> - [x] One, `1`
>   The weights sum to 1.
>   There is one weight.
> - [ ] $x$ itself
>   *a score is a weight*: a weight is a share.
"""
PREDICTION = """\
> [!PREDICTION]
> Which is larger?
>
> ---
>
> The *first*.
"""


def convert(text: str) -> Element:
    """Convert Markdown with the extensions that questions meet, and read what comes out."""
    extensions = [
        "attr_list", "md_in_html", "pymdownx.arithmatex", "pymdownx.quotes", "pymdownx.superfences",
        "pymdownx.tasklist", "pagetools.mathml", "pagetools.questions",
    ]  # fmt: skip
    configs = {
        "pymdownx.arithmatex": {"generic": True},
        "pymdownx.quotes": {"callouts": True},
        "pymdownx.tasklist": {"custom_checkbox": True},
    }
    return read_html(Markdown(extensions=extensions, extension_configs=configs).convert(text))


def told(page: Element) -> list[tuple[str, str]]:
    """What each option says when it is closed, and what it adds when it is open."""
    folds = page.find("details", "option")
    return [
        (fold.find("summary")[0].text().strip(), " ".join(fold.find("p")[0].text().split()))
        for fold in folds
    ]


def test_an_option_is_a_fold_that_answers() -> None:
    """Closed, an option does not tell; open, it says right or wrong and why."""
    page = convert(QUESTION)
    assert told(page) == [
        ("A One, 1", "Right. The weights sum to 1. There is one weight."),
        ("B x itself", "Wrong. You took it that a score is a weight: a weight is a share."),
    ]
    assert [fold.classes for fold in page.find("details")] == [
        ["option", "right"],
        ["option", "wrong"],
    ]
    assert not any("open" in fold.attributes for fold in page.find("details"))
    assert not page.find("input")
    assert len(page.find("math")) == 2
    assert page.find("em")[0].text() == "a score is a weight"


def test_a_question_is_a_group_with_a_name() -> None:
    """Those who hear the page are told what the group is; its names are unique in the page."""
    groups = convert(QUESTION + "\n" + QUESTION + "\n" + PREDICTION).find("div", "device")
    names = {g.attributes["aria-labelledby"]: g.find("p", "device-title")[0] for g in groups}
    assert list(names) == ["check-yourself-1", "check-yourself-2", "predict-first-1"]
    assert all(title.attributes["id"] == name for name, title in names.items())
    assert {group.attributes["role"] for group in groups} == {"group"}


def test_options_with_empty_lines_between_are_options_too() -> None:
    """A loose list, code above the options and a title of its own make no difference."""
    loose = QUESTION.replace("> - [ ]", ">\n> - [ ]").replace(
        "$x$?", "this?\n>\n> ```python\n> x\n> ```"
    )
    page = convert(loose.replace("[!QUESTION]", "[!QUESTION] Weights"))
    assert [option for option, _ in told(page)] == ["A One, 1", "B x itself"]
    assert page.find("p", "device-title")[0].text() == "Weights"
    assert len(page.find("pre")) == 1


def test_a_prediction_takes_a_guess_before_it_tells() -> None:
    """Without options there is a labelled field, and the answer is folded."""
    page = convert(PREDICTION)
    (field,) = page.find("input")
    assert field.parent is not None
    assert field.parent.tag == "label"
    assert field.parent.text().strip()
    assert [fold.text().split() for fold in page.find("details", "answer")] == [
        ["Compare", "The", "first."]
    ]
    assert not page.find("hr")


def test_a_prediction_may_have_options() -> None:
    """With options there is no field; an answer may follow them."""
    options = QUESTION.replace("QUESTION", "PREDICTION")
    assert not convert(options).find("input")
    both = convert(options + ">\n> ---\n>\n> More.\n")
    assert len(both.find("details")) == 3


def test_a_place_to_rest_is_a_quote_with_a_title() -> None:
    """The text of the quote stands under its title; an ordinary quote is left alone."""
    page = convert("> [!REST]\n> One head is $x$.\n\n> Quoted.\n\n> [!NOTE]\n> Noted.\n")
    (rest,) = page.find("div", "rest")
    assert "One head is" in rest.text()
    assert "Quoted." in page.find("blockquote")[0].text()
    assert "Noted." in page.find("div", "admonition")[0].text()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[x]", "[ ]", "expected `*misconception*: one sentence`"),
        ("> - [x] One, `1`\n>   The weights sum to 1.\n>   There is one weight.\n", "",
         "expected an option that is right"),
        ("[ ]", "[x]", "expected an option that is wrong"),
        ("*a score is a weight*: a", "A", "expected `*misconception*: one sentence`"),
        ("*a score is a weight*", "*A score is a weight*", 'read after "You took it that"'),
        ("*a score is a weight*: a", "*scores* a", "expected `*misconception*: one"),
        ("is a share.", "is a share.\n>   And more.", "expected one sentence, got 2"),
        ("is a share.", "is a share", "expected one sentence, got 0"),
        ("\n>   *a score is a weight*: a weight is a share.", "", "an explanation under"),
        ("[ ] $x$", "$x$", "expected an option such as `- [ ] text`"),
        ("- [", "[", "expected options"),
    ],
)  # fmt: skip
def test_an_incomplete_question_stops_the_build(old: str, new: str, complaint: str) -> None:
    """A missing right answer, misconception, explanation or option is named with the question."""
    assert old in QUESTION
    with pytest.raises(QuestionError) as refusal:
        convert(QUESTION.replace(old, new))
    assert complaint in str(refusal.value)
    assert "in the question 'What is the softmax of $x$?" in str(refusal.value)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("> ---\n>\n> The *first*.\n", "", "or `---`, got none"),
        ("The *first*.", "", "expected the answer under `---`"),
    ],
)
def test_an_incomplete_prediction_stops_the_build(old: str, new: str, complaint: str) -> None:
    """A prediction without an answer is refused."""
    with pytest.raises(QuestionError, match=complaint):
        convert(PREDICTION.replace(old, new))
