"""Answers of a recorded run, once more."""

import asyncio

import pytest

from data_gen import replay
from data_gen.answer import Reply
from data_gen.failure import Failure, Kind
from data_gen.raw import RawWriter
from data_gen.replay import Replay
from tests.data_gen.batch_world import request
from tsjax.errors import UserError


def row(index: int, text: str) -> dict:
    return {"id": request(index).id, "status": 200, "headers": {"x-request-id": f"r{index}"}, "params": {"max_tokens": 700},
            "dropped": ["top_p"], "body": {"choices": [], "text": text}}  # fmt: skip


def test_every_answer_comes_back_in_any_order_and_the_first_counts(tmp_path):
    writer = RawWriter(tmp_path, part_bytes=2_000)
    for start in range(0, 300, 5):
        writer.append([row(i, f"Zoë\u2028 {i}") for i in range(start, start + 5)])
    writer.append([row(7, "a second answer")])
    writer.close()
    parts = sorted((tmp_path / "raw").iterdir())
    assert len(parts) > 3
    parts[-1].write_bytes(parts[-1].read_bytes() + b"\x28\xb5\x2f\xfd torn")
    recorded = Replay(tmp_path)
    assert len(recorded) == 301
    for i in [7, *range(299, -1, -37), *range(300)]:
        expected = row(i, f"Zoë\u2028 {i}")
        reply = asyncio.run(recorded.call(request(i)))
        assert reply == Reply(200, expected["body"], expected["headers"], expected["params"], ("top_p",))
    assert len(recorded._unpacked) == replay.FRAMES
    with pytest.raises(Failure, match="not recorded") as failure:
        asyncio.run(recorded.call(request(300)))
    assert failure.value.kind is Kind.PERMANENT


def test_a_folder_without_answers_is_told(tmp_path):
    with pytest.raises(UserError, match="answers of a run"):
        Replay(tmp_path)
