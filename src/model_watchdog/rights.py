"""The right to restart each unit, proved in daylight: at the start, once a day, and often while it is missing.

`systemctl start` of a unit asks polkit the same question as a restart, and in the way it is asked here systemd starts nothing.
Besides: which systemd, the system's or a user's, does not answer.
"""

import asyncio
from collections.abc import Iterable, Mapping

from model_watchdog.core.commands import gain_right, lose_right
from model_watchdog.core.decision import Cause, Decision, Reason
from model_watchdog.core.host import HostState, set_condition, tell_rights
from model_watchdog.core.rule import Severity
from model_watchdog.core.unit import split_unit
from model_watchdog.hostwatch import HostWatch
from model_watchdog.means import Means
from model_watchdog.tick import Watch

UNREACHABLE = "systemd_unreachable"
EVERY = 86_400.0
WHILE_MISSING = 300.0
"""Seconds after which a right that is missing is asked for again: an operator who has installed it need not tell the daemon."""


class Rights:
    """Asks for all services, and tells what is missing, or back, in one message for all."""

    def __init__(self, watches: Mapping[str, Watch], host: HostWatch, means: Means) -> None:
        self._watches = watches
        self._host = host
        self._means = means

    async def prove_soon(self, names: Iterable[str] | None = None) -> None:
        """For these services, or all: as soon as every unit has been looked at, or after 5 s."""
        chosen = list(self._watches if names is None else names)
        units = [watch for name, watch in self._watches.items() if watch.service.unit and name in chosen]
        for _ in range(50):
            await asyncio.sleep(0.1)
            if all(watch.state.unit for watch in units):
                break
        await self.prove(chosen)

    async def prove_missing(self) -> None:
        """Once more for the services that lack it."""
        await self.prove([name for name, watch in self._watches.items() if _lacks(watch)])

    async def prove(self, names: Iterable[str] | None = None) -> None:
        """For these services, or all: those whose unit is up, and those that lack the right, for they may be down because of that."""
        found: dict[str, tuple[Watch, bool]] = {}
        for name in list(self._watches if names is None else names):
            watch = self._watches.get(name)  # a reload may have taken it out meanwhile
            unit = watch.state.unit if watch else None
            if (
                watch is None
                or watch.config.recovery_kind != "systemctl"
                or unit is None
                or watch.state.attempt
                or not (unit.is_up or _lacks(watch))
            ):
                continue
            may = await self._means.systemd.may_restart(unit.unit)
            if may is not None:
                found[name] = watch, may
        self._take({name: may for name, (watch, may) in found.items() if self._watches.get(name) is watch})

    def _take(self, found: Mapping[str, bool]) -> None:
        self._means.permitted.update(found)
        told = {name for name in found if Cause.NOT_PERMITTED.value in self._watches[name].state.told}
        self._tell("rights_missing", [name for name, may in found.items() if not may and name not in told])
        self._tell("rights_back", [name for name, may in found.items() if may and name in told])
        for name, may in found.items():
            watch = self._watches[name]
            lacked = _lacks(watch)
            watch.carry_out(gain_right(watch.state) if may else lose_right(watch.service, watch.state))
            if may and lacked:
                watch.measure_all()  # what could not be restarted may be now

    def _tell(self, about: str, names: list[str]) -> None:
        units = {name: self._watches[name].service.unit or "" for name in names}
        if units:
            self._host.carry_out(tell_rights(self._host.state, about, units))


def judge_managers(watches: Mapping[str, Watch], state: HostState) -> list[Decision]:
    """What is told of a systemd that has not answered three times in a row, the system's or a user's, and of its end."""
    silent: dict[str, str] = {}
    for watch in watches.values():
        if watch.service.unit and watch.state.unit_error and watch.state.unit_errors >= 3:
            silent.setdefault(split_unit(watch.service.unit)[0], watch.state.unit_error)
    known = {name.partition(" ")[2] for name in state.conditions if name.partition(" ")[0] == UNREACHABLE}
    decisions: list[Decision] = []
    for user in sorted(known | silent.keys()):
        params = {"detail": silent.get(user, ""), **({"user": user} if user else {})}
        reason = Reason("systemd_unreachable", params) if user in silent else None
        decisions += set_condition(state, f"{UNREACHABLE} {user}".rstrip(), reason, Severity.CRITICAL, Cause.CANNOT_ACT)
    return decisions


def _lacks(watch: Watch) -> bool:
    return Cause.NOT_PERMITTED in watch.state.problems
