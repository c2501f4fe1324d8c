"""Asks one HTTP endpoint again and again: looks its name up, keeps its connection for a while, and says why no whole answer came."""

import asyncio
import base64
import contextlib
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from model_watchdog import __version__
from model_watchdog.answers import Secrets, quote_body
from model_watchdog.connecting import explain, speaks_plain_http
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Secret, Url
from model_watchdog.errors import ProbeError
from model_watchdog.resolver import resolver
from model_watchdog.wire import KeptConnection, httpx

NEW_CONNECTION = 10
"""Each so many checks a new connection is made, or the server's accept queue would never be tested."""
KEPT = 1.5
"""Seconds for which an idle connection is kept. Servers close theirs after 2 s (gunicorn), 5 s (uvicorn, node) or more; a request
that crosses such a close in flight would look like a failure."""
HANDSHAKE_SHARE = 0.75
"""Of the deadline, for the first TLS handshake with a server; the rest is for finding out whether it speaks plain HTTP."""
LEAST_PART = 8
"""Characters of a part of a header's value, or of a value in the query, that counts as a secret: less is a word such as Bearer."""
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = frozenset({"accept-encoding", "connection", "content-length", "transfer-encoding", "te", "upgrade"})

Measurements = Sequence[tuple[str, Mapping[str, str], float]]
Taken = TypeVar("Taken")


class Target(Protocol):
    """Whom to ask, and as whom: options that every kind of probe which speaks HTTP has."""

    @property
    def url(self) -> Url: ...
    @property
    def headers(self) -> Mapping[str, Secret]: ...
    @property
    def bearer(self) -> Secret | None: ...
    @property
    def ca_file(self) -> Path | None: ...


def find_faults(target: Target) -> list[str]:
    """What is wrong with the options of a target, one sentence each."""
    found = _find_url_faults(target.url)
    for name, value in target.headers.items():
        if not _TOKEN.fullmatch(name):
            found.append(f'"{name}" cannot be the name of a header')
        elif name.lower() in _OURS:
            found.append(f"the header {name} is the probe's own; leave it out")
        elif not _is_header_text(value.reveal()):
            found.append(f"the value of the header {name} holds a line break or another control character")
    if target.bearer is not None and not _is_header_text(target.bearer.reveal()):
        found.append("bearer holds a line break or another control character")
    ways = [target.bearer is not None, "authorization" in map(str.lower, target.headers), "@" in urlsplit_safely(target.url)[1]]
    if sum(ways) > 1:
        found.append("state only one of bearer, the header Authorization, and a user in the URL")
    return found + _find_ca_faults(target)


