"""What deploy/ has for a fleet, in Debian's Prometheus and Alertmanager: 200 hosts are scraped, and every question has an answer."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.conftest import cannot
from tests.rig.chaos import closed_port
from tests.rig.fleet import GPUS, SERVICES, UNREACHABLE, Fleet
from tests.rig.prometheus import UNPACKED, Running, find_templates, find_tool
from tests.rig.waiting import wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
HOSTS = 200
TOKEN = "token-of-the-pages"
PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
COMPOSE_SCHEMA = [
    path for root in (Path("/usr"), UNPACKED) for path in root.glob("lib/python3/dist-packages/compose/config/compose_spec.json")
]
GRAFANA = {"$__rate_interval": "10s", "$host": "gpu-007", "$service": ".*"}
"""What Grafana puts for its variables; the interval is four scrapes or more."""


@pytest.fixture(scope="module")
def programs() -> dict[str, str]:
    found = {name: find_tool(name) for name in PROGRAMS}
    if missing := [name for name, path in found.items() if path is None]:
        cannot(f"no {', '.join(missing)} (scripts/setup test unpacks Debian's prometheus and prometheus-alertmanager)")
    return {name: str(path) for name, path in found.items()}


def run(*command: str | Path) -> str:
    """What it prints. A command that fails, fails the test."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def alertmanager(programs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory, port = tmp_path_factory.mktemp("alertmanager"), closed_port()
    config = f"--config.file={DEPLOY}/alertmanager/alertmanager.yml"
    options = (f"--storage.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=")
    running = Running(directory, port, *find_templates(programs["prometheus-alertmanager"]), config, *options)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    fleet = Fleet(TOKEN)
    yield fleet
    fleet.stop()


