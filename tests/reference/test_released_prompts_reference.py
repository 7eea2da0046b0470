"""The released beginnings: the report knows them by their texts."""

import pytest

from eval.cautions import RELEASED_HASH
from eval.prompts import load

pytestmark = pytest.mark.reference


@pytest.mark.parametrize("name", ["evaluation_prompts.yaml", "evaluation_prompts.json"])
def test_a_file_of_the_44_beginnings_is_known(shared, name):
    found = load(shared / "data" / "eval" / name)
    assert len(found.prompts) == 44 and found.hash == RELEASED_HASH
