"""What can be measured. One file a kind; no file imports another.

A kind is a frozen dataclass named like its file (`http.py`: `Http`), whose fields are its YAML options, with
`open(surroundings)`, which gives what is run again and again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from model_watchdog.core.decision import Reason
from model_watchdog.core.gpu import Gpu
from model_watchdog.core.unit import UnitFacts

if TYPE_CHECKING:
    from model_watchdog.feeding import Feed
    from model_watchdog.gpuview import GpuHolder
    from model_watchdog.systemd import UnitReader

Measurement = tuple[str, Mapping[str, str], float]
"""Metric, labels beyond `service` and `probe`, value."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a run that got an answer found. `detail` is for a person; `facts` only from the probe `unit`, `gpus` from `nvml`.

    `news` happened once and is told once.
    """

    measurements: Sequence[Measurement] = ()
    detail: str = ""
    facts: UnitFacts | None = None
    gpus: tuple[Gpu, ...] | None = None
    news: tuple[Reason, ...] = ()


class Notebook:
    """One text that a probe keeps beyond the daemon's own life; this one only until it is closed."""

    def __init__(self) -> None:
        self._text: str | None = None

    def get(self) -> str | None:
        """What was kept last, or None."""
        return self._text

    def set(self, text: str) -> None:
        self._text = text


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a probe may use. `timeout` is its total deadline in seconds, held by the tick as well; `gpus` the newest view of them."""

    service: str | None
    unit: str | None
    timeout: float
    units: "UnitReader"
    gpus: "GpuHolder | None" = None
    notes: Notebook = field(default_factory=Notebook)
    feed: "Feed | None" = None


class Running(Protocol):
    """An opened probe.

    It may have `troubles: Mapping[str, Reason]`: what is wrong with the sensor itself after its last run, or with what it looks at
    and cannot measure, each under a name of its own. They are told as alerts of those names, and so is their end.
    """

    async def observe(self) -> Observation:
        """Asks once. Raises `ProbeError` (failure, detail, and `measurements` where some were made) when the target is bad."""

    async def close(self) -> None:
        """Gives back what it holds."""


class Probe(Protocol):
    """A probe as configured."""

    def open(self, surroundings: Surroundings) -> Running:
        """Opens nothing that can fail or block."""
