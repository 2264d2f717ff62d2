"""The figures of the page on tokenization."""

from collections import Counter
from collections.abc import Sequence

from experiments.tables import read_table
from literategpt import load_pretrained
from literategpt.corpus import load_text
from literategpt.pretrained import fables_path
from literategpt.tokenizer import BPETokenizer, learn_merges, merge_by_rank, split_words
from pagetools.drawing import SENTENCE, SMALL
from pagetools.svg import Axis, Line, Picture, line_chart

LOW = "low lower lowest"
QUESTION = "To be or not to be, that is the question."
SIZES = (128, 256, 512, 1000, 2000, 4000)
"""Vocabularies that are trained on the fables, beside the one of single characters."""

SHOWN = (0, 12, 100, 500)
"""Numbers of merges with which the sentence is cut, before all of them."""

ACCENTS = "café €"


def visible(text: str) -> str:
    """Write a space as a dot."""
    return text.replace(" ", "·")


def trained(text: str, entries: int) -> BPETokenizer:
    """Make a tokenizer of a text."""
    tokenizer = BPETokenizer()
    tokenizer.train(text, entries)
    return tokenizer


def cut(text: str, merges: Sequence[tuple[str, str]]) -> list[str]:
    """Cut a text with some merges, word by word."""
    ranks = {pair: number for number, pair in enumerate(merges)}
    return [token for word in split_words(text) for token in merge_by_rank(word, ranks)]


def draw_pieces(
    picture: Picture,
    x: float,
    y: float,
    pieces: Sequence[str],
    cell: float,
    *,
    height: float = 24,
    size: float = SMALL,
    full: Sequence[str] = (),
    outline: bool = True,
) -> None:
    """Draw pieces of text as boxes, one cell a character; those in `full` are filled."""
    for piece in pieces:
        fill = 0.34 if piece in full else 0.07 if outline else 0.24
        width, gap = cell * len(piece), 2 if outline else 1.4
        picture.rectangle(x + gap / 2, y, width - gap, height, opacity=fill, outline=outline)
        for i, letter in enumerate(visible(piece)):
            middle = x + cell * (i + 0.5)
            picture.text(middle, y + height / 2 + 4, letter, anchor="middle", code=True, size=size)
        x += width


# --- diagrams ------------------------------------------------------------------------------------


def flow() -> Picture:
    """Draw what becomes of a text: words, tokens, ids."""
    tokenizer = trained(LOW, 16)
    tokens = cut(LOW, tokenizer.merges)
    picture = Picture(height=214)
    left, cell, step = 92.0, 24.0, 60.0
    rows = (("text", [LOW]), ("words", split_words(LOW)), ("tokens", tokens))
    for i, (name, pieces) in enumerate(rows):
        picture.text(4, 18 + step * i, name)
        draw_pieces(picture, left, 2 + step * i, pieces, cell, height=26, size=14)
        picture.arrow([(left + 192, 31 + step * i), (left + 192, 58 + step * i)])
    for i, how in enumerate(("a space opens a word", "cut into tokens", "look up each id")):
        picture.text(left + 206, 49 + step * i, how, size=SMALL)
    picture.text(4, 192, "ids")
    picture.text(4, 208, f"(1, {len(tokens)})", code=True, size=SMALL)
    x = left
    for token in tokens:
        width = cell * len(token)
        picture.rectangle(x + 1, 182, width - 2, 26, opacity=0.34, outline=True)
        number = str(tokenizer.vocabulary[token])
        picture.text(x + width / 2, 200, number, anchor="middle", code=True)
        x += width
    return picture


def merges() -> Picture:
    """Draw `low lower lowest` after each of its merges."""
    learned = list(learn_merges(Counter(split_words(LOW))))
    picture = Picture(height=20 + 31 * (len(learned) + 1))
    left, cell = 124.0, 22.0
    picture.text(4, 12, "count", size=SMALL)
    picture.text(52, 12, "joined", size=SMALL)
    for number in range(len(learned) + 1):
        y = 20 + 31 * number
        made: tuple[str, ...] = ()
        if number:
            (first, second), count = learned[number - 1]
            made = (first + second,)
            picture.text(30, y + 17, str(count), anchor="end")
            picture.text(52, y + 17, f"{visible(first)} {visible(second)}", code=True, size=SMALL)
        pieces = cut(LOW, [pair for pair, _ in learned[:number]])
        draw_pieces(picture, left, y, pieces, cell, full=made)
    return picture


