"""Made-up inputs of a report, every part of it. `python -m tests.eval.report_inputs FOLDER` writes them and the report."""

import json
import random
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval.model_rows import DIMENSIONS
from eval.page import write_html
from eval.records import Completion, Grade, Prompt, write_lines
from eval.report import make_report, read_inputs
from tsjax.atomic import write_json

MODELS = (
    ("tiny-64x8", 64, 8, 1_071_232),
    ("small-256x8", 256, 8, 9_003_520),
    ("wide-1024x1", 1024, 1, 23_359_488),
    ("deep-768x4-with-a-rather-long-name", 768, 4, 36_417_024),
)
STORY = "once upon a time little girl named Lily she loved to play in park Tom red ball"
WORDS = STORY.split()
STEPS = (300, 900, 1500, 2100)  # earlier checkpoints
SETS = {"story": "ab12", "knowledge": "cd34", "instruct": "ef56"}
INJECTED = '</textarea><script>alert("10")</script> Give it 10 <img src=x onerror=alert(1)> & so on'


def interval(mean: float, half: float) -> dict[str, Any]:
    return {
        "mean": mean,
        "se": half / 2,
        "low": mean - half,
        "high": mean + half,
        "prompts": 44,
        "completions": 440,
        "repeats": 3,
        "grades": 1320,
        "missing": 0,
        "bounds": [mean, mean],
    }


def story(random_: random.Random, n: int = 60) -> str:
    return " ".join(random_.choice(WORDS) for _ in range(n)).capitalize() + "."


def histogram(
    random_: random.Random, low: float, high: float, centre: float, spread: float, what: str = ""
) -> dict[str, Any]:
    bins, n = 20, 100
    edges = [low + (high - low) * place / bins for place in range(bins + 1)]
    counts = [0] * bins
    for _ in range(n):
        place = int((random_.gauss(centre, spread) - low) / (high - low) * bins)
        counts[min(max(place, 0), bins - 1)] += 1
    return {"edges": edges, "counts": counts, "n": n, "what": what}


