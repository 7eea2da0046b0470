"""Public tokenizers, read by tsjax, give their published ids, and cut down to a corpus they lose what they say."""

import gzip
import random
import string

import numpy as np
import pytest

from tests.run_c_tokenizer import RunC
from tests.texts import awkward
from tsjax.formats.tokenizer_json import tokenizer_json
from tsjax.tokenizer import UNKNOWN, HuggingFace, SentencePiece, WordList, load, tokenizer_bin
from tsjax.tokenizer.restricted import restrict
from tsjax.tokenizer.sentence_piece import train
from tsjax.tokenizer.word_list_trainer import train_word_list

pytestmark = pytest.mark.reference
END = "<|endoftext|>"


@pytest.fixture(scope="module")
def training(shared) -> list[str]:
    with gzip.open(shared / "data" / "tinystories" / "train_mix.txt.gz", "rt", encoding="utf-8") as f:
        return [story.strip() for story in f.read().split(END) if story.strip()]


@pytest.fixture(scope="module")
def held_out(shared) -> list[str]:
    """Pieces between the marks, with all their spaces and line breaks."""
    with gzip.open(
        shared / "data" / "tinystories" / "v2_valid_head_5M.txt.gz", "rt", encoding="utf-8", newline=""
    ) as f:
        return f.read().split(END)


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "data" / "tokenizers"


@pytest.fixture(scope="module")
def gpt2(folder) -> HuggingFace:
    return load(folder / "gpt2_vocab.json")


def test_gpt2_ids_of_a_whole_file(gpt2, shared, held_out):
    packed = gzip.decompress((shared / "data" / "tinystories" / "v2_valid_head_5M.gpt2.uint16.bin.gz").read_bytes())
    wanted = np.frombuffer(packed, "<u2")
    assert (gpt2.vocab_size, gpt2.bos, gpt2.eos, gpt2.unk, gpt2.pad) == (50257, 50256, 50256, -1, -1)
    rows = gpt2.encode(held_out, workers=2)
    ids = [i for row in rows for i in (*row, gpt2.eos)][:-1]
    assert len(wanted) == 1_289_382
    np.testing.assert_array_equal(ids, wanted)
    assert [gpt2.decode(row) for row in rows] == held_out
    texts = awkward(2000)
    assert gpt2.lossless and [gpt2.decode(row) for row in gpt2.encode(texts)] == texts


def again(tokenizer, tmp_path, texts):
    """Saved and loaded it gives the same ids."""
    tokenizer.save(tmp_path / tokenizer.file)
    loaded = load(tmp_path)
    assert loaded.fingerprint == tokenizer.fingerprint and loaded.encode(texts) == tokenizer.encode(texts)


def test_tok512(folder, tmp_path, held_out):
    tokenizer = load(folder / "tok512.bin")
    reference = RunC((folder / "tok512.bin").read_bytes())
    assert isinstance(tokenizer, SentencePiece) and tokenizer.lossless
    assert tokenizer.fingerprint == tokenizer_bin.read(folder / "tok512.bin").fingerprint
    texts = [*awkward(600), *held_out[1:10]]
    rows = tokenizer.encode(texts)
    assert rows == [reference.encode(text) for text in texts]
    assert [tokenizer.decode(ids) for ids in rows] == [reference.decode(ids) for ids in rows] == texts
    again(tokenizer, tmp_path, held_out[:200])
    assert [tokenizer.decode(ids) for ids in tokenizer.encode(held_out)] == held_out


@pytest.mark.parametrize("name", ["tinystories_tok4096.model", "simplestories_4096.json"])
def test_tokenizers_that_lose_something_settle_at_once(folder, tmp_path, held_out, name):
    """What they decode comes back as it is from then on; SimpleStories' is lower case, without line breaks."""
    tokenizer = load(folder / name)
    assert not tokenizer.lossless and tokenizer.vocab_size == 4096
    texts = [*awkward(1000), *held_out[:500]]
    again(tokenizer, tmp_path, texts)
    once = [tokenizer.decode(ids) for ids in tokenizer.encode(texts)]
    twice = [tokenizer.decode(ids) for ids in tokenizer.encode(once)]
    assert twice == once
    for text, shown in zip(held_out[1:500], once[1001:], strict=True):
        if name.endswith(".model"):
            assert shown.split() == text.split()
        elif "\u2047" not in shown:
            assert "".join(shown.split()) == "".join(text.lower().replace("''", '"').split())


