"""A long-lived child process for calls that can hang in the kernel: nothing waits for it longer than a deadline.

Why a process and not a thread: a thread that hangs in a driver keeps its process from ever ending, even by SIGKILL, and a driver
library that crashes takes its process with it. One that does not answer is asked to end by the closing of its pipe, then killed, and
then left to itself: as long as such a one is alive, no other of its kind is started, so that they cannot pile up.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import Any

from model_watchdog.children import unprotect
from model_watchdog.core.sample import Failure
from model_watchdog.errors import ProbeError

_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from importlib import import_module; import_module(sys.argv[1]).main()"
_ENVIRONMENT = re.compile(r"PATH|HOME|LANG|LC_.*|TZ|TMPDIR|LD_LIBRARY_PATH|NVIDIA_.*|CUDA_.*")
"""What a driver's library may need; nothing of the daemon's own, which may hold secrets."""
_LONGEST_ANSWER = 4 * 1024 * 1024
_KILL_AFTER = 1.0
"""So many seconds a child that does not answer has to end by itself, once its pipe is closed."""


class Worker:
    """The children of one kind, one at a time. `module` has a `main()` that calls `serving.serve`; `name` is whom it asks, for people.

    After a child that crashed or did not answer, the next is started `first` seconds later, then twice as late each time, up to
    `longest`; a child that has gone on answering for as long as that wait makes it begin anew.
    """

    def __init__(self, module: str, name: str, *, first: float = 30.0, longest: float = 600.0) -> None:
        self.name = name
        self.failures = 0
        self.is_hung = False  # the last child did not answer, as against crashed
        self._module = module
        self._first, self._longest = first, longest
        self._child: _Child | None = None
        self._left: _Child | None = None  # killed, or about to be, and not gone yet
        self._not_before = 0.0
        self._told: ProbeError | None = None
        self._lock = asyncio.Lock()
        self._number = 0

    @property
    def pid(self) -> int | None:
        """Of the child that answers now."""
        return self._child.pid if self._child else None

    @property
    def abandoned(self) -> int | None:
        """The pid of a child that has been given up and is not gone."""
        return self._left.pid if self._left and self._left.is_alive else None

    async def ask(self, request: dict[str, Any], deadline: float = 2.0) -> dict[str, Any]:
        """One question (4 kB at most) to the child, which is started where there is none; `deadline` in seconds.

        Raises `ProbeError` (watcher) where no answer comes in time, the child crashes or cannot be started, and in the time in which
        no other is started after that.
        """
        async with self._lock:
            child = self._ready()
            self._number += 1
            try:
                answer = await child.ask({**request, "id": self._number}, deadline)
            except TimeoutError:
                raise self._fail(True, f"{self.name} does not answer (no answer within {deadline:g} s)") from None
            except _Ended as ended:
                raise self._fail(False, f"{self.name}: the process that asks it {ended}") from None
            if child.answers_since is None:
                child.answers_since = time.monotonic()
            elif time.monotonic() - child.answers_since >= self._wait():
                self.failures = 0
        if "bug" in answer:
            raise ProbeError(Failure.WATCHER, f"a bug in the watchdog: {answer['bug']}")
        return answer

    async def stop(self) -> None:
        """Ends the child in good order, within a second; the next question starts another."""
        child, self._child = self._child, None
        if child is not None:
            self._left = child
            child.part()
            if not await child.ended(0.5):
                child.kill()
                await child.ended(0.3)

    async def close(self) -> None:
        """As `stop`, and also what had been left to itself is let go."""
        await self.stop()
        if self._left is not None:
            self._left.forget()

    def _ready(self) -> "_Child":
        if self._child is not None and self._child.is_alive:
            return self._child
        if self.abandoned is not None:
            raise self._told or ProbeError(Failure.WATCHER, f"{self.name} does not answer (process {self.abandoned} hangs in it)")
        if self._left is not None and self._left.came_free:
            self._not_before = 0.0
        self._left = None
        if time.monotonic() < self._not_before and self._told is not None:
            raise self._told
        try:
            self._child = _Child(self._module)
        except OSError as error:
            raise ProbeError(Failure.WATCHER, f"{self.name}: the process that asks it cannot be started: {error.strerror}") from None
        return self._child

    def _fail(self, hung: bool, detail: str) -> ProbeError:
        child, self._child = self._child, None
        self.is_hung = hung
        self.failures += 1
        self._not_before = time.monotonic() + self._wait()
        self._told = ProbeError(Failure.WATCHER, detail)
        if hung and child is not None:
            self._left = child
            child.part()
            child.kill_later(_KILL_AFTER)
        return self._told

    def _wait(self) -> float:
        return min(self._first * 2.0 ** max(0, self.failures - 1), self._longest)


class _Ended(Exception):
    """The child has ended instead of answering; the text says how."""


class _Child:
    """One process, its pipes and its pidfd on the running loop."""

    def __init__(self, module: str) -> None:
        path = [folder for folder in sys.path if os.path.isabs(folder)]
        environment = {name: value for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name)}
        with contextlib.ExitStack() as undo:
            requests, answers = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
            for descriptor in (*requests, *answers):
                undo.callback(os.close, descriptor)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _CHILD, module, *path],
                stdin=requests[0],
                stdout=answers[1],
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
            undo.callback(self._process.kill)
            self._pidfd = os.pidfd_open(self._process.pid)
            undo.pop_all()
        os.close(requests[0])
        os.close(answers[1])
        self.pid = self._process.pid
        self.answers_since: float | None = None
        self._requests, self._answers = requests[1], answers[0]
        self._text = bytearray()
        self._waiting: tuple[int, asyncio.Future[dict[str, Any]]] | None = None
        self._killer: asyncio.TimerHandle | None = None
        self._parted_at = self._ended_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._gone = self._loop.create_future()
        os.set_blocking(self._answers, False)
        os.set_blocking(self._requests, False)
        self._loop.add_reader(self._answers, self._read)
        self._loop.add_reader(self._pidfd, self._end)
        unprotect(self.pid)

    @property
    def is_alive(self) -> bool:
        return not self._gone.done()

    @property
    def came_free(self) -> bool:
        """It was given up, and what it hung in has let go of it after all: it ended by itself, or long after it had been killed."""
        return self._process.returncode == 0 or (self._ended_at - self._parted_at > _KILL_AFTER + 1.0 and not self.is_alive)

    async def ask(self, request: dict[str, Any], deadline: float) -> dict[str, Any]:
        """Raises TimeoutError and `_Ended`. An answer to an earlier question, which nobody waited for any more, is dropped."""
        answer: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._waiting = request["id"], answer
        try:
            with contextlib.suppress(BrokenPipeError, BlockingIOError):  # then it has ended, or reads no more, which the rest will show
                os.write(self._requests, json.dumps(request).encode() + b"\n")
            async with asyncio.timeout(deadline):
                return await answer
        finally:
            self._waiting = None

    def part(self) -> None:
        """Closes its pipes, which asks it to end."""
        if self._requests >= 0:
            self._parted_at = time.monotonic()
            self._loop.remove_reader(self._answers)
            os.close(self._requests)
            os.close(self._answers)
            self._requests = self._answers = -1

    def kill(self) -> None:
        """With whatever it started in its session."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def kill_later(self, seconds: float) -> None:
        self._killer = self._loop.call_later(seconds, self.kill)

    async def ended(self, within: float) -> bool:
        """Waits for its end, at most so many seconds; whether it has ended."""
        await asyncio.wait([self._gone], timeout=within)
        return not self.is_alive

    def forget(self) -> None:
        """Nothing of the loop's hangs on it any more."""
        if self.is_alive:
            self.kill()
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._settle()

    def _read(self) -> None:
        try:
            chunk = os.read(self._answers, 256 * 1024)
        except BlockingIOError:
            return
        self._text += chunk
        if not chunk or len(self._text) > _LONGEST_ANSWER:
            self._loop.remove_reader(self._answers)  # its end is told by the pidfd, a flood by the deadline
        while (end := self._text.find(b"\n")) >= 0:
            line = bytes(self._text[:end])
            del self._text[: end + 1]
            answer = json.loads(line)
            if self._waiting is not None and answer["id"] == self._waiting[0] and not self._waiting[1].done():
                self._waiting[1].set_result(answer)

    def _end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        status = self._process.wait()
        self._ended_at = time.monotonic()
        self._settle()
        if self._waiting is not None and not self._waiting[1].done():
            how = f"was killed by {_name(-status)}" if status < 0 else f"ended with exit {status}"
            self._waiting[1].set_exception(_Ended(how))

    def _settle(self) -> None:
        self.part()
        if self._killer is not None:
            self._killer.cancel()
        self._gone.set_result(None)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
