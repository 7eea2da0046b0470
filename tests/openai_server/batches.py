"""The Batch API of the stub: files, batches, and what goes wrong with them.

A batch moves one state at every poll, so tests wait for nothing. Its lines are answered as single calls would be: the
first half when it is created, and billed then; the second half when it ends, or in `settle` where nobody polls it to
its end, because a forgotten batch costs money all the same.
"""

import hashlib
import json
import random
import time
from collections import Counter
from typing import Any, NamedTuple

from tests.openai_server.answers import Answer, Made, key_of, problem_of, prompt_of
from tests.openai_server.ledger import Ledger
from tests.openai_server.script import ANSWERS, BATCHES, Rule, Script, dice
from tests.openai_server.wire import Reply, Request, error_reply, json_reply

MOST_LINES, MOST_BYTES = 50_000, 200_000_000
FINAL = ("failed", "completed", "expired", "cancelled")
# Faults of single lines: they spare a line that has been sent more often than the rule says, in whatever batch.
LINE_FAULTS = ("error_only", "some_errors", "missing", "missing_billed", "status_0")
LINE_SHARE = 0.3

SENT, RESET, CUT = "whole", "reset", "cut"  # what is to become of a reply


class Line(NamedTuple):
    """What became of one line of a batch."""

    custom_id: str
    output: dict[str, Any] | None
    error: dict[str, Any] | None
    made: Made | None  # billed, if there
    copies: int


class Batch:
    """One batch: its input, what became of each line, and what the API shows."""

    def __init__(self, name: str, given: dict[str, Any], faults: dict[str, Rule], polls: int):
        self.id, self.given, self.faults, self.polls_left = name, given, faults, polls
        self.status = "validating"
        self.errors: list[dict[str, Any]] = []
        self.lines: list[Line] = []
        self.times = {"created_at": int(time.time())}
        self.output: str | None = None
        self.error: str | None = None
        self.counts = {"total": 0, "completed": 0, "failed": 0}
        self.settled, self.polls, self.model = False, 0, ""
        stuck = faults.get("stuck")
        self.stuck_for = float("inf") if stuck and stuck.value is None else (stuck.value or 0) if stuck else 0
        self.late = "output_late" in faults

    def become(self, status: str) -> None:
        self.status = status
        self.times[f"{status}_at"] = int(time.time())

    def half(self) -> int:
        return (len(self.lines) + 1) // 2

    def billed(self) -> list[Made]:
        whole = self.settled and self.status not in ("expired", "cancelled", "cancelling")
        return [line.made for line in self.lines[: None if whole else self.half()] if line.made]

    def view(self) -> dict[str, Any]:
        late = self.late and self.status in FINAL
        if late:
            self.late = False
        usage = None
        if self.status in FINAL:
            made = self.billed()
            spent, got = sum(m.tokens_in for m in made), sum(m.tokens_out for m in made)
            usage = {"input_tokens": spent, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": got,
                     "output_tokens_details": {"reasoning_tokens": sum(m.reasoning for m in made)},
                     "total_tokens": spent + got}  # fmt: skip
        created = self.times["created_at"]
        stamps = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
        return {
            "id": self.id, "object": "batch", "endpoint": self.given["endpoint"], "model": self.model or None,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.given["input_file_id"], "completion_window": "24h", "status": self.status,
            "output_file_id": None if late else self.output, "error_file_id": self.error,
            "created_at": created, "expires_at": created + 86400, "request_counts": self.counts,
            "metadata": self.given.get("metadata"), "usage": usage,
            **{f"{name}_at": self.times.get(f"{name}_at") for name in stamps},
        }  # fmt: skip


