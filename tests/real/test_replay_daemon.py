"""A daemon that ran: what it decided is what a replay of its record decides, and what it learnt is known to the next one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from model_watchdog.errors import WatchdogError
from model_watchdog.record import Record
from tests.rig.chaos import Chaos
from tests.rig.waiting import wait_until

CONFIG = """\
defaults: {{startup: 5s, recovery: {{stable: 1s}}}}
services:
  m:
    recovery: {{kind: command, command: [/bin/true]}}
    probes:
      health: {{kind: http, url: "{url}", every: 500ms, timeout: 500ms, retry_every: 500ms}}
      took: {{kind: http, url: "{slow}", every: 250ms, timeout: 250ms}}
    rules:
      unhealthy: {{metric: 'probe_success{{probe="health"}}', below: 1, times: 3, severity: critical, then: restart}}
      slow: {{metric: 'probe_duration_seconds{{probe="took"}}', sigma: 4, warmup: 30, smooth: 2, min_absolute: 10ms, direction: above}}
host: {{probes: {{system: {{kind: host, every: 1s}}}}}}
"""


@pytest.fixture
def options(tmp_path: Path, chaos: Chaos) -> list[str]:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(url=chaos.url("/health"), slow=chaos.url("/took")))
    config.chmod(0o600)
    return ["--config", str(config), "--state-dir", str(tmp_path / "state"), "--runtime-dir", str(tmp_path / "run")]


@contextmanager
def daemon(options: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A real one, ended as systemd would end it."""
    running = subprocess.Popen([sys.executable, "-m", "model_watchdog", "run", *options], stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "model_watchdog", *words], capture_output=True, text=True, timeout=60, env=os.environ)


def list_events(options: list[str], event: str) -> list[dict[str, Any]]:
    told = ask("events", "--json", *options).stdout.splitlines()
    return [row for row in map(json.loads, told) if row["event"] == event and row["service"] == "m"]


def count_samples(state_dir: str) -> int:
    """0 while there is no record yet."""
    try:
        with Record.open(state_dir) as record:
            return len(record.samples("probe_duration_seconds", {"service": "m", "probe": "took"}))
    except WatchdogError:
        return 0


def test_a_replay_of_its_record_decides_as_the_daemon_did(chaos: Chaos, options: list[str]) -> None:
    with daemon(options):
        wait_until(lambda: list_events(options, "healthy"), 20, "it never became healthy", every=0.3)
        chaos.set("503", "/health")
        wait_until(lambda: list_events(options, "restart_started"), 20, "it was never restarted", every=0.3)
        chaos.set("ok", "/health")
        wait_until(lambda: list_events(options, "recovered"), 20, lambda: ask("events", *options).stdout, every=0.3)
        fired, restarted = list_events(options, "alert_fired"), list_events(options, "restart_started")
        meanwhile = ask("replay", "--json", *options)
        assert meanwhile.returncode == 0, meanwhile.stderr
    told = ask("replay", "--json", *options)
    assert told.returncode == 0, told.stderr
    doc = json.loads(told.stdout)
    firing = [one for one in doc["firings"] if one["rule"] == "unhealthy"]
    assert len(doc["restarts"]) == len(restarted) and [one["result"] for one in doc["restarts"]][-1] == "recovered", doc
    assert len(firing) == len([one for one in fired if "health" in one["reason"]])
    assert abs(_seconds(firing[0]["fired_at"]) - _seconds(fired[0]["at"])) < 0.3


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def test_what_is_usual_is_known_to_the_next_daemon(chaos: Chaos, options: list[str], tmp_path: Path) -> None:
    state_dir = str(tmp_path / "state")
    with daemon(options):
        wait_until(lambda: count_samples(state_dir) > 45, 60, "no samples", every=0.3)
    before = count_samples(state_dir)
    with daemon(options):
        wait_until(lambda: count_samples(state_dir) >= before + 3, 20, "no samples", every=0.1)
        chaos.set("slow:0.1", "/took")
        wait_until(
            lambda: [row for row in list_events(options, "alert_fired") if "usual deviation" in row["reason"]], 20, "silent", every=0.2
        )
        (first, *_) = [row for row in list_events(options, "alert_fired") if "usual deviation" in row["reason"]]
    with Record.open(state_dir) as record:
        samples = record.samples("probe_duration_seconds", {"service": "m", "probe": "took"})
    since = [at for at, _ in samples[before:] if at <= _seconds(first["at"])]
    assert len(since) < 30, "it had to learn anew"


FILE_OF_RULES = """groups:
- name: health
  interval: 1s
  rules:
  - record: bad:recently
    expr: count_over_time(probe_success{probe="health"}[3s]) - sum_over_time(probe_success{probe="health"}[3s])
  - alert: Bad
    expr: bad:recently > 2
    keep_firing_for: 2s
    annotations: {summary: "{{ $value }} bad ones of late"}
  - alert: ManySeen
    expr: count_over_time(probe_success{probe="took"}[5m]) > 60
  - alert: Missed
    expr: absent_over_time(probe_success{probe="health"}[2m]) or absent(probe_success{probe="took"})
"""


def list_fired(options: list[str], words: str) -> list[float]:
    """When an alert of the host fired, as the daemon's events say."""
    told = [json.loads(row) for row in ask("events", "--json", *options).stdout.splitlines()]
    return [_seconds(row["at"]) for row in told if row["event"] == "alert_fired" and words in row["reason"]]


def read_counts(options: list[str]) -> list[float]:
    """What the expression of ManySeen gave, from the record."""
    with Record.open(options[3]) as record:
        (labels,) = [row["labels"] for row in record.series() if row["metric"] == "expr:ManySeen"] or [{}]
        return [value for _, value in record.samples("expr:ManySeen", labels)]


def test_a_rule_file_fires_in_a_replay_as_it_did_and_the_next_daemon_knows_its_past(
    chaos: Chaos, options: list[str], tmp_path: Path
) -> None:
    (tmp_path / "alerts.yml").write_text(FILE_OF_RULES)
    with (tmp_path / "config.yaml").open("a") as file:
        file.write("rule_files: [alerts.yml]\n")
    with daemon(options):
        wait_until(lambda: count_samples(options[3]) >= 40, 40, "it did not measure", every=0.3)
        chaos.set("503", "/health")
        wait_until(lambda: list_fired(options, "bad ones of late"), 20, lambda: ask("events", *options).stdout, every=0.3)
        chaos.set("ok", "/health")
        wait_until(lambda: max(read_counts(options), default=0.0) >= 80, 60, "it counts too slowly", every=0.3)
    counted = len(read_counts(options))
    assert counted and len(list_fired(options, "> 60 gives")) == 1
    with daemon(options):  # it has measured nothing yet, and goes on from what there is
        wait_until(lambda: len(read_counts(options)) > counted + 1, 20, "it has forgotten what it counted", every=0.3)
    assert min(read_counts(options)[counted:]) >= 80
    assert not list_fired(options, "absent")
    told = ask("replay", "--json", *options)
    assert told.returncode == 0, told.stderr
    doc = json.loads(told.stdout)
    replayed = [_seconds(one["fired_at"]) for one in doc["firings"] if one["rule"] == "Bad"]
    fired = list_fired(options, "bad ones of late")
    assert len(replayed) == len(fired) and all(abs(one - other) < 1.6 for one, other in zip(replayed, fired, strict=True)), (
        replayed,
        fired,
    )
    assert not [one for one in doc["firings"] if one["rule"] == "Missed"] and doc["no_answer"] == []
