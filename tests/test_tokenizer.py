"""The tokenizer against a plain reference, against GPT-2's own ids, and against bad input."""

import json
import os
import random
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from literategpt.tokenizer import (
    BPETokenizer,
    byte_symbols,
    gpt2_pattern,
    learn_merges,
    merge_by_rank,
    split_words,
)

QUESTION = "to be or not to be that is the question"
ORACLE = json.loads(Path(__file__).with_name("oracles").joinpath("gpt2_tokens.json").read_bytes())
LEVELS = ("character", "byte")


# The algorithm as a textbook would write it: slow, and short enough to be checked by eye.


def reference_merge(symbols, pair):
    """Join a pair from left to right."""
    merged, i = [], 0
    while i < len(symbols):
        step = 2 if tuple(symbols[i : i + 2]) == pair else 1
        merged.append("".join(symbols[i : i + step]))
        i += step
    return merged


def reference_counts(words):
    """Count each pair as often as it could be joined, in the order of first sight."""
    counts = {}
    for word, symbols in words.items():
        for pair in dict.fromkeys(pairwise(symbols)):
            times = len(symbols) - len(reference_merge(symbols, pair))
            counts[pair] = counts.get(pair, 0) + times * word[1]
    return counts


def reference_training(frequencies, reserved=()):
    """Yield the merges: count all pairs anew, join the most frequent, the first seen of equals."""
    words = {item: list(item[0]) for item in frequencies.items()}
    while True:
        counts = reference_counts(words)
        allowed = {pair: n for pair, n in counts.items() if "".join(pair) not in reserved}
        if not allowed:
            return
        pair = max(allowed, key=allowed.__getitem__)
        yield pair, allowed[pair]
        words = {item: reference_merge(symbols, pair) for item, symbols in words.items()}


def reference_encoding(word, merges):
    """Replay all merges in the order of learning."""
    symbols = list(word)
    for pair in merges:
        symbols = reference_merge(symbols, pair)
    return symbols


def trained(text, vocabulary_size=10_000, level="character"):
    """Return a tokenizer that was trained on a text."""
    tokenizer = BPETokenizer(level)
    tokenizer.train(text, vocabulary_size)
    return tokenizer


def tokens_of(tokenizer, text, **options):
    """Return the tokens of a text by name."""
    names = list(tokenizer.vocabulary)
    return [names[number] for number in tokenizer.encode(text, **options)]


def random_unicode(rng, length):
    """Return valid text in which every plane, control characters and spaces occur."""
    ranges = [(0, 0x80), (0x80, 0x250), (0x300, 0x3000), (0x3000, 0xD800), (0xE000, 0x110000)]
    codes = [rng.choice([32, 10, 39, rng.randrange(*rng.choice(ranges))]) for _ in range(length)]
    return "".join(map(chr, codes))


# Training


def test_low_lower_lowest():
    """The merges of `low lower lowest` are what the algorithm yields, ties included."""
    merges = list(learn_merges(Counter(split_words("low lower lowest"))))
    assert merges == [
        (("l", "o"), 3),
        (("lo", "w"), 3),
        ((" ", "low"), 2),
        ((" low", "e"), 2),
        ((" lowe", "r"), 1),
        ((" lowe", "s"), 1),
        ((" lowes", "t"), 1),
    ]


@pytest.mark.parametrize(("entries", "length"), [(17, 39), (21, 30), (26, 25), (30, 21)])
def test_the_question_by_vocabulary_size(entries, length):
    """More entries make fewer tokens of the same 39 characters."""
    tokenizer = trained(QUESTION, entries)
    assert (len(tokenizer), len(tokenizer.encode(QUESTION))) == (entries, length)
    assert tokenizer.decode(tokenizer.encode(QUESTION)) == QUESTION


def test_pairs_that_occur_once_are_merged_too():
    """From the fifth merge on every pair of the question occurs once, and all are joined."""
    counts = [count for _, count in learn_merges(Counter(split_words(QUESTION)))]
    assert counts[:4] == [3, 2, 2, 2]
    assert set(counts[4:]) == {1}
    assert len(counts) == 24


@pytest.mark.parametrize("level", LEVELS)
def test_training_stops_early_when_no_pair_is_left(level):
    """A short text ends with one token a word, and fewer entries than asked for."""
    tokenizer = trained("abc abc abcd", 1000, level)
    assert tokenizer.merges == [
        ("a", "b"),
        ("ab", "c"),
        ("Ġ" if level == "byte" else " ", "abc"),
        ("Ġabc" if level == "byte" else " abc", "d"),
    ]
    assert len(tokenizer) == (257 if level == "byte" else 9) + 4


@pytest.mark.parametrize("seed", range(60))
def test_training_equals_the_reference(seed):
    """The index yields the same pairs and counts as counting everything anew, at both levels."""
    rng = random.Random(seed)
    alphabet = rng.choice(["ab", "ab ", "aaab c", "abc \n", "é ñ日", "<PAD>"])
    text = "".join(rng.choices(alphabet, k=rng.randrange(1, 120)))
    for level in LEVELS:
        tokenizer = BPETokenizer(level)
        words = Counter(map(tokenizer._symbols, split_words(text, level)))
        expected = list(reference_training(words))
        assert list(learn_merges(words)) == expected
        tokenizer.train(text, 10_000)
        pad_free = [pair for pair, _ in reference_training(words, {"<PAD>"})]
        assert tokenizer.merges == pad_free


def test_training_equals_the_reference_on_prose():
    """The same on real sentences in many scripts, with long words and hundreds of ties."""
    words = Counter(split_words("\n".join(case["text"] for case in ORACLE["texts"])))
    assert list(islice(learn_merges(words), 200)) == list(islice(reference_training(words), 200))


def test_pairs_are_counted_with_multiplicity():
    """A word that occurs often outweighs many words that occur once."""
    assert trained("xy xy xy ab ac ad abc", 14).merges[0] == (" ", "a")
    assert trained("xy xy xy xy xy ab ac ad abc", 14).merges[0] == ("x", "y")


def test_overlapping_pairs_are_counted_as_they_can_be_joined():
    """`aaa` holds the pair a, a once: twice would let it win over b, c."""
    words = {"bcbc": 1, "aaa": 1}
    assert next(learn_merges(words)) == (("b", "c"), 2)
    assert list(learn_merges({"aaaaa": 1})) == [
        (("a", "a"), 2),
        (("aa", "aa"), 1),
        (("aaaa", "a"), 1),
    ]


def test_ties_go_to_the_pair_seen_first():
    """Of two pairs that occur equally often the one that stands first in the text wins."""
    assert trained("zy ba", 1000).merges[0] == ("z", "y")
    assert trained("ba zy", 1000).merges[0] == ("b", "a")
    assert trained("cab", 1000).merges[0] == ("c", "a")


def test_first_seen_means_now_and_in_the_text():
    """An occurrence that an earlier merge took away no longer counts as first sight."""
    assert [pair for pair, _ in learn_merges({"abc": 1, "dbc": 1, "ab": 1, "de": 1, "bc": 1})] == [
        ("b", "c"),
        ("a", "bc"),
        ("d", "bc"),
        ("a", "b"),
        ("d", "e"),
    ]


def test_merges_never_cross_words():
    """A space stands at most at the beginning of a token, and a line break never beside letters."""
    text = "the end\n\nof  the   end\nof\tthe end. " * 3
    for token in trained(text, 1000).vocabulary:
        assert " " not in token[1:]
        assert not ("\n" in token and any(sign.isalpha() for sign in token))
        assert not ("\n" in token and " " in token)


@pytest.mark.parametrize("level", LEVELS)
def test_words_are_the_text_again(level):
    """Cutting text into words loses nothing and makes no empty word."""
    rng = random.Random(1)
    for _ in range(200):
        text = random_unicode(rng, 30)
        words = split_words(text, level)
        assert "".join(words) == text
        assert all(words)


