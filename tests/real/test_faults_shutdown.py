"""The host goes down, and comes back: row 86 of the catalogue, in boxes of its own, with the shipped unit, user and rule."""

import contextlib
import sqlite3
import uuid
from pathlib import Path

from tests.conftest import FaultRow, MakeBox
from tests.rig.sinks import HttpSink
from tests.rig.stand import FRESH, MODELS, Model, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import DAEMON


def test_fault_86_host_shuts_down(make_box: MakeBox, tmp_path: Path, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """Whatever happens to a service while the host goes down: no restart, no message, nothing counted."""
    binds = disks(tmp_path)
    stand = Stand(make_box(binds=binds))
    stand.install()
    slow = stand.model("ExecStop=/bin/sleep 8", f"After={DAEMON}")  # the box is there until it is stopped
    later = f"After={DAEMON}\nBefore={slow.unit}"  # things are stopped in the reverse of their order
    crashes, leaves, sick = stand.model(unit=later), stand.model(unit=later), stand.model(unit=later)
    models = (slow, crashes, leaves, sick)
    stand.start(*models)
    services = [model.config() for model in models]
    stand.watch(http_sink, *services)
    stand.wait_state("healthy", *models)
    stand.box.systemctl("poweroff", "--no-block")
    wait_until(lambda: stand.box.run("systemctl", "is-system-running", check=False).stdout.strip() == "stopping", 5)
    crashes.kill()
    leaves.set("exit:0")
    sick.set("500")
    stand.stays(*[(model, 0) for model in models], messages=0, seconds=2)
    wait_until(lambda: not stand.box.is_up, 20, "the box does not power off")
    assert [len(starts.read_text().splitlines()) for starts in tmp_path.glob("models/*.starts")] == [1, 1, 1, 1]
    stand.box.stop()

    end_boot(tmp_path / "state" / "watchdog.db")
    again = Stand(make_box(binds=binds))
    boot_again(again, http_sink, services, *models)
    again.wait_state("healthy", *models)
    again.stays(*[(model, 0) for model in models], messages=0, seconds=1)
    assert not again.box.status()["incidents"]
    assert "incident_closed" in [event["event"] for event in sick.events()]
    for injection, model in {"its stop takes long": slow, "kill -9": crashes, "exit 0": leaves, "500s": sick}.items():
        assert model.shown()["breaker"] == FRESH
        fault_row(86, f"systemctl poweroff, {injection} meanwhile", len(model.started_at()) - 2, 0)


def disks(directory: Path) -> list[tuple[Path, str]]:
    """What of a box outlives its power-off, to be bound into it."""
    shared = {"/var/lib/model-watchdog": directory / "state", MODELS: directory / "models"}
    for path in shared.values():
        path.mkdir()
    return [(path, place) for place, path in shared.items()]


def end_boot(path: Path) -> None:
    """The kernel, and so its boot's id, is the same for all boots of a box: those in the record become another's."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with contextlib.closing(sqlite3.connect(path)) as record, record:
        record.execute("UPDATE service_state SET json = replace(json, ?, ?)", (boot, str(uuid.uuid4())))


def boot_again(stand: Stand, sink: HttpSink, services: list[str], *models: Model) -> None:
    """The same models in the next boot, well, and the daemon with the record that it left."""
    stand.install()
    for model in models:
        model.box, model.asked = stand.box, 0
        model.set("ok")
        model.write()
    stand.start(*models)
    stand.watch(sink, *services, keep=True)


def test_fault_86_in_the_middle_of_a_restart(make_box: MakeBox, tmp_path: Path, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """A restart that nobody can judge any more is no failure, although what runs after the boot is not what was started."""
    binds = disks(tmp_path)
    stand = Stand(make_box(binds=binds))
    stand.install()
    holding, loading = models = stand.model(), stand.model()
    stand.start(*models)
    services = [model.config(stable="10m", startup="5m") for model in models]
    stand.watch(http_sink, *services)
    stand.wait_state("healthy", *models)
    loading.set("503")
    for model in models:
        model.kill()
    wait_until(lambda: [model.shown()["recovery"]["phase"] for model in models] == ["holding", "verifying"], 15, stand.log)
    stand.box.systemctl("poweroff", "--no-block")
    wait_until(lambda: not stand.box.is_up, 20, "the box does not power off")
    stand.box.stop()

    end_boot(tmp_path / "state" / "watchdog.db")
    again = Stand(make_box(binds=binds))
    boot_again(again, http_sink, services, *models)
    again.wait_state("healthy", *models)
    again.stays(*[(model, 0) for model in models], messages=0, seconds=1)
    for model in models:
        assert model.shown()["breaker"] == {**FRESH, "restarts": 1} and model.shown()["recovery"]["phase"] == "idle"
        assert "restart_interrupted" in [event["event"] for event in model.events()]
        fault_row(86, f"power-off while our restart is {'kept an eye on' if model is holding else 'being verified'}", 0, 0)


def test_fault_86_before_anything_was_stopped(make_box: MakeBox, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """A service that goes on while the host goes down, and gets bad: systemd would restart it, and nothing else has told of the end."""
    stand = Stand(make_box())
    stand.install()
    slow, stays_up = stand.model("ExecStop=/bin/sleep 6", f"After={DAEMON}"), stand.model(unit="DefaultDependencies=no")
    stand.start(slow, stays_up)
    stand.watch(http_sink, stays_up.config())
    stand.wait_state("healthy", stays_up)
    stand.box.systemctl("poweroff", "--no-block")
    wait_until(lambda: stand.box.run("systemctl", "is-system-running", check=False).stdout.strip() == "stopping", 5)
    stays_up.set("500")
    stand.stays((stays_up, 0), messages=0, seconds=3)
    assert len(stays_up.started_at()) == 1 and stays_up.calls() == []
    fault_row(86, "systemctl poweroff, 500s of a service that is not stopped yet", stays_up.restarts, len(http_sink.messages))
