"""The configuration as understood: plain values, every default filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from model_watchdog.core.common import CommonCausePolicy
from model_watchdog.core.routes import MachineRoute, Route, TimeOfDay
from model_watchdog.core.rule import Rule, Severity
from model_watchdog.core.state import Service
from model_watchdog.core.units import Seconds, Secret, Url
from model_watchdog.notifiers import Notifier
from model_watchdog.probes import Probe
from model_watchdog.recoveries import Recovery
from model_watchdog.rollups import Kept
from model_watchdog.rules.expr import KIND as EXPRESSIONS

if TYPE_CHECKING:
    from model_watchdog.promql import Needs


@dataclass(frozen=True)
class ProbeConfig:
    """A probe with the options that every kind has."""

    name: str
    kind: str
    probe: Probe
    every: Seconds
    timeout: Seconds
    retry_every: Seconds


@dataclass(frozen=True)
class ServiceConfig:
    """A service: `core` is what decisions are made from, the rest is how it is watched and restarted."""

    core: Service
    probes: tuple[ProbeConfig, ...]
    recovery_kind: str
    recovery: Recovery
    container: str = ""

    @property
    def name(self) -> str:
        return self.core.name


@dataclass(frozen=True)
class HostConfig:
    probes: tuple[ProbeConfig, ...] = ()
    rules: tuple[Rule, ...] = ()
    common_cause: CommonCausePolicy | None = field(default_factory=CommonCausePolicy)

    @property
    def mounts(self) -> frozenset[str]:
        """The disks that its probes measure."""
        return frozenset(disk for probe in self.probes for disk in getattr(probe.probe, "disks", ()))


@dataclass(frozen=True)
class NotifierConfig:
    name: str
    kind: str
    notifier: Notifier
    min_severity: Severity = Severity.WARNING
    wishes: Route = field(default_factory=lambda: Route(""))

    @property
    def takes_each(self) -> bool:
        """Whether it is a machine, which is told of each alert by itself, and of its end."""
        return getattr(self.notifier, "takes_each", False)

    @property
    def route(self) -> Route:
        """What the router must know of it."""
        if self.takes_each:
            return MachineRoute(self.name, self.min_severity, self.wishes.services, self.wishes.quiet)
        return replace(self.wishes, name=self.name, min_severity=self.min_severity)


@dataclass(frozen=True)
class RecordConfig:
    """What the record keeps of each series: every sample for `raw`, and what is made of them by the minute and by the hour longer."""

    raw: Seconds = Seconds(86_400.0)
    minutes: Seconds = Seconds(30 * 86_400.0)
    hours: Seconds = Seconds(400 * 86_400.0)

    def __post_init__(self) -> None:
        if not 600 <= self.raw <= 31 * 86_400:
            raise ValueError("raw must lie between 10m and 31d")
        if not 3600 <= self.minutes <= 366 * 86_400:
            raise ValueError("minutes must lie between 1h and 366d")
        if not 86_400 <= self.hours <= 3650 * 86_400:
            raise ValueError("hours must lie between 1d and 3650d")

    @property
    def kept(self) -> Kept:
        """What the store must know of it."""
        return Kept(self.raw, self.minutes, self.hours)


@dataclass(frozen=True)
class Window:
    """In which nobody is told of these services: `for` so long from each moment of `cron`, or once, `from` one moment `until` another.

    Moments are written `2026-12-24 22:00`, in local time. With `pause` they are not restarted either.
    """

    services: tuple[str, ...]
    reason: str
    cron: str | None = None
    for_: Seconds | None = None
    from_: str | None = None
    until: str | None = None
    pause: bool = False

    def __post_init__(self) -> None:
        if (self.cron is None) == (self.from_ is None):
            raise ValueError("takes either cron and for, or from and until")
        if (self.cron is None) != (self.for_ is None) or (self.from_ is None) != (self.until is None):
            raise ValueError("takes either cron and for, or from and until")
        if self.for_ is not None and not 60 <= self.for_ <= 7 * 86_400:
            raise ValueError("for must lie between 1m and 7d")
        if self.from_ is not None and self.until is not None and read_moment(self.from_) >= read_moment(self.until):
            raise ValueError("until must lie after from")


@dataclass(frozen=True)
class Digest:
    """What was healed without a person is told `to` these notifiers, each day `at` that time (`every` so many whole days)."""

    to: tuple[str, ...]
    at: TimeOfDay = field(default_factory=lambda: TimeOfDay(9 * 3600))
    every: Seconds = Seconds(86_400.0)

    def __post_init__(self) -> None:
        if self.every < 86_400 or self.every % 86_400:
            raise ValueError("every must be a number of days, such as 1d or 7d")


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Day(str):
    """A day of the week, `mon`, or of the month, `1`."""

    @classmethod
    def parse(cls, written: object) -> "Day":
        """From what the YAML says. ValueError for anything else."""
        if written in WEEKDAYS or (isinstance(written, int) and not isinstance(written, bool) and 1 <= written <= 31):
            return cls(written)
        raise ValueError("a day is written like mon, or as a number from 1 to 31")

    @staticmethod
    def schema() -> dict[str, object]:
        """What the YAML may say, as a JSON Schema."""
        words = {"type": "string", "pattern": f"^({'|'.join(WEEKDAYS)})$|\\$\\{{"}
        return {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 31}, words]}

    def shown(self) -> str | int:
        """As the YAML would say it."""
        return int(self) if self.isdecimal() else str(self)


@dataclass(frozen=True)
class Report:
    """What a week or a month was like is sent `to` these notifiers, `at` that time of `day` (by default Monday, or the first)."""

    every: Literal["week", "month"]
    to: tuple[str, ...]
    at: TimeOfDay = field(default_factory=lambda: TimeOfDay(8 * 3600))
    day: Day | None = None
    language: Literal["en", "zh"] | None = None

    def __post_init__(self) -> None:
        if not self.to:
            raise ValueError("to must name at least one notifier")
        if self.day is not None and self.day.isdecimal() != (self.every == "month"):
            raise ValueError("day must be one of mon to sun for every: week, and a number from 1 to 31 for every: month")


@dataclass(frozen=True)
class Heartbeat:
    """A dead man's switch, which is told at `url` that the watchdog works, at `/start` behind it that it begins to, at `/fail` if not."""

    url: Url
    every: Seconds = Seconds(60.0)
    timeout: Seconds = Seconds(10.0)
    headers: Mapping[str, Secret] = field(default_factory=dict)
    bearer: Secret | None = None
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        if self.every < 0.1:
            raise ValueError("every must be at least 100ms")
        if self.timeout < 0.1:
            raise ValueError("timeout must be at least 100ms")


