"""The other end of the control socket, for the commands. Imports little: `status` uses it."""

import json
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class NotRunning(Exception):
    """No daemon answers."""


class NotAllowed(Exception):
    """The socket is there, but this user may not use it."""


def ask(runtime_dir: str, request: "dict[str, Any]", timeout: float | None) -> "dict[str, Any]":
    """Sends one request and gives the answer. Raises `NotRunning` or `NotAllowed` with what is to be said."""
    path = f"{runtime_dir}/control.sock"
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout if timeout is not None else 5.0)
        connection.connect(path)
        try:  # noqa: SIM105  # contextlib would cost `status` a millisecond
            connection.sendall(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            pass  # refused before it was asked: the answer says why
        connection.settimeout(timeout)
        data = b""
        while not data.endswith(b"\n"):
            part = connection.recv(65536)
            if not part:
                break
            data += part
        answer: dict[str, Any] = json.loads(data)
    except PermissionError:
        raise NotAllowed(f"{path}: not allowed for this user; use sudo, or join the group: sudo usermod -aG model-watchdog $USER") from None
    except (OSError, ValueError) as error:
        raise NotRunning(
            f"the daemon is not running, or does not answer ({path}: {error}); start it: systemctl start model-watchdog"
        ) from None
    finally:
        connection.close()
    return answer
