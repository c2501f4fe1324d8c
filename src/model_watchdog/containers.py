"""The containers of units: `docker run` in a unit is a client, and what works is a process of the engine's, in a group elsewhere.

A container is found without any right: its monitor (podman's `conmon`, containerd's shim) names it in its command line, and the monitor's
child is the container's first process, whose group anybody may read. podman's monitor names it by its name; of docker's containers the
name is known to the engine alone: `docker run --cidfile FILE` tells the number, or the engine is asked where its socket may be used.
"""

import asyncio
import http.client
import json
import logging
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from model_watchdog.beside import run_beside
from model_watchdog.cgroup import group_exists, list_pids
from model_watchdog.core.unit import UnitFacts

log = logging.getLogger(__name__)

SOCKETS = (Path("/run/docker.sock"), Path("/run/podman/podman.sock"))
DEADLINE = 2.0
"""Seconds that an engine has for its answer."""
LOOK_EVERY = 2.0
"""Seconds between two looks for a container that is not found: one costs 20 µs a process of the machine."""
LOOKS_SOON = 30
"""After so many looks in vain it is looked for more rarely."""
LOOK_LATER = 30.0
MISSING_AFTER = 3
"""Looks in vain, after which it is said to be missing."""
ANSWER_CAP = 1 << 20
CID_CAP = 256
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_ID = re.compile(r"[0-9a-f]{64}")


class Containers:
    """Adds to what is known of a unit the groups of its container, `names` being the container by unit."""

    def __init__(self, names: Mapping[str, str] | None = None, sockets: Sequence[Path] = SOCKETS) -> None:
        self._sockets = sockets
        self._found: dict[str, str] = {}
        self._looks: dict[str, int] = {}  # in vain, since it was last found
        self._errors: dict[str, str] = {}
        self._looked_at: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._monitors: tuple[float, list[_Monitor]] = (-LOOK_EVERY, [])
        self._listing = asyncio.Lock()
        self._names: dict[str, str] = {}
        self.expect(names or {})

    def expect(self, names: Mapping[str, str]) -> None:
        """From now on these: what is known of a container that has another name now is forgotten."""
        before, self._names = self._names, dict(names)
        for unit in {unit for unit, name in before.items() if self._names.get(unit) != name}:
            for known in (self._found, self._looks, self._errors, self._looked_at):
                known.pop(unit, None)

    def add_to(self, facts: UnitFacts) -> UnitFacts:
        """The facts with the container's group, as it was found last; it is looked for beside the way where it is not there any more."""
        unit = facts.unit
        if unit not in self._names:
            return facts
        group = self._found.get(unit, "")
        if group and group_exists(group):
            return replace(facts, containers=(group,))
        self._found.pop(unit, None)
        if not facts.is_up:
            self._looks[unit] = 0
            return facts
        self._look_soon(facts)
        return replace(facts, container_error=self._errors.get(unit, "") if self._looks.get(unit, 0) >= MISSING_AFTER else "")

    async def find(self, facts: UnitFacts, name: str) -> str:
        """The group of the container of that name. Raises LookupError, which says what was looked at and what would help."""
        owners = {0, *_owner(facts.main_pid)}
        monitors = [monitor for monitor in await self._list_monitors() if monitor.owner in owners]
        found = next((monitor for monitor in monitors if monitor.name == name), None)
        if found is None:
            number = _read_cidfile(facts, name)
            found = next((monitor for monitor in monitors if monitor.container == number), None)
        if found is not None:
            for child in _children(found.pid):
                if group := _group_of(child, found.container):
                    return group
        for path in self._sockets:
            answered = await asyncio.to_thread(_ask_engine, path, name)
            if answered is not None and (group := _group_of(*answered)):
                return group
        raise LookupError(
            f"the container {name} is not found among the monitors of podman and docker; docker tells its number to nobody else: "
            "start it with docker run --cidfile FILE, and let FILE be readable"
        )

    async def _list_monitors(self) -> "list[_Monitor]":
        """Those of the whole machine, listed once for all units that are looked for at the time."""
        async with self._listing:
            if time.monotonic() - self._monitors[0] >= LOOK_EVERY / 2:
                found = await run_beside(lambda: list(_list_monitors()))
                self._monitors = (time.monotonic(), found)
            return self._monitors[1]

    def _look_soon(self, facts: UnitFacts) -> None:
        now, unit = time.monotonic(), facts.unit
        pause = LOOK_EVERY if self._looks.get(unit, 0) < LOOKS_SOON else LOOK_LATER
        if unit in self._tasks or now - self._looked_at.get(unit, -pause) < pause:
            return
        self._looked_at[unit] = now
        task = self._tasks[unit] = asyncio.get_running_loop().create_task(self._look(facts), name=f"container of {unit}")
        task.add_done_callback(lambda task: self._tasks.pop(unit, None))

    async def _look(self, facts: UnitFacts) -> None:
        unit = facts.unit
        name = self._names.get(unit)
        if name is None:
            return
        group = error = ""
        try:
            group = await self.find(facts, name)
        except LookupError as missing:
            error = str(missing)
        if self._names.get(unit) != name:
            return  # it has another name by now
        if error:
            self._looks[unit], self._errors[unit] = self._looks.get(unit, 0) + 1, error
            return
        self._found[unit], self._looks[unit] = group, 0
        log.info('event=container_found unit=%s container=%s group="%s"', unit, name, self._found[unit])


