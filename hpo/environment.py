"""What a study's results may depend on besides its specification; no host name, user or path."""

import functools
import platform
import subprocess
from importlib import metadata
from typing import Any

BY_HAND = "by hand"  # the device of trials that are asked and told by hand: unknown
PACKAGES = ("hpo-arena", "torch", "numpy", "scikit-learn", "optuna", "scipy")


def environment(device: str) -> dict[str, Any]:
    """Versions, platform, device and the git commit of the working directory, if it is in a repository."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": dict(_versions()),
        "device": device,
        "git_commit": _git_commit(),
    }


def own_version() -> str:
    """The version of hpo that runs."""
    return _versions()["hpo-arena"] or "unknown"


def changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Which of the things that can change results differ: `torch 2.12.0 -> 2.13.0`."""
    lines = []
    for package, version in now["packages"].items():
        if (old := dict(before.get("packages") or {}).get(package)) != version:
            lines.append(f"{package} {old} -> {version}")
    keys = ("platform", "device") if before.get("device") != BY_HAND else ("platform",)
    lines += [f"{key} {before.get(key)} -> {now[key]}" for key in keys if before.get(key) != now[key]]
    return lines


@functools.cache
def _versions() -> dict[str, str | None]:
    """Read from files that do not change while a process has their packages loaded."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def _git_commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607  (whichever git the user has)
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
