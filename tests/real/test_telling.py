"""Incidents and messages as people meet them: a real daemon, a real receiver, endpoints that fail."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bench.telling import kill_among_messages
from tests.conftest import FaultRow
from tests.rig.chaos import Chaos
from tests.rig.plain_daemon import PlainDaemon
from tests.rig.sinks import HttpSink
from tests.rig.waiting import holds_for, wait_until

RECOVERY = "{kind: command, command: [/bin/true]}"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[PlainDaemon]:
    made = PlainDaemon(tmp_path)
    yield made
    made.stop()


def service(name: str, url: str, rules: int = 1, severity: str = "warning") -> str:
    """A service with so many rules that all look at the same probe."""
    probe = f"{{kind: http, url: '{url}', every: 200ms, timeout: 200ms}}"
    rule = f"{{metric: 'probe_success{{probe=\"health\"}}', below: 1, times: {{times}}, severity: {severity}}}"
    made = ", ".join(f"r{number}: {rule.replace('{times}', str(number + 1))}" for number in range(rules))
    return f"  {name}: {{startup: 100ms, recovery: {RECOVERY}, probes: {{health: {probe}}}, rules: {{unhealthy: off, {made}}}}}\n"


def configure(daemon: PlainDaemon, services: str, notifiers: str, more: str = "") -> None:
    daemon.configure(f"services:\n{services}notifiers:\n{notifiers}host: {{probes: {{}}, rules: {{}}}}\n{more}")
    daemon.start()


def notifier(name: str, sink: HttpSink, wishes: str = "min_severity: info") -> str:
    return f"  {name}: {{kind: apprise, url: '{sink.url}', {wishes}}}\n"


def states(daemon: PlainDaemon) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in json.loads(daemon.run("status", "--json", check=False).stdout)["services"]}


@pytest.fixture
def second_sink() -> Iterator[HttpSink]:
    sink = HttpSink()
    yield sink
    sink.close()


def test_an_incident_is_listed_and_shown_taken_on_and_over(daemon: PlainDaemon, http_sink: HttpSink, chaos: Chaos) -> None:
    configure(daemon, service("chat", chaos.url()), notifier("ops", http_sink))
    wait_until(lambda: states(daemon) == {"chat": "healthy"}, 10, daemon.log)
    assert "no incident" in daemon.run("incidents").stdout
    chaos.set("500")
    http_sink.wait_text("r0 fires")
    (incident,) = daemon.lines("incidents")
    assert (incident["services"], incident["closed_at"]) == (["chat"], None)
    number = str(incident["id"])
    assert "is acknowledged" in daemon.run("ack", number, "--reason", "on it").stdout
    assert f"incident {number} by uid" in daemon.run("status", check=False).stdout
    assert daemon.run("ack", "999", check=False).returncode == 4
    assert daemon.run("incident", "show", "999", check=False).returncode == 4
    daemon.kill()
    daemon.start()
    assert f"incident {number} by uid" in daemon.run("status", check=False).stdout, "it outlives the daemon"
    chaos.set("200")
    http_sink.wait_text("r0 is over")
    wait_until(lambda: daemon.lines("incidents")[0]["closed_at"], 10, daemon.log)
    (story,) = daemon.lines("incident", "show", number)
    assert story["left"] == [] and story["restarts"] == [] and story["minutes"] >= 0
    assert [message["notifier"] for message in story["messages"]] == ["ops", "ops"]
    assert {"alert_fired", "alert_resolved"} <= {event["event"] for event in story["events"]}
    shown = daemon.run("incident", "show", number).stdout
    assert "chat" in shown and "r0 fires" in shown and "nothing was restarted" in shown
    assert len(http_sink.messages) == 2
    late = daemon.run("ack", number, check=False)
    assert late.returncode == 1 and f"incident {number} is over already" in late.stderr


def test_a_silence_keeps_people_from_being_told_and_tells_what_goes_on_when_it_ends(
    daemon: PlainDaemon, http_sink: HttpSink, start_chaos: Callable[..., Chaos]
) -> None:
    one, other = start_chaos(), start_chaos()
    configure(daemon, service("chat", one.url()) + service("bert", other.url()), notifier("ops", http_sink))
    wait_until(lambda: set(states(daemon).values()) == {"healthy"}, 10, daemon.log)
    assert "silence 1" in daemon.run("silence", "--service", "chat", "--for", "1h", "--reason", "new weights").stdout
    one.set("500")
    wait_until(lambda: any(event["event"] == "alert_fired" for event in daemon.lines("events")), 10, daemon.log)
    assert states(daemon)["chat"] == "unhealthy", "it is watched all the same"
    assert "1: chat until" in daemon.run("silence", "--list").stdout
    assert "SILENCED" in daemon.run("status", check=False).stdout
    daemon.kill()
    daemon.start()
    other.set("500")
    http_sink.wait_text("bert: r0 fires", 20)
    holds_for(lambda: len(http_sink.messages) == 1, 1.5)
    assert daemon.run("silence", "--end", "7", check=False).returncode == 4
    daemon.run("silence", "--end", "1")
    http_sink.wait_text("chat: r0 fires")
    one.set("200")
    http_sink.wait_text("chat: r0 is over")
    assert daemon.run("silence", "--service", "nobody", "--for", "1h", "--reason", "x", check=False).returncode == 4


def test_what_is_over_within_a_silence_is_told_to_nobody(daemon: PlainDaemon, http_sink: HttpSink, chaos: Chaos) -> None:
    configure(daemon, service("chat", chaos.url()), notifier("ops", http_sink))
    wait_until(lambda: states(daemon) == {"chat": "healthy"}, 10, daemon.log)
    daemon.run("silence", "--all", "--for", "1h", "--reason", "load test")
    chaos.set("500")
    wait_until(lambda: states(daemon) == {"chat": "unhealthy"}, 10, daemon.log)
    wait_until(lambda: daemon.ask_record("SELECT state FROM outbox") == [("held",)], 5, daemon.log)
    chaos.set("200")
    wait_until(lambda: daemon.ask_record("SELECT state FROM outbox") == [("dropped",)], 10, daemon.log)
    daemon.run("silence", "--end", "1")
    holds_for(lambda: http_sink.messages == [], 2)


def test_an_incident_that_nobody_takes_on_is_told_to_somebody_else(
    daemon: PlainDaemon, http_sink: HttpSink, second_sink: HttpSink, chaos: Chaos
) -> None:
    ops = notifier("ops", http_sink, "min_severity: info, escalate: {after: 3s, to: boss}")
    configure(daemon, service("chat", chaos.url()), ops + notifier("boss", second_sink, "min_severity: critical"))
    wait_until(lambda: states(daemon) == {"chat": "healthy"}, 10, daemon.log)
    chaos.set("500")
    first = http_sink.wait_text("r0 fires")
    (incident,) = daemon.lines("incidents")
    assert f"watchdog ack {incident['id']}" in first.body
    escalated = second_sink.wait_text("not acknowledged: chat: r0 fires")
    assert escalated.at - first.at >= 2.5
    sent = "SELECT count(*) FROM outbox WHERE state = 'sent'"
    wait_until(lambda: daemon.ask_record(sent) == [(2,)], 10, daemon.log)  # else it may be told twice: nobody knows that it was
    daemon.kill()
    daemon.start()
    chaos.set("200")
    for sink in (second_sink, http_sink):
        sink.wait_text("chat: r0 is over", 20)
    assert len(second_sink.messages) == 2 and len(http_sink.messages) == 2


def test_a_storm_of_forty_alerts_is_one_incident_and_two_messages(
    daemon: PlainDaemon, http_sink: HttpSink, second_sink: HttpSink, chaos: Chaos, fault_row: FaultRow
) -> None:
    """8 services with 5 rules each, behind one endpoint that breaks."""
    services = "".join(service(f"s{number}", chaos.url(), rules=5) for number in range(8))
    configure(daemon, services, notifier("ops", http_sink) + notifier("mail", second_sink))
    wait_until(lambda: set(states(daemon).values()) == {"healthy"}, 10, daemon.log)
    chaos.set("500")
    wait_until(lambda: daemon.ask_record("SELECT count(*) FROM event WHERE event = 'alert_fired'") == [(40,)], 20, daemon.log)
    wait_until(lambda: daemon.ask_record("SELECT count(*) FROM outbox WHERE state = 'sent'") == [(82,)], 60, daemon.log)
    (incident,) = daemon.lines("incidents")
    assert len(incident["services"]) == 8 and len(incident["follows"]) == 7
    told = [len(sink.messages) for sink in (http_sink, second_sink)]
    assert told == [2, 2], [[message.title for message in sink.messages] for sink in (http_sink, second_sink)]
    chaos.set("200")
    wait_until(lambda: daemon.lines("incidents")[0]["closed_at"], 20, daemon.log)
    wait_until(lambda: daemon.ask_record("SELECT count(*) FROM outbox WHERE state = 'sent'") == [(162,)], 60, daemon.log)
    ends = [len(sink.messages) - 2 for sink in (http_sink, second_sink)]
    assert max(ends) <= 2, [message.title for message in http_sink.messages]
    fault_row("D", "40 alerts of 8 services at once", 0, max(told))


def test_killed_in_the_path_of_messages_nothing_is_lost_or_told_three_times(tmp_path: Path, fault_row: FaultRow) -> None:
    """`bench/telling.py` does the same 500 times."""
    toll = kill_among_messages(tmp_path, 10, lambda text: None)
    assert (toll.lost, toll.dangling) == (0, 0), toll
    assert toll.copies <= 2 and toll.duplicates <= toll.kills, toll
    fault_row("D", f"{toll.kills} times kill -9 in the path of messages", 0, toll.duplicates)


def test_in_a_window_of_maintenance_nobody_is_told_until_it_is_taken_out(
    daemon: PlainDaemon, http_sink: HttpSink, start_chaos: Callable[..., Chaos]
) -> None:
    """And the dead man's switch is told all the while that the watchdog works."""
    chaos, switch = start_chaos(), start_chaos()
    begin, end = (f"{datetime.now() + timedelta(days=days):%Y-%m-%d %H:%M}" for days in (-1, 1))
    window = f"maintenance: [{{services: ['ch*'], from: '{begin}', until: '{end}', reason: new weights, pause: true}}]\n"
    more = f"heartbeat: {{url: '{switch.url('/ping')}', every: 500ms}}\n"
    configure(daemon, service("chat", chaos.url()), notifier("ops", http_sink), more + window)
    wait_until(lambda: "maintenance 1: ch*" in daemon.run("silence", "--list").stdout, 10, daemon.log)
    (shown,) = json.loads(daemon.run("status", "--json", check=False).stdout)["services"]
    assert shown["paused_until"] is not None
    switch.wait_for(1, "/ping/start")
    switch.wait_for(3, "/ping")
    assert [message.title for message in http_sink.messages] == [], "that it is paused is told to nobody either"
    chaos.set("500")
    wait_until(lambda: ("held",) in daemon.ask_record("SELECT state FROM outbox"), 10, daemon.log)
    daemon.configure(daemon.config.read_text().replace(window, ""))
    assert "changed" in daemon.run("reload").stdout
    http_sink.wait_text("chat: r0 fires", 15)
    assert switch.count("/ping/fail") == 0
