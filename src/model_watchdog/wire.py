"""HTTP/1.1 over one connection that is kept for a while, as a transport of httpx: h11 on the event loop's own transports.

httpx's own transport brings a pool of connections and a second asynchronous library (httpcore, anyio). With them a check took three to
four times the processor time, and the daemon 3 MB more; and what a server sent behind an answer was taken for the next one.
"""

import asyncio
import select
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import h11

# httpx imports its command line, and with it rich and click (5.6 MB), where these are installed; it does without where it cannot.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx as httpx  # noqa: E402

LONGEST_HEAD = 100 * 1024
"""Bytes of a status line and headers, at most."""
MOST_WAITING = 64 * 1024
"""Bytes that may wait to be read; beyond them the server has to wait."""


class KeptConnection(httpx.AsyncBaseTransport):
    """Sends requests whose body is at hand, one at a time, each to the address in its URL, and knows no deadline but that for connecting.

    An idle connection is used again within `kept` seconds, unless the server has ended it. The address must not change in between.
    Of the request's extensions it knows `timeout` (connect), `sni_hostname` and `trace`. Raises httpx's errors, caused by the system's.
    When a request was cancelled, the connection is closed.
    """

    def __init__(self, context: ssl.SSLContext | None, kept: float) -> None:
        self._context = context
        self._kept = kept
        self._kept_until = 0.0
        self._wire: _Wire | None = None
        self._parser = _parser()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Back when status and headers are there. Its body has to be read or closed before the next request."""
        wire = self._wire
        if wire is None or time.monotonic() > self._kept_until or not wire.is_quiet():
            self._drop()
            wire = self._wire = await _connect(request, self._context)
            self._parser = _parser()
        try:
            self._send(request, wire)
            head = await self._next_event()
            while isinstance(head, h11.InformationalResponse):
                head = await self._next_event()
            assert isinstance(head, h11.Response)
        except BaseException:  # cancelled, too: what comes now is the answer to nothing
            self._drop()
            raise
        return httpx.Response(
            head.status_code,
            headers=head.headers.raw_items(),
            stream=_Body(self),
            extensions={"network_stream": wire.transport},
        )

    async def aclose(self) -> None:
        """Closes the connection; the next request makes a new one."""
        self._drop()

    async def read_body(self) -> AsyncIterator[bytes]:
        """The body of the last answer as it comes."""
        while isinstance(event := await self._next_event(), h11.Data):
            yield bytes(event.data)

    def release(self) -> None:
        """The answer is not wanted any more: the connection is kept where all of it was read, and nothing came behind it."""
        done = self._parser.our_state is h11.DONE and self._parser.their_state is h11.DONE
        if done and self._parser.trailing_data == (b"", False):
            self._parser.start_next_cycle()
            self._kept_until = time.monotonic() + self._kept
        else:
            self._drop()

    def _send(self, request: httpx.Request, wire: "_Wire") -> None:
        try:
            asked = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            sent = [self._parser.send(asked)]
            if request.content:
                sent.append(self._parser.send(h11.Data(data=request.content)))
            wire.transport.write(b"".join(part or b"" for part in [*sent, self._parser.send(h11.EndOfMessage())]))
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        assert self._wire is not None
        while True:
            try:
                event = self._parser.next_event()
            except h11.RemoteProtocolError as error:
                raise httpx.RemoteProtocolError(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            try:
                data = await self._wire.read()
            except OSError as error:
                raise httpx.ReadError(str(error)) from error
            if not data and self._parser.their_state is h11.SEND_RESPONSE:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            self._parser.receive_data(data)

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.transport.abort()
            self._wire = None


class _Body(httpx.AsyncByteStream):
    def __init__(self, connection: KeptConnection) -> None:
        self._connection = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._connection.read_body():
            yield part

    async def aclose(self) -> None:
        self._connection.release()


class _Wire(asyncio.Protocol):
    """What the server sends, in order. What came before the connection broke is not lost."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._data = bytearray()
        self._ended = False
        self._error: Exception | None = None
        self._waiting: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """The next bytes; none at the end. Raises OSError where the connection broke."""
        if not self._data and not self._ended:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        data, self._data = bytes(self._data), bytearray()
        self.transport.resume_reading()
        if not data and self._error is not None:
            raise self._error
        return data

    def is_quiet(self) -> bool:
        """Nothing has come that nobody asked for, its end neither; the loop may not have seen yet what the socket knows."""
        if self._data or self._ended:
            return False
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket"), select.POLLIN)
        return not poll.poll(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > MOST_WAITING:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, exc
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _parser() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)


async def _connect(request: httpx.Request, context: ssl.SSLContext | None) -> _Wire:
    url, is_tls = request.url, request.url.scheme == "https"
    host, port = url.raw_host.decode().strip("[]"), url.port or (443 if is_tls else 80)
    trace: Callable[[str, dict[str, Any]], Awaitable[None]] | None = request.extensions.get("trace")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(request.extensions.get("timeout", {}).get("connect")):
            if trace is not None:
                await trace("connection.connect_tcp.started", {})
            connected = await _connect_socket(host, port)
            if not is_tls:
                return (await loop.create_connection(_Wire, sock=connected))[1]
            name = request.extensions.get("sni_hostname") or host
            if trace is not None:
                await trace("connection.start_tls.started", {})
            _, wire = await loop.create_connection(_Wire, sock=connected, ssl=context, server_hostname=name)
            if trace is not None:
                await trace("connection.start_tls.complete", {})
            return wire
    except TimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except OSError as error:  # ssl.SSLError is one, too
        if isinstance(error, ConnectionResetError) and error.errno is None:  # how asyncio calls an end in the middle of a handshake
            raise httpx.ConnectError(str(error)) from ssl.SSLEOFError("the connection was ended in the handshake")
        raise httpx.ConnectError(str(error)) from error


async def _connect_socket(address: str, port: int) -> socket.socket:
    kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
    connected = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    try:
        await asyncio.get_running_loop().sock_connect(connected, (address, port))
    except BaseException:  # nothing is kept back: whatever it is, a cancellation too, goes on to the caller, without a socket left open
        connected.close()
        raise
    return connected
