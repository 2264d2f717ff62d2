"""Run every block of every page with pytest, compare what it prints, rewrite it on request.

Load it with `-p pagetools.snippets`. Each page is then a file of tests: its `structure`, its
`numerals`, and one test for each Python block, `check`, `log` or `rejected` comment and recorded
command. The blocks of a page share one namespace and run in page order; a test that is selected
alone runs the blocks before it first. `--update-output` shows how the recorded outputs of pages
and docstrings would change and rewrites them.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import doctest
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest
from _pytest import doctest as pytest_doctest

from pagetools import guard
from pagetools.pages import Block, Element, Page, read_page

COMMAND_SECONDS = 120
_DEFAULT_PRINT_OPTIONS = np.get_printoptions()


class PageError(Exception):
    """Something on a page is not as the page says."""


# --- running -------------------------------------------------------------------------------------


def run_block(code: str, namespace: dict[str, Any], filename: str = "<page>", line: int = 0) -> str:
    r"""Run code as a notebook does and return what it prints.

    Args:
        code: Python source; the value of a last expression is printed as its `repr`, unless it is
            None or a picture (an object with `_repr_svg_`).
        namespace: the names of the page, changed in place.
        filename: the file that tracebacks name.
        line: the number of lines above the code in that file.

    Returns:
        The printed text without blanks at the ends of lines.

    Raises:
        PageError: if the code writes to standard error or prints a carriage return.

    Examples:
        >>> run_block("x = 20\nprint('twice:')\n2 * x", {})
        'twice:\n40\n'
    """
    tree = ast.increment_lineno(ast.parse(code, filename), line)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        exec(_compile(tree, filename), namespace)
        if isinstance(last, ast.Expr):
            value = eval(_compile(ast.Expression(last.value), filename), namespace)
            if value is not None and not hasattr(value, "_repr_svg_"):
                print(repr(value))
    if err.getvalue():
        raise PageError(f"the block writes to standard error:\n{err.getvalue()}")
    return tidy(out.getvalue())


def _compile(tree: ast.Module | ast.Expression, filename: str) -> CodeType:
    """Compile without the `__future__` imports of this file."""
    mode = "exec" if isinstance(tree, ast.Module) else "eval"
    return compile(tree, filename, mode, dont_inherit=True)


def tidy(printed: str) -> str:
    """Remove what a page cannot show: blanks at the ends of lines."""
    if "\r" in printed:
        raise PageError("the output contains a carriage return, which a page cannot show")
    if printed and not printed.endswith("\n"):
        printed += "\n"
    return "\n".join(line.rstrip() for line in printed.split("\n"))


@dataclass
class Outcome:
    """What one step of a page did."""

    printed: str = ""
    error: BaseException | None = None
    failures: list[Any] = field(default_factory=list)  # of a doctest


class PageRun:
    """One run of a page: a namespace, a temporary directory and the outcomes so far.

    Every step runs once and in page order, whatever the order in which outcomes are asked for.
    """

    def __init__(self, page: Page, path: Path, flags: int = 0) -> None:
        self.page, self.path, self.flags = page, path, flags
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.outcomes: dict[int, Outcome] = {}
        self.broken = ""
        self._remaining = iter(page.steps)
        self._options = _DEFAULT_PRINT_OPTIONS
        self._directory = tempfile.TemporaryDirectory(prefix="page-")

    def close(self) -> None:
        """Remove the temporary directory."""
        self._directory.cleanup()

    def outcome(self, line: int) -> Outcome:
        """Return the outcome of the step at a line, running what has not run yet."""
        while line not in self.outcomes:
            step = next(self._remaining)
            self.outcomes[step.line] = self._run(step)
        return self.outcomes[line]

    def _run(self, step: Block | Element) -> Outcome:
        if self.broken:
            return Outcome(error=PageError(self.broken))
        try:
            with self.surroundings():
                return self._run_check(step) if isinstance(step, Element) else self._run_code(step)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a page may raise anything
            outcome = Outcome(error=error)
        if isinstance(step, Block):
            reason = f"{type(outcome.error).__name__}: {outcome.error}".split("\n")[0]
            self.broken = f"line {step.line} of this page failed before: {reason}"
        return outcome

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[None]:
        """Give every step of a page the same directory, print options and strictness."""
        with (
            contextlib.chdir(self._directory.name),
            np.printoptions(**self._options),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("error")
            try:
                yield
            finally:
                self._options = np.get_printoptions()

    def _run_code(self, block: Block) -> Outcome:
        if block.fence.language == "pycon":
            return self._run_doctest(block)
        name, line = str(self.path), block.line
        return Outcome(run_block(block.fence.text, self.namespace, name, line))

    def _run_doctest(self, block: Block) -> Outcome:
        parser, name = doctest.DocTestParser(), f"line {block.line}"
        test = parser.get_doctest(block.fence.text, {}, name, str(self.path), block.line)
        test.globs = self.namespace
        outcome = Outcome()
        checker = pytest_doctest._get_checker()
        runner = pytest_doctest._get_runner(checker, False, self.flags, continue_on_failure=True)
        found: Any = outcome.failures  # pytest's runner appends to what doctest calls a writer
        runner.run(test, out=found, clear_globs=False)
        for failure in outcome.failures:
            if isinstance(failure, doctest.UnexpectedException):
                raise failure.exc_info[1]
        return outcome

    def _run_check(self, comment: Element) -> Outcome:
        # A copy: what a hidden comment defines, no visible block may lean on.
        run_claims(comment, dict(self.namespace), str(self.path))
        return Outcome()


def run_claims(comment: Element, namespace: dict[str, Any], filename: str) -> None:
    """Run the Python of a comment; its claims, rejections and assertions raise."""
    source, _ = guard.python_of(comment)
    tree = ast.increment_lineno(ast.parse(source, filename), comment.line - 1)
    namespace |= {"__claim__": guard.hold, "__rejects__": guard.rejects}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(_compile(tree, filename), namespace)


def run_log(comment: Element, root: Path, filename: str) -> None:
    """Run the claims of a `log` comment over the columns of its file."""
    path = root / comment.text.split()[0]
    if not path.is_file():
        raise PageError(f"there is no recorded log {comment.text.split()[0]}")
    run_claims(comment, {**guard.read_log(path), "np": np}, filename)


def run_command(command: str) -> str:
    """Run `python -m module arguments` in an empty directory and return what it prints."""
    arguments = [sys.executable, "-W", "error", *shlex.split(command)[1:]]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "80"}
    with tempfile.TemporaryDirectory(prefix="page-") as directory:
        done = subprocess.run(
            arguments, cwd=directory, env=environment, capture_output=True, encoding="utf-8",
            timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip
    if done.returncode or done.stderr:
        raise PageError(f"`{command}` ended with status {done.returncode}:\n{done.stderr}")
    return tidy(done.stdout)


# --- rewriting -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """Lines `start` to `end` (counted from 0, `end` excluded) of a file become `lines`."""

    path: Path
    start: int
    end: int
    lines: tuple[str, ...]


def fence_lines(printed: str, info: str, prefix: str) -> tuple[str, ...]:
    """The lines of a fence around an output, its marker longer than any inside."""
    longest = max((len(ticks) for ticks in re.findall("`+", printed)), default=0)
    marker = "`" * max(3, longest + 1)
    lines = [f"{marker}{info}", *printed.removesuffix("\n").split("\n"), marker]
    return tuple((prefix + line).rstrip() for line in lines)


def output_edit(path: Path, block: Block, printed: str) -> Edit:
    """The edit that makes a page show what a block prints."""
    prefix = block.fence.prefix
    if block.shown and not printed:
        return Edit(path, block.fence.end, block.shown.end, ())
    if block.shown:
        return fence_edit(path, block.shown, printed)
    lines = fence_lines(printed, 'text title="Output"', prefix)
    return Edit(path, block.fence.end, block.fence.end, (prefix.rstrip(), *lines))


def fence_edit(path: Path, fence: Element, printed: str) -> Edit:
    """The edit that replaces the content of a fence."""
    lines = fence_lines(printed, fence.info, fence.prefix)
    return Edit(path, fence.line - 1, fence.end, lines)


def doctest_edit(failure: doctest.DocTestFailure) -> Edit | None:
    """The edit that makes a doctest expect what it got, None if that needs a human.

    The expected lines are looked up in the file first; where they are not found as they are (an
    escape in the docstring, a moved line) nothing is rewritten.
    """
    test, example, got = failure.test, failure.example, failure.got
    path = Path(test.filename or "")
    if test.lineno is None or not path.is_file():
        return None
    lines = _lines(path)
    start = test.lineno + example.lineno + example.source.count("\n")
    end = start + example.want.count("\n")
    prompt = re.match(r"(.*?)(?:>>>|\.\.\.) ?", lines[start - 1]) if start <= len(lines) else None
    shown = [line.strip(" \t>\r") for line in lines[start:end]]
    awkward = "\\" in got + example.want or '"""' in got or got.startswith("Traceback")
    if not prompt or awkward or shown != [w.strip(" \t>") for w in example.want.split("\n")[:-1]]:
        return None
    body = [line.rstrip() or "<BLANKLINE>" for line in got.split("\n")[:-1]]
    return Edit(path, start, end, tuple((prompt.group(1) + line).rstrip() for line in body))


