"""When to stop a run that only burns time or money: a dead endpoint, an empty account, a broken prompt."""

import re
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from data_gen.failure import Failure, Kind

SAME = 4  # times the same message, and it is no passing trouble
IN_VAIN = 20  # requests given up for one reason before anything was answered, or
UNANSWERED = 50  # sends that may have been billed: the server or its address is wrong
IDS = re.compile(r"\b[a-z]{2,8}[_-](?=\w*\d)\w{6,}\b|\d+")  # what differs between two tellings of one error


class Breakers:
    """Told of every end of a call; `tripped()` is a sentence once the run should stop, for good.

    silence:        seconds without an answer, while calls fail; a hold for rate is such a failure too. Give it twice the
                    client's timeout at least, or a single call that timed out ends a run of few calls at once.
    error_share:    of the ends of the last `errors_for` seconds, `errors_over` of them at least, counting answers and
                    errors but not RATE and CAPACITY, which are the limiter's business. An outage of seconds stops nobody.
    in_vain, unanswered: what a run may lose before its first answer, in this process: requests given up for one reason, and
                    sends that may have been billed. What is on its way then is waited for, so there may be more.
    accepted_share: of the last `accepted_over` judged answers: fewer, and the prompt is broken. 0 turns it off.
    """

    def __init__(
        self,
        *,
        silence: float = 1200.0,
        error_share: float = 0.5,
        errors_over: int = 100,
        errors_for: float = 60.0,
        in_vain: int = IN_VAIN,
        unanswered: int = UNANSWERED,
        accepted_share: float = 0.05,
        accepted_over: int = 500,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if errors_over < 50:
            raise ValueError("the error share of fewer than 50 calls says nothing")
        self.silence, self.error_share, self.accepted_share = silence, error_share, accepted_share
        self._clock = clock
        self.errors_over, self.errors_for = errors_over, errors_for
        self.in_vain, self.unanswered = in_vain, unanswered
        self._answered, self._doubtful = False, 0
        self._lost: Counter[str] = Counter()  # requests given up, by why
        self._ends: deque[tuple[float, bool]] = deque()  # when, and whether it was an error
        self._judged: deque[bool] = deque(maxlen=accepted_over)
        self._errors = self._accepted = 0
        self._since = clock()  # the last answer, or the beginning
        self._last: Failure | None = None  # since then
        self._why: str | None = None

    def succeeded(self) -> None:
        """A call brought an answer, whatever it says."""
        self._since, self._last, self._answered = self._clock(), None, True
        self._end(False)

    def failed(self, failure: Failure) -> None:
        """A call ended without one."""
        self._last = failure
        if failure.kind is Kind.QUOTA:
            self._trip(f"the account has no quota left: {failure.message}")
        elif failure.kind is Kind.FATAL:
            self._trip(f"no request can succeed: {failure.message} (status {failure.status})")
        elif failure.kind not in (Kind.RATE, Kind.CAPACITY):
            self._end(True)
            self._doubtful += failure.kind is Kind.DOUBTFUL
            if not self._answered and self._doubtful >= self.unanswered:
                self._trip(
                    f"nothing was answered, and {self._doubtful} sends may have been billed; the last error: {failure}"
                )

    def gave_up(self, message: str) -> None:
        """A request will not be sent again, though it has no answer."""
        if self._answered:
            return
        why = IDS.sub("#", message)
        self._lost[why] += 1
        if self._lost[why] >= self.in_vain:
            self._trip(f"nothing was answered, and {self._lost[why]} requests were given up for one reason: {message}")

    def judged(self, accepted: bool) -> None:
        """An answer was examined."""
        if len(self._judged) == self._judged.maxlen:
            self._accepted -= self._judged[0]
        self._judged.append(accepted)
        self._accepted += accepted
        over = len(self._judged)
        if over == self._judged.maxlen and self._accepted < self.accepted_share * over:
            self._trip(
                f"only {self._accepted} of the last {over} answers were accepted, less than {self.accepted_share:.0%}: "
                "look at the prompt and at the reasons of the rejected ones"
            )

    def tripped(self) -> str | None:
        """Why to stop, with numbers; None to go on."""
        quiet = self._clock() - self._since
        if self._last is not None and quiet > self.silence:
            self._trip(f"no answer for {quiet / 60:.1f} minutes; the last error: {self._last}")
        return self._why

    def _end(self, error: bool) -> None:
        now = self._clock()
        self._ends.append((now, error))
        self._errors += error
        while len(self._ends) > self.errors_over and self._ends[1][0] <= now - self.errors_for:
            self._errors -= self._ends.popleft()[1]
        over, span = len(self._ends), now - self._ends[0][0]
        if error and over >= self.errors_over and span >= self.errors_for and self._errors > self.error_share * over:
            self._trip(
                f"{self._errors} of the last {over} calls failed in {span:.0f} s, more than {self.error_share:.0%}; "
                f"the last error: {self._last}"
            )

    def _trip(self, why: str) -> None:
        self._why = self._why or why


def hopeless(messages: Sequence[str]) -> bool:
    """Whether one request's last errors say the same SAME times in a row, numbers and ids apart: no use to try again."""
    return len(messages) >= SAME and len({IDS.sub("#", message) for message in messages[-SAME:]}) == 1
