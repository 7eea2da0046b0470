"""Every metric that needs no key, of one model's completions. Each says what it sees and what it is blind to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eval import consistency, grammar, marking, wording
from eval.intervals import t_interval
from eval.records import INSTRUCT, STORY, Completion, Prompt
from eval.sentences import Passage
from tsjax.errors import UserError

if TYPE_CHECKING:
    from eval.likelihood import Scorer

NO_STAND_IN = {
    "plot": "no stand-in: no rule here tells whether a story has a plot that makes sense; it takes a judge",
    "creativity": "no stand-in: the diversity and novelty metrics show sameness and copying, not creativity",
    "age": "no stand-in: the age of a writer takes a judge",
}

# name -> (what it computes, what it sees, what it is blind to); of stories and of instruct completions alike.
_PASSAGE: dict[str, tuple[Callable[[Passage], float | None], str, str]] = {
    "clean_sentences": (grammar.clean_share, grammar.CLEAN_SEES, grammar.CLEAN_BLIND),
    "ends_well": (grammar.ends_well, grammar.ENDING_SEES, grammar.ENDING_BLIND),
    "repeated_4grams": (grammar.repeated_share, grammar.REPEATED_SEES, grammar.REPEATED_BLIND),
    "vocabulary": (wording.vocabulary_rate, wording.VOCABULARY_SEES, wording.VOCABULARY_BLIND),
    "pronoun_clashes": (consistency.pronoun_clashes, consistency.CLASH_SEES, consistency.CLASH_BLIND),
}
# Of stories alone: what an instruct prompt asks for is measured by itself, below.
_STORY: dict[str, tuple[Callable[[Passage], float | None], str, str]] = {
    "names_kept": (consistency.names_kept, consistency.KEPT_SEES, consistency.KEPT_BLIND),
    "new_names": (consistency.new_names, consistency.NEW_SEES, consistency.NEW_BLIND),
    "words_kept": (consistency.words_kept, consistency.WORDS_SEES, consistency.WORDS_BLIND),
}
_INSTRUCT = {
    "required_words": (wording.WORDS_SEES, wording.WORDS_BLIND),
    "required_sentence": (wording.SENTENCE_SEES, wording.SENTENCE_BLIND),
    "dialogue": (wording.DIALOGUE_SEES, wording.DIALOGUE_BLIND),
    "summary_words": (wording.SUMMARY_SEES, wording.SUMMARY_BLIND),
}
_REFERENCE = {
    "reference_bits_per_byte": ("REFERENCE_SEES", "REFERENCE_BLIND"),
    "prompt_gain": ("GAIN_SEES", "GAIN_BLIND"),
}


def offline(
    completions: Sequence[Completion],
    prompts: Sequence[Prompt] = (),
    reference: "Scorer | None" = None,
    seed: int = 0,
    *,
    before: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """{"model", "metrics": {name: {"mean", "se", "n", "sees", "blind"}}, "per_completion": [{"completion", name: value}],
    "marks": [{"prompt", "completion", "k", "family", "mark"}], "marking": `marking.totals`, "missing": {name: why}}.

    mean and se: prompts are the unit; n: completions with a value. Where there are beginnings of stories, instructed
    texts count in what instructions ask for alone. `prompts`: for what instruct prompts ask for, and for
    the accepted and rejected continuations. `reference`: another model than the one that wrote these. `before`: rows
    "per_completion" of earlier, whose likelihoods are taken over where there is no reference now. The marks are of texts;
    `marking.mark_prompts` marks the model itself. UserError unless all completions are of one model.
    """
    models = sorted({one.model for one in completions})
    if len(models) != 1:
        raise UserError(expected="completions of one model", found=", ".join(models) or "none",
                        todo="measure each model's by themselves")  # fmt: skip
    by_id = {prompt.id: prompt for prompt in prompts}
    rows: list[dict[str, Any]] = [{"completion": one.id} for one in completions]
    sees: dict[str, tuple[str, str]] = {}

    def put(name: str, of: Mapping[int, float | None], texts: tuple[str, str]) -> None:
        for n, value in of.items():
            if value is not None:
                rows[n][name] = value
                sees[name] = texts

    kinds = {one.kind for one in completions}
    of = STORY if STORY in kinds else INSTRUCT  # never both in one mean: they are not asked the same
    stories = {n: _passage(one) for n, one in enumerate(completions) if one.kind == of}
    for name, (measure, seen, blind) in _PASSAGE.items():
        put(name, {n: measure(passage) for n, passage in stories.items()}, (seen, blind))
    for name, (measure, seen, blind) in _STORY.items():
        put(name, {n: measure(one) for n, one in stories.items() if completions[n].kind == STORY}, (seen, blind))
    for n, one in enumerate(completions):
        if one.kind == INSTRUCT and one.prompt_id in by_id:
            for name, value in wording.instructions(one.text, by_id[one.prompt_id].asks).items():
                put(name, {n: value}, _INSTRUCT[name])
    missing = dict(NO_STAND_IN)
    known = {row["completion"]: row for row in before}
    if reference:
        given = [Passage(completions[n].prompt, completions[n].text) for n in stories]
        for name, values, texts in _likelihoods(reference, given, seed):
            put(name, dict(zip(stories, values, strict=True)), texts)
    elif known:
        from eval import likelihood

        for name, (seen, blind) in _REFERENCE.items():
            values_before = {n: known.get(completions[n].id, {}).get(name) for n in stories}
            put(name, values_before, (getattr(likelihood, seen), getattr(likelihood, blind)))
    if not reference:
        missing |= {name: "no reference model was given" for name in _REFERENCE if name not in sees}
    marks = [
        {"prompt": one.prompt_id, "completion": one.id, "k": one.k, "family": one.kind,
         "mark": marking.mark_text(by_id[one.prompt_id], one.text)}
        for one in completions
        if one.kind in marking.FAMILIES and one.prompt_id in by_id and by_id[one.prompt_id].accepted
    ]  # fmt: skip
    if INSTRUCT not in kinds:
        missing |= dict.fromkeys(_INSTRUCT, "no instructions were asked for")
    for name in (*_PASSAGE, *_STORY, *_INSTRUCT, *_REFERENCE):
        if name not in sees and name not in missing:
            missing[name] = "none of these completions has it"
    return {
        "model": models[0],
        "metrics": {name: _summary(name, rows, completions, texts) for name, texts in sees.items()},
        "per_completion": rows,
        "marks": marks,
        "marking": marking.totals(marks, models[0]),
        "missing": missing,
    }


def _passage(one: Completion) -> Passage:
    """An instruct prompt is no part of the story."""
    return Passage("" if one.kind == INSTRUCT else one.prompt, one.text)


def _likelihoods(
    reference: "Scorer", passages: list[Passage], seed: int
) -> list[tuple[str, list[float | None], tuple[str, str]]]:
    from eval import likelihood

    values = likelihood.completion_bits(reference, passages), likelihood.prompt_gain(reference, passages, seed=seed)
    return [
        (name, of, (getattr(likelihood, seen), getattr(likelihood, blind)))
        for (name, (seen, blind)), of in zip(_REFERENCE.items(), values, strict=True)
    ]


def _summary(
    name: str, rows: list[dict[str, Any]], completions: Sequence[Completion], texts: tuple[str, str]
) -> dict[str, Any]:
    """Mean of prompt means with its standard error."""
    of: dict[str, list[float]] = {}
    for row, one in zip(rows, completions, strict=True):
        if name in row:
            of.setdefault(one.prompt_id, []).append(row[name])
    found = t_interval(np.array([np.mean(values) for values in of.values()]))
    n = sum(map(len, of.values()))
    return {"mean": found.mean, "se": found.se, "n": n, "sees": texts[0], "blind": texts[1]}