def test_craftgpts_word_list(shared, tmp_path):
    path = shared / "models" / "craftgpt" / "tokens.txt"
    words = load(path)
    assert isinstance(words, WordList)
    assert (words.vocab_size, words.bos, words.eos, words.unk, words.pad) == (1920, 0, 0, -1, 1919)
    assert words.encode(["hello, how are you?"]) == [[79, 5, 33, 54, 18, 25]]
    words.save(tmp_path / words.file)
    assert (tmp_path / words.file).read_bytes() == path.read_bytes()

    tokens = [line.replace("_", " ") for line in path.read_text().splitlines()]
    rng = random.Random(0)
    for _ in range(1500):
        parts = (rng.choice(tokens) if rng.random() < 0.5 else rng.choice(string.ascii_lowercase + " .,?é")
                 for _ in range(rng.randint(1, 20)))  # fmt: skip
        text = "".join(parts)
        rest, wanted = " " + text, []
        while rest:
            fits = max((t for t in tokens if rest.startswith(t)), key=len, default="")
            wanted.append(tokens.index(fits) if fits else UNKNOWN)
            rest = rest[len(fits) or 1 :]
        assert words.encode([text]) == [wanted]
        if UNKNOWN not in wanted and wanted[-1] != words.eos:
            assert words.decode(wanted) == text
    for chat in (shared / "data" / "tinychat" / "craftgpt_generated_examples.txt").read_text().splitlines():
        (ids,) = words.encode([chat])
        assert UNKNOWN not in ids and ids[0] == 0 == words.bos
        assert words.decode(ids) == chat.removesuffix(" [inst]")


def test_a_word_list_for_tinystories(training):
    """Half of the stories make it; on the others endings save tokens, and nearly every story can be spelled."""
    words = train_word_list(training[::2], 1920)
    others = training[1::2]
    count = sum(len(text.split()) for text in others)
    rows = words.encode(others)
    assert words.vocab_size == 1920 and sum(map(len, rows)) / count < 1.38
    assert np.mean([UNKNOWN in ids for ids in rows]) < 0.02
    spelled = [(text, ids) for text, ids in zip(others, rows, strict=True) if UNKNOWN not in ids]
    assert all(words.decode(ids) == text.lower() for text, ids in spelled)


@pytest.mark.parametrize("name", ["tinystories_tok4096.model", "bpe", "bpe chat", "unigram", "unigram chat"])
def test_tokenizer_json_gives_the_same_ids(folder, training, name):
    library = pytest.importorskip("tokenizers")
    if name.endswith(".model"):
        tokenizer = load(folder / name)
    else:
        kind, *chat = name.split()
        tokenizer = train(training[:2000], 4096, kind=kind, chat=bool(chat))
    other = library.Tokenizer.from_str(tokenizer_json(tokenizer))
    other.encode_special_tokens = True
    for texts in (awkward(4000), training[-2000:]):
        rows = tokenizer.encode(texts)
        theirs = [done.ids for done in other.encode_batch(texts, add_special_tokens=False)]
        assert sum(a != b for a, b in zip(rows, theirs, strict=True)) == 0
        if tokenizer.lossless:
            assert [other.decode(ids, skip_special_tokens=False) for ids in theirs] == texts


@pytest.mark.parametrize("top", [10_000, 4096])
def test_gpt2s_top_tokens(gpt2, training, held_out, top):
    """The training stories use 9,416 tokens, so that 10,000 lose nothing of them; other stories lose some."""
    split, unk, drop = (restrict(gpt2, top, rare, training) for rare in ("split", "unk", "drop"))
    base = gpt2.encode(held_out, workers=2)
    rows = [made.encode(held_out, workers=2) for made in (split, unk, drop)]
    assert [split.decode(ids) for ids in rows[0]] == held_out and split.lossless
    tokens, documents = drop.measure(held_out)
    assert 0 < tokens < 0.02 and tokens < documents < 0.6
    assert sum(ids.count(UNKNOWN) for ids in rows[2]) == round(tokens * sum(map(len, base)))
    assert sum(UNKNOWN in ids for ids in rows[2]) == round(documents * len(held_out))
    assert all(drop.decode(ids) == text for text, ids in zip(held_out, rows[2], strict=True) if UNKNOWN not in ids)
    assert UNKNOWN not in {i for ids in rows[1] for i in ids} and unk.unk == top - 1
    print(
        f"top {top}: {tokens:.4%} of tokens, {documents:.2%} of documents are rare; split gives "
        f"{sum(map(len, rows[0])) / sum(map(len, base)):.5f} times the tokens"
    )
