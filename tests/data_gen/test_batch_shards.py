"""Shards on disk and their limits, and the lenient reader of result files."""

import hashlib
import json

import pytest

from data_gen.batch_results import read_results
from data_gen.batch_shards import MOST_BYTES, MOST_LINES, Limits, Roster, Shard, ShardDraft, next_number
from tests.data_gen.batch_world import TERMS, request, result_line
from tsjax.errors import UserError


def fill(folder, requests, limits=Limits(), number=0) -> tuple[Shard | None, int]:
    draft, taken = ShardDraft(folder, number, TERMS, limits), 0
    for one in requests:
        if not draft.add(one, tries=taken):
            break
        taken += 1
    return draft.close(), taken


def test_a_shard_is_what_the_vendor_reads_and_what_we_need_later(tmp_path):
    asked = [request(i, text="Über 'näht'\u2028 \x85 about") for i in range(5)]
    shard, taken = fill(tmp_path, asked)
    data = shard.file().read_bytes()
    assert (taken, shard.n, shard.bytes, shard.sha256) == (5, 5, len(data), hashlib.sha256(data).hexdigest())
    assert shard.name == f"00000-{shard.sha256[:8]}" and data.isascii() and len(data.splitlines()) == 5
    for line, one in zip(data.splitlines(), asked, strict=True):
        row = json.loads(line)
        assert (row["custom_id"], row["method"], row["url"]) == (one.id, "POST", "/v1/chat/completions")
        assert row["body"]["messages"] == [dict(m) for m in one.messages] and len(row["custom_id"]) == 32
    roster = Roster(shard)
    for number, one in enumerate(asked):
        item = roster[one.id]
        assert item.request == one and item.request.factors == one.factors and item.tries == number
        assert item.sent == {"max_tokens": 700}
    assert list(roster) == [one.id for one in asked] and "other" not in roster
    roster.close()
    assert Shard.of(tmp_path, {"shard": shard.name, **shard.row()}) == shard
    assert not list(tmp_path.glob(".*")) and next_number(tmp_path) == 1


def test_limits_are_exact(tmp_path):
    assert (MOST_LINES, MOST_BYTES) == (50_000, 190_000_000)
    asked = [request(i) for i in range(4)]
    whole, _ = fill(tmp_path / "whole", asked)
    sizes = [len(line) + 1 for line in whole.file().read_bytes().splitlines()]
    tokens = [TERMS.tokens(one) for one in asked]
    for n in range(1, 5):
        for limits in (Limits(lines=n), Limits(bytes=sum(sizes[:n])), Limits(tokens=sum(tokens[:n])),
                       Limits(bytes=sum(sizes[: n + 1]) - 1 if n < 4 else MOST_BYTES)):  # fmt: skip
            shard, taken = fill(tmp_path / f"{n}", asked, limits)
            assert taken == shard.n == n and shard.bytes == shard.file().stat().st_size == sum(sizes[:n]), limits
    assert fill(tmp_path / "none", asked, Limits(bytes=sizes[0] - 1)) == (None, 0)
    assert fill(tmp_path / "one", asked, Limits(tokens=1))[1] == 1  # else it would never be sent
    assert fill(tmp_path / "two", [asked[0], request(1, model="gpt-4o-mini")])[1] == 1  # one model a batch
    assert not list((tmp_path / "none").iterdir())


def test_what_a_killed_process_left_is_removed_and_damage_is_told(tmp_path):
    shard, _ = fill(tmp_path, [request(0), request(1)], number=7)
    ShardDraft(tmp_path, 8, TERMS).add(request(2))
    assert next_number(tmp_path) == 8 and not list(tmp_path.glob(".*"))
    path = shard.file("requests")
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    with pytest.raises(UserError, match=r"requests of a batch"):
        Roster(shard)
    path.write_bytes(data.replace(b"about 1", b"about 2"))
    roster = Roster(shard)
    with pytest.raises(UserError, match="a request that is not"):
        roster[request(1).id]


def test_results_are_read_leniently(tmp_path):
    path = tmp_path / "results.jsonl"
    good = result_line("a")
    error = {"response": {"status_code": 429, "body": {"error": {"code": "rate", "message": "Slow down."}}}}
    expired = {"response": None, "error": {"code": "batch_expired", "message": "Too late."}}
    vllm = {"response": {"status_code": 400, "request_id": "vllm-batch-1", "body": None}, "error": "too long"}
    newer = vllm | {"error": {"error": {"message": "too long", "type": "BadRequestError", "code": 400}}}
    lines = [
        good, result_line("b", **error), result_line("c", **expired), result_line("d", **vllm), result_line("e", **newer),
        result_line("f", response={"status_code": 0, "request_id": "", "body": None}), "\n", "[1]\n", "nonsense\n",
        result_line("g", response={"status_code": 200, "body": {"id": "neither"}}),
        good.replace('"prompt_tokens": 5', '"x": NaN'),
        json.dumps({"response": None}) + "\n", "[" * 100_000 + "\n", '{"custom_id": 3}\n', "\xff\n", result_line("h")[:-40],
    ]  # fmt: skip
    path.write_bytes("".join(lines).encode("latin-1"))
    found = list(read_results(path))
    told = [(r.custom_id, r.status, r.code, r.error) for r in found[:6]]
    assert told == [
        ("a", 200, "", ""), ("b", 429, "rate", "Slow down."), ("c", 0, "batch_expired", "Too late."),
        ("d", 400, "", "too long"), ("e", 400, "400", "too long"), ("f", 0, "", "status 0 without an answer"),
    ]  # fmt: skip
    assert found[0].body["choices"] and found[0].request == "req" and found[3].request == "vllm-batch-1"
    assert [r.custom_id for r in found if r.body is not None] == ["a"]
    assert [(r.custom_id, r.code) for r in found[6:]] == [
        ("", "unreadable"), ("", "unreadable"), ("g", "unreadable"), ("", "unreadable"), ("", ""), ("", "unreadable"),
        ("", ""), ("", "unreadable"), ("", "unreadable"),
    ]  # fmt: skip
    assert b"".join(r.raw for r in found) == "".join(line for line in lines if line.strip()).encode("latin-1")
    for size in range(len(good) - 1):  # a last line cut anywhere is no answer, and nothing is raised
        path.write_text(good[:size])
        assert all(r.body is None for r in read_results(path))
