"""The nine demos: what they print is recorded, the same everywhere, and computed rather than typed.

That each prints what `docs/Demos.md` records is a test of that page; here is what the page cannot
show.
"""

import ast
import importlib
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from literategpt.demos import narration
from pagetools.pages import read_page

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "literategpt" / "demos"
DEMOS = (
    "activations", "layers", "tokenizer", "attention", "transformer",
    "optimizer", "model", "lora", "utils",
)  # fmt: skip
COMMANDS = [f"python -m literategpt.{name}" for name in DEMOS]


def recorded():
    """What `docs/Demos.md` records, by command."""
    page = read_page(ROOT / "docs" / "Demos.md", ROOT)
    return {element.title: element.text for element in page.elements if element.is_command}


# --- which demos there are -----------------------------------------------------------------------


def test_each_file_is_a_demo():
    """The folder holds the nine demos, what they share, the pocket model, and nothing else."""
    found = {path.stem for path in FOLDER.glob("*.py")}
    assert found == {*DEMOS, "narration", "pocket", "__init__"}


def test_page_records_each_demo_once_in_learning_order():
    """The page has the nine commands, in the order in which Home tells the reader to run them."""
    assert list(recorded()) == COMMANDS
    home = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^python -m literategpt\.\w+$", home, re.MULTILINE) == COMMANDS


def named_parts(path):
    """Each part of a demo that a page names, with the demos named in that line."""
    for line in path.read_text(encoding="utf-8").split("\n"):
        demos = re.findall(r"`(python -m literategpt\.\w+)", line)
        if demos:
            yield from ((part, demos) for part in re.findall("“([^”]+)”", line))


def test_parts_that_the_learning_path_names_are_headings():
    """Where the learning path names a part of a demo, the demo has that heading."""
    headings = {
        command: re.findall(r"^(.+)\n-+$", printed, re.MULTILINE)
        for command, printed in recorded().items()
    }
    parts = list(named_parts(ROOT / "docs" / "LearningPath.md"))
    assert parts
    for part, demos in parts:
        assert any(part in headings.get(demo, []) for demo in demos), f"{part!r} in {demos}"


# --- what they print -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", DEMOS)
def test_output_is_the_same_in_other_surroundings(name, tmp_path):
    """Another hash seed, one thread for matrix products and a terminal of ASCII change nothing."""
    surroundings = {
        "PYTHONHASHSEED": "12345",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONIOENCODING": "ascii",
        "COLUMNS": "40",
    }
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"literategpt.{name}"],
        cwd=tmp_path, env=os.environ | surroundings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == recorded()[f"python -m literategpt.{name}"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_output_reads_well(command):
    """Lines fit a narrow window, a title and headings divide it, and nothing odd is printed."""
    lines = recorded()[command].split("\n")
    assert max(len(line) for line in lines) <= 88
    assert set(lines[1]) == {"="}
    assert sum(re.fullmatch("-+", line) is not None for line in lines) >= 4
    text = "\n".join(lines)
    assert text.isascii()
    assert "\x1b" not in text
    for odd in (r"\bnan\b", r"-0(\.0+)?\b(?!\.)", r"array\(", r"np\.", r"\d{7}", r"\.\d{7}"):
        assert not re.search(odd, text), odd


# --- numbers are computed ------------------------------------------------------------------------

NAMES = re.compile(r"`[^`]*`|\bGPT-2\b|\bUTF-8\b|\bfloat(?:32|64)\b")
NUMBERS = re.compile(
    r"[0-9]|\b(?:three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million"
    r"|tenth|hundredth|thousandth)s?\b",
    re.IGNORECASE,
)


def printed_texts(tree):
    """The strings of a demo, each with its line; docstrings and format specifications are none."""
    left_out = set()
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.FunctionDef)
        if documented and ast.get_docstring(node) is not None:
            left_out.add(node.body[0].value)
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            left_out.update(ast.walk(node.format_spec))
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and node not in left_out:
            yield node.lineno, node.value


def typed_numbers(source):
    """Find numbers that a demo states without computing them, and numbers it formats itself."""
    tree = ast.parse(source)
    found = [
        f"line {line}: {match.group()!r} in {text.strip()[:60]!r}"
        for line, text in printed_texts(tree)
        for match in [NUMBERS.search(NAMES.sub("", text))]
        if match
    ]
    own = (
        f"line {node.lineno}: formats a number itself"
        for node in ast.walk(tree)
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None
    )
    return [*found, *own]


