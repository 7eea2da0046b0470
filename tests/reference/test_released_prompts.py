"""The 44 released beginnings are those that a link to the paper's scores asks for, in either form of the file."""

import pytest

from eval import published
from eval.prompts import load

pytestmark = pytest.mark.reference


@pytest.mark.parametrize("name", ["evaluation_prompts.yaml", "evaluation_prompts.json"])
def test_the_released_beginnings_have_the_hash_that_is_kept(shared, name):
    path = shared / "data" / "eval" / name
    if not path.exists():
        pytest.skip(f"no {path}")
    found = load(path)
    assert len(found.prompts) == 44 and found.hash == published.beginnings()
