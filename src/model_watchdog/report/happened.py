"""What the record says happened in the period: events, restarts and incidents, read in a few questions, whatever their number."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from model_watchdog.record import Record
from model_watchdog.report.period import Period
from model_watchdog.report.timeline import STATES
from model_watchdog.status import parse_rfc3339

Row = dict[str, Any]

OF_THE_DAEMON = ("daemon_started", "daemon_stopped", "daemon_died", "host_slept", "held_up")
OF_A_RUN = ("daemon_started", "daemon_stopped")
ALERTS = ("alert_fired", "alert_resolved")
NOTICED = ("incident_opened", "alert_fired", "restart_started", "trial_started", "not_restarted", "gave_up")
"""Events of a service that show that an outage was noticed: something was done about it, or people were told."""
PAGE = 5000


@dataclass
class Happened:
    """Events oldest first, by service (None: the host); `before` is each service's last state before the period.

    `paused` are those that were paused then, `ran` says whether a daemon ran (None: not known).
    """

    events: dict[str | None, list[Row]] = field(default_factory=lambda: defaultdict(list))
    before: dict[str, Row] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    ran: bool | None = None
    causes: dict[int, str | None] = field(default_factory=dict)
    roots: dict[int, int] = field(default_factory=dict)
    restarts: list[Row] = field(default_factory=list)

    def select(self, service: str | None, names: tuple[str, ...]) -> list[Row]:
        """The events of these names."""
        return [row for row in self.events.get(service, ()) if row["event"] in names]

    @property
    def services(self) -> set[str]:
        """All that the events of the period, or before it, tell of."""
        return {name for name in self.events if name} | {name for name in self.before if name}


def read_happened(record: Record, period: Period) -> Happened:
    """All of it. Of alerts only those events have a `matter` that were written since the record keeps it."""
    found = Happened()
    columns = "id, at, service, event, cause, reason, incident, matter"
    last = 0
    while rows := record.rows(
        f"SELECT {columns} FROM event WHERE id > ? AND at >= ? AND at < ? ORDER BY id LIMIT {PAGE}", last, period.since, period.until
    ):
        last = rows[-1]["id"]
        for row in rows:
            found.events[row["service"]].append(row)
            if row["event"] == "incident_opened" and row["incident"] is not None:
                found.causes[row["incident"]] = row["cause"]
    for known in found.events.values():
        known.sort(key=lambda row: row["at"])  # the wall clock may have been set back
    _read_before(record, period.since, found)
    found.roots = {row["id"]: row["root"] or row["id"] for row in record.rows("SELECT id, root FROM incident")}
    query = "SELECT id, service, at, actor, cause, reason, result, detail, ended_at FROM restart WHERE at >= ? AND at < ? ORDER BY id"
    found.restarts = record.rows(query, period.since, period.until)
    return found


def read_states(record: Record, period: Period) -> Happened:
    """Only what tells of states and of the daemon's own runs: what a timeline is made of, for much less."""
    found = Happened()
    names = (*STATES, "paused", "resumed", "not_watched", *OF_THE_DAEMON)
    query = f"SELECT id, at, service, event, cause FROM event WHERE at >= ? AND at < ? AND event IN ({', '.join('?' * len(names))})"
    for row in sorted(record.rows(query, period.since, period.until, *names), key=lambda row: float(row["at"])):
        found.events[row["service"]].append(row)
    _read_before(record, period.since, found)
    return found


def recall_states(found: Happened, services: Iterable[Row]) -> None:
    """Of a service that has been in its state for so long that no event tells of it any more, how it stands now tells."""
    for service in services:
        name, state, text = service["name"], service.get("state"), service.get("since")
        if name in found.before or state not in STATES or not text or found.select(name, STATES):
            continue
        row = {"at": parse_rfc3339(text), "service": name, "event": state, "cause": service.get("cause")}
        found.events[name] = sorted([*found.events[name], row], key=lambda one: float(one["at"]))


def _read_before(record: Record, since: float, found: Happened) -> None:
    newest = "SELECT at, service, event, cause, max(id) AS id FROM event WHERE at < ? AND event IN ({marks}) GROUP BY service"

    def ask(names: tuple[str, ...]) -> dict[str | None, Row]:
        return {row["service"]: row for row in record.rows(newest.format(marks=", ".join("?" * len(names))), since, *names)}

    gone = ask(("not_watched",))
    for service, row in ask(STATES).items():
        if service and (service not in gone or gone[service]["id"] < row["id"]):
            found.before[service] = row
    found.paused = {service for service, row in ask(("paused", "resumed", "not_watched")).items() if service and row["event"] == "paused"}
    known = ask(OF_A_RUN).get(None)
    first = next(iter(found.select(None, OF_A_RUN)), None)
    if known is not None:
        found.ran = known["event"] == "daemon_started"
    elif first is not None:  # what came before is not in the record any more
        found.ran = first["event"] == "daemon_stopped"
