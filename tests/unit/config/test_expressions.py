"""`expr` rules and rule files: what they are fed with, what they see, and what becomes of them in the core."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from model_watchdog.config.model import Config
from model_watchdog.config.show import show
from model_watchdog.core.decision import Decision, Event, Notification
from model_watchdog.core.host import HostState, step_host
from model_watchdog.core.rule import Severity
from model_watchdog.core.sample import Failure, Outcome, conclude
from model_watchdog.expressions import GONE_FOR
from model_watchdog.feeding import Feed
from model_watchdog.probes import Surroundings
from model_watchdog.wording import say
from tests.unit.config.texts import Faults, Load

PAGE = 'probes: {page: {kind: scrape, url: "http://127.0.0.1:1/metrics", keep: [errors_total, requests_total]}}'
SEEDS = """groups:
- name: chatglm-alerts
  rules:
  - alert: HighErrorRate
    expr: rate(http_requests_total{status=~"5.."}[5m]) / rate(http_requests_total[5m]) > 0.05
    for: 10m
    labels:
      severity: critical
    annotations:
      summary: 高错误率报警
      description: 错误率超过5%，当前值为 {{ $value }}
  - alert: GPUOverload
    expr: gpu_usage_percent > 90
    for: 5m
    labels:
      severity: warning
    annotations:
      summary: GPU使用率过高
      description: GPU使用率超过90%，当前值为 {{ $value }}
