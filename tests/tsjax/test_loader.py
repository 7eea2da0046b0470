"""batch = f(seed, step): nothing lost, nothing twice, whatever the host and the moment."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.expect import refused
from tsjax import loader
from tsjax.config import DataConfig

BOS, EOS = 1, 2


def stream(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Documents of BOS, distinct numbers, EOS; and their starts."""
    tokens, starts, number = [], [], 10
    for length in lengths:
        starts.append(len(tokens))
        tokens += [BOS, *range(number, number + length), EOS]
        number += length
    return np.array(tokens, np.uint16), np.array(starts)


def packed(
    tokens: np.ndarray, starts: np.ndarray, context: int, packing: str, loss: str = "all", **markers
) -> loader.Rows:
    """The rows of a shard folder that holds these documents."""
    shards = SimpleNamespace(
        tokens=lambda split: tokens, document_starts=lambda split: starts, folder="here",
        manifest={"tokenizer": {"markers": markers}},
    )  # fmt: skip
    return loader.make_rows(shards, "train", context, DataConfig(packing=packing, loss=loss))


lengths = st.lists(st.integers(0, 40), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(1, 24), st.sampled_from(["concat", "documents"]))
def test_every_token_but_bos_is_a_target_once(lengths, context, packing):
    tokens, starts = stream(lengths)
    rows = packed(tokens, starts, context, packing)
    numbers = np.arange(len(rows))
    batch, documents = rows.batch(numbers), rows.documents(numbers)
    real = batch["weights"] > 0
    found = sorted(zip(documents[real].tolist(), batch["targets"][real].tolist(), strict=True))
    expected = sorted((d, int(t)) for d, (s, e) in enumerate(zip(starts, [*starts[1:], len(tokens)], strict=True))
                      for t in tokens[s + 1 : e])  # fmt: skip
    assert found == expected


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(1, 24), st.sampled_from(["concat", "documents"]))
def test_input_is_the_token_before_its_target(lengths, context, packing):
    tokens, starts = stream(lengths)
    before = {int(t): int(p) for p, t in itertools.pairwise(tokens) if t > EOS}
    batch = packed(tokens, starts, context, packing).batch(np.arange(1))
    for token, target, weight in zip(batch["tokens"][0], batch["targets"][0], batch["weights"][0], strict=True):
        if weight and target > EOS:
            assert before[int(target)] == token


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(2, 24))
def test_documents_are_kept_apart(lengths, context):
    """A segment is one document's run of tokens with positions from 0; padding is segment 0."""
    tokens, starts = stream(lengths)
    rows = packed(tokens, starts, context, "documents")
    batch, documents = rows.batch(np.arange(len(rows))), rows.documents(np.arange(len(rows)))
    assert np.array_equal(batch["weights"] > 0, batch["segments"] > 0)
    for r in range(len(rows)):
        for segment in range(1, batch["segments"][r].max() + 1):
            here = batch["segments"][r] == segment
            assert len(set(documents[r][here])) == 1
            assert batch["positions"][r][here].tolist() == list(range(here.sum()))
            at = np.flatnonzero(here)
            assert np.array_equal(batch["tokens"][r][at[1:]], batch["targets"][r][at[:-1]])


