import io
import json
import os
import re
import string
import subprocess
import sys
from collections import Counter

import pytest
import zstandard

import data_gen.offline.writer as offline
from data_gen.offline import MANIFEST_FILE, PLOTS, STORIES_FILE, plan_story, tell, write_corpus, write_story
from data_gen.offline.template import capital, slot, variants, with_article
from data_gen.offline.words import CAST, HOBBIES, HOMES, OPENINGS, PLACES
from tsjax.atomic import sha256_file
from tsjax.errors import UserError

SAMPLE = 5_000
PLANS = [plan_story(7, index) for index in range(SAMPLE)]
STORIES = [tell(plan) for plan in PLANS]


def words(text):
    return re.findall(r"[a-z]+", text.lower())


def shingles(text):
    tokens = words(text)
    return {hash(tuple(tokens[i : i + 5])) for i in range(len(tokens) - 4)}


def read_lines(folder):
    with open(folder / STORIES_FILE, "rb") as f:
        return [json.loads(line) for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(f))]


# --- a pure function of (seed, index) -------------------------------------------------------------------------


def test_another_process_with_another_hash_seed_writes_the_same_stories():
    code = "from data_gen.offline import write_story; print([write_story(3, i) for i in range(50)])"
    for hash_seed in "1", "2":
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert out.stdout.strip() == str([write_story(3, i) for i in range(50)]), out.stderr


def test_order_of_calls_does_not_matter():
    backwards = [write_story(7, index) for index in reversed(range(300))]
    assert backwards[::-1] == STORIES[:300]


def test_seeds_name_different_corpora():
    assert not set(STORIES) & {write_story(8, index) for index in range(SAMPLE)}


# --- variety --------------------------------------------------------------------------------------------------


def test_no_opening_exceeds_three_percent_and_all_occur():
    count = 50_000
    openings = Counter(plan_story(1, index).opening for index in range(count))
    assert len(openings) == len(OPENINGS) == len(set(OPENINGS)) >= 40
    assert max(openings.values()) / count < 0.03


def test_first_sentences_are_made_from_the_planned_opening():
    for plan, text in zip(PLANS[:500], STORIES, strict=False):
        fixed = [part for part, *_ in string.Formatter().parse(OPENINGS[plan.opening]) if part]
        assert re.search(".*?".join(map(re.escape, fixed)), text.split("\n\n")[0])


def test_every_plot_occurs_and_every_beat_reaches_the_story():
    assert {plan.plot for plan in PLANS} == {plot.name for plot in PLOTS}
    for plan, text in zip(PLANS[:500], STORIES, strict=False):
        paragraphs = text.split("\n\n")
        assert len(paragraphs) == 4
        for beat, paragraph in zip((plan.want, plan.obstacle, plan.turn, plan.ending), paragraphs, strict=True):
            assert beat.format_map(plan.words).format_map(plan.words) in paragraph


