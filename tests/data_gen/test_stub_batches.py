"""The stub's Batch API: states, files, and what is lost, doubled or late in them."""

import json

import pytest

from tests.data_gen.stub_client import BROKEN, Client, chat, create, ids, lines, run_batch
from tests.openai_server import Rule, Script, StubServer, bill, random_script


def test_a_batch_gives_what_single_calls_give():
    with StubServer(Script(polls=2)) as server:
        batch, output, errors = run_batch(server, 5)
        assert (batch["status"], errors) == ("completed", []) and batch["metadata"] == {"run": "r1"}
        single = [Client(server).json("POST", "/chat/completions", row["body"])[1] for row in lines(5)]
        texts = [row["response"]["body"]["choices"] for row in output]
        assert texts == [answer["choices"] for answer in single]
        billed = [row for row in server.ledger.rows("billed") if row["batch"]]
        assert sum(row["tokens_out"] for row in billed) == batch["usage"]["output_tokens"] and len(billed) == 5
        assert batch["request_counts"] == {"total": 5, "completed": 5, "failed": 0}
        prices = {"stub": (1.0, 1.0)}
        assert bill(billed, prices) == pytest.approx(bill([row | {"batch": None} for row in billed], prices) / 2)


@pytest.mark.parametrize("fault", ["expired", "cancelled"])
def test_half_a_batch_is_half_the_bill(fault):
    with StubServer(Script(rules=(Rule(fault),))) as server:
        batch, output, errors = run_batch(server, 9)
        assert batch["status"] == fault and ids(output).keys() == {f"id-{i}" for i in range(5)}
        assert {row["error"]["code"] for row in errors} == ({"batch_expired"} if fault == "expired" else set())
        server.settle()
        assert server.ledger.totals["billed"] == 5


@pytest.mark.parametrize("fault", ["error_only", "some_errors", "missing", "missing_billed", "doubled", "unknown_id",
                                   "status_0", "shuffled"])  # fmt: skip
def test_faults_of_lines(fault):
    with StubServer(Script(rules=(Rule(fault),))) as server:
        batch, output, errors = run_batch(server)
        billed, seen = server.ledger.totals["billed"], ids(output) + ids(errors)
        lost = 10 - len(seen.keys() - {"nobody-asked"})
        assert (batch["status"], batch["output_file_id"] is None) == ("completed", fault == "error_only")
        assert bool(lost) == fault.startswith("missing") and bool(errors) == ("error" in fault)
        assert (max(seen.values()) > 1) == (fault == "doubled") and ("nobody-asked" in seen) == (fault == "unknown_id")
        free = sum(row["response"]["status_code"] != 200 for row in output + errors)
        assert billed == 10 - free - (lost if fault == "missing" else 0) and (free > 0) == bool(
            errors or fault == "status_0"
        )
        assert (list(ids(output)) == sorted(ids(output))) == (fault != "shuffled")
        # what is sent again comes
        assert fault in ("doubled", "unknown_id", "shuffled") or len(run_batch(server)[1]) == 10


def test_faults_of_calls_about_batches():
    names = ("upload_lost", "create_fails", "poll_500", "output_late", "download_500", "input_gone")
    for name in names:
        with StubServer(Script(rules=(Rule(name),))) as server:
            client = Client(server)
            if name == "upload_lost":
                with pytest.raises(BROKEN):
                    client.upload(lines(3))
                [file] = Client(server).json("GET", "/files?purpose=batch")[1]["data"]
            else:
                file = json.loads(client.upload(lines(3))[2])
            client = Client(server)
            status, batch = create(client, file["id"])
            if name in ("create_fails", "input_gone"):
                assert status == (500 if name == "create_fails" else 400) and not server.batches.batches
                continue
            polls = [client.json("GET", f"/batches/{batch['id']}") for _ in range(12)]
            done = [body for status, body in polls if status == 200 and body["status"] == "completed"]
            assert (500 in [status for status, _ in polls]) == (name == "poll_500")
            assert (done[0]["output_file_id"] is None) == (name == "output_late") and done[1]["output_file_id"]
            path = f"/files/{done[1]['output_file_id']}/content"
            told = [client.ask("GET", path)[0] for _ in range(2)]
            assert told == [500 if name == "download_500" else 200, 200]


