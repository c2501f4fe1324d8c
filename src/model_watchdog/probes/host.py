"""The host itself: processor, memory, disks, network."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from model_watchdog.core.units import Seconds
from model_watchdog.probes import Measurement, Observation, Surroundings

_MAY_HANG = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "lustre", "glusterfs", "beegfs", "gpfs", "ocfs2", "gfs2", "coda"}
    | {"fuse", "fuseblk", "fusectl", "autofs", "orangefs", "pvfs2", "virtiofs", "davfs", "sshfs"}
)
"""File systems whose server can be gone: a question about one may never return, and nothing ends it."""
_NOT_A_DISK = ("loop", "ram", "zram", "sr", "fd")


@dataclass(frozen=True)
class Host:
    """The kind `host`; `disks` are the mount points whose fill level is told."""

    disks: tuple[str, ...] = ("/",)

    default_every: ClassVar[Seconds] = Seconds(10.0)
    for_host: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = (
        "host_cpu_percent",
        "host_load1",
        "host_memory_percent",
        "host_memory_available_bytes",
        "host_swap_percent",
        "host_disk_percent",
        "host_disk_read_bytes_total",
        "host_disk_written_bytes_total",
        "host_network_received_bytes_total",
        "host_network_sent_bytes_total",
    )

    def faults(self) -> list[str]:
        """What is wrong with the options, one sentence each."""
        return [f'"{disk}" is not a path from the root' for disk in self.disks if not disk.startswith("/")]

    def open(self, surroundings: Surroundings) -> "_Running":
        return _Running(self.disks)


class _Running:
    def __init__(self, disks: Iterable[str]) -> None:
        self._disks = tuple(disks)
        self._processor: tuple[float, float] | None = None  # busy and all processor time at the last run

    async def observe(self) -> Observation:
        """Reads the kernel's counters, 1 ms. What cannot be known is left out, and `detail` says so; never a ProbeError."""
        measured: list[Measurement] = []
        notes: list[str] = []
        measured += self._measure_processor()
        measured += _measure_memory()
        file_systems = _read_file_systems()
        for disk in self._disks:
            used, note = _measure_disk(disk, file_systems)
            measured += used
            notes += note
        measured += _measure_traffic()
        return Observation(measured, "; ".join(notes))

    async def close(self) -> None:
        pass

    def _measure_processor(self) -> list[Measurement]:
        """Use since the last run; nothing at the first one."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)  # those two are in user and nice already
        before, self._processor = self._processor, (total - idle, total)
        measured: list[Measurement] = [("host_load1", {}, os.getloadavg()[0])]
        if before is not None and total > before[1]:
            share = (total - idle - before[0]) / (total - before[1])
            measured.append(("host_cpu_percent", {}, min(100.0, max(0.0, 100.0 * share))))
        return measured


def _measure_memory() -> list[Measurement]:
    memory = psutil.virtual_memory()
    swap = psutil.swap_memory()
    measured: list[Measurement] = [
        ("host_memory_percent", {}, memory.percent),
        ("host_memory_available_bytes", {}, float(memory.available)),
    ]
    if swap.total > 0:
        measured.append(("host_swap_percent", {}, swap.percent))
    return measured


def _measure_disk(disk: str, file_systems: Mapping[str, str]) -> tuple[list[Measurement], list[str]]:
    """The fill level as `df` tells it. Nothing, and a note, for what is missing or must not be asked."""
    kind = _find_file_system(disk, file_systems)
    if kind.partition(".")[0] in _MAY_HANG:
        return [], [f"{disk} is on {kind}, which can hang: measuring it arrives later"]
    try:
        return [("host_disk_percent", {"mount": disk}, psutil.disk_usage(disk).percent)], []
    except OSError as error:
        return [], [f"{disk}: {error.strerror}"]


def _measure_traffic() -> list[Measurement]:
    """Bytes since the boot, of whole disks and of all interfaces but loopback."""
    measured: list[Measurement] = []
    for device, disk in (psutil.disk_io_counters(perdisk=True) or {}).items():
        if not device.startswith(_NOT_A_DISK) and Path("/sys/block", device).exists():
            measured.append(("host_disk_read_bytes_total", {"device": device}, float(disk.read_bytes)))
            measured.append(("host_disk_written_bytes_total", {"device": device}, float(disk.write_bytes)))
    for device, network in (psutil.net_io_counters(pernic=True) or {}).items():
        if device != "lo":
            measured.append(("host_network_received_bytes_total", {"device": device}, float(network.bytes_recv)))
            measured.append(("host_network_sent_bytes_total", {"device": device}, float(network.bytes_sent)))
    return measured


def _read_file_systems() -> dict[str, str]:
    """Mount point to kind; of several mounts on one point, the uppermost. Asks the kernel's table, never the file systems."""
    found = {}
    for line in Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines():
        _, mount, kind, *_ = line.split(" ")
        found[mount.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")] = kind
    return found


def _find_file_system(path: str, file_systems: Mapping[str, str]) -> str:
    """The kind of what is mounted at a path or the nearest point above it."""
    here = os.path.normpath(path)
    while here not in file_systems and here != "/":
        here = os.path.dirname(here)
    return file_systems.get(here, "")
