"""A pure function over many items, in order, by several processes.

`Workers` is all that `prepare` knows of them, so another executor (Ray: `launch/on_ray.py`) is another class with a `map`.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

from tsjax.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

LOOK_AHEAD = 3  # items for each worker that are read before their turn; bounds the memory


class WorkerLost(UserError):
    """A worker ended that should not have; what was done so far is kept."""


class Workers(Protocol):
    """Something that runs a function elsewhere."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`function(item)` of each item, in order. The function and the items are pickled; neither may change."""


def check_count(count: int | None) -> None:
    """UserError unless `count` is a number of workers, or None for as many as there is room for."""
    if count is not None and count < 1:
        raise UserError(expected="1 worker or more", found=str(count), todo="set --workers to 1 or more")


def in_order(begun: Iterable[Item], wait: Callable[[Item], Result], workers: int) -> Iterator[Result]:
    """`wait` of each of `begun`, which begins work as it is iterated: never more than LOOK_AHEAD ahead of each worker."""
    running: deque[Item] = deque()
    for work in begun:
        running.append(work)
        if len(running) >= LOOK_AHEAD * workers:
            yield wait(running.popleft())
    while running:
        yield wait(running.popleft())


class Processes:
    """Worker processes on this machine. One, or a single item, is worked off in this process."""

    def __init__(self, count: int | None = None):
        """`count`: None for one a core."""
        check_count(count)
        self.count = count or len(os.sched_getaffinity(0))

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `Workers.map`. UserError when a worker is killed."""
        items = iter(items)
        first = list(islice(items, 2))
        if self.count == 1 or len(first) < 2:
            yield from map(function, first)
            yield from map(function, items)
            return
        # Spawned, not forked: a fork takes over locks of threads (JAX's, say) that do not exist in it.
        pool = ProcessPoolExecutor(
            self.count, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(function,)
        )
        begun = (
            _quietly(pool.submit, item) if number < self.count else pool.submit(_work, item)
            for number, item in enumerate(chain(first, items))
        )
        try:
            yield from in_order(begun, Future.result, self.count)
        except BrokenProcessPool as e:
            raise WorkerLost(
                expected="worker processes that live to the end",
                found="one that was killed (out of memory?)",
                todo="run the same command again, it continues; with fewer --workers if memory is short",
            ) from e
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _quietly(submit: Callable[..., Future], item: Any) -> Future:
    """Submits while Ctrl-C is ignored: a worker that this starts inherits that, from its first import on."""
    if threading.current_thread() is not threading.main_thread():
        return submit(_work, item)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return submit(_work, item)
    finally:
        signal.signal(signal.SIGINT, before)


_function: Callable[[Any], Any]


def _begin(function: Callable[[Any], Any]) -> None:
    """Takes the function over once for all items, and dies with the parent: no orphan keeps memory or files."""
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which ends the pool
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work(item: Any) -> Any:
    return _function(item)
