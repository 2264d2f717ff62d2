"""The fables: a text that the shipped tokenizer can read, in one form, without a repetition."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from literategpt import load_pretrained
from literategpt.corpus import load_text, split_text
from literategpt.tokenizer import BPETokenizer

DATA = Path(__file__).parents[1] / "data"
FABLES = DATA / "fables.txt"
HEADING = "## The fables: `fables.txt`\n"

LENGTHS = range(350, 1401)
WORDS_A_SENTENCE = (8.0, 14.0)
SHARE_WITH_DIALOGUE = (0.4, 0.65)

# Where a line of speech or of the tale ends; a title ends in a letter.
LINE_END = re.compile(r"([.!?]'?|--)$")
# A sentence ends in a mark, perhaps a closing quotation mark, and a capital follows it.
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?='?[A-Z])|(?<=[.!?]')\s+(?='?[A-Z])")
# A quotation mark opens where no letter stands before it.
SPEECH = re.compile(r"(?<![A-Za-z.,!?])'(?=[A-Z])")


@pytest.fixture(scope="module")
def text() -> str:
    """Read the fables."""
    return load_text(FABLES)


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    """Load the tokenizer that is shipped with the trained model."""
    return load_pretrained()[1]


def fables(text: str) -> list[list[str]]:
    """Cut the text into fables, each a list of lines: its title, then its paragraphs."""
    return [block.split("\n") for block in text.removesuffix("\n").split("\n\n")]


def sentences(fable: list[str]) -> list[str]:
    """List the sentences of a fable, without its title."""
    return [part for line in fable[1:] for part in SENTENCE_END.split(line)]


def words(text: str) -> list[str]:
    """List the words in lower case; an apostrophe inside a word belongs to it."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower())


def runs(text: str, length: int) -> list[str]:
    """List the runs of so many words, in order."""
    found = words(text)
    return [" ".join(found[i : i + length]) for i in range(len(found) - length + 1)]


def mean_words(text: str) -> float:
    """Say how many words a sentence has on average."""
    counts = [len(words(part)) for fable in fables(text) for part in sentences(fable)]
    return sum(counts) / len(counts)


def repeated(items: list[str]) -> list[str]:
    """List what occurs twice or more."""
    return [item for item, count in Counter(items).items() if count > 1]


def layout_faults(text: str) -> list[str]:
    """Find spaces that nobody sees, and an end that is not exactly one newline."""
    found = [name for name in ("  ", "\t", " \n", "\n ", "\n\n\n") if name in text]
    if not text.endswith("\n") or text.endswith("\n\n") or text.startswith("\n"):
        found.append("the end of the file")
    return found


def form_faults(text: str) -> list[str]:
    """Find titles that read like a paragraph, and paragraphs that read like a title."""
    found = []
    for title, *paragraphs in fables(text):
        if not (title[:1].isupper() and title[-1:].isalpha() and len(title) <= 50):
            found.append(title)
        if not paragraphs:
            found.append(f"{title}: no text")
        found += [line for line in paragraphs if not (line and LINE_END.search(line))]
        # A line that starts in lower case is one that was wrapped.
        found += [line for line in paragraphs if not re.match(r"'?[A-Z]", line)]
    return found


def title_faults(text: str) -> list[str]:
    """Find titles that stand over two fables."""
    return repeated([fable[0].casefold() for fable in fables(text)])


def length_faults(text: str) -> list[str]:
    """Find fables that are too short or too long."""
    return [fable[0] for fable in fables(text) if len("\n".join(fable)) not in LENGTHS]


def sentence_faults(text: str) -> list[str]:
    """Find sentences that occur twice, whatever their capitals and marks."""
    return repeated([" ".join(words(part)) for fable in fables(text) for part in sentences(fable)])


def run_faults(text: str) -> list[str]:
    """Find runs of eight words that occur twice."""
    return repeated(runs(text, 8))


def pattern_faults(text: str) -> list[str]:
    """Find openings and closings that more than three fables share, and announced morals."""
    bodies = [words(" ".join(fable[1:])) for fable in fables(text)]
    openings = Counter(" ".join(body[:2]) for body in bodies)
    closings = Counter(" ".join(body[-2:]) for body in bodies)
    found = [start for start, count in (openings + closings).items() if count > 3]
    found += [fable[0] for fable in fables(text) if words(fable[1])[0] == "once"][3:]
    return found + re.findall(r"(?i)\bmorals?\b", text)


def rhythm_faults(text: str) -> list[str]:
    """Find sentences that are too long on average, and a share of dialogue out of bounds."""
    mean = mean_words(text)
    # Two people talk where speech is opened three times or more.
    talking = [len(SPEECH.findall("\n".join(fable[1:]))) >= 3 for fable in fables(text)]
    share = sum(talking) / len(talking)
    found = []
    if not WORDS_A_SENTENCE[0] <= mean <= WORDS_A_SENTENCE[1]:
        found.append(f"{mean:.1f} words a sentence")
    if not SHARE_WITH_DIALOGUE[0] <= share <= SHARE_WITH_DIALOGUE[1]:
        found.append(f"dialogue in {share:.2f} of the fables")
    return found


