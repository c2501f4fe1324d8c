"""Rule files: what is read, and every fault with its place."""

from typing import Any

import pytest
import yaml

from model_watchdog.promql.durations import read_duration
from model_watchdog.promql.rulefile import Alerting, Recording, read_rule_file

SEED = """\
# alert.rules.yml
groups:
  - name: chatglm-alerts
    rules:
      - alert: HighErrorRate
        expr: rate(http_requests_total{status=~"5.."}[5m]) / rate(http_requests_total[5m]) > 0.05
        for: 10m
        labels:
          severity: critical
        annotations:
          summary: "高错误率报警"
          description: "错误率超过5%，当前值为 {{ $value }}"
      - alert: GPUOverload
        expr: gpu_usage_percent > 90
        for: 5m
        labels:
          severity: warning
        annotations:
          summary: "GPU使用率过高"
          description: "GPU使用率超过90%，当前值为 {{ $value }}"
"""


def test_a_rule_file_as_people_have_it_is_read_unchanged() -> None:
    (group,), faults = read_rule_file(yaml.safe_load(SEED))
    assert not faults
    errors, overload = group.rules
    assert isinstance(errors, Alerting) and isinstance(overload, Alerting)
    assert (errors.name, errors.hold, errors.labels["severity"].text) == ("HighErrorRate", 600.0, "critical")
    assert errors.annotations["description"].fill({}, 0.0625) == "错误率超过5%，当前值为 0.0625"
    assert group.needs.metrics == {"http_requests_total", "gpu_usage_percent"}
    assert group.needs.span == 5 * 60 * 1000


def test_everything_that_a_group_can_state_is_taken() -> None:
    content = {
        "groups": [
            {
                "name": "g",
                "interval": "30s",
                "query_offset": "1m",
                "limit": 7,
                "labels": {"team": "ml", "x": "group"},
                "rules": [
                    {"record": "job:a:sum", "expr": "sum by (job) (a)", "labels": {"x": 1}},
                    {"alert": "A", "expr": 1, "for": "1m30s", "keep_firing_for": "0", "labels": {"x": "{{ $value }}"}},
                ],
            }
        ]
    }
    (group,), faults = read_rule_file(content)
    assert not faults
    assert (group.name, group.interval, group.offset, group.limit, group.recorded) == ("g", 30.0, 60.0, 7, {"job:a:sum"})
    recording, alerting = group.rules
    assert isinstance(recording, Recording) and isinstance(alerting, Alerting)
    assert recording.labels == {"team": "ml", "x": "1"}
    assert (alerting.hold, alerting.keep_firing_for, alerting.expression.text) == (90.0, 0.0, "1")
    assert {name: template.text for name, template in alerting.labels.items()} == {"team": "ml", "x": "{{ $value }}"}
    assert group.needs.span == (300 + 60) * 1000


GROUP: dict[str, Any] = {"name": "g", "rules": [{"alert": "A", "expr": "a"}]}


def rule(**more: Any) -> dict[str, Any]:
    return {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "a", **more}]}]}


FAULTS = [
    ([], "", "a rule file is a mapping with the key groups"),
    ({"group": []}, "group", '"group" is not known here; did you mean groups?'),
    ({"groups": {}}, "groups", "groups is a list"),
    ({"groups": ["x"]}, "groups[0]", "a group is a mapping with a name and rules"),
    ({"groups": [{"rules": []}]}, "groups[0].name", "a group needs a name; write name: NAME"),
    ({"groups": [GROUP, GROUP]}, "groups[1].name", 'the group name "g" is there twice in this file; give each its own'),
    ({"groups": [{**GROUP, "interval": "often"}]}, "groups[0].interval", '"often" is no duration; write it as 30s, 5m or 1h30m'),
    ({"groups": [{**GROUP, "limit": "many"}]}, "groups[0].limit", "limit is a whole number"),
    ({"groups": [{**GROUP, "every": "5m"}]}, "groups[0].every", '"every" is not known here; there is name, interval'),
    ({"groups": [{"name": "g", "rules": ["x"]}]}, "groups[0].rules[0]", "a rule is a mapping with alert or record, and expr"),
    (rule(record="b"), "groups[0].rules[0]", "a rule states one of alert and record, not both"),
    ({"groups": [{"name": "g", "rules": [{"expr": "a"}]}]}, "groups[0].rules[0]", "a rule states alert or record; write alert: NAME"),
    (rule(expr=""), "groups[0].rules[0].expr", "a rule needs an expression; write expr: EXPRESSION"),
    (rule(expr="a +"), "groups[0].rules[0].expr", "this is no PromQL expression"),
    (rule(expr="a[5m]"), "groups[0].rules[0].expr", "the expression gives a range vector; a rule needs a vector or a number"),
    (rule(expr="rate(a[5m:])"), "groups[0].rules[0].expr", "a subquery, [range:step]: not supported here"),
    (rule(expr=["a"]), "groups[0].rules[0].expr", "expr is a text"),
    (rule(**{"for": "5 minutes"}), "groups[0].rules[0].for", '"5 minutes" is no duration'),
    (rule(labels=["a"]), "groups[0].rules[0].labels", "labels are a mapping of names to texts"),
    (rule(labels={"a-b": "c"}), "groups[0].rules[0].labels.a-b", '"a-b" is no name of a label'),
    (rule(labels={"__name__": "c"}), "groups[0].rules[0].labels.__name__", '"__name__" is no name of a label'),
    (rule(labels={"a": ["c"]}), "groups[0].rules[0].labels.a", "a is a text"),
    (rule(annotations={"a": "{{ $value"}), "groups[0].rules[0].annotations.a", "a {{ is not closed"),
    (rule(labels={"a": "{{ query `up` }}"}), "groups[0].rules[0].labels.a", "query in a template: not supported here"),
    (rule(sevrity="x"), "groups[0].rules[0].sevrity", '"sevrity" is not known here'),
    ({"groups": [{"name": "g", "rules": [{"record": "a b", "expr": "a"}]}]}, "groups[0].rules[0].record", '"a b" is no name of a metric'),
    (
        {"groups": [{"name": "g", "rules": [{"record": "b", "expr": "a", "for": "5m"}]}]},
        "groups[0].rules[0].for",
        '"for" is not known here; there is record, expr, labels',
    ),
]


@pytest.mark.parametrize(("content", "place", "said"), FAULTS, ids=[place + said[:20] for _, place, said in FAULTS])
def test_a_fault_names_its_place_and_its_remedy(content: Any, place: str, said: str) -> None:
    _, faults = read_rule_file(content)
    assert [(fault.place, fault.text.startswith(said)) for fault in faults] == [(place, True)], faults


def test_all_faults_are_found_and_what_is_right_is_read() -> None:
    content = rule(expr="a +", **{"for": "x"})
    content["groups"][0]["rules"].append({"alert": "B", "expr": "b"})
    groups, faults = read_rule_file(content)
    assert {fault.place for fault in faults} == {"groups[0].rules[0].expr", "groups[0].rules[0].for"}
    assert [rule.name for group in groups for rule in group.rules if isinstance(rule, Alerting)] == ["B"]


def test_an_empty_file_has_no_groups() -> None:
    assert read_rule_file(None) == ((), ())
    assert read_rule_file({"groups": None}) == ((), ())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86_400),
        ("250ms", 0.25),
        ("1w2d", 777_600),
        ("", None),
        ("5", None),
        ("1.5m", None),
        ("3m1h", None),
    ],
)
def test_durations_are_those_of_prometheus(text: str, seconds: float | None) -> None:
    assert read_duration(text) == seconds
