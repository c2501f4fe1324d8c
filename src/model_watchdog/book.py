"""What is written down of a service: every decision, and how things stand after it."""

import json
import logging
from collections.abc import Iterable

from model_watchdog import writes as record
from model_watchdog.core.decision import Concluded, Decision, Event, Restart
from model_watchdog.core.memory import remember
from model_watchdog.core.state import Incident, Service, ServiceState
from model_watchdog.means import Means
from model_watchdog.snapshot import describe_watched, log_line, tell_story
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
        writes: list[Write] = []
        for decision in decisions:
            if isinstance(decision, Event):
                cause = decision.cause.value if decision.cause else None
                log.info(*log_line(name, decision))
                writes.append(record.event(wall, name, decision.event, cause, say(decision.reason), incident or self._incident))
            elif isinstance(decision, Restart):
                cause = decision.cause.value if decision.cause else None
                writes.append(record.restart_intent(decision.attempt, name, wall, decision.actor.value, cause, say(decision.reason)))
                means.next_id = max(means.next_id, decision.attempt + 1)
            elif isinstance(decision, Concluded):
                writes.append(record.restart_result(decision.attempt, decision.result, say(decision.reason), wall))
            else:
                writes += means.outbox.writes_for(
                    compose(decision, tell_story(service, state, closing, means.clock, means.hostname, last_log))
                )
        writes += self._write_incident(name, state.incident, wall)
        writes += self._write_state(service, state, wall)
        return writes

    def _write_incident(self, name: str, incident: Incident | None, wall: float) -> list[Write]:
        before, self._incident = self._incident, incident.id if incident else None
        writes = []
        if before is not None and before != self._incident:
            writes.append(record.incident_close(before, wall))
        if incident is not None and before != incident.id:
            self._means.next_id = max(self._means.next_id, incident.id + 1)
            at = self._means.clock.to_wall(incident.opened_at)
            writes.append(record.incident_open(incident.id, name, at, say(incident.reason)))
        return writes

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
