"""The colours of the figures: contrast, and distance for every kind of colour vision."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from pagetools.svg import COLOURS, GROUND, STRONGEST, Colour, colour_rules

ROOT = Path(__file__).resolve().parents[2]
CONCEPTS = [name for name in COLOURS if name != "neutral"]
INK = Colour("#23201c", "#e6e4df")

# Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113, severity 1, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protan": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                        [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                        [-0.011820, 0.042940, 0.968881]]),
    "tritan": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                        [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
# Ottosson 2020, "A perceptual color space for image processing": linear RGB, cones, Oklab.
TO_CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                     [0.2119034982, 0.6806995451, 0.1073969566],
                     [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
TO_OKLAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                     [1.9779984951, -2.4285922050, 0.4505937099],
                     [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
LEAST_DISTANCE = 0.10
LEAST_CONTRAST = 4.5


def linear(colour: str) -> np.ndarray:
    """Linear RGB of a colour such as #2827ce."""
    encoded = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """Contrast of two colours as WCAG 2 defines it."""
    dark, light = sorted(float(c @ [0.2126, 0.7152, 0.0722]) + 0.05 for c in (one, other))
    return light / dark


def distance(one: str, other: str, vision: str) -> float:
    """Distance of two colours in Oklab, as seen with one kind of vision; black to white is 1."""
    seen = (np.clip(VISIONS[vision] @ linear(c), 0, 1) for c in (one, other))
    a, b = (TO_OKLAB @ np.cbrt(TO_CONES @ c) for c in seen)
    return float(np.linalg.norm(a - b))


def too_close(colours: dict[str, Colour], scheme: str, vision: str) -> list[tuple[str, str]]:
    """Pairs of colours that this vision would confuse."""
    return [
        (a, b)
        for a, b in combinations(colours, 2)
        if distance(getattr(colours[a], scheme), getattr(colours[b], scheme), vision)
        < LEAST_DISTANCE
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISIONS)
def test_concepts_are_told_apart(scheme: str, vision: str) -> None:
    """No two concepts look alike, whatever the reader's colour vision."""
    assert too_close({name: COLOURS[name] for name in CONCEPTS}, scheme, vision) == []


def test_red_and_green_of_one_lightness_are_reported() -> None:
    """The measure finds the classic pair that deuteranopes confuse, and passes it for others."""
    pair = {"red": Colour("#a65e1a", "#a65e1a"), "green": Colour("#5f7a1a", "#5f7a1a")}
    assert too_close(pair, "light", "deutan") == [("red", "green")]
    assert too_close(pair, "light", "normal") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", COLOURS)
def test_colours_have_contrast(name: str, scheme: str) -> None:
    """Each colour can be read as text on the ground of its scheme."""
    ground = linear(getattr(GROUND, scheme))
    assert contrast(linear(getattr(COLOURS[name], scheme)), ground) >= LEAST_CONTRAST


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", CONCEPTS)
def test_numbers_can_be_read_on_the_fullest_cell(name: str, scheme: str) -> None:
    """The text of a heat map has contrast on its strongest colour."""
    pair = getattr(COLOURS[name], scheme), getattr(GROUND, scheme)
    full, ground = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in pair)
    mixed = np.rint(STRONGEST * full + (1 - STRONGEST) * ground).astype(int)
    cell = linear("#" + "".join(f"{channel:02x}" for channel in mixed))
    assert contrast(linear(getattr(INK, scheme)), cell) >= LEAST_CONTRAST


def test_contrast_is_that_of_the_standard() -> None:
    """Black on white has 21, and #767676 is the lightest grey that passes on white."""
    white = linear("#ffffff")
    assert contrast(linear("#000000"), white) == pytest.approx(21)
    assert contrast(linear("#767676"), white) > LEAST_CONTRAST > contrast(linear("#777777"), white)


def test_the_style_sheets_hold_the_colours_of_the_code() -> None:
    """What the figures are drawn with and what the site defines is the same."""
    styles = ROOT / "docs" / "assets" / "stylesheets"
    assert colour_rules() in (styles / "figures.css").read_text(encoding="utf-8")
    book = (styles / "book.css").read_text(encoding="utf-8")
    assert all(f"--md-default-fg-color: {ink};" in book for ink in INK)
