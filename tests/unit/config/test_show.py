"""`check --show`: read again, it means the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_watchdog.config.document import Scalar, parse
from model_watchdog.config.faults import Faults
from model_watchdog.config.loading import load
from model_watchdog.config.masking import mask_secret, mask_url, mask_urls
from model_watchdog.config.model import Config
from model_watchdog.config.show import _write_flow, show
from model_watchdog.config.sources import Sources
from tests.unit.config.texts import MINIMAL, Load

EXAMPLE = Path(__file__).resolve().parents[3] / "config.example.yaml"

RICH = """\
defaults: {probes: {http: {timeout: 2500ms}}, startup: 90s}
services:
  chatglm:
    unit: chatglm
    user: nobody
    unstable: {times: 3, within: 1h}
    probes:
      a.b: {kind: http, url: "http://h/$${x}", contains: "no", json: {a.b: "3", c: 3, d: 0.25, e: true, f: null, "no": "~", g: "$${x}"}}
      c: {kind: http, url: "http://h:1/?token=t&a=b", status: [200, 3xx], headers: {A: b}, bearer: c, max_duration: 1.5s}
    rules:
      down: off
      slow: {metric: 'probe_duration_seconds{probe=~"a\\\\.b|c"}', sigma: 2.5, window: 20, min_relative: 0.05}
      own: {metric: probe_duration_seconds, sigma: 4.5, newness: off, min_absolute: 50ms, max_gap: 10m, clip: 0, center: 1000}
      new: {metric: probe_duration_seconds, sigma: 4.5, direction: above, for: 3m}
      often: {metric: unit_restarts_total, over: 1h, as: increase, above: 5, severity: info, message: "$${{x}}: {value} of {service}"}
      odd: {metric: 'probe_success{probe!="c\\"d"}', below: 0.5, clear: 90%, for: 5500ms, then: inhibit}
    recovery: {stable: 0s, backoff: {first: 100ms}, breaker: {per: 2d}}
  bert:
    unstable: off
    probes: {h: {kind: http, url: "http://h/"}}
    recovery: {kind: command, command: [/bin/echo, "8", "a b", "\\u00e9\\n\\u2028\\x07", "$${HOME}", "${HOME}"], timeout: 0.1s}
host:
  probes: {one: {kind: host, disks: [/, /data]}, two: {kind: http, url: "http://h/"}}
  rules:
    full: {metric: 'host_disk_percent{mount="/"}', above: 90%}
    disk-full: off
    more: {metric: host_disk_percent, minus: 'host_disk_percent{mount="/"}', outside: [-0.5, 10%], keep_firing_for: 90s}
    gone: {metric: host_load1, absent: 2m, then: inhibit, message: "no"}
    swap: {metric: host_swap_percent, equals: 100, for: 0s}
notifiers:
  ops: {kind: apprise, url: "json://u:p@h/path", min_severity: info, services: ["c*", host], repeat_every: 4h, group_wait: 20s}
  night: {kind: apprise, url: "json://h", quiet: {from: "22:30", until: "07:00", unless: critical}, escalate: {after: 15m, to: ops}}
maintenance:
  - {services: ["*"], cron: "0 3 * * 0", for: 2h, reason: "weekly", pause: true}
  - {services: [bert], from: "2026-12-24 22:00", until: "2026-12-26 08:00", reason: holidays}
