"""Recipes are read strictly; their two hashes follow what they should; the bundled ones keep their promises."""

import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_gen.factors import Sampler
from data_gen.recipe import RECIPES, bundled, load
from data_gen.render import render
from data_gen.template import fields
from tests.expect import refused

GOOD = """\
name = "toys"
about = "calls about toys"
language = "en"
[factors]
toy = { values = ["ball", "kite"], unique = true }
mood = { values = { Sad = "very sad", Glad = "glad" }, weights = [1, 2], present = 0.5 }
extra = { values = ["a", "b", "c"], number = [0, 2] }
[[steps]]
name = "call"
prompt = "Write about a {toy}.\\n{mood} {extra}"
[steps.params]
max_output_tokens = 100
temperature = 1
[steps.checks]
words = [1, 2]
[[steps]]
name = "summary"
system = "You sum up."
prompt = "{call}"
[steps.params]
max_output_tokens = 10
[document]
kind = "instruct"
text = "call"
words = ["toy"]
summary = "summary"
near = 0.7
[alarms]
opening = 0.2
"""


def read(tmp_path, old="", new="", text=GOOD):
    assert old in text
    path = tmp_path / "toys.toml"
    path.write_text(text.replace(old, new, 1) if old else text, "utf-8")
    return load(path)


def test_a_recipe_is_what_its_file_says(tmp_path):
    recipe = read(tmp_path)
    assert (recipe.name, recipe.about, recipe.language, recipe.redraws) == ("toys", "calls about toys", "en", 0)
    toy, mood, extra = recipe.factors
    assert (toy.labels, toy.texts, toy.unique, toy.number, toy.pos) == (
        ("ball", "kite"),
        ("ball", "kite"),
        True,
        None,
        "",
    )
    assert (mood.labels, mood.texts, mood.weights, mood.present) == (
        ("Sad", "Glad"), ("very sad", "glad"), (1.0, 2.0), 0.5
    )  # fmt: skip
    assert extra.number == (0, 2)
    call, summary = recipe.steps
    assert (call.name, call.system, call.parse, call.checks) == ("call", "", "plain", {"words": [1, 2]})
    assert call.params == {"max_output_tokens": 100, "temperature": 1.0}
    assert (summary.system, summary.prompt, summary.checks) == ("You sum up.", "{call}", {})
    shape = recipe.shape
    assert (shape.kind, shape.text, shape.words, shape.summary, shape.near) == (
        "instruct",
        "call",
        ("toy",),
        "summary",
        0.7,
    )
    assert recipe.alarms == {"opening": 0.2} and recipe.text == GOOD


