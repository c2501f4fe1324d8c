"""Asks an HTTP endpoint and judges the answer: its status, its body, how long it took."""

import asyncio
import base64
import contextlib
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from model_watchdog import __version__
from model_watchdog.answers import Secrets, judge_body, quote_body
from model_watchdog.connecting import explain, speaks_plain_http
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Seconds, Secret, Url
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Measurement, Observation, Surroundings
from model_watchdog.resolver import resolver
from model_watchdog.wire import KeptConnection, httpx

BODY_CAP = 64 * 1024
"""Bytes of a body that are read at most, as they come: nothing is ever decompressed."""
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


@dataclass(frozen=True)
class Status:
    """The status codes that are good: `2xx`, `200`, or a list of such."""

    ranges: tuple[tuple[int, int], ...] = ((200, 299),)

    @classmethod
    def parse(cls, written: Any) -> "Status":
        """From what the YAML says. ValueError for anything else."""
        items = written if isinstance(written, Sequence) and not isinstance(written, str) else [written]
        if not items:
            raise ValueError("status must name at least one code, such as 200 or 2xx")
        return cls(tuple(_parse_status(item) for item in items))

    @staticmethod
    def schema() -> dict[str, Any]:
        """What the YAML may say, as a JSON Schema."""
        one = [{"type": "integer", "minimum": 100, "maximum": 599}, {"type": "string", "pattern": r"^[1-5]xx$|^[1-5][0-9][0-9]$|\$\{"}]
        return {"anyOf": [*one, {"type": "array", "items": {"anyOf": one}, "minItems": 1}]}

    def shown(self) -> Any:
        """As the YAML would say it."""
        items = [low if low == high else f"{low // 100}xx" for low, high in self.ranges]
        return items[0] if len(items) == 1 else items

    def __contains__(self, code: int) -> bool:
        return any(low <= code <= high for low, high in self.ranges)


@dataclass(frozen=True)
class Http:
    """The kind `http`: what is asked, and which answer is good. All of the answer must arrive in time, whatever is looked at."""

    url: Url
    method: str = "GET"
    status: Status = field(default_factory=Status)
    contains: str | None = None
    json: Mapping[str, Any] | None = None
    max_duration: Seconds | None = None
    headers: Mapping[str, Secret] = field(default_factory=dict)
    bearer: Secret | None = None
    ca_file: Path | None = None

    default_every: ClassVar[Seconds] = Seconds(30.0)
    metrics: ClassVar[tuple[str, ...]] = ("probe_http_status_code", "probe_tls_expiry_seconds")

    def faults(self) -> list[str]:
        """What is wrong with the options, one sentence each."""
        found = _find_url_faults(self.url)
        if not re.fullmatch("[A-Z]{1,20}", self.method) or self.method == "CONNECT":
            found.append("method must be a word in capitals, such as GET or POST")
        for name, value in self.headers.items():
            if not _TOKEN.fullmatch(name):
                found.append(f'"{name}" cannot be the name of a header')
            elif name.lower() in _OURS:
                found.append(f"the header {name} is the probe's own; leave it out")
            elif not _is_header_text(value.reveal()):
                found.append(f"the value of the header {name} holds a line break or another control character")
        if self.bearer is not None and not _is_header_text(self.bearer.reveal()):
            found.append("bearer holds a line break or another control character")
        ways = [self.bearer is not None, "authorization" in map(str.lower, self.headers), "@" in urlsplit_safely(self.url)[1]]
        if sum(ways) > 1:
            found.append("state only one of bearer, the header Authorization, and a user in the URL")
        if self.max_duration is not None and self.max_duration <= 0:
            found.append("max_duration must be longer than 0")
        if self.json is not None and not self.json:
            found.append("json must name at least one path, such as {status: ok}")
        if self.method == "HEAD" and (self.contains is not None or self.json is not None):
            found.append("an answer to HEAD has no body: take away contains and json, or use GET")
        return found + self._find_ca_faults()

    def _find_ca_faults(self) -> list[str]:
        if self.ca_file is None:
            return []
        if not self.url.lower().startswith("https:"):
            return ["ca_file is for https://"]
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(self.ca_file)
        except OSError as error:  # SSLError is one, too
            return [f"ca_file {self.ca_file}: {_explain_ca(error)}"]
        return []

    def open(self, surroundings: Surroundings) -> "_Running":
        """The probe, ready to be run; nothing is connected yet."""
        return _Running(self, surroundings.timeout)