def runs_client(facts: UnitFacts) -> bool:
    """The unit's main process is docker's or podman's client, and the container's own processes are not in the unit's group."""
    program = os.path.basename((_command_line(facts.main_pid) or [""])[0])
    return program == "docker" or (program in ("podman", "conmon") and len(list_pids(facts)) <= 2)


class _Monitor:
    """A process that an engine has put beside a container; `name` is "" where it does not say."""

    def __init__(self, pid: int, container: str, name: str, owner: int) -> None:
        self.pid = pid
        self.container = container
        self.name = name
        self.owner = owner


def _list_monitors() -> Iterator[_Monitor]:
    """The monitors of all containers. Only those of root and of the unit's own user count: anybody may write a command line."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        words = _command_line(int(entry.name))
        program = os.path.basename(words[0]) if words else ""
        if program == "conmon":
            container, name = _option(words, "-c", "--cid"), _option(words, "-n", "--name")
        elif program.startswith("containerd-shim"):
            container, name = _option(words, "-id"), ""
        else:
            continue
        for owner in _owner(int(entry.name)) if _ID.fullmatch(container) else ():
            yield _Monitor(int(entry.name), container, name, owner)


def _read_cidfile(facts: UnitFacts, name: str) -> str:
    """The number that `docker run --name NAME --cidfile FILE`, a process of the unit, has written; "" where there is none."""
    for pid in list_pids(facts):
        words = _command_line(pid)
        if os.path.basename(words[0] if words else "") not in ("docker", "podman") or _option(words, "--name") != name:
            continue
        path = _option(words, "--cidfile")
        if not os.path.isabs(path):
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            with open(descriptor, "rb") as file:
                number = file.read(CID_CAP).decode(errors="replace").strip()
        except OSError:
            continue
        if _ID.fullmatch(number):
            return number
    return ""


def _option(words: Sequence[str], *names: str) -> str:
    """The value of an option, as `-n VALUE` or `--name=VALUE`; "" where there is none."""
    for place, word in enumerate(words):
        if word in names and place + 1 < len(words):
            return words[place + 1]
        option, sign, value = word.partition("=")
        if sign and option in names:
            return value
    return ""


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def _owner(pid: int) -> tuple[int, ...]:
    try:
        return (os.stat(f"/proc/{pid}").st_uid,)
    except OSError:
        return ()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    except OSError:  # it has ended meanwhile
        return found
    return found


def _group_of(pid: int, container: str) -> str:
    """The group of a container's process, cut off below the part that bears the container's number; "" where no part does."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        hierarchy, controllers, path = line.split(":", 2)
        parts = path.split("/")
        named = next((place for place, part in enumerate(parts) if container in part), None)
        if (hierarchy == "0" or controllers == "name=systemd") and named is not None and ".." not in parts:
            return "/".join(parts[: named + 1])
    return ""


class _Connection(http.client.HTTPConnection):
    """HTTP to a socket of this machine."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=DEADLINE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(self._path))


def _ask_engine(path: Path, name: str) -> tuple[int, str] | None:
    """Pid of the container's first process, and its number, from an engine that speaks Docker's API; None where it does not tell."""
    connection = _Connection(path)
    try:
        if os.stat(path).st_uid != 0:
            return None
        connection.request("GET", f"/containers/{name}/json")
        answer = connection.getresponse()
        told = json.loads(answer.read(ANSWER_CAP)) if answer.status == 200 else {}
        pid, number = told["State"]["Pid"], told["Id"]
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return None  # no such engine, no right to ask it, no such container
    finally:
        connection.close()
    return (pid, number) if isinstance(pid, int) and pid > 0 and isinstance(number, str) and _ID.fullmatch(number) else None
