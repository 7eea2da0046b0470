"""A recipe: all that makes a domain, in one TOML file: factors, templates, parser, checks, form of the documents."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from data_gen import template, words
from data_gen.table import Table, is_number, nearest, repeated
from tsjax.atomic import sha256_json
from tsjax.errors import UserError

RECIPES = Path(__file__).with_name("recipes")
PARSERS = ("plain", "json", "marker")
KINDS = ("story", "instruct", "chat")
PARAMS = ("temperature", "top_p", "max_output_tokens", "effort", "schema")

_LEAST_NEAR = 0.6  # sixteen bands of four hashes find 89 % of the pairs that are alike by 0.6, 64 % by 0.5
_FORM = 1  # part of `request_hash`: raise it when the same recipe comes to ask for something else


@dataclass(frozen=True)
class Factor:
    """One thing that is drawn for each document.

    labels:  the possible values, as documents and reports tell them.
    texts:   the same, as prompts say them.
    weights: relative frequencies of the values; none: equal.
    present: share of the documents that have it at all.
    number:  (least, most) values for one document, none twice; none: one value, not a list.
    unique:  part of the combination that does not come again before all combinations have come.
    pos:     part of speech, where the values are words that the text must use (checked by lemma).
    """

    name: str
    labels: tuple[str, ...]
    texts: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    present: float = 1.0
    number: tuple[int, int] | None = None
    unique: bool = False
    pos: str = ""

    @cached_property
    def said(self) -> Mapping[str, str]:
        """The text of each label."""
        return dict(zip(self.labels, self.texts, strict=True))


@dataclass(frozen=True)
class Step:
    """One request for a document. Templates may use factors and the names of earlier steps (their clean texts)."""

    name: str
    prompt: str
    system: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    parse: str = "plain"
    checks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """What becomes of an accepted document.

    kind:     story, instruct or chat.
    text:     the step whose text it is.
    words:    factors that are its required words; `features`: a factor; `summary`: a step.
    near:     near copies from this similarity on are left out; 0: kept.
    """

    kind: str
    text: str
    words: tuple[str, ...] = ()
    features: str = ""
    summary: str = ""
    near: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """`request_hash` covers all that decides what is asked, `curation_hash` what becomes of the answers."""

    name: str
    about: str
    language: str
    factors: tuple[Factor, ...]
    steps: tuple[Step, ...]
    shape: Shape
    redraws: int  # how often an index may be asked again after an answer that was no good
    alarms: Mapping[str, float]
    text: str  # the file
    request_hash: str
    curation_hash: str
    folder: str = field(default="", compare=False)  # the file's, where a user's own functions are looked for


def bundled() -> list[str]:
    """The names of the recipes that come with the project."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load(name_or_path: str | Path) -> Recipe:
    """The recipe of that name, or in the file whose path ends in .toml. Files that it names are looked for beside it.

    Raises UserError, which names the key, for whatever is wrong with it.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if (name := str(name_or_path)) not in bundled():
            found = f"{name!r}{nearest(name, bundled())}"
            todo = "choose one of these, or write your own as docs/recipes.md shows"
            raise UserError(expected=f"{', '.join(bundled())}, or a path that ends in .toml", found=found, todo=todo)
        path = RECIPES / f"{name}.toml"
    text = _read(path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise UserError(expected="TOML", found=" ".join(str(e).split()), todo=f"mend {path}") from e
    except RecursionError as e:
        raise UserError(expected="TOML", found="tables or lists too deep to read", todo=f"mend {path}") from e
    keys = ("name", "about", "language", "redraws", "factors", "steps", "document", "alarms")
    recipe = _recipe(Table(values, "", path, keys), text)
    _try_out(recipe, path)
    return recipe


def _try_out(recipe: Recipe, path: Path) -> None:
    """Raises UserError for checks, alarms or functions of the user that would only fail once answers come."""
    from data_gen import examine, monitor  # which know recipes

    try:
        examine.Examiner(recipe)
        monitor.validate(recipe.alarms)
    except UserError as e:
        raise UserError(expected=e.expected, found=e.found, todo=f"{e.todo} in {path}") from e


def _recipe(table: Table, text: str) -> Recipe:
    table.need("name", "about", "language", "factors", "steps", "document")
    named = _tables(table, "factors")
    factors = tuple(_factor(name, values, table.path) for name, values in named.items())
    listed = table.values["steps"]
    if not isinstance(listed, list) or not listed:
        table.refuse("[[steps]], one or more", repr(listed), "steps")
    steps: list[Step] = []
    for number, values in enumerate(listed, 1):
        steps.append(_step(values, f"steps[{number}]", table.path, factors, steps))
    used = frozenset().union(*(template.fields(t) for step in steps for t in (step.system, step.prompt)))
    if unused := [factor.name for factor in factors if factor.name not in used]:
        table.refuse(f"{{{unused[0]}}} in a prompt", "a factor that no prompt uses", f"factors.{unused[0]}")
    shape = _shape(table, factors, steps)
    alarms = _tables(table, "alarms", optional=True)
    for name, value in alarms.items():
        if not is_number(value):
            table.refuse("a number", repr(value), f"alarms.{name}")
    about, language, redraws = table.text("about"), table.text("language"), table.whole("redraws", 0)
    asked = [
        _FORM,
        [[f.name, f.labels, f.texts, f.weights, f.present, f.number, f.unique] for f in factors],
        [[s.name, s.system, s.prompt, s.params] for s in steps],
    ]
    kept = [
        [table.text("name"), about, language, redraws],
        [[f.name, f.pos] for f in factors],
        [[s.name, s.parse, s.checks] for s in steps],
        [shape.kind, shape.text, shape.words, shape.features, shape.summary, shape.near],
        alarms,
    ]
    return Recipe(
        table.text("name"), about, language, factors, tuple(steps), shape, redraws, alarms, text,
        request_hash=sha256_json(asked), curation_hash=sha256_json(kept), folder=str(table.path.parent.resolve()),
    )  # fmt: skip


def _factor(name: str, values: Any, path: Path) -> Factor:
    keys = ("values", "words", "lines", "file", "weights", "present", "number", "unique")
    table = Table(values, f"factors.{name}", path, keys)
    if not template.is_field(name):
        table.refuse("a name of small letters, digits and _", repr(name))
    if len(sources := [key for key in ("values", "words", "lines") if key in table]) != 1:
        table.refuse("one of values, words and lines", " and ".join(sources) or "none of them")
    if "file" in table and "words" not in table:
        table.refuse("words, the part of speech to take from it", "none", "file")
    pos = table.choice("words", words.PARTS_OF_SPEECH)
    labels, texts = _values(table, pos)
    unique, present = table.switch("unique"), table.number("present", 0, 1, 1.0)
    number = table.span("number", most=len(labels)) if "number" in table else None
    if unique and (number or present < 1 or "weights" in table):
        table.refuse("no number, present or weights beside unique = true", ", ".join(table.values))
    return Factor(name, labels, texts, _weights(table, len(labels)), present, number, unique, pos)


def _values(table: Table, pos: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels and texts."""
    labels: tuple[str, ...]
    if pos:
        file = table.path.parent / table.text("file") if "file" in table else words.WORDS_FILE
        labels = words.load(file)[pos]
    elif "lines" in table:
        labels = _lines(table, "lines")
    elif isinstance(table.values["values"], dict):
        inner = Table(table.values["values"], f"{table.where}.values", table.path, table.values["values"])
        labels, texts = tuple(inner.values), tuple(inner.text(label) for label in inner.values)
        _check_lines(table, (*labels, *texts))
        return labels, texts
    else:
        labels = table.texts("values")
    _check_lines(table, labels)
    return labels, labels


