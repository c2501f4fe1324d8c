"""Alerts over time: pending, firing, kept, over; and series that are recorded."""

from typing import Any

import pytest

from model_watchdog.promql import EvaluationError, Memory, parse
from model_watchdog.promql.alerting import AlertingRule, Change, RecordingRule, RunningGroup, State, Step
from model_watchdog.promql.rulefile import Alerting, Recording, read_rule_file
from model_watchdog.promql.templating import read_template


def run(rule: AlertingRule, values: list[float | None], every: int = 60) -> list[tuple[Step, float]]:
    """What became of the alerts of `load`, evaluated after each of its values."""
    memory, steps = Memory(), list[tuple[Step, float]]()
    for place, value in enumerate(values):
        if value is not None:
            memory.append("load", (), place * every, value)
        steps += [(change.step, change.at) for change in rule.evaluate(memory, place * every)]
    return steps


def above(level: float, **more: Any) -> AlertingRule:
    return AlertingRule(Alerting("A", parse(f"load > {level}"), **more))


def test_without_for_it_fires_at_once_and_is_over_at_once() -> None:
    assert run(above(5), [1, 6, 7, 1]) == [(Step.FIRING, 60), (Step.RESOLVED, 180)]


def test_with_for_it_is_pending_first_and_withdrawn_where_it_does_not_last() -> None:
    assert run(above(5, hold=120), [6, 6, 6, 1]) == [(Step.PENDING, 0), (Step.FIRING, 120), (Step.RESOLVED, 180)]
    assert run(above(5, hold=120), [6, 6, 1, 6, 6]) == [(Step.PENDING, 0), (Step.WITHDRAWN, 120), (Step.PENDING, 180)]


def test_it_may_be_kept_firing_when_it_is_over_and_the_time_begins_anew_each_time() -> None:
    rule = above(5, keep_firing_for=120)
    assert run(rule, [6, 1, 6, 1, 1, 1]) == [(Step.FIRING, 0), (Step.RESOLVED, 300)]
    assert run(above(5, hold=60, keep_firing_for=120), [6, 1, 6]) == [(Step.PENDING, 0), (Step.WITHDRAWN, 60), (Step.PENDING, 120)]


def test_a_series_that_ends_ends_its_alert_when_its_last_sample_counts_no_more() -> None:
    assert run(above(5), [6, None, None, None, None, None]) == [(Step.FIRING, 0), (Step.RESOLVED, 300)]


def test_what_cannot_be_judged_neither_fires_nor_ends() -> None:
    memory = Memory()
    rule = AlertingRule(Alerting("A", parse("a + on () b > 0")))
    memory.append("a", (), 0, 1.0)
    memory.append("b", (("x", "1"),), 0, 1.0)
    assert [change.step for change in rule.evaluate(memory, 0)] == [Step.FIRING]
    memory.append("b", (("x", "2"),), 10, 1.0)
    with pytest.raises(EvaluationError, match="found duplicate series"):
        rule.evaluate(memory, 10)
    assert [alert.state for alert in rule.active.values()] == [State.FIRING]


def changes_of(
    rules: list[dict[str, Any]], memory: Memory, moments: list[int], **more: Any
) -> tuple[RunningGroup, list[Change], list[str]]:
    (group,), faults = read_rule_file({"groups": [{"name": "g", "rules": rules, **more}]})
    assert not faults
    running, changes, said = RunningGroup(group, {"site": "lab"}), list[Change](), list[str]()
    for at in moments:
        found, failures = running.evaluate(memory, at)
        changes += found
        said += [text for _, text in failures]
    return running, changes, said


def test_labels_and_annotations_are_filled_in_for_each_series() -> None:
    memory = Memory()
    for gpu, value in (("0", 91.5), ("1", 95.0)):
        memory.append("gpu_percent", (("gpu", gpu),), 0, value)
    rule: dict[str, Any] = {
        "alert": "Hot",
        "expr": "gpu_percent > 90",
        "labels": {"severity": "page", "which": "gpu-{{ $labels.gpu }}", "gpu": ""},
        "annotations": {"summary": "{{ $labels.__name__ }} of {{ $externalLabels.site }} is {{ $value }}"},
    }
    _, changes, said = changes_of([rule], memory, [0])
    assert not said
    alerts = {dict(change.alert.labels)["which"]: change.alert for change in changes}
    assert dict(alerts["gpu-0"].labels) == {"alertname": "Hot", "severity": "page", "which": "gpu-0"}, "an empty label is none"
    assert alerts["gpu-1"].annotations == {"summary": "gpu_percent of lab is 95"}


def test_two_series_that_become_one_alert_are_a_failure_that_is_told() -> None:
    memory = Memory()
    for gpu in "01":
        memory.append("a", (("gpu", gpu),), 0, 1.0)
    _, changes, said = changes_of([{"alert": "A", "expr": "a", "labels": {"gpu": "all"}}], memory, [0])
    assert changes == []
    assert said == ["vector contains metrics with the same labelset after applying alert labels"]


