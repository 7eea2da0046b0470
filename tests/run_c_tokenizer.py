"""An independent reader of llama2.c's `tokenizer.bin`, which merges as run.c does. Slow; tests compare with it."""

import struct
from collections.abc import Iterable


class RunC:
    """Greedy merging of the pair with the highest score.

    Ids 0, 1, 2 are unk, bos, eos; byte b is id b + 3. `decode` drops bos and eos, and the one space that encoding put in
    front.
    """

    unk, bos, eos = 0, 1, 2

    def __init__(self, raw: bytes):
        self.pieces: list[bytes] = []
        self.scores: list[float] = []
        at = 4
        while at < len(raw):
            score, length = struct.unpack_from("<fi", raw, at)
            self.pieces.append(raw[at + 8 : at + 8 + length])
            self.scores.append(score)
            at += 8 + length
        self.ids = {piece: i for i, piece in enumerate(self.pieces)}

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for character in f" {text}" if text else "":
            piece = character.encode()
            ids += [self.ids[piece]] if piece in self.ids else [byte + 3 for byte in piece]
        while True:
            best = max(
                ((self.scores[self.ids[pair]], -i) for i in range(len(ids) - 1)
                 if (pair := self.pieces[ids[i]] + self.pieces[ids[i + 1]]) in self.ids),
                default=None,
            )  # fmt: skip
            if best is None:
                return ids
            i = -best[1]
            ids[i : i + 2] = [self.ids[self.pieces[ids[i]] + self.pieces[ids[i + 1]]]]

    def decode(self, ids: Iterable[int]) -> str:
        kept = [i for i in ids if i not in (self.bos, self.eos)]
        raw = b"".join(bytes([i - 3]) if 3 <= i < 259 else self.pieces[i] for i in kept)
        return raw.decode(errors="replace").removeprefix(" ")
