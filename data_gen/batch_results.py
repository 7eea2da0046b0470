"""The result files of a batch, read leniently: OpenAI's, and those of tools that write the same, such as vLLM's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from data_gen.answer import read_answer
from data_gen.strict_json import strict_json

MOST_WORDS = 300  # characters of an error's message that are kept


class Result(NamedTuple):
    """One line. `body` is there exactly where it is an answer that can be read; else `error` says what it is instead.

    custom_id: "" where the line has none that could be read.
    status:    the HTTP status in the line, 0 where there is none.
    code:      the vendor's word for the error, "" if there is none.
    request:   the vendor's name for the request.
    raw:       the line as it came.
    """

    custom_id: str
    status: int
    body: dict[str, Any] | None
    code: str
    error: str
    request: str
    raw: bytes


def read_results(path: Path) -> Iterator[Result]:
    """The lines of a result file in its order. A line that is torn or no JSON object comes with an error like any other."""
    with open(path, "rb") as lines:
        for line in lines:
            if line.strip():
                yield _result(line)


def _result(line: bytes) -> Result:
    try:
        row = strict_json(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        return Result("", 0, None, "unreadable", "the line is no JSON object", "", line)
    name, response = row.get("custom_id"), row.get("response")
    name, response = name if isinstance(name, str) else "", response if isinstance(response, dict) else {}
    status, body, request = response.get("status_code"), response.get("body"), response.get("request_id")
    status = status if isinstance(status, int) and not isinstance(status, bool) else 0
    request = request if isinstance(request, str) else ""
    wrong = row.get("error") or (body.get("error") if isinstance(body, dict) else None)
    if status == 200 and not wrong and isinstance(body, dict):
        try:
            read_answer(body)
            return Result(name, status, body, "", "", request, line)
        except ValueError as e:
            return Result(name, status, None, "unreadable", str(e), request, line)
    code, message = _words(wrong)
    return Result(name, status, None, code, message or f"status {status} without an answer", request, line)


def _words(error: Any) -> tuple[str, str]:
    """(code, message) of the forms that errors have: text, {"code", "message"}, or that inside {"error": ...}."""
    while isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    if isinstance(error, dict):
        code, message = error.get("code") or error.get("type") or "", error.get("message") or ""
        return str(code), str(message)[:MOST_WORDS]
    return "", str(error or "")[:MOST_WORDS]
