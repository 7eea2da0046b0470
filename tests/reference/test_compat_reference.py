"""B4: llama2.c's published sampled text, from its seed, out of our decoder; and whole sampled texts of the engine."""

import pytest

from tsjax import compat, decode
from tsjax.engine import Engine
from tsjax.formats.llama2c import open_llama2c
from tsjax.request import Request
from tsjax.sampler import Sampler

pytestmark = pytest.mark.reference
# doc/stories260K.md of karpathy/llama2.c (MIT): ./run stories260K.bin -z tok512.bin -t 1.0 -p 0.9 -s 133742
PUBLISHED = """Once upon a time, there was a little boy named Timmy. Timmy loved to play with his toys and eat sandwiches. \
One day, Timmy's mom told him it was time to rest for a while. Timmy's friend Billy came over and took him a down.
Timmy's mom saw that Timmy was sad, but Timmy said, "I didn't understand what is it! We need to find some leafs." Timmy \
thought about it and took a deep breath on a spoon. He hoped it was important to be kind and continued to find its image \
next time.
After they finished getting, Timmy's dad came up to his house and promised to help Timmy."""


@pytest.fixture(scope="module")
def reference(shared):
    folder = shared / "models" / "stories260K"
    model = open_llama2c(folder / "stories260K.bin")
    return model.config.model, model.params, model.tokenizer


def test_b4_seed_133742_gives_the_published_text(reference):
    """To its end: run.c stops where the model draws BOS or, as by default, after 256 steps."""
    config, params, tokenizer = reference
    (row,) = decode.complete(
        config, params, [[1]], max_new=256, stops=(tokenizer.bos,), sampler=compat.Llama2c(1.0, 0.9), seed=133742
    )
    text = compat.run_c_text(tokenizer, row.ids, tokenizer.bos)
    assert text == PUBLISHED


def test_i1_rows_of_64_equal_solo_runs(reference):
    """Trained weights, sampled: 64 at once in the batch decoder and through the engine, and one by one."""
    config, params, tokenizer = reference
    how = dict(max_new=100, stops=(tokenizer.bos,), sampler=Sampler(1.0, top_p=0.95), seed=5)
    together = decode.complete(config, params, [[1]] * 64, **how)
    engine = Engine(config, params, stops=(tokenizer.bos,), slots=64)
    try:
        asked = Request((1,), max_new=100, sampler=how["sampler"], seed=5, rows=tuple(range(64)))
        assert engine.submit(asked).all() == together
    finally:
        engine.close()
    for row in range(0, 64, 8):
        assert decode.complete(config, params, [[1]], row_seeds=[row], **how) == [together[row]]