class Asking:
    """Asks `target` by `method`, each time with the same body (`content`, of type `content_type`), within `timeout` seconds.

    All that is sent and must never be shown is in `secrets`.
    """

    def __init__(self, target: Target, timeout: float, method: str = "GET", content: bytes = b"", content_type: str = "") -> None:
        self._method = method
        self.content = content
        self._ca_file = target.ca_file
        self._timeout = timeout
        self._url = httpx.URL(target.url)
        self._host = self._url.raw_host.decode().strip("[]")
        self._is_tls = self._url.scheme == "https"
        self._headers, self.secrets = _build_headers(target, self._url)
        if content_type and not any(name == "content-type" for name, _ in self._headers):
            self._headers.append(("content-type", content_type))
        self._transport: KeptConnection | None = None
        self._addresses: tuple[str, ...] = ()
        self._requests: dict[str, httpx.Request] = {}
        self._checks = 0
        self._handshake_seen = False
        self._in_handshake = False

    async def ask(self, take: Callable[[httpx.Response], Awaitable[Taken]]) -> Taken:
        """Asks once and has `take` read the answer. Raises ProbeError with the reason where none comes, or not all of it."""
        if self._checks % NEW_CONNECTION == 0:
            await self.close()
        self._checks += 1
        try:
            async with asyncio.timeout(self._timeout):
                return await self._ask(take)
        except ProbeError:
            raise
        except TimeoutError:
            looking_up = not self._addresses
            await self.close()
            if looking_up:  # the target was not even asked
                raise ProbeError(Failure.DNS, f"the name {self._host} was not looked up within {self._timeout:g} s") from None
            raise ProbeError(Failure.TIMEOUT, f"no answer within {self._timeout:g} s") from None
        except (httpx.HTTPError, OSError) as error:
            await self.close()
            raise _classify(error, self.secrets) from None
        except BaseException:  # nothing is kept back: a cancellation goes on to the caller
            self._transport = None  # it is closed by now
            raise

    async def close(self) -> None:
        """Closes the connection; the next check makes a new one, to an address that is looked up anew."""
        transport, self._transport, self._addresses = self._transport, None, ()
        if transport is not None:
            with contextlib.suppress(Exception):  # it is thrown away, whatever it says
                async with asyncio.timeout(1.0):
                    await transport.aclose()

    async def _ask(self, take: Callable[[httpx.Response], Awaitable[Taken]]) -> Taken:
        if not self._addresses:
            self._addresses = await resolver.resolve(self._host)
        response = await self._send()
        try:
            self._handshake_seen = True
            return await take(response)
        finally:
            await response.aclose()

    async def _send(self) -> httpx.Response:
        """Sends the request to the first address that takes a connection, and remembers which."""
        for place, address in enumerate(self._addresses):
            request = self._request(address, len(self._addresses) - place)
            if self._transport is None:
                self._transport = KeptConnection(self._context(), KEPT)
            try:
                response = await self._transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                await self._check_plain_http(error, address)
                if place + 1 == len(self._addresses):
                    raise
                continue
            self._addresses = (address,)
            return response
        raise AssertionError("a lookup gives at least one address")

    def _request(self, address: str, left: int) -> httpx.Request:
        """The request to one of the addresses, of which so many are left to try: each gets its share of the deadline."""
        request = self._requests.get(address)
        if request is None:
            if len(self._requests) > 16:
                self._requests.clear()
            extensions: dict[str, Any] = {"trace": self._trace} if self._is_tls else {}
            if self._is_tls and address != self._host:
                extensions["sni_hostname"] = self._host
            url = self._url.copy_with(host=address)
            request = self._requests[address] = httpx.Request(
                self._method, url, headers=self._headers, content=self.content or None, extensions=extensions
            )
        share = HANDSHAKE_SHARE if self._is_tls and not self._handshake_seen else 1.0
        request.extensions["timeout"] = {"connect": self._timeout * share / left} if share / left < 1 else {}
        return request

    def _context(self) -> ssl.SSLContext | None:
        if not self._is_tls:
            return None
        try:
            return _tls(self._ca_file)
        except OSError as error:
            raise ProbeError(Failure.WATCHER, f"ca_file {self._ca_file}: {_explain_ca(error)}") from None

    async def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.start_tls.started":
            self._in_handshake = True
        elif event == "connection.start_tls.complete":
            self._in_handshake, self._handshake_seen = False, True
        elif event == "connection.connect_tcp.started":
            self._in_handshake = False

    async def _check_plain_http(self, error: Exception, address: str) -> None:
        """A server that is silent in the first handshake hangs, or takes the handshake for the beginning of a plain request."""
        if not (self._in_handshake and isinstance(error, httpx.ConnectTimeout)) or self._handshake_seen:
            return
        if await speaks_plain_http(address, self._url.port or 443):
            raise ProbeError(Failure.TLS, "tls: the server does not speak TLS; is the URL to be http://?")


def measure_answer(response: httpx.Response) -> list[tuple[str, Mapping[str, str], float]]:
    """Its status, and for how long the server's certificate is valid."""
    measured: list[tuple[str, Mapping[str, str], float]] = [("probe_http_status_code", {}, float(response.status_code))]
    stream = response.extensions["network_stream"].get_extra_info("ssl_object")
    certificate = stream.getpeercert() if stream is not None else None
    if certificate and "notAfter" in certificate:
        measured.append(("probe_tls_expiry_seconds", {}, ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()))
    return measured


