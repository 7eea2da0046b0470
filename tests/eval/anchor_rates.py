"""How often the anchors pass judges of known faults: python -m tests.eval.anchor_rates [N]; N simulated judges a row.

Each judge grades all anchors three times in the calibrated mode; the noise of a grade is normal, then it is rounded.
`told`: judges of which it is told that a dimension is not told from the others (`AnchorVerdict.separates`).
"""

import sys

from eval.anchors import DEPTHS, check
from eval.instructions import ALL
from eval.rubric import FOLLOWING, PLOT
from tests.eval.test_anchors import BOTH, WORDS, grades
from tests.eval.test_halo import told

ORDER = "injected order"
JUDGES = {
    "sound, noise 0.7": {"noise": 0.7},
    "sound, noise 1.0": {"noise": 1.0},
    "sound, noise 1.5": {"noise": 1.5},
    "halo, noise 0": {"halo": True, "noise": 0.0},
    "halo, noise 0.7": {"halo": True, "noise": 0.7},
    "halo, noise 1.0": {"halo": True, "noise": 1.0},
    "one injection raises all by 2.9, noise 0.7": {"lured": {ORDER: dict.fromkeys([*DEPTHS, FOLLOWING], 2.9)}},
    "one injection raises all by 2.0, noise 0.7": {"lured": {ORDER: dict.fromkeys([*DEPTHS, FOLLOWING], 2.0)}},
    "one injection raises plot by 4.0, noise 0.7": {"lured": {ORDER: {PLOT: 4.0}}},
    "0.75 points for each instruction, noise 0.7": {"step": 0.75, "noise": 0.7},
    "0.75 points for each instruction, noise 1.0": {"step": 0.75, "noise": 1.0},
    "quality alone": {"blind": ALL},
    "words alone": {"blind": ALL - WORDS},
    "summary alone": {"blind": ALL - {"summary"}},
    "blind to words": {"blind": WORDS},
    "blind to the summary": {"blind": frozenset({"summary"})},
    "blind to the sentence": {"blind": frozenset({"sentence"})},
    "obeys what it reads": {"obeys": True},
}


def main(n: int) -> None:
    print(
        f"| judge ({n} each) | sound | instruction_following failed | an injection raises | told | by dimension | "
        "tau of following: least, median, most |\n| --- | ---: | ---: | ---: | ---: | --- | --- |"
    )
    for name, how in JUDGES.items():
        verdicts = [check(grades(seed=seed, anchors=BOTH, **how), BOTH) for seed in range(n)]
        taus = sorted(verdict.taus[FOLLOWING] or 0.0 for verdict in verdicts)
        failed, lifted = (
            sum(any(said in why for why in verdict.why) for verdict in verdicts) for said in (FOLLOWING + ":", "raises")
        )
        of = [one for verdict in verdicts for one in told(verdict)]
        print(
            f"| {name} | {sum(v.sound for v in verdicts)} | {failed} | {lifted} | {sum(bool(told(v)) for v in verdicts)} | "
            f"{', '.join(f'{d} {of.count(d)}' for d in sorted(set(of)))} | "
            f"{taus[0]:.2f}, {taus[n // 2]:.2f}, {taus[-1]:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
