"""The plugin that runs the pages: every way in which a page can be wrong turns red."""

import pytest

from pagetools import snippets
from pagetools.snippets import run_block, tidy

pytest_plugins = ["pytester"]

INI = """[pytest]
doctest_optionflags = NUMBER NORMALIZE_WHITESPACE
"""


def fence(code, info="python", marker="```"):
    """Return a fence with an empty line after it."""
    return f"{marker}{info}\n{code}\n{marker}\n\n"


def output(text):
    """Return a recorded output."""
    return fence(text, 'text title="Output"')


@pytest.fixture
def book(pytester):
    """Return a function that runs pytest over one page, given as text."""
    pytester.makeini(INI)
    (pytester.path / "docs").mkdir()
    pytester.page = pytester.path / "docs" / "page.md"

    def run(text, *arguments):
        if text is not None:
            pytester.page.write_bytes(text.encode("utf-8"))
        places = arguments if any("::" in one for one in arguments) else ("docs", *arguments)
        return pytester.runpytest_inprocess(*places, plugins=[snippets])

    run.page, run.path = pytester.page, pytester.path
    return run


def passes(result, count):
    """Assert that all tests of a run pass."""
    result.assert_outcomes(passed=count)


def fails(result, *messages):
    """Assert that a run is red and says why."""
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*{message}*" for message in messages])


def test_blocks_share_a_namespace_and_show_their_output(book):
    """Blocks run in page order in one namespace; a trailing expression is shown by its repr."""
    text = fence("x = 2") + fence("print('x')\nx * 21") + output("x\n42")
    passes(book(text), 4)


@pytest.mark.parametrize("info", ["python", "py", "python3", 'python title="a.py"', "{.python}",
                                  'python hl_lines="1"'])  # fmt: skip
def test_every_way_to_open_a_python_fence_is_run(book, info):
    """A block fails whatever its info string says besides Python."""
    fails(book(fence("1 / 0", info)), "ZeroDivisionError")


@pytest.mark.parametrize("prefix", ["    ", "  ", "> ", ">   "])
def test_indented_and_quoted_fences_are_run(book, prefix):
    """Blocks inside lists, notes and callouts are run without their prefix."""
    lines = (fence("if True:\n    print(1)") + output("2")).splitlines()
    fails(book("\n".join(prefix + line for line in lines)), "-2", "+1")


def test_tilde_fences_are_run(book):
    """A fence of tildes is run too."""
    fails(book(fence("1 / 0", marker="~~~")), "ZeroDivisionError")


def test_wrong_output_is_red(book):
    """One changed digit in an output is shown as a difference."""
    fails(
        book(fence("print(0.5)") + output("0.6")), "page.md:1: the output differs", "-0.6", "+0.5"
    )


def test_output_without_print_is_red(book):
    """A page may not show an output that the block does not print."""
    fails(book(fence("x = 1") + output("1")), "the block prints nothing")
    empty = '```text title="Output"\n```\n'
    fails(book(fence("x = 1") + empty), "the block prints nothing")
    fails(book(fence("print(1)") + empty), "the page shows nothing")


def test_print_without_output_is_red(book):
    """A page must show what a block prints."""
    fails(book(fence("print(1)")), "the page shows nothing")


def test_orphan_output_is_red(book):
    """An output with prose between it and its block belongs to no block."""
    fails(book(fence("x = 1") + "Text.\n\n" + output("1")), "stands under no block that runs")


def test_output_of_one_block_does_not_leak_into_the_next(book):
    """Each block is compared with its own output alone."""
    text = fence("print(1)") + output("1") + fence("print(2)") + output("1\n2")
    fails(book(text), "-1", "page.md::line9*")


def test_error_names_the_line_of_the_page(book):
    """A traceback shows the page's own line."""
    fails(book("Text.\n\n" + fence("x = 1\n1 / 0")), 'File "*page.md", line 5*', "*1 / 0*")


def test_failure_fails_the_later_blocks_with_one_line(book):
    """Blocks after a broken one fail, with the first cause in one line, and are not skipped."""
    result = book(fence("1 / 0") + fence("x = 1"))
    result.assert_outcomes(passed=2, failed=2)
    fails(result, "line 1 of this page failed before: ZeroDivisionError: division by zero")


