"""Stands in for every chat provider at once: a proxy on this machine that takes the TLS connections to them, and answers as they do.

What is sent to it is the real request of the real client, under the provider's own name; nothing leaves this machine.
"""

import socketserver
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import trustme


@dataclass(frozen=True)
class Asked:
    """One request: to whom, for what, and its body."""

    host: str
    path: str
    body: bytes


class Provider:
    """`answer` is the body that everybody is given from now on, with status 200. `environment` leads a client here."""

    def __init__(self, directory: Path) -> None:
        self.asked: list[Asked] = []
        self.answer = b""
        self._authority = trustme.CA()
        self._contexts: dict[str, ssl.SSLContext] = {}
        ca_file = directory / "providers.pem"
        self._authority.cert_pem.write_to_path(str(ca_file))
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.environment = {
            "https_proxy": f"http://127.0.0.1:{self._server.server_address[1]}",
            "REQUESTS_CA_BUNDLE": str(ca_file),
            "no_proxy": "",
        }
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def context(self, host: str) -> ssl.SSLContext:
        """With a certificate of that name."""
        if host not in self._contexts:
            self._contexts[host] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(self._contexts[host])
        return self._contexts[host]


def _handler(provider: Provider) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with self.request.makefile("rb", buffering=0) as reader:
                target, _ = _read_head(reader)
            host = target.partition(":")[0]
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with provider.context(host).wrap_socket(self.request, server_side=True) as secured, secured.makefile("rb") as reader:
                path, length = _read_head(reader)
                provider.asked.append(Asked(host, path, reader.read(length)))
                length = len(provider.answer)
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                secured.sendall(head.encode() + provider.answer)

    return Handler


def _read_head(reader: BinaryIO) -> tuple[str, int]:
    """What is asked for, and the length of the body that follows."""
    first, length = reader.readline().decode(), 0
    while (line := reader.readline().strip().lower()) != b"":
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return first.split()[1], length
