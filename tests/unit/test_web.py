"""`watchdog web`: the real process over a real record, asked over real HTTP."""

import asyncio
import base64
import contextlib
import http.client
import itertools
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trustme

from model_watchdog import writes
from model_watchdog.core.decision import State
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.errors import WatchdogError
from model_watchdog.record import FILE, SCHEMA, Record
from model_watchdog.store import Store
from model_watchdog.web import metrics
from model_watchdog.web.access import Hosts, Secrets, hash_secret
from model_watchdog.web.live import Live
from model_watchdog.web.newest import Newest
from model_watchdog.web.page import write_incident
from model_watchdog.web.timeline import find_timeline
from tests.rig import browser
from tests.rig.prometheus import find_tool
from tests.rig.stand_in import stand_in
from tests.rig.waiting import wait_until
from tests.rig.web import SRC, Web
from tests.unit.test_status import HEALTHY

SCRIPT = "<script>alert(1)</script>"
SECRET = "correct horse"


def show(store: Store, name: str, **changes: Any) -> None:
    store.put(writes.service_status(name, json.dumps({**HEALTHY, "name": name, **changes}), time.time()))


def fill(store: Store) -> None:
    """Two hours of four services, of which one is dead, and one has a script for a name."""
    now = time.time()
    for name, changes in {"chatglm": {}, "bert": {"state": "busy"}, "slow": {"state": "degraded"}, SCRIPT: {}}.items():
        show(store, name, **changes)
    show(store, "whisper", state="dead", reason=f"the last line of its log: {SCRIPT}")
    store.put(writes.daemon_info(json.dumps({"pid": 1, "version": "0", "mode": "active", "language": "en"}), now))
    host = [{"metric": metric, "labels": {}, "value": value, "at": "x"} for metric, value in (("host_load1", 5.1), ("odd", float("nan")))]
    store.put(writes.host_metrics(json.dumps(host), now))
    store.put(writes.incident_open(17, "whisper", now - 3000, f"it said {SCRIPT}"), writes.incident_open(3, "bert", now - 9000, "old"))
    store.put(writes.incident_close(3, now - 8000), writes.event(now - 2990, "whisper", "restart_started", None, SCRIPT, 17))
    matter = 'slow probe_duration_seconds{probe="%s", service="chatglm"}'
    store.put(writes.event(now - 600, "chatglm", "alert_fired", None, "slow, in the rule's own words", None, matter % "health"))
    store.put(writes.event(now - 500, "chatglm", "alert_fired", None, 'probe="health", says another one', None, matter % "health-2"))
    store.put(writes.event(now - 400, "chatglm", "alert_fired", None, "of the service's state: health", None, "flapping "))
    level = {"rule": "slow", "severity": "warning", "metric": "probe_duration_seconds", "service": "chatglm", "above": 1.0}
    level |= {"selector": 'probe_duration_seconds{probe=~"health|tcp"}', "below": None, "sigma": 3.0, "window": 10}
    others: list[dict[str, Any]] = [{"service": None}, {"service": "bert"}, {"selector": 'probe_duration_seconds{probe!="health"}'}]
    store.put(writes.setting("levels", json.dumps([level, *({**level, **other, "above": 2.0} for other in others)])))
    series = [SeriesId.of("probe_duration_seconds", {"service": name, "probe": "health"}) for name in ("chatglm", SCRIPT)]
    series.append(SeriesId.of("vllm:num_requests_running", {"service": "chatglm", "model": 'a"\\\nb'}))
    series.append(SeriesId.of("probe_success", {"service": "whisper", "probe": "health"}))
    for number in range(720):
        samples = [Sample(one, number / 100 + place, now - (719 - number) * 10) for place, one in enumerate(series)]
        store.put(writes.samples("boot", 0.0, samples))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("web")
    store = Store.open(directory / FILE)
    fill(store)
    assert store.close(10)
    return directory


@pytest.fixture(scope="module")
def web(directory: Path) -> Iterator[Web]:
    web = Web(directory)
    yield web
    web.close()


