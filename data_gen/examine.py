"""The examiner: an answer -> what it holds, cleaned, with the verdict of every check. Pure, and quick enough to run
between two requests: a story of 200 words takes well under a millisecond."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from data_gen.answer import STOP, Answer
from data_gen.checks import Check, compiled, validate
from data_gen.clean import clean, without_emoji
from data_gen.draft import Draft
from data_gen.parse import WAYS, Candidate, parse
from data_gen.recipe import Recipe, Step
from tsjax.corpus import SEPARATOR, chat
from tsjax.corpus.chat import Turn
from tsjax.errors import UserError


@dataclass(frozen=True)
class Finding:
    """What an answer, or one text of a packed answer, came to.

    text:     the clean text; of a chat the one line of `chat.render`; what a model said that refused; else "".
    messages: the turns of a chat, [{"role", "content"}, ...].
    reason:   "" = accepted, else the first of `reasons`: short stable keys such as "missing_word:noun", "length".
    checks:   by check, what it measured, whether or not it passed.
    edits:    changes by kind that cleaning made.
    stats:    characters, words, sentences, paragraphs, opening, names.
    parts:    of a packed answer, the findings on its texts; it is accepted if one of them is.
    """

    text: str
    messages: list[dict[str, str]] | None = None
    reason: str = ""
    checks: dict[str, Any] = field(default_factory=dict)
    edits: dict[str, int] = field(default_factory=dict)
    stats: dict[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    parts: tuple["Finding", ...] = ()

    @property
    def documents(self) -> tuple["Finding", ...]:
        """The accepted documents of the answer: itself, its accepted parts, or none."""
        if self.reason:
            return ()
        return tuple(part for part in self.parts if not part.reason) if self.parts else (self,)


class Examiner:
    """Examines the answers to a recipe's steps. Raises UserError for checks that are not well formed."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self._checks: list[tuple[Check, ...]] = []
        for step in recipe.steps:
            _check_parser(step)
            factors, where = [factor.name for factor in recipe.factors], f"the checks of step {step.name!r}"
            chats = recipe.shape.kind == "chat" and (recipe.shape.text == step.name or step.parse == "json")
            validate(step.checks, factors, where, turns=chats)
            self._checks.append(compiled(step, recipe))

    def __reduce__(self):
        return Examiner, (self.recipe,)

    def examine(self, step: int, factors: Mapping[str, Any], answer: Answer, earlier: Mapping[str, str]) -> Finding:
        """The finding on the answer to step number `step`. Raises nothing, whatever the answer holds.

        factors: what was drawn for the document; earlier: the clean texts of earlier steps by name. A user's own
        checks see both together.
        """
        asked, checks = self.recipe.steps[step], self._checks[step]
        reasons = [] if answer.finish == STOP else [answer.finish or "no_finish"]
        items = asked.checks.get("items", 1)
        parsed = parse(answer.text, asked.parse, items)
        if parsed.reason:
            reasons.append(parsed.reason)
        values = {**earlier, **factors}
        found = [self._finding(asked, checks, values, one, answer.text) for one in parsed.candidates]
        if asked.parse == "marker" and len(found) > 1:
            if all(part.reason for part in found):
                reasons.append(found[0].reason)
            text = "\n\n".join(part.text for part in found)
            return Finding(
                text,
                reason=reasons[0] if reasons else "",
                checks={"items": len(found)},
                edits=_sum(parsed.edits, *(part.edits for part in found)),
                reasons=tuple(reasons),
                parts=tuple(found),
            )
        if not found:
            text, edits = clean(answer.text or answer.refusal, self.recipe.language)
            reasons = reasons or ["empty"]
            return Finding(text, reason=reasons[0], edits=_sum(parsed.edits, edits), reasons=tuple(reasons))
        one = found[0]
        reasons += [reason for reason in one.reasons if reason not in reasons]
        return Finding(
            one.text or clean(answer.refusal)[0],
            one.messages,
            reasons[0] if reasons else "",
            one.checks,
            _sum(parsed.edits, one.edits),
            one.stats,
            tuple(reasons),
        )

    def _finding(
        self, step: Step, checks: tuple[Check, ...], values: Mapping[str, Any], candidate: Candidate, raw: str
    ) -> Finding:
        text, turns, edits, reasons = self._clean(step, candidate)
        draft = Draft(text, tuple(turns) if turns is not None else None, values, raw)
        measured: dict[str, Any] = {}
        for check in checks:
            reason, value = check.run(draft)
            measured[check.name] = value
            if reason and reason not in reasons:
                reasons.append(reason)
        messages = [{"role": role, "content": said} for role, said in turns] if turns is not None else None
        if SEPARATOR in text:
            reasons.append("separator")
        return Finding(
            text,
            messages,
            reasons[0] if reasons else "",
            measured,
            edits,
            draft.stats() if text else {},
            tuple(reasons),
        )

    def _clean(self, step: Step, candidate: Candidate) -> tuple[str, list[Turn] | None, dict[str, int], list[str]]:
        """The clean text, the clean turns, the edits, and reasons."""
        shape = self.recipe.shape
        if candidate.turns is None:
            text, edits = self._mended(step, candidate.text)
            if not text:
                return "", None, edits, ["empty"]
            if shape.kind != "chat" or shape.text != step.name:
                return text, None, edits, []
            try:
                turns = chat.parse(text)
            except ValueError:
                return text, None, edits, ["wrong_turns"]
            unasked = turns[0].role == "system" and not _asks_for_system(step)
            return chat.render(turns), turns, edits, ["system_turn"] if unasked else []
        cleaned = [(role, *self._mended(step, said)) for role, said in candidate.turns]
        edits = _sum(*(changes for _, _, changes in cleaned))
        turns = [Turn(role, said) for role, said, _ in cleaned]
        extra = ["system_turn"] if any(turn.role == "system" for turn in turns) and not _asks_for_system(step) else []
        if shape.kind != "chat":
            return "\n".join(turn.text for turn in turns), turns, edits, ["wrong_shape"]
        try:
            return chat.render(turns), turns, edits, extra
        except ValueError:
            return "\n".join(turn.text for turn in turns), turns, edits, ["wrong_turns"]

    def _mended(self, step: Step, text: str) -> tuple[str, dict[str, int]]:
        """The clean text; without emoji too, where the step asks for one script."""
        text, edits = clean(text, self.recipe.language)
        if "script" in step.checks and not text.isascii():
            bare, count = without_emoji(text)
            if count:
                text, more = clean(bare, self.recipe.language)
                edits = _sum(edits, {"emoji": count}, more)
        return text, edits


def _asks_for_system(step: Step) -> bool:
    """Whether the answers may have a system turn: the prompt or the schema speaks of one."""
    return "system" in f"{step.prompt} {step.params.get('schema', '')}".lower()


def _check_parser(step: Step) -> None:
    where = f"parse of step {step.name!r}"
    if step.parse not in WAYS:
        raise UserError(expected=f"{where} to be one of {', '.join(WAYS)}", found=repr(step.parse), todo="change it")
    if (step.parse == "marker") != ("items" in step.checks):
        raise UserError(
            expected="a step's checks to have items (how many texts an answer holds) where its parse is marker, only there",
            found=f"{where} {step.parse!r} and {'items' if 'items' in step.checks else 'no items'}",
            todo="change one of them",
        )


def _sum(*counts: Mapping[str, int]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for kind, changes in count.items():
            total[kind] = total.get(kind, 0) + changes
    return total
