"""The demo of `literategpt.activations`: three curves, and their slopes checked by nudging."""

import math

import numpy as np

from literategpt.activations import (
    gelu,
    gelu_backward,
    relu,
    relu_backward,
    softmax,
    softmax_backward,
)
from literategpt.demos.narration import heading, number, say, show, table, title, vector
from literategpt.types import Array

NUDGE = 1e-5


def gelu_by_definition(x: Array) -> Array:
    """Compute x times the probability that a standard normal number is below x."""
    below = [0.5 * (1.0 + math.erf(value / math.sqrt(2.0))) for value in x]
    output: Array = x * np.array(below)
    return output


def section_softmax() -> None:
    """Turn three scores into probabilities."""
    heading("Softmax: from scores to probabilities")
    scores = np.array([2.0, 1.0, 0.0])
    powers = np.exp(scores)
    probabilities = softmax(scores)
    say("""A model gives every candidate a score. Softmax raises e to each score, which makes all
        of them positive, and divides by their total, which makes them sum to one.""")
    show("scores", scores)
    show("e to the score", powers)
    show("their total", powers.sum())
    show("softmax", probabilities)
    show("its sum", probabilities.sum())
    say(f"""One point more of score is a factor of e in probability: the first is
        {number(probabilities[0] / probabilities[1])} times the second, the second
        {number(probabilities[1] / probabilities[2])} times the third.""")


def section_shift() -> None:
    """Add a constant to all scores."""
    heading("Only differences count")
    scores = np.array([2.0, 1.0, 0.0])
    shift = 1000.0
    say(f"""Add {number(shift)} to every score. Each power grows by one common factor, the total by
        the same factor, and their ratio stays.""")
    show("scores", scores + shift)
    show("softmax", softmax(scores + shift))
    say("""Computed as the formula stands, the powers would overflow. So the code subtracts the
        largest score first, which is only another shift. A score of minus infinity is how
        something is forbidden: its probability is exactly zero, and the others share the rest.""")
    forbidden = np.array([2.0, 1.0, -np.inf])
    show("scores", forbidden)
    show("softmax", softmax(forbidden))


def nudged_softmax(scores: Array, upstream: Array) -> Array:
    """Measure the slope of `sum(upstream * softmax(scores))` for each score."""
    nudges = NUDGE * np.eye(len(scores))
    above = softmax(scores + nudges) @ upstream
    below = softmax(scores - nudges) @ upstream
    slopes: Array = (above - below) / (2.0 * NUDGE)
    return slopes


def section_softmax_backward() -> None:
    """Carry a gradient back through softmax."""
    heading("Softmax backwards")
    probabilities = np.array([1 / 8, 2 / 8, 5 / 8])
    upstream = np.array([8.0, 0.0, 4.0])
    average = float(np.sum(upstream * probabilities))
    gradient = softmax_backward(upstream, probabilities)
    say("""Say the loss rises with the probabilities at the slopes g. Raising one score takes
        probability from all the others, so what counts is whether a slope is above or below the
        average slope: `p * (g - average)`.""")
    show("probabilities p", probabilities)
    show("slopes g", upstream)
    show("average of g under p", average)
    show("slopes of the scores", gradient, digits=4)
    show("their sum", gradient.sum())
    say("""The sum is zero because raising all scores alike changes nothing. Nudging each score up
        and down a little, and watching the loss, gives the same slopes:""")
    show("by nudging", nudged_softmax(np.log(probabilities), upstream), digits=4)


def section_bends() -> None:
    """Compare ReLU and GELU at a few points."""
    heading("ReLU and GELU: two bends")
    x = np.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
    say("""Without a bend, layers of matrix products collapse into one. ReLU has a corner at zero.
        GELU is smooth: x times the probability that a standard normal number is below x,
        here in a form with tanh, of which more below.""")
    table({"x": x, "relu(x)": relu(x), "gelu(x)": gelu(x)})
    grid = np.arange(-2000, 1) / 1000.0
    lowest = int(np.argmin(gelu(grid)))
    say(f"""GELU is not monotone: from the left it first falls, to {number(gelu(grid)[lowest])} at
        x = {number(grid[lowest], 2)}, and then rises.""")


def section_slopes() -> None:
    """Check the slopes of both curves by nudging."""
    heading("Their slopes, and the same slopes by nudging")
    x = np.array([-2.0, -0.5, 0.5, 2.0])
    ones = np.ones_like(x)
    say("""Backward claims a slope. To test the claim, move x a little up and a little down and
        divide the change of the curve by the distance.""")
    table(
        {
            "x": x,
            "relu_backward": relu_backward(ones, x),
            "nudged": (relu(x + NUDGE) - relu(x - NUDGE)) / (2.0 * NUDGE),
            "gelu_backward": gelu_backward(ones, x),
            "nudged ": (gelu(x + NUDGE) - gelu(x - NUDGE)) / (2.0 * NUDGE),
        }
    )
    corner = np.zeros(1)
    nudged = (relu(corner + NUDGE) - relu(corner - NUDGE)) / (2.0 * NUDGE)
    say(f"""At zero ReLU has no slope. Nudging sees half of each side, {number(nudged)}; the code
        chooses {number(relu_backward(np.ones(1), corner))}, as is usual.""")


def section_tanh_form() -> None:
    """Measure how far the tanh form is from the definition of GELU."""
    heading("How good is the tanh form of GELU?")
    grid = np.arange(0, 501) / 100.0
    difference = np.abs(gelu(grid) - gelu_by_definition(grid))
    worst = int(np.argmax(difference))
    say("""The paper of GELU also gives a form with a hyperbolic tangent; GPT-2 uses it, and so does
        this package. The definition is one call of `math.erf` away:""")
    few = np.array([0.5, 1.0, 2.0, 3.0])
    table({"x": few, "tanh form": gelu(few), "definition": gelu_by_definition(few)}, digits=5)
    say(f"""Over the grid from {number(grid[0])} to {number(grid[-1])} they differ most at
        x = {number(grid[worst], 2)}, by {number(difference[worst], 5)}.""")
    say(f"""The same holds at negative x: both forms obey gelu(x) - gelu(-x) = x, here
        {vector(gelu(few) - gelu(-few))}.""")


def main() -> None:
    """Walk through the three curves."""
    title("Activations: softmax, ReLU and GELU, forwards and backwards")
    section_softmax()
    section_shift()
    section_softmax_backward()
    section_bends()
    section_slopes()
    section_tanh_form()
