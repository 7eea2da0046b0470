"""CraftGPT's released weights: read, written, run as the machine does, and as a float model (interop.md 8 and C1-C9)."""

import dataclasses
import hashlib
import json
import random
import tarfile

import jax.numpy as jnp
import numpy as np
import pytest

from tests.expect import refused
from tsjax import decode, model
from tsjax.flops import count_parameters
from tsjax.formats.craftgpt import archive, numbers, rom
from tsjax.formats.craftgpt.comparison import compare
from tsjax.formats.craftgpt.emulator import Emulator, top
from tsjax.formats.craftgpt.opening import open_craftgpt, write_craftgpt
from tsjax.formats.craftgpt.quantise import quantise
from tsjax.formats.craftgpt.sampler import ShiftRegister, reply

pytestmark = pytest.mark.reference

GOLDEN = {
    "hello, how are you?": [6, 116, 76, 130, 366, 24, 11, 112, 49, 4],
    "i want to eat an apple": [17, 61, 890, 5, 38, 6, 21, 45, 128, 7, 654, 248, 29, 8, 4],
    "what do you think about the weather today?": [6, 14, 12, 96, 215, 122, 8, 16, 867, 9, 808, 112, 4],
    "can you help me with my feelings?": [8, 16, 90, 7, 121, 7, 69, 75, 52, 9, 63, 240, 4],
}
HELLO = [0, 79, 5, 33, 54, 18, 25, 1]


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "models" / "craftgpt"


@pytest.fixture(scope="module")
def released(folder):
    return open_craftgpt(folder / "craftgpt_weights_raw.tar.gz")


@pytest.fixture(scope="module")
def stored(released):
    return quantise(released.config.model, released.params)[0]


def test_c1_every_value_and_the_softmax_tables(folder, released):
    """5,087,280 numbers, those of the .npz but for the norms' lowest bit; the tables are checked where they are read."""
    assert sum(p.size for p in released.params.values()) == count_parameters(released.config.model).total == 5_087_280
    tied = dataclasses.replace(released.config.model, tied=True)
    assert count_parameters(tied).total == 4_626_480  # A7
    wanted = {n: p.shape for n, p in model.abstract(released.config.model).items()}
    assert {n: p.shape for n, p in released.params.items()} == wanted
    matrices = open_craftgpt(folder / "craftgpt_5m.npz")
    assert matrices.tokenizer.fingerprint == released.tokenizer.fingerprint
    for name, p in matrices.params.items():
        np.testing.assert_allclose(p, released.params[name], rtol=0, atol=2**-22 if name.endswith("scale") else 0)
    files, _ = archive.of_tar(folder / "craftgpt_weights_raw.tar.gz")
    assert rom.TABLES.keys() <= files.keys()
    with refused("softmax.bin"):
        rom.read(files | {"softmax.bin": files["softmax_2.bin"]})


def test_c2_written_again_every_file_is_the_same(folder, released, tmp_path):
    """Through float32 parameters, into a folder, and from there again; the concatenation has the published sum."""
    report = write_craftgpt(released, tmp_path / "rom")
    with tarfile.open(folder / "craftgpt_weights_raw.tar.gz") as tar:
        original = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]
    written = {
        str(p.relative_to(tmp_path / "rom")): p.read_bytes() for p in (tmp_path / "rom").rglob("*") if p.is_file()
    }
    assert len(written) == 555 + 2 + 2
    assert {n: b for n, b in written.items() if n != "report.json"} == {
        n: original[n] for n in written if n in original
    }
    assert report["clipped"] == 0 and all(row["snr_db"] is None for row in report["parameters"].values())
    again = open_craftgpt(tmp_path / "rom")
    assert all(np.array_equal(p, released.params[n]) for n, p in again.params.items())
    assert again.tokenizer.fingerprint == released.tokenizer.fingerprint


def test_c3_golden_replies(released, stored):
    """Ids exact with seed 1; after the first prompt the eight packed outputs exact."""
    machine = Emulator(released.config.model, stored)
    for prompt, said in GOLDEN.items():
        machine.forget()
        ids = [0, *released.tokenizer.encode([prompt])[0], 1]
        assert reply(machine, ids, stops=(0, 1), register=ShiftRegister(1)) == said
    machine.forget()
    logits = [machine.read(token) for token in HELLO][-1]
    assert [(entry & 2047, entry >> 11) for entry in top(logits)] == [
        (6, 7137419), (8, 950969), (49, 150465), (23, 83094), (17, 15132), (51, 9618), (11, 6508), (46, 5229)
    ]  # fmt: skip
    assert sum(seen["violations"] for seen in machine.ranges.report().values()) == 0


