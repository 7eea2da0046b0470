"""The client against every fault of the stub: a Reply, or the right kind of Failure, and the key nowhere."""

import asyncio
import builtins
import contextlib
import json
import logging
import re
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from data_gen import client as client_module
from data_gen.answer import read_answer
from data_gen.capabilities import profile
from data_gen.client import Client, Reply, address, read_body
from data_gen.failure import Failure, Kind
from data_gen.key import Key
from data_gen.request import Request
from tests.openai_server import ANSWERS, REFUSALS, WIRE, Rule, Script, StubServer
from tsjax.errors import UserError

KEY, NAME = "sk-proj-0123456789abcdefXYZ", "STUB_KEY"

REFUSED = {
    "quota": Kind.QUOTA,
    "capacity": Kind.CAPACITY,
    "bad_request": Kind.PERMANENT,
    "unprocessable": Kind.PERMANENT,
    "bad_key": Kind.FATAL,
    "forbidden": Kind.FATAL,
    "no_model": Kind.FATAL,
    **{name: Kind.RATE for name in REFUSALS if name.startswith("rate_")},
    **{name: Kind.TRANSIENT for name in REFUSALS if name.startswith(("error_", "timeout_", "conflict_"))},
}
ASKED_TO_WAIT = {"rate_seconds": 1, "rate_ms": 0.02, "rate_date": 0, "rate_absurd": 86400}
WHOLE = ("slow_head", "slow_body", "wrong_type", "reset_after_body", "duplicate")  # the answer came, whatever followed
SPOILED = ("reset_after_body", "duplicate")  # for the next call on the connection


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS":
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(NAME, KEY)


def ask(i: int = 0, model: str = "stub", **params) -> Request:
    return Request("r", i, 0, 0, model, ({"role": "user", "content": f"Tell story {i}."},), params)


def calls(url: str, *requests: Request, **more) -> list[Reply | Failure]:
    """One after the other on one connection."""

    async def main() -> list[Reply | Failure]:
        got: list[Reply | Failure] = []
        async with Client(url, NAME, **({"timeout": 5, "connections": 1} | more)) as client:
            for request in requests:
                try:
                    got.append(await client.call(request))
                except Failure as why:
                    got.append(why)
        return got

    return asyncio.run(main())


def kind(got: Reply | Failure) -> Kind | None:
    return got.kind if isinstance(got, Failure) else None


# --- answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_an_answer(endpoint):
    with StubServer(answer=lambda body: "Once.") as server:
        [reply] = calls(server.url, ask(max_output_tokens=50), endpoint=endpoint)
    answer = read_answer(reply.body)
    assert (answer.text, answer.finish, answer.usage.output) == ("Once.", "stop", 2)
    limit = {"max_tokens": 50} if endpoint == "chat" else {"max_output_tokens": 50, "store": False, "stream": False}
    assert (reply.status, reply.dropped, reply.params) == (200, (), limit)
    assert reply.headers["x-ratelimit-limit-requests"] == "10000" and reply.headers["x-request-id"] == "req_1"
    assert set(reply.headers) <= {"date", "x-request-id", "openai-processing-ms"} | {
        name for name in reply.headers if name.startswith("x-ratelimit-")
    }


def test_a_body_is_kept_verbatim():
    text = 'Ünï “q” \\ \u2028 \ud83d\ude00 \u0000 {"a": 1}'.encode("utf-16", "surrogatepass").decode("utf-16")
    with StubServer(answer=lambda body: text) as server:
        [reply] = calls(server.url, ask())
        assert read_answer(reply.body).text == text


def test_params_that_the_model_refuses():
    with StubServer() as server:
        request = ask(model="gpt-6-luna", temperature=0.5)
        with pytest.raises(UserError, match="temperature"):
            calls(server.url, request, profile=profile("gpt-6-luna"))
        assert server.calls == 0
        [reply] = calls(server.url, request, profile=profile("gpt-6-luna"), strict=False)
        assert reply.dropped == ("temperature",) and reply.params == {}
        [reply] = calls(server.url, ask(model="gpt-6-luna"), profile=profile("gpt-6-luna"), tier="flex")
        assert reply.params == {"service_tier": "flex"}


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
@pytest.mark.parametrize("name", ANSWERS)
def test_odd_answers_are_answers(name, endpoint):
    with StubServer(Script(rules=(Rule(name),))) as server:
        replies = calls(server.url, ask(0), ask(1), endpoint=endpoint)
    assert all(isinstance(reply, Reply) for reply in replies), replies
    assert [read_answer(reply.body).finish for reply in replies]