def test_the_result_does_not_depend_on_hash_order():
    """Two processes with different hash seeds learn and encode the same."""
    code = (
        "from literategpt.tokenizer import BPETokenizer as T\n"
        "for level in ('character', 'byte'):\n"
        "    t = T(level); t.train('she sells sea shells by the sea shore ' * 2, 290)\n"
        "    print(t.to_dict(), t.encode('the shore sells'))\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]


def test_training_again_starts_afresh():
    """Nothing of the first text remains after a second training."""
    tokenizer = trained("first text", 1000)
    tokenizer.train("quite another", 1000)
    assert tokenizer.to_dict() == trained("quite another", 1000).to_dict()


# Ids


def test_layout_of_character_ids():
    """Four special tokens, the alphabet by code point, the merges in order."""
    tokenizer = trained("b a ab", 9)
    assert tokenizer.vocabulary == {
        "<PAD>": 0,
        "<UNK>": 1,
        "<BOS>": 2,
        "<EOS>": 3,
        " ": 4,
        "a": 5,
        "b": 6,
        " a": 7,
        " ab": 8,
    }
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2, 3)


def test_layout_of_byte_ids():
    """256 bytes in GPT-2's order, the merges, then one token for beginning and end."""
    tokenizer = trained("aab aab", 259, "byte")
    assert (
        list(tokenizer.vocabulary)[:256] == ORACLE["byte_tokens"] == list(byte_symbols().values())
    )
    assert list(tokenizer.vocabulary)[256:] == ["aa", "aab", "<|endoftext|>"]
    assert (tokenizer.pad_id, tokenizer.unk_id) == (None, None)
    assert tokenizer.bos_id == tokenizer.eos_id == 258


@pytest.mark.parametrize("level", LEVELS)
def test_beginning_and_end(level):
    """Both ids are added when asked for, and only then."""
    tokenizer = trained("ab", 300, level)
    plain = tokenizer.encode("ab")
    assert tokenizer.encode("ab", add_bos=True) == [tokenizer.bos_id, *plain]
    assert tokenizer.encode("ab", add_eos=True) == [*plain, tokenizer.eos_id]
    assert tokenizer.encode("", add_bos=True, add_eos=True) == [tokenizer.bos_id, tokenizer.eos_id]
    assert not {tokenizer.bos_id, tokenizer.eos_id} & set(plain)


# Encoding


def test_merge_rank_decides_and_not_the_longest_match():
    """With merges b+c, a+b, bc+d the word `abcd` is cut a|bcd, not ab|c|d."""
    merges = [("b", "c"), ("a", "b"), ("bc", "d")]
    tokenizer = BPETokenizer.from_merges(merges, alphabet="abcd")
    assert tokens_of(tokenizer, "abcd") == ["a", "bcd"]
    assert tokens_of(tokenizer, "aabab") == ["a", "ab", "ab"]


def test_unseen_words_and_unseen_letters():
    """`banana` has only letters of the question; three letters of `zephyr` are unknown."""
    tokenizer = trained(QUESTION, 30)
    assert tokens_of(tokenizer, "banana") == ["b", "a", "n", "a", "n", "a"]
    assert tokens_of(tokenizer, "zephyr") == ["<UNK>", "e", "<UNK>", "h", "<UNK>", "r"]
    assert tokenizer.decode(tokenizer.encode("zephyr")) == "<UNK>e<UNK>h<UNK>r"


@pytest.mark.parametrize("seed", range(40))
def test_encoding_equals_replaying_all_merges(seed):
    """By rank, with shortcuts for short and for long words, equals replaying every merge."""
    rng = random.Random(seed)
    known = list("abcd")
    merges = []
    for _ in range(rng.randrange(1, 25)):
        pair = (rng.choice(known), rng.choice(known))
        if "".join(pair) not in known:
            known.append("".join(pair))
            merges.append(pair)
    tokenizer = BPETokenizer.from_merges(merges, alphabet="abcd")
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    for length in (0, 1, 2, 7, 40, 499, 500, 501, 700):
        word = "".join(rng.choices("aabcd", k=length))
        expected = reference_encoding(word, merges)
        assert merge_by_rank(word, ranks) == expected
        assert tokens_of(tokenizer, word) == expected
        assert tokens_of(tokenizer, word.replace("d", "?")) == [
            "<UNK>" if token == "?" else token
            for token in reference_encoding(word.replace("d", "?"), merges)
        ]


@pytest.mark.parametrize("level", LEVELS)
def test_encoding_cuts_the_training_text_as_training_did(level):
    """With every merge learned, each word of the training text is one token."""
    text = "she sells sea shells by the sea shore"
    assert len(trained(text, 1000, level).encode(text)) == len(split_words(text, level))


