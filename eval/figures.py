"""The paper's experiment on diversity and memorisation (Figs 14 to 18): endings of training stories, by models and by others.

Of 100 training stories the first 40 % of the words are the prompt. A model's endings are compared with the true ones (14), with
each other (15) and with the whole training set (16 to 18). The paper's control "original" is here stories that were held out
from training, cut in the same way: what somebody writes who never saw the model's training set has as many common phrases.
Figs 14 and 15 count words, the others tokens, of which the corpus is made; the nearest stories of Fig 18 are given in both.
"""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eval.diversity import diversity
from eval.grams import Grams, corpus_of, scan
from eval.nearest import FIG17, Best, Near, Span, Spans, longest, nearest
from eval.novelty import CURVE, FIG16, Counts, curve, frequency_histogram
from eval.records import STORY, Completion, Prompt
from eval.rouge import highest_f, rouge
from tsjax.errors import UserError
from tsjax.shards import Shards
from tsjax.tokenizer import Tokenizer

COUNT, SHARE = 100, 0.4
HELD_OUT = "held-out"  # the model name of the control
SHOWN = 3  # nearest pairs of each model that Fig 18 shows
_LEAST = 10  # words; a shorter story has no beginning and ending to speak of
_EDGES = np.arange(0, 1.0151, 0.015)  # the bins of the paper's Fig 14


class _Ending(NamedTuple):
    id: str  # of the completion
    prompt: str
    text: str
    true: str  # the true ending that it is compared with


def beginnings(
    shards: Shards, count: int = COUNT, seed: int = 0, split: str = "train"
) -> tuple[list[Prompt], dict[str, str]]:
    """Prompts from random stories of a split, and their true endings by prompt id.

    The same for the same shards and seed. Prompt and ending together are the story, and the ending begins with the space
    (or line break) before its first word. UserError where the split has fewer than `count` stories of at least 10 words.
    """
    stories = _beginnings(shards, count, seed, split)
    if len(stories) < count:
        raise UserError(
            expected=f"{count} stories of at least {_LEAST} words in the split {split!r} of {shards.folder}",
            found=str(len(stories)),
            todo="ask for fewer, or give a larger corpus",
        )
    prompts = [Prompt(id=f"{split}-{document}", kind=STORY, text=prompt) for document, prompt, _ in stories]
    return prompts, {prompt.id: ending for prompt, (_, _, ending) in zip(prompts, stories, strict=True)}


def ending_ids(tokenizer: Tokenizer, prompts: Sequence[str], endings: Sequence[str]) -> list[list[int]]:
    """The ids of each ending as they are behind its prompt: by itself its first word may be spelled differently.

    A token that holds the prompt's last characters and the ending's first ones belongs to the ending.
    """
    whole = tokenizer.encode([prompt + ending for prompt, ending in zip(prompts, endings, strict=True)])
    found = []
    for ids, before in zip(whole, tokenizer.encode(prompts), strict=True):
        same = next(
            (i for i, (a, b) in enumerate(zip(ids, before, strict=False)) if a != b), min(len(ids), len(before))
        )
        found.append(ids[same:])
    return found