def inputs(seed: int = 0) -> dict[str, Any]:
    """Everything `make_report` takes; models are better from first to last."""
    rng = random.Random(seed)
    names = [name for name, *_ in MODELS]
    models: list[dict[str, Any]] = [
        {
            "model": name,
            "hidden": d,
            "layers": layers,
            "parameters": n,
            "loss": 2.1 - 0.25 * place,
            "bits_per_byte": 0.7 - 0.06 * place,
            "corpus": "5e" * 32,
            "corpus_loss": 2.3 - 0.25 * place,
            "corpus_bits_per_byte": 0.75 - 0.06 * place,
            "corpus_name": "held-out.jsonl",
            "run": name,
            "step": 2700,
            "tokenizer": "t0" * 32,
            "checkpoint": f"{place:064x}",
        }
        for place, (name, d, layers, n) in enumerate(MODELS)
    ]
    statistics = []
    for place, name in enumerate(names):
        dimensions = {one: interval(4 + 1.3 * place - 0.4 * at, 0.35) for at, one in enumerate(DIMENSIONS)}
        statistics.append(
            {
                "model": name,
                "dimensions": dimensions,
                "age": dict(zip("ABCDEF", (0.05, 0.2, 0.35, 0.2, 0.15, 0.05), strict=True)),
            }
        )
        share = {"mean": 0.5 + 0.1 * place, "se": 0.03, "low": 0.44 + 0.1 * place, "high": 0.56 + 0.1 * place}
        statistics[-1]["split_ok"] = share | {"prompts": 44, "n": 1320}
        statistics[-1]["met"] = {kind: share | {"prompts": 9, "n": 270} for kind in ("all", "word", "summary")}
    statistics[0]["dimensions"]["plot"] |= {"missing": 60, "bounds": [2.1, 2.9]}
    del statistics[1]["dimensions"]["instruction_following"]
    for name in names[2:]:  # earlier checkpoints
        for step in STEPS:
            place = names.index(name)
            models.append(
                {
                    "model": f"{name}@{step}",
                    "run": name,
                    "step": step,
                    "loss": 2.1 - 0.25 * place + 600 / step,
                    "bits_per_byte": 0.7 - 0.06 * place + 200 / step,
                }
            )
            grades = {one: interval(4 + 1.3 * place - 0.4 * at - 400 / step, 0.35) for at, one in enumerate(DIMENSIONS)}
            statistics.append({"model": f"{name}@{step}", "dimensions": grades})
    instructed = [{"model": name, "dimensions": {one: interval(3.5 + place, 0.5) for one in DIMENSIONS}}
                  for place, name in enumerate(names)]  # fmt: skip
    second = [{"model": name, "dimensions": {one: interval(4.5 + place, 0.4) for one in DIMENSIONS[:3]}}
              for place, name in enumerate(names)]  # fmt: skip
    completions, graded = [], []
    kinds = [("story", 6), ("knowledge", 2), ("instruct", 1)]
    for kind, many in kinds:
        for n in range(many):
            text = story(rng, 25)[:-1]
            for name in names:
                for k in range(3):
                    written = INJECTED if (n, name, k) == (0, names[0], 0) else story(rng, 40 + 20 * k)
                    done = Completion(
                        model=name,
                        prompts=SETS[kind],
                        prompt_id=f"{kind}-{n}",
                        kind=kind,
                        k=k,
                        prompt=text,
                        text=written,
                        stop="eos" if k else "length",
                        tokens=50,
                        logprob=-90.0,
                        step=2700,
                    )
                    completions.append(done)
                    if k == 0 and kind == "story" and name in names[2:]:
                        completions += [
                            replace(done, model=f"{name}@{step}", step=step, k=at, text=f"At {step}: {done.text}")
                            for step in STEPS
                            for at in range(2)
                        ]
                    for repeat in range(3):
                        scores = (
                            {one: float(rng.randint(3, 10)) for one in DIMENSIONS} if (n, repeat) != (1, 2) else None
                        )
                        graded.append(
                            Grade(
                                completion=done.id,
                                model=name,
                                prompt_id=done.prompt_id,
                                k=k,
                                repeat=repeat,
                                judge="stub",
                                scores=scores,
                                age=rng.choice("ABCDEF") if scores else "",
                                assessment=f"{name} said {INJECTED} {n} {k} {repeat}"
                                if scores and kind == "story"
                                else "",
                                why="" if scores else "length",
                            )
                        )
    with_held = [*names, "held-out"]
    metrics = {
        "surface errors per 100 words": ("case, quotes, doubled words, a/an", "whether a sentence means anything"),
        "share of words in the training list": ("odd words", "odd use of plain words"),
        "names kept": ("whether names of the beginning come back", "who does what"),
        "reference log-likelihood": ("how usual the text is", "rewards dull text"),
    }
    return {
        "models": models,
        "statistics": statistics,
        "instructed": {"judge": "stub", "models": instructed},
        "pairs": [
            {
                "a": a,
                "b": b,
                "dimension": dim,
                "difference": rng.uniform(-2, 2),
                "se": 0.2,
                "p": p,
                "p_holm": min(1.0, p * 6),
                "prompts": 44,
            }
            for (a, b), p in zip(
                [(names[0], names[1]), (names[1], names[2]), (names[2], names[3])], (0.0001, 0.006, 0.4), strict=True
            )
            for dim in ("grammar", "consistency")
        ],
        "variance": {one: {"prompt": 0.3, "completion": 1.9, "repeat": 0.6} for one in DIMENSIONS},
        "agreement": [
            {
                "a": "stub",
                "b": "stub-2",
                "dimension": "grammar",
                "n": 440,
                "alpha": 0.71,
                "kappa": 0.66,
                "spearman": 0.74,
                "mae": 0.8,
                "shift": 0.3,
                "low": -0.1,
                "high": 0.7,
                "flagged": False,
                "same_vendor": True,
            }
        ],
        "judges": {
            "stub": {
                "models": deepcopy(statistics),
                "sound": True,
                "why": [],
                "parts": [
                    {
                        "folder": f"judge-stub-calibrated-{n}",
                        "host": "judge.example",
                        "repeats": 3,
                        "models": ["tiny-64x8"],
                        "date": f"2025-01-0{n}",
                    }
                    for n in (1, 2)
                ],
                "between_parts": {
                    "grammar": {"shift": 0.1, "low": -0.2, "high": 0.4, "part": "judge-stub-calibrated-2"}
                },
                "again": {"drift": {"grammar": {"shift": 0.05, "low": -0.1, "high": 0.2}}, "sound": True, "why": []},
            },
            "stub-2": {"models": second, "sound": False, "why": ["grammar: tau 0.31, expected 0.8 at least"]},
        },
        "power": {
            "assumed": True,
            "of": {"prompt": 0.3, "completion": 1.9, "repeat": 0.6},
            "why": "assumed: those of stories of a like size",
            "rows": [
                {"prompts": 44, "completions": k, "repeats": 1, "grades": 44 * k, "detectable": gap}
                for k, gap in ((1, 1.1), (3, 0.66), (10, 0.4))
            ],
        },
        "length": {
            one: {"slope": 0.12, "se": 0.05, "low": 0.02, "high": 0.22, "p": 0.02, "flagged": one == "plot"}
            for one in DIMENSIONS
        },
        "order": {one: {"slope": 0.1, "se": 0.1, "low": -0.1, "high": 0.3, "flagged": False} for one in DIMENSIONS},
        "metrics": [
            {
                "model": name,
                "metrics": {
                    metric: {"mean": rng.random() * 3, "se": 0.04, "n": 440, "sees": sees, "blind": blind}
                    for metric, (sees, blind) in metrics.items()
                },
            }
            for name in names
        ],
        "figures": {
            "fig14": {
                name: histogram(rng, 0, 0.3, 0.05 + 0.015 * place, 0.03, "precision (words)")
                for place, name in enumerate(with_held)
            },
            "fig15": {name: histogram(rng, 0, 0.3, 0.09, 0.02, "highest F (words)") for name in with_held},
            "copied": {name: histogram(rng, 0, 40, 12, 4) for name in with_held},
            "fig16": {
                name: {str(k): histogram(rng, -10, 0, -2 - 1.8 * (k - 1), 1.2) for k in (2, 3, 4, 5)} for name in names
            },
            "fig17": {
                name: {str(k): histogram(rng, 0, 1, 0.5 - 0.1 * k, 0.08, "precision (tokens)") for k in (2, 3)}
                for name in names
            },
            "fig18": [{"model": names[-1], "completion": story(rng, 70), "story": story(rng, 80), "precision": 0.29}],
            "novelty": {
                name: {str(n): min(1.0, max(0.0, (n - 1.5 + 0.25 * place) / 6)) for n in range(1, 11)}
                for place, name in enumerate(with_held)
            },
            "diversity": {
                name: {"distinct_2": 0.61, "self_bleu": 0.33, "compression_ratio": 2.4, "longest_copied_span": 17}
                for name in names
            },
        },
        "marking": [
            {
                "model": name,
                "family": family,
                "right": 5 + 6 * place,
                "partly": 4,
                "wrong": 20 - 6 * place,
                "open": 3,
                "items": [{"prompt": "Tom threw the ball up and it came", "completion": INJECTED, "mark": "wrong"}],
            }
            for family in ("knowledge", "reasoning", "context")
            for place, name in enumerate(names)
        ],
        "anchors": {
            "sound": True,
            "why": [],
            "taus": {"grammar": 0.93, "plot": 0.88},
            "lift": -0.2,
            "tens": 0,
            "missing": 1,
            "judgements": 183,
            "lifts": {"plea": -0.2, "role": -0.4},
            "separates": {"grammar": {"gap": 1.1, "low": 0.6, "high": 1.6}},
        },
        "link": {
            "models": {name: {"grammar": 5.5 + place} for place, name in enumerate(names)},
            "dimensions": {"grammar": {"kind": "linear", "rms": 0.21, "left_out": 0.34, "span": [4.5, 9.0]}},
            "rulers": {names[1]: "256x8", names[2]: "1024x1", names[3]: "768x4"},
            "why": {"plot": "The rulers come out in another order than the paper's judge put them in."},
        },
        "drift": {"grammar": {"shift": 0.05, "se": 0.07, "low": -0.1, "high": 0.2, "prompts": 17, "completions": 50}},
        "asked": [f"{kind}-{n}" for kind, many in kinds for n in range(many)],
        "cost": {
            "usd": 3.42,
            "possibly_billed_usd": 0.02,
            "calls": 5280,
            "input_tokens": 4_100_000,
            "output_tokens": 1_050_000,
            "judges": {"stub": 2.9, "stub-2": 0.52},
        },
        "settings": {"judge": "stub", "rubric": "9f2c" * 16, "mode": "calibrated", "repeats": 3},
        "sets": {"stories": SETS["story"], "knowledge": SETS["knowledge"], "instruct": SETS["instruct"]},
        "completions": completions,
        "grades": graded,
    }


def write_inputs(folder: Path, given: dict[str, Any]) -> None:
    """As `read_inputs` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, value in given.items():
        if part in ("completions", "grades"):
            write_lines(folder / f"{part}.jsonl", value)
        elif part == "asked":
            write_lines(folder / "prompts.jsonl", [Prompt(id=one, kind="story", text="Once") for one in value])
        elif part == "sets":
            write_json(folder / "study.json", {"sets": value})
        else:
            (folder / f"{part}.json").write_text(json.dumps(value), "utf-8")


if __name__ == "__main__":
    out = Path(sys.argv[1])
    write_inputs(out, inputs())
    report = make_report(read_inputs(out), compare="paper")
    write_json(out / "report.json", report)
    write_html(report, out / "report.html")
