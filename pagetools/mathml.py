r"""Turn the formulas of a page into MathML when the site is built.

A Markdown extension: `pymdownx.arithmatex` (with `generic: true`) finds `$...$` and `$$...$$`, and
this postprocessor replaces what it marked. It works wherever Markdown is rendered, in docstrings
as well as on pages, and the reader's browser needs no script. A formula that is not valid LaTeX
stops the build.
"""

from __future__ import annotations

import html
import re

from markdown import Extension, Markdown
from markdown.postprocessors import Postprocessor
from math_core import LatexError, LatexToMathML

_MARKED = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<bracket>[(\[])(?P<latex>.*?)\\[)\]]</(?P=tag)>'
    r"(?P<after>[.,;:?!)]*)",
    re.DOTALL,
)
_TERMINAL_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class FormulaError(ValueError):
    """A formula is not valid LaTeX."""


def latex_to_mathml(latex: str, *, display: bool = False) -> str:
    r"""Convert one formula.

    Args:
        latex: The formula without its dollar signs.
        display: Whether it stands on a line of its own.

    Returns:
        A `<math>` element whose `alttext` is the LaTeX.

    Raises:
        FormulaError: If the LaTeX is not valid; the message shows where.

    Examples:
        >>> print(latex_to_mathml("x^2"))
        <math alttext="x^2"><msup><mi>x</mi><mn>2</mn></msup></math>
    """
    try:
        mathml = LatexToMathML().convert_with_local_state(latex, displaystyle=display)
    except LatexError as error:
        reason = _TERMINAL_COLOUR.sub("", str(error)).strip()
        raise FormulaError(f"expected valid LaTeX, got {latex!r}\n{reason}") from error
    return mathml.replace("<math", f'<math alttext="{html.escape(latex, quote=True)}"', 1)


def _formula(marked: re.Match[str]) -> str:
    latex = html.unescape(marked["latex"]).strip()
    display = marked["bracket"] == "["
    mathml = latex_to_mathml(latex, display=display)
    # A display formula can be wider than a phone: give it the keyboard focus, so that it scrolls.
    # One in a line takes the signs behind it along, so that no line begins with them.
    kind = 'class="formula-display" tabindex="0"' if display else 'class="formula"'
    tag = marked["tag"]
    return f"<{tag} {kind} data-search-exclude>{mathml}{marked['after']}</{tag}>"


class FormulaPostprocessor(Postprocessor):
    """Replace what arithmatex marked."""

    def run(self, text: str) -> str:
        """Return the HTML with every formula as MathML."""
        return _MARKED.sub(_formula, text)


class FormulaExtension(Extension):
    """Register the postprocessor behind all others."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (the name is Markdown's)
        """Add the postprocessor to a Markdown instance."""
        md.postprocessors.register(FormulaPostprocessor(md), "formulas", 1)


def makeExtension(**options: object) -> FormulaExtension:  # noqa: N802 (the name is Markdown's)
    """Make the extension; Markdown calls this by its name."""
    return FormulaExtension(**options)
