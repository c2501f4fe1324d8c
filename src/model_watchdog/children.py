"""Child processes that are never waited for without a deadline.

Made of `subprocess.Popen` and a pidfd rather than of asyncio's transports: those start a thread for each child on Python 3.11,
wait for whatever the child left behind with its output open, and lose the child when there is no descriptor left for its pidfd.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OUTPUT_CAP = 64 * 1024
"""Bytes of each output stream that are kept; the rest is read and dropped, so that the child does not block on a full pipe."""


ENVIRONMENT = re.compile(r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TZ|TMPDIR|XDG_RUNTIME_DIR|DOCKER_.*|LD_LIBRARY_PATH")
"""The variables that a command of the operator's gets."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child ended; `returncode` is negative for a signal."""

    returncode: int
    stdout: bytes
    stderr: bytes


async def run_child(
    argv: Sequence[str],
    deadline: float,
    *,
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    cap: int = OUTPUT_CAP,
    own_session: bool = False,
    leave_nothing: bool = False,
    enough_at_cap: bool = False,
) -> Finished:
    """Runs a program (never a shell), with the descriptor `stdin` or nothing on its standard input, and gives how it ended.

    After `deadline` seconds, or when the caller is cancelled, it is killed, with `own_session` together with everything it
    started there, and reaped whenever it is gone: a child stuck in the kernel delays nobody. Raises TimeoutError then, and
    OSError where it cannot be started. What the child leaves behind with its output open is not waited for; with `leave_nothing`
    what it leaves behind in its session is killed. With `enough_at_cap` it is killed as soon as it has printed `cap` bytes: one that has
    much more to say would otherwise never be done in time.
    """
    with contextlib.ExitStack() as held:
        child, pidfd, out, err = _start(argv, env, stdin, own_session, held)
        stdout, stderr = _Output(out, cap, child.kill if enough_at_cap else None), _Output(err, cap)
        held.callback(stdout.close)
        held.callback(stderr.close)
        held.callback(_end, child, pidfd, own_session)
        async with asyncio.timeout(deadline):
            await _end_of(pidfd)
        if own_session and leave_nothing:
            _kill(child, own_session)  # it is not reaped yet, so its number is nobody else's
        child.wait()
        return Finished(child.returncode, stdout.take(), stderr.take())


def pick_environment() -> dict[str, str]:
    """What a command of the operator's may need; not the daemon's own variables, which hold secrets of the configuration."""
    return {name: value for name, value in os.environ.items() if ENVIRONMENT.fullmatch(name)}


def read_lines(output: bytes) -> list[str]:
    """Lines with something in them, cut, and without anything that a terminal would obey."""
    text = output.decode(errors="replace")
    lines = ("".join(letter if letter.isprintable() else " " for letter in line).strip() for line in text.splitlines())
    return [line[:300] for line in lines if line]


def _start(
    argv: Sequence[str], env: Mapping[str, str], stdin: int, own_session: bool, held: contextlib.ExitStack
) -> tuple["subprocess.Popen[bytes]", int, int, int]:
    """The child, its pidfd (left open), and the ends of its pipes from which its output is read (closed with `held`).

    The pipes are made here because Popen, when it runs out of descriptors, forgets those that it has made already.
    """
    with contextlib.ExitStack() as childs:
        if stdin == subprocess.DEVNULL:
            stdin = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            childs.callback(os.close, stdin)
        ends = []
        for _ in range(2):
            read, write = os.pipe2(os.O_CLOEXEC)
            held.callback(os.close, read)
            childs.callback(os.close, write)
            ends.append((read, write))
        child = subprocess.Popen(argv, stdin=stdin, stdout=ends[0][1], stderr=ends[1][1], env=env, start_new_session=own_session)
    try:
        pidfd = os.pidfd_open(child.pid)
    except OSError:
        _kill(child, own_session)
        raise
    unprotect(child.pid)
    return child, pidfd, ends[0][0], ends[1][0]


def unprotect(pid: int) -> None:
    """The daemon's unit keeps the kernel from killing it when memory runs out; that is not for what it starts."""
    with contextlib.suppress(OSError):  # it has ended already, or the value may not be set here: then it is as good as it was
        Path(f"/proc/{pid}/oom_score_adj").write_text("0")


def _end(child: "subprocess.Popen[bytes]", pidfd: int, whole_session: bool) -> None:
    """Nothing where it has ended by itself; else it is killed, and reaped in the background."""
    if child.returncode is not None:
        os.close(pidfd)
        return
    _kill(child, whole_session)
    loop = asyncio.get_running_loop()

    def reap() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        child.poll()

    loop.add_reader(pidfd, reap)


class _Output:
    """What a child writes to one of its streams, read as it comes."""

    def __init__(self, pipe: int, cap: int, when_full: Callable[[], None] | None = None) -> None:
        self._pipe = pipe
        self._when_full = when_full
        self._cap = cap
        self._kept = bytearray()
        self._loop = asyncio.get_running_loop()
        os.set_blocking(pipe, False)
        self._loop.add_reader(pipe, self._read)

    def take(self) -> bytes:
        """All there is by now; the child has ended, so what it wrote lies in the pipe."""
        while self._read():
            pass
        return bytes(self._kept)

    def close(self) -> None:
        """Reads no more; whoever made the pipe closes it."""
        self._loop.remove_reader(self._pipe)

    def _read(self) -> bool:
        """Reads once; False where there is nothing (left)."""
        try:
            chunk = os.read(self._pipe, 64 * 1024)
        except BlockingIOError:
            return False
        if not chunk:
            self.close()
        self._kept += chunk[: self._cap - len(self._kept)]
        if self._when_full is not None and len(self._kept) >= self._cap:
            when_full, self._when_full = self._when_full, None
            when_full()
        return bool(chunk)


async def _end_of(pidfd: int) -> None:
    """Until the process of a pidfd has ended."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    loop.add_reader(pidfd, _tell, ended)
    try:
        await ended
    finally:
        loop.remove_reader(pidfd)


def _tell(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)


def _kill(child: "subprocess.Popen[bytes]", whole_session: bool) -> None:
    """A child that nobody reaps here is reaped by `subprocess` itself, at the start of a later one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if whole_session:
            os.killpg(child.pid, signal.SIGKILL)
        child.kill()
