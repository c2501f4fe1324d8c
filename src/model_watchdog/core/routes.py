"""Who is told of what, and when: the policies of a notifier, and what keeps people from being told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import ClassVar

from model_watchdog.core.rule import Severity
from model_watchdog.core.units import Seconds

EVERYTHING = "*"
"""The pattern that covers the host, too."""
STANDING = "cannot "
"""How the name of a matter begins that ends with its incident, and not by a message of its own."""
DENIED = f"{STANDING}not_permitted"
RIGHT = "right "
"""How the matters of the host begin that are rights to restart; the service comes after it."""
HOST = "host"
"""What stands for the host in a list of services."""


class TimeOfDay(float):
    """A time of the local day, `22:00` in the YAML, as seconds."""

    @classmethod
    def parse(cls, written: object) -> "TimeOfDay":
        """From what the YAML says. ValueError for anything else."""
        hours, colon, minutes = str(written).partition(":")
        is_time = isinstance(written, str) and colon and len(minutes) == 2 and hours.isdecimal() and minutes.isdecimal()
        if not is_time or int(hours) > 23 or int(minutes) > 59:
            raise ValueError('a time of day is written in quotes, like "22:00"')
        return cls(int(hours) * 3600 + int(minutes) * 60)

    @staticmethod
    def schema() -> dict[str, object]:
        """What the YAML may say, as a JSON Schema."""
        return {"type": "string", "pattern": r"^([01]?[0-9]|2[0-3]):[0-5][0-9]$|\$\{"}

    def shown(self) -> str:
        """As the YAML would say it."""
        return f"{int(self) // 3600:02}:{int(self) % 3600 // 60:02}"


Topic = tuple[str | None, str]
"""What a message is about: a service (None is the host), and a matter of it."""


class Kind(StrEnum):
    """What a message says of its matter: that something is wrong, that it is over, or neither."""

    OPENS = "opens"
    CLOSES = "closes"
    ONCE = "once"


@dataclass(frozen=True, slots=True)
class Notice:
    """A message, as far as it matters for who is told when.

    `matters` names what it is about: that which opens a matter and that which closes it have the same name. A name that ends in `*` is
    any one of that beginning; no name at all, in what closes, is every matter of the service. `incident` is None for what belongs to none.
    """

    key: str
    kind: Kind
    severity: Severity
    service: str | None
    matters: tuple[str, ...] = ()
    incident: int | None = None
    title: str = ""


_OPENING = ("alert_fired", "gave_up", "cannot_act", "rights_missing")
_CLOSING = ("alert_resolved", "back", "rights_back", "not_watched")


def find_kind(about: str) -> Kind:
    """What a notification says of its matter."""
    return Kind.OPENS if about in _OPENING else Kind.CLOSES if about in _CLOSING else Kind.ONCE


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of the night in which nobody is told anything `unless` it is that severe: it waits for their end."""

    from_: TimeOfDay
    until: TimeOfDay
    unless: Severity | None = None

    def covers(self, second: float, severity: Severity) -> bool:
        """Whether a message of that severity waits at this second of the day."""
        if self.unless is not None and severity.rank >= self.unless.rank:
            return False
        if self.from_ <= self.until:
            return self.from_ <= second < self.until
        return second >= self.from_ or second < self.until


@dataclass(frozen=True, slots=True)
class Escalation:
    """After so many seconds in which nobody has acknowledged an incident, `to` is told."""

    after: Seconds
    to: str


@dataclass(frozen=True, slots=True)
class Route:
    """A notifier's wishes. `services` are patterns; none means everything. `repeat_every` None: an incident is told once."""

    takes_each: ClassVar[bool] = False

    name: str
    min_severity: Severity = Severity.WARNING
    services: tuple[str, ...] = ()
    quiet: Quiet | None = None
    group_wait: Seconds = Seconds(0.0)
    repeat_every: Seconds | None = None
    escalate: Escalation | None = None

    def __post_init__(self) -> None:
        if self.repeat_every is not None and self.repeat_every < 10:
            raise ValueError("repeat_every must be at least 10s")
        if self.group_wait > 600:
            raise ValueError("group_wait must be at most 10m")

    def is_quiet(self, second: float, severity: Severity) -> bool:
        """Whether its quiet hours keep a message of that severity from it at this second of the day."""
        return self.quiet is not None and self.quiet.covers(second, severity)

    def admits(self, notice: Notice) -> bool:
        """Whether it wants to hear of it at all."""
        if notice.severity.rank < self.min_severity.rank:
            return False
        return not self.services or is_covered(self.services, notice.service)


def is_covered(patterns: Sequence[str], service: str | None) -> bool:
    """Whether a service, or the host (None), is meant by one of the patterns."""
    if service is None:
        return EVERYTHING in patterns or HOST in patterns
    return any(fnmatchcase(service, pattern) for pattern in patterns)


@dataclass(frozen=True)
class MachineRoute(Route):
    """Of one that takes each alert and its end by itself: nothing is held together for it."""

    takes_each: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody is told of these services until then (steady seconds). Everything goes on but the telling."""

    id: str
    services: tuple[str, ...]
    until: float
    reason: str
    uid: int = 0
    since: float = 0.0

    def covers(self, service: str | None) -> bool:
        return is_covered(self.services, service)


@dataclass(slots=True)
class Acknowledged:
    """Somebody has taken an incident on: when (steady seconds), who, and what was said."""

    at: float
    uid: int
    reason: str = ""


@dataclass(slots=True)
class Thread:
    """An incident as it is told: whose it is (None: the host's), since when, and the incident that it follows from.

    `hint` names its root, where that is known at once; `is_over` when nothing of it is left.
    """

    id: int
    service: str | None
    opened: float
    parent: int = 0
    hint: str = ""
    is_over: bool = False


@dataclass(slots=True)
class Threads:
    """All incidents that are open, or were until a short while ago, and which of them have one root."""

    known: dict[int, Thread] = field(default_factory=dict)

    def root(self, incident: int) -> int:
        """The incident that it follows from in the end; itself where it follows from none."""
        while incident in self.known and self.known[incident].parent:
            incident = self.known[incident].parent
        return incident

    def family(self, incident: int) -> list[Thread]:
        """All that have the same root, the root first."""
        root = self.root(incident)
        return sorted((thread for thread in self.known.values() if self.root(thread.id) == root), key=lambda thread: thread.id != root)

    def is_wide(self, incident: int) -> bool:
        """Whether it is of more than one service."""
        return len({thread.service for thread in self.family(incident)}) > 1
