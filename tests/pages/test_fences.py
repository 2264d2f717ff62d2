"""Every fence of every page is known: counted twice, run alone, and its commands exist."""

import importlib.util
import io
import re
import tomllib
from pathlib import Path

import markdown
import pytest
from pytest_codeblocks import extract_from_buffer

from pagetools.pages import (
    PYTHON,
    ROOT,
    SHELL,
    needed_blocks,
    page_paths,
    parse_page,
    read_page,
    standalone_source,
)
from pagetools.snippets import PageRun, run_block

PATHS = page_paths()
NAMES = [path.relative_to(ROOT).as_posix() for path in PATHS]
every_page = pytest.mark.parametrize("path", PATHS, ids=NAMES)
EXTENSIONS = [
    "admonition", "attr_list", "def_list", "footnotes", "md_in_html", "tables",
    "pymdownx.arithmatex", "pymdownx.details", "pymdownx.quotes", "pymdownx.superfences",
    "pymdownx.tabbed",
]  # fmt: skip


# --- two independent readers of fences -----------------------------------------------------------


def render(text):
    """Return the HTML of a page, as the site's Markdown sees it, and its fences in order."""
    fences = []

    def collect(source, language, css_class, options, md, **_):
        fences.append((language, source))
        return "<hr>"

    everything = {"name": "*", "class": "", "format": collect, "validator": lambda *_: True}
    config = {
        "pymdownx.superfences": {"custom_fences": [everything]},
        "pymdownx.quotes": {"callouts": True},
        "pymdownx.tabbed": {"alternate_style": True},
    }
    html = markdown.markdown(text, extensions=EXTENSIONS, extension_configs=config)
    return html, fences


def without_embeds(text):
    """Blank the embeds and the front matter, which other tools read."""
    lines = text.replace("\r", "").split("\n")
    for element in parse_page(text).elements:
        if element.kind in {"embed", "front matter"}:
            count = element.end - element.line + 1
            lines[element.line - 1 : element.end] = [""] * count
    return "\n".join(lines)


def fence_faults(text):
    """Return how our reading of a page differs from the site's and from pytest-codeblocks'."""
    html, fences = render(without_embeds(text))
    ours = [block.fence.text.rstrip() for block in parse_page(text).blocks]
    site = [source.rstrip() for language, source in fences if language.lower() in PYTHON]
    bare = re.sub(r"^[ \t]*>[ \t>]*", "", text.replace("\r", ""), flags=re.MULTILINE)
    counted = {
        block.lineno
        for block in extract_from_buffer(io.StringIO(bare))
        if re.match(r"[{\s.]*(python3?|py|pycon)\b", block.syntax or "", re.IGNORECASE)
    }
    lines = {block.line for block in parse_page(text).blocks}
    visible = re.sub(r"<!--.*?-->", "", html, flags=re.DOTALL)
    found = [f"fence at line {line} is read by one reader only" for line in sorted(lines ^ counted)]
    if ours != site:
        found.append(f"{len(ours)} Python fences are run, the site shows {len(site)}")
    if re.search(r"<pre\b|<code[^>]*>[^<]*\n", visible):
        found.append("code stands outside a fence")
    if "<!--" in visible or "&lt;!--" in visible or "--&gt;" in visible:
        found.append("a comment is visible on the site")
    return found


@every_page
def test_no_fence_is_overlooked(path):
    """Number, lines and text of the Python fences agree between three readers."""
    assert fence_faults(path.read_text(encoding="utf-8")) == []


GOOD = """\
Text.

```python title="a.py" hl_lines="1"
x = 1
```

<!-- check:
1 = x

assert x > 0
-->

!!! note "A note"

    - an item

        ```pycon
        >>> x
        1
        ```

> [!NOTE]
> Quoted.
>
> ```py
> y = 2
> ```

````markdown
```python
no_block
```
````
"""


def test_three_readers_agree_on_a_good_page():
    """Titles, notes, lists, callouts and fences inside fences are read alike."""
    assert fence_faults(GOOD) == []
    assert [block.line for block in parse_page(GOOD).blocks] == [3, 17, 25]