class Batches:
    """Answers /v1/files and /v1/batches; `handle` gives the reply and what is to become of it."""

    def __init__(self, script: Script, ledger: Ledger, answer: Answer):
        self.script, self.ledger, self.answer = script, ledger, answer
        self.files: dict[str, dict[str, Any]] = {}
        self.content: dict[str, bytes] = {}
        self.batches: dict[str, Batch] = {}
        self.seen: Counter[str] = Counter()

    def handle(self, request: Request) -> tuple[Reply, str]:
        match [request.method, *request.path.removeprefix("/v1/").split("/")]:
            case ["POST", "files"]:
                return self.upload(request)
            case ["GET", "files"]:
                files = [f for f in self.files.values() if request.query.get("purpose", f["purpose"]) == f["purpose"]]
                return self.page(files, request), SENT
            case ["GET", "files", name] if name in self.files:
                return json_reply(self.files[name]), SENT
            case ["DELETE", "files", name] if name in self.files:
                del self.files[name], self.content[name]
                return json_reply({"id": name, "object": "file", "deleted": True}), SENT
            case ["GET", "files", name, "content"] if name in self.files:
                return self.download(name)
            case ["POST", "batches"]:
                return self.create(request.json())
            case ["GET", "batches"]:
                return self.page([batch.view() for batch in self.batches.values()], request), SENT
            case ["GET", "batches", name] if name in self.batches:
                return self.poll(self.batches[name]), SENT
            case ["POST", "batches", name, "cancel"] if name in self.batches:
                return self.cancel(self.batches[name]), SENT
        return error_reply(404, "invalid_request_error", None, f"There is no {request.method} {request.path}."), SENT

    def page(self, items: list[dict[str, Any]], request: Request) -> Reply:
        """Newest first, in pages, as the vendor gives it."""
        items = items[::-1]
        after, limit = request.query.get("after"), int(request.query.get("limit", 20))
        start = next((i + 1 for i, item in enumerate(items) if item["id"] == after), 0)
        page = items[start : start + limit]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return json_reply({"object": "list", "data": page, **ends, "has_more": start + limit < len(items)})

    def _attempt(self, what: str) -> int:
        self.seen[what] += 1
        return self.seen[what]

    def _keep(self, name: str, purpose: str, content: bytes) -> dict[str, Any]:
        file = {"id": f"file-{self._attempt('file')}", "object": "file", "bytes": len(content),
                "created_at": int(time.time()), "filename": name, "purpose": purpose, "status": "processed"}  # fmt: skip
        self.files[file["id"]], self.content[file["id"]] = file, content
        return file

    def upload(self, request: Request) -> tuple[Reply, str]:
        form = request.form()
        name, content = form["file"]
        if len(content) > MOST_BYTES:
            return error_reply(413, "invalid_request_error", None, "File is too large."), SENT
        sha = hashlib.sha256(content).hexdigest()
        file = self._keep(name, form["purpose"][1].decode(), content)
        self.ledger.write("file", id=file["id"], sha256=sha, bytes=len(content))
        lost = self.script.meets(("upload_lost",), sha, self._attempt(f"upload {sha}"))
        return json_reply(file), RESET if lost else SENT

    def download(self, name: str) -> tuple[Reply, str]:
        owner = next((b for b in self.batches.values() if name in (b.output, b.error)), None)
        faults = owner.faults if owner else {}
        if "output_gone" in faults and owner and name == owner.output:
            return error_reply(404, "invalid_request_error", None, f"No such File object: {name}"), SENT
        first = self._attempt(f"download {name}") == 1
        if first and "download_500" in faults:
            return error_reply(500, "server_error", None, "The server had an error."), SENT
        reply = Reply(200, self.content[name], "application/octet-stream")
        return reply, CUT if first and "download_cut" in faults else SENT

    def create(self, given: dict[str, Any]) -> tuple[Reply, str]:
        content = self.content.get(given["input_file_id"])
        gone = error_reply(400, "invalid_request_error", None, f"No such File object: {given['input_file_id']}")
        if content is None:
            return gone, SENT
        sha = hashlib.sha256(content).hexdigest()
        rules = self.script.meets(BATCHES, sha, self._attempt(f"create {sha}"), content.decode())
        faults = {rule.fault: rule for rule in rules}
        if "input_gone" in faults:
            del self.files[given["input_file_id"]], self.content[given["input_file_id"]]
            return gone, SENT
        if "create_fails" in faults:
            return error_reply(500, "server_error", None, "The server had an error."), SENT
        batch = Batch(f"batch_{len(self.batches)}_{sha[:8]}", given, faults, self.script.polls)
        self.batches[batch.id] = batch
        self._validate(batch, content)
        self.ledger.write("batch", id=batch.id, status="created", sha256=sha, metadata=given.get("metadata"),
                          lines=len(batch.lines), faults=sorted(faults))  # fmt: skip
        self._bill(batch, batch.lines[: batch.half()])
        return json_reply(batch.view()), RESET if "create_lost" in faults else SENT

    def _validate(self, batch: Batch, content: bytes) -> None:
        def wrong(line: int | None, code: str, message: str) -> None:
            batch.errors.append({"code": code, "line": line, "message": message, "param": None})

        texts, rows, ids = content.splitlines(), [], set()
        if not texts or len(texts) > MOST_LINES:
            wrong(None, "invalid_batch_size", f"{len(texts)} lines")
        for number, text in enumerate(texts, 1):
            try:
                row = json.loads(text)
                custom_id, url, body = row["custom_id"], row["url"], row["body"]
                prompt_of(body), body["model"], row["method"]
            except (ValueError, TypeError, KeyError, AttributeError):
                wrong(number, "invalid_json_line", "This line is not parseable as valid JSON.")
                continue
            if url != batch.given["endpoint"]:
                wrong(number, "mismatched_endpoint", "The URL is not the endpoint of the batch.")
            if custom_id in ids:
                wrong(number, "duplicate_custom_id", f"The custom_id {custom_id} is used twice.")
            ids.add(custom_id)
            rows.append(row)
        if len({row["body"]["model"] for row in rows}) > 1:
            wrong(None, "mismatched_model", "The batch has more than one model.")
        if "invalid_line" in batch.faults:
            number = 1 + int(dice(self.script.seed, batch.id) * len(texts))
            wrong(number, "invalid_json_line", "This line is not parseable as valid JSON.")
        queue, limit = sum(len(prompt_of(row["body"])) for row in rows) // 4, self.script.enqueued_tokens
        if limit is not None and queue > limit:
            wrong(None, "token_limit_exceeded", f"Enqueued token limit reached: {limit}.")
        if not batch.errors:
            batch.model, batch.counts["total"] = rows[0]["body"]["model"], len(rows)
            batch.lines = [self._line(batch, number, row) for number, row in enumerate(rows)]

    def _line(self, batch: Batch, number: int, row: dict[str, Any]) -> Line:
        custom_id, body, faults, seed = row["custom_id"], row["body"], batch.faults, self.script.seed
        key = key_of(body)
        sent = self._attempt(f"line {key}")

        def hit(fault: str) -> bool:
            if fault not in faults:
                return False
            most = faults[fault].attempts
            if fault in LINE_FAULTS and most is not None and sent > most:
                return False
            return number == 0 or fault == "error_only" or dice(seed, fault, custom_id, sent) < LINE_SHARE

        def told(status: int, answer: Any) -> dict[str, Any]:
            response = {"status_code": status, "request_id": f"req_{key}", "body": answer}
            return {"id": f"batch_req_{key}_{sent}", "custom_id": custom_id, "response": response, "error": None}

        problem = problem_of(batch.given["endpoint"], body, self.script.models)
        if problem or hit("error_only") or hit("some_errors"):
            status, *said = problem or (500, "server_error", None, "The server had an error.", None)
            names = ("type", "code", "message", "param")
            return Line(custom_id, None, told(status, {"error": dict(zip(names, said, strict=True))}), None, 1)
        if hit("status_0"):
            return Line(custom_id, told(0, None), None, None, 1)
        if hit("missing"):
            return Line(custom_id, None, None, None, 1)
        prompt = prompt_of(body)
        kinds = {rule.fault for rule in self.script.meets(ANSWERS, key, 1, prompt)}
        made = Made(batch.given["endpoint"], body, self.answer(body), kinds, self.script.reasoning, f"{key}-{sent}")
        if hit("missing_billed"):
            return Line(custom_id, None, None, made, 1)
        return Line(custom_id, told(200, made.envelope), None, made, 2 if hit("doubled") else 1)

    def poll(self, batch: Batch) -> Reply:
        batch.polls += 1
        if "poll_500" in batch.faults and batch.polls % 2:
            return error_reply(500, "server_error", None, "The server had an error.")
        if batch.status == "validating":
            batch.become("failed" if batch.errors else "in_progress")
        elif batch.status == "cancelling":
            self._finish(batch, "cancelled")
        elif batch.status == "in_progress":
            if batch.polls_left > 0:
                batch.polls_left -= 1
            elif ends := [status for status in ("expired", "cancelled") if status in batch.faults]:
                self._finish(batch, ends[0])
            else:
                batch.become("finalizing")
        elif batch.status == "finalizing":
            if batch.stuck_for > 0:
                batch.stuck_for -= 1
            else:
                self._finish(batch, "completed")
        return json_reply(batch.view())

    def cancel(self, batch: Batch) -> Reply:
        if batch.status in FINAL:
            return error_reply(409, "invalid_request_error", None, f"The batch is {batch.status}.")
        if batch.status != "cancelling":
            batch.become("cancelling")
            self.ledger.write("batch", id=batch.id, status="cancelling")
        return json_reply(batch.view())

    def _bill(self, batch: Batch, lines: list[Line]) -> None:
        for line in lines:
            if line.made:
                self.ledger.write("billed", n=None, batch=batch.id, custom_id=line.custom_id, id=line.made.id,
                                  model=line.made.model, tokens_in=line.made.tokens_in,
                                  tokens_out=line.made.tokens_out)  # fmt: skip

    def _finish(self, batch: Batch, status: str) -> None:
        done = batch.lines if status == "completed" else batch.lines[: batch.half()]
        if status == "completed" and not batch.settled:
            self._bill(batch, batch.lines[batch.half() :])
        batch.settled = True
        batch.become(status)
        output = [json.dumps(line.output) for line in done if line.output for _ in range(line.copies)]
        errors = [json.dumps(line.error) for line in done if line.error]
        if status == "expired":
            why = {"code": "batch_expired", "message": "This request could not be executed before the window expired."}
            left = batch.lines[batch.half() :]
            errors += [json.dumps({"id": f"{batch.id}-{number}", "custom_id": line.custom_id, "response": None,
                                   "error": why}) for number, line in enumerate(left)]  # fmt: skip
        if "unknown_id" in batch.faults and output:
            output.append(json.dumps(json.loads(output[0]) | {"custom_id": "nobody-asked"}))
        if "shuffled" in batch.faults:
            random.Random(f"{self.script.seed} {batch.id}").shuffle(output)
        text = "".join(line + "\n" for line in output)
        if "torn_line" in batch.faults and len(output) > 1:
            text = text[: -len(output[-1]) // 2]
        if text:
            batch.output = self._keep(f"{batch.id}_output.jsonl", "batch_output", text.encode())["id"]
        if errors:
            batch.error = self._keep(f"{batch.id}_error.jsonl", "batch_output", "\n".join([*errors, ""]).encode())["id"]
        batch.counts |= {"completed": sum(line.made is not None for line in done), "failed": len(errors)}
        self.ledger.write("batch", id=batch.id, status=status, **batch.counts)

    def settle(self) -> None:
        """Bills what runs to its end unseen: the second half of every batch that is on its way."""
        for batch in self.batches.values():
            on_its_way = batch.status not in (*FINAL, "cancelling") and not batch.settled
            if on_its_way and not {"expired", "cancelled"} & set(batch.faults):
                self._bill(batch, batch.lines[batch.half() :])
                batch.settled = True