def test_one_block_alone_runs_the_earlier_ones(book):
    """A selected block finds the names of the blocks before it."""
    text = fence("x = 2") + fence("print(x)") + output("2")
    book.page.write_text(text)
    result = book(None, "-k", "line5")
    result.assert_outcomes(passed=1, deselected=3)


def test_warnings_are_errors(book):
    """A block that warns fails."""
    fails(book(fence("import warnings\nwarnings.warn('old', UserWarning)")), "UserWarning: old")


def test_standard_error_is_red(book):
    """A block that writes to standard error fails."""
    fails(book(fence("import sys\nprint('oh', file=sys.stderr)")), "writes to standard error")


def test_exit_is_red(book):
    """A block that leaves Python fails instead of ending the run."""
    fails(book(fence("raise SystemExit(0)")), "SystemExit")


def test_pages_run_in_an_empty_directory_with_default_print_options(book):
    """Files and print options of one page stay there; later blocks of the page keep them."""
    code = "import os, numpy as np\nprint(os.listdir())\nopen('left', 'w').close()"
    first = fence(code) + output("[]") + fence("np.set_printoptions(precision=2)")
    text = first + fence("np.array([1 / 3])") + output("array([0.33])")
    (book.path / "docs" / "a.md").write_text(text)
    (book.path / "docs" / "b.md").write_text(
        fence(code) + output("[]") + fence("np.array([1 / 3])") + output("array([0.33333333])")
    )
    passes(book(None), 9)


def test_doctests_run_with_the_flags_of_docstrings(book):
    """A pycon block shares the namespace and compares numbers to the digits shown."""
    text = fence("third = 1 / 3") + fence(">>> third\n0.333\n>>> third = 5", "pycon")
    passes(book(text + fence("third") + output("5")), 5)


def test_wrong_doctest_is_red(book):
    """A pycon block with another number fails."""
    fails(book(fence(">>> 1 / 3\n0.5", "pycon")), "the doctest differs")


def test_not_run_is_a_skip_with_its_reason(book):
    """A block with a reason is skipped visibly; it must still be Python."""
    reason = "<!-- not run: downloads a gigabyte -->\n\n"
    result = book(reason + fence("1 / 0"), "-rs")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["*not run: downloads a gigabyte*"])
    fails(book(reason + fence("1 /")), "SyntaxError")


def test_not_compared_still_runs(book):
    """A block whose output differs by machine is run, and only its output is let be."""
    reason = "<!-- not compared: the time of one machine -->\n"
    passes(book(reason + fence("print(1)") + output("2")), 3)
    fails(book(reason + fence("1 / 0") + output("2")), "ZeroDivisionError")
    fails(book(reason + fence("x = 1")), "prints nothing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- not run: -->\n" + fence("x = 1"), "says nothing after the colon"),
        ("<!-- not run: slow -->\n\nText.\n", "`not run` stands above no block"),
        ("<!-- not-run: slow -->\n" + fence("x = 1"), "none of those the tests read"),
        ("<!-- pytest.mark.skip -->\n" + fence("x = 1"), "none of those the tests read"),
        ("<!-- assert\n```python\nassert 1\n```\n-->\n", "none of those the tests read"),
        (fence("x = 1", marker="~~~"), "a fence is opened by backticks"),
        ("- ```python\n  1 / 0\n  ```\n", "a fence opens on a line of its own"),
        (fence("x = 1", "pythonic"), "no rule for a fence in 'pythonic'"),
        (fence("1", 'text title="output"'), "recorded output is written"),
        (fence("1", 'text title="python thing.py"'), "cannot run 'python thing.py'"),
        ("```python\nx = 1\n", "this fence is never closed"),
        ("<!-- check: 1 = x\n", "a comment ends in -->"),
        ("Text <!-- check: 13 = x --> 13.\n", "not inside a paragraph"),
    ],
)
def test_what_cannot_be_placed_is_red(book, text, message):
    """A slip of the pen in a fence or a comment is a fault, never a silent skip."""
    fails(book(text), message)


def test_check_comments_run_at_their_place(book):
    """A claim sees the namespace as it is at its place in the page."""
    checks = "The 13.\n\n<!-- check: 13 = x -->\n\n"
    passes(book(fence("x = 13") + checks + fence("x = 14")), 5)
    fails(book(fence("x = 13\nx += 1") + checks), "the page says 13, the code gives 14")


