"""StableHLO files give, without the model's code, what the model gives."""

import dataclasses
import json
import re
import subprocess
import sys

import jax
import jax.export
import numpy as np
import pytest

from tests.expect import refused
from tests.tsjax.formats.models import CONFIGS, trained
from tsjax import decode, families, model
from tsjax.config import ModelConfig
from tsjax.formats import stablehlo, verify
from tsjax.formats.stablehlo import verify_stablehlo, write_stablehlo

pytest.importorskip("flatbuffers")
pytestmark = pytest.mark.usefixtures("as_shipped")  # equality bit for bit

SHAPES = [(1, 200), (3, 17)]
LLAMA = dataclasses.replace(CONFIGS["llama"], layers=2)
NEO = dataclasses.replace(CONFIGS["gpt_neo"], layers=2)
ODD = ModelConfig(**families.llama(
    vocab_size=512, width=48, context=256, layers=3, heads=4, kv_heads=1, position=("rope", "none", "alibi"),
    attention=("global", "local"), window=20, attn_sinks=True, qk_norm=True, attn_soft_cap=30.0, final_soft_cap=20.0,
    tied=False, norm_position="post", dropout=0.1, dtype="bfloat16",
))  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama") / "out"
    return trained(LLAMA), folder, write_stablehlo(trained(LLAMA), folder)


def loaded(folder, name):
    return jax.export.deserialize((folder / name).read_bytes()).call


def tokens_of(shape) -> np.ndarray:
    return np.random.default_rng(1).integers(512, size=shape, dtype=np.int32)


@pytest.mark.parametrize("config", [LLAMA, NEO, ODD], ids=["llama", "gpt_neo", "every knob"])
def test_e1_logits_are_equal_bit_for_bit_at_two_shapes(config, tmp_path):
    """With the function that was exported; the model's own kernel sums in another order, so to T."""
    source = trained(config)
    write_stablehlo(source, tmp_path / "out", platforms=("cpu",))
    call = loaded(tmp_path / "out", "logits.bin")
    for shape in SHAPES:
        tokens = tokens_of(shape)
        found = np.asarray(call(tokens))
        np.testing.assert_array_equal(found, stablehlo.logits_of(source)(tokens))
        decoder = model.bind(dataclasses.replace(config, dtype="float32"), source.params)
        expected = np.asarray(decoder.logits(decoder(tokens)))
        np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5 * max(2.0, float(expected.std())))
    assert verify_stablehlo(source, tmp_path / "out") <= 5e-5 * max(2.0, verify.difference(source, source).deviation)


def test_a_greedy_text_by_the_cached_function_is_the_decoders(written):
    source, folder, _ = written
    (row,) = decode.complete(source.config.model, source.params, [[1, 300, 7]], max_new=40, stops=(2,),
                             sampler=decode.Sampler(temperature=0))  # fmt: skip
    extend, start = jax.jit(loaded(folder, "extend.bin")), np.zeros(1, np.int32)
    cache, tokens, slot, ids = np.zeros((4, 1, 4, 43, 8), np.float32), np.array([[1, 300, 7]], np.int32), 0, []
    for _ in range(len(row.ids)):
        logits, cache = extend(tokens, cache, np.int32(slot), start)
        slot, tokens = slot + tokens.shape[1], np.asarray(logits).argmax(1, keepdims=True).astype(np.int32)
        ids.append(int(tokens[0, 0]))
    assert ids == row.ids and len(ids) > 5


def test_left_padded_rows_are_as_if_alone(written):
    _, folder, _ = written
    extend = jax.jit(loaded(folder, "extend.bin"))
    short, long = [1, 44, 9], [1, 300, 7, 80, 5]
    both, _ = extend(np.array([[0, 0, *short], long], np.int32), np.zeros((4, 2, 4, 9, 8), np.float32), np.int32(0),
                     np.array([2, 0], np.int32))  # fmt: skip
    for row, ids in enumerate((short, long)):
        alone, _ = extend(
            np.array([ids], np.int32), np.zeros((4, 1, 4, 9, 8), np.float32), np.int32(0), np.zeros(1, np.int32)
        )
        np.testing.assert_allclose(both[row], alone[0], atol=2e-5)


def test_more_tokens_than_the_context_are_refused_by_the_function(written):
    _, folder, _ = written
    with pytest.raises(ValueError, match="shapes"):
        loaded(folder, "logits.bin")(tokens_of((1, 201)))


def test_weights_are_inside_once(written):
    _, folder, report = written
    assert 4 * report["parameters"] < report["files"]["logits.bin"] < 4.5 * report["parameters"]
    assert report["files"].keys() == {"logits.bin", "extend.bin", "signature.json", "README.md", "tokenizer.model"}
    signature = json.loads((folder / "signature.json").read_text())
    assert signature["platforms"] == ["cpu", "cuda", "tpu"] and signature["context"] == 200
    assert signature["functions"]["logits.bin"] == {"in": ["int32[b,t]"], "out": ["float32[b,t,512]"]}


def test_the_readmes_program_runs_without_tsjax(written):
    source, folder, _ = written
    (program,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    program = f"import sys\n{program}\nassert not any(name.split('.')[0] in ('tsjax', 'flax') for name in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shape, ids = done.stdout.splitlines()
    (row,) = decode.complete(source.config.model, source.params, [[1]], max_new=20, stops=(600,),
                             sampler=decode.Sampler(temperature=0))  # fmt: skip
    assert shape == "(1, 3, 512)" and json.loads(ids) == row.ids


def test_an_unknown_platform_is_refused(tmp_path):
    with refused("cpu, cuda, tpu", "abacus"):
        write_stablehlo(trained(LLAMA), tmp_path / "out", platforms=("cpu", "abacus"))
    with refused("cpu, cuda, tpu", "none"):
        write_stablehlo(trained(LLAMA), tmp_path / "out", platforms=())
    assert not list(tmp_path.iterdir())
