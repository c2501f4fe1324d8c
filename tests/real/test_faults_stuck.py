"""Units and disks that are stuck: in the kernel, out of memory, in systemd's queue, or by what they share. Rows 25, 29, 31, 44 and 87."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import FaultRow, MakeBox, cannot
from tests.rig.sinks import HttpSink
from tests.rig.stand import SLEEP, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import DAEMON

OPEN = "is down and could not be restarted"
WELL = "was restarted and is well again"
FROZEN = "/srv/frozen"
FUSE = Path("/dev/fuse")
MOUNT_AND_BE_SILENT = """
import ctypes, os, sys
device = os.open("/dev/fuse", os.O_RDWR)  # whoever should answer at this end never does
options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
assert ctypes.CDLL(None, use_errno=True).mount(b"far", sys.argv[1].encode(), b"fuse", 0, options) == 0, os.strerror(ctypes.get_errno())
sys.stdin.read()
"""


@pytest.fixture
def freezable(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, on which whoever writes is stuck in the kernel while it is frozen."""
    if missing := [
        tool for tool in ("mkfs.ext4", "fsfreeze", "losetup") if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None
    ]:
        cannot(f"{', '.join(missing)} missing (as root: apt-get install e2fsprogs util-linux)")
    image, place = tmp_path / "image", tmp_path / "frozen"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        cannot(f"no loop device: {mounted.stderr.strip()}")
    place.chmod(0o777)
    try:
        yield place
    finally:
        subprocess.run(["fsfreeze", "-u", place], capture_output=True, check=False)
        subprocess.run(["umount", place], check=True)