# ---------------------------------------------------------------- what it shows
@pytest.mark.parametrize("path", ["/", "/?lang=zh", "/incidents/17", "/incidents/17?lang=zh"])
def test_a_script_in_a_name_or_a_log_is_only_text(web: Web, path: str) -> None:
    status, headers, text = web.ask(path)
    assert status == 200 and headers["content-type"] == "text/html; charset=utf-8"
    assert SCRIPT not in text and "alert(1)" in text
    assert ('lang="zh-CN"' in text) == ("zh" in path)
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
    assert "http://" not in text and "https://" not in text, "nothing from elsewhere"
    assert headers["x-content-type-options"] == "nosniff"


def test_status_is_the_document_of_the_command(web: Web) -> None:
    command = [
        sys.executable,
        "-m",
        "model_watchdog",
        "--state-dir",
        str(web.directory),
        "--runtime-dir",
        str(web.directory),
        "status",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(SRC)}, check=False)
    told, expected = web.json("/api/v1/status"), json.loads(done.stdout)
    assert told["host"]["metrics"].pop()["value"] is None, "JSON has no NaN"
    expected["host"]["metrics"].pop()
    assert {**told, "generated_at": ""} == {**expected, "generated_at": ""}


@pytest.mark.parametrize(
    ("service", "status", "state"),
    [("chatglm", 200, "healthy"), ("bert", 200, "busy"), ("slow", 200, "degraded"), ("whisper", 503, "dead")],
)
def test_ready_is_whoever_can_serve(web: Web, service: str, status: int, state: str) -> None:
    assert web.ask(f"/ready/{service}")[::2] == (status, f"{state}\n")
    assert web.ask("/ready/nobody")[0] == 404
    assert web.ask("/healthz")[::2] == (200, "ok\n")


def test_incidents_and_events_are_told_as_the_commands_tell_them(web: Web) -> None:
    assert [story["id"] for story in web.json("/api/v1/incidents")] == [3, 17]
    assert [story["id"] for story in web.json("/api/v1/incidents?service=bert&since=1d")] == [3]
    assert web.json("/api/v1/incidents/17")["services"] == ["whisper"]
    assert [event["event"] for event in web.json("/api/v1/events?service=whisper")] == ["restart_started"]
    line = web.json("/api/v1/timeline?since=1h")
    assert [one["id"] for one in line["incidents"]] == [17] and len(line["marks"]) == 4
    for path in ("/api/v1/incidents/4711", "/api/v1/incidents/x", "/incidents/-1", "/incidents/1e3"):
        assert web.ask(path)[0] == 404


@pytest.mark.parametrize("span", ["30m", "2h", "1d", "30d"])
def test_a_trend_has_its_figures_levels_and_anomalies(web: Web, span: str) -> None:
    labels = json.dumps({"service": "chatglm", "probe": "health"}).replace('"', "%22").replace(" ", "")
    trend = web.json(f"/api/v1/trend?metric=probe_duration_seconds&labels={labels}&since={span}")
    assert trend["last"][-1] == pytest.approx(7.19) and max(trend["most"]) == pytest.approx(7.19)
    assert sum(count for _, _, count in trend["bars"]) == trend["count"]
    assert trend["count"] == (pytest.approx(180, abs=8) if span == "30m" else 720)
    assert trend["quantiles"]["0.99"] == pytest.approx(7.17, rel=0.02)
    assert len({len(trend[name]) for name in ("at", "least", "mean", "most", "last")}) == 1
    assert [level["above"] for level in trend["levels"]] == [1.0]
    assert trend["expected"]["rule"] == "slow" and len(trend["expected"]["low"]) == len(trend["at"])
    assert [one["reason"] for one in trend["anomalies"]] == ["slow, in the rule's own words"]
    assert web.json("/api/v1/trend?metric=nothing")["at"] == []


