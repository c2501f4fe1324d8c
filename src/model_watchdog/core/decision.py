"""What the core decides: plain values that the shell carries out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from model_watchdog.core.rule import Severity


class State(StrEnum):
    LOADING = "loading"
    HEALTHY = "healthy"
    BUSY = "busy"
    DEGRADED = "degraded"
    STALLED = "stalled"
    UNHEALTHY = "unhealthy"
    DEAD = "dead"
    SLEEPING = "sleeping"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class Cause(StrEnum):
    """The closed list of causes; it grows only on purpose."""

    HEALTH_REFUSED = "health_refused"
    HEALTH_TIMEOUT = "health_timeout"
    HEALTH_STATUS = "health_status"
    HEALTH_BODY = "health_body"
    HEALTH_TLS = "health_tls"
    HEALTH_DNS = "health_dns"
    HEALTH_PROTOCOL = "health_protocol"
    HEALTH_CONNECTION_LOST = "health_connection_lost"
    ENDED_BY_ITSELF = "ended_by_itself"
    CRASHED = "crashed"
    OOM_KILLED = "oom_killed"
    NEVER_STARTED = "never_started"
    DEPENDENCY_FAILED = "dependency_failed"
    START_FAILED = "start_failed"
    START_TIMEOUT = "start_timeout"
    START_LIMIT = "start_limit"
    UNIT_MISSING = "unit_missing"
    MASKED = "masked"
    OPERATOR_STOP = "operator_stop"
    STOPPED_NOT_PROVED = "stopped_not_proved"
    NOT_PERMITTED = "not_permitted"
    CANNOT_ACT = "cannot_act"
    HOST_STOPPING = "host_stopping"
    OLD_PROCESS_LEFT = "old_process_left"
    RECORD_UNWRITABLE = "record_unwritable"
    STALLED = "stalled"
    CANARY_FAILED = "canary_failed"
    CANARY_WRONG = "canary_wrong"
    EVIDENCE_MISSING = "evidence_missing"
    FLAPPING = "flapping"
    FLAPPING_UNDER_SYSTEMD = "flapping_under_systemd"


class Actor(StrEnum):
    """Who asked for a restart."""

    WATCHDOG = "watchdog"
    TRIAL = "trial"
    OPERATOR = "operator"


Param = str | float | int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, as a key of `wording` and what goes into its sentence."""

    key: str
    params: Mapping[str, Param] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the service now. `attempt` is the row of the intent."""

    attempt: int
    actor: Actor
    cause: Cause | None
    reason: Reason
    clear_start_limit: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for the record and the journal. Of an alert, `matter` is its key: the rule's name, and the series."""

    event: str
    cause: Cause | None
    reason: Reason
    matter: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Notification:
    """Something that people are told. `key` is the same whenever the same event is told; `about` names the wording.

    `matters` name what it is about (see `routes.Notice`): what says that something is over has the names of what said that it began.
    """

    key: str
    severity: Severity
    about: str
    cause: Cause | None
    reason: Reason
    params: Mapping[str, Param] = field(default_factory=dict)
    matters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Concluded:
    """An attempt has ended: `recovered`, `failed`, `withdrawn` (never made) or `interrupted`."""

    attempt: int
    result: str
    reason: Reason


Decision = Restart | Event | Notification | Concluded
