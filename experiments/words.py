"""Write `data/words.txt`, the words of the plays: `python -m experiments.words`.

A word is a run of letters, in which apostrophes may stand: `i'll` is one, `'tis` is `tis`, and a
hyphen parts two words.
Capitals are made small, so names count as words; a word that is misprinted in the source does too.
"""

import argparse
import re
from pathlib import Path

from literategpt.corpus import prepare_corpus
from literategpt.files import replace_file
from literategpt.pretrained import WORDS_NAME

DATA = Path(__file__).resolve().parents[1] / "data"
WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")


def list_words(text: str) -> str:
    """List the different words of a text, one a line, in alphabetical order."""
    return "".join(f"{word}\n" for word in sorted(set(WORD.findall(text.lower()))))


def main() -> None:
    """Read all plays, also those kept from the model in training, and write the list."""
    argparse.ArgumentParser(prog="python -m experiments.words", description=__doc__).parse_args()
    corpus = prepare_corpus()
    with replace_file(DATA / WORDS_NAME) as file:
        file.write(list_words(corpus.train + corpus.validation).encode())


if __name__ == "__main__":
    main()
