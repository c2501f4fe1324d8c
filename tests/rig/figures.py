"""What the daemon in a box takes of the machine, by the kernel's own figures."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import mode

from tests.rig.waiting import wait_until
from tests.rig.watched_box import DAEMON, WatchedBox


def daemon_kib(box: WatchedBox, field: str) -> int:
    """A figure of its memory: VmRSS, VmHWM (its peak)."""
    found = re.search(rf"^{field}:\s+(\d+) kB", box.read(f"/proc/{box.main_pid(DAEMON)}/status"), re.MULTILINE)
    assert found
    return int(found[1])


def forget_peak(box: WatchedBox) -> int:
    """The peak begins anew, at what is given (KiB)."""
    box.run("sh", "-c", f"echo 5 > /proc/{box.main_pid(DAEMON)}/clear_refs")
    return daemon_kib(box, "VmHWM")


def descriptors(box: WatchedBox) -> int:
    return _count(box, "fd")


def threads(box: WatchedBox) -> int:
    return _count(box, "task")


@contextmanager
def no_descriptor_is_kept(box: WatchedBox) -> Iterator[None]:
    """All is well before and after, and then there are as many descriptors as before (those of a moment aside)."""
    counting = f"for turn in 1 2 3 4 5; do ls /proc/{box.main_pid(DAEMON)}/fd | wc -l; sleep 0.02; done"
    before = mode(map(int, box.run("sh", "-c", counting).stdout.split()))
    yield
    wait_until(lambda: descriptors(box) <= before, 5, lambda: f"{descriptors(box)} descriptors, {before} before")


def _count(box: WatchedBox, folder: str) -> int:
    return len(box.run("ls", f"/proc/{box.main_pid(DAEMON)}/{folder}").stdout.split())
