"""The recipe drill: from a recipe to a model that talks like it, with a server that answers badly in a known share.

    python -m tests.recipe_drill [--documents 2000] [--recipes all] [--out DIR] [--steps 300]

For each recipe the stub runs as a process of its own. It gives the offline writer's answers, of which some are spoiled
on purpose (`tests/data_gen/planted.py`), loses some replies after billing them and fails some calls. `tsjax generate`
must end with exactly the documents wanted, reject what was spoiled, for its reason, and nothing else; its books must
bound the stub's bill; the report and the card must tell the same numbers; the key must be in no file. Then `tsjax
prepare` with no options, `tsjax train` of the quickstart's model and `tsjax sample`. Exit code 1 on any violation.
"""

import argparse
import io
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zstandard

from data_gen.prices import Prices
from data_gen.raw import read as raw_lines
from data_gen.recipe import bundled, load
from tests.data_gen.planted import COPIES, Planted
from tests.openai_server import Rule, Script, bill, read

ROOT = Path(__file__).parents[1]
MODEL, VARIABLE = "gpt-6-luna", "DRILL_KEY"
FAULTS = Script(
    rules=(Rule("error_500", 0.02, 1), Rule("reset_after_work", 0.01, 1), Rule("rate_ms", 0.02, 1, 20.0)), latency=0.01
)


def drill(name: str, out: Path, documents: int, steps: int) -> dict[str, Any]:
    """The row of the table for a recipe; `wrong` lists what was violated."""
    out.mkdir(parents=True, exist_ok=True)
    key, began = f"sk-{secrets.token_hex(20)}", time.monotonic()
    with stub(name, out / "stub.jsonl") as url:
        said = tsjax("generate", name, "--model", MODEL, "--base-url", url, "--key-env", VARIABLE, "--target", documents,
                     "--cap", "5", "--licence", "cc0-1.0", "--out", out / "run", key=key)  # fmt: skip
    row: dict[str, Any] = {"recipe": name, "generate": time.monotonic() - began, "wrong": []}
    manifest = json.loads((out / "run" / "manifest.json").read_text())
    row |= examine(name, out / "run", manifest, documents, row["wrong"])
    row |= compare_bill(out, manifest, row["wrong"])
    if leaks := [str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and holds(path, key.encode())]:
        row["wrong"].append(f"the key is in {', '.join(leaks)}")
    if key in "".join(said):
        row["wrong"].append("the key was printed")
    if steps and not row["wrong"]:
        row |= train(name, out, documents, steps)
    return row


