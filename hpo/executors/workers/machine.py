"""What of the machine each worker gets: GPUs, and its share of the cores."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Final

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
THREADS: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_LISTING_SECONDS: Final = 20.0  # a driver that has to be loaded first takes its time


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """The GPUs to be handed out, as `CUDA_VISIBLE_DEVICES` names them; those it lists already, else all."""
    if (visible := os.environ.get(VISIBLE)) is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip()]
    if (program := shutil.which("nvidia-smi")) is None:
        return []
    try:
        listing = subprocess.run(  # noqa: S603 # found on the user's path
            [program, "-L"], capture_output=True, text=True, errors="replace", timeout=_LISTING_SECONDS
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    # a GPU in parts is used by its parts
    return re.findall(r"UUID: (MIG-[^)\s]+)", listing) or re.findall(r"UUID: (GPU-[^)\s]+)", listing)


def environments(workers: int) -> list[Mapping[str, str]]:
    """The environment of each of so many workers: GPUs in turn, cores shared unless the user said how many threads."""
    share, slots = str(max(1, cores() // workers)), gpus()
    threads = {name: share for name in THREADS if name not in os.environ}
    return [os.environ | threads | ({VISIBLE: slots[i % len(slots)]} if slots else {}) for i in range(workers)]
