"""The control socket: commands to the daemon, one JSON line each way.

Only root, the daemon's user and members of its group may command. A client can neither hold the daemon up nor fill
it: few connections, little time, short lines. A descriptor is kept in reserve, so that a daemon that is out of
descriptors still answers: standard input, which it does not read, for that is below every limit.
"""

import asyncio
import contextlib
import json
import logging
import os
import select
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from model_watchdog.client import reachable
from model_watchdog.language import phrase

log = logging.getLogger(__name__)

MOST_CLIENTS = 32
IDLE_SECONDS = 2.0
LONGEST_LINE = 16_384
REST_SECONDS = 0.1
"""So long nobody is let in when there was no descriptor for somebody: the loop would be woken for nothing."""
SO_PEERGROUPS = 59
"""socket(7): the supplementary groups of the peer; asking the kernel cannot hang, asking a directory service can."""

Answer = dict[str, Any]
Handler = Callable[[dict[str, Any], int], Awaitable[Answer]]


class ControlSocket:
    """Listens at `path` and gives each request, with the uid of who asks, to `handle`."""

    def __init__(self, path: Path, handle: Handler) -> None:
        self._path = path
        self._handle = handle
        self._socket: socket.socket | None = None
        self._reserve: int | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._logged: dict[str, float] = {}

    def open(self) -> None:
        """Call it with the lock held: a socket file that lies there is then a dead daemon's."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        mask = os.umask(0o117)
        try:
            with reachable(str(self._path)) as short:
                listening.bind(short)
        finally:
            os.umask(mask)
        listening.listen(64)
        self._socket = listening
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._reserve = os.dup2(nothing, 0, inheritable=False)
        os.close(nothing)
        self._listen()

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
        for task in self._clients:
            task.cancel()

    def _listen(self) -> None:
        self._restore_reserve()
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._accept)

    def _restore_reserve(self) -> None:
        if self._reserve is None:
            with contextlib.suppress(OSError):
                self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            client, _ = self._socket.accept()
        except BlockingIOError:
            return
        except OSError as error:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            asyncio.get_running_loop().call_later(REST_SECONDS, self._listen)
            if self._reserve is None:
                return
            self._warn(f"event=control_out_of_descriptors reason={str(error)!r}")
            os.close(self._reserve)
            self._reserve = None
            try:
                client, _ = self._socket.accept()
            except OSError:
                return  # another thread was faster; the client waits, and is let in after the rest
        client.setblocking(False)
        task = asyncio.ensure_future(self._serve(client))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    def _warn(self, line: str) -> None:
        """The same line once a minute at most: whoever asks in vain may ask often."""
        now = time.monotonic()
        if now - self._logged.get(line, float("-inf")) > 60:
            self._logged[line] = now
            log.warning("%s", line)

    async def _serve(self, client: socket.socket) -> None:
        try:
            answer = await self._answer(client)
            await asyncio.get_running_loop().sock_sendall(client, json.dumps(answer).encode() + b"\n")
        except (ConnectionError, TimeoutError):
            return  # the client has gone, or says nothing: its loss
        finally:
            client.close()
            self._restore_reserve()

    async def _answer(self, client: socket.socket) -> Answer:
        if len(self._clients) > MOST_CLIENTS:
            return _refuse("busy", phrase("busy: too many connections; try again"))
        if not _may_command(client):
            self._warn(f"event=control_refused uid={_peer(client)[0]}")
            group = "model-watchdog"
            return _refuse(
                "denied", phrase("not allowed: only root and members of the group {group} may; sudo usermod -aG {group} USER", group=group)
            )
        async with asyncio.timeout(IDLE_SECONDS):
            line = await _read_line(client)
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict) or not isinstance(request.get("command"), str):
            return _refuse("bad_request", phrase("bad request: one JSON object with a command on one line is expected"))
        if _has_gone(client):  # it has told its user that nobody answered: nothing may happen after that
            log.warning("event=command_dropped command=%r reason='the client has gone'", request["command"])
            return _refuse("gone", phrase("the client has gone"))
        return await self._handle(request, _peer(client)[0])


def _refuse(error: str, text: str) -> Answer:
    return {"ok": False, "error": error, "text": text}


async def _read_line(client: socket.socket) -> bytes:
    """The first line; an over-long one gives what is there, which is then no JSON."""
    loop, data = asyncio.get_running_loop(), b""
    while b"\n" not in data and len(data) <= LONGEST_LINE:
        part = await loop.sock_recv(client, 4096)
        if not part:
            break
        data += part
    return data.split(b"\n", 1)[0] if len(data) <= LONGEST_LINE else b""


def _peer(client: socket.socket) -> tuple[int, int]:
    _, uid, gid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return uid, gid


def _has_gone(client: socket.socket) -> bool:
    """Both directions are shut. One that only says nothing more still waits for the answer."""
    poll = select.poll()
    poll.register(client, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def _may_command(client: socket.socket) -> bool:
    uid, gid = _peer(client)
    own = os.getegid()
    if uid in (0, os.geteuid()) or (gid == own and own != 0):
        return True
    try:
        groups = client.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 1024)  # the most that Python takes: 256 groups
    except OSError:
        return False  # somebody in more groups than that; root always may
    return own != 0 and own in struct.unpack(f"{len(groups) // 4}I", groups)
