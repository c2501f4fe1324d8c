"""What a good file is understood to mean: defaults, built-in rules, where values come from."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model_watchdog.config import rule_section
from model_watchdog.config.kinds import find_kind, list_kinds
from model_watchdog.config.loading import load
from model_watchdog.core.breaker import BackoffPolicy, BreakerPolicy
from model_watchdog.core.rollup import As
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import Selector
from model_watchdog.core.state import ProbePlan
from model_watchdog.core.units import Number, Seconds, Secret
from model_watchdog.notifiers.apprise import Apprise
from model_watchdog.probes.host import Host
from model_watchdog.probes.http import Http
from model_watchdog.probes.nvml import Nvml
from model_watchdog.probes.unit import Unit
from model_watchdog.recoveries.command import Command
from model_watchdog.recoveries.systemctl import Systemctl
from model_watchdog.rules.absent import Absent
from model_watchdog.rules.sigma import AdaptiveSigma, Sigma
from model_watchdog.rules.threshold import Threshold
from tests.rig.fakenvml import FakeNvml
from tests.unit.config.texts import MINIMAL, Load

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "config.example.yaml"
BELOW_1 = Threshold(below=Number(1.0))


def seconds(*values: float) -> tuple[Seconds, ...]:
    return tuple(Seconds(value) for value in values)


def test_the_language_is_chosen(load_text: Load) -> None:
    assert [load_text(f"{MINIMAL}{said}").language for said in ("", "language: en\n", "language: zh\n")] == ["en", "en", "zh"]


def test_a_unit_and_one_probe_are_watched_sensibly(load_text: Load) -> None:
    config = load_text(MINIMAL)
    service = config.services["chatglm"]
    core = service.core
    assert core.unit == "chatglm.service"
    assert core.probes == (
        ProbePlan("unit", "unit", *seconds(10, 5, 5)),
        ProbePlan("health", "http", *seconds(30, 5, 5)),
    )
    assert core.rules == (
        Rule("unhealthy", Selector.parse('probe_success{probe="health"}'), BELOW_1, Severity.CRITICAL, Then.RESTART, 3, None),
        Rule("down", Selector("unit_active"), BELOW_1, Severity.CRITICAL, Then.RESTART, 1, None),
    )
    assert (core.startup, core.busy_patience, core.stable) == (120, 900, 60)
    assert core.breaker == BreakerPolicy(3, 6, Seconds(3600.0), Seconds(1800.0))
    assert core.backoff == BackoffPolicy(Seconds(10.0), Seconds(600.0))
    assert (service.recovery_kind, service.recovery) == ("systemctl", Systemctl())
    assert isinstance(service.probes[0].probe, Unit)
    assert isinstance(service.probes[1].probe, Http)
    assert service.probes[1].probe.url == "http://127.0.0.1:8000/health"


def test_without_host_the_host_is_measured(load_text: Load) -> None:
    for text in (MINIMAL, f"{MINIMAL}host:\n", f"{MINIMAL}host: {{rules: {{}}}}\n"):
        (probe,) = load_text(text).host.probes
        assert (probe.name, probe.kind, probe.probe, probe.every) == ("system", "host", Host(("/",)), 10)


def test_where_there_is_a_driver_the_gpus_are_watched(
    load_text: Load, fakenvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, find_driver: Callable[[], bool]
) -> None:
    monkeypatch.setattr(Nvml, "is_installed", find_driver)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)  # another test may have needed it
    for text in (MINIMAL, f"{MINIMAL}host: {{rules: {{}}}}\n"):
        host = load_text(text).host
        assert [(probe.name, probe.kind, probe.every) for probe in host.probes] == [("system", "host", 10), ("gpu", "nvml", 10)]
        rule = next(rule for rule in host.rules if rule.name == "gpu-lost")
        assert (rule.name, str(rule.selector), rule.condition, rule.severity.value, rule.then.value, rule.times) == (
            *("gpu-lost", "gpu_up", Threshold(below=Number(1)), "critical", "alert", 2),
        )
    assert "pynvml" not in sys.modules


def test_a_driver_is_found_where_the_loader_finds_it(
    fakenvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, find_driver: Callable[[], bool]
) -> None:
    assert find_driver()
    monkeypatch.delenv("LD_LIBRARY_PATH")
    there = "libnvidia-ml.so.1" in subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, timeout=10).stdout
    assert find_driver() == there


def test_a_host_without_probes_is_what_it_says(load_text: Load) -> None:
    assert load_text(f"{MINIMAL}host: {{probes: {{}}}}\n").host.probes == ()


def test_several_http_probes_share_one_rule(load_text: Load) -> None:
    config = load_text(f'{MINIMAL}      v1.models: {{kind: http, url: "http://127.0.0.1:8000/v1/models"}}\n')
    rule = config.services["chatglm"].core.rules[0]
    assert rule.name == "unhealthy"
    assert rule.selector == Selector("probe_success", (("probe", "=~", "health|v1[.]models"),))


def test_a_rule_of_the_same_name_takes_the_place_of_a_built_in_one(load_text: Load) -> None:
    text = f"{MINIMAL}    rules:\n      slow: {{metric: probe_duration_seconds, above: 2s}}\n"
    text += "      unhealthy: {metric: probe_success, below: 1, for: 2m, then: restart}\n      down: off\n"
    first, second = load_text(text).services["chatglm"].core.rules
    assert first == Rule("unhealthy", Selector("probe_success"), BELOW_1, Severity.WARNING, Then.RESTART, None, 120.0)
    assert second == Rule("slow", Selector("probe_duration_seconds"), Threshold(above=Number(2.0)))


def test_a_service_of_a_command(load_text: Load) -> None:
    text = "services:\n  a:\n    probes: {h: {kind: http, url: 'http://h/'}}\n"
    text += "    recovery: {kind: command, command: [/usr/bin/docker, restart, a], timeout: 20s}\n"
    service = load_text(text).services["a"]
    assert service.recovery == Command(("/usr/bin/docker", "restart", "a"), Seconds(20.0))
    assert service.core.unit is None
    assert [plan.name for plan in service.core.probes] == ["h"]
    assert [rule.name for rule in service.core.rules] == ["unhealthy"]


def test_a_unit_may_be_restarted_by_a_command(load_text: Load) -> None:
    service = load_text("services: {a: {unit: a, recovery: {kind: command, command: [/bin/true]}}}").services["a"]
    assert (service.core.unit, service.recovery_kind) == ("a.service", "command")


def test_a_sigma_rule_and_a_threshold_with_everything(load_text: Load) -> None:
    text = f"{MINIMAL}    rules:\n"
    text += (
        "      slow: {metric: probe_duration_seconds, sigma: 3.5, window: 20, direction: above, min_absolute: 50ms, min_relative: 0.1}\n"
    )
    text += "      fat: {metric: unit_memory_bytes, above: 20GB, clear: 10GB, for: 10m, severity: info, then: inhibit}\n"
    *_, slow, fat = load_text(text).services["chatglm"].core.rules
    assert slow.condition == Sigma(3.5, 20, "above", Number(0.05), 0.1)
    assert (slow.times, slow.for_, slow.severity, slow.then) == (1, None, Severity.WARNING, Then.ALERT)
    assert fat.condition == Threshold(above=Number(20e9), clear=Number(10e9))
    assert (fat.times, fat.for_, fat.severity, fat.then) == (None, 600.0, Severity.INFO, Then.INHIBIT)


def test_a_rule_of_the_host(load_text: Load) -> None:
    text = f"{MINIMAL}host:\n  rules:\n    full: {{metric: 'host_disk_percent{{mount=\"/\"}}', above: 90%, times: 3}}\n"
    *builtin, rule = load_text(text).host.rules
    assert [one.name for one in builtin] == ["disk-full", "memory-short"]
    assert rule == Rule("full", Selector.parse('host_disk_percent{mount="/"}'), Threshold(above=Number(90.0)), times=3)


def test_built_in_rules_of_the_host_are_replaced_by_name_or_taken_away(load_text: Load) -> None:
    rules = "memory-short: off, disk-full: {metric: host_disk_percent, above: 80, clear: 70}"
    (rule,) = load_text(f"{MINIMAL}host: {{rules: {{{rules}}}}}\n").host.rules
    assert rule == Rule("disk-full", Selector("host_disk_percent"), Threshold(above=Number(80.0), clear=Number(70.0)))


@pytest.mark.parametrize("name", rule_section.BUILTIN_OF_HOST)
def test_every_rule_that_the_host_has_can_be_taken_away(load_text: Load, name: str) -> None:
    probes = "probes: {system: {kind: host}, gpu: {kind: nvml}}"
    everything = [rule.name for rule in load_text(f"{MINIMAL}host: {{{probes}}}\n").host.rules]
    assert everything == list(rule_section.BUILTIN_OF_HOST)
    left = load_text(f"{MINIMAL}host: {{{probes}, rules: {{{name}: off}}}}\n").host.rules
    assert [rule.name for rule in left] == [one for one in everything if one != name]
    assert load_text(f"{MINIMAL}host: {{rules: {{{name}: off}}}}\n"), "also where nothing measures what it is about"


def test_a_message_may_name_any_label_of_what_a_program_prints(load_text: Load) -> None:
    text = """\
