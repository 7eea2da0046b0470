"""What must be set before JAX starts: the allocator on a CPU, and the compile cache."""

import os
import sys
from pathlib import Path

# glibc gives the large buffers that XLA frees every step back to the system, and the next step faults them in again:
# up to a third of the CPU time of a small model. These keep them. MALLOC_ARENA_MAX=1 is essential, because XLA
# allocates from worker threads.
ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "100000000000",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "1000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
_DONE = "TSJAX_ALLOCATOR"  # "set" after the re-exec; a user's "off" leaves the allocator alone


def keep_freed_memory() -> None:
    """Starts this process once more with the allocator settings; returns if that is done, off, or of no use."""
    if sys.platform != "linux" or os.environ.get(_DONE) or _accelerator():
        return
    settings = {name: value for name, value in ALLOCATOR.items() if name not in os.environ}
    os.environ.update(settings)
    os.environ[_DONE] = "set"
    print(
        "allocator set to keep freed memory: a CPU's steps are faster so (--stock-allocator leaves it)", file=sys.stderr
    )
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _accelerator() -> bool:
    """Whether JAX will find something better than the CPU, guessed without importing it."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms:
        return platforms != "cpu"
    return Path("/dev/nvidiactl").exists() or Path("/dev/accel0").exists() or Path("/dev/vfio/0").exists()


def compile_cache() -> None:
    """Keeps compiled programs between runs, in the user's cache folder unless JAX_COMPILATION_CACHE_DIR says else."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(root / "tsjax" / "xla")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
