"""Token shards: documents -> ArrayRecord files of token ids with a manifest; and back to documents.

A folder holds `tokenizer.model`, `train-00000.arrayrecord`, ..., `valid-00000.arrayrecord`, ..., the UTF-8
length of every document (`train-bytes.npy`, `valid-bytes.npy`) and `manifest.json`, which is written last: a
folder without one is unfinished. A document is BOS + pieces + EOS. A record is a block of about 2**18 tokens
of whole documents, because a read costs more than the tokens it brings. The bytes of the folder follow from
the inputs and the settings alone, not from the number of workers or of interruptions.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece

from tsjax import __version__, corpus
from tsjax.atomic import sha256_file, sha256_json, write_json
from tsjax.corpus import SPLITS
from tsjax.errors import UserError
from tsjax.shard_writer import (
    JOURNAL,
    RECORD_TOKENS,
    SHARD_TOKENS,
    TOKENIZER,
    ShardWriter,
    dtype_of,
    encode,
    read_records,
    resume,
    write_lengths,
)
from tsjax.tokenizer import TextTokenizer, Tokenizer, evenly, train

MANIFEST = "manifest.json"

Progress = Callable[[str, int, int | None], None]  # stage; bytes of text done; bytes of text in all, if known


def prepare(
    inputs: Sequence[Path],
    out: Path,
    *,
    vocab_size: int = 4096,
    tokenizer: Path | None = None,
    valid_inputs: Sequence[Path] = (),
    valid_fraction: float = 0.01,
    text_key: str = "text",
    workers: int | None = None,
    seed: int = 0,
    keep_duplicates: bool = True,
    train_bytes: int = 20_000_000,
    record_tokens: int = RECORD_TOKENS,
    shard_tokens: int = SHARD_TOKENS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Turns corpus files or folders into the shard folder `out`; returns its manifest.

    A tokenizer of `vocab_size` pieces is trained on about `train_bytes` of the training documents, unless
    `tokenizer` names a model file (which has its own size). The validation split is `valid_inputs`, or else
    about `valid_fraction` of the documents, drawn by the hash of their normal form and `seed`: so documents
    that differ in case and punctuation only never cross the split. Training documents that are also in
    `valid_inputs` are dropped; other repeats are counted, and left out of the training split unless
    `keep_duplicates`.

    A complete folder of the same inputs and settings is checked and left alone, one of others is refused, and
    an unfinished one is continued after its last whole shard. `workers` (threads; default: one a core) change
    only the time. Raises UserError for whatever the user can mend.
    """
    out, tell = Path(out), progress or (lambda stage, done, total: None)
    if out.exists() and not out.is_dir():
        raise UserError(expected=f"a folder at {out}", found="a file", todo="give another --out")
    given: TextTokenizer | None = Tokenizer.load(tokenizer) if tokenizer else None
    train_files = [file for path in inputs for file in corpus.files(path)]
    valid_files = [file for path in valid_inputs for file in corpus.files(path)]
    job: dict[str, Any] = {
        "inputs": _sums(train_files),
        "valid_inputs": _sums(valid_files),
        "settings": {
            "vocab_size": given.vocab_size if given else vocab_size,
            "tokenizer": given.fingerprint if given else None,
            "train_bytes": None if given else train_bytes,
            "valid_fraction": None if valid_files else valid_fraction,
            "text_key": text_key,
            "seed": seed,
            "keep_duplicates": keep_duplicates,
            "record_tokens": record_tokens,
            "shard_tokens": shard_tokens,
        },
    }
    if (out / MANIFEST).exists():
        return _finished(out, job)

    def texts(files: list[Path]) -> Iterator[str]:
        return chain.from_iterable(corpus.documents(file, text_key) for file in files)

    def scan(files: list[Path]) -> corpus.Scan:
        return corpus.scan(texts(files), seed, lambda done: tell("read", done, None))

    scanned = scan(train_files)
    held_out = scan(valid_files) if valid_files else None
    labels, counts = corpus.split(
        scanned.hashes, held_out.hashes if held_out else None, valid_fraction, keep_duplicates
    )
    if held_out:
        scanned = corpus.Scan(*map(np.concatenate, zip(scanned, held_out, strict=True)))

    # ---- The tokenizer: what an interrupted prepare left, the given one, or a new one ----
    out.mkdir(parents=True, exist_ok=True)
    made: TextTokenizer | None
    journal, made = resume(out, sha256_json([job, __version__, sentencepiece.__version__]))
    if made is None:
        if given is None:
            labelled = zip(texts(train_files), labels, strict=False)
            training = (text for text, label in labelled if label == corpus.TRAIN)
            total = int(scanned.bytes[labels == corpus.TRAIN].sum())
            tell("tokenizer", 0, total)
            given = train(evenly(training, total, train_bytes), vocab_size)
        made = given
        made.save(out / TOKENIZER)
        journal["tokenizer"] = made.fingerprint
        write_json(out / JOURNAL, journal)

    # ---- The shards ----
    writers = [ShardWriter(out, name, made, journal, record_tokens, shard_tokens) for name in SPLITS]
    total = int(scanned.bytes[labels != corpus.DROPPED].sum())
    labelled = zip(texts(train_files + valid_files), labels, strict=False)
    encode(labelled, made, writers, workers, lambda done: tell("encode", done, total))
    if [_sums(train_files), _sums(valid_files)] != [job["inputs"], job["valid_inputs"]]:
        raise UserError(
            expected="inputs that stay as they are while they are prepared",
            found="one with another sha256 at the end than at the start",
            todo="run prepare again when nothing writes to them",
        )

    # ---- The manifest, which makes the folder whole ----
    manifest = {
        "kind": "token_shards",
        "tsjax": __version__,
        "tokenizer": {"file": TOKENIZER, "fingerprint": made.fingerprint, "vocab_size": made.vocab_size}
        | {key: getattr(made, key) for key in ("bos", "eos", "unk", "pad")},
        "dtype": dtype_of(made).name,
        **job,
        "splits": {
            name: _described(out, name, scanned, labels == label, journal["shards"][name])
            for label, name in enumerate(SPLITS)
        },
        "counts": counts,
    }
    manifest["fingerprint"] = _fingerprint(manifest)
    manifest["checksum"] = sha256_json(manifest)
    write_json(out / MANIFEST, manifest)
    (out / JOURNAL).unlink()
    return manifest


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

    def tokens(self, split: str) -> np.ndarray:
        """All ids of a split, uint16 or uint32 [tokens], read-only; decoded once into host memory."""
        if split not in self._tokens:
            out = np.empty(self.tokens_count(split), self.manifest["dtype"])
            start = 0
            for shard in self._split(split)["shards"]:
                ids = read_records(self._checked(shard), out.dtype)
                out[start : start + len(ids)] = ids
                start += len(ids)
            out.flags.writeable = False
            self._tokens[split] = out
        return self._tokens[split]

    def document_starts(self, split: str) -> np.ndarray:
        """Where each document begins in `tokens(split)`: int64 [documents], the place of its BOS."""
        ends = np.flatnonzero(self.tokens(split) == self.manifest["tokenizer"]["eos"]) + 1
        return np.concatenate([[0], ends[:-1]])

    def documents(self, split: str) -> Iterator[np.ndarray]:
        """The ids of each document, BOS to EOS: views of `tokens(split)`."""
        tokens, starts = self.tokens(split), self.document_starts(split)
        for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
            yield tokens[start:end]

    def texts(self, split: str) -> Iterator[str]:
        """The documents as text: just what was prepared, if the tokenizer is one that tsjax trained."""
        tokenizer = self.tokenizer()
        return (tokenizer.decode(ids.tolist()) for ids in self.documents(split))

    def document_bytes(self, split: str) -> np.ndarray:
        """UTF-8 bytes of the text of each document: int32 [documents]."""
        return np.load(self._checked(self._split(split)["document_bytes"]), allow_pickle=False)

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
        path, wanted = self.folder / TOKENIZER, self.manifest["tokenizer"]["fingerprint"]
        tokenizer = Tokenizer.load(path)
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
        for name in SPLITS:
            for entry in (*self._split(name)["shards"], self._split(name)["document_bytes"]):
                self._checked(entry)

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
    return Shards(path, manifest)


