"""Formulas, figures and embeds: what the Markdown extensions make, and what they refuse."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown import Markdown

from pagetools import figures, svg
from pagetools.embeds import mark_shapes, shorten_docstrings
from pagetools.figures import FigureError
from pagetools.mathml import FormulaError, latex_to_mathml


def convert(text: str) -> str:
    """Convert Markdown as the site does."""
    arithmatex = {"pymdownx.arithmatex": {"generic": True}}
    extensions = ["pymdownx.arithmatex", "pagetools.mathml", "pagetools.figures"]
    return Markdown(extensions=extensions, extension_configs=arithmatex).convert(text)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A directory of figures with one that can be drawn and one that cannot."""
    before = dict(sys.modules)
    source = (
        "from pagetools.svg import Picture\n"
        "def dot():\n    picture = Picture(10)\n    picture.text(1, 1, 'a & b')\n"
        "    return picture\n"
        "def nothing():\n    return None\n"
    )
    (tmp_path / "probe.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(figures, "FIGURES", tmp_path)
    yield tmp_path
    # Drawing anew forgets the package's modules; the tests after this one hold the old ones.
    sys.modules.clear()
    sys.modules.update(before)


def test_formulas_become_mathml() -> None:
    """A formula in a line and one of its own become MathML, with the LaTeX as alternative text."""
    page = convert("Let $x_i < 1$.\n\n$$\n\\frac{a}{b}\n$$\n")
    assert '<math alttext="x_i &lt; 1"><msub>' in page
    assert "<mfrac>" in page
    assert "\\(" not in page
    assert "arithmatex" not in page


def test_no_line_begins_with_the_sign_behind_a_formula() -> None:
    """A full stop or a comma is kept with the formula in front of it, and a word is not."""
    page = convert("Let $x$. Or $y$, or $z$ and so on.")
    assert re.findall("</math>(.*?)</span>", page) == [".", ",", ""]


def test_formulas_stay_out_of_the_search() -> None:
    """What wraps a formula tells the search to pass it over."""
    assert convert("$x$\n\n$$y$$").count("data-search-exclude") == 2


def test_a_long_formula_can_be_scrolled_with_the_keyboard() -> None:
    """A display formula takes the focus, one in a line does not."""
    assert convert("$x$\n\n$$y$$").count('tabindex="0"') == 1


@pytest.mark.parametrize("latex", ["\\frac{1}{", "\\nonsense{x}", "x^", "\\left( x"])
def test_bad_latex_is_refused(latex: str) -> None:
    """A formula that is not valid stops the build and is named in the error."""
    with pytest.raises(FormulaError, match="expected valid LaTeX, got") as refusal:
        convert(f"${latex}$")
    assert "\x1b" not in str(refusal.value)


@pytest.mark.parametrize(
    "latex",
    [
        r"\mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}}\right)V",
        r"\hat{x}_i = \frac{x_i - \mu}{\sqrt{\sigma^2 + \varepsilon}}",
        r"\frac{\partial L}{\partial W} = x^\top \bar{g}",
        r"W' = W + \tfrac{\alpha}{r} A B, \quad A \in \mathbb{R}^{d \times r}",
        r"\begin{cases} x & x > 0 \\ 0 & \text{otherwise} \end{cases}",
        r"\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix} \odot \mathbf{m}",
        r"-\ln p_{\theta}(x_{t+1} \mid x_{\le t}) \approx 7.60",
    ],
)
def test_the_formulas_of_this_subject_convert(latex: str) -> None:
    """What the pages will need is understood."""
    assert latex_to_mathml(latex, display=True).startswith("<math alttext=")


def test_a_figure_is_drawn_where_the_page_names_it(drawn: Path) -> None:
    """The image becomes the drawing, described for those who do not see it, with its caption."""
    page = convert('![A dot. It is small.](figures/probe/dot.svg "A *dot* with $x$.")')
    assert "<text" in page
    assert "a &amp; b" in page
    assert '<title id="figure-probe-dot-title">A dot.</title>' in page
    assert '<desc id="figure-probe-dot-desc">It is small.</desc>' in page
    assert "<figcaption>A <em>dot</em> with" in page
    assert "<msub>" not in page
    assert "<math" in page
    assert "<img" not in page


def test_a_figure_can_be_named_from_a_page_in_a_folder(drawn: Path) -> None:
    """The path may climb out of the folder of the page, as on a code host."""
    assert "<svg" in convert("![A dot](../figures/probe/dot.svg)")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("![A dot](figures/probe/gone.svg)", "expected a function gone"),
        ("![A dot](figures/gone/dot.svg)", "gone.py, which does not exist"),
        ("![A dot](figures/probe/nothing.svg)", "expected probe.nothing to return a Picture"),
        ("![](figures/probe/dot.svg)", "described in words"),
        ("![A dot](figures/probe/dot.svg) and text", "expected a paragraph of the form"),
        ("![A dot](figures/dot.svg)", "expected a paragraph of the form"),
        ("See ![A dot](figures/probe/dot.png).", "expected a paragraph of the form"),
    ],
)
def test_a_figure_that_cannot_be_drawn_stops_the_build(
    drawn: Path, text: str, complaint: str
) -> None:
    """A figure without a function, without words, or written differently is refused."""
    with pytest.raises(FigureError, match=complaint):
        convert(text)


