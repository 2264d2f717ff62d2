"""The tests are tested: each classic bug is planted, and the test named for it must turn red."""

import contextlib
import importlib
import inspect
import itertools
import re
import subprocess
import sys
from pathlib import Path

import bugs
import numpy as np
import pytest
from bugs import CATALOGUE, planted

import literategpt.activations
import literategpt.attention
from literategpt.layers import LayerNorm
from literategpt.optimizer import AdamW

ROOT = Path(__file__).parents[1]
PAIRS = [(name, test) for name, bug in CATALOGUE.items() for test in bug.caught_by]


def find(test):
    """Find the function of a test, given as file.py::function or file.py::Class::function."""
    file, *owner, function = test.split("::")
    found = importlib.import_module(file.removesuffix(".py"))
    for name in owner:
        found = getattr(found, name)()
    return getattr(found, function)


def cases(function):
    """List the arguments of all cases of a test, as its parametrize marks have them."""
    axes = []
    for mark in getattr(function, "pytestmark", []):
        if mark.name != "parametrize":
            continue
        names, rows = mark.args[:2]
        names = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names)
        axes.append([dict(zip(names, r if len(names) > 1 else [r], strict=True)) for r in rows])
    return [dict(itertools.chain(*(part.items() for part in c))) for c in itertools.product(*axes)]


def is_red(function):
    """Tell whether a test fails in at least one of its cases, by what it asserts."""
    for arguments in cases(function):
        try:
            function(**arguments)
        except (AssertionError, pytest.fail.Exception):
            return True
    return False


@pytest.mark.parametrize(("name", "test"), PAIRS, ids=lambda value: value.split("::")[-1])
def test_a_planted_bug_turns_its_test_red(name, test):
    """The named test fails under the bug, by an assertion and not by an accident."""
    with planted(name):
        assert is_red(find(test)), f"{test} does not see {name}: {CATALOGUE[name].description}"


@pytest.mark.parametrize("test", sorted({test for _, test in PAIRS}))
def test_a_named_test_can_be_run_by_itself(test):
    """A test of the museum has cases, asks for no fixture, and says what it shows."""
    function = find(test)
    assert function.__doc__
    assert cases(function)
    parameters = set(inspect.signature(function).parameters)
    assert all(set(arguments) == parameters for arguments in cases(function))


def test_the_museum_is_complete():
    """Each bug has a sentence, something to replace, and at least one test."""
    assert len(CATALOGUE) > 50
    for name, bug in CATALOGUE.items():
        assert bug.description.endswith("."), name
        assert len(bug.description.split()) > 5, name
        assert bug.patches, name
        assert bug.caught_by, name


def test_planting_reaches_every_module_and_is_undone():
    """A function is replaced wherever it was imported by name, and everything is put back."""
    original = literategpt.activations.softmax
    with planted("softmax_without_maximum"):
        (replacement,) = CATALOGUE["softmax_without_maximum"].patches.values()
        assert literategpt.activations.softmax is replacement
        assert literategpt.attention.softmax is replacement
        assert find("test_activations.py::softmax") is replacement
        assert bugs.softmax is original
    assert literategpt.activations.softmax is literategpt.attention.softmax is original


def test_planting_is_undone_in_modules_imported_meanwhile(monkeypatch):
    """A test module that is first imported under a bug does not keep it."""
    monkeypatch.delitem(sys.modules, "test_activations", raising=False)
    with planted("softmax_without_maximum"):
        assert find("test_activations.py::softmax") is not bugs.softmax
    assert find("test_activations.py::softmax") is bugs.softmax


def test_planting_is_undone_after_a_failure():
    """A test that fails under a bug does not leave the bug behind."""
    method, seen = LayerNorm.backward, []
    with contextlib.suppress(AssertionError), planted("layer_norm_backward_divides_only"):
        seen.append(LayerNorm.backward)
        raise AssertionError
    assert seen != [method]
    assert LayerNorm.backward is method


def test_the_plain_update_without_a_change_is_right():
    """The AdamW that carries the planted changes is right without them, so it is they that fail."""
    method = AdamW._update
    AdamW._update = bugs.adamw_update()
    try:
        assert not is_red(find("test_optimizer.py::test_steps_against_a_plain_loop"))
        assert not is_red(find("test_optimizer.py::test_first_step_by_hand"))
    finally:
        AdamW._update = method


def test_the_plain_norm_without_a_change_is_right():
    """The LayerNorm that carries the planted changes equals the package's without them."""
    norm, x = LayerNorm(4, dtype="float64"), np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(bugs.normalize(norm, x)[0], norm(x), rtol=1e-13)


@pytest.mark.slow
def test_learning_by_heart_misses_most_bugs():
    """A model that memorises a passage and writes it out proves little: most bugs let it.

    Among them are lost gradients of attention, repeats lost by the embedding, and no positions.
    """
    by_heart, missed = find("test_generation.py::test_a_memorised_passage_is_reproduced"), set()
    for name in CATALOGUE:
        with planted(name), np.errstate(all="ignore"), contextlib.suppress(ValueError):
            if not is_red(by_heart):
                missed.add(name)
    assert missed > {
        "attention_gradient_through_value_only", "embedding_gradient_loses_repeats",
        "positions_are_forgotten", "tied_head_loses_a_contribution",
    }  # fmt: skip
    assert len(CATALOGUE) // 2 < len(missed) < len(CATALOGUE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attention_gradient_without_query", "nonsense"])
def test_planting_from_the_command_line(name):
    """With --plant a run turns red and says what is planted; an unknown name is refused."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--plant", name,
               "tests/test_attention.py::test_layer_gradients"]  # fmt: skip
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if name in CATALOGUE:
        assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
        assert "wrong gradient: largest error" in run.stdout
        assert "1 failed" in run.stdout
    else:
        assert run.returncode == pytest.ExitCode.USAGE_ERROR
        assert "attention_gradient_without_query" in run.stderr
        assert "got nonsense" in run.stderr


def test_the_bug_that_contributing_names_exists():
    """The command in CONTRIBUTING can be copied."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"--plant ([a-z]\w+)", text)
    assert named
    assert set(named) <= set(CATALOGUE)
