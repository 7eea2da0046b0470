"""The stub is itself on trial: what it serves, breaks and bills is what its script and its book say."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.data_gen.stub_client import BROKEN, HEADERS, KEY, Client, chat, lines
from tests.openai_server import ANSWERS, FAULTS, REFUSALS, WIRE, Rule, Script, StubServer, bill, key_of, random_script
from tests.openai_server import read as read_ledger
from tests.openai_server.script import BATCHES, FATAL, LOSING

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
            (b"[1]", 400, None),
            (chat() | {"messages": ["hello"]}, 400, None),
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
    answer = {
        name: value for name, value in json.loads(reply[2]).items() if name not in ("id", "created", "created_at")
    }
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
        until = time.monotonic() + 10
        while not (served := [row["sent"] for row in server.ledger.rows("served")]) and time.monotonic() < until:
            time.sleep(0.05)
        assert served == ["nothing"]


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


def test_a_broken_answer_function_is_not_taken_for_a_fault():
    with pytest.raises(ZeroDivisionError), StubServer(answer=lambda body: str(1 / 0)) as server, pytest.raises(BROKEN):
        Client(server).ask("POST", "/chat/completions", chat())


def test_wrong_key_is_refused():
    with StubServer(key="another") as server:
        assert Client(server).ask("GET", "/models")[0] == 401


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
