"""What the user names -> the files to read: a file, a folder, or a data set on the Hugging Face hub."""

import json
from pathlib import Path
from typing import NamedTuple

from tsjax.atomic import sha256_file
from tsjax.corpus import SPLITS, hub
from tsjax.corpus.unpack import is_archive, is_corpus
from tsjax.errors import UserError

STORIES = "stories.jsonl.zst"  # what a documents stage writes that leaves the split to others
SPLIT_FILES = {split: f"{split}.jsonl.zst" for split in SPLITS}  # what one writes that splits
MANIFEST = "manifest.json"


class Source(NamedTuple):
    """A file to read. `split` is "train" or "valid" where whoever made the corpus has said so."""

    path: Path
    name: str
    split: str | None


def sources(where: str | Path) -> list[Source]:
    """The corpus files behind `where`, sorted by name:

    - a file is itself;
    - a folder that a documents stage wrote is its files, checked against its manifest;
    - any other folder is its corpus files, by name;
    - `hf://owner/name[@revision][/path or glob]` is files of a data set, downloaded where they are not yet.

    Raises UserError for what is missing, unfinished, changed or holds no corpus file.
    """
    if hub.is_address(str(where)):
        return [Source(path, name, split) for path, name, split in hub.fetch(hub.parse(str(where)))]
    path = Path(where)
    if not path.exists():
        raise UserError(expected="a corpus file or folder", found=f"no {path}", todo="check the path")
    if not path.is_dir() and not path.is_file():
        raise UserError(
            expected="a corpus file or folder",
            found=f"{path}, which is neither",
            todo="write it to a file; it is read twice",
        )
    if not path.is_dir():
        return [Source(path, path.name, None)]
    if (path / MANIFEST).exists():
        return [Source(path / file, file, split) for file, split in _promised(path)]
    for file in (STORIES, *SPLIT_FILES.values()):
        if (path / file).exists():
            raise UserError(
                expected=f"{MANIFEST} beside {path / file}",
                found="none, so the stage that writes it did not finish",
                todo="run that stage again, or name the file itself to use it as it is",
            )
    found = sorted(f for f in path.iterdir() if (is_corpus(f.name) or _is_shown_archive(f.name)) and f.is_file())
    if not found:
        raise UserError(
            expected="corpus files (.txt, .jsonl, .json or .parquet, plain, .gz, .zst or .tar)",
            found=f"none in the folder {path}",
            todo="name the file itself if it is called something else",
        )
    return [Source(file, file.name, None) for file in found]


def _is_shown_archive(name: str) -> bool:
    return is_archive(name) and not name.startswith(".")


def _promised(folder: Path) -> list[tuple[str, str | None]]:
    """(file, split) of a documents folder, whose bytes are what its manifest says."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        kind = manifest.get("kind")
        promised: list[tuple[str | None, str, str]] = [(None, STORIES, str(manifest.get("sha256")))]
        if kind == "documents" and "files" in manifest:
            promised = [(split, file["name"], file["sha256"]) for split, file in manifest["files"].items()]
    except (ValueError, AttributeError, KeyError, TypeError, OSError) as e:
        raise UserError(
            expected=f"a JSON object in {folder / MANIFEST}",
            found="something else",
            todo="write the documents again, or name the corpus file itself",
        ) from e
    if kind != "documents":
        raise UserError(
            expected=f"kind 'documents' in {folder / MANIFEST}",
            found=f"{kind!r}",
            todo="give a corpus file or the folder that generate wrote",
        )
    for _, name, sha256 in promised:
        found = sha256_file(folder / name) if (folder / name).is_file() else "no such file"
        if found != sha256:
            raise UserError(
                expected=f"{folder / name} with sha256 {sha256[:12]} (its manifest)",
                found=found[:12],
                todo="write the documents again, or name the file itself to use it as it is",
            )
    return [(name, split) for split, name, _ in promised]