@pytest.fixture(scope="module")
def prometheus(
    programs: dict[str, str], fleet: Fleet, alertmanager: Running, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """As deploy/ configures it, but for its intervals, the address of Alertmanager, and the fleet."""
    directory, port = tmp_path_factory.mktemp("prometheus"), closed_port()
    copy_config(directory)
    config = yaml.safe_load((directory / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager.url.removeprefix("http://")]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    labels = [{"__scheme__": "http", "__metrics_path__": f"/{host}/metrics", "host": name(host), "site": "north"} for host in range(HOSTS)]
    targets = [{"targets": [f"127.0.0.1:{fleet.port}"], "labels": of_one} for of_one in labels]
    (directory / "targets/fleet.yml").write_text(yaml.safe_dump(targets))
    options = (f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn")
    running = Running(directory, port, programs["prometheus"], f"--config.file={directory}/prometheus.yml", *options)
    try:
        wait_until(lambda: sum(count >= 4 for count in fleet.asked.values()) == HOSTS, 60, lambda: f"{fleet.asked}\n{running.read_log()}")
        yield running
    finally:
        running.stop()


def copy_config(directory: Path) -> None:
    """Prometheus' part of deploy/, with the token where a test may write."""
    shutil.copytree(DEPLOY / "prometheus", directory, dirs_exist_ok=True)
    (directory / "token").write_text(TOKEN)
    config = directory / "prometheus.yml"
    text = config.read_text()
    assert text.count("/run/secrets/watchdog-token") == 1
    config.write_text(text.replace("/run/secrets/watchdog-token", str(directory / "token")))


def name(host: int) -> str:
    return f"gpu-{host:03}"


def list_rules() -> list[dict[str, Any]]:
    files = sorted((DEPLOY / "prometheus/rules").glob("*.yml"))
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def list_panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads((DEPLOY / "grafana/dashboards/model-watchdog.json").read_text())["panels"]
    return panels


def test_the_tools_find_no_fault_in_what_is_configured(programs: dict[str, str], tmp_path: Path) -> None:
    copy_config(tmp_path)
    assert "is valid" in run(programs["promtool"], "check", "config", "--lint-fatal", "--lint=all", tmp_path / "prometheus.yml")
    run(programs["promtool"], "check", "rules", "--lint-fatal", "--lint=all", *sorted((tmp_path / "rules").glob("*.yml")))
    assert "SUCCESS" in run(programs["amtool"], "check-config", DEPLOY / "alertmanager/alertmanager.yml")


def test_two_hundred_hosts_are_scraped_each_by_its_own_name(prometheus: Running) -> None:
    ups = {series["metric"]["host"]: series["value"][1] for series in prometheus.query('up{job="model-watchdog"}')}
    assert ups == {name(host): "0" if host == UNREACHABLE else "1" for host in range(HOSTS)}
    (series,) = prometheus.query(f'watchdog_up{{host="{name(5)}"}}')
    assert series["metric"]["instance"] == name(5)
    assert len(prometheus.query("gpu_up")) == (HOSTS - 1) * GPUS and len(prometheus.query("watchdog_breaker_open")) == (HOSTS - 1) * len(
        SERVICES
    )


def test_every_rule_returns_data(prometheus: Running) -> None:
    rules = list_rules()
    assert len(rules) > 20

    def silent() -> list[str]:
        named = [(rule.get("alert") or rule["record"], rule["expr"] if "alert" in rule else rule["record"]) for rule in rules]
        return [rule for rule, expression in named if not prometheus.query(expression)]

    wait_until(lambda: not silent(), 20, lambda: f"no data: {silent()}", every=0.5)
    pending = prometheus.get("/api/v1/alerts")["alerts"]
    assert {alert["labels"]["alertname"] for alert in pending} == {rule["alert"] for rule in rules if "alert" in rule}
    told = [text for alert in pending for text in alert["annotations"].values()]
    assert [text for text in told if "error" in text.lower().split() or "<" in text or not text] == []
    assert "chatglm on gpu-003 is not restarted any more" in told
    health = [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"]
    assert health == []


def test_what_ails_one_host_is_told_of_that_host_alone(prometheus: Running) -> None:
    ailing = {"WatchdogDown": 0, "HostUnreachable": 1, "WatchdogLate": 2, "ServiceGaveUp": 3, "AnswerWrong": 5, "CertificateEnds": 6}
    ailing |= {"GpuLost": 7, "GpuHot": 8, "GpuErrors": 9, "GpuNeedsReset": 10, "DiskFull": 11, "MemoryShort": 12, "ServiceUnknown": 14}
    alerts = prometheus.get("/api/v1/alerts")["alerts"]
    for rule, host in ailing.items():
        assert {alert["labels"]["host"] for alert in alerts if alert["labels"]["alertname"] == rule} == {name(host)}, rule
    for host in (18, 20):
        assert [alert for alert in alerts if alert["labels"].get("host") == name(host)] == [], "one that sleeps, and one that is well"
    of_a_host = [alert["labels"] for alert in alerts if "host" in alert["labels"]]
    assert {labels.get("site") for labels in of_a_host} == {"north"}, "what was said of a target stays with it"


def test_every_query_of_the_dashboard_returns_data(prometheus: Running) -> None:
    asked = []
    for panel in list_panels():
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in GRAFANA.items():
                expression = expression.replace(variable, value)
            assert "$" not in expression.replace('"$1"', ""), expression
            asked.append((panel["title"], expression))
    assert len(asked) > 30

    def empty() -> list[tuple[str, str]]:
        return [(title, expression) for title, expression in asked if not prometheus.query(expression)]

    wait_until(lambda: not empty(), 20, lambda: f"no data: {empty()}", every=0.5)


def test_the_dashboard_offers_hosts_and_services_to_choose_from(prometheus: Running) -> None:
    dashboard = json.loads((DEPLOY / "grafana/dashboards/model-watchdog.json").read_text())
    offered = {}
    for variable in dashboard["templating"]["list"]:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"].replace("$host", ".*"))
        assert found, variable["query"]
        offered[variable["name"]] = prometheus.get(f"/api/v1/label/{found[2]}/values", **{"match[]": found[1]})
    assert len(offered["host"]) == HOSTS - 1, "one is not reached"
    assert offered["service"] == sorted(SERVICES)
    assert {f"${name}" for name in offered} == {name for name in GRAFANA if not name.startswith("$__")}


def test_alerts_arrive_and_the_routes_are_those_that_are_meant(
    prometheus: Running, alertmanager: Running, programs: dict[str, str]
) -> None:
    amtool = (programs["amtool"], f"--alertmanager.url={alertmanager.url}")
    gave_up = ("alert", "query", "alertname=ServiceGaveUp", f"host={name(3)}", "--output=json")
    wait_until(lambda: len(json.loads(run(*amtool, *gave_up))) == len(SERVICES), 20, prometheus.read_log, every=0.5)
    routes = (programs["amtool"], "config", "routes", "test", f"--config.file={DEPLOY}/alertmanager/alertmanager.yml")
    assert run(*routes, "alertname=DeadMansSwitch", "severity=none").split()[0] == "dead-mans-switch"
    assert run(*routes, "alertname=GpuLost", "severity=critical", "host=gpu-007").split()[0] == "pager"
    assert run(*routes, "alertname=DiskFull", "severity=warning", "host=gpu-011").split()[0] == "chat"


INHIBITED = [
    ({"alertname": "HostUnreachable", "severity": "critical"}, {"alertname": "ServiceDown", "severity": "critical", "service": "bert"}),
    ({"alertname": "WatchdogDown", "severity": "critical"}, {"alertname": "ServiceDegraded", "severity": "warning", "service": "bert"}),
    ({"alertname": "GpuLost", "severity": "critical"}, {"alertname": "AnswerWrong", "severity": "critical", "service": "bert"}),
    (
        {"alertname": "ServiceGaveUp", "severity": "critical", "service": "bert"},
        {"alertname": "ServiceDown", "severity": "critical", "service": "bert"},
    ),
    (
        {"alertname": "ServiceDown", "severity": "critical", "service": "bert"},
        {"alertname": "ServiceFlaps", "severity": "warning", "service": "bert"},
    ),
]


@pytest.mark.parametrize(("cause", "effect"), INHIBITED, ids=lambda labels: labels["alertname"])
def test_what_follows_from_another_alert_is_not_told(
    cause: dict[str, str], effect: dict[str, str], alertmanager: Running, programs: dict[str, str], request: pytest.FixtureRequest
) -> None:
    amtool = (programs["amtool"], f"--alertmanager.url={alertmanager.url}", "alert")
    here, there = f"here-{time.time_ns()}", f"there-{time.time_ns()}"
    for labels in ({**effect, "host": here}, {**effect, "host": there}, {**cause, "host": here}):
        run(*amtool, "add", *[f"{key}={value}" for key, value in labels.items()], "--annotation=summary=of the test")

    def held(host: str) -> set[str]:
        found = json.loads(run(*amtool, "query", "--inhibited", "--output=json", f"host={host}"))
        return {alert["labels"]["alertname"] for alert in found if alert["status"]["inhibitedBy"]}

    wait_until(lambda: held(here) == {effect["alertname"]}, 10, lambda: f"{held(here)} are held")
    assert held(there) == set(), "the same trouble on another host is told"


def test_the_compose_file_mounts_what_is_there() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(compose["services"]) == {"prometheus", "alertmanager", "grafana"}
    for service in compose["services"].values():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), "a version, never latest"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        sources = [volume.split(":")[0] for volume in service["volumes"]]
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        assert all((DEPLOY / source).is_dir() if source.startswith("./") else source in compose["volumes"] for source in sources)


@pytest.mark.skipif(not COMPOSE_SCHEMA, reason="no docker-compose with a schema on this machine: scripts/setup test unpacks Debian's")
def test_the_compose_file_is_one_by_the_schema_of_compose() -> None:
    validator = jsonschema.Draft7Validator(json.loads(COMPOSE_SCHEMA[0].read_text()))
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert [error.message for error in validator.iter_errors(compose)] == []
    compose["services"]["grafana"]["port"] = []
    assert [*validator.iter_errors(compose)], "it would find a fault"


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    panels = list_panels()
    ids = [panel["id"] for panel in panels]
    assert len(set(ids)) == len(ids)
    assert [panel["title"].split()[0] for panel in panels if panel["type"] == "row"] == ["Fleet", "Host", "Service"]
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in panels if "datasource" in panel} == {source["uid"]}
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
