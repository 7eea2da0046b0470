"""What a call costs. Money is an integer of picodollars (1e-12 USD), so that sums are exact whatever their order."""

import difflib
import hashlib
import json
import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from data_gen.answer import Usage
from tsjax.errors import UserError

DOLLAR = 10**12  # picodollars
BUNDLED = Path(__file__).with_name("prices.toml")
VARIABLE = "TSJAX_PRICES"
Tier = Literal["standard", "batch", "flex"]
DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
SERVED = {"default": "standard"}  # a tier in answers -> as it is called here
DEARER = "priority"  # a tier that has no price here; a project's settings may choose it
FIELDS = ("input", "output", "cached", "cache_write", "batch", "flex")

TIMES = 4  # the most that a call can cost: a bill beyond that is none, and what was reserved for the call is in doubt
TOP = ("date", "source", "models")
BYTES_A_TOKEN = 4.02  # of UTF-8, for estimates; see `about_tokens`
PER_MESSAGE, PER_REQUEST = 16, 64


@dataclass(frozen=True)
class Price:
    """Picodollars a token of one model at one tier."""

    model: str
    tier: str
    input: int
    output: int
    cached: int
    cache_write: int
    others: tuple["Price", ...] = ()  # of the tiers at which a server may answer all the same

    def cost(self, usage: Usage) -> int:
        """Picodollars for what the vendor counted. Cached and written tokens are part of its `input`, not on top."""
        cached = min(usage.cached, usage.input)
        written = min(usage.cache_write, usage.input - cached)
        plain = usage.input - cached - written
        return plain * self.input + cached * self.cached + written * self.cache_write + usage.output * self.output

    def worst(self, input_tokens_at_most: int, max_output_tokens: int) -> int:
        """Picodollars that a call with these limits can cost at most, whatever is cached and at whatever tier."""
        prices = (self, *self.others)
        dearest = max(max(price.input, price.cached, price.cache_write) for price in prices)
        return input_tokens_at_most * dearest + max_output_tokens * max(price.output for price in prices)

    def booked(self, usage: Usage | None, served: str, reserve: int) -> tuple[int, int]:
        """(cost, doubt) of an answer, in picodollars: what is known to be billed, and what may be on top of that.

        served:  the tier that the answer names; "" where it names none: then the dearest may be billed.
        reserve: the most that the call could cost. Without usage, or with one that can't be, all of it is in doubt.
        """
        if usage is None:
            return 0, reserve
        costs = {price.tier: price.cost(usage) for price in (self, *self.others)}
        name = SERVED.get(served, served)
        if name in costs:
            cost, doubt = costs[name], 0
        elif name == DEARER:
            cost, doubt = max(costs.values()), max(0, reserve - max(costs.values()))
        elif self.tier == "flex":  # a server that does not tell may not know of it
            cost, doubt = costs["flex"], max(costs.values()) - costs["flex"]
        else:
            cost, doubt = costs[self.tier], 0
        return (cost, doubt) if cost <= TIMES * reserve else (0, reserve)