# --- faults ---------------------------------------------------------------------------------------------------


def test_no_fault_is_forgotten():
    assert set(REFUSED) == set(REFUSALS) and set(WHOLE) < set(WIRE)


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    with StubServer(Script(rules=(Rule(name),))) as server:
        refused, again = calls(server.url, ask(), ask())
        assert server.calls == 2  # the client itself tries nothing twice
    assert kind(refused) is REFUSED[name] and refused.status == REFUSALS[name][0]
    wait = ASKED_TO_WAIT.get(name)
    assert refused.retry_after == (None if wait is None else pytest.approx(wait, abs=1))
    assert isinstance(again, Reply)
    if name != "error_502":  # that one comes as a page
        assert refused.message == REFUSALS[name][3] and refused.code == (REFUSALS[name][2] or "")


@pytest.mark.parametrize("name", WIRE)
def test_faults_of_the_wire(name):
    """Whatever is billed and lost is DOUBTFUL; and no later call gets the answer to an earlier one."""
    value = {"late": 1.0, "slow_head": 0.05, "slow_body": 0.1}.get(name)
    timeout = 0.3 if name == "late" else 5
    with StubServer(Script(rules=(Rule(name, match="story 1.", value=value),)), answer=told) as server:
        got = calls(server.url, *map(ask, range(5)), timeout=timeout)
        reached, billed = server.calls, server.ledger.totals["billed"]
    assert reached == 5 or (name == "reset_after_body" and reached == 4)
    assert billed == reached - (not WIRE[name])
    assert kind(got[1]) is (None if name in WHOLE else Kind.DOUBTFUL)
    if name in SPOILED:  # unless the pool has seen it before the next use
        assert kind(got[2]) in (Kind.DOUBTFUL, None)
    else:
        assert kind(got[2]) is None
    for i, reply in enumerate(got):
        assert not isinstance(reply, Reply) or read_answer(reply.body).text == f"Tell story {i}."
    assert kind(got[0]) is kind(got[3]) is kind(got[4]) is None


def test_an_answer_sent_twice_does_not_become_the_answer_to_the_next_request():
    """Both copies in one piece: the transport would serve the second one to the next request, and so on for ever."""
    served = []

    def serve(connection: socket.socket) -> None:
        while read_request(connection):
            served.append(len(served))
            body = b'{"choices": [], "n": %d}' % served[-1]
            whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            connection.sendall(whole * 2 if served[-1] == 1 else whole)

    with raw_server(serve) as url:
        got = calls(url, *map(ask, range(5)))
    assert kind(got[2]) is Kind.DOUBTFUL and "once more" in got[2].message
    assert [reply.body["n"] for reply in got if isinstance(reply, Reply)] == [0, 1, 3, 4]


def told(body: dict) -> str:
    return body["messages"][0]["content"]


def test_a_body_that_drips_for_ever_ends_with_the_timeout():
    """The transport's own timeouts are for a single read each: none of the eight takes longer than that."""
    with StubServer(Script(rules=(Rule("slow_body", value=2.4),))) as server:
        [got] = calls(server.url, ask(), timeout=0.4)
    assert kind(got) is Kind.DOUBTFUL and got.message == "no whole answer within 0.4 s"


def test_a_cancelled_call_is_cancelled_and_the_client_goes_on():
    async def main(url: str) -> Reply:
        async with Client(url, NAME, timeout=5, connections=1) as client:
            task = asyncio.ensure_future(client.call(ask(0)))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await client.call(ask(1))

    with StubServer(Script(rules=(Rule("slow_head", match="story 0", value=3),)), answer=told) as server:
        assert read_answer(asyncio.run(main(server.url)).body).text == "Tell story 1."


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with each connection what is told, one at a time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(ConnectionError):
                    serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < length(data):
        if not (more := connection.recv(65536)):
            break
        data += more
    return data


