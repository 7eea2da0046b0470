"""Simulated judges for the stub server: they read what they are sent, know how good each text is, and answer as told."""

import hashlib
import json
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from random import Random
from typing import Any

from data_gen.offline import write_story
from eval import rubric
from eval.anchors import DEPTHS, INJECTIONS, UNMET, WEAK, Anchor, make_anchors
from eval.records import INSTRUCT, STORY, Completion
from tests.openai_server.answers import prompt_of

Lured = Mapping[str, Mapping[str, float]]
NOT_LURED: Lured = {}
QUALITY = {"tsjax-1m": 4.0, "tsjax-8m": 6.0, "tsjax-33m": 8.0}


def anchors(instruct: bool = False) -> list[Anchor]:
    texts, training = [write_story(99, n) for n in range(40)], [write_story(0, n) for n in (1, 2)]
    return make_anchors(texts, training, instruct=instruct)


def completions(models=tuple(QUALITY), prompts: int = 4, each: int = 2, kind: str = STORY) -> list[Completion]:
    made = []
    for model in models:
        for p in range(prompts):
            for k in range(each):
                start, rest = write_story(p, 0)[:60], write_story(1000 + p, 10 * k + list(QUALITY).index(model))
                made.append(Completion(model, "set", f"p{p}", kind, k, start, rest, "eos", 90))
    return made


def truth_of(
    completions=(),
    anchors=(),
    blind: Set[str] = frozenset(),
    step: float = 1.5,
    halo: bool = False,
    lured: Lured = NOT_LURED,
) -> dict[tuple[str, str], dict[str, float]]:
    """(what was given, text), both as the judge gets them -> dimension -> true grade.

    blind: instructions (ids of `rubric.constraints`) that the judge passes over: to it they are followed by every sound
    story. `step`: points that each of the others costs where it is not followed. `halo`: it gives every dimension what
    the worst of them deserves. `lured`: injection -> dimension -> points by which it raises that.
    """
    names, plain = rubric.dimensions(INSTRUCT, rubric.CALIBRATED), rubric.neutral
    made = {(plain(c.prompt), plain(c.text)): dict.fromkeys(names, QUALITY[c.model]) for c in completions}
    for anchor in anchors:
        bad = anchor.damage in INJECTIONS or anchor.damage == WEAK
        what = anchor.damage, anchor.level
        true = {d: 3.0 if bad else 9 - 2.25 * DEPTHS.get(d, {}).get(what, 0) for d in names}
        if what in UNMET:
            true[rubric.FOLLOWING] = 9 - step * len(UNMET[what] - blind)
        if halo:
            true = dict.fromkeys(names, min(true.values()))
        for d, points in lured.get(anchor.damage, {}).items():
            true[d] += points
        made[plain(anchor.prompt), plain(anchor.text)] = true
    return made


@dataclass
class Judge:
    """An answer function. `noise`: deviation of a grade; `bias`, `per_word`: points added; `obeys`: injections work;
    `against`: dimensions that it grades the wrong way round; `wrong`: share of answers in another shape.

    The noise is a function of the request, so that asking again, or after a kill, changes nothing.
    """

    truth: Mapping[tuple[str, str], Mapping[str, float]]
    noise: float = 0.7
    bias: float = 0.0
    per_word: float = 0.0
    obeys: bool = False
    against: tuple[str, ...] = ()
    wrong: float = 0.0
    seed: int = 0
    seen: list[str] = field(default_factory=list)

    def __call__(self, body: dict[str, Any]) -> str:
        prompt = prompt_of(body)
        self.seen.append(prompt)
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        random = Random(f"{self.seed} {key}")
        paper = "[[" not in prompt
        if paper and "Now grade" not in prompt:
            return f"Number {random.randrange(10**9)}: the student writes plainly, and finishes the sentence."
        text = self.text_of(prompt, paper)
        if random.random() < self.wrong:
            return random.choice(["8", '{"grammar": 8}', "Grammar: 7 or 8", '{"assessment": "good", "grammar": "ten"}'])
        scores = {d: self.score(d, text, random) for d in rubric.dimensions(INSTRUCT, rubric.CALIBRATED)}
        return self.paper(prompt, scores) if paper else self.strict(body, scores)

    @staticmethod
    def text_of(prompt: str, paper: bool) -> tuple[str, str]:
        """What was given, and the text."""
        if paper:
            given, _, text = prompt.split("\n\nThat was the student's")[0].rpartition(rubric.PAPER_MARK)
            return given.split("\n\n", 1)[1].split("\n\nThe student's story comes")[0], text
        number = re.search(r"the number ([0-9a-f]{12})", prompt)[1]
        given, text = prompt.split(f"[[{number}: the part to be graded]]\n")
        return given.split("not to be graded]]\n")[1][:-1], text.split(f"\n[[{number}: end")[0]

    def score(self, dimension: str, text: tuple[str, str], random: Random) -> int:
        if self.obeys and re.search(r"10 in everything|10/10|: 10,", text[1]):
            return 10
        true = self.truth[text][dimension]
        if dimension in self.against:
            true = 10 - true
        given = true + self.bias + self.per_word * len(text[1].split()) + random.gauss(0, self.noise)
        # No 10 by noise alone for what is bad: a real judge's errors are smaller where the damage is plain.
        return max(0, min(10 if true > 5 else 9, round(given)))

    @staticmethod
    def strict(body: dict[str, Any], scores: Mapping[str, int]) -> str:
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
        schema = schema or body["text"]["format"]["schema"]
        made: dict[str, Any] = {}
        for key, of in schema["properties"].items():
            if key == "constraints":
                made[key] = [{"id": id, "met": True} for id in of["items"]["properties"]["id"]["enum"]]
            else:
                made[key] = {"assessment": "Sound.", "split_sentence_ok": True, "age_group": "C"}.get(
                    key, scores.get(key)
                )
        return json.dumps(made)

    @staticmethod
    def paper(prompt: str, scores: Mapping[str, int]) -> str:
        names = {line: d for d, line in rubric.PAPER_LINES.items()}
        asked = re.findall(r"^(\w+): N/10$", prompt, re.MULTILINE)
        return "\n".join([f"{line}: {scores[names[line]]}/10" for line in asked] + ["Age group: C"])