def test_code_that_hangs_left_of_its_fence_is_kept():
    """Only blanks and quotation marks are cut from the lines of a fence, never code."""
    assert (
        parse_page("    ```python\n  x = 1\ny = 2\n    ```\n").blocks[0].source == "x = 1\ny = 2\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- hidden\n\n```python\nx = 1\n```\n-->\n", "read by one reader only"),
        ("~~~python\nx = 1\n~~~\n", "read by one reader only"),
        ("Text.\n\n    x = 1\n", "code stands outside a fence"),
        ("<pre><code>x = 1</code></pre>\n", "code stands outside a fence"),
        ("Text `<!-- a` and <!-- b -->.\n\n    <!-- c -->\n", "a comment is visible on the site"),
    ],
)
def test_overlooked_code_is_red(text, message):
    """A fence that one reader misses, and code outside fences, are faults."""
    assert message in "\n".join(fence_faults(text))


# --- exceptions ----------------------------------------------------------------------------------


def exceptions(page):
    """Count the blocks of a page that are not run or not compared."""
    keys = [element.info for element in page.elements if element.kind == "comment"]
    return {"not_run": keys.count("not run"), "not_compared": keys.count("not compared")}


def test_exceptions_are_those_on_the_list():
    """A block that is not run or not compared is counted in exceptions.toml."""
    listed = tomllib.loads(Path(__file__).with_name("exceptions.toml").read_text(encoding="utf-8"))
    found = {name: exceptions(read_page(path)) for name, path in zip(NAMES, PATHS, strict=True)}
    assert {name: count for name, count in found.items() if any(count.values())} == listed


def test_exceptions_are_counted():
    """Each comment counts once under its kind."""
    block = "```python\nx\n```\n"
    page = parse_page(f"<!-- not run: a -->\n{block}\n<!-- not compared: b -->\n{block}")
    assert exceptions(page) == {"not_run": 1, "not_compared": 1}


# --- commands ------------------------------------------------------------------------------------


def unknown_commands(page, targets):
    """Return the modules and make targets that a page names and the project lacks."""
    shell = [e.text for e in page.elements if e.kind == "fence" and e.language in SHELL]
    titles = [element.title for element in page.elements if element.is_command]
    prose = [element.text for element in page.elements if element.kind == "prose"]
    spans = [span for text in prose for span in re.findall(r"`([^`\n]+)`", text)]
    text = "\n".join([*shell, *titles, *spans])
    modules = set(re.findall(r"python[\d.]*(?:\.exe)? -m (literategpt[\w.]*)", text))
    made = set(re.findall(r"^\W*make ([a-z][\w-]*)", text, re.MULTILINE))
    return sorted({m for m in modules if not _exists(m)} | (made - targets))


