"""The probe `host` on this machine."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model_watchdog import filesystems
from model_watchdog.probes import Observation, Running, Surroundings
from model_watchdog.probes import host as host_probe
from model_watchdog.probes.host import Host

ROOT = Path(__file__).resolve().parents[2]


def opened(*disks: str) -> Running:
    return Host(disks or ("/",)).open(Surroundings(None, None, 5.0, None))  # type: ignore[arg-type]


def observe(running: Running) -> Observation:
    async def once() -> Observation:
        try:
            return await running.observe()
        finally:
            await running.close()

    return asyncio.run(once())


def value(observation: Observation, metric: str, **labels: str) -> float | None:
    found = [value for name, own, value in observation.measurements if name == metric and dict(own) == labels]
    assert len(found) <= 1
    return found[0] if found else None


def test_what_is_measured_is_what_the_kernel_says() -> None:
    observation = observe(opened())
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, available = (int(memory[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    load = value(observation, "host_load1")
    assert load is not None
    assert abs(load - os.getloadavg()[0]) < 1
    assert value(observation, "host_memory_available_bytes") == pytest.approx(available, rel=0.05)
    assert value(observation, "host_memory_percent") == pytest.approx(100 * (total - available) / total, abs=3)
    if int(memory["SwapTotal"].split()[0]) == 0:
        assert value(observation, "host_swap_percent") is None
    assert observation.detail == ""


def test_the_fill_level_is_that_of_df() -> None:
    told = value(observe(opened("/")), "host_disk_percent", mount="/")
    stat = os.statvfs("/")
    used = stat.f_blocks - stat.f_bfree
    assert told == pytest.approx(100 * used / (used + stat.f_bavail), abs=0.2)


def test_only_metrics_that_the_kind_names() -> None:
    named = {metric for metric, _, _ in observe(opened()).measurements}
    assert named <= set(Host.metrics)
    assert {"host_load1", "host_memory_percent", "host_disk_percent"} <= named


def test_processor_use_is_told_since_the_last_run() -> None:
    running = opened()
    assert value(observe(running), "host_cpu_percent") is None
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        pass
    busy = value(observe(running), "host_cpu_percent")
    assert busy is not None
    assert 80 / (os.cpu_count() or 1) < busy <= 100


def test_fault_44_a_disk_that_is_gone(tmp_path: Path) -> None:
    running = opened("/", f"{tmp_path}/gone")
    (tmp_path / "gone").mkdir()
    assert value(observe(running), "host_disk_percent", mount=f"{tmp_path}/gone") is not None
    (tmp_path / "gone").rmdir()
    observation = observe(running)
    troubles = running.troubles  # type: ignore[attr-defined]
    assert {name: reason.key for name, reason in troubles.items()} == {f"disk-missing {tmp_path}/gone": "disk_missing"}
    assert observation.detail == f"{tmp_path}/gone: No such file or directory"
    assert value(observation, "host_disk_percent", mount="/") is not None
    assert value(observation, "host_disk_percent", mount=f"{tmp_path}/gone") is None


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "cifs", "9p", "wekafs", "quobyte", "of-tomorrow"])
def test_what_could_hang_is_not_asked_by_the_daemon(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the table is ours: it says of a folder that a server stands behind it."""
    far = tmp_path / "far"
    (far / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/deep")
    monkeypatch.setattr(host_probe, "read_file_systems", lambda: {"/": "ext4", str(far): kind})
    monkeypatch.setattr("os.statvfs", _refuse_below(str(far), "statvfs"))
    monkeypatch.setattr("os.readlink", _refuse_below(str(far), "readlink"))
    for disk in (f"{far}/deep", f"{tmp_path}/link", f"{tmp_path}/link/../deep"):
        observation = observe(opened("/", disk))
        assert observation.detail == ""
        assert value(observation, "host_disk_percent", mount=disk) == value(observation, "host_disk_percent", mount="/")


def _refuse_below(place: str, call: str) -> Callable[[str], object]:
    real = getattr(os, call)

    def ask(path: str) -> object:
        assert not path.startswith(place)
        return real(path)

    return ask


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "vfat", "proc"])
def test_what_is_local_takes_no_child(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_probe, "read_file_systems", lambda: {"/": kind})
    running = opened(f"{tmp_path}")
    observe(running)
    assert running._workers == {}  # type: ignore[attr-defined]


