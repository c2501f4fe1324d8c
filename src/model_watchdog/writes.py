"""What can be written to the record: one function a change. `store` carries them out.

Every `at` is wall time: unix seconds, UTC. What must be told apart by steady time goes into a JSON text.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model_watchdog.core.sample import Sample, SeriesId


@dataclass(frozen=True, slots=True)
class Write:
    """One change of the record. A later one of the same `slot` makes an earlier one needless; a `droppable` one may be lost."""

    sql: str
    params: tuple[object, ...]
    slot: str | None = None
    droppable: bool = False


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Samples measured in one boot: of each its series, its steady time and its value; `difference` is wall minus steady time.

    It may be lost, and is the first to be.
    """

    boot: str
    difference: float
    series: Sequence[SeriesId]
    times: Sequence[float]
    values: Sequence[float]


def samples(boot: str, difference: float, measured: Sequence[Sample]) -> SampleBatch:
    """Samples for the history of their series; at least one."""
    times, values = array("d", (sample.at for sample in measured)), array("d", (sample.value for sample in measured))
    return SampleBatch(boot, difference, [sample.series for sample in measured], times, values)


def daemon_info(json_text: str, at: float) -> Write:
    """What the daemon says of itself: one JSON object."""
    return Write("INSERT OR REPLACE INTO daemon (id, at, json) VALUES (1, ?, ?)", (at, json_text), slot="daemon")


def host_metrics(json_text: str, at: float) -> Write:
    """The host's metrics: a JSON list."""
    return Write("INSERT OR REPLACE INTO host (id, at, json) VALUES (1, ?, ?)", (at, json_text), slot="host")


def alerts(owner: str, json_text: str) -> Write:
    """The alerts of a service, or of the host (`owner` is ""), that are pending or firing: a JSON list."""
    return Write(_upsert("alerts", "owner", "json"), (owner, json_text), slot=f"alerts {owner}")


def service_status(name: str, json_text: str, at: float) -> Write:
    """What people see of a service: one JSON object."""
    return Write(_upsert("service_status", "name", "json", "at"), (name, json_text, at), slot=f"status {name}")


def service_state(name: str, json_text: str) -> Write:
    """What the core must know of a service after a restart of the daemon."""
    return Write(_upsert("service_state", "name", "json"), (name, json_text), slot=f"state {name}")


def forget_services(but: Iterable[str]) -> tuple[Write, ...]:
    """Services that are no longer configured are no longer shown; what the core knows of them stays, for they may come back."""
    keep = tuple(but)
    marks = ", ".join("?" * len(keep))
    return (
        Write(f"DELETE FROM service_status WHERE name NOT IN ({marks})", keep),
        Write(f"DELETE FROM alerts WHERE owner <> '' AND owner NOT IN ({marks})", keep),
    )


def event(
    at: float, service: str | None, event: str, cause: str | None, reason: str, incident: int | None = None, matter: str = ""
) -> Write:
    """Something that happened, in words. `at` is wall time, as everywhere here; `matter` is the key of an alert, where it is about one."""
    sql = "INSERT INTO event (at, service, event, cause, reason, incident, matter) VALUES (?, ?, ?, ?, ?, ?, ?)"
    return Write(sql, (at, service, event, cause, reason, incident, matter), droppable=True)


def restart_intent(id: int, service: str, at: float, actor: str, cause: str | None, reason: str, json_text: str = "{}") -> Write:
    """A restart that is about to be made; it is open until `restart_result`."""
    sql = "INSERT OR REPLACE INTO restart (id, service, at, actor, cause, reason, json, phase) VALUES (?, ?, ?, ?, ?, ?, ?, 'preflight')"
    return Write(sql, (id, service, at, actor, cause, reason, json_text))


def restart_phase(id: int, phase: str) -> Write:
    return Write("UPDATE restart SET phase = ? WHERE id = ?", (phase, id), slot=f"restart phase {id}")


def restart_result(id: int, result: str, detail: str, at: float) -> Write:
    return Write("UPDATE restart SET result = ?, detail = ?, ended_at = ? WHERE id = ?", (result, detail, at, id))


