"""A socket in the daemon's place, for what only asks whether one runs."""

import contextlib
import fcntl
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def stand_in(runtime: Path) -> Iterator[list[float]]:
    """It holds the lock and answers that all is well; gives when it was asked."""
    runtime.mkdir(exist_ok=True)
    asked: list[float] = []
    with (runtime / "lock").open("w") as lock, socket.socket(socket.AF_UNIX) as listening:
        fcntl.flock(lock, fcntl.LOCK_EX)
        listening.bind(str(runtime / "control.sock"))
        listening.listen()

        def answer() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                asked.append(time.monotonic())
                connection.recv(1000)
                connection.sendall(b'{"ok": true}\n')
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        yield asked
        listening.shutdown(socket.SHUT_RDWR)
        (runtime / "control.sock").unlink()
