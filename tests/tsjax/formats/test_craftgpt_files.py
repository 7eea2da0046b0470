"""CraftGPT's files: written, read back, and refused where they are damaged or the model does not fit."""

import dataclasses
import gzip
import io
import shutil
import tarfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.expect import refused
from tsjax import families, model
from tsjax.config import Config, ModelConfig
from tsjax.formats.craftgpt import archive, numbers, rom
from tsjax.formats.craftgpt.opening import open_craftgpt, write_craftgpt
from tsjax.formats.craftgpt.quantise import dequantise
from tsjax.tokenizer import WordList
from tsjax.trained import Trained

WORDS = WordList([" [inst]", " [/inst]", *(f" a{i}" for i in range(1898)), *"abcdef"])
TIED = ModelConfig(**families.craftgpt(init_std=0.1))


@pytest.fixture(scope="module")
def trained():
    return Trained(Config(model=TIED), jax.jit(lambda: model.init(TIED, jax.random.key(0)))(), WORDS, 7)


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("roms") / "rom"
    return out, write_craftgpt(trained, out)


def test_every_row_is_in_one_file():
    rows = [row for _, rows in rom.layout() for row in rows]
    assert len(list(rom.layout())) == 555 and len({*rows}) == len(rows)
    assert len(rows) == sum(shape[0] if len(shape) > 1 else 1 for shape in rom.shapes().values())


def test_a_model_comes_back_rounded(trained, written):
    """Embeddings to 2^-18, gains to 2^-22, matrices to their codes; the head is the embedding as a matrix."""
    out, report = written
    again = open_craftgpt(out)
    assert not again.config.model.tied and again.tokenizer.fingerprint == WORDS.fingerprint
    assert len([p for p in (out / "weights" / "weight_files").rglob("*") if p.is_file()]) == 557
    for name, p in trained.params.items():
        if name == "embedding":
            np.testing.assert_allclose(np.clip(p, -0.5, 0.5), again.params[name], atol=2**-18)
            p, name = p, "unembedding"
        if name == "position" or name.endswith("scale"):
            np.testing.assert_allclose(
                np.clip(p, -0.5, 4) if name == "position" else p, again.params[name], atol=2**-18
            )
            continue
        codes, _ = numbers.weight_codes(np.asarray(p))
        assert np.array_equal(numbers.weight_values()[codes], again.params[name])
    rows = report["parameters"]
    head = np.asarray(trained.params["embedding"])
    assert rows["unembedding"]["clipped"] == np.sum(np.abs(head) > 15 / 32) > 0
    assert report["clipped"] >= rows["unembedding"]["clipped"]
    noise = np.sum((np.asarray(again.params["unembedding"], np.float64) - head) ** 2)
    assert abs(rows["unembedding"]["snr_db"] - 10 * np.log10(np.sum(head.astype(np.float64) ** 2) / noise)) < 1e-6
    assert 30 < rows["unembedding"]["snr_db"] < 36  # interop.md 8.2: 32.6 dB at std 0.1
    assert rows["norm.scale"]["snr_db"] is None


def pack(files: dict[str, bytes], path, extra=()):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return path


@pytest.fixture(scope="module")
def files(written):
    out, _ = written
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != "report.json"}


