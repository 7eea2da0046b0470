"""A token set on the device gives the loader's batches; what does not fit stays on the host."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.expect import refused
from tests.tsjax.test_loader import packed, stream
from tsjax import feed, loader
from tsjax.sharding import make_mesh


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1, 40), min_size=1, max_size=30), st.integers(1, 24),
       st.sampled_from(["concat", "documents"]), st.integers(0, 3))  # fmt: skip
def test_every_row_is_the_loaders(lengths, context, packing, seed):
    """Empty documents, rows that end in padding and tokens that do not count included; names, types and values."""
    tokens, starts = stream(lengths)
    rows = packed(tokens, starts, context, packing)
    rows.counts_N = rows.counts_N & (np.random.default_rng(seed).random(len(tokens)) < 0.8)
    numbers = np.arange(len(rows))
    look_up = feed.document_batch if packing == "documents" else feed.concat_batch
    found = jax.jit(look_up, static_argnums=2)(feed.host_tables(rows), numbers, context)
    expected = rows.batch(numbers)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("packing", ["concat", "documents"])
def test_dispatches_of_both_feeds_hold_the_same_batches(packing):
    rows = packed(*stream([5, 9, 3, 30, 2, 7, 7, 12, 1, 19]), 8, packing)
    source, mesh = loader.ShuffledBatches(rows, 4, 3, 20), make_mesh()
    feeds = [feed.make_feed(resident, rows, source, mesh, 2) for resident in ("no", "yes")]
    assert [type(f) for f in feeds] == [feed.LoadedFeed, feed.ResidentFeed]
    at = 2
    for length in (4, 1, 3):
        batches = [
            jax.device_get(jax.jit(jax.vmap(f.batch, in_axes=(None, 0)))(f.tables, f.take(length))) for f in feeds
        ]
        for k in range(length):
            for name, expected in source[at + k].items():
                for batch in batches:
                    np.testing.assert_array_equal(batch[name][k], expected, err_msg=name)
        at += length


def test_auto_is_an_accelerator_with_room(monkeypatch):
    rows = packed(*stream([5, 9, 3]), 8, "concat")
    size = sum(table.nbytes for table in feed.host_tables(rows).values())

    def device(platform: str, memory: int | None):
        stats = None if memory is None else {"bytes_limit": memory}
        monkeypatch.setattr(
            feed.jax, "local_devices", lambda: [SimpleNamespace(platform=platform, memory_stats=lambda: stats)]
        )

    for platform, memory, expected in (("gpu", 4 * size, True), ("gpu", 4 * size - 4, False), ("tpu", 10**9, True),
                                       ("cpu", 10**9, False), ("gpu", None, False)):  # fmt: skip
        device(platform, memory)
        assert feed.fits(rows) == expected, (platform, memory)


def test_a_token_set_beyond_int32_is_refused(monkeypatch):
    monkeypatch.setattr(feed, "_MOST_TOKENS", 10)
    rows = packed(*stream([5, 9, 3]), 8, "concat")
    with refused("at most 10 tokens", "auto"):
        feed.make_feed("yes", rows, loader.ShuffledBatches(rows, 4, 3, 20), make_mesh(), 0)