def test_a_changed_figure_is_drawn_anew(drawn: Path) -> None:
    """A long-running server draws with the code as it is now."""
    page = "![A dot](figures/probe/dot.svg)"
    assert "a &amp; b" in convert(page)
    source = drawn / "probe.py"
    changed = source.read_text(encoding="utf-8").replace("a & b", "later")
    source.write_text(changed, encoding="utf-8")
    stamp = source.stat().st_mtime + 10_000
    os.utime(source, (stamp, stamp))
    assert "later" in convert(page)


def test_an_ordinary_image_is_left_alone() -> None:
    """Images from elsewhere stay images."""
    assert "<img" in convert("![A photo](assets/photo.png)")


SOURCE = '''\
    class C:
        r"""A class.

        Long.
        """

        def f(self):
            """Do it
            in two lines.

            Args: none.
            """
            text = """kept

            whole"""
            return text

        def g(self):
            """One line."""
'''


def test_docstrings_are_cut_to_their_first_paragraph() -> None:
    """The code is kept, other strings too, and what is left is Python that means the same."""
    assert shorten_docstrings(SOURCE) == (
        'class C:\n    """A class."""\n\n    def f(self):\n        """Do it\n'
        '        in two lines."""\n        text = """kept\n\n        whole"""\n'
        '        return text\n\n    def g(self):\n        """One line."""'
    )


def test_every_public_object_keeps_its_code_when_its_docstring_is_cut() -> None:
    """For the whole package: shortened source has the same statements as the source."""
    import ast

    def statements(source: str) -> str:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                node.body[0] = ast.Pass()
        return ast.dump(tree)

    modules = sorted((figures.ROOT / "literategpt").glob("*.py"))
    for path in modules:
        source = path.read_text(encoding="utf-8")
        assert statements(shorten_docstrings(source)) == statements(source), path
    assert len(modules) > 10


def test_only_the_line_of_shapes_is_marked() -> None:
    """An arrow inside a sentence is not a line of shapes."""
    text = "Do it.\n\n(B, T) -> (B, T, C)\n\nIt maps (a) -> b."
    assert mark_shapes(text) == text.replace(
        "(B, T) -> (B, T, C)", "`(B, T) -> (B, T, C)`{ .shapes }"
    )


def test_ticks_are_round_and_inside() -> None:
    """Ticks stay inside the limits whatever these are."""
    for low, high in [(0, 1), (-3.7, 2.2), (0, 1049344), (0.001, 0.0042), (1.5, 7.6)]:
        ticks = svg.round_ticks(low, high)
        assert 3 <= len(ticks) <= 9
        assert low - 1e-9 <= ticks[0] < ticks[-1] <= high + 1e-9


def test_a_chart_names_its_axes_with_units() -> None:
    """Both axes carry name and unit, and each curve its label."""
    curve = svg.Line([0, 1, 2], [7.6, 4.0, 3.0], "gradient", "training")
    chart = str(svg.line_chart([curve], svg.Axis("step"), svg.Axis("loss", "nats")))
    assert all(f">{text}</text>" in chart for text in ("step", "loss (nats)", "training"))


def test_a_heat_map_shows_every_number() -> None:
    """Each cell has its number, and an exact zero is an empty cell with a plain 0."""
    rows = [[1.0, 0.0], [0.25, 0.75]]
    axes = svg.Axis("query"), svg.Axis("key")
    drawing = str(svg.heat_map(rows, ["a", "b"], ["a", "b"], *axes, colour="attention"))
    assert [drawing.count(f">{text}</text>") for text in ("1.00", "0", "0.25", "0.75")] == [1] * 4
    assert drawing.count("<rect") == 3


@pytest.mark.parametrize(
    "draw",
    [
        lambda: svg.paint("purple"),
        lambda: svg.round_ticks(1, 1),
        lambda: svg.line_chart([], svg.Axis("x"), svg.Axis("y")),
        lambda: svg.line_chart([svg.Line([0, 1], [0], "key", "k")], svg.Axis("x"), svg.Axis("y")),
        lambda: svg.bar_chart(["a"], [-1.0], svg.Axis("x"), colour="key"),
        lambda: svg.bar_chart(["a"], [1.0, 2.0], svg.Axis("x"), colour="key"),
        lambda: svg.heat_map([[1.0]], ["a"], ["b", "c"], *[svg.Axis("x")] * 2, colour="key"),
    ],
)
def test_a_drawing_that_makes_no_sense_is_refused(draw: object) -> None:
    """Unknown colours, empty charts and numbers that do not fit are refused by name."""
    with pytest.raises(ValueError, match="expected"):
        draw()  # type: ignore[operator]


def test_text_cannot_break_a_drawing() -> None:
    """Characters that mean something in SVG are escaped, in texts and in attributes."""
    picture = svg.Picture(10)
    picture.text(0, 0, "<b> & c")
    picture.element("g", data_x='"')
    assert "&lt;b&gt; &amp; c" in str(picture)
    assert 'data-x="&quot;"' in str(picture)
