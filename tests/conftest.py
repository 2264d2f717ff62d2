"""Plant a classic bug for a whole run: `python -m pytest --plant NAME tests/`, and see it red."""

import contextlib

import bugs
import pytest

from literategpt.corpus import corpus_directory


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--plant", metavar="BUG", help="run the tests with a bug of tests/bugs.py")


def pytest_configure(config: pytest.Config) -> None:
    """Plant the bug for the whole run."""
    name = config.getoption("--plant")
    if name is None:
        return
    if name not in bugs.CATALOGUE:
        raise pytest.UsageError(f"expected one of {', '.join(bugs.CATALOGUE)}, got {name}")
    # Plant before the test modules are imported, so that they import the bug too.
    stack = contextlib.ExitStack()
    stack.enter_context(bugs.planted(name))
    config.add_cleanup(stack.close)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say at the top what is planted."""
    name = config.getoption("--plant")
    return name and f"planted: {name}: {bugs.CATALOGUE[name].description}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs the plays where they have not been prepared: no test uses the network."""
    if item.get_closest_marker("corpus") and not (corpus_directory() / "train.txt").is_file():
        pytest.skip("no corpus in data/corpus: run `python -m literategpt.corpus`")
