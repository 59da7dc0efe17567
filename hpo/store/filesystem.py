"""Which file system a store lies on, and whether that is one of a network."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

UNKNOWN: Final = "unknown"

# Files that other machines, or the host of this virtual one, change too: locks and syncs may mean nothing there.
NETWORK: Final = frozenset(
    {"9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "drvfs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs"}
    | {
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "prl_fs",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
        "webdav",
    }
)
# Of file systems in user space those that are known to lie over a disk of this machine. Any other one counts as a
# network's: most of them are, and nobody can see what is behind it.
LOCAL_FUSE: Final = frozenset(
    {"bindfs", "cryfs", "encfs", "exfat", "fuse-overlayfs", "gocryptfs", "mergerfs", "ntfs", "ntfs-3g", "overlayfs"}
    | {"securefs", "squashfuse", "unionfs", "veracrypt", "zfs"}
)


@dataclass(frozen=True)
class FileSystem:
    """What a file lies on.

    Attributes:
        type: as the operating system names it, such as "ext4" or "nfs4"; "unknown" where it cannot be asked.
        network: whether its files are another machine's, or may be.
    """

    type: str
    network: bool


def kind(path: str | os.PathLike[str]) -> FileSystem:
    """The file system of a file or folder; of one that does not exist, of the nearest folder that does. Never raises.

    Linux says it in /proc, macOS by `mount`; elsewhere it is unknown.
    """
    try:
        place = Path(os.path.realpath(path))
        while not place.exists() and place != place.parent:
            place = place.parent
        if sys.platform == "linux":
            device = os.stat(place).st_dev
            text = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
            found = type_in_mountinfo(text, str(place), f"{os.major(device)}:{os.minor(device)}")
        elif sys.platform == "darwin":
            shown = subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=5, check=False)
            found = type_in_mounts(shown.stdout, str(place))
        else:
            found = UNKNOWN
    except (OSError, ValueError, subprocess.SubprocessError):
        found = UNKNOWN
    return FileSystem(found, is_network(found))


def is_network(name: str) -> bool:
    """Whether a type of file system keeps the files of another machine; unknown ones in user space count as such."""
    head, _, rest = name.partition(".")
    if head == "fuse":  # "fuseblk" has a block device of this machine
        return rest not in LOCAL_FUSE
    return name in NETWORK


def type_in_mountinfo(text: str, path: str, device: str | None = None) -> str:
    """The type of the file system that holds `path`.

    Args:
        text: of /proc/self/mountinfo.
        path: absolute, without links.
        device: "major:minor" of `path`: tells a mount from another one that hides it; None: the deepest mount counts.
    """
    found: list[tuple[bool, int, int, str]] = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if separator and len(fields) >= 5 and _holds(_unescaped(fields[4]), path):
            found.append((fields[2] == device, len(_unescaped(fields[4])), len(found), rest[0]))
    return max(found)[-1] if found else UNKNOWN


def type_in_mounts(text: str, path: str) -> str:
    """The same from what `mount` prints on macOS: `//me@host/share on /Volumes/share (smbfs, nodev)`."""
    found: list[tuple[int, int, str]] = []
    for match in re.finditer(r"^.* on (/.*) \(([^,)]+)[^)]*\)$", text, re.MULTILINE):
        if _holds(match[1], path):
            found.append((len(match[1]), len(found), match[2]))
    return max(found)[-1] if found else UNKNOWN


def _holds(folder: str, path: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)


def _unescaped(text: str) -> str:
    """Blanks and backslashes stand in mountinfo as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
