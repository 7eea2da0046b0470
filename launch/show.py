"""`tsjax prepare --show N`: documents with their token boundaries, and packed rows with the edges of their segments."""

from itertools import groupby, islice

import numpy as np
from rich.text import Text

from launch.console import Printer
from tsjax.config import DataConfig
from tsjax.corpus import SPLITS
from tsjax.loader import Batch, make_rows
from tsjax.shards import Shards
from tsjax.tokenizer import Tokenizer

STYLES = ("black on bright_cyan", "black on bright_yellow")  # neighbouring tokens differ
UNLEARNED = "dim"


def show(shards: Shards, count: int, context: int) -> None:
    """Prints `count` documents of each split, and as many rows of `context` tokens under both packings."""
    console = Printer()
    tokenizer = shards.tokenizer()
    for split in SPLITS:
        for number, ids in enumerate(islice(shards.documents(split), count)):
            size = shards.document_bytes(split)[number]
            console.print(f"\n[bold]{split} document {number}[/bold]: {len(ids)} tokens, {size} bytes", markup=True)
            console.print(tokens_text(tokenizer.pieces(ids.tolist()), colours=console.is_terminal))
    for packing in ("concat", "documents"):
        rows = make_rows(shards, "train", context, DataConfig(packing=packing))
        filled = sum(rows.batch(np.array([r]))["weights"].sum() for r in range(min(len(rows), 200)))
        console.print(
            f"\n[bold]packing {packing}[/bold]: {len(rows):,} rows of {context}; "
            f"{filled / (min(len(rows), 200) * context):.1%} of the first {min(len(rows), 200)} rows are learned",
            markup=True,
        )
        shown = np.arange(min(count, len(rows)))
        # Rows without segments (concat) are parted where a document ends. `documents` are those of the targets, and a
        # token is the target of the place before it.
        documents = rows.documents(shown)
        batch = {"segments": 1 + np.hstack([documents[:, :1], documents[:, :-1]])} | rows.batch(shown)
        for r in shown:
            console.print(f"\nrow {r}:")
            console.print(row_text(tokenizer, {name: values[r] for name, values in batch.items()}, console.is_terminal))


def tokens_text(pieces: list[str], colours: bool) -> Text:
    """The pieces of a document: alternating colours, or a bar between them where there are none."""
    text = Text()
    for n, piece in enumerate(pieces):
        if colours:
            text.append(piece, STYLES[n % 2])
        else:
            text.append(f"|{piece}" if n else piece)
    return text


def row_text(tokenizer: Tokenizer, row: Batch, colours: bool) -> Text:
    """One packed row: what the model reads, one bracket a segment; tokens whose target is not learned are dimmed."""
    segments = row["segments"]
    text = Text()
    for segment, places in groupby(range(len(segments)), key=lambda t: int(segments[t])):
        at = list(places)
        if segment == 0:
            text.append(f"⟨{len(at)} of padding⟩", UNLEARNED)
            continue
        text.append("⟦", "bold red")
        for n, t in enumerate(at):
            (piece,) = tokenizer.pieces([int(row["tokens"][t])])
            style = STYLES[n % 2] if colours else ""
            text.append(piece if colours or not n else f"|{piece}", style if row["weights"][t] else UNLEARNED)
        text.append("⟧", "bold red")
    return text
