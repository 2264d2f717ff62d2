"""The demo of `literategpt.optimizer`: a schedule, a clip, and three parameters taking steps."""

import math

import numpy as np

from literategpt.demos.narration import (
    heading,
    number,
    say,
    show,
    table,
    title,
    vector,
)
from literategpt.optimizer import AdamW, clip_gradients, cosine_schedule
from literategpt.types import Array


def section_schedule() -> None:
    """Draw the learning rate over a run."""
    heading("The schedule: a short rise, a long fall")
    total, warmup, peak, minimum = 20, 4, 1.0, 0.1
    rates = [
        cosine_schedule(s, peak=peak, warmup_steps=warmup, total_steps=total, minimum=minimum)
        for s in range(total)
    ]
    say(f"""A run of {number(total)} steps. The learning rate rises in a straight line over the
        first {number(warmup)} steps, then falls along half a cosine to {number(minimum)} of its
        peak.""")
    bars = ["#" * int(number(60 * rate / peak, 0)) for rate in rates]
    table({"step": range(total), "rate": rates, "": bars})
    say("It is above zero at the first step, at its peak once, and at its minimum at the last.")


def joined(arrays: dict[str, Array]) -> Array:
    """Lay the numbers of several arrays in one row."""
    return np.concatenate([array.ravel() for array in arrays.values()])


def section_clipping() -> None:
    """Clip two gradients together, and show what clipping each alone would do."""
    heading("Clipping: all gradients are one arrow")
    gradients = {"a": np.array([3.0]), "b": np.array([4.0])}
    alone = {name: gradient.copy() for name, gradient in gradients.items()}
    before = {name: gradient.copy() for name, gradient in gradients.items()}
    norm = clip_gradients(gradients, max_norm=1.0)
    for name, gradient in alone.items():
        clip_gradients({name: gradient}, max_norm=1.0)
    say(f"""Two parameters with gradients {vector(joined(before))}: together an arrow of length
        {number(norm)}. To shorten it to one, every number is divided by {number(norm)}, and the
        arrow keeps its direction.""")
    show("before", joined(before))
    show("its length", norm)
    show("clipped together", joined(gradients))
    show("its length", float(np.linalg.norm(joined(gradients))))
    say("Clipping each parameter alone turns the arrow:")
    show("clipped one by one", joined(alone))


def section_first_step() -> None:
    """Take the first step on gradients of very different size."""
    heading("AdamW, the first step: everyone moves alike")
    rate = 0.001
    gradient = np.array([100.0, 1.0, 0.01])
    parameters = {"w": np.zeros(3)}
    optimizer = AdamW(parameters, learning_rate=rate)
    optimizer.step({"w": gradient})
    mean, square = optimizer.first_moment["w"], optimizer.second_moment["w"]
    beta1, beta2 = optimizer.betas
    say(f"""The largest of these gradients is {number(gradient[0] / gradient[-1])} times the
        smallest. Plain gradient descent takes the gradient times the learning rate,
        {number(rate)}; its steps differ as much. AdamW divides the mean slope m by the slope's
        usual size, the root of v.""")
    show("gradients", gradient, digits=2)
    show("gradient descent", -rate * gradient, digits=5)
    say(f"""m and v begin at zero and take in `1 - beta` of what comes: {number(1 - beta1)} of g for
        m, {number(1 - beta2)} of its square for v. After one step they are too small by just these
        shares, so they are divided by them.""")
    show("m", mean)
    show("v", square, digits=6)
    show("m, corrected", mean / (1 - beta1), digits=2)
    show("v, corrected", square / (1 - beta2), digits=4)
    show("m over the root of v", (mean / (1 - beta1)) / np.sqrt(square / (1 - beta2)))
    show("AdamW's step", parameters["w"])


def section_bias_correction() -> None:
    """Say what the first step would be without bias correction."""
    heading("Without the correction")
    beta1 = 0.9
    say("""Uncorrected, the first step is off by a factor that depends on the two betas: too short
        with the second beta of this package, too long with the one of many others.""")
    betas = [0.95, 0.999]
    factors = []
    for beta2 in betas:
        optimizer = AdamW({"w": np.zeros(1)}, betas=(beta1, beta2))
        optimizer.step({"w": np.ones(1)})
        mean, square = optimizer.first_moment["w"], optimizer.second_moment["w"]
        factors.append(float(mean[0]) / math.sqrt(square[0]))
    table({"first beta": [beta1] * 2, "second beta": betas, "times the right step": factors})