@pytest.mark.parametrize("level", LEVELS)
def test_encoding_word_by_word(level):
    """Where a space opens a new word, the parts of a text can be encoded one by one."""
    tokenizer = trained("she sells sea shells by the sea shore", 300, level)
    rng = random.Random(5)
    for _ in range(200):
        first, second = ("".join(rng.choices("seahl by", k=9)) for _ in range(2))
        first, second = first + "e", " s" + second
        assert tokenizer.encode(first + second) == tokenizer.encode(first) + tokenizer.encode(
            second
        )
        assert (
            tokenizer.decode(tokenizer.encode(first) + tokenizer.encode(second)) == first + second
        )


def test_special_names_are_plain_text_unless_allowed():
    """Text that spells a special token becomes that token only when the caller allows it."""
    text = "a<EOS>b<PAD>"
    tokenizer = trained(text, 1000)
    special = {tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id}
    assert not special & set(tokenizer.encode(text))
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokens_of(tokenizer, text, allow_special=True) == ["a", "<EOS>", "b", "<PAD>"]
    byte = trained("ab", 258, "byte")
    assert tokens_of(byte, "<|endoftext|>ab", allow_special=True) == ["<|endoftext|>", "ab"]
    assert byte.eos_id not in byte.encode("<|endoftext|>ab")


def test_no_merge_spells_a_special_token():
    """A text full of `<PAD>` does not give its letters the id of padding."""
    tokenizer = trained("<PAD> " * 50, 1000)
    assert "<PAD>" not in ["".join(pair) for pair in tokenizer.merges]
    assert tokenizer.pad_id not in tokenizer.encode("<PAD>")
    assert len(tokenizer.vocabulary) == len(tokenizer)


def test_a_long_text_without_spaces_is_encoded_in_linear_time():
    """A hundred thousand letters without a space take a moment and not the minutes of a square."""
    tokenizer = trained("she sells sea shells by the sea shore", 40)
    word = "".join(random.Random(0).choices("seahlbyor", k=100_000))
    start = time.process_time()
    tokens = tokens_of(tokenizer, word)
    assert time.process_time() - start < 5
    assert "".join(tokens) == word


# Decoding


@pytest.mark.parametrize("level", LEVELS)
def test_decode_takes_any_iterable_of_integers(level):
    """Lists, tuples, generators, ranges and arrays of any integer type are decoded alike."""
    tokenizer = trained("abc abc", 300, level)
    ids = tokenizer.encode("abc cab")
    for same in (
        tuple(ids),
        iter(ids),
        np.array(ids),
        np.array(ids, np.uint8 if max(ids) < 256 else np.uint16),
    ):
        assert tokenizer.decode(same) == "abc cab"
    assert tokenizer.decode(number for number in ids) == "abc cab"
    assert tokenizer.decode([]) == ""
    assert tokenizer.decode(range(4, 7)) == ("".join(list(tokenizer.vocabulary)[4:7]))


def test_decode_shows_unknown_and_leaves_other_special_tokens_out():
    """Padding, beginning and end stand for no text; an unknown character leaves a trace."""
    tokenizer = trained("ab", 7)
    assert tokenizer.decode([2, 4, 1, 5, 3, 0, 0]) == "a<UNK>b"
    byte = BPETokenizer("byte")
    assert byte.decode([256, *byte.encode("ab"), 256]) == "ab"


def test_invalid_utf8_decodes_with_replacement():
    """Half a character becomes the replacement character, as Python's own decoder has it."""
    tokenizer = BPETokenizer("byte")
    order = list(byte_symbols())
    for broken in (b"\xff", b"a\xc3", b"\x80b", b"\xf0\x9f\x98", b"\xe2\x82\xc3\xa9"):
        ids = [order.index(byte) for byte in broken]
        assert tokenizer.decode(ids) == broken.decode("utf-8", errors="replace")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("ids", [[-1], [4, 10**6], np.array([5, -3])])