def test_a_lost_create_is_found_in_the_list_and_paid_for():
    with StubServer(Script(rules=(Rule("create_lost"),))) as server:
        client = Client(server)
        file = json.loads(client.upload(lines(4))[2])["id"]
        with pytest.raises(BROKEN):
            create(client, file)
        [found] = Client(server).json("GET", "/batches?limit=10")[1]["data"]
        assert found["metadata"] == {"run": "r1"} and server.ledger.totals["billed"] == 2
        server.settle()
        assert server.ledger.totals["billed"] == 4


def test_stuck_torn_cut_gone_and_invalid():
    with StubServer(Script(rules=(Rule("stuck"),))) as server:
        client = Client(server)
        batch = create(client, json.loads(client.upload(lines(4))[2])["id"])[1]["id"]
        assert [client.json("GET", f"/batches/{batch}")[1]["status"] for _ in range(9)][3:] == ["finalizing"] * 6
        assert client.json("POST", f"/batches/{batch}/cancel")[1]["status"] == "cancelling"
        ended = client.json("GET", f"/batches/{batch}")[1]
        assert ended["status"] == "cancelled" and ended["request_counts"]["completed"] == 2
    with StubServer(Script(rules=(Rule("torn_line"),))) as server, pytest.raises(json.JSONDecodeError):
        run_batch(server)
    with StubServer(Script(rules=(Rule("download_cut"),))) as server, pytest.raises(BROKEN):
        run_batch(server)
    with StubServer(Script(rules=(Rule("output_gone"),))) as server:
        assert "error" in run_batch(server, 2)[1][0]
    with StubServer(Script(rules=(Rule("invalid_line"),))) as server:
        batch, output, _ = run_batch(server, 3)
        assert batch["status"] == "failed" and batch["errors"]["data"][0]["line"] in (1, 2, 3) and not output
        assert server.ledger.totals["billed"] == 0


def test_input_that_the_vendor_would_not_take():
    with StubServer(Script(enqueued_tokens=20)) as server:
        client = Client(server)
        other = [{"custom_id": "x", "method": "POST", "url": "/v1/responses", "body": chat()}]
        for rows, code in [(lines(1) * 2, "duplicate_custom_id"), (lines(99), "token_limit_exceeded"),
                           (other, "mismatched_endpoint"), ([{}], "invalid_json_line")]:  # fmt: skip
            batch = create(client, json.loads(client.upload(rows)[2])["id"])[1]
            assert client.json("GET", f"/batches/{batch['id']}")[1]["errors"]["data"][0]["code"] == code


def patient(server: StubServer, method: str, path: str, body=None):
    """Asks up to six times, each on a connection of its own; None where no reply came that says 200."""
    for _ in range(6):
        try:
            status, _, data = Client(server).ask(method, path, body)
        except BROKEN:
            continue
        if status == 200:
            return data
    return None


def collect(server: StubServer, rows: list[dict]) -> list[str]:
    """One round of a simple client: a batch of these rows, found again if its reply is lost; the ids that came."""
    try:
        file = json.loads(Client(server).upload(rows)[2])["id"]
        status, batch = create(Client(server), file)
    except BROKEN:
        found = json.loads(patient(server, "GET", "/batches"))["data"]
        if not found or found[0]["status"] != "validating":
            return []
        status, batch = 200, found[0]
    for _ in range(30 if status == 200 else 0):
        batch = json.loads(patient(server, "GET", f"/batches/{batch['id']}"))
        if batch["status"] in ("completed", "expired", "cancelled"):
            break
    came = []
    if status == 200:
        batch = json.loads(patient(server, "GET", f"/batches/{batch['id']}"))
        data = patient(server, "GET", f"/files/{batch['output_file_id']}/content") if batch["output_file_id"] else b""
        for line in data.decode().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["response"]["status_code"] == 200:
                came.append(row["custom_id"])
    return came


def test_every_random_script_lets_every_line_through():
    for seed in range(200):
        with StubServer(random_script(seed), answer=lambda body: "Once.") as server:
            left = {row["custom_id"]: row for row in lines(6)}
            for _ in range(20):
                for name in collect(server, list(left.values())):
                    left.pop(name, None)
                if not left:
                    break
            assert not left, (seed, server.script.rules)
            server.settle()
            assert server.ledger.totals["billed"] >= 6
