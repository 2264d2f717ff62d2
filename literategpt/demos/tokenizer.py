"""The demo of `literategpt.tokenizer`: a vocabulary grows, then encodes what it never saw."""

import unicodedata
from collections import Counter
from itertools import pairwise

from literategpt.demos.narration import heading, number, say, show, table, title, yes
from literategpt.tokenizer import BPETokenizer, merge_by_rank, split_words

LOW = "low lower lowest"
QUESTION = "to be or not to be that is the question"


def pieces(tokenizer: BPETokenizer, ids: list[int]) -> str:
    """Write the text of each token between quotes, so that spaces can be seen."""
    return " ".join(repr(tokenizer.decode([token])) for token in ids)


def trained(text: str, vocabulary_size: int) -> BPETokenizer:
    """Make a tokenizer of a text."""
    tokenizer = BPETokenizer()
    tokenizer.train(text, vocabulary_size)
    return tokenizer


def counts_before(tokenizer: BPETokenizer, number: int, text: str) -> Counter[tuple[str, str]]:
    """Count the neighbours inside words, in the order they are seen, before a merge is made."""
    ranks = {pair: rank for rank, pair in enumerate(tokenizer.merges[:number])}
    words = [merge_by_rank(word, ranks) for word in split_words(text)]
    return Counter(pair for word in words for pair in pairwise(word))


def spell(pair: tuple[str, str]) -> str:
    """Write the two tokens of a pair between quotes."""
    return " + ".join(map(repr, pair))


def section_words() -> None:
    """Cut a text into words and the words into characters."""
    heading("Before any merge: words, then characters")
    words = split_words(LOW)
    say(f"""The text is {LOW!r}. It is cut into words first, and a space opens the word after it.
        Merges never cross from one word into another.""")
    for word in words:
        show(repr(word), " ".join(repr(letter) for letter in word))
    count = sum(len(word) for word in words)
    say(f"""As characters the text takes {number(count)} tokens, of
        {number(len(set(LOW)))} different kinds.""")


def section_merges() -> None:
    """Replay the merges, with their counts and their ties."""
    heading("From counts to merges")
    say("""Count how often two tokens stand side by side. Join the most frequent pair everywhere.
        Repeat. Where several pairs are equally frequent, the one seen first in the text wins.""")
    wanted = 50
    tokenizer = trained(LOW, wanted)
    joined, counts, ties = [], [], []
    for merge, pair in enumerate(tokenizer.merges):
        found = counts_before(tokenizer, merge, LOW)
        joined.append(spell(pair))
        counts.append(found[pair])
        rivals = [spell(other) for other in found if found[other] == found[pair] and other != pair]
        ties.append(", ".join(rivals) or "none")
    table({"joined": joined, "count": counts, "tied with": ties})
    say(f"""After {number(len(joined))} merges every word is one token, and no pair is left. So,
        though a vocabulary of {number(wanted)} entries was asked for, training stopped early at
        {number(len(tokenizer))}: {len(BPETokenizer())} special tokens, the characters, and one
        entry for each merge.""")


def section_encode() -> None:
    """Encode and decode with few merges."""
    heading("Encode and decode")
    tokenizer = trained(LOW, 17)
    say(f"""Now stop at {number(len(tokenizer))} entries, which leaves room for the first
        {number(len(tokenizer.merges))} merges. To encode is to replay the merges in their order;
        to decode is to write the tokens one after another.""")
    for text in (LOW, "slower"):
        ids = tokenizer.encode(text)
        show("text", repr(text))
        show("ids", ids)
        show("tokens", pieces(tokenizer, ids))
        show("decoded, the same again", yes(tokenizer.decode(ids) == text))
    say("The word slower was not in the text learned from. Known pieces are enough to write it.")


def section_specials() -> None:
    """Show the four special tokens."""
    heading("Special tokens")
    tokenizer = trained(LOW, 17)
    names = list(tokenizer.vocabulary)[: len(BPETokenizer())]
    uses = [
        "fills up short rows of a batch",
        "stands for a character that was never seen",
        "opens a text",
        "closes a text, and tells generation to stop",
    ]
    say(f"The first {number(len(names))} ids are set aside.")
    table({"id": range(len(names)), "name": names, "use": uses})
    ids = tokenizer.encode("low", add_bos=True, add_eos=True)
    show("'low' with both ends", ids)
    show("decoded", repr(tokenizer.decode(ids)))


