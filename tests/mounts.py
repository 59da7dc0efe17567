"""Small and read-only file systems, mounted for real where this user may."""

import contextlib
import os
import subprocess
import sys

import pytest


def _mount(*arguments):
    """Mount, or skip with what is missing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting file systems takes Linux and root")
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"this root may not mount: {done.stderr.strip()}")


@contextlib.contextmanager
def small_disk(folder, kib):
    """A file system of so many KiB at `folder`."""
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def read_only(folder):
    """The folder as it is, on a file system that cannot be written."""
    _mount("--bind", folder, folder)
    try:
        _mount("-o", "remount,ro,bind", folder)
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
