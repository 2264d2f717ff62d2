r"""The ladder that a network must beat: what counting alone can do, in nats per character.

The lowest rung knows the alphabet and nothing else. The next counts how often each character
occurs; each rung above also looks at one character more of what came before. Nothing is learned
by gradient: the model is a table of counts, taken from the training part of a text and judged on
its validation part. A network that does no better has learned nothing that a table does not know.

Long contexts are rare, so each rung leans on the one below it, by interpolated Witten-Bell
smoothing. With $c(hw)$ the number of times that the character $w$ followed the context $h$ in the
training part, $c(h) = \sum_w c(hw)$, $T(h)$ the number of different characters that ever followed
it, and $h'$ the context without its first character:

$$P(w \mid h) = \frac{c(hw) + T(h) \, P(w \mid h')}{c(h) + T(h)}, \qquad P(w) = \frac{1}{V}
\text{ on the lowest rung.}$$

Where a context showed many different followers, the next one is likely to be new as well, and the
rung below has more to say. A context that was never met leaves the word to the rung below.

The alphabet is that of the whole text, known beforehand. A character that stands only in the
validation part therefore keeps its share of the lowest rung, and the probabilities sum to one. In
the plays and in Tiny Shakespeare there is none; the log counts them.

The same is done with the tokens of a tokenizer that is trained on the training part, because a
network predicts those.

Reference: Witten and Bell (1991), The Zero-Frequency Problem, IEEE Transactions on Information
    Theory 37(4), 1085-1094, method C; in this form: Chen and Goodman (1999), An Empirical Study of
    Smoothing Techniques for Language Modeling, Computer Speech and Language 13(4), 359-394.

Run `python -m experiments.ngrams` for the plays, and with `--data FILE` for another text, whose
last tenth is then for validation: ten seconds for a million characters, on one idle core.
With `--name NAME` such a text has a log too.
"""

import argparse
import hashlib
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.tables import LOGS, Row, write_table
from literategpt.corpus import load_text, prepare_corpus, split_text
from literategpt.tokenizer import BPETokenizer

Units = str | tuple[int, ...]
"""A text, or its token ids: what is counted is what a slice of it holds."""


class Rung(NamedTuple):
    """What a training text says about the units that follow contexts of one length."""

    grams: Counter[Units]  # how often each context was followed by each unit
    contexts: Counter[Units]  # how often each context was followed by any unit
    kinds: Counter[Units]  # by how many different units each context was followed


def count_rung(units: Units, length: int) -> Rung:
    """Count what follows each context of one length.

    Args:
        units: The training text, or its token ids.
        length: Of the contexts; 0 counts single units.

    Examples:
        >>> rung = count_rung("abracadabra", 1)
        >>> rung.grams["ab"], rung.contexts["a"], rung.kinds["a"]  # after an a: b, c, d, b
        (2, 4, 3)
    """
    ends = range(length + 1, len(units) + 1)
    grams: Counter[Units] = Counter(units[end - length - 1 : end] for end in ends)
    contexts: Counter[Units] = Counter()
    for gram, count in grams.items():
        contexts[gram[:-1]] += count
    kinds: Counter[Units] = Counter(gram[:-1] for gram in grams)
    return Rung(grams, contexts, kinds)


def probabilities(rungs: Sequence[Rung], alphabet_size: int, gram: Units) -> list[float]:
    """Say on each rung how likely the last unit is after those before it.

    Args:
        rungs: For contexts of length 0, 1, 2, ...
        alphabet_size: Number of different units there can be.
        gram: The context, and the unit that follows it.

    Returns:
        The probability on the lowest rung, uniform, then one for each of the others.

    Examples:
        >>> rungs = [count_rung("abracadabra", length) for length in (0, 1)]
        >>> [f"{p:.4f}" for p in probabilities(rungs, 5, "ab")]  # 1/5, 3/16, 41/112
        ['0.2000', '0.1875', '0.3661']
    """
    p = 1 / alphabet_size
    ladder = [p]
    for length, (grams, contexts, kinds) in enumerate(rungs):
        seen = gram[max(0, len(gram) - length - 1) :]
        context = seen[:-1]
        # A context that was never met, or that would begin before the text, adds nothing.
        if len(context) == length and context in contexts:
            p = (grams[seen] + kinds[context] * p) / (contexts[context] + kinds[context])
        ladder.append(p)
    return ladder


