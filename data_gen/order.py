"""What a user orders of `tsjax generate`: a recipe, a model, how many documents, for how much at most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from data_gen import job
from data_gen.engine import Backend
from data_gen.job import Job
from data_gen.recipe import Recipe
from data_gen.recipe import load as load_recipe
from tsjax.errors import UserError

CANDIDATES = 2  # indices asked for each document wanted, at most, unless the user says otherwise


@dataclass(frozen=True, kw_only=True)
class Order(Job):
    """The fields that a job has not:

    source:     the recipe's name or path, to load it again.
    target:     accepted documents wanted.
    candidates: indices asked at most (None: CANDIDATES times the target).
    against:    corpora whose documents, and copies of them, are left out.
    """

    kind: ClassVar[str] = "generation"
    verb: ClassVar[str] = "tsjax generate"
    ended: ClassVar[tuple[str, ...]] = ("documents", "alarms")
    kept: ClassVar[tuple[str, ...]] = ("licence", "terms")

    recipe: Recipe
    source: str
    target: int
    candidates: int | None = None
    valid_fraction: float = 0.01
    against: tuple[str, ...] = ()
    licence: str = ""
    terms: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target < 2:  # of two documents one validates
            raise UserError(expected="a target of at least 2", found=str(self.target), todo="choose another")
        if not 0 < self.valid_fraction < 1:
            found = str(self.valid_fraction)
            raise UserError(expected="a --valid-fraction above 0 and below 1", found=found, todo="choose another")
        if self.most < self.target:
            raise UserError(
                expected=f"at least as many candidates as the target, {self.target:,}", found=f"{self.most:,}",
                todo="raise --candidates",
            )  # fmt: skip

    @property
    def most(self) -> int:
        """Indices asked at most."""
        return CANDIDATES * self.target if self.candidates is None else self.candidates

    def identity(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.name,
            "request_hash": self.recipe.request_hash,
            "seed": self.seed,
            "model": self.model,
            "overrides": dict(self.overrides),
        }

    def about(self) -> dict[str, Any]:
        return {"curation_hash": self.recipe.curation_hash, "recipe_text": self.recipe.text}

    def params(self) -> Sequence[Mapping[str, Any]]:
        return [{**step.params, **self.overrides} for step in self.recipe.steps]

    def offline(self) -> Backend:
        from data_gen.offline.backend import Offline

        return Offline(self.recipe)

    def settings(self) -> dict[str, Any]:
        """All but the recipe, which is kept as text."""
        return {name: value for name, value in super().settings().items() if name != "recipe"}

    @classmethod
    def of(cls, manifest: Mapping[str, Any], **changed: Any) -> "Order":
        """The order that a run's manifest tells, with what the user changes now."""
        settings = dict(manifest["order"])
        if strange := set(settings) ^ {one.name for one in fields(cls) if one.name != "recipe"}:
            raise UserError(
                expected="the settings of an order in the run's manifest",
                found=f"{', '.join(sorted(strange))} too many or missing",
                todo="go on with the version of tsjax that began the run, or bring the manifest back from a copy",
            )
        for name in ("prices", "models", "replay"):
            settings[name] = settings[name] and Path(settings[name])
        settings["against"] = tuple(settings["against"])
        recipe = changed.pop("recipe", None) or load_recipe(settings["source"])
        return cls(**{**settings, "recipe": recipe, **changed})


def load(out: Path) -> dict[str, Any]:
    """The manifest of the run of `tsjax generate` in `out`."""
    return job.load(out, Order)
