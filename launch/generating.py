"""A run of `tsjax generate`: how it begins, and how it ended."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_gen.engine import CAP, DONE
from data_gen.generation import SHORT, Generation
from data_gen.order import Order
from data_gen.prices import DOLLAR, dollars
from data_gen.senders import WAITING, Files, sender_of
from launch.asking import Left, drive, span, stopped_code, trouble_of
from tsjax.errors import EXIT_DONE, EXIT_REQUEUE, UserError


def run(out: Path, order: Order, results: Sequence[Path] = ()) -> int:
    """Works on the run until it is done or stopped; the exit code. `results`: files that answer a file backend's shards."""
    began = time.monotonic()
    sender = sender_of(order, results)
    with Generation(out, order, sender) as generation:
        if generation.restored:
            print(f"{generation.restored:,} answers are there already; {generation.plan.good:,} documents accepted")
        try:
            manifest = drive(generation)
        except Left as left:
            print(f"left; what was on its way counts as possibly billed; tsjax generate resume {out} continues")
            return stopped_code(left.signal)
    if isinstance(sender, Files) and sender.waiting:
        print("run these, then tsjax generate resume " + str(out) + ":", *sender.waiting, sep="\n  ")
    return ended(out, manifest, time.monotonic() - began, chats=order.recipe.shape.kind == "chat")


def ended(out: Path, manifest: dict[str, Any], seconds: float, chats: bool) -> int:
    """Prints how it ended; UserError where the user has to do something before it can go on."""
    count, target = manifest["documents"], manifest["order"]["target"]
    cost = {name: dollars(round(usd * DOLLAR)) for name, usd in manifest["cost_usd"].items()}
    print(f"{count:,} documents of {target:,} in {out / 'documents'}; {cost['settled']} paid"
          + (f", {cost['doubtful']} possibly billed" if manifest["cost_usd"]["doubtful"] else "")
          + f", {manifest['tokens']['input']:,} + {manifest['tokens']['output']:,} tokens, {span(seconds)}")  # fmt: skip
    for alarm in manifest["alarms"]:
        print(f"alarm: {alarm}")
    if trouble := trouble_of(manifest):
        print(f"calls without an answer, most of them: {trouble}")
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
        return stopped_code(why)
    todo = "mend that, then tsjax generate resume RUN"
    if why == CAP and manifest["cost_usd"]["doubtful"] > manifest["cost_usd"]["settled"]:
        why += f", most of it by calls that may have been billed and had no answer: {trouble or 'before'}"
        todo = "mend that first, then tsjax generate resume RUN --cap USD: a higher cap alone would go the same way"
    elif why == CAP:
        todo = "raise it: tsjax generate resume RUN --cap USD"
    elif why.startswith(SHORT):
        todo = "mend that, or give it more: tsjax generate resume RUN --candidates N"
    raise UserError(
        expected=f"{target:,} accepted documents", found=f"{count:,}: {why}", todo=todo.replace("RUN", str(out))
    )
