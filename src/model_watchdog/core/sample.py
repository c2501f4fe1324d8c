"""What was seen: series, samples, and the outcome of one run of a probe."""

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from model_watchdog.core.vitals import Vitals

PROBE_SUCCESS = "probe_success"
"""The metric by which rules see whether a run of a probe was good."""
STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""The value that says that a series has ended: Prometheus' stale marker, one NaN of many."""
_STALE = struct.pack("<d", STALE)
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_SELECTOR = re.compile(r"^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(.*)\})?\s*$", re.S)


def is_stale(value: float) -> bool:
    """Whether it is that marker; other NaNs are values."""
    return value != value and struct.pack("<d", value) == _STALE


@dataclass(frozen=True, slots=True)
class SeriesId:
    """A metric name with its labels, sorted by name."""

    metric: str
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, metric: str, labels: Mapping[str, str]) -> "SeriesId":
        return cls(metric, tuple(sorted(labels.items())))

    def __str__(self) -> str:
        inside = ", ".join(f'{name}="{value}"' for name, value in self.labels)
        return f"{self.metric}{{{inside}}}" if inside else self.metric


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series; `at` is steady time in seconds."""

    series: SeriesId
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Selector:
    """Which series a rule looks at: a name and label matchers, in Prometheus selector syntax."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """`name{label="value", other=~"a|b"}`; raises ValueError that says what is wrong."""
        whole = _SELECTOR.match(text)
        if not whole:
            raise ValueError(f'"{text}" is not a metric; write name or name{{label="value"}}')
        name, inside = whole.group(1), (whole.group(2) or "").strip()
        matchers = []
        place = 0
        while place < len(inside):
            one = _MATCHER.match(inside, place)
            if not one:
                raise ValueError(f'"{inside[place:]}" is not a label matcher; write label="value"')
            label, operator, value = one.group(1), one.group(2), re.sub(r"\\(.)", r"\1", one.group(3))
            if operator in ("=~", "!~"):
                try:
                    re.compile(value)
                except re.error as error:
                    raise ValueError(f'"{value}" is not a regular expression: {error}') from None
            matchers.append((label, operator, value))
            place = one.end()
        return cls(name, tuple(matchers))

    def matches(self, series: SeriesId) -> bool:
        if series.metric != self.metric:
            return False
        labels = dict(series.labels)
        return all(_holds(labels.get(label, ""), operator, value) for label, operator, value in self.matchers)

    def to_series(self) -> SeriesId:
        """What stands for its series while none is known: its name, with the labels that are stated exactly."""
        return SeriesId.of(self.metric, {label: value for label, operator, value in self.matchers if operator == "="})

    def __str__(self) -> str:
        inside = ", ".join(f'{label}{operator}"{_escape(value)}"' for label, operator, value in self.matchers)
        return f"{self.metric}{{{inside}}}" if inside else self.metric


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _holds(found: str, operator: str, wanted: str) -> bool:
    match operator:
        case "=":
            return found == wanted
        case "!=":
            return found != wanted
        case "=~":
            return re.fullmatch(wanted, found) is not None
        case _:
            return re.fullmatch(wanted, found) is None


class Failure(StrEnum):
    """Why a probe was not good."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    STATUS = "status"
    BODY = "body"
    SLOW = "slow"  # good, but later than `max_duration`
    TLS = "tls"
    DNS = "dns"
    PROTOCOL = "protocol"
    CONNECTION_LOST = "connection_lost"
    ENDED = "ended"  # its main process has ended, and systemd does not know
    CONFIG = "config"  # what we ask cannot be answered: it says nothing of the service
    WATCHER = "watcher"  # our own fault: no descriptors, no memory, no processes, systemd not reachable


UNSEEN = Vitals()
"""Nothing of it was looked at."""

BLIND = frozenset({Failure.DNS, Failure.CONFIG, Failure.WATCHER})
"""Failures that say nothing about the service: no sample, no verdict, no restart."""


NO_ANSWER = frozenset({Failure.REFUSED, Failure.TIMEOUT, *BLIND})
"""Failures in which nobody answered."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of a probe found.

    `at` is when the run ended (steady seconds), `started` when it began. `ok` is None when the watcher was
    blind, and without a `failure` when nobody was asked. `vitals` is what of the service moved while a time-out was
    waited for. `samples` carry `probe_success` (absent when blind) and what the probe measured.
    """

    probe: str
    at: float
    started: float
    ok: bool | None
    failure: Failure | None = None
    detail: str = ""
    samples: tuple[Sample, ...] = ()
    vitals: Vitals = UNSEEN

    @property
    def duration(self) -> float:
        return self.at - self.started


def conclude(
    service: str | None,
    probe: str,
    started: float,
    at: float,
    measured: Iterable[tuple[str, Mapping[str, str], float]] = (),
    failure: Failure | None = None,
    detail: str = "",
    vitals: Vitals = UNSEEN,
) -> Outcome:
    """The outcome of one run: what it measured, with `probe_success` and `probe_duration_seconds` around it.

    Silence proves nothing: where the watcher was blind there is no `probe_success`, and `ok` is None.
    """
    own = {"probe": probe} if service is None else {"service": service, "probe": probe}
    base = {} if service is None else {"service": service}
    samples = []
    for metric, labels, value in measured:  # what a probe says of its own asking names it, as `probe_success` does
        around = own if metric.startswith("probe_") else base
        samples.append(Sample(SeriesId.of(metric, {**around, **labels}), value, at))
    if failure in BLIND:  # guard: 6
        return Outcome(probe, at, started, None, failure, detail, tuple(samples), vitals)
    samples.append(Sample(SeriesId.of(PROBE_SUCCESS, own), float(failure is None), at))
    samples.append(Sample(SeriesId.of("probe_duration_seconds", own), at - started, at))
    return Outcome(probe, at, started, failure is None, failure, detail, tuple(samples), vitals)


def not_asked(probe: str, at: float) -> Outcome:
    """What stands for a run that is left out because the unit is down: no sample, no verdict, nothing to hold against anybody."""
    return Outcome(probe, at, at, None, detail="not asked: the unit is down")
