"""F2: nothing of a stop string is ever shown, wherever tokens and chunks cut it; what is shown stays."""

import itertools
import random

import pytest

from tsjax.errors import UserError
from tsjax.text_stream import TextStream

PIECES = ["a", "b", "ab", "aba", "\n", "the end", "END", "\n\n", "é", "c", " c", "b\n"]
BYTES = {len(PIECES) + n: bytes([b]) for n, b in enumerate("😀ü".encode())}


def spell(ids) -> str:
    """Pieces, and single bytes of characters, as a tokenizer with byte fallback has them."""
    return b"".join(BYTES[i] if i in BYTES else PIECES[i].encode() for i in ids).decode(errors="replace")


def chunked(ids, random):
    while ids:
        n = random.randint(1, 4)
        yield ids[:n], not ids[n:]
        ids = ids[n:]


@pytest.mark.parametrize(
    "stop", [("aba",), ("END", "\n\n"), ("the end", "e"), ("abab", "ba", "b\nb"), ("😀", "ü"), ()], ids=str
)
def test_f2_no_part_of_a_stop_string_is_shown(stop):
    """2,000 texts in chunks: shown is what stands before the stop string that is whole first, and is never taken back."""
    r = random.Random(str(stop))
    met = 0
    for _ in range(2000):
        ids = [r.randrange(len(PIECES)) for _ in range(r.randint(1, 14))]
        if r.random() < 0.5:
            at = r.randrange(len(ids) + 1)
            ids[at:at] = r.choice([list(BYTES)[:4], list(BYTES)[4:], list(BYTES)[:3]])
        whole = spell(ids)
        ends = [(at + len(s), at) for s in stop if (at := whole.find(s)) >= 0]
        expected = whole[: min(ends)[1]] if ends else whole
        stream, shown = TextStream(spell, stop), ""
        for some, last in chunked(ids, r):
            shown += stream.add(some, ended=last)
            assert expected.startswith(shown)
            assert shown == stream.text
        assert shown == expected
        assert (stream.stopped is not None) == bool(ends)
        met += bool(ends)
        assert spell(ids[: stream.tokens]).startswith(expected)
        if ends and stream.tokens:
            assert len(spell(ids[: stream.tokens - 1]).rstrip("\ufffd")) < len(expected), "no token more than needed"
    assert bool(stop) == (met > 50)


def test_the_longer_of_two_that_end_together_is_taken():
    stream = TextStream(spell, ("b", "ab"))
    assert stream.add([9, 2]) == "c" and stream.stopped == "ab"
    assert stream.add([9], ended=True) == "", "nothing after it"


def test_text_is_held_back_only_as_long_as_it_may_begin_a_stop():
    stream = TextStream("".join, ("the end",))
    shown = [stream.add([c]) for c in "on the other end"]
    assert "".join(shown) == "on the other end"
    assert shown[3:7] == ["", "", "", ""] and shown[7] == "the o"


def test_half_a_character_waits():
    stream = TextStream(spell)
    assert [stream.add([i]) for i in itertools.islice(BYTES, 4)] == ["", "", "", "😀"]


def test_an_empty_stop_string_is_refused():
    with pytest.raises(UserError, match="at least one character"):
        TextStream(spell, ("x", ""))
