#!/usr/bin/env python3
"""A real, misbehaving HTTP endpoint on 127.0.0.1: raw asyncio sockets, standard library only. Started by `chaos.Chaos`.

    chaos_http.py [PORT [CERTFILE KEYFILE]]      prints its port and the port of its control

GET /MODE misbehaves in that mode; any other path (/health) behaves as the control last said, at first `ok`. The modes are the functions
below, and any number is a status. The control is plain HTTP in a thread of its own, so that it answers while the loop is blocked:

    POST /_set?mode=MODE[&path=/health]          from now on; sequences and times begin anew
    GET  /_counts                                {path: requests}, counted as they arrive
    GET  /_requests                              [{path, method, headers, at}], `at` on CLOCK_MONOTONIC
    GET  /_connections                           {"opened": n, "open": n}
"""

import asyncio
import collections
import contextlib
import functools
import gzip
import http.server
import json
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

KEPT_REQUESTS = 100_000


class Setting:
    """What one path answers now, and for how long it has."""

    def __init__(self, mode: str) -> None:
        self.since = time.monotonic()
        self.name, _, self.argument = mode.partition(":")
        self.turns: Iterator[str] = iter(())
        if self.name in ("script", "cycle"):
            self.turns = _turns(self.argument.split(","), forever=self.name == "cycle")

    def mode_now(self) -> str:
        """The mode of this request."""
        if self.name in ("script", "cycle"):
            return next(self.turns)
        if self.name == "loading":  # 503 for so many seconds, then ok
            return "503" if time.monotonic() - self.since < float(self.argument) else "ok"
        return f"{self.name}:{self.argument}"


def _turns(modes: list[str], forever: bool) -> Iterator[str]:
    yield from modes
    while True:
        yield from modes if forever else modes[-1:]


class State:
    """Shared by the loop and the control's thread; each access is one operation, so no lock."""

    def __init__(self) -> None:
        self.settings: dict[str, Setting] = {}
        self.default = Setting("ok")
        self.counts: collections.Counter[str] = collections.Counter()
        self.requests: collections.deque[dict[str, object]] = collections.deque(maxlen=KEPT_REQUESTS)
        self.opened = self.closed = 0

    def set(self, mode: str, path: str | None) -> None:
        if path is None:
            self.default = Setting(mode)
            self.settings.clear()
        else:
            self.settings[path] = Setting(mode)

    def mode_for(self, path: str) -> str:
        setting = self.settings.get(path)
        if setting is None:
            name = path.strip("/")
            if name.partition(":")[0] in MODES or name.isdigit():
                return name
            setting = self.default
        return setting.mode_now()


@dataclass
class Exchange:
    """One request and the connection it came on."""

    path: str
    method: str
    headers: dict[str, str]
    writer: asyncio.StreamWriter
    keep: bool = field(default=False)

    def head(self, status: str = "200 OK", length: int | None = None, extra: str = "") -> None:
        kept = "keep-alive" if self.keep else "close"
        sized = "" if length is None else f"Content-Length: {length}\r\n"
        text = f"HTTP/1.1 {status}\r\n{sized}Connection: {kept}\r\nContent-Type: application/json\r\n{extra}\r\n"
        self.writer.write(text.encode())

    def answer(self, body: bytes, status: str = "200 OK") -> None:
        """A whole, honest answer, after which the connection stays open."""
        self.keep = self.headers.get("connection", "").lower() != "close"
        self.head(status, len(body))
        self.writer.write(body)


Mode = Callable[[Exchange, str], Awaitable[None]]
MODES: dict[str, Mode] = {}


def mode(function: Mode) -> Mode:
    MODES[function.__name__] = function
    return function


@mode
async def ok(exchange: Exchange, argument: str) -> None:
    exchange.answer(b'{"status":"ok"}')


@mode
async def body(exchange: Exchange, argument: str) -> None:
    """body:TEXT, percent-encoded: 200 with that text."""
    exchange.answer(urllib.parse.unquote(argument).encode())


@mode
async def echo(exchange: Exchange, argument: str) -> None:
    """The request's method and headers, as JSON. echo:COUNT: what authorizes it, behind so many dots; echo:-COUNT: but for its end."""
    authorization = exchange.headers.get("authorization", "").encode()
    if argument.startswith("-"):
        exchange.answer(b"now " + authorization[: int(argument)])
    elif argument:
        exchange.answer(b"." * int(argument) + authorization + b"." * 100)
    else:
        exchange.answer(json.dumps({"method": exchange.method, "headers": exchange.headers}).encode())


@mode
async def slow(exchange: Exchange, argument: str) -> None:
    """slow:SECONDS: good, after that time."""
    await asyncio.sleep(float(argument))
    exchange.answer(b'{"status":"ok"}')


@mode
async def busy(exchange: Exchange, argument: str) -> None:
    """busy:SECONDS: good, after the loop was blocked by work for that time; nobody else is answered meanwhile."""
    end = time.monotonic() + float(argument or 3600)
    while time.monotonic() < end:
        sum(range(10_000))
    exchange.answer(b'{"status":"ok"}')


