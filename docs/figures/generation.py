"""The figures of the page on writing text."""

from functools import lru_cache

import numpy as np

from literategpt import apply_temperature, load_pretrained, softmax, top_p_filter
from literategpt.types import Array
from pagetools.drawing import SENTENCE, SMALL, box
from pagetools.svg import Axis, Line, Picture, line_chart

LOGITS = np.log([[8.0, 4.0, 2.0, 1.0, 1.0]])
"""The five tokens of the example by hand."""


def turn() -> Picture:
    """Draw one turn of the loop, from token ids to one more of them."""
    picture = Picture(height=316)
    box(picture, 4, 4, 136, "token ids", "(B, T)", "neutral")
    picture.arrow([(144, 25), (168, 25)])
    box(picture, 172, 4, 136, "model", "steps 2 to 7", "residual")
    picture.arrow([(312, 25), (336, 25)])
    box(picture, 340, 4, 136, "logits", "(B, T, V)", "neutral")
    picture.arrow([(408, 50), (408, 80)])
    picture.text(400, 69, "last row", anchor="end", size=SMALL)
    box(picture, 340, 84, 136, "logits", "(B, V)", "neutral")
    picture.arrow([(408, 130), (408, 184)])
    for i, name in enumerate(("temperature,", "then top-k,", "then top-p")):
        picture.text(400, 144 + 17 * i, name, anchor="end", size=SMALL)
    box(picture, 340, 188, 136, "logits", "(B, V)", "neutral")
    picture.arrow([(408, 234), (408, 264)])
    picture.text(400, 253, "softmax", anchor="end", size=SMALL)
    box(picture, 340, 268, 136, "probabilities", "(B, V)", "attention")
    picture.arrow([(336, 289), (242, 289)])
    picture.text(289, 281, "draw", anchor="middle", size=SMALL)
    box(picture, 102, 268, 136, "next token", "(B,)", "neutral")
    picture.arrow([(98, 289), (72, 289), (72, 50)])
    picture.text(80, 170, "append", size=SMALL)
    return picture


def temperatures() -> Picture:
    """Draw the five probabilities at three temperatures, and what top-p keeps of each."""
    picture = Picture(height=218)
    full, bottom = 170.0, 166.0
    for group, (temperature, name) in enumerate(((0.5, "½"), (1.0, "1"), (2.0, "2"))):
        left = 12 + 158 * group
        heated = apply_temperature(LOGITS, temperature)
        probabilities = softmax(heated)[0]
        kept = int(np.isfinite(top_p_filter(heated, 0.75)).sum())
        picture.text(left + 70, 14, f"temperature {name}", anchor="middle", size=SMALL)
        for i, (token, p) in enumerate(zip("abcde", probabilities, strict=True)):
            x, height = left + 28 * i, full * float(p)
            picture.rectangle(x, bottom - height, 24, height, colour="attention", opacity=0.8)
            picture.text(x + 12, bottom - height - 5, f"{p:.2f}"[1:], anchor="middle", size=12)
            picture.text(x + 12, bottom + 16, token, anchor="middle", code=True, size=SMALL)
        end = left + 28 * kept - 4
        picture.line([(left, bottom + 26), (end, bottom + 26)], colour="text", width="2.5")
        picture.text(left, bottom + 44, f"kept: {kept}", size=SMALL)
    return picture


def draw_triangle(picture: Picture, left: float, title: str, computed_from: int) -> None:
    """Draw the table of four queries and four keys; rows before the given one are kept."""
    cell, top = 34, 46
    picture.text(left + 2 * cell, 14, title, anchor="middle")
    picture.text(left + 2 * cell, 36, "keys", anchor="middle", size=SMALL, colour="key")
    for i in range(4):
        for j in range(i + 1):
            opacity = 0.45 if i >= computed_from else 0.0
            picture.rectangle(
                left + cell * j, top + cell * i, cell - 3, cell - 3,
                colour="attention", opacity=opacity, outline=True,
            )  # fmt: skip
        picture.text(left - 8, top + cell * i + 21, f"{i}", anchor="end", size=SMALL)
        picture.text(left + cell * i + 15, top + 4 * cell + 14, f"{i}", anchor="middle", size=SMALL)
    picture.text(left - 28, top + 2 * cell, "queries", anchor="middle", turned=True, size=SMALL)


def cache() -> Picture:
    """Draw which scores are computed when the fourth token has come, without a cache and with."""
    picture = Picture(height=202)
    draw_triangle(picture, 62, "without a cache", 0)
    draw_triangle(picture, 300, "with the cache", 3)
    return picture


def judge(texts: Array, start: int) -> tuple[float, float]:
    """Return the mean surprise and the mean entropy of what was written from `start` on."""
    model, _ = load_pretrained()
    logs = np.log(softmax(model(texts)[:, start - 1 : -1].astype("float64")))
    surprise = -np.take_along_axis(logs, texts[:, start:, None], -1)
    return float(surprise.mean()), float(-np.sum(np.exp(logs) * logs, axis=-1).mean())


@lru_cache(maxsize=1)
def by_temperature() -> list[tuple[float, float, float]]:
    """Let the model write at several temperatures: temperature, surprise and entropy."""
    model, tokenizer = load_pretrained()
    prompts = np.array([tokenizer.encode(SENTENCE)] * 16)
    rows = []
    for temperature in (0.0, 0.3, 0.5, 0.8, 1.0, 1.2, 1.5):
        rng = np.random.default_rng(0)
        texts = model.generate(prompts, 100, temperature, rng=rng)
        rows.append((temperature, *judge(texts, prompts.shape[1])))
    return rows


def surprise() -> Picture:
    """Draw surprise and entropy of written text against the temperature."""
    temperatures_, surprises, entropies = zip(*by_temperature(), strict=True)
    lines = [
        Line(temperatures_, surprises, "text", "surprise"),
        Line(temperatures_, entropies, "neutral", "entropy", "6 4"),
    ]
    return line_chart(lines, Axis("temperature"), Axis("per token", "nats", (0, 6)))


@lru_cache(maxsize=1)
def greedy_chances() -> list[float]:
    """Return the probability of each token of the greedy text when it was taken."""
    model, tokenizer = load_pretrained()
    prompt = np.array([tokenizer.encode(SENTENCE)])
    text = model.generate(prompt, 120, temperature=0)
    p = softmax(model(text)[0].astype("float64"))
    start = prompt.shape[1]
    return [float(p[i - 1, text[0, i]]) for i in range(start, text.shape[1])]


def circling() -> Picture:
    """Draw the probability of each token of the greedy text against its place."""
    chances = greedy_chances()
    line = Line(range(1, len(chances) + 1), chances, "text", "the token that was taken")
    return line_chart(
        [line], Axis("token of the greedy text"), Axis("probability", limits=(0, 1)), height=240
    )
