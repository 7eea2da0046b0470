"""Slips that rules can see for sure, sentence by sentence. Every rule passes what published stories do on purpose."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from data_gen.word_tables import PASTS
from data_gen.words import vocabulary, words
from eval.sentences import Passage, Sentence

CLEAN_SEES = (
    "share of sentences without a slip that a rule can see: small letter at the start, i for I, no mark at the end, odd "
    "quotation marks, spaces around marks, doubled words, a for an, words run in a loop, forms that do not agree "
    "(he have, they was, didn't went, a children)"
)
CLEAN_BLIND = (
    "wrong words, order and tense, missing words, agreement across other words; nonsense in good form scores 1. The "
    "unfinished last sentence does not count here"
)
ENDING_SEES = "whether the text ends with . ! ? or … and what closes behind it"
ENDING_BLIND = "whether the story is at its end; a text cut by the length limit may end well by luck"
REPEATED_SEES = "share of four-word runs that stood in prompt or completion before"
REPEATED_BLIND = "a refrain from a loop; the same thing said again in other words"

# Doubled on purpose, or each with its own part: "had had", "that that"; other words mostly as calls: "Bye bye".
_CALLS = """very so bye no ha had that really more many far long big up on night there again tick tock knock
    quack woof moo baa oink hop row blah yum wee vroom choo tweet beep ding splash bang boom drip her"""
_MAY_DOUBLE = frozenset(_CALLS.split())
_SMALL = """the a an and but or of to at for from with was were are he she they we my your his our their
    its it is i in because when"""
_NEVER_DOUBLED = frozenset(_SMALL.split())
# Spelt with a vowel or a consonant first, and said so: an umbrella, a unicorn, an hour, a one.
_YOO = r"u(?:ni(?![mn])|se|su|sing|ti|te|k|r[aiou]|fo)|eu|ewe|one|once"
_VOWEL = re.compile(rf"(?!{_YOO})[aeiou]", re.I)
_CONSONANT = re.compile(rf"(?!hour|honest|honou?r|heir|herb)[bcdfghjklmnpqrstvwxyz]|{_YOO}", re.I)
_QUESTION = (
    "(?:did|does|do|can|could|will|would|shall|should|may|might|must|let|"  # questions
    "if|wish|wished|wishes|though|as|than|and|or|nor)"
)
_BEFORE = r"(?<!\w)(?<!['’-])(?P<before>\w+,?\s+)?"
_PAST_ONLY = sorted(
    form
    for base, forms in PASTS.items()
    for form in forms
    if form not in PASTS and form != base and form not in ("left", "found", "fell", "lay", "felt", "thought", "saw", "ground")
)  # fmt: skip
_AFTER_TO = "went|took|gave|knew|came|ran|ate|said|told|kept|began|flew|grew|drew|threw|wore|wrote|brought|was|were"
_RULES = {
    "agreement": (
        rf"{_BEFORE}(?:he|she) (?:were|weren['’]t|are|aren['’]t|have|haven['’]t|am|do|don['’]t)\b",
        rf"{_BEFORE}(?:they|we) (?:was|wasn['’]t|is|isn['’]t|has|hasn['’]t|does|doesn['’]t|am)\b",
        rf"{_BEFORE}i (?:is|isn['’]t|are|aren['’]t|has|hasn['’]t|does|doesn['’]t)\b",
        r"\bthere (?:is|was) (?:two|three|four|five|six|seven|eight|nine|ten|many|several)\b(?! years| times)",
        r"\ba (?:children|men|women|mice|feet|teeth|geese)\b(?!['’])",
    ),
    "verb form": (
        rf"\b(?:didn['’]t|doesn['’]t|don['’]t|couldn['’]t|did not|does not|could not|can not|cannot|can['’]t) "
        rf"(?:{'|'.join(_PAST_ONLY)})\b",
        rf"\b(?:did|could) (?:he|she|it|they|we|you|i) (?:{'|'.join(_PAST_ONLY)})\b",
        rf"(?<!next )(?<!close )\bto (?:{_AFTER_TO})\b",
        r"\bmore (?:bigger|smaller|happier|sadder|better|faster|stronger|taller|nicer|prettier|louder)\b",
    ),
}
_COMPILED = {kind: tuple(re.compile(rule, re.I) for rule in rules) for kind, rules in _RULES.items()}
_SPACING = re.compile(r"\w\s+[,.!?;:](?![.\d])(?=[\s\"”]|$)|[a-z][.!?,][A-Z][a-z]|,,|,[.!?]|[!?],|\.,")
# A full stop that is no title's and no quotation's ends a sentence, whatever comes; "Splash! went the frog" is meant.
_SMALL_AFTER_STOP = re.compile(r"(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bMrs)(?<![.\d])\b\.\s+[a-z]")
_DOUBLED = re.compile(r"\b([A-Za-z][A-Za-z'’]*)\s+\1\b(?!['’-])", re.I)
_ARTICLE = re.compile(r"(?<![\w'’\"“-])(an?) ([A-Za-z][A-Za-z'’]*)\b", re.I)
_LOOP = re.compile(r"\b((?:[A-Za-z'’]+[, ]+){4,8}?)(?=\1)", re.I)
_WORD = re.compile(r"[a-z0-9]+(?:['’][a-z]+)*")


@dataclass(frozen=True)
class Fault:
    kind: str
    sentence: str


def faults(passage: Passage) -> list[Fault]:
    """What is wrong with the passage's finished sentences; a sentence may have several faults, of each kind one."""
    found = [Fault(kind, one.text) for one in _counted(passage) for kind in dict.fromkeys(_of_sentence(one))]
    return found + _of_passage(passage)


