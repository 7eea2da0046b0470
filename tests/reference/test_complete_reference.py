"""The 44 released prompts, and what llama2.c's 260K-parameter model writes after them."""

import json

import pytest

from eval.complete import complete, fingerprint
from eval.prompts import PromptSet, load
from tests.expect import refused
from tsjax.formats.llama2c import open_llama2c

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def prompts(shared) -> PromptSet:
    return load(shared / "data" / "eval" / "evaluation_prompts.yaml")


def test_both_files_hold_the_same_44(prompts, shared):
    path = shared / "data" / "eval" / "evaluation_prompts.json"
    assert load(path).hash == prompts.hash and len(prompts.prompts) == 44
    assert [prompt.text for prompt in prompts.prompts] == [text.strip() for text in json.loads(path.read_text())]


def test_own_prompts_are_none_of_the_released(prompts):
    def runs(texts):
        return {tuple(said[i : i + 6]) for said in map(str.split, texts) for i in range(len(said) - 5)}

    own = runs(
        prompt.text for name in ("stories", "knowledge", "reasoning", "context") for prompt in load(name).prompts
    )
    assert not own & runs(prompt.text for prompt in prompts.prompts)


def test_stories_260k_goes_on_from_all_44(prompts, shared):
    rows = list(complete(shared / "models" / "stories260K", prompts, mode="greedy"))
    assert len(rows) == 44 and {row.model for row in rows} == {"stories260K"}
    assert {row.parameters for row in rows} == {260_032} and {row.step for row in rows} == {None}
    assert sum(row.stop == "eos" for row in rows) > 22, "it ends its stories"
    assert all(row.text.isprintable() or "\n" in row.text for row in rows)
    per_token = sum(row.logprob for row in rows) / sum(row.tokens for row in rows)
    assert -1.2968 < per_token < -0.2, "greedy text is likelier than the validation text (1.2968 nats per token)"


def test_samples_at_temperature_1_are_as_surprising_as_stories(prompts, shared):
    """A sample's nats per token estimate the model's entropy, which a trained model has near its loss."""
    some = PromptSet("some", "", prompts.prompts[:20])
    rows = list(complete(shared / "models" / "stories260K", some, k=3, max_new=128))
    per_token = -sum(row.logprob for row in rows) / sum(row.tokens for row in rows)
    assert abs(per_token - 1.2968) < 0.3


def test_a_folder_or_its_file_is_one_model(shared):
    folder = shared / "models" / "stories260K"
    one, other = open_llama2c(folder), open_llama2c(folder / "stories260K.bin", folder / "tok512.bin")
    assert fingerprint(one) == fingerprint(other) and one.tokenizer.vocab_size == 512
    with refused("one llama2.c checkpoint"):
        open_llama2c(shared / "data")
    with refused("tok*.bin", "none"):
        open_llama2c(folder / "stories260K.bin", folder / "nothing.bin")
