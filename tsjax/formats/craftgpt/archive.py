"""CraftGPT's files out of a folder, a tar archive, or the weights as ordinary matrices (.npz). Nothing is unpacked."""

import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NoReturn

import jax.numpy as jnp
import numpy as np

from tsjax.errors import UserError
from tsjax.formats.craftgpt import rom
from tsjax.formats.craftgpt.quantise import quantise

FIRST = "embedding/wte_1.bin"  # by which the folder of the others is found
TOKENS = "tokens.txt"
LARGEST_TOKENS, LARGEST_ARCHIVE = 2**20, 2**26  # bytes that are read at most
_NPZ = {"wq": "query", "wk": "key", "wv": "value", "wo": "out", "mlp_up": "up", "mlp_down": "down"}


def of_folder(path: Path) -> tuple[dict[str, bytes], bytes | None]:
    """(the ROM files, tokens.txt if there is one) of a folder, or of `weights/weight_files` in it."""
    places = [path, path / "weight_files", path / "weights" / "weight_files"]
    place = next((p for p in places if (p / FIRST).is_file()), None)
    if place is None:
        _missing(path, FIRST)
    files = {}
    for name, size in rom.sizes().items():
        file = place / name
        found = file.stat().st_size if file.is_file() else None
        if found is None and name in rom.TABLES:
            continue
        if found != size:
            _wrong(path, name, size, found)
        files[name] = file.read_bytes()
    lists = (folder / TOKENS for folder in (place, place.parent, place.parent.parent))
    tokens = next((p for p in lists if p.is_file() and p.stat().st_size <= LARGEST_TOKENS), None)
    return files, tokens.read_bytes() if tokens else None


def of_tar(path: Path) -> tuple[dict[str, bytes], bytes | None]:
    """The same of a tar archive, packed or not; read in memory, by names and sizes that are known beforehand."""
    wanted, files, total = rom.sizes(), {}, 0
    tokens = None
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                total += max(member.size, 0)
                if total > LARGEST_ARCHIVE:
                    raise UserError(expected=f"at most {LARGEST_ARCHIVE:,} bytes in {path}", found="more",
                                    todo="give craftgpt_weights_raw.tar.gz or one like it")  # fmt: skip
                parts = PurePosixPath(member.name).parts
                name = next((name for n in (2, 1) if (name := "/".join(parts[-n:])) in wanted), None)
                content = archive.extractfile(member) if member.isfile() else None  # no links
                if content is None:
                    continue
                if parts[-1] == TOKENS and member.size <= LARGEST_TOKENS:
                    tokens = content.read()
                elif name is not None:
                    if member.size != wanted[name] or name in files:
                        _wrong(path, name, wanted[name], member.size, twice=name in files)
                    files[name] = content.read()
    except (OSError, tarfile.TarError, EOFError, zlib.error) as e:
        said = " ".join(str(e).split())[:200]  # it may list all kinds of archives that this is not
        raise UserError(expected=f"a whole tar archive at {path}", found=said, todo="copy it again") from e
    for name in wanted.keys() - files.keys() - rom.TABLES.keys():
        _missing(path, name)
    return files, tokens


def of_npz(path: Path) -> tuple[rom.Numbers, bytes | None]:
    """(the numbers, tokens.txt beside it if there is one) of matrices `wte`, `wpe`, `h0.wq`, ... as float arrays.

    UserError unless every value is one that the ROMs hold.
    """
    params = {}
    names = {"wte": "embedding", "wpe": "position", "ln_f": "norm.scale", "lm_head": "unembedding"}
    for layer in range(rom.SHAPE.layers):
        names |= {f"h{layer}.{short}": rom.matrix_name(layer, which) for short, which in _NPZ.items()}
        names |= {
            f"h{layer}.ln_{n + 1}": f"blocks.{layer}.{which}_norm.scale" for n, which in enumerate(("attention", "mlp"))
        }
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > LARGEST_ARCHIVE:
            raise ValueError(f"{total:,} bytes of arrays")
        with np.load(path, allow_pickle=False) as arrays:
            for short, name in names.items():
                value, shape = np.asarray(arrays[short], np.float32), rom.shapes()[name]
                if value.shape != shape:
                    raise ValueError(f"{short} of shape {value.shape} instead of {shape}")
                params[name] = jnp.asarray(value.T if name.endswith(".kernel") else value)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
        raise UserError(
            expected=f"CraftGPT's matrices in {path}", found=" ".join(str(e).split())[:200], todo="copy it again"
        ) from e
    stored, report = quantise(rom.SHAPE, params)
    changed = [name for name, row in report["parameters"].items() if row["snr_db"] is not None]
    if changed:
        raise UserError(expected=f"weights that the ROMs hold in {path}", found=f"others in {changed[0]}",
                        todo="quantise the model by exporting it to craftgpt")  # fmt: skip
    beside = path.with_name(TOKENS)
    return stored, beside.read_bytes() if beside.is_file() else None


def _missing(path: Path, name: str) -> NoReturn:
    raise UserError(expected=f"CraftGPT's {len(rom.sizes()) - len(rom.TABLES)} weight files in {path}",
                    found=f"no {name}", todo="give the folder, or craftgpt_weights_raw.tar.gz")  # fmt: skip


def _wrong(path: Path, name: str, size: int, found: int | None, twice: bool = False) -> NoReturn:
    if found is None:
        _missing(path, name)
    raise UserError(expected=f"{name} of {size:,} bytes, once, in {path}",
                    found="two of them" if twice else f"{found:,} bytes", todo="copy it again")  # fmt: skip