def walk(gradients: list[float]) -> list[float]:
    """Return where one parameter is after each step."""
    parameters = {"w": np.zeros(1)}
    optimizer = AdamW(parameters, learning_rate=1.0)
    places = []
    for gradient in gradients:
        optimizer.step({"w": np.array([gradient])})
        places.append(float(parameters["w"][0]))
    return places


def section_scale() -> None:
    """Show that a constant rescaling of gradients changes nothing."""
    heading("The size of the gradients does not count")
    scale = 1000.0
    say(f"""Gradients {number(scale)} times as large, at every step, lead to the same place, up to
        the tiny `eps` that is added to the root so that it is never zero. A gradient that stays the
        same makes full steps; one that is halved at every step makes shorter ones, and one that
        flips nearly cancels itself out in m, once the first steps are past. The table says where a
        parameter is, in learning rates from its start.""")
    gradients = {
        "steady": [1.0, 1.0, 1.0, 1.0],
        f"steady, times {number(scale)}": [scale, scale, scale, scale],
        "flipping": [1.0, -1.0, 1.0, -1.0],
        "fading": [1.0, 0.5, 0.25, 0.125],
    }
    places = [walk(row) for row in gradients.values()]
    columns = {f"step {step + 1}": [place[step] for place in places] for step in range(4)}
    table({"gradients": list(gradients), **columns})


def section_decay() -> None:
    """Take a step without any gradient."""
    heading("Weight decay: matrices shrink, the rest does not")
    parameters = {"weight": np.full((2, 2), 2.0), "bias": np.full(2, 2.0)}
    optimizer = AdamW(parameters, learning_rate=0.1, weight_decay=0.5)
    zeros = {name: np.zeros_like(array) for name, array in parameters.items()}
    say("""A matrix and a bias, both full of the same number, take a step with gradients of zero
        and a strong decay.""")
    show("before, weight", parameters["weight"])
    show("before, bias", parameters["bias"])
    optimizer.step(zeros)
    kept = 1 - optimizer.learning_rate * optimizer.weight_decay
    show("after, weight", parameters["weight"])
    show("after, bias", parameters["bias"])
    rate, decay = number(optimizer.learning_rate), number(optimizer.weight_decay)
    say(f"""The matrix was multiplied by one minus the product of rate and decay, {rate} *
        {decay}: by {number(kept)}. The bias stayed. The decay does not pass through m and v, so
        it is equally strong for parameters with large and with small gradients.""")


def section_downhill() -> None:
    """Walk down a narrow valley by gradient descent and by AdamW."""
    heading("Down a narrow valley")
    steepness, total = np.array([100.0, 1.0]), 60
    descent_rate, peak, warmup = 0.018, 0.1, 5
    limit = 2 / steepness[0]
    plain, parameters = np.ones(2), {"w": np.ones(2)}
    optimizer = AdamW(parameters)
    places = []
    for step in range(total + 1):
        places.append([*plain, *parameters["w"]])
        # The height is steepness / 2 * w², so its slope is steepness * w.
        plain -= descent_rate * steepness * plain
        rate = cosine_schedule(step, peak=peak, warmup_steps=warmup, total_steps=total)
        optimizer.step({"w": steepness * parameters["w"]}, rate)
    steep, flat = (number(float(s)) for s in steepness)
    say(f"""The height is half of `{steep} * a * a + {flat} * b * b`, so the slopes are
        `{steep} * a` and `{flat} * b`. Both parameters start at {number(places[0][0])}; the lowest
        place is zero. Gradient descent takes {number(descent_rate)} times the slope:
        {number(limit)} times would jump back and forth along the steep one for ever, and along the
        flat one it crawls. AdamW takes the schedule from above over {number(total)} steps,
        {number(warmup)} of them up to {number(peak)}, then down to zero, without decay. To it both
        are equally steep: they make the same steps.""")
    shown = range(0, total + 1, 10)
    names = ("descent, steep", "descent, flat", "AdamW, steep", "AdamW, flat")
    columns = {name: [places[step][i] for step in shown] for i, name in enumerate(names)}
    table({"step": shown, **columns})


def main() -> None:
    """Watch gradients become steps."""
    title("Optimizer: from gradients to steps")
    section_schedule()
    section_clipping()
    section_first_step()
    section_bias_correction()
    section_scale()
    section_decay()
    section_downhill()