@dataclass(frozen=True)
class Prices:
    """A dated table. `id` names its content, `source` says where it comes from."""

    table: Mapping[str, Mapping[str, Decimal]]
    date: str
    source: str
    id: str

    @classmethod
    def load(cls, path: Path | None = None) -> "Prices":
        """The bundled table; `path`, else the file that $TSJAX_PRICES names, wins over it model by model."""
        if path is None and os.environ.get(VARIABLE):
            path = Path(os.environ[VARIABLE])
        bundled = _read(BUNDLED)
        own = _read(path) if path else {}
        if path and (unknown := sorted(set(own) - set(TOP))):
            raise UserError(
                expected=f"nothing but {', '.join(TOP)} at the top of a file of prices",
                found=f"{', '.join(unknown)} in {path}",
                todo="correct it: a price belongs in a table [models.NAME]",
            )
        table = {model: _checked(model, row, path or BUNDLED)
                 for model, row in (bundled["models"] | _models(own, path)).items()}  # fmt: skip
        text = json.dumps({model: {k: str(v) for k, v in row.items()} for model, row in table.items()}, sort_keys=True)
        source = f"{own.get('source', path.name)}, else {bundled['source']}" if path else bundled["source"]
        date = str(own.get("date", bundled["date"]))
        return cls(table, date, source, hashlib.sha256(text.encode()).hexdigest()[:16])

    def of(self, model: str, tier: Tier = "standard", *, free: bool = False) -> Price:
        """The price of a model, also under its dated name (`NAME-2026-05-01`). `free`: zero, for a server of one's own.

        UserError for a model or tier without a price: a cap on money is worth nothing with a guessed one.
        """
        if free:
            return Price(model, tier, 0, 0, 0, 0)
        price = self._of(model, tier)
        # A server answers a flex call at the standard tier where it likes, and the other way round by a project's setting.
        other: Tier | None = {"flex": "standard", "standard": "flex"}.get(tier)  # type: ignore[assignment]
        if other == "standard" or (other and "flex" in self._row(model)):
            price = replace(price, others=(self._of(model, other),))
        return price

    def _row(self, model: str) -> Mapping[str, Decimal]:
        row = self.table.get(model) or self.table.get(DATED.sub("", model))
        if row is None:
            near = difflib.get_close_matches(model, self.table, 3, 0.5) or list(self.table)
            raise UserError(
                expected=f"a price for the model {model!r} in the table of {self.date}",
                found=f"prices for {', '.join(near)}",
                todo=f"put its price (USD per million tokens) in a file and give --prices FILE or ${VARIABLE}:\n"
                f'[models."{model}"]\ninput = 0.00\noutput = 0.00',
            )
        return row

    def _of(self, model: str, tier: Tier) -> Price:
        row = self._row(model)
        share = row.get(tier, Decimal(1) if tier == "standard" else None)
        if share is None:
            raise UserError(
                expected=f"a {tier} price for the model {model!r} in the table of {self.date}",
                found="none",
                todo=f"use another tier, or put `{tier} = 0.5` (a share of the standard price) in a file of yours",
            )
        names = ("input", "output", "cached", "cache_write")
        given, made, cached, written = (_pico(row.get(name, row["input"]) * share) for name in names)
        return Price(model, tier, given, made, cached, written)


def _pico(dollars_per_million: Decimal) -> int:
    return math.ceil(dollars_per_million * (DOLLAR // 10**6))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, ValueError) as why:
        found = f"{path}: {why}"
    raise UserError(expected="a TOML file of prices", found=found, todo=f"see {BUNDLED.name} in data_gen for the form")


def _models(own: dict[str, Any], path: Path | None) -> dict[str, Any]:
    models = own.get("models", {})
    if not isinstance(models, dict):
        raise UserError(expected="tables [models.NAME]", found=f"models = {models!r}", todo=f"correct {path}")
    return models


def _checked(model: str, row: Any, path: Path) -> dict[str, Decimal]:
    def bad(found: str) -> UserError:
        return UserError(
            expected=f'numbers of at least 0 for {", ".join(FIELDS)} in [models."{model}"], input and output always',
            found=found,
            todo=f"correct {path}",
        )

    if not isinstance(row, dict):
        raise bad(repr(row))
    for name, value in row.items():
        number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
        if name not in FIELDS or not number or not Decimal(value).is_finite() or value < 0:
            raise bad(f"{name} = {value}")
    if missing := {"input", "output"} - set(row):
        raise bad(f"no {' and no '.join(sorted(missing))}")
    return {name: Decimal(value) for name, value in row.items()}


def dollars(pico: int) -> str:
    """USD for the eye: cents from a dollar on, two digits that matter below."""
    amount = pico / DOLLAR
    if pico == 0 or abs(amount) >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.{min(12, 1 - math.floor(math.log10(abs(amount))))}f}"


def at_most_tokens(messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any] | None = None) -> int:
    """An upper bound on the input tokens of a request, without its tokenizer.

    A token of a byte-level BPE stands for one byte at least, so no text has more tokens than bytes of UTF-8. The
    marks that a vendor puts around messages (about 4 each) and around a schema are covered by round numbers.
    """
    size = PER_REQUEST + sum(PER_MESSAGE + sum(len(str(v).encode()) for v in message.values()) for message in messages)
    if schema is not None:
        size += PER_REQUEST + len(json.dumps(schema, ensure_ascii=False).encode())
    return size


def about_tokens(text: str) -> float:
    """How many tokens a text probably has, for estimates only.

    GPT-2 ids of 6,458 TinyStories take 4.02 bytes each; of single stories, 98 % are between 3.57 and 4.56, so one text
    may be off by an eighth either way. Other languages take fewer bytes a token.
    """
    return len(text.encode()) / BYTES_A_TOKEN