digest: {to: [ops], at: "08:30", every: 7d}
report: {every: month, day: 31, at: "07:05", to: [ops, night], language: zh}
heartbeat: {url: "http://u:p@h/ping", every: 2m, headers: {A: b}}
"""


def read_again(load_text: Load, config: Config, **environment: str) -> Config:
    return load_text(show(config), **environment)


def assert_same(one: Config, two: Config) -> None:
    """The same in all that is decided from; secrets are masked by now."""
    assert {name: service.core for name, service in one.services.items()} == {name: service.core for name, service in two.services.items()}
    assert one.host == two.host
    for name, service in one.services.items():
        again = two.services[name]
        assert (service.recovery_kind, service.recovery) == (again.recovery_kind, again.recovery)
        for old, new in zip(service.probes, again.probes, strict=True):
            if old.kind == "http":
                hidden: dict[str, Any] = {"url": "", "headers": {}, "bearer": None}
                assert replace(old, probe=replace(old.probe, **hidden)) == replace(new, probe=replace(new.probe, **hidden))  # type: ignore[type-var]
            else:
                assert old == new
    assert {name: notifier.route for name, notifier in one.notifiers.items()} == {
        name: notifier.route for name, notifier in two.notifiers.items()
    }
    assert (one.maintenance, one.digest, one.report) == (two.maintenance, two.digest, two.report)


def test_the_example_read_again_means_the_same(load_text: Load) -> None:
    config = load(EXAMPLE, environment={}, credentials_dir=None, strict_secrets=True)
    again = read_again(load_text, config)
    assert_same(config, again)
    assert show(again) == show(config)


def test_a_rich_configuration_read_again_means_the_same(load_text: Load) -> None:
    config = load_text(RICH, HOME="/root")
    again = read_again(load_text, config, HOME="/root")
    assert_same(config, again)
    assert show(again) == show(config)


def test_every_default_is_named(load_text: Load) -> None:
    shown = show(load_text(f"{MINIMAL}notifiers: {{ops: {{kind: apprise, url: 'json://h'}}}}\n"))
    expected = """\
services:
  chatglm:
    unit: chatglm.service
    startup: 2m
    startup_max: 6m
    busy_patience: 15m
    unstable: {times: 5, within: 30m}
    probes:
      unit: {kind: unit, every: 10s, timeout: 5s, retry_every: 5s}
      health: {kind: http, url: "http://127.0.0.1:8000/health", method: GET, status: 2xx, headers: {}, TIMING}
    rules:
      unhealthy: {metric: "probe_success{probe=\\"health\\"}", below: 1, times: 3, severity: critical, then: restart}
      down: {metric: unit_active, below: 1, times: 1, severity: critical, then: restart}
    recovery:
      kind: systemctl
      stable: 1m
      backoff: {first: 10s, max: 10m}
      breaker: {failures: 3, restarts: 6, per: 1h, retry_after: 30m}
host:
  probes:
    system: {kind: host, disks: [/], every: 10s, timeout: 5s, retry_every: 5s}
  rules:
    disk-full: {metric: host_disk_percent, above: 95, clear: 93, for: 1m, severity: warning, then: alert}
    memory-short: {metric: host_memory_percent, above: 95, clear: 90, for: 1m, severity: warning, then: alert}
  common_cause: {services: 3, within: 10s}
notifiers:
  ops: {kind: apprise, url: "json://***", timeout: 30s, min_severity: warning, group_wait: 0s}
language: en
record: {raw: 1d, minutes: 30d, hours: 400d}
"""
    assert shown == expected.replace("TIMING", "every: 30s, timeout: 5s, retry_every: 5s")


MASKED = {
    "http://h:1/a?b=c#d": "http://h:1/a?b=c#d",
    "http://u:p@h/": "http://***@h/",
    "http://u@h/": "http://***@h/",
    "http://u:p@q@h/": "http://***@h/",
    "http://h/?token=t&a=b": "http://h/?token=***&a=b",
    "http://h/?a=b&Access_Token=t": "http://h/?a=b&Access_Token=***",
    "http://h/?api-key=k;password=p&sig=": "http://h/?api-key=***;password=***&sig=***",
    "http://h/?key=a/b?c": "http://h/?key=***",
    "http://h/user@box": "http://h/user@box",
}


@pytest.mark.parametrize(("url", "masked"), MASKED.items())
def test_addresses_are_masked(url: str, masked: str) -> None:
    assert mask_url(url) == masked
    assert mask_urls(f"cannot ask {url} now") == f"cannot ask {masked} now"
    assert mask_url(masked) == masked


@pytest.mark.parametrize(
    ("secret", "masked"),
    [
        ("json://u:p@h/x", "json://***"),
        ("mailtos://a\nb", "mailtos://***"),
        ("abc", "***"),
        ("a b://c", "***"),
        ("***", "***"),
    ],
)
def test_secrets_are_masked(secret: str, masked: str) -> None:
    assert mask_secret(secret) == masked


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_survives_being_written(text: str) -> None:
    root = parse(f"a: {_write_flow(text)}\nb: [{_write_flow(text)}]\n", Faults(Path("f")))
    value = root.entries["a"].value
    assert isinstance(value, Scalar)
    assert Sources({}, None).resolve(value.text).text == text