def length(data: bytes) -> int:
    head = data.split(b"\r\n\r\n", 1)[0].lower()
    return int(head.split(b"content-length: ")[1].split(b"\r\n")[0])


def answer(body: bytes, status: str = "200 OK", head: str = "") -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        lines = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{head}\r\n"
        connection.sendall(lines.encode() + body)

    return serve


def test_nothing_was_sent_where_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    [got] = calls(f"http://127.0.0.1:{port}/v1", ask())
    assert kind(got) is Kind.TRANSIENT and "no connection to 127.0.0.1" in got.message


def test_nothing_was_sent_where_the_name_is_unknown(monkeypatch):
    async def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", unknown)
    [got] = calls("https://nowhere.invalid/v1", ask())
    assert kind(got) is Kind.TRANSIENT and "Name or service not known" in got.message


def test_nothing_was_sent_where_a_connection_never_comes_about():
    """A full backlog: the handshake of TCP is not answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        [got] = calls(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", ask(), timeout=0.4)
        for filler in fillers:
            filler.close()
    assert kind(got) is Kind.TRANSIENT and "ConnectTimeout" in got.message


def test_nothing_was_sent_where_no_connection_was_free():
    async def main(url: str) -> list:
        async with Client(url, NAME, timeout=0.8, connections=1) as client:
            return await asyncio.gather(*(client.call(ask(i)) for i in range(2)), return_exceptions=True)

    with StubServer(Script(latency=0.6)) as server:
        first, second = asyncio.run(main(server.url))
        assert server.calls == 1
    assert isinstance(first, Reply) and kind(second) is Kind.TRANSIENT and "PoolTimeout" in second.message


def test_a_connection_closed_while_idle_is_replaced_and_one_reset_on_use_is_doubtful():
    seen = []

    def once(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        body = b'{"choices": [], "n": %d}' % len(seen)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        if len(seen) == 2:  # stays open, and answers the next request with a reset
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def main(url: str) -> list:
        async with Client(url, NAME, timeout=5, connections=1) as client:
            got = []
            for i in range(4):
                got.append(*await asyncio.gather(client.call(ask(i)), return_exceptions=True))
                await asyncio.sleep(0.1)
            return got

    with raw_server(once) as url:
        got = asyncio.run(main(url))
    assert [kind(reply) for reply in got] == [None, None, Kind.DOUBTFUL, None]
    assert len(seen) == 3  # the doubtful one was not read to the end, but that the client can't know


@pytest.mark.parametrize(
    "body",
    [b"null", b"[]", b'"text"', b"{}", b'{"choices": null}', b'{"choices": {}}', b'{"output": "x"}', b"\xff\xfe", b"",
     b'{"choices": [NaN]}', b'{"choices": [1e999]}', b'{"choices": [' + b"[" * 5000 + b"]" * 5000 + b"]}",
     b'{"error": {"message": "upstream"}}',
     b'{"status": "failed", "output": [], "error": {"code": "server_error", "message": "It broke."}}'],
)  # fmt: skip
def test_a_200_that_is_no_answer_is_doubtful(body):
    with pytest.raises(Failure) as why:
        read_body(body)
    assert why.value.kind is Kind.DOUBTFUL and why.value.status == 200
    with raw_server(answer(body)) as url:
        assert kind(calls(url, ask())[0]) is Kind.DOUBTFUL


def test_a_200_that_does_not_unpack_is_doubtful():
    with raw_server(answer(b"no gzip", head="Content-Encoding: gzip\r\n")) as url:
        [got] = calls(url, ask())
    assert kind(got) is Kind.DOUBTFUL and "DecodingError" in got.message


def test_a_response_that_failed_by_rate():
    with pytest.raises(Failure) as why:
        read_body(b'{"status": "failed", "output": [], "error": {"code": "rate_limit_exceeded", "message": "Slow."}}')
    assert why.value.kind is Kind.RATE


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"error": "no such model"}', "no such model"),
        (b'{"message": "gone", "code": 404}', "gone"),
        (b"[1]", "HTTP status 404"),
        (b'{"error": null}', "HTTP status 404"),
        (b"<html>", "HTTP status 404"),
        (b'{"error": {"message": "a\\n  b", "code": 7}}', "a b"),
    ],
)
def test_errors_of_other_servers(body, message):
    with raw_server(answer(body, "404 Not Found")) as url:
        [got] = calls(url, ask())
    assert (kind(got), got.message) == (Kind.FATAL, message)


# --- the key --------------------------------------------------------------------------------------------------


def test_a_redirect_is_not_followed():
    with StubServer() as elsewhere:
        for status in "301 Moved", "307 Temporary Redirect", "308 Permanent Redirect":
            with raw_server(answer(b"", status, f"Location: {elsewhere.url}/chat/completions\r\n")) as url:
                assert kind(calls(url, ask())[0]) is Kind.FATAL
        assert elsewhere.calls == 0


def test_a_key_goes_nowhere_by_accident(monkeypatch):
    heads = []

    def listen(connection: socket.socket) -> None:
        heads.append(read_request(connection).split(b"\r\n\r\n")[0].decode().lower())
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{"choices": []}')

    for name in "OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY":
        monkeypatch.setenv(name, "secret-of-openai")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer secret-of-openai")
    for name in "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy":
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens: a request through it would fail

    async def main(*where) -> None:
        async with Client(*where, timeout=5) as client:
            await client.call(ask())

    with raw_server(listen) as url:
        asyncio.run(main(url))
        assert "openai-organization" not in heads[0]
        assert "secret" not in heads[0] and "authorization: bearer none" in heads[0]
        asyncio.run(main(url, NAME))
        assert "secret" not in heads[1] and f"authorization: bearer {KEY.lower()}" in heads[1]
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        asyncio.run(main())
        assert "bearer secret-of-openai" in heads[2]  # this address and this key belong together


def test_a_key_is_in_no_message_repr_log_or_traceback(caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    with StubServer(key="sk-another-key") as server:
        calls(server.url, ask())
    with raw_server(lambda connection: None) as url:
        [lost] = calls(url, ask())
        client = Client(url, NAME)
    logged = caplog.text  # the SDK and the transport log much at this level, but not what they send
    assert "HTTP Request" in logged and "authorization" not in logged.lower()
    echo = f"Incorrect API key provided: {KEY}, also known as sk-proj-****fXYZ and Bearer {KEY}."
    error = json.dumps({"error": {"message": echo, "code": KEY}}).encode()
    with raw_server(answer(error, "401 Unauthorized", f"x-request-id: {KEY}\r\n")) as url:
        [refused] = calls(url, ask())
    with raw_server(answer(json.dumps({"choices": [], "echo": KEY}).encode(), head=f"x-request-id: {KEY}\r\n")) as url:
        [reply] = calls(url, ask())
    assert kind(refused) is Kind.FATAL and "Incorrect API key provided: ***" in refused.message
    texts = [
        str(refused),
        repr(refused),
        refused.code,
        repr(reply),
        str(lost),
        repr(client),
        str(vars(refused)),
        logged,
    ]
    for failure in refused, lost:
        assert failure.__cause__ is None and failure.__context__ is None
        texts += traceback.format_exception(failure)
    for text in texts:
        assert KEY not in text and "fXYZ" not in text


def test_keys(monkeypatch):
    with pytest.raises(UserError, match="NO_SUCH_KEY; found it is not set"):
        Key.read("NO_SUCH_KEY")
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        Client()
    for bad in "two words here", "sk-ключ-ключ", "sk-a\nInjected: header", "   ":
        monkeypatch.setenv("BAD_KEY", bad)
        with pytest.raises(UserError) as why:
            Key.read("BAD_KEY")
        assert bad.strip() == "" or bad not in str(why.value)
    key = Key.read(NAME)
    assert KEY not in repr(key) and KEY not in str(key) and KEY not in f"{key}"
    assert key.scrub(f"a {KEY} b") == "a *** b" and key.scrub_bytes(KEY.encode()) == b"***"
    assert Key("none").scrub("there is none") == "there is none" and Key("none").scrub_bytes(b"none") == b"none"
    assert key.scrub("the risk-averse task-oriented fox") == "the risk-averse task-oriented fox"


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" if i % 2 else f"\\u{ord(c):04X}" for i, c in enumerate(text))


FORMS = [KEY, escaped(KEY), KEY[:9] + escaped(KEY[9:]), json.dumps(escaped(KEY))[1:-1]]


@pytest.mark.parametrize("form", FORMS)
def test_a_key_in_the_escapes_of_json_comes_neither_through_answers_nor_errors(form):
    body = '{"choices": [{"message": {"content": "It is FORM."}, "FORM": 1}], "FORM": [{"a": "FORM"}]}'.replace(
        "FORM", form
    )
    error = '{"message": "Wrong key FORM.", "code": "FORM", "type": "x"}'.replace("FORM", form)
    failed, error = f'{{"status": "failed", "output": [], "error": {error}}}', f'{{"error": {error}}}'
    with raw_server(answer(body.encode())) as url:
        [reply] = calls(url, ask())
    assert isinstance(reply, Reply) and read_answer(reply.body).text == "It is ***."
    seen = [json.dumps(reply.body)]
    with raw_server(answer(failed.encode())) as url:
        seen += [f"{got} {got.code}" for got in calls(url, ask())]
    with raw_server(answer(error.encode(), status="400 Bad Request")) as url:
        seen += [f"{got} {got.code}" for got in calls(url, ask())]
    for text in seen:
        assert (
            "***" in text and KEY not in text and KEY not in re.sub(r"\\\\+u00(..)", lambda m: chr(int(m[1], 16)), text)
        )


def test_scrubbing_is_quick_and_leaves_the_rest():
    key = Key('ab"c\\d/ef1234')
    for form in json.dumps(key.text), json.dumps(key.text).replace("/", "\\/"):
        assert key.scrub_bytes(form.encode()) == b'"***"'
    flood = b'"' + b"\\" * 1_000_000 + b'\\u0041"'
    began = time.monotonic()
    assert key.scrub_bytes(flood) == flood and Key(KEY).scrub_bytes(flood) == flood
    assert time.monotonic() - began < 5
    said = json.dumps({"text": 'Tom\u2019s "dog" A\u0041 \x7f'}).encode()
    assert Key(KEY).scrub_bytes(said) == said


def test_utf_16_hides_no_key():
    with raw_server(answer(json.dumps({"choices": [{"message": {"content": KEY}}]}).encode("utf-16"))) as url:
        [got] = calls(url, ask())
    assert kind(got) is Kind.DOUBTFUL and KEY not in str(got)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("ftp://host/v1", "http or https"), ("127.0.0.1:8000", "http or https"), ("", "http or https"),
        ("http://", "http or https"), ("http://[::1", "http or https"), ("https://h:99999/v1", "http or https"),
        ("https://me:hunter2@host.com/v1", "user name"), ("https://host.com/v1?key=hunter2", "query"),
        ("https://host.com/v1#hunter2", "fragment"), ("http://api.example.com/v1", "in clear"),
        ("http://8.8.8.8/v1", "in clear"),
    ],
)  # fmt: skip
def test_addresses_that_are_refused(url, word):
    with pytest.raises(UserError, match=word) as why:
        address(url)
    assert "hunter2" not in str(why.value)


@pytest.mark.parametrize(
    "url", ["https://api.example.com/v1", "http://localhost:8000/v1", "http://127.0.0.1/v1", "http://[::1]:80/v1",
            "http://10.1.2.3:8000/v1", "http://gpu-node:8000/v1", "http://box.local/v1"],
)  # fmt: skip
def test_addresses_that_are_taken(url):
    assert address(url + "/") == url


def test_without_the_package(monkeypatch):
    real = builtins.__import__

    def missing(name, *more, **others):
        if name.partition(".")[0] in ("openai", "httpx2"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *more, **others)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match=r"pip install 'tsjax\[openai\]'"):
        Client("http://127.0.0.1:1/v1", NAME)
    assert client_module.PATHS  # the module itself needs no package


def test_an_unknown_endpoint():
    with pytest.raises(UserError, match="chat or responses"):
        Client("http://127.0.0.1:1/v1", NAME, endpoint="completions")
