"""The structure of the book: parts, times, exercises, and the counts at the foot of a page."""

import re
from pathlib import Path

import pytest

from pagetools import book, guard
from pagetools.exercises import exercise_faults, exercises
from pagetools.pages import ROOT, page_paths, parse_page, read_page
from pagetools.verified import build_date, verified_line

PATHS = page_paths()
every_page = pytest.mark.parametrize(
    "path", PATHS, ids=[path.relative_to(ROOT).as_posix() for path in PATHS]
)
SCRATCH = Path(__file__).parents[1] / "site" / "scratch" / "Attention.md"


# --- parts ---------------------------------------------------------------------------------------


@every_page
def test_pages_of_the_steps_have_their_parts(path):
    """A page of the steps has its parts, in order and under their names."""
    assert book.part_faults(read_page(path)) == []


@every_page
def test_first_passes_are_short(path):
    """The first pass of a deep dive has at most 1,500 words and takes at most 20 minutes."""
    assert length_faults(read_page(path)) == []


def length_faults(page):
    """Return in what the first pass of a deep dive is too long."""
    found = [part for part in book.parts(page) if part.name == "First pass"]
    measured = [
        (book.words_of(part.elements), book.reading_seconds(part.elements) / 60) for part in found
    ]
    words, minutes = book.LONGEST_FIRST_PASS.values()
    return [pair for pair in measured if pair[0] > words or pair[1] > minutes]


def test_a_long_first_pass_is_red():
    """A first pass with one word too many, or with too much code, is reported."""
    text = "# T\n\n## First pass\n\n" + "word " * 1500 + "\n"
    assert length_faults(parse_page(text)) == []
    assert length_faults(parse_page(text + "\nmore\n"))
    assert length_faults(parse_page(text + "\n```python\n" + "x = 1\n" * 200 + "```\n"))


@pytest.mark.parametrize(
    ("name", "headings", "good"),
    [
        ("Attention.md", ["First pass", "Backward", "In depth"], True),
        ("Attention.md", ["Backward", "First pass", "In depth"], False),
        ("Attention.md", ["First pass", "Backward"], False),
        ("Attention.md", ["First pass", "Backward", "In Depth"], False),
        ("ShapesAndSlopes.md", ["A. Shapes and scores", "B. Slopes"], True),
        ("ShapesAndSlopes.md", ["First pass", "Backward", "In depth"], False),
        ("index.md", ["Anything"], True),
    ],
)
def test_wrong_parts_are_red(name, headings, good):
    """A missing, misspelt, additional or misplaced part is reported."""
    text = "# T\n\n" + "".join(f"## {heading}\n\nText.\n\n" for heading in headings)
    assert (book.part_faults(parse_page(text, f"docs/{name}")) == []) == good


def test_what_stands_before_the_first_part_belongs_to_it():
    """Title and opening belong to the first part; headings of other levels open none."""
    page = parse_page("# T\n\nOpening.\n\n## A\n\n### B\n\nText.\n\n## C\n\nEnd.\n")
    texts = [[e.text for e in part.elements] for part in book.parts(page)]
    assert texts == [["T", "Opening.", "A", "B", "Text."], ["C", "End."]]


def test_the_steps_stand_in_the_navigation_in_their_order():
    """The pages of the steps that exist stand in `nav` in the order of the steps."""
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- [^:\n]+: (\w+\.md)$", config, re.MULTILINE)
    pages = [step.page for step in book.STEPS if (ROOT / "docs" / step.page).is_file()]
    assert [name for name in listed if name in pages] == pages
    assert [step.number for step in book.STEPS] == list(range(11))


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("word " * 200, 60),
        ("One **two** [three](https://example.org/a-b) `four`.", 1.2),
        ("> [!QUESTION]\n> One two?\n>\n> - [x] three\n>   four\n", 1.2),
        ("| one | two |\n|---|---|\n| three | four |\n", 1.2),
        ("```python\nx = 1\n\ny = 2\n```\n", 8),
        ('```text title="Output"\none two\n```\n', 0.6),
        ("```bash\nmake test\n```\n", 0.6),
        ("$x + y$ one", 2.3),
        ("$$\nx + y\n$$", 20),
        ('![Not read out.](figures/a/b.svg "One two.")', 30.6),
        ("<!-- check: 13 = x -->", 0),
        ("One.\n\n<details markdown>\n\nTwo.\n\n```python\nx\n```\n\n</details>\n\nThree.", 0.6),
        ("::: literategpt.activations.relu\n", 16),
        ("### One\n\nTwo.\n\n### Exercise 1: a\n\nThree four.\n\n### Five\n\nSix.\n", 1.2),
    ],
)
def test_reading_times(text, seconds):
    """Each kind of content takes its time; folds, exercises and alternative texts take none."""
    assert book.reading_seconds(parse_page(text).elements) == pytest.approx(seconds)


MODULE = '''"""A module."""

LIMIT: int = 3


@dataclass
class Box:
    """A box.

    Long.
    """

    size = (
        1,
    )

    def open(self):
        """Open it.

        Longer.
        """
        # Say what comes out.
        return self.size


Names = list
'''


