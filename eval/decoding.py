"""How completions are made: sampled, greedy or by beam search, and whether they end where they begin to repeat."""

from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from tsjax.errors import UserError

MODES = SAMPLE, GREEDY, BEAM = ("sample", "greedy", "beam")


@dataclass(frozen=True)
class Decoding:
    """The settings. UserError for any that can't be, or that the mode would not look at."""

    mode: str = SAMPLE
    temperature: float = 1.0  # of SAMPLE, as top_k (0 = all) and top_p (1 = all)
    top_k: int = 0
    top_p: float = 1.0
    beam: int = 5  # of BEAM
    max_new: int = 256  # tokens
    seed: int = 0  # of SAMPLE
    cut_at_repeat: bool = False  # cut before the first repeated 4-gram of words (`eval.repeat`)

    def __post_init__(self) -> None:
        sampled = (self.temperature, self.top_k, self.top_p)
        for good, expected, found in (
            (self.mode in MODES, f"a mode of {', '.join(MODES)}", repr(self.mode)),
            (0 < self.temperature < inf, "a temperature above 0 (the mode greedy takes the likeliest)", str(self.temperature)),
            (self.top_k >= 0, "top_k of at least 0", str(self.top_k)),
            (0 < self.top_p <= 1, "top_p in (0, 1]", str(self.top_p)),
            (self.beam >= 1, "a beam of at least 1", str(self.beam)),
            (self.max_new >= 1, "max_new of at least 1", str(self.max_new)),
            (0 <= self.seed < 2**32, "a seed from 0 to 2^32 - 1", str(self.seed)),
            (self.mode == SAMPLE or sampled == (1.0, 0, 1.0), f"no temperature, top_k or top_p for {self.mode}",
             str(sampled)),
        ):  # fmt: skip
            if not good:
                raise UserError(expected=expected, found=found, todo="change it")

    def settings(self) -> dict[str, Any]:
        """What decides the texts, as records keep it: null where the mode does not look."""
        own = {SAMPLE: ("temperature", "top_k", "top_p", "seed"), GREEDY: (), BEAM: ("beam",)}[self.mode]
        always = ("mode", "max_new", "cut_at_repeat")
        return {name: value if name in (*own, *always) else None for name, value in asdict(self).items()}
