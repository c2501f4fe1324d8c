"""What a path lies on, found without asking any file system that could hang."""

import os
from collections.abc import Mapping
from pathlib import Path

_LOCAL = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "reiserfs", "nilfs2", "vfat", "msdos", "exfat", "ntfs3"}
    | {"iso9660", "udf", "squashfs", "erofs", "ubifs", "jffs2", "overlay", "rootfs", "ramfs", "tmpfs", "devtmpfs", "hugetlbfs"}
    | {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs", "securityfs"}
)
"""File systems that only the kernel stands behind. Any other may have a server that can be gone: a question about it may then never
return, and nothing ends it. There are too many of those to name them all, and each new storage product brings one."""
MOST_LINKS = 40


def read_file_systems() -> dict[str, str]:
    """Mount point to kind; of several mounts on one point, the uppermost. Asks the kernel's table, never the file systems."""
    found = {}
    for line in Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines():
        _, mount, kind, *_ = line.split(" ")
        found[mount.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")] = kind
    return found


def find_file_system(path: str, file_systems: Mapping[str, str]) -> str:
    """The kind of what a path lies on. Links are followed as far as that asks nothing of a file system that could hang."""
    left, here, links = path.split("/")[::-1], "/", 0
    while left:
        part = left.pop()
        here = os.path.normpath(os.path.join(here, part))
        if part in ("", ".", "..") or can_hang(_kind_at(here, file_systems)):
            continue
        try:
            target = os.readlink(here)
        except OSError:  # no link, or nothing there
            continue
        links += 1
        if links > MOST_LINKS:
            break
        here = os.path.dirname(here)
        left += target.split("/")[::-1]
        if target.startswith("/"):
            here = "/"
    return _kind_at(here, file_systems)


def _kind_at(path: str, file_systems: Mapping[str, str]) -> str:
    """The kind of the nearest mount at or above a path without links."""
    while path not in file_systems and path != "/":
        path = os.path.dirname(path)
    return file_systems.get(path, "")


def can_hang(kind: str) -> bool:
    """Whether a file system of this kind may leave a question unanswered for ever."""
    return kind not in _LOCAL