async def read_body(response: httpx.Response, cap: int, secrets: Secrets, measurements: Measurements = ()) -> bytes:
    """The body as it comes over the wire, at most `cap` bytes. Raises ProbeError."""
    too_large = ProbeError(Failure.BODY, f"body too large: more than {cap // 1024} KiB", measurements)
    body = bytearray()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        async for chunk in response.stream:
            body += chunk
            if len(body) > cap:
                raise too_large
    except httpx.HTTPError as error:
        failed = _classify(error, secrets)
        raise ProbeError(failed.failure, failed.detail, measurements) from None
    return bytes(body)


def explain_status(code: int) -> str:
    """A status that is not wanted, in a few words."""
    return f"redirect {code}" if 300 <= code < 400 else f"status {code}"


def urlsplit_safely(url: str) -> tuple[str, str]:
    """Scheme and the part with user, host and port; empty where it is not a URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return parts.scheme, parts.netloc


def _find_url_faults(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        port = parts.port
        parsed = httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        return ["url is not a URL; write http://HOST:PORT/PATH"]
    if parts.scheme not in ("http", "https"):
        return ["url must begin with http:// or https://"]
    if not parts.hostname or not parsed.raw_host:
        return ["url has no host; write http://HOST:PORT/PATH"]
    return ["url has port 0"] if port == 0 else []


def _find_ca_faults(target: Target) -> list[str]:
    if target.ca_file is None:
        return []
    if not target.url.lower().startswith("https:"):
        return ["ca_file is for https://"]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(target.ca_file)
    except OSError as error:  # SSLError is one, too
        return [f"ca_file {target.ca_file}: {_explain_ca(error)}"]
    return []


def _is_header_text(text: str) -> bool:
    return all(" " <= letter <= "~" for letter in text)


def _build_headers(target: Target, url: httpx.URL) -> tuple[list[tuple[str, str]], Secrets]:
    """What is sent, and the texts of it that must never be shown."""
    headers = {"host": url.netloc.decode(), "user-agent": f"model-watchdog/{__version__}", "accept": "*/*"}
    secrets = [text for value in target.headers.values() for text in _find_secrets(value.reveal())]
    if target.bearer is not None:
        headers["authorization"] = f"Bearer {target.bearer.reveal()}"
        secrets.append(target.bearer.reveal())
    parts = urlsplit(target.url)
    if parts.username is not None or parts.password is not None:
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        coded = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers["authorization"] = f"Basic {coded}"
        secrets += [password, parts.password or "", coded]
    values = [pair.partition("=")[2] for pair in parts.query.split("&")]
    secrets += [text for value in values if len(value) >= LEAST_PART for text in (value, unquote(value))]
    headers.update({name.lower(): value.reveal() for name, value in target.headers.items()})
    headers["accept-encoding"] = "identity"
    return list(headers.items()), Secrets(secrets)


def _find_secrets(value: str) -> list[str]:
    """The value of a header, and the parts of it that a server may give back alone: `Bearer TOKEN`, `session=ID; theme=dark`."""
    return [value, *(part for part in re.split(r"[\s;,]+|(?<=[^=])=(?=[^=])", value) if len(part) >= LEAST_PART)]


@cache
def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """Shared by all targets with the same authority: to load the system's takes 20 ms and some megabytes."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _explain_ca(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "it holds no certificate in PEM form"
    return f"it cannot be read: {error.strerror}"


def _classify(error: Exception, secrets: Secrets) -> ProbeError:
    """Why no whole answer came."""
    explained = explain(error)
    if explained is not None:
        return explained
    text = str(error)
    if isinstance(error, httpx.TimeoutException):
        return ProbeError(Failure.TIMEOUT, "the connection was not made in time")
    if isinstance(error, httpx.RemoteProtocolError) and not text.startswith(("Server disconnected", "peer closed connection")):
        return ProbeError(Failure.PROTOCOL, f"not HTTP: {quote_body(text.encode(), secrets)}")
    if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
        return ProbeError(Failure.PROTOCOL, "the request cannot be sent as it is configured")
    return ProbeError(Failure.CONNECTION_LOST, "connection lost: the answer did not come, or not all of it")
