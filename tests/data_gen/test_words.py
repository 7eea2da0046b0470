"""The word list holds what it claims, in base forms and fit for children; bad lists are refused; forms are found."""

import re

import pytest

from data_gen.words import PARTS_OF_SPEECH, WORDS_FILE, adverb, forms, load, vocabulary, words
from tests.expect import refused

# No word of this kind belongs in a request for a children's story, in any part of speech.
UNSUITABLE = """abuse addict alcohol ale ammo anus arse ass assault assassin axe bastard bayonet beer bible bikini bitch blood
    bloody bomb bondage boob bra brandy breast bullet bum butcher butt cannon casino champagne church cigar cigarette
    cleaver cocaine cock cocktail coffin condom corpse crap cripple crucify cult dagger damn dead death decapitate demon
    devil dick die drown drug drunk dumb dynamite erotic evil execute fart fetish flirt gamble gang gay genital gore
    grave grenade gun harass heaven hell heroin hooker hunter idiot intercourse jail jesus jihad kidnap
    kill knickers knife lesbian lighter liquor lust lynch machete marijuana massacre missile mistress molest moron
    mosque murder naked nazi nipple nude opium orgasm orgy pee penis pistol piss poison politics
    poo poop porn pray pregnant priest prostitute pub punch puke queer rape razor religion rifle rum satan screw
    senator sex sexy shoot shotgun shrapnel sin slaughter slave slay sleazy slit slut smother smoking snuff spear spank
    stab stoned strangle strip stupid suicide syringe temple terrorist testicle thong thug tit tobacco torture torpedo
    trigger undressed urinate vagina vape virgin vodka vomit war weapon weed whip whiskey whore wine wound"""


def test_counts_are_near_3000_and_roughly_equal():
    counts = {pos: len(of) for pos, of in words().items()}
    assert tuple(counts) == PARTS_OF_SPEECH
    assert 2_900 <= sum(counts.values()) <= 3_100
    assert all(900 <= count <= 1_130 for count in counts.values()), counts


def test_rows_are_plain_sorted_and_come_once():
    data = WORDS_FILE.read_bytes()
    header, *rows = data.decode("ascii").removesuffix("\n").split("\n")
    assert header == "word,pos" and data.endswith(b"\n")
    assert all(re.fullmatch("[a-z]{2,13},(noun|verb|adjective)", row) for row in rows)
    keys = [tuple(reversed(row.split(","))) for row in rows]
    assert keys == sorted(set(keys))


def test_base_forms_only():
    """No word is a form of another, but for those in their own right: to lay, to saw, glasses."""
    apart = {"noun": {"glasses", "shorts", "woods"}, "verb": {"lay", "saw", "wound"}}
    apart["adjective"] = {"better", "best", "worse", "worst", "lower"}
    for pos, of in words().items():
        assert {form for word in of for form in forms(word, pos) - {word}} & set(of) <= apart[pos]


def test_fit_for_children():
    assert not set(UNSUITABLE.split()) & {word for of in words().values() for word in of}


def test_words_of_a_child_are_there():
    have = {pos: set(of) for pos, of in words().items()}
    assert {"mother", "dog", "ball", "milk", "moon", "foot"} <= have["noun"]
    assert {"be", "go", "eat", "sleep", "play", "run", "hide"} <= have["verb"]
    assert {"big", "little", "red", "happy", "wet", "good"} <= have["adjective"]
    assert "water" in have["noun"] & have["verb"] and "clean" in have["verb"] & have["adjective"]