@pytest.mark.parametrize(
    ("name", "lines"),
    [("LIMIT", 1), ("Names", 1), ("Box", 9), ("Box.open", 4), ("Box.size", 3), ("Box.gone", 0)],
)
def test_embedded_code_is_counted_as_it_is_shown(tmp_path, monkeypatch, name, lines):
    """An embed counts the lines of its symbol with docstrings cut and without empty lines."""
    (tmp_path / "literategpt").mkdir()
    (tmp_path / "literategpt" / "box.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setattr(book, "ROOT", tmp_path)
    assert book.embedded_lines(f"::: literategpt.box.{name}\n    options:\n") == lines
    assert book.embedded_lines("::: literategpt.gone.gone") == 0


# --- exercises -----------------------------------------------------------------------------------


@every_page
def test_exercises_are_complete(path):
    """Every exercise has a hint, a checker, a solution it accepts, and wrong answers."""
    assert exercise_faults(read_page(path)) == []


def test_the_scratch_exercise_is_complete():
    """The exercise that the next test breaks has no fault, and ends at the next heading."""
    page = parse_page(SCRATCH.read_text(encoding="utf-8") + "\n## More\n\n> [!REST]\n> x\n")
    assert exercise_faults(page) == []
    assert [one.title for one in exercises(page)] == ["Exercise 1: a mixture by hand"]
    assert all("REST" not in e.text for e in exercises(page)[0].elements)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"hint"', '"algebra"', "expected a fold `hint`"),
        ('"check"', '"solution"', "expected a fold `check`"),
        ('"solution"', '"hint"', "expected a fold `solution`"),
        ("def check_mixture", "def test_mixture", "expected a function `check_NAME(answer)`"),
        ("\nRight: every", "\nNot yet: every", "no block shows that check_mixture finds a"),
        ("check_mixture((4, 4)) — without", "check_mixture((4, 4)) - without", "answers in `rej"),
        ("<!-- rejected:\ncheck", "<!-- rejected:\nwrong = 1\ncheckk", "`rejected`, got 1"),
        ("### Exercise 1", "### Task 1", "`rejected` stands in no exercise"),
    ],
)
def test_incomplete_exercises_are_red(old, new, fault):
    """Each thing that an exercise may lack is named."""
    text = SCRATCH.read_text(encoding="utf-8")
    assert old in text
    assert fault in "\n".join(exercise_faults(parse_page(text.replace(old, new))))


# --- the counts at the foot ----------------------------------------------------------------------


def test_the_counts_at_the_foot_are_those_of_the_tests():
    """The line counts blocks and numbers as the collector and the guard do."""
    page = parse_page(
        "The 7.6 and 12,288 and 13.\n\n```python\nx = 7.6\nx\n```\n\n"
        '```text title="Output"\n7.6\n```\n\n<!-- check: 7.6, 13 = [x, 5.4 + x] -->\n\n'
        "<!-- not run: slow -->\n```python\ny = 1\n```\n\n"
        "<!-- cited: 12,288 — Brown et al. 2020, arXiv:2005.14165 -->\n",
        "docs/page.md",
    )
    total = guard.counts([page])
    assert [total[key] for key in ("blocks", "outputs", "checked", "cited")] == [1, 1, 2, 1]
    line = verified_line(page, "1 May 2026")
    assert line.startswith(
        "The tests run 1 block of this page, compare 1 output and assert 2 numbers. "
        "1 number is cited from other work. Built on 1 May 2026 with Python 3."
    )


def test_a_page_with_a_fault_is_not_called_verified():
    """A number that nothing backs, or a broken fence, is said instead of the counts."""
    line = verified_line(parse_page("The 7.6.\n", "docs/page.md"), "1 May 2026")
    assert line.startswith("Not verified: 1 fault, see `pytest docs/page.md`.")
    assert "Not verified" in verified_line(parse_page("```python\nx\n"), "1 May 2026")
    assert "runs no code of its own" in verified_line(parse_page("Text.\n"), "1 May 2026")


def test_pages_without_blocks_say_what_is_tested_instead():
    """A page of commands counts them, and the collected exercises are tested where they stand."""
    demo = parse_page('```text title="python -m calendar 2026 2"\nFebruary\n```\n', "docs/a.md")
    assert verified_line(demo, "1 May 2026").startswith("The tests run 1 command of this page")
    links = parse_page("[Exercise 1: a](B.md#exercise-1-a)\n", "docs/Exercises.md")
    assert "the exercises' own pages" in verified_line(links, "1 May 2026")
    terms = parse_page("[The terms of the ledger]\n", "docs/Glossary.md")
    assert verified_line(terms, "1 May 2026").startswith("The tests hold each term")
    table = parse_page("| a | b |\n\n<!-- check:\nassert 1 < 2\n-->\n", "docs/a.md")
    assert verified_line(table, "1 May 2026").startswith("The tests run 1 check that")


@every_page
def test_every_page_can_be_called_verified(path):
    """No page would say at its foot that it is not verified."""
    assert not verified_line(read_page(path), "1 May 2026").startswith("Not verified")


def test_the_date_of_a_build_can_be_set(monkeypatch):
    """A build can be repeated with the date it had."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795392000")
    assert build_date() == "23 November 2026"
