"""The report on a corpus, from its tally, and what in it should not be trained on in silence."""

from collections.abc import Iterable, Mapping
from typing import Any

from tsjax.corpus.defects import LATIN
from tsjax.corpus.tally import BINS, Tally

TOP = 10
FREQUENT = 0.005  # of documents with an opening: then a line that has it may begin a story
LONG = 20  # times the median

# Shares of documents from which a warning is given. The 16,718 stories of the public samples have no broken
# character, mark or foreign letter at all, 0.5 % cut ones and 0.06 % with two story openings inside.
BROKEN = 0.001  # enough to be learnt and written again: a model sees these characters thousands of times
JOINED = 0.01
OPENINGS_INSIDE = 0.02
CUT = 0.05
LOWER_CASE = 0.05
LONG_WORDS = 0.05  # of all words, in documents that are LONG
COPIES = 0.05
LEFT_OUT = 0.01
MOST = 0.5  # one document alone is worth a warning only where it is that much of the corpus

_BROKEN = {
    "mojibake": "are mojibake, text decoded with the wrong encoding; --fix-encoding mends them",
    "replacement": "hold U+FFFD, where characters were lost; look for a better source",
    "control": "hold stray control or zero-width characters; --fix-encoding takes them out",
    "markup": "hold HTML tags or entities; --fix-encoding mends entities, tags must be taken out beforehand",
    "end_mark": "hold an end mark that is not the separator; are several stories taken for one?",
}


def report(tally: Tally, split: Mapping[str, int] | None = None) -> dict[str, Any]:
    """What the tally says, for JSON and for people. `split`: the counts of `split.split`, if there was one.

    Shares are of documents (those not left out) and 0 where there are none. `openings` and `names` are of
    [text, share], most frequent first; `defects` are by kind, each with `documents`, `share` and `examples`.
    Documents in examples are numbered from 0, those left out included.
    """
    total = tally.documents
    scale = 2**tally.vocabulary.level
    counts = tally.vocabulary.counts
    defects = {kind: _defect(tally, count, [kind]) for kind, count in sorted(tally.defects.items())}
    return {
        "documents": total,
        "words": tally.words,
        "characters": tally.characters,
        "bytes": tally.bytes,
        "distinct_words": len(counts) * scale,
        "words_seen_once": sum(count == 1 for count in counts.values()) * scale,
        "distinct_words_estimated": scale > 1,
        "words_per_document": _lengths(tally),
        "openings": _top(tally.openings.counts, total),
        "openings_missed": tally.openings.missed / max(total, 1),
        "names": _top(tally.names.counts, total),
        "names_missed": tally.names.missed / max(total, 1),
        "faults": dict(tally.faults),
        "repairs": dict(tally.repairs),
        "script": _dominant(tally),
        "defects": defects | _foreign(tally),
        "openings_inside": _openings_inside(tally),
        "split": dict(split or {}),
    }


def warnings(report: Mapping[str, Any]) -> list[str]:
    """One line for each thing that should not be trained on unawares, with its measured share."""
    lines: list[str] = []
    defects = report["defects"]

    def warn(kind: str, limit: float, text: str) -> None:
        found = defects.get(kind)
        if found and _notable(found, limit):
            where = f" (document {found['examples'][0][0]}: {found['examples'][0][1]!r})" if found["examples"] else ""
            lines.append(f"{found['share']:.2%} of documents {text}{where}")

    for kind, text in _BROKEN.items():
        warn(kind, BROKEN, text)
    warn("foreign_script", BROKEN, f"hold letters foreign to a corpus in {report['script'].title()} script")
    warn("lower_case", LOWER_CASE, "have no capital letter: was the corpus, or a part of it, lower-cased?")
    warn("cut", CUT, "stop in mid-sentence; --final-punctuation leaves them out")
    warn("begins_inside", CUT, "begin in mid-sentence; do the documents begin where the stories do?")
    warn("joined", JOINED, "look like several stories run together; is the separator missing?")
    inside = report["openings_inside"]
    if _notable(inside, OPENINGS_INSIDE):
        lines.append(
            f"{inside['share']:.2%} of sampled documents have two or more story openings inside: several stories run "
            f"together; is the separator missing? (document {inside['examples'][0][0]}: {inside['examples'][0][1]!r})"
        )
    lengths = report["words_per_document"]
    if lengths["long_share_of_words"] >= LONG_WORDS:
        lines.append(
            f"{lengths['long_share_of_words']:.2%} of words are in {lengths['long_documents']:,} documents {LONG} times "
            f"as long as the median of {lengths['median']:,} words; is the separator missing there?"
        )
    for why, limit in (("malformed", LEFT_OUT), ("empty", LEFT_OUT)):
        found = report["faults"].get(why, 0)
        if found and found >= limit * (report["documents"] + found):
            lines.append(
                f"{found:,} of {report['documents'] + found:,} documents are {why} and left out; is the --format right?"
            )
    split = report["split"]
    leaked = split.get("train_in_valid", 0) + split.get("train_near_valid", 0)
    if leaked and leaked >= COPIES * split.get("documents", 1):
        lines.append(
            f"{leaked:,} of {split['documents']:,} documents are left out of training as copies or near copies of "
            "validation documents; with templates, give --valid files of your own or a higher --near"
        )
    copies = split.get("train_duplicates", 0) + split.get("train_near_duplicates", 0)
    share = copies / max(split.get("documents", 0), 1)
    if share >= COPIES:
        lines.append(f"{share:.2%} of documents are exact or near copies of other training documents")
    return lines


