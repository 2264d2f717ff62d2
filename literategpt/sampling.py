"""From scores to the next token: temperature, top-k, top-p, and the draw itself.

Each is a pure function of logits of shape (B, V); each row of the batch is on its own.
They are applied in this order: temperature first, then top-k, then top-p on what is left.
A token that a filter removes gets a logit of minus infinity, and so a probability of exactly 0.
"""

import numpy as np

from literategpt.activations import softmax
from literategpt.types import Array

__all__ = ["apply_temperature", "sample", "top_k_filter", "top_p_filter"]


def check_logits(logits: Array) -> None:
    """Refuse logits that are not (B, V) floating-point numbers, or from which nothing can be drawn.

    Raises:
        ValueError: The shape or the dtype, as given; or a row with NaN, with plus infinity, or
            without any finite logit.
    """
    if logits.ndim != 2 or not np.issubdtype(logits.dtype, np.floating):
        raise ValueError(
            f"expected floating-point logits of shape (B, V), got {logits.dtype} {logits.shape}"
        )
    if not np.isfinite(np.max(logits, axis=-1)).all():
        raise ValueError("expected logits without NaN or infinity, with one finite a row")


def keep_largest(logits: Array, count: Array) -> Array:
    """Keep as many logits of each row as `count` says, the largest; remove the others.

    (B, V), (B, 1) -> (B, V)

    Of equal logits at the border those that come first are kept.

    Examples:
        >>> print(keep_largest(np.array([[1.0, 3.0, 1.0, 2.0]]), np.array([[3]])))
        [[  1.   3. -inf   2.]]
    """
    size = logits.shape[-1]
    smallest = np.take_along_axis(np.sort(logits, axis=-1), size - np.minimum(count, size), -1)
    above, border = logits > smallest, logits == smallest
    # Give the places that are left to the first of those at the border.
    left = count - np.sum(above, axis=-1, keepdims=True)
    kept = above | (border & (np.cumsum(border, axis=-1) <= left))
    return np.where(kept, logits, -np.inf).astype(logits.dtype, copy=False)


def top_k_filter(logits: Array, k: int) -> Array:
    """Keep the k largest logits of each row and remove the others.

    (B, V) -> (B, V)

    Exactly k are kept: among equal logits at the border, those that come first.
    A k above V keeps everything.

    Args:
        logits: Scores of the next token.
        k: How many to keep, at least 1.

    Returns:
        A new array, minus infinity where a token was removed.

    Raises:
        ValueError: k is not a positive integer.

    Reference:
        Fan, Lewis and Dauphin 2018, arXiv:1805.04833, section 5.4.

    Examples:
        >>> print(top_k_filter(np.array([[8.0, 4.0, 2.0, 1.0, 1.0]]), 2))
        [[  8.   4. -inf -inf -inf]]
    """
    check_logits(logits)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"expected top_k to be a positive integer, got {k!r}")
    return keep_largest(logits, np.full((len(logits), 1), k))


def apply_temperature(logits: Array, temperature: float) -> Array:
    """Divide the logits: below 1 their differences grow, above 1 they shrink.

    (B, V) -> (B, V)

    The largest logit of a row is taken away first, which changes no probability.

    Temperature 0 keeps only the largest logit, the first of them where several are equal: drawing
    from what is left is greedy decoding.

    Args:
        logits: Scores of the next token.
        temperature: A finite number, 0 or above.

    Returns:
        A new array.

    Raises:
        ValueError: The temperature is negative or not finite.

    Examples:
        >>> logits = np.log([[8.0, 4.0, 2.0, 1.0, 1.0]])
        >>> print(softmax(apply_temperature(logits, 2.0)).round(3))
        [[0.343 0.243 0.172 0.121 0.121]]
        >>> print(softmax(apply_temperature(logits, 0.0)))
        [[1. 0. 0. 0. 0.]]
    """
    check_logits(logits)
    if not (0.0 <= temperature < float("inf")):
        raise ValueError(f"expected a finite temperature of 0 or above, got {temperature}")
    if temperature == 0.0:
        return top_k_filter(logits, 1)
    # Take the largest logit away first, and divide in float64: a tiny temperature must make
    # neither an infinity out of it nor a 0 out of itself.
    shifted = logits - np.max(logits, axis=-1, keepdims=True)
    with np.errstate(over="ignore"):
        scaled: Array = (shifted.astype(np.float64) / temperature).astype(logits.dtype)
    return scaled


def top_p_filter(logits: Array, p: float) -> Array:
    """Keep the fewest tokens, likeliest first, that together reach the probability p.

    (B, V) -> (B, V)

    The token that crosses p is kept.
    A token is kept if the mass before it is below p by more than 4 V times the dtype's rounding
    unit, so that a sum which reaches p exactly does so in every dtype.
    So the kept mass can fall short of p by that much: 0.001 for 2,000 tokens in float32.
    The likeliest token is always kept, and p = 1 keeps everything.

    Args:
        logits: Scores of the next token.
        p: The mass to reach, above 0 and at most 1.

    Returns:
        A new array, minus infinity where a token was removed.

    Raises:
        ValueError: p is not in (0, 1].

    Reference:
        Holtzman et al. 2020, arXiv:1904.09751, section 3.1.

    Examples:
        >>> logits = np.log([[8.0, 4.0, 2.0, 1.0, 1.0]])
        >>> print((top_p_filter(logits, 0.75) > -np.inf).astype(int))  # 8/16 + 4/16 is 0.75
        [[1 1 0 0 0]]
    """
    check_logits(logits)
    if not 0.0 < p <= 1.0:
        raise ValueError(f"expected top_p above 0 and at most 1, got {p}")
    if p == 1.0:
        return logits.copy()
    probabilities = softmax(np.sort(logits, axis=-1)[:, ::-1])
    mass_before = np.cumsum(probabilities, axis=-1) - probabilities
    tolerance = 4.0 * float(np.finfo(logits.dtype).eps) * logits.shape[-1]
    count = np.sum(mass_before < p - tolerance, axis=-1, keepdims=True)
    return keep_largest(logits, np.maximum(count, 1))


def sample(logits: Array, rng: np.random.Generator) -> Array:
    """Draw one token for each row, with the probabilities that the logits stand for.

    (B, V) -> (B,)

    Args:
        logits: Scores of the next token; one of minus infinity is never drawn.
        rng: One uniform number is drawn for each row.

    Returns:
        Token ids.

    Raises:
        ValueError: A row has NaN or plus infinity, or no finite logit.

    Examples:
        >>> logits = np.log([[0.5, 0.25, 0.25]]).repeat(1000, axis=0)
        >>> drawn = sample(logits, np.random.default_rng(0))
        >>> print(np.bincount(drawn))
        [473 260 267]
    """
    check_logits(logits)
    # Walk along the cumulative probabilities until they pass a uniform number.
    cumulative = np.cumsum(softmax(logits.astype(np.float64)), axis=-1)
    threshold = rng.random((len(logits), 1)) * cumulative[:, -1:]
    drawn: Array = np.argmax(cumulative > threshold, axis=-1)
    return drawn
