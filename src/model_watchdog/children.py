"""Child processes that are never waited for without a deadline.

Made of `subprocess.Popen` and a pidfd rather than of asyncio's transports: those start a thread for each child on Python 3.11,
wait for whatever the child left behind with its output open, and lose the child when there is no descriptor left for its pidfd.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

OUTPUT_CAP = 64 * 1024
"""Bytes of each output stream that are kept; the rest is read and dropped, so that the child does not block on a full pipe."""


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
) -> Finished:
    """Runs a program (never a shell), with the descriptor `stdin` or nothing on its standard input, and gives how it ended.

    After `deadline` seconds, or when the caller is cancelled, it is killed, with `own_session` together with everything it
    started there, and reaped whenever it is gone: a child stuck in the kernel delays nobody. Raises TimeoutError then, and
    OSError where it cannot be started. What the child leaves behind with its output open is not waited for.
    """
    child = subprocess.Popen(  # noqa: ASYNC220  # vfork and exec: about a millisecond
        argv,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        start_new_session=own_session,
        bufsize=0,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    try:
        pidfd = os.pidfd_open(child.pid)
    except OSError:
        child.stdout.close()
        child.stderr.close()
        _kill(child, own_session)
        raise
    stdout, stderr = _Output(child.stdout, cap), _Output(child.stderr, cap)
    try:
        async with asyncio.timeout(deadline):
            await _end_of(pidfd)
        child.wait()
        return Finished(child.returncode, stdout.take(), stderr.take())
    finally:
        stdout.close()
        stderr.close()
        if child.returncode is None:
            _kill(child, own_session)
            _reap_later(child, pidfd)
        else:
            os.close(pidfd)


class _Output:
    """What a child writes to one of its streams, read as it comes."""

    def __init__(self, pipe: IO[bytes], cap: int) -> None:
        self._pipe = pipe
        self._cap = cap
        self._kept = bytearray()
        self._loop = asyncio.get_running_loop()
        os.set_blocking(pipe.fileno(), False)
        self._loop.add_reader(pipe.fileno(), self._read)

    def take(self) -> bytes:
        """All there is by now; the child has ended, so what it wrote lies in the pipe."""
        while self._read():
            pass
        return bytes(self._kept)

    def close(self) -> None:
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()

    def _read(self) -> bool:
        """Reads once; False where there is nothing (left)."""
        if self._pipe.closed:
            return False
        try:
            chunk = os.read(self._pipe.fileno(), 64 * 1024)
        except BlockingIOError:
            return False
        if not chunk:
            self.close()
        self._kept += chunk[: self._cap - len(self._kept)]
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


def _reap_later(child: "subprocess.Popen[bytes]", pidfd: int) -> None:
    loop = asyncio.get_running_loop()

    def reap() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        child.poll()

    loop.add_reader(pidfd, reap)
