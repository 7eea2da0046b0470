"""Signals turned into a wish that the training loop looks at between two dispatches."""

import os
import signal
from types import FrameType


class Stop:
    """SIGTERM: finish the dispatch, save, exit 75. Ctrl-C: the same with exit 130; a second one gives up at once."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def install(self) -> "Stop":
        """Catches both signals from now on. For the main thread only."""
        signal.signal(signal.SIGTERM, self._caught)
        signal.signal(signal.SIGINT, self._caught)
        return self

    def uninstall(self) -> None:
        """Gives both signals their usual meaning back."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __bool__(self) -> bool:
        return self.signal is not None

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        # A second, different signal does not change what the first one asked for.
        if self.signal is None:
            self.signal = number
            os.write(2, b"\nstopping: finishing what is on the device, then saving\n")