def test_assertions_in_check_comments_run(book):
    """A check may hold any Python; a false assertion is red with its line."""
    text = fence("x = [1, 2]") + "Text.\n<!-- check:\nfor one in x:\n    assert one < 2\n-->\n"
    fails(book(text), 'File "*page.md", line 8*', "*assert one < 2*", "AssertionError")


def test_names_of_a_check_stay_in_it(book):
    """A visible block cannot lean on what a hidden comment defines."""
    text = fence("x = 1") + "Text.\n<!-- check:\nhidden = x\nassert hidden\n-->\n" + fence("hidden")
    fails(book(text), "NameError: name 'hidden'")


CHECKER = fence(
    "def check_sum(answer):\n    return 'Right.' if answer == 3 else 'No: two was left out.'"
)


def test_wrong_answers_are_rejected(book):
    """A checker turns each wrong answer down by its message; names of the comment stay in it."""
    listed = "<!-- rejected:\nwrong = 1\ncheck_sum(wrong) — two was left out\n-->\n"
    passes(book(CHECKER + listed), 4)
    fails(book(CHECKER + listed + fence("wrong")), "NameError: name 'wrong'")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("check_sum(3) — two was left out", "a wrong answer is taken for right"),
        ("check_sum(1) — one was left out", "expected a message with 'one was left out'"),
        ("check_sum(1 — two was left out", "SyntaxError"),
        ("check_sum() — two was left out", "TypeError"),
    ],
)
def test_a_wrong_answer_that_is_not_rejected_is_red(book, line, message):
    """A wrong answer that passes, or gets another message, is red."""
    fails(book(CHECKER + f"<!-- rejected:\n{line}\n-->\n"), message)


def test_a_checker_that_returns_no_sentence_is_red(book):
    """A checker that returns True or False tells the reader nothing."""
    text = fence("def check_sum(answer):\n    return answer == 3")
    fails(book(text + "<!-- rejected: check_sum(1) — two -->\n"), "return a sentence, got False")


def test_log_comments_read_the_columns(book):
    """A claim of a log is computed from the recorded file, and a missing file is red."""
    (book.path / "log.csv").write_text("step,loss\n1,7.6\n2,\n3,1.589\n")
    text = "It reached 1.59.\n\n<!-- log: log.csv {} -->\n"
    passes(book(text.format("1.59 = np.nanmin(loss)")), 3)
    fails(book(text.format("1.59 = loss[0]")), "the page says 1.59, the code gives 7.6")
    fails(book(text.replace("log.csv", "gone.csv").format("1.59 = loss[0]")), "no recorded log")


def test_unbacked_numeral_is_red_in_the_run(book):
    """The guard is one of the tests of each page."""
    fails(book("It reached 1.59.\n"), "page.md:1: nothing backs '1.59'")


COMMAND = fence("{}", 'text title="python -m calendar 2026 2"')


def test_recorded_commands_are_compared_and_rewritten(book):
    """The output of a command in a title is that of a new process."""
    fails(book(COMMAND.format("old")), "-old", "*Mo Tu We Th Fr Sa Su*")
    book(None, "--update-output")
    passes(book(None), 3)
    assert "Mo Tu We Th Fr Sa Su" in book.page.read_text()


def test_failing_command_is_red(book):
    """A command that ends with an error is red, whatever it printed."""
    fails(book(fence("", 'text title="python -m calendar x"')), "ended with status")


def test_update_shows_the_difference_and_rewrites(book):
    """Wrong, missing and superfluous outputs are shown, then rewritten; then all is green."""
    text = (fence("print(1)") + output("one") + fence("print(2)\nprint('  3 ')")
            + fence("x = 1") + output("gone") + fence(">>> 1 + 1\n3", "pycon"))  # fmt: skip
    result = book(text, "--update-output")
    result.stdout.fnmatch_lines(["-one", "+1", "+2", "+  3", "-gone", "-3", "+2", "rewrote 4 *"])
    passes(book(None), 6)
    expected = (fence("print(1)") + output("1") + fence("print(2)\nprint('  3 ')")
                + output("2\n  3") + fence("x = 1") + fence(">>> 1 + 1\n2", "pycon"))  # fmt: skip
    assert book.page.read_text().split() == expected.split()


def test_update_changes_nothing_in_a_true_page(book):
    """A page that is true keeps every byte, and nothing is announced."""
    text = fence("print(1)") + output("1")
    result = book(text, "--update-output")
    result.stdout.no_fnmatch_line("*recorded outputs*")
    assert book.page.read_text() == text


