"""Asks an HTTP endpoint and judges the answer: its status, its body, how long it took."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from model_watchdog.answers import judge_body, quote_body
from model_watchdog.asking import Asking, explain_status, find_faults, measure_answer, read_body
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Seconds, Secret, Url
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Measurement, Observation, Surroundings
from model_watchdog.wire import httpx

BODY_CAP = 64 * 1024
"""Bytes of a body that are read at most, as they come: nothing is ever decompressed."""


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
        found = find_faults(self)
        if not re.fullmatch("[A-Z]{1,20}", self.method) or self.method == "CONNECT":
            found.append("method must be a word in capitals, such as GET or POST")
        if self.max_duration is not None and self.max_duration <= 0:
            found.append("max_duration must be longer than 0")
        if self.json is not None and not self.json:
            found.append("json must name at least one path, such as {status: ok}")
        if self.method == "HEAD" and (self.contains is not None or self.json is not None):
            found.append("an answer to HEAD has no body: take away contains and json, or use GET")
        return found

    def open(self, surroundings: Surroundings) -> "_Running":
        """The probe, ready to be run; nothing is connected yet."""
        return _Running(self, surroundings.timeout)


class _Running:
    def __init__(self, http: Http, timeout: float) -> None:
        self._http = http
        self._asking = Asking(http, timeout, http.method)

    async def observe(self) -> Observation:
        """Asks once. Raises ProbeError with the reason where the answer is bad or does not come."""
        began = time.monotonic()

        async def take(response: httpx.Response) -> Observation:
            measurements = measure_answer(response)
            body = await self._read(response, measurements)
            self._judge(response, body, time.monotonic() - began, measurements)
            return Observation(measurements, f"status {response.status_code}")

        return await self._asking.ask(take)

    async def close(self) -> None:
        await self._asking.close()

    async def _read(self, response: httpx.Response, measurements: Sequence[Measurement]) -> bytes:
        """The body as it comes over the wire. One of a bad status is not waited for."""
        if response.status_code not in self._http.status:
            raise ProbeError(Failure.STATUS, explain_status(response.status_code), measurements)
        return await read_body(response, BODY_CAP, self._asking.secrets, measurements)

    def _judge(self, response: httpx.Response, body: bytes, took: float, measurements: Sequence[Measurement]) -> None:
        if self._http.contains is not None or self._http.json is not None:
            coding = response.headers.get("content-encoding", "identity")
            wrong = judge_body(body, self._http.contains, self._http.json, self._asking.secrets)
            if wrong and coding.lower() != "identity":
                wrong = f"it is encoded ({quote_body(coding.encode(), self._asking.secrets)}), though that was not asked for"
            if wrong:
                raise ProbeError(Failure.BODY, f"unexpected body: {wrong}; it is {quote_body(body, self._asking.secrets)}", measurements)
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
