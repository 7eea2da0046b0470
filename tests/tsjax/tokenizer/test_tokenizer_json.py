"""The tokenizer.json of a SentencePiece model gives its ids in Hugging Face's library."""

import io

import pytest
import sentencepiece

from tests.expect import refused
from tests.texts import awkward, chats, stories
from tsjax.formats.tokenizer_json import tokenizer_json
from tsjax.tokenizer import HuggingFace, SentencePiece
from tsjax.tokenizer.sentence_piece import train

library = pytest.importorskip("tokenizers")
TEXTS = [*stories(300), *chats(100)]


def model(**settings) -> SentencePiece:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=written, minloglevel=2, **settings
    )
    return SentencePiece(written.getvalue())


def llama2c_like(**settings) -> SentencePiece:
    return model(vocab_size=400, model_type="bpe", byte_fallback=True, normalization_rule_name="identity", **settings)


MODELS = {
    "bpe": lambda: train(TEXTS, 512),
    "bpe chat": lambda: train(TEXTS, 512, chat=True),
    "unigram": lambda: train(TEXTS, 512, kind="unigram"),
    "unigram chat": lambda: train(TEXTS, 512, kind="unigram", chat=True),
    "spaces collapsed": lambda: llama2c_like(allow_whitespace_only_pieces=True),
    "no space in front": lambda: llama2c_like(add_dummy_prefix=False, remove_extra_whitespaces=False),
    "no bytes": lambda: model(vocab_size=200, model_type="bpe", normalization_rule_name="identity"),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_same_ids(name):
    tokenizer = MODELS[name]()
    other = library.Tokenizer.from_str(tokenizer_json(tokenizer))
    other.encode_special_tokens = True
    texts = [*awkward(2000), *TEXTS]
    rows = tokenizer.encode(texts)
    bos = [tokenizer.bos]
    assert [done.ids for done in other.encode_batch(texts)] == [bos + ids for ids in rows]
    if tokenizer.lossless:
        assert [other.decode(ids, skip_special_tokens=False) for ids in rows] == texts
    else:
        assert name not in ("bpe", "bpe chat", "unigram", "unigram chat")
    ours = HuggingFace(tokenizer_json(tokenizer))
    assert ours.encode(texts) == rows and ours.markers == tokenizer.markers
    assert (ours.bos, ours.eos, ours.unk, ours.pad) == (tokenizer.bos, tokenizer.eos, tokenizer.unk, tokenizer.pad)


def test_what_hugging_face_cannot_do_is_refused():
    with refused("nmt_nfkc"):
        tokenizer_json(model(vocab_size=200))
    with refused("WORD"):
        tokenizer_json(model(vocab_size=200, model_type="word", normalization_rule_name="identity"))
    with refused("spaces behind words"):
        tokenizer_json(llama2c_like(treat_whitespace_as_suffix=True))
