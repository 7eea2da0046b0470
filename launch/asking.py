"""A run that asks a model, at work before its user: its progress, and the signals it hears."""

import asyncio
import contextlib
import re
import signal
from collections.abc import Mapping
from typing import Any

from rich.live import Live

from data_gen.asking import Asking, Snapshot
from data_gen.prices import dollars
from launch.console import Printer
from tsjax.errors import EXIT_INTERRUPTED, EXIT_REQUEUE

EVERY = 10.0  # seconds between two lines of progress, where there is no terminal
HEARD = (signal.SIGINT, signal.SIGTERM)


class Left(Exception):
    """Told to stop twice, it left the answers on their way. `signal`: the name of the first signal."""

    def __init__(self, signal: str):
        self.signal = signal
        super().__init__(signal)


def drive(going: Asking) -> dict[str, Any]:
    """Runs it to its end, with its progress shown; its manifest.

    The first SIGINT or SIGTERM lets the answers on their way come in. The second leaves them, and raises Left: they count
    as possibly billed when the run goes on.
    """
    if lost := going.books.journal.lost:
        print(f"{lost} calls had no answer when the last process ended: possibly billed, asked again")
    heard: list[str] = []
    try:
        return asyncio.run(_driven(going, heard))
    except asyncio.CancelledError:
        raise Left(heard[0]) from None


def trouble_of(manifest: Mapping[str, Any]) -> str:
    """Why most calls of a run that has ended had no answer; "" where all had one."""
    trouble = manifest.get("trouble")
    return f"{trouble['attempts']:,} x {trouble['why']}" if trouble else ""


def stopped_code(why: str) -> int:
    """The exit code after a signal of that name."""
    return EXIT_INTERRUPTED if why == signal.SIGINT.name else EXIT_REQUEUE


async def _driven(going: Asking, heard: list[str]) -> dict[str, Any]:
    loop, work = asyncio.get_running_loop(), asyncio.current_task()
    assert work is not None

    def hear(number: signal.Signals) -> None:
        heard.append(number.name)
        going.stop(number.name)
        if len(heard) > 1:
            work.cancel()
            return
        with contextlib.suppress(OSError):  # `tsjax generate ... | tee log`: Ctrl-C ends tee first
            print(f"\n{number.name}: waiting for the answers on their way; once more to leave them", flush=True)

    for number in HEARD:
        loop.add_signal_handler(number, hear, number)
    shown = asyncio.create_task(_unless_nobody_looks(going))
    try:
        return await going.run()
    finally:
        shown.cancel()
        for number in HEARD:
            loop.remove_signal_handler(number)


async def _unless_nobody_looks(going: Asking) -> None:
    with contextlib.suppress(OSError):
        await show_progress(going)  # made in here: a task that is cancelled before it begins awaits nothing


async def show_progress(going: Asking) -> None:
    """One line that changes on a terminal, a line every ten seconds elsewhere; alarms once each."""
    console, told = Printer(), set()
    with Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else _Plain() as live:
        while True:
            await asyncio.sleep(0.25 if console.is_terminal else EVERY)
            now = going.snapshot()
            for alarm in now.alarms:
                if (kind := re.sub(r"[0-9.]+", "", alarm)) not in told:  # once, whatever its numbers
                    told.add(kind)
                    console.print(f"alarm: {alarm}", markup=False)
            live.update(line(now), refresh=True)


class _Plain:
    """The part of Live that is needed where there is no terminal."""

    def __enter__(self) -> "_Plain":
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def update(self, text: str, refresh: bool) -> None:
        print(text, flush=True)


def line(now: Snapshot) -> str:
    """A snapshot as one line."""
    money = dollars(now.settled)
    if now.doubtful:
        money += f" + {dollars(now.doubtful)} in doubt"
    parts = [
        now.told,
        f"{now.in_flight:,} in flight",
        f"{now.tokens:,} tokens",
        money + (f" of {dollars(now.cap)}" if now.cap is not None else ""),
    ]
    if now.left is not None:
        parts.append(f"{span(now.left)} left")
    return "  ".join([*parts, *([now.state] if now.state else [])])


def span(seconds: float) -> str:
    """As a clock shows it: 1:02:03, or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