def test_the_timeline_tells_states_in_the_reports_terms_and_that_nobody_watched_before(tmp_path: Path) -> None:
    store, now = Store.open(tmp_path / FILE), time.time()
    show(store, "chatglm")
    store.put(writes.daemon_info("{}", now), writes.event(now - 3000, None, "daemon_started", None, "", None))
    for ago, event in ((3000, "loading"), (2900, "healthy"), (2000, "dead"), (1900, "restart_started"), (1800, "gave_up"), (1500, "busy")):
        store.put(writes.event(now - ago, "chatglm", event, None, event, None))
    store.put(writes.event(now - 1000, "chatglm", "paused", None, "", None))
    assert store.close(10)
    web = Web(tmp_path)
    line = web.json("/api/v1/timeline?since=1h")
    (one,) = line["services"]
    kinds = ["not_watched", "loading", "up", "down", "up", "paused"]
    assert one["name"] == "chatglm" and [(kind, state) for _, _, kind, state in one["spans"]] == list(
        zip(kinds, ["", "loading", "healthy", "dead", "busy", "busy"], strict=True)
    )
    spans = one["spans"]
    assert spans[0][0] == line["since"] and spans[-1][1] == line["until"]
    assert all(left[1] == right[0] for left, right in itertools.pairwise(spans)), "no gap"
    assert [mark["event"] for mark in line["marks"]] == ["restart_started", "gave_up"]
    assert json.loads(web.ask("/")[2].split('id="oldest">')[1].split("<")[0]) == pytest.approx(now - 3000, abs=1), (
        "what is known, not the daemon"
    )
    web.close()


