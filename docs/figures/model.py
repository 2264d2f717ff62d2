"""The figures of the page on the whole model."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from literategpt import load_pretrained
from literategpt.activations import softmax
from literategpt.demos.pocket import POCKET_WORDS, pocket_model, pocket_tokens
from literategpt.model import GPTConfig, GPTModel, cross_entropy_loss
from literategpt.types import Array
from pagetools.drawing import SENTENCE, SMALL, box, label
from pagetools.svg import Axis, Line, Picture, line_chart


def pipeline() -> Picture:
    """Draw the whole model, from ids to probabilities, with the table used at both ends."""
    picture = Picture(height=446)
    left, width = 190, 176
    middle = left + width / 2
    rows = (
        (2, "token ids", "(B, T)", "neutral"),
        (82, "vectors of the tokens", "(B, T, C)", "residual"),
        (162, "residual stream", "(B, T, C)", "residual"),
        (242, "after the last norm", "(B, T, C)", "residual"),
        (322, "logits", "(B, T, V)", "neutral"),
        (402, "probabilities", "(B, T, V)", "neutral"),
    )
    steps = (
        ("take the row of each id", "", "residual"),
        ("add the row", "of each position", "residual"),
        ("blocks 0 to 3,", "the last LayerNorm", "residual"),
        ("head: each vector", "with each row", "neutral"),
        ("softmax along V", "", "neutral"),
    )
    for y, name, shape, colour in rows:
        box(picture, left, y, width, name, shape, colour)
    for (y, *_), (first, second, colour) in zip(rows, steps, strict=False):
        picture.arrow([(middle, y + 46), (middle, y + 76)], colour=colour)
        if second:
            picture.text(middle + 12, y + 58, first, size=SMALL)
            picture.text(middle + 12, y + 73, second, size=SMALL)
        else:
            picture.text(middle + 12, y + 66, first, size=SMALL)
    # One table, used at both ends.
    box(picture, 4, 162, 120, "token table", "(V, C)", "neutral")
    picture.arrow([(64, 158), (64, 62), (middle - 6, 62)])
    picture.arrow([(64, 208), (64, 304), (middle - 6, 304)])
    picture.text(8, 50, "for the lookup", size=SMALL)
    picture.text(8, 326, "for the head", size=SMALL)
    return picture


# --- the logit lens -------------------------------------------------------------------------------


class Lens(NamedTuple):
    """What the head makes of the stream at each depth, on the sentence."""

    labels: tuple[str, ...]  # the tokens that are read
    favourites: tuple[tuple[str, ...], ...]  # one row a depth
    chances: Array  # (L + 1, T), of the favourites
    echoes: Array  # (L + 1, T), whether the favourite is the token just read
    hits: Array  # (L + 1, T - 1), whether the favourite came


def streams_of(model: GPTModel, tokens: Array) -> list[Array]:
    """Return the stream before the first block and after each block, each (B, T, C)."""
    _, saved = model.forward(tokens)
    streams = [block.input for block in saved.blocks]
    return [*streams, model.blocks[-1](streams[-1])]


@lru_cache(maxsize=1)
def look() -> Lens:
    """Read the stream of the trained model at each depth, through the last norm and the head."""
    model, tokenizer = load_pretrained()
    ids = np.array([tokenizer.encode(SENTENCE)])
    logits = [model.unembed(model.final_norm(x))[0] for x in streams_of(model, ids)]
    chances = softmax(np.stack(logits))
    best = chances.argmax(axis=-1)
    return Lens(
        tuple(label(tokenizer.decode([number])) for number in ids[0]),
        tuple(tuple(label(tokenizer.decode([number])) for number in row) for row in best),
        chances.max(axis=-1),
        best == ids,
        best[:, :-1] == ids[:, 1:],
    )


def lens() -> Picture:
    """Draw the favourite next token at each depth, a row for each token that is read."""
    seen = look()
    depths = len(seen.favourites)
    top, cell, height, left = 58, 76.0, 25, 92
    picture = Picture(top + height * len(seen.labels) + 6)
    picture.text(left - 8, 16, "after", anchor="end", size=SMALL)
    picture.text(left + cell * depths / 2, 16, "favourite next token, read", anchor="middle")
    names = [("before", 0), *(("after", i) for i in range(depths - 1))]
    for depth, (word, block) in enumerate(names):
        at = left + cell * (depth + 0.5)
        picture.text(at, 34, word, anchor="middle", size=SMALL)
        picture.text(at, 50, f"block {block}", anchor="middle", size=SMALL)
    for t, token in enumerate(seen.labels):
        y = top + height * t
        picture.text(left - 8, y + 17, token, anchor="end", code=True, size=SMALL)
        for depth in range(depths):
            x = left + cell * depth
            chance = float(seen.chances[depth, t])
            picture.rectangle(
                x + 1, y, cell - 2, height - 2, colour="neutral", opacity=0.35 * chance,
                outline=bool(seen.echoes[depth, t]),
            )  # fmt: skip
            hit = t + 1 < len(seen.labels) and bool(seen.hits[depth, t])
            token = seen.favourites[depth][t] + (" ✓" if hit else "")
            picture.text(x + cell / 2, y + 16, token, anchor="middle", code=True, size=11.5)
    return picture


# --- backward -------------------------------------------------------------------------------------


def paths() -> Picture:
    """Draw the two paths on which the slopes reach the token table."""
    picture = Picture(height=212)
    box(picture, 4, 150, 104, "ids", "(B, T)", "neutral")
    box(picture, 128, 150, 104, "x", "(B, T, C)", "residual")
    box(picture, 252, 150, 104, "h", "(B, T, C)", "residual")
    box(picture, 376, 150, 100, "logits", "(B, T, V)", "neutral")
    box(picture, 200, 4, 120, "token table", "(V, C)", "neutral")
    picture.line([(108, 171), (128, 171)])
    picture.arrow([(252, 164), (234, 164)], colour="gradient")
    picture.arrow([(376, 164), (358, 164)], colour="gradient")
    picture.arrow([(180, 146), (224, 50)], colour="gradient")
    picture.arrow([(426, 146), (306, 50)], colour="gradient")
    picture.text(190, 100, "Yᵀ dx", anchor="end", colour="gradient")
    picture.text(388, 100, "dZᵀ h", colour="gradient")
    picture.text(244, 208, "blocks, norm", anchor="middle", size=SMALL)
    picture.text(366, 208, "head", anchor="middle", size=SMALL)
    return picture


def contributions() -> tuple[Array, Array]:
    """Return the pocket table's two gradients, through the head and through the lookup, (V, C)."""
    model = pocket_model()
    logits, saved = model.forward(pocket_tokens("dog bites man"))
    _, grad_logits = cross_entropy_loss(logits, pocket_tokens("bites man ."))
    total = model.backward(grad_logits, saved)["token_embedding.weight"]
    _, head = model.unembed_backward(grad_logits, saved.head)
    return head["token_embedding.weight"], total - head["token_embedding.weight"]


