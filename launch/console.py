"""The console that reports and tokens are printed on."""

from typing import NoReturn

from rich.console import Console


class Printer(Console):
    """Rich without highlighting, and with a closed pipe left to the command line: `tsjax prepare --show 3 | head`."""

    def __init__(self) -> None:
        super().__init__(highlight=False, soft_wrap=True)

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError
