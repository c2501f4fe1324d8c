"""Rule files: what promtool accepts and refuses, and what its rule tests say of alerts over time, and so do ours."""

import itertools
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_watchdog.config.loading import load
from model_watchdog.exporting import export_rules
from model_watchdog.promql import Memory
from model_watchdog.promql.alerting import AlertingRule, RunningGroup, State
from model_watchdog.promql.labels import NAME
from model_watchdog.promql.rulefile import read_rule_file
from tests.rig.prometheus import find_tool

pytestmark = pytest.mark.skipif(find_tool("promtool") is None, reason="no promtool on this machine: scripts/setup test unpacks one")

EXAMPLE = Path(__file__).resolve().parents[2] / "config.example.yaml"
EVERY = 61
"""Seconds from sample to sample: so that none is exactly as old as a sample may be, of which Prometheus 2 and 3 think differently."""
ALERT = {"alert": "A", "expr": "up == 0"}


def one(rule: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"groups": [{"name": "g", "rules": [rule], **more}]}


def promtool(*arguments: object) -> "subprocess.CompletedProcess[str]":
    tool = find_tool("promtool")
    assert tool
    return subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, timeout=60)


GOOD = [
    one(ALERT),
    one({**ALERT, "for": "5m", "keep_firing_for": "1h30m", "labels": {"severity": "page"}, "annotations": {"summary": "{{ $value }}"}}),
    one({"record": "job:up:sum", "expr": "sum by (job) (up)", "labels": {"a": "b"}}),
    one(ALERT, interval="30s", limit=10),
    one({**ALERT, "annotations": {"s": "{{ if gt $value 0.5 }}a{{ else if lt $value 0.1 }}b{{ else }}c{{ end }} {{- /* c */ -}}"}}),
    one({**ALERT, "annotations": {"s": '{{ $labels.instance | reReplaceAll "a" "b" | title }} {{ printf "%.2f" $value }}'}}),
    one({**ALERT, "annotations": {"s": "{{ .Value }} {{ .Labels.job }} {{ $externalLabels.x }} {{ humanizePercentage 0.5 }}"}}),
    one({"alert": "A", "expr": "1"}),
    one({"alert": "A", "expr": 1}),
    {"groups": []},
    {"groups": [{"name": "a", "rules": []}, {"name": "b", "rules": [ALERT]}]},
]
BAD = [
    one({"expr": "up"}),
    one({"alert": "A"}),
    one({"alert": "A", "expr": ""}),
    one({"alert": "A", "record": "b", "expr": "up"}),
    one({"record": "not a metric", "expr": "up"}),
    one({"record": "a", "expr": "up", "for": "5m"}),
    one({"record": "a", "expr": "up", "annotations": {"a": "b"}}),
    one({"record": "a", "expr": "up", "keep_firing_for": "5m"}),
    one({**ALERT, "for": "soon"}),
    one({**ALERT, "for": "5m 3s"}),
    one({**ALERT, "labels": {"not-a-name": "b"}}),
    one({**ALERT, "labels": {"__name__": "b"}}),
    one({**ALERT, "annotations": {"not-a-name": "b"}}),
    one({**ALERT, "annotations": {"a": "{{ $value"}}),
    one({**ALERT, "annotations": {"a": "{{ nosuch $value }}"}}),
    one({**ALERT, "annotations": {"a": "{{ $nosuch }}"}}),
    one({**ALERT, "annotations": {"a": "{{ if $value }}x"}}),
    one({**ALERT, "annotations": {"a": "{{ end }}"}}),
    one({**ALERT, "annotations": {"a": "{{ humanize ( $value }}"}}),
    one({**ALERT, "labels": {"a": "{{ $value"}}),
    one({**ALERT, "expr": "up =="}),
    one({**ALERT, "expr": "rate(up)"}),
    one({**ALERT, "severity": "page"}),
    one(ALERT, every="5m"),
    one(ALERT, interval="often"),
    one(ALERT, limit="many"),
    {"groups": [{"name": "a", "rules": [ALERT]}, {"name": "a", "rules": [ALERT]}]},
    {"groups": [{"rules": [ALERT]}]},
    {"group": []},
    {"groups": {"name": "a"}},
    {"groups": [{"name": "a", "rules": {"alert": "A"}}]},
]


@pytest.mark.parametrize(("content", "is_good"), [*((content, True) for content in GOOD), *((content, False) for content in BAD)])
def test_what_promtool_accepts_and_refuses_so_do_we(tmp_path: Path, content: dict[str, Any], is_good: bool) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps(content))
    checked = promtool("check", "rules", path)
    assert (checked.returncode == 0) == is_good, checked.stdout + checked.stderr
    _, faults = read_rule_file(yaml.safe_load(path.read_text()))
    assert (not faults) == is_good, faults


