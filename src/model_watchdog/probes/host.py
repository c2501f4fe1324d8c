"""The host itself: processor, memory, disks, network."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from model_watchdog.core.decision import Reason
from model_watchdog.core.units import Seconds
from model_watchdog.errors import ProbeError
from model_watchdog.filesystems import can_hang, find_file_system, read_file_systems
from model_watchdog.probes import Measurement, Observation, Surroundings
from model_watchdog.worker import Worker

ANSWER_WITHIN = 2.0
TELL_AFTER = 3
"""The silence of a mount is told after so many runs without an answer."""
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
        return _Running(self.disks, surroundings.timeout)


class _Running:
    def __init__(self, disks: Iterable[str], timeout: float) -> None:
        self._disks = tuple(disks)
        self._deadline = min(ANSWER_WITHIN, 0.8 * timeout)
        self._workers: dict[str, Worker] = {}  # one for each mount that could hang, from its first question on
        self._silent: dict[str, int] = {}
        self.troubles: dict[str, Reason] = {}
        self._processor: tuple[float, float] | None = None  # busy and all processor time at the last run

    async def observe(self) -> Observation:
        """Reads the kernel's counters, 1 ms. What cannot be known is left out, and `detail` says so; never a ProbeError."""
        measured: list[Measurement] = [*self._measure_processor(), *_measure_memory(), *_measure_traffic()]
        file_systems = read_file_systems()
        asked = await asyncio.gather(*(self._measure_disk(disk, file_systems) for disk in self._disks))
        troubles, notes = {}, []
        for disk, (used, note, trouble) in zip(self._disks, asked, strict=True):
            if used is not None:
                measured.append(("host_disk_percent", {"mount": disk}, used))
            if note:
                notes.append(note)
            if trouble is not None:
                troubles[f"{trouble.key.replace('_', '-')} {disk}"] = trouble
        self.troubles = troubles
        return Observation(measured, "; ".join(notes))

    async def close(self) -> None:
        await asyncio.gather(*(worker.close() for worker in self._workers.values()))

    async def _measure_disk(self, disk: str, file_systems: Mapping[str, str]) -> tuple[float | None, str, Reason | None]:
        """The fill level as `df` tells it; what there is to note; and what people are told of."""
        kind = find_file_system(disk, file_systems)
        if not can_hang(kind):
            try:
                return psutil.disk_usage(disk).percent, "", None
            except OSError as error:
                return None, f"{disk}: {error.strerror}", _missing(disk, error.strerror)
        worker = self._workers.setdefault(disk, Worker("model_watchdog.mounts", f"{disk} ({kind})"))
        try:
            answer = await worker.ask({"path": disk}, self._deadline)
        except ProbeError as error:
            self._silent[disk] = self._silent.get(disk, 0) + 1
            silent = self._silent[disk] >= TELL_AFTER
            return None, error.detail, Reason("disk_silent", {"mount": disk, "detail": error.detail}) if silent else None
        self._silent.pop(disk, None)
        if "error" in answer:
            return None, f"{disk}: {answer['error']}", _missing(disk, answer["error"])
        return answer["percent"], "", None

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


def _missing(disk: str, why: str | None) -> Reason:
    return Reason("disk_missing", {"mount": disk, "detail": why or "unknown error"})


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
