"""What is known of the telling: what each notifier was told and what waits for it, who has acknowledged what, and what is silenced."""

from dataclasses import dataclass, field
from enum import StrEnum

from model_watchdog.core.routes import Acknowledged, Notice, Silence, Threads, Topic
from model_watchdog.core.rule import Severity


class Why(StrEnum):
    """Why a message is not sent now."""

    SILENCE = "silence"
    QUIET = "quiet"
    WAIT = "wait"
    TOGETHER = "together"


@dataclass(slots=True)
class Held:
    """A message that waits, since `at`; `matters` are those that are not over yet, where it opens any.

    What `is_behind` is the end of another that waits: it goes with that one, or not at all.
    """

    notice: Notice
    at: float
    why: Why
    matters: tuple[str, ...] = ()
    is_behind: bool = False


@dataclass(slots=True)
class Told:
    """A matter that a notifier was told of, and not yet that it is over."""

    service: str | None
    matter: str
    incident: int | None
    severity: Severity
    title: str
    at: float


@dataclass(slots=True)
class Pace:
    """When a notifier was first and last told of an incident, and how often it was reminded; `escalated`: so was another."""

    first: float
    last: float
    reminded: int = 0
    reminded_at: float = 0.0
    escalated: bool = False


@dataclass(slots=True)
class Lane:
    """What one notifier was told, and what waits for it (by key)."""

    held: dict[str, Held] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    paces: dict[int, Pace] = field(default_factory=dict)


@dataclass(slots=True)
class Telling:
    """All that is known. `trusts` that matters which nobody knows were told: by an older version, which kept no account of it."""

    lanes: dict[str, Lane] = field(default_factory=dict)
    threads: Threads = field(default_factory=Threads)
    silences: dict[str, Silence] = field(default_factory=dict)
    acks: dict[int, Acknowledged] = field(default_factory=dict)
    numbered: int = 0
    trusts: bool = False
    of_host: dict[str, int] = field(default_factory=dict)  # the host's matters, and the incidents that they are


@dataclass(frozen=True, slots=True)
class Send:
    """These messages are sent now; more than one are sent as one, which has the name `bundle`. `ended`: as in `Hold`."""

    notifier: str
    keys: tuple[str, ...]
    bundle: str = ""
    ended: tuple[Topic, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """It is to be sent later. `ended` is what it says to be over, as far as the notifier was told of it."""

    notifier: str
    key: str
    why: Why
    ended: tuple[Topic, ...] = ()


@dataclass(frozen=True, slots=True)
class Drop:
    """It is never sent there."""

    notifier: str
    key: str
    why: Why


@dataclass(frozen=True, slots=True)
class Remind:
    """A message of its own: an incident goes on (`is_escalation`: and nobody has acknowledged it), told since `at`."""

    notifier: str
    key: str
    incident: int
    severity: Severity
    titles: tuple[str, ...]
    at: float
    is_escalation: bool = False
    asked: str = ""  # the notifier that was told, and where nobody has answered


@dataclass(frozen=True, slots=True)
class End:
    """What the notifier was told has ended with its incident. People are told nothing of it by itself."""

    notifier: str
    incident: int
    ended: tuple[Topic, ...]


Action = Send | Hold | Drop | Remind | End
