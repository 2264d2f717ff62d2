"""How the demos speak: headings, wrapped sentences, tables, and one way to write a number.

Every number a demo prints is rounded here and nowhere else, so that all machines print the same.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

WIDTH = 78
"""The longest line of a sentence; tables may be a little longer."""

LABEL_WIDTH = 26
"""Room for the labels of `show`; a longer one pushes its value to the right."""

INDENT = "    "

EXACT = 1e-9
"""A number this close to a shorter one is written as the shorter one."""

NOTHING = 1e-15
"""A number closer to zero than this is written as zero."""


def without_minus_zero(text: str) -> str:
    """Take the sign from a number that was rounded to zero.

    Examples:
        >>> without_minus_zero("-0.000"), without_minus_zero("-0.001")
        ('0.000', '-0.001')
    """
    return text.lstrip("-") if float(text) == 0 else text


def rounded(values: ArrayLike, digits: int = 3) -> list[str]:
    """Write numbers alike: with as few decimals as show all of them exactly, at most `digits`.

    A zero is written without decimals, so that it cannot be taken for a small number rounded.

    Examples:
        >>> rounded([0.5, 0.25, 2 / 3, 0.0])
        ['0.500', '0.250', '0.667', '0']
        >>> rounded([2.0, -1.0])
        ['2', '-1']
    """
    flat = [float(value) for value in np.ravel(values)]
    finite = [x for x in flat if math.isfinite(x)]
    enough = (d for d in range(digits) if all(abs(x - round(x, d)) < EXACT for x in finite))
    decimals = next(enough, digits)
    return ["0" if abs(x) < NOTHING else without_minus_zero(f"{x:.{decimals}f}") for x in flat]


def number(value: ArrayLike, digits: int = 3) -> str:
    """Write one number, a large one with separators.

    Examples:
        >>> number(2 / 3), number(5.0), number(1049344)
        ('0.667', '5', '1,049,344')
    """
    (text,) = rounded(value, digits)
    whole, point, decimals = text.partition(".")
    return f"{int(whole):,}{point}{decimals}" if abs(int(whole)) >= 1000 else text


def power_of_ten(value: float) -> str:
    """Write a power of ten shortly.

    Examples:
        >>> power_of_ten(0.000001)
        '1e-6'
    """
    return f"1e{round(math.log10(value))}"


def vector(values: ArrayLike, digits: int = 3) -> str:
    """Write the numbers of one row in brackets.

    Examples:
        >>> vector([2.0, 1.0, 0.5])
        '(2.0, 1.0, 0.5)'
    """
    return f"({', '.join(rounded(values, digits))})"


def matrix(values: ArrayLike, digits: int = 3) -> list[str]:
    """Write the rows of a matrix, one string each, their columns aligned.

    Examples:
        >>> matrix([[3, 0], [1, -1]])
        ['( 3,  0)', '( 1, -1)']
    """
    grid = np.asarray(values)
    cells = rounded(grid, digits)
    width = max(len(cell) for cell in cells)
    aligned = [cell.rjust(width) for cell in cells]
    starts = range(0, grid.size, grid.shape[1])
    return [f"({', '.join(aligned[start : start + grid.shape[1]])})" for start in starts]


def yes(condition: object) -> str:
    """Answer a question.

    Examples:
        >>> yes(1 < 2), yes(2 < 1)
        ('yes', 'no')
    """
    return "yes" if condition else "no"


def title(text: str) -> None:
    """Print the title of a demo, underlined twice."""
    print(text)
    print("=" * len(text))


def heading(text: str) -> None:
    """Print the heading of a section, underlined."""
    print()
    print(text)
    print("-" * len(text))


def say(text: str) -> None:
    """Print a paragraph, its lines broken anew, after an empty line."""
    print()
    print(textwrap.fill(" ".join(text.split()), WIDTH, break_on_hyphens=False))


def show(label: str, value: ArrayLike, digits: int = 3) -> None:
    """Print a label and what it names: text, a number, a vector, or a matrix over several lines."""
    if isinstance(value, str):
        lines = [value]
    elif np.ndim(value) == 0:
        lines = [number(value, digits)]
    elif np.ndim(value) == 1:
        lines = [vector(value, digits)]
    else:
        lines = matrix(value, digits)
    for name, line in zip([label] + [""] * (len(lines) - 1), lines, strict=True):
        print(f"{INDENT}{name:<{LABEL_WIDTH}}  {line}".rstrip())


def column(values: ArrayLike, digits: int = 3) -> list[str]:
    """Write the numbers of a column: alike, large ones with separators.

    Examples:
        >>> column([16384, 128])
        ['16,384', '128']
    """
    alike = rounded(values, digits)
    has_decimals = any("." in text for text in alike)
    return alike if has_decimals else [number(value) for value in np.ravel(values)]


def table(columns: Mapping[str, Sequence[str] | ArrayLike], digits: int = 3) -> None:
    """Print named columns side by side: text to the left, numbers to the right, rounded alike."""
    printed = []
    for name, values in columns.items():
        is_text = isinstance(values, Sequence) and all(isinstance(v, str) for v in values)
        written = map(str, np.ravel(values)) if is_text else column(values, digits)
        cells = [name, *written]
        width = max(len(cell) for cell in cells)
        printed.append([cell.ljust(width) if is_text else cell.rjust(width) for cell in cells])
    for row in zip(*printed, strict=True):
        print((INDENT + "   ".join(row)).rstrip())