def clean_share(passage: Passage) -> float | None:
    """Share of the counted sentences without a fault; None without any."""
    counted = _counted(passage)
    if not counted:
        return None
    faulty = {fault.sentence for fault in faults(passage)}
    return sum(one.text not in faulty for one in counted) / len(counted)


def ends_well(passage: Passage) -> float:
    last = passage.sentences[-1:]
    return float(bool(last) and last[0].ended)


def repeated_share(passage: Passage, run: int = 4) -> float | None:
    """Share of the completion's runs of `run` words that stood before in the whole text; None when it is shorter."""
    given, added = (_WORD.findall(text.lower()) for text in (passage.prompt, passage.text))
    running = given + added
    if len(added) < run:
        return None
    seen: set[tuple[str, ...]] = set()
    repeated = 0
    for at in range(len(running) - run + 1):
        gram = tuple(running[at : at + run])
        repeated += gram in seen and at >= len(given)
        seen.add(gram)
    return repeated / (len(added) - run + 1)


def _counted(passage: Passage) -> list[Sentence]:
    """All sentences but a last one that has no end."""
    sentences = passage.sentences
    return sentences[:-1] if sentences and not sentences[-1].ended else sentences


def _of_sentence(sentence: Sentence) -> Iterator[str]:
    text = sentence.text
    first = next((c for c in text if c.isalpha() or c.isdigit()), "")
    if first.islower() or _SMALL_AFTER_STOP.search(text):
        yield "small letter at the start"
    if re.search(r"(?<![\w'’.-])i(?![\w.-])", text):
        yield "i for I"
    if not sentence.ended and not re.search(r"[:,;—–-]['\"”’]*$|^the end$", text, re.I):
        yield "no mark at the end"
    if _SPACING.search(text):
        yield "spacing"
    if any(_wrongly_doubled(match) for match in _DOUBLED.finditer(text)):
        yield "doubled word"
    if any(_wrong_article(*match.groups()) for match in _ARTICLE.finditer(text)):
        yield "a or an"
    if _LOOP.search(text + " "):
        yield "loop"
    for kind, rules in _COMPILED.items():
        if any(not _excused(match) for rule in rules for match in rule.finditer(text)):
            yield kind


def _of_passage(passage: Passage) -> list[Fault]:
    """Quotation marks that do not pair in a line, and a sentence told three times running."""
    found, sentences = [], _counted(passage)
    line: list[Sentence] = []
    for one in passage.sentences:
        line.append(one)
        if one.last_of_line:
            # The line from its beginning, the prompt's part of it too.
            begin = passage.whole.rfind("\n", 0, line[0].start) + 1
            text = passage.whole[begin : one.start + len(one.text)]
            if one in sentences and (text.count('"') % 2 or text.count("“") != text.count("”")):
                found.append(Fault("quotation marks", one.text))
            line = []
    told = [one.text.lower() for one in sentences]
    for n in range(2, len(told)):
        if told[n] == told[n - 1] == told[n - 2]:
            found.append(Fault("loop", sentences[n].text))
    return found


def _excused(match: re.Match) -> bool:
    """Whether the word before makes it a question, a wish, or one of several subjects."""
    before = match.groupdict().get("before")
    return bool(before and re.fullmatch(_QUESTION, before.strip(" ,\n"), re.I))


def _wrongly_doubled(match: re.Match) -> bool:
    word = match[1].lower()
    return word in _NEVER_DOUBLED or (len(word) > 3 and word not in _MAY_DOUBLE and word in _known())


def _wrong_article(article: str, word: str) -> bool:
    if len(word) == 1 or word.isupper():
        return False  # a letter, or letters read out
    return bool((_CONSONANT if article.lower() == "an" else _VOWEL).match(word))


@cache
def _known() -> frozenset[str]:
    """Other words may be noises: vroom vroom."""
    return vocabulary(words())