def test_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert observe(opened(f"{tmp_path}/a")).detail == f"{tmp_path}/a: Too many levels of symbolic links"


HUNG_MOUNT = """
import asyncio, ctypes, json, os, sys, time
from model_watchdog.probes import Surroundings
from model_watchdog.probes.host import Host

place, path = sys.argv[1], sys.argv[2]
device = os.open("/dev/fuse", os.O_RDWR)  # whoever should answer at this end never does
options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b"hung", place.encode(), b"fuse", 0, options) == 0, os.strerror(ctypes.get_errno())

async def main():
    running = Host(("/", path)).open(Surroundings(None, None, 0.5, None))
    for _ in range(4):
        lag, longest, began = 0.0, 0.0, time.monotonic()
        asked = asyncio.ensure_future(running.observe())
        while not asked.done():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before - 0.01)
        seen = asked.result()
        disks = [labels["mount"] for name, labels, _ in seen.measurements if name == "host_disk_percent"]
        troubles = {name: reason.key for name, reason in running.troubles.items()}
        print(json.dumps([time.monotonic() - began, longest, seen.detail, disks, troubles]), flush=True)
    began = time.monotonic()
    await running.close()
    print(json.dumps(time.monotonic() - began), flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/fuse"), reason="HUNG-MOUNT TESTS NOT RUN: needs root and /dev/fuse")
@pytest.mark.parametrize("link", [False, True])
def test_fault_44_a_mount_that_hangs(link: bool, tmp_path: Path) -> None:
    """A FUSE file system whose server is there and silent, in a mount namespace that ends with the test."""
    place = tmp_path / "hung"
    place.mkdir()
    path = tmp_path / "link" if link else place
    if link:
        path.symlink_to("hung")
    command = ["unshare", "--mount", "--propagation=private", sys.executable, "-c", HUNG_MOUNT, str(place), str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert ended.returncode == 0, ended.stderr
    *runs, closed = map(json.loads, ended.stdout.splitlines())
    assert len(runs) == 4 and closed < 1
    for number, (took, lag, detail, disks, troubles) in enumerate(runs, 1):
        assert took < 0.6 and lag < 0.1
        assert detail == f"{path} (fuse) does not answer (no answer within 0.4 s)"
        assert disks == ["/"], "the others are measured as ever"
        assert troubles == ({f"disk-silent {path}": "disk_silent"} if number >= 3 else {})


def test_the_mount_table_is_read_with_its_escapes() -> None:
    table = filesystems.read_file_systems()
    assert table["/proc"] == "proc"
    assert filesystems.find_file_system("/proc/sys/kernel", table) in ("proc", "autofs")
    assert filesystems.find_file_system("/", table) == table["/"]


def test_neither_loopback_nor_loop_devices() -> None:
    devices = {labels.get("device", "") for _, labels, _ in observe(opened()).measurements}
    assert "lo" not in devices
    assert not any(device.startswith(("loop", "ram")) for device in devices)


def test_traffic_grows() -> None:
    running = opened()
    names = [metric for metric in Host.metrics if metric.endswith("_total")]
    rounds = [{(m, *labels.values()): v for m, labels, v in observe(running).measurements if m in names} for _ in range(2)]
    assert rounds[0].keys() == rounds[1].keys()
    assert all(rounds[1][series] >= rounds[0][series] for series in rounds[0])


def test_a_disk_must_be_a_path() -> None:
    assert Host(("data",)).faults() == ['"data" is not a path from the root']
    assert Host(("/data",)).faults() == []
