"""The calls of the Batch API, over `openai`: each is tried again where that can do no harm, and no other way.

Creating a batch is the one call that can cost money twice, so it is never tried again here: whoever calls it looks in
the list first (`find`). An upload whose reply is lost is simply done again. That costs nothing: an input file that no
batch uses is never run, and the vendor deletes it when it expires.
"""

import asyncio
import json
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from data_gen.client import Client
from data_gen.failure import Failure, Kind

WINDOW = "24h"  # the one that vendors have
MOST_KEY, MOST_VALUE = 64, 512  # characters of metadata
FINAL = ("failed", "completed", "expired", "cancelled")
_STOPS = (Kind.FATAL, Kind.QUOTA, Kind.PERMANENT)

Sleep = Callable[[float], Awaitable[Any]]


class VendorBatches:
    """The Batch API of the server that `client` talks to. All methods raise Failure.

    tries: of each call, apart from `create`; `base` and `most`: seconds of the wait before the next (full jitter).
    """

    def __init__(
        self, client: Client, *, tries: int = 6, base: float = 1.0, most: float = 60.0,
        sleep: Sleep = asyncio.sleep, rng: random.Random | None = None,
    ):  # fmt: skip
        self.client, self.sdk = client, client.sdk
        self.tries, self.base, self.most, self.sleep = tries, base, most, sleep
        self.rng = rng or random.Random()

    async def upload(self, path: Path) -> str:
        """The vendor's name for the file."""

        async def once() -> str:
            with open(path, "rb") as file:
                reply = await self.sdk.files.with_raw_response.create(file=(path.name, file), purpose="batch")
            return str(self._object(reply.content)["id"])

        return await self._patiently(once)

    async def create(self, file: str, url: str, metadata: Mapping[str, str]) -> dict[str, Any]:
        """A new batch, as the vendor shows it. Tried once: after any Failure but QUOTA and PERMANENT, look for it."""
        assert len(metadata) <= 16 and all(len(k) <= MOST_KEY and len(v) <= MOST_VALUE for k, v in metadata.items())
        try:
            reply = await self.sdk.batches.with_raw_response.create(
                input_file_id=file,
                endpoint=url,
                completion_window=WINDOW,
                metadata=dict(metadata),  # type: ignore[arg-type]
            )
            return self._object(reply.content)
        except Exception as e:
            raise self._failure(e) from e

    async def find(self, metadata: Mapping[str, str], since: float) -> list[dict[str, Any]]:
        """The batches with all of this metadata, newest first. Pages back to a day before `since` (Unix seconds)."""
        found, after = [], ""
        while True:
            page = await self._page(after)
            rows = [row for row in page.get("data") or [] if isinstance(row, dict)]
            found += [row for row in rows if metadata.items() <= (row.get("metadata") or {}).items()]
            stamps = [row["created_at"] for row in rows if isinstance(row.get("created_at"), int)]
            after = page.get("last_id") or (rows[-1].get("id", "") if rows else "")
            if not page.get("has_more") or not after or (stamps and max(stamps) < since - 86_400):
                return found

    async def _page(self, after: str) -> dict[str, Any]:
        async def once() -> dict[str, Any]:
            options = {"limit": 100, **({"after": after} if after else {})}
            return self._object((await self.sdk.batches.with_raw_response.list(**options)).content)  # type: ignore[arg-type]

        return await self._patiently(once)

    async def retrieve(self, batch: str) -> dict[str, Any]:
        """The batch as it is now. Tried once: a poll that fails is followed by the next poll."""
        try:
            return self._object((await self.sdk.batches.with_raw_response.retrieve(batch)).content)
        except Exception as e:
            raise self._failure(e) from e

    async def cancel(self, batch: str) -> dict[str, Any]:
        """Asks the vendor to cancel; finished lines are kept and billed."""

        async def once() -> dict[str, Any]:
            return self._object((await self.sdk.batches.with_raw_response.cancel(batch)).content)

        return await self._patiently(once)

    async def download(self, file: str, path: Path) -> bool:
        """Writes a result file to `path`, whole or not at all; False where the vendor has it no more."""

        async def once() -> None:
            temporary = path.with_name(f".{path.name}.tmp")
            async with self.sdk.files.with_streaming_response.content(file) as reply:
                with open(temporary, "wb") as out:
                    rest = b""
                    async for piece in reply.iter_bytes(1 << 20):
                        whole, mark, rest = (rest + piece).rpartition(b"\n")  # by lines: a key must not hide in a cut
                        out.write(self.client.key.scrub_bytes(whole + mark))
                    out.write(self.client.key.scrub_bytes(rest))
                    out.flush()
                    os.fsync(out.fileno())
            os.replace(temporary, path)

        for look in range(2):  # a new file may be told of before it can be read
            try:
                await self._patiently(once)
                return True
            except Failure as e:
                if e.status not in (404, 410):
                    raise
                if look == 0:
                    await self.sleep(self.base)
        return False

    async def delete(self, file: str) -> None:
        """Deletes a file, if it can be done: it would expire anyway."""
        with suppress(Exception):
            await self.sdk.files.with_raw_response.delete(file)

    async def pause(self, turn: int, least: float = 0.0) -> None:
        """Sleeps before try `turn` + 1: full jitter, doubling, at least what the vendor asked for."""
        await self.sleep(max(least, self.rng.uniform(0, min(self.most, self.base * 2**turn))))

    async def _patiently(self, once: Callable[[], Awaitable[Any]]) -> Any:
        for turn in range(self.tries):
            try:
                return await once()
            except Exception as e:
                why = self._failure(e)
                if why.kind in _STOPS or turn + 1 == self.tries:
                    raise why from e
                await self.pause(turn, min(why.retry_after or 0.0, self.most))

    def _failure(self, error: Exception) -> Failure:
        if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
            raise error  # a file of ours, a full disk
        return self.client.failure(error)

    def _object(self, data: bytes) -> dict[str, Any]:
        value = json.loads(self.client.key.scrub_bytes(data))
        if not isinstance(value, dict) or not (value.get("id") or "data" in value):
            raise ValueError("the vendor's reply is no object of its API")
        return value