MISTAKES = [
    ('name = "toys"', "nmae = 1", ["one of name, about", "'nmae' (did you mean 'name'?)"]),
    ('about = "calls about toys"\n', "", ["the key about"]),
    ('language = "en"', "language = 3", ["language: a text", "found 3"]),
    ('language = "en"', 'language = "en"\nredraws = -1', ["redraws: a whole number from 0 on", "-1"]),
    ('language = "en"', 'language = "en"\nredraws = true', ["redraws: a whole number", "True"]),
    ('name = "toys"', "name = ", ["TOML", "line 1"]),
    ("toy = {", "Toy = {", ["factors.Toy: a name of small letters"]),
    ("toy = {", "toy = { colour = 1,", ["factors.toy: one of values, words", "'colour'"]),
    ("weights = [1, 2]", "wieghts = [1, 2]", ["'wieghts' (did you mean 'weights'?)"]),
    ("weights = [1, 2]", "weights = [1]", ["factors.mood.weights: 2 numbers", "found 1"]),
    ("weights = [1, 2]", "weights = 1", ["factors.mood.weights: a list of numbers", "found 1"]),
    ("weights = [1, 2]", "weights = [1, 0]", ["factors.mood.weights: numbers above 0", "found 0"]),
    ("weights = [1, 2]", "weights = [1, nan]", ["factors.mood.weights: numbers above 0", "nan"]),
    ("weights = [1, 2]", 'weights = [1, "2"]', ["factors.mood.weights: numbers above 0", "'2'"]),
    ("present = 0.5", "present = 1.5", ["factors.mood.present: a number from 0 to 1", "1.5"]),
    ("present = 0.5", "unique = true", ["factors.mood: no number, present or weights beside unique"]),
    ("unique = true", "unique = 1", ["factors.toy.unique: true or false"]),
    ("number = [0, 2]", "number = [0, 4]", ["factors.extra.number: [least, most] up to 3", "[0, 4]"]),
    ("number = [0, 2]", "number = [2, 1]", ["factors.extra.number", "[2, 1]"]),
    ("number = [0, 2]", "number = [0, 0]", ["factors.extra.number"]),
    ("number = [0, 2]", "number = 2", ["factors.extra.number", "found 2"]),
    ("number = [0, 2]", 'lines = "x.txt"', ["factors.extra: one of values, words and lines", "values and lines"]),
    ('values = ["ball", "kite"], ', "", ["factors.toy: one of values, words and lines", "none of them"]),
    ('["ball", "kite"]', '["ball", "ball"]', ["factors.toy.values: every text once", "'ball' again"]),
    ('["ball", "kite"]', "[]", ["factors.toy: values", "none"]),
    ('["ball", "kite"]', '["ball", " "]', ["factors.toy.values: a list of texts"]),
    ('["ball", "kite"]', '["ball", "kite "]', ["factors.toy: values of one line", "'kite '"]),
    ('["ball", "kite"]', '["ball", "a\\nb"]', ["factors.toy: values of one line"]),
    ('"very sad"', "3", ["factors.mood.values.Sad: a text"]),
    ('values = ["ball", "kite"]', 'words = "nuon"', ["factors.toy.words: one of noun, verb", "did you mean 'noun'?"]),
    ('values = ["ball", "kite"]', 'values = ["ball"], file = "x.csv"', ["factors.toy.file: words, the part of speech"]),
    ('values = ["ball", "kite"]', 'words = "noun", file = "x.csv"', ["a CSV file of words", "x.csv"]),
    ('values = ["ball", "kite"]', 'lines = "none.txt"', ["a text in UTF-8 at", "none.txt"]),
    ("{toy}", "{toi}", ["steps[1].prompt: names among toy, mood, extra", "{toi} (did you mean 'toy'?)"]),
    ("{toy}", "{toy.upper}", ["steps[1].prompt: fields such as", "{toy.upper}"]),
    ("{toy}", "{toy[0]}", ["steps[1].prompt", "{toy[0]}"]),
    ("{toy}", "{toy!r}", ["steps[1].prompt", "{toy!r}"]),
    ("{toy}", "{toy:>9}", ["steps[1].prompt", "{toy:>9}"]),
    ("{toy}", "{}", ["steps[1].prompt", "{}"]),
    ("{toy}", "{toy", ["steps[1].prompt", "a brace alone"]),
    ("{toy}", "{summary}", ["steps[1].prompt: names among toy, mood, extra", "{summary}"]),  # a later step
    ("{call}", "{summary}", ["steps[2].prompt", "{summary}"]),  # the step itself
    (" {extra}", "", ["factors.extra: {extra} in a prompt", "no prompt uses"]),
    ('name = "call"', 'name = "toy"', ["steps[1].name", "'toy'"]),
    ('name = "summary"', 'name = "call"', ["steps[2].name", "'call'"]),
    ('prompt = "{call}"', 'promt = "{call}"', ["steps[2]", "'promt' (did you mean 'prompt'?)"]),
    ('system = "You sum up."', 'parse = "jsn"', ["steps[2].parse: one of plain, json, marker", "did you mean 'json'?"]),
    ("max_output_tokens = 100\n", "", ["steps[1].params: the key max_output_tokens", "temperature"]),
    ("max_output_tokens = 100", "max_output_tokens = 0", ["steps[1].params.max_output_tokens", "found 0"]),
    ("max_output_tokens = 100", "max_output_tokens = 1.5", ["steps[1].params.max_output_tokens: a whole number"]),
    ("temperature = 1", "temprature = 1", ["steps[1].params", "did you mean 'temperature'?"]),
    ("temperature = 1", "temperature = 3", ["steps[1].params.temperature: a number from 0 to 2"]),
    ("temperature = 1", "top_p = inf", ["steps[1].params.top_p"]),
    ("temperature = 1", "effort = 1", ["steps[1].params.effort: a text"]),
    ("temperature = 1", 'schema = "x"', ["steps[1].params.schema: a table"]),
    ("temperature = 1", "schema = { a = 2020-01-01 }", ["steps[1].params.schema: texts, numbers"]),
    ("words = [1, 2]", "deny = [1]\ndeny_file = 'x'", ["steps[1].checks.deny: a list of texts"]),
    ("words = [1, 2]", "words = 2020-01-01", ["steps[1].checks: texts, numbers"]),
    ("words = [1, 2]", "vocabulary = nan", ["steps[1].checks: texts, numbers"]),
    ('prompt = "{call}"', 'prompt = "{call}"\nchecks = 3', ["steps[2].checks: a table", "found 3"]),
    ('kind = "instruct"', 'kind = "storys"', ["document.kind: one of story, instruct, chat", "did you mean 'story'?"]),
    ('kind = "instruct"\n', "", ["document: the key kind"]),
    ('text = "call"', 'text = "cal"', ["document.text: one of call, summary", "did you mean 'call'?"]),
    ('words = ["toy"]', 'words = ["toys"]', ["document.words: some of toy, mood, extra", "did you mean 'toy'?"]),
    ('words = ["toy"]', 'features = "moods"', ["document.features: one of toy, mood", "did you mean 'mood'?"]),
    ('summary = "summary"', 'summary = "toy"', ["document.summary: one of call, summary", "'toy'"]),
    ("near = 0.7", "near = 2", ["document.near: a number from 0 to 1"]),
    ("near = 0.7", "near = 0.5", ["document.near: 0, or a number from 0.6 to 1", "only some of the copies"]),
    ("about a {toy}.\\n", "", ["steps[1].prompt: a line that stays", "what may be absent"]),
    ("words = [1, 2]", "words = [1]", ["words in the checks of step 'call'", "[1]", "toys.toml"]),
    ("words = [1, 2]", "wrods = [1, 2]", ["'wrods'", "did you mean 'words'?", "toys.toml"]),
    ("words = [1, 2]", "turns = [1, 2]", ["turns only in the checks of a step whose answers are chats"]),
    ("words = [1, 2]", "turn_words = [1, 2]", ["turn_words only"]),
    ("words = [1, 2]", "items = 2", ["items", "marker"]),
    ("words = [1, 2]", 'functions = ["nowhere:to_be_had"]', ["'nowhere:to_be_had'", "importable", "toys.toml"]),
    ("opening = 0.2", "opening = 2", ["alarm opening", "toys.toml"]),
    ("opening = 0.2", "openings = 0.2", ["'openings'", "did you mean 'opening'?"]),
    *(("words = [1, 2]", f'deny = ["{word}"]', ["a letter or digit", repr(word)]) for word in ("!!!", "\u2764", "$")),
    ('values = ["ball", "kite"]', 'lines = "\\u0000"', ["a text in UTF-8", "null"]),
    ('values = ["ball", "kite"]', 'words = "noun", file = "\\u0000"', ["a CSV file of words", "null"]),
    ("words = [1, 2]", "x = " + "[" * 5_000 + "]" * 5_000, ["TOML", "too deep"]),
    ("opening = 0.2", 'opening = "0.2"', ["alarms.opening: a number", "'0.2'"]),
]


