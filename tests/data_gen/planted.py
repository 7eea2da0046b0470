"""Answers for the stub with defects in a known share: the offline writer's, of which some are spoiled as models spoil them.

    python -m tests.openai_server --answer tests.data_gen.planted:tinystories ...
    StubServer(script, answer=Planted(load("tinystories")))

Which answer gets which defect follows from what is asked alone, so a test can say what must become of every answer:
`Planted.expected`. Bodies of requests name no index, so prompts are rendered until the one that was asked is found.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from data_gen.factors import Sampler
from data_gen.offline.answers import write_answer
from data_gen.recipe import Recipe, bundled, load
from data_gen.render import render
from data_gen.request import Request
from tests.data_gen import spoiled
from tests.openai_server import prompt_of

SHARE = 0.15
MOST = 200_000  # indices to look for a prompt in
COPIES = {"exact copy": "exact_duplicate", "near copy": "near_duplicate"}


class Planted:
    """`planted(body)` is the answer to a request of the recipe; the same from any object made like this one."""

    def __init__(self, recipe: Recipe, seed: int = 0, share: float = SHARE):
        self.recipe, self.share = recipe, share
        self.sampler = Sampler(recipe, seed)
        self._indices: dict[bytes, int] = {}
        self._rendered = 0
        self.kinds = [spoiled.kinds(recipe, step) for step in recipe.steps]

    def __call__(self, body: Mapping[str, Any]) -> str:
        request = self.request(prompt_of(dict(body)))
        return self.answer(request)

    def expected(self, body: Mapping[str, Any]) -> str:
        """The reason for which the answer must be rejected; "" where it must be accepted."""
        return self.reason(self.request(prompt_of(dict(body))))

    # ---- the same of a request

    def answer(self, request: Request) -> str:
        return self._answer(request)[0]

    def reason(self, request: Request) -> str:
        return self._answer(request)[1]

    def first(self, index: int) -> Request:
        """The request of the first step at an index."""
        return render(self.recipe, 0, self.sampler.draw(index), {}, index=index, sample=0, model="", overrides={})

    def request(self, prompt: str) -> Request:
        """The request with this prompt. LookupError where no request of the recipe has it."""
        key = _key(prompt)
        while key not in self._indices and not (later := self._later(prompt)) and self._rendered < MOST:
            for index in range(self._rendered, self._rendered + 500):
                self._indices.setdefault(_key(_prompt(self.first(index))), index)
            self._rendered += 500
        if key in self._indices:
            return self.first(self._indices[key])
        if later:
            messages = ({"role": "user", "content": prompt},)
            return Request(self.recipe.request_hash[:16], 0, later, 0, "", messages, {})
        raise LookupError(f"no request of {self.recipe.name} says {prompt[:200]!r}")

    def _later(self, prompt: str) -> int:
        """The number of the later step that asks this; 0 where none does."""
        for number, step in enumerate(self.recipe.steps[1:], 1):
            for before in self.recipe.steps[:number]:
                start, _, end = step.prompt.strip().partition(f"{{{before.name}}}")
                if end and prompt.startswith(start) and prompt.endswith(end):
                    return number
        return 0

    def defect(self, index: int) -> str:
        """The name of the defect that is planted in the first step at an index, or ""."""
        if index < 0:
            return ""
        kind = self._chosen(_prompt(self.first(index)), [*self.kinds[0], *COPIES])
        if kind in COPIES and (index == 0 or self._merged(index) is None or self.defect(index - 1)):
            return ""  # there is nothing to copy
        return kind

    def _chosen(self, prompt: str, kinds: list[str]) -> str:
        number = int.from_bytes(_key(prompt), "big")
        place, choice = divmod(number, 1 << 64)
        return kinds[choice % len(kinds)] if place < self.share * 2**64 else ""

    def _answer(self, request: Request) -> tuple[str, str]:
        if request.step:
            kind = self._chosen(_prompt(request), list(self.kinds[request.step]))
            return self._spoil(request, write_answer(self.recipe, request), kind)
        kind = self.defect(request.index)
        if kind in COPIES:
            text = write_answer(self.recipe, self._merged(request.index) or request)
            return (text if kind == "exact copy" else spoiled.changed(text)), COPIES[kind]
        if not kind and self.defect(request.index + 1) in COPIES:
            return write_answer(self.recipe, self._merged(request.index + 1) or request), ""
        return self._spoil(request, write_answer(self.recipe, request), kind)

    def _spoil(self, request: Request, text: str, kind: str) -> tuple[str, str]:
        if not kind:
            return text, ""
        made = self.kinds[request.step][kind](text, request.factors)
        return made or (text, "")

    def _merged(self, index: int) -> Request | None:
        """A request whose answer suits this index and the one before; None where none can."""
        factors = spoiled.merged(self.recipe, self.sampler.draw(index - 1), self.sampler.draw(index))
        if factors is None:
            return None
        before = self.first(index - 1)
        return Request(before.recipe, index, 0, 0, "", before.messages, before.params, factors)


def _prompt(request: Request) -> str:
    return "\n".join(message["content"] for message in request.messages)


def _key(prompt: str) -> bytes:
    return blake2b(prompt.encode(), digest_size=16).digest()


@lru_cache
def _of(name: str) -> Planted:
    return Planted(load(name))


def __getattr__(name: str) -> Callable[[dict[str, Any]], str]:
    """`planted.tinystories`: the answer function of a bundled recipe, for the stub's --answer."""
    if name not in bundled():
        raise AttributeError(name)
    return _of(name)
