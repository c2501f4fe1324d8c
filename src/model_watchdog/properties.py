"""What `systemctl show` prints of a unit, as facts."""

import re
from collections.abc import Mapping

from model_watchdog.core.unit import UnitFacts

PROPERTIES = (
    "Id,Names,LoadState,ActiveState,SubState,Result,MainPID,InvocationID,ExecMainCode,ExecMainStatus,NRestarts,Job,"
    "InactiveExitTimestampMonotonic,ActiveExitTimestampMonotonic,InactiveEnterTimestampMonotonic,"
    "ExecMainPID,ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic,CPUUsageNSec,MemoryCurrent,TasksCurrent,ControlGroup,TimeoutStartUSec,TimeoutStopUSec"
)
_NOT_SET = {"", "[not set]", "[no data]", str(2**64 - 1)}
_SPAN = re.compile(r"([0-9.]+)\s*(y|month|w|d|h|min|s|ms|us|µs)?(?:\s+|$)")
_UNITS = {
    "y": 31557600.0,
    "month": 2629800.0,
    "w": 604800.0,
    "d": 86400.0,
    "h": 3600.0,
    "min": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
}


def parse_span(text: str) -> float:
    """Seconds of a duration as systemd prints it: `1min 30s`, `1d 1h 1.500000s`, `infinity`, `0`. ValueError for anything else."""
    text = text.strip()
    if text == "infinity":
        return float("inf")
    seconds, place = 0.0, 0
    while place < len(text):
        part = _SPAN.match(text, place)
        if not part:
            raise ValueError(f'"{text}" is not a duration of systemd')
        seconds += float(part.group(1)) * _UNITS[part.group(2) or "us"]
        place = part.end()
    return seconds


def read_blocks(output: bytes) -> list[dict[str, str]]:
    """The properties of each unit, in the order in which the units were asked for: an empty line lies between two."""
    blocks = output.decode(errors="replace").strip("\n").split("\n\n")
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks if block]


def to_facts(unit: str, block: Mapping[str, str], at: float) -> UnitFacts:
    """One unit's facts. `at` is the steady time at which systemd was asked, which is before it answered."""
    cpu = _to_number(block.get("CPUUsageNSec", ""))
    return UnitFacts(
        unit=unit,
        at=at,
        load=block.get("LoadState", "loaded"),
        active=block.get("ActiveState", "inactive"),
        sub=block.get("SubState", "dead"),
        result=block.get("Result", "success"),
        main_pid=_to_number(block.get("MainPID", "")) or 0,
        invocation=block.get("InvocationID", ""),
        exit_code=_to_number(block.get("ExecMainCode", "")) or 0,
        exit_status=_to_number(block.get("ExecMainStatus", "")) or 0,
        restarts=_to_number(block.get("NRestarts", "")) or 0,
        job=_to_number(block.get("Job", "")) or 0,
        inactive_exit_at=_to_moment(block.get("InactiveExitTimestampMonotonic", "")),
        active_exit_at=_to_moment(block.get("ActiveExitTimestampMonotonic", "")),
        inactive_enter_at=_to_moment(block.get("InactiveEnterTimestampMonotonic", "")),
        last_pid=_to_number(block.get("ExecMainPID", "")) or 0,
        main_start_at=_to_moment(block.get("ExecMainStartTimestampMonotonic", "")),
        main_exit_at=_to_moment(block.get("ExecMainExitTimestampMonotonic", "")),
        cpu_seconds=None if cpu is None else cpu / 1e9,
        memory_bytes=_to_number(block.get("MemoryCurrent", "")),
        tasks=_to_number(block.get("TasksCurrent", "")),
        cgroup=block.get("ControlGroup", ""),
        timeout_start=_to_seconds(block.get("TimeoutStartUSec", "")),
        timeout_stop=_to_seconds(block.get("TimeoutStopUSec", "")),
    )


def _to_number(text: str) -> int | None:
    return int(text) if text not in _NOT_SET and text.isdigit() else None


def _to_moment(text: str) -> float | None:
    """Microseconds of CLOCK_MONOTONIC as steady seconds; 0 is systemd's "never"."""
    microseconds = _to_number(text)
    return microseconds / 1e6 if microseconds else None


def _to_seconds(text: str) -> float:
    try:
        return parse_span(text) if text else 90.0
    except ValueError:
        return 90.0