@pytest.mark.parametrize(
    ("old", "new", "words"), MISTAKES, ids=[f"{new or 'without ' + old!r}" for old, new, _ in MISTAKES]
)
def test_a_mistake_is_named(tmp_path, old, new, words):
    with refused(*words):
        read(tmp_path, old, new)


def test_no_factors_or_no_steps_is_refused(tmp_path):
    with refused("factors: a table that holds something"):
        read(tmp_path, text='name = "x"\nabout = "x"\nlanguage = "en"\nfactors = {}\nsteps = []\ndocument = {}\n')
    with refused("steps: [[steps]], one or more"):
        read(tmp_path, text=GOOD[: GOOD.index("[[steps]]")] + "[document]\n" + "[steps]\n")


FUNCTIONS = """
import beside
def no_digits(text, factors):
    import later
    return later.REASON if any(map(str.isdigit, text)) else ""
def ends(text, factors):
    raise SystemExit(3)
def long(text, factors):
    return "a\\nb \\ud800" + "c" * 500
def blank(text, factors):
    return "  "
"""


def test_functions_beside_the_recipe(tmp_path):
    """They are imported from there, in other processes too, whatever the working directory."""
    from data_gen.answer import Answer
    from data_gen.examine import Examiner

    listed = ", ".join(f'"mychecks:{name}"' for name in ("no_digits", "ends", "long", "blank"))
    for reason in "digits", "numbers":  # the same names in two folders
        folder = tmp_path / reason
        folder.mkdir()
        (folder / "mychecks.py").write_text(FUNCTIONS, "utf-8")
        (folder / "beside.py").write_text("", "utf-8")
        (folder / "later.py").write_text(f"REASON = {reason!r}", "utf-8")
        recipe = read(folder, "words = [1, 2]", f"functions = [{listed}]")
        found = Examiner(recipe).examine(0, {}, Answer("A 3.", "stop"), {})
        if reason == "digits":
            assert found.reasons == ("digits", "function_error:ends", "a b " + "c" * 56, "function:blank")
    program = (
        "import pickle, sys; from data_gen.answer import Answer\n"
        "print(pickle.loads(sys.stdin.buffer.read()).examine(0, {}, Answer('A 3.', 'stop'), {}).reason)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(Examiner(recipe)), cwd=Path(__file__).parents[2],
        capture_output=True, check=True,
    )  # fmt: skip
    assert run.stdout.strip() == b"numbers"
    (folder / "mychecks.py").write_text("raise SystemExit(3)", "utf-8")
    sys.modules.pop("mychecks")
    with refused("SystemExit", "mychecks:no_digits"):
        read(folder, "words = [1, 2]", f"functions = [{listed}]")