def test_ids_out_of_range_are_refused(level, ids):
    """A negative id does not count from the end, and one too large is named."""
    tokenizer = trained("abcdef", 300, level)
    with pytest.raises(ValueError, match=r"expected ids from 0 to \d+, got (-1|1000000|-3)"):
        tokenizer.decode(ids)


@pytest.mark.parametrize(
    "ids", [5, None, "ab", [1.0], ["a"], [None], np.array([[4, 5]]), np.array([4.0])]
)
def test_ids_of_other_types_are_refused(ids):
    """What is not an iterable of integers is a TypeError that says so."""
    with pytest.raises(TypeError, match="expected an iterable of integer ids"):
        trained("abcdef", 20).decode(ids)


# Round trips


def test_byte_level_is_lossless_on_any_unicode():
    """Random text from all planes comes back exactly, whatever the tokenizer was trained on."""
    rng = random.Random(3)
    tokenizers = [BPETokenizer("byte"), trained(random_unicode(rng, 3000), 700, "byte")]
    for tokenizer in tokenizers:
        for length in (0, 1, 2, 50, 300):
            text = random_unicode(rng, length)
            assert tokenizer.decode(tokenizer.encode(text)) == text


def test_character_level_is_lossless_over_its_alphabet():
    """Any text over the training alphabet comes back exactly."""
    rng = random.Random(4)
    alphabet = "abc \n\té日😀\0\u2028<>UNK"
    for size in (22, 30, 100):
        tokenizer = trained("".join(rng.choices(alphabet, k=500)) + alphabet, size)
        for length in (0, 1, 80, 600):
            text = "".join(rng.choices(alphabet, k=length))
            assert tokenizer.decode(tokenizer.encode(text)) == text


def test_encoding_and_decoding_change_nothing():
    """The tokenizer is the same after use as before."""
    tokenizer = trained(QUESTION, 30)
    before = json.dumps(tokenizer.to_dict())
    tokenizer.decode(tokenizer.encode("zephyr to be", add_bos=True, allow_special=True))
    assert json.dumps(tokenizer.to_dict()) == before


# GPT-2


def gpt2():
    """Return a tokenizer with the merges of GPT-2 that the oracle's texts meet."""
    merges = [(left, right) for left, right, _ in ORACLE["merges"]]
    return BPETokenizer.from_merges(merges, level="byte")


def gpt2_id(token):
    """Return GPT-2's own id of a token."""
    ids = {left + right: number for left, right, number in ORACLE["merges"]}
    ids |= {token: number for number, token in enumerate(ORACLE["byte_tokens"])}
    return (ids | {"<|endoftext|>": ORACLE["end_of_text"]})[token]


@pytest.mark.parametrize("case", ORACLE["texts"], ids=lambda case: case["name"])
def test_gpt2_words_and_ids(case):
    """Words and ids equal those of GPT-2, on which two other implementations agree."""
    tokenizer = gpt2()
    assert split_words(case["text"], "byte") == case["words"]
    assert [gpt2_id(token) for token in tokens_of(tokenizer, case["text"])] == case["ids"]
    assert tokenizer.decode(tokenizer.encode(case["text"])) == case["text"]


def test_gpt2_special_token():
    """The name of the special token becomes GPT-2's last id when it is allowed."""
    case = ORACLE["special"]
    tokens = tokens_of(gpt2(), case["text"], allow_special=True)
    assert [gpt2_id(token) for token in tokens] == case["ids"]
    assert case["ids"].count(50256) == 2


def test_the_oracle_covers_what_it_claims():
    """The stored texts hold contractions, runs of spaces, CJK, emoji, controls and other digits."""
    assert len(ORACLE["texts"]) >= 29
    assert set(ORACLE["made_with"]) == {"python", "tokenizers", "tiktoken", "regex"}
    text = "".join(case["text"] for case in ORACLE["texts"])
    for piece in ("'ll", "     ", "天", "\u200d", "\x1c", "٠", "\u0301", "\r\n", "\u2028"):
        assert piece in text


