"""Which systemd does not answer: told once for each manager, and ended when it answers again, or nothing is watched there any more."""

from types import SimpleNamespace
from typing import Any

from model_watchdog.core.decision import Notification
from model_watchdog.core.host import HostState
from model_watchdog.rights import judge_managers
from model_watchdog.wording import say


def watch(unit: str, error: str = "", errors: int = 3) -> Any:
    return SimpleNamespace(service=SimpleNamespace(unit=unit), state=SimpleNamespace(unit_error=error, unit_errors=errors if error else 0))


def told(state: HostState, *watches: Any) -> list[str]:
    decisions = judge_managers(dict(enumerate(watches)), state)  # type: ignore[arg-type]
    return [f"{one.about} {say(one.reason)}" for one in decisions if isinstance(one, Notification)]


def test_each_manager_that_is_silent_is_told_once_and_its_end_too() -> None:
    state = HostState()
    assert told(state, watch("a.service"), watch("alice/a.service", "no manager", 2)) == [], "once or twice is no news"
    silent = watch("alice/a.service", "no manager"), watch("alice/b.service", "no manager"), watch("bob/a.service")
    assert told(state, *silent) == ["cannot_act systemd cannot be asked: no manager"]
    assert told(state, *silent) == []
    assert told(state, watch("a.service", "the bus is down"), *silent) == ["cannot_act systemd cannot be asked: the bus is down"]
    assert list(state.conditions) == ["systemd_unreachable alice", "systemd_unreachable"]
    assert told(state, watch("a.service"), watch("bob/a.service")) == [
        "alert_resolved systemd_unreachable is over",
        "alert_resolved systemd_unreachable alice is over",
    ], "nothing of alice's is watched any more"
    assert state.conditions == {}
