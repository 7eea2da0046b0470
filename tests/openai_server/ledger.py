"""The stub's own book: what came, what was billed, what went out. One JSON object per line, never rewritten.

    received  n, key, attempt, endpoint, model, client ids     written before anything else happens
    billed    n, id, model, tokens_in, tokens_out, batch       written before the first byte of an answer
    served    n, status, fault, sent                           "whole", "part" or "nothing", as far as a socket can tell
    batch     id, status, and what changed

No header is written but those of `CLIENT_IDS`, and no body: the book cannot hold a key. Where a request's body or
address holds the key that came in its Authorization header, the row says `key_in_body`: true.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CLIENT_IDS = ("idempotency-key", "x-client-request-id", "x-stainless-retry-count")


class Ledger:
    """Rows go to the file as they happen; only the totals are kept in memory."""

    def __init__(self, path: Path):
        self.path = path
        self.totals: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, event: str, **row: Any) -> None:
        with self._lock:
            self.totals[event] += 1
            if event == "billed":
                self.totals["tokens_in"] += row["tokens_in"]
                self.totals["tokens_out"] += row["tokens_out"]
            self._file.write(json.dumps({"event": event, **row}) + "\n")

    def rows(self, event: str | None = None) -> list[dict[str, Any]]:
        return list(read(self.path, event))

    def close(self) -> None:
        self._file.close()


def read(path: Path, event: str | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a book, also of one that another process is writing: half a last line is left out."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n") and (event is None or f'"event": "{event}"' in line[:40]):
                yield json.loads(line)


def bill(rows: list[dict[str, Any]], prices: dict[str, tuple[float, float]], batch_share: float = 0.5) -> float:
    """USD for the billed rows, by (input, output) price per million tokens; batch lines cost `batch_share`."""
    total = 0.0
    for row in rows:
        if row["event"] == "billed":
            price_in, price_out = prices[row["model"]]
            cost = row["tokens_in"] * price_in + row["tokens_out"] * price_out
            total += cost * (batch_share if row["batch"] else 1.0) / 1e6
    return total