def _check_lines(table: Table, values: tuple[str, ...]) -> None:
    if not values:
        table.refuse("values", "none")
    if bad := [value for value in values if value != value.strip() or "\n" in value or not value]:
        table.refuse("values of one line, with no space around them", repr(bad[0]))


def _weights(table: Table, count: int) -> tuple[float, ...] | None:
    if "weights" not in table:
        return None
    weights = table.values["weights"]
    if not isinstance(weights, list):
        table.refuse("a list of numbers", repr(weights), "weights")
    if len(weights) != count:
        table.refuse(f"{count} numbers, one for each value", str(len(weights)), "weights")
    if bad := [weight for weight in weights if not is_number(weight) or weight <= 0]:
        table.refuse("numbers above 0", repr(bad[0]), "weights")
    return tuple(map(float, weights))


def _step(values: Any, where: str, path: Path, factors: tuple[Factor, ...], earlier: list[Step]) -> Step:
    table = Table(values, where, path, ("name", "system", "prompt", "parse", "params", "checks"))
    table.need("name", "prompt", "params")
    name = table.text("name")
    known = [*(factor.name for factor in factors), *(step.name for step in earlier)]
    if not template.is_field(name) or name in known:
        table.refuse("a name of small letters that no factor and no other step has", repr(name), "name")
    for key in ("system", "prompt"):
        try:
            asked = template.fields(table.text(key))
        except ValueError as e:
            table.refuse("fields such as {noun} alone", str(e), key)
        for field_name in sorted(asked):
            if field_name not in known:
                among = f"names among {', '.join(known)}"
                table.refuse(among, f"{{{field_name}}}{nearest(field_name, known)}", key)
    always = [*(factor.name for factor in factors if _is_sure(factor)), *(step.name for step in earlier)]
    if not template.lasts(table.text("prompt"), always):
        table.refuse("a line that stays whatever is drawn", "only lines that name what may be absent", "prompt")
    params = _params(Table(table.values["params"], f"{where}.params", path, PARAMS))
    parse = table.choice("parse", PARSERS, "plain")
    return Step(name, table.text("prompt"), table.text("system"), params, parse, _checks(table))


