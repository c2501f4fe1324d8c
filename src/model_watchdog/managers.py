"""Who runs a unit: the system's manager, through `systemctl`, or a user's, through the socket that `watchdog install` has made.

Both take the same words. A user's manager listens to its user alone, so its words go to a process of that user
(systemd/model-watchdog-user), which knows no others, and acts on no units but those that it was told of when it was installed.
"""

import asyncio
import pwd
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from model_watchdog.children import Finished, run_child
from model_watchdog.core.sample import Failure
from model_watchdog.core.unit import UnitFacts
from model_watchdog.errors import ProbeError, RecoveryError
from model_watchdog.properties import PROPERTIES

ENVIRONMENT = {
    "LC_ALL": "C",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
}
QUESTIONS = {
    "show": ["show", "--property", PROPERTIES],
    "identify": ["show", "--property", "Id"],
    "dependencies": ["show", "--property", "Requires,Requisite,BindsTo"],
    "began": ["show", "--timestamp=unix", "--property", "UserspaceTimestamp"],
    "jobs": ["list-jobs", "--plain", "--no-legend"],
    "state": ["is-system-running"],
}
VERBS = {"restart": ["restart"], "reset-failed": ["reset-failed"], "prove": ["start", "--job-mode=triggering"]}
SOCKETS = Path("/run/model-watchdog-user")
MOST_PIDS = 2**22
"""The kernel's highest."""
CAP = 4 * 1024 * 1024
"""Bytes of an answer that are read."""
_LAST = re.compile(rb"(?:^|\n)exit (\d{1,3})\n\Z")
_UNREACHABLE = (b"Failed to connect to", b"Connection refused", b"Connection timed out", b"Transport endpoint is not", b"Connection reset")


class Manager(Protocol):
    """A systemd with its units. `matches` are what its own entries in the journal have, `field` is where they name the unit."""

    field: str

    def matches(self) -> list[str]: ...

    def keep_own(self, facts: UnitFacts) -> UnitFacts:
        """The facts without what this manager cannot know."""

    async def ask(self, word: str, names: Sequence[str], deadline: float) -> Finished:
        """What it answers to one of QUESTIONS; an answer on stdout counts whatever the exit code. Raises ProbeError (`watcher`)."""

    async def do(self, word: str, name: str, deadline: float) -> Finished:
        """One of VERBS. Raises RecoveryError (`cannot_act`) where it cannot be asked; TimeoutError, and the job goes on."""

    def close(self) -> None: ...


class SystemManager:
    field = "UNIT"

    def __init__(self) -> None:
        self._systemctl = shutil.which("systemctl")

    def matches(self) -> list[str]:
        return ["_PID=1"]

    def keep_own(self, facts: UnitFacts) -> UnitFacts:
        return facts

    def close(self) -> None:
        pass

    async def ask(self, word: str, names: Sequence[str], deadline: float) -> Finished:
        ending = ["--", *names] if names else []
        return await question(self._systemctl, "systemctl", ["--no-ask-password", "--no-pager", *QUESTIONS[word], *ending], deadline)

    async def do(self, word: str, name: str, deadline: float) -> Finished:
        if self._systemctl is None:
            raise RecoveryError("cannot_act", "systemctl was not found in PATH: install systemd, or use recovery: {kind: command}")
        argv = [self._systemctl, "--no-ask-password", "--no-pager", *VERBS[word], "--", name]
        try:
            return await run_child(argv, deadline, env=ENVIRONMENT)
        except TimeoutError:  # which is an OSError too
            raise
        except OSError as error:
            raise RecoveryError("cannot_act", f"systemctl cannot be run: {error.strerror}") from None