services:
  a:
    unit: a
    probes: {queue: {kind: command, command: [/bin/queue], metrics: [queue_depth]}}
    rules: {deep: {metric: queue_depth, above: 9, message: "{job} of {service} waits: {value}"}}
"""
    assert load_text(text).services["a"].core.rules[-1].message == "{job} of {service} waits: {value}"


def test_what_every_rule_may_say_besides(load_text: Load) -> None:
    text = """\
host:
  rules:
    writes:
      metric: host_disk_written_bytes_total
      over: 5m
      as: rate
      sigma: 4
      keep_firing_for: 10m
      message: "{device} writes {value} bytes a second {{as told}}"
    full: {metric: host_disk_percent, minus: 'host_disk_percent{mount="/"}', outside: [-10, 10%]}
    gone: {metric: host_load1, absent: 2m, then: inhibit}
    swap: {metric: host_swap_percent, equals: 100}
"""
    rules = {rule.name: rule for rule in load_text(text).host.rules}
    writes, full, gone, swap = rules["writes"], rules["full"], rules["gone"], rules["swap"]
    assert (writes.over, writes.as_, writes.keep_firing_for) == (300.0, As.RATE, 600.0)
    assert (writes.condition, writes.message) == (AdaptiveSigma(4.0), "{device} writes {value} bytes a second {{as told}}")
    assert (full.minus, full.condition) == (
        Selector.parse('host_disk_percent{mount="/"}'),
        Threshold(outside=(Number(-10.0), Number(10.0))),
    )
    assert (gone.condition, gone.silence, gone.then) == (Absent(Seconds(120.0)), 120.0, Then.INHIBIT)
    assert swap.condition == Threshold(equals=Number(100.0)) and swap.silence is None


def test_the_gpus_have_their_rules_where_they_are_measured() -> None:
    class Nvml:
        metrics = ("gpu_up", "gpu_temperature_celsius", "gpu_temperature_limit_celsius", "gpu_memory_held_bytes")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rule_section, "find_kind", lambda folder, word: Nvml if word == "nvml" else find_kind(folder, word))
        rules = rule_section.make_host_rules({"gpu": "nvml"})
    lost, hot = rules["gpu-lost"], rules["gpu-hot"]
    assert list(rules) == ["gpu-lost", "gpu-hot", "gpu-memory-held"]
    assert (lost.severity, lost.times, lost.then) == (Severity.CRITICAL, 2, Then.ALERT)
    assert str(hot.minus) == 'gpu_temperature_limit_celsius{kind="slowdown"}' and hot.for_ == 60.0


def test_a_unit_of_a_users_manager(load_text: Load) -> None:
    text = """\
