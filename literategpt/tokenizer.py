r"""Byte-pair encoding: text in, a list of integers out, and the way back.

A model reads numbers, so text is cut into tokens and every token gets a number, its id.
Single characters would make long sequences, whole words would make an endless vocabulary.
Byte-pair encoding sits between the two: it starts from single characters and joins, again and
again, the two neighbours that stand side by side most often.
What is learned is the alphabet and the list of joins, in the order they were made.
To encode a new text is to replay them, earliest first.

Four rules decide what comes out, so they are stated once, here.

- **Words.** Merges happen inside words only.
  A space opens the word after it, so the words of `low lower` are `low` and ` lower`.
  A run of line breaks or tabs is a word of its own.
- **Counts.** A pair is counted as often as it could be joined: once in `aaa`, twice in `aaaa`.
- **Ties.** Of equally frequent pairs the one seen first in the text wins.
- **Stopping.** Pairs that occur once are joined too.
  When no pair is left, training stops early, and `len(tokenizer)` is smaller than asked for.

There are two levels.
At level `"character"` the smallest pieces are the characters of the training text, and a character
that was not in it becomes `<UNK>`.
At level `"byte"` they are the 256 bytes of UTF-8, as in GPT-2: nothing is unknown, and any text
comes back exactly.

The file goes from leaf to whole: cutting text into words, learning the merges, applying them,
and the tokenizer that holds it all together.

Run `python -m literategpt.tokenizer` to watch a vocabulary grow merge by merge.
"""

import heapq
import json
import operator
import os
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice, pairwise, repeat
from math import inf
from pathlib import Path
from typing import Any, Final, Self, SupportsIndex, TypeAlias

__all__ = [
    "BPETokenizer",
    "PairIndex",
    "byte_symbols",
    "gpt2_pattern",
    "learn_merges",
    "merge_by_rank",
    "split_words",
]

Pair: TypeAlias = tuple[str, str]
"""Two neighbouring tokens, left and right."""

SPECIAL_TOKENS: Final = {
    "character": ("<PAD>", "<UNK>", "<BOS>", "<EOS>"),
    "byte": ("<|endoftext|>",),
}
"""The tokens of each level that stand for no text, in the order of their ids."""

_CHARACTER_WORD: Final = re.compile(r" ?\S+| |[^\S ]+")


def _number_ranges() -> str:
    """List Unicode's numbers as the ranges of a character class: `0-9²-³` and so on."""
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)).startswith("N"):
            if ranges and code == ranges[-1][1] + 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


@cache
def gpt2_pattern() -> re.Pattern[str]:
    r"""Return the pattern with which GPT-2 cuts text into words.

    A word is the ending of an English contraction, such as `'ll`, or a run of letters, of digits or
    of other signs, each with the space before it, or a run of white space; of a longer run before a
    word the last character is left to what follows.
    GPT-2 writes this with `\p{L}` and `\p{N}`, Unicode's letters and numbers, which Python's `re`
    does not know.
    Its `\w` is letters, numbers and the underscore, so both follow once the numbers are listed.
    Its `\s` counts four control characters as white space that Unicode does not, U+001C to U+001F.

    Reference:
        Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2,
        and the file `encoder.py` of the code published with it.

    Examples:
        >>> gpt2_pattern().findall("We'll pay  3² pounds_")
        ['We', "'ll", ' pay', ' ', ' 3²', ' pounds', '_']
    """
    numbers = _number_ranges()
    # Try runs of plain letters first: the full class is several times slower.
    letters, number = rf"(?:[a-zA-Z]++|[^\W_{numbers}])++", rf"[{numbers}]"
    space, not_space = r"[^\S\x1c-\x1f]", r"[\S\x1c-\x1f]"
    other = r"(?:[^\w\s]|[_\x1c-\x1f])"
    return re.compile(
        rf"'(?:[sdmt]|ll|ve|re)| ?{letters}| ?{number}+| ?{other}+|{space}+(?!{not_space})|{space}+"
    )


