"""`tsjax doctor`: what this machine has, and what to install for more."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from tsjax import __version__
from tsjax.errors import EXIT_BAD_INPUT, EXIT_DONE

CORE = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "array_record", "sentencepiece", "ml_collections",
        "numpy", "rich", "zstandard", "tensorboardX")  # fmt: skip


def doctor() -> int:
    """Prints a report; exit 65 when a core package is missing or JAX can't start."""
    print(f"tsjax {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    memory = _memory()
    print(f"{os.cpu_count()} CPU cores" + (f", {memory[0]:.1f} GiB memory ({memory[1]:.1f} free)" if memory else ""))
    print(f"{shutil.disk_usage('.').free / 2**30:.0f} GiB free in this folder")
    missing = []
    for name in CORE:
        try:
            print(f"  {name:<18} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            print(f"  {name:<18} MISSING")
    if missing:
        print(f"install what is missing: pip install {' '.join(missing)}")
        return EXIT_BAD_INPUT
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        print("Python 3.11 to 3.13 is what tsjax is tested with")
    return _devices()


def _devices() -> int:
    import jax

    try:
        devices = jax.devices()
    except RuntimeError as error:
        print(f"JAX can't start: {' '.join(str(error).split())}")
        print("unset JAX_PLATFORMS, or reinstall jax for this machine")
        return EXIT_BAD_INPUT
    platform_ = devices[0].platform
    print(f"JAX runs on {platform_}: {len(devices)} x {devices[0].device_kind}")
    for device in devices:
        stats = device.memory_stats() or {}
        if limit := stats.get("bytes_limit"):
            print(f"  {device}: {limit / 2**30:.1f} GiB, {stats.get('bytes_in_use', 0) / 2**30:.1f} in use")
    if platform_ in ("gpu", "cuda"):
        print("CUDA is used")
    elif platform_ == "tpu":
        print("TPU is used")
    elif Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi"):
        print("An NVIDIA GPU is here but JAX does not use it: pip install 'tsjax[cuda13]' (driver 580 or newer)")
    elif Path("/dev/accel0").exists():
        print("A TPU is here but JAX does not use it: pip install 'tsjax[tpu]'")
    else:
        print("No GPU or TPU was found: training runs on the CPU. With an NVIDIA GPU: pip install 'tsjax[cuda13]'")
    return EXIT_DONE


def _memory() -> tuple[float, float] | None:
    """(total, available) GiB on Linux."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return tuple(int(lines[name].split()[0]) / 2**20 for name in ("MemTotal", "MemAvailable"))  # type: ignore[return-value]
    except (OSError, KeyError, ValueError):
        return None