def cut_faults(text: str) -> list[str]:
    """Find a cut for validation that does not fall between two fables."""
    train, validation = split_text(text)
    found = [] if train.endswith("\n\n") else [train[-40:]]
    if fables(train.removesuffix("\n")) + fables(validation) != fables(text):
        found.append("the parts are not the fables of the whole")
    return found


def leak_faults(text: str) -> list[str]:
    """Find runs of six words that stand in both parts, and validation fables of another kind."""
    train, validation = split_text(text)
    found = sorted(set(runs(train, 6)) & set(runs(validation, 6)))
    ratio = (len(validation) / len(fables(validation))) / (len(train) / len(fables(train)))
    if not 0.85 <= ratio <= 1.15:
        found.append(f"validation fables are {ratio:.2f} times as long")
    return found


def table_faults(text: str, readme: str) -> list[str]:
    """Compare the numbers in the README's section on the fables with the text."""
    section = readme[readme.index(HEADING) + len(HEADING) :].split("\n## ", maxsplit=1)[0]
    rows = re.findall(r"^\| (\w+) \| ([\d,]+) \| ([\d,]+) \|$", section, flags=re.MULTILINE)
    stated = {name: (int(a.replace(",", "")), int(b.replace(",", ""))) for name, a, b in rows}
    train, validation = split_text(text)
    parts = {"Training": train, "Validation": validation, "Together": text}
    actual = {name: (len(fables(part.rstrip("\n"))), len(part)) for name, part in parts.items()}
    found = [f"{name}: {actual[name]}" for name in actual if stated.get(name) != actual[name]]
    mean = f"{mean_words(text):.1f} words on average"
    return found if mean in section else [*found, mean]


Check = Callable[[str], list[str]]


def test_the_file_is_plain_ascii() -> None:
    """Every byte is ASCII, and no line ends as on Windows."""
    data = FABLES.read_bytes()
    assert data.isascii()
    assert b"\r" not in data


def test_the_layout_has_no_hidden_spaces(text: str) -> None:
    """No line starts or ends with a space, no space is doubled, and one newline ends the file."""
    assert layout_faults(text) == []


def test_the_tokenizer_knows_every_character(text: str, tokenizer: BPETokenizer) -> None:
    """The text is written in the shipped tokenizer's alphabet, so nothing is lost in encoding."""
    assert sorted(set(text) - set(tokenizer.vocabulary)) == []
    ids = tokenizer.encode(text)
    assert tokenizer.unk_id not in ids
    assert tokenizer.decode(ids) == text


def test_a_character_outside_the_alphabet_is_seen(text: str, tokenizer: BPETokenizer) -> None:
    """A digit or a double quotation mark in the text would be an unknown token."""
    for character in '7"(é\t':
        planted = text[:1000] + character + text[1000:2000]
        assert set(planted) - set(tokenizer.vocabulary) == {character}
        assert tokenizer.unk_id in tokenizer.encode(planted)


def test_each_fable_has_the_form(text: str) -> None:
    """A fable is a title without a mark at its end, then paragraphs that each fill one line."""
    assert form_faults(text) == []


def test_titles_are_unique(text: str) -> None:
    """No two fables have the same title."""
    assert title_faults(text) == []


def test_fables_are_short_and_vary(text: str) -> None:
    """Each fable has 350 to 1,400 characters, and the longest is twice as long as the shortest."""
    assert length_faults(text) == []
    lengths = [len("\n".join(fable)) for fable in fables(text)]
    assert max(lengths) > 2 * min(lengths)


def test_no_sentence_occurs_twice(text: str) -> None:
    """Every sentence of the file is written once, capitals and marks aside."""
    assert sentence_faults(text) == []


def test_no_run_of_eight_words_occurs_twice(text: str) -> None:
    """No stretch of eight words is used again."""
    assert run_faults(text) == []


def test_no_fixed_opening_or_closing(text: str) -> None:
    """At most three fables share two opening or two closing words, and none announces a moral."""
    assert pattern_faults(text) == []


def test_sentences_are_short_and_half_the_fables_talk(text: str) -> None:
    """Sentences have 8 to 14 words on average, and people talk in about half of the fables."""
    assert rhythm_faults(text) == []


def test_validation_starts_with_a_fable(text: str) -> None:
    """The cut that `split_text` makes for validation falls between two fables."""
    assert cut_faults(text) == []


def test_validation_fables_are_new_and_alike_in_length(text: str) -> None:
    """The parts share no run of six words, and their fables are of about the same length."""
    assert leak_faults(text) == []


