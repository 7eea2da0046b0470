"""One training run over several processes: how they find each other, and how the rest ends when one is lost."""

import argparse
import contextlib
import dataclasses
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tsjax.config import Config
from tsjax.errors import EXIT_BAD_INPUT, EXIT_REQUEUE, UserError
from tsjax.stop import Stop

WAIT = 300  # seconds that the processes wait for each other at the start: hosts boot at different times
# Seconds without a sign of life after which a process counts as lost and JAX ends the others. A process that dies on
# a host that lives is noticed at once, because its connections break.
LOST = 60
LEAVE = 30  # seconds that a process which is done, or met an error, waits for the others to say so too
# Of errors of XLA's collectives and of the coordination service when a peer is gone: gloo, NCCL, gRPC, TSL.
_GONE = re.compile(
    r"gloo.*(peer|connect|timed? ?out|reset|closed)|remote process exited|unavailable|heartbeat|coordination service"
    r"|barrier|connection (reset|closed|refused)|socket closed",
    re.IGNORECASE | re.DOTALL,
)


def process_arguments(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("several processes (each host runs the same command; they share the run folder)")
    g.add_argument(
        "--coordinator", metavar="HOST:PORT", help="a free port of process 0's host, by a name that all know"
    )
    g.add_argument("--processes", metavar="N", help="how many; auto = as JAX finds them (TPU pods, Kubernetes; Slurm and "
                   "Open MPI need no flag)")  # fmt: skip
    g.add_argument("--process", metavar="I", help="which of them this is, 0 to N - 1; 0 writes the files and prints")


def join(arguments: argparse.Namespace, stop: Stop) -> bool:
    """Finds the other processes, if there are any; returns whether this is the one that prints. Installs `stop`.

    Call it in the main thread, before JAX looks for devices. Nothing happens, and JAX is not imported, where neither a
    flag nor the environment speaks of several. Raises UserError for flags that don't fit together; ends
    the process, with one line, when the others don't come.
    """
    where = found_by_flags(arguments.coordinator, arguments.processes, arguments.process)
    if where is None and not several(os.environ):
        return True
    import jax

    def connect() -> None:
        try:
            jax.distributed.initialize(
                **(where or {}), initialization_timeout=WAIT + 60, heartbeat_timeout_seconds=LOST,
                shutdown_timeout_seconds=LEAVE,
            )  # fmt: skip
        except Exception as error:
            failed.append(error)

    # In a thread, so that a signal is heard meanwhile: nothing has begun, so there is nothing to save.
    # And it is we who stop waiting: JAX would abort.
    failed: list[Exception] = []
    deadline = time.monotonic() + WAIT
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    while thread.is_alive() and not stop and time.monotonic() < deadline:
        thread.join(0.1)
    if stop:
        end(EXIT_REQUEUE)
    if failed or thread.is_alive():
        found = " ".join(str(failed[0]).split())[:300] if failed else "not all of them"
        print(f"tsjax train: expected all processes within {WAIT} seconds; found {found}; start all of them, each with "
              "the same --coordinator, a free port that all can reach, and its own --process", file=sys.stderr)  # fmt: skip
        end(EXIT_BAD_INPUT)
    stop.install()  # again: JAX has just put a handler of its own over SIGTERM, which would only take note of it
    leads = jax.process_index() == 0
    if not leads:  # prints of whatever library, too; errors go to stderr
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return leads


def found_by_flags(coordinator: str | None, processes: str | None, process: str | None) -> dict[str, Any] | None:
    """What jax.distributed.initialize is to be told; {} = nothing, it finds out; None = this process is alone.

    The coordinator listens at the address it is reached by and no other, so on loopback when that is named
    (JAX_COORDINATOR_BIND_ADDRESS changes it).
    """
    given = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        return None
    if processes == "auto":
        if len(missing) < 2:
            raise UserError(expected="--processes auto alone", found=f"{_told(given)}", todo="leave out the others")
        return {}
    if missing:
        raise UserError(expected="--coordinator, --processes and --process together", found=_told(given),
                        todo=f"add {' and '.join(missing)}, or leave out all")  # fmt: skip
    assert coordinator is not None and processes is not None and process is not None
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(
            expected="--coordinator HOST:PORT", found=coordinator, todo="name a free port of process 0's host"
        )
    if not processes.isdecimal() or int(processes) < 1:
        raise UserError(expected="--processes as a number, or auto", found=processes, todo="change it")
    if not process.isdecimal() or int(process) >= int(processes):
        raise UserError(expected=f"--process from 0 to {int(processes) - 1}", found=process, todo="change it")
    if int(processes) == 1:
        return None
    bind = os.environ.get("JAX_COORDINATOR_BIND_ADDRESS", coordinator)
    return {"coordinator_address": coordinator, "num_processes": int(processes), "process_id": int(process),
            "coordinator_bind_address": bind, "cluster_detection_method": "deactivate"}  # fmt: skip


def several(environment: Mapping[str, str]) -> bool:
    """Whether this process is one of several that a launcher started as one job, of a kind that JAX can ask.

    A task of Slurm (`srun`) or Open MPI, or a worker of a TPU slice on GKE. One task alone is not several.
    """

    def count(name: str) -> int:
        return int(environment[name]) if environment.get(name, "").isdecimal() else 1

    slurm = {"SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID"} <= environment.keys()
    mpi = "OMPI_MCA_orte_hnp_uri" in environment
    hosts = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES", "")
    return (
        (slurm and count("SLURM_NTASKS") > 1)
        or (mpi and count("OMPI_COMM_WORLD_SIZE") > 1)
        or "," in hosts
        or count("MEGASCALE_NUM_SLICES") > 1
    )


@contextlib.contextmanager
def together(configs: Iterable[Config]) -> Iterator[None]:
    """Work on the same `configs` by all processes; UserError when theirs differ.

    Ends this process, with one line, when the work fails because another process is gone. Any other error ends it
    too, so that the others learn of it and don't wait. A UserError goes on: all have it.
    """
    from tsjax.hosts import agree

    try:
        # Shards may lie elsewhere on each host.
        moved = [dataclasses.replace(c, data=dataclasses.replace(c.data, path="")) for c in configs]
        agree("config", repr(moved))
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        import jax

        if jax.process_count() == 1:
            raise
        if not _GONE.search(str(error)):
            traceback.print_exc()
            end(1)
        print(f"tsjax train: expected all {jax.process_count()} processes; found one of them gone "
              f"({' '.join(str(error).split())[:160]}); the same command on all of them continues from the last "
              "checkpoint", file=sys.stderr)  # fmt: skip
        end(EXIT_REQUEUE)


def end(code: int) -> None:
    """Exits at once: Python's way out would wait for peers that may not come."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _told(given: dict[str, str | None]) -> str:
    return " ".join(f"{name} {value}" for name, value in given.items() if value is not None)
