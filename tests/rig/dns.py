"""A name server on the loopback that knows no name: it says so, or says nothing."""

import socket
import struct
import threading
from typing import Self

NAME_ERROR = 0x8183
"""A response: recursion desired and available, no such name."""


class DnsServer:
    """Answers "no such name" to everything, but for the names in `silent`, which get no answer at all. Needs root (port 53).

    `asked` are the names that were asked for.
    """

    def __init__(self, address: str = "127.0.0.99") -> None:
        self.address = address
        self.silent: set[str] = set()
        self.asked: set[str] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def __enter__(self) -> Self:
        self._socket.bind((self.address, 53))
        self._socket.settimeout(0.1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                query, client = self._socket.recvfrom(512)
            except TimeoutError:
                continue
            name, end = _read_name(query)
            self.asked.add(name)
            if name not in self.silent:
                header = struct.pack("!HHHHHH", struct.unpack("!H", query[:2])[0], NAME_ERROR, 1, 0, 0, 0)
                self._socket.sendto(header + query[12 : end + 4], client)


def _read_name(query: bytes) -> tuple[str, int]:
    """The name in the question, and where it ends."""
    labels, place = [], 12
    while query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]].decode(errors="replace"))
        place += 1 + query[place]
    return ".".join(labels).lower(), place + 1
