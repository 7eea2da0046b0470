"""k-grams are counted as a naive counter does, whatever the blocks, workers, ids and document edges; memory is a block's."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eval.grams
from eval.grams import Corpus, Grams, Level, corpus_of, scan
from eval.nearest import Best, Spans
from eval.novelty import EDGES, NEVER, Counts, count, curve, frequency_histogram, log_frequencies, new_shares
from tests.eval.corpora import DOCUMENTS, STORIES, corpus, grams
from tsjax.shards import open_shards


@settings(max_examples=200)
@given(DOCUMENTS, STORIES, st.integers(0, 2), st.integers(1, 3), st.sampled_from([1, 3, 1 << 15]),
       st.sampled_from([(np.uint16, 0), (np.uint32, 70_000)]))  # fmt: skip
def test_counts_equal_a_naive_counter(documents, stories, gap, workers, block, kind):
    dtype, offset = kind
    where = corpus(documents, dtype, gap, offset)
    stories = [[i + offset if i >= 0 else -1 for i in ids] for ids in stories]
    of = Grams(stories)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eval.grams, "_BLOCK", block)
        found = count(where, of, depth=5, workers=workers)
    for k in range(1, 6):
        naive = Counter(gram for ids in documents for gram in grams([i + offset for i in ids], k))
        assert where.total(k) == naive.total()
        story, node = of.stories_of(k)
        ours = [sorted(found.of[k][node[story == i]].tolist()) for i in range(len(stories))]
        assert ours == [sorted(naive[gram] for gram in set(grams(ids, k))) for ids in stories]
        assert of.distinct(k).tolist() == [len(set(grams(ids, k))) for ids in stories]
        shares = [[naive[gram] == 0 for gram in set(grams(ids, k))] for ids in stories]
        expected = [np.mean(share) for share in shares if share]
        assert new_shares(of, found, range(len(stories)), k).tolist() == pytest.approx(expected)


@given(st.sets(st.integers(0, 2**40), max_size=300), st.lists(st.integers(0, 2**40), max_size=50))
def test_a_key_is_found_where_it_is_and_nowhere_else(keys, others):
    ordered = np.array(sorted(keys), np.int64)
    level = Level(ordered, ordered, ordered)
    asked = np.array([*ordered, *others], np.int64)
    places = {key: i for i, key in enumerate(sorted(keys))}
    assert level.find(asked).tolist() == [places.get(key, -1) for key in asked.tolist()]


def test_keys_that_want_one_slot_are_told_apart():
    """Linear probing, with keys chosen so that half of them begin at one slot."""
    factor, pool = 0x9E3779B97F4A7C15, np.arange(1, 400_000, dtype=np.int64)
    home = (pool.view(np.uint64) * np.uint64(factor)) >> np.uint64(64 - 9)
    crowd = pool[home == 511]  # the last slot: probing goes on at the first
    keys = np.sort(np.concatenate([crowd[:64], pool[home == 3][:32], pool[home == 250][:32]]))
    level = Level(keys, keys, keys)
    assert len(level._table[0]) == 512
    assert level.find(keys).tolist() == list(range(len(keys)))
    assert (level.find(np.concatenate([crowd[64:200], pool[home == 4][:100]])) == -1).all()


def test_frequencies_and_histogram():
    where = corpus([[0, 1, 2, 0, 1], [0, 1]])
    of = Grams([[0, 1, 0, 1, 2], [4, 4, 4], [1, 2, 0]])
    found = count(where, of, depth=2)
    # Pairs of the corpus: 01 three times, 12, 20: five. The first story's: 01, 10 (never), 12.
    assert sorted(log_frequencies(of, found, where, 2, [0])) == pytest.approx([NEVER, np.log10(1 / 5), np.log10(3 / 5)])
    bars = frequency_histogram(of, found, where, 2, [0, 1])
    assert bars["n"] == 4 == sum(bars["counts"]) and bars["counts"][0] == 2 and bars["never"] == 0.5
    assert len(bars["edges"]) == len(bars["counts"]) + 1 == len(EDGES)
    line = curve(of, found, [0, 1, 2], [1, 2])
    assert line["y"] == pytest.approx([1 / 3, (1 / 3 + 1 + 0) / 3]) and line["stories"] == [3, 3]
    assert curve(of, found, [], [2])["y"] == [None]


def test_nothing_to_look_for_or_in():
    empty = Corpus(np.zeros(0, np.uint16), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert count(empty, Grams([[1, 2]]), depth=2).of[2].tolist() == [0]
    assert count(corpus([[1, 2]]), Grams([]), depth=2).of[1].tolist() == []


def test_documents_of_shards_are_without_their_marks(shard_folder):
    shards = open_shards(shard_folder)
    train, tokenizer = corpus_of(shards), shards.tokenizer()
    assert len(train.starts) == shards.documents_count("train")
    assert train.total(1) == shards.tokens_count("train") - 2 * shards.documents_count("train")
    for i, ids in zip(range(20), shards.documents("train"), strict=False):
        assert [tokenizer.bos, *train.document(i).tolist(), tokenizer.eos] == ids.tolist()


def test_memory_is_that_of_a_block_not_of_the_corpus():
    """Eight times the corpus takes no more memory."""

    def peak(documents: int) -> int:
        rng = np.random.default_rng(0)
        length = 100
        tokens = rng.integers(0, 300, documents * length).astype(np.uint16)
        starts = np.arange(documents, dtype=np.int64) * length
        where = Corpus(tokens, starts, starts + length)
        of = Grams([tokens[i : i + 80].tolist() for i in range(0, 2000, 100)])
        tracemalloc.start()
        scan(where, of, lambda: [Counts(of, 10), Best(of), Spans(of)], workers=1)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    small, large = peak(2_000), peak(16_000)
    assert large < 1.2 * small
    assert large < 500 * eval.grams._BLOCK