def test_the_readme_states_the_counts(text: str) -> None:
    """The section in the README counts as the file does: at least 60 fables and 40 KB."""
    assert table_faults(text, load_text(DATA / "README.md")) == []
    assert len(fables(text)) >= 60
    assert len(text.encode("utf-8")) >= 40_000


def wrap(text: str) -> str:
    """Break a long paragraph after its tenth word."""
    line = max(text.split("\n"), key=len)
    head = " ".join(line.split(" ")[:10])
    return text.replace(line, head + "\n" + line.removeprefix(head + " "))


def swap_last_training_fable(text: str) -> str:
    """Exchange the first validation fable with a training fable of another length."""
    blocks = text.removesuffix("\n").split("\n\n")
    at = len(fables(split_text(text)[0].rstrip("\n")))
    other = max(range(at), key=lambda i: abs(len(blocks[i]) - len(blocks[at])))
    blocks[at], blocks[other] = blocks[other], blocks[at]
    return "\n\n".join(blocks) + "\n"


def copy_into_validation(text: str) -> str:
    """Tell the longest sentence of the training part again, inside the last fable."""
    train = split_text(text)[0].rstrip("\n")
    told = max((part for fable in fables(train) for part in sentences(fable)), key=len)
    return text.removesuffix("\n") + f" {told}\n"


def join_all_sentences(text: str) -> str:
    """Make most sentences run on."""
    return re.sub(r"\. (?=[A-Z])", ", and ", text)


def silence(text: str) -> str:
    """Take away the quotation marks that open a speech."""
    return SPEECH.sub("", text)


def repeat_line(text: str, line: int) -> str:
    """Write one line of the first fable at the end of the file as well."""
    return f"{text}{fables(text)[0][line]}\n"


FAULTS: dict[str, tuple[Check, Callable[[str], str]]] = {
    "a trailing space": (layout_faults, lambda t: t.replace(".\n", ". \n", 1)),
    "a double space": (layout_faults, lambda t: t.replace(". ", ".  ", 1)),
    "no newline at the end": (layout_faults, lambda t: t.rstrip("\n")),
    "two newlines at the end": (layout_faults, lambda t: t + "\n"),
    "a wrapped paragraph": (form_faults, wrap),
    "a blank line inside a fable": (form_faults, lambda t: t.replace(".\n", ".\n\n", 1)),
    "a lost blank line": (form_faults, lambda t: t.replace("\n\n", "\n", 1)),
    "a title with a full stop": (form_faults, lambda t: t.replace("\n", ".\n", 1)),
    "a title twice": (title_faults, lambda t: f"{t}\n{fables(t)[0][0]}\nIt rained.\n"),
    "a short fable": (length_faults, lambda t: f"{t}\nShort\nIt rained.\n"),
    "a long fable": (length_faults, lambda t: t.replace("\n\n", "\nAnd so on.\n", 2)),
    "a sentence twice": (sentence_faults, lambda t: repeat_line(t, 1)),
    "a sentence in capitals": (sentence_faults, lambda t: t + fables(t)[0][1].upper() + "\n"),
    "a run of words": (run_faults, lambda t: repeat_line(t, 1)),
    "a fixed opening": (pattern_faults, lambda t: t + "\nA\nFar away.\n" * 4),
    "a fixed closing": (
        pattern_faults,
        lambda t: t + "".join(f"\nA\n{w} said that so it goes.\n" for w in "WXYZ"),
    ),
    "Once, four times": (
        pattern_faults,
        lambda t: t + "".join(f"\nA\nOnce {w} ran on {w}.\n" for w in "wxyz"),
    ),
    "a moral": (pattern_faults, lambda t: t + "Moral: beware.\n"),
    "long sentences": (rhythm_faults, join_all_sentences),
    "no dialogue": (rhythm_faults, silence),
    "a fable moved": (cut_faults, swap_last_training_fable),
    "a cut inside a fable": (cut_faults, lambda t: t + "It rained. " * 40 + "It rained.\n"),
    "a sentence in both parts": (leak_faults, copy_into_validation),
    "long validation fables": (leak_faults, lambda t: t.replace(".\n\n", ".\n", 40)),
    "longer sentences than stated": (
        lambda t: table_faults(t, load_text(DATA / "README.md")),
        lambda t: t.replace(". It", ", it"),
    ),
    "a fable more than stated": (
        lambda t: table_faults(t, load_text(DATA / "README.md")),
        lambda t: f"{t}\nShort\nIt rained.\n",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_seen(text: str, name: str) -> None:
    """A copy of the fables with one fault in it turns the check of that fault red."""
    check, plant = FAULTS[name]
    planted = plant(text)
    assert planted != text
    assert check(text) == []
    assert check(planted)
