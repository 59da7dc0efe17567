"""What the machine offers: the device, how many trials to train together on it, and how many threads."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from hpo.errors import UsageError

_UNKNOWN_CACHE = 8 * 2**20  # bytes, where the system does not say
_GPU_SHARE = 0.5  # of the free memory, for one chunk


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto": a GPU if this torch can use one, else the CPU.

    Raises:
        UsageError: this torch or this machine has no such device.
    """
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if found["cuda"] else "mps" if found["mps"] else "cpu"
    if not found[name]:
        usable = ", ".join(repr(device) for device, there in found.items() if there)
        advice = driver_without_torch() or "use device 'auto'"
        raise UsageError(f"device is {name!r}, but torch {torch.__version__} finds here only {usable}: {advice}")
    return torch.device(name)


def describe(device: torch.device) -> str:
    """What results may depend on, for the first line of a run and the store: device, precision."""
    name = f"{torch.cuda.get_device_name(device)}, " if device.type == "cuda" else ""
    return f"{device.type} ({name}float32)"


def driver_without_torch() -> str | None:
    """What to do where an NVIDIA GPU lies idle because torch was built without CUDA; None elsewhere."""
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    if not driver or torch.version.cuda is not None:
        return None
    return (
        f"an NVIDIA driver is here, but torch {torch.__version__} is built without CUDA: install a CUDA build of "
        "torch, see https://pytorch.org/get-started/locally"
    )


def threads(device: torch.device) -> int:
    """How many chunks train at once: one for each core that this process may use, one on a GPU."""
    if device.type != "cpu":
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def chunk_bytes(device: torch.device, at_once: int) -> int:
    """How much memory a chunk may fill: twice a thread's share of the last cache, or a share of a GPU's free memory.

    Twice, because at no time a chunk uses more than half of what it has: it trains, then it validates.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * _GPU_SHARE)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() * _GPU_SHARE)
    return 2 * _last_cache() // at_once


def _last_cache() -> int:
    """Bytes of the greatest cache of the first core."""
    sizes = [0]
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        with contextlib.suppress(OSError, ValueError):  # a sandbox may hide or garble it
            sizes.append(_bytes(file.read_text().strip()))
    if sys.platform == "darwin":
        for name in ("hw.perflevel0.l2cachesize", "hw.l2cachesize", "hw.l3cachesize"):
            command = ["/usr/sbin/sysctl", "-n", name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
            sizes.append(int(done.stdout) if done.stdout.strip().isdigit() else 0)
    return max(sizes) or _UNKNOWN_CACHE


def _bytes(text: str) -> int:
    """From "36608K" to 37486592."""
    scale = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:], 1)
    return int(text.rstrip("KMG")) * scale
