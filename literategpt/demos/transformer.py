"""The demo of `literategpt.transformer`: the feed-forward network, and a block with its bypass."""

import math

import numpy as np

from literategpt.activations import gelu
from literategpt.demos.narration import (
    heading,
    number,
    power_of_ten,
    say,
    show,
    table,
    title,
    yes,
)
from literategpt.gradcheck import check_layer, randomize_parameters
from literategpt.layers import Linear
from literategpt.transformer import FeedForwardNetwork, TransformerBlock
from literategpt.types import Array

BOUND = 1e-6


def make_network() -> FeedForwardNetwork:
    """Make a feed-forward network with whole numbers as weights."""
    network = FeedForwardNetwork(2, 4, rng=np.random.default_rng(0), dtype="float64")
    network.expand.weight[...] = [[1.0, -1.0, 0.0, 2.0], [0.0, 1.0, 1.0, -1.0]]
    network.contract.weight[...] = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]]
    return network


def section_feed_forward() -> None:
    """Follow one vector through expand, bend, contract."""
    heading("The feed-forward network: expand, bend, contract")
    network = make_network()
    x = np.array([[1.0, 3.0]])
    output, saved = network.forward(x)
    say(f"""A vector of {number(x.size)} features is expanded to {number(saved.hidden.size)} hidden
        units, each a weighted sum. GELU lets the positive ones pass and nearly silences the
        negative ones. A second product brings the result back to size.""")
    show("x", x)
    show("expand.weight", network.expand.weight)
    show("hidden", saved.hidden)
    show("gelu(hidden)", saved.contract.input)
    show("contract.weight", network.contract.weight)
    show("output", output)


def section_position_wise() -> None:
    """Show that each token is worked on alone."""
    heading("Position-wise: the same function on each token")
    network = make_network()
    tokens = np.array([[1.0, 3.0], [0.0, 1.0], [1.0, 3.0]])
    say(f"""Take {number(len(tokens))} tokens, the last like the first. Equal tokens give equal
        results, wherever they stand.""")
    show("tokens", tokens)
    results = network(tokens)
    show("results", results)
    tokens[0] = [2.0, -1.0]
    changed = network(tokens)
    say("""Now the first token is another. Its result changes and no other does: no token knows of
        another. Attention is the only place where tokens meet.""")
    show("tokens", tokens)
    show("results", changed)
    show("the others, to the bit", yes((changed[1:] == results[1:]).all()))


def linear(x: Array, weight: Array) -> Array:
    """Apply a linear layer of a given weight."""
    layer = Linear(*weight.shape, rng=np.random.default_rng(0), dtype="float64")
    layer.weight[...] = weight
    return layer(x)


def section_collapse() -> None:
    """Multiply two weights into one."""
    heading("Without the bend, two layers are one")
    first, second = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [3.0, 1.0]])
    x = np.array([[1.0, -1.0]])
    say("""Two linear layers in a row multiply by two matrices, and that is the same as to
        multiply once, by the product of the two. However many are stacked, nothing is
        gained.""")
    show("first weight", first)
    show("second weight", second)
    show("their product", first @ second)
    show("x", x)
    show("through both", linear(linear(x, first), second))
    show("through the product", linear(x, first @ second))
    say("With GELU between them this is no longer so:")
    show("with the bend", linear(gelu(linear(x, first)), second))


def section_nothing() -> None:
    """Silence both sub-layers of a block."""
    heading("A block can do nothing")
    block = TransformerBlock(4, 2, 8, rng=np.random.default_rng(0), dtype="float64")
    x = np.array([[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 9.0]]])
    say("""A block adds to the stream what attention found, then what the feed-forward network made
        of the sum. With the last weight of each at zero, and its bias, which is zero in every new
        layer, both add nothing, and the block passes its input on to the bit.""")
    block.attention.output.weight[...] = 0.0
    block.feed_forward.contract.weight[...] = 0.0
    show("input", x[0])
    show("output", block(x)[0])
    show("equal to the bit", yes((block(x) == x).all()))
    say("""So a block whose last weights are near zero is nearly harmless, and learns a
        correction.""")


def section_data_flow() -> None:
    """List the shapes inside one block."""
    heading("The stream and its two additions")
    rng = np.random.default_rng(0)
    block = TransformerBlock(8, 2, 32, rng=rng, dtype="float64")
    x = rng.normal(size=(1, 3, 8))
    _, saved = block.forward(x)
    say("""The norms stand before the sub-layers, on the side branches; nothing stands on the stream
        itself but two additions.""")
    steps = {
        "x": saved.input,
        "attention_norm(x)": saved.attention_norm.normalized,
        "attention weights": saved.attention.weights,
        "h = x + attention": x,
        "feed_forward_norm(h)": saved.feed_forward_norm.normalized,
        "hidden units": saved.feed_forward.hidden,
        "h + feed_forward": block(x),
    }
    table({"step": list(steps), "shape": [str(array.shape) for array in steps.values()]})