def apply_edits(path: Path, edits: list[Edit]) -> tuple[str, str]:
    """Return the diff that the edits make in a file, and the new text."""
    old = _lines(path)
    new = list(old)
    for edit in sorted(set(edits), key=lambda one: one.start, reverse=True):
        ending = "\r" if old[max(edit.start - 1, 0)].endswith("\r") else ""
        new[edit.start : edit.end] = [line + ending for line in edit.lines]
    diff = difflib.unified_diff(
        [line.rstrip("\r") for line in old], [line.rstrip("\r") for line in new],
        str(path), f"{path} (as it is printed now)", lineterm="",
    )  # fmt: skip
    return "\n".join(diff), "\n".join(new)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file under a temporary name and put it in its place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.write_bytes(text.encode("utf-8"))
    shutil.copymode(path, temporary)
    temporary.replace(path)


def _lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8").split("\n")


# --- pytest --------------------------------------------------------------------------------------

_EDITS = pytest.StashKey[list[Edit]]()


class PageItem(pytest.Item):
    """One test of a page: a function that raises where the page is wrong."""

    def __init__(self, *, line: int, test: Callable[[], object], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.line, self.test = line, test

    def runtest(self) -> None:
        """Run the test."""
        self.test()

    def reportinfo(self) -> tuple[Path, int, str]:
        """Name the place: file, line counted from 0, title."""
        return self.path, self.line - 1, f"{_relative(self.path, self.config)}:{self.line}"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """Say what is wrong, with the page's own lines of the traceback."""
        where = f"{_relative(self.path, self.config)}:{self.line}"
        if isinstance(excinfo.value, PageError):
            return f"{where}: {excinfo.value}"
        frames = traceback.extract_tb(excinfo.value.__traceback__)
        while frames and frames[0].filename != str(self.path):
            frames.pop(0)
        lines = traceback.format_list(frames) + traceback.format_exception_only(excinfo.value)
        return f"{where}: this step fails\n" + "".join(lines)


class PageFile(pytest.File):
    """A page as a file of tests."""

    run: PageRun | None = None

    def collect(self) -> Iterator[PageItem]:
        """Yield the tests of the page in page order."""
        self.page = page = read_page(self.path, self.config.rootpath)
        yield self._item("structure", 1, partial(_raise_if, lambda: page.faults))
        yield self._item("numerals", 1, partial(_raise_if, lambda: guard.faults(page)))
        blocks = {block.line: block for block in page.blocks}
        for element in page.elements:
            line = element.line
            if line in blocks:
                yield self._item(f"line{line}", line, partial(self._compare, blocks[line]))
            elif element.kind == "comment" and element.info in {"check", "rejected"}:
                yield self._item(f"{element.info}{line}", line, partial(self._outcome, line))
            elif element.kind == "comment" and element.info == "log":
                yield self._item(f"log{line}", line, partial(self._check_log, element))
            elif element.is_command:
                item = self._item(f"command{line}", line, partial(self._command, element))
                item.add_marker("slow")
                yield item

    def teardown(self) -> None:
        """Forget the run, so that another begins afresh."""
        if self.run:
            self.run.close()
        self.run = None

    def _item(self, name: str, line: int, test: Callable[[], object]) -> PageItem:
        item: PageItem = PageItem.from_parent(self, name=name, line=line, test=test)
        return item

    def _outcome(self, line: int) -> Outcome:
        flags = pytest_doctest.get_optionflags(self.config)
        self.run = self.run or PageRun(self.page, self.path, flags)
        outcome = self.run.outcome(line)
        if outcome.error:
            raise outcome.error
        return outcome

    def _compare(self, block: Block) -> None:
        if block.not_run is not None:
            ast.parse(block.source, str(self.path))
            pytest.skip(f"not run: {block.not_run}")
        outcome = self._outcome(block.line)
        if block.not_compared is not None:
            if not outcome.printed and block.fence.language != "pycon":
                raise PageError("`not compared` stands above a block that prints nothing")
            return
        if block.fence.language == "pycon":
            self._compare_doctest(outcome.failures)
            return
        shown = block.shown.text if block.shown else None
        self._hold(shown, outcome.printed, output_edit(self.path, block, outcome.printed))

    def _compare_doctest(self, failures: list[Any]) -> None:
        edits = [doctest_edit(failure) for failure in failures]
        if self.config.option.update_output and all(edits):
            self.config.stash[_EDITS].extend(edit for edit in edits if edit)
        elif failures:
            checker, flags = pytest_doctest._get_checker(), doctest.REPORT_UDIFF
            texts = (checker.output_difference(f.example, f.got, flags) for f in failures)
            raise PageError("the doctest differs\n" + "\n".join(texts))

    def _check_log(self, comment: Element) -> None:
        run_log(comment, self.config.rootpath, str(self.path))

    def _command(self, fence: Element) -> None:
        index = self.page.elements.index(fence)
        above = self.page.elements[index - 1] if index else fence
        printed = run_command(fence.title)
        if above.kind != "comment" or above.info != "not compared":
            self._hold(fence.text, printed, fence_edit(self.path, fence, printed))

    def _hold(self, shown: str | None, printed: str, edit: Edit) -> None:
        """Compare what a page shows with what was printed, or note the edit."""
        if shown == (printed or None):
            return
        if self.config.option.update_output:
            self.config.stash[_EDITS].append(edit)
            return
        if not printed:
            raise PageError("the page shows an output, and the block prints nothing")
        if not shown:
            raise PageError(f"the block prints, and the page shows nothing:\n{printed}")
        diff = difflib.unified_diff(
            shown.split("\n"), printed.split("\n"), "shown on the page", "printed", lineterm=""
        )
        raise PageError("the output differs\n" + "\n".join(diff))


def _raise_if(find: Callable[[], Sequence[str]]) -> None:
    if faults := find():
        raise PageError(f"{len(faults)} fault(s)\n" + "\n".join(faults))


def _relative(path: Path, config: pytest.Config) -> str:
    root = config.rootpath
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    text = "show how the outputs in pages and docstrings would change, and rewrite them"
    parser.addoption("--update-output", action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare for rewriting."""
    config.stash[_EDITS] = []
    config.addinivalue_line("markers", "slow: takes more than two seconds")
    if config.option.update_output:
        config.option.doctest_continue_on_failure = True
        if getattr(config.option, "numprocesses", None):
            raise pytest.UsageError("--update-output runs in one process: leave out -n")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> PageFile | None:
    """Collect the README and the pages of `docs/`."""
    root = parent.config.rootpath
    if file_path == root / "README.md" or (
        file_path.suffix == ".md" and file_path.is_relative_to(root / "docs")
    ):
        page: PageFile = PageFile.from_parent(parent, path=file_path)
        return page
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only what has recorded outputs, when they are to be rewritten."""
    if config.option.update_output:
        kinds = (PageItem, pytest_doctest.DoctestItem)
        others = [item for item in items if not isinstance(item, kinds)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if isinstance(item, kinds)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the edits of docstrings that print something else now."""
    report = yield
    if item.config.option.update_output and call.excinfo:
        failures = getattr(call.excinfo.value, "failures", [])
        edits = [doctest_edit(f) for f in failures if isinstance(f, doctest.DocTestFailure)]
        item.config.stash[_EDITS].extend(edit for edit in edits if edit)
        if failures and len(edits) == len(failures) and all(edits):
            report.outcome, report.longrepr = "passed", None
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the differences, then rewrite."""
    edits = config.stash[_EDITS]
    if not edits:
        return
    terminalreporter.section("recorded outputs")
    changed = {}
    for path in sorted({edit.path for edit in edits}):
        diff, changed[path] = apply_edits(path, [edit for edit in edits if edit.path == path])
        terminalreporter.write_line(diff)
    for path, text in changed.items():
        write_atomically(path, text)
        count = len({edit for edit in edits if edit.path == path})
        terminalreporter.write_line(f"rewrote {count} output(s) in {_relative(path, config)}")
