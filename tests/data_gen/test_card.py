"""The card tells what the manifest holds, and nothing else."""

import copy
import json
import re

import pytest
import yaml

from data_gen.card import card
from data_gen.curate import curate
from tests.data_gen.raw_run import REFUSAL, ask, bundled, good, write
from tsjax.workers import Processes

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> dict:
    recipe = bundled("tinystories_instruct")
    rows = ask(recipe, 2, range(80), lambda request: REFUSAL if request.index % 9 == 4 else good(request))
    folder = write(tmp_path_factory.mktemp("runs") / "run", rows)
    curate(folder, recipe, seed=2, valid_fraction=0.1, about={"served by": "localhost"}, workers=Processes(1))
    found = json.loads((folder / "documents" / "manifest.json").read_text())
    assert (folder / "documents" / "README.md").read_text() == card(found)
    return found


def front(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_every_number_is_in_the_manifest(manifest):
    """The tables' rules and the Hub's size class apart."""
    text = re.sub(r"^- (n<1K|n>1T|\d.*)$", "", card(manifest), count=1, flags=re.MULTILINE)
    known = set(NUMBER.findall(json.dumps(manifest, ensure_ascii=False)))
    strange = [number for number in NUMBER.findall(text) if number not in known]
    assert not strange and len(NUMBER.findall(text)) > 50
    # The test can fail: a number that nobody counted is found.
    assert "424242" not in known


@pytest.mark.parametrize("key", ["answers", "acceptance", "documents", "coverage", "diversity", "edits"])
def test_a_changed_manifest_changes_the_card(manifest, key):
    """No part of the report is ignored: numbers come from there."""
    changed = copy.deepcopy(manifest)

    def raise_all(value):
        if isinstance(value, dict):
            return {k: raise_all(v) for k, v in value.items()} | ({"added": 3} if key == "edits" else {})
        if isinstance(value, list):
            return [raise_all(v) for v in value]
        return value + 7 if isinstance(value, int | float) and not isinstance(value, bool) else value

    changed["report"][key] = raise_all(manifest["report"][key])
    assert card(changed) != card(manifest)


def test_the_front_matter_is_what_the_hub_reads(manifest):
    found = front(card(manifest))
    assert found["configs"] == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "train.jsonl.zst"},
                {"split": "validation", "path": "valid.jsonl.zst"},
            ],
        }
    ]
    assert found["language"] == ["en"] and found["size_categories"] == ["n<1K"]
    bigger = copy.deepcopy(manifest)
    bigger["files"]["train"]["count"] = 2_000_000
    assert front(card(bigger))["size_categories"] == ["1M<n<10M"]


def test_a_licence_is_given_or_there_is_none(manifest):
    without = card(manifest)
    assert "license" not in front(without) and "No licence was given" in without and "No note on the terms" in without
    given = card(manifest | {"terms": "Made with a vendor's model; see their terms.", "licence": "cc-by-4.0"})
    assert front(given)["license"] == "cc-by-4.0" and "No licence" not in given
    assert "see their terms" in given and "No note" not in given
    assert front(card(manifest | {"licence": 'mit: "odd" #name'}))["license"] == 'mit: "odd" #name'


def test_the_recipe_with_its_prompts_is_in_it(manifest):
    text = card(manifest)
    assert bundled("tinystories_instruct").text.strip() in text and "- served by: localhost" in text
    fenced = copy.deepcopy(manifest)
    fenced["recipe"]["text"] += "\n# ```\n"
    assert card(fenced).rstrip().endswith("\n````")