@pytest.mark.parametrize("name", DEMOS)
def test_no_number_is_typed(name):
    """No sentence of a demo holds a number, in digits or in words above two: all are computed.

    Code and formulas in backticks, and names such as GPT-2, are not statements of a number.
    """
    assert typed_numbers((FOLDER / f"{name}.py").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        'say("The sum is 8.")',
        'say(f"After {number(steps)} steps the loss is 0.12.")',
        'show("Seven tokens", count)',
        'print(f"{loss:.3f}")',
        'TABLE = {"the 2nd row": 1}',
    ],
)
def test_typed_number_is_found(source):
    """A number in a sentence, in a label, in words, and one that is formatted elsewhere."""
    assert len(typed_numbers(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        '"""Take 3 tokens."""',
        'say(f"After {number(steps)} steps.")',
        'say("GPT-2 scales by `1 / sqrt(2)`.")',
        'x = np.zeros(3, "float32")',
    ],
)
def test_computed_number_is_left_alone(source):
    """Docstrings, computed numbers, formulas, names and code are no faults."""
    assert typed_numbers(source) == []


# --- numbers are the same on every machine -------------------------------------------------------


def fragile(values, texts):
    """Find numbers that another machine's last bits could print differently."""
    for value, text in zip(np.ravel(values).tolist(), texts, strict=True):
        value = float(value)
        if not math.isfinite(value):
            continue
        unit = 10.0 ** -len(text.partition(".")[2])
        above = value / unit - math.floor(value / unit)
        if abs(above - 0.5) * unit < min(1e-6, 0.01 * unit):
            yield f"{value!r}, written {text}, is nearly halfway between two roundings"
        if 1e-17 < abs(value) < 1e-13 and "." in "".join(texts):
            yield f"{value!r} may be zero elsewhere"


@pytest.mark.parametrize("name", DEMOS)
def test_no_number_is_on_the_edge(name, monkeypatch, capsys):
    """No printed number is so near to a rounding border that the last bits of a machine decide.

    The demo also takes less than ten seconds of processor time.
    """
    plain, faults, count = narration.rounded, [], 0

    def watched(values, digits=3):
        nonlocal count
        texts = plain(values, digits)
        count += len(texts)
        faults.extend(fragile(values, texts))
        return texts

    demo = importlib.import_module(f"literategpt.demos.{name}")
    monkeypatch.setattr(narration, "rounded", watched)
    start = time.process_time()
    demo.main()
    assert time.process_time() - start < 10
    assert faults == []
    assert count > 20
    assert capsys.readouterr().out == recorded()[f"python -m literategpt.{name}"]


def test_edge_is_found():
    """A number halfway between two roundings is found, also one that is off by rounding errors."""
    for value in (0.3125, 0.3125 + 1e-12, 2.0005 - 1e-12):
        assert list(fragile([value], narration.rounded([value], 3))) != []
    assert list(fragile([0.3125], narration.rounded([0.3125], 4))) == []
    assert list(fragile([0.25, 1e-16], narration.rounded([0.25, 1e-16], 3))) != []


# --- how they speak ------------------------------------------------------------------------------


def test_table_aligns_text_left_and_numbers_right(capsys):
    """Columns keep their widths, numbers of a column their decimals."""
    narration.table({"name": ["a", "longer"], "value": [1.5, 10.25], "count": [1, 16384]})
    assert capsys.readouterr().out.split("\n") == [
        "    name     value    count",
        "    a         1.50        1",
        "    longer   10.25   16,384",
        "",
    ]


def test_table_refuses_columns_of_unequal_length():
    """A column that is too short is an error and not a shorter table."""
    with pytest.raises(ValueError, match="shorter"):
        narration.table({"a": [1, 2], "b": [1]})


def test_show_lays_out_scalars_vectors_and_matrices(capsys):
    """A matrix takes one line a row, the label stands before the first."""
    narration.show("x", [[1.0, -2.0], [0.5, 0.0]])
    narration.show("n", 1049344)
    first, second, third, _ = capsys.readouterr().out.split("\n")
    assert first.split("x")[1].strip() == "( 1.0, -2.0)"
    assert second.strip() == "( 0.5,    0)"
    assert third.split() == ["n", "1,049,344"]