def _is_sure(factor: Factor) -> bool:
    """Whether each document has it."""
    return factor.present == 1 and (factor.number is None or factor.number[0] > 0)


def _params(table: Table) -> dict[str, Any]:
    table.need("max_output_tokens")
    params: dict[str, Any] = {"max_output_tokens": table.whole("max_output_tokens", 1)}
    if "temperature" in table:
        params["temperature"] = table.number("temperature", 0, 2)
    if "top_p" in table:
        params["top_p"] = table.number("top_p", 0, 1)
    if "effort" in table:
        params["effort"] = table.text("effort")
    if "schema" in table:
        params["schema"] = _json(table, "schema")
    return params


def _checks(step: Table) -> dict[str, Any]:
    """The table of checks, with the lines of `deny_file` among those of `deny`. What else it says is for checks.py to judge."""
    checks = _json(step, "checks", optional=True)
    if "deny_file" not in checks:
        return checks
    listed = {key: checks[key] for key in ("deny", "deny_file") if key in checks}
    table = Table(listed, f"{step.where}.checks", step.path, listed)
    deny = dict.fromkeys((*table.texts("deny"), *_lines(table, "deny_file")))
    return {key: value for key, value in checks.items() if key != "deny_file"} | {"deny": list(deny)}


def _shape(recipe: Table, factors: tuple[Factor, ...], steps: list[Step]) -> Shape:
    keys = ("kind", "text", "words", "features", "summary", "near")
    table = Table(recipe.values["document"], "document", recipe.path, keys)
    table.need("kind", "text")
    names, done = [factor.name for factor in factors], [step.name for step in steps]
    near = table.number("near", 0, 1)
    if 0 < near < _LEAST_NEAR:
        found = f"{near:g}, from which on only some of the copies would be found"
        table.refuse(f"0, or a number from {_LEAST_NEAR:g} to 1", found, "near")
    return Shape(
        table.choice("kind", KINDS), table.choice("text", done), table.choices("words", names),
        table.choice("features", names), table.choice("summary", done), near,
    )  # fmt: skip


def _tables(table: Table, key: str, *, optional: bool = False) -> dict[str, Any]:
    value = table.values.get(key)
    if optional and not value and (value is None or isinstance(value, dict)):
        return {}
    if not isinstance(value, dict) or not value:
        table.refuse("a table that holds something", repr(value), key)
    return value


def _json(table: Table, key: str, *, optional: bool = False) -> dict[str, Any]:
    """A table that JSON can hold, so no dates."""
    value = _tables(table, key, optional=optional)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as e:
        table.refuse("texts, numbers, true, false, lists and tables", str(e), key)
    return value


def _lines(table: Table, key: str) -> tuple[str, ...]:
    """The lines of the file that `key` names, but for blank ones and comments."""
    path = table.path.parent / table.text(key)
    lines = [line.strip() for line in _read(path).splitlines() if line.strip() and not line.startswith("#")]
    if again := repeated(lines):
        table.refuse(f"every line of {path} once", f"{again!r} again", key)
    return tuple(lines)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, ValueError) as e:  # ValueError: no UTF-8, or a NUL in the path
        raise UserError(
            expected=f"a text in UTF-8 at {path}", found=" ".join(str(e).split()), todo="check the path"
        ) from e