RULES: list[dict[str, Any]] = [
    {"record": "job:load:avg", "expr": "avg by (job) (load)"},
    {"alert": "AtOnce", "expr": "load > 5", "labels": {"severity": "page", "who": "{{ $labels.instance }}"}},
    {"alert": "Later", "expr": "load > 5", "for": "3m", "annotations": {"summary": "{{ $labels.instance }} is at {{ $value | humanize }}"}},
    {"alert": "Kept", "expr": "load > 7", "keep_firing_for": "4m", "annotations": {"value": "{{ $value }}"}},
    {"alert": "Both", "expr": "load > 5", "for": "2m", "keep_firing_for": "2m"},
    {"alert": "OfRecorded", "expr": "job:load:avg > 4.5", "for": "1m", "labels": {"alertname": "Overwritten", "job": "other"}},
    {"alert": "Gone", "expr": "absent(load{instance='a'})", "for": "1m"},
    {"alert": "OfOthers", "expr": "count(ALERTS{alertstate='firing'}) > 1"},
    {"alert": "OfPending", "expr": "ALERTS{alertstate='pending', alertname='Later'}", "labels": {"alertname": "x"}},
]
TEMPLATES = [
    *(
        "{{ $value }}",
        "{{ $value | humanize }}",
        "{{ $value | humanize1024 }}",
        "{{ humanizePercentage $value }}",
        "{{ humanizeDuration $value }}",
    ),
    *(
        "{{ humanizeTimestamp $value }}",
        '{{ printf "%.3f" $value }}',
        '{{ printf "%8.2e|%-8.1f|%+.1f|%08.2f" $value $value $value $value }}',
    ),
    *('{{ printf "%g %v %s" $value $value $labels.instance }}', '{{ printf "%d" $value }}', '{{ printf "%s %s" $labels.instance }}'),
    *(
        '{{ printf "%q" $labels.instance }}',
        "{{ $labels }}",
        "{{ $labels.missing }}|",
        "{{ title $labels.path }}",
        "{{ toUpper $labels.path | toLower }}",
    ),
    *('{{ reReplaceAll "(.)a(?P<n>.*)" "${n}-$1$$" $labels.path }}', '{{ if match "^a" $labels.path }}yes{{ else }}no{{ end }}'),
    *(
        "{{ if gt $value 10.0 }}big{{ else if gt $value 1.0 }}middle{{ else }}small{{ end }}",
        "{{ if and $value $labels.path }}both{{ end }}",
    ),
    *('a  {{- if eq $labels.path "x" "a b-c" }} b {{- end }}  c', '{{ "a\\tb" }}{{ `c\\td` }}', "{{ 5 }} {{ 1.50 }} {{ true }} {{ 1e3 }}"),
    *(
        '{{ print $value " " $labels.path 3 }}',
        "{{ len $labels.path }}",
        '{{ index $labels "path" }}',
        "{{ not $value }}",
        "{{ ($value | humanize) | toUpper }}",
    ),
    *(
        "{{ if eq $value $value }}same{{ end }}",
        '{{ if or "" $labels.none "x" }}or{{ end }}',
        '{{ humanize "1234567" }}',
        "{{ ne 1 2 }}{{ le 1 1 }}{{ ge 1.5 2.5 }}",
    ),
]
TEMPLATES += [
    '{{ $labels.instance | stripPort }} {{ stripPort "[::1]:80" }} {{ stripPort "::1" }} {{ stripPort "host" }} {{ stripPort "a:b:c" }}',
    '{{ parseDuration "1h30m" }} {{ $value | printf "%.0f" | len }}',
]
VALUES = [
    "0",
    "1",
    "-1",
    "0.1",
    "1.5",
    "12345.678",
    "1e6",
    "1234567.891",
    "123456",
    "1e9",
    "1e-5",
    "0.00012345",
    "-1024",
    "3723.5",
    "90061",
    "NaN",
    "Inf",
    "-Inf",
]


