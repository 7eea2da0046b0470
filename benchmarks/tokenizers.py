"""Megabytes of text per second that become ids: tsjax against the libraries behind it, interleaved in one process.

    python -m benchmarks.tokenizers TEXT [--gpt2 FOLDER] [--rounds 5] [--json benchmarks/results/NAME.json]

TEXT: documents between `<|endoftext|>`, plain or .gz. Every round tokenizes all of it once with each variant, so that a
noisy neighbour hits them alike; figures are medians, and medians of the per-round ratios to the library. FOLDER holds
GPT-2's vocab.json and merges.txt; without it the byte-level BPE is trained on TEXT. The memory is the peak of a fresh
process that tokenizes TEXT with that variant alone, above what the text and the tokenizer take.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from tsjax.tokenizer import HuggingFace, Recipe, SentencePiece, Tokenizer, load, versions
from tsjax.tokenizer.restricted import restrict

WORKERS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--gpt2", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    texts = documents(arguments.text)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    tried = variants(texts, arguments.gpt2)
    seconds: dict[str, list[float]] = {name: [] for name in tried}
    for _ in range(arguments.rounds):
        for name, variant in tried.items():
            begin = time.perf_counter()
            variant(texts)
            seconds[name].append(time.perf_counter() - begin)
    report: dict = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions(),
        "text": f"{arguments.text.name}, {megabytes:.2f} MB, {len(texts):,} documents",
        "workers": WORKERS,
        "rounds": arguments.rounds,
        "variants": {},
    }
    for name, variant in tried.items():
        yardstick = variant.yardstick
        ratio = statistics.median(theirs / ours for ours, theirs in zip(seconds[name], seconds[yardstick], strict=True))
        speed = megabytes / statistics.median(seconds[name])
        memory = extra_memory(variant, arguments.text)
        report["variants"][name] = {
            "megabytes_per_second": speed,
            "ratio": ratio,
            "to": yardstick,
            "extra_megabytes": memory,
        }
        print(f"{name:<28} {speed:7.2f} MB/s  x{ratio:.2f} of {yardstick:<22} +{memory:,.0f} MB")
    if arguments.json:
        with open(arguments.json, "w") as f:
            json.dump(report, f, indent=2)


def documents(path: Path) -> list[str]:
    """The documents of a text file."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return [document.strip() for document in text.split("<|endoftext|>") if document.strip()]


@dataclass(frozen=True)
class Variant:
    """A way to turn texts into ids: a tokenizer's own, or straight through the library behind it."""

    tokenizer: Tokenizer
    yardstick: str  # the variant to compare it with
    direct: bool = False

    def __call__(self, texts: list[str]) -> list[list[int]]:
        if not self.direct:
            return self.tokenizer.encode(texts, workers=WORKERS)
        if isinstance(self.tokenizer, SentencePiece):
            return self.tokenizer._pieces.encode(texts, num_threads=WORKERS)
        assert isinstance(self.tokenizer, HuggingFace)
        return [done.ids for done in self.tokenizer._tokenizer.encode_batch(texts, add_special_tokens=False)]


def variants(texts: list[str], gpt2: Path | None) -> dict[str, Variant]:
    """By name; every library before what is built on it."""
    some = texts[:2000]
    pieces = Recipe(vocab_size=4096).make(some)
    byte_level = load(gpt2) if gpt2 else Recipe("byte-bpe", 4096).make(some)
    half = restrict(byte_level, byte_level.vocab_size // 2, "split", some)
    words = Recipe("words", 1920).make(some)
    return {
        "sentencepiece": Variant(pieces, "sentencepiece", direct=True),
        "SentencePiece": Variant(pieces, "sentencepiece"),
        "tokenizers": Variant(byte_level, "tokenizers", direct=True),
        "HuggingFace": Variant(byte_level, "tokenizers"),
        "Restricted to half of it": Variant(half, "HuggingFace"),
        "WordList": Variant(words, "WordList"),
    }


def extra_memory(variant: Variant, path: Path) -> float:
    """Megabytes at the peak of tokenizing in a fresh process, above what the text and the tokenizer take."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (variant, path))


def _measure(variant: Variant, path: Path) -> float:
    texts = documents(path)
    variant(texts[:1])
    before = _memory("VmRSS")
    variant(texts)
    return _memory("VmHWM") - before  # getrusage would count the parent that this process was forked from


def _memory(key: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
