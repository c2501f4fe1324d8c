"""Variables, files and credentials: what they become, what is said when they are not there, and that they are never shown."""

from pathlib import Path

import pytest

from model_watchdog.config.loading import InvalidConfig
from model_watchdog.config.show import show
from model_watchdog.config.sources import Sources
from model_watchdog.config.values import Wrong
from model_watchdog.notifiers.apprise import Apprise
from model_watchdog.probes.http import Http
from tests.unit.config.texts import MINIMAL, Faults, Load

ENVIRONMENT = {"A": "one", "B": "two", "EMPTY": "", "NESTED": "${A}", "BROKEN": "\udcff"}
RESOLVED = {
    "${A}": "one",
    "x${A}y${B}z": "xoneytwoz",
    "${A:-other}": "one",
    "${NO:-other}": "other",
    "${NO:-}": "",
    "${EMPTY}": "",
    "${EMPTY:-other}": "other",
    "$${A}": "${A}",
    "$$${A}": "$${A}",
    "$A $ {A} $": "$A $ {A} $",
    "${NESTED}": "${A}",
    "${NO:-a:-b c}": "a:-b c",
}


@pytest.mark.parametrize(("written", "text"), RESOLVED.items())
def test_variables(written: str, text: str) -> None:
    resolved = Sources(ENVIRONMENT, None).resolve(written)
    assert (resolved.text, resolved.missing) == (text, "")


@pytest.mark.parametrize("written", ["${", "${}", "${A", "${1A}", "${A-x}", "${A:?x}", "${A B}", "${A:-${B}}"])
def test_what_begins_like_a_variable_and_is_none(written: str) -> None:
    with pytest.raises(Wrong, match=r"holds a \$\{ that begins no variable"):
        Sources(ENVIRONMENT, None).resolve(written)


def test_what_is_not_set_is_named() -> None:
    assert Sources(ENVIRONMENT, None).resolve("${NO}${NO}${NEITHER}").missing == (
        "the variable NO is not set here; the variable NEITHER is not set here"
    )


def test_a_variable_that_is_not_utf_8_is_refused_without_its_value() -> None:
    with pytest.raises(Wrong, match="the variable BROKEN is not UTF-8"):
        Sources(ENVIRONMENT, None).resolve("${BROKEN}")


def bearer(text: str) -> str:
    return MINIMAL.replace("health}", "health").replace('health"}', f'health", bearer: "{text}"}}')


def read_bearer(load: Load, text: str, **options: object) -> str | None:
    probe = load(bearer(text), **options).services["chatglm"].probes[1].probe
    assert isinstance(probe, Http)
    return probe.bearer.reveal() if probe.bearer else None


def test_a_secret_from_a_variable_a_file_and_a_credential(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")
    (tmp_path / "cred").write_text("from systemd\n")
    assert read_bearer(load_text, "${TOKEN}", TOKEN="from outside") == "from outside"
    assert read_bearer(load_text, f"file:{tmp_path}/token") == "from a file"
    assert read_bearer(load_text, "file:${DIR}/token", DIR=str(tmp_path)) == "from a file"
    assert read_bearer(load_text, "credential:cred", credentials=tmp_path) == "from systemd"


def test_what_a_variable_holds_is_not_read_again(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    assert read_bearer(load_text, "${TOKEN}", TOKEN=f"file:{tmp_path}/token") == f"file:{tmp_path}/token"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("${TOKEN}", "the variable TOKEN is not set here"),
        ("file:/no/such/file", "the file /no/such/file does not exist"),
        ("file:/dev", "the file /dev is a directory; name the file in it"),
        ("credential:no", "the credential no is not here: systemd gives credentials to the daemon only"),
    ],
)
def test_what_is_not_there_is_a_warning_or_where_it_must_be_a_fault(load_text: Load, faults_of: Faults, written: str, text: str) -> None:
    config = load_text(bearer(written))
    (warning,) = config.warnings
    assert warning.endswith(f"config.yaml:5:73: services.chatglm.probes.health.bearer: warning: {text}")
    assert [plan.name for plan in config.services["chatglm"].core.probes] == ["unit", "health"]
    assert faults_of(bearer(written), strict=True) == [f"config.yaml:5:73: services.chatglm.probes.health.bearer: {text}"]


def test_a_credential_that_is_missing_in_its_directory(faults_of: Faults, tmp_path: Path) -> None:
    assert faults_of(bearer("credential:no"), strict=True, credentials=tmp_path)[0].endswith("the credential no does not exist")


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("file:token", "does not name a file from the root; write file:/path/of/the/file"),
        ("credential:../token", "does not name a credential; write credential:NAME"),
        ("credential:", "does not name a credential; write credential:NAME"),
        ("", "the value is empty"),
        ("${EMPTY}", "the value of ${EMPTY} is empty"),
    ],
)
def test_secrets_that_cannot_be_meant(faults_of: Faults, written: str, text: str) -> None:
    assert faults_of(bearer(written), EMPTY="") == [f"config.yaml:5:73: services.chatglm.probes.health.bearer: {text}"]