def split_words(text: str, level: str = "character") -> list[str]:
    """Cut text into the words that merges never cross; joined, they are the text again.

    Args:
        text: Any text.
        level: "character" (a space opens the word after it) or "byte" (the pattern of GPT-2).

    Returns:
        The words in order, none of them empty.

    Examples:
        >>> split_words("low lower,  lowest")
        ['low', ' lower,', ' ', ' lowest']
        >>> split_words("low lower,  lowest", level="byte")
        ['low', ' lower', ',', ' ', ' lowest']
    """
    pattern = gpt2_pattern() if level == "byte" else _CHARACTER_WORD
    return pattern.findall(text)


def byte_symbols() -> dict[int, str]:
    """Return one visible character for each of the 256 bytes, in the order of GPT-2's ids.

    Bytes that are visible characters in Latin-1 stand for themselves and come first.
    The others, the space among them, borrow the characters from U+0100 onwards.
    So a piece of a character, which is no text by itself, can still be printed.

    Examples:
        >>> symbols = byte_symbols()
        >>> "".join(symbols[byte] for byte in "Ah, é!".encode())
        'Ah,ĠÃ©!'
        >>> list(symbols).index(ord("!")), list(symbols).index(ord(" "))
        (0, 220)
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = {byte: chr(byte) for byte in printable}
    return symbols | {byte: chr(256 + number) for number, byte in enumerate(others)}


_BYTE_TO_SYMBOL: Final = byte_symbols()
_SYMBOL_TO_BYTE: Final = {ord(symbol): byte for byte, symbol in _BYTE_TO_SYMBOL.items()}


def _bytes_to_symbols(text: str) -> str:
    """Write each byte of the text's UTF-8 as its visible character."""
    return text.encode("utf-8").decode("latin-1").translate(_BYTE_TO_SYMBOL)


def _symbols_to_bytes(symbols: str) -> bytes:
    """Read visible characters back as the bytes that they stand for."""
    return symbols.translate(_SYMBOL_TO_BYTE).encode("latin-1")