def _notable(found: Mapping[str, Any], limit: float) -> bool:
    return found["share"] >= limit and (found["documents"] > 1 or found["share"] >= MOST)


def _defect(tally: Tally, count: int, kinds: Iterable[str]) -> dict[str, Any]:
    examples = sorted(example for kind in kinds for example in tally.examples.get(kind, ()))
    return {"documents": count, "share": count / max(tally.documents, 1), "examples": examples[:3]}


def _top(counts: Mapping[str, int], total: int) -> list[tuple[str, float]]:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    return [(text, count / total) for text, count in most]


def _lengths(tally: Tally) -> dict[str, Any]:
    """Words per document: least, median (within 10 %) and most, bins [from, to, documents], and the far too long."""
    upper = [*(edge - 1 for edge in BINS[1:]), max(tally.longest, BINS[-1])]
    median, before = 0, 0
    for place, count in sorted(tally.lengths.items()):
        if 2 * (before + count) >= tally.documents:
            part = (tally.documents / 2 - before) / count
            median = round(BINS[place] + part * (upper[place] - BINS[place]))
            break
        before += count
    long = [place for place in tally.lengths if median and BINS[place] >= LONG * median]
    return {
        "min": tally.shortest,
        "median": min(max(median, tally.shortest), tally.longest),
        "max": tally.longest,
        "histogram": [(BINS[place], upper[place], count) for place, count in sorted(tally.lengths.items())],
        "long_documents": sum(tally.lengths[place] for place in long),
        "long_share_of_words": sum(tally.length_words[place] for place in long) / max(tally.words, 1),
    }


def _dominant(tally: Tally) -> str:
    """The script that most documents are mostly in; "" if none has letters."""
    mostly: dict[str, int] = {}
    for names, count in tally.scripts.items():
        main = names.split(" ")[0]
        mostly[main] = mostly.get(main, 0) + count
    mostly.pop("", None)
    return max(sorted(mostly), key=lambda name: mostly[name], default="")


def _foreign(tally: Tally) -> dict[str, Any]:
    """The defect of documents with letters of another script than the corpus's.

    Latin letters are at home in all scripts, as names and abbreviations; documents that are mostly Latin are not.
    """
    dominant = _dominant(tally)
    count, found = 0, set()
    for names, documents in tally.scripts.items():
        main, *others = names.split(" ")
        foreign = {name for name in (main, *others) if name and name != dominant and (name != LATIN or name == main)}
        count += documents if foreign else 0
        found |= foreign
    return {"foreign_script": _defect(tally, count, [f"script {name}" for name in found])} if count else {}


def _openings_inside(tally: Tally) -> dict[str, Any]:
    """Of the sampled documents, those of which two later lines or more begin as the corpus's documents do."""
    least = FREQUENT * tally.documents
    frequent = {text for text, count in tally.openings.counts.items() if count >= least}
    found = []
    for number, openings in tally.sample.values():
        inside = [text for text in openings if text in frequent]
        if len(inside) >= 2:
            found.append((number, " ... ".join(inside[:3])))
    share = len(found) / max(len(tally.sample), 1)
    return {"sampled": len(tally.sample), "documents": len(found), "share": share, "examples": sorted(found)[:3]}