def section_unseen() -> None:
    """Encode words of known letters and of unknown ones."""
    heading("Text that was never seen")
    tokenizer = trained(QUESTION, 30)
    say(f"""Train on {QUESTION!r} with {number(len(tokenizer))} entries. The word banana is new, but
        all its letters occur in the text. The word zephyr has letters that do not.""")
    for word in ("banana", "zephyr"):
        ids = tokenizer.encode(word)
        show(word, pieces(tokenizer, ids))
        show("unknown tokens", ids.count(tokenizer.vocabulary["<UNK>"]))
        show("comes back unharmed", yes(tokenizer.decode(ids) == word))


def section_size() -> None:
    """Compare vocabulary sizes on one sentence."""
    heading("A larger vocabulary makes shorter sequences")
    smallest = len(BPETokenizer()) + len(set(QUESTION))
    sizes = [smallest, 21, 26, 30, 50]
    tokenizers = [trained(QUESTION, size) for size in sizes]
    say(f"""The same sentence of {number(len(QUESTION))} characters. The smallest vocabulary has
        room for the special tokens and the {number(len(set(QUESTION)))} characters only; asked for
        {number(sizes[-1])}, training stopped early at {number(len(tokenizers[-1]))}.""")
    table(
        {
            "entries": [len(tokenizer) for tokenizer in tokenizers],
            "merges": [len(tokenizer.merges) for tokenizer in tokenizers],
            "tokens": [len(tokenizer.encode(QUESTION)) for tokenizer in tokenizers],
        }
    )
    largest = tokenizers[-1]
    useful = sum(
        counts_before(largest, merge, QUESTION)[pair] > 1
        for merge, pair in enumerate(largest.merges)
    )
    say(f"""Only the first {number(useful)} merges join a pair that occurs more than once. From
        there on every pair occurs once, and the rule for ties alone decides: the tokenizer learns
        this sentence by heart.""")
    for tokenizer in tokenizers[-2:]:
        end = tokenizer.encode(QUESTION)[-6:]
        show(f"the end, {len(tokenizer)} entries", pieces(tokenizer, end))


def longest_first(tokenizer: BPETokenizer, text: str) -> list[str]:
    """Cut a text by taking the longest token that fits, again and again."""
    found = []
    while text:
        fitting = [token for token in tokenizer.vocabulary if text.startswith(token)]
        found.append(max(fitting, key=len))
        text = text.removeprefix(found[-1])
    return found


def section_rank() -> None:
    """Show that encoding goes by rank and not by length."""
    heading("Earliest merge first, not longest token first")
    merges = [("b", "c"), ("a", "b"), ("bc", "d")]
    tokenizer = BPETokenizer.from_merges(merges, alphabet="abcd")
    text = "abcd"
    say(f"""These {number(len(merges))} merges were learned in this order. Taking the
        longest token from the left would give another cut; replaying the merges in order is what
        the model was trained on.""")
    show("merges", ", ".join(" + ".join(pair) for pair in merges))
    show("text", repr(text))
    show("by rank", pieces(tokenizer, tokenizer.encode(text)))
    show("longest first", " ".join(map(repr, longest_first(tokenizer, text))))


def section_bytes() -> None:
    """Encode an emoji as bytes."""
    heading("Bytes instead of characters: nothing is unknown")
    tokenizer = BPETokenizer(level="byte")
    face = "\N{GRINNING FACE}"
    ids = tokenizer.encode(face)
    say(f"""At byte level the smallest pieces are the bytes of UTF-8, as in GPT-2:
        {number(len(tokenizer) - 1)} of them. This tokenizer has no merges, so its one special token
        comes next. The character
        {unicodedata.name(face)!r} is one character and {number(len(face.encode()))} bytes.""")
    show("bytes", list(face.encode()))
    show("ids", ids)
    show("comes back unharmed", yes(tokenizer.decode(ids) == face))
    say("""The ids are not the byte values: GPT-2 numbers the visible signs first. A part of a
        character decodes to the replacement character.""")
    show("the first byte alone", unicodedata.name(tokenizer.decode(ids[:1])))
    known = trained(QUESTION, 30)
    show("all, at character level", pieces(known, known.encode(face)))


def main() -> None:
    """Watch a vocabulary grow merge by merge."""
    title("Tokenizer: from text to numbers and back")
    section_words()
    section_merges()
    section_encode()
    section_specials()
    section_unseen()
    section_size()
    section_rank()
    section_bytes()
