"""The stub is itself on trial: what it serves, breaks and bills is what its script and its book say."""

import asyncio
import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.openai_server import ANSWERS, FAULTS, REFUSALS, WIRE, Rule, Script, StubServer, bill, key_of, random_script
from tests.openai_server import read as read_ledger
from tests.openai_server.script import BATCHES, FATAL, LOSING

KEY = "sk-never-to-be-written"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
BROKEN = (ConnectionError, http.client.HTTPException, TimeoutError)


class Client:
    """One connection at a time, and no opinion about errors."""

    def __init__(self, server: StubServer, timeout: float = 5):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)

    def ask(self, method: str, path: str, body=None, headers=HEADERS):
        data = json.dumps(body) if isinstance(body, dict) else body
        self.connection.request(method, f"/v1{path}", data, headers)
        reply = self.connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()

    def json(self, method: str, path: str, body=None):
        status, _, data = self.ask(method, path, body)
        return status, json.loads(data)

    def upload(self, lines: list[dict]):
        parts = [b'--mark\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n',
                 b'--mark\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n'
                 b"Content-Type: application/octet-stream\r\n\r\n",
                 "\n".join(map(json.dumps, lines)).encode(), b"\r\n--mark--\r\n"]  # fmt: skip
        form = HEADERS | {"Content-Type": "multipart/form-data; boundary=mark"}
        return self.ask("POST", "/files", b"".join(parts), form)


def chat(text: str = "Tell a story.", **more) -> dict:
    return {"model": "stub", "messages": [{"role": "user", "content": text}], **more}


def lines(count: int) -> list[dict]:
    return [{"custom_id": f"id-{i}", "method": "POST", "url": "/v1/chat/completions", "body": chat(f"Story {i}.")}
            for i in range(count)]  # fmt: skip


def create(client: Client, file: str):
    given = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
             "metadata": {"run": "r1"}}  # fmt: skip
    return client.json("POST", "/batches", given)


def run_batch(server: StubServer, count: int = 10) -> tuple[dict, list[dict], list[dict]]:
    """Uploads, creates and polls to the end; the batch and the lines of its output and error file."""
    client = Client(server)
    status, batch = create(client, json.loads(client.upload(lines(count))[2])["id"])
    assert status == 200, batch
    for _ in range(20):
        status, seen = client.json("GET", f"/batches/{batch['id']}")
        if status == 200 and seen["status"] in ("completed", "failed", "expired", "cancelled"):
            break
    files = []
    for name in "output_file_id", "error_file_id":
        data = client.ask("GET", f"/files/{seen[name]}/content")[2].decode() if seen[name] else ""
        files.append([json.loads(line) for line in data.splitlines()])
    return seen, files[0], files[1]


def ids(rows: list[dict]) -> Counter[str]:
    return Counter(row["custom_id"] for row in rows)


# --- answers --------------------------------------------------------------------------------------------------


def test_an_answer_its_usage_and_the_book_agree():
    with StubServer() as server:
        client = Client(server)
        status, answer = client.json("POST", "/chat/completions", chat())
        assert (status, answer["choices"][0]["finish_reason"]) == (200, "stop")
        assert answer == client.json("POST", "/chat/completions", chat())[1] | {
            key: answer[key] for key in ("id", "created")
        }
        [billed, again] = server.ledger.rows("billed")
        assert (billed["id"], billed["tokens_in"]) == (
            answer["id"].removeprefix("chatcmpl-"),
            answer["usage"]["prompt_tokens"],
        )
        assert billed["tokens_out"] == answer["usage"]["completion_tokens"] and billed["key"] == key_of(chat())
        assert (again["attempt"], server.calls) == (2, 2)
        cost = 2 * (10 * billed["tokens_in"] + 50 * billed["tokens_out"]) / 1e6
        assert bill(server.ledger.rows(), {"stub": (10, 50)}) == pytest.approx(cost)


def test_responses_and_models():
    with StubServer(answer=lambda body: "Once.") as server:
        client = Client(server)
        status, answer = client.json("POST", "/responses", {"model": "stub", "input": "Tell."})
        assert (status, answer["status"]) == (200, "completed")
        assert answer["output"][0]["content"][0]["text"] == "Once." and answer["usage"]["output_tokens"] == 2
        assert "stub" in [model["id"] for model in client.json("GET", "/models")[1]["data"]]


def test_what_the_vendor_would_refuse_is_refused_and_free():
    with StubServer() as server:
        client = Client(server)
        for body, status, told in [
            (chat() | {"model": "gpt-0"}, 404, "model_not_found"),
            (chat() | {"model": "gpt-6-luna", "temperature": 0.5}, 400, "unsupported_value"),
            (chat() | {"model": "gpt-6-luna", "max_tokens": 5}, 400, "unsupported_parameter"),
            ({"model": "stub"}, 400, "missing_required_parameter"),
            (b"{", 400, None),
        ]:
            assert (status, told) == (lambda got: (got[0], got[1]["error"]["code"]))(
                client.json("POST", "/chat/completions", body)
            )
        assert client.ask("POST", "/chat/completions", chat(), {})[0] == 401
        free = chat() | {"model": "gpt-6-luna", "temperature": 0.5, "reasoning_effort": "none"}
        assert client.ask("POST", "/chat/completions", free)[0] == 200
        assert len(server.ledger.rows("billed")) == 1


