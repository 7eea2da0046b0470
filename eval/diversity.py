"""How unlike each other a model's texts are, without a judge and without the training set.

Most of these measures depend on how much text they see: longer and more texts repeat themselves more. So all look at the same
amount: samples of SIZE texts cut to WORDS words. Shorter texts and those over a multiple of SIZE are in none, and their
number is told.
"""

import gzip
import math
import random
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np
from scipy import sparse

from tsjax.corpus import duplicates
from tsjax.corpus.duplicates import normal_words

WORDS, SIZE = 50, 40
VENDI_TEXTS = 2000  # eigenvalues take n^3 steps
OUTSIDE = "texts in no sample"
_OPENING = 3  # words
# A capital after a word or a comma, not after what ends a sentence or opens a quotation.
_NAME = re.compile(r"(?<=[a-z,;] )(?!I\b)[A-Z][a-z]+")


def equal_samples(texts: Sequence[str], seed: int = 0, words: int = WORDS, size: int = SIZE) -> list[list[str]]:
    """Disjoint samples of `size` texts, each the first `words` words (between whitespace) of one; a rest is left out."""
    cut = [" ".join(parts[:words]) for parts in map(str.split, texts) if len(parts) >= words]
    rng = random.Random(seed)
    order = sorted(range(len(cut)), key=[rng.random() for _ in cut].__getitem__)
    return [[cut[i] for i in order[at : at + size]] for at in range(0, len(cut) - size + 1, size)]


def distinct(texts: Iterable[str], n: int) -> float | None:
    """Distinct n-grams of words over all of them (Li et al. 2016); None where there is none."""
    counts = Counter(gram for text in texts for gram in _grams(normal_words(text), n))
    return len(counts) / counts.total() if counts else None


def compression(texts: Sequence[str]) -> float:
    """UTF-8 bytes of the texts, a line each, over those of their gzip form: the higher, the more repetition."""
    raw = "\n".join(texts).encode()
    return len(raw) / len(gzip.compress(raw, mtime=0))


def self_bleu(texts: Sequence[str]) -> float:
    """Mean BLEU-4 of each text against all others, 0 to 1 (Zhu et al. 2018). ImportError without sacrebleu."""
    from sacrebleu.metrics import BLEU

    bleu = BLEU(effective_order=True)
    scores = (bleu.sentence_score(text, [*texts[:i], *texts[i + 1 :]]).score for i, text in enumerate(texts))
    return fmean(scores) / 100


def vendi(texts: Sequence[str], ns: Sequence[int] = (1, 2)) -> float:
    """Vendi score (Friedman & Dieng 2023): the number of texts, wholly unlike each other, that would be as diverse.

    exp of the entropy of the eigenvalues of K / texts, with the cosine of counts of word n-grams as kernel K, mean over `ns`.
    From 1 to len(texts) <= VENDI_TEXTS (ValueError above). A text without n-grams is like no other.
    """
    if not 0 < len(texts) <= VENDI_TEXTS:
        raise ValueError(f"{len(texts)} texts, not 1 to {VENDI_TEXTS}")
    words = [normal_words(text) for text in texts]
    kernel = sum(_cosines([Counter(_grams(one, n)) for one in words]) for n in ns) / len(ns)
    eigenvalues = np.linalg.eigvalsh(kernel / len(texts))
    positive = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-np.sum(positive * np.log(positive))))


def entropy(things: Iterable[Hashable]) -> float:
    """Entropy of how often each thing occurs, bits."""
    counts = Counter(things)
    return -sum(c / counts.total() * math.log2(c / counts.total()) for c in counts.values()) + 0.0


def main_name(text: str) -> str | None:
    """The most frequent name in a text: a capitalised word that begins no sentence. None where there is none."""
    names = Counter(_NAME.findall(text))
    return max(names, key=lambda name: names[name], default=None)


def near_duplicates(texts: Sequence[str]) -> float:
    """Share of texts that are a near copy (tsjax.corpus.duplicates) of an earlier one."""
    signatures = duplicates.signatures(texts)
    found = duplicates.near(lambda band: signatures[band], np.arange(len(texts)))
    return float((found >= 0).mean())


