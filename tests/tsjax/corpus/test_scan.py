"""A scan says of each document what the parts say, whatever batch it is in."""

import pickle
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.texts import CHARACTERS, stories
from tsjax.corpus import Document
from tsjax.corpus.duplicates import BANDS, normal_hash, signatures
from tsjax.corpus.repairs import Repairs
from tsjax.corpus.scan import Scanner

REPAIRS = Repairs(fix_encoding=True, min_characters=5, final_punctuation=True)
DOCUMENTS = st.builds(
    lambda head, story, fault: Document(head + story, story, fault=fault),
    st.sampled_from(["", "Story:\n\n"]),
    st.one_of(st.sampled_from([*stories(5), "cafÃ© au lait.", "cut off", "No."]), st.text(CHARACTERS, min_size=1)),
    st.sampled_from(["", "", "", "malformed"]),
)


@given(st.lists(DOCUMENTS, max_size=10), st.integers(0, 2**64 - 1))
def test_each_document_alone_decides_its_result(batch, seed):
    scanned = Scanner(REPAIRS, seed)(batch)
    assert scanned.hashes.dtype == np.uint64 and scanned.signatures.shape == (BANDS, len(batch))
    for i, document in enumerate(batch):
        mended, _ = REPAIRS.apply(document)
        assert scanned.live[i] == (not mended.fault)
        if scanned.live[i]:
            assert scanned.hashes[i] == normal_hash(mended.story, seed)
            assert (scanned.signatures[:, i] == signatures([mended.story])[:, 0]).all()
        else:
            assert scanned.hashes[i] == 0 and not scanned.signatures[:, i].any()


def test_the_tally_is_of_what_is_live():
    texts = [*stories(3), "cafÃ© au lait.", "cut off here", "No."]
    batch = [*(Document(text, text) for text in texts), Document("", "", fault="malformed")]
    scanned = Scanner(REPAIRS, 0)(batch)
    assert scanned.live.tolist() == [True] * 4 + [False] * 3
    tally = scanned.tally
    assert (tally.seen, tally.documents) == (7, 4)
    assert tally.faults == Counter({"cut": 1, "too short": 1, "malformed": 1})
    assert tally.repairs == Counter({"fix_encoding": 1, "final_punctuation": 1, "min_characters": 1})
    assert tally.words == sum(len(text.split()) for text in [*texts[:3], "café au lait."])


def test_it_travels_to_workers_and_back():
    batch = [Document(text, text) for text in stories(20)]
    scanner = Scanner(REPAIRS, 3)
    there, here = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(scanner))(batch))), scanner(batch)  # noqa: S301
    assert (there.hashes == here.hashes).all() and (there.signatures == here.signatures).all()
    assert there.tally == here.tally and there.live.all()
