"""What is written down of a service: every decision, and how things stand after it."""

import json
import logging
from collections.abc import Iterable

from model_watchdog import writes as record
from model_watchdog.core.decision import Cause, Concluded, Decision, Event, Restart
from model_watchdog.core.memory import remember
from model_watchdog.core.state import Incident, Service, ServiceState
from model_watchdog.core.unit import split_unit
from model_watchdog.means import Means
from model_watchdog.snapshot import describe_watched, log_line, tell_story
from model_watchdog.telling import RULE
from model_watchdog.wording import compose, say
from model_watchdog.writes import Write

log = logging.getLogger(__name__)


class Book:
    """Knows what is in the record of one service already, so that nothing is written twice."""

    def __init__(self, state: ServiceState, means: Means) -> None:
        self._means = means
        self._kept = ""
        self._incident: int | None = state.incident.id if state.incident else None

    def begin_anew(self) -> None:
        """The record has begun anew: nothing is in it."""
        self._kept, self._incident = "", None

    def write_down(
        self, service: Service, state: ServiceState, decisions: Iterable[Decision], closing: Incident | None, last_log: str
    ) -> list[Write]:
        """One transaction: events, restarts, incident, messages, the state to be recalled and the status to be shown.

        `closing` is the incident that this step may have closed, `last_log` the last line that the service wrote.
        """
        means, name, wall = self._means, service.name, self._means.clock.wall()
        incident = state.incident.id if state.incident else None
        about = state.incident or closing
        writes = self._open_incident(service, state, wall)
        for decision in decisions:
            if isinstance(decision, Event):
                cause = decision.cause.value if decision.cause else None
                log.info(*log_line(name, decision))
                writes.append(
                    record.event(wall, name, decision.event, cause, say(decision.reason), incident or self._incident, decision.matter)
                )
            elif isinstance(decision, Restart):
                cause = decision.cause.value if decision.cause else None
                writes.append(record.restart_intent(decision.attempt, name, wall, decision.actor.value, cause, say(decision.reason)))
                means.next_id = max(means.next_id, decision.attempt + 1)
            elif isinstance(decision, Concluded):
                writes.append(record.restart_result(decision.attempt, decision.result, say(decision.reason), wall))
            else:
                message = compose(decision, tell_story(service, state, closing, means.clock, means.hostname, last_log))
                writes += means.teller.take(decision, message, name, about.id if about else None)
        writes += self._close_incident(state.incident, wall)
        writes += self._write_state(service, state, wall)
        return writes

    def _open_incident(self, service: Service, state: ServiceState, wall: float) -> list[Write]:
        """Before the messages of it: they belong to what it follows from."""
        incident, means, writes = state.incident, self._means, list[Write]()
        if incident is None:
            return []
        if incident.id != self._incident:
            means.next_id = max(means.next_id, incident.id + 1)
            at = means.clock.to_wall(incident.opened_at)
            writes.append(record.incident_open(incident.id, service.name, at, say(incident.reason)))
            writes += means.teller.write_root(incident.id)  # known where the record has begun anew
        return writes + means.teller.open(incident.id, service.name, self._find_hint(service, state))

    def _find_hint(self, service: Service, state: ServiceState) -> str:
        """What is known at once of what is behind it: a rule of the host, or a unit that it needs; else its own unit, which others need."""
        rule = self._means.gpus.inhibits(service.name) or self._means.inhibited()
        if rule:
            return f"{RULE}{rule}"
        if state.cause is Cause.DEPENDENCY_FAILED and state.reason.params.get("dependency"):
            user = split_unit(service.unit or "")[0]  # whose manager has both
            return f"unit:{user}{'/' if user else ''}{state.reason.params['dependency']}"
        return f"unit:{service.unit}" if service.unit else ""

    def _close_incident(self, incident: Incident | None, wall: float) -> list[Write]:
        before, self._incident = self._incident, incident.id if incident else None
        if before is None or before == self._incident:
            return []
        return [record.incident_close(before, wall), *self._means.teller.end(before)]

    def _write_state(self, service: Service, state: ServiceState, wall: float) -> list[Write]:
        clock, name = self._means.clock, service.name
        entry, firing = describe_watched(service, state, clock)
        alerts = json.dumps(firing)
        writes = [record.service_status(name, json.dumps(entry), wall)]
        durable = json.dumps(remember(state))
        if durable + alerts != self._kept:
            self._kept = durable + alerts
            writes.append(record.alerts(name, alerts))
            if not self._means.dry_run:  # what a dry run would have told is not told
                writes.append(record.service_state(name, f"[{json.dumps(clock.anchor())}, {durable}]"))
        return writes
