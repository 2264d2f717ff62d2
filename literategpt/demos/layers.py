"""The demo of `literategpt.layers`: each layer on numbers small enough for a pencil."""

import numpy as np

from literategpt.demos.narration import heading, number, power_of_ten, say, show, table, title, yes
from literategpt.gradcheck import check_layer, randomize_parameters
from literategpt.layers import (
    INITIAL_STD,
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Module,
    PositionalEncoding,
)
from literategpt.types import Array


def make_linear() -> Linear:
    """Make a linear layer with whole numbers as weights."""
    layer = Linear(2, 2, rng=np.random.default_rng(0), dtype="float64")
    layer.weight[...] = [[3.0, 0.0], [1.0, -1.0]]
    return layer


def section_linear() -> None:
    """Multiply one vector by one matrix."""
    heading("Linear: every output is a weighted sum of all inputs")
    layer = make_linear()
    x = np.array([[1.0, 2.0]])
    say("""The formula `x @ weight + bias` is also the line of code. A column of the weight belongs
        to an output: multiply the inputs by it, add up, add the bias.""")
    show("x", x)
    show("weight", layer.weight)
    show("bias", layer.named_parameters()["bias"])
    show("output", layer(x))
    (x1, x2), (w1, w2) = x[0], layer.weight[:, 0]
    say(f"""The first output by hand: {number(x1)} * {number(w1)} + {number(x2)} * {number(w2)}
        = {number(layer(x)[0, 0])}.""")


def section_linear_backward() -> None:
    """Carry a gradient back through the same layer."""
    heading("Linear backwards: gradients for input, weight and bias")
    layer = make_linear()
    output, saved = layer.forward(np.array([[1.0, 2.0]]))
    upstream = np.array([[1.0, 10.0]])
    grad_input, gradients = layer.backward(upstream, saved)
    say("""Forward returned the output and `saved`, which holds what backward will need. Nothing is
        kept in the layer itself. For a linear layer that is the input:""")
    show("saved.input", saved.input)
    say("""Now the slopes of the loss for the two outputs come in from above. The input's slope
        goes back along the weights, `g @ weight.T`; a weight's slope is its input times its
        output's slope, `x.T @ g`; the bias was simply added, so its slope is g.""")
    show("upstream g", upstream)
    show("gradient of x", grad_input)
    show("gradient of weight", gradients["weight"])
    show("gradient of bias", gradients["bias"])
    nudge = 0.1
    say(f"""Take one gradient at its word: raise the last weight by {number(nudge)}, and the loss
        must rise by {number(nudge)} times that weight's gradient.""")
    layer.weight[1, 1] += nudge
    change = float(np.sum((layer(saved.input) - output) * upstream))
    show("gradient of that weight", gradients["weight"][1, 1])
    show("change of the loss", change)


def section_layer_norm() -> None:
    """Normalize two vectors that differ by a shift."""
    heading("LayerNorm: mean zero, spread one")
    norm = LayerNorm(4, dtype="float64")
    x = np.array([[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 6.0, 6.0]])
    say("""Each vector on its own: take its mean away, divide by its spread. Two vectors that
        differ only by a shift come out the same.""")
    show("x", x)
    show("means", x.mean(axis=1))
    show("spreads", x.std(axis=1))
    show("normalized", norm(x))
    say("""They are a hair short of whole numbers: a tiny eps stands under the root, so that
        nothing is divided by zero when all features are equal. A learned weight and bias then
        stretch and shift each feature; a fresh layer has them at one and zero.""")
    show("weight, as it starts", norm.weight)
    show("bias, as it starts", norm.bias)


def section_layer_norm_backward() -> None:
    """Show the two averages that LayerNorm's gradient loses."""
    heading("LayerNorm backwards: the forgotten paths")
    norm = LayerNorm(4, dtype="float64")
    x = np.array([[0.0, 0.0, 4.0, 4.0]])
    upstream = np.array([[1.0, 0.0, 0.0, 0.0]])
    _, saved = norm.forward(x)
    grad_input, _ = norm.backward(upstream, saved)
    say("""Only the first output matters to this loss. It is tempting to divide its slope by the
        spread and be done. But every input also moves the mean and the spread, and through them
        the first output.""")
    show("upstream g", upstream)
    show("g / spread, too simple", upstream * saved.inverse_std)
    show("gradient of x", grad_input)
    say("""The gradient sums to zero, because a shift of x changes nothing. It is also at right
        angles to the normalized x, because a stretch changes nothing.""")
    show("sum of the gradient", grad_input.sum())
    show("product with normalized x", float(np.sum(grad_input * saved.normalized)))


def vector_sum(rows: Array, chosen: Array) -> str:
    """Write the sum of the chosen rows as it would be written on paper."""
    terms = [f"({', '.join(number(value) for value in row)})" for row in rows[chosen]]
    total = f"({', '.join(number(value) for value in rows[chosen].sum(axis=0))})"
    return f"{' + '.join(terms)} = {total}"


