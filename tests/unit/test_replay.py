"""`watchdog replay`: from each kind of data to a table and a document; and what is said where data or rules cannot be read."""

import asyncio
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model_watchdog import writes
from model_watchdog.cli.main import main
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.database import connect
from model_watchdog.history import History
from model_watchdog.record import FILE, Record
from model_watchdog.recorded import read_csv, read_record
from model_watchdog.rollups import Kept
from model_watchdog.store import Store

START = 1_700_000_000
RULES = "rules:\n  slow: {metric: latency, above: 5, times: 2, severity: critical}\n"
CONFIG = """\
services:
  model:
    unit: model.service
    probes:
      health: {kind: http, url: "http://127.0.0.1:1/health", every: 10s}
    rules:
      slow: {metric: 'probe_duration_seconds{probe="health"}', above: 2, times: 3}
host:
  probes: {system: {kind: host, every: 10s}}
  rules: {hot: {metric: host_cpu_percent, above: 90, for: 1m}, never: {metric: host_swap_percent, above: 90}}
"""

Replay = Callable[..., SimpleNamespace]


@pytest.fixture
def replay(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Replay:
    """`watchdog replay OPTIONS`, with the text of rules; `{d}` is the test's directory."""
    monkeypatch.setenv("TZ", "UTC")

    def run(*options: str, rules: str | None = RULES) -> SimpleNamespace:
        if rules is not None:
            (tmp_path / "rules.yaml").write_text(rules)
            options = (*options, "--rules", str(tmp_path / "rules.yaml"))
        code = main(["replay", "--state-dir", str(tmp_path), *options])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err, doc=json.loads(out) if "--json" in options and not code else None)

    return run


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_csv(path: Path, high: range, rows: int = 200, time_of: Callable[[int], str] = lambda row: str(START + 10 * row)) -> Path:
    path.write_text("timestamp,value\n" + "".join(f"{time_of(row)},{9.5 if row in high else 1.25}\n" for row in range(rows)))
    return path