def test_no_exact_and_few_near_duplicates():
    # Exact Jaccard of word 5-shingles over pairs that share any rare shingle: a pair at 0.8 must share one.
    assert len(set(STORIES)) == SAMPLE
    sets = [shingles(text) for text in STORIES]
    frequency = Counter(shingle for one in sets for shingle in one)
    seen: dict[int, list[int]] = {}
    near = 0
    for number, own in enumerate(sets):
        # any fifth of a set must meet a set that holds four fifths of it; the rarest fifth has few owners
        rarest = sorted(own, key=lambda shingle: (frequency[shingle], shingle))[: len(own) // 5 + 1]
        candidates = {earlier for shingle in rarest for earlier in seen.get(shingle, ())}
        near += any(len(own & sets[c]) >= 0.8 * len(own | sets[c]) for c in candidates)
        for shingle in own:
            seen.setdefault(shingle, []).append(number)
    assert near / SAMPLE < 0.001  # the share grows with the corpus: under 0.01 at 100,000 (see benchmarks)


# --- grammar --------------------------------------------------------------------------------------------------

FEMALE, MALE = {"she", "her", "herself"}, {"he", "him", "his", "himself"}


@pytest.mark.parametrize(("elder", "hero", "friend", "wrong"), [("she",) * 3 + (MALE,), ("he",) * 3 + (FEMALE,)])
def test_pronouns_agree_where_all_are_of_one_sex(elder, hero, friend, wrong):
    elders = {row["elder"] for row in offline.ELDERS[elder]}
    checked = 0
    for plan, text in zip(PLANS, STORIES, strict=True):
        if (plan.words["He"], plan.words["She"]) != (hero.capitalize(), friend.capitalize()):
            continue
        if plan.words["elder"] not in elders:
            continue
        # the mother duck of one plot has pronouns of her own
        text = text.replace("hid under her wing", "")
        assert not wrong & set(words(text)), text
        checked += 1
    assert checked > SAMPLE / 16


@pytest.mark.parametrize("hero", ["she", "he"])
def test_the_hero_is_never_named_by_the_friends_pronouns(hero):
    """Swapping the friend's sex must leave every word that is about the hero alone, and the other way round."""
    for plan in PLANS[:1000]:
        if plan.words["He"] != hero.capitalize():
            continue
        marked = dict(plan.words) | {key: f"<{key}>" for key in ("he", "him", "his", "himself", "He", "His")}
        text = tell(plan._replace(words=marked))
        left = set(words(re.sub(r"<\w+>|hid under her wing", "", text)))
        friend = FEMALE if plan.words["She"] == "She" else MALE
        assert not left & ((FEMALE | MALE) - friend), text


def test_articles_agree_with_the_next_sound():
    vowels = re.compile(r"[aeiou]")
    for text in STORIES:
        for article, word in re.findall(r"\b([Aa]n?) ([A-Za-z]+)", text):
            assert (article.lower() == "an") == bool(vowels.match(word.lower())), f"{article} {word} in {text}"
    assert with_article("apple") == "an apple" and with_article("hour") == "an hour"
    assert with_article("unicorn") == "a unicorn" and with_article("used hat") == "a used hat"


def test_punctuation_is_whole():
    for text in STORIES:
        assert re.fullmatch(r"[A-Za-z ,.!?'\"\n]+", text), text
        assert not re.search(r"  | \n|\n |\n\n\n| [,.!?]|[,.!?]{2}|[.!?][A-Za-z]|,[^ \"]", text), text
        for paragraph in text.split("\n\n"):
            assert paragraph.count('"') % 2 == 0, text
            assert re.search(r"[.!?]\"?$", paragraph), text
            spoken, told = paragraph.split('"')[1::2], paragraph.split('"')[:-1:2]
            assert all(re.search(r"^ ?$|[,.!?] $", before) for before in told), text
            assert all(re.match(r"[A-Z]", words) or "said" in paragraph for words in spoken), text
            assert all(re.search(r"[,.!?]$", words) for words in spoken), text


def test_sentences_begin_with_a_capital():
    for text in STORIES:
        # after a quotation the sentence may go on: "Hello!" said Tom.
        assert re.match(r'"?[A-Z]', text)
        starts = re.findall(r"[a-z][.!?] (\"?.)|\n\n(\"?.)", text)
        assert all((a or b).strip('"').isupper() for a, b in starts), text


def test_no_name_is_doubled_and_no_word_repeated():
    for plan, text in zip(PLANS, STORIES, strict=True):
        assert plan.words["A"] != plan.words["B"]
        assert not re.search(r"\b(\w+) \1\b", text), text


def test_length_and_vocabulary_suit_a_small_model():
    lengths = [len(text.split()) for text in STORIES]
    assert min(lengths) >= 60 and max(lengths) <= 130
    assert 900 <= len({word for text in STORIES for word in words(text)}) <= 1400


def test_every_field_of_every_template_has_a_word():
    """Not only the readings that a sample meets: all of them."""
    for plot in PLOTS:
        known = set(PLACES["park"]) | {"adj", "a_adj", "A_adj", "elder", "hobby", "home", "Home"}
        known |= {key for pair in CAST["people"]["she"][0][:1] for who in pair for key in who}
        for table in plot.slots:
            assert all(row.keys() == table[0].keys() for row in table)
            known |= set(table[0])
        texts = [
            *plot.templates(),
            *OPENINGS,
            *(text for table in plot.slots for row in table for text in row.values()),
        ]
        for text in texts:
            assert not set("[]|") & set(text), text
            fields = {field for _, field, *_ in string.Formatter().parse(text) if field is not None}
            assert fields <= known, (plot.name, text)
        assert set(plot.places) <= set(PLACES)


def test_template_helpers():
    assert variants("[a|b] c [d|e]") == ("a c d", "a c e", "b c d", "b c e")
    assert capital("{he} ran") == "{He} ran" and capital("old Tom") == "Old Tom"
    assert slot("x", "egg") == ({"x": "egg", "a_x": "an egg", "X": "Egg", "A_x": "An egg"},)
    with pytest.raises(ValueError):
        slot("x y", ("only one",))
    assert len(HOBBIES) > 5 and all(len(homes) > 5 for homes in HOMES.values())


# --- the corpus -----------------------------------------------------------------------------------------------


def test_corpus_holds_the_stories_and_its_manifest_the_truth(tmp_path):
    manifest = write_corpus(tmp_path, 40, seed=7)
    lines = read_lines(tmp_path)
    assert [line["text"] for line in lines] == STORIES[:40]
    assert [line["id"] for line in lines] == [f"offline-7-{index}" for index in range(40)]
    assert json.loads((tmp_path / MANIFEST_FILE).read_text()) == manifest
    assert manifest["sha256"] == sha256_file(tmp_path / STORIES_FILE)
    assert manifest["words"] == sum(len(text.split()) for text in STORIES[:40])
    assert manifest["characters"] == sum(map(len, STORIES[:40]))
    assert (manifest["kind"], manifest["writer"]) == ("documents", "offline")
    assert "standing in for an LLM API" in manifest["note"]


def test_same_arguments_same_bytes(tmp_path):
    for name in "a", "b":
        write_corpus(tmp_path / name, 100, seed=1)
    for file in STORIES_FILE, MANIFEST_FILE:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_shards_are_the_whole(tmp_path):
    write_corpus(tmp_path / "whole", 30, seed=2)
    write_corpus(tmp_path / "first", 12, seed=2)
    write_corpus(tmp_path / "rest", 18, seed=2, start=12)
    parts = read_lines(tmp_path / "first") + read_lines(tmp_path / "rest")
    assert parts == read_lines(tmp_path / "whole")


def test_killed_write_leaves_nothing_that_looks_complete_and_runs_again(tmp_path, monkeypatch):
    def killed(seed, index):
        if index == 20:
            raise KeyboardInterrupt
        return write_story(seed, index)

    with monkeypatch.context() as patch:
        patch.setattr(offline, "write_story", killed)
        with pytest.raises(KeyboardInterrupt):
            write_corpus(tmp_path, 50, seed=1)
    assert list(tmp_path.iterdir()) == []
    write_corpus(tmp_path, 50, seed=1)
    assert len(read_lines(tmp_path)) == 50


def test_killed_before_the_manifest_starts_again(tmp_path, monkeypatch):
    def killed(path, value):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(offline, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            write_corpus(tmp_path, 5, seed=1)
    assert not (tmp_path / MANIFEST_FILE).exists()
    assert write_corpus(tmp_path, 6, seed=1)["count"] == 6
    assert len(read_lines(tmp_path)) == 6


def test_complete_corpus_is_reused_and_not_written(tmp_path, monkeypatch):
    first = write_corpus(tmp_path, 5, seed=1)
    monkeypatch.setattr(offline, "write_story", None)  # would fail if called
    assert write_corpus(tmp_path, 5, seed=1) == first


@pytest.mark.parametrize("other", [{"count": 6}, {"seed": 2}, {"start": 1}])
def test_corpus_of_another_request_is_refused(tmp_path, other):
    write_corpus(tmp_path, **{"count": 5, "seed": 1})
    before = (tmp_path / STORIES_FILE).read_bytes()
    name, value = next(iter(other.items()))
    with pytest.raises(UserError, match=f"{name} {value}"):
        write_corpus(tmp_path, **{"count": 5, "seed": 1, **other})
    assert (tmp_path / STORIES_FILE).read_bytes() == before


def test_corpus_of_other_templates_is_refused(tmp_path, monkeypatch):
    write_corpus(tmp_path, 5, seed=1)
    monkeypatch.setattr(offline, "templates", lambda: ["another word"])
    with pytest.raises(UserError, match="vocabulary_sha256"):
        write_corpus(tmp_path, 5, seed=1)


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest"])
def test_damaged_corpus_is_refused(tmp_path, damage):
    write_corpus(tmp_path, 5, seed=1)
    if damage == "truncate":
        (tmp_path / STORIES_FILE).write_bytes((tmp_path / STORIES_FILE).read_bytes()[:-1])
    elif damage == "remove":
        (tmp_path / STORIES_FILE).unlink()
    else:
        (tmp_path / MANIFEST_FILE).write_text("{")
    with pytest.raises(UserError):
        write_corpus(tmp_path, 5, seed=1)


@pytest.mark.parametrize("request_", [{"count": 0}, {"count": -1}, {"count": 5, "start": -1}])
def test_empty_requests_are_refused(tmp_path, request_):
    with pytest.raises(UserError):
        write_corpus(tmp_path, seed=1, **request_)
    assert list(tmp_path.iterdir()) == []
