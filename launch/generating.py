"""A run of `tsjax generate` at work: its progress, the signals it hears, and how it ended."""

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from rich.live import Live

from data_gen.engine import CAP, DONE
from data_gen.generation import SHORT, Generation, Snapshot
from data_gen.order import Order
from data_gen.prices import DOLLAR, dollars
from data_gen.senders import WAITING, Files, sender_of
from launch.console import Printer
from tsjax.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_REQUEUE, UserError

EVERY = 10.0  # seconds between two lines of progress, where there is no terminal


def run(out: Path, order: Order, results: Sequence[Path] = ()) -> int:
    """Works on the run until it is done or stopped; the exit code. `results`: files that answer a file backend's shards."""
    began = time.monotonic()
    sender = sender_of(order, results)
    with Generation(out, order, sender) as generation:
        if generation.restored:
            print(f"{generation.restored:,} answers are there already; {generation.plan.good:,} documents accepted")
        if generation.books.journal.lost:
            print(
                f"{generation.books.journal.lost} calls had no answer when the last process ended: possibly billed, asked again"
            )
        try:
            manifest = asyncio.run(drive(generation))
        except asyncio.CancelledError:
            print(f"left; what was on its way counts as possibly billed; tsjax generate resume {out} continues")
            return EXIT_INTERRUPTED if generation.stopping == "SIGINT" else EXIT_REQUEUE
    if isinstance(sender, Files) and sender.waiting:
        print("run these, then tsjax generate resume " + str(out) + ":", *sender.waiting, sep="\n  ")
    return ended(out, manifest, time.monotonic() - began, chats=order.recipe.shape.kind == "chat")


async def drive(generation: Generation) -> dict[str, Any]:
    """The run, with its progress shown and both signals heard."""
    loop, work = asyncio.get_running_loop(), asyncio.current_task()
    assert work is not None

    def heard(number: signal.Signals) -> None:
        again = bool(generation.stopping)
        generation.stop(number.name)
        if again:  # what is on its way counts as possibly billed
            work.cancel()
        with contextlib.suppress(OSError):  # `tsjax generate ... | tee log`: Ctrl-C ends tee first
            print(f"\n{number.name}: waiting for the answers on their way; once more to leave them", flush=True)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard, number)
    shown = asyncio.create_task(_unless_nobody_looks(show_progress(generation)))
    try:
        return await generation.run()
    finally:
        shown.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _unless_nobody_looks(shown: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(OSError):
        await shown


async def show_progress(generation: Generation) -> None:
    """One line that changes on a terminal, a line every ten seconds elsewhere; alarms once each."""
    console, told = Printer(), set()
    with Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else _Plain() as live:
        while True:
            await asyncio.sleep(0.25 if console.is_terminal else EVERY)
            now = generation.snapshot()
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
        f"{now.accepted:,}/{now.target:,} accepted of {now.known:,}",
        f"{now.in_flight:,} in flight",
        f"{now.tokens:,} tokens",
        money + (f" of {dollars(now.cap)}" if now.cap is not None else ""),
    ]
    if now.left is not None:
        parts.append(f"{_span(now.left)} left")
    return "  ".join([*parts, *([now.state] if now.state else [])])


def _span(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def ended(out: Path, manifest: dict[str, Any], seconds: float, chats: bool) -> int:
    """Prints how it ended; UserError where the user has to do something before it can go on."""
    count, target = manifest["documents"], manifest["order"]["target"]
    cost = {name: dollars(round(usd * DOLLAR)) for name, usd in manifest["cost_usd"].items()}
    print(f"{count:,} documents of {target:,} in {out / 'documents'}; {cost['settled']} paid"
          + (f", {cost['doubtful']} possibly billed" if manifest["cost_usd"]["doubtful"] else "")
          + f", {manifest['tokens']['input']:,} + {manifest['tokens']['output']:,} tokens, {_span(seconds)}")  # fmt: skip
    for alarm in manifest["alarms"]:
        print(f"alarm: {alarm}")
    why = manifest["stopped"]
    if why == DONE:
        chat = " --chat" if chats else ""
        print(
            f"tsjax prepare {out / 'documents'}{chat} --out SHARDS makes shards; {out / 'report.json'} tells about them"
        )
        return EXIT_DONE
    if why == WAITING:
        return EXIT_REQUEUE
    if why in ("SIGINT", "SIGTERM"):
        print(f"saved; tsjax generate resume {out} continues")
        return EXIT_INTERRUPTED if why == "SIGINT" else EXIT_REQUEUE
    todo = "mend that, then tsjax generate resume RUN"
    if why == CAP:
        todo = "raise it: tsjax generate resume RUN --cap USD"
    elif why.startswith(SHORT):
        todo = "mend that, or give it more: tsjax generate resume RUN --candidates N"
    raise UserError(
        expected=f"{target:,} accepted documents", found=f"{count:,}: {why}", todo=todo.replace("RUN", str(out))
    )
