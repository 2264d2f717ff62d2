r"""The pocket model: a whole GPT of 200 parameters, small enough to follow with a pencil.

It is a `GPTModel` like any other: five tokens, four features, two heads of two features, one block,
eight hidden units, a tied head.
The sentence is `dog bites man .`, and each page of the book takes up what the page before printed.
Every weight is a whole number of tenths, many are 0, and the arithmetic is in float64, so that what
you compute by hand is what the package prints.

**What was chosen.**
The words are whole tokens, with `<EOS>` for the end of the text; the special token comes first and
the rest by code point, as in `BPETokenizer`, so that a word's id is not its place in the sentence.
Positions are sinusoids of amplitude 1, `position_scale=1.0`: their rows have the length 1.41, the
rows of the token table 1.45 to 1.66, so neither drowns the other.
Biases are 0 and gains 1, as in a new model, except for three biases of the hidden units.

**How the weights were found.**
By a search over tenths, in three stages: the token table, the queries and keys of each head, the
rest.
Fewer and smaller numbers were better, and these properties decided; tests hold all but the last.

- `dog` and `man` are near each other in the token table, no other two words are.
- Of two or more tokens, head 0 looks most at the one before and head 1 most at its own, in
  `dog bites man` and in `man bites dog`.
- On the path of `dog bites man` no number that is printed is below 0.02 in size and none above 2.5,
  except scores, and no norm is given a vector with a spread below 0.45.
- GELU sees both signs at every token, and the feed-forward network changes the model's choice.
- The model is wrong: it gives the full stop after `dog bites man` less than a tenth, and its loss
  is above that of a guess, ln 5 = 1.609.
- No gradient rounds to 0 at three digits, except those of the key biases, which are exactly 0.
- No number is so near to a rounding border that the last bits of a machine would show.
- Of the candidates that were left, its loss falls furthest in one step of AdamW.

One pass, page by page; on the pages the same lines run again.

1. Tokenization: a text is a row of ids.

    >>> from literategpt import AdamW, apply_lora, cross_entropy_loss, softmax
    >>> tokens = pocket_tokens("dog bites man")
    >>> print(tokens)
    [[3 2 4]]

2. Embeddings: each id takes its row of the token table.

    >>> model = pocket_model()
    >>> print(model.token_embedding(tokens)[0])
    [[ 0.8  0.6 -0.3  1. ]
     [ 0.8 -1.2  0.2  0.3]
     [ 0.3  0.8 -0.6  1. ]]

3. PositionalEncoding: each place adds its row of waves. This is the block's input.

    >>> print(model.positional_encoding(model.token_embedding(tokens))[0].round(3))
    [[ 0.8    1.6   -0.3    2.   ]
     [ 1.641 -0.66   0.21   1.3  ]
     [ 1.209  0.384 -0.58   2.   ]]

4. Attention: `saved` has the queries, keys, values and weights of both heads. What attention is
   given, `saved.input.input`, is the block's input after a `LayerNorm`.

    >>> logits, saved = model.forward(tokens)
    >>> attention = saved.blocks[0].attention
    >>> print(attention.input.input[0].round(3))
    [[-0.256  0.654 -1.508  1.11 ]
     [ 1.119 -1.41  -0.454  0.744]
     [ 0.476 -0.385 -1.391  1.3  ]]
    >>> print(attention.query[0, 0].round(3))  # head 0
    [[-1.454 -1.995]
     [ 1.651  0.306]
     [-0.055 -1.333]]
    >>> print(attention.weights[0, 0].round(3))
    [[1.    0.    0.   ]
     [0.609 0.391 0.   ]
     [0.123 0.71  0.167]]
    >>> print(attention.weights[0, 1].round(3))  # head 1
    [[1.    0.    0.   ]
     [0.327 0.673 0.   ]
     [0.153 0.244 0.603]]

5. FeedForwardNetwork: `hidden` is what GELU is given.

    >>> feed_forward = saved.blocks[0].feed_forward
    >>> print(feed_forward.hidden[0, 2].round(3))  # the last token
    [-0.979  0.761  1.055  0.962 -0.733 -1.1   -0.083  0.071]
    >>> print(feed_forward.contract.input[0, 2].round(3))  # after GELU
    [-0.16   0.591  0.901  0.801 -0.17  -0.149 -0.039  0.037]

6. TransformerBlock: what comes in, what attention adds, what the feed-forward network adds.

    >>> block, x = model.blocks[0], saved.blocks[0].input
    >>> middle = x + block.attention.output(attention.output.input)
    >>> output = middle + block.feed_forward(block.feed_forward_norm(middle))
    >>> print(output[0].round(3))
    [[-0.509  0.138  0.275  0.901]
     [-0.3   -0.124  0.929  1.136]
     [-0.472 -0.109  0.818  1.111]]

7. GPTModel: the last norm, then the token table again, as the head.

    >>> print(logits[0].round(3))
    [[-1.348 -1.865 -0.532  0.143  0.783]
     [-2.348 -1.124  0.627 -0.506 -0.359]
     [-2.16  -1.214  0.332 -0.44  -0.176]]

8. Training: the model is wrong, and one step of AdamW moves all but the key biases, which
   have no gradient, by one tenth.

    >>> targets = pocket_tokens("bites man .")
    >>> loss, grad_logits = cross_entropy_loss(logits, targets)
    >>> gradients = model.backward(grad_logits, saved)
    >>> AdamW(model.trainable_parameters(), 0.1, weight_decay=0.0).step(gradients)
    >>> print(round(loss, 3), round(cross_entropy_loss(model(tokens), targets)[0], 3))
    2.015 0.811

9. TextGeneration: the last row of logits as probabilities; greedily, before and after that step.

    >>> print(dict(zip(POCKET_WORDS, softmax(logits[0, -1]).round(3).tolist(), strict=True)))
    {'<EOS>': 0.035, '.': 0.09, 'bites': 0.424, 'dog': 0.196, 'man': 0.255}
    >>> for writer in (pocket_model(), model):
    ...     print(pocket_text(writer.generate(tokens, 1, temperature=0)[0]))
    dog bites man bites
    dog bites man .

10. FineTuning: a correction of rank 1 on queries and values has 16 numbers.

    >>> apply_lora(model, rank=1, alpha=1, rng=np.random.default_rng(0))
    >>> print(sum(array.size for array in model.trainable_parameters().values()))
    16
"""