def sentence() -> Picture:
    """Draw the book's sentence, cut with more and more of the trained model's merges."""
    _, tokenizer = load_pretrained()
    total = len(tokenizer.merges)
    picture = Picture(height=186)
    left, cell = 80.0, 8.6
    picture.text(4, 12, "merges", size=SMALL)
    picture.text(62, 12, "T", anchor="middle", size=SMALL)
    for i, number in enumerate((*SHOWN, total)):
        y = 20 + 33 * i
        pieces = cut(SENTENCE, tokenizer.merges[:number])
        picture.text(44, y + 17, f"{number:,}", anchor="end", size=SMALL)
        picture.text(62, y + 17, str(len(pieces)), anchor="middle", size=SMALL)
        draw_pieces(picture, left, y, pieces, cell, height=25, size=11.5, outline=False)
    return picture


def byte_level() -> Picture:
    """Draw the characters of a word as the bytes of UTF-8, with their ids."""
    tokenizer = BPETokenizer(level="byte")
    picture = Picture(height=118)
    cell, x = 42.0, 92.0
    for y, name in ((20, "characters"), (62, "bytes"), (104, "ids")):
        picture.text(4, y, name)
    for character in ACCENTS:
        numbers = tokenizer.encode(character)
        width = cell * len(numbers)
        picture.rectangle(x + 1, 2, width - 2, 26, opacity=0.07, outline=True)
        picture.text(x + width / 2, 20, visible(character), anchor="middle", code=True)
        for i, (byte, number) in enumerate(zip(character.encode(), numbers, strict=True)):
            middle = x + cell * (i + 0.5)
            picture.line([(middle, 29), (middle, 43)])
            picture.rectangle(x + cell * i + 1, 44, cell - 2, 26, opacity=0.07, outline=True)
            picture.text(middle, 62, f"{byte:02x}", anchor="middle", code=True)
            picture.line([(middle, 71), (middle, 85)])
            picture.rectangle(x + cell * i + 1, 86, cell - 2, 26, opacity=0.34, outline=True)
            picture.text(middle, 104, str(number), anchor="middle", code=True)
        x += width
    return picture


# --- charts --------------------------------------------------------------------------------------


def question() -> Picture:
    """Draw the tokens of one sentence against the entries of a vocabulary learned from it."""
    learned = list(learn_merges(Counter(split_words(QUESTION))))
    alone = [count for _, count in learned].index(1)  # from here on pairs occur once
    smallest = len(BPETokenizer()) + len(set(QUESTION))
    merged = [pair for pair, _ in learned]
    lengths = [len(cut(QUESTION, merged[:number])) for number in range(len(merged) + 1)]
    entries = [smallest + number for number in range(len(lengths))]
    lines = [
        Line(entries[: alone + 1], lengths[: alone + 1], "neutral", "pairs that occur again"),
        Line(entries[alone:], lengths[alone:], "neutral", "pairs that occur once", "3 5"),
    ]
    return line_chart(lines, Axis("entries", "", (18, 50)), Axis("tokens", "", (0, 45)), height=260)


def lengths() -> Picture:
    """Draw the characters that a token holds against the size of the vocabulary."""
    text = load_text(fables_path())
    sizes = [len(BPETokenizer()) + len(set(text)), *SIZES]
    mean = [len(text) / len(trained(text, size).encode(text)) for size in sizes]
    rows = read_table("vocabulary_size_tokens")
    lines = [
        Line(sizes, mean, "neutral", "fables"),
        Line(
            [row["vocabulary_size"] for row in rows],
            [row["characters_per_token"] for row in rows],
            "neutral",
            "plays",
            "6 4",
        ),
    ]
    x_axis, y_axis = Axis("entries", "", (0, 4200)), Axis("characters a token", "", (0, 5))
    return line_chart(lines, x_axis, y_axis)


def bits() -> Picture:
    """Draw the loss for each character against the size of the vocabulary, at two budgets."""
    rows = read_table("vocabulary_size")
    lines = []
    for budget, colour, dash in (("compute", "neutral", None), ("characters", "neutral", "6 4")):
        kept = [row for row in rows if row["budget"] in (budget, "both")]
        lines.append(
            Line(
                [row["vocabulary_size"] for row in kept],
                [row["bits_per_character"] for row in kept],
                colour,
                {"compute": "equal arithmetic", "characters": "equal text"}[budget],
                dash,
            )
        )
    x_axis, y_axis = Axis("entries", "", (0, 4200)), Axis("loss a character", "bits", (2.5, 3.3))
    return line_chart(lines, x_axis, y_axis)
