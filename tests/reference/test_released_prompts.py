"""The 44 released beginnings are those that a link to the paper's scores asks for."""

import pytest

from eval import prompts
from eval.published import facts

pytestmark = pytest.mark.reference


def test_the_released_beginnings_have_the_hash_that_is_kept(shared):
    path = shared / "data" / "eval" / "evaluation_prompts.yaml"
    if not path.exists():
        pytest.skip(f"no {path}")
    assert prompts.load(path).hash == facts()["rulers"]["prompts"]
