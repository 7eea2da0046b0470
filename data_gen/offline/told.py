"""Stories to order: the offline writer's own, with the words, features, names and opening that a recipe drew."""

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from data_gen.offline import frames
from data_gen.offline.template import capital
from data_gen.offline.writer import OPENINGS, Plan, plan_story

# A model that is told to write the story only does not begin with what it is about to do.
_ABOUT_STORIES = re.compile(r"\b(story|stories)\b", re.I)
_PLAIN_OPENINGS = tuple(text for text in OPENINGS if not _ABOUT_STORIES.search(text))
_NAMING = re.compile(r'\bname|I am \{[AB]\}|, \{[AB]\}[,.!?]|"\{[AB]\}[,.!]')
_SENTENCE = re.compile(r'[^.!?]+[.!?]+"?')


def story(
    number: int,
    words: Sequence[tuple[str, str]] = (),
    features: Sequence[str] = (),
    names: Sequence[str] | None = None,
    opening: str = "",
    about: Mapping[str, Any] = {},
    paragraphs: int = 0,
) -> str:
    """A story of 4 to 8 paragraphs, 70 to 200 words; the same arguments give the same one.

    words:      (word, part of speech) that it uses; "" where that is not known.
    features:   labels of TinyStories-Instruct; others change nothing.
    names:      those of its characters, and no others; None: any.
    opening:    the letter or word that it begins with, if not "".
    about:      `theme`, `topic` and `persona`, as far as they are there.
    paragraphs: how many there are to be; 0: as many as there are.
    """
    dice = Random(number)
    plan = _plan(dice, names)
    hero = dict(plan.words)
    early: list[str] = []
    night: list[str] = []
    late: list[str] = []
    last: list[str] = []
    for word, pos in words:
        kind = frames.kind_of(word, pos)
        where, templates = (early, frames.HABITS)
        if kind in frames.NIGHTS and not night and dice.random() < 0.6:
            where, templates = (night, frames.NIGHTS)
        where.append(_told(dice.choice(templates[kind]), {**hero, **frames.fields_of(word, pos, hero["his"])}))
    for label in features:
        if label in frames.FEATURES and label != "Dialogue":
            (early if label in frames.EARLY else late).append(_told(dice.choice(frames.FEATURES[label]), hero))
    late += night
    for key, about_it, where in (
        ("topic", frames.TOPICS, early),
        ("theme", frames.THEMES, late),
        ("persona", frames.PERSONAS, last),
    ):
        if key in about:
            where.append(_told(dice.choice(about_it), {**hero, key: str(about[key])}))
    first = frames.NAMELESS if names is not None and not names else _PLAIN_OPENINGS
    if letter := opening[:1].upper():
        fitting = [text for text in (_told(text, hero) for text in first) if text[0] == letter]
        start = dice.choice(fitting) if fitting and len(opening) == 1 else ""
        start = start or f"{_scene(dice, opening)} {_told(dice.choice(first), hero)}"
    else:
        start = _told(dice.choice(first), hero)
    want, obstacle, turn, ending, moral = (
        _told(text, hero) for text in (plan.want, plan.obstacle, plan.turn, plan.ending, plan.moral)
    )
    bad = "BadEnding" in features
    if "MoralValue" in features or (plan.moral_is_told and not bad):
        late.append(moral)
    if "Dialogue" in features and '"' not in f"{want}{obstacle}{turn}{ending}":
        late.insert(0, _told(dice.choice(frames.FEATURES["Dialogue"]), hero))
    late += last
    blocks = [
        " ".join([start, *early[:2]]),
        " ".join([*early[2:], want]),
        obstacle,
        turn,
        " ".join([ending, *late[:1]]),
    ]
    if late[1:]:
        blocks.append(" ".join(late[1:]))
    if len(early) <= 1:  # too little for a paragraph of its own
        blocks[:2] = [" ".join(blocks[:2])]
    return _capitals("\n\n".join(_merged(blocks, paragraphs)), hero)


def _plan(dice: Random, names: Sequence[str] | None) -> Plan:
    """A plan, with the names put in. Those that come with no he or she are given to animals, which can be either."""
    plan = plan_story(0, dice.getrandbits(60))
    if names is None:
        return plan
    while not _suits(plan, names):
        plan = plan_story(0, dice.getrandbits(60))
    words = dict(plan.words)
    words["A"] = names[0] if names else f"the {words['kind']}"
    words["B"] = names[1] if len(names) > 1 else f"the {words['B_kind']}"
    words["Bk"] = f"{words['B']} the {words['B_kind']}" if len(names) > 1 else words["B"]
    return plan._replace(words=words)


def _suits(plan: Plan, names: Sequence[str]) -> bool:
    words = plan.words
    if words["kind"] in ("girl", "boy") or words["kind"] == words["B_kind"]:
        return False
    if names and names[0].endswith("a") and words["he"] == "he":  # most of them are names of women
        return False
    beats = (plan.want, plan.obstacle, plan.turn, plan.ending)
    if len(names) > 1:
        return any("{B}" in beat or "{Bk}" in beat for beat in beats)
    return not any(_NAMING.search(beat) for beat in beats)  # "My name is the fox", "Thank you, the fox"


def _told(template: str, words: Mapping[str, str]) -> str:
    text = template.strip().format_map(words)
    return text.format_map(words) if "{" in text else text  # some words hold fields: "hit {his} feet"


def _scene(dice: Random, opening: str) -> str:
    """A sentence to begin with that begins as it should."""
    if len(opening) == 1 and opening.upper() in frames.FIRST:
        return dice.choice(frames.FIRST[opening.upper()])
    return f'"{capital(opening)}" was the word with which it all began.'


def _merged(blocks: list[str], paragraphs: int) -> list[str]:
    """The blocks in that many paragraphs, the shortest neighbours together first, the longest in two first."""
    blocks = list(blocks)
    while paragraphs and len(blocks) > paragraphs:
        k = min(range(len(blocks) - 1), key=lambda k: len(blocks[k]) + len(blocks[k + 1]))
        blocks[k : k + 2] = [" ".join(blocks[k : k + 2])]
    return blocks


def _capitals(text: str, words: Mapping[str, str]) -> str:
    """With "the fox", who has no name, written "The fox" where a sentence begins."""
    for who in {words["A"], words["B"]}:
        if who.startswith("the "):
            begins = rf'(?:(?<=^)|(?<=\n)|(?<=[.!?] )|(?<=[.?!]" )|(?<=\n")|(?<=[.!?,] ")){who}\b(?! said| asked)'
            text = re.sub(begins, capital(who), text)
    return text


def summary(text: str, number: int) -> str:
    """Two sentences of a story, or one: who it is about, and how it ends. Nobody speaks in them."""
    dice = Random(number)
    blocks = [block for block in text.split("\n\n") if block.strip()]
    first = _quiet(blocks[0])
    last = _quiet(blocks[-2] if len(blocks) > 3 and dice.random() < 0.5 else blocks[-1])
    chosen = [first[0]] if first else []
    if last and last[-1] not in chosen:
        chosen.append(last[dice.randrange(len(last))] if last[0] not in chosen else last[-1])
    return " ".join(chosen) or "Somebody has a problem, and in the end it is solved."


def _quiet(block: str) -> list[str]:
    """The sentences of a paragraph in which nobody speaks, of at most 25 words."""
    without = re.sub(r'"[^"]*"[^.!?"]*[.!?]?', "|", block)
    found = [one.strip() for part in without.split("|") for one in _SENTENCE.findall(part)]
    return [one for one in found if 3 <= len(one.split()) <= 25 and one[0].isupper()]
