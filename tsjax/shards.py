"""Token shards: ArrayRecord files of token ids with a manifest, and back to documents.

A folder, as `tsjax.prepare` writes it, holds the tokenizer, `train-00000.arrayrecord`, ..., `valid-00000.arrayrecord`, ...,
beside each the lengths of its documents (`train-00000.lengths.npy`: int32 [documents, 2], tokens and UTF-8 bytes),
`report.json`, and `manifest.json`, which is written last: a folder without one is unfinished. A document is BOS +
pieces + EOS. A record is a block of about 2**18 tokens of whole documents, because a read costs more than the tokens
it brings.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tsjax import tokenizer as tokenizers
from tsjax.atomic import sha256_file, sha256_json
from tsjax.corpus import SPLITS
from tsjax.errors import UserError
from tsjax.shard_writer import read_records
from tsjax.tokenizer import Tokenizer

MANIFEST, REPORT = "manifest.json", "report.json"
FORMAT = 2  # of the folder; 1 had the lengths of documents elsewhere and no report


class Shards:
    """A finished shard folder. Files are checked against the manifest's sha256 as they are read.

    `split` is "train" or "valid" everywhere. Every method raises UserError, naming the file, where one is
    missing or damaged. Make one with `open_shards`.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]):
        self.folder, self.manifest = folder, manifest
        self.fingerprint: str = manifest["fingerprint"]  # of everything that decides the batches
        self.vocab_size: int = manifest["tokenizer"]["vocab_size"]
        self._tokens: dict[str, np.ndarray] = {}
        self._lengths: dict[str, np.ndarray] = {}

    def tokens(self, split: str) -> np.ndarray:
        """All ids of a split, uint16 or uint32 [tokens], read-only; decoded once into host memory."""
        if split not in self._tokens:
            out = np.empty(self.tokens_count(split), self.manifest["dtype"])
            start = 0
            for shard in self._split(split)["shards"]:
                for ids in read_records(self._checked(shard), out.dtype):
                    out[start : start + len(ids)] = ids
                    start += len(ids)
            out.flags.writeable = False
            self._tokens[split] = out
        return self._tokens[split]

    def document_starts(self, split: str) -> np.ndarray:
        """Where each document begins in `tokens(split)`: int64 [documents], the place of its BOS."""
        ends = np.cumsum(self._document_lengths(split)[:, 0], dtype=np.int64)
        return np.concatenate([[0], ends[:-1]])

    def documents(self, split: str) -> Iterator[np.ndarray]:
        """The ids of each document, BOS to EOS: views of `tokens(split)`."""
        tokens, starts = self.tokens(split), self.document_starts(split)
        for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
            yield tokens[start:end]

    def texts(self, split: str) -> Iterator[str]:
        """The documents as text: just what was prepared, if the tokenizer is `lossless`."""
        tokenizer = self.tokenizer()
        return (tokenizer.decode(ids.tolist()) for ids in self.documents(split))

    def document_bytes(self, split: str) -> np.ndarray:
        """UTF-8 bytes of the text that the ids of each document spell: int32 [documents]."""
        return self._document_lengths(split)[:, 1]

    def tokens_count(self, split: str) -> int:
        """Tokens in a split, BOS and EOS included."""
        return self._split(split)["tokens"]

    def documents_count(self, split: str) -> int:
        """Documents in a split."""
        return self._split(split)["documents"]

    def bytes(self, split: str) -> int:
        """UTF-8 bytes of the texts of a split."""
        return self._split(split)["bytes"]

    def words(self, split: str) -> int:
        """Words (between whitespace) of the texts of a split."""
        return self._split(split)["words"]

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made these shards; UserError if the file is another one."""
        path, wanted = self.folder / self.manifest["tokenizer"]["file"], self.manifest["tokenizer"]["fingerprint"]
        tokenizer = tokenizers.load(path)
        if tokenizer.fingerprint != wanted:
            raise UserError(
                expected=f"tokenizer {wanted[:12]} (the shards' manifest) at {path}",
                found=f"tokenizer {tokenizer.fingerprint[:12]}",
                todo="put the right file back, or prepare into another folder",
            )
        return tokenizer

    def verify(self) -> None:
        """Checks every file of the folder against the manifest."""
        self.tokenizer()
        self._checked(self.manifest["report"])
        for name in SPLITS:
            for shard in self._split(name)["shards"]:
                self._checked(shard)
                self._checked(shard["lengths"])

    def report(self) -> dict[str, Any]:
        """What `prepare` found in the corpus: counts, defects, copies."""
        return json.loads(self._checked(self.manifest["report"]).read_bytes())

    def _document_lengths(self, split: str) -> np.ndarray:
        """int32 [documents, 2]: tokens (BOS and EOS included) and bytes."""
        if split not in self._lengths:
            entries = [shard["lengths"] for shard in self._split(split)["shards"]]
            self._lengths[split] = np.concatenate(
                [np.load(self._checked(entry), allow_pickle=False) for entry in entries]
            )
        return self._lengths[split]

    def _split(self, split: str) -> dict[str, Any]:
        if split not in SPLITS:
            raise UserError(expected=f"a split of {SPLITS}", found=repr(split), todo="name one of them")
        return self.manifest["splits"][split]

    def _checked(self, entry: dict[str, Any]) -> Path:
        path = self.folder / entry["file"]
        found = sha256_file(path) if path.is_file() else "no file"
        if found != entry["sha256"]:
            raise UserError(
                expected=f"{path} with sha256 {entry['sha256'][:12]} (its manifest)",
                found=found[:12],
                todo=f"copy it again, or remove {self.folder} and run prepare again",
            )
        return path


def open_shards(path: Path) -> Shards:
    """Opens a finished shard folder; UserError if it is none, is unfinished, or its manifest is damaged."""
    path = Path(path)
    manifest_path = path / MANIFEST
    try:
        manifest = json.loads(manifest_path.read_bytes())
        kind = manifest.get("kind")
        checksum = manifest.get("checksum")
    except OSError as e:
        raise UserError(
            expected=f"a shard folder at {path}",
            found=f"no {MANIFEST} in it" if path.is_dir() else "no folder",
            todo="check the path; if prepare did not finish, run the same command again",
        ) from e
    except (ValueError, AttributeError):
        kind, checksum = "token_shards", None
    if kind != "token_shards":
        raise UserError(
            expected=f"kind 'token_shards' in {manifest_path}",
            found=repr(kind),
            todo="give the folder that `tsjax prepare` wrote",
        )
    if checksum is None or checksum != sha256_json({k: v for k, v in manifest.items() if k != "checksum"}):
        raise UserError(
            expected=f"a whole manifest at {manifest_path}",
            found="a half-written or changed one",
            todo=f"copy the folder again, or remove {path} and run prepare again",
        )
    if manifest.get("format") != FORMAT:
        raise UserError(
            expected=f"shards of format {FORMAT} at {path}",
            found=f"format {manifest.get('format', 1)}, of tsjax {manifest.get('tsjax')}",
            todo="prepare them again, into another folder",
        )
    return Shards(path, manifest)