class PairIndex:
    """Every pair of neighbours in a set of words, with the most frequent one at hand.

    Counting all pairs anew for each merge would be simple, and slow.
    The index remembers which words hold a pair and touches only those when the pair is joined.

    Inside, a token is one character, its number in `tokens`, so a word is a plain string and
    joining a pair is `split` and `join`; character 0 marks both ends of a word.
    Once a pair exists, its count can only fall and its first occurrence only move to the right.
    So what the queue says about a pair is at worst too good, and it is checked when the pair
    comes to the top.

    Args:
        words: How often each word occurs, in the order of their first occurrence.

    Examples:
        >>> index = PairIndex({"low": 1, " lower": 1, " lowest": 1})
        >>> pair, count = index.pop_most_frequent()
        >>> index.spell(pair), count
        (('l', 'o'), 3)
        >>> index.merge(pair)
        >>> pair, count = index.pop_most_frequent()
        >>> index.spell(pair), count
        (('lo', 'w'), 3)
    """

    edge = "\0"
    """The mark at both ends of a word."""

    def __init__(self, words: Mapping[str, int]) -> None:
        self.tokens = ["", *sorted(set("".join(words)))]
        codes = {ord(token): code for code, token in enumerate(self.tokens) if token}
        self.words = [self.edge + word.translate(codes) + self.edge for word in words]
        self.frequencies = list(words.values())
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.places: dict[str, list[int]] = {}
        self.queue: list[tuple[int, int, int, str]] = []

        # Note for each pair the words that hold it, once per occurrence.
        found: defaultdict[str, list[int]] = defaultdict(list)
        for number, word in enumerate(self.words):
            for left, right in pairwise(word[1:-1]):
                found[left + right].append(number)
        for pair, numbers in found.items():
            self.add(pair, numbers)

    def spell(self, pair: str) -> Pair:
        """Return the two tokens of a pair as text."""
        return self.tokens[ord(pair[0])], self.tokens[ord(pair[1])]

    def add(self, pair: str, numbers: list[int]) -> int:
        """Enter a new pair that occurs in these words, once per mention; return its count."""
        count = sum([self.frequencies[number] for number in numbers])
        self.counts[pair] = count
        self.places[pair] = list(dict.fromkeys(numbers))
        heapq.heappush(self.queue, (-count, numbers[0], 0, pair))
        return count

    def priority(self, pair: str) -> tuple[int, int, int, str]:
        """Return what a pair is worth now: smallest is most frequent, then seen first."""
        words, places, count = self.words, self.places[pair], self.counts[pair]
        if pair[0] == pair[1]:
            # Such a pair may overlap itself: count as often as it can be joined.
            count = sum([self.frequencies[n] * words[n].count(pair) for n in places])
        if count == 0:
            return 0, 0, 0, pair

        # Find its first occurrence: the word, and how much text stands before it there.
        while pair not in words[places[0]]:
            del places[0]
        before = words[places[0]].partition(pair)[0]
        return -count, places[0], len(before.translate(self.tokens)), pair

    def pop_most_frequent(self) -> tuple[str, int] | None:
        """Take out the most frequent pair, the one seen first if several are, with its count."""
        while self.queue:
            *_, pair = promised = self.queue[0]
            actual = self.priority(pair)
            if actual == promised:
                heapq.heappop(self.queue)
                return pair, -actual[0]
            if actual[0] == 0:
                heapq.heappop(self.queue)
            else:
                heapq.heapreplace(self.queue, actual)
        return None

    def merge(self, pair: str) -> None:
        """Join a pair wherever it occurs, and enter the new pairs that this makes."""
        left, right, token = pair[0], pair[1], chr(len(self.tokens))
        self.tokens.append(pair.translate(self.tokens))

        # Cut each word at the pair: the cuts become the token, the stretches hold its neighbours.
        before: defaultdict[str, list[int]] = defaultdict(list)
        after: defaultdict[str, list[int]] = defaultdict(list)
        for number in self.places.pop(pair):
            stretches = self.words[number].split(pair)
            self.words[number] = token.join(stretches)
            for stretch in stretches[:-1]:
                before[stretch[-1:]].append(number)
            for stretch in stretches[1:]:
                after[stretch[:1]].append(number)

        # An empty stretch lies between two of the tokens; it was noted on both sides.
        for neighbours, ignored in ((before, self.edge), (after, self.edge), (after, "")):
            neighbours.pop(ignored, None)
        for neighbour, numbers in before.items():
            count = self.add((neighbour or token) + token, numbers)
            self.counts[(neighbour or right) + left] -= count
        for neighbour, numbers in after.items():
            self.counts[right + neighbour] -= self.add(token + neighbour, numbers)


def learn_merges(
    words: Mapping[str, int], reserved: Iterable[str] = ()
) -> Iterator[tuple[Pair, int]]:
    """Yield the merges of byte-pair encoding with their counts, until no pair is left.

    Take the most frequent pair, join it everywhere, repeat.

    Args:
        words: How often each word occurs, in the order of their first occurrence.
        reserved: Names that no merge may spell, so that no text can look like a special token.

    Yields:
        The pair that is joined and how often it occurs at that moment.

    Reference:
        Sennrich, Haddow and Birch 2016, "Neural Machine Translation of Rare Words with Subword
        Units", arXiv:1508.07909, algorithm 1.

    Examples:
        Two ties are decided by what the text shows first: `l o` before `o w`, and, once `low` is
        joined, the space before `low` before the `e` after it.

        >>> for pair, count in learn_merges(Counter(split_words("low lower lowest"))):
        ...     print(count, pair)
        3 ('l', 'o')
        3 ('lo', 'w')
        2 (' ', 'low')
        2 (' low', 'e')
        1 (' lowe', 'r')
        1 (' lowe', 's')
        1 (' lowes', 't')
    """
    index = PairIndex(words)
    forbidden = frozenset(reserved)
    while (best := index.pop_most_frequent()) is not None:
        pair, count = best
        spelled = index.spell(pair)
        if "".join(spelled) not in forbidden:
            yield spelled, count
            index.merge(pair)


