"""The lock of a directory: taken once, and never written through what somebody else has put in its place."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from model_watchdog.cli.main import main
from model_watchdog.lock import AnotherRuns, NotOurs, take_lock

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root is led somewhere by others")


def test_one_takes_it(tmp_path: Path) -> None:
    take_lock(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n" and (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    with pytest.raises(AnotherRuns, match=f"pid {os.getpid()}"):
        take_lock(tmp_path)


@pytest.mark.usefixtures("english_again")
def test_run_says_in_chinese_that_another_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("language: zh\nservices: {}\nhost: {probes: {}}\n")
    take_lock(tmp_path)
    assert main(["run", "--config", str(config), "--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path)]) == 5
    assert f"已有守护进程（pid {os.getpid()}）使用 {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "plant",
    [
        lambda lock, victim: lock.symlink_to(victim),
        lambda lock, victim: lock.hardlink_to(victim),
        lambda lock, victim: os.mkfifo(lock),
        lambda lock, victim: lock.mkdir(),
    ],
)
def test_what_was_planted_in_its_place_is_left_alone(tmp_path: Path, plant: Callable[[Path, Path], object]) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    victim.chmod(0o644)
    plant(tmp_path / "lock", victim)
    with pytest.raises(NotOurs, match="remove it: rm "):
        take_lock(tmp_path)
    assert victim.read_text() == "as it was" and victim.stat().st_mode & 0o777 == 0o644


@AS_ROOT
def test_a_file_of_another_user_is_no_lock_of_ours(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    os.chown(tmp_path / "lock", 65534, 65534)
    with pytest.raises(NotOurs):
        take_lock(tmp_path)


@AS_ROOT
@pytest.mark.parametrize("theirs", ["state", "runtime"])
def test_root_runs_nothing_in_a_directory_of_another_user(tmp_path: Path, theirs: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("services: {}\n")
    places = {name: tmp_path / name for name in ("state", "runtime")}
    for place in places.values():
        place.mkdir()
    os.chown(places[theirs], 65534, 65534)
    options = [word for name, place in places.items() for word in (f"--{name}-dir", str(place))]
    assert main(["run", "--dry-run", "--config", str(config), *options]) == 1
    assert f"{places[theirs]} belongs to nobody" in (said := capsys.readouterr().err)
    assert "sudo runuser -u nobody -- watchdog run --dry-run" in said
    assert [*places["state"].iterdir(), *places["runtime"].iterdir()] == []
