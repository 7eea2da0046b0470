"""A restricted tokenizer keeps exactly the most frequent tokens, and does with the others what its rule says."""

import json
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.expect import refused
from tests.texts import CHARACTERS, awkward, stories
from tsjax.tokenizer import UNKNOWN, HuggingFace, Restricted, SentencePiece, hugging_face, sentence_piece
from tsjax.tokenizer.restricted import restrict
from tsjax.tokenizer.word_list import WordList

TEXTS, OTHERS = stories(300), [*stories(100, seed=1), *awkward(100)]


@pytest.fixture(scope="module", params=["byte-bpe", "bpe", "unigram"])
def base(request) -> HuggingFace | SentencePiece:
    if request.param == "byte-bpe":
        return hugging_face.train(TEXTS, 600)
    return sentence_piece.train(TEXTS, 600, kind=request.param)


def kept(made: Restricted) -> list[int]:
    return json.loads(made._text)["kept"]


def test_the_most_frequent_are_kept(base):
    """Counted here by plain Python."""
    counts = Counter(i for ids in base.encode(TEXTS) for i in ids)
    special = {i for i in (base.bos, base.eos, base.unk, base.pad) if i >= 0}
    ranked = sorted({*range(base.vocab_size)} - special, key=lambda i: (-counts[i], i))
    for top in (50, 200, 333):
        made = restrict(base, top, "drop", TEXTS)
        assert made.vocab_size == top
        assert set(kept(made)) == special | set(ranked[: top - len(special)])
        assert made.fingerprint == restrict(base, top, "drop", iter(TEXTS)).fingerprint


def test_drop_and_unk_are_a_table(base):
    drop, unk = (restrict(base, 200, rare, TEXTS) for rare in ("drop", "unk"))
    for made in (drop, unk):
        new = {old: i for i, old in enumerate(kept(made))}
        other = UNKNOWN if made is drop else made.unk
        wanted = [[new.get(i, other) for i in ids] for ids in base.encode(OTHERS)]
        assert made.encode(OTHERS) == wanted
        assert any(other in ids for ids in wanted) and any(other not in ids and ids for ids in wanted)
        assert not made.lossless
        assert made.vocab_size == len(new) + (made is unk and base.unk < 0)
    assert unk.unk == (199 if base.unk < 0 else kept(unk).index(base.unk))


@given(text=st.text(CHARACTERS) | st.sampled_from(OTHERS))
@pytest.mark.parametrize("top", [290, 350, 600])
def test_split_loses_nothing(base, top, text):
    made = _split(base, top)
    (ids,) = made.encode([text])
    assert made.decode(ids) == text and UNKNOWN not in ids
    if top < 600:
        assert len(ids) >= len(base.encode([text])[0])


@cache
def _split(base: HuggingFace | SentencePiece, top: int) -> Restricted:
    return restrict(base, top, "split", TEXTS)


def test_split_undoes_merges_and_no_more(base):
    """A rare token becomes the fewest kept tokens that its parts allow, never ones that say something else."""
    made, parts = _split(base, 350), base.parts()
    table = {old: i for i, old in enumerate(kept(made))}

    def spelled(i: int) -> list[int]:
        return [table[i]] if i in table else [new for part in parts[i] for new in spelled(part)]

    rows = base.encode(OTHERS)
    assert made.encode(OTHERS) == [[new for i in ids for new in spelled(i)] for ids in rows]
    changed = [i for ids in rows for i in ids if i not in table]
    assert changed and max(len(spelled(i)) for i in changed) > 1
    assert made.lossless and made.rare == "split"


def test_parts_say_the_same_as_the_whole(base):
    for i, ids in enumerate(base.parts()):
        if ids and ids != (i,):
            whole, together = (base.decode([base.bos, *some]) for some in ([i], list(ids)))
            assert whole == together


def test_the_share_of_rare_tokens(base):
    made = restrict(base, 200, "drop", TEXTS)
    rows = made.encode(OTHERS)
    tokens, documents = made.measure(OTHERS)
    flat = np.concatenate([np.array(row, int) for row in rows])
    assert tokens == np.mean(flat == UNKNOWN) > 0
    assert documents == np.mean([UNKNOWN in row for row in rows]) > 0
    assert made.measure([]) == [0, 0]


def test_rare_text_shows_as_rare(base):
    made = restrict(base, 60, "unk", TEXTS)
    (ids,) = made.encode(["ba 世 da"])
    assert "\u2047" in made.decode(ids) and "<unk>" in made.pieces(ids)
    assert "\u2047" in made.decode([UNKNOWN])


def test_a_top_that_cannot_be_is_refused_with_one_that_can(base):
    for rare in ("drop", "unk", "split"):
        with pytest.raises(Exception, match="top from") as caught:
            restrict(base, 10_000, rare, TEXTS)
        words = str(caught.value).split("top from ")[1].split()
        least, most = int(words[0]), int(words[2])
        for top in (least, most):
            assert restrict(base, top, rare, TEXTS).vocab_size == top
        for top in (least - 1, most + 1):
            with refused(str(top)):
                restrict(base, top, rare, TEXTS)


def test_a_base_that_cannot_be_split_or_cut_is_refused():
    with refused("WordList"):
        restrict(WordList(["a", " b"]), 2, "drop", TEXTS)
    once = restrict(hugging_face.train(TEXTS, 400), 300, "drop", TEXTS)
    with refused("Restricted"):
        restrict(once, 290, "drop", TEXTS)


@pytest.mark.parametrize("damage", [lambda d: d.pop("kept"), lambda d: d.update(rare="?"), lambda d: d.update(base="{"),
                                    lambda d: d.update(kept=[5, 1]), lambda d: d.update(kept=[10**6]),
                                    lambda d: d.update(kept=[]), lambda d: d.update(kept="x")])  # fmt: skip
def test_a_damaged_file_is_named(base, damage):
    data = json.loads(restrict(base, 300, "drop", TEXTS)._text)
    damage(data)
    with refused("here" if data.get("base") != "{" else "tokenizer"):
        Restricted(json.dumps(data), "here")