def _exists(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def make_targets():
    """Return the targets of the project's Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][\w-]*):", text, re.MULTILINE))


@every_page
def test_commands_exist(path):
    """Every `python -m literategpt.X` and `make X` that a page names exists."""
    assert unknown_commands(read_page(path), make_targets()) == []


def test_unknown_commands_are_red():
    """A module or a target that is not there is named."""
    page = parse_page(
        "Run `make tset` or `make test`, but make sure.\n\n"
        "```console\n$ python -m literategpt.nowhere\n"
        "$ python3 -m literategpt\n$ make serve\n```\n"
        '```text title="python -m literategpt.nothing.at_all"\n```\n'
    )
    unknown = ["literategpt.nothing.at_all", "literategpt.nowhere", "tset"]
    assert unknown_commands(page, {"test", "serve"}) == unknown
    assert {"test", "serve", "update-output"} <= make_targets()


# --- copy with what it needs ---------------------------------------------------------------------


def page_of(*codes):
    """Return a page of Python blocks."""
    return parse_page("\n".join(f"```python\n{code}\n```\n" for code in codes))


@pytest.mark.parametrize(
    ("codes", "needed"),
    [
        (["x = 1", "y = 2", "print(x)"], [0]),
        (["import math", "math.sqrt(2)", "x = math.pi", "print(math.e)"], [0]),
        (["x = 1", "x = 2", "print(x)"], [1]),
        (["x = 1", "x += 1", "y = x", "print(y)"], [0, 1, 2]),
        (["x = 1", "if x:\n    x = 2", "print(x)"], [0, 1]),
        (["x = []", "x.append(1)", "print(len(x))", "print(x)"], [0, 1]),
        (["x = {}", "x['a'] = 1", "x['a']"], [0, 1]),
        (["x = []", "y = x", "y.append(1)", "print(x)"], [0, 1, 2]),
        (["m = Model()", "o = Adam(m.weights())", "o.step(1)", "print(m(2))"], [0, 1, 2]),
        (["k = 1", "def f():\n    return k", "k = 2", "f()"], [0, 1, 2]),
        (["def f():\n    return k", "k = 2", "z = 3", "f()"], [0, 1]),
        (["def f(a):\n    return a", "a = 1", "f(2)"], [0]),
        (["import numpy as np\nx = np.zeros(2)", "np.exp(x)", "np.copyto(x, 1)", "x"], [0, 2]),
        (["from a import soft", "x = 1", "soft(x)", "soft(2)"], [0]),
        (["r = make()", "r.normal()", "r.normal()"], [0, 1]),
        (["print(1)", "[x for x in range(3)]", "x = 1", "print(x)"], [2]),
        (["x = 1", "x = 2\nprint(x)"], []),
        (["x = {}", "def f():\n    x = {}\n    x |= {1: 2}\n    return x", "f()"], [1]),
        (["x = 1", "for x in range(3):\n    print(x)"], []),
        (["x = 1", "for i in range(2):\n    print(x)\n    x = i"], [0]),
        (["x = 1", "if True:\n    x = 2\nprint(x)"], [0]),
        (["x = 1", "y = {x: 2 for x in range(3)}\nfor x in y:\n    print(x)"], []),
        (["x = 1", "y = [x for x in [x]]\nx = 3\nprint(x)"], [0]),
        (["x = 1", "def f(x):\n    return x\nx = f(3)\nprint(x)"], []),
        (["x = 1", "with open('f') as x:\n    y = x\nprint(x, y)"], []),
        (["k = 1\ndef f():\n    return k", "k = 2", "f()"], [0, 1]),
        (["k = 1", "k = 2\ndef f():\n    return k\nf()"], []),
    ],
)
def test_needed_blocks(codes, needed):
    """The last block needs the definitions it reads and the changes made to them in place."""
    assert needed_blocks(page_of(*codes), len(codes) - 1) == needed


def test_needed_blocks_leave_out_what_is_not_run():
    """A block that is not run cannot be needed."""
    page = parse_page("```python\nx = 1\n```\n<!-- not run: a -->\n```python\nx = 2\n```\n"
                      "```pycon\n>>> x\n1\n```\n")  # fmt: skip
    needed, own = standalone_source(page, 2).split("\n# --- ")
    assert needed == "x = 1\n"
    assert own.endswith("may print too. ---\nx\n")


def standalone_faults(page, path):
    """Run every block of a page alone with what it needs; return what differs from the page."""
    found = []
    for index, block in enumerate(page.blocks):
        if block.not_run is not None:
            continue
        run = PageRun(page, path)
        try:
            with run.surroundings():
                printed = run_block(standalone_source(page, index), {"__name__": "__main__"})
        except Exception as error:  # noqa: BLE001 - a page may raise anything
            found.append(f"line {block.line} does not run alone: {error!r}")
            continue
        finally:
            run.close()
        shown = block.shown.text if block.shown and block.not_compared is None else ""
        if not printed.endswith(shown):
            found.append(f"line {block.line} alone prints {printed!r}, the page shows {shown!r}")
    return found


@pytest.mark.slow
@every_page
def test_every_block_runs_alone(path):
    """A block with the blocks it needs runs in a fresh namespace and prints what the page shows."""
    assert standalone_faults(read_page(path), path) == []


def test_a_block_that_leans_on_unseen_state_is_red(tmp_path):
    """What the analysis cannot see, or gets wrong, turns the test red."""
    page = page_of("x = 1", "globals()['x']", "print(2)")
    found = standalone_faults(page, tmp_path / "page.md")
    assert found == ["line 5 does not run alone: KeyError('x')"]
    wrong = parse_page('```python\nprint(1)\n```\n\n```text title="Output"\n2\n```\n')
    assert "alone prints '1\\n'" in standalone_faults(wrong, tmp_path / "page.md")[0]
