"""The project around the code: layout, imports, commands, versions, the wheel.

Every rule is a function from source text or a directory to a list of faults; a rule holds where
the list is empty. Each is also given something that breaks it, to prove that it can fail.
"""

import ast
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "literategpt"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text("utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}
GUIDES = ("README.md", "CONTRIBUTING.md")
LEARNING_ORDER = ("activations", "layers", "attention", "transformer", "model", "lora")
DEMOS = (
    "activations", "layers", "tokenizer", "attention", "transformer", "optimizer", "model", "lora",
    "utils",
)  # fmt: skip
SCRIPTS = {"train_pretrain", "train_finetune_full", "train_finetune_lora", "run_demo"}
LONGEST_BODY = 30


# --- imports -------------------------------------------------------------------------------------


def _is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def _is_type_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _nodes(tree: ast.AST, *, guarded: bool) -> Iterator[ast.AST]:
    """Walk a tree; what stands under `if __name__ == "__main__"` only where asked for."""
    for node in ast.iter_child_nodes(tree):
        if not guarded and (_is_main_guard(node) or _is_type_guard(node)):
            continue
        yield node
        yield from _nodes(node, guarded=guarded)


def imports(source: str, *, guarded: bool = True) -> set[str]:
    """Name what a source imports; `from a.b import c` gives `a.b`, from a package itself `a.c`."""
    names: set[str] = set()
    for node in _nodes(ast.parse(source), guarded=guarded):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            names.add("." * node.level + (node.module or ""))
        elif isinstance(node, ast.ImportFrom):
            inside = node.module in {"literategpt", "literategpt.demos"}
            names |= {f"{node.module}.{a.name}" for a in node.names} if inside else {node.module}
    return names


def foreign_imports(source: str) -> list[str]:
    """Imports of anything but NumPy, the standard library and the package by its full name."""
    allowed = sys.stdlib_module_names | {"numpy", "literategpt"}
    return sorted(name for name in imports(source) if name.split(".")[0] not in allowed)


def downward_imports(modules: dict[str, str]) -> list[str]:
    """Imports of a script, a demo or a later step of the learning path, and cycles."""
    graph = {name: imports(source, guarded=False) for name, source in modules.items()}
    inside = {name: {i for i in found if i in modules} for name, found in graph.items()}
    faults = [f"{name} imports {i}" for name, found in inside.items() for i in _wrong(name, found)]
    try:
        TopologicalSorter(inside).prepare()
    except CycleError as error:
        faults.append(f"a cycle: {' < '.join(error.args[1])}")
    return sorted(faults)


def _wrong(name: str, found: Iterable[str]) -> Iterator[str]:
    step = name.removeprefix("literategpt.")
    for other in sorted(found):
        target = other.removeprefix("literategpt.")
        demo = target.startswith("demos") and not step.startswith("demos")
        if demo or target in SCRIPTS or target in _later(step):
            yield other


def _later(step: str) -> tuple[str, ...]:
    """The steps of the learning path from this one on; none for a module outside it."""
    return LEARNING_ORDER[LEARNING_ORDER.index(step) :] if step in LEARNING_ORDER else ()


def wrong_guards(name: str, source: str) -> list[str]:
    """Imports under `if __name__ == "__main__"` of anything but the module's own demo."""
    guards = [node for node in ast.parse(source).body if _is_main_guard(node)]
    found = {i for guard in guards for i in imports(ast.unparse(guard))}
    return sorted(found - {f"literategpt.demos.{name.removeprefix('literategpt.')}"})


@pytest.mark.parametrize("name", MODULES)
def test_package_needs_numpy_alone(name):
    """A module of the package imports NumPy and the standard library, nothing else."""
    assert foreign_imports(MODULES[name]) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import torch", "torch"),
        ("def f():\n    from pagetools import pages", "pagetools"),
        ("from . import layers", "."),
        ("if __name__ == '__main__':\n    import tests.bugs", "tests.bugs"),
    ],
)
def test_foreign_import_is_found(source, fault):
    """Another library, a docs tool and a relative import are found, also inside a function."""
    assert foreign_imports(f"import math\nimport numpy as np\n{source}\n") == [fault]


def test_imports_run_one_way():
    """Each step of the learning path imports earlier steps; nobody imports a script or a demo."""
    assert {f"literategpt.{step}" for step in LEARNING_ORDER} <= set(MODULES)
    assert downward_imports(MODULES) == []