# ---------------------------------------------------------------- each kind of data
def test_a_csv_gives_a_table_and_a_document(replay: Replay, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", range(50, 60))
    options = "--csv", str(path), "--metric", "latency"
    told = replay(*options)
    head, row, summary = told.out.splitlines()
    assert (told.code, told.err, head.split()) == (0, "", ["RULE", "SERVICE", "FIRED", "FOR", "RESTARTS", "MESSAGES", "REASON"])
    assert row.split("  ")[0] == "slow" and "1 min 30 s" in row and row.endswith('latency{service="replay"} is 9.5, above 5')
    assert summary == "200 samples of 1 series over 33 min; alerts: 1, restarts: 0, messages: 2"
    doc = replay(*options, "--json").doc
    assert (doc["schema"], doc["samples"], doc["from"], doc["until"]) == (1, 200, stamp(START), stamp(START + 1990))
    assert doc["firings"] == [
        {
            "rule": "slow",
            "service": "replay",
            "series": 'latency{service="replay"}',
            "severity": "critical",
            "then": "alert",
            "fired_at": stamp(START + 510),
            "until": stamp(START + 600),
            "seconds": 90.0,
            "restarts": 0,
            "messages": 2,
            "reason": 'latency{service="replay"} is 9.5, above 5',
        }
    ]
    assert (doc["restarts"], doc["messages"], doc["without_data"], doc["not_configured"]) == ([], 2, [], [])


def iso(row: int) -> str:
    return datetime.fromtimestamp(START + 10 * row, UTC).isoformat()


TIMES = (lambda row: f"{START + 10 * row}.0", iso, lambda row: iso(row).replace("+00:00", "Z"), lambda row: f'"{iso(row)}"')


@pytest.mark.parametrize("time_of", TIMES)
def test_times_are_unix_seconds_or_iso(replay: Replay, tmp_path: Path, time_of: Callable[[int], str]) -> None:
    path = write_csv(tmp_path / "a.csv", range(50, 60), time_of=time_of)
    assert [one["fired_at"] for one in replay("--csv", str(path), "--metric", "latency", "--json").doc["firings"]] == [stamp(START + 510)]


def test_a_csv_need_not_be_in_order_nor_have_every_value(replay: Replay, tmp_path: Path) -> None:
    lines = write_csv(tmp_path / "a.csv", range(50, 60)).read_text().splitlines()
    shuffled = [lines[0], *reversed(lines[1:]), f"{START + 520},1.25", f"{START + 5},", "", f"{START + 6},nan"]
    path = tmp_path / "b.csv"
    path.write_text("\ufeff" + "\r\n".join(shuffled))
    doc = replay("--csv", str(path), "--metric", "latency", "--json").doc
    assert (doc["samples"], [one["seconds"] for one in doc["firings"]]) == (201, [90.0])  # a time that is said twice counts once


def test_since_is_reckoned_from_the_end_of_the_data(replay: Replay, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", range(50, 60))
    doc = replay("--csv", str(path), "--metric", "latency", "--since", "5m", "--json").doc
    assert (doc["samples"], doc["firings"]) == (30, [])


def test_a_large_csv_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_csv(tmp_path / "a.csv", range(0), rows=5000)
    monkeypatch.setattr("model_watchdog.recorded.BLOCK", 4096)
    windows = list(read_csv(path, SeriesId("latency"), None, lambda share: None))
    assert len(windows) > 10 and sum(len(window[0].times) for window in windows) == 5000


@pytest.mark.parametrize("part", [None, "data", "result"])
def test_prometheus_answer_is_read_whole_or_in_part(replay: Replay, tmp_path: Path, part: str | None) -> None:
    values = [[START + 10 * row, "9.5" if 50 <= row < 60 else "1.25"] for row in range(200)]
    result = [{"metric": {"__name__": "latency", "job": "x"}, "values": values}]
    answer: Any = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    answer = answer if part is None else answer["data"] if part == "data" else answer["data"]["result"]
    (tmp_path / "range.json").write_text(json.dumps(answer))
    doc = replay("--prometheus", str(tmp_path / "range.json"), "--service", "m", "--json").doc
    assert [(one["series"], one["service"], one["seconds"]) for one in doc["firings"]] == [('latency{job="x", service="m"}', "m", 90.0)]


@pytest.mark.parametrize(
    "name", ["{unix}.txt", "metrics-{iso}.prom", "{compact}", "plain-{number}"], ids=["unix", "iso", "compact", "by when it was written"]
)
def test_pages_have_their_time_in_their_names(replay: Replay, tmp_path: Path, name: str) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    for row in range(30):
        at = datetime.fromtimestamp(START + 10 * row, UTC)
        named = name.format(unix=START + 10 * row, iso=f"{at:%Y-%m-%dT%H-%M-%SZ}", compact=f"{at:%Y%m%dT%H%M%SZ}", number=row)
        (pages / named).write_text(f'# TYPE latency gauge\nlatency{{engine="0"}} {9.5 if 10 <= row < 20 else 1.0}\nother 3\n')
        os.utime(pages / named, (START + 10 * row,) * 2)
    doc = replay("--pages", str(pages), "--json").doc
    assert (doc["series"], doc["samples"]) == (1, 30)  # what no rule looks at is not read
    assert [(one["fired_at"], one["seconds"]) for one in doc["firings"]] == [(stamp(START + 110), 90.0)]


# ---------------------------------------------------------------- the record
def write_record(directory: Path, rows: int = 600, *, gap: range = range(0), folded: bool = True) -> None:
    """A service with a unit and a health probe, and a host; slow in rows 100 to 120, ill in 300 to 310, hot in 400 to 420."""
    connection, _ = connect(directory / FILE, 0.0)
    history = History(connection)
    for row in range(rows):
        if row in gap:
            continue
        at, of, health = float(10 * row), {"service": "model"}, {"service": "model", "probe": "health"}
        measured: list[tuple[str, float, float, dict[str, str]]] = [
            ("unit_active", 1.0, 0.0, of),
            ("unit_uptime_seconds", at + 5000.0, 0.0, of),
            ("probe_success", 1.0, 0.0, {"service": "model", "probe": "unit"}),
            ("probe_success", float(not 300 <= row < 310), 0.123, health),
            ("probe_duration_seconds", 3.0 if 100 <= row < 120 else 0.05, 0.123, health),
            ("host_cpu_percent", 95.0 if 400 <= row < 420 else 10.0, 0.4, {}),
        ]
        samples = [Sample(SeriesId.of(metric, labels), value, at + later) for metric, value, later, labels in measured]
        with connection:
            history.append(writes.samples("boot", float(START), samples))
            if folded and history.is_due() and row < 550:
                history.fold(START + at, Kept(10 * 86_400.0))
    connection.close()


def test_the_record_is_replayed_with_the_configuration(replay: Replay, tmp_path: Path) -> None:
    write_record(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    doc = replay("--config", str(tmp_path / "config.yaml"), "--json", rules=None).doc
    found = [(one["rule"], one["service"], one["fired_at"], one["seconds"], one["restarts"]) for one in doc["firings"]]
    assert found[:2] == [
        ("slow", "model", stamp(START + 1020.123), 180.0, 0),
        ("unhealthy", "model", stamp(START + 3020.123), 9.877, 1),  # then another process is there
    ]
    assert found[-1] == ("hot", None, stamp(START + 4060.4), 140.0, 0)
    assert [one["result"] for one in doc["restarts"]][-1] == "recovered"
    assert {"service": None, "rule": "never", "metric": "host_swap_percent"} in doc["without_data"]
    assert {one["rule"] for one in doc["without_data"]} == {"never", "disk-full", "memory-short"}
    assert doc["samples"] == 3600 and doc["series"] == 6


def test_of_the_record_one_service_and_the_last_while(replay: Replay, tmp_path: Path) -> None:
    write_record(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    config = "--config", str(tmp_path / "config.yaml")
    doc = replay(*config, "--service", "model", "--since", "1000s", "--json", rules=None).doc
    assert (doc["series"], doc["firings"], doc["from"]) == (5, [], stamp(START + 5000.0))
    told = replay(*config, "--service", "modle", rules=None)
    assert (told.code, told.err) == (4, 'watchdog: the record has nothing of a service modle; did you mean "model"? (there are: model)\n')


def test_rules_alone_are_those_of_every_service_and_of_the_host(replay: Replay, tmp_path: Path) -> None:
    write_record(tmp_path)
    rules = """\
rules:
  hot: {metric: host_cpu_percent, above: 90}
  bad: {metric: 'probe_success{probe="health"}', below: 1, times: 5, then: restart}
"""
    doc = replay("--json", rules=rules).doc
    assert {(one["rule"], one["service"]) for one in doc["firings"]} == {("hot", None), ("bad", "model")}
    assert doc["restarts"][0]["at"] == stamp(START + 3040.123)


@pytest.mark.parametrize("folded", [True, False])
def test_every_sample_of_the_record_comes_once_and_in_order(tmp_path: Path, folded: bool) -> None:
    write_record(tmp_path, folded=folded)
    with Record.open(tmp_path) as record:
        expected = record.samples("probe_success", {"service": "model", "probe": "health"})
        windows = list(read_record(record, None, None, lambda share: None))
    series = SeriesId.of("probe_success", {"service": "model", "probe": "health"})
    found = [pair for window in windows for one in window if one.series == series for pair in zip(one.times, one.values, strict=True)]
    assert [value for _, value in found] == [value for _, value in expected]
    assert [at for at, _ in found] == pytest.approx([at for at, _ in expected], abs=0.001)


def test_while_the_watchdog_was_away_nothing_is_missed(replay: Replay, tmp_path: Path) -> None:
    write_record(tmp_path, gap=range(200, 290))
    rules = "rules:\n  gone: {metric: unit_active, absent: 2m}\n"
    assert replay("--json", rules=rules).doc["firings"] == []


def test_while_a_series_was_away_it_is_missed(replay: Replay, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", range(0))
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:60] + lines[100:]))
    rules = "rules:\n  gone: {metric: latency, absent: 2m}\n"
    (one,) = replay("--csv", str(path), "--metric", "latency", "--json", rules=rules).doc["firings"]
    assert one["fired_at"][:19] == stamp(START + 580 + 120)[:19] and one["seconds"] == pytest.approx(290.0, abs=1)


def test_a_unit_that_was_stopped_by_somebody_is_left_alone(replay: Replay, tmp_path: Path) -> None:
    write_record(tmp_path)
    store = Store.open(tmp_path / FILE)
    samples = [Sample(SeriesId.of("unit_active", {"service": "model"}), 0.0, 6010.0 + 10 * row) for row in range(30)]
    stopped = writes.event(START + 6012.0, "model", "stopped", "operator_stop", "stopped on purpose")
    assert asyncio.run(store.commit(writes.samples("boot", float(START), samples), stopped))
    store.close()
    (tmp_path / "config.yaml").write_text(CONFIG)
    doc = replay("--config", str(tmp_path / "config.yaml"), "--since", "600s", "--json", rules=None).doc
    assert doc["restarts"] == [] and not any(one["rule"] == "down" for one in doc["firings"])


def test_it_works_while_the_daemon_writes(replay: Replay, tmp_path: Path) -> None:
    write_record(tmp_path)
    connection, _ = connect(tmp_path / FILE, 0.0)
    connection.execute("BEGIN IMMEDIATE")
    try:
        assert replay("--json", rules="rules: {hot: {metric: host_cpu_percent, above: 90}}\n").doc["samples"] == 3600
    finally:
        connection.close()


# ---------------------------------------------------------------- two files of rules
def test_two_files_of_rules_are_compared(replay: Replay, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", range(50, 60))
    other = tmp_path / "other.yaml"
    other.write_text("rules:\n  slow: {metric: latency, above: 20}\n  low: {metric: latency, below: 2, for: 15m}\n")
    options = "--csv", str(path), "--metric", "latency", "--compare", str(other)
    told = replay(*options).out
    assert f"only with {tmp_path / 'rules.yaml'}:\nRULE" in told and f"only with {other}:\nRULE" in told
    assert f"with {other}: 200 samples of 1 series over 33 min; alerts: 1, restarts: 0, messages: 1" in told
    doc = replay(*options, "--json").doc
    assert [one["rule"] for one in doc["compare"]["only_here"]] == ["slow"]
    assert [(one["rule"], one["until"]) for one in doc["compare"]["only_there"]] == [("low", None)]
    same = replay("--csv", str(path), "--metric", "latency", "--compare", str(tmp_path / "rules.yaml")).out
    assert same.count("nothing would have fired") == 2


# ---------------------------------------------------------------- what cannot be read
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("time,value\n1,2\n", "{d}/a.csv:1: the header must name the columns timestamp and value"),
        ("timestamp,value\n1,2\n2,x\n", "{d}/a.csv:3: it holds 'x', which is no number and no time; mend the line, or take it out"),
        ("timestamp,value\nsoon,2\n", "{d}/a.csv:2: it holds 'soon', which is no number and no time; mend the line, or take it out"),
        ("timestamp,value\nnan,2\n", "{d}/a.csv:2: it holds 'nan', which is no number and no time; mend the line, or take it out"),
        ("timestamp,value\n1,2\n7\n", "{d}/a.csv:3: it has fewer columns than the header; mend the line, or take it out"),
    ],
)
def test_a_csv_that_cannot_be_read_names_the_line(replay: Replay, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    answer = replay("--csv", str(tmp_path / "a.csv"), "--metric", "latency")
    assert (answer.code, answer.err) == (1, f"watchdog: {told.format(d=tmp_path)}\n")


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "{}", '{"status": "error"}', "[1]", '[{"metric": {}}]', '[{"metric": {}, "values": [[1, "x"]]}]']
)
def test_what_is_no_answer_of_prometheus_is_told(replay: Replay, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    answer = replay("--prometheus", str(tmp_path / "a.json"))
    assert answer.code == 1 and f"{tmp_path / 'a.json'}: this is no answer of query_range" in answer.err


def test_what_is_no_file_is_told_and_waited_for_by_nobody(replay: Replay, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for options in (("--csv", f"{tmp_path}/pipe", "--metric", "x"), ("--prometheus", f"{tmp_path}/pipe")):
        answer = replay(*options)
        assert (answer.code, "it is not a regular file" in answer.err) == (1, True)


def test_a_record_of_slow_probes_has_no_gaps(replay: Replay, tmp_path: Path) -> None:
    connection, _ = connect(tmp_path / FILE, 0.0)
    history = History(connection)
    for row in range(60):
        with connection:
            samples = [Sample(SeriesId.of("latency", {"service": "m"}), 9.0 if 20 <= row < 40 else 1.0, 120.0 * row)]
            history.append(writes.samples("boot", float(START), samples))
    connection.close()
    doc = replay("--json", rules="rules:\n  slow: {metric: latency, above: 5, for: 10m}\n").doc
    assert [(one["fired_at"], one["seconds"]) for one in doc["firings"]] == [(stamp(START + 25 * 120), 1800.0)]


def test_a_metric_of_a_configured_service_comes_from_a_csv(replay: Replay, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", range(50, 60))
    (tmp_path / "config.yaml").write_text(CONFIG)
    config = "--config", str(tmp_path / "config.yaml"), "--csv", str(path), "--metric", 'probe_duration_seconds{probe="health"}'
    doc = replay(*config, "--json", rules=None).doc
    assert [(one["rule"], one["service"], one["fired_at"]) for one in doc["firings"]] == [("slow", "model", stamp(START + 520))]
    assert {one["rule"] for one in doc["without_data"]} == {"unhealthy", "down"}
    told = replay(*config, "--service", "modle", rules=None)
    assert told.code == 4 and 'did you mean "model"?' in told.err


def test_a_metric_of_the_host_is_the_hosts_where_one_service_is_configured(replay: Replay, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", range(50, 60))
    path.write_text(path.read_text().replace("9.5", "95"))
    (tmp_path / "config.yaml").write_text(CONFIG)
    doc = replay("--config", str(tmp_path / "config.yaml"), "--csv", str(path), "--metric", "host_cpu_percent", "--json", rules=None).doc
    assert [(one["rule"], one["service"], one["fired_at"]) for one in doc["firings"]] == [("hot", None, stamp(START + 560))]


def test_chinese_is_spoken(replay: Replay, tmp_path: Path, english_again: None) -> None:
    path = write_csv(tmp_path / "a.csv", range(50, 60))
    (tmp_path / "config.yaml").write_text("language: zh\n" + CONFIG)
    metric = 'probe_duration_seconds{probe="health"}'
    told = replay("--config", str(tmp_path / "config.yaml"), "--csv", str(path), "--metric", metric, rules=None).out.splitlines()
    assert told[0].split() == ["规则", "服务", "触发时间", "持续", "重启", "消息", "原因"]
    assert told[-1] == "200 个样本，1 个序列，历时 33 分钟：告警 1 次，重启 0 次，消息 2 条"


def test_pages_that_are_none_are_told(replay: Replay, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    assert replay("--pages", str(pages)).err.startswith(f"watchdog: {pages}: there is no file in it")
    (pages / "1700000000.html").write_text("<html>no</html>")
    answer = replay("--pages", str(pages))
    assert answer.code == 1 and answer.err.startswith(f"watchdog: {pages / '1700000000.html'}: this is no page of metrics")


def test_rules_that_are_not_valid_are_told_with_their_lines(replay: Replay, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", range(0))
    answer = replay("--csv", str(path), "--metric", "latency", rules="rules:\n  slow: {metric: latency, abvoe: 5}\n")
    assert answer.code == 2 and f"{tmp_path}/rules.yaml:2:" in answer.err and 'did you mean "above"?' in answer.err
    answer = replay("--csv", str(path), "--metric", "latency", rules="rules: {}\nrule: {}\n")
    assert answer.code == 2 and 'did you mean "rules"?' in answer.err
    answer = replay("--config", str(tmp_path / "none.yaml"), rules=None)
    assert answer.code == 2 and "there is no such file" in answer.err


@pytest.mark.parametrize(
    "options", [("--csv", "a"), ("--metric", "x"), ("--csv", "a", "--metric", "1x"), ("--csv", "a", "--pages", "b"), ("--since", "7")]
)
def test_wrong_usage_is_told(replay: Replay, options: tuple[str, ...]) -> None:
    answer = replay(*options)
    assert answer.code == 64 and answer.err and "Traceback" not in answer.err


def test_missing_data_are_told(replay: Replay, tmp_path: Path) -> None:
    for options in (
        ("--csv", f"{tmp_path}/no.csv", "--metric", "x"),
        ("--prometheus", f"{tmp_path}/no.json"),
        ("--pages", f"{tmp_path}/no"),
    ):
        answer = replay(*options)
        assert (answer.code, answer.err) == (1, f"watchdog: {options[1]}: No such file or directory\n")
    answer = replay()
    assert answer.code == 1 and "no record there" in answer.err
