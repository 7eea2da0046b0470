"""Which texts stand on the page: the first ones of each model under each prompt, so not picked, and no more than a browser
opens with ease. report.json has the others."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from eval.side_by_side import ASSESSED

SHOWN = 2  # completions per model and prompt on the page
EARLIER = 6  # earlier checkpoints of each run whose texts are on the page, evenly spread
ROOM = 2_000_000  # characters of all cards together
CARD, PROMPT = 700, 500  # characters of markup around each text and each prompt, about
ABREAST = 4  # models that fit beside each other on a desk


class Transcripts:
    """The cards of a report of `eval.report.make_report`.

    shown: completions of each model and prompt that are on the page. assessed: of how many of them the judge's words are
    there too. prompts: those that are on the page; left_out: how many are not. As much as has `room`: first the words about
    #1 go, then #1, then the words about #0, then the last prompts.
    """

    earlier_shown = EARLIER

    def __init__(self, report: Mapping[str, Any], room: int = ROOM):
        self._order = {
            model["model"]: place for place, model in enumerate(m for m in report["models"] if m["in_table"])
        }
        self._texts_of = _spread([m for m in report["models"] if not m["in_table"] and m.get("completions")])
        every: Sequence[Mapping[str, Any]] = report["prompts"]
        for self.shown, self.assessed in ((SHOWN, ASSESSED), (SHOWN, 1), (1, 1), (1, 0)):
            sizes = [self._size(prompt) for prompt in every]
            if sum(sizes) <= room:
                break
        fits, used = 0, 0
        for size in sizes if every else ():
            used += size
            fits += used <= room
        self.prompts = every[: max(fits, 1)]
        self.left_out = len(every) - len(self.prompts)
        self.cut = (self.shown, self.assessed) != (SHOWN, ASSESSED) or self.left_out > 0
        self.assessments = any(self.words_of(one) for prompt in self.prompts for one in self._first(prompt))

    def rows(self, prompt: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
        """The first completions of each model: a row of #0 of all of them, then of #1."""
        own = sorted(self._first(prompt), key=lambda one: (one["k"], self._order[one["model"]]))
        if len({one["model"] for one in own}) == 1:
            return [own]
        return [list(row) for _, row in groupby(own, key=lambda one: one["k"])]

    def abreast(self, row: Sequence[Any]) -> str:
        """The class of a row of cards: a column for each where there are few, so that the rows line up."""
        return f"of-{len(row)}" if len(row) <= ABREAST else ""

    def earlier(self, prompt: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The first text of some earlier checkpoints of each run, run by run in the order of steps."""
        own = (one for one in prompt["completions"] if one["model"] in self._texts_of)
        return sorted(own, key=lambda one: self._texts_of[one["model"]])

    def words_of(self, one: Mapping[str, Any]) -> list[tuple[str, str]]:
        """[(judge, assessment)] of a text, where there is room for them."""
        if one["k"] >= self.assessed or one["model"] not in self._order:
            return []
        return [(judged["judge"], said) for judged in one["judged"] for said in judged.get("assessments") or ()]

    def _first(self, prompt: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The first `shown` of each model of the table; a prompt may lack some k."""
        of: dict[str, list[Mapping[str, Any]]] = {}
        for one in prompt["completions"]:  # in the order of k
            if one["model"] in self._order:
                of.setdefault(one["model"], []).append(one)
        return [one for own in of.values() for one in own[: self.shown]]

    def _size(self, prompt: Mapping[str, Any]) -> int:
        cards = [*self._first(prompt), *self.earlier(prompt)]
        words = sum(len(said) + 30 for one in cards for _, said in self.words_of(one))
        return PROMPT + 2 * len(prompt["text"]) + sum(CARD + len(one["text"]) for one in cards) + words


def _spread(earlier: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """model -> its place in the page, of at most EARLIER checkpoints of each run: the first, the last, and between them."""
    runs: dict[str, list[Mapping[str, Any]]] = {}
    for model in earlier:
        runs.setdefault(model["run"], []).append(model)
    kept: dict[str, tuple[int, int]] = {}
    for place, own in enumerate(runs.values()):
        own.sort(key=lambda model: model.get("step") or 0)
        parts = min(EARLIER, len(own))
        for n in range(parts):
            kept[own[n * (len(own) - 1) // max(parts - 1, 1)]["model"]] = (place, n)
    return kept
