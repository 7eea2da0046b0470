"""Texts in the place of completions that are not written yet, so that what a judge will cost is known before them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from data_gen.offline import write_story
from data_gen.prices import about_tokens
from eval.complete import decoding_of, texts_each
from eval.prompts import PromptSet
from eval.records import Completion

SEED = 98  # of the offline writer's stories


def stand_ins(
    names: Sequence[str],
    sets: Sequence[PromptSet],
    k: int | None,
    decoding: Mapping[str, Any],
    have: Collection[tuple[str, str, int]] = (),
) -> list[Completion]:
    """A text of about `max_new` tokens for each model name, prompt and k, but those of `have`: (name, prompt id, k).

    No model writes longer ones, and most end sooner. All prompts count, also those that may turn out not to fit a model.
    """
    how = decoding_of(decoding)
    each, stories = texts_each(k, how), _stories(how.max_new)
    return [
        Completion(
            model=name, prompts=one.hash, prompt_id=prompt.id, kind=prompt.kind, k=i, prompt=prompt.text,
            text=next(stories), stop="length", tokens=how.max_new, decoding=how.settings(),
        )
        for name in names
        for one in sets
        for prompt in one.prompts
        for i in range(each)
        if (name, prompt.id, i) not in have
    ]  # fmt: skip


def _stories(tokens: int) -> Iterator[str]:
    """Without end: whole stories one after the other, cut at a word where they have so many tokens."""
    made = (write_story(SEED, n) for n in count())
    while True:
        words: list[str] = []
        size = 0.0
        while size < tokens:
            for word in next(made).split(" "):
                size += about_tokens(f" {word}")
                words.append(word)
                if size >= tokens:
                    break
        yield " " + " ".join(words)