"""


@dataclass
class Night:
    """A host with rules, on a clock of its own: what is measured, what the expressions give, and what is decided."""

    config: Config
    now: float = 1000.0
    wall: float = 1_800_000_000.0
    state: HostState = field(default_factory=HostState)
    decisions: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.feed = Feed(lambda: self.now, lambda: self.wall + self.now)
        self.feed.follow(self.config.needs)
        around = Surroundings(None, None, 5.0, None, feed=self.feed)  # type: ignore[arg-type]
        self.probes = {probe.name: probe.probe.open(around) for probe in self.config.host.probes if probe.kind == "expr"}

    def see(self, service: str | None, failure: Failure | None = None, **values: float) -> None:
        measured: list[tuple[str, dict[str, str], float]] = [(name, {}, value) for name, value in values.items()]
        self.feed.take(service, conclude(service, "page", self.now, self.now, measured, failure))

    def judge(self) -> list[str]:
        """One round of the expressions; the reasons of what is decided."""
        outcomes = [self.run(name) for name in self.probes]
        found = step_host(self.config.host.rules, self.state, outcomes, self.now)
        self.decisions += found
        return [say(one.reason) for one in found if isinstance(one, Notification)]

    def run(self, name: str) -> Outcome:
        seen = asyncio.run(self.probes[name].observe())
        return conclude(None, name, self.now, self.now, seen.measurements, None, seen.detail)


def host(rules: str, more: str = "") -> str:
    return f"services: {{a: {{unit: a, {PAGE}}}, b: {{unit: b, {PAGE}}}}}\nhost: {{rules: {{{rules}}}}}\n{more}"


def test_an_expression_fires_for_each_label_set_and_ends(load_text: Load) -> None:
    rule = "errors: {expr: 'rate(errors_total[1m]) > 1', for: 30s, severity: critical, message: '{service} fails {value} times a second'}"
    night = Night(load_text(host(rule)))
    told, totals = list[str](), {"a": 0.0, "b": 0.0}
    for second in range(0, 300, 10):
        night.now += 10
        for service, speed in (("a", 5.0 if second < 150 else 0.0), ("b", 0.5)):
            night.see(service, errors_total=totals[service])
            totals[service] += 10 * speed
        told += night.judge()
    assert told == ["a fails 4.16667 times a second", "errors is over"]


def test_a_rule_without_words_says_its_expression_and_value(load_text: Load) -> None:
    night = Night(load_text(host("full: {expr: 'host_disk_percent > 90', for: 0s}")))
    night.see(None, host_disk_percent=97.5)
    assert night.judge() == ["host_disk_percent > 90 gives 97.5"]


def test_it_is_kept_firing_for_as_long_as_the_rule_says(load_text: Load) -> None:
    night = Night(load_text(host("many: {expr: 'requests_total > 5', for: 0s, keep_firing_for: 1h}")))
    night.see("a", requests_total=9.0)
    assert len(night.judge()) == 1
    began = night.now
    while not (told := night.judge()):
        night.now += 10
        night.see("a", requests_total=1.0)
    assert told == ["many is over"] and night.now - began == pytest.approx(3600, abs=20)


def test_other_expressions_see_an_alert_as_pending_until_it_has_held_for_long_enough(load_text: Load) -> None:
    rules = "a: {expr: 'requests_total > 5', for: 1m}, b: {expr: 'ALERTS{alertname=\"a\",alertstate=\"firing\"}', for: 0s}"
    night = Night(load_text(host(rules)))
    moments = []
    for _ in range(10):
        night.see("a", requests_total=9.0)
        if told := night.judge():
            moments.append((night.now - 1000, len(told)))
        night.now += 10
    assert moments == [(60, 2)]


@pytest.mark.parametrize("why", ["no answer", "too many"])
def test_what_has_no_answer_fires_on_and_does_not_begin(load_text: Load, why: str) -> None:
    night = Night(load_text(host("many: {expr: 'requests_total + on() group_left() x > 5', for: 1m}")))
    one = [("requests_total", {"n": "1"}, 9.0)]

    def see(requests: list[tuple[str, dict[str, str], float]], *others: tuple[str, dict[str, str], float]) -> list[str]:
        night.now += 10
        night.feed.take("a", conclude("a", "page", night.now, night.now, [*requests, ("x", {}, 1.0), *others]))
        return night.judge()

    broken: Any = {"no answer": (one, ("x", {"y": "1"}, 1.0)), "too many": ([("requests_total", {"n": str(n)}, 9.0) for n in range(1001)],)}
    for _ in range(4):
        assert see(one) == [], "pending"
    for _ in range(60):
        assert see(*broken[why]) == [], "nobody knows whether it went on"
    told = [said for _ in range(8) for said in see(one)]
    assert len(told) == 1
    for _ in range(60):
        assert see(*broken[why]) == [], "it neither ends nor is it measured no longer"
    assert see([("requests_total", {"n": "1"}, 1.0)]) == ["many is over"]


def test_a_series_that_ends_ends_its_alert_as_in_prometheus(load_text: Load) -> None:
    night = Night(load_text(host("many: {expr: 'requests_total > 5', for: 0s}")))
    night.see("a", requests_total=9.0)
    assert len(night.judge()) == 1
    night.now += 10
    assert night.judge() == [], "within the look-back it is as it was"
    night.see("a", Failure.REFUSED)
    night.now += 10
    assert night.judge() == ["many is over"], "a scrape that failed leaves no value behind"
    night.now += GONE_FOR + 10
    night.judge()
    night.now += 10
    assert not [sample for sample in night.run("expr:rules").samples if sample.series.metric == "expr:many"], "it is forgotten in the end"


def test_blindness_ends_nothing(load_text: Load) -> None:
    night = Night(load_text(host("many: {expr: 'requests_total > 5', for: 0s}")))
    night.see("a", requests_total=9.0)
    night.judge()
    night.see("a", Failure.WATCHER)
    night.now += 10
    assert night.judge() == []


def test_a_clock_that_is_set_moves_what_is_remembered(load_text: Load) -> None:
    night = Night(load_text(host("many: {expr: 'requests_total > 5', for: 0s}")))
    night.see("a", requests_total=9.0)
    night.judge()
    night.now, night.wall = night.now + 10, night.wall + 86_400
    assert night.judge() == []


def test_a_service_sees_its_own_series_and_those_of_none(load_text: Load) -> None:
    rules = "rules: {mine: {expr: 'requests_total > 5 and on() host_load1 > 1', for: 1s}}"
    config = load_text(f"services: {{a: {{unit: a, {PAGE}, {rules}}}, b: {{unit: b, {PAGE}}}}}")
    (probe,) = [probe for probe in config.services["a"].probes if probe.kind == "expr"]
    night = Night(config)
    running = probe.probe.open(Surroundings("a", "a.service", 5.0, None, feed=night.feed))  # type: ignore[arg-type]
    night.see("b", requests_total=9.0)
    night.see(None, host_load1=3.0)
    assert asyncio.run(running.observe()).measurements == []
    night.see("a", requests_total=7.0)
    assert asyncio.run(running.observe()).measurements == [("expr:mine", {"service": "a"}, 7.0)]
    assert [plan.name for plan in config.services["a"].core.probes] == ["unit", "page", "expr:rules"]
    assert config.services["a"].core.health_probes == frozenset()


def test_a_rule_file_is_read_as_it_is(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "alert.rules.yml").write_text(SEEDS)
    config = load_text(
        f"services: {{a: {{unit: a, {PAGE.replace('errors_total', 'http_requests_total')}}}}}\nrule_files: [alert.rules.yml]\n"
    )
    assert any("gpu_usage_percent" in warning and "alert.rules.yml:13:11" in warning for warning in config.warnings)
    assert not any("http_requests_total" in warning for warning in config.warnings)
    by_name = {rule.name: rule for rule in config.host.rules}
    assert by_name["HighErrorRate"].severity is Severity.CRITICAL and by_name["HighErrorRate"].for_ == 600
    night = Night(config)
    for _ in range(40):
        night.now += 10
        night.feed.take("gpu", conclude(None, "smi", night.now, night.now, [("gpu_usage_percent", {"gpu": "0"}, 97.0)]))
        night.judge()
    assert [say(one.reason) for one in night.decisions if isinstance(one, Notification)] == ["GPU使用率过高: GPU使用率超过90%，当前值为 97"]
    assert [one.event for one in night.decisions if isinstance(one, Event)] == ["alert_fired"]
    shown = show(config)
    assert "alert.rules.yml" in shown and "HighErrorRate" not in shown


def test_what_a_group_records_is_seen_by_the_rules_after_it(load_text: Load, tmp_path: Path) -> None:
    rules = "[{record: 'a:twice', expr: requests_total * 2}, {alert: Many, expr: 'a:twice > 15'}, {alert: Many, expr: 'a:twice > 17'}]"
    (tmp_path / "r.yml").write_text(f"groups: [{{name: g, interval: 15s, rules: {rules}}}]\n")
    config = load_text(host("", "rule_files: r.yml\n"))
    assert not config.warnings
    assert [rule.name for rule in config.host.rules if rule.name.startswith("Many")] == ["Many", "Many-2"]
    assert [probe.every for probe in config.host.probes if probe.kind == "expr"] == [15.0]
    night = Night(config)
    night.see("a", requests_total=9.0)
    assert len(night.judge()) == 2


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("x: {expr: 'rate(a[5m]', for: 1m}", "host.rules.x.expr: this is no PromQL expression"),
        ("x: {expr: 'a[5m:1m]', for: 1m}", "not supported here"),
        ("x: {expr: 'a[5m]', for: 1m}", "the expression gives a range vector; a rule needs a vector or a number"),
        ("x: {expr: 'a', metric: host_load1}", "host.rules.x.metric: does not go with expr"),
        ("x: {expr: 'a', times: 3}", "host.rules.x.times: does not go with expr: state for"),
        ("x: {expr: 'a', then: restart, for: 1m}", "restart of what?"),
    ],
)
def test_what_is_wrong_with_an_expression_is_told_with_its_line(faults_of: Faults, rule: str, fault: str) -> None:
    assert fault in " ".join(faults_of(host(rule)))


@pytest.mark.parametrize("stated", ["[a]", "", "{a: b}"])
def test_what_is_no_text_is_one_fault(faults_of: Faults, stated: str) -> None:
    (fault,) = faults_of(host(f"x: {{for: 1m, expr: {stated}}}"))
    assert "host.rules.x.expr" in fault and "PromQL" not in fault


def test_a_rule_file_with_one_bad_rule_is_refused_with_its_place(faults_of: Faults, tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up ==\n  - alert: B\n    expr: up == 0\n    four: 5m\n"
    )
    faults: list[Any] = faults_of("services: {a: {unit: a}}\nrule_files: [r.yml, gone.yml]\n")
    assert "r.yml:5:11: groups[0].rules[0].expr" in faults[1] and '"four" is not known here; did you mean for?' in faults[2]
    assert "there is no file" in faults[0] and "gone.yml" in faults[0]


def test_a_metric_that_nothing_measures_is_a_warning(load_text: Load) -> None:
    config = load_text(host("x: {expr: 'host_lod1 > 3 and requests_total > 1', for: 1m}"))
    assert (
        len(config.warnings) == 1
        and 'nothing here measures "host_lod1"' in config.warnings[0]
        and 'did you mean "host_load1"?' in config.warnings[0]
    )


def test_another_configuration_keeps_what_is_remembered(load_text: Load) -> None:
    first, second = (load_text(host(f"many: {{expr: 'requests_total > {level}', for: 0s}}")) for level in (5, 6))
    night = Night(first)
    night.see("a", requests_total=9.0)
    night.feed.follow(second.needs)
    assert len(night.judge()) == 1
    night.feed.follow([])
    assert night.feed.memory is None


def test_what_comes_and_goes_does_not_fill_the_memory(load_text: Load) -> None:
    night = Night(load_text(host("many: {expr: 'requests_total > 5', for: 0s}")))
    for number in range(60):
        night.now += 60
        night.feed.take(
            "a", conclude("a", "page", night.now, night.now, [("requests_total", {"n": str(number)}, 9.0), (f"x{number}", {}, 1.0)])
        )
        night.judge()
    assert night.feed.memory is not None and len(night.feed.memory) < 15
    assert len(night.feed.memory._tracks) < 60


def test_a_result_of_too_many_label_sets_is_refused_and_said(load_text: Load) -> None:
    night = Night(load_text(host("many: {expr: 'requests_total > 5', for: 0s}")))
    series = [("requests_total", {"n": str(number)}, 9.0) for number in range(1001)]
    night.feed.take("a", conclude("a", "page", night.now, night.now, series))
    seen = night.run("expr:rules")
    assert "exceeded limit of 1000" in seen.detail and not [one for one in seen.samples if one.series.metric.startswith("expr:")]
