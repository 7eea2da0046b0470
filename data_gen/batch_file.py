"""The file backend: shards for a tool that reads batch files, such as `vllm run-batch`, and its results read back.

    write   OUT/batches/NAME.jsonl, and the command that makes OUT/batches/NAME.output.jsonl of it
    read    answers are settled; what has none goes into the next shard

The tool spends no money: a line without an answer costs nothing.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_gen.batch_collect import BatchWork, Collector, Tally
from data_gen.batch_pack import claim, open_rows, pack
from data_gen.batch_shards import FOLDER, Limits, Roster, Shard, Terms, next_number
from data_gen.budget import Budget
from data_gen.journal import Journal
from tsjax.errors import UserError

BACKEND = "file"
TRIES = 3  # of a line


@dataclass(frozen=True)
class Reading:
    """What the results of a shard hold; `closed`: its lines without an answer go into the next shard."""

    shard: Shard
    tally: Tally
    closed: bool


async def write(
    work: BatchWork, journal: Journal, budget: Budget, terms: Terms, run: Path, *, limits: Limits = Limits(),
    failed: dict[str, int] | None = None,
) -> list[Shard]:  # fmt: skip
    """Shards of all that the work wants asked now. What waits in shards already is not written again."""
    for shard in waiting(journal, run):
        claim(work, journal, shard)
    shards, capped, number = list[Shard](), False, next_number(run / FOLDER)
    failed = {} if failed is None else failed
    while not capped:
        number_now = number + len(shards)
        made, capped = await pack(work, journal, budget, terms, limits, run / FOLDER, number_now, BACKEND, failed)
        if made is None:
            break
        shards.append(made)
    return shards


async def read(
    work: BatchWork, journal: Journal, budget: Budget, terms: Terms, run: Path, paths: Sequence[Path] = (), *,
    ended: bool = True, failed: dict[str, int] | None = None,
) -> list[Reading]:  # fmt: skip
    """Settles the results of the shards that wait for them, from `paths` or from where `command` puts them.

    A shard with no result at all goes on waiting. `ended`: the tool is done, so lines that have no result get none;
    otherwise they go on waiting too. UserError where a given file holds nothing for any shard.
    """
    shards = [Shard.of(run / FOLDER, row) for row in open_rows(journal, BACKEND)]
    for path in paths:
        if not path.is_file():
            raise UserError(
                expected=f"a result file at {path}", found="none", todo="give the files that the tool wrote"
            )
    names: set[str] = set()
    for shard in shards:
        roster = Roster(shard)
        names.update(roster)
        roster.close()
        claim(work, journal, shard)
    readings = []
    for shard in shards:
        files = list(paths) or [path for path in [shard.file("output")] if path.exists()]
        collector = Collector(shard, journal, budget, terms, work, {} if failed is None else failed, TRIES,
                              backend=BACKEND, batch=shard.name, others=names, billed=False)  # fmt: skip
        await collector.read(*files)
        tally = collector.count()
        if not collector.left and not tally.ok + tally.errors:
            # Killed before its lines had rows, or its results are gone though all of them were read.
            await journal.batch(shard.name, status="abandoned")
            continue
        closed = tally.ok + tally.errors == shard.n or (ended and tally.ok + tally.errors > 0)
        if closed:
            await collector.close(ran=True)
            await journal.batch(shard.name, status="collected", **tally.row(None))
        readings.append(Reading(shard, tally, closed))
    if paths and not any(reading.tally.ok + reading.tally.errors for reading in readings):
        raise UserError(
            expected=f"results of shards that wait for them ({', '.join(shard.name for shard in shards) or 'none does'})",
            found=f"none in {', '.join(map(str, paths))}", todo="give the files that the tool made of these shards",
        )  # fmt: skip
    return readings


def waiting(journal: Journal, run: Path) -> list[Shard]:
    """The shards that wait for results."""
    rows = open_rows(journal, BACKEND)
    return [Shard.of(run / FOLDER, row) for row in rows if journal.open_attempts(row["shard"])]


def command(shard: Shard, model: str) -> str:
    """What to run, in a shell, for a shard."""
    files = ["-i", str(shard.file()), "-o", str(shard.file("output"))]
    return shlex.join(["vllm", "run-batch", *files, "--model", model])