def test_a_rule_sees_what_rules_before_it_have_recorded_and_which_alerts_fire() -> None:
    memory = Memory()
    for at in (0, 60, 120):
        memory.append("a", (("job", "x"),), at, 5.0)
    rules: list[dict[str, Any]] = [
        {"record": "job:a:sum", "expr": "sum by (job) (a)", "labels": {"via": "rule"}},
        {"alert": "A", "expr": 'job:a:sum{via="rule"} > 4', "for": "1m"},
        {"alert": "B", "expr": 'ALERTS{alertname="A", alertstate="firing"}', "labels": {"alertname": "never"}},
    ]
    _, changes, said = changes_of(rules, memory, [0, 60, 120])
    assert not said
    names = [(change.step, dict(change.alert.labels)["alertname"], change.at) for change in changes]
    assert names == [(Step.PENDING, "A", 0), (Step.FIRING, "A", 60), (Step.FIRING, "B", 60)]


def test_a_recorded_series_that_is_not_given_any_more_is_stale_at_once() -> None:
    memory = Memory()
    memory.append("a", (), 0, 5.0)
    running, _, _ = changes_of([{"record": "b", "expr": "a > 0"}], memory, [0])
    assert parse("b").evaluate(memory, 1) != []
    memory.append("a", (), 10, -5.0)
    running.evaluate(memory, 10)
    assert parse("b").evaluate(memory, 11) == []


def test_beyond_its_limit_a_rule_fails_and_ends_what_it_had_told() -> None:
    memory = Memory()
    memory.append("a", (("x", "0"),), 0, 1.0)
    running, changes, _ = changes_of([{"alert": "A", "expr": "a"}, {"record": "b", "expr": "a"}], memory, [0], limit=2)
    assert [change.step for change in changes] == [Step.FIRING]
    for number in range(1, 3):
        memory.append("a", (("x", str(number)),), 60, 1.0)
    changes, failures = running.evaluate(memory, 60)
    assert [text for _, text in failures] == ["exceeded limit of 2 with 3 alerts", "exceeded limit of 2 with 3 series"]
    ended = [dict(change.alert.labels)["x"] for change in changes if change.step is Step.RESOLVED]
    assert ended == ["0"]


def test_an_offset_of_the_group_looks_at_what_was() -> None:
    memory = Memory()
    memory.append("a", (), 0, 1.0)
    memory.append("a", (), 100, 9.0)
    _, changes, _ = changes_of([{"alert": "A", "expr": "a > 5"}], memory, [100, 160], query_offset="1m")
    assert [(change.step, change.at) for change in changes] == [(Step.FIRING, 160)]


def test_a_number_is_a_series_without_labels() -> None:
    _, changes, _ = changes_of([{"alert": "Always", "expr": "1"}], Memory(), [0])
    assert [dict(change.alert.labels) for change in changes] == [{"alertname": "Always"}]
    assert RecordingRule(Recording("a", parse("time()"))).evaluate(Memory(), 12.5) == [((), 12.5)]


# ---------------------------------------------------------------- templates
@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain {text}", "plain {text}"),
        ("{{ $value | humanize }}", "1.234k"),
        ("{{ $value }}|{{ .Value }}|{{ $labels.gpu }}|{{ .Labels.gpu }}|{{ $labels.none }}", "1234.5|1234.5|0|0|"),
        ('{{ printf "%.1f%% of %s" $value $labels.gpu }}', "1234.5% of 0"),
        ("{{ if gt $value 2000.0 }}a{{ else if gt $value 1000.0 }}b{{ else }}c{{ end }}", "b"),
        ("a {{- /* nothing */ -}} b", "ab"),
        (
            "{{ gt $value 5 }}",
            "<error expanding template: incompatible types for comparison: float64 and int; write 5.0 to compare with $value>",
        ),
        ("{{ humanize $labels.gpu }}{{ humanize $labels }}", "<error expanding template: can't convert map[string]string to float>"),
        ('{{ stripDomain "a.b.c:80" }} {{ stripDomain "a.b" }} {{ stripDomain "1.2.3.4:5" }}', "a:80 a 1.2.3.4:5"),
        ('{{ parseDuration "x" }}', '<error expanding template: not a valid duration string: "x">'),
        ("{{ $externalURL }}{{ len $labels }}", "1"),
    ],
)
def test_templates_are_filled_in(text: str, filled: str) -> None:
    assert read_template(text).fill({"gpu": "0"}, 1234.5) == filled


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ range $x }}{{ end }}", "{{ range }} in a template: not supported here"),
        ("{{ $x := 1 }}", "a variable of its own in a template: not supported here"),
        ("{{ query `up` | first }}", "query in a template: not supported here"),
        ("{{ nosuch }}", "there is no function nosuch in templates"),
        ("{{ $nosuch }}", "there is no variable $nosuch in a template"),
        ("{{ .Nosuch }}", "there is no field .Nosuch in a template"),
        ("{{ }}", "this is no template"),
        ("{{ $value", "a {{ is not closed"),
        ("{{ if true }}", "an {{ if }} is not closed"),
        ("{{ end }}", "{{ end }} stands without an if"),
        ("{{ if true }}{{ else }}{{ else }}{{ end }}", "{{ else }} cannot stand here"),
        ("{{ $value | 5 }}", "behind a | there must be a function"),
        ("{{ (humanize 5 }}", "this is no template"),
        ("{{ if true }}" * 60 + "{{ end }}" * 60, "conditions stand in each other"),
    ],
)
def test_what_is_no_template_or_none_of_ours_is_refused(text: str, said: str) -> None:
    with pytest.raises(Exception, match=r".+") as refused:
        read_template(text)
    assert type(refused.value).__name__ in ("PromqlError", "Unsupported")
    assert said in str(refused.value)
