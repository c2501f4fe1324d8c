"""The weekly report, from the record to the mailbox: a real daemon, a real mail server, a provider that takes no files."""

import json
import sqlite3
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from datetime import time as midnight
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from model_watchdog import writes
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.database import connect
from model_watchdog.history import History
from model_watchdog.record import FILE
from model_watchdog.rollups import DAY, HOUR, Kept
from model_watchdog.transactions import transact, work
from tests.rig.chaos import Chaos
from tests.rig.plain_daemon import PlainDaemon
from tests.rig.sinks import HttpSink, SmtpSink
from tests.rig.waiting import holds_for, wait_until

CHAT = {"service": "chat", "probe": "health"}
SUCCESS, DURATION = SeriesId.of("probe_success", CHAT), SeriesId.of("probe_duration_seconds", CHAT)
SERVICES = """
services:
  chat:
    recovery: {kind: command, command: [/bin/true]}
    probes: {health: {kind: tcp, address: "127.0.0.1:1", every: 1h}}
    rules: {unhealthy: off}
host: {probes: {}, rules: {}}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[PlainDaemon]:
    made = PlainDaemon(tmp_path)
    yield made
    made.stop()


def last_monday() -> date:
    """The day of the last report, and of the one before."""
    now = datetime.now()
    due = now.date() - timedelta(days=now.weekday())
    return due if now >= datetime.combine(due, midnight()) else due - timedelta(days=7)


def write_week(state: Path, monday: date) -> None:
    """What the daemon would have measured in the week before that Monday: an outage of half an hour on its Wednesday."""
    begin = datetime.combine(monday - timedelta(days=7), midnight()).timestamp()
    state.mkdir(mode=0o750)
    connection, _ = connect(state / FILE, begin)
    history, now = History(connection), begin
    outage = begin + 2 * DAY + 12 * HOUR
    events = [(begin, None, "daemon_started", None), (begin, "chat", "healthy", None), (outage, "chat", "unhealthy", "health_refused")]
    events += [(outage, "chat", "incident_opened", "health_refused"), (outage + 1800, "chat", "healthy", None)]
    events.append((begin + 7 * DAY, None, "daemon_stopped", None))
    for at, service, name, cause in events:
        transact(connection, history, [writes.event(at, service, name, cause, "<script>alert(1)</script>")])
    while now < begin + 7 * DAY:
        is_bad = outage - 600 <= now < outage + 1800
        samples = [Sample(SUCCESS, float(not is_bad), now - begin), Sample(DURATION, 0.25, now - begin)]
        transact(connection, history, [writes.samples("boot", begin, samples)])
        while history.has_work(now):
            work(connection, history, now, Kept())
        now += 60
    rows = [writes.setting("report", (monday - timedelta(days=14)).isoformat())]  # it was down when the one of that Monday was due
    transact(connection, history, [*rows, writes.daemon_info(json.dumps({"language": "en"}), now)])
    connection.close()


def configure(daemon: PlainDaemon, notifiers: str, report: str) -> None:
    daemon.configure(f"{SERVICES}notifiers:\n{notifiers}report: {report}\n")
    daemon.start()


def gotify(sink: HttpSink) -> str:
    """A kind of provider that takes texts only."""
    return f"gotify://127.0.0.1:{urlsplit(sink.url).port}/tokentoken"


def test_a_report_that_was_missed_comes_once_by_mail_with_its_page_and_as_text_where_no_file_is_taken(
    daemon: PlainDaemon, http_sink: HttpSink, smtp_sink: SmtpSink
) -> None:
    monday = last_monday()
    write_week(daemon.state, monday)
    notifiers = f"  mail: {{kind: apprise, url: '{smtp_sink.url}'}}\n  chat: {{kind: apprise, url: '{gotify(http_sink)}'}}\n"
    configure(daemon, notifiers, "{every: week, to: [mail, chat], at: '00:00', language: zh}")
    smtp_sink.wait_for(1, 60)
    (mail,) = smtp_sink.mails
    (file,) = list(mail.iter_attachments())
    since = monday - timedelta(days=7)
    name = f"report-{since}-{monday}.html"
    assert (file.get_filename(), file.get_content_type()) == (name, "text/html")
    content = file.get_payload(decode=True)
    assert isinstance(content, bytes)
    page = content.decode()
    assert page == (daemon.state / "reports" / name).read_text()
    assert "运行报告" in str(mail["Subject"]) and '<html lang="zh-CN">' in page
    assert "99.70 %" in page and "<script" not in page
    (text,) = http_sink.wait_for(1, 30)
    path = str(daemon.state / "reports" / name)
    assert path in text.text and "99.70 %" in text.text and "10 分钟" in text.text and "30 分钟" in text.text
    assert path in smtp_sink.messages[0].body

    sent = "SELECT count(*) FROM outbox WHERE state = 'sent'"
    wait_until(lambda: daemon.ask_record(sent) == [(2,)], 20, daemon.log)  # what is not known to be told is told again
    daemon.stop()
    daemon.start()
    holds_for(lambda: (len(smtp_sink.mails), len(http_sink.messages)) == (1, 1), 4)
    assert [event["event"] for event in daemon.lines("events") if event["event"].startswith("report")] == ["report_made"]


def test_a_daemon_that_dies_before_its_report_is_told_tells_it_after_its_next_start(daemon: PlainDaemon, smtp_sink: SmtpSink) -> None:
    monday = last_monday()
    write_week(daemon.state, monday)
    smtp_sink.close()
    configure(daemon, f"  mail: {{kind: apprise, url: '{smtp_sink.url}'}}\n", "{every: week, to: [mail], at: '00:00'}")
    waiting = "SELECT count(*) FROM outbox WHERE state = 'queued' AND attachment LIKE '%.html'"
    wait_until(lambda: daemon.ask_record(waiting) == [(1,)], 60, daemon.log)
    daemon.kill()
    again = SmtpSink()
    try:
        daemon.configure(daemon.config.read_text().replace(smtp_sink.url, again.url))
        daemon.start()
        again.wait_for(1, 60)
        assert [part.get_content_type() for part in again.mails[0].iter_attachments()] == ["text/html"]
    finally:
        again.close()


def test_the_first_report_waits_for_its_time_and_one_that_cannot_be_made_is_told(
    daemon: PlainDaemon, http_sink: HttpSink, tmp_path: Path
) -> None:
    daemon.configure(
        f"{SERVICES}notifiers: {{ops: {{kind: apprise, url: '{http_sink.url}'}}}}\nreport: {{every: month, to: [ops], at: '00:00'}}\n"
    )
    daemon.start()
    first = f"{datetime.now():%Y-%m}-01"
    wait_until(lambda: daemon.ask_record("SELECT value FROM setting WHERE key = 'report'") == [(first,)], 20, daemon.log)
    daemon.stop()
    assert http_sink.messages == [] and not (daemon.state / "reports").exists()
    (daemon.state / "reports").write_text("in its way")
    with sqlite3.connect(daemon.state / FILE) as connection:
        connection.execute("UPDATE setting SET value = '2026-01-01' WHERE key = 'report'")
    connection.close()
    began = time.monotonic()
    daemon.start()
    wait_until(lambda: "event=report_failed try=1" in daemon.log(), 20, daemon.log)
    assert time.monotonic() - began < 20
    assert json.loads(daemon.run("status", "--json", check=False).stdout)["daemon"]["running"]


def test_a_rule_that_cries_wolf_is_named_with_what_to_change_and_one_that_somebody_took_on_is_not(
    daemon: PlainDaemon, chaos: Chaos, tmp_path: Path
) -> None:
    probe = f"{{kind: http, url: '{chaos.url()}', every: 200ms, timeout: 200ms}}"
    rule = "{metric: 'probe_success{probe=\"health\"}', below: 1}"
    daemon.configure(
        f"services:\n  chat: {{startup: 100ms, recovery: {{kind: command, command: [/bin/true]}}, probes: {{health: {probe}}},"
        f" rules: {{unhealthy: off, wolf: {rule}}}, unstable: off}}\nhost: {{probes: {{}}, rules: {{}}}}\n"
    )
    daemon.start()

    def count(event: str) -> int:
        return sum(row["event"] == event for row in daemon.lines("events"))

    for number in (1, 2, 3):
        wait_until(lambda: daemon.lines("events")[-1]["event"] in ("healthy", "incident_closed", "acknowledged"), 20, daemon.log)
        chaos.set("500")
        wait_until(lambda: count("alert_fired") == number, 20, daemon.log)  # noqa: B023
        if number == 3:
            (incident,) = [row["id"] for row in daemon.lines("incidents") if row["closed_at"] is None]
            daemon.run("ack", str(incident))
        chaos.set("ok")
        wait_until(lambda: count("alert_resolved") == number, 20, daemon.log)  # noqa: B023
    path = tmp_path / "report.json"
    daemon.run("report", "--since", "1h", "-o", str(path))
    doc = json.loads(path.read_text())
    (wolf,) = doc["wolves"]
    assert (wolf["service"], wolf["rule"], wolf["fired"], wolf["count"], wolf["change"]) == ("chat", "wolf", 3, 2, "for: 30s")
    fired = [one for one in doc["anomalies"] if one["rule"] == "wolf"]
    assert len(fired) == 3 and all(one["series"].startswith("probe_success{") for one in fired)