def test_a_month_of_states_is_asked_for_in_50_ms(tmp_path: Path) -> None:
    store, now = Store.open(tmp_path / FILE), time.time()
    for number in range(20_000):
        name, event = f"s{number % 10}", ("healthy", "busy", "degraded", "alert_fired")[number // 10 % 4]
        store.put(writes.event(now - 2_592_000 + number * 129, name, event, None, "so", None))
    store.put(writes.daemon_info("{}", now), writes.event(now - 2_000_000, None, "daemon_started", None, "", None))
    assert store.close(30)
    spent = []
    with Record.open(tmp_path) as record:
        for _ in range(5):
            began = time.process_time()
            line = find_timeline(record, now - 2_592_000, now)
            spent.append(time.process_time() - began)
    assert len(line["services"]) == 10 and all(len(one["spans"]) > 100 for one in line["services"])
    assert min(spent) < 0.05, spent


TURNED = "\u202eevil\x1b[31m\u2066"


def test_no_text_of_others_turns_anything_around_and_its_series_is_still_found(tmp_path: Path) -> None:
    store, now = Store.open(tmp_path / FILE), time.time()
    store.put(writes.event(now - 60, TURNED, "restart_started", None, TURNED, 1), writes.incident_open(1, TURNED, now - 90, TURNED))
    labels = {"service": TURNED, "probe": "health"}
    store.put(writes.samples("boot", 0.0, [Sample(SeriesId.of("probe_duration_seconds", labels), 0.5, now - 30)]))
    assert store.close(10)
    web = Web(tmp_path)
    for path in ("incidents", "events", "timeline", "series", "incidents/1"):
        told = json.dumps(web.json(f"/api/v1/{path}"))
        assert "evil" in told and not any(sign in told for sign in ("\\u202e", "\\u001b", "\\u2066")), path
    (one,) = web.json("/api/v1/series")
    asked = urlencode({"metric": one["metric"], "labels": json.dumps(one["labels"])})
    trend = web.json(f"/api/v1/trend?{asked}")
    assert trend["last"] == [0.5] and trend["labels"]["service"] == one["labels"]["service"] == "evil"
    web.close()


def test_an_incident_tells_its_times_as_the_commands_do_and_what_is_drawn_around_it(web: Web) -> None:
    text, story = web.ask("/incidents/17?lang=zh")[2], web.json("/api/v1/incidents/17")
    opened = datetime.fromisoformat(story["opened_at"])
    assert f'<time datetime="{story["opened_at"]}">{opened.astimezone():%Y-%m-%d %H:%M:%S}</time>' in text
    around = json.loads(text.split('id="incident">')[1].split("</script>")[0])
    assert around["since"] == pytest.approx(opened.timestamp() - 600, abs=1) and around["services"] == ["whisper"]
    assert "所有时间均为 UTC" in text
    row = {"at": story["opened_at"], "service": "bert", "reason": "x", "result": "failed"}
    message = {"at": story["opened_at"], "notifier": "file", "title": "x", "state": "undeliverable"}
    told = write_incident({**story, "restarts": [row], "messages": [message]}, "zh", time.time())
    assert "(失败)" in told and "(无法送达)" in told
    asked = urlencode({"metric": "vllm:num_requests_running", "labels": json.dumps({"service": "chatglm", "model": 'a"\\\nb'})})
    now = time.time()
    trend = web.json(f"/api/v1/trend?{asked}&from={now - 3600}&until={now - 1800}")
    assert 170 <= trend["count"] <= 182 and now - 3610 < trend["at"][0] and trend["at"][-1] < now - 1790
    for wrong in ("from=5", "until=5", "from=5&until=4", "from=x&until=9", "from=0&until=99999999999"):
        assert web.ask(f"/api/v1/trend?{asked}&{wrong}")[0] == 400, wrong


# ---------------------------------------------------------------- metrics
def test_metrics_are_our_own_and_a_services_own_on_request(web: Web) -> None:
    status, headers, text = web.ask("/metrics")
    assert status == 200 and headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'probe_duration_seconds{probe="health",service="chatglm"} 7.19\n' in text and "\nwatchdog_up 0\n" in text
    assert "vllm" not in text
    _, _, text = web.ask("/metrics?scrape=1")
    assert 'vllm:num_requests_running{model="a\\"\\\\\\nb",service="chatglm"} 9.19' in text


@pytest.mark.skipif(find_tool("promtool") is None, reason="no promtool on this machine: scripts/setup test unpacks one")
def test_promtool_has_nothing_to_say_of_our_names() -> None:
    page = metrics.write([(name, {}, 1.0) for name in metrics.HELP], with_services_own=False)
    done = subprocess.run([str(find_tool("promtool")), "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_metric_that_the_contract_names_has_its_help() -> None:
    table = (SRC.parent / "README.md").read_text().split("| `http` |")[1].split("\n\n")[0]
    named = set(re.findall(r"`((?:probe|unit|service|host|gpu|canary|log|watchdog)_[a-z0-9_]+)", table))
    assert len(named) > 45
    assert named <= metrics.HELP.keys(), named - metrics.HELP.keys()


def test_two_thousand_series_take_no_longer_than_they_may() -> None:
    """20 ms are the promise; processor time, for the machine may be busy."""
    values = [("probe_duration_seconds", {"service": f"model-{n}", "probe": "health"}, n / 7) for n in range(2000)]
    spent = []
    for _ in range(5):
        began = time.process_time()
        assert metrics.write(values, with_services_own=True).count("\n") == 2002
        spent.append(time.process_time() - began)
    assert sorted(spent)[2] < 0.02, spent


# ---------------------------------------------------------------- bad input
@pytest.mark.parametrize(("language", "title"), [("en", "Availability"), ("zh", "可用性")])
def test_the_report_is_downloaded(web: Web, language: str, title: str) -> None:
    assert f'href="/report?since=7d&amp;lang={language}" download' in web.ask(f"/?lang={language}")[2]
    status, headers, text = web.ask(f"/report?since=1d&lang={language}")
    assert status == 200, text
    assert headers["content-disposition"].startswith('attachment; filename="report-')
    assert f">{title}</h2>" in text and SCRIPT not in text
    assert web.ask(f"/report?since=1d&lang={language}")[2] == text, "it is handed out again for a while"


def test_reports_that_are_asked_for_together_are_made_one_after_the_other(web: Web) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda number: web.ask(f"/report?since={number // 6 + 1}d")[0], range(12)))
    assert answers.count(200) >= 8 and set(answers) <= {200, 503}


def test_the_report_is_a_document_too(web: Web) -> None:
    doc = web.json("/api/v1/report?since=1d")
    assert doc["schema"] == 1 and {"chatglm", "whisper"} <= {service["name"] for service in doc["services"]}


def test_only_names_that_are_meant_are_answered(web: Web) -> None:
    for host in (f"127.0.0.1:{web.port}", "localhost", "[::1]:80", os.uname().nodename):
        assert web.ask("/healthz", Host=host)[0] == 200, host
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost:x", "[::1", "", "localhost@evil"):
        assert web.ask("/healthz", Host=host)[0] == 421, host
    assert not Hosts(["box"]).has("box:99999999") and Hosts(["Box"]).has("BOX:80")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_nothing_can_be_changed(web: Web, method: str) -> None:
    status, headers, _ = web.ask("/api/v1/status", method=method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *[
            (path, 404)
            for path in ("/static/../access.py", "/static/%2e%2e/access.py", "/static/..%2f..%2fstatus.py", "/static/", "/static/x\0")
        ],
        *[(path, 404) for path in ("//etc/passwd", "/watchdog.db", "/evidence/17", "/incidents/17/../../x", "/api/v2/status")],
        *[(f"/api/v1/events?since={text}", 400) for text in ("1", "0s", "-1d", "9999d", "1d%0d%0aX:1", "٣d")],
        *[(f"/report?since={text}", 400) for text in ("x", "-x", "0s", "9999d", "2026-13", "--help", "1d%00")],
        *[(f"/api/v1/trend?labels={text}", 400) for text in ("[", "[1]", "%7B%22a%22:1%7D", "%5B" * 800)],
        ("/?" + "a" * 5000, 414),
        ("/" + "a" * 600, 414),
    ],
)
def test_what_makes_no_sense_gets_a_clear_answer(web: Web, path: str, status: int) -> None:
    told = web.ask(path.replace("\0", "%00").replace("٣", "%D9%A3"))
    assert told[0] == status, told
    assert "Traceback" not in told[2]


def test_what_is_no_http_harms_nobody(web: Web) -> None:
    for data in (
        b"\0" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n" + b"X: y\r\n" * 20_000,
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", web.port), timeout=5) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65536)
            except OSError:
                pass
    assert web.ask("/healthz")[0] == 200


def test_a_flood_and_full_sockets_leave_it_small_and_alive(web: Web) -> None:
    idle = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(100)]
    streams = []
    for _ in range(70):
        stream = socket.create_connection(("127.0.0.1", web.port))
        stream.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        streams.append(stream)
    answers = [stream.recv(12) for stream in streams]
    assert answers.count(b"HTTP/1.1 200") == 64 and answers.count(b"HTTP/1.1 503") == 6
    for number in range(300):
        assert web.ask(("/", "/metrics?scrape=1", "/api/v1/series")[number % 3])[0] == 200
    assert web.memory() < 70 * 2**20
    for one in [*idle, *streams]:
        one.close()
    wait_until(lambda: b"200" in _stream_begins(web), 5)


def test_requests_that_never_become_whole_keep_nobody_out(web: Web) -> None:
    half = []
    for _ in range(600):
        sent = socket.create_connection(("127.0.0.1", web.port))
        sent.sendall(b"GET / HTTP/1.1\r\nHost: localh")
        half.append(sent)
    began = time.monotonic()
    for path in ("/ready/chatglm", "/healthz", "/metrics"):
        assert web.ask(path)[0] == 200
    for number in range(3):  # what trickles in does not win time
        time.sleep(2)
        with contextlib.suppress(OSError):
            half[-1].sendall(str(number).encode())
    half[-1].settimeout(15)
    with contextlib.suppress(ConnectionResetError):
        assert half[-1].recv(1) == b""
    assert 8 < time.monotonic() - began < 15
    for sent in half:
        sent.close()


def _stream_begins(web: Web) -> bytes:
    with socket.create_connection(("127.0.0.1", web.port)) as stream:
        stream.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return stream.recv(12)


def copy_record(directory: Path, place: Path) -> None:
    for part in directory.glob(f"{FILE}*"):
        shutil.copy(part, place)


def test_however_many_ask_the_daemon_is_asked_twice_a_second(directory: Path, tmp_path: Path) -> None:
    copy_record(directory, tmp_path)
    with stand_in(tmp_path / "run") as asked:
        web = Web(tmp_path)
        began, made = time.monotonic(), 0
        while time.monotonic() - began < 2:
            assert web.ask(("/", "/metrics", "/ready/chatglm", "/api/v1/status")[made % 4])[0] == 200
            made += 1
        took = time.monotonic() - began
        web.close()
    assert made > 40 and 2 <= len(asked) <= took / 0.5 + 2, (made, asked)


def test_whether_it_is_well_is_no_question_to_the_daemon(directory: Path, tmp_path: Path) -> None:
    copy_record(directory, tmp_path)
    with stand_in(tmp_path / "run") as asked:
        web = Web(tmp_path)
        for _ in range(5):
            assert web.ask("/healthz")[::2] == (200, "ok\n")
        web.close()
        assert asked == []


def test_each_service_has_one_state_while_the_daemon_runs(web: Web, directory: Path, tmp_path: Path) -> None:
    assert "watchdog_service_state" not in web.ask("/metrics")[2], "of a daemon that is away nobody knows"
    copy_record(directory, tmp_path)
    with stand_in(tmp_path / "run"):
        running = Web(tmp_path)
        lines = running.ask("/metrics")[2].splitlines()
        running.close()
    place = lines.index("# TYPE watchdog_service_state gauge")
    assert lines[place - 1].startswith("# HELP watchdog_service_state Whether")
    states = [line for line in lines if line.startswith('watchdog_service_state{service="whisper"')]
    assert len(states) == len(State) and [line for line in states if not line.endswith(" 0")] == [
        'watchdog_service_state{service="whisper",state="dead"} 1'
    ]


def test_streams_share_what_they_tell(directory: Path) -> None:
    async def listen() -> tuple[str, str]:
        live = Live(str(directory), str(directory / "run"))
        return await live.tell(), await live.tell()

    one, other = asyncio.run(listen())
    assert one is other and "whisper" in one, "written once"


def test_values_that_are_stale_are_not_kept(directory: Path) -> None:
    newest, now = Newest(), time.time()
    with Record.open(directory) as record:
        newest.refresh(record, now)
        assert len([*newest.read()]) == 4
        newest.refresh(record, now + 400)
    assert [*newest.read()] == [] and not newest._values


def test_one_who_waits_for_the_record_holds_up_nobody(tmp_path: Path) -> None:
    store = Store.open(tmp_path / FILE)
    show(store, "chatglm")
    assert store.close(10)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as locking:
        web = Web(tmp_path)
        assert web.ask("/healthz")[0] == 200
        locking.execute("PRAGMA locking_mode = EXCLUSIVE")
        locking.execute("INSERT INTO setting VALUES ('locked', 'yes')")
        waiting = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(20)]
        began = time.monotonic()
        for one in waiting:
            one.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        time.sleep(0.2)  # until they are being answered: the lock is waited for during two seconds
        assert web.ask("/static/app.js")[0] == 200
        took = time.monotonic() - began
        assert len([*Path(f"/proc/{web.process.pid}/task").iterdir()]) < 8, "each thread has memory of its own"
        assert b" 503 " in waiting[0].recv(64), "it could not be read"
        assert took < 1 < time.monotonic() - began
        for one in waiting:
            one.close()
        web.close()


