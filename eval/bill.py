"""What the judges of a study have cost, and what that leaves of its cap."""

from pathlib import Path
from typing import Any

from data_gen import job as jobs
from data_gen import ledger
from data_gen.run_folder import spent
from eval.judge import Judging, name_of
from eval.part_folder import without_books


def folders(study: Path) -> list[Path]:
    """All folders of judges in the folder of a study."""
    return sorted(path for kind in ("judge", "again") for path in study.glob(f"{kind}-*-[0-9]*"))


def left(study: Path, cap: int | None, at: Path | None = None) -> int | None:
    """What is left of a cap for the whole study, in picodollars: all that its folders have spent is taken off, what may have
    been billed and what is on its way included. None: no cap. UserError where a folder has answers and no books.

    at: the folder that is about to be worked in. What was spent there stays in, since its own run counts it too.
    """
    if cap is None:
        return None
    for folder in folders(study):
        if lost := without_books(folder):
            raise lost  # the cap could not be kept
    for folder in _paid(study):
        if at is None or folder.resolve() != at.resolve():
            cost = spent(folder)["cost_usd"]
            cap -= round(sum(cost[kind] for kind in ("settled", "doubtful", "reserved")) * 1e12)
    return max(0, cap)


def bill(study: Path) -> dict[str, Any] | None:
    """{"usd", "usd_in_doubt", "calls", "judges": {name: USD}} of all that was spent, by judges that never came to a grade
    too; None where no judge was asked."""
    usd = {"settled": 0.0, "doubtful": 0.0}
    calls, by_judge = 0, dict[str, float]()
    for folder in folders(study):
        if lost := without_books(folder):
            print(f"warning: what {folder} cost is not in the bill: {lost.found} at {folder / ledger.FILE}")
    for folder in _paid(study):
        cost, name = spent(folder), name_of(jobs.load(folder, Judging))
        usd = {kind: amount + cost["cost_usd"][kind] for kind, amount in usd.items()}
        calls += cost["attempts"]["attempts"]
        by_judge[name] = by_judge.get(name, 0.0) + cost["cost_usd"]["settled"]
    if not by_judge:
        return None
    return {"usd": usd["settled"], "usd_in_doubt": usd["doubtful"], "calls": calls, "judges": by_judge}


def _paid(study: Path) -> list[Path]:
    """Those that have books, those that were killed before they had grades too."""
    return [path for path in folders(study) if (path / ledger.FILE).exists()]
