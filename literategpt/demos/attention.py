"""The demo of `literategpt.attention`: three tokens through one head and back, then two heads."""

import math

import numpy as np

from literategpt.attention import (
    KVCache,
    MultiHeadAttention,
    create_causal_mask,
    join_heads,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
    split_heads,
)
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
from literategpt.gradcheck import check_layer, numerical_gradient, randomize_parameters
from literategpt.types import Array

TOKENS = ("first", "second", "third")
BOUND = 1e-6


def three_tokens() -> tuple[Array, Array, Array]:
    """Choose queries, keys and values whose scaled scores are ln 1, ln 2 and ln 5."""
    query = np.full((3, 4), 0.5)
    key = np.log([[1.0], [2.0], [5.0]]) * np.ones(4)
    value = np.array([[8.0, 0.0], [0.0, 8.0], [4.0, 4.0]])
    return query, key, value


def section_scores() -> None:
    """Score every query against every key."""
    heading("Scores: how well does each key answer each query?")
    query, key, _ = three_tokens()
    size = query.shape[-1]
    scores = query @ key.T
    say(f"""Take {number(len(TOKENS))} tokens, each with a query (what it looks for), a key (what it
        offers to be found by) and a value (what it gives). Here all of them ask the same. A score
        is the product of a query and a key, feature by feature, added up. It is scaled by the root
        of the number of features: with {number(size)}, divided by {number(math.sqrt(size))}.""")
    show("query of each token", query[0])
    show("keys", key)
    show("scores of one query", scores[0])
    show("scaled scores", scores[0] / math.sqrt(size))
    show("e to each of them", np.exp(scores[0] / math.sqrt(size)))
    say("The keys were chosen so that e to the scaled scores gives whole numbers.")


def by_hand(weights: Array, values: Array) -> str:
    """Write a weighted sum as it would be written on paper."""
    terms = zip(weights, values, strict=True)
    return " + ".join(f"{number(weight)} * {number(value)}" for weight, value in terms)


def section_weights() -> None:
    """Turn scores into weights and average the values."""
    heading("Weights: a share for each token")
    query, key, value = three_tokens()
    output, weights = scaled_dot_product_attention(query, key, value)
    powers = weights[0] / weights[0, 0]
    terms = " + ".join(number(power, 0) for power in powers)
    say(f"""Softmax divides each of them by their total, {terms} = {number(powers.sum())}. The
        output is the average of the values under these weights.""")
    show("weights", weights[0])
    show("values", value)
    show("output", output[0])
    say(f"By hand, the first feature: {by_hand(weights[0], value[:, 0])} = {number(output[0, 0])}.")


def section_mask() -> None:
    """Forbid the future."""
    heading("The causal mask: nobody sees what comes later")
    query, key, value = three_tokens()
    mask = create_causal_mask(len(TOKENS))
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    say("""A model that predicts the next token must not look at it. The mask says where looking is
        allowed; a forbidden score becomes minus infinity before the softmax. So its weight is
        exactly zero, and the others still sum to one.""")
    show("mask, one is allowed", mask.astype(int))
    scores = query @ key.T / math.sqrt(query.shape[-1])
    show("scaled scores, masked", np.where(mask, scores, -np.inf))
    say("The table of weights: each row is a token that looks, each column one it looks at.")
    table(
        {
            "looks": TOKENS,
            **{f"at {name}": weights[:, i] for i, name in enumerate(TOKENS)},
            "sum": weights.sum(axis=-1),
        }
    )
    show("outputs", output)
    say("""The first token sees only itself and takes its own value. The last row is the one from
        above: the mask took nothing from it.""")


def section_backward() -> None:
    """Carry a gradient back to queries, keys and values."""
    heading("Backwards: along every path")
    query, key, value = three_tokens()
    mask = create_causal_mask(len(TOKENS))
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    upstream = np.zeros_like(output)
    upstream[2, 0] = 1.0
    grads = scaled_dot_product_attention_backward(upstream, query, key, value, weights)
    compared = value[:, 0] - output[2, 0]
    say("""Let the loss be the first feature of the last output. Paying a token more attention
        raises the loss as much as its value is above the output: `p * (value - output)`.""")
    show("weights p of the last row", weights[2])
    show("value - output", compared)
    show("slope of scaled scores", weights[2] * compared, digits=4)
    show("their sum", float(np.sum(weights[2] * compared)))
    say(f"""Divided by {number(math.sqrt(query.shape[-1]))}, as the scores were, they go on to the
        query and to the keys, and beside them the weights carry the loss straight to the
        values.""")
    for name, gradient in zip(("query", "key", "value"), grads, strict=True):
        show(f"gradient of {name}", gradient, digits=6)

    def loss() -> float:
        return float(np.sum(upstream * scaled_dot_product_attention(query, key, value, mask)[0]))

    say("Nudging every number of them, and watching the loss, finds the same slopes:")
    for name, array, gradient in zip(
        ("query", "key", "value"), (query, key, value), grads, strict=True
    ):
        difference = np.max(np.abs(numerical_gradient(loss, array) - gradient))
        show(f"{name}, within {power_of_ten(BOUND)}", yes(difference < BOUND))


