"""`server:`: what a profile gives, what the user's words change of it, and what is told when it cannot be."""

import pytest

from model_watchdog.config.profile import list_servers
from model_watchdog.core.rule import Then
from tests.unit.config.texts import Faults, Load

SERVERS = [server for server in list_servers() if server != "http"]


def service(server: str, more: str = "") -> str:
    return f'services:\n  m:\n    unit: m\n    server: {server}\n    url: "http://127.0.0.1:8000/"\n{more}'


@pytest.mark.parametrize("server", list_servers())
def test_every_profile_can_be_read_and_restarts_what_is_down_or_unhealthy(load_text: Load, server: str) -> None:
    config = load_text(service(server)).services["m"]
    restarting = {rule.name for rule in config.core.rules if rule.then is Then.RESTART}
    assert {"unhealthy", "down"} <= restarting
    assert all(url.startswith("http://127.0.0.1:8") and "//v" not in url[8:] for url in urls(config))
    assert config.core.startup_max >= config.core.startup


def urls(config: object) -> list[str]:
    return [str(probe.probe.url) for probe in config.probes if hasattr(probe.probe, "url")]  # type: ignore[attr-defined]


def test_the_words_of_the_user_stand(load_text: Load) -> None:
    more = "    startup: 20m\n    stall_after: 30s\n    probes: {canary: {kind: tcp, address: 127.0.0.1:1}}\n    rules: {stalled: off}\n"
    config = load_text(service("vllm", more)).services["m"]
    assert config.core.startup == 1200 and config.core.progress is not None and config.core.progress.stall_after == 30
    assert {probe.name: probe.kind for probe in config.probes}["canary"] == "tcp"
    assert not {"stalled", "slow-tokens"} & {rule.name for rule in config.core.rules}, "what a probe measured goes with it"


def test_a_probe_that_does_not_say_its_kind_changes_the_profiles(load_text: Load) -> None:
    usual = {probe.name: probe for probe in load_text(service("vllm")).services["m"].probes}
    config = load_text(service("vllm", "    probes: {canary: {bearer: key-of-ours, every: 5m}, health: {timeout: 9s}}\n")).services["m"]
    probes = {probe.name: probe for probe in config.probes}
    canary = probes["canary"].probe
    assert (probes["canary"].every, probes["canary"].timeout, canary.bearer.reveal()) == (300, 30, "key-of-ours")  # type: ignore[attr-defined]
    assert probes["health"].timeout == 9 and probes["health"].probe == usual["health"].probe
    assert {rule.name for rule in config.core.rules} == {rule.name for rule in load_text(service("vllm")).services["m"].core.rules}


def test_a_probe_of_the_profile_can_be_taken_away(load_text: Load) -> None:
    config = load_text(service("vllm", "    probes: {canary: off, sleep: off}\n")).services["m"]
    assert [probe.name for probe in config.probes] == ["unit", "health", "metrics"]
    assert {rule.name for rule in config.core.rules} == {"unhealthy", "down", "stalled"}


def test_the_heartbeat_of_vllm_is_kept_without_being_told(load_text: Load) -> None:
    config = load_text(service("vllm")).services["m"]
    (scrape,) = [probe.probe for probe in config.probes if probe.kind == "scrape"]
    assert all(scrape.gives(name) for name in config.core.progress.names)  # type: ignore[attr-defined, union-attr]


def test_what_is_shown_of_a_profile_means_the_same_without_it(load_text: Load) -> None:
    from model_watchdog.config.show import show

    config = load_text(service("vllm"))
    assert load_text(show(config)).services == config.services


def test_what_is_wrong_with_a_server_is_told_where_it_is_named(faults_of: Faults) -> None:
    assert faults_of("services: {m: {unit: m, server: vlm, url: http://h:1}}") == [
        'config.yaml:1:33: services.m.server: there is no profile of "vlm"; did you mean "vllm"?'
    ]
    assert "services.m.url: is missing; server: vllm needs the address" in faults_of("services: {m: {unit: m, server: vllm}}")[0]
    assert "and there is none" in faults_of("services: {m: {unit: m, url: http://h:1}}")[0]


@pytest.mark.parametrize(
    ("server", "url", "health"),
    [
        ("vllm", "http://h:8000/v1", "http://h:8000/health"),
        ("openai", "http://h:8000/v1/", "http://h:8000/v1/models"),
        ("openai", "http://h:8000/behind/v1", "http://h:8000/behind/v1/models"),
        ("triton", "http://h:8000/", "http://h:8000/v2/health/ready"),
    ],
)
def test_the_base_of_openais_api_is_no_part_of_the_servers_address(load_text: Load, server: str, url: str, health: str) -> None:
    config = load_text(f"services: {{m: {{unit: m, server: {server}, url: '{url}'}}}}").services["m"]
    assert urls(config)[0] == health
    assert "http://h:8002/metrics" in urls(config) or server != "triton"


@pytest.mark.parametrize("page", ["/v1/chat/completions", "/health", "/metrics", "/api/generate", "/v2/health/ready"])
def test_the_address_of_a_page_is_not_that_of_its_server(faults_of: Faults, page: str) -> None:
    (fault,) = faults_of(f"services: {{m: {{unit: m, server: vllm, url: 'http://h:8000{page}'}}}}")
    assert f"is the address of a page; take {page} away" in fault


def test_a_heartbeat_needs_its_page_and_its_work(faults_of: Faults) -> None:
    probes = 'probes: {health: {kind: http, url: "http://h:1"}}'
    assert "add a probe of kind scrape" in faults_of(f"services: {{m: {{unit: m, heartbeat: a_total, work: b, {probes}}}}}")[0]
    scrape = 'probes: {page: {kind: scrape, url: "http://h:1", keep: [c]}}'
    assert "needs work beside it" in faults_of(f"services: {{m: {{unit: m, heartbeat: a_total, {scrape}}}}}")[0]
    assert "needs heartbeat beside it" in faults_of(f"services: {{m: {{unit: m, stall_after: 1m, {scrape}}}}}")[0]
    assert "is no metric; write its name" in faults_of(f'services: {{m: {{unit: m, heartbeat: "a b", work: c, {scrape}}}}}')[0]


def test_a_probe_that_is_restated_keeps_its_rules(load_text: Load) -> None:
    more = '    probes: {canary: {kind: canary, url: "http://127.0.0.1:8000", every: 5m, timeout: 1m}}\n'
    rules = {rule.name for rule in load_text(service("vllm", more)).services["m"].core.rules}
    assert {"asleep", "slow-tokens", "canary-failed"} <= rules
