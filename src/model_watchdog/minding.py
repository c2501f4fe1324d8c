"""What is looked at besides the services: who is to be told what now, maintenance, digest and report, the dead man's switch."""

from typing import TYPE_CHECKING

from model_watchdog import maintenance
from model_watchdog.config.model import Heartbeat
from model_watchdog.core.decision import Cause, Decision, Reason
from model_watchdog.core.host import set_condition
from model_watchdog.core.rule import Severity
from model_watchdog.digest import Digests
from model_watchdog.heartbeat import Heart
from model_watchdog.reporting import Reports

if TYPE_CHECKING:
    from model_watchdog.daemon import Daemon

WINDOWS_EVERY, DIGEST_EVERY = 5, 60
"""Beats, a second each."""


class Minding:
    """Looks with each beat of the daemon."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self._digests = Digests(daemon)
        self._reports = Reports(daemon)
        self._heart: Heart | None = None
        self._heartbeat: Heartbeat | None = None

    def look(self, number: int) -> None:
        """At the `number`-th beat, from 0 on."""
        daemon = self._daemon
        if number % WINDOWS_EVERY == 0 and (daemon.config.maintenance or daemon.means.teller.router.windows):
            maintenance.look(daemon)
        daemon.means.teller.look()
        if number % DIGEST_EVERY == 0:
            self._digests.look()
            self._reports.look()
        if daemon.config.heartbeat != self._heartbeat:
            self._heartbeat = daemon.config.heartbeat
            daemon.spawn(self._follow(self._heartbeat))

    async def close(self) -> None:
        if self._heart is not None:
            await self._heart.close()

    def judge_notifiers(self) -> list[Decision]:
        """A provider that refuses the credentials is shown in `status`: who would be told of it may be the one that cannot be."""
        decisions: list[Decision] = []
        state = self._daemon.host.state
        judged = self._daemon.outbox.misconfigured
        gone = [name.partition(" ")[2] for name in state.conditions if name.startswith("notifier_misconfigured ")]
        judged.update({name: None for name in gone if name not in self._daemon.config.notifiers})
        for name, error in judged.items():
            reason = Reason("notifier_misconfigured", {"notifier": name, "detail": error}) if error else None
            about = f"notifier_misconfigured {name}"
            decisions += set_condition(state, about, reason, Severity.WARNING, Cause.CANNOT_ACT, told=False)
        return decisions

    async def _follow(self, heartbeat: Heartbeat | None) -> None:
        await self.close()
        self._heart = None
        if heartbeat is not None and not self._daemon.dry_run and not self._daemon.stopping.is_set():
            self._heart = Heart(heartbeat, self._daemon.overdue)
            self._heart.open()