@mode
async def hang(exchange: Exchange, argument: str) -> None:
    await asyncio.sleep(3600)


@mode
async def slowhead(exchange: Exchange, argument: str) -> None:
    await _drip(exchange, b"HTTP/1.1 200 OK\r\nX: " + b"a" * 10_000)


@mode
async def drip(exchange: Exchange, argument: str) -> None:
    exchange.head(length=100_000)
    await _drip(exchange, b" " * 100_000)


async def _drip(exchange: Exchange, data: bytes) -> None:
    for byte in data:
        exchange.writer.write(bytes([byte]))
        await exchange.writer.drain()
        await asyncio.sleep(0.2)


@mode
async def huge(exchange: Exchange, argument: str) -> None:
    """16 GiB announced, and sent for as long as somebody reads."""
    exchange.head(length=1 << 34)
    block = b"x" * (1 << 16)
    for _ in range(1 << 18):
        exchange.writer.write(block)
        await exchange.writer.drain()


@mode
async def gzipbomb(exchange: Exchange, argument: str) -> None:
    """64 MiB of zeros in about 0.3 MiB, compressed whether that was asked for or not."""
    bomb = _bomb()
    exchange.head(length=len(bomb), extra="Content-Encoding: gzip\r\n")
    exchange.writer.write(bomb)


@functools.cache
def _bomb() -> bytes:
    """Made once: it takes a quarter of a second, in which nobody is answered."""
    return gzip.compress(b"\0" * (1 << 26), 1)


@mode
async def loop(exchange: Exchange, argument: str) -> None:
    exchange.head("302 Found", 0, "Location: /loop\r\n")


@mode
async def reset(exchange: Exchange, argument: str) -> None:
    """A TCP reset instead of an answer."""
    raw = exchange.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.writer.transport.abort()


@mode
async def half(exchange: Exchange, argument: str) -> None:
    exchange.head(length=1000)
    exchange.writer.write(b"{")


@mode
async def drop(exchange: Exchange, argument: str) -> None:
    """Closed without a word."""


@mode
async def garbage(exchange: Exchange, argument: str) -> None:
    exchange.writer.write(bytes(range(256)) * 8)


@mode
async def wrongjson(exchange: Exchange, argument: str) -> None:
    exchange.answer(b'["not","the","schema"]')


@mode
async def nan(exchange: Exchange, argument: str) -> None:
    exchange.answer(b'{"status":NaN}')


@mode
async def latin1(exchange: Exchange, argument: str) -> None:
    exchange.answer('{"status":"\xe9"}'.encode("latin1"))


@mode
async def bigheaders(exchange: Exchange, argument: str) -> None:
    exchange.head(length=0, extra="".join(f"H{number}: {'v' * 1000}\r\n" for number in range(5000)))


@mode
async def chunkbad(exchange: Exchange, argument: str) -> None:
    exchange.head(extra="Transfer-Encoding: chunked\r\n")
    exchange.writer.write(b"ZZZ\r\nxx\r\n")


@mode
async def pipelined(exchange: Exchange, argument: str) -> None:
    """Two answers to one question."""
    exchange.answer(b'{"status":"ok"}')
    exchange.answer(b'{"status":"another"}', "500 X")


class Endpoint:
    """The misbehaving side."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.state.opened += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.LimitOverrunError):
                while await self._answer_one(reader, writer):
                    pass
        finally:
            self.state.closed += 1
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
        path = target.partition("?")[0]
        self.state.counts[path] += 1
        self.state.requests.append({"path": path, "method": method, "headers": headers, "at": time.monotonic()})
        await reader.readexactly(int(headers.get("content-length", "0")))
        exchange = Exchange(path, method, headers, writer)
        name, _, argument = self.state.mode_for(path).partition(":")
        if name.isdigit():
            exchange.keep = True
            exchange.head(f"{name} X", None if name == "204" else 0)
        else:
            await MODES[name](exchange, argument)
        await writer.drain()
        return exchange.keep


def control(state: State) -> http.server.ThreadingHTTPServer:
    """The control's server, serving in a thread."""

    class Control(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            wanted = asked["mode"][0]
            known = wanted.isdigit() or wanted.partition(":")[0] in {*MODES, "script", "cycle", "loading"}
            if known:
                state.set(wanted, asked.get("path", [None])[0])
            self._answer(200 if known else 400, {"mode": wanted})

        def do_GET(self) -> None:
            shown: dict[str, object] = {
                "/_counts": dict(state.counts),
                "/_requests": list(state.requests),
                "/_connections": {"opened": state.opened, "open": state.opened - state.closed},
            }
            self._answer(200 if self.path in shown else 404, shown.get(self.path))

        def _answer(self, status: int, value: object) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the tests read the counts."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Control)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


async def main(port: str = "0", certfile: str | None = None, keyfile: str | None = None) -> None:
    tls = None
    if certfile:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certfile, keyfile)
    state = State()
    endpoint = Endpoint(state)
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", int(port), ssl=tls, backlog=1024)
    print(server.sockets[0].getsockname()[1], control(state).server_address[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