def test_letters_and_numbers_are_those_of_unicode():
    """For every code point the pattern's letters, numbers, spaces and signs are Unicode's."""
    pattern = gpt2_pattern()
    spaces = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    spaces += "".join(map(chr, range(0x2000, 0x200B)))
    found = {}
    for code in range(sys.maxunicode + 1):
        kind = "s" if chr(code) in spaces else unicodedata.category(chr(code))[0]
        kind = kind if kind in "LNs" else "other"
        found.setdefault(kind, []).append(chr(code))
    for kind, neighbour in (("L", "a"), ("N", "1"), ("s", " "), ("other", "!")):
        joined = neighbour + neighbour.join(found[kind]) + neighbour
        # One word if all belong together; a run of white space has no letter after it here.
        assert pattern.findall(joined) == [joined], kind


# Errors


def test_an_unknown_level_is_refused():
    """The error names both levels and what was given."""
    with pytest.raises(ValueError, match="'character' or 'byte', got 'word'"):
        BPETokenizer("word")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("text", "size", "error", "message"),
    [
        ("", 300, ValueError, "empty string"),
        (b"abc", 300, TypeError, "expected text as a str, got bytes"),
        (None, 300, TypeError, "expected text as a str, got NoneType"),
        ("abc", 300.0, TypeError, "expected an integer vocabulary_size, got 300.0"),
        ("abc", "300", TypeError, "expected an integer vocabulary_size, got '300'"),
        ("abc", 6, ValueError, r"vocabulary_size of at least (7 \(4|257 \(1) special"),
        ("abc", -1, ValueError, "vocabulary_size of at least"),
        ("ab\ud800c", 300, ValueError, r"lone surrogate '\\ud800' at position 2"),
    ],
)
def test_training_errors_change_nothing(level, text, size, error, message):
    """Each error is raised before the earlier training is touched."""
    tokenizer = trained("she sells sea shells", 300, level)
    before = tokenizer.to_dict()
    with pytest.raises(error, match=message):
        tokenizer.train(text, size)
    assert tokenizer.to_dict() == before
    assert tokenizer.decode(tokenizer.encode("shells")) == "shells"


def test_the_smallest_vocabulary_has_no_merges():
    """A size with room for the alphabet and nothing else is accepted, as a NumPy integer too."""
    assert trained("abc", np.int64(7)).merges == []
    assert trained("abc", 257, "byte").merges == []


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("text", "error"),
    [(b"ab", TypeError), (None, TypeError), (["a"], TypeError), ("a\udfff", ValueError)],
)
def test_only_text_is_encoded(level, text, error):
    """Other types, and text that UTF-8 cannot write, are refused with what was given."""
    with pytest.raises(error, match="expected (text as a str|valid Unicode)"):
        trained("ab", 300, level).encode(text)


def test_an_untrained_tokenizer_says_so():
    """Without an alphabet all would be unknown; bytes need no training."""
    with pytest.raises(ValueError, match="train it or load one first"):
        BPETokenizer().encode("abc")
    assert len(BPETokenizer()) == 4
    assert len(BPETokenizer("byte")) == 257
    assert len(BPETokenizer("byte").encode("abc")) == 3


# Files