def test_answers_on_one_connection_do_not_wait_for_each_other(web: Web) -> None:
    """Without TCP_NODELAY each waits 40 ms for the acknowledgement of its first half."""
    connection, times = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10), []
    for _ in range(8):
        began = time.monotonic()
        connection.request("GET", "/api/v1/series")
        connection.getresponse().read()
        times.append(time.monotonic() - began)
    connection.close()
    assert sorted(times)[2] < 0.035, times


# ---------------------------------------------------------------- records of all kinds
def test_a_record_that_cannot_be_read_is_said_so_and_read_when_it_can(tmp_path: Path) -> None:
    web = Web(tmp_path)
    path = tmp_path / FILE
    assert (web.ask("/healthz")[0], web.ask("/metrics")[0]) == (503, 503), "none yet"
    assert "no record there" in web.ask("/api/v1/series")[2]
    assert web.ask("/")[0] == 200
    path.touch()
    assert "empty" in web.ask("/api/v1/series")[2]
    path.write_bytes(b"this is no record " * 1000)
    assert web.ask("/api/v1/timeline")[0] == 503
    path.unlink()
    Store.open(path).close()
    assert web.ask("/healthz")[0] == 200
    assert web.json("/api/v1/trend?metric=x")["at"] == [] and web.json("/api/v1/timeline")["marks"] == []
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.close()
    status, _, text = web.ask("/api/v1/series")
    assert status == 503 and "upgrade" in text
    wait_until(lambda: web.ask("/ready/chatglm")[0] == 503, 5, lambda: web.ask("/ready/chatglm"))
    for address in ("/ready/chatglm", "/healthz"):
        assert web.ask(address)[0] == 503 and "upgrade" in web.ask(address)[2]
    (problem,) = web.json("/api/v1/status")["daemon"]["problems"]
    assert problem["cause"] == "record_unwritable" and "upgrade" in problem["reason"]
    web.close()


