"""The table of derivatives: it has every backward of the package, and its tests exist."""

import ast
import re

import literategpt
from pagetools.pages import ROOT

TEXT = (ROOT / "docs" / "Derivatives.md").read_text(encoding="utf-8")


def functions_of(path):
    """The names of the functions and methods that a file defines."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_backward_of_the_package_has_a_row():
    """Each public function and each public layer that runs backward is linked from the table."""
    linked = set(re.findall(r"\(reference/\w+\.md#literategpt\.\w+\.(\w+)\)", TEXT))
    public = [(name, getattr(literategpt, name)) for name in literategpt.__all__]
    functions = {name for name, _ in public if name.endswith("_backward")}
    layers = {name for name, thing in public if "backward" in getattr(thing, "__dict__", {})}
    assert {"softmax_backward", "Linear", "GPTModel", "LoRALinear"} <= functions | layers
    assert (functions | layers) - linked == {"Module"}  # the base of all layers, without a formula


def test_the_tests_that_the_page_names_exist():
    """Every test in the last table is one of the suite."""
    named = re.findall(r"`(tests/\w+\.py)::(\w+)`", TEXT)
    assert len(named) == 15
    assert [name for path, name in named if name not in functions_of(path)] == []