def test_a_short_document_is_not_split():
    tokens, starts = stream([5, 9, 3, 8, 2, 7, 7])
    rows = packed(tokens, starts, 12, "documents")
    batch = rows.batch(np.arange(len(rows)))
    assert (batch["tokens"] == BOS).sum() >= len(starts), "each document begins with its BOS in some row"
    assert len(rows) == 5, "48 targets in rows of 12, best fit: 10 | 9+3 | 8+4 | 8 | 6 by hand"


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 5), st.integers(1, 4))
def test_each_epoch_has_every_row_once(row_count, batch_size, seed, epochs):
    source = loader.ShuffledBatches(_Numbered(row_count), batch_size, seed, 10**6)
    steps = -(-row_count * epochs // batch_size)
    numbers = np.concatenate([source.row_numbers(step) for step in range(steps)])[: row_count * epochs]
    for epoch in numbers.reshape(epochs, row_count):
        assert sorted(epoch) == list(range(row_count))


def test_epochs_and_seeds_differ():
    a, b = (loader.ShuffledBatches(_Numbered(100), 100, seed, 10) for seed in (0, 1))
    assert a.row_numbers(0).tolist() != a.row_numbers(1).tolist()
    assert a.row_numbers(0).tolist() != b.row_numbers(0).tolist()


@pytest.mark.parametrize("hosts", [1, 2, 4])
def test_hosts_together_read_the_batch_of_one(hosts):
    alone = loader.ShuffledBatches(_Numbered(37), 8, 3, 100)
    for step in (0, 4, 5, 11):
        rows = 8 // hosts
        slices = [slice(host * rows, host * rows + rows) for host in range(hosts)]
        shares = [loader.ShuffledBatches(_Numbered(37), 8, 3, 100, share)[step]["row"] for share in slices]
        assert np.concatenate(shares).tolist() == alone[step]["row"].tolist()


@pytest.mark.parametrize("start", [0, 1, 5, 13, 19])
def test_reading_ahead_from_any_step_gives_the_batches_of_those_steps(start):
    source = loader.ShuffledBatches(_Numbered(37), 8, 3, 20)
    found = [batch["row"].tolist() for batch in loader.train_batches(source, start)]
    assert found == [source[step]["row"].tolist() for step in range(start, 20)]


@pytest.mark.parametrize("packing", ["concat", "documents"])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_evaluation_sees_every_target_once_for_any_batch_size(packing, batch_size):
    tokens, starts = stream([5, 9, 3, 30, 2, 7, 7])
    rows = packed(tokens, starts, 12, packing)
    weight = sum(batch["weights"].sum() for batch, _ in loader.eval_batches(rows, batch_size))
    assert weight == len(tokens) - len(starts)


chats = st.lists(
    st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.integers(0, 6)), max_size=6), min_size=1, max_size=12
)


@settings(max_examples=80, deadline=None)
@given(chats, st.integers(1, 24), st.sampled_from(["concat", "documents"]), st.booleans())
def test_only_what_the_assistant_says_is_learned(chats, context, packing, bos_is_the_user):
    """Every token of its turns, and the mark that ends them, once; nothing of the user, no mark that opens its turn."""
    markers = {"user": 3, "assistant": 4}
    bos = eos = markers["user"]
    if not bos_is_the_user:
        bos, eos = BOS, EOS
    tokens, starts, number, expected = [], [], 10, []
    for document, turns in enumerate(chats):
        starts.append(len(tokens))
        tokens.append(bos)
        speaker = "user"
        for role, length in turns:
            said = [markers[role], *range(number, number + length)]
            number += length
            # The mark belongs to who spoke before: it ends that turn.
            expected += [(document, said[0])] if speaker == "assistant" else []
            expected += [(document, token) for token in said[1:]] if role == "assistant" else []
            tokens += said
            speaker = role
        tokens.append(eos)
        expected += [(document, eos)] if speaker == "assistant" else []
    stream_of_chats = np.array(tokens, np.uint16), np.array(starts), context, packing, "assistant"
    if not expected:
        with refused("something to learn"):
            packed(*stream_of_chats, **markers)
        return
    rows = packed(*stream_of_chats, **markers)
    numbers = np.arange(len(rows))
    batch, documents = rows.batch(numbers), rows.documents(numbers)
    real = batch["weights"] > 0
    found = sorted(zip(documents[real].tolist(), batch["targets"][real].tolist(), strict=True))
    assert found == sorted(expected)


def test_turns_need_marks():
    with refused("--chat", "assistant"):
        packed(*stream([3, 4]), 8, "concat", "assistant")


class _Numbered:
    """Rows that are their own number."""

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {"row": rows}

    def documents(self, rows: np.ndarray) -> np.ndarray:
        return rows