def test_a_change_is_told_within_two_seconds_while_the_record_is_written(tmp_path: Path) -> None:
    store = Store.open(tmp_path / FILE)
    fill(store)
    web = Web(tmp_path)
    with socket.create_connection(("127.0.0.1", web.port), timeout=5) as stream:
        stream.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream.settimeout(0.1)
        data = b""
        began, told = time.monotonic(), None
        while told is None:
            for number in range(50):
                store.put(writes.event(time.time(), "chatglm", "x", None, str(number), None))
            assert web.ask("/api/v1/events")[0] == 200
            with contextlib.suppress(TimeoutError):
                data += stream.recv(1 << 20)
            if b"whisper" in data and b"now it is" not in data and time.monotonic() - began > 1:
                show(store, "chatglm", state="unhealthy", reason="now it is ill")
                told = time.monotonic()
            assert time.monotonic() - began < 20
        while b"now it is ill" not in data:
            assert time.monotonic() - told < 2
            try:
                data += stream.recv(1 << 20)
            except TimeoutError:
                continue
    web.close()
    store.close()


# ---------------------------------------------------------------- who may look
def test_from_elsewhere_only_with_a_secret_and_tls(directory: Path, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text(f"# who may look\ntoken {hash_secret('t0ken')}\nbasic anna {hash_secret(SECRET)}\n")
    for options, told in (
        (["--listen", "0.0.0.0:0"], "say who may look, with --secrets FILE"),
        (["--listen", "0.0.0.0:0", "--secrets", str(secrets)], "--behind-proxy"),
        (["--listen", "nowhere"], "write it like 127.0.0.1:8712"),
        (["--tls-cert", str(secrets)], "go together"),
        (["--secrets", str(tmp_path / "none")], "cannot be read"),
        (["--secrets", str(Path(__file__))], ":1: write token HASH or basic USER HASH"),
    ):
        command = [sys.executable, "-m", "model_watchdog", "--state-dir", str(directory), "web", *options]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(SRC)}, timeout=20, check=False)
        assert done.returncode in (1, 64) and told in done.stderr, done.stderr
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    served = ("--listen", "0.0.0.0:0", "--secrets", str(secrets), "--tls-cert", str(cert), "--tls-key", str(key))
    web = Web(directory, *served)
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def ask(authorization: str) -> int:
        connection = http.client.HTTPSConnection("localhost", web.port, timeout=10, context=context)
        connection.request("GET", "/api/v1/status", headers={"Authorization": authorization} if authorization else {})
        status = connection.getresponse().status
        connection.close()
        return status

    assert ask("") == 401
    assert [ask("Bearer t0ken"), ask(basic("anna", SECRET)), ask("Bearer t0ken")] == [200, 200, 200]
    wrong = [ask(f"Bearer {number}") for number in range(3)] + [
        ask(basic("eve", SECRET)),
        ask(basic("anna", "t0ken")),
        ask("Basic !"),
        ask("X"),
    ]
    assert set(wrong) <= {401, 429}
    web.close()