def test_a_wrong_name_gets_the_nearest_right_one():
    with refused("tinystories", "'tinystorys' (did you mean 'tinystories'?)"):
        load("tinystorys")
    with refused("a text in UTF-8 at", "nowhere.toml"):
        load("nowhere.toml")


def test_files_are_found_beside_the_recipe_and_hashed_by_content(tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/toys.txt").write_text("# toys\nball\n\nkite\n", "utf-8")
    (tmp_path / "lists/words.csv").write_text("word,pos\nrope,noun\nrun,verb\ndrum,noun\n", "utf-8")
    (tmp_path / "lists/never.txt").write_text("as an AI\nlorem ipsum\n", "utf-8")
    text = (
        GOOD.replace('values = ["ball", "kite"]', 'lines = "lists/toys.txt"')
        .replace('values = ["a", "b", "c"]', 'words = "noun", file = "lists/words.csv"')
        .replace("words = [1, 2]", 'deny = ["lorem ipsum", "blah"]\ndeny_file = "lists/never.txt"')
    )
    recipe = read(tmp_path, text=text)
    assert recipe.factors[0].labels == ("ball", "kite")
    assert (recipe.factors[2].labels, recipe.factors[2].pos) == (("rope", "drum"), "noun")
    assert recipe.steps[0].checks == {"deny": ["lorem ipsum", "blah", "as an AI"]}

    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "lists", moved / "lists")
    assert read(moved, text=text) == recipe  # the same files in another place
    (moved / "lists/toys.txt").write_text("ball\nkite\n", "utf-8")
    assert read(moved, text=text).request_hash == recipe.request_hash  # a comment decides nothing
    (moved / "lists/toys.txt").write_text("kite\nball\n", "utf-8")
    assert read(moved, text=text).request_hash != recipe.request_hash
    (tmp_path / "lists/never.txt").write_text("as an AI\n", "utf-8")
    changed = read(tmp_path, text=text.replace('"lorem ipsum", ', ""))
    assert (changed.request_hash == recipe.request_hash) and changed.curation_hash != recipe.curation_hash
    (tmp_path / "lists/toys.txt").write_text("ball\nkite\nball\n", "utf-8")
    with refused("factors.toy.lines: every line of", "'ball' again"):
        read(tmp_path, text=text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"ball", "kite"', '"kite", "ball"'),
        ("very sad", "sad"),
        ("Sad =", "Sorry ="),
        ("weights = [1, 2]", "weights = [1, 3]"),
        ("present = 0.5", "present = 0.6"),
        ("number = [0, 2]", "number = [0, 3]"),
        (", unique = true", ""),
        ("about a", "of a"),
        ("You sum up.", "Sum up."),
        ("max_output_tokens = 100", "max_output_tokens = 101"),
    ],
)
def test_what_decides_requests_changes_the_request_hash(tmp_path, old, new):
    before, after = read(tmp_path), read(tmp_path, old, new)
    assert before.request_hash != after.request_hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("calls about toys", "about toys"),
        ("words = [1, 2]", "words = [1, 3]"),
        ('prompt = "{call}"', 'prompt = "{call}"\nparse = "json"'),
        ("near = 0.7", "near = 0.6"),
        ("opening = 0.2", "opening = 0.3"),
        ('language = "en"', 'language = "en"\nredraws = 2'),
    ],
)
def test_what_comes_after_the_answers_changes_the_curation_hash_alone(tmp_path, old, new):
    before, after = read(tmp_path), read(tmp_path, old, new)
    assert before.request_hash == after.request_hash and before.curation_hash != after.curation_hash


