"""The replay backend: the answers of another run, found by what is asked. Costs nothing and calls nobody."""

import json
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_gen import raw
from data_gen.answer import Reply
from data_gen.failure import Failure, Kind
from data_gen.request import Request
from tsjax.errors import UserError

FRAMES = 8  # unpacked ones kept: requests come roughly in the order in which they were answered


class Replay:
    """Answers from the raw folder of the run at `folder`. In memory is an index of 24 bytes a line, not the answers."""

    name = "replay"

    def __init__(self, folder: Path):
        self._frames: list[tuple[Path, int, int]] = []  # file, first byte, end
        names, places = bytearray(), list[np.ndarray]()
        for frame, found in enumerate(self._scan(folder)):
            names += b"".join(found)
            places.append(np.stack([np.full(len(found), frame), np.arange(len(found))], 1).astype(np.uint32))
        if not names:
            raise UserError(
                expected=f"the answers of a run in {folder / raw.FOLDER}", found="none", todo="give the folder of a run"
            )
        keys = np.frombuffer(bytes(names), "S16")
        order = np.argsort(keys, kind="stable")  # of several answers to a request the first counts, as everywhere
        self._keys, self._places = keys[order], np.concatenate(places)[order]
        self._unpacked: OrderedDict[int, list[bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._keys)

    async def call(self, request: Request) -> Reply:
        """The answer as it came then. Failure PERMANENT where this was not asked."""
        key = np.array(bytes.fromhex(request.id), "S16")
        at = int(np.searchsorted(self._keys, key))
        if at == len(self._keys) or self._keys[at] != key:
            raise Failure(Kind.PERMANENT, "not recorded")
        frame, line = map(int, self._places[at])
        row = json.loads(self._lines(frame)[line])
        return Reply(row["status"], row["body"], row["headers"], row["params"], tuple(row["dropped"]))

    def _scan(self, folder: Path) -> Iterator[list[bytes]]:
        """The ids in each frame."""
        for path in raw.parts(folder / raw.FOLDER):
            start = 0
            for text, end in raw.frames(path.read_bytes()):
                self._frames.append((path, start, end))
                start = end
                yield [bytes.fromhex(json.loads(line)["id"]) for line in text.splitlines()]

    def _lines(self, frame: int) -> list[bytes]:
        if frame in self._unpacked:
            self._unpacked.move_to_end(frame)
            return self._unpacked[frame]
        path, start, end = self._frames[frame]
        with open(path, "rb") as file:
            file.seek(start)
            ((text, _),) = raw.frames(file.read(end - start))
        if len(self._unpacked) == FRAMES:
            self._unpacked.popitem(last=False)
        lines = self._unpacked[frame] = text.splitlines()
        return lines