def diversity(model: str, texts: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """All measures of one model's texts: {"model", "metrics": {name: {"mean", "se", "n", "sees", "blind"}}, "missing"}.

    `missing`: name -> why it was not measured, and OUTSIDE -> how many texts, where there are any. `mean` and `se` over
    samples (None for one), but for near duplicates, which are looked for among all texts. Texts without words are left out.
    """
    texts = [text for text in texts if normal_words(text)]
    samples = equal_samples(texts, seed)
    metrics: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}

    def put(name: str, values: Sequence[float], n: int, sees: str, blind: str) -> None:
        se = stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
        metrics[name] = {"mean": fmean(values), "se": se, "n": n, "sees": sees, "blind": blind}

    amount = f"{SIZE} texts cut to {WORDS} words"
    inside = SIZE * len(samples)
    names = [f"distinct_{n}" for n in (1, 2, 3, 4)]
    if samples:
        for n, name in enumerate(names, 1):
            shares = [share for sample in samples if (share := distinct(sample, n)) is not None]
            put(
                name, shares, inside, f"distinct word {n}-grams over all, in {amount}", "sense: random words score best"
            )
        ratios = [compression(sample) for sample in samples]
        put("gzip_ratio", ratios, inside, f"repetition: bytes over gzip's, in {amount}", "who repeats whom; meaning")
        put("vendi", [vendi(sample) for sample in samples], inside,
            f"how many wholly unlike texts would be as diverse, of {SIZE}, by words and word pairs", "meaning")  # fmt: skip
        try:
            bleus = [self_bleu(sample) for sample in samples]
        except ImportError:
            missing["self_bleu"] = "sacrebleu is not installed: pip install -e '.[eval]'"
        else:
            put("self_bleu", bleus, inside, f"BLEU-4 of each text against the others, of {amount}", "meaning")
        openings = [entropy(tuple(normal_words(text)[:_OPENING]) for text in sample) for sample in samples]
        put(
            "opening_entropy",
            openings,
            inside,
            f"bits in the first {_OPENING} words, of {SIZE} texts",
            "all that follows",
        )
        main = [[main_name(text) for text in sample] for sample in samples]
        if any(name for sample in main for name in sample):
            put("name_entropy", [entropy(sample) for sample in main], inside,
                f"bits in the most frequent name of each text, of {amount}; having none counts as a name",
                "names that only begin sentences")  # fmt: skip
        else:
            missing["name_entropy"] = "no name inside a sentence of any text"
    else:
        why = f"fewer than {SIZE} texts of at least {WORDS} words"
        missing |= dict.fromkeys([*names, "gzip_ratio", "vendi", "self_bleu", "opening_entropy", "name_entropy"], why)
    if texts:
        put("near_duplicates", [near_duplicates(texts)], len(texts), "share that nearly copies an earlier text",
            "the same plot in other words; grows with the number of texts")  # fmt: skip
    else:
        missing["near_duplicates"] = "no text with a word"
    if outside := len(texts) - inside:
        missing[OUTSIDE] = f"{outside} of {len(texts)}: shorter than {WORDS} words, or over a multiple of {SIZE}"
    return {"model": model, "metrics": metrics, "per_completion": [], "missing": missing}


def _grams(words: Sequence[str], n: int) -> Iterable[tuple[str, ...]]:
    return zip(*(words[i:] for i in range(n)), strict=False)


def _cosines(counts: Sequence[Counter[tuple[str, ...]]]) -> np.ndarray:
    """float64 [texts, texts]: cosines of the counts."""
    columns: dict[tuple[str, ...], int] = {}
    rows = [[columns.setdefault(gram, len(columns)) for gram in one] for one in counts]
    sizes = np.cumsum([0, *map(len, rows)])
    values = np.fromiter((c for one in counts for c in one.values()), np.float64, sizes[-1])
    indices = np.fromiter((i for row in rows for i in row), np.int64, sizes[-1])
    matrix = sparse.csr_array((values, indices, sizes), (len(counts), max(len(columns), 1)))
    norms = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    products = (matrix @ matrix.T).toarray() / np.maximum(np.outer(norms, norms), 1e-300)
    np.fill_diagonal(products, 1.0)
    return products
