"""The verdict: exit codes and the summary, from a document."""

import asyncio
import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_watchdog import status, writes
from model_watchdog.cli import status as cli_status
from model_watchdog.cli.drawing import print_status
from model_watchdog.cli.main import main
from model_watchdog.store import Store

HEALTHY: dict[str, Any] = {
    "name": "chatglm",
    "unit": "chatglm.service",
    "state": "healthy",
    "since": "2026-01-01T00:00:00Z",
    "cause": None,
    "reason": "all probes are good",
    "unit_state": None,
    "probes": [],
    "breaker": {"state": "closed", "failures": 0, "restarts": 0, "retry_at": None},
    "recovery": {"phase": "idle", "last_restart_at": None, "last_result": None},
    "paused_until": None,
}


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def make_doc(**service: Any) -> dict[str, Any]:
    entry = copy.deepcopy(HEALTHY) | service
    daemon = {
        "running": True,
        "pid": 1,
        "version": "0",
        "started_at": None,
        "mode": "active",
        "config": "",
        "config_error": None,
        "problems": [],
    }
    return {
        "schema": 1,
        "generated_at": "2026-01-01T00:00:00Z",
        "daemon": daemon,
        "services": [entry],
        "host": {"metrics": []},
        "alerts": [],
        "incidents": [],
        "notifications": {"queued": 0, "undeliverable": 0},
    }


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("healthy", 0),
        ("busy", 0),
        ("loading", 0),
        ("sleeping", 0),
        ("stopped", 0),
        ("degraded", 1),
        ("unknown", 1),
        ("unhealthy", 2),
        ("stalled", 2),
        ("dead", 2),
    ],
)
def test_a_state_has_its_exit_code(state: str, code: int) -> None:
    assert status.judge(make_doc(state=state))[0] == code


@pytest.mark.parametrize(
    ("service", "code"),
    [
        ({"state": "loading", "cause": "start_timeout"}, 1),
        ({"state": "stopped", "cause": "stopped_not_proved"}, 1),
        ({"state": "stopped", "cause": "operator_stop"}, 0),
        ({"state": "healthy", "recovery": HEALTHY["recovery"] | {"phase": "gave_up"}}, 2),
        ({"state": "dead", "paused_until": "2026-01-01T00:00:00Z"}, 0),
    ],
)
def test_a_cause_changes_it(service: dict[str, Any], code: int) -> None:
    assert status.judge(make_doc(**service))[0] == code


@pytest.mark.parametrize(("severity", "code"), [("info", 0), ("warning", 1), ("critical", 2)])
def test_a_firing_alert_counts_by_its_severity(severity: str, code: int) -> None:
    doc = make_doc()
    doc["alerts"] = [{"name": "slow", "service": "chatglm", "severity": severity, "state": "firing", "since": None, "reason": ""}]
    assert status.judge(doc)[0] == code


def test_what_the_daemon_lacks_is_a_warning() -> None:
    for change in (
        {"mode": "dry-run"},
        {"config_error": "line 3"},
        {"problems": [{"cause": "record_unwritable", "reason": "the disk is full", "remedy": "", "service": None}]},
    ):
        doc = make_doc()
        doc["daemon"] |= change
        assert status.judge(doc)[0] == 1


def test_a_message_that_could_not_be_delivered_is_shown_and_changes_no_exit_code() -> None:
    """It stays in the record for 30 days, and nothing could be done about it."""
    doc = make_doc()
    doc["notifications"]["undeliverable"] = 1
    assert status.judge(doc) == (0, "1 healthy")
    assert status.footer(doc, {}, TWO_MINUTES) == [("MESSAGES", "none sent today · 0 waiting · 1 undeliverable")]


def test_one_service_is_not_judged_by_the_problems_of_another() -> None:
    doc = make_doc()
    problem = {"cause": "not_permitted", "reason": "no right", "remedy": "sudo watchdog install"}
    doc["daemon"]["problems"] = [problem | {"service": "bert"}, problem | {"service": "chatglm", "cause": "masked"}]
    doc["services"].append(copy.deepcopy(HEALTHY) | {"name": "bert"})
    doc["services"].append(copy.deepcopy(HEALTHY) | {"name": "whisper"})
    for name, code, summary in (("whisper", 0, "1 healthy"), ("bert", 1, "may not restart bert; 1 healthy")):
        one = copy.deepcopy(doc)
        status.select(one, name)
        assert status.judge(one) == (code, summary)
    doc["daemon"]["problems"] = [problem | {"service": None, "cause": "record_unwritable"}]
    status.select(doc, "whisper")
    assert status.judge(doc)[0] == 1, "what is of no service is of each"