def merge_by_rank(word: str, ranks: Mapping[Pair, int]) -> list[str]:
    """Cut a word into tokens: apply the merge that was learned first, repeat while one fits.

    Neither the leftmost nor the longest match decides, only the order of learning, so a word is
    cut exactly as training cut it.

    Args:
        word: The word; each of its characters is one symbol to begin with.
        ranks: The place of each merge in the order of learning.

    Returns:
        The tokens in order; joined, they are the word again.

    Examples:
        By rank `b` and `c` are joined before `a` can have its `b`; taking the longest token first
        would have cut `ab|c|d`.

        >>> merge_by_rank("abcd", {("b", "c"): 0, ("a", "b"): 1, ("bc", "d"): 2})
        ['a', 'bcd']
    """
    symbols = list(word)
    waiting = [*map(ranks.get, pairwise(symbols), repeat(inf))]
    while waiting and (first := min(waiting)) < inf:
        # Join the pair of the lowest rank, the leftmost if there are several.
        i = waiting.index(first)
        symbols[i] += symbols.pop(i + 1)
        del waiting[i]
        # Look up the two pairs that its neighbours form with it now.
        if i > 0:
            waiting[i - 1] = ranks.get((symbols[i - 1], symbols[i]), inf)
        if i < len(waiting):
            waiting[i] = ranks.get((symbols[i], symbols[i + 1]), inf)
    return symbols


# `merge_by_rank` takes time by the square of the word, so longer words are replayed instead.
_LONG_WORD: Final = 500

_FORMAT: Final = "literategpt-tokenizer"
_VERSION: Final = 1


def _check_text(text: str) -> None:
    """Refuse what is not text: other types, and code points that UTF-8 cannot write."""
    if not isinstance(text, str):
        raise TypeError(f"expected text as a str, got {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"expected valid Unicode text, got the lone surrogate {text[error.start]!r} "
            f"at position {error.start}"
        ) from None


def _check_alphabet(alphabet: str, level: str) -> None:
    """Refuse an alphabet that is not in order, or one given where the bytes are it."""
    _check_text(alphabet)
    if level == "byte" and alphabet:
        raise ValueError(f"expected no alphabet at byte level, got {alphabet[:20]!r}")
    if any(left >= right for left, right in pairwise(alphabet)):
        raise ValueError(f"expected an alphabet by code point, each once, got {alphabet[:20]!r}")


def _check_merges(
    merges: Iterable[Sequence[str]], symbols: Iterable[str], level: str
) -> list[Pair]:
    """Return the merges as pairs; refuse one that joins what is not there, or makes nothing new."""
    known, pairs = set(symbols), []
    for number, merge in enumerate(merges, start=1):
        if isinstance(merge, str) or len(merge) != 2 or not all(isinstance(t, str) for t in merge):
            raise ValueError(f"expected merge {number} to be two strings, got {merge!r}")
        left, right = merge
        for token in (left, right):
            if token not in known:
                raise ValueError(
                    f"merge {number} joins {left!r} and {right!r}, but {token!r} is neither in "
                    "the alphabet nor made by an earlier merge"
                )
        if left + right in known or left + right in SPECIAL_TOKENS[level]:
            raise ValueError(f"merge {number} makes {left + right!r}, which is a token already")
        known.add(left + right)
        pairs.append((left, right))
    return pairs


