"""How often the anchors pass judges of known faults: python -m tests.eval.anchor_rates [N]; N simulated judges a row.

Each judge grades all anchors three times in the calibrated mode; the noise of a grade is normal, then it is rounded.
"""

import sys

from eval.anchors import check
from eval.instructions import ALL
from eval.rubric import FOLLOWING
from tests.eval.test_anchors import BOTH, WORDS, grades

JUDGES = {
    "sound, noise 0.7": {"noise": 0.7},
    "sound, noise 1.0": {"noise": 1.0},
    "sound, noise 1.5": {"noise": 1.5},
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
        f"| judge ({n} each) | sound | instruction_following failed | its tau: least, median, most |\n"
        "| --- | ---: | ---: | --- |"
    )
    for name, how in JUDGES.items():
        verdicts = [check(grades(seed=seed, anchors=BOTH, **how), BOTH) for seed in range(n)]
        taus = sorted(verdict.taus[FOLLOWING] or 0.0 for verdict in verdicts)
        failed = sum(any(why.startswith(FOLLOWING) for why in verdict.why) for verdict in verdicts)
        print(
            f"| {name} | {sum(v.sound for v in verdicts)} | {failed} | {taus[0]:.2f}, {taus[n // 2]:.2f}, {taus[-1]:.2f} |"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