def test_fault_25_a_process_that_cannot_be_ended(make_box: MakeBox, freezable: Path, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """systemd starts a new one beside it, and says that all is well; the memory is not free. No further restart helps."""
    stand = Stand(make_box(binds=[(freezable, FROZEN)]))
    stand.install()
    stuck = stand.model("TimeoutStopSec=1\nSendSIGKILL=yes")
    stand.start(stuck)
    stand.watch(http_sink, stuck.config(startup="10s"))
    stand.wait_state("healthy", stuck)
    subprocess.run(["fsfreeze", "-f", freezable], check=True)
    stuck.set(f"stuck:{FROZEN}/file")
    old = stand.box.main_pid(stuck.unit)
    message = stand.message(f"{stuck.name} {OPEN}", timeout=40)
    assert f"(pid {old})" in message.body and "reboot the host" in message.body, message.body
    stuck.set("ok")
    breaker = stuck.shown()["breaker"]
    assert breaker["state"] == "open" and stand.box.watchdog("status", check=False).returncode == 2
    assert {"old_process_left"} <= {problem["cause"] for problem in stand.box.status()["daemon"]["problems"]}
    stand.stays((stuck, 1), messages=1, seconds=4)
    fault_row(25, "its process is in the kernel and cannot be killed", stuck.restarts, len(http_sink.messages))
    subprocess.run(["fsfreeze", "-u", freezable], check=True)
    wait_until(lambda: stand.box.run("kill", "-0", str(old), check=False).returncode != 0, 10, "the old process lives")
    stand.end()


def test_fault_29_killed_for_want_of_memory(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    eater = stand.model("MemoryMax=60M\nMemorySwapMax=0", heals=True)
    stand.start(eater)
    stand.watch(http_sink, eater.config())
    stand.wait_state("healthy", eater)
    eater.set("oom")
    message = stand.message(f"{eater.name} {WELL}", timeout=30)
    assert re.search("out of memory|SIGKILL", message.body), message.body
    causes = {event["cause"] for event in eater.events() if event["event"] == "dead"}
    assert causes <= {"oom_killed", "crashed"} and causes, "a host with cgroup v1 does not tell systemd why"
    assert eater.restarts == 1
    fault_row(29, "its MemoryMax= is less than it takes", eater.restarts, len(http_sink.messages))


def test_fault_87_its_start_waits_for_another(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """At boot: a mount is late, and the unit waits for it in systemd's queue, while the watchdog is there already."""
    gate = stand.model("Type=oneshot\nRemainAfterExit=yes", program="/bin/sleep 6")
    waits = stand.model(unit=f"Requires={gate.unit}\nAfter={gate.unit}", program=SLEEP)
    patient = stand.model(unit=f"Requires={gate.unit}\nAfter={gate.unit}", program=SLEEP)
    for model in (waits, patient):
        model.asked += 1
    gate.asked += 1
    stand.box.systemctl("start", "--no-block", waits.unit, patient.unit)
    wait_until(lambda: stand.box.show(waits.unit, "Job")["Job"] != "0", 5)
    stand.watch(http_sink, waits.config(startup="2s"), patient.config(startup="1m"))
    stand.wait_state("loading", waits, patient)
    assert "queue" in patient.shown()["reason"] and stand.box.watchdog("status", patient.name, check=False).returncode == 0
    wait_until(lambda: stand.box.watchdog("status", waits.name, check=False).returncode == 1, 5, stand.log)
    assert waits.shown()["cause"] == "start_timeout"
    stand.wait_state("healthy", waits, patient)
    assert stand.told(patient) == [] and (waits.restarts, patient.restarts) == (0, 0)
    fault_row(87, "its start is queued behind one that takes long", waits.restarts + patient.restarts, len(stand.told(waits)))


def test_fault_31_what_they_share_is_down(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """Told once for all; a round later they are restarted, one after the other."""
    models = [stand.model(heals=True) for _ in range(5)]
    stand.start(*models)
    common = "host: {common_cause: {services: 3, within: 10s}}\n"
    stand.watch(http_sink, *[model.config() for model in models], more=common)
    stand.wait_state("healthy", *models)
    for model in models:
        model.set("500")
    told = stand.message("many services fail together")
    assert all(model.name in told.body for model in models)
    for model in models:
        stand.message(f"{model.name} {WELL}", timeout=30)
    calls = sorted(at for model in models for at in model.calls())
    assert len(calls) == 5 and sum("fail together" in title for title in stand.told()) == 1
    assert all(later - earlier > 1.0 for earlier, later in pairwise(calls)), f"one at a time, each proved for a second: {calls}"
    reasons = {event["reason"] for model in models for event in model.events() if event["event"] == "not_restarted"}
    assert any("restarts wait" in reason for reason in reasons) and any("one at a time" in reason for reason in reasons), reasons
    fault_row(31, "five services answer 500 in the same moment", sum(model.restarts for model in models), len(http_sink.messages))


def test_fault_44_disks_that_are_gone_or_hang(make_box: MakeBox, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """A folder goes, and a FUSE file system whose server is silent is mounted where the daemon sees it."""
    if not FUSE.exists():
        cannot("no /dev/fuse (as root: modprobe fuse)")
    stand = Stand(make_box(binds=[(FUSE, str(FUSE))]))
    stand.install()
    stand.box.run("mkdir", "-p", "/srv/gone", "/srv/far")
    model = stand.model(program=SLEEP)
    model.systemctl("start")
    disks = "host:\n  probes: {system: {kind: host, every: 500ms, timeout: 500ms, disks: [/, /srv/gone, /srv/far]}}\n"
    stand.watch(http_sink, model.config(), more=disks)
    stand.wait_state("healthy", model)

    def measured() -> set[str]:
        return {one["labels"]["mount"] for one in stand.box.status()["host"]["metrics"] if one["metric"] == "host_disk_percent"}

    wait_until(lambda: measured() == {"/", "/srv/gone", "/srv/far"}, 10, stand.log)
    stand.box.run("rmdir", "/srv/gone")
    assert "No such file or directory" in stand.message("disk-missing /srv/gone fires").body
    fault_row(44, "a disk's folder is gone", model.restarts, len(http_sink.messages))
    enter = ("nsenter", "--mount", f"--target={stand.box.main_pid(DAEMON)}")
    mounted = stand.box.popen(*enter, "/usr/bin/python3", "-I", "-c", MOUNT_AND_BE_SILENT, "/srv/far", stdin=subprocess.PIPE)
    try:
        assert "does not answer" in stand.message("disk-silent /srv/far fires").body
        wait_until(lambda: measured() == {"/"}, 10, stand.log)
        fault_row(44, "and a mount hangs", model.restarts, len(http_sink.messages))
        model.kill()
        stand.message(f"{model.name} {WELL}", timeout=10)
        stand.box.run("mkdir", "/srv/gone")
        stand.message("disk-missing /srv/gone is over")
        stand.stays((model, 1), messages=4, seconds=2.0)
    finally:
        mounted.communicate(timeout=10)
    stand.message("disk-silent /srv/far is over")
    stand.end()