import numpy as np

from literategpt.model import GPTConfig, GPTModel
from literategpt.types import Array

__all__ = ["POCKET_WEIGHTS", "POCKET_WORDS", "pocket_model", "pocket_text", "pocket_tokens"]

POCKET_WORDS = ("<EOS>", ".", "bites", "dog", "man")
"""The vocabulary; the place of a word is its id."""

# fmt: off
POCKET_WEIGHTS: dict[str, list[list[float]] | list[float]] = {
    "token_embedding.weight": [
        [-0.2,  0.8, -0.9, -1.0],  # <EOS>
        [ 0.3,  0.5,  1.1, -1.1],  # .
        [ 0.8, -1.2,  0.2,  0.3],  # bites
        [ 0.8,  0.6, -0.3,  1.0],  # dog
        [ 0.3,  0.8, -0.6,  1.0],  # man
    ],
    "blocks.0.attention.query.weight": [
        # head 0       head 1
        [ 0.0,  1.1,    0.0,  0.0],
        [-1.3,  0.0,   -0.5,  0.0],
        [ 0.4,  0.4,    0.0, -0.9],
        [ 0.0, -1.0,    1.2,  0.7],
    ],
    "blocks.0.attention.key.weight": [
        # head 0       head 1
        [-0.3, -0.4,    0.9,  0.0],
        [-0.6,  0.0,    0.0,  0.0],
        [-0.4, -1.1,    0.0,  0.0],
        [ 1.2,  0.4,    1.0,  1.1],
    ],
    "blocks.0.attention.value.weight": [
        # head 0       head 1
        [-1.2,  0.0,   -0.9,  0.0],
        [-0.1,  0.3,   -0.2, -0.7],
        [ 0.4, -0.8,    0.2,  0.6],
        [ 0.0, -0.1,    0.0,  1.0],
    ],
    "blocks.0.attention.output.weight": [
        [ 0.9,  0.0, -0.7, -0.1],  # head 0
        [-0.3, -0.3,  0.0, -0.3],  # head 0
        [ 0.2,  0.3, -0.2,  1.0],  # head 1
        [ 0.0,  0.7,  0.2, -0.2],  # head 1
    ],
    "blocks.0.feed_forward.expand.weight": [
        [ 0.6, -0.3,  0.0, -0.7,  0.7,  0.0,  0.0, -0.4],
        [ 0.0,  0.0,  0.5,  0.0,  0.0, -1.2,  0.0,  0.1],
        [ 0.0, -0.4,  0.0,  0.1, -0.3,  0.0, -0.4,  0.0],
        [-0.1,  0.2,  0.7,  0.0,  0.0, -0.6, -0.1,  0.0],
    ],
    "blocks.0.feed_forward.expand.bias": [0.0, 0.0, 0.0, 0.0, 0.2, -0.1, 0.0, -0.5],
    "blocks.0.feed_forward.contract.weight": [
        [-0.3,  0.0,  0.0,  1.0],
        [ 0.3, -0.9,  0.0, -0.8],
        [-0.8, -0.1,  0.3,  0.0],
        [ 0.0, -0.1,  0.0,  0.7],
        [ 0.0,  0.3,  0.0,  0.4],
        [-0.6,  0.0,  0.0,  0.3],
        [-0.2,  0.0,  0.1,  0.0],
        [-0.3, -0.7,  0.3,  0.0],
    ],
}
# fmt: on
"""Every array that is not all zeros (a bias) or all ones (a gain), under its name in the model."""


