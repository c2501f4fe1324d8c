"""`include:`: many files that are read as one, each held to what the first one is held to."""

import os
from pathlib import Path

import pytest

from model_watchdog.cli.main import main
from model_watchdog.config import including
from model_watchdog.config.loading import load
from model_watchdog.config.show import show
from tests.unit.config.texts import Faults, Load

BERT = "services: {bert: {unit: bert}}\n"
OPS = "notifiers: {ops: {kind: apprise, url: 'json://h'}}\n"


@pytest.fixture
def conf_d(tmp_path: Path) -> Path:
    directory = tmp_path / "conf.d"
    directory.mkdir()
    return directory


def test_all_files_are_read_as_one(load_text: Load, tmp_path: Path, conf_d: Path) -> None:
    """In the order of their names; `defaults:` of one lies under the services of all."""
    (conf_d / "20-b.yaml").write_text("services: {b: {unit: b}}\nhost: {probes: {}}\n")
    (conf_d / "10-a.yaml").write_text("services: {a: {unit: a}}\ndefaults: {startup: 7s}\n" + OPS)
    (conf_d / ".30-c.yaml.swp").write_text("an editor's")
    (conf_d / ".30-d.yaml").write_text("an editor's")
    (tmp_path / "more.yml").write_text("services: {c: {unit: c}}\nnotifiers: {boss: {kind: apprise, url: 'json://h'}}\n")
    config = load_text("include: [conf.d/*.yaml, more.yml, more.yml]\n" + BERT)
    assert list(config.services) == ["bert", "a", "b", "c"] and list(config.notifiers) == ["ops", "boss"]
    assert {service.core.startup for service in config.services.values()} == {7.0}
    assert config.host.probes == ()
    assert config.included == (conf_d / "10-a.yaml", conf_d / "20-b.yaml", tmp_path / "more.yml")


def test_what_is_shown_is_all_of_it_and_can_be_read_again(load_text: Load, conf_d: Path) -> None:
    (conf_d / "a.yaml").write_text("services: {a: {unit: a}}\n")
    config = load_text("include: conf.d/*.yaml\n" + BERT)
    again = load_text(show(config))
    assert again.services == config.services and again.included == ()


@pytest.mark.parametrize("pattern", ["conf.d/*.yaml", "nowhere/*.yaml", "'*.yaml'"])
def test_a_pattern_may_name_nothing_and_never_the_file_itself(load_text: Load, conf_d: Path, pattern: str) -> None:
    assert list(load_text(f"include: {pattern}\n{BERT}").services) == ["bert"]


def test_a_variable_may_name_the_folder(load_text: Load, conf_d: Path) -> None:
    (conf_d / "a.yaml").write_text("services: {a: {unit: a}}\n")
    assert list(load_text('include: "${WHERE}/*.yaml"\n', WHERE=str(conf_d)).services) == ["a"]


def test_every_fault_of_every_file_is_told_with_its_own_place(faults_of: Faults, conf_d: Path) -> None:
    (conf_d / "a.yaml").write_text("services:\n  a: {unit: a, startup: 30}\n  bert: {unit: c}\nrecord: {raw: 1h}\ninclude: x.yaml\n")
    (conf_d / "b.yaml").write_text("services:\n  b: {unit: bert}\n\tc: d\n")
    (conf_d / "c.yaml").write_text("services: {c: {unit: bert, probes: {unit: {kind: unit, every: 2s}}}}\nservces: {}\n" + OPS + OPS)
    (conf_d / "d.yaml").write_bytes(b"services: {}\n# \xff\n")
    (conf_d / "e.yaml").write_text("\n")
    (conf_d / "f.yaml").mkdir()
    (conf_d / "g.yaml").write_text("services: [a]\n")
    text = f"include: [conf.d/*.yaml, no.yaml]\n{BERT}record: {{raw: 2h}}\ndefaults: {{probes: {{unit: {{timeout: 4s}}}}}}\n"
    base = conf_d.parent
    assert faults_of(text) == [
        f"config.yaml:1:26: include: there is no file {base}/no.yaml",
        'conf.d/a.yaml:2:25: services.a.startup: "30" has no unit; did you mean 30s?',
        f"conf.d/a.yaml:3:3: services.bert: is there twice; the first one is in {base}/config.yaml:2",
        f"conf.d/a.yaml:4:1: record: is there twice; the first one is in {base}/config.yaml:3",
        "conf.d/a.yaml:5:1: include: stands in config.yaml only: an included file includes no other",
        "conf.d/b.yaml:3:1: a tab; YAML is indented with spaces",
        f'conf.d/c.yaml:1:22: services.c.unit: "bert" is the unit of bert already ({base}/config.yaml:2)',
        "conf.d/c.yaml:1:63: services.c.probes.unit.every: 2s is shorter than the timeout 4s of defaults "
        f"({base}/config.yaml:4); timeout must be at most every",
        'conf.d/c.yaml:2:1: servces: no such key; did you mean "services"?',
        "conf.d/c.yaml:4:1: notifiers: is there twice; the first one is on line 3",
        "conf.d/d.yaml:2:1: is not UTF-8; save it as UTF-8",
        "conf.d/e.yaml: is empty; config.example.yaml shows what can be in it",
        "conf.d/f.yaml: is a directory; name the file in it",
        "conf.d/g.yaml:1:11: services: expected keys with values, not a list",
    ]