def _described(
    out: Path, name: str, scanned: corpus.Scan, chosen: np.ndarray, shards: list[dict[str, Any]]
) -> dict[str, Any]:
    """The manifest's entry of one split, whose documents are `chosen` (bool [documents])."""
    lengths = scanned.bytes[chosen]
    return {
        "documents": len(lengths),
        "tokens": sum(shard["tokens"] for shard in shards),
        "bytes": int(lengths.sum(dtype=np.int64)),
        "words": int(scanned.words[chosen].sum(dtype=np.int64)),
        "document_bytes": write_lengths(out, name, lengths),
        "shards": shards,
    }


def _finished(out: Path, job: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a complete folder, if it was made by the same job and is undamaged."""
    shards = open_shards(out)
    old = {key: shards.manifest.get(key) for key in job}
    if old != job:
        before, now = old["settings"] or {}, job["settings"]
        differ = [key for key in ("inputs", "valid_inputs") if old[key] != job[key]]
        differ += [f"{key} ({before.get(key)}, now {now[key]})" for key in now if before.get(key) != now[key]]
        raise UserError(
            expected=f"the inputs and settings that {out} was prepared with",
            found=f"others: {', '.join(differ) or 'fewer settings'}",
            todo="give another --out; nothing was changed",
        )
    shards.verify()
    (out / JOURNAL).unlink(missing_ok=True)
    return shards.manifest


def _fingerprint(manifest: dict[str, Any]) -> str:
    """Of everything that decides the batches, and nothing else."""
    return sha256_json(
        {
            "dtype": manifest["dtype"],
            "tokenizer": manifest["tokenizer"]["fingerprint"],
            "shards": {name: [shard["sha256"] for shard in manifest["splits"][name]["shards"]] for name in SPLITS},
        }
    )


def _sums(files: list[Path]) -> list[dict[str, str]]:
    return [{"name": file.name, "sha256": sha256_file(file)} for file in files]