@pytest.mark.parametrize(
    ("name", "source", "fault"),
    [
        ("layers", "from literategpt.model import GPTModel", "literategpt.layers imports"),
        ("layers", "def f():\n    from literategpt import attention", "literategpt.layers imports"),
        ("utils", "import literategpt.run_demo", "literategpt.utils imports"),
        ("utils", "from literategpt.demos import layers", "literategpt.utils imports"),
        ("types", "from literategpt.utils import save_checkpoint", "a cycle"),
    ],
)
def test_import_against_the_order_is_found(name, source, fault):
    """A later step, a script, a demo and a cycle are found, also inside a function."""
    others = ("run_demo", "utils", "types", "attention", "model", "demos.layers")
    modules = {f"literategpt.{other}": "" for other in others}
    modules["literategpt.utils"] = "from literategpt.types import Array"
    assert downward_imports(modules) == []
    modules[f"literategpt.{name}"] = source
    assert any(found.startswith(fault) for found in downward_imports(modules))


def names_before_their_definition(source: str) -> list[str]:
    """Uses, anywhere in a definition, of a name that the module defines further down."""
    places: dict[str, int] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            places[node.name] = node.lineno
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Name):
                places.setdefault(target.id, node.lineno)
    used = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name))
    return [f"{n.id}, line {n.lineno}" for n in used if n.lineno < places.get(n.id, 0)]


@pytest.mark.parametrize("name", MODULES)
def test_leaf_before_whole(name):
    """Read from the top, a module uses no name of its own before its definition."""
    assert names_before_their_definition(MODULES[name]) == []


def test_use_before_definition_is_found():
    """A function that calls one further down is found; the other way round is right."""
    leaf, whole = "def leaf():\n    pass\n", "def whole():\n    leaf()\n"
    assert names_before_their_definition(leaf + whole) == []
    assert names_before_their_definition(whole + leaf) == ["leaf, line 2"]


@pytest.mark.parametrize("name", MODULES)
def test_last_line_imports_the_own_demo(name):
    """What a module imports only when it is run is its own demo."""
    assert wrong_guards(name, MODULES[name]) == []


def test_wrong_guard_is_found():
    """A module that runs another module's demo is found."""
    source = "if __name__ == '__main__':\n    from literategpt.demos.model import main\n"
    assert wrong_guards("literategpt.model", source) == []
    assert wrong_guards("literategpt.lora", source) == ["literategpt.demos.model"]


# --- what importing does -------------------------------------------------------------------------