HOSTILE = "exit 1 \x1b[2J\x1b]0;title\x07\x9b31m\u202egnp.exe\u202c\u2028GPU\n0  \u4e2d\u6587 \ud800"


def test_nothing_that_a_terminal_obeys_comes_out_of_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As table, as plain lines and as JSON; Chinese stays as it is."""
    named = copy.deepcopy(HEALTHY) | {"name": f"bad{HOSTILE}", "state": "dead", "reason": HOSTILE, "cause": HOSTILE}
    named["probes"] = [{"name": "health", "ok": False, "at": None, "duration_seconds": 0.1, "detail": HOSTILE}]
    named["progress"] = {"why": HOSTILE}
    alert: dict[str, Any] = {"name": HOSTILE, "service": None, "severity": "warning", "state": "firing", "since": None, "value": 1.0}
    alert |= {"reason": HOSTILE, "labels": {HOSTILE: HOSTILE}}
    store = Store.open(tmp_path / "watchdog.db", wall=time.time)
    rows = [
        writes.service_status("bad", json.dumps(named), time.time()),
        writes.alerts("", json.dumps([alert])),
        writes.daemon_info(json.dumps({"mode": "active", "config_error": HOSTILE, "problems": [], "config": HOSTILE}), time.time()),
    ]
    assert asyncio.run(store.commit(*rows))
    store.close()
    doc, more = status.collect(str(tmp_path), str(tmp_path))
    cli_status._print_plain(doc, more, time.time())
    print_status(doc, more)
    assert main(["status", "--json", "--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path)]) == 3
    said = capsys.readouterr().out
    assert said.count("\u4e2d\u6587") > 8 and "gnp.exe" in said
    assert not set(said) & set("\x1b\x07\x9b\u202e\u202c\u2028\ud800")
    assert json.loads(said.splitlines()[-1])["services"][0]["reason"] == "exit 1 31mgnp.exe GPU 0 \u4e2d\u6587"


def test_a_label_with_a_line_break_puts_no_line_into_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of an alert and of a GPU: services and drivers give them."""
    label = "0\nchatglm  healthy"
    alert: dict[str, Any] = {"name": "deep", "service": None, "severity": "warning", "state": "firing", "since": None, "value": 1.0}
    alert |= {"reason": "", "labels": {"job": label}}
    metrics = [{"metric": "gpu_up", "labels": {"gpu": label, "uuid": "u"}, "value": 0.0, "at": None}]
    metrics.append({"metric": "host_disk_percent", "labels": {"mount": label}, "value": 5.0, "at": None})
    store = Store.open(tmp_path / "watchdog.db", wall=time.time)
    assert asyncio.run(store.commit(writes.alerts("", json.dumps([alert])), writes.host_metrics(json.dumps(metrics), time.time())))
    store.close()
    doc, more = status.collect(str(tmp_path), str(tmp_path))
    cli_status._print_plain(doc, more, time.time())
    said = capsys.readouterr().out
    assert said.count("chatglm  healthy") == 0 and said.count("0 chatglm healthy") == 3
    assert not [line for line in said.splitlines() if line.startswith("chatglm")]


def test_no_daemon_is_3_whatever_the_record_says() -> None:
    doc = make_doc(state="dead")
    doc["daemon"]["running"] = False
    assert status.judge(doc)[0] == 3


def test_the_summary_names_the_worst_first_and_counts_the_rest() -> None:
    doc = make_doc(state="degraded", reason="flapping")
    doc["services"] += [copy.deepcopy(HEALTHY) | {"name": name} for name in ("a", "b")]
    doc["services"].append(copy.deepcopy(HEALTHY) | {"name": "whisper", "state": "dead", "reason": "exit 1"})
    code, summary = status.judge(doc)
    assert (code, summary) == (2, "whisper dead (exit 1); chatglm degraded (flapping); 2 healthy")