services:
  a: {unit: model, user: nobody}
  b: {unit: model}
  c: {unit: model.service, user: nobody-of-this-name}
"""
    config = load_text(text)
    assert [service.core.unit for service in config.services.values()] == [
        *("nobody/model.service", "model.service", "nobody-of-this-name/model.service"),
    ]
    (warning,) = config.warnings
    assert warning.endswith('services.c.user: warning: there is no user "nobody-of-this-name" on this machine')


def test_defaults_lie_under_what_a_service_says(load_text: Load) -> None:
    text = """\
defaults:
  startup: 7m
  busy_patience: 1m
  probes: {http: {timeout: 2s, every: 20s, method: HEAD}, unit: {every: 1s}}
  recovery: {stable: 2m, backoff: {first: 1s}, breaker: {failures: 9, restarts: 8}}
services:
  a:
    unit: a
    probes:
      h: {kind: http, url: "http://h/"}
      i: {kind: http, url: "http://h/", every: 1m, method: GET}
  b:
    unit: b
    startup: 1m
    recovery: {stable: 3m, breaker: {failures: 2}}
"""
    services = load_text(text).services
    a, b = services["a"].core, services["b"].core
    assert (a.startup, a.busy_patience, a.stable) == (420, 60, 120)
    assert a.breaker == BreakerPolicy(9, 8)
    assert a.backoff == BackoffPolicy(Seconds(1.0))
    assert a.probes == (
        ProbePlan("unit", "unit", *seconds(1, 1, 1)),
        ProbePlan("h", "http", *seconds(20, 2, 5)),
        ProbePlan("i", "http", *seconds(60, 2, 5)),
    )
    assert [getattr(probe.probe, "method", "") for probe in services["a"].probes] == ["", "HEAD", "GET"]
    assert (b.startup, b.busy_patience, b.stable, b.breaker) == (60, 60, 180, BreakerPolicy(2, 8))


def test_timeout_and_retry_every_shrink_to_every(load_text: Load) -> None:
    config = load_text('services: {a: {unit: a, probes: {h: {kind: http, url: "http://h/", every: 1s}}}}')
    assert config.services["a"].core.probes[1] == ProbePlan("h", "http", *seconds(1, 1, 1))


def test_a_probe_of_kind_unit_under_another_name(load_text: Load) -> None:
    config = load_text("services: {a: {unit: a, probes: {state: {kind: unit, every: 2s}}}}")
    assert config.services["a"].core.probes == (ProbePlan("state", "unit", *seconds(2, 2, 2)),)


def test_notifiers(load_text: Load) -> None:
    config = load_text(f'{MINIMAL}notifiers:\n  ops: {{kind: apprise, url: "json://h/", min_severity: critical}}\n')
    notifier = config.notifiers["ops"]
    assert (notifier.name, notifier.kind, notifier.min_severity) == ("ops", "apprise", Severity.CRITICAL)
    assert notifier.notifier == Apprise(Secret("json://h/"))


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("vllm", "vllm.service"),
        ("vllm.service", "vllm.service"),
        ("vllm@0", "vllm@0.service"),
        ("llama3.1-8b", "llama3.1-8b.service"),
        (r"a\x2db", r"a\x2db.service"),
    ],
)
def test_units(load_text: Load, written: str, unit: str) -> None:
    assert load_text(f"services: {{a: {{unit: '{written}'}}}}").services["a"].core.unit == unit


def test_the_record_keeps_samples_for_a_day_or_as_long_as_is_said(load_text: Load) -> None:
    assert load_text(MINIMAL).record.raw == 86_400
    assert load_text(MINIMAL + "record: {raw: 7d}\n").record.raw == 7 * 86_400
    kept = load_text(MINIMAL + "record: {minutes: 60d, hours: 100d}\n").record.kept
    assert (kept.raw, kept.minutes, kept.hours) == (86_400, 60 * 86_400, 100 * 86_400)


def test_the_example_is_loaded_and_shows_everything(tmp_path: Path) -> None:
    config = load(EXAMPLE, environment={}, credentials_dir=None, strict_secrets=True)
    assert not config.warnings
    assert set(config.services) == {"chatglm", "bert", "embed", "qwen"}
    kinds = {probe.kind for service in config.services.values() for probe in service.probes} | {probe.kind for probe in config.host.probes}
    assert kinds == set(list_kinds("probes"))
    rules = [rule for service in config.services.values() for rule in service.core.rules] + list(config.host.rules)
    assert {type(rule.condition) for rule in rules} == {Threshold, Sigma, AdaptiveSigma, Absent}
    assert {rule.then for rule in rules} == set(Then)
    assert {service.recovery_kind for service in config.services.values()} == {"systemctl", "command"}
    assert max(len(line) for line in EXAMPLE.read_text().splitlines()) <= 80


def test_twenty_services_are_loaded_quickly(load_text: Load) -> None:
    text = "services:\n" + "".join(MINIMAL.removeprefix("services:\n").replace("chatglm", f"s{number}") for number in range(20))
    load_text(text)
    started = time.process_time()
    assert len(load_text(text).services) == 20
    assert time.process_time() - started < 0.15


def test_loading_imports_only_the_kinds_that_are_used(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("services: {a: {unit: a}}\nhost: {probes: {}}\n")
    code = f"""
