"""Expressions through the installed daemon: a rule file is told with its own words, and an expression may restart. Judged from outside."""

from tests.rig.sinks import HttpSink
from tests.rig.stand import UNIT_ONLY, Stand
from tests.rig.waiting import wait_until

RULES = """groups:
- name: latency
  interval: 1s
  rules:
  - record: slow:seconds
    expr: max_over_time(probe_duration_seconds{probe="health"}[5s])
  - alert: SlowHealth
    expr: slow:seconds > 0.1
    labels: {severity: critical}
    annotations:
      summary: "{{ $labels.service }} answers after {{ $value | humanizeDuration }}"
- name: broken
  interval: 1s
  rules:
  - alert: Ambiguous
    expr: host_load1 + on () probe_duration_seconds
"""


def test_a_rule_file_is_told_and_an_expression_restarts(stand: Stand, http_sink: HttpSink) -> None:
    model = stand.model(heals=True)
    stand.start(model)
    health = f"{{kind: http, url: 'http://127.0.0.1:{model.port}/health', every: 500ms, timeout: 500ms}}"
    slow = "{expr: 'probe_duration_seconds{probe=\"health\"} > 0.1 and on() host_load1 >= 0', for: 1s, then: restart}"
    stand.box.write("/etc/model-watchdog/latency.rules.yml", RULES, mode="644")
    config = model.config(probes=f"{UNIT_ONLY[:-1]}, health: {health}}}", rules=f"{{slow: {slow}}}")
    stand.watch(http_sink, config, more="rule_files: [latency.rules.yml]\n")
    stand.wait_state("healthy", model)
    wait_until(lambda: "Ambiguous: found duplicate series" in stand.log(), 15, stand.log)
    model.set("slow:0.2")
    assert f"{model.name} answers after" in stand.message("SlowHealth fires").body
    wait_until(lambda: model.restarts == 1, 45, stand.log)
    stand.message("SlowHealth is over")
    alerts = {alert["name"]: alert for alert in stand.box.status()["alerts"]}
    assert not alerts.keys() & {"SlowHealth"} and model.restarts == 1
    assert not any(metric["metric"].startswith("expr:") for metric in stand.box.status()["host"]["metrics"])