def test_a_restart_under_way_is_shown_in_plain_words() -> None:
    shown = make_doc(state="unhealthy", recovery=HEALTHY["recovery"] | {"phase": "holding"})
    why = "health timed out 3 times, nothing moved"
    progress = {"chatglm": {"good_since": "2026-01-01T00:00:00Z", "stable_seconds": 60.0, "failed": 0, "why": why}}
    now = status.parse_rfc3339("2026-01-01T00:00:12Z")
    assert status.rows(shown, progress, now) == [
        ("chatglm", "verifying", "12 s", why),
        ("", "", "", "verifying: good for 12 s of 60 s"),
    ]
    shown = make_doc(state="loading", reason="loading for 12 s of at most 2 min", recovery=HEALTHY["recovery"] | {"phase": "verifying"})
    assert [row[1:] for row in status.rows(shown, progress, now)] == [
        ("verifying", "12 s", why),
        ("", "", "verifying: loading for 12 s of at most 2 min"),
    ]
    shown = make_doc(state="unhealthy", recovery=HEALTHY["recovery"] | {"phase": "stopping"})
    assert [row[1:] for row in status.rows(shown, progress, now)] == [
        ("restarting", "12 s", why),
        ("", "", "stopping the old process"),
    ]


@pytest.mark.parametrize(("at", "told"), [("01T23:59:00", "23:59"), ("02T02:34:50", "Fri 02:34"), ("09T02:34:00", "2026-01-09 02:34")])
def test_a_moment_that_is_not_today_has_its_day(at: str, told: str, utc: None) -> None:
    now = status.parse_rfc3339("2026-01-01T20:00:00Z")
    paused = make_doc(paused_until=f"2026-01-{at}Z", recovery=HEALTHY["recovery"] | {"phase": "paused"})
    assert status.rows(paused, {}, now)[0][3] == f"paused until {told}"
    gave_up = make_doc(state="dead", breaker={"state": "open", "failures": 3, "restarts": 3, "retry_at": f"2026-01-{at}Z"})
    assert f"next trial {told} ·" in status.rows(gave_up, {}, now)[1][3]


AN_ALERT: dict[str, Any] = {
    "name": "unhealthy",
    "service": "chatglm",
    "severity": "critical",
    "state": "firing",
    "since": "2026-01-01T00:00:00Z",
    "value": 0.0,
    "labels": {"service": "chatglm", "probe": "health"},
    "reason": "probe_success is 0, below 1",
}
TWO_MINUTES = status.parse_rfc3339("2026-01-01T00:02:00Z")


def test_alerts_are_one_line_the_worst_first() -> None:
    doc = make_doc()
    doc["alerts"] = [
        AN_ALERT | {"name": "gpu-hot", "service": None, "severity": "warning", "labels": {"gpu": "1", "uuid": "GPU-x"}},
        AN_ALERT | {"name": "note", "service": None, "severity": "info", "labels": {}},
        AN_ALERT | {"name": "slow"},
    ]
    shown = "critical chatglm slow health (2 min) · warning gpu-hot GPU 1 (2 min) · info note (2 min)"
    assert status.footer(doc, {}, TWO_MINUTES) == [("ALERTS", shown)]


@pytest.mark.parametrize(
    ("service", "alert", "is_shown"),
    [
        ({"state": "unhealthy"}, {}, False),
        ({"state": "dead"}, {"name": "down"}, False),
        ({"state": "busy", "reason": "busy"}, {"name": "busy", "reason": "busy"}, False),
        ({"state": "busy", "reason": "busy"}, {"name": "slow", "reason": "too slow"}, True),
        ({"state": "healthy"}, {}, True),
        ({"state": "unhealthy"}, {"service": None}, True),
        ({"state": "unhealthy"}, {"service": "another"}, True),
    ],
)
def test_an_alert_that_the_row_tells_of_is_not_told_again(service: dict[str, Any], alert: dict[str, Any], is_shown: bool) -> None:
    doc = make_doc(**service)
    doc["alerts"] = [AN_ALERT | alert]
    assert (status.footer(doc, {}, TWO_MINUTES) != []) == is_shown