class UserManager:
    field = "USER_UNIT"

    def __init__(self, user: str, *, keep: bool = False) -> None:
        """`keep`: one connection for all questions, to be closed at the end, so that no process is begun for each."""
        self._user = user
        self._keep = keep
        self._kept: _Connection | None = None
        self._turn = asyncio.Lock()
        self._socket = SOCKETS / f"{user}.socket"
        self._uid: int | None = None

    def matches(self) -> list[str]:
        """The manager's own process is in init.scope. Whoever else of the user writes so speaks of units that are the user's own."""
        return [f"_UID={self._find_uid()}", "_SYSTEMD_USER_UNIT=init.scope"]

    def keep_own(self, facts: UnitFacts) -> UnitFacts:
        """A user cannot have the processes of others looked at, or taken for the unit's; and what is no number of one is none."""
        own = f"/user.slice/user-{self._find_uid()}.slice/"
        is_own = facts.cgroup.startswith(own) and ".." not in facts.cgroup
        return replace(facts, cgroup=facts.cgroup if is_own else "", main_pid=facts.main_pid if facts.main_pid <= MOST_PIDS else 0)

    async def ask(self, word: str, names: Sequence[str], deadline: float) -> Finished:
        try:
            async with asyncio.timeout(deadline):
                answered = await self._question(" ".join([word, *names]))
        except TimeoutError:
            raise ProbeError(Failure.WATCHER, f"the systemd of {self._user} did not answer within {deadline:g} s") from None
        except OSError as error:
            raise ProbeError(Failure.WATCHER, self._explain(error)) from None
        if answered.returncode != 0 and is_unreachable(answered.stderr):
            text = f"no systemd of {self._user} runs: nobody is logged in, and it does not linger (loginctl enable-linger {self._user})"
            raise ProbeError(Failure.WATCHER, text)
        return answered

    async def do(self, word: str, name: str, deadline: float) -> Finished:
        try:
            async with asyncio.timeout(deadline):
                return await self._call(await _Connection.open(self._socket), f"{word} {name}")
        except TimeoutError:
            raise
        except OSError as error:
            raise RecoveryError("cannot_act", self._explain(error)) from None

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    async def _question(self, line: str) -> Finished:
        """Over the connection that is kept, or a new one where there is none, or where its process has ended meanwhile."""
        if not self._keep:
            return await self._call(await _Connection.open(self._socket), line)
        async with self._turn:
            kept, self._kept = self._kept, None
            if kept is not None:
                try:
                    answered = await kept.ask(line)
                except OSError:
                    kept = None
            if kept is None:
                kept = await _Connection.open(self._socket)
                answered = await kept.ask(line)
            self._kept = kept
            return answered

    async def _call(self, connection: "_Connection", line: str) -> Finished:
        answered = await connection.ask(line)
        connection.close()
        return answered

    def _explain(self, error: OSError) -> str:
        return f"the systemd of {self._user} cannot be asked: {self._socket}: {error.strerror} (sudo watchdog install)"

    def _find_uid(self) -> int:
        """-1 where there is no such user: nobody's."""
        if self._uid is None:
            try:
                self._uid = pwd.getpwnam(self._user).pw_uid
            except KeyError:
                return -1
        return self._uid


class _Connection:
    """A process of the user's that answers. One that was not waited for to its end answers nobody any more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, path: Path) -> "_Connection":
        return cls(*await asyncio.open_unix_connection(str(path)))

    async def ask(self, line: str) -> Finished:
        """What comes back, without its last line, is on stdout where all is well, and else on stderr. Raises OSError."""
        answer = b""
        try:
            self._writer.write(line.encode() + b"\n")
            while not (found := _LAST.search(answer[-16:])):
                more = await self._reader.read(64 * 1024)
                answer += more
                if not more or len(answer) > CAP:
                    raise ConnectionResetError(0, "the answer was cut off")
        except BaseException:  # nothing is kept back: a time-out too goes on to the caller; what is half read answers nobody else
            self.close()
            raise
        text, returncode = answer[: answer.rindex(b"exit ")], int(found[1])
        return Finished(returncode, b"" if returncode else text, text if returncode else b"")

    def close(self) -> None:
        self._writer.close()


async def question(program: str | None, name: str, arguments: Sequence[str], deadline: float) -> Finished:
    """Runs systemctl or journalctl; an answer on stdout counts whatever the exit code, none with a complaint does not."""
    if program is None:
        raise ProbeError(Failure.WATCHER, f"{name} was not found in PATH: install systemd, or put it into PATH")
    try:
        answered = await run_child([program, *arguments], deadline, env=ENVIRONMENT, cap=CAP)
    except TimeoutError:
        raise ProbeError(Failure.WATCHER, f"{name} did not answer within {deadline:g} s") from None
    except OSError as error:
        raise ProbeError(Failure.WATCHER, f"{name} cannot be run: {error.strerror}") from None
    if answered.returncode != 0 and is_unreachable(answered.stderr):
        raise ProbeError(Failure.WATCHER, first_line(answered.stderr))
    return answered


def is_denied(stderr: bytes) -> bool:
    """polkit says no, in systemctl's words; its exit code does not tell that (4 is also a destructive transaction)."""
    return b"Access denied" in stderr or b"Interactive authentication required" in stderr


def is_unreachable(stderr: bytes) -> bool:
    """systemd itself, or the bus to it, does not answer."""
    return any(text in stderr for text in _UNREACHABLE)


def first_line(output: bytes) -> str:
    return next((line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()), "")