class BPETokenizer:
    """Turns text into token ids and back, after learning from a text which tokens pay off.

    At level "character" ids 0 to 3 are `<PAD>`, `<UNK>`, `<BOS>`, `<EOS>`; then comes the alphabet
    of the training text by code point, then one token a merge.
    At level "byte" ids 0 to 255 are the bytes in GPT-2's order, then come the merges, and last
    `<|endoftext|>`, which is both the beginning and the end; there is no padding and no unknown.

    Args:
        level: "character" or "byte".

    Attributes:
        level: As given.
        merges: The pairs that were joined, in order. Read it, do not change it.
        vocabulary: The id of every token. Read it, do not change it.
        pad_id: Fills the rest of a short row in a batch; None at byte level.
        unk_id: Stands for a character that is not in the alphabet; None at byte level.
        bos_id: Opens a text.
        eos_id: Closes a text.

    Examples:
        >>> tokenizer = BPETokenizer()
        >>> tokenizer.train("low lower lowest", vocabulary_size=16)
        >>> tokenizer.merges
        [('l', 'o'), ('lo', 'w'), (' ', 'low'), (' low', 'e')]
        >>> tokenizer.encode("low lower")
        [13, 15, 8]
        >>> tokenizer.decode([13, 15, 8])
        'low lower'
    """

    def __init__(self, level: str = "character") -> None:
        if level not in SPECIAL_TOKENS:
            raise ValueError(f"expected level 'character' or 'byte', got {level!r}")
        self.level = level
        self._assemble("", [])

    def _assemble(self, alphabet: str, merges: list[Pair]) -> None:
        """Take over an alphabet and merges that were checked, and number the tokens."""
        made = [left + right for left, right in merges]
        special = SPECIAL_TOKENS[self.level]
        if self.level == "byte":
            self._tokens = [*_BYTE_TO_SYMBOL.values(), *made, *special]
        else:
            self._tokens = [*special, *alphabet, *made]
        self.merges = merges
        self.vocabulary = {token: number for number, token in enumerate(self._tokens)}
        self._alphabet = alphabet
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}

        # At byte level one token both opens and closes a text, and two roles are not needed.
        self.pad_id = None if self.level == "byte" else self.vocabulary["<PAD>"]
        self.unk_id = None if self.level == "byte" else self.vocabulary["<UNK>"]
        self.bos_id = self.vocabulary["<|endoftext|>" if self.level == "byte" else "<BOS>"]
        self.eos_id = self.vocabulary[special[-1]]

        # What each id adds to a text: of the special tokens only <UNK> shows.
        silent = {self.pad_id, self.bos_id, self.eos_id}
        spelled = ["" if number in silent else t for number, t in enumerate(self._tokens)]
        self._spelled: list[Any] = spelled
        if self.level == "byte":
            self._spelled = [_symbols_to_bytes(token) for token in spelled]

    def __len__(self) -> int:
        """Return the number of tokens, special ones included."""
        return len(self._tokens)

    def __repr__(self) -> str:
        """Return the level and the size."""
        return f"<BPETokenizer, level {self.level!r}, {len(self)} tokens>"

    def train(self, text: str, vocabulary_size: int) -> None:
        """Learn an alphabet and merges from a text.

        A tokenizer that was trained before starts afresh: nothing of the earlier text remains.

        Args:
            text: The text to learn from; keep validation text out of it.
            vocabulary_size: The number of tokens wanted, special ones included; `len(tokenizer)` is
                smaller when the text has no more pairs to join.

        Raises:
            TypeError: The text is not a str, or the size not an integer.
            ValueError: The text is empty, or the size has no room for its alphabet.

        Examples:
            No pair is left after seven merges, so training stops early.

            >>> tokenizer = BPETokenizer()
            >>> tokenizer.train("low lower lowest", vocabulary_size=50)
            >>> len(tokenizer)
            19
            >>> list(tokenizer.vocabulary)[12:]
            ['lo', 'low', ' low', ' lowe', ' lower', ' lowes', ' lowest']
        """
        _check_text(text)
        if not text:
            raise ValueError("expected some text to learn from, got an empty string")
        if not isinstance(vocabulary_size, SupportsIndex):
            raise TypeError(f"expected an integer vocabulary_size, got {vocabulary_size!r}")
        size = operator.index(vocabulary_size)
        alphabet = "" if self.level == "byte" else "".join(sorted(set(text)))
        special = SPECIAL_TOKENS[self.level]
        smallest = len(special) + (len(alphabet) or len(_BYTE_TO_SYMBOL))
        if size < smallest:
            raise ValueError(
                f"expected a vocabulary_size of at least {smallest} ({len(special)} special and "
                f"{smallest - len(special)} single symbols), got {size}"
            )
        counts = Counter(split_words(text, self.level))
        words = {self._symbols(word): count for word, count in counts.items()}
        learned = islice(learn_merges(words, reserved=special), size - smallest)
        self._assemble(alphabet, [pair for pair, _ in learned])

    def encode(
        self, text: str, add_bos: bool = False, add_eos: bool = False, allow_special: bool = False
    ) -> list[int]:
        """Turn text into ids.

        Args:
            text: Any text.
            add_bos: Put the id of the beginning in front.
            add_eos: Put the id of the end behind.
            allow_special: Read names such as `<EOS>` in the text as special tokens; otherwise they
                are plain characters, which is what text from a stranger should be.

        Returns:
            The ids as a list of int.

        Raises:
            TypeError: The text is not a str.
            ValueError: The tokenizer has not been trained, or the text is not valid Unicode.

        Examples:
            A new word of known letters is no problem; a letter never seen is unknown.

            >>> tokenizer = BPETokenizer()
            >>> tokenizer.train("low lower lowest", vocabulary_size=16)
            >>> tokenizer.encode("slow")
            [9, 13]
            >>> tokenizer.decode(tokenizer.encode("slow flow", add_eos=True))
            'slow <UNK>low'
        """
        _check_text(text)
        if self.level == "character" and not self._alphabet:
            raise ValueError("this tokenizer knows no character yet: train it or load one first")
        special = SPECIAL_TOKENS[self.level]
        ids = [self.bos_id] if add_bos else []
        if allow_special:
            for piece in re.split(f"({'|'.join(map(re.escape, special))})", text):
                ids += [self.vocabulary[piece]] if piece in special else self._encode_text(piece)
        else:
            ids += self._encode_text(text)
        return [*ids, self.eos_id] if add_eos else ids

    def _symbols(self, word: str) -> str:
        """Return the symbols that a word consists of before any merge."""
        return _bytes_to_symbols(word) if self.level == "byte" else word

    def _encode_text(self, text: str) -> list[int]:
        """Turn text without special tokens into ids, merging each distinct word once."""
        words = split_words(text, self.level)
        ids = {word: self._encode_word(self._symbols(word)) for word in dict.fromkeys(words)}
        return list(chain.from_iterable(map(ids.__getitem__, words)))

    def _encode_word(self, word: str) -> list[int]:
        """Turn the symbols of one word into ids."""
        unknown = -1 if self.unk_id is None else self.unk_id  # No byte is unknown.
        if len(word) <= _LONG_WORD:
            tokens = merge_by_rank(word, self._ranks)
            return [self.vocabulary.get(token, unknown) for token in tokens]

        # Write each token as the character of its number, and replay all merges in their order.
        text = "".join([chr(self.vocabulary.get(symbol, unknown)) for symbol in word])
        for left, right in self.merges:
            pair = chr(self.vocabulary[left]) + chr(self.vocabulary[right])
            text = text.replace(pair, chr(self.vocabulary[left + right]))
        return [ord(code) for code in text]

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids back into text.

        `<UNK>` is shown, the other special tokens are left out.
        At byte level the ids may begin or end within a character: what is not valid UTF-8 becomes
        U+FFFD, the replacement character.

        Args:
            ids: Any iterable of integers, for example a list or a one-dimensional array.

        Returns:
            The text.

        Raises:
            TypeError: An element is not an integer, or there is nothing to iterate over.
            ValueError: An id is not in the vocabulary.

        Examples:
            >>> tokenizer = BPETokenizer(level="byte")
            >>> ids = tokenizer.encode("né", add_eos=True)
            >>> ids
            [77, 127, 102, 256]
            >>> tokenizer.decode(ids), tokenizer.decode(ids[:2])
            ('né', 'n�')
        """
        try:
            numbers = [operator.index(number) for number in ids]
        except TypeError as error:
            raise TypeError(f"expected an iterable of integer ids: {error}") from None
        if numbers and not 0 <= min(numbers) <= max(numbers) < len(self):
            wrong = next(number for number in numbers if not 0 <= number < len(self))
            raise ValueError(f"expected ids from 0 to {len(self) - 1}, got {wrong}")
        if self.level == "byte":
            bytes_of = map(self._spelled.__getitem__, numbers)
            return b"".join(bytes_of).decode("utf-8", errors="replace")
        return "".join(map(self._spelled.__getitem__, numbers))

    @classmethod
    def from_merges(
        cls, merges: Iterable[Sequence[str]], alphabet: str = "", level: str = "character"
    ) -> Self:
        """Make a tokenizer from merges that are known already.

        Args:
            merges: Pairs of tokens, in the order of learning.
            alphabet: The single characters, by code point; empty at byte level.
            level: "character" or "byte".

        Raises:
            ValueError: The alphabet is not in order, a merge joins tokens that do not exist before
                it, or makes one that does.

        Examples:
            >>> merges = [("b", "c"), ("a", "b"), ("bc", "d")]
            >>> tokenizer = BPETokenizer.from_merges(merges, alphabet="abcd")
            >>> [tokenizer.decode([number]) for number in tokenizer.encode("abcd")]
            ['a', 'bcd']
        """
        tokenizer = cls(level)
        _check_alphabet(alphabet, level)
        symbols = _BYTE_TO_SYMBOL.values() if level == "byte" else alphabet
        tokenizer._assemble(alphabet, _check_merges(merges, symbols, level))
        return tokenizer

    def to_dict(self) -> dict[str, Any]:
        """Return all that was learned as plain values that JSON can write.

        Examples:
            >>> tokenizer = BPETokenizer()
            >>> tokenizer.train("aab", vocabulary_size=7)
            >>> tokenizer.to_dict()["alphabet"], tokenizer.to_dict()["merges"]
            ('ab', [['a', 'a']])
        """
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "level": self.level,
            "alphabet": self._alphabet,
            "merges": [list(pair) for pair in self.merges],
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Make a tokenizer from what `to_dict` returned.

        Raises:
            ValueError: This is not the state of a tokenizer, or a damaged one.

        Examples:
            >>> tokenizer = BPETokenizer()
            >>> tokenizer.train("low lower lowest", vocabulary_size=19)
            >>> BPETokenizer.from_dict(tokenizer.to_dict())
            <BPETokenizer, level 'character', 19 tokens>
        """
        if not isinstance(state, Mapping) or state.get("format") != _FORMAT:
            raise ValueError(f"expected the state of a tokenizer, format {_FORMAT!r}")
        if state.get("version") != _VERSION:
            raise ValueError(f"expected version {_VERSION}, got {state.get('version')!r}")
        for key, kind in (("level", str), ("alphabet", str), ("merges", list)):
            if not isinstance(state.get(key), kind):
                raise ValueError(f"expected {key!r} as {kind.__name__}, got {state.get(key)!r:.40}")
        for merge in state["merges"]:
            if not isinstance(merge, list | tuple):
                raise ValueError(f"expected every merge as two strings, got {merge!r:.40}")
        return cls.from_merges(state["merges"], state["alphabet"], state["level"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tokenizer to a JSON file, whole or not at all.

        Examples:
            >>> import tempfile
            >>> tokenizer = BPETokenizer()
            >>> tokenizer.train("low lower lowest", vocabulary_size=19)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     tokenizer.save(f"{folder}/tokenizer.json")
            ...     BPETokenizer.load(f"{folder}/tokenizer.json").encode(" lowest")
            [18]
        """
        target = Path(path)
        temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        content = json.dumps(self.to_dict(), ensure_ascii=False) + "\n"
        try:
            temporary.write_text(content, encoding="utf-8", newline="\n")
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a tokenizer that `save` wrote.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is not a tokenizer file, or a damaged one.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not a tokenizer file: {error}") from None


if __name__ == "__main__":
    from literategpt.demos.tokenizer import main

    main()