def pocket_tokens(text: str) -> Array:
    """Look up the id of each word, (1, T).

    Args:
        text: Words of `POCKET_WORDS`, with spaces between them.

    Returns:
        A batch of one row, as the model takes it.

    Raises:
        ValueError: A word is not in the vocabulary.

    Examples:
        >>> pocket_tokens("man bites dog . <EOS>")
        array([[4, 2, 3, 1, 0]])
    """
    words = text.split()
    for word in words:
        if word not in POCKET_WORDS:
            raise ValueError(f"expected words among {', '.join(POCKET_WORDS)}, got {word!r}")
    return np.array([[POCKET_WORDS.index(word) for word in words]], np.int64)


def pocket_text(tokens: Array) -> str:
    """Write a row of ids, (T,), as words with spaces between them.

    Examples:
        >>> pocket_text(np.array([3, 2, 4, 1]))
        'dog bites man .'
    """
    return " ".join(POCKET_WORDS[token] for token in tokens)


def pocket_model() -> GPTModel:
    """Make the pocket model, each time anew, so that training one leaves the next as it was.

    Examples:
        >>> model = pocket_model()
        >>> model.num_parameters()
        200
        >>> print(model.token_embedding.weight[POCKET_WORDS.index("dog")])
        [ 0.8  0.6 -0.3  1. ]
    """
    config = GPTConfig(
        vocabulary_size=len(POCKET_WORDS),
        max_sequence_length=6,
        embedding_dim=4,
        num_heads=2,
        num_layers=1,
        feed_forward_dim=8,
        position_scale=1.0,
        dtype="float64",
    )
    model = GPTModel(config, rng=np.random.default_rng(0))
    # Write over what was drawn; gains are 1 and all other biases 0 from the start.
    parameters = model.named_parameters()
    for name, weights in POCKET_WEIGHTS.items():
        parameters[name][...] = weights
    return model
