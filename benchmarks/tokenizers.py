"""Megabytes of text per second that become ids: tsjax against the libraries behind it, interleaved in one process.

    python -m benchmarks.tokenizers TEXT [--gpt2 FOLDER] [--rounds 5] [--json benchmarks/results/NAME.json]

TEXT: documents between `<|endoftext|>`, plain or .gz. Every round tokenizes all of it once with each variant, so that a
noisy neighbour hits them alike; figures are medians, and medians of the per-round ratios to the library. FOLDER holds
GPT-2's vocab.json and merges.txt; without it the byte-level BPE is trained on TEXT. The memory is the peak of a fresh
process that tokenizes TEXT with that variant alone, above what the text and the tokenizer take.
"""

import gzip
import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import measure
from tsjax.tokenizer import HuggingFace, Recipe, SentencePiece, Tokenizer, load
from tsjax.tokenizer.restricted import restrict

WORKERS = 2


def bench(text: Path, gpt2: Path | None = None, rounds: int = 5) -> dict[str, Any]:
    texts = documents(text)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    tried = variants(texts, gpt2)
    calls = {name: lambda variant=variant: measure.timed(lambda: variant(texts)) for name, variant in tried.items()}
    samples = measure.interleave(calls, rounds, warm=0)
    table: list[measure.Row] = []
    for name, variant in tried.items():
        pair = {variant.yardstick: samples[variant.yardstick], name: samples[name]}
        row = measure.rows(pair, variant.yardstick, megabytes)[-1]
        table.append(row | {"extra_mb": extra_memory(variant, text)})
    source = f"{text.name}, {megabytes:.2f} MB, {len(texts):,} documents"
    return measure.report("tokenizers", rounds, table, "sentencepiece", "tokenizers", text=source, workers=WORKERS)


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
    before = measure.resident("VmRSS")
    variant(texts)
    return measure.resident("VmHWM") - before


if __name__ == "__main__":
    measure.main(
        bench,
        __doc__,
        ("text", {"type": Path}),
        ("--gpt2", {"type": Path}),
        ("--rounds", {"type": int, "default": 5}),
    )
