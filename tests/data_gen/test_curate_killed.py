"""Curation that is killed: the documents are the old ones, or none that pass for whole, and the next call finishes."""

import signal
import subprocess
import sys

from data_gen.curate import curate
from data_gen.raw import read
from tests.data_gen.raw_run import REFUSAL, ask, bundled, content, good, write
from tests.expect import refused
from tsjax.corpus.sources import sources
from tsjax.workers import Processes

STORIES, SEED = "tinystories", 7
ALONE = Processes(1)

DRIVER = """
import os, signal, sys
from pathlib import Path
import data_gen.buckets, data_gen.curate as stage, data_gen.documents as d, data_gen.copies as c
from tests.data_gen.raw_run import bundled
from tsjax.workers import Processes
step, after, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
owner, name = {"read": (stage, "answer_of"), "examine": (stage.Copies, "add"), "copies": (stage.Copies, "find"),
               "write": (d.Lines, "write"), "whole": (d.Lines, "__exit__"), "report": (stage, "write_json"),
               "card": (stage, "card"), "moved": (os, "replace"), "publish": (d, "write_json")}[step]
whole, left = getattr(owner, name), after
def strike(*a, **k):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*a, **k)
setattr(owner, name, strike)
stage.curate(folder, bundled("tinystories"), seed=7, valid_fraction=0.1, target=100, workers=Processes(1))
"""

POINTS = [("read", 0), ("read", 100), ("examine", 1), ("copies", 0), ("write", 250), ("whole", 1), ("report", 0), ("card", 0),
          ("moved", 0), ("moved", 1), ("moved", 2), ("moved", 4), ("moved", 5), ("publish", 0)]  # fmt: skip


def test_a_killed_curation_leaves_the_old_documents_or_none(tmp_path):
    recipe = bundled(STORIES)
    rows = ask(recipe, SEED, range(200), lambda request: REFUSAL if request.index % 4 == 3 else good(request))
    folder = write(tmp_path / "run", rows)
    curate(folder, recipe, seed=SEED, valid_fraction=0.1, workers=ALONE)
    old, seen = content(folder), set()
    curate(folder, recipe, seed=SEED, valid_fraction=0.1, target=100, workers=ALONE)
    new = content(folder)
    assert old != new
    for step, after in POINTS:
        curate(folder, recipe, seed=SEED, valid_fraction=0.1, workers=ALONE)
        assert content(folder) == old
        killed = subprocess.run(
            [sys.executable, "-c", DRIVER, step, str(after), str(folder)], stderr=subprocess.PIPE, text=True
        )
        assert killed.returncode == -signal.SIGKILL, (step, after, killed.stderr[-500:])
        if (folder / "documents" / "manifest.json").exists():
            assert content(folder) == old, (step, after)
            seen.add("old")
        else:
            with refused("documents"):
                sources(folder / "documents")
            seen.add("none")
        curate(folder, recipe, seed=SEED, valid_fraction=0.1, target=100, workers=ALONE)
        assert content(folder) == new, (step, after)
    assert seen == {"old", "none"}
    assert len(list(read(folder))) == 200
