"""A server that speaks like OpenAI's, fails on purpose, and keeps a book of what it would have billed.

    with StubServer(Script(rules=(Rule("error_500", share=0.1),))) as server:
        client = AsyncOpenAI(base_url=server.url, api_key="...", max_retries=0)
        ...
        server.settle()
        assert bill(server.ledger.rows(), prices) <= client_paid

Loopback only, on a free port, in a thread with its own event loop. A call is billed when its work begins, so the book
is complete as soon as the client is done, also for answers that nobody waited for.
"""

import asyncio
import contextlib
import tempfile
import threading
import time
from collections import Counter
from email.utils import formatdate
from pathlib import Path
from typing import Any

from tests.openai_server.answers import CHAT, RESPONSES, Answer, Made, key_of, offline_story, problem_of, prompt_of
from tests.openai_server.batches import CUT, RESET, Batches
from tests.openai_server.ledger import CLIENT_IDS, Ledger
from tests.openai_server.script import ANSWERS, REFUSALS, WIRE, Rule, Script
from tests.openai_server.wire import MOST_HEAD, Gone, Reply, Request, Wire, error_reply, json_reply

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
PIECES = 8  # of a slow body
PATIENCE = 30.0  # seconds, where a slow or late rule gives no value


class StubServer:
    """The server, from `with` to its end. `most` is the largest number of calls it had in hand at once."""

    def __init__(self, script: Script | None = None, ledger: Path | None = None, answer: Answer = offline_story,
                 key: str | None = None, port: int = 0):  # fmt: skip
        self.script, self.answer, self.key, self.port = script or Script(), answer, key, port
        self._folder = None if ledger else tempfile.TemporaryDirectory(prefix="stub-ledger-")
        self.ledger = Ledger(ledger or Path(self._folder.name) / "ledger.jsonl")  # type: ignore[union-attr]
        self.batches = Batches(self.script, self.ledger, answer)
        self.calls = self.in_hand = self.most = 0
        self.bugs: list[Exception] = []  # of the stub or its answer function; the end of `with` raises the first
        self._attempts: Counter[str] = Counter()
        self._bucket, self._filled = float(self.script.per_second or 0), time.monotonic()
        self._loop = asyncio.new_event_loop()
        self._ready, self._thread = threading.Event(), threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "StubServer":
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the stub server did not start")
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self.batches.settle()
        self.ledger.close()
        if self._folder:
            self._folder.cleanup()
        if self.bugs and kind is None:
            raise self.bugs[0]

    def settle(self) -> None:
        """Bills the batches that nobody will poll again. Call it before the books are compared."""
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (self.batches.settle(), done.set()))
        done.wait(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self.serve())
        self._loop.close()

    async def serve(self) -> None:
        """Serves until stopped; connections that are open then are dropped."""
        self._stop = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            wire = Wire(reader, writer)
            try:
                with contextlib.suppress(Gone, ConnectionError, asyncio.CancelledError):
                    while True:
                        await self.one(wire, await wire.request())
            finally:
                tasks.discard(task)
                wire.close()

        server = await asyncio.start_server(connected, "127.0.0.1", self.port, limit=MOST_HEAD, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def one(self, wire: Wire, request: Request) -> None:
        """One request to its end, whatever that is."""
        self.calls += 1
        self.in_hand += 1
        self.most = max(self.most, self.in_hand)
        try:
            await self.dispatch(wire, request, self.calls)
        except (Gone, ConnectionError):
            raise
        except Exception as why:
            self.bugs.append(why)
            raise Gone from why
        finally:
            self.in_hand -= 1

    async def dispatch(self, wire: Wire, request: Request, n: int) -> None:
        body, key, model = None, "", None
        is_call = request.method == "POST" and request.path in (CHAT, RESPONSES)
        if is_call:
            with contextlib.suppress(ValueError):
                body = request.json()
            if isinstance(body, dict):
                key, model = key_of(body), body.get("model")
                self._attempts[key] += 1
        ids = {name: request.headers[name] for name in CLIENT_IDS if name in request.headers}
        sent_key = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if sent_key:
            ids = {name: value.replace(sent_key, "***") for name, value in ids.items()}
        self.ledger.write("received", n=n, key=key, attempt=self._attempts[key], model=model, ids=ids,
                          endpoint=f"{request.method} {self._plain(request.path, sent_key)}",
                          key_in_body=bool(sent_key) and (sent_key.encode() in request.body or sent_key in request.path
                          or sent_key in request.query.values()))  # fmt: skip
        if (self.key is not None and sent_key != self.key) or not sent_key:
            await self.send(wire, n, error_reply(401, "invalid_request_error", "invalid_api_key", "Incorrect API key."))
        elif is_call:
            await self.call(wire, request, body, key, n)
        elif request.method == "GET" and request.path == "/v1/models":
            models = [{"id": name, "object": "model", "created": 0, "owned_by": "stub"} for name in self.script.models]
            await self.send(wire, n, json_reply({"object": "list", "data": models}))
        else:
            try:
                reply, fate = self.batches.handle(request)
            except (KeyError, ValueError, TypeError, IndexError) as why:
                reply, fate = error_reply(400, "invalid_request_error", None, f"Invalid request: {why!r}"), ""
            if fate in (RESET, CUT):
                cut = reply.whole()[: -len(reply.body) // 2] if fate == CUT else b""
                await self.broken(wire, n, reply.status, "reply lost" if fate == RESET else "download_cut", cut)
            await self.send(wire, n, reply)

    @staticmethod
    def _plain(path: str, sent_key: str) -> str:
        return path.replace(sent_key, "***") if sent_key else path

    async def call(self, wire: Wire, request: Request, body: Any, key: str, n: int) -> None:
        """One call of a model: refused, broken or answered, as the script says."""
        try:
            prompt = prompt_of(body)
        except (AttributeError, TypeError):
            return await self.send(
                wire, n, error_reply(400, "invalid_request_error", None, "Could not parse the body.")
            )
        attempt = self._attempts[key]
        met = self.script.meets((*REFUSALS, *WIRE), key, attempt, prompt, n)
        rule = met[0] if met else None
        if rule and rule.fault == "reset_before":
            await self.broken(wire, n, 0, rule.fault)
        if rule and rule.fault in REFUSALS:
            return await self.send(wire, n, refusal_reply(rule), rule.fault)
        if self.script.per_second and (wait := self._wait()):
            limited = refusal_reply(Rule("rate_ms", value=1000 * wait))
            return await self.send(wire, n, limited, "per_second")
        if problem := problem_of(request.path, body, self.script.models):
            return await self.send(wire, n, error_reply(*problem))
        said = {one.fault for one in self.script.meets(ANSWERS, key, attempt, prompt, n)}
        made = Made(request.path, body, self.answer(body), said, self.script.reasoning, f"{key}-{attempt}")
        self.ledger.write("billed", n=n, batch=None, key=key, attempt=attempt, id=made.id, model=made.model,
                          tokens_in=made.tokens_in, tokens_out=made.tokens_out)  # fmt: skip
        if self.script.latency:
            await asyncio.sleep(self.script.latency)
        reply = json_reply(made.envelope, headers=limits(n, said))
        faults = ",".join([*([rule.fault] if rule else []), *sorted(said)])
        if rule:
            return await self.spoil(wire, n, reply, rule, faults)
        await self.send(wire, n, reply, faults)

    async def spoil(self, wire: Wire, n: int, reply: Reply, rule: Rule, faults: str) -> None:
        """Sends an answer the way the rule breaks it."""
        head, body, half = reply.head(), reply.body, len(reply.body) // 2
        seconds = PATIENCE if rule.value is None else rule.value
        match rule.fault:
            case "reset_after_work":
                await self.broken(wire, n, 200, faults)
            case "reset_in_head":
                await self.broken(wire, n, 200, faults, head[: len(head) // 2])
            case "reset_in_body":
                await self.broken(wire, n, 200, faults, head + body[:half])
            case "close_in_body":
                await self.broken(wire, n, 200, faults, head + body[:half], reset=False)
            case "reset_after_body":
                await self.broken(wire, n, 200, faults, head + body)
            case "slow_head" | "late":
                await asyncio.sleep(seconds)
            case "slow_body":
                size = max(1, -(-len(body) // PIECES))
                await wire.send(head)
                for start in range(0, len(body), size):
                    await asyncio.sleep(seconds / PIECES)
                    if start + size >= len(body):
                        self.served(wire, n, 200, faults)
                    await wire.send(body[start : start + size])
                return
            case "half_json":
                reply.body = body[:half]
            case "html":
                reply.body, reply.content_type = HTML, "text/html"
            case "wrong_type":
                reply.content_type = "text/plain"
            case "empty_body":
                reply.body = b""
            case "duplicate":
                await wire.send(reply.whole())
        await self.send(wire, n, reply, faults)

    async def send(self, wire: Wire, n: int, reply: Reply, fault: str = "") -> None:
        reply.headers += (("x-request-id", f"req_{n}"),)
        self.served(wire, n, reply.status, fault)
        await wire.send(reply.whole())

    def served(self, wire: Wire, n: int, status: int, fault: str) -> None:
        """Written before the last bytes go, so that whoever has read the answer finds the row."""
        self.ledger.write("served", n=n, status=status, fault=fault, sent="nothing" if wire.left() else "whole")

    async def broken(self, wire: Wire, n: int, status: int, fault: str, data: bytes = b"", reset: bool = True) -> None:
        """Sends these bytes, ends the connection and raises Gone."""
        self.ledger.write("served", n=n, status=status, fault=fault, sent="part" if data else "nothing")
        if data:
            await wire.send(data)
            await asyncio.sleep(0.002)  # an RST at once would overtake the bytes
        (wire.reset if reset else wire.close)()
        raise Gone

    def _wait(self) -> float:
        """Takes one call from the bucket, or tells how long to wait for it."""
        rate, now = self.script.per_second or 1.0, time.monotonic()
        self._bucket = min(rate, self._bucket + (now - self._filled) * rate)
        self._filled = now
        if self._bucket < 1:
            return (1 - self._bucket) / rate
        self._bucket -= 1
        return 0.0


def refusal_reply(rule: Rule) -> Reply:
    """The error of a refusal and its Retry-After, in the form that the fault names."""
    reply = error_reply(*REFUSALS[rule.fault])
    value = rule.value
    if rule.fault == "error_502":
        return Reply(502, HTML, "text/html")
    wait = {
        "rate_seconds": ("Retry-After", f"{1 if value is None else value:g}"),
        "rate_ms": ("retry-after-ms", f"{20 if value is None else value:g}"),
        "rate_date": ("Retry-After", formatdate(time.time() + (value or 0), usegmt=True)),
        "rate_absurd": ("Retry-After", f"{86400 if value is None else value:g}"),
        "rate_nonsense": ("Retry-After", "soon"),
        "quota": ("x-should-retry", "true"),  # as vendors do, wrongly: the code is what counts
    }.get(rule.fault)
    reply.headers = (wait,) if wait else ()
    return reply


def limits(n: int, said: set[str]) -> tuple[tuple[str, str], ...]:
    """The rate headers of an answer: generous, or nonsense."""
    number, span = ("many", "-3 parsecs") if "odd_headers" in said else ("9999", "6ms")
    date = "Thu, 01 Jan 1970 00:00:00 GMT" if "clock_jump" in said else formatdate(usegmt=True)
    return (("Date", date), ("x-ratelimit-limit-requests", "10000"), ("x-ratelimit-remaining-requests", number),
            ("x-ratelimit-reset-requests", span), ("x-ratelimit-limit-tokens", "2000000"),
            ("x-ratelimit-remaining-tokens", number), ("x-ratelimit-reset-tokens", span),
            ("openai-processing-ms", "nan" if "odd_headers" in said else "5"))  # fmt: skip
