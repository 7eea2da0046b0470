"""A word list as WordPiece: the ids of the greedy matcher, in Hugging Face's library."""

import random

import pytest

from tests.expect import refused
from tests.texts import chats, stories
from tests.tsjax.formats.models import tokenizer
from tsjax.formats.word_piece import word_piece_json
from tsjax.tokenizer import UNKNOWN, WordList
from tsjax.tokenizer.word_list_trainer import train_word_list

library = pytest.importorskip("tokenizers")


def theirs(words: WordList):
    made = library.Tokenizer.from_str(word_piece_json(words))
    made.encode_special_tokens = True
    return made


def fuzz(count: int, letters: str = "abcdehilnorstu ,.?!'   ABC") -> list[str]:
    rng = random.Random(1)
    return ["".join(rng.choices(letters, k=rng.randrange(40))) for _ in range(count)]


@pytest.mark.parametrize("kind", ["words", "words chat"])
def test_t4_the_ids_of_the_greedy_matcher(kind):
    words = tokenizer(kind)
    texts = ["", " ", "  a  b ", "Hello, how are you?", *fuzz(1500), *stories(50, 9), *chats(50, 9)]
    texts = [text for text, ids in zip(texts, words.encode(texts), strict=True) if UNKNOWN not in ids]
    assert len(texts) > 1000
    rows, other = words.encode(texts), theirs(words)
    begin = [] if "user" in words.markers else [words.bos]
    found = [done.ids for done in other.encode_batch(texts)]
    assert found == [begin + ids for ids in rows]
    assert other.get_vocab_size() == words.vocab_size
    if kind == "words":  # a chat's decode hides a user marker at the end, as its end
        assert [other.decode(ids) for ids in rows] == [words.decode(ids) for ids in rows]


def test_what_no_token_fits_is_an_error_there_too():
    words = tokenizer("words")
    assert UNKNOWN in words.encode(["a ☃ b"])[0]
    with pytest.raises(Exception, match=r"(?i)unk"):
        theirs(words).encode("a ☃ b")


def test_unknown_letters_are_unk_one_by_one():
    words = train_word_list(stories(300), 512, unk=True)
    letters = set("".join(t for t in words.tokens if t != "<unk>"))
    if missing := letters - set(words.tokens):  # every letter must be a token, or the list is refused
        words = WordList([*(t for t in words.tokens if t != "<unk>"), *sorted(missing), "<unk>"])
    texts = ["a ☃☃b", "☃", "été_x", "a-☃-b]^\\", *fuzz(500, "abc ☃_^]-\\é")]
    assert words.unk in words.encode(texts)[0]
    assert [done.ids for done in theirs(words).encode_batch(texts)] == [
        [words.bos, *ids] for ids in words.encode(texts)
    ]


def test_a_list_in_which_a_letter_may_fail_is_refused():
    with refused("no token 'q'"):
        word_piece_json(WordList([" ", " qu", "u", "<unk>"]))
    word_piece_json(WordList([" ", " qu", "u"]))
