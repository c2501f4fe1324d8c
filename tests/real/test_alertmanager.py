"""A real Alertmanager takes our alerts, and their ends; amtool shows them."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from model_watchdog.core.routes import Kind, Topic
from model_watchdog.core.rule import Severity
from model_watchdog.core.units import Seconds, Secret, Url
from model_watchdog.errors import CredentialsRefused, NotifyError
from model_watchdog.notifiers import Message
from model_watchdog.notifiers.alertmanager import Alertmanager
from tests.conftest import cannot
from tests.rig.chaos import Chaos, closed_port
from tests.rig.prometheus import Running, find_templates, find_tool
from tests.rig.sinks import HttpSink
from tests.rig.stand import Stand
from tests.rig.waiting import wait_until

CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = find_tool("prometheus-alertmanager")
    if server is None:
        cannot("no prometheus-alertmanager (scripts/setup test unpacks Debian's)")
    assert server is not None
    directory, port = tmp_path_factory.mktemp("alertmanager"), closed_port()
    (directory / "alertmanager.yml").write_text(CONFIG)
    options = (f"--config.file={directory}/alertmanager.yml", f"--storage.path={directory}/data", "--cluster.listen-address=")
    running = Running(directory, port, *find_templates(server), *options, f"--web.listen-address=127.0.0.1:{port}")
    yield running.url
    running.stop()


def list_alerts(url: str) -> dict[str, dict[str, Any]]:
    """What amtool shows as firing, by name."""
    amtool = find_tool("amtool")
    assert amtool is not None
    asked = subprocess.run(
        [amtool, f"--alertmanager.url={url}", "--output=json", "alert", "query"], capture_output=True, text=True, check=True
    )
    return {alert["labels"]["alertname"]: alert for alert in json.loads(asked.stdout)}


def tell(url: str, kind: Kind, *topics: Topic) -> None:
    message = Message("chat/17/gpu-hot-fired", Severity.CRITICAL, "a title", "What  it is", kind, topics)
    asyncio.run(Alertmanager(Url(url)).send(message))


def test_an_alert_begins_and_ends(url: str) -> None:
    hot, other = (f'gpu-hot gpu_temperature_celsius{{gpu="{number}"}}' for number in range(2))
    topics: list[Topic] = [("chat", hot), ("chat", "gave_up"), ("chat", "cannot disk_full"), (None, "condition record_unwritable")]
    tell(url, Kind.OPENS, *topics)
    tell(url, Kind.OPENS, (None, "right bert"))
    alerts = list_alerts(url)
    assert datetime.fromisoformat(alerts["gpu-hot"]["startsAt"]) <= datetime.now(UTC)
    assert alerts["gpu-hot"]["labels"]["service"] == "chat" and alerts["gpu-hot"]["annotations"]["severity"] == "critical"
    assert alerts["gpu-hot"]["annotations"]["summary"] == "a title" and alerts["cannot_act"]["labels"]["cause"] == "disk_full"
    assert "service" not in alerts["record_unwritable"]["labels"] and alerts["cannot_restart"]["labels"]["service"] == "bert"
    tell(url, Kind.OPENS, ("chat", other))
    tell(url, Kind.CLOSES, *topics[:1])
    wait_until(lambda: list_alerts(url)["gpu-hot"]["labels"]["series"] == other.partition(" ")[2], 10, lambda: list_alerts(url))
    tell(url, Kind.CLOSES, ("chat", other), *topics[1:], (None, "right bert"))
    wait_until(lambda: not list_alerts(url), 10, lambda: list_alerts(url))


def test_what_has_happened_is_shown_for_a_while_and_what_was_never_told_needs_no_end(url: str) -> None:
    tell(url, Kind.CLOSES)
    tell(url, Kind.ONCE, ("chat", "recovered"))
    ends = datetime.fromisoformat(list_alerts(url)["recovered"]["endsAt"])
    assert timedelta(minutes=9) < ends - datetime.now(UTC) < timedelta(minutes=11)


def test_what_goes_wrong_is_told_without_a_secret(chaos: Chaos) -> None:
    for vice, kind in (("/401", CredentialsRefused), ("/500", NotifyError)):
        with pytest.raises(kind) as caught:
            asyncio.run(Alertmanager(Url(chaos.url(f"{vice}?")), bearer=Secret("a-token-of-ours"), timeout=Seconds(2.0)).send(MESSAGE))
        assert "token" not in str(caught.value)
    with pytest.raises(NotifyError, match="connection refused"):
        tell(f"http://127.0.0.1:{closed_port()}", Kind.OPENS, ("a", "b"))


MESSAGE = Message("a/1/b-fired", Severity.INFO, "t", "b")


def test_a_daemon_hands_over_each_alert_of_a_flood(stand: Stand, url: str) -> None:
    models = [stand.model() for _ in range(12)]
    stand.start(*models)
    rules = "{slow: {metric: 'probe_duration_seconds{probe=\"health\"}', above: 0.1, times: 1}}"
    more = f"notifiers:\n  fleet: {{kind: alertmanager, url: '{url}', min_severity: info}}\n"
    sink = HttpSink()
    try:
        stand.watch(sink, *(model.config(rules=rules) for model in models), more=more)
        stand.wait_state("healthy", *models)
        for model in models:
            model.set("slow:0.15")
        began = time.monotonic()
        names = {model.name for model in models}
        wait_until(lambda: names <= services(url), 30, lambda: f"{names - services(url)}\n{stand.log()}", every=0.5)
        assert time.monotonic() - began < 25
        for model in models:
            model.set("ok")
        wait_until(lambda: not names & services(url), 60, lambda: f"{names & services(url)}\n{stand.log()}", every=0.5)
    finally:
        sink.close()


def services(url: str) -> set[str]:
    """Those of which an alert fires."""
    amtool = find_tool("amtool")
    assert amtool is not None
    command = [amtool, f"--alertmanager.url={url}", "--output=json", "alert", "query", "alertname=slow"]
    return {alert["labels"].get("service", "") for alert in json.loads(subprocess.run(command, capture_output=True, check=True).stdout)}