def section_scale() -> None:
    """Show what the root of D does."""
    heading("Why divide by the root?")
    rng = np.random.default_rng(0)
    sizes, num_keys = [4, 32, 256], 8
    spreads, sharpest, sharpest_scaled = [], [], []
    for size in sizes:
        query, key = rng.normal(size=(2, 500, num_keys, size))
        spreads.append((query @ key.swapaxes(-1, -2)).std())
        # Undo the scaling inside by enlarging the queries.
        raw = scaled_dot_product_attention(query * math.sqrt(size), key, key)[1]
        sharpest.append(raw.max(axis=-1).mean())
        sharpest_scaled.append(scaled_dot_product_attention(query, key, key)[1].max(axis=-1).mean())
    say(f"""With random queries and keys of spread one, {number(num_keys)} keys for each query,
        scores spread as the root of the number of features. Unscaled, a softmax over them picks
        nearly one winner when there are many features; scaled, the mean weight of the
        winner hardly depends on the size.""")
    table(
        {
            "features": sizes,
            "spread of scores": spreads,
            "winner, unscaled": sharpest,
            "winner, scaled": sharpest_scaled,
        },
        digits=2,
    )


def section_heads() -> None:
    """Split vectors into heads, rightly and wrongly."""
    heading("Heads: each takes its part of every token")
    x = np.arange(8).reshape(1, 2, 4)
    batch, time, channels = x.shape
    num_heads = 2
    right = split_heads(x, num_heads)
    wrong = x.reshape(batch, num_heads, time, channels // num_heads)
    say(f"""Two tokens with {number(channels)} features and {number(num_heads)} heads: each head
        works on {number(channels // num_heads)} features of every token. Reshape to (B, T, H, D)
        first, then swap T and H.""")
    show("tokens", x[0])
    for head in range(num_heads):
        show(f"head {head}", right[0, head])
    show("joining undoes splitting", yes((join_heads(right) == x).all()))
    say("""Reshaping to (B, H, T, D) at once gives the same shape, and the wrong numbers: a head
        gets the two halves of one token and takes them for two tokens.""")
    for head in range(num_heads):
        show(f"wrong head {head}", wrong[0, head])
    show("shapes are the same", yes(right.shape == wrong.shape))


def section_layer() -> None:
    """Run the whole layer on random numbers."""
    heading("The layer: project, attend in every head, mix")
    rng = np.random.default_rng(0)
    layer = MultiHeadAttention(8, 2, rng=rng, dtype="float64")
    randomize_parameters(layer, rng)
    x = rng.normal(size=(1, 4, 8))
    output, saved = layer.forward(x, mask=create_causal_mask(4))
    say(f"""A layer of {number(layer.num_heads)} heads, on a sequence of {number(x.shape[1])}
        tokens, with random weights larger than those of a new layer, so that there is a pattern to
        see. Projections make queries, keys and values; one more mixes what the heads found.""")
    show("input (B, T, C)", str(x.shape))
    show("queries (B, H, T, D)", str(saved.query.shape))
    show("weights (B, H, T, T)", str(saved.weights.shape))
    show("output (B, T, C)", str(output.shape))
    say("Each head has its own pattern; both keep to the past.")
    for head, weights in enumerate(saved.weights[0]):
        show(f"weights of head {head}", weights)
    check = check_layer(layer, x, rng=rng)
    say("""The gradients of the input and of every parameter, tried by nudging; the error is a share
        of the largest gradient of each array, and where that is zero, as that of the key's bias is,
        gradient and nudged slope must be zero but for rounding:""")
    show("arrays checked", len(check.errors))
    show(f"error below {power_of_ten(BOUND)}", yes(check.error < BOUND))


def section_cache() -> None:
    """Read tokens one at a time and get the same output."""
    heading("The KV cache: read each token once")
    rng = np.random.default_rng(0)
    layer = MultiHeadAttention(8, 2, rng=rng, dtype="float64")
    randomize_parameters(layer, rng)
    x = rng.normal(size=(1, 4, 8))
    whole, _ = layer.forward(x, mask=create_causal_mask(4))
    cache = KVCache(
        1, batch_size=1, num_heads=2, max_sequence_length=4, head_dim=4, dtype="float64"
    )
    say("""Keys and values of earlier tokens do not change when a token is added: each is made from
        one token alone, and thanks to the mask that token's output, from which the next block makes
        its own, does not change either. So they are kept, and a new token brings only its own.""")
    same = []
    for t in range(x.shape[1]):
        step = layer.extend(x[:, t : t + 1], cache, layer=0)
        cache.advance(1)
        same.append(yes(np.allclose(step[:, 0], whole[:, t], rtol=0, atol=1e-9)))
    table({"token": range(len(same)), "same as all at once": same})


def main() -> None:
    """Follow three tokens through one head and back, then look at many heads."""
    title("Attention: who looks at whom, and what comes of it")
    section_scores()
    section_weights()
    section_mask()
    section_backward()
    section_scale()
    section_heads()
    section_layer()
    section_cache()
