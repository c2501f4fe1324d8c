"""The configuration as understood: plain values, every default filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from model_watchdog.core.common import CommonCausePolicy
from model_watchdog.core.routes import Route
from model_watchdog.core.rule import Rule, Severity
from model_watchdog.core.state import Service
from model_watchdog.core.units import Seconds
from model_watchdog.notifiers import Notifier
from model_watchdog.probes import Probe
from model_watchdog.recoveries import Recovery


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
    def route(self) -> Route:
        """What the router must know of it."""
        return replace(self.wishes, name=self.name, min_severity=self.min_severity)


@dataclass(frozen=True)
class RecordConfig:
    """What the record keeps: every sample for `raw`."""

    raw: Seconds = Seconds(86_400.0)

    def __post_init__(self) -> None:
        if not 600 <= self.raw <= 31 * 86_400:
            raise ValueError("raw must lie between 10m and 31d")


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

    @property
    def longest_every(self) -> float:
        probes = [*self.host.probes, *(probe for service in self.services.values() for probe in service.probes)]
        return max((probe.every for probe in probes), default=30.0)