def incident_open(id: int, service: str, at: float, reason: str) -> Write:
    return Write("INSERT OR REPLACE INTO incident (id, service, opened_at, reason) VALUES (?, ?, ?, ?)", (id, service, at, reason))


def incident_close(id: int, at: float) -> Write:
    return Write("UPDATE incident SET closed_at = ? WHERE id = ?", (at, id))


def incident_root(id: int, root: int) -> Write:
    """The incident follows from another one."""
    return Write("UPDATE incident SET root = ? WHERE id = ?", (root, id), slot=f"incident root {id}")


def outbox_add(
    key: str,
    notifier: str,
    severity: str,
    title: str,
    body: str,
    at: float,
    *,
    incident: int | None = None,
    is_held: bool = False,
    bundle: str = "",
    topics: str = "",
    attachment: str = "",
) -> Write:
    """A message to send, now or (held) later; the same key to the same notifier is there once, for ever.

    `incident` is the one that it is about; those of one `bundle` are sent as one. `topics`: as in `outbox.write_topics`;
    `attachment` is a path.
    """
    columns = "key, notifier, severity, title, body, queued_at, state, next_at, incident, bundle, topics, attachment"
    sql = f"INSERT OR IGNORE INTO outbox ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    state = "held" if is_held else "queued"
    return Write(sql, (key, notifier, severity, title, body, at, state, at, incident, bundle, topics, attachment))


def outbox_release(key: str, notifier: str, bundle: str) -> Write:
    """What was held is to be sent now."""
    sql = "UPDATE outbox SET state = 'queued', bundle = ? WHERE key = ? AND notifier = ? AND state = 'held'"
    return Write(sql, (bundle, key, notifier), slot=f"outbox release {notifier} {key}")


def outbox_update(key: str, notifier: str, state: str, attempts: int, next_at: float, error: str) -> Write:
    """How the sending stands: `queued`, `sent`, `undeliverable` or `dropped` (`error` says why).

    `next_at` is when it is tried next, or was for the last time.
    """
    sql = "UPDATE outbox SET state = ?, attempts = ?, next_at = ?, error = ? WHERE key = ? AND notifier = ?"
    return Write(sql, (state, attempts, next_at, error, key, notifier), slot=f"outbox {notifier} {key}")


def setting(key: str, value: str) -> Write:
    return Write(_upsert("setting", "key", "value"), (key, value), slot=f"setting {key}")


EVENTS_KEPT_SECONDS = 400 * 86400.0
MOST_EVENTS_KEPT = 100_000
SENT_KEPT_SECONDS = 30 * 86400.0
PRUNED_AT_ONCE = 500
"""So many of the oldest rows of a table are looked at in one go, so that no transaction takes long."""


def prune(now: float) -> tuple[Write, ...]:
    """Takes out what is old: events after 400 days or 100,000, restarts and closed incidents after 400 days, messages done after 30."""

    def of_the_oldest(table: str, which: str, *params: object) -> Write:
        oldest = f"id IN (SELECT id FROM {table} ORDER BY id LIMIT {PRUNED_AT_ONCE})"
        return Write(f"DELETE FROM {table} WHERE {oldest} AND ({which})", params)

    long_ago = now - EVENTS_KEPT_SECONDS
    return (
        of_the_oldest("event", "at < ? OR id <= (SELECT max(id) FROM event) - ?", long_ago, MOST_EVENTS_KEPT),
        of_the_oldest("restart", "ended_at < ?", long_ago),
        of_the_oldest("incident", "closed_at < ?", long_ago),
        of_the_oldest("outbox", "state NOT IN ('queued', 'held') AND queued_at < ?", now - SENT_KEPT_SECONDS),
    )


def _upsert(table: str, key: str, *columns: str) -> str:
    """Keeps the row's place, as REPLACE would not."""
    names, marks = ", ".join((key, *columns)), ", ".join("?" * (len(columns) + 1))
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {changes}"
