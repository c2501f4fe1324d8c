"""The JSON Schema: what `check` takes it takes (see `load_text`), and what is often written wrong it marks."""

import json
import re
from pathlib import Path

import pytest

from model_watchdog.cli.install import FIRST_CONFIG
from model_watchdog.cli.main import main
from model_watchdog.config.schema import make_schema
from tests.unit.config.schemas import find_schema_faults
from tests.unit.config.texts import MINIMAL, Load

ROOT = Path(__file__).resolve().parents[3]
COMMITTED = ROOT / "docs" / "config.schema.json"


def test_the_committed_schema_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == COMMITTED.read_text(), "write it anew: make schema"


def test_what_we_show_as_right_is_right_to_an_editor() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert blocks
    for text in ((ROOT / "config.example.yaml").read_text(), FIRST_CONFIG, *blocks):
        assert find_schema_faults(text) == []


def service(*lines: str) -> str:
    return MINIMAL + "".join(f"    {line}\n" for line in lines)


EVERYTHING = (
    "include: [conf.d/*.yaml]\nlanguage: en\nrecord: {raw: 1d}\nservices: {}\n",
    service("rules: {down: off, unhealthy: off}", "recovery: {breaker: {failures: 3}}"),
    service("rules:", "  r: {metric: unit_tasks, sigma: 3.5, newness: off, for: 1m, then: inhibit, severity: info}"),
    "services: {a: {recovery: {kind: command, command: [/bin/true]}, probes: {p: {kind: tcp, address: 'h:1'}}}}\n",
    "host: {common_cause: off, probes: {g: {kind: nvml, reopen: 5m}}, rules: {disk-full: off}}\n",
    "notifiers: {ops: {kind: apprise, url: '${URL}', min_severity: '${LEAST}'}}\n",
)


@pytest.mark.parametrize("text", EVERYTHING)
def test_what_is_right(load_text: Load, text: str) -> None:
    load_text(text, URL="json://h", LEAST="info")


WRONG = {
    "servces: {}\n": "",
    "services: [a]\n": "services",
    "services: {a: {startup: 5m}}\n": "services.a",
    "services: {-a: {unit: a}}\n": "services",
    "services: {a: {unit: 5}}\n": "services.a.unit",
    service("start_up: 5m"): "services.chatglm",
    service("startup: 30"): "services.chatglm.startup",
    service("startup: 30 s"): "services.chatglm.startup",
    service("recovery: {kind: systemd}"): "services.chatglm.recovery.kind",
    service("recovery: {kind: command}"): "services.chatglm.recovery",
    service("recovery: {command: [/bin/true]}"): "services.chatglm.recovery",
    service("recovery: {braker: {failures: 3}}"): "services.chatglm.recovery",
    service("recovery: {breaker: {failures: many}}"): "services.chatglm.recovery.breaker.failures",
    service("rules: {r: on}"): "services.chatglm.rules.r",
    service("rules: {r: {above: 1}}"): "services.chatglm.rules.r",
    service("rules: {r: {metric: unit_tasks, bellow: 1}}"): "services.chatglm.rules.r",
    service("rules: {r: {metric: unit_tasks, below: 1, then: reboot}}"): "services.chatglm.rules.r",
    service("rules: {r: {metric: unit_tasks, sigma: 3.5, times: 3, then: restart}}"): "services.chatglm.rules.r",
    service("rules: {r: {metric: unit_tasks, absent: 5m, then: restart}}"): "services.chatglm.rules.r",
    "services: {a: {unit: a, probes: {p: {url: 'http://h'}}}}\n": "services.a.probes.p",
    "services: {a: {unit: a, probes: {p: {kind: htpp, url: 'http://h'}}}}\n": "services.a.probes.p.kind",
    "services: {a: {unit: a, probes: {p: {kind: http}}}}\n": "services.a.probes.p",
    "services: {a: {unit: a, probes: {p: {kind: http, url: h}}}}\n": "services.a.probes.p.url",
    "services: {a: {unit: a, probes: {p: {kind: http, url: 'http://h', status: 9xx}}}}\n": "services.a.probes.p.status",
    "services: {a: {unit: a, probes: {p: {kind: unit, disks: [/]}}}}\n": "services.a.probes.p",
    "services: {a: {unit: a, probes: {p: {kind: host}}}}\n": "services.a.probes.p.kind",
    "host: {probes: {p: {kind: unit}}}\n": "host.probes.p.kind",
    "host: {common_cause: on}\n": "host.common_cause",
    "defaults: {probes: {htpp: {}}}\n": "defaults.probes",
    "defaults: {recovery: {kind: systemctl}}\n": "defaults.recovery",
    "notifiers: {ops: {kind: apprise}}\n": "notifiers.ops",
    "notifiers: {ops: {kind: apprise, url: 'json://h', min_severity: warn}}\n": "notifiers.ops.min_severity",
    "record: {row: 24h}\n": "record",
    "language: fr\n": "language",
}


@pytest.mark.parametrize(("text", "place"), WRONG.items(), ids=WRONG)
def test_what_is_often_written_wrong_is_marked_at_its_place(text: str, place: str) -> None:
    marked = [fault.split(": ")[0] for fault in find_schema_faults(text)]
    assert place in marked, marked


def test_it_names_what_an_editor_is_to_complete() -> None:
    text = json.dumps(make_schema())
    for word in ("http", "systemctl", "busy_patience", "keep_firing_for", "newness", "p95", "min_severity"):
        assert f'"{word}"' in text
