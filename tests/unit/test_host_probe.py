"""The probe `host` on this machine."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model_watchdog.probes import Observation, Running, Surroundings
from model_watchdog.probes import host as host_probe
from model_watchdog.probes.host import Host


def opened(*disks: str) -> Running:
    return Host(disks or ("/",)).open(Surroundings(None, None, 5.0, None))  # type: ignore[arg-type]


def observe(running: Running) -> Observation:
    return asyncio.run(running.observe())


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


def test_a_disk_that_is_not_there_is_noted_and_left_out(tmp_path: Path) -> None:
    observation = observe(opened("/", f"{tmp_path}/gone"))
    assert observation.detail == f"{tmp_path}/gone: No such file or directory"
    assert value(observation, "host_disk_percent", mount="/") is not None
    assert value(observation, "host_disk_percent", mount=f"{tmp_path}/gone") is None


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "cifs", "9p"])
def test_what_could_hang_is_not_asked(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mount table is the kernel's; a dead server's mount cannot be had here without leaving it behind."""
    table = {"/": "ext4", "/mnt/far": kind}
    monkeypatch.setattr(host_probe, "_read_file_systems", lambda: table)
    monkeypatch.setattr("os.statvfs", _refuse_below("/mnt/far"))
    observation = observe(opened("/", "/mnt/far/deep"))
    assert observation.detail == f"/mnt/far/deep is on {kind}, which can hang: measuring it arrives later"


def _refuse_below(place: str) -> Callable[[str], object]:
    real = os.statvfs

    def ask(path: str) -> object:
        assert not path.startswith(place)
        return real(path)

    return ask


def test_the_mount_table_is_read_with_its_escapes() -> None:
    table = host_probe._read_file_systems()
    assert table["/proc"] == "proc"
    assert host_probe._find_file_system("/proc/sys/kernel", table) in ("proc", "autofs")
    assert host_probe._find_file_system("/", table) == table["/"]


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
