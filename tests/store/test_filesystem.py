"""Which file system a store lies on is read from what the operating system says."""

import sys

import pytest

from hpo.store.filesystem import FileSystem, is_network, kind, type_in_mountinfo, type_in_mounts

MOUNTINFO = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:40 / /home rw,relatime shared:7 master:2 - nfs4 server:/home rw,vers=4.2
41 40 0:41 / /home/me/cloud rw,nosuid - fuse.sshfs me@host: rw
42 40 254:1 / /home/me/disk\040one rw - xfs /dev/vdb rw
43 27 0:43 / /homework rw - cifs //server/share rw
44 27 0:44 / /mnt/c rw - 9p C:\134 rw
45 27 254:3 / /stacked rw - ext4 /dev/vdc rw
46 45 0:45 / /stacked/deep rw - nfs server:/deep rw
47 27 254:4 / /stacked rw - btrfs /dev/vdd rw
"""


@pytest.mark.parametrize(
    ("path", "device", "expected"),
    [
        ("/", None, "ext4"),
        ("/var/hpo.db", None, "ext4"),
        ("/home/me/hpo.db", None, "nfs4"),
        ("/home/me/cloud", None, "fuse.sshfs"),
        ("/home/me/cloudy", None, "nfs4"),
        ("/home/me/disk one/runs", None, "xfs"),
        ("/homework/a", None, "cifs"),
        ("/mnt/c/Users", None, "9p"),
        ("/stacked/deep/a", "254:4", "btrfs"),  # a later mount hides the one below it
        ("/stacked/a", "254:4", "btrfs"),
        ("/home/me", "0:99", "nfs4"),  # btrfs gives files other devices than its mounts
    ],
)
def test_the_deepest_mount_that_is_not_hidden_counts(path, device, expected):
    assert type_in_mountinfo(MOUNTINFO, path, device) == expected


def test_without_a_mount_the_file_system_is_unknown():
    assert type_in_mountinfo("", "/tmp") == "unknown"
    assert type_in_mountinfo("nonsense\n1 2 3 - x\n", "/tmp") == "unknown"


MOUNTS = """
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled)
//me@host/share on /Volumes/my share (on disk) (smbfs, nodev, nosuid, mounted by me)
map auto_home on /home (autofs, automounted, nobrowse)
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/Users/me/hpo.db", "apfs"),
        ("/Volumes/my share (on disk)/hpo.db", "smbfs"),
        ("/Volumes/my share", "apfs"),
        ("/home", "autofs"),
    ],
)
def test_on_macos_the_table_of_mounts_is_read(path, expected):
    assert type_in_mounts(MOUNTS, path) == expected


def test_what_may_be_another_machines_counts_as_a_network():
    assert all(map(is_network, ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.sshfs", "fuse.rclone", "fuse"]))
    assert not any(map(is_network, ["ext4", "tmpfs", "apfs", "overlay", "fuseblk", "fuse.ntfs-3g", "unknown"]))


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
def test_the_file_system_of_a_path_that_does_not_exist_is_that_of_its_folder(tmp_path):
    assert kind(tmp_path / "no" / "hpo.db") == kind(tmp_path)
    assert kind(tmp_path).type != "unknown"
    assert kind("/proc/self") == FileSystem("proc", False)


def test_no_path_is_an_error(tmp_path):
    assert kind("a\0b") == FileSystem("unknown", False)
    link = tmp_path / "link"
    link.symlink_to(link)
    assert isinstance(kind(link), FileSystem)
