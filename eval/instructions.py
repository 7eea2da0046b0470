"""Instructions for anchors: what a story is asked for that it does, and what it was never written for.

They have the form of TinyStories-Instruct (`tsjax.corpus.instruct`): three words, a feature, a summary, a sentence. What
does not fit is in the instructions and not in the story, so a story stays as good as it was in everything else.
"""

import re
from collections.abc import Set
from random import Random
from typing import Any

from data_gen.offline.told import summary
from data_gen.words import PARTS_OF_SPEECH, words
from eval.damage import NAME
from eval.lemmas import carried, content_words
from eval.wording import has_dialogue, has_sentence
from tsjax.corpus import instruct

Asks = dict[str, Any]  # as `eval.records.Prompt.asks`
ALL = frozenset(
    {"word_1", "word_2", "word_3", "feature_1", "summary", "sentence"}
)  # as `rubric.constraints` calls them
MOST_SHARED = 0.4  # of the content words of a summary that another story has

_SMALL = re.compile(r"(?<![\w'])[a-z]{3,}(?![\w'])")


def fulfilled(text: str, random: Random) -> Asks | None:
    """Instructions that the story `text` fulfils; None where it has too little, or nobody speaks in it.

    Summary and sentence are the story's own words; neither holds the other.
    """
    told = summary(text, random.randrange(2**32))
    later = [one for one in instruct.sentences(text)[1:] if 5 <= len(one.split()) <= 15 and '"' not in one
             and not has_sentence(told, one)]  # fmt: skip
    plain = _plain(text)
    if not has_dialogue(text) or len(plain) < 3 or not later or carried(content_words(told), text) != 1:
        return None
    return {
        "words": random.sample(plain, 3),
        "features": ["Dialogue"],
        "summary": told,
        "sentence": random.choice(later),
    }


def strange(text: str, other: str, random: Random) -> Asks | None:
    """Instructions of which `text`, a story that ends well, fulfils none: out of the story `other`, and a bad ending.

    None where the two have too much in common.
    """
    asks = fulfilled(other, random)
    missing = [word for word in _plain(other) if carried([word], text) == 0]
    if asks is None or len(missing) < 3 or has_sentence(text, asks["sentence"]):
        return None
    shared = carried(content_words(asks["summary"]), text)
    if shared is None or shared > MOST_SHARED or set(NAME.findall(text)) & set(NAME.findall(other)):
        return None
    return asks | {"words": random.sample(missing, 3), "features": ["BadEnding"]}


def mixed(asks: Asks, other: Asks, unmet: Set[str]) -> Asks:
    """`asks`, with those of `other` in the places of `unmet` (of `ALL`)."""
    return {
        "words": [(other if f"word_{n}" in unmet else asks)["words"][n - 1] for n in (1, 2, 3)],
        "features": (other if "feature_1" in unmet else asks)["features"],
        "summary": (other if "summary" in unmet else asks)["summary"],
        "sentence": (other if "sentence" in unmet else asks)["sentence"],
    }


def written(asks: Asks, random: Random) -> str:
    """The prompt that asks for this, its lines in any order, down to where the story begins."""
    lines = [("Words", ", ".join(asks["words"])), ("Features", ", ".join(asks["features"])), ("Summary", asks["summary"]),
             ("Random sentence", asks["sentence"])]  # fmt: skip
    return instruct.compose(random.sample(lines, len(lines)), "").render()


def _plain(text: str) -> list[str]:
    """The content words of a text that are in the project's list and stand in it without a capital."""
    known = {word for pos in PARTS_OF_SPEECH for word in words()[pos]}
    return sorted(set(_SMALL.findall(text)) & set(content_words(text)) & known)