def root_mean_square(x: Array) -> float:
    """Return the typical size of an array's numbers."""
    return math.sqrt(float(np.mean(x * x)))


def section_stream() -> None:
    """Measure the stream as it passes a stack of blocks."""
    heading("How the stream grows with depth")
    rng = np.random.default_rng(0)
    blocks = [TransformerBlock(16, 2, 64, rng=rng, dtype="float64") for _ in range(6)]
    stream = rng.normal(size=(1, 8, 16))
    sizes, shares = [root_mean_square(stream)], [0.0]
    for block in blocks:
        randomize_parameters(block, rng, std=0.1)
        before, stream = stream, block(stream)
        sizes.append(root_mean_square(stream))
        shares.append(root_mean_square(stream - before) / root_mean_square(before))
    say(f"""{number(len(blocks))} blocks of {number(stream.shape[-1])} features, with random weights
        larger than those of a new block. Every block reads a normalized copy, so what it adds has
        about the same size at every depth. The stream grows, and on the whole each addition becomes
        a smaller share of it. Size is the root of the mean square, and the share is of the stream
        before the block.""")
    table(
        {
            "blocks passed": range(len(sizes)),
            "size of stream": sizes,
            "share added by the last": shares,
        },
        digits=2,
    )


def section_slopes() -> None:
    """Compare a chain of slopes with and without bypasses."""
    heading("What the bypass does to gradients")
    depth, slope = 8, 0.5
    lengths = range(depth + 1)
    paths = [math.comb(depth, length) for length in lengths]
    say(f"""A model in one number: {number(depth)} sub-layers, each with slope {number(slope)}.
        Without bypasses a gradient is multiplied by all of them and fades. With them each
        sub-layer multiplies by one more than its slope.""")
    show("without bypasses", slope**depth, digits=4)
    show("with bypasses", (1.0 + slope) ** depth, digits=1)
    say(f"""Multiplied out, that is a sum over {number(sum(paths))} paths, since a gradient may pass
        through each sub-layer or by it. The table counts them by the number of sub-layers they
        pass through. One path meets none, and its slope is one whatever the weights are. The sum
        also shows that bypasses alone do not keep gradients from growing.""")
    table(
        {
            "sub-layers": lengths,
            "paths": paths,
            "slope of each": [f"{number(1)}/{number(slope**-length)}" for length in lengths],
            "together": [math.comb(depth, length) * slope**length for length in lengths],
        },
        digits=4,
    )


def section_parameters() -> None:
    """Count the parameters of a block of the default size."""
    heading("Where a block keeps its parameters")
    block = TransformerBlock(128, 4, 512, rng=np.random.default_rng(0))
    counts = {
        name: sum(array.size for array in child.named_parameters().values())
        for name, child in block.children()
        if child.named_parameters()
    }
    total = sum(counts.values())
    say("A block of the default size, part by part:")
    table(
        {
            "part": [*counts, "block"],
            "parameters": [*counts.values(), total],
            "percent": [100 * count / total for count in [*counts.values(), total]],
        },
        digits=1,
    )
    ratio = counts["feed_forward"] / counts["attention"]
    say(f"""The feed-forward network has {number(ratio, 1)} times the parameters of the
        attention.""")


def section_gradient_check() -> None:
    """Check the block's backward pass by nudging."""
    heading("The whole block backwards, tried by nudging")
    rng = np.random.default_rng(0)
    block = TransformerBlock(4, 2, 8, dropout=0.25, rng=rng, dtype="float64")
    randomize_parameters(block, rng)
    check = check_layer(block, rng.normal(size=(2, 3, 4)), rng=rng, dropout_seed=0)
    say("""Every number of the input and of every parameter is moved up and down, with dropout on
        and its mask held fixed; the error is a share of the largest gradient of each array, and
        where that is zero, as that of the key's bias is, gradient and nudged slope must be zero but
        for rounding.""")
    show("arrays checked", len(check.errors))
    show(f"error below {power_of_ten(BOUND)}", yes(check.error < BOUND))


def main() -> None:
    """Follow vectors through a feed-forward network and a block."""
    title("Transformer: one block, and what flows through it")
    section_feed_forward()
    section_position_wise()
    section_collapse()
    section_nothing()
    section_data_flow()
    section_stream()
    section_slopes()
    section_parameters()
    section_gradient_check()
