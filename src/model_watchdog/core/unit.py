"""What systemd says of a unit."""

from dataclasses import dataclass
from enum import StrEnum


def split_unit(unit: str) -> tuple[str, str]:
    """Whose manager runs a unit ("": the system's), and its name there. One of a user's manager is `alice/model.service` everywhere."""
    user, _, name = unit.rpartition("/")
    return user, name


def for_systemctl(unit: str) -> str:
    """What stands for the unit in a command line of systemctl's; a user's manager is open to root there."""
    user, name = split_unit(unit)
    return f"--user -M {user}@ {name}" if user else name


def for_journalctl(unit: str) -> str:
    """What stands for the unit, its processes and systemd about it, in a command line of journalctl's."""
    user, name = split_unit(unit)
    return f"USER_UNIT={name} + _SYSTEMD_USER_UNIT={name}" if user else f"-u {name}"


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """One `systemctl show` of one unit. Times are steady seconds (systemd's CLOCK_MONOTONIC), None where systemd has none."""

    unit: str
    at: float
    load: str = "loaded"  # loaded, not-found, masked, bad-setting, error
    active: str = "active"  # active, reloading, inactive, failed, activating, deactivating
    sub: str = "running"
    result: str = "success"
    main_pid: int = 0
    invocation: str = ""
    exit_code: int = 0  # ExecMainCode: 1 exited, 2 killed, 3 dumped
    exit_status: int = 0  # exit code or signal number
    restarts: int = 0  # NRestarts: systemd's own
    job: int = 0  # a queued job's id, 0 for none
    inactive_exit_at: float | None = None
    active_exit_at: float | None = None
    inactive_enter_at: float | None = None
    last_pid: int = 0  # of the main process that runs, or was the last to run
    main_start_at: float | None = None
    main_exit_at: float | None = None
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    tasks: int | None = None
    cgroup: str = ""
    containers: tuple[str, ...] = ()  # groups of containers that count as the unit's
    container_error: str = ""  # why a container that should be there is not found
    timeout_start: float = 90.0  # inf where the unit says infinity
    timeout_stop: float = 90.0

    @property
    def groups(self) -> tuple[str, ...]:
        """The control groups whose processes are the service's; none lies in another."""
        groups = [group.rstrip("/") for group in (self.cgroup, *self.containers) if group.strip("/")]
        return tuple(group for group in groups if not any(group.startswith(f"{other}/") for other in groups))

    @property
    def is_up(self) -> bool:
        return self.active in ("active", "reloading", "refreshing")

    @property
    def is_down(self) -> bool:
        return self.active in ("inactive", "failed")

    @property
    def is_between(self) -> bool:
        """Down, but a job for it is queued: what an operator's `systemctl restart` looks like between its stop and its start."""
        return self.is_down and self.job != 0

    @property
    def is_gone(self) -> bool:
        """Down, for good or until systemd's own Restart=: whoever answers in its place now is somebody else."""
        return self.is_down or self.waits_for_systemd

    @property
    def is_missing(self) -> bool:
        """There is no unit file that systemd could start it from."""
        return self.load in ("not-found", "bad-setting", "error")

    @property
    def waits_for_systemd(self) -> bool:
        """systemd's own Restart= has its turn: the unit waits for RestartSec, or the job for it is queued."""
        return self.active == "activating" and self.sub.startswith("auto-restart")

    @property
    def told_to_stop(self) -> bool:
        """It left the active state before its main process ended: something told it to stop (or a time-out did).

        A crash goes the other way round. This is what lets a crash be restarted without asking the journal.
        """
        return self.main_exit_at is None or (self.active_exit_at is not None and self.active_exit_at < self.main_exit_at)


class Ending(StrEnum):
    """Why a unit is not running, as far as the journal proves it."""

    OPERATOR_STOP = "operator_stop"
    DEPENDENCY_FAILED = "dependency_failed"
    NEVER_STARTED = "never_started"
    BY_ITSELF = "by_itself"
    NOT_PROVED = "not_proved"  # the journal cannot be read


@dataclass(frozen=True, slots=True)
class Ended:
    """An ending with what there is to say about it (the dependency's name, who stopped it)."""

    ending: Ending
    detail: str = ""