def test_services_that_may_not_be_restarted_are_one_problem() -> None:
    doc = make_doc()
    problems = [
        {"cause": "not_permitted", "service": name, "reason": f"no right for {name}.service", "remedy": "sudo watchdog install"}
        for name in ("chatglm", "bert", "whisper")
    ]
    doc["daemon"]["problems"] = [*problems, {"cause": "masked", "service": "bge", "reason": "masked", "remedy": "unmask"}]
    shown = [("PROBLEM", "may not restart chatglm, bert, whisper   →   sudo watchdog install"), ("PROBLEM", "bge: masked   →   unmask")]
    assert status.footer(doc, {}, TWO_MINUTES) == shown
    assert status.judge(doc) == (1, "may not restart chatglm, bert, whisper; bge: masked; 1 healthy")


@pytest.mark.parametrize(
    ("sent", "queued", "undeliverable", "told"),
    [
        ({}, 0, 0, None),
        ({"ops": 2}, 0, 0, "2 sent to ops today · 0 waiting"),
        ({"mail": 1, "ops": 2}, 3, 0, "1 sent to mail, 2 sent to ops today · 3 waiting"),
        ({}, 1, 4, "none sent today · 1 waiting · 4 undeliverable"),
    ],
)
def test_messages(sent: dict[str, int], queued: int, undeliverable: int, told: str | None) -> None:
    doc = make_doc()
    doc["notifications"] = {"queued": queued, "undeliverable": undeliverable}
    assert status.footer(doc, sent, TWO_MINUTES) == ([("MESSAGES", told)] if told else [])


def test_a_pause_is_shown_with_what_it_hides() -> None:
    assert status.judge(make_doc(state="dead", paused_until="2026-01-01T00:00:00Z")) == (0, "1 paused, dead")


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (90, "1 min"), (3700, "1 h 1 min"), (86_400, "1 day"), (12 * 86_400, "12 days")])
def test_ages(seconds: int, text: str) -> None:
    assert status.ago("2026-01-01T00:00:00Z", status.parse_rfc3339("2026-01-01T00:00:00Z") + seconds) == text


def test_it_is_told_in_chinese(chinese: None, utc: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The word that monitoring reads stays, the columns stand below each other, and the document does not change."""
    now = status.parse_rfc3339("2026-01-01T00:02:00Z")
    doc = make_doc(state="dead", reason="进程自行退出，退出码 1")
    gave_up = HEALTHY["recovery"] | {"phase": "gave_up"}
    breaker = HEALTHY["breaker"] | {"state": "open", "retry_at": "2026-01-01T00:30:00Z"}
    doc["services"].append(copy.deepcopy(HEALTHY) | {"name": "whisper", "state": "dead", "recovery": gave_up, "breaker": breaker})
    doc["services"].append(copy.deepcopy(HEALTHY) | {"name": "b"})
    doc["alerts"] = [{"name": "gpu-hot", "service": None, "severity": "warning", "since": "2026-01-01T00:00:00Z", "labels": {"gpu": "1"}}]
    doc["alerts"][0] |= {"state": "firing", "reason": ""}
    before = copy.deepcopy(doc)
    assert status.judge(doc) == (
        2,
        "chatglm 宕机（进程自行退出，退出码 1）；whisper 宕机（已放弃重启；all probes are good）；gpu-hot 告警；1 个健康",
    )
    assert status.footer(doc, {"ops": 2}, now) == [("告警", "警告 gpu-hot GPU 1（2 分钟）"), ("消息", "今日已发送 ops 2 条 · 待发送 0 条")]
    assert doc == before
    cli_status._print_plain(doc, {"progress": {"whisper": {"failed": 3}}, "sent": {}}, now)
    assert capsys.readouterr().out.splitlines() == [
        "服务     状态  持续    原因",
        "chatglm  宕机  2 分钟  进程自行退出，退出码 1",
        "whisper  宕机  2 分钟  all probes are good",
        "                       重启 3 次失败后放弃；下次试探 00:30 · 修复后：watchdog reset whisper",
        "b        健康  2 分钟",
        "告警      警告 gpu-hot GPU 1（2 分钟）",
    ]
