"""Instruct prompts out of a corpus: instructions of held-out rows that no training row shares.

TinyStories-Instruct was graded on such sets (paper, section 4.2): what a model is asked for must not be a combination that
it was trained on.
"""

import heapq
import json
from collections.abc import Iterable, Iterator
from hashlib import blake2b, sha256
from pathlib import Path

from eval.prompts import PromptSet
from eval.records import INSTRUCT, Prompt
from tsjax.corpus import SPLITS, instruct
from tsjax.corpus.readers import documents
from tsjax.corpus.sources import MANIFEST, sources
from tsjax.errors import UserError

SPARE = 4  # candidates for each prompt that is asked for: some may turn out to be in the training split


def instruct_sets(where: str | Path, n: int = 50, seed: int = 0) -> PromptSet:
    """`n` prompts from the validation rows of an Instruct corpus, the same for the same rows and seed in any order.

    `where`: a shard folder, a documents folder, a corpus file or hf:// data set (`tsjax.corpus.sources`). Where it has a
    training split, no row of it has the same combination of words, the same summary, or all the same instructions as a
    prompt, and no two prompts share one; files without a split are taken as held out, and the set's `note` says so.
    A prompt is the row up to where its story begins. Memory holds the candidates alone. Raises UserError where the
    corpus has fewer.
    """
    valid, train = _splits(where)
    candidates: dict[str, tuple[instruct.Instruct, frozenset[str]]] = {}
    taken: set[str] = set()
    ranked = ((_rank(seed, block), block) for block in _blocks(valid) if block.lines)
    for _, block in heapq.nsmallest(SPARE * n, ranked, key=lambda pair: pair[0]):
        keys = _keys(block)
        if keys and not keys & taken:
            taken |= keys
            candidates[_rank(seed, block)] = block, keys
    seen: set[str] = set()
    for block in _blocks(train):
        seen |= _keys(block) & taken
    good = [block for block, keys in candidates.values() if not keys & seen][:n]
    if len(good) < n:
        raise UserError(
            expected=f"{n} held-out Instruct rows in {where} whose instructions no training row has",
            found=f"{len(good)} of {len(candidates)} candidates",
            todo="give a corpus with more validation rows, or ask for fewer",
        )
    note = "" if _has_train(where) else "no training split at hand: not checked against one"
    return PromptSet("instruct", "", tuple(_prompt(i, block) for i, block in enumerate(good, 1)), note)


def held_out_texts(where: str | Path) -> Iterator[str]:
    """The documents of a corpus, in order, without those of a training split. `where` and errors as `instruct_sets`."""
    return _splits(where)[0]


def _prompt(place: int, block: instruct.Instruct) -> Prompt:
    before = block.told[: len(block.told) - len(block.told.lstrip())]
    text = instruct.Instruct(block.lines, before).render()
    # A piece of the text: sets of two corpora never have one id for two prompts.
    digest = sha256(text.encode()).hexdigest()[:8]
    return Prompt(f"instruct-{place:02d}-{digest}", INSTRUCT, text, asks=block.document().fields)


def _keys(block: instruct.Instruct) -> frozenset[str]:
    """What must not come twice: the words as a set, the summary, and all instructions together."""
    words = sorted({word.lower() for word in block.words})
    parts = [["words", words]] if words else []
    if block.summary:
        parts.append(["summary", block.summary.lower().split()])
    if block.lines:
        parts.append(["all", words, sorted(block.features), block.summary, block.sentence])
    return frozenset(_hash(part) for part in parts)


def _rank(seed: int, block: instruct.Instruct) -> str:
    return _hash([seed, block.render()])


def _hash(value: object) -> str:
    return blake2b(json.dumps(value).encode(), digest_size=12).hexdigest()


def _blocks(texts: Iterable[str]) -> Iterator[instruct.Instruct]:
    for text in texts:
        try:
            yield instruct.parse(text)
        except ValueError:
            continue  # a story without instructions, in a mixed corpus


def _is_shards(where: str | Path) -> bool:
    try:
        return json.loads((Path(where) / MANIFEST).read_bytes()).get("kind") == "token_shards"
    except (OSError, ValueError, AttributeError):
        return False


def _has_train(where: str | Path) -> bool:
    return _is_shards(where) or any(source.split == "train" for source in sources(where))


def _splits(where: str | Path) -> tuple[Iterator[str], Iterator[str]]:
    """Texts of the held-out and of the training rows."""
    if _is_shards(where):
        from tsjax.shards import open_shards

        shards = open_shards(Path(where))
        train, valid = (shards.texts(split) for split in SPLITS)
        return valid, train
    found = sources(where)
    train_files = [source.path for source in found if source.split == "train"]
    held_out = [source.path for source in found if source.split != "train"]
    return _texts(held_out), _texts(train_files)


def _texts(paths: Iterable[Path]) -> Iterator[str]:
    return (document.text for path in paths for document in documents(path) if not document.fault)
