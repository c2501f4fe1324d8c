"""Tells systemd how we are (sd_notify(3)), without its library."""

import contextlib
import math
import os
import socket

_sender: socket.socket | None = None
"""Made once and kept: one that is made for each call would be missing when no descriptor is left, and systemd would end us."""


def notify(text: str) -> bool:
    """Sends `READY=1`, `STATUS=…`, `WATCHDOG=1` or several of them, a line each, to `$NOTIFY_SOCKET`.

    Never blocks and never raises: True when it was handed over, False where there is no such socket or it takes nothing now.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # a socket in the abstract namespace
        address = "\0" + address[1:]
    global _sender
    with contextlib.suppress(OSError):
        if _sender is None:
            _sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        _sender.sendto(text.encode(), address)
        return True
    return False


def alive_within() -> float:
    """Seconds within which systemd wants to be told that we live (`$WATCHDOG_USEC`); infinity where it does not ask."""
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() and int(text) else math.inf
