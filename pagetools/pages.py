"""Read a page: its paragraphs, headings, fences and comments, and which block needs which.

A page is Markdown. What the tests of the pages have to know about it is little: where the fences
are, which of them hold Python, which hold the output of the block above, and which HTML comments
speak to the tests (`not run`, `not compared`, `check`, `log`, `cited`, `rejected`). `parse_page`
reads just that, line by line; whatever it cannot place is a fault of the page, never silently
skipped.
"""

from __future__ import annotations

import ast
import builtins
import doctest
import re
import symtable
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PYTHON = frozenset({"python", "py", "python3", "pycon"})
SHELL = frozenset({"bash", "sh", "shell", "console", "powershell", "bat"})
DATA = frozenset(
    {"text", "json", "yaml", "toml", "ini", "csv", "diff", "html", "css", "svg"}
    | {"javascript", "markdown", "latex", "makefile", "bibtex"}
)
COMMENT_KEYS = ("not run", "not compared", "check", "log", "cited", "rejected")
GOES_ON = "goes on"  # a comment of these words joins two paragraphs

_QUOTE = r"[ \t>]*"
_FENCE = re.compile(rf"^(?P<prefix>{_QUOTE})(?P<marker>`{{3,}}|~{{3,}})(?P<info>[^`]*)$")
_HEADING = re.compile(rf"^{_QUOTE}(?P<marker>#{{1,6}})\s")
_ITEM_FENCE = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?:`{3,}|~{3,})", re.MULTILINE)
_EMBED = re.compile(r"^(?P<prefix>\s*):::\s")
_TITLE = re.compile(r"""title=(["'])(?P<title>.*?)\1""")
_COMMAND = re.compile(r"^python -m [\w.]+( [^|&;<>]+)?$")
_LIST_ITEM = re.compile(rf"^{_QUOTE}(?:[-*+]|\d+[.)])\s")


@dataclass(frozen=True)
class Element:
    """One piece of a page: `fence`, `comment`, `heading`, `embed`, `front matter` or `prose`."""

    kind: str
    line: int  # the first line, counted from 1
    end: int  # the last line
    text: str  # the code of a fence, the text of a comment, the lines of prose
    info: str = ""  # the info string of a fence, the key of a comment
    prefix: str = ""  # what stands before the fence: indentation, quotation marks
    marker: str = ""  # what opens a fence or a heading

    @property
    def language(self) -> str:
        """The language of a fence in lower case, "" where none is named."""
        found = re.match(r"\{?\s*\.?([\w+-]*)", self.info)
        return found.group(1).lower() if found else ""

    @property
    def title(self) -> str:
        """The title of a fence, "" where it has none."""
        found = _TITLE.search(self.info)
        return found.group("title") if found else ""

    @property
    def is_python(self) -> bool:
        """Whether this is a fence that the tests run."""
        return self.kind == "fence" and self.language in PYTHON

    @property
    def is_output(self) -> bool:
        """Whether this fence shows the output of the block above it."""
        return self.kind == "fence" and self.language == "text" and self.title == "Output"

    @property
    def is_command(self) -> bool:
        """Whether this fence shows what the command in its title prints."""
        named = self.kind == "fence" and self.language == "text"
        return named and bool(_COMMAND.match(self.title))

    @property
    def is_plain_text(self) -> bool:
        """Whether this is text that nothing prints, so that its numbers count as prose."""
        plain = self.kind == "fence" and self.language in {"", "text", "console"}
        return plain and not self.is_output and not self.is_command


@dataclass(frozen=True)
class Block:
    """A Python fence with the output it shows and the reasons above it."""

    fence: Element
    shown: Element | None = None
    not_run: str | None = None
    not_compared: str | None = None

    @property
    def line(self) -> int:
        """The line of the opening fence."""
        return self.fence.line

    @property
    def source(self) -> str:
        """The code without prompts and without the output of a doctest."""
        if self.fence.language != "pycon":
            return self.fence.text
        return "".join(one.source for one in doctest.DocTestParser().get_examples(self.fence.text))


@dataclass(frozen=True)
class Page:
    """A parsed page; `faults` says what could not be placed."""

    name: str
    elements: tuple[Element, ...]
    faults: tuple[str, ...] = ()

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every Python fence of the page, in page order."""
        indices = [i for i, element in enumerate(self.elements) if element.is_python]
        return tuple(_block(self.elements, index) for index in indices)

    @cached_property
    def steps(self) -> tuple[Block | Element, ...]:
        """What runs in the namespace of the page, in page order: blocks and comments that claim."""
        blocks = {block.line: block for block in self.blocks if block.not_run is None}
        steps = (blocks.get(e.line, e) for e in self.elements if e.line in blocks or _claims(e))
        return tuple(steps)


def page_paths(root: Path = ROOT) -> list[Path]:
    """The pages under test: the README and every Markdown file of `docs/`."""
    return [p for p in [root / "README.md", *sorted((root / "docs").rglob("*.md"))] if p.is_file()]


def read_page(path: Path, root: Path = ROOT) -> Page:
    """Parse a page from its file; its name is the path from the root."""
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return parse_page(path.read_bytes().decode("utf-8"), name)


def parse_page(text: str, name: str = "page.md") -> Page:
    r"""Parse the Markdown of a page.

    Args:
        text: the page; its lines end in a line feed, with or without a carriage return.
        name: the name that messages give.

    Returns:
        The page, its faults included.

    Examples:
        >>> page = parse_page("Add:\n\n```python\n1 + 1\n```\n")
        >>> [(element.kind, element.line, element.end) for element in page.elements]
        [('prose', 1, 1), ('fence', 3, 5)]
        >>> page.blocks[0].source
        '1 + 1\n'
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    elements = tuple(_elements(lines))
    faults = [*_element_faults(elements), *_binding_faults(elements)]
    return Page(name, elements, tuple(f"{name}:{line}: {what}" for line, what in sorted(faults)))


def is_list_item(text: str) -> bool:
    """Whether prose belongs to a list or to the indented body of a note."""
    return bool(_LIST_ITEM.match(text)) or text.startswith("    ")


def _elements(lines: list[str]) -> Iterator[Element]:
    start = 0
    while start < len(lines):
        if not _strip(lines[start]):
            start += 1
            continue
        element = _element(lines, start)
        yield element
        start = element.end


def _element(lines: list[str], start: int) -> Element:
    line = lines[start]
    if found := _FENCE.match(line):
        return _fence(lines, start, found)
    if _strip(line).startswith("<!--"):
        return _comment(lines, start)
    if start == 0 and line == "---":
        end = next((i for i in range(1, len(lines)) if lines[i] == "---"), len(lines) - 1)
        return Element("front matter", 1, end + 1, "\n".join(lines[: end + 1]))
    if found := _HEADING.match(line):
        text, marker = _strip(line).lstrip("# "), found.group("marker")
        return Element("heading", start + 1, start + 1, text, marker=marker)
    if found := _EMBED.match(line):
        deeper = found.group("prefix") + " "
        end = _while(lines, start + 1, lambda other: not other.strip() or other.startswith(deeper))
        return Element("embed", start + 1, end, "\n".join(lines[start:end]))
    end = _while(lines, start + 1, _continues_prose)
    return Element("prose", start + 1, end, "\n".join(lines[start:end]))


def _fence(lines: list[str], start: int, found: re.Match[str]) -> Element:
    marker, prefix = found.group("marker"), found.group("prefix")
    closing = re.compile(rf"^{_QUOTE}{re.escape(marker[0])}{{{len(marker)},}}\s*$")
    end = _while(lines, start + 1, lambda line: not closing.match(line))
    code = "".join(_cut(line, prefix) + "\n" for line in lines[start + 1 : end])
    info = found.group("info").strip()
    kind, last = ("fence", end + 1) if end < len(lines) else ("unclosed fence", end)
    return Element(kind, start + 1, last, code, info, prefix, marker)


def _comment(lines: list[str], start: int) -> Element:
    end = _while(lines, start, lambda line: "-->" not in line)
    last = min(end, len(lines) - 1)
    whole = "\n".join([lines[start].lstrip(" \t>"), *lines[start + 1 : last + 1]])
    inner, _, rest = whole.removeprefix("<!--").partition("-->")
    if end == len(lines) or _strip(rest):
        return Element("broken comment", start + 1, last + 1, whole)
    if inner.strip() == GOES_ON:
        return Element("comment", start + 1, last + 1, inner, GOES_ON)
    keys = "|".join(COMMENT_KEYS)
    keyed = re.match(rf"\s*({keys}):(.*)$", inner, re.DOTALL)
    key, text = keyed.groups() if keyed else ("", inner)
    return Element("comment", start + 1, last + 1, text, key)


def _while(lines: list[str], start: int, holds: Callable[[str], object]) -> int:
    """Return the first index from `start` at which the condition fails."""
    return next((i for i in range(start, len(lines)) if not holds(lines[i])), len(lines))


def _continues_prose(line: str) -> bool:
    opens = _FENCE.match(line) or _HEADING.match(line) or _EMBED.match(line)
    return bool(_strip(line)) and not opens and not _strip(line).startswith("<!--")


def _strip(line: str) -> str:
    return line.strip(" \t>")


def _cut(line: str, prefix: str) -> str:
    """Remove from a line of code what stands before its fence."""
    if line.startswith(prefix):
        return line[len(prefix) :]
    return line.lstrip(prefix)


def _block(elements: tuple[Element, ...], index: int) -> Block:
    reasons: dict[str, str] = {}
    before = index - 1
    while before >= 0 and elements[before].kind == "comment":
        reasons.setdefault(elements[before].info, elements[before].text.strip())
        before -= 1
    after = [e for e in elements[index + 1 : index + 3] if e.info != "not compared"][:1]
    shown = after[0] if after and after[0].is_output else None
    if shown and elements[index + 1].info == "not compared":
        reasons["not compared"] = elements[index + 1].text.strip()
    return Block(elements[index], shown, reasons.get("not run"), reasons.get("not compared"))


def _claims(element: Element) -> bool:
    return element.kind == "comment" and element.info in {"check", "rejected"}


def _element_faults(elements: tuple[Element, ...]) -> Iterator[tuple[int, str]]:
    for element in elements:
        if element.kind == "unclosed fence":
            yield element.line, "this fence is never closed"
        elif element.kind == "broken comment":
            yield element.line, "a comment ends in --> and stands on lines of its own"
        elif element.kind == "comment":
            yield from _comment_faults(element)
        elif element.kind == "fence":
            yield from _fence_faults(element)
        elif element.kind == "prose" and "<!--" in re.sub(r"`[^`]*`", "", element.text):
            yield element.line, "a comment stands on a line of its own, not inside a paragraph"
        elif element.kind == "prose" and _ITEM_FENCE.search(element.text):
            yield element.line, "a fence opens on a line of its own, indented under its item"


def _comment_faults(comment: Element) -> Iterator[tuple[int, str]]:
    known = ", ".join(COMMENT_KEYS)
    if comment.info and not comment.text.strip():
        yield comment.line, f"the comment `{comment.info}:` says nothing after the colon"
    spoken = re.match(r"\s*([\w.-][\w. -]{0,30}):", comment.text)
    asks = "```" in comment.text or re.match(r"\s*(pytest|assert\b|check\b)", comment.text)
    if not comment.info and (spoken or asks) and "markdownlint" not in comment.text:
        yield comment.line, f"this comment is none of those the tests read: {known}"


def _fence_faults(fence: Element) -> Iterator[tuple[int, str]]:
    language = fence.language
    if fence.marker.startswith("~"):
        yield fence.line, "a fence is opened by backticks"
    if language not in PYTHON | SHELL | DATA | {""}:
        yield fence.line, f"no rule for a fence in {language!r}, expected Python, shell or data"
    if fence.title.lower() == "output" and not fence.is_output:
        yield fence.line, f'recorded output is written ```text title="Output", got {fence.info!r}'
    if fence.title.startswith("python") and language == "text" and not fence.is_command:
        yield fence.line, f"cannot run {fence.title!r}, expected `python -m module arguments`"


def _binding_faults(elements: tuple[Element, ...]) -> Iterator[tuple[int, str]]:
    blocks = [_block(elements, i) for i, element in enumerate(elements) if element.is_python]
    live = [block for block in blocks if block.not_run is None or block.not_compared is not None]
    shown = {block.shown.line for block in live if block.shown}
    for index, element in enumerate(elements):
        if element.is_output and element.line not in shown:
            yield element.line, "this output stands under no block that runs"
        if element.kind == "comment" and element.info in {"not run", "not compared"}:
            following = next((e for e in elements[index:] if e.kind != "comment"), element)
            printed = following.is_output or following.is_command
            if not following.is_python and not (printed and element.info == "not compared"):
                yield element.line, f"`{element.info}` stands above no block"


# --- which block needs which -------------------------------------------------------------------

_PURE = frozenset(
    {"print", "repr", "len", "range", "zip", "enumerate", "sorted", "reversed", "map", "filter"}
    | {"sum", "min", "max", "round", "abs", "all", "any", "isinstance", "type"}
    | {"float", "int", "str", "bool", "bytes", "list", "tuple", "dict", "set"}
)


@dataclass(frozen=True)
class _Names:
    """What one block does with the names of its page."""

    imports: frozenset[str]
    reads: frozenset[str]
    late_reads: frozenset[str]  # inside functions: looked up when they are called
    foreign: frozenset[str]  # read before the block itself assigns them
    defines: frozenset[str]
    surely: frozenset[str]  # defined whatever happens
    touches: frozenset[str]  # perhaps changed in place
    aliases: tuple[frozenset[str], ...]  # names that may share what they hold


def needed_blocks(page: Page, index: int) -> list[int]:
    r"""The blocks that must run before a block, found by reading the code.

    A block needs the last definition of each name it reads, and every block in between that may
    have changed that name in place: through an assignment to an attribute or an item, a method
    call, or a call that was given the name. When in doubt a block is needed.

    Args:
        page: a parsed page.
        index: the position of the block in `page.blocks`.

    Returns:
        The positions of the needed blocks in page order, without `index` itself.

    Examples:
        >>> fences = ["x = [1]", "y = 2", "x.append(3)", "print(x)"]
        >>> page = parse_page("".join(f"```python\n{code}\n```\n" for code in fences))
        >>> needed_blocks(page, 3)
        [0, 2]
    """
    usable = [i for i in range(index) if page.blocks[i].not_run is None]
    names = {i: _names(page.blocks[i].source) for i in [*usable, index]}
    imports = frozenset().union(*(one.imports for one in names.values()))
    groups = _alias_groups([group - imports for i in usable for group in names[i].aliases])
    needed: set[int] = set()
    queue = [index]
    while queue:
        user = queue.pop()
        found = _providers(user, index, usable, names, groups) - needed - {index}
        needed |= found
        queue.extend(found)
    return sorted(needed)


def standalone_source(page: Page, index: int) -> str:
    r"""The text of a block after the blocks it needs, so that it runs alone.

    Examples:
        >>> page = parse_page("```python\nx = 1\n```\n```python\nprint(x)\n```\n")
        >>> print(standalone_source(page, 1), end="")
        x = 1
        <BLANKLINE>
        # --- The block itself. What stands above is what it needs, and may print too. ---
        print(x)
    """
    needed = "\n".join(page.blocks[i].source for i in needed_blocks(page, index))
    own = page.blocks[index].source
    line = "# --- The block itself. What stands above is what it needs, and may print too. ---"
    return f"{needed}\n{line}\n{own}" if needed else own


def _providers(
    user: int, target: int, usable: list[int], names: dict[int, _Names], groups: dict[str, set[str]]
) -> set[int]:
    imports = frozenset().union(*(one.imports for one in names.values()))
    found = set()
    own = names[user]
    late = own.late_reads & own.foreign if user == target else own.late_reads
    for name in own.reads | late:
        # A name inside a function may be defined after the function, before the call.
        limit = target if name in names[user].late_reads else user
        for i in reversed([i for i in usable if i < limit and i != user]):
            changed = names[i].touches & groups.get(name, {name})
            if name in names[i].defines or (changed and name not in imports):
                found.add(i)
            if name in names[i].surely and i < user:
                break
    return found


@lru_cache(maxsize=2048)
def _names(source: str) -> _Names:
    table = symtable.symtable(source, "<page>", "exec")
    tree = ast.parse(source)
    known = set(dir(builtins))
    top = {symbol.get_name(): symbol for symbol in table.get_symbols()}
    defines = {name for name, s in top.items() if s.is_assigned() or s.is_imported()}
    imports = {name for name, s in top.items() if s.is_imported()}
    late = {name for child in table.get_children() for name in _globals_read(child)}
    reads = {name for name, symbol in top.items() if symbol.is_referenced()}
    reads |= {name for name in _augmented(tree) if name in top}
    # What the block has assigned before it reads it is its own.
    foreign = _read_before_assigned(tree.body, set()) - known
    simple = (ast.If, ast.For, ast.While, ast.Try)
    surely = {n for s in tree.body if not isinstance(s, simple) for n in _stored(s)}
    return _Names(
        imports=frozenset(imports), reads=frozenset(reads & foreign),
        late_reads=frozenset(late - known), foreign=frozenset(foreign), defines=frozenset(defines),
        surely=frozenset(surely & defines), touches=frozenset(_touched(tree)),
        aliases=tuple(_aliases(tree, known)),
    )  # fmt: skip


def _read_before_assigned(body: list[ast.stmt], own: set[str]) -> set[str]:
    """The names that statements read before they surely assign them; `own` gains the latter."""
    found: set[str] = set()
    for statement in body:
        if isinstance(statement, ast.For):
            found |= _loaded(statement.iter) - own
            inside = own | _named(statement.target, ast.Store)
            found |= _read_before_assigned(statement.body, inside)
            found |= _read_before_assigned(statement.orelse, set(own))
        elif isinstance(statement, ast.With):
            found |= set().union(*(_loaded(item) for item in statement.items)) - own
            own.update(*(_named(item, ast.Store) for item in statement.items))
            found |= _read_before_assigned(statement.body, own)
        else:
            found |= _loaded(statement) - own
            if not isinstance(statement, ast.If | ast.While | ast.Try):
                own.update(_stored(statement))
    return found


def _loaded(node: ast.AST) -> set[str]:
    """The names that are read in a piece of code, at any depth, and those changed in place.

    What a function or a comprehension binds for itself is not read from outside.

        >>> sorted(_loaded(ast.parse("[x + a for x in b]; f = lambda y: y + c")))
        ['a', 'b', 'c']
    """
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    found = set(_augmented(node)).union(*map(_loaded, ast.iter_child_nodes(node)))
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        own = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
        if isinstance(node, ast.FunctionDef):
            own |= {name for statement in node.body for name in _stored(statement)}
        return found - own
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        own = set().union(*(_named(one.target, ast.Store) for one in node.generators))
        return found - own | _loaded(node.generators[0].iter)
    return found


def _augmented(node: ast.AST) -> Iterator[str]:
    """The names changed by statements such as `x += 1`, those of functions left out."""
    if isinstance(node, ast.AugAssign):
        yield _base(node.target)
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield from _augmented(child)


def _named(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    """The plain names in a piece of code that stand in a context, such as being read."""
    names = (n for n in ast.walk(node) if isinstance(n, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, context)}


def _globals_read(table: symtable.SymbolTable) -> Iterator[str]:
    yield from (s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced())
    for child in table.get_children():
        yield from _globals_read(child)


def _stored(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        yield from ((a.asname or a.name).split(".")[0] for a in statement.names)
    elif not isinstance(statement, ast.AugAssign):
        yield from _named(statement, ast.Store)


def _touched(tree: ast.Module) -> set[str]:
    touched: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(
            node.ctx, ast.Store | ast.Del
        ):
            touched.add(_base(node))
        elif isinstance(node, ast.AugAssign):
            touched.add(_base(node.target))
        elif isinstance(node, ast.Call) and not _is_pure(node):
            given = [node.func, *node.args, *(keyword.value for keyword in node.keywords)]
            touched |= {n.id for part in given for n in ast.walk(part) if isinstance(n, ast.Name)}
    return touched - {""}


def _is_pure(call: ast.Call) -> bool:
    mutators = {"at", "copyto", "put", "place", "putmask", "fill_diagonal", "shuffle"}
    if any(keyword.arg == "out" for keyword in call.keywords):
        return False
    if isinstance(call.func, ast.Attribute):
        return _base(call.func) == "np" and call.func.attr not in mutators
    return isinstance(call.func, ast.Name) and call.func.id in _PURE


def _base(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _aliases(tree: ast.Module, apart: set[str]) -> Iterator[frozenset[str]]:
    for node in ast.walk(tree):
        fresh = isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if isinstance(node, ast.Assign) and not (fresh and _is_pure(node.value)):  # type: ignore[arg-type]
            names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            yield frozenset(names - apart)


def _alias_groups(pairs: list[frozenset[str]]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for pair in pairs:
        merged = set(pair).union(*(groups.get(name, set()) for name in pair))
        groups.update(dict.fromkeys(merged, merged))
    return groups


def needed_names(page: Page, index: int) -> dict[str, int]:
    r"""The names that a block takes from blocks before it, each with the last that defines it.

    Examples:
        >>> fences = ["x = y = 1", "x = 2", "print(y, x)"]
        >>> page = parse_page("".join(f"```python\n{code}\n```\n" for code in fences))
        >>> needed_names(page, 2)
        {'y': 0, 'x': 1}
    """
    names = _names(page.blocks[index].source)
    providers = {i: _names(page.blocks[i].source) for i in needed_blocks(page, index)}
    found = {
        name: max(i for i in providers if name in providers[i].defines)
        for name in names.reads | names.late_reads & names.foreign
        if any(name in one.defines for one in providers.values())
    }
    source = page.blocks[index].source
    return {name: found[name] for name in re.findall(r"\b[^\W\d]\w*", source) if name in found}
