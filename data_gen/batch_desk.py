"""The desk between the work and the batches: what is to be sent next, and what becomes of it.

The work hears of a request only after it has given it out. After a restart that matters: batches of the last process
may bring answers to requests that the work has not come to again.
"""

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from data_gen.answer import Answer
from data_gen.request import Request


class Work(Protocol):
    """What wants answers."""

    def take(self) -> Request | None:
        """The next request; None where there is none now, or none at all."""

    def answered(self, request: Request, answer: Answer) -> None:
        """Called when the answer is durable."""

    def gave_up(self, request: Request, why: str) -> None:
        """Called where no answer will come."""

    @property
    def finished(self) -> bool: ...


class Desk:
    """Gives out requests with the number of their tries so far; each comes back by one of the other methods."""

    def __init__(self, work: Work, held: Iterable[str] = ()):
        self.work = work
        self._queue: deque[tuple[Request, int]] = deque()
        self._held = set(held)  # in batches of an earlier process, and not given out by the work since
        self._early: dict[str, Answer | str | int] = {}  # what became of these: an answer, why there is none, or tries

    def next(self) -> tuple[Request, int] | None:
        while not self._queue:
            if (request := self.work.take()) is None:
                return None
            if request.id in self._held:
                self._held.discard(request.id)
                continue
            match self._early.pop(request.id, 0):
                case Answer() as answer:
                    self.work.answered(request, answer)
                case str() as why:
                    self.work.gave_up(request, why)
                case tries:
                    return request, tries
        return self._queue.popleft()

    def back(self, request: Request, tries: int) -> None:
        """It was not sent: it comes next."""
        self._queue.appendleft((request, tries))

    def answered(self, request: Request, answer: Answer) -> None:
        if self._known(request, answer):
            self.work.answered(request, answer)

    def again(self, request: Request, tries: int) -> None:
        if self._known(request, tries):
            self._queue.append((request, tries))

    def gave_up(self, request: Request, why: str) -> None:
        if self._known(request, why):
            self.work.gave_up(request, why)

    def _known(self, request: Request, early: Answer | str | int) -> bool:
        if request.id not in self._held:
            return True
        self._held.discard(request.id)
        self._early[request.id] = early
        return False
