"""llama2.c's 260K-parameter model as GGUF."""

import pytest

from tsjax.formats import verify
from tsjax.formats.gguf import read_again, write_gguf
from tsjax.formats.llama2c import open_llama2c

pytestmark = pytest.mark.reference
gguf = pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def model(shared):
    return open_llama2c(shared / "models" / "stories260K")


def test_d3_int8_loses_0_4_percent_of_a_matrix_largest_weight(model, tmp_path):
    """To the digit that the check gives: half a step is 0.394 %, and the float16 scale adds up to 0.049 %."""
    report = write_gguf(model, tmp_path / "out", dtype="q8_0")
    assert report["kept_f16"] == [f"blk.{i}.ffn_down.weight" for i in range(5)]
    print(f"\n{report}\nlogits off by {verify.difference(model, read_again(model, tmp_path / 'out')).largest:.3f}")
    assert round(report["largest_relative_error"], 3) == 0.004


def test_d4_float32_has_47_tensors_and_the_same_logits(model, tmp_path):
    assert write_gguf(model, tmp_path / "out")["tensors"] == 47
    assert verify.difference(model, read_again(model, tmp_path / "out")).largest == 0
