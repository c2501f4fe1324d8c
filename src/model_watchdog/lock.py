"""The lock that says that a daemon runs: one daemon a control socket, and one writer a record."""

import contextlib
import errno
import fcntl
import os
import stat
import time
from pathlib import Path

from model_watchdog.errors import WatchdogError
from model_watchdog.language import phrase

EXIT_ANOTHER_RUNS = 5


class AnotherRuns(WatchdogError):
    """A second daemon on one runtime directory, or on one record."""

    exit_code = EXIT_ANOTHER_RUNS


class NotOurs(WatchdogError):
    """What lies in the lock's place is not to be written to."""


def take_lock(directory: Path) -> None:
    """Takes the lock of a directory for as long as this process lives. `status` looks at it for a moment, hence the tries.

    Nobody else may open it: whoever can read a file can lock it, and would keep the daemon from starting.
    Raises `AnotherRuns`, `NotOurs`, `OSError`.
    """
    descriptor, is_writable = _open(directory / "lock")
    if descriptor is None:
        return
    for _ in range(20):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
            continue
        if is_writable:
            with contextlib.suppress(OSError):  # a full disk has no room for the pid; it is the lock that counts
                os.fchmod(descriptor, 0o600)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return
    pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    os.close(descriptor)
    raise AnotherRuns(
        phrase(
            "another daemon runs already (pid {pid}) on {directory}; stop it first, or give this one --runtime-dir and --state-dir",
            pid=pid,
            directory=directory,
        )
    )


def _open(path: Path) -> tuple[int | None, bool]:
    """A regular file of our own that has no other name: a link there would have us write somewhere else.

    On a read-only file system the lock that an earlier run left can still be taken; where there is none, nobody writes anyway.
    """
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor, is_writable = os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600), True
    except OSError as error:
        if error.errno != errno.EROFS:
            raise _explain(path, error) from None
        if not path.exists():
            return None, False
        descriptor, is_writable = os.open(path, os.O_RDONLY | flags), False
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_nlink != 1:
        os.close(descriptor)
        text = "{path} is not a file of this user's alone; look where it comes from, and remove it: rm {path}"
        raise NotOurs(phrase(text, path=path))
    return descriptor, is_writable


def _explain(path: Path, error: OSError) -> Exception:
    if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
        return NotOurs(phrase("{path} is no regular file; look where it comes from, and remove it: rm {path}", path=path))
    if error.errno == errno.EACCES and path.exists():  # a run by hand as another user
        text = "{path} belongs to another user, from a run by hand; sudo watchdog install gives what lies in {directory} back"
        return NotOurs(phrase(text, path=path, directory=path.parent))
    return error
