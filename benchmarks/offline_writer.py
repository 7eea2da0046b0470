"""Measures the offline writer: speed, near-duplicates, opening spread, vocabulary.

    python benchmarks/offline_writer.py --count 100000 --json benchmarks/results/offline_writer.json

A near-duplicate is a story with an earlier story at MinHash-estimated Jaccard similarity of 0.8 or more over word
5-shingles (datasketch, 128 permutations; candidates from its LSH, then the estimate decides). 100,000 stories take
about half a minute, nearly all of it MinHash.
"""

import argparse
import itertools
import json
import platform
import re
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from datasketch import MinHash, MinHashLSH

from data_gen.offline import plan_story, tell, write_corpus, write_story
from tsjax.atomic import write_json

PERMUTATIONS = 128
SHINGLE = 5  # words
THRESHOLD = 0.8  # Jaccard similarity


def stories_per_second(count: int, seed: int) -> float:
    """Rate of `write_story` alone, after a warm-up, in one process."""
    for index in range(500):
        write_story(seed, index)
    started = time.perf_counter()
    for index in range(count):
        write_story(seed, index)
    return count / (time.perf_counter() - started)


def corpus_per_second(count: int, seed: int) -> float:
    """Rate of `write_corpus`: stories, JSON, compression and checksums, onto the temporary disk."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        write_corpus(Path(folder), count, seed)
        return count / (time.perf_counter() - started)


def minhash(text: str, empty: MinHash) -> MinHash:
    """`empty` with a story's word shingles in it; case and punctuation do not count as difference."""
    words = re.findall(r"[a-z']+", text.lower())
    shingles = {" ".join(words[i : i + SHINGLE]).encode() for i in range(max(1, len(words) - SHINGLE + 1))}
    sketch = empty.copy()  # a new one would draw its permutations again
    sketch.update_batch(list(shingles))
    return sketch


def near_duplicates(stories: list[str]) -> int:
    """How many stories have an earlier near-duplicate."""
    empty = MinHash(num_perm=PERMUTATIONS, hashfunc=zlib.crc32)
    lsh = MinHashLSH(threshold=THRESHOLD - 0.1, num_perm=PERMUTATIONS)  # lower, so that LSH misses few
    sketches: list[MinHash] = []
    found = 0
    for number, text in enumerate(stories):
        sketch = minhash(text, empty)
        found += any(sketch.jaccard(sketches[earlier]) >= THRESHOLD for earlier in lsh.query(sketch))
        lsh.insert(number, sketch, check_duplication=False)
        sketches.append(sketch)
    return found


def measure(count: int, seed: int) -> dict[str, Any]:
    """All numbers for stories 0 to `count - 1` of `seed`."""
    plans = [plan_story(seed, index) for index in range(count)]
    stories = [tell(plan) for plan in plans]
    words = [len(text.split()) for text in stories]
    openings = Counter(plan.opening for plan in plans)
    types = Counter(itertools.chain.from_iterable(re.findall(r"[a-z']+", text.lower()) for text in stories))
    return {
        "count": count,
        "seed": seed,
        "stories_per_second": round(stories_per_second(min(count, 50_000), seed)),
        "corpus_stories_per_second": round(corpus_per_second(min(count, 50_000), seed)),
        "exact_duplicates": count - len(set(stories)),
        "near_duplicate_share": near_duplicates(stories) / count,
        "openings": len(openings),
        "largest_opening_share": max(openings.values()) / count,
        "plots": len({plan.plot for plan in plans}),
        "distinct_words": len(types),
        "words_mean": sum(words) / count,
        "words_least": min(words),
        "words_most": max(words),
        "machine": f"{platform.machine()} {platform.system()}, Python {platform.python_version()}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="stories to measure")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also store the numbers here")
    args = parser.parse_args()
    result = measure(args.count, args.seed)
    print(json.dumps(result, indent=2))
    if args.json:
        write_json(args.json, result)


if __name__ == "__main__":
    main()