@pytest.mark.parametrize("prefix", ["    ", "> "])
def test_update_keeps_indentation_and_line_ends(book, prefix):
    """In a note the new output is indented as its block; CRLF stays CRLF."""
    lines = (fence("print(1)") + output("0") + fence("print('a\\n\\nb')")).split("\n")
    text = "Note:\r\n\r\n" + "\r\n".join((prefix + line).rstrip() for line in lines)
    book(text, "--update-output")
    passes(book(None), 4)
    new = book.page.read_bytes()
    assert new.count(b"\n") == new.count(b"\r\n") == 20
    assert f"{prefix}a\r\n{prefix.rstrip()}\r\n{prefix}b\r\n".encode() in new


def test_update_chooses_a_longer_fence(book):
    """An output that contains a fence is wrapped in a longer one."""
    book(fence("print('````python\\n1\\n````')"), "--update-output")
    assert '`````text title="Output"\n````python\n1\n````\n`````' in book.page.read_text()
    passes(book(None), 3)


def test_update_rewrites_docstrings(book):
    """Several doctests of one module are rewritten, multi-line and blank lines included."""
    source = (
        'def f():\n    """Do.\n\n    >>> 1 + 1\n    3\n    >>> for word in ("a", "", "b"):\n'
        '    ...     print(word)\n    x\n    >>> 2\n    2\n    """\n'
    )
    module = book.path / "docs" / "module.py"
    module.write_text(source)
    book("Text.\n", "--update-output", "--doctest-modules")
    passes(book(None, "--doctest-modules"), 3)
    wanted = source.replace("\n    3\n", "\n    2\n").replace(
        "    x\n", "    a\n    <BLANKLINE>\n    b\n"
    )
    assert module.read_text() == wanted


def test_update_leaves_what_needs_a_human(book):
    """A doctest with an escape or an exception stays red and unchanged."""
    module = book.path / "docs" / "module.py"
    source = '"""Do.\n\n>>> print("a" + chr(92) + "n")\nb\n>>> 1 / 0\n"""\n'
    module.write_text(source)
    result = book("Text.\n", "--update-output", "--doctest-modules")
    result.assert_outcomes(passed=2, failed=1)
    assert module.read_text() == source


def test_update_leaves_other_tests_out(book):
    """Only what has recorded outputs runs when they are rewritten."""
    (book.path / "docs" / "test_x.py").write_text("def test_x():\n    assert 0\n")
    book("Text.\n", "--update-output").assert_outcomes(passed=2, deselected=1)


def test_a_run_again_starts_afresh(book):
    """The order in which blocks are asked for does not matter."""
    text = (
        fence("x = [0]")
        + fence("x.append(1)\nx")
        + output("[0, 1]")
        + fence("len(x)")
        + output("2")
    )
    book.page.write_text(text)
    names = [f"docs/page.md::line{line}" for line in (14, 5, 1)]
    result = book(None, *names)
    assert result.ret == 0


def test_pictures_are_not_printed():
    """The value of a last expression that draws itself is no text."""
    code = "class Figure:\n    _repr_svg_ = lambda self: '<svg/>'\nFigure()"
    assert run_block(code, {}) == ""


def test_carriage_returns_are_refused():
    """A progress line that overwrites itself cannot be shown on a page."""
    with pytest.raises(Exception, match="carriage return"):
        tidy("50 %\r100 %\n")


def test_annotations_are_evaluated():
    """A block is compiled as its own file, without the future imports of the plugin."""
    with pytest.raises(NameError, match="unknown"):
        run_block("def f(x: unknown): ...", {})


def test_checks_work_inside_quotes(book):
    """A check of several lines may stand in a callout, each line quoted."""
    quoted = "> [!NOTE]\n> It is 13.\n>\n> <!-- check:\n>\n> if x:\n>     13 = x\n> -->\n"
    passes(book(fence("x = 13") + quoted), 4)
    fails(book(fence("x = 14") + quoted), "the page says 13, the code gives 14")


def test_doctests_that_are_not_compared_still_run(book):
    """A pycon block with a reason runs; only its output is let be."""
    text = "<!-- not compared: a time -->\n" + fence(">>> x = 5\n>>> x\n6", "pycon")
    passes(book(text + fence("x") + output("5")), 4)