@contextmanager
def stub(name: str, ledger: Path) -> Iterator[str]:
    """A stub that answers a recipe's requests, as a process of its own; its address."""
    script = ledger.with_name("script.json")
    script.write_text(FAULTS.dump())
    command = [sys.executable, "-m", "tests.openai_server", "--ledger", ledger, "--script", script]
    process = subprocess.Popen([*map(str, command), "--answer", f"tests.data_gen.planted:{name}"], cwd=ROOT, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdin and process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        if process.wait(30):
            raise RuntimeError(f"the stub ended with {process.returncode}")


def tsjax(*arguments: Any, key: str = "") -> tuple[str, str]:
    """What the command line prints on both streams; it must exit with 0."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | ({VARIABLE: key} if key else {})
    command = [sys.executable, "-m", "launch.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True)
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"tsjax {' '.join(map(str, arguments))} ended with {done.returncode}:\n{said}")
    return done.stdout, done.stderr


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with zstandard.open(path, "rt", encoding="utf-8") as text:
        yield from map(json.loads, text)


def examine(name: str, run: Path, manifest: dict[str, Any], documents: int, wrong: list[str]) -> dict[str, Any]:
    """Compares what became of every answer with what was planted, and report and card with that."""
    planted = Planted(load(name))
    names = [step.name for step in planted.recipe.steps]
    index_of: dict[str, int] = {}
    expected: dict[int, tuple[str, str]] = {}  # index -> (step, reason)
    answers: Counter[str] = Counter()
    for row in raw_lines(run):
        request = planted.request("\n".join(message["content"] for message in row["messages"]))
        reason = planted.reason(request)
        answers[names[row["step"]]] += 1
        if reason or row["step"] == 0:
            expected[row["index"]] = (names[row["step"]], reason)
        index_of[row["id"]] = row["index"]
    exported = [item for split in ("train", "valid") for item in lines(run / "documents" / f"{split}.jsonl.zst")]
    if len(exported) != documents:
        wrong.append(f"{len(exported)} documents, not {documents}")
    place = names.index(planted.recipe.shape.text)
    kept = {index_of[item["src"]["requests"][names[place]]] for item in exported}
    found: dict[int, tuple[str, str]] = {}
    for item in lines(run / "rejected.jsonl.zst"):
        found[index_of[list(item["src"]["requests"].values())[-1]]] = (item.get("step", names[0]), item["reason"])
    report = json.loads((run / "report.json").read_text())
    chance = 0
    for index, (step, reason) in sorted(expected.items()):
        if reason in COPIES.values() and expected.get(index - 1, ("", ""))[1] and index not in found:
            continue  # its original was no good at a later step, so it is the first of its kind
        got = found.get(index, ("", ""))[1]
        if got == "near_duplicate" and not reason:
            chance += 1  # two stories of the offline writer that happen to be that alike
        elif got != reason:
            wrong.append(f"document {index}: {reason or 'good'} in step {step}, but {got or 'accepted'}")
        elif not reason and index not in kept and not report["documents"]["beyond_target"]:
            wrong.append(f"document {index} is good and was lost")
    if chance > 0.01 * documents:
        wrong.append(f"{chance} good documents rejected as near copies")
    for name_, step in report["acceptance"].items():
        planned = Counter(
            reason for where, reason in expected.values() if where == name_ and reason not in ("", *COPIES.values())
        )
        if Counter(step["rejected"]) != planned or step["answers"] != answers[name_]:
            wrong.append(f"the report tells {step['rejected']} for {name_}, not {dict(planned)}")
    card = (run / "documents" / "README.md").read_text()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line.startswith("| ")
    ]
    told = {row[0]: row[1:] for row in cells}
    for split in ("train", "valid"):
        if told.get(split, [""])[0] != str(report["documents"][split]):
            wrong.append(f"the card tells of {told.get(split)} for {split}, not {report['documents'][split]}")
    rejected: Counter[str] = Counter()
    reasons = {reason for step in report["acceptance"].values() for reason in step["rejected"]}
    for row in cells:
        if len(row) == 2 and row[0] in reasons:
            rejected[row[0]] += int(row[1])
    counted = Counter(reason for _, reason in expected.values() if reason not in ("", *COPIES.values()))
    if rejected != counted:
        wrong.append(f"the card tells {dict(rejected)} rejected, not {dict(counted)}")
    for text in ("Licence, as given by whoever made the data set: cc0-1.0.", f"asked for: {MODEL}", f"# {name}"):
        if text not in card:
            wrong.append(f"the card does not say {text}")
    if manifest["documents"] != documents:
        wrong.append(f"the manifest tells of {manifest['documents']} documents")
    planned_all = Counter(reason for _, reason in expected.values() if reason)
    return {"answers": answers.total(), "documents": len(exported), "spoiled": planned_all.total(),
            "reasons": len(planned_all), "alike by chance": chance}  # fmt: skip


def compare_bill(out: Path, manifest: dict[str, Any], wrong: list[str]) -> dict[str, Any]:
    """I3: settled <= what the stub would have billed <= settled + doubtful."""
    price = Prices.load().of(MODEL)
    rows = list(read(out / "stub.jsonl"))
    billed = bill(rows, {MODEL: (price.input / 1e6, price.output / 1e6)})
    settled, doubtful = (manifest["cost_usd"][kind] for kind in ("settled", "doubtful"))
    if not settled - 1e-9 <= billed <= settled + doubtful + 1e-9:
        wrong.append(f"{billed:.6f} USD billed, {settled:.6f} settled and {doubtful:.6f} doubtful")
    if any(row.get("key_in_body") for row in rows):
        wrong.append("the key was in a request's body or address")
    return {"billed": billed, "settled": settled, "doubtful": doubtful}


def holds(path: Path, key: bytes) -> bool:
    """Whether a file holds the key, also inside its compressed frames."""
    data = path.read_bytes()
    if path.suffix == ".zst":
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as whole:
            data += whole.read()
    return key in data


def train(name: str, out: Path, documents: int, steps: int) -> dict[str, Any]:
    """Shards without options, the quickstart's model for some steps, and what it says."""
    began = time.monotonic()
    few = ["--vocab-size", 512] if documents < 1000 else []  # they have not the 4,096 pieces of the default
    tsjax("prepare", out / "run" / "documents", "--out", out / "shards", *few)
    shards = json.loads((out / "shards" / "manifest.json").read_text())
    tsjax("train", "--config=configs/quickstart.py", f"--config.data.path={out / 'shards'}", "--config.model.vocab_size=0",
          f"--config.train.duration={steps} steps", "--run", out / "model")  # fmt: skip
    rows = [json.loads(line) for line in (out / "model" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if row["kind"] == "train"]
    starts = {
        "tinychat": "[INST] Hello! I feel happy today. [/INST]",
        "support_calls": "[INST] Hello, my kettle is dead. [/INST]",
    }
    prompt = ["--prompt", starts[name]] if name in starts else []
    said, _ = tsjax("sample", out / "model", *prompt, "--count", 2, "--max-new", 200, "--temperature", 0.5)
    result = json.loads((out / "model" / "result.json").read_text())
    return {
        "prepared": sum(split["documents"] for split in shards["splits"].values()),
        "loss": f"{losses[0]:.2f} -> {losses[-1]:.2f}",
        "valid": result["loss"],
        "train": time.monotonic() - began,
        "samples": said,
    }


def show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if samples := row.pop("samples", ""):
            print(f"\n=== {row['recipe']}\n{re.sub(chr(10) + '{3,}', chr(10) * 2, samples.strip())}")
    columns = [column for column in dict.fromkeys(key for row in rows for key in row) if column != "wrong"]
    cells = [
        [f"{value:.4f}" if isinstance(value := row.get(column, ""), float) else str(value) for column in columns]
        for row in rows
    ]
    widths = [max(map(len, texts)) for texts in zip(columns, *cells, strict=True)]
    print()
    for texts in (columns, *cells):
        print("  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip())
    for row in rows:
        for text in row["wrong"][:20]:
            print(f"{row['recipe']}: {text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--recipes", default="all", help="names with commas between them")
    parser.add_argument("--steps", type=int, default=300, help="of training; 0: none")
    parser.add_argument("--out", type=Path, help="keep the folders here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = (arguments.out or Path(temporary)).resolve()
        rows = []
        for name in bundled() if arguments.recipes == "all" else arguments.recipes.split(","):
            rows.append(drill(name, out / name, arguments.documents, arguments.steps))
            told = f"{len(rows[-1]['wrong'])} violations" if rows[-1]["wrong"] else "as it should be"
            print(f"{name}: {rows[-1]['documents']:,} documents of {rows[-1]['answers']:,} answers, {told}", flush=True)
    show(rows)
    if any(row["wrong"] for row in rows):
        sys.exit(1)
    print("drill passed")


if __name__ == "__main__":
    main()
