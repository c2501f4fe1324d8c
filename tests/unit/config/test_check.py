"""`watchdog check` as a person calls it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_watchdog.cli.main import main
from tests.unit.config.texts import MINIMAL

ROOT = Path(__file__).resolve().parents[3]
BAD = "services:\n  a: {unit: a, startup: 30}\n  b: {unit: b, start: 30s}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_a_good_file_is_one_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(MINIMAL)
    assert main(["--config", str(config), "check"]) == 0
    assert capsys.readouterr() == (f"{config}: ok: 1 service, 3 probes, 0 notifiers\n", "")


def test_every_fault_of_a_bad_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(BAD)
    assert main(["check", "--config", str(config)]) == 2
    assert capsys.readouterr().out == (
        f'{config}:2:25: services.a.startup: "30" has no unit; did you mean 30s?\n'
        f'{config}:3:16: services.b.start: no such key; did you mean "startup"?\n'
        "2 faults; nothing was changed.\n"
    )


def test_fault_60_the_daemon_says_the_same_and_starts_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(BAD)
    main(["check", "--config", str(config)])
    faults = capsys.readouterr().out.splitlines()[:-1]
    directories = ["--state-dir", str(config.parent / "state"), "--runtime-dir", str(config.parent / "run")]
    assert main(["run", "--config", str(config), *directories]) == 2
    assert capsys.readouterr().err.splitlines() == faults
    assert sorted(path.name for path in config.parent.iterdir()) == ["config.yaml"]


def test_one_fault_is_not_two(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(config), "check"]) == 2
    assert capsys.readouterr().out.endswith("install write one\n1 fault; nothing was changed.\n")


def test_what_is_not_set_here_is_a_warning_and_where_asked_an_error(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('notifiers:\n  ops: {kind: apprise, url: "${NO_SUCH_VARIABLE}"}\n')
    assert main(["--config", str(config), "check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{config}:2:29: notifiers.ops.url: warning: the variable NO_SUCH_VARIABLE is not set here",
        f"{config}: ok: 0 services, 1 probe, 1 notifier",
    ]
    assert main(["--config", str(config), "check", "--strict"]) == 2
    assert "2:29: notifiers.ops.url: the variable NO_SUCH_VARIABLE is not set here" in capsys.readouterr().out
    monkeypatch.setenv("NO_SUCH_VARIABLE", "json://127.0.0.1/")
    assert main(["--config", str(config), "check", "--strict"]) == 0
    (config.parent / "ops").write_text("json://127.0.0.1/\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(config.parent))
    config.write_text("notifiers:\n  ops: {kind: apprise, url: credential:ops}\n")
    assert main(["--config", str(config), "check", "--strict"]) == 0


def test_show_is_yaml_that_can_be_read_again(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "config.example.yaml").read_text()
    config.write_text(text)
    assert main(["--config", str(config), "check", "--show"]) == 0
    shown, said = capsys.readouterr()
    assert said == ""
    config.write_text(shown)
    assert main(["--config", str(config), "check", "--show"]) == 0
    assert capsys.readouterr().out == shown


def test_show_of_a_bad_file_shows_nothing_but_the_faults(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(BAD)
    assert main(["--config", str(config), "check", "--show"]) == 2
    shown, said = capsys.readouterr()
    assert shown == ""
    assert said.endswith("2 faults; nothing was changed.\n")


def test_fault_75_the_notifier_is_asked_besides_all_else(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text("services: {a: {unit: a, startup: 1}}\nnotifiers: {ops: {kind: apprise, url: 'nosuch://host/s3cr3t'}}\n")
    assert main(["--config", str(config), "check"]) == 2
    out = capsys.readouterr().out
    assert "1:34: services.a.startup" in out
    assert "2:39: notifiers.ops.url: no apprise notifier understands this address (nosuch://)" in out
    assert "s3cr3t" not in out


def test_the_path_comes_from_the_environment(config: Path) -> None:
    config.write_text("services: {}\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "MODEL_WATCHDOG_CONFIG": str(config)}
    code = "import sys; from model_watchdog.cli.main import main; sys.exit(main(['check']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == f"{config}: ok: 0 services, 1 probe, 0 notifiers\n"