def python(*arguments: str, cwd: Path, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python elsewhere, with the package on its path."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_import_is_silent_and_light(tmp_path):
    """Importing the package prints nothing, loads neither NumPy nor a module of its own."""
    code = (
        "import sys; before = set(sys.modules); import literategpt;"
        "new = sorted(set(sys.modules) - before);"
        "own = [n for n in new if n.startswith('literategpt.')];"
        "assert 'numpy' not in new and not own and len(new) < 40, new"
    )
    run = python("-W", "error", "-c", code, cwd=tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_every_public_name_can_be_imported(tmp_path):
    """Each name that the package lists is found in its module, which lists it too."""
    code = (
        "import sys, importlib, literategpt as package\n"
        "for module, names in package._MODULES.items():\n"
        "    home = importlib.import_module(f'literategpt.{module}')\n"
        "    for name in names:\n"
        "        assert getattr(package, name) is getattr(home, name), name\n"
        "        assert name in home.__all__, f'{name} is not in the __all__ of {module}'\n"
    )
    run = python("-W", "error", "-c", code, cwd=tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_there_are_nine_demos():
    """The nine modules with a demo are those of the learning path's quick start."""
    found = {path.stem for path in (PACKAGE / "demos").glob("*.py")} & set(DEMOS)
    assert found == set(DEMOS)
    assert {n for n in DEMOS if f"demos.{n} import" in MODULES[f"literategpt.{n}"]} == set(DEMOS)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in DEMOS if f"literategpt.demos.{n}" in MODULES])
def test_demo_runs_without_a_warning(name, tmp_path):
    """`python -m` runs a module with every warning an error, from any directory."""
    run = python("-W", "error", "-m", f"literategpt.{name}", cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.strip()


def test_module_imported_twice_is_found(tmp_path):
    """A package that imports the module which is then run makes Python warn, and fails here."""
    (tmp_path / "eager").mkdir()
    (tmp_path / "eager" / "__init__.py").write_text("import eager.module\n", "utf-8")
    (tmp_path / "eager" / "module.py").write_text("print(1)\n", "utf-8")
    run = python("-W", "error", "-m", "eager.module", cwd=tmp_path, path=tmp_path)
    assert run.returncode != 0
    assert "found in sys.modules" in run.stderr


# --- functions and docstrings --------------------------------------------------------------------

Function = ast.FunctionDef | ast.AsyncFunctionDef


def long_functions(source: str, limit: int = LONGEST_BODY) -> list[str]:
    """Functions whose body has more lines than the limit, the docstring not counted."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, Function)]
    lengths = {node.name: _body_length(node) for node in functions}
    return sorted(f"{name}: {length} lines" for name, length in lengths.items() if length > limit)


def _body_length(function: Function) -> int:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    last = body[-1].end_lineno if body else None
    return last - body[0].lineno + 1 if last else 0


def names_without_example(source: str) -> list[str]:
    """Public functions, and classes with methods, in whose docstrings no example runs."""
    tree = ast.parse(source)
    public = _public_names(tree)
    faults = [] if public is not None else ["__all__ is missing"]
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name not in (public or ()):
            continue
        members = [n for n in getattr(node, "body", []) if isinstance(n, Function)]
        shown = any(">>>" in (ast.get_docstring(n) or "") for n in (node, *members))
        record = isinstance(node, ast.ClassDef) and not members
        if not ast.get_docstring(node) or not (shown or record):
            faults.append(node.name)
    return faults


def _public_names(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def _has_public_names(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 2 and parts[1] not in SCRIPTS | {"__init__", "types"}


@pytest.mark.parametrize("name", MODULES)
def test_functions_are_short(name):
    """Every function is short enough for a page to show it whole."""
    assert long_functions(MODULES[name]) == []


def test_long_function_is_found():
    """A body of one line too many is found, however short or long its docstring."""
    body = "    x = 1\n" * LONGEST_BODY
    docstring = '    """Say.\n\n    More.\n    """\n'
    assert long_functions(f"def f():\n{docstring}{body}") == []
    assert long_functions(f"class A:\n  def f():\n{docstring}{body}    y = 2\n") == ["f: 31 lines"]


@pytest.mark.parametrize("name", [name for name in MODULES if _has_public_names(name)])
def test_public_names_have_an_example(name):
    """Every public name has a docstring, and an example in it that runs."""
    assert names_without_example(MODULES[name]) == []


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ("def f():\n    '''Do.\n\n    >>> f()\n    '''", ["__all__ is missing"]),
        ("__all__ = ['f']\ndef f():\n    '''Do.'''", ["f"]),
        ("__all__ = ['f']\ndef f():\n    return 1", ["f"]),
        ("__all__ = ['A']\nclass A(B):\n    def g():\n        '''Do.'''", ["A"]),
        ("__all__ = ['A']\nclass A(B):\n    '''Be.'''\n    def g():\n        '''>>> 1'''", []),
        ("__all__ = ['A']\nclass A(NamedTuple):\n    x: int", ["A"]),
        ("__all__ = ['A']\nclass A(NamedTuple):\n    '''Be.'''\n    x: int", []),
    ],
)
def test_missing_example_is_found(source, faults):
    """A public name without docstring or example is found; a mere record needs no example."""
    assert names_without_example(source) == faults


# --- files ---------------------------------------------------------------------------------------

UNWELCOME = re.compile(
    rb"(?<![\w./~}-])/(?:root|work|home|tmp|Users)/\w[^\s\"']*|[A-Z]:\\Users\\\w+"
    rb"|(?:pypi|pypa)\.org|pythonhosted\.org|npmjs\.(?:com|org)|deb\.debian\.org|file:///\w+"
)


def repository_files(root: Path) -> list[Path]:
    """List the files that Git tracks; where it cannot say, all that `.gitignore` does not name."""
    if (root / ".git").exists() and shutil.which("git"):
        command = ["git", "-C", str(root), "ls-files", "-z"]
        run = subprocess.run(command, capture_output=True, check=False)
        if run.returncode == 0 and run.stdout:
            paths = [root / name for name in run.stdout.decode("utf-8").split("\0") if name]
            return sorted(path for path in paths if path.is_file())
    return _unignored_files(root)


def _unignored_files(root: Path) -> list[Path]:
    lines = (root / ".gitignore").read_text("utf-8").split()
    patterns = [".git", *(line.strip("/") for line in lines)]

    def ignored(path: Path) -> bool:
        places = (path.name, path.relative_to(root).as_posix())
        return any(fnmatch.fnmatch(place, p) for place in places for p in patterns)

    found: list[Path] = []
    for directory, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not ignored(Path(directory, f)))
        found += [p for f in sorted(files) if not ignored(p := Path(directory, f))]
    return found


def unwelcome_words(root: Path) -> list[str]:
    """Paths of somebody's machine and hosts of package registries, with the file they stand in."""
    return [
        f"{path.relative_to(root).as_posix()}: {found.decode('utf-8', 'replace')}"
        for path in repository_files(root)
        for found in UNWELCOME.findall(path.read_bytes())
    ]


def map_of(markdown: str) -> set[str]:
    """The paths in the first column of the table under "Map of the repository"."""
    section = markdown.partition("## Map of the repository\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {path.strip("/") for row in rows for path in re.findall(r"`([^`]+)`", row)}


def top_level(root: Path) -> set[str]:
    """What lies at the top of a checkout, hidden files and the README itself left out."""
    tops = {path.relative_to(root).parts[0] for path in repository_files(root)}
    return {top for top in tops if not top.startswith(".")} - {"README.md"}


@pytest.fixture
def checkout(tmp_path):
    """A small checkout with one ignored directory."""
    (tmp_path / ".gitignore").write_text("build/\n*.tmp\ndata/corpus/\n", "utf-8")
    for name in ("build/a.txt", "data/corpus/a.txt", "a.tmp", "data/kept.txt", "docs/page.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("see " + "/" + "root/somewhere", "utf-8")
    return tmp_path


def test_files_name_no_machine_and_no_registry():
    """No file names a path of somebody's machine or the host of a package registry."""
    assert unwelcome_words(ROOT) == []


def test_unwelcome_words_are_found(checkout):
    """Machine paths and registry hosts are found in the files that are not ignored."""
    planted = "see " + "/" + "root/somewhere"
    assert [fault.partition(":")[0] for fault in unwelcome_words(checkout)] == [
        "data/kept.txt",
        "docs/page.md",
    ]
    for word in ("/" + "tmp/x", "https://pypi" + ".org/simple", "C:" + "\\Users\\me"):
        (checkout / "docs" / "page.md").write_text(word, "utf-8")
        assert any(fault.startswith("docs/page.md") for fault in unwelcome_words(checkout)), word
    (checkout / "docs" / "page.md").write_text("a/tmp/b and site-packages/" + "work/x", "utf-8")
    (checkout / "data" / "kept.txt").write_text(planted.replace("root", "data"), "utf-8")
    assert unwelcome_words(checkout) == []


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_readers_own_files_are_left_alone(checkout):
    """In a clone, a text that lies about untracked is none of the repository's files."""
    subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)
    subprocess.run(["git", "add", "docs"], cwd=checkout, check=True)
    (checkout / "my.txt").write_text("my own", "utf-8")
    assert top_level(checkout) == {"docs"}
    assert [fault.partition(":")[0] for fault in unwelcome_words(checkout)] == ["docs/page.md"]


def test_map_of_the_readme_is_the_layout():
    """The README's map names exactly what lies at the top of the repository."""
    assert map_of((ROOT / "README.md").read_text("utf-8")) == top_level(ROOT)


def test_map_is_read_to_the_last_row(checkout):
    """A file that the map lacks, and one that only the map has, make a difference."""
    table = "## Map of the repository\n\n| Path | Contents |\n|---|---|\n| `data/` | x |\n"
    assert map_of(table + "| `docs/`, `more.md` | y |\n\n## Next\n\n| `not/` | z |\n") == {
        "data",
        "docs",
        "more.md",
    }
    assert top_level(checkout) == {"data", "docs"}


# --- commands ------------------------------------------------------------------------------------

_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def named_targets(markdown: str) -> set[str]:
    """The targets of the `make` commands in code spans and fences."""
    code = "\n".join(_CODE.findall(markdown))
    return set(re.findall(r"\bmake +(?:[A-Z]+=\S+ +)*([a-z][a-z-]*)", code))


def declared_targets(makefile: str) -> set[str]:
    """The targets that the Makefile declares as commands."""
    return set(re.search(r"^\.PHONY: (help .*)$", makefile, re.MULTILINE).group(1).split())


def described_targets(makefile: str) -> set[str]:
    """The targets that `make help` lists, as it finds them."""
    return set(re.findall(r"^([a-z][a-z-]*):.*## .+$", makefile, re.MULTILINE))


@pytest.mark.parametrize("guide", GUIDES)
def test_guides_name_existing_targets(guide):
    """Every `make` command of the guides exists."""
    named = named_targets((ROOT / guide).read_text("utf-8"))
    assert {"serve", "test"} <= named
    assert named <= declared_targets((ROOT / "Makefile").read_text("utf-8"))


def test_targets_are_found_in_code_only():
    """Targets are read from spans and fences, behind variables too, and not from prose."""
    text = "make sense `make a`, `make PYTHON=python3.13 b-c`\n```bash\nmake V=1 W=2 d\n```\n"
    assert named_targets(text) == {"a", "b-c", "d"}


def test_help_lists_every_target():
    """Every target of the Makefile is described, so that `make help` lists it."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert described_targets(makefile) == declared_targets(makefile)
    assert described_targets("a:  ## do a\nb: c\n\td\n") == {"a"}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_help_runs():
    """`make help` prints one line a target, and `make` alone does the same."""
    targets = declared_targets((ROOT / "Makefile").read_text("utf-8"))
    for command in (["make", "help"], ["make"]):
        lines = subprocess.check_output(command, cwd=ROOT, encoding="utf-8").splitlines()
        assert {line.split()[0] for line in lines if not line.startswith("make")} == targets


# --- versions and the wheel ----------------------------------------------------------------------


def versions(root: Path) -> dict[str, str]:
    """The version as each of the files that state it has it."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    patterns = {
        "CITATION.cff": r"^version: (.+)$",
        "CHANGELOG.md": r"^## \[(.+?)\]",
        "literategpt/__init__.py": r"^__version__ = \"(.+)\"$",
    }
    stated = {
        name: re.findall(pattern, (root / name).read_text("utf-8"), re.MULTILINE)
        for name, pattern in patterns.items()
    }
    return {"pyproject.toml": project["version"]} | {k: v[0] for k, v in stated.items() if v}


def test_version_is_one():
    """The version is the same wherever it is stated."""
    found = versions(ROOT)
    assert len(found) == 4
    assert len(set(found.values())) == 1, found


def test_differing_versions_are_found(tmp_path):
    """A changelog that was forgotten differs from the others."""
    (tmp_path / "literategpt").mkdir()
    for name in ("pyproject.toml", "CITATION.cff", "literategpt/__init__.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [0.0.9] - Unreleased\n", "utf-8")
    assert versions(tmp_path)["CHANGELOG.md"] == "0.0.9"
    assert len(set(versions(tmp_path).values())) == 2


def test_package_needs_numpy_in_its_metadata():
    """NumPy is the only thing that installing the package brings along."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert [re.match(r"[\w-]+", name).group() for name in project["dependencies"]] == ["numpy"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built without a network, and unpacked."""
    built = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        archive.extractall(built / "unpacked")
    return built / "unpacked"


def test_wheel_holds_the_package_alone(wheel):
    """The wheel has every module, the mark of its types and the data, and nothing beside them."""
    files = {p.relative_to(wheel).as_posix() for p in wheel.rglob("*") if p.is_file()}
    package = {name for name in files if name.startswith("literategpt/")}
    modules = {f"{name.replace('.', '/')}.py" for name in MODULES}
    shipped = ("shakespeare.npz", "fables.txt", "fables-adapter.npz", "words.txt")
    data = {f"literategpt/data/{name}" for name in shipped}
    assert package == modules | data | {"literategpt/py.typed"}
    assert {name.split("/")[0] for name in files - package} == {
        next(wheel.glob("*.dist-info")).name
    }


def test_wheel_writes_without_the_checkout(wheel, tmp_path):
    """The installed package alone loads its model, from its own data."""
    code = (
        "import literategpt; print(literategpt.__file__);"
        "from literategpt import load_pretrained; model, tokenizer = load_pretrained();"
        "print(len(tokenizer))"
    )
    run = python("-W", "error", "-c", code, cwd=tmp_path, path=wheel)
    assert (run.returncode, run.stderr) == (0, "")
    place, size = run.stdout.splitlines()
    assert Path(place).is_relative_to(wheel)
    assert int(size) > 0