@pytest.mark.parametrize(
    "word, pos, found",
    [
        ("cat", "noun", "cat cats"),
        ("foot", "noun", "foot feet"),
        ("baby", "noun", "baby babies"),
        ("bus", "noun", "bus buses"),
        ("scissors", "noun", "scissors"),
        ("sheep", "noun", "sheep"),
        ("hop", "verb", "hop hops hopping hopped"),
        ("hope", "verb", "hope hopes hoping hoped"),
        ("try", "verb", "try tries trying tried"),
        ("play", "verb", "play plays playing played"),
        ("open", "verb", "open opens opening opened"),
        ("forget", "verb", "forget forgets forgetting forgot forgotten"),
        ("cut", "verb", "cut cuts cutting"),
        ("tie", "verb", "tie ties tying tied"),
        ("agree", "verb", "agree agrees agreeing agreed"),
        ("picnic", "verb", "picnic picnics picnicking picnicked"),
        ("go", "verb", "go goes going went gone"),
        ("be", "verb", "be am is are was were being been"),
        ("have", "verb", "have has having had"),
        ("big", "adjective", "big bigger biggest"),
        ("happy", "adjective", "happy happier happiest"),
        ("good", "adjective", "good better best"),
        ("beautiful", "adjective", "beautiful"),
        ("broken", "adjective", "broken"),
        ("gentle", "adjective", "gentle gentler gentlest"),
        ("horrible", "adjective", "horrible"),
        ("whole", "adjective", "whole"),
        *(
            (word, "noun", f"{word} {plural}")
            for word, plural in (
                ("lens", "lenses"),
                ("iris", "irises"),
                ("atlas", "atlases"),
                ("canvas", "canvases"),
                ("gas", "gases"),
                ("analysis", "analyses"),
                ("crisis", "crises"),
                ("diagnosis", "diagnoses"),
                ("quiz", "quizzes"),
                ("midwife", "midwives"),
                ("salesman", "salesmen"),
                ("human", "humans"),
                ("cactus", "cacti cactuses"),
                ("criterion", "criteria"),
                ("dormouse", "dormice"),
                ("pajamas", ""),
                ("topaz", "topazes"),
                ("stepchild", "stepchildren"),
            )
        ),
        ("cancel", "verb", "cancel cancels canceling cancelling canceled cancelled"),
        ("travel", "verb", "travel travels traveling travelling traveled travelled"),
        ("label", "verb", "label labels labeling labelling labeled labelled"),
        ("pull", "verb", "pull pulls pulling pulled"),
        ("sail", "verb", "sail sails sailing sailed"),
        *(
            (word, "verb", f"{word} {word}s {word}{word[-1]}ing {word}{word[-1]}ed")
            for word in ("submit", "refer", "occur", "transfer", "equip", "commit")
        ),
        *(
            (word, "verb", f"{word} {word}s {word}ing {word}ed")
            for word in ("limit", "offer", "suffer", "relay", "visit")
        ),
        ("shoot", "verb", "shoot shoots shooting shot"),
        ("withdraw", "verb", "withdraw withdraws withdrawing withdrew withdrawn"),
        ("overcome", "verb", "overcome overcomes overcoming overcame"),
        ("arise", "verb", "arise arises arising arose arisen"),
        ("mistake", "verb", "mistake mistakes mistaking mistook mistaken"),
        ("reset", "verb", "reset resets resetting"),
    ],
)
def test_forms(word, pos, found):
    assert forms(word, pos) == set(found.split())


@pytest.mark.parametrize(
    "adjective, found",
    [("happy", "happily"), ("gentle", "gently"), ("true", "truly"), ("full", "fully"), ("tragic", "tragically"),
     ("shy", "shyly"), ("quick", "quickly"), ("safe", "safely"), ("friendly", ""), ("hard", ""), ("whole", "wholly"),
     ("gray", "")],
)  # fmt: skip
def test_adverbs(adjective, found):
    assert adverb(adjective) == found


def test_vocabulary_covers_a_simple_story():
    story = """One day, the little girls went to the park. They saw a bigger dog, and it was hiding under the leaves.
    "Don't be scared!" said the happiest girl. She gave it some of her cookies, and then everyone played."""
    tokens = re.findall("[a-z']+", story.lower())
    assert set(tokens) <= vocabulary(words())
    assert not {"economy", "quarterly", "hypothesis"} & vocabulary(words())


def test_a_custom_list_keeps_its_order(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes("\ufeffword,pos\r\nrouter,noun\r\ncall back,verb\r\nÄrger,noun\r\n".encode())
    assert load(path) == {"noun": ("router", "Ärger"), "verb": ("call back",), "adjective": ()}
    other = ["कताब", "หนังสือ", "cafe\u0301", "A4", "mp3", "COVID-19"]
    (tmp_path / "other.csv").write_text("word,pos\n" + "".join(f"{word},noun\n" for word in other), "utf-8")
    assert load(tmp_path / "other.csv")["noun"] == ("कताब", "หนังสือ", "caf\u00e9", "A4", "mp3", "COVID-19")
    assert {"routers", "ärger"} <= vocabulary(load(path))


@pytest.mark.parametrize(
    "text, says",
    [
        (b"", ["header word,pos", "nothing"]),
        (b"\n", ["header word,pos"]),
        (b"word;pos\ncat;noun\n", ["header word,pos", "word;pos"]),
        (b"word,pos\n", ["found none"]),
        (b"word,pos\ncat,noun\ndog\n", ["row 3", "'dog'"]),
        (b"word,pos\ncat,adverb\n", ["row 2", "adjective", "'cat,adverb'"]),
        (b"word,pos\n,noun\n", ["row 2"]),
        (b"word,pos\n cat,noun\n", ["row 2", "' cat,noun'"]),
        (b"word,pos\nc_t,noun\n", ["row 2"]),
        (b"word,pos\n42,noun\n", ["row 2"]),
        (b"word,pos\ncat,noun\ncat,verb\ncat,noun\n", ["every noun once", "'cat' again in row 4"]),
        (b"word,pos\nc\xe4t,noun\n", ["UTF-8"]),
        (b'word,pos\n"cat,noun\n', ["CSV"]),
    ],
)
def test_bad_lists_are_refused(tmp_path, text, says):
    path = tmp_path / "bad.csv"
    path.write_bytes(text)
    with refused("bad.csv", *says):
        load(path)


def test_a_list_that_is_not_there_is_refused(tmp_path):
    with refused("none.csv", "No such file"):
        load(tmp_path / "none.csv")
    with refused(str(tmp_path)):
        load(tmp_path)