def basic(user: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


@pytest.mark.parametrize("salt", ["not-base64!", ""])
def test_a_hash_whose_salt_is_none_is_refused_when_it_is_read(tmp_path: Path, salt: str) -> None:
    digest = hash_secret("t0ken").rpartition("$")[2]
    (tmp_path / "secrets").write_text(f"token scrypt${salt}${digest}\n")
    with pytest.raises(WatchdogError, match=":1: write token HASH"):
        Secrets.read(tmp_path / "secrets")


def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    secrets = Secrets([("", hash_secret("t0ken"))])

    async def guess() -> None:
        judged = await asyncio.gather(*(secrets.judge(f"Bearer {number}", "10.0.0.1") for number in range(8)))
        assert judged.count(None) >= 1 and True not in judged
        assert await secrets.judge("Bearer t0ken", "10.0.0.2"), "who guesses keeps out nobody else"

    asyncio.run(guess())


# ---------------------------------------------------------------- in a browser
@pytest.mark.alone
@pytest.mark.skipif(not browser.PROGRAM, reason="BROWSER TEST NOT RUN: chromium is not installed")
def test_a_person_sees_a_change_within_two_seconds_in_both_languages(tmp_path: Path) -> None:
    state = tmp_path / "state"
    store = Store.open(state / FILE)
    fill(store)
    web, page = Web(state), browser.Browser(tmp_path / "profile")
    try:
        for language, healthy, ill in (("en", "healthy", "unhealthy"), ("zh", "健康", "异常")):
            show(store, "chatglm")
            page.open(f"{web.url}/?lang={language}", width=390 if language == "zh" else 1280)
            row = "[...document.querySelectorAll('#services tr')].find((row) => row.innerText.includes('chatglm'))"
            page.wait(f"{row} && {row}.querySelector('.state').innerText === '{healthy}'")
            page.wait("document.querySelector('#chart canvas') && document.querySelectorAll('#bars rect').length > 3")
            page.wait(
                "document.querySelectorAll('#timeline .incident').length >= 1 && document.getElementById('live').innerText.includes('●')"
            )
            show(store, "chatglm", state="unhealthy")
            assert page.wait(f"{row}.querySelector('.state').innerText === '{ill}'") < 2
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth + 1"), "it fits its width"
        assert page.errors == []
    finally:
        page.close()
        web.close()
        store.close()


@pytest.mark.alone
@pytest.mark.skipif(not browser.PROGRAM, reason="BROWSER TEST NOT RUN: chromium is not installed")
def test_on_a_phone_rows_have_names_letters_can_be_read_and_times_are_written_one_way(directory: Path, tmp_path: Path) -> None:
    web, page = Web(directory), browser.Browser(tmp_path / "profile")
    try:
        page.open(f"{web.url}/?lang=en", width=390)
        page.wait("document.querySelectorAll('#timeline .incident').length >= 1 && document.querySelectorAll('#bars rect').length > 3")
        names = page.evaluate("[...document.querySelectorAll('#timeline .name')].map((one) => one.innerText)")
        assert {"chatglm", "whisper", SCRIPT} <= set(names)
        seen = "[...document.querySelectorAll('#timeline .name, #timeline text, #bars text')].map((one) => one.getBoundingClientRect())"
        assert page.evaluate(f"{seen}.every((box) => box.left >= 0 && box.right <= innerWidth)"), "nothing is scrolled out of sight"
        scaled = (
            "[...document.querySelectorAll('svg text')].map((one) => parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a)"
        )
        assert page.evaluate(f"Math.min(...{scaled})") >= 11
        told = page.evaluate("document.body.innerText + [...document.querySelectorAll('title')].map((one) => one.textContent).join()")
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", told) and not re.search(r"\d[ ]?[AP]M|\d/\d+/\d", told, re.IGNORECASE)
        assert page.evaluate("document.getElementById('zone').innerText").startswith("all times are UTC")
        page.open(f"{web.url}/incidents/17", width=390)
        page.wait("document.querySelectorAll('#trends canvas').length === 1")
        assert page.errors == []
    finally:
        page.close()
        web.close()


HASTE = "const every = setInterval; setInterval = (act, ms) => every(act, ms / 100);"
ASKED = "performance.getEntriesByType('resource').filter((one) => one.name.includes('/api/v1/%s')).length"


@pytest.mark.alone
@pytest.mark.skipif(not browser.PROGRAM, reason="BROWSER TEST NOT RUN: chromium is not installed")
def test_incidents_are_asked_for_in_every_sixth_round(directory: Path, tmp_path: Path) -> None:
    """A round is 100 ms here."""
    web, page = Web(directory), browser.Browser(tmp_path / "profile")
    try:
        page.prepare(HASTE)
        page.open(web.url)
        page.wait("!!document.querySelector('#chart canvas')")
        page.evaluate("byId = (id) => document.getElementById(id); byId('span').value = '1h'; performance.clearResourceTimings()")
        page.wait(f"{ASKED % 'trend'} >= 20", 20)
        trends, incidents = page.evaluate(ASKED % "trend"), page.evaluate(ASKED % "incidents")
        assert trends / 9 <= incidents <= trends / 4, (trends, incidents)
    finally:
        page.close()
        web.close()