def ladder_losses(rungs: Sequence[Rung], alphabet_size: int, units: Units) -> list[float]:
    """Measure the mean surprise at a text on each rung, in nats per unit.

    Args:
        rungs: Counted on the training text.
        alphabet_size: Number of different units there can be.
        units: The validation text, or its token ids.

    Returns:
        The mean of -ln p over all units: uniform first, then one loss for each rung.

    Examples:
        >>> rungs = [count_rung("abracadabra", length) for length in (0, 1, 2)]
        >>> [f"{loss:.3f}" for loss in ladder_losses(rungs, 5, "abra")]
        ['1.609', '1.327', '0.634', '0.538']
    """
    totals = [0.0] * (len(rungs) + 1)
    for end in range(1, len(units) + 1):
        gram = units[max(0, end - len(rungs)) : end]
        for i, p in enumerate(probabilities(rungs, alphabet_size, gram)):
            totals[i] -= math.log(p)
    return [total / len(units) for total in totals]


def ladder_rows(
    unit: str, train: Units, validation: Units, alphabet_size: int, longest: int, characters: int
) -> Iterator[Row]:
    """Yield one row for each rung of a ladder.

    Args:
        unit: What is counted: "character" or "token".
        train: The text to count in.
        validation: The text to be judged on.
        alphabet_size: Number of different units there can be.
        longest: Units that the highest rung counts together.
        characters: Length of the validation text, for nats per character.
    """
    rungs = [count_rung(train, length) for length in range(longest)]
    losses = ladder_losses(rungs, alphabet_size, validation)
    for order, loss in enumerate(losses):
        yield {
            "unit": unit,
            "order": order,  # 0 is uniform, 1 counts single units, 2 pairs
            "entries": len(rungs[order - 1].grams) if order else alphabet_size,
            "nats_per_unit": loss,
            "nats_per_character": loss * len(validation) / characters,
        }


def describe_text(text: str) -> dict[str, Any]:
    """Name a text by its length and its hash."""
    sha256 = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return {"characters": len(text), "sha256": sha256}


def measure(
    train: str, validation: str, orders: int, token_orders: int, vocabulary_size: int
) -> tuple[list[Row], dict[str, Any]]:
    """Measure both ladders of a text.

    Args:
        train: The part to count in, and to train the tokenizer on.
        validation: The part to be judged on.
        orders: Characters that the highest rung counts together.
        token_orders: Tokens that the highest rung counts together.
        vocabulary_size: Entries of the tokenizer.

    Returns:
        The rows, and what they were measured on.
    """
    known, alphabet = set(train), set(train + validation)
    rows = list(ladder_rows("character", train, validation, len(alphabet), orders, len(validation)))
    tokenizer = BPETokenizer()
    tokenizer.train(train, vocabulary_size)
    tokens, judged = tuple(tokenizer.encode(train)), tuple(tokenizer.encode(validation))
    rows += ladder_rows("token", tokens, judged, len(tokenizer), token_orders, len(validation))
    settings = {
        "train": describe_text(train) | {"tokens": len(tokens)},
        "validation": describe_text(validation) | {"tokens": len(judged)},
        "alphabet": len(alphabet),
        "characters_never_seen_in_training": sum(c not in known for c in validation),
        "vocabulary_size": len(tokenizer),
        "unknown_tokens": judged.count(tokenizer.unk_id),
        "smoothing": "interpolated Witten-Bell",
    }
    return rows, settings


def describe_rows(rows: list[Row]) -> str:
    """Write the rows of a ladder as a table of text."""
    lines = [f"{'':14}{'entries':>10}{'nats each':>12}{'nats per character':>21}"]
    for row in rows:
        name = f"{row['order']}-{row['unit']}" if row["order"] else f"uniform {row['unit']}"
        lines.append(
            f"{name:17}{row['entries']:>7,}{row['nats_per_unit']:12.3f}"
            f"{row['nats_per_character']:21.3f}"
        )
    return "\n".join(lines)


def parse(command_line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.ngrams",
        description="Measure what counting alone can do, on the plays or on a text of your own.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, help="a UTF-8 text instead of the plays; its last tenth is judged")
    add("--name", help="write the log ngrams_NAME; for the plays it is plays unless given")
    add("--output", type=Path, default=LOGS, help="directory of the log")
    add("--orders", type=int, default=7, help="characters that the highest rung counts together")
    add("--token-orders", type=int, default=4, help="tokens that the highest rung counts together")
    add("--vocabulary-size", type=int, default=2000, help="of the tokenizer")
    return parser.parse_args(command_line)


def main(command_line: list[str] | None = None) -> int:
    """Measure both ladders of a text, print them, and write their log where it has a name."""
    given = parse(command_line)
    command = "python -m experiments.ngrams"
    if given.data is None:
        train, validation, *_ = prepare_corpus()
        name = given.name or "plays"
    else:
        train, validation = split_text(load_text(given.data))
        name = given.name
        command += f" --data {given.data.name} --name {name}"
    rows, settings = measure(
        train, validation, given.orders, given.token_orders, given.vocabulary_size
    )
    print(describe_rows(rows))
    if name:
        write_table(
            f"ngrams_{name}", rows, command=command, settings=settings, directory=given.output
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