def read_moment(text: str) -> datetime:
    """`2026-12-24 22:00`, local time. Raises ValueError that says how it is written."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M")
    except ValueError:
        raise ValueError('from and until are written like "2026-12-24 22:00"') from None


@dataclass(frozen=True)
class Config:
    """The whole file, with what it includes (`included`). `warnings` are lines that `check` prints without failing."""

    path: Path
    services: Mapping[str, ServiceConfig]
    host: HostConfig
    notifiers: Mapping[str, NotifierConfig]
    language: str = "en"
    record: RecordConfig = RecordConfig()
    warnings: tuple[str, ...] = ()
    included: tuple[Path, ...] = ()
    maintenance: tuple[Window, ...] = ()
    digest: Digest | None = None
    heartbeat: Heartbeat | None = None
    rule_files: tuple[Path, ...] = ()
    report: Report | None = None

    @property
    def needs(self) -> "list[Needs]":
        """What the expressions look at."""
        probes = [*self.host.probes, *(probe for service in self.services.values() for probe in service.probes)]
        return [probe.probe.group.needs for probe in probes if probe.kind == EXPRESSIONS]  # type: ignore[attr-defined]

    @property
    def containers(self) -> dict[str, str]:
        """The container of each unit that runs one."""
        services = self.services.values()
        return {service.core.unit: service.container for service in services if service.core.unit and service.container}

    @property
    def longest_every(self) -> float:
        probes = [*self.host.probes, *(probe for service in self.services.values() for probe in service.probes)]
        return max((probe.every for probe in probes), default=30.0)
