"""Whether a completion goes on with the prompt's people and things. Weak signals: alarms for regressions, no grades."""

import re
from collections import Counter
from functools import cache

from data_gen.draft import Draft
from data_gen.words import vocabulary, words
from eval.lemmas import carried, content_words
from eval.sentences import Passage, split

KEPT_SEES = "share of the prompt's names that occur in the completion"
KEPT_BLIND = "whether they do there what they could; people without a name, or with a pronoun alone"
NEW_SEES = "number of names in the completion that are not in the prompt"
NEW_BLIND = (
    "whether a new person was due; a name only ever seen at the start of a sentence, where it is a known word too"
)
CLASH_SEES = "share of names called he as well as she, or against 'a boy named', among names that show a pronoun"
CLASH_BLIND = "pronouns whose name is not the only one near; swapped roles; animals called it"
WORDS_SEES = "share of the prompt's content words that come again in any inflection, names left out"
WORDS_BLIND = "what is said of them; a story may rightly move on, and copying the prompt scores 1"

_OTHERS = """mr mrs ms miss dr mom mum mommy mummy momma dad daddy mama papa grandma grandpa granny grandad nana
    auntie uncle aunt god christmas halloween easter monday tuesday wednesday thursday friday saturday sunday january february
    march april may june july august september october november december i ok okay tv hey end fin"""
_NO_NAMES = frozenset(_OTHERS.split())
_FEMALE = """girl woman lady princess queen mother mom mommy mum mummy mama momma sister grandma grandmother granny nana aunt
    auntie daughter wife she her herself hers mrs ms miss hen cow"""
_MALE = """boy man gentleman prince king father dad daddy papa brother grandpa grandfather grandad uncle son husband he him
    his himself mr rooster"""
_GENDER = {word: "she" for word in _FEMALE.split()} | {word: "he" for word in _MALE.split()}
_NAMED = re.compile(
    r"\b(girl|woman|lady|princess|queen|boy|man|prince|king)s?,? (?:who was )?(?:named|called) ([A-Z][a-z]+)"
)
_WAS_A = re.compile(
    r"\b([A-Z][a-z]+) (?:was|is) an? (?:[a-z]+,? ){0,3}?(girl|woman|lady|princess|queen|boy|man|prince|king)\b"
)
_SPEECH = re.compile(r'"[^"\n]*"?|“[^”\n]*”?')
_START = re.compile(r"[A-Z][a-z]+\b(?!['’][a-rt-z])(?<![a-z]{6}ly)")


def names(text: str) -> frozenset[str]:
    """Capitalised words in mid-sentence that are never in lower case, and unknown ones at a sentence's start."""
    found = {name for name in Draft(text, None, {}, text).names if name.lower() not in _NO_NAMES}
    for sentence in split(text):
        first = _START.search(sentence.text)
        if first and first.start() <= 1 and first[0].lower() not in _known() | _NO_NAMES:
            found.add(first[0])
    return frozenset(found)


def names_kept(passage: Passage) -> float | None:
    """None where the prompt has no name."""
    given = _given(passage)
    return sum(_occurs(name, passage.text) for name in given) / len(given) if given else None


def new_names(passage: Passage) -> float:
    given = _given(passage)
    return float(sum(_occurs(name, passage.text) for name in names(passage.whole) - given))


def words_kept(passage: Passage) -> float | None:
    """None where the prompt has no content word but names."""
    given = {name.lower() for name in names(passage.whole)}
    return carried((word for word in content_words(passage.prompt) if word not in given), passage.text)


def pronouns(text: str) -> dict[str, Counter[str]]:
    """name -> how often the text shows it as "he" and as "she", as far as it is plain.

    Plain is "a girl named NAME", "NAME was a ... boy", and He or She at the start of a sentence, outside speech, when the
    sentence before has this one name and nobody else who could be meant.
    """
    known = names(text)
    found: dict[str, Counter[str]] = {}
    for word, name in _NAMED.findall(text):
        found.setdefault(name, Counter())[_GENDER[word]] += 1
    for name, word in _WAS_A.findall(text):
        if name in known:
            found.setdefault(name, Counter())[_GENDER[word]] += 1
    subject = ""
    for sentence in split(text):
        told = _SPEECH.sub(" ", sentence.text)
        tokens = re.findall(r"[A-Za-z]+", told)
        here = {token for token in tokens if token in known}
        opening = tokens[0].lower() if tokens else ""
        if subject and opening in ("he", "she") and not here and '"' not in sentence.text:
            found.setdefault(subject, Counter())[opening] += 1
        if here:
            others = any(token.lower() in _GENDER for token in tokens)
            subject = next(iter(here)) if len(here) == 1 and not others and tokens[0] in here else ""
        elif any(_GENDER.get(token.lower(), opening) != opening for token in tokens) or '"' in sentence.text:
            subject = ""
    return found


def pronoun_clashes(passage: Passage) -> float | None:
    """Share of the names with a pronoun that have both; None without any. The prompt's part counts as evidence."""
    shown = pronouns(passage.whole)
    return sum(len(kinds) > 1 for kinds in shown.values()) / len(shown) if shown else None


def _given(passage: Passage) -> frozenset[str]:
    """The names in the prompt, also those that only the completion shows to be names."""
    return frozenset(name for name in names(passage.whole) if _occurs(name, passage.prompt))


def _occurs(name: str, text: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text))


@cache
def _known() -> frozenset[str]:
    return vocabulary(words())
