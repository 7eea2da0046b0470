"""The calls of the Batch API: what is tried again, what is not, and finding a batch whose reply was lost."""

import asyncio
import json
import random
import time

import pytest

from data_gen.client import Client
from data_gen.failure import Failure, Kind
from data_gen.vendor_batches import VendorBatches
from tests.data_gen.batch_world import KEY, Clock
from tests.data_gen.stub_client import lines
from tests.openai_server import Rule, Script, StubServer

URL = "/v1/chat/completions"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("BATCH_TEST_KEY", KEY)


def talk(server: StubServer, what):
    """Runs `what(vendor, clock)` against a server; no time passes."""

    async def one():
        clock = Clock()
        async with Client(server.url, "BATCH_TEST_KEY") as client:
            return await what(VendorBatches(client, tries=4, sleep=clock.sleep, rng=random.Random(0)), clock)

    return asyncio.run(one())


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "00000-abc.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines(4)))
    return path


async def finished(vendor, batch: dict) -> dict:
    for _ in range(9):
        batch = await vendor.retrieve(batch["id"])
    return batch


def test_a_batch_from_upload_to_results(shard, tmp_path):
    async def all_of_it(vendor, _):
        file = await vendor.upload(shard)
        batch = await finished(vendor, await vendor.create(file, URL, {"run": "r"}))
        out = tmp_path / "out.jsonl"
        assert await vendor.download(batch["output_file_id"], out) and len(out.read_text().splitlines()) == 4
        assert not await vendor.download("file-none", tmp_path / "none") and not (tmp_path / "none").exists()
        await vendor.delete(file)
        await vendor.delete(file)  # not there any more, and no matter
        with pytest.raises(Failure) as refused:
            await vendor.create(file, URL, {"run": "r"})
        assert refused.value.status == 400 and not list(tmp_path.glob(".*"))
        return batch

    with StubServer() as server:
        assert talk(server, all_of_it)["metadata"] == {"run": "r"}
        rows = server.ledger.rows("file")
        assert rows[0]["bytes"] == shard.stat().st_size


def test_an_upload_whose_reply_is_lost_is_done_again_and_a_create_is_not(shard):
    async def lost(vendor, clock):
        file = await vendor.upload(shard)
        with pytest.raises(Failure) as failure:
            await vendor.create(file, URL, {"run": "r", "shard": "s"})
        assert failure.value.kind is Kind.DOUBTFUL and KEY not in repr(failure.value)
        found = await vendor.find({"run": "r", "shard": "s"}, time.time())
        assert len(found) == 1 and not await vendor.find({"run": "r", "shard": "other"}, time.time())

    with StubServer(Script(rules=(Rule("upload_lost"), Rule("create_lost")))) as server:
        talk(server, lost)
        assert [row["status"] for row in server.ledger.rows("batch")] == ["created"]
        assert len(server.ledger.rows("file")) == 2


def test_a_batch_is_found_behind_many_others_and_no_page_is_read_in_vain(shard):
    async def look(vendor, _):
        file = await vendor.upload(shard)
        for number in range(230):
            await vendor.create(file, URL, {"run": "r", "shard": str(number)})
        before = server.calls
        for number, pages in ((3, 3), (229, 3)):
            (found,) = await vendor.find({"run": "r", "shard": str(number)}, time.time())
            assert found["metadata"]["shard"] == str(number)
            assert server.calls - before == pages
            before = server.calls
        assert not await vendor.find({"shard": "x"}, time.time() + 2 * 86_400) and server.calls - before == 1

    with StubServer(answer=lambda body: "Once.") as server:
        talk(server, look)


def test_downloads_that_break_are_done_again_and_polls_are_not(shard, tmp_path):
    async def broken(vendor, clock):
        batch = await vendor.create(await vendor.upload(shard), URL, {})
        for n in range(12):
            try:
                batch = await vendor.retrieve(batch["id"])
                assert n % 2
            except Failure as failure:
                assert failure.kind is Kind.TRANSIENT and not n % 2 and clock.now == 0
        for number in range(2):
            path = tmp_path / f"{number}.jsonl"
            assert await vendor.download(batch["output_file_id"], path)
            assert [json.loads(line)["custom_id"] for line in path.read_text().splitlines()] == [
                f"id-{i}" for i in range(4)
            ]

    for fault in "download_cut", "download_500":
        with StubServer(Script(rules=(Rule(fault), Rule("poll_500")))) as server:
            talk(server, broken)


def test_a_wrong_key_is_not_tried_again_and_is_not_told(shard, monkeypatch):
    async def refused(vendor, clock):
        with pytest.raises(Failure) as failure:
            await vendor.upload(shard)
        assert failure.value.kind is Kind.FATAL and clock.now == 0 and KEY not in str(failure.value)

    with StubServer(key="another") as server:
        talk(server, refused)
        assert server.calls == 1


def test_a_file_of_ours_that_is_missing_is_our_error(tmp_path):
    async def missing(vendor, _):
        with pytest.raises(FileNotFoundError):
            await vendor.upload(tmp_path / "none")

    with StubServer() as server:
        talk(server, missing)


def test_a_key_in_the_escapes_of_json_is_not_in_a_result_file(shard, tmp_path):
    escaped = "".join(f"\\u{ord(c):04x}" for c in KEY)

    async def echoed(vendor, _):
        batch = await finished(vendor, await vendor.create(await vendor.upload(shard), URL, {"run": "r"}))
        server.batches.content[batch["output_file_id"]] = f'{{"a": "{escaped}", "{escaped}": "{KEY}"}}\n{{'.encode()
        assert await vendor.download(batch["output_file_id"], tmp_path / "out")
        assert (tmp_path / "out").read_text() == '{"a": "***", "***": "***"}\n{'

    with StubServer() as server:
        talk(server, echoed)
