"""llama2.c's 260K-parameter model, read and written again: sizes and bytes, run.c's golden text, runq.c's."""

import json
import struct

import numpy as np
import pytest

from tests.run_c_model import RunC
from tsjax.formats import llama2c, verify
from tsjax.formats.llama2c import open_llama2c, write_llama2c, write_llama2c_q8
from tsjax.tokenizer import tokenizer_bin

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def stories(shared):
    return shared / "models" / "stories260K"


@pytest.fixture(scope="module")
def model(stories):
    return open_llama2c(stories)


def test_b1_b2_written_again_it_is_the_same_file_but_for_the_rotary_tables(model, stories, tmp_path):
    report = write_llama2c(model, tmp_path / "out")
    raw, again = (stories / "stories260K.bin").read_bytes(), (tmp_path / "out" / "model.bin").read_bytes()
    assert struct.unpack_from("<7i", raw) == (64, 172, 5, 8, 4, 512, 512)
    assert len(again) == report["files"]["model.bin"] == 1_056_540
    tables = 4 * 2 * 512 * 4  # the head is tied, so they come last
    assert again[:-tables] == raw[:-tables]
    old, new = (np.frombuffer(data[-tables:], "<f4") for data in (raw, again))
    np.testing.assert_allclose(new, old, atol=1e-4)
    assert report["bits_per_weight"] == pytest.approx(8 * 1_056_540 / 260_032)


def test_tokenizer_bin_is_written_byte_for_byte(stories):
    assert tokenizer_bin.written(tokenizer_bin.read(stories / "tok512.bin"))[0] == (stories / "tok512.bin").read_bytes()


def test_b3_run_c_writes_the_golden_text_from_our_file(model, stories, tmp_path):
    write_llama2c(model, tmp_path / "out")
    golden = json.loads((stories / "reference_values.json").read_text())["greedy_ids_from_bos"]
    assert [1, *RunC(tmp_path / "out" / "model.bin").greedy(200)][: len(golden)] == golden


def test_b6_b7_runq_c_follows_run_c_for_400_characters(model, stories, tmp_path):
    report = write_llama2c_q8(model, tmp_path / "out")
    assert report["group"] == 4 and report["files"]["model.bin"] == 521_728
    assert any("groups of 4" in note for note in report["notes"])
    plain = RunC(stories / "stories260K.bin").greedy(256)
    rounded = RunC(tmp_path / "out" / "model.bin").greedy(256)
    same = next((i for i, (a, b) in enumerate(zip(plain, rounded, strict=False)) if a != b), len(plain))
    text = model.tokenizer.decode(plain[:same])
    print(f"\nrunq.c says the same as run.c for {len(text)} characters, {same} tokens")
    assert len(text) >= 400


def test_b9_every_weight_is_within_half_a_scale(model, tmp_path):
    report = write_llama2c_q8(model, tmp_path / "out")
    _, params = llama2c.read(tmp_path / "out" / "model.bin")
    wrong = {name: float(np.abs(np.asarray(value) - params[name]).max()) for name, value in model.params.items()}
    assert max(wrong.values()) == pytest.approx(report["largest_error"], rel=1e-5)
    assert report["largest_relative_error"] <= 1 / 254 * 1.0001
    off = verify.difference(model, llama2c.open_llama2c(tmp_path / "out")).largest
    print(f"\nlargest error {report['largest_error']:.2e}, logits off by {off:.3f}")
