"""The other end of the control socket, for the commands. Imports little: `status` uses it."""

import contextlib
import json
import os
import socket
import time

from model_watchdog.language import phrase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LONGEST_PATH = 107
"""Bytes of a socket's path (unix(7))."""

LARGEST_ANSWER = 2**20
"""Bytes of an answer that are read: root asks whoever owns the socket."""
CONNECT_WITHIN = 5.0


class NotRunning(Exception):
    """No daemon answers."""


class NotAllowed(Exception):
    """The socket is there, but this user may not use it."""


@contextlib.contextmanager
def reachable(path: str) -> "Iterator[str]":
    """The path, or where that is too long for a socket, a short one to the same place, as long as it is needed."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield path
        return
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{os.path.basename(path)}"
    finally:
        os.close(directory)


def ask(runtime_dir: str, request: "dict[str, Any]", timeout: float | None) -> "dict[str, Any]":
    """Sends one request and gives the answer, all within `timeout` seconds; with None the answer is waited for.

    Raises `NotRunning` or `NotAllowed` with what is to be said.
    """
    path = f"{runtime_dir}/control.sock"
    end = None if timeout is None else time.monotonic() + timeout
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:  # a sandbox that has no such sockets: whoever lives in it is not to command
        raise NotAllowed(f"{path}: {error}") from None
    try:
        connection.settimeout(timeout if timeout is not None else CONNECT_WITHIN)
        with reachable(path) as short:
            connection.connect(short)
        try:  # noqa: SIM105  # contextlib would cost `status` a millisecond
            connection.sendall(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            pass  # refused before it was asked: the answer says why
        data = b""
        while not data.endswith(b"\n"):
            if len(data) > LARGEST_ANSWER or (end is not None and time.monotonic() > end):
                raise TimeoutError("its answer does not end")
            connection.settimeout(None if end is None else max(end - time.monotonic(), 1e-3))
            part = connection.recv(65536)
            if not part:
                break
            data += part
        answer: dict[str, Any] = json.loads(data)
        if not isinstance(answer, dict):
            raise ValueError("it is no object")
    except PermissionError:
        remedy = "sudo usermod -aG model-watchdog $USER"
        text = phrase("{path}: not allowed for this user; use sudo, or join the group: {remedy}", path=path, remedy=remedy)
        raise NotAllowed(text) from None
    except (ValueError, RecursionError):
        text = phrase("the daemon ended before it had answered, and what was asked may be under way; see: watchdog status")
        raise NotRunning(text) from None
    except OSError as error:
        template = "the daemon is not running, or does not answer ({path}: {error}); start it: systemctl start model-watchdog"
        raise NotRunning(phrase(template, path=path, error=error)) from None
    finally:
        connection.close()
    return answer