def two_gradients() -> Picture:
    """Draw the lengths of both gradients of each row of the pocket model's table."""
    lengths = [np.linalg.norm(part, axis=-1) for part in contributions()]
    largest = max(part.max() for part in lengths)
    row, left, full = 46, 78, 300
    picture = Picture(row * len(POCKET_WORDS) + 38)
    for i, word in enumerate(POCKET_WORDS):
        y = 4 + row * i
        picture.text(left - 8, y + 24, word, anchor="end", code=True)
        for k, (part, opacity) in enumerate(zip(lengths, (0.85, 0.3), strict=True)):
            length = full * float(part[i]) / largest
            name = ("head", "lookup")[k]
            if length:
                picture.rectangle(
                    left, y + 2 + 18 * k, length, 15, colour="gradient", opacity=opacity
                )
            text = f"{part[i]:.3f} {name}" if length else f"0 {name}"
            picture.text(left + length + 8, y + 14 + 18 * k, text, size=SMALL)
    picture.line([(left, 0), (left, row * len(POCKET_WORDS))])
    picture.text(left, picture.height - 10, "length of the row's gradient (nats per unit)")
    return picture


# --- charts ---------------------------------------------------------------------------------------


def echo_share(scale: float, seed: int) -> Array:
    """Return at each depth how often a new model's favourite is the token just read, (L + 1,)."""
    model = GPTModel(GPTConfig(position_scale=scale), rng=np.random.default_rng(seed))
    tokens = np.random.default_rng(seed).integers(len(model.token_embedding.weight), size=(4, 64))
    best = [model.unembed(model.final_norm(x)).argmax(-1) for x in streams_of(model, tokens)]
    return np.array([np.mean(one == tokens) for one in best])


def echo() -> Picture:
    """Draw how often a new model echoes, by depth, for three loudnesses of the positions."""
    styles = ((0.0, "0", None), (0.02, "0.02", "7 3"), (0.2, "0.2", "2 3"))
    lines = []
    for scale, name, dash in styles:
        share = np.mean([echo_share(scale, seed) for seed in range(3)], axis=0)
        lines.append(Line(range(len(share)), 100 * share, "residual", f"scale {name}", dash))
    return line_chart(
        lines, Axis("blocks passed"), Axis("favourite is the token read", "%", (0, 100))
    )


def first_loss() -> Picture:
    """Draw the loss of a new model against the size of its logits, measured and predicted."""
    model = GPTModel(GPTConfig(), rng=np.random.default_rng(0))
    tokens = np.random.default_rng(1).integers(2000, size=(8, 65))
    spreads, losses, predicted = [], [], []
    for factor in (1, 2, 5, 10, 15, 20, 25, 30):
        model.final_norm.weight[...] = factor
        logits = model(tokens[:, :-1])
        variance = float(logits.astype("float64").var(axis=-1).mean())
        spreads.append(variance**0.5)
        losses.append(cross_entropy_loss(logits, tokens[:, 1:])[0])
        predicted.append(np.log(2000) + variance / 2)
    lines = [
        Line(spreads, losses, "residual", "measured"),
        Line(spreads, predicted, "neutral", "ln V + half the variance", "6 4"),
    ]
    return line_chart(
        lines, Axis("spread of the logits", limits=(0, 7)), Axis("loss", "nats", (0, 32))
    )


def cost() -> Picture:
    """Draw the arithmetic of a token in the default model against the length of the text."""
    config = GPTConfig()
    size, layers = config.embedding_dim, config.num_layers
    lengths = [0, 2048]
    mixing = [4 * layers * length * size / 1e6 for length in lengths]
    matrices = [24 * layers * size**2 / 1e6] * 2
    head = [2 * config.vocabulary_size * size / 1e6] * 2
    lines = [
        Line(lengths, mixing, "attention", "scores, mixing"),
        Line(lengths, matrices, "neutral", "matrices", "7 3"),
        Line(lengths, head, "neutral", "head", "2 3"),
    ]
    return line_chart(lines, Axis("tokens to look at"), Axis("per token", "MFLOPs", (0, 4.5)))