def test_variables_in_every_kind_of_value(load_text: Load) -> None:
    text = """\
services:
  a:
    unit: ${UNIT}
    startup: "${STARTUP}"
    probes: {h: {kind: "${KIND}", url: "http://${HOST}:${PORT}/", every: "${EVERY:-5s}", status: "${STATUS}"}}
    recovery: {breaker: {failures: "${FAILURES}"}}
"""
    config = load_text(text, UNIT="x", STARTUP="7m", KIND="http", HOST="h", PORT="8000", STATUS="204", FAILURES="9")
    service = config.services["a"]
    assert (service.core.unit, service.core.startup, service.core.breaker.failures) == ("x.service", 420, 9)
    probe = service.probes[1].probe
    assert isinstance(probe, Http)
    assert (probe.url, service.probes[1].every) == ("http://h:8000/", 5)
    assert 204 in probe.status


def test_what_is_not_set_leaves_out_only_what_cannot_be_without_it(load_text: Load) -> None:
    text = f'{MINIMAL}    startup: "${{STARTUP}}"\n  b: {{unit: "${{UNIT}}"}}\nnotifiers: {{ops: {{kind: apprise, url: "${{URL}}"}}}}\n'
    config = load_text(text)
    assert len(config.warnings) == 3
    assert config.services["chatglm"].core.startup == 120
    assert "b" not in config.services
    assert config.notifiers["ops"].notifier == Apprise(config.notifiers["ops"].notifier.url)  # type: ignore[attr-defined]


def test_rules_are_taken_as_they_are(faults_of: Faults) -> None:
    text = f"{MINIMAL}    rules: {{r: {{metric: probe_success, below: '${{LEVEL}}'}}}}\n"
    assert faults_of(text, LEVEL="1") == [
        'config.yaml:6:47: services.chatglm.rules.r.below: "${LEVEL}" is not a number; write it like 80, 0.5, 50ms, 20GB or 90%'
    ]


SECRET = "s3cr3t-planted"
LEAKY = {
    "a duration": "services: {a: {unit: a, startup: '${X}'}}",
    "a number": "services: {a: {unit: a, recovery: {breaker: {failures: '${X}'}}}}",
    "a unit": "services: {a: {unit: '${X}/'}}",
    "a kind": "notifiers: {a: {kind: '${X}', url: x}}",
    "a severity": "notifiers: {a: {kind: apprise, url: 'json://h', min_severity: '${X}'}}",
    "a status": "services: {a: {unit: a, probes: {h: {kind: http, url: 'http://h', status: '${X}'}}}}",
    "a method": "services: {a: {unit: a, probes: {h: {kind: http, url: 'http://h', method: '${X}'}}}}",
    "an address": "services: {a: {unit: a, probes: {h: {kind: http, url: '${X}'}}}}",
    "an address with a password": f"services: {{a: {{unit: a, probes: {{h: {{kind: http, url: 'http://u:{SECRET}@h:port/'}}}}}}}}",
    "an address with a token": f"services: {{a: {{unit: a, probes: {{h: {{kind: http, url: 'ftp://h/?token={SECRET}'}}}}}}}}",
    "a part of an address": "services: {a: {unit: a, probes: {h: {kind: http, url: 'http://h:${X}/'}}}}",
    "a header": 'services: {a: {unit: a, probes: {h: {kind: http, url: "http://h", headers: {A: "${X}\\n"}}}}}',
    "a path": "services: {a: {unit: a, probes: {h: {kind: http, url: 'https://h', ca_file: '${X}'}}}}",
    "a disk": "host: {probes: {h: {kind: host, disks: ['${X}']}}}",
    "a default": "defaults: {startup: '${X}'}",
    "a language": "language: '${X}'",
    "a secret that looks like a number": "notifiers: {a: {kind: apprise, url: 7355608}}",
}


@pytest.mark.parametrize("text", LEAKY.values(), ids=LEAKY)
def test_fault_74_no_fault_holds_what_came_from_outside_or_is_secret(load_text: Load, text: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load_text(text, X=SECRET)
    assert SECRET not in str(caught.value)
    assert "7355608" not in str(caught.value)


def test_fault_74_no_secret_is_shown(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    text = f"""\
services:
  a:
    probes:
      one: {{kind: http, url: "http://u:{SECRET}@h/?token={SECRET}&api_key={SECRET}&x=1", headers: {{X: "{SECRET}"}}}}
      two: {{kind: http, url: "http://h/${{X}}", bearer: "file:{tmp_path}/token", contains: "${{X}}", json: {{a: "${{X}}"}}}}
      three: {{kind: command, command: [/bin/curl, "http://u:{SECRET}@h/?token={SECRET}", "--url=http://h/${{X}}?key={SECRET}"]}}
    recovery: {{kind: command, command: [/bin/curl, "--token=${{X}}", "http://h/?token={SECRET}", "--url=http://${{X}}@h/?key={SECRET}"]}}
notifiers:
  ops: {{kind: apprise, url: "mailtos://u:{SECRET}@h/{SECRET}"}}
  two: {{kind: apprise, url: "${{X}}"}}
"""
    config = load_text(text, X=SECRET)
    assert SECRET not in show(config)
    assert "mailtos://***" in show(config)
    assert '[/bin/curl, "--token=${X}", "http://h/?token=***", "--url=http://***@h/?key=***"]' in show(config)
    assert '[/bin/curl, "http://***@h/?token=***", "--url=http://h/${X}?key=***"]' in show(config)
    assert SECRET not in repr(config.notifiers)
