"""Time and memory of the whole memorisation analysis: 100 stories against a training set of any size.

    python -m benchmarks.novelty --tokens 500e6 --json benchmarks/results/2026-11-21-novelty.json

The corpus: as many offline-writer stories as --stories says, tokenized, and repeated until there are enough tokens, each
time with the vocabulary permuted within ids of like frequency and the stories rotated by a random number of tokens, so that
no repeat is the corpus over again. One pass counts all k-grams up to 10, finds the nearest story
for k = 2 and 3 and the longest copied span. Half of the 100 stories are the offline writer's own with another seed, which
share nearly all short k-grams with the corpus (the slow case); half are further ones with their tokens shuffled; and --planted
of them have a run of known length copied from a random place of the corpus, which must be found. Memory is the peak of the
process (VmHWM) with the corpus, and before it was analysed.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from data_gen.offline import write_story
from eval.grams import Corpus, Grams, scan
from eval.nearest import Best, Spans, longest, nearest
from eval.novelty import CURVE, Counts, curve
from tsjax.tokenizer import Recipe

_LIKE = 8  # ids of neighbouring frequency that may change places
_PLANT = 37  # tokens


def texts(count: int, seed: int) -> list[str]:
    return [write_story(seed, index) for index in range(count)]


def synthetic(path: Path, documents: list[np.ndarray], tokens: int, bos: int, eos: int, vocab: int) -> Corpus:
    """A memory-mapped file of at least `tokens` uint16 ids, BOS and EOS around each document."""
    rng = np.random.default_rng(0)
    marks = sum(len(ids) + 2 for ids in documents)
    frequency = np.bincount(np.concatenate(documents), minlength=vocab)
    rank = np.argsort(-frequency)
    rank = rank[frequency[rank] > 0]
    repeats = -(-tokens // marks)
    lengths = np.array([len(ids) for ids in documents] * repeats, np.int64)
    starts = np.cumsum(lengths + 2) - lengths - 1
    made = np.lib.format.open_memmap(path, "w+", np.uint16, (repeats * marks,))
    joined = np.concatenate(documents)
    step = np.concatenate([np.arange(-1, len(ids) + 1) for ids in documents])
    for number in range(repeats):
        changed = np.arange(vocab)
        keys = np.arange(len(rank)) // _LIKE + rng.random(len(rank))  # shuffles within groups
        changed[rank] = rank[np.argsort(keys)] if number else rank
        part = made[number * marks : (number + 1) * marks]
        part[:] = eos
        part[step == -1] = bos
        here = starts[: len(documents)]
        inside = np.repeat(
            here - (np.cumsum(lengths[: len(documents)]) - lengths[: len(documents)]), lengths[: len(documents)]
        )
        part[np.arange(len(joined)) + inside] = np.roll(
            changed[joined], int(rng.integers(len(joined))) if number else 0
        )
    made.flush()
    return Corpus(np.load(path, mmap_mode="r"), starts, starts + lengths)


def bench(tokens: float = 5e8, stories: int = 50_000, planted: int = 10, workers: int = 2) -> dict[str, Any]:
    corpus_texts, own = texts(stories, 0), texts(100, 1)
    tokenizer = Recipe(vocab_size=2048).make(corpus_texts[:20_000])
    documents = [np.array(ids) for ids in tokenizer.encode(corpus_texts)]
    rng = np.random.default_rng(1)
    queries = [np.array(ids) for ids in tokenizer.encode(own)]
    queries[50:] = [rng.permutation(ids) for ids in queries[50:]]
    with tempfile.TemporaryDirectory() as folder:
        corpus = synthetic(
            Path(folder) / "tokens.npy", documents, int(tokens), tokenizer.bos, tokenizer.eos, tokenizer.vocab_size
        )
        for i in range(99, 99 - planted, -1):
            document = corpus.document(int(rng.integers(len(corpus.starts))))
            at = int(rng.integers(len(document) - _PLANT + 1)) if len(document) > _PLANT else 0
            queries[i] = np.concatenate([queries[i][:60], document[at : at + _PLANT], queries[i][60:]])
        before = measure.resident("VmRSS")
        began, used = time.perf_counter(), time.process_time()
        grams = Grams(queries)

        def make() -> list[Any]:
            return [Counts(grams, max(CURVE)), Best(grams), Spans(grams)]

        counts, best, spans = scan(corpus, grams, make, workers)
        near, copied = {k: nearest(grams, best, k) for k in best.count}, longest(corpus, grams, spans)
        found = {
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - used,
            "peak_mb": measure.resident("VmHWM"),
            "before_mb": before,
            "tokens": len(corpus.tokens),
            "documents": len(corpus.starts),
            "stories": len(queries),
            "story_tokens": int(grams.lengths.sum()),
            "planted_found": sum(span.length >= _PLANT for span in copied[100 - planted :]),
            "planted": planted,
            "copied_own_mean": float(np.mean([span.length for span in copied[:50]])),
            "precision_own_mean": {k: float(np.mean([one.precision for one in near[k][:50]])) for k in near},
            "new_own": curve(grams, counts, range(50))["y"],
            "new_shuffled": curve(grams, counts, range(50, 100 - planted))["y"],
        }
    return measure.report("novelty", 1, [found], "numpy", "scipy", workers=workers)


if __name__ == "__main__":
    measure.main(
        bench,
        __doc__,
        ("--tokens", {"type": float, "default": 5e8}),
        ("--stories", {"type": int, "default": 50_000, "help": "of the offline writer, of which the corpus is made"}),
        ("--planted", {"type": int, "default": 10}),
        ("--workers", {"type": int, "default": 2}),
    )