def test_the_cap_on_tokens_holds():
    with StubServer(Script(reasoning=40)) as server:
        body = chat() | {"model": "gpt-6-luna", "max_completion_tokens": 50}
        answer = Client(server).json("POST", "/chat/completions", body)[1]
        assert answer["choices"][0]["finish_reason"] == "length" and answer["usage"]["completion_tokens"] == 50
        assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 40


def told(reply: tuple) -> str:
    """An answer without what differs between two attempts."""
    answer = {name: value for name, value in json.loads(reply[2]).items() if name not in ("id", "created", "created_at")}
    return re.sub(r'-\d"', '"', json.dumps(answer))


@pytest.mark.parametrize("path", ["/chat/completions", "/responses"])
@pytest.mark.parametrize("fault", ANSWERS)
def test_odd_answers_are_billed_and_stay_the_same(fault, path):
    body = chat() if path != "/responses" else {"model": "stub", "input": "Tell a story."}
    with StubServer(Script(rules=(Rule(fault),))) as server:
        first, again = (Client(server).ask("POST", path, body) for _ in range(2))
        assert first[0] == 200 and told(first) == told(again) and len(server.ledger.rows("billed")) == 2
        assert {row["fault"] for row in server.ledger.rows("served")} == {fault}
    with StubServer() as server:
        plain = Client(server).ask("POST", path, body)
    if fault in ("odd_headers", "clock_jump"):
        assert {**first[1], "x-request-id": ""} != {**plain[1], "x-request-id": ""}
    elif fault == "wrong_id":
        assert json.loads(first[2])["id"] == json.loads(again[2])["id"]
    else:
        assert told(first) != told(plain)


# --- refusals and the wire ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", REFUSALS)
def test_refusals_are_free_and_end(fault):
    with StubServer(Script(rules=(Rule(fault),))) as server:
        client = Client(server)
        status, headers, data = client.ask("POST", "/chat/completions", chat())
        assert status == REFUSALS[fault][0] and server.ledger.totals["billed"] == 0
        assert fault == "error_502" or json.loads(data)["error"]["code"] == REFUSALS[fault][2]
        waits = {name.lower() for name in headers} & {"retry-after", "retry-after-ms"}
        assert bool(waits) == (fault in ("rate_seconds", "rate_ms", "rate_date", "rate_absurd", "rate_nonsense"))
        assert client.ask("POST", "/chat/completions", chat())[0] == 200


@pytest.mark.parametrize("fault", WIRE)
def test_wire_faults_are_seen_and_billed_as_the_table_says(fault):
    slow = fault in ("slow_head", "slow_body", "late")
    with StubServer(Script(rules=(Rule(fault, value=0.3 if slow else None),))) as server:
        client = Client(server, timeout=0.1 if fault == "late" else 5)
        seen, begin = None, time.monotonic()
        try:
            seen = client.ask("POST", "/chat/completions", chat())
        except BROKEN as error:
            assert fault.startswith(("reset", "close")) or fault == "late", error
        whole = {"slow_head", "slow_body", "wrong_type", "duplicate", "reset_after_body"}
        if seen is None:
            assert fault not in whole - {"reset_after_body"}
        else:
            good = seen[2].startswith(b"{") and seen[2].endswith(b"}")
            assert seen[0] == 200 and good == (fault in whole)
            assert not slow or time.monotonic() - begin >= 0.25
        assert server.ledger.totals["billed"] == WIRE[fault]
        assert Client(server).ask("POST", "/chat/completions", chat())[0] == 200
        assert server.ledger.totals["billed"] == WIRE[fault] + 1


def test_who_left_is_written_down():
    with StubServer(Script(rules=(Rule("late", value=0.2),))) as server:
        client = Client(server, timeout=0.05)
        with pytest.raises(TimeoutError):
            client.ask("POST", "/chat/completions", chat())
        client.connection.close()
        time.sleep(0.3)
        assert [row["sent"] for row in server.ledger.rows("served")] == ["nothing"]


def test_faults_depend_on_the_request_and_not_on_the_order():
    script = Script(seed=5, rules=(Rule("error_500", 0.3, None), Rule("rate_ms", 0.3, 2), Rule("refusal", 0.3)))

    def met(order: list[int]) -> dict[str, list[tuple[int, str]]]:
        with StubServer(script, answer=lambda body: "Once.") as server:
            client = Client(server)
            for number in order:
                client.ask("POST", "/chat/completions", chat(f"{number}"))
            keys = {row["n"]: (row["key"], row["attempt"]) for row in server.ledger.rows("received")}
            return {keys[row["n"]]: (row["status"], row["fault"]) for row in server.ledger.rows("served")}

    both = [*range(30), *range(30)]
    first = met(both)
    assert first == met(both[::-1]) and len(set(first.values())) == 4