@pytest.mark.parametrize(
    ("include", "fault"),
    [
        ("{a: b}", "1:10: include: expected a text, not keys with values"),
        ("[[a]]", "1:11: include: expected a text, not a list"),
        ("", "1:9: include: is empty; it takes a text"),
        ("'*/a.yaml'", '1:10: include: "*/a.yaml": * ? and [ stand in the last part of a path only, as in conf.d/*.yaml'),
        (
            "config.yaml/*.yaml",
            "1:10: include: {base}/config.yaml cannot be read: Not a directory; root and the group model-watchdog should",
        ),
    ],
)
def test_what_cannot_be_included(faults_of: Faults, tmp_path: Path, include: str, fault: str) -> None:
    (told,) = faults_of(f"include: {include}\n")
    assert told.startswith(f"config.yaml:{fault}".replace("{base}", str(tmp_path)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused what others may write to")
def test_an_included_file_is_held_to_the_same_mode(faults_of: Faults, conf_d: Path) -> None:
    (conf_d / "a.yaml").write_text("services: {}\n")
    (conf_d / "a.yaml").chmod(0o666)
    assert faults_of("include: conf.d/*.yaml\n") == [f"conf.d/a.yaml: others may write to it, and root reads it; chmod o-w {conf_d}/a.yaml"]


def test_there_is_an_end_to_how_much_is_read(faults_of: Faults, conf_d: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (conf_d / f"{name}.yaml").write_text("services: {}\n" + "#" * 300_000)
    told = faults_of("include: conf.d/*.yaml\n")
    assert told == [f"conf.d/{name}.yaml: has 300013 bytes; at most 262144 are read" for name in "abc"]
    for name in "abcde":
        (conf_d / f"{name}.yaml").write_text("services: {}\n" + "#" * 250_000)
    assert faults_of("include: conf.d/*.yaml\n") == ["conf.d/e.yaml: is too much: the included files may have 1048576 characters together"]
    monkeypatch.setattr(including, "MOST_FILES", 2)
    assert faults_of("include: conf.d/*.yaml\n") == ["config.yaml:1:10: include: names 5 files; 2 are the most"]


def test_check_names_the_files(tmp_path: Path, conf_d: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (conf_d / "a.yaml").write_text("services: {a: {unit: a}}\n")
    path = tmp_path / "config.yaml"
    path.write_text("include: conf.d/*.yaml\n" + BERT)
    assert main(["--config", str(path), "check"]) == 0
    assert capsys.readouterr().out == f"{path} (and 1 included file): ok: 2 services, 3 probes, 0 notifiers\n"


def test_what_a_link_includes_lies_beside_the_file(tmp_path: Path, conf_d: Path) -> None:
    """As the daemon reads it, whose unit names the file itself."""
    (conf_d / "a.yaml").write_text("services: {a: {unit: a.service}}\n")
    (tmp_path / "config.yaml").write_text("include: conf.d/*.yaml\n")
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "config.yaml"
    link.symlink_to("../config.yaml")
    assert [*load(link, environment={}, credentials_dir=None, strict_secrets=True).services] == ["a"]
