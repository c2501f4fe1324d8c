"""The rules as Prometheus would judge them: each expression parses, and fires where the rule would."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_watchdog.cli.main import main
from model_watchdog.config.loading import load
from model_watchdog.config.model import Config
from model_watchdog.exporting import export_rules
from model_watchdog.promql import Memory
from model_watchdog.promql.alerting import RunningGroup, Step
from model_watchdog.promql.rulefile import Alerting, read_rule_file

EXAMPLE = Path(__file__).resolve().parents[2] / "config.example.yaml"
Exported = Callable[..., dict[str, Any]]


def read(path: Path, text: str) -> Config:
    path.write_text(text)
    path.chmod(0o600)
    return load(path, environment={}, credentials_dir=None, strict_secrets=False)


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    """The rules of a service `m` with these lines in its `rules:`, by name."""

    def export(*rules: str, probes: str = "health: {kind: http, url: 'http://127.0.0.1:1/', every: 30s}") -> dict[str, Any]:
        lines = "".join(f"      {rule}\n" for rule in rules)
        text = f"services:\n  m:\n    unit: m\n    probes:\n      {probes}\n    rules:\n{lines}host: {{probes: {{}}}}\n"
        content = yaml.safe_load(export_rules(read(tmp_path / "config.yaml", text)))
        assert not read_rule_file(content)[1]
        return {rule["alert"]: rule for group in content["groups"] for rule in group["rules"]}

    return export


def test_the_example_is_exported_whole_or_says_what_is_not() -> None:
    text = export_rules(load(EXAMPLE, environment={}, credentials_dir=None, strict_secrets=False))
    groups, faults = read_rule_file(yaml.safe_load(text))
    assert not faults
    assert {"model-watchdog: chatglm", "model-watchdog: bert", "model-watchdog: host"} <= {group.name for group in groups}
    assert "# slow: not exported: Prometheus has no baseline that learns" in text


@pytest.mark.parametrize(
    ("rule", "expression"),
    [
        ("a: {metric: unit_tasks, above: 5}", 'unit_tasks{service="m"} > 5'),
        ("a: {metric: unit_tasks, below: 0.5}", 'unit_tasks{service="m"} < 0.5'),
        ("a: {metric: unit_tasks, equals: 3}", 'unit_tasks{service="m"} == 3'),
        ("a: {metric: unit_tasks, outside: [1, 9]}", 'unit_tasks{service="m"} < 1 or unit_tasks{service="m"} > 9'),
        ("a: {metric: unit_restarts_total, above: 5, over: 1h, as: increase}", 'increase(unit_restarts_total{service="m"}[1h]) > 5'),
        ("a: {metric: unit_tasks, above: 5, over: 90s, as: p95}", 'quantile_over_time(0.95, unit_tasks{service="m"}[90s]) > 5'),
        ("a: {metric: unit_tasks, above: 5, over: 5m, as: avg}", 'avg_over_time(unit_tasks{service="m"}[5m]) > 5'),
        (
            "a: {metric: unit_tasks, above: 5, over: 5m, as: range}",
            '(max_over_time(unit_tasks{service="m"}[5m]) - min_over_time(unit_tasks{service="m"}[5m])) > 5',
        ),
        (
            "a: {metric: 'probe_success{probe=~\"health|x\"}', below: 1, times: 2}",
            'probe_success{service="m", probe=~"health|x"} < 1',
        ),
    ],
)
def test_a_threshold_is_the_comparison(exported: Exported, rule: str, expression: str) -> None:
    assert exported(rule)["a"]["expr"] == expression


def test_times_become_the_time_between_the_first_and_the_last(exported: Exported) -> None:
    rules = exported(
        "a: {metric: 'probe_success{probe=\"health\"}', below: 1, times: 3}",
        "b: {metric: unit_tasks, above: 5, times: 4}",
        "c: {metric: unit_tasks, above: 5, for: 90s, keep_firing_for: 1h, severity: critical, message: '{value} of {service}, {{x}}'}",
        "d: {metric: unit_tasks, above: 5}",
    )
    assert [rules[name].get("for") for name in "abcd"] == ["1m", "30s", "90s", None]
    assert rules["c"]["keep_firing_for"] == "1h"
    assert rules["c"]["labels"] == {"severity": "critical", "action": "alert", "service": "m"}
    assert rules["c"]["annotations"]["summary"] == "{{ $value }} of {{ $labels.service }}, {x}"


def run(tmp_path: Path, rule: str, values: list[float | None], every: int = 10) -> list[Step]:
    """What becomes of the alert `a`, evaluated after each value."""
    text = f"services:\n  m:\n    unit: m\n    probes: {{}}\n    rules:\n      {rule}\nhost: {{probes: {{}}}}\n"
    groups, _ = read_rule_file(yaml.safe_load(export_rules(read(tmp_path / "config.yaml", text))))
    memory, steps = Memory(), list[Step]()
    running = RunningGroup(groups[0])
    for place, value in enumerate(values):
        if value is not None:
            memory.append("unit_tasks", (("service", "m"),), place * every, value)
        changes, failures = running.evaluate(memory, place * every + 1)
        assert not failures
        steps += [change.step for change in changes if dict(change.alert.labels)["alertname"] == "a"]
    assert any(isinstance(rule, Alerting) and rule.name == "a" for rule in groups[0].rules)
    return steps


def test_an_alert_with_a_level_of_its_own_for_the_end_goes_on_until_that(tmp_path: Path) -> None:
    rule = "a: {metric: unit_tasks, above: 10, clear: 5}"
    assert run(tmp_path, rule, [8, 11, 8, 6]) == [Step.FIRING]
    assert run(tmp_path, rule, [8, 11, 8, 5, 8]) == [Step.FIRING, Step.RESOLVED]


def test_a_jump_is_seen_by_the_plain_sigma_rule(tmp_path: Path) -> None:
    rule = "a: {metric: unit_tasks, sigma: 3, window: 10, min_absolute: 1}"
    calm: list[float | None] = [100.0 + place % 3 for place in range(15)]
    assert run(tmp_path, rule, calm) == []
    assert run(tmp_path, rule, [*calm, 130.0]) == [Step.FIRING]
    assert run(tmp_path, rule, [*calm, 103.5]) == [], "within three times min_absolute"
    assert run(tmp_path, rule, [1.0, 1.0, 9.0]) == [], "too few samples"
    assert run(tmp_path, rule.replace("min", "direction: below, min"), [*calm, 130.0]) == []


def test_a_series_that_ends_is_missed_and_one_that_never_came_too(tmp_path: Path) -> None:
    rule = "a: {metric: unit_tasks, absent: 1m}"
    assert run(tmp_path, rule, [1.0] * 5 + [None] * 5) == []
    assert run(tmp_path, rule, [1.0] * 5 + [None] * 8 + [1.0]) == [Step.FIRING, Step.RESOLVED]
    assert run(tmp_path, rule, [None]) == [Step.FIRING]


def test_a_service_whose_rules_cannot_be_exported_is_a_group_without_rules(exported: Exported) -> None:
    assert exported("a: {metric: unit_tasks, sigma: 3}", "down: off", "unhealthy: off") == {}


def test_the_command_prints_the_file_in_the_language_of_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.yaml"
    for language, said in (("en", "# The rules of "), ("zh", f"# {path} 的规则")):
        path.write_text(f"language: {language}\nservices: {{m: {{unit: m}}}}\nhost: {{probes: {{}}}}\n")
        assert main(["--config", str(path), "export-rules"]) == 0
        printed = capsys.readouterr()
        assert printed.out.startswith(said) and printed.err == ""
        assert not read_rule_file(yaml.safe_load(printed.out))[1]
    path.write_text("services: {m: {unit: m, nosuch: 1}}\n")
    assert main(["--config", str(path), "export-rules"]) == 2
    assert "nosuch" in capsys.readouterr().err


def test_an_expression_is_exported_as_it_is_and_says_what_is_different_there(tmp_path: Path) -> None:
    rules = "{a: {expr: 'unit_tasks > 5', for: 1m}, b: {expr: '2 < rolling_sigma(unit_tasks[1h])', for: 1m}}"
    text = export_rules(read(tmp_path / "config.yaml", f"services: {{m: {{unit: m, rules: {rules}}}}}\nhost: {{rules: {rules}}}\n"))
    assert text.count("# a: Prometheus looks at the series of every service here") == 1, "of the service, and not of the host"
    assert text.count("# b: not exported: Prometheus has no rolling_sigma") == 2 and 'alert: "b"' not in text
    assert 'expr: "unit_tasks > 5"' in text and 'summary: "a: {{ $value | humanize }}"' in text