def section_embedding() -> None:
    """Look up tokens, one of them twice."""
    heading("Embedding: taking rows of a table")
    table_layer = Embedding(4, 2, rng=np.random.default_rng(0), dtype="float64")
    table_layer.weight[...] = [[0.0, 0.0], [1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    ids = np.array([1, 3, 1])
    output, saved = table_layer.forward(ids)
    upstream = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    _, gradients = table_layer.backward(upstream, saved)
    say("A token is a number, and its vector is the row of that number.")
    show("table", table_layer.weight)
    show("ids", ids)
    show("output", output)
    say(f"""Backwards each row receives the slopes of every place it was used. Row {ids[0]} was
        taken twice, so its slopes add: {vector_sum(upstream, ids == ids[0])}.""")
    show("upstream g", upstream)
    show("gradient of the table", gradients["weight"])
    lossy = np.zeros_like(table_layer.weight)
    lossy[ids] += upstream
    say("""NumPy's `grad[ids] += g` looks right and keeps only the last of them, a classic bug:""")
    show("with the bug", lossy)


def section_positions() -> None:
    """Print the sinusoids for four features."""
    heading("PositionalEncoding: a clock for each pair of features")
    size = 4
    layer = PositionalEncoding(8, size, dtype="float64")
    waves = layer(np.zeros((4, size)))
    angles = np.arctan2(waves[:, 0::2], waves[:, 1::2])
    say(f"""Added to an all-zero input, the layer shows its table. With {size} features there are
        {size // 2} clock hands; sine and cosine say where a hand points.""")
    names = ("sin, fast", "cos, fast", "sin, slow", "cos, slow")
    columns = {name: waves[:, i] for i, name in enumerate(names)}
    table({"position": np.arange(len(waves)), **columns})
    fast, slow = angles[1]
    say(f"""From one position to the next the first hand turns by {number(fast)} radian, the second
        by {number(slow)}. No two rows are alike.""")
    say("""The product of two rows depends only on how far apart they are, wherever they stand:""")
    show("rows two apart, early", waves[0] @ waves[2])
    show("rows two apart, later", waves[1] @ waves[3])


def section_dropout() -> None:
    """Drop values while training, and let all pass when evaluating."""
    heading("Dropout: on with a generator, off without")
    layer = Dropout(0.5)
    x = np.arange(1.0, 9.0)
    output, saved = layer.forward(x, rng=np.random.default_rng(0))
    upstream = np.arange(8.0, 0.0, -1.0)
    grad_input, _ = layer.backward(upstream, saved)
    say(f"""In training each value is set to zero with probability {number(layer.rate)}, and the
        others are multiplied by `1 / (1 - rate)`, so that the expected value is kept; a few
        values are too few to show it.""")
    show("x", x)
    show("training", output)
    show("saved.mask", saved.mask if saved.mask is not None else "none")
    show("evaluating", layer(x))
    say("Backward uses the same mask: what was dropped gets no slope, the others twice theirs.")
    show("upstream slopes", upstream)
    show("gradient of x", grad_input)


def section_initial_values() -> None:
    """Say how weights start."""
    heading("How the weights start")
    weight = Linear(256, 256, rng=np.random.default_rng(0)).weight
    say(f"""Weights are drawn from a normal distribution with standard deviation
        {number(INITIAL_STD)}, biases start at zero. The {number(weight.size)} weights of a layer
        with {len(weight)} inputs and as many outputs:""")
    show("mean", float(weight.mean()))
    show("standard deviation", float(weight.std()))


def section_gradient_checks() -> None:
    """Check every layer's backward pass by nudging."""
    heading("Every backward pass, tried by nudging")
    rng = np.random.default_rng(1)
    layers: dict[str, tuple[Module, Array]] = {
        "Linear": (Linear(4, 3, rng=rng, dtype="float64"), rng.normal(size=(2, 3, 4))),
        "LayerNorm": (LayerNorm(4, dtype="float64"), rng.normal(size=(2, 3, 4))),
        "Embedding": (Embedding(5, 4, rng=rng, dtype="float64"), np.array([[1, 3, 1]])),
        "PositionalEncoding": (PositionalEncoding(5, 4, dtype="float64"), rng.normal(size=(3, 4))),
        "Dropout": (Dropout(0.5), rng.normal(size=(2, 3, 4))),
    }
    bounds = (1e-6, 1e-8)
    say(f"""Every number of every input and parameter is moved up and down, and the change of the
        loss is compared with the gradient. Here is whether the largest error, as a share of the
        largest gradient, is below {power_of_ten(bounds[0])}, and whether it is below
        {power_of_ten(bounds[1])}.""")
    checks = {}
    for name, (layer, x) in layers.items():
        randomize_parameters(layer, rng)
        checks[name] = check_layer(layer, x, rng=rng, dropout_seed=0)
    table(
        {
            "layer": list(checks),
            "arrays checked": [len(check.errors) for check in checks.values()],
            **{
                f"below {power_of_ten(bound)}": [yes(c.error < bound) for c in checks.values()]
                for bound in bounds
            },
        }
    )


def main() -> None:
    """Walk through the five layers."""
    title("Layers: Linear, LayerNorm, Embedding, PositionalEncoding, Dropout")
    section_linear()
    section_linear_backward()
    section_layer_norm()
    section_layer_norm_backward()
    section_embedding()
    section_positions()
    section_dropout()
    section_initial_values()
    section_gradient_checks()
