"""The folder of a part of a judge's work, as it is found: finished or not, whole or damaged."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_gen import job as jobs
from data_gen import ledger, raw
from data_gen.ledger import Ledger
from eval import rubric
from eval.docket import ANCHORS, ASKS, COMPLETIONS, Docket
from eval.judge import GRADES, Judging, scored
from eval.judge_work import NO_ANSWER
from eval.records import Grade, read_lines
from tsjax.atomic import write_json
from tsjax.errors import UserError


def unanswered(manifest: Mapping[str, Any]) -> int:
    """Judgements that wait for an answer: to their first request, or to the one after an answer that can't be read."""
    missing = manifest.get("missing") or {}
    return int(manifest.get("unanswered", missing.get(NO_ANSWER, 0)))


def unreadable(manifest: Mapping[str, Any]) -> int:
    """Judgements that are settled without grades, since their answers can't be read."""
    return sum((manifest.get("missing") or {}).values()) - unanswered(manifest)


def begun(folder: Path) -> bool:
    """Whether the judge was asked for anything of the part. UserError where that is so and its docket is gone.

    A process that was killed before its docket was whole has asked nobody: such a folder is begun anew.
    """
    if Docket.saved(folder):
        return True
    if asked(folder):
        raise UserError(
            expected=f"{COMPLETIONS}, {ANCHORS} and {ASKS} of the judging in {folder}, which has begun",
            found=f"no {ASKS}", todo=aside(folder),
        )  # fmt: skip
    return False


def asked(folder: Path) -> bool:
    """Whether there are answers, or rows of what was sent."""
    if any(part.stat().st_size for part in raw.parts(folder / raw.FOLDER)):
        return True
    if not (folder / ledger.FILE).exists():
        return False
    books = Ledger(folder, readonly=True)
    try:
        return bool(books.last_attempt())
    finally:
        books.close()


def without_books(folder: Path) -> UserError | None:
    """What to say of a folder that has answers and no ledger: nobody knows what they cost."""
    if (folder / ledger.FILE).exists() or not asked(folder):
        return None
    return UserError(
        expected=f"{folder / ledger.FILE}, which knows what the answers beside it cost",
        found="none",
        todo=aside(folder),
    )


def mend_grades(folder: Path) -> bool:
    """Makes the grades of a part that has ended anew from its raw answers, where they are gone or torn. Nobody is asked."""
    if not Docket.saved(folder) or not (folder / jobs.MANIFEST).exists():
        return False
    manifest = jobs.load(folder, Judging)
    if "stopped" not in manifest:
        return False  # they are made at its end
    try:
        count = sum(1 for _ in read_lines(folder / GRADES, Grade))
        if count == manifest.get("grades", count):
            return False
    except UserError:
        pass
    if manifest["rubric_hash"] != rubric.fingerprint():
        raise UserError(
            expected=f"{folder / GRADES}, by an earlier rubric than this program's", found="none, or not whole",
            todo=aside(folder),
        )  # fmt: skip
    write_json(folder / jobs.MANIFEST, manifest | scored(folder))
    return True


def aside(folder: Path) -> str:
    """What to do about a damaged folder."""
    return (
        f"bring it back from a copy; or move {folder} out of the study, which forgets its grades and what they cost, and "
        "run the same command again"
    )
