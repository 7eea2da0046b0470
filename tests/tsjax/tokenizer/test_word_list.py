"""A word list cuts every text as its longest tokens fit, and its trainer makes lists that spell every common text."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.expect import refused
from tests.texts import CHARACTERS, chats, stories
from tsjax.tokenizer import UNKNOWN, WordList, begin
from tsjax.tokenizer.word_list_trainer import train_word_list

TOKENS = [
    " [inst]",
    " [/inst]",
    " ",
    *string.ascii_lowercase,
    *"-!.,?;'",
    " a",
    " an",
    " and",
    "nd",
    "ing",
    " sing",
    " the",
]
PLAIN = st.text(string.ascii_letters + "  -!.,?;'", max_size=60)


def naive(tokens: list[str], text: str) -> list[int]:
    """The longest token that fits, again and again."""
    text, ids = " " + text.lower() if text else "", []
    while text:
        fitting = [t for t in tokens if text.startswith(t)]
        ids.append(tokens.index(max(fitting, key=len)) if fitting else UNKNOWN)
        text = text[len(tokens[ids[-1]]) if fitting else 1 :]
    return ids


@pytest.fixture(scope="module")
def words() -> WordList:
    return WordList(TOKENS)


@given(text=PLAIN | st.text(CHARACTERS, max_size=30) | st.lists(st.sampled_from([*TOKENS, "Sing", "é"])).map("".join))
def test_the_longest_token_that_fits(words, text):
    assert words.encode([text]) == [naive(TOKENS, text)]
    assert words.with_unk().encode([text]) == [[words.with_unk().unk if i < 0 else i for i in naive(TOKENS, text)]]


@given(text=PLAIN)
def test_what_fits_comes_back_in_lower_case(words, text):
    (ids,) = words.encode([text])
    assert words.decode(ids) == text.lower() and UNKNOWN not in ids


def test_a_chat_comes_back_with_its_turns(words):
    assert (words.bos, words.eos, words.markers) == (0, 0, {"user": 0, "assistant": 1})
    for chat in chats(20):
        (ids,) = words.encode([chat])
        assert begin(words, ids) == ids
        assert words.decode(ids) == words.decode([*ids, words.eos, words.pad]) == chat.lower()
        at = ids.index(1) + 1
        assert (
            words.decode(ids[:at]) + words.decode([*ids[:at], *ids[at:]])[len(words.decode(ids[:at])) :] == chat.lower()
        )
        assert not words.decode([*ids[at:], words.eos]).endswith("[inst]")


@pytest.mark.parametrize(
    "count, chat, size, pad",
    [(62, True, 64, 63), (64, True, 64, -1), (61, False, 64, 63), (62, False, 64, -1), (63, False, 128, 127)],
)
def test_the_vocabulary_is_rounded_up_and_holds_the_special_ids(count, chat, size, pad):
    tokens = ([" [inst]", " [/inst]"] if chat else []) + [
        f"{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(count)
    ]
    words = WordList(tokens[:count])
    assert (words.vocab_size, words.pad) == (size, pad)
    assert (words.bos, words.eos) == ((0, 0) if chat else (count, count + 1))
    assert words.decode([words.bos, 3, words.eos] if not chat else [3, words.eos]) == tokens[3]


def test_the_file_is_craftgpts(words, tmp_path):
    path = tmp_path / "tokens.txt"
    path.write_text("".join(token.replace(" ", "_") + "\n" for token in TOKENS))
    loaded = WordList.load(path)
    assert loaded.fingerprint == words.fingerprint and loaded.vocab_size == 64
    loaded.save(tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_bytes() == path.read_bytes()
    path.write_text(path.read_text().replace("\n", "\r\n"))
    assert WordList.load(path).fingerprint == words.fingerprint
    unk = words.with_unk()
    unk.save(path)
    assert path.read_text().endswith("<unk>\n") and WordList.load(path).unk == unk.unk == len(TOKENS)
    assert unk.encode(["<unk>"])[0].count(unk.unk) == 2  # the two brackets: the name is no text
    assert unk.fingerprint != words.fingerprint and unk.with_unk() is unk


def test_a_line_break_can_be_a_token(tmp_path):
    words = WordList([*string.ascii_lowercase, " ", "\n", " \n"])
    words.save(tmp_path / "tokens.txt")
    loaded = WordList.load(tmp_path / "tokens.txt")
    assert loaded.tokens == words.tokens
    for text in ("a\nb", "a \n\n b", "\n"):
        assert loaded.decode(loaded.encode([text])[0]) == text


def test_what_nothing_fits_shows(words):
    (ids,) = words.encode(["a é 7"])
    assert ids.count(UNKNOWN) == 2
    assert words.decode(ids).count("\u2047") == 2 and words.pieces(ids).count("<unk>") == 2
    assert words.pieces([0, words.pad, 62]) == [" [inst]", "<pad>", " <id 62>"]


@pytest.mark.parametrize("tokens", [[], ["a", "a"], ["a b"], ["A"], ["a", ""]])
def test_a_list_that_cannot_be_is_refused(tokens, tmp_path):
    with refused("tokens.txt" if not tokens else "word list"):
        WordList(tokens, "tokens.txt" if not tokens else "the word list")
    with refused("nowhere.txt"):
        WordList.load(tmp_path / "nowhere.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with refused("binary.txt"):
        WordList.load(tmp_path / "binary.txt")


@pytest.mark.parametrize("size", [64, 100, 128, 320, 1920])
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("unk", [False, True])
def test_a_trained_list_has_room_and_spells_every_usual_text(size, chat, unk):
    texts = chats(200) if chat else [text.replace("\n", " ") for text in stories(200)]
    words = train_word_list(texts, size, chat=chat, unk=unk)
    assert words.vocab_size <= size and words.vocab_size % 64 == 0
    assert words.fingerprint == train_word_list(iter(texts), size, chat=chat, unk=unk).fingerprint
    assert words.pad >= 0 and (words.unk >= 0) == unk
    assert words.markers == ({"user": 0, "assistant": 1, "system": 2} if chat else {})
    for text, ids in zip(texts, words.encode(texts), strict=True):
        assert not {UNKNOWN, words.unk} & {*ids} and words.decode(ids) == text.lower()
    anything = string.ascii_letters + " zzyx -!.,?;'"
    assert words.decode(words.encode([anything])[0]) == anything.lower()
    if size == 320:
        assert words.vocab_size == 320 and len(words.tokens) == 320 - (1 if chat else 3)  # full


def test_frequent_words_are_tokens_and_endings_help():
    texts = [text.replace("\n", " ") for text in stories(300)]
    words = train_word_list(texts, 640)
    counts: dict[str, int] = {}
    for text in texts:
        for word in text.lower().split():
            if word.isalpha():
                counts[word] = counts.get(word, 0) + 1
    top = sorted(counts, key=lambda word: -counts[word])[:100]
    assert all(len(words.encode([word])[0]) == 1 for word in top)
    endings = [token for token in words.tokens if len(token) in (2, 3) and token.isalpha()]
    fewer = WordList([token for token in words.tokens if token not in endings])
    held = [text.replace("\n", " ") for text in stories(100, seed=0)]
    assert endings and sum(map(len, words.encode(held))) < sum(map(len, fewer.encode(held)))


def test_a_list_too_small_for_the_letters_is_refused_with_a_size_that_is_not():
    alphabet = "".join(map(chr, range(0x3B1, 0x3B1 + 24)))
    with refused("at least 64"):
        train_word_list(["abc"], 63)
    with refused("at least 128"):
        train_word_list([alphabet + string.digits], 127)
    assert train_word_list([alphabet + string.digits], 128).vocab_size <= 128