@pytest.mark.parametrize("level", LEVELS)
def test_save_and_load(level, tmp_path):
    """A tokenizer comes back from its file with every id, and the file is UTF-8."""
    tokenizer = trained("Ærø, “日本” 😀 and <PAD> " * 3 + '\0\x1f\n\t"\\', 400, level)
    path = tmp_path / "tokenizer é.json"
    tokenizer.save(path)
    again = BPETokenizer.load(str(path))
    assert again.to_dict() == tokenizer.to_dict() == json.loads(path.read_text(encoding="utf-8"))
    assert (again.vocabulary, again.merges, again.level) == (
        tokenizer.vocabulary,
        tokenizer.merges,
        level,
    )
    assert (again.pad_id, again.unk_id, again.bos_id, again.eos_id) == (
        tokenizer.pad_id,
        tokenizer.unk_id,
        tokenizer.bos_id,
        tokenizer.eos_id,
    )
    assert again.encode("“日本” 😀 and more") == tokenizer.encode("“日本” 😀 and more")
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_utf8_in_any_locale(tmp_path):
    """The bytes on disk do not depend on the encoding that the system prefers."""
    code = (
        "import sys; from literategpt.tokenizer import BPETokenizer as T\n"
        "t = T(); t.train('\\u65e5\\u672c \\u65e5\\u672c', 100); t.save(sys.argv[1])\n"
        "print(T.load(sys.argv[1]).to_dict() == t.to_dict())\n"
    )
    path = tmp_path / "t.json"
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=env, capture_output=True, check=True, text=True
    )
    assert run.stdout == "True\n"
    assert "日本".encode() in path.read_bytes()


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    """The new content replaces the old only when all of it is on disk."""
    path = tmp_path / "tokenizer.json"
    trained("old text", 100).save(path)
    before = path.read_bytes()

    def broken(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        trained("new text", 100).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


GOOD = {
    "format": "literategpt-tokenizer",
    "version": 1,
    "level": "character",
    "alphabet": "abc",
    "merges": [["a", "b"], ["ab", "c"]],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "tokenizer.json"}, "expected the state of a tokenizer"),
        ({"version": 2}, "expected version 1, got 2"),
        ({"version": None}, "expected version 1, got None"),
        ({"level": "word"}, "expected level"),
        ({"level": 3}, "expected 'level' as str, got 3"),
        ({"alphabet": ["a"]}, "expected 'alphabet' as str"),
        ({"alphabet": "acb"}, "by code point"),
        ({"alphabet": "abcc"}, "by code point"),
        ({"alphabet": "abc\ud800"}, "lone surrogate"),
        ({"merges": {"a": "b"}}, "expected 'merges' as list"),
        ({"merges": ["ab"]}, "as two strings, got 'ab'"),
        ({"merges": [["a"]]}, "merge 1 to be two strings"),
        ({"merges": [["a", "b", "c"]]}, "merge 1 to be two strings"),
        ({"merges": [["a", 1]]}, "merge 1 to be two strings"),
        ({"merges": [None]}, "as two strings, got None"),
        ({"merges": [["ab", "c"], ["a", "b"]]}, "merge 1 joins 'ab' and 'c', but 'ab' is neither"),
        ({"merges": [["a", "x"]]}, "'x' is neither"),
        ({"merges": [["a", "b"], ["a", "b"]]}, "merge 2 makes 'ab', which is a token already"),
        ({"merges": [["a", "b"], ["b", "c"], ["a", "bc"], ["ab", "c"]]}, "merge 4 makes 'abc'"),
        ({"merges": [["", "a"]]}, "'' is neither"),
        ({"level": "byte"}, "no alphabet at byte level"),
        ({"level": "byte", "alphabet": "", "merges": [["a", "日"]]}, "'日' is neither"),
        (
            {"alphabet": "<>ADP", "merges": [["<", "P"], ["<P", "A"], ["<PA", "D"], ["<PAD", ">"]]},
            "merge 4 makes '<PAD>'",
        ),
    ],
)
def test_damaged_states_are_refused(change, message, tmp_path):
    """Each kind of damage has its message, in memory and from a file, where the path is named."""
    assert len(BPETokenizer.from_dict(GOOD)) == 9
    with pytest.raises(ValueError, match=message):
        BPETokenizer.from_dict(GOOD | change)
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(GOOD | change), encoding="utf-8")
    with pytest.raises(ValueError, match=f"damaged.json is not a tokenizer file: .*{message}"):
        BPETokenizer.load(path)


@pytest.mark.parametrize("key", sorted(GOOD))
def test_missing_entries_are_refused(key):
    """A state without one of its entries is not a state."""
    with pytest.raises(ValueError, match="expected"):
        BPETokenizer.from_dict({name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"PK\x03\x04", b"[]", b"null", b"3", b'"text"', b"[" * 100_000, b"{}"],
)
def test_foreign_files_are_refused(content, tmp_path):
    """Whatever else a file holds, the error says that it is not a tokenizer file."""
    path = tmp_path / "foreign.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"foreign\.json is not a tokenizer file"):
        BPETokenizer.load(path)


def test_a_truncated_file_is_refused_at_every_length(tmp_path):
    """No part of a saved file passes for a whole one."""
    path = tmp_path / "tokenizer.json"
    trained("ab ab", 100).save(path)
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is not a tokenizer file"):
            BPETokenizer.load(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    """A file that is not there is reported as such."""
    with pytest.raises(FileNotFoundError):
        BPETokenizer.load(tmp_path / "nowhere.json")