def test_rules_pick_by_text_attempt_and_order():
    rules = (Rule("error_500", match="bear", attempts=2), Rule("conflict_409", match="cat", attempts=None),
             Rule("quota", after=7))  # fmt: skip
    with StubServer(Script(rules=rules)) as server:
        client = Client(server)
        told = [client.ask("POST", "/chat/completions", chat(text))[0] for text in ("a bear",) * 3 + ("a cat",) * 3]
        assert told == [500, 500, 200, 409, 409, 409]
        assert [client.ask("POST", "/chat/completions", chat(t))[0] for t in ("a", "b", "c")] == [200, 429, 429]
    with pytest.raises(ValueError, match="no fault is called 'eror'"):
        Rule("eror")


def test_a_true_limit_is_kept():
    with StubServer(Script(per_second=5), answer=lambda body: "Once.") as server:
        client = Client(server)
        told = Counter(client.ask("POST", "/chat/completions", chat(str(i)))[0] for i in range(20))
        assert 5 <= told[200] <= 7 and told[429] == 20 - told[200]


# --- the book -------------------------------------------------------------------------------------------------


def test_no_key_reaches_the_book_and_a_leak_is_told(tmp_path):
    book = tmp_path / "book.jsonl"
    with StubServer(ledger=book) as server:
        client = Client(server)
        headers = HEADERS | {"X-Client-Request-Id": f"a {KEY}", "X-Other": KEY}
        client.ask("POST", "/chat/completions", chat(), headers)
        client.ask("POST", "/chat/completions", chat(f"My key is {KEY}."))
        client.ask("GET", f"/files/{KEY}")
        client.upload(lines(2))
    assert KEY not in book.read_text() and "earer" not in book.read_text()
    received = list(read_ledger(book, "received"))
    assert [row["key_in_body"] for row in received] == [False, True, True, False]
    assert received[0]["ids"] == {"x-client-request-id": "a ***"}


def test_wrong_key_is_refused():
    with StubServer(key="another") as server:
        assert Client(server).ask("GET", "/models")[0] == 401


# --- batches --------------------------------------------------------------------------------------------------


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


# --- scripts, and the server as a whole -----------------------------------------------------------------------


def test_random_scripts_are_many_repeatable_and_within_a_clients_reach():
    scripts = [random_script(seed) for seed in range(300)]
    assert scripts == [random_script(seed) for seed in range(300)] == [Script.load(s.dump()) for s in scripts]
    assert len({script.dump() for script in scripts}) == 300
    rules = [rule for script in scripts for rule in script.rules]
    assert {rule.fault for rule in rules} == set(FAULTS) - set(FATAL) - set(LOSING) - {"rate_seconds", "rate_absurd"}
    assert all((rule.attempts or 9) <= 2 for rule in rules if rule.fault in (*REFUSALS, *WIRE, *BATCHES))
    hard = [rule.fault for seed in range(300) for rule in random_script(seed, fatal=True, slow=True).rules]
    assert set(hard) == set(FAULTS)


def test_three_tries_get_through_every_random_script():
    for seed in range(12):
        with StubServer(random_script(seed, timeout=0.1), answer=lambda body: "Once.") as server:
            for number in range(15):
                for tries in (1, 2, 3):
                    client = Client(server, timeout=0.1)
                    try:
                        status, _, data = client.ask("POST", "/chat/completions", chat(str(number)))
                        if status == 200 and json.loads(data):
                            break
                    except (*BROKEN, ValueError):
                        pass
                    assert tries < 3, (seed, number)
            billed, served = server.ledger.totals["billed"], server.ledger.rows("served")
            assert billed >= 15 >= sum(row["status"] == 200 and not row["fault"] for row in served)


def test_a_process_of_its_own_leaves_its_book(tmp_path):
    script, book = tmp_path / "script.json", tmp_path / "book.jsonl"
    script.write_text(Script(rules=(Rule("error_500"),)).dump())
    command = [sys.executable, "-m", "tests.openai_server", "--script", script, "--ledger", book]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          cwd=Path(__file__).parents[2]) as process:  # fmt: skip
        port = int(process.stdout.readline().split(":")[2].split("/")[0])
        client = Client(type("There", (), {"port": port}))
        assert [client.ask("POST", "/chat/completions", chat())[0] for _ in range(2)] == [500, 200]
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    assert [row["event"] for row in read_ledger(book)] == ["received", "served", "received", "billed", "served"]


async def load(port: int, connections: int, each: int) -> int:
    """Calls over connections that stay open; the number of good answers."""
    good = 0

    async def one(number: int) -> None:
        nonlocal good
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for call in range(each):
            body = json.dumps(chat(f"{number} {call}")).encode()
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(body) + body)  # fmt: skip
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            good += head.startswith(b"HTTP/1.1 200") and await reader.readexactly(length) != b""
        writer.close()

    await asyncio.gather(*map(one, range(connections)))
    return good


def test_many_connections_at_once():
    with StubServer(Script(latency=0.05)) as server:
        assert asyncio.run(load(server.port, 120, 4)) == 480
        assert server.most >= 100 and server.ledger.totals["billed"] == 480