def run_ours(rules: list[dict[str, Any]], series: dict[str, list[float | None]], minutes: int) -> list[tuple[int, dict[str, list[Any]]]]:
    """The firing alerts after each minute, by name."""
    groups, faults = read_rule_file({"groups": [{"name": "g", "rules": rules}]})
    assert not faults, faults
    running, memory = RunningGroup(groups[0]), Memory()
    firing = []
    for minute in range(minutes):
        for notation, values in series.items():
            labels = tuple(json.loads(notation).items())
            own = tuple(pair for pair in labels if pair[0] != NAME)
            for place, value in enumerate(values):
                if value is not None and place * EVERY <= minute * 60:  # what is there already is left out
                    memory.append(dict(labels)[NAME], own, place * EVERY, value)
        _, failures = running.evaluate(memory, minute * 60)
        assert not failures
        found: dict[str, list[Any]] = {}
        for rule in running.rules:
            for alert in rule.active.values() if isinstance(rule, AlertingRule) else ():
                assert isinstance(rule, AlertingRule)
                if alert.state is State.FIRING:
                    found.setdefault(rule.rule.name, []).append((dict(alert.labels), dict(alert.annotations)))
        firing.append((minute, found))
    return firing


def write_rule_test(
    directory: Path, rules: list[dict[str, Any]], series: dict[str, list[float | None]], expected: list[tuple[int, dict[str, list[Any]]]]
) -> Path:
    (directory / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}))
    names = sorted({rule["alert"] for rule in rules if "alert" in rule})
    inputs = []
    for notation, values in series.items():
        labels = dict(json.loads(notation))
        inside = ", ".join(f"{name}={json.dumps(text)}" for name, text in labels.items() if name != NAME)
        written = " ".join("_" if value is None else str(value).replace("nan", "NaN").replace("inf", "Inf") for value in values)
        inputs.append({"series": f"{labels[NAME]}{{{inside}}}", "values": written})
    questions = [
        {
            "eval_time": f"{minute}m",
            "alertname": name,
            "exp_alerts": [
                {"exp_labels": {key: value for key, value in labels.items() if key != "alertname"}, "exp_annotations": annotations}
                for labels, annotations in found.get(name, [])
            ],
        }
        for (minute, found), name in itertools.product(expected, names)
    ]
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": f"{EVERY}s", "input_series": inputs, "alert_rule_test": questions}],
    }
    path = directory / "test.yml"
    path.write_text(json.dumps(test, ensure_ascii=False))
    return path


@pytest.mark.parametrize("seed", range(3))
def test_alerts_come_and_go_as_promtool_says(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    series: dict[str, list[float | None]] = {}
    for instance in "abc":
        level, values = 5.0, list[float | None]()
        for _ in range(60):
            level = min(10.0, max(0.0, level + chance.uniform(-3, 3)))
            values.append(None if chance.random() < 0.1 else round(level, 2))
        if instance == "a":
            values[20:32] = [None] * 12  # longer than a sample counts
        series[json.dumps({NAME: "load", "instance": instance, "job": "j"})] = values
    expected = run_ours(RULES, series, 60)
    assert all(any(rule["alert"] in found for _, found in expected) for rule in RULES if "alert" in rule and rule["alert"] != "Gone")
    tested = promtool("test", "rules", write_rule_test(tmp_path, RULES, series, expected))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_promtool_would_tell_if_an_alert_were_off_by_one(tmp_path: Path) -> None:
    series: dict[str, list[float | None]] = {json.dumps({NAME: "load", "instance": "a"}): [6.0] * 10}
    expected = run_ours(RULES[2:3], series, 8)
    assert [bool(found) for _, found in expected] == [False] * 3 + [True] * 5
    late = [(minute + 1, found) for minute, found in expected]
    tested = promtool("test", "rules", write_rule_test(tmp_path, RULES[2:3], series, late))
    assert tested.returncode != 0


def test_templates_say_what_promtool_says(tmp_path: Path) -> None:
    labels = {"instance": "host-1:9100", "path": "a b-c"}
    rules = [{"alert": f"T{place}", "expr": "level", "annotations": {"said": text}} for place, text in enumerate(TEMPLATES)]
    series: dict[str, list[float | None]] = {
        json.dumps({NAME: "level", **labels, "number": str(place)}): [float(value)] for place, value in enumerate(VALUES)
    }
    expected = run_ours(rules, series, 1)
    assert not any("error expanding" in said["said"] for _, found in expected for alerts in found.values() for _, said in alerts)
    tested = promtool("test", "rules", write_rule_test(tmp_path, rules, series, expected))
    assert tested.returncode == 0, (tested.stdout + tested.stderr)[-6000:]


def test_what_is_exported_promtool_accepts(tmp_path: Path) -> None:
    config = load(EXAMPLE, environment={}, credentials_dir=None, strict_secrets=False)
    path = tmp_path / "exported.yml"
    path.write_text(export_rules(config))
    checked = promtool("check", "rules", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "rules found" in checked.stdout
