"""The guard over the numerals of the prose: what it reads, what backs it, what it refuses."""

import math

import numpy as np
import pytest

from pagetools import guard
from pagetools.guard import counts, hold, normal, numerals
from pagetools.pages import parse_page


def guarded(text):
    """Return the guarded numerals of a text as they are written."""
    return [numeral.written for numeral in numerals(text) if numeral.guarded]


def faults(text):
    """Return the faults of a page in one string."""
    return "\n".join(guard.faults(parse_page(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The loss is 7.601 and falls by .5.", ["7.601", ".5"]),
        ("It keeps 78 % of 1,049,344, or 5 percent.", ["78 %", "1,049,344", "5 percent"]),
        ("Twelve, 12 heads, 13 heads, 2 layers.", ["13"]),
        ("It takes 4 s, 5 ms, 3 minutes, 2 MB, 8 bits, 6 tokens.", ["4", "5", "3", "2", "8", "6"]),
        ("About 1.5 million, 2 billion, 124M, 40k.", ["1.5 million", "2 billion", "124M", "40k"]),
        ("A step of 1e-5 or 10⁻⁵, and −0.75.", ["1e-5", "10⁻⁵", "−0.75"]),
        ("From 5–95 % and 2 to 9 s; 3-token and 16-bit.", ["5", "95 %", "2", "9", "3", "16"]),
        ("The **99** and *98* and (97), ~96, 95th.", ["99", "98", "97", "96", "95"]),
        ("| a | 0.5 |\n|---|---|\n| 64 | b |", ["0.5", "64"]),
        ("> [!NOTE]\n> It is 77.", ["77"]),
        ("![a plot of 55 losses](figures/x55.svg)", ["55"]),
        ('![words](figures/x55.svg "The loss falls to 0.44.")', ["0.44"]),
    ],
)
def test_numerals_that_are_guarded(text, expected):
    """Decimals, percentages, separators, units and integers above twelve are found in prose."""
    assert guarded(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Inline `x = 13.5` and ``a ` 14.5``.",
        "Formulas $x = 13.5$, $$\n14.5\n$$ and \\(15.5\\), \\[16.5\\].",
        "A [link](page13.md#a-14) and [another][15] and <https://x.org/16.5> https://x.org/17.5.",
        "[15]: https://x.org/18.5",
        '<img src="x.svg" width="640"> <b class="w-100">bold</b>',
        "{: width=300 } and { #id-300 .x width=400 }",
        "GPT-2, float32, UTF-16, SHA-256, W13, v2, H100.",
        "Vaswani et al. (2017), arXiv:1706.03762v5, Table 13, Section 3.2.",
        "Shannon 1948, “A Mathematical Theory of Communication”.",
        "Python 3.11, 3.12 and 3.13, NumPy 2.0, version 1.6.1, on 2026-11-22.",
        "13. The thirteenth item.\n14. The next.",
        "A note[^13] &#8217; :material-13:",
        "Between 1 and 12, two by 3, 1/8, (5, −2).",
    ],
)
def test_numerals_that_are_free(text):
    """Code, formulas, targets, attributes, names, references and small integers are passed over."""
    assert guarded(text) == []


def test_headings_and_code_blocks_are_free():
    """Headings and fenced code need no backing; an unrecorded text does."""
    assert faults("# Title 13.5\n\n```python\nx = 13.5\n```\n\n```json\n13.5\n```\n") == ""
    assert "page.md:2: nothing backs '13.5'" in faults("```text\n13.5\n```\n")
    assert "'13.5'" in faults("```console\n$ run --minutes 30\n13.5\n```\n")


def test_an_unbacked_numeral_is_named_with_its_line_and_the_ways_out():
    """The message names page, line, numeral and the three ways to back it."""
    message = faults("One.\n\nTwo.\nThe loss is 7.601.\n")
    assert message.startswith("page.md:4: nothing backs '7.601'; write <!-- check: 7.601 = ")
    assert "<!-- log: " in message
    assert "<!-- cited: 7.601 — " in message


@pytest.mark.parametrize(
    "backing",
    [
        "<!-- check: 7.601 = loss -->",
        "\n<!-- check: 7.601 nats = loss -->",
        "<!-- check: 3 = n; 7.601 = loss -->",
        "<!-- check:\nloss = report.loss\nfor x in y:\n    7.601 = loss\n-->",
        "<!-- check: 7.601 ~ loss -->",
        "<!-- check: 7.601 > loss -->",
        "<!-- log: data/log.csv 7.601 = loss[0] -->",
        "\n```python\nloss = 7.601\n```\n\n<!-- check: 7.601 = loss -->",
        "\nNext.\n\n# Title\n\n<!-- cited:\n7.601 — Brown et al. 2020, Table 2.1\n-->",
    ],
)
def test_what_backs_a_numeral(backing):
    """A claim under the paragraph, of the namespace or a log, or a cited fact of the page."""
    assert faults("It has 3 parts, and the loss is 7.601 nats.\n" + backing) == ""


@pytest.mark.parametrize(
    ("backing", "message"),
    [
        ("<!-- check: 7.60 = loss -->", "nothing backs '7.601'"),
        ("<!-- check: 7.602 = loss -->", "page.md:2: 7.602 is backed here and not said"),
        ("<!-- check: assert loss == 7.601 -->", "nothing backs '7.601'"),
        ("\nNext.\n\n<!-- check: 7.601 = loss -->", "page.md:5: 7.601 is backed here and not said"),
        ("\n## Next\n\n<!-- check: 7.601 = loss -->", "nothing backs '7.601'"),
        ("<!-- check: 7.601 = 7.601 -->", "reads nothing from the page"),
        ("<!-- check: 7.601 = float('7.601') -->", "reads nothing from the page"),
        ("<!-- check: 7.601 = sum(7.601 / 2 for _ in range(2)) -->", "reads nothing from the page"),
        ("<!-- check: 7.601 = np.max([7.601]) -->", "contains the number that it should give"),
        ("<!-- check:\nx = 7.601\n7.601 = x\n-->", "may not set a name to a constant"),
        ("<!-- check: 7.601 = loss( -->", "cannot read `check`"),
        ("<!-- check: loss -->", "this `check` claims nothing"),
        ("<!-- cited: 7.601 — as everyone knows -->", "expected `numeral — author year, arXiv id`"),
        ("<!-- cited: 7.601 -->", "expected `numeral — author year, arXiv id`"),
        ("<!-- cited: 7.601, 12,288 — Brown 2020 -->", "'12,288' is cited and stands nowhere"),
    ],
)
def test_what_does_not_back_a_numeral(backing, message):
    """Stale, vacuous, misplaced and unreadable backings are red."""
    assert message in faults("The loss is 7.601.\n" + backing)


def test_a_list_belongs_to_the_paragraph_above():
    """One comment under a list backs its items and the line that introduces them."""
    text = "We get 13:\n\n- a 14\n\n- a 15\n\n<!-- check: 13, 14, 15 = values -->\n"
    assert faults(text) == ""
    assert "'16'" in faults(text + "\n- a 16\n")


def test_a_marked_paragraph_goes_on():
    """Two paragraphs with the mark between them are backed as one, up to a comment or a heading."""
    mark, backing = "<!-- goes on -->\n\n", "<!-- check: 13, 14 = values -->\n"
    assert faults("We get 13.\n\n" + mark + "And 14.\n\n" + backing) == ""
    assert "'13'" in faults("We get 13.\n\nAnd 14.\n\n" + backing)
    assert "'13'" in faults("We get 13.\n\n" + mark + "## Next\n\nAnd 14.\n\n" + backing)
    assert "'13'" in faults("We get 13.\n\n" + mark + "So.\n\nAnd 14.\n\n" + backing)


@pytest.mark.parametrize(
    ("written", "relation", "value"),
    [
        ("7.601", "=", 7.6012), ("7.60", "=", 7.595), ("1,049,344", "=", 1049344),
        ("78.1 %", "=", 0.7812), ("5 percent", "=", np.float32(0.05)), ("1.5 million", "=", 1.52e6),
        ("124M", "=", 124_439_808), ("4.7e-4", "=", 0.000473), ("10⁻⁵", "=", 1e-5),
        ("−0.75", "=", -0.7499), ("15,000", "~", 14_600), ("0.1 %", ">", 0.0009),
        ("12", "<=", 12), ("13", "<", 14), ("13", ">=", 13), ("4.2 MB", "=", 4.2),
    ],
)  # fmt: skip
def test_claims_that_hold(written, relation, value):
    """A numeral holds when the value rounds to it, or stands in the relation to it."""
    assert hold((written,), relation, value) is None


@pytest.mark.parametrize(
    ("written", "relation", "value"),
    [
        ("7.601", "=", 7.6016), ("12.000", "=", 12.04), ("1,049,344", "=", 1049345),
        ("78.1 %", "=", 78.1), ("1.5 million", "=", 1.5), ("124M", "=", 123_400_000),
        ("4.7e-4", "=", 4.8e-4), ("10⁻⁵", "=", 1.1e-5), ("0.75", "=", -0.75),
        ("15,000", "=", 14_600), ("15,000", "~", 14_400), ("0.1 %", ">", 0.0011),
        ("13", "<", 13), ("0.5", "=", math.nan),
    ],
)  # fmt: skip
def test_claims_that_do_not_hold(written, relation, value):
    """A value beyond half a unit of the last digit is refused, and so is a NaN."""
    with pytest.raises(AssertionError, match="the page says"):
        hold((written,), relation, value)


def test_claims_of_several_numerals():
    """A list of numerals is compared with an array, element by element."""
    hold(("0.67", "0.24", "0.09"), "=", np.array([[0.665, 0.245, 0.09]]))
    with pytest.raises(AssertionError, match="2 numerals for 3 values"):
        hold(("0.67", "0.24"), "=", [0.67, 0.24, 0.09])


def test_normal_form_keeps_the_digits():
    """Separators and units fall away; trailing zeros claim something and stay."""
    assert normal("1,049,344 parameters") == normal("1\u202f049\u202f344") == "1049344"
    assert normal("0.090") != normal("0.09")
    with pytest.raises(ValueError, match="expected a numeral"):
        normal("many")


def test_counts_per_kind():
    """Each guarded numeral is counted under what backs it."""
    page = parse_page(
        "It is 13, 14 and 15, and 13 again.\n<!-- check: 13 = x -->\n"
        "<!-- log: a.csv 14 = y[0] -->\n<!-- cited: 15 — Brown 2020 -->\n"
        '```python\nprint(1)\n```\n```text title="Output"\n1\n```\n'
    )
    expected = {"numerals": 4, "checked": 2, "logged": 1, "cited": 1, "blocks": 1, "outputs": 1}
    assert counts([page]) == expected


def test_logs_are_read_by_column(tmp_path):
    """Numbers become arrays, empty cells NaN, words stay words; JSON gives its keys."""
    (tmp_path / "log.csv").write_text("step,loss,text\n1,2.5,a\n2,,b\n", encoding="utf-8")
    log = guard.read_log(tmp_path / "log.csv")
    assert log["step"].tolist() == [1, 2]
    assert np.isnan(log["loss"]).tolist() == [False, True]
    assert log["text"].tolist() == ["a", "b"]
    (tmp_path / "log.json").write_text('{"seconds": 12.5}', encoding="utf-8")
    assert guard.read_log(tmp_path / "log.json") == {"seconds": 12.5}


QUOTE = "> [!QUESTION]\n> Is it 0.5?\n>\n> - [x] 0.25\n>   So.\n>\n> ---\n>\n> It is 0.75.\n\n"


def test_one_comment_backs_a_whole_quote():
    """The paragraphs, options and answer of a quote are one paragraph for what stands under it."""
    backing = "<!-- check: 0.5, 0.25, 0.75 = p -->\n"
    assert guard.faults(parse_page(QUOTE + backing)) == []
    assert len(guard.faults(parse_page(QUOTE))) == 3


def test_a_comment_backs_no_other_quote():
    """Two quotes of questions, and a paragraph before a quote, are backed apart."""
    backing = "<!-- check: 0.5, 0.25, 0.75 = p -->\n"
    assert len(guard.faults(parse_page(QUOTE + QUOTE + backing))) == 3
    assert len(guard.faults(parse_page("It is 0.125.\n\n" + QUOTE + backing))) == 1
