"""Prepare the code that a page shows for a symbol.

A page embeds code by naming it: `::: literategpt.attention.scaled_dot_product_attention` shows the
whole function, open, with a link to its reference entry. Naming a module,
`::: literategpt.attention`, makes the module's reference entry instead. The templates in
`overrides/mkdocstrings/` choose between the two; this extension of griffe gives them the source
with each docstring cut to its first sentence, because the page tells the rest.
"""

from __future__ import annotations

import ast
import re
import textwrap
from typing import Any

import griffe

_Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_QUOTES = re.compile(r'[rRuU]*("""|\'\'\'|"|\')')
_SHAPES = re.compile(r"^(\(.*\) -> .+)$", re.MULTILINE)


def shorten_docstrings(source: str) -> str:
    r"""Cut every docstring of some source code to its first paragraph.

    Args:
        source: A function, method or class; it may be indented.

    Returns:
        The dedented source.

    Examples:
        >>> quotes = '"' * 3
        >>> docstring = f"{quotes}Double x.\n\n    Long.\n    {quotes}"
        >>> source = f"def f(x):\n    {docstring}\n    return 2 * x"
        >>> print(shorten_docstrings(source).replace(quotes, "'"))
        def f(x):
            'Double x.'
            return 2 * x
    """
    lines = textwrap.dedent(source).splitlines()
    nodes = [n for n in ast.walk(ast.parse("\n".join(lines))) if isinstance(n, _Documented)]
    # From the last to the first, so that the numbers of the lines above stay right.
    for node in sorted(nodes, key=lambda n: n.lineno, reverse=True):
        if ast.get_docstring(node, clean=False) is not None:
            start, end = node.body[0].lineno - 1, node.body[0].end_lineno
            lines[start:end] = _first_paragraph(lines[start:end])
    return "\n".join(lines)


def _first_paragraph(docstring: list[str]) -> list[str]:
    """Keep the lines of a docstring up to its first empty one, and close the quotes."""
    blank = next((i for i, line in enumerate(docstring) if not line.strip()), None)
    opening = _QUOTES.search(docstring[0])
    if blank is None or opening is None:
        return docstring
    kept = [*docstring[: blank - 1], docstring[blank - 1] + opening[1]]
    # What was a raw string because of a formula need not be one any more.
    raw = "\\" in "".join(kept)
    return kept if raw else [re.sub(r"^(\s*)[rR]", r"\1", kept[0]), *kept[1:]]


def mark_shapes(docstring: str) -> str:
    """Set the line of shapes apart, `(B, T, C) -> (B, T, C)`, so that it can be styled.

    Examples:
        >>> mark_shapes("(B, T) -> (B, T, C)")
        '`(B, T) -> (B, T, C)`{ .shapes }'
    """
    return _SHAPES.sub(r"`\1`{ .shapes }", docstring)


class EmbedExtension(griffe.Extension):
    """Give each object its shortened source, and each docstring its marked shapes."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for every object of a package that it has loaded."""
        if obj.name == "__post_init__":
            obj.public = False  # the checks of a configuration are in its Raises
        if obj.docstring is not None:
            obj.docstring.value = mark_shapes(obj.docstring.value)
        if obj.is_class or obj.is_function or obj.is_attribute:
            obj.extra["literategpt"]["source"] = shorten_docstrings(obj.source)