def test_c5_integers_against_floats_and_c6_the_scale(released, stored):
    """18 teacher-forced positions: C5 max 0.050 +- 0.002, losses 1.5167 and 1.5146 +- 0.001; C6 1/sqrt(48) is far off."""
    row = [*HELLO, *GOLDEN["hello, how are you?"]]
    found = compare(released.config.model, released.params, stored, [[*row, 0]])
    assert found["positions"] == 18
    assert abs(found["logit_difference_max"] - 0.0502) < 0.002
    assert abs(found["logit_difference_mean"] - 0.0065) < 0.0005
    assert round(found["argmax_agreement"] * 18) == 17
    found = compare(released.config.model, released.params, stored, [row])  # without what comes behind the answer
    assert abs(found["float_nll"] - 1.5167) < 0.001 and abs(found["integer_nll"] - 1.5146) < 0.001
    wrong = dataclasses.replace(released.config.model, attn_scale="head_dim")
    assert abs(compare(wrong, released.params, stored, [[*row, 0]])["logit_difference_max"] - 5.13) < 0.01


def test_float_answers(folder, released):
    """Greedy answers and logits of reference_values.json, which another float implementation made."""
    for example in json.loads((folder / "reference_values.json").read_text()):
        decoder = model.bind(released.config.model, released.params)
        logits = decoder.logits(decoder(jnp.asarray([example["prompt_ids"]])))[0, -1, :8]
        np.testing.assert_allclose(logits, example["last_prompt_logits_first8"], atol=5e-5)
        (answer,) = decode.complete(
            released.config.model, released.params, [example["prompt_ids"]], max_new=40, stops=(0, 1),
            sampler=decode.Sampler(temperature=0),
        )  # fmt: skip
        assert answer.ids == example["greedy_ids"]


def test_t4_the_word_list_is_a_greedy_matcher(released):
    """1,500 texts of words, parts of words and marks against a matcher that tries every token at every place."""
    words = released.tokenizer
    tokens = {token: i for i, token in enumerate(words.tokens)}
    longest = max(map(len, tokens))

    def greedy(text: str) -> list[int]:
        text, ids = " " + text.lower(), []
        while text:
            end = next(n for n in range(longest, 0, -1) if text[:n] in tokens)
            ids.append(tokens[text[:end]])
            text = text[end:]
        return ids

    draw = random.Random(4)
    pieces = [token.strip() for token in words.tokens[2:]] + list("abcdefghijklmnopqrstuvwxyz-!.,?;'")
    texts = ["".join(draw.choice(pieces) + draw.choice(["", " ", " ", "  "]) for _ in range(draw.randrange(1, 12)))
             for _ in range(1500)]  # fmt: skip
    assert words.encode(texts) == [greedy(text) for text in texts]
    assert words.encode(["hello, how are you?"]) == [[79, 5, 33, 54, 18, 25]] == [greedy("hello, how are you?")]


def test_sum_of_the_files(folder):
    """The sum that interop.md 8 gives for all ROM files, one after another in the order of their paths."""
    with tarfile.open(folder / "craftgpt_weights_raw.tar.gz") as tar:
        names = sorted(n for n in tar.getnames() if n.endswith(".bin"))
        total = hashlib.sha256(b"".join(tar.extractfile(n).read() for n in names))  # type: ignore[union-attr]
    assert total.hexdigest().startswith("22beaed9") and total.hexdigest().endswith("a3cd")


def test_the_head_is_the_rounded_embedding(released):
    """So the model was trained tied: every entry of the head is a nearest code of the embedding beside it."""
    codes, _ = numbers.weight_codes(np.asarray(released.params["embedding"]))
    nearest = numbers.weight_values()[codes]
    head, embedding = (np.asarray(released.params[n], np.float64) for n in ("unembedding", "embedding"))
    assert np.all(np.abs(head - embedding) <= np.abs(nearest - embedding))
