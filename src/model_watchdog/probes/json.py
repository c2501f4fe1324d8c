"""Reads numbers from a JSON document that a service gives: whether it sleeps, which models are loaded, how much of them lies where."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from model_watchdog.answers import quote_body
from model_watchdog.asking import Asking, explain_status, find_faults, read_body
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Seconds, Secret, Url
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Measurement, Observation, Surroundings
from model_watchdog.wire import httpx

BODY_CAP = 1024 * 1024
ABSENT = (404, 405, 501)
"""Statuses that say that this server, or this version of it, has no such page: nothing is known, and nothing is wrong."""


@dataclass(frozen=True)
class Json:
    """The kind `json`: a GET whose answer is a document. Of each metric its path: names and numbers with dots between them; `*` adds up
    what lies under every item of a list, `#` counts the items. True is 1, false 0; what is no number is left out."""

    url: Url
    metrics: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, Secret] = field(default_factory=dict)
    bearer: Secret | None = None
    ca_file: Path | None = None

    default_every: ClassVar[Seconds] = Seconds(30.0)

    def faults(self) -> list[str]:
        """What is wrong with the options, one sentence each."""
        found = find_faults(self)
        if not self.metrics:
            found.append("metrics must name at least one metric with its path, such as {server_sleeping: is_sleeping}")
        return found

    def open(self, surroundings: Surroundings) -> "_Running":
        """The probe, ready to be run; nothing is connected yet."""
        return _Running(self, surroundings.timeout)


class _Running:
    def __init__(self, config: Json, timeout: float) -> None:
        self._config = config
        self._asking = Asking(config, timeout)

    async def observe(self) -> Observation:
        """Asks once. Raises ProbeError where the answer is no document, or does not come."""
        return await self._asking.ask(self._take)

    async def close(self) -> None:
        await self._asking.close()

    async def _take(self, response: httpx.Response) -> Observation:
        if response.status_code in ABSENT:
            return Observation((), f"there is no such page here ({explain_status(response.status_code)})")
        if not 200 <= response.status_code < 300:
            raise ProbeError(Failure.STATUS, explain_status(response.status_code))
        body = await read_body(response, BODY_CAP, self._asking.secrets)
        try:
            document = json.loads(body.decode("utf-8"))
        except (ValueError, RecursionError):
            raise ProbeError(Failure.BODY, f"this is no JSON: {quote_body(body, self._asking.secrets)}") from None
        found = {metric: take_number(document, path) for metric, path in self._config.metrics.items()}
        missing = [path for metric, path in self._config.metrics.items() if found[metric] is None]
        measured: list[Measurement] = [(metric, {}, value) for metric, value in found.items() if value is not None]
        return Observation(measured, f"no number at {', '.join(missing)}" if missing else "")


def take_number(document: Any, path: str) -> float | None:
    """The number at a path, None where there is none; `*` adds up, of an empty list 0."""
    steps = path.split(".")
    if "*" not in steps:
        return next(_walk(document, steps), None)
    before = next(_walk(document, [*steps[: steps.index("*")], "#"]), None)
    return None if before is None else sum(_walk(document, steps))


def _walk(here: Any, steps: list[str]) -> Iterator[float]:
    if not steps:
        if isinstance(here, (int, float)):
            yield float(here)
        return
    step, rest = steps[0], steps[1:]
    if step == "*" and isinstance(here, list):
        for item in here:
            yield from _walk(item, rest)
    elif step == "#" and isinstance(here, list) and not rest:
        yield float(len(here))
    elif isinstance(here, dict) and step in here:
        yield from _walk(here[step], rest)
    elif isinstance(here, list) and step.isdecimal() and len(step) < 7 and int(step) < len(here):
        yield from _walk(here[int(step)], rest)
