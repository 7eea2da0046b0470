"""A recipe: all that makes a domain, in one TOML file: factors, templates, parser, checks, form of the documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
