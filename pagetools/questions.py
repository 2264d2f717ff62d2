"""Questions that answer back: predictions, check-yourself questions, and places to rest.

A Markdown extension for three kinds of quotes. On a code host they read as quotes and lists:

    > [!QUESTION]
    > What is the softmax of one score?
    >
    > - [x] 1
    >   The weights sum to 1, and there is one weight.
    > - [ ] The score itself
    >   *a score is a weight*: a weight is a share of the whole.

Each option becomes a fold of its own, so it works with a mouse, a finger, a keyboard and on paper,
without a script. `[!PREDICTION]` asks before the numbers are shown: it takes options too, or a
line `---` and the answer, which is folded. `[!REST]` marks a place where a part can be left. A
question without a right answer, or a wrong option without its misconception, stops the build.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement

from markdown import Extension, Markdown
from markdown.treeprocessors import Treeprocessor

TITLES = {
    "question": "Check yourself", "prediction": "Predict first", "rest": "A good place to rest",
}  # fmt: skip
# The misconception is the reader's, so that it cannot be read as what the page says.
VERDICTS = {True: ("Right.", " "), False: ("Wrong.", " You took it that ")}

_OPTION = re.compile(r"\[(?P<mark>[ xX])\]\s+(?P<text>\S.*)")
_MISCONCEPTION = re.compile(r"[*_](?![*_\sA-Z])[^*_]+[*_]:\s\S")
_SENTENCE_END = re.compile(r"[.!?][\"”)]*(?=\s|$)")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|et al|cf|vs)\.|\bEq\.|\bFig\.")


class QuestionError(ValueError):
    """A question of a page is not complete."""


def wrong_option_fault(explanation: str) -> str:
    """What is missing from the explanation of a wrong option, "" if nothing is.

    Examples:
        >>> wrong_option_fault("*a position sees all others*: position 0 sees itself alone.")
        ''
        >>> wrong_option_fault("No.")
        'expected `*misconception*: one sentence`, to be read after "You took it that"'
    """
    if not _MISCONCEPTION.match(explanation):
        return 'expected `*misconception*: one sentence`, to be read after "You took it that"'
    ends = _SENTENCE_END.findall(_ABBREVIATION.sub("", explanation))
    return "" if len(ends) == 1 else f"expected one sentence, got {len(ends)}"


class QuestionProcessor(Treeprocessor):
    """Turn the quotes of the three kinds into what the reader works with."""

    def run(self, root: Element) -> None:
        """Rebuild each quote in its place."""
        counts = dict.fromkeys(TITLES, 0)
        for quote in root.iter("blockquote"):
            kind = quote.get("data-alert", "")
            if kind in TITLES:
                counts[kind] += 1
                _rebuild(quote, kind, f"{TITLES[kind].lower().replace(' ', '-')}-{counts[kind]}")


def _rebuild(quote: Element, kind: str, identity: str) -> None:
    title, *content = list(quote)
    asked = re.sub(r"\s+", " ", "".join(content[0].itertext())).strip() if content else ""
    for child in list(quote):
        quote.remove(child)
    quote.tag, quote.text = "div", None
    quote.attrib = {"class": f"device {kind}", "role": "group", "aria-labelledby": identity}
    heading = SubElement(quote, "p", {"class": "device-title", "id": identity})
    heading.text = TITLES[kind] if title.text == kind.title() else title.text
    try:
        _fill(quote, kind, content)
    except QuestionError as error:
        raise QuestionError(f"{error}, in the {kind} {asked!r}") from None


def _fill(device: Element, kind: str, content: list[Element]) -> None:
    if kind == "rest":
        device.extend(content)
        return
    rules = [i for i, child in enumerate(content) if child.tag == "hr"]
    asked = content[: rules[0]] if rules else content
    lists = [child for child in asked if child.tag == "ul"]
    device.extend(child for child in asked if child not in lists)
    if lists:
        device.append(_options([item for one in lists for item in one]))
    elif kind == "question" or not rules:
        missing = "options `- [x]` and `- [ ]`" + (" or `---`" * (kind == "prediction"))
        raise QuestionError(f"expected {missing}, got none")
    else:
        device.append(_guess())
    if rules:
        device.append(_answer(content[rules[0] + 1 :]))


def _options(items: list[Element]) -> Element:
    options = Element("div", {"class": "options"})
    rights = [_option(options, item, chr(ord("A") + i)) for i, item in enumerate(items)]
    if not any(rights):
        raise QuestionError("expected an option that is right, `- [x]`, got none")
    if all(rights):
        raise QuestionError("expected an option that is wrong, `- [ ]`, got none")
    return options


def _option(options: Element, item: Element, letter: str) -> bool:
    """Make the fold of one option and tell whether it is right."""
    # In a loose list the text of an item is a paragraph of its own.
    first = item if item.text and item.text.strip() else item.find("p")
    text = (first.text or "").strip() if first is not None else ""
    found = _OPTION.match(text.split("\n")[0])
    if found is None:
        raise QuestionError(f"expected an option such as `- [ ] text`, got {text!r}")
    explanation = "\n".join(line.strip() for line in text.split("\n")[1:])
    if not explanation:
        raise QuestionError(f"expected an explanation under the option {found['text']!r}, got none")
    right = found["mark"] != " "
    if not right and (fault := wrong_option_fault(explanation)):
        raise QuestionError(f"{fault}, got {explanation!r}")
    fold = SubElement(options, "details", {"class": "option right" if right else "option wrong"})
    summary = SubElement(fold, "summary")
    # The letter also names an option that is nothing but a formula.
    name = SubElement(summary, "span", {"class": "letter"})
    name.text, name.tail = letter, " " + found["text"]
    said = SubElement(fold, "p")
    verdict = SubElement(said, "strong", {"class": "verdict"})
    verdict.text, said_first = VERDICTS[right]
    verdict.tail = said_first + explanation
    fold.extend(child for child in item if child is not first)
    return right


def _guess() -> Element:
    guess = Element("p", {"class": "guess", "data-search-exclude": ""})
    label = SubElement(guess, "label")
    label.text = "Your guess "
    SubElement(label, "input", {"type": "text", "autocomplete": "off", "size": "24"})
    return guess


def _answer(content: list[Element]) -> Element:
    if not content:
        raise QuestionError("expected the answer under `---`, got nothing")
    fold = Element("details", {"class": "answer"})
    SubElement(fold, "summary").text = "Compare"
    fold.extend(content)
    return fold


class QuestionExtension(Extension):
    """Register the processor, after the quotes are read and before their text is."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (the name is Markdown's)
        """Add the processor to a Markdown instance, before task lists become boxes."""
        md.treeprocessors.register(QuestionProcessor(md), "questions", 26)


def makeExtension(**options: object) -> QuestionExtension:  # noqa: N802 (the name is Markdown's)
    """Make the extension; Markdown calls this by its name."""
    return QuestionExtension(**options)