def test_an_archive_is_read_without_unpacking(written, files, tmp_path):
    """Whatever its names say: nothing outside the known names is read, nothing is written."""
    out, _ = written
    folder = open_craftgpt(out)
    evil = files | {"../../escaped.bin": b"x" * 9600, "/absolute/att_1.bin": b"y" * 9600}
    link = tarfile.TarInfo("weights/weight_files/attention/att_999.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    path = pack(evil, tmp_path / "roms.tar.gz", [link])
    before = sorted(tmp_path.parent.rglob("*"))
    packed = open_craftgpt(path)
    assert sorted(tmp_path.parent.rglob("*")) == before
    assert all(np.array_equal(p, folder.params[n]) for n, p in packed.params.items())


def test_damaged_archives_are_refused(files, tmp_path):
    name = "weights/weight_files/mlp/mlp_7.bin"
    with refused("mlp/mlp_7.bin", "no mlp"):
        open_craftgpt(pack({n: c for n, c in files.items() if n != name}, tmp_path / "a.tar"))
    with refused("mlp/mlp_7.bin", "9,600 bytes", "9,599"):
        open_craftgpt(pack(files | {name: files[name][1:]}, tmp_path / "b.tar"))
    with refused("mlp/mlp_7.bin", "two of them"):
        open_craftgpt(pack(files | {"other/mlp/mlp_7.bin": files[name]}, tmp_path / "c.tar"))
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, "mlp_8.bin"
    with refused("no mlp/mlp_7.bin"):
        open_craftgpt(pack({n: c for n, c in files.items() if n != name}, tmp_path / "d.tar", [link]))
    with refused("tokens.txt"):
        open_craftgpt(pack({n: c for n, c in files.items() if n != "tokens.txt"}, tmp_path / "e.tar"))
    whole = pack(files, tmp_path / "f.tar.gz").read_bytes()
    (tmp_path / "g.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "h.tar.gz").write_bytes(b"no archive at all")
    (tmp_path / "i.tar.gz").write_bytes(gzip.compress(b"no archive either" * 1000))
    for damaged in "ghi":
        with refused("a whole tar archive"):
            open_craftgpt(tmp_path / f"{damaged}.tar.gz")
    table = "weights/weight_files/softmax_2.bin"
    with refused("softmax_2.bin"):
        open_craftgpt(pack(files | {table: bytes(3072)}, tmp_path / "j.tar"))
    wte = "weights/weight_files/embedding/wte_3.bin"
    with refused("18 bits"):
        open_craftgpt(pack(files | {wte: b"\xff" * 23040}, tmp_path / "k.tar"))


def test_a_bomb_is_refused(tmp_path):
    """A gigabyte of zeros in a megabyte of gzip: its header alone is read."""
    bomb = tarfile.TarInfo("zeros.bin")
    bomb.size = 2**30
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(bomb.tobuf() + bytes(2**20)))
    with refused("at most 67,108,864 bytes"):
        open_craftgpt(tmp_path / "bomb.tar.gz")


def test_damaged_folders_are_refused(written, tmp_path):
    out, _ = written
    copy = tmp_path / "rom"
    shutil.copytree(out, copy)
    assert open_craftgpt(copy / "weights" / "weight_files").step is None, "the innermost folder will do"
    (copy / "weights" / "weight_files" / "layernorm" / "ln_13.bin").write_bytes(b"short")
    with refused("layernorm/ln_13.bin of 720 bytes", "5 bytes"):
        open_craftgpt(copy)
    with refused("555 weight files", "embedding/wte_1.bin"):
        open_craftgpt(tmp_path)
    with refused("a whole tar archive"):
        open_craftgpt(tmp_path / "nowhere.tar.gz")


def test_matrices_off_the_grid_are_refused(written, tmp_path):
    short = {name: short for short, name in archive._NPZ.items()}
    params = open_craftgpt(written[0]).params
    arrays = {"wte": params["embedding"], "wpe": params["position"], "ln_f": params["norm.scale"],
              "lm_head": params["unembedding"]}  # fmt: skip
    for layer in range(6):
        for which, name in short.items():
            arrays[f"h{layer}.{name}"] = params[rom.matrix_name(layer, which)].T
        for n, which in enumerate(("attention", "mlp"), 1):
            arrays[f"h{layer}.ln_{n}"] = params[f"blocks.{layer}.{which}_norm.scale"]
    WORDS.save(tmp_path / "tokens.txt")
    np.savez(tmp_path / "good.npz", **arrays)
    again = open_craftgpt(tmp_path / "good.npz")
    assert all(np.array_equal(p, params[n]) for n, p in again.params.items())
    np.savez(tmp_path / "off.npz", **arrays | {"h3.wk": arrays["h3.wk"] + 1e-4})
    with refused("weights that the ROMs hold", "blocks.3.attention.key.kernel"):
        open_craftgpt(tmp_path / "off.npz")
    np.savez(tmp_path / "shape.npz", **arrays | {"wpe": arrays["wte"]})
    with refused("wpe of shape"):
        open_craftgpt(tmp_path / "shape.npz")
    (tmp_path / "no.npz").write_bytes(b"PK\x03\x04")
    with refused("CraftGPT's matrices"):
        open_craftgpt(tmp_path / "no.npz")


@pytest.mark.parametrize(
    ("field", "value"),
    [("norm", "rmsnorm"), ("norm_position", "post"), ("norm_eps", 1e-6), ("position", ("none",)), ("attn_scale", "head_dim"),
     ("attn_soft_cap", 3.0), ("attn_sinks", True), ("qk_norm", True), ("mlp", "gelu"), ("bias", "all"),
     ("final_soft_cap", 3.0), ("attention", ("local",)), ("kv_heads", 1), ("vocab_size", 1984), ("context", 128),
     ("width", 480), ("layers", 5), ("heads", 6), ("head_dim", 16), ("mlp_width", 240)],
)  # fmt: skip
def test_a_model_of_another_form_is_refused_by_its_field(trained, tmp_path, field, value):
    other = dataclasses.replace(trained.config.model, **{field: value})
    with refused(f"config.model.{field}"):
        write_craftgpt(dataclasses.replace(trained, config=Config(model=other)), tmp_path / "rom")
    assert not any(tmp_path.iterdir())


def test_what_else_is_refused(trained, tmp_path):
    for words in (WordList(["a", " "]), WordList([" [/inst]", " [inst]", *WORDS.tokens[2:]])):
        with refused("a word list of 1920 ids", "--kind words"):
            write_craftgpt(dataclasses.replace(trained, tokenizer=words), tmp_path / "rom")
    broken = trained.params | {"norm.scale": trained.params["norm.scale"].at[3].set(jnp.nan)}
    with refused("norm.scale"):
        write_craftgpt(dataclasses.replace(trained, params=broken), tmp_path / "rom")
    assert not any(tmp_path.iterdir())
    (tmp_path / "rom").mkdir()
    (tmp_path / "rom" / "mine.txt").write_text("keep")
    with refused("a new folder"):
        write_craftgpt(trained, tmp_path / "rom")


def test_a_failing_write_leaves_nothing(trained, tmp_path):
    with refused("texts of 2 to 65 tokens"):
        write_craftgpt(trained, tmp_path / "rom", rows=[[1]])
    assert not any(tmp_path.iterdir())


def test_numbers_give_themselves_again(written):
    out, _ = written
    stored = rom.read(archive.of_folder(out)[0])
    params = dequantise(stored)
    assert {n: p.shape for n, p in params.items()} == {n: p.shape for n, p in model.abstract(rom.SHAPE).items()}