import sys, pathlib
from model_watchdog.config.loading import load
load(pathlib.Path({str(path)!r}), environment={{}}, credentials_dir=None, strict_secrets=True)
print(*sorted({{"apprise", "httpx", "psutil", "rich", "msgspec"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT / "src")})
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("options", "every", "step"),
    [
        ("sigma: 3.5", "10s", 60.0),
        ("sigma: 3.5", "1m", None),
        ("sigma: 3.5, min_absolute: 5ms, for: 5m", "30s", 60.0),
        ("sigma: 3.5, warmup: 50", "10s", None),
        ("sigma: 3.5, step: 0s", "10s", 0.0),
        ("sigma: 3.5, step: 5m", "1m", 300.0),
        ("sigma: 3.5, over: 5m, as: avg", "10s", None),
    ],
)
def test_samples_of_seconds_are_averaged_where_nobody_counts_them(load_text: Load, options: str, every: str, step: float | None) -> None:
    text = (
        f"services: {{a: {{unit: a, probes: {{p: {{kind: http, url: 'http://h/', every: {every}}}}},"
        f" rules: {{slow: {{metric: 'probe_duration_seconds{{probe=\"p\"}}', {options}}}}}}}}}\n"
    )
    (rule,) = (rule for rule in load_text(text).services["a"].core.rules if rule.name == "slow")
    assert isinstance(rule.condition, AdaptiveSigma) and rule.condition.step == step