def figures(
    shards: Shards,
    endings: Mapping[str, str],
    completions: Sequence[Completion],
    seed: int = 0,
    workers: int = 2,
) -> dict[str, Any]:
    """All figures as plain JSON: fig14 to fig17 by model, "held-out" among them, fig18, "copied", "novelty", "diversity".

    shards: what the models were trained on. endings: the true ones by prompt id (`beginnings`). completions: of those
    prompts; only the first (k = 0) of each prompt and model counts, so that no prompt weighs more than another. One pass
    over the training tokens serves all models. UserError for a completion of another prompt, and where there is none.
    """
    groups = _by_model(endings, completions)
    train, tokenizer = corpus_of(shards), shards.tokenizer()
    others = _beginnings(shards, len(endings), seed, "valid")
    if others:  # each beside the true ending of a story that is not its own
        pairs = zip(others, endings.values(), strict=False)
        groups[HELD_OUT] = [_Ending("", prompt, text, true) for (_, prompt, text), true in pairs]
    flat = [one for group in groups.values() for one in group]
    grams = Grams(ending_ids(tokenizer, [one.prompt for one in flat], [one.text for one in flat]))

    def make() -> list[Any]:
        return [Counts(grams, max(CURVE)), Best(grams, FIG17), Spans(grams)]

    counts, best, spans = scan(train, grams, make, workers)
    near, copied = {k: nearest(grams, best, k) for k in FIG17}, longest(train, grams, spans)
    out: dict[str, Any] = {name: {} for name in ("fig14", "fig15", "fig16", "fig17", "copied", "novelty", "diversity")}
    out["fig18"] = []
    begin = 0
    for model, group in groups.items():
        stories = range(begin, begin + len(group))
        texts = [one.text for one in group]
        begin += len(group)
        out["fig14"][model] = _shares(
            [rouge(one.text, one.true, 2).precision for one in group],
            "Rouge-2 precision (words) of each ending against the true one",
        )
        out["fig15"][model] = _shares(highest_f(texts), "highest Rouge-2 F (words) of each ending to the others")
        out["fig16"][model] = {str(k): frequency_histogram(grams, counts, train, k, stories) for k in FIG16}
        out["fig17"][model] = {
            str(k): _shares(
                [near[k][i].precision for i in stories],
                f"best Rouge-{k} precision (tokens) of each ending over all training stories",
            )
            for k in FIG17
        }
        out["copied"][model] = _lengths([copied[i] for i in stories])
        new = curve(grams, counts, stories)
        out["novelty"][model] = {str(n): y for n, y in zip(new["x"], new["y"], strict=True) if y is not None}
        out["diversity"][model] = {name: one["mean"] for name, one in diversity(model, texts, seed)["metrics"].items()}
        if model != HELD_OUT:
            order = sorted((i for i in range(len(group)) if near[2][stories[i]].document >= 0),
                           key=lambda i: -(near[2][stories[i]].precision or 0.0))  # fmt: skip
            for i in order[:SHOWN]:
                found = near[2][stories[i]]
                story = tokenizer.decode(train.document(found.document).tolist())
                out["fig18"].append(_pair(model, group[i], found, copied[stories[i]], story))
    return out


def _beginnings(shards: Shards, count: int, seed: int, split: str) -> list[tuple[int, str, str]]:
    """(document, prompt, ending) of at most `count` random stories."""
    corpus, tokenizer, rng = corpus_of(shards, split), shards.tokenizer(), random.Random(seed)
    waiting = list(range(len(corpus.starts)))
    found: list[tuple[int, str, str]] = []
    while waiting and len(found) < count:
        place = int(rng.random() * len(waiting))
        waiting[place], waiting[-1] = waiting[-1], waiting[place]
        document = waiting.pop()
        text = tokenizer.decode(corpus.document(document).tolist())
        words = list(re.finditer(r"\S+", text))
        if len(words) >= _LEAST:
            cut = words[round(SHARE * len(words)) - 1].end()
            found.append((document, text[:cut], text[cut:]))
    return found


def _by_model(endings: Mapping[str, str], completions: Sequence[Completion]) -> dict[str, list[_Ending]]:
    groups: dict[str, list[_Ending]] = {}
    for one in completions:
        if one.prompt_id not in endings:
            raise UserError(
                expected="completions of the prompts whose true endings are given",
                found=f"prompt {one.prompt_id!r} of model {one.model!r}",
                todo="complete the prompts that were made from these shards with this seed",
            )
        if one.k == 0:
            ending = _Ending(one.id, one.prompt, one.text, endings[one.prompt_id])
            groups.setdefault(one.model, []).append(ending)
    if not groups:
        raise UserError(expected="at least one completion with k = 0", found="none", todo="complete the prompts first")
    return groups


def _shares(values: Sequence[float | None], what: str) -> dict[str, Any]:
    """Histogram of shares; `n` counts those that could be computed (texts of at least k tokens)."""
    known = [value for value in values if value is not None]
    heights = np.histogram(known, _EDGES)[0]
    return {"edges": _EDGES.round(3).tolist(), "counts": heights.tolist(), "n": len(known), "what": what}


def _lengths(spans: Sequence[Span]) -> dict[str, Any]:
    lengths = [span.length for span in spans]
    edges = np.arange(0, max(lengths, default=0) + 2)
    what = "tokens in the longest run of each ending that is anywhere in the training set"
    return {
        "edges": edges.tolist(),
        "counts": np.histogram(lengths, edges)[0].tolist(),
        "n": len(lengths),
        "what": what,
    }


def _pair(model: str, one: _Ending, near: Near, span: Span, story: str) -> dict[str, Any]:
    return {
        "model": model,
        "id": one.id,
        "completion": one.text,
        "story": story,
        "document": near.document,
        "precision": near.precision,
        "precision_words": rouge(one.text, story, 2).precision,
        "copied_tokens": span.length,
        "k": 2,
    }
