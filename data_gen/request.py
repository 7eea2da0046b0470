"""One question to a model, and what names it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any


@dataclass(frozen=True)
class Request:
    """What is asked: the messages, and parameters in our own words (`client.body` turns them into a vendor's).

    recipe:   hash of the recipe that asks.
    index:    place in the recipe's endless list of documents.
    step:     number of the recipe's step: a later one builds on the answers of earlier ones.
    sample:   0, or how often this was asked before with an answer that was no good.
    messages: {"role", "content"} each.
    params:   of `temperature`, `top_p`, `max_output_tokens`, `effort` (of reasoning), `schema` (JSON schema of the answer).
    factors:  what was drawn for the index, as documents tell it. Not part of the identity: the messages follow from it.
    """

    recipe: str
    index: int
    step: int
    sample: int
    model: str
    messages: tuple[Mapping[str, str], ...]
    params: Mapping[str, Any]
    factors: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def id(self) -> str:
        """128 bits of all that decides the answer, in hex: the same on every machine, for this request alone."""
        what = [
            self.recipe, self.index, self.step, self.sample, self.model, dict(self.params), [dict(m) for m in self.messages]
        ]  # fmt: skip
        text = json.dumps(what, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