class _Running:
    def __init__(self, http: Http, timeout: float) -> None:
        self._http = http
        self._timeout = timeout
        self._url = httpx.URL(http.url)
        self._host = self._url.raw_host.decode().strip("[]")
        self._is_tls = self._url.scheme == "https"
        self._headers, self._secrets = _build_headers(http, self._url)
        self._transport: KeptConnection | None = None
        self._addresses: tuple[str, ...] = ()
        self._requests: dict[str, httpx.Request] = {}
        self._checks = 0
        self._handshake_seen = False
        self._in_handshake = False

    async def observe(self) -> Observation:
        """Asks once. Raises ProbeError with the reason where the answer is bad or does not come."""
        began = time.monotonic()
        if self._checks % NEW_CONNECTION == 0:
            await self.close()
        self._checks += 1
        try:
            async with asyncio.timeout(self._timeout):
                return await self._ask(began)
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
            raise _classify(error, self._secrets) from None
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

    async def _ask(self, began: float) -> Observation:
        if not self._addresses:
            self._addresses = await resolver.resolve(self._host)
        response = await self._send()
        try:
            self._handshake_seen = True
            measurements = self._measure(response)
            body = await self._read(response, measurements)
        finally:
            await response.aclose()
        self._judge(response, body, time.monotonic() - began, measurements)
        return Observation(measurements, f"status {response.status_code}")

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
            request = self._requests[address] = httpx.Request(self._http.method, url, headers=self._headers, extensions=extensions)
        share = HANDSHAKE_SHARE if self._is_tls and not self._handshake_seen else 1.0
        request.extensions["timeout"] = {"connect": self._timeout * share / left} if share / left < 1 else {}
        return request

    def _context(self) -> ssl.SSLContext | None:
        if not self._is_tls:
            return None
        try:
            return _tls(self._http.ca_file)
        except OSError as error:
            raise ProbeError(Failure.WATCHER, f"ca_file {self._http.ca_file}: {_explain_ca(error)}") from None

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

    def _measure(self, response: httpx.Response) -> list[Measurement]:
        measured: list[Measurement] = [("probe_http_status_code", {}, float(response.status_code))]
        if self._is_tls:
            stream = response.extensions["network_stream"].get_extra_info("ssl_object")
            certificate = stream.getpeercert() if stream is not None else None
            if certificate and "notAfter" in certificate:
                measured.append(("probe_tls_expiry_seconds", {}, ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()))
        return measured

    async def _read(self, response: httpx.Response, measurements: Sequence[Measurement]) -> bytes:
        """The body as it comes over the wire. One of a bad status is not waited for."""
        code = response.status_code
        if code not in self._http.status:
            raise ProbeError(Failure.STATUS, f"redirect {code}" if 300 <= code < 400 else f"status {code}", measurements)
        too_large = ProbeError(Failure.BODY, f"body too large: more than {BODY_CAP // 1024} KiB", measurements)
        body = bytearray()
        assert isinstance(response.stream, httpx.AsyncByteStream)
        try:
            async for chunk in response.stream:
                body += chunk
                if len(body) > BODY_CAP:
                    raise too_large
        except httpx.HTTPError as error:
            failed = _classify(error, self._secrets)
            raise ProbeError(failed.failure, failed.detail, measurements) from None
        return bytes(body)

    def _judge(self, response: httpx.Response, body: bytes, took: float, measurements: Sequence[Measurement]) -> None:
        if self._http.contains is not None or self._http.json is not None:
            coding = response.headers.get("content-encoding", "identity")
            wrong = judge_body(body, self._http.contains, self._http.json, self._secrets)
            if wrong and coding.lower() != "identity":
                wrong = f"it is encoded ({quote_body(coding.encode(), self._secrets)}), though that was not asked for"
            if wrong:
                raise ProbeError(Failure.BODY, f"unexpected body: {wrong}; it is {quote_body(body, self._secrets)}", measurements)
        limit = self._http.max_duration
        if limit is not None and took > limit:
            raise ProbeError(Failure.SLOW, f"good, but after {took:.3g} s; max_duration is {limit:g} s", measurements)


def _parse_status(item: Any) -> tuple[int, int]:
    text = str(item)
    if re.fullmatch("[1-5]xx", text):
        low = int(text[0]) * 100
        return low, low + 99
    if not isinstance(item, bool) and re.fullmatch("[1-5][0-9][0-9]", text):
        return int(text), int(text)
    raise ValueError(f'"{text}" is not a status; write a code such as 200, a class such as 2xx, or a list of them')


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


def _is_header_text(text: str) -> bool:
    return all(" " <= letter <= "~" for letter in text)


def _build_headers(http: Http, url: httpx.URL) -> tuple[list[tuple[str, str]], Secrets]:
    """What is sent, and the texts of it that must never be shown."""
    headers = {"host": url.netloc.decode(), "user-agent": f"model-watchdog/{__version__}", "accept": "*/*"}
    secrets = [text for value in http.headers.values() for text in _find_secrets(value.reveal())]
    if http.bearer is not None:
        headers["authorization"] = f"Bearer {http.bearer.reveal()}"
        secrets.append(http.bearer.reveal())
    parts = urlsplit(http.url)
    if parts.username is not None or parts.password is not None:
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        coded = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers["authorization"] = f"Basic {coded}"
        secrets += [password, parts.password or "", coded]
    values = [pair.partition("=")[2] for pair in parts.query.split("&")]
    secrets += [text for value in values if len(value) >= LEAST_PART for text in (value, unquote(value))]
    headers.update({name.lower(): value.reveal() for name, value in http.headers.items()})
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
