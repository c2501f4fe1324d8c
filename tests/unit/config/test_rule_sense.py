"""A rule that is valid and would never fire is a warning, at its line."""

import re

import pytest

from tests.unit.config.texts import Load

HEAD = """\
services:
  a:
    unit: a
    probes:
      p: {kind: http, url: "http://h/", timeout: 3s}
      s: {kind: scrape, url: "http://h/metrics", keep: [x_percent, "n_*"]}
    rules:
"""
VAIN = {
    "{metric: unit_memory_bytes, below: 0}": "below: warning: is never below 0, so that the rule never fires; the least is 0",
    "{metric: 'probe_success{probe=\"p\"}', above: 1}": "above: warning: is never above 1, so that the rule never fires; the most is 1",
    "{metric: probe_success, equals: 2}": "equals: warning: is never 2, so that the rule never fires",
    "{metric: probe_success, outside: [0, 1]}": "outside: warning: is never outside of these, so that the rule never fires",
    "{metric: 'probe_duration_seconds{probe=\"p\"}', above: 10s}": (
        "above: warning: is never above 10, so that the rule never fires; the most is 3"
    ),
    "{metric: unit_active, below: 1, for: 2d}": "for: warning: 2d is longer than the record keeps samples: record: {raw: 1d}",
    "{metric: unit_restarts_total, over: 5m, as: increase, above: 3, for: 25h}": (
        "for: warning: 25h is longer than the record keeps samples: record: {raw: 1d}"
    ),
}
SENSIBLE = (
    "{metric: unit_active, below: 1}",
    "{metric: probe_success, outside: [0.5, 1]}",
    "{metric: 'probe_duration_seconds{probe=\"p\"}', above: 3s}",
    "{metric: probe_tls_expiry_seconds, below: 0}",
    "{metric: x_percent, above: 500}",  # a name of the program's own: nobody here knows what it means
    "{metric: n_free, below: -5}",
    "{metric: unit_restarts_total, over: 5m, as: increase, above: 300}",
    "{metric: unit_memory_bytes, above: 1TiB, for: 1d}",
)


@pytest.mark.parametrize("rule", VAIN)
def test_a_rule_that_never_fires_is_told_with_its_line(load_text: Load, rule: str) -> None:
    (warning,) = load_text(f"{HEAD}      r: {rule}\n").warnings
    assert re.sub(r".*config\.yaml:8:\d+: services\.a\.rules\.r\.", "", warning) == VAIN[rule]


@pytest.mark.parametrize("rule", VAIN)
def test_it_is_told_in_chinese(load_text: Load, rule: str, chinese: None) -> None:
    (warning,) = load_text(f"{HEAD}      r: {rule}\n").warnings
    told = warning.rpartition("警告：")[2]
    assert re.search("[\u4e00-\u9fff]", told) and not re.search("never|longer", told)


@pytest.mark.parametrize("rule", SENSIBLE)
def test_a_rule_that_may_fire_is_not(load_text: Load, rule: str) -> None:
    assert load_text(f"{HEAD}      r: {rule}\n").warnings == ()


@pytest.mark.parametrize(
    ("rule", "warns"),
    [
        ("{metric: host_memory_percent, above: 100%}", True),
        ("{metric: host_memory_percent, above: 99.9}", False),
        ("{metric: host_disk_percent, above: 120, for: 1m}", True),
        ("{metric: host_disk_percent, minus: 'host_disk_percent{mount=\"/\"}', above: 120}", False),
    ],
)
def test_no_percentage_lies_above_a_hundred(load_text: Load, rule: str, warns: bool) -> None:
    config = load_text(f"host:\n  rules:\n    r: {rule}\n")
    assert bool(config.warnings) is warns


def test_how_long_the_record_keeps_is_what_the_file_says(load_text: Load) -> None:
    assert load_text(f"{HEAD}      r: {{metric: unit_active, below: 1, for: 2d}}\nrecord: {{raw: 3d}}\n").warnings == ()