def test_a_comment_or_1_for_1_0_changes_no_hash(tmp_path):
    before, after = read(tmp_path), read(tmp_path, "temperature = 1", "temperature = 1.0  # high")
    assert (before.request_hash, before.curation_hash) == (after.request_hash, after.curation_hash)


def test_the_bundled_recipes():
    files = sorted(RECIPES.glob("*.toml"))
    assert bundled() == [path.stem for path in files]
    assert {"simple_stories", "support_calls", "tinychat", "tinystories", "tinystories_instruct"} <= set(bundled())


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_recipe_makes_sound_prompts(name):
    recipe = load(name)
    assert recipe.name == name and recipe.about
    sampler = Sampler(recipe, 3)
    seen: dict[str, set[str]] = {factor.name: set() for factor in recipe.factors}
    asked = set()
    for index in range(200):
        factors = sampler.draw(index)
        for factor, value in factors.items():
            seen[factor].update([value] if isinstance(value, str) else value)
        for step, of in enumerate(recipe.steps):
            earlier = {before.name: "Ben ran.\n\nHe fell." for before in recipe.steps[:step]}
            request = render(recipe, step, factors, earlier, index=index, sample=0, model="m", overrides={})
            for message in request.messages:
                text = message["content"]
                assert text == text.strip() and "\n\n\n" not in text and "  " not in text
                assert len(text) < 800  # about 180 tokens: the answer should cost more than the question
                example = '{"messages": [{"role": "user", "content": "..."}, ...]}'
                assert not re.search("[{}]", text.replace(example, "")) and (example in text) == (of.parse == "json")
                for asked_for in fields(of.prompt) & factors.keys():
                    value = factors[asked_for]
                    factor = next(f for f in recipe.factors if f.name == asked_for)
                    for label in [value] if isinstance(value, str) else value:
                        assert factor.said[label] in text
                asked.add(request.id)
    assert len(asked) == 200 * len(recipe.steps)
    for factor in recipe.factors:
        assert seen[factor.name] or factor.present == 0
    assert sampler.space > 30_000
    labels = {"Dialogue", "BadEnding", "MoralValue", "Twist", "Foreshadowing", "Conflict"}  # of TinyStories-Instruct
    assert not recipe.shape.features or seen[recipe.shape.features] == labels


def test_one_number_brings_back_tinychats_missing_question_marks(tmp_path):
    text = (RECIPES / "tinychat.toml").read_text("utf-8")
    plain, marked = read(tmp_path, text=text), read(tmp_path, "present = 0\n", "present = 1\n", text)
    for recipe, has in (plain, False), (marked, True):
        prompts = [
            render(recipe, 0, Sampler(recipe, 0).draw(i), {}, index=i, sample=0, model="m", overrides={}).messages[-1]
            for i in range(20)
        ]
        assert {"Never write a question mark" in prompt["content"] for prompt in prompts} == {has}


def test_the_names_are_many_and_no_words():
    from data_gen.words import vocabulary, words

    names = next(f for f in load("simple_stories").factors if f.name == "names").labels
    assert len(names) >= 300 and all(re.fullmatch("[A-Z][a-z]+", name) for name in names)
    assert not {name.lower() for name in names} & vocabulary(words())


def test_the_worked_example_of_the_docs_is_true(tmp_path):
    docs = (Path(__file__).parents[2] / "docs/recipes.md").read_text("utf-8")
    recipe, program, output = re.findall(r"```(?:toml|python)?\n(.*?)```", docs, re.DOTALL)
    (tmp_path / "dentist_calls.toml").write_text(recipe, "utf-8")
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == output
    for name in bundled():
        assert f"| `{name}` |" in docs
    for name in "simple_stories", "support_calls", "tinystories", "tinychat":
        assert f"| {Sampler(load(name), 0).space:,} |" in docs
