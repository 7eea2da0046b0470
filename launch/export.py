"""`tsjax export`: a run's model in a form that other programs read."""

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsjax.errors import UserError

if TYPE_CHECKING:  # jax is imported when a verb needs it
    from tsjax.run import Run
    from tsjax.trained import Trained

EXAMPLE = (
    "tsjax export runs/1m --to hf --out exports/1m --verify\n"
    "  tsjax export runs/1m --to hf --family gpt2 --dtype bfloat16 --step 5000 --out exports/1m-gpt2"
)


@dataclasses.dataclass(frozen=True)
class Written:
    """What a format's function says of what it wrote, for `--verify`."""

    expected: "Trained"  # what the files should hold: the run's model, rounded as the format rounds
    read: "Callable[[], Trained]"  # our importer


# ---- the formats: each a function of (trained, out, arguments, about) that writes and says what should be there.


def hf(trained: "Trained", out: Path, arguments: argparse.Namespace, about: dict[str, Any]) -> Written:
    """A Hugging Face folder."""
    from tsjax.formats import huggingface

    chosen = {"family": arguments.family, "dtype": arguments.dtype}
    # float32 must come back as the run's own function; what other types round off is told, not held against them.
    expected = trained if arguments.dtype == "float32" else huggingface.stored(trained, **chosen)[0]
    huggingface.write_hf(trained, out, **chosen, with_tokenizer=not arguments.without_tokenizer, about=about)
    return Written(expected, lambda: huggingface.open_hf(out))


FORMATS: dict[str, Callable[..., Written]] = {"hf": hf}


def export_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("run", type=Path, help="run folder")
    p.add_argument("--to", required=True, choices=FORMATS, help="hf: a Hugging Face folder")
    p.add_argument("--out", type=Path, required=True, help="folder or file to write; must not exist")
    p.add_argument("--step", type=int, help="the checkpoint of that step (default: the newest)")
    p.add_argument("--verify", action="store_true", help="read it again and compare logits; fails above the tolerance")
    g = p.add_argument_group("hf")
    g.add_argument(
        "--family", default="", choices=("gpt_neo", "gpt2", "llama"), help="default: the nearest to the config"
    )
    g.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"), help="of the weights")
    g.add_argument("--without-tokenizer", action="store_true", help="leave tokenizer.json out, where it can't be one")


def export(arguments: argparse.Namespace) -> None:
    """Writes, and with --verify reads again and compares."""
    from tsjax.trained import open_trained

    trained = open_trained(arguments.run, arguments.step)
    written = FORMATS[arguments.to](trained, arguments.out, arguments, facts(arguments.run, trained))
    print(f"{arguments.run} as {arguments.to}: {arguments.out}")
    if arguments.verify:
        from tsjax.formats import verify

        back = written.read()
        found = verify.check(written.expected, back)
        print(f"verified: largest logit difference {found}")
        if written.expected is not trained:
            print(f"to the run's own weights: {verify.difference(trained, back).largest:.2e}")


def facts(folder: Path, trained: "Trained") -> dict[str, Any]:
    """What the run's own files say of this checkpoint: data, git_commit, measured, imported_from; None where nothing."""
    from tsjax.run import Run

    run = Run(folder)
    manifest = run.manifest()
    source = manifest.get("imported_from")
    own = {"data": manifest["data"]["fingerprint"], "git_commit": manifest.get("git_commit")}
    known = {name: source.get(name) for name in own} if source else own
    measured = (source or {}).get("measured") or _evaluation(run, trained.step)
    return known | {"measured": measured, "imported_from": source}


def _evaluation(run: "Run", step: int | None) -> dict[str, Any] | None:
    """The evaluation of that step in the run's metrics; None where it was not evaluated there."""
    path = run / "metrics.jsonl"
    if not path.exists():
        return None
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except ValueError as error:
        raise UserError(
            expected=f"JSON lines in {path}", found=str(error), todo="continue the run, which mends it"
        ) from error
    found = [row for row in rows if row.get("kind") == "valid" and row.get("step") == step]
    names = ("loss", "standard_error", "bits_per_byte", "documents", "tokens")
    return {name: found[-1][name] for name in names} if found else None
