"""A name server on the loopback: the names that it knows are this machine, for others it has no answer, or none at all."""

import socket
import struct
import threading
from typing import Self

FOUND, NOT_FOUND = 0x8180, 0x8183
"""Responses, recursion available: no error, no such name."""
IPV4 = 1
ANSWER = struct.pack("!HHHIH4B", 0xC00C, IPV4, 1, 0, 4, 127, 0, 0, 1)
"""A record for the name in the question: 127.0.0.1, not to be kept."""


class DnsServer:
    """Needs root (port 53). `known` and `silent` may be changed at any time; a name that is in neither does not exist."""

    def __init__(self, address: str = "127.0.0.99") -> None:
        self.address = address
        self.known: set[str] = set()
        self.silent: set[str] = set()
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
            if name not in self.silent:
                self._socket.sendto(self._answer(query, name, end), client)

    def _answer(self, query: bytes, name: str, end: int) -> bytes:
        number, kind = struct.unpack("!H", query[:2])[0], struct.unpack("!H", query[end : end + 2])[0]
        known = name in self.known
        answer = ANSWER if known and kind == IPV4 else b""
        return struct.pack("!HHHHHH", number, FOUND if known else NOT_FOUND, 1, bool(answer), 0, 0) + query[12 : end + 4] + answer


def _read_name(query: bytes) -> tuple[str, int]:
    """The name in the question, and where it ends."""
    labels, place = [], 12
    while query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]].decode(errors="replace"))
        place += 1 + query[place]
    return ".".join(labels).lower(), place + 1
