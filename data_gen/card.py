"""The data set's card: README.md as the Hub shows it, made of the documents' manifest and nothing else.

What is not in the manifest is said to be absent: no licence, language or limit is made up.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tsjax.corpus.sources import SPLIT_FILES

SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
         (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))  # fmt: skip
HUB_SPLITS = {"train": "train", "valid": "validation"}


def card(manifest: Mapping[str, Any]) -> str:
    """The card of a documents manifest that `curate` wrote."""
    return "\n".join((*_front(manifest), *_body(manifest))) + "\n"


def _front(m: Mapping[str, Any]) -> Iterator[str]:
    """The block that the Hub reads. JSON strings are YAML strings."""
    count = sum(file["count"] for file in m["files"].values())
    yield "---"
    if m["licence"]:
        yield f"license: {json.dumps(m['licence'])}"
    if m["recipe"]["language"]:
        yield f"language:\n- {json.dumps(m['recipe']['language'])}"
    yield f"pretty_name: {json.dumps(m['recipe']['name'], ensure_ascii=False)}"
    yield f"size_categories:\n- {next((name for most, name in SIZES if count < most), 'n>1T')}"
    yield "tags:\n- synthetic\nconfigs:\n- config_name: default\n  data_files:"
    for split, name in SPLIT_FILES.items():
        yield f"  - split: {HUB_SPLITS[split]}\n    path: {name}"
    yield "---\n"


def _body(m: Mapping[str, Any]) -> Iterator[str]:
    recipe, report = m["recipe"], m["report"]
    answers, documents = report["answers"], report["documents"]
    yield f"# {recipe['name']}\n"
    yield f"{recipe['about'] or 'The recipe does not say what it is about.'}\n"
    yield "Answers to the prompts of the recipe below, kept where they passed its checks. This card is made from the"
    yield "manifest of the data set, which says nothing of anybody having read the documents.\n"
    yield "## Documents\n"
    yield from _table(
        ("split", "documents", "file"),
        [(split, file["count"], f"`{file['name']}`") for split, file in m["files"].items()],
    )
    yield f"All that was made for one request is in one split (share for validation: {m['valid_fraction']}).\n"
    yield "## How it was made\n"
    yield f"- answers: {answers['lines']}, sent from {answers['first_sent']} on, the last received {answers['last_received']}"
    yield f"- models that answered: {_counted(answers['models_served'])}; asked for: {_counted(answers['models_asked'])}"
    yield f"- asked through: {_counted(answers['backends'])}"
    yield f"- parameters as sent: {_counted(answers['params'])}"
    yield f"- seed: {m['seed']}"
    tokens = answers["tokens"]
    yield f"- tokens: {tokens['input']} in, {tokens['output']} out; answers that did not tell: {tokens['lines_without_usage']}"
    yield f"- cost by the price list of the run: {answers['cost']['usd']} USD; possibly billed beyond it: " \
          f"{answers['possibly_billed']['usd']} USD; price list: {_counted(answers['prices'])}"  # fmt: skip
    for label, value in m["about"].items():
        yield f"- {label}: {value}"
    yield f"- tsjax {m['tsjax']}\n"
    yield "## Acceptance\n"
    for name, step in report["acceptance"].items():
        yield f"Step `{name}`: {step['accepted']} of {step['answers']} answers accepted (share {step['share']}).\n"
        if step["rejected"]:
            yield from _table(("reason for rejection", "answers"), list(step["rejected"].items()))
    yield "## Copies\n"
    yield f"Of {documents['accepted']} accepted documents these were left out:\n"
    near = documents["near_from"]
    nearly = f"nearly equal (similarity from {near})" if near else "nearly equal (not looked for)"
    yield from _table(
        ("why", "documents"),
        [
            ("equal to an earlier one", documents["exact_duplicate"]),
            (f"{nearly} to an earlier one", documents["near_duplicate"]),
            ("equal to one of another data set", documents["in_other_data"]),
            (f"{nearly} to one of another data set", documents["near_other_data"]),
            ("not needed for the target", documents["beyond_target"]),
        ],
    )
    others = ", ".join(f"`{other['name']}`" for other in m["against"])
    yield f"Compared with other data sets: {others or 'none'}.\n"
    yield "## Diversity\n"
    coverage = report["coverage"]
    combinations = coverage["combinations"]
    yield f"Combinations of the unique factors that occur: {combinations['used']} of {combinations['space']}.\n"
    if coverage["factors"]:
        yield from _table(
            ("factor", "values seen", "possible", "most frequent", "least frequent"),
            [
                (name, f["seen"], f["possible"], _ranked(f["most"][:3]), _ranked(f["least"][-3:]))
                for name, f in coverage["factors"].items()
            ],
        )
    yield "Measured over the accepted documents:\n"
    yield from _flat(report["diversity"])
    yield "\n## Known limits\n"
    yield "- The checks of the recipe are all that the manifest knows of; truth, taste and harm are not among its numbers."
    yield f"- Edits that cleaning made: {_counted(report['edits'])}."
    if not near:
        yield "- Near copies were not looked for."
    if documents["missing"]:
        yield f"- The target of {documents['target']} documents was missed by {documents['missing']}."
    yield "\n## Licence and terms\n"
    licence = m["licence"]
    yield f"Licence, as given by whoever made the data set: {licence}.\n" if licence else "No licence was given.\n"
    yield f"{m['terms']}\n" if m["terms"] else "No note on the terms of the models' vendors was given.\n"
    yield "## Recipe\n"
    fence = "```" if "```" not in recipe["text"] else "````"
    yield f"{fence}toml\n{recipe['text'].strip()}\n{fence}"


def _table(head: tuple[str, ...], rows: list[Any]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |\n|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"
    yield ""


def _cell(value: Any) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


def _ranked(pairs: list[Any]) -> str:
    return ", ".join(f"{label} ({n})" for label, n in pairs) or "none"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name or 'not told'} ({n})" for name, n in counts.items()) or "none"


def _flat(values: Mapping[str, Any]) -> Iterator[str]:
    """A list item for each measure; of those by key, the keys that are there (the most frequent ones)."""
    for name, value in values.items():
        shown = (
            ", ".join(f"{key} {one}" for key, one in value.items()) or "none" if isinstance(value, Mapping) else value
        )
        yield f"- {name.replace('_', ' ')}: {shown}"
