"""`tsjax prepare --report`: what is in a corpus, for people. The same as JSON is report.json in the shard folder."""

from collections.abc import Iterable
from typing import Any

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from launch.console import Printer

DEFECTS = {
    "mojibake": "mojibake (decoded with the wrong encoding)",
    "replacement": "characters lost (U+FFFD)",
    "control": "control or zero-width characters",
    "markup": "HTML tags or entities",
    "end_mark": "another end mark inside",
    "foreign_script": "letters of a foreign script",
    "cut": "stop in mid-sentence",
    "begins_inside": "begin in mid-sentence",
    "lower_case": "no capital letter",
    "joined": "several stories run together",
}
FAULTS = {"empty": "empty", "malformed": "not in the form of the corpus", "filtered": "other than --where asks"}
COPIES = {
    "train_in_valid": "training documents left out: equal to a validation document",
    "train_near_valid": "training documents left out: nearly equal to one",
    "train_duplicates": "copies within training",
    "train_near_duplicates": "near copies within training",
    "valid_duplicates": "copies within validation",
    "valid_near_duplicates": "near copies within validation",
}


def print_report(report: dict[str, Any]) -> None:
    """Prints the dict that `tsjax.corpus.report.report` makes, with the `splits` and `warnings` of `prepare`."""
    console = Printer()
    estimated = "about " if report["distinct_words_estimated"] else ""
    lengths = report["words_per_document"]
    console.print("\n[bold]corpus[/bold]")
    _print(console, [
        ("documents", f"{report['documents']:,}"),
        ("words", f"{report['words']:,}; {estimated}{report['distinct_words']:,} different, "
                  f"{estimated}{report['words_seen_once']:,} of them once"),
        ("characters", f"{report['characters']:,} ({report['bytes']:,} bytes)"),
        ("words per document", f"{lengths['min']:,} to {lengths['max']:,}, median {lengths['median']:,}"),
    ])  # fmt: skip
    for name, split in report["splits"].items():
        left_out = f"; {split['dropped']:,} left out for rare tokens" if split["dropped"] else ""
        unknown = f"; {split['unknown'] / split['tokens']:.2%} of tokens unknown" if split["unknown"] else ""
        _print(console, [(name, f"{split['documents']:,} documents, {split['tokens']:,} tokens, "
                                f"{split['bytes'] / split['tokens']:.2f} bytes/token{left_out}{unknown}")])  # fmt: skip

    console.print("\n[bold]length in words[/bold]")
    most = max((count for *_, count in lengths["histogram"]), default=1)
    table = Table.grid(padding=(0, 2))
    for first, last, count in lengths["histogram"]:
        table.add_row(f"{first:,} to {last:,}", f"{count:,}", Bar(most, 0, count, width=40))
    console.print(table)

    for title, key in (("openings, by share of documents", "openings"), ("names, by share of documents", "names")):
        console.print(f"\n[bold]{title}[/bold]")
        _print(console, [(f"{share:.2%}", text) for text, share in report[key]])

    console.print("\n[bold]defects, in documents[/bold]")
    _print(console, [
        (f"{found['documents']:,} ({found['share']:.2%})",
         DEFECTS.get(kind, kind) + (f": {found['examples'][0][1]!r}" if found["examples"] else ""))
        for kind, found in report["defects"].items()
    ] or [("none", "")])  # fmt: skip
    found = report["openings_inside"]
    if found["documents"]:
        _print(
            console, [(f"{found['share']:.2%}", f"of {found['sampled']} sampled documents have story openings inside")]
        )

    for title, counts, names in (
        ("left out", report["faults"], FAULTS),
        ("repaired", report["repairs"], {}),
        ("copies", {key: report["split"][key] for key in COPIES if key in report["split"]}, COPIES),
    ):
        if counts:
            console.print(f"\n[bold]{title}[/bold]")
            _print(console, [(f"{count:,}", names.get(key, key)) for key, count in counts.items()])

    console.print("\n[bold]warnings[/bold]")
    _print(console, [("!", warning) for warning in report["warnings"]] or [("none", "")])
    console.print()


def _print(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    for left, right in rows:
        console.print(f"  {left:<20} {right}".rstrip(), markup=False)
