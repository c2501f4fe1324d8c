"""The GPUs, as NVIDIA's driver tells of them. The driver is asked in a child process, because it may never answer."""

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from model_watchdog.core.decision import Reason
from model_watchdog.core.gpu import Gpu, GpuProcess
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Seconds
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Measurement, Observation, Surroundings
from model_watchdog.worker import Worker

log = logging.getLogger(__name__)

ANSWER_WITHIN = 2.0
OPEN_WITHIN = 20.0
"""Without nvidia-persistenced the first to open the driver waits until it has woken every GPU, a second each and more."""
LOST_AFTER = 2
"""A GPU that the driver does not name is lost after so many readings without it."""
TELL_AFTER = 3
"""Silence is told after so many runs without an answer, or so many children that crashed."""
NAME = "GPU driver"
LIBRARY = "libnvidia-ml.so.1"
STANDARD_FOLDERS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
"""Where the loader looks besides its cache."""
TROUBLE = "gpu-driver"
PID_NAMESPACE = "/proc/self/ns/pid"
INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""Its inode, the same on every Linux (PROC_PID_INIT_INO). In any other one the pids of the driver are not ours."""


@dataclass(frozen=True)
class Nvml:
    """The kind `nvml`, for the host only; every `reopen` the driver is opened anew, which finds new GPUs and another driver."""

    reopen: Seconds = Seconds(300.0)

    default_every: ClassVar[Seconds] = Seconds(10.0)
    for_host: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = (
        "gpu_up",
        "gpu_utilization_percent",
        "gpu_memory_used_bytes",
        "gpu_memory_total_bytes",
        "gpu_memory_percent",
        "gpu_temperature_celsius",
        "gpu_temperature_limit_celsius",
        "gpu_memory_temperature_celsius",
        "gpu_power_watts",
        "gpu_power_limit_watts",
        "gpu_clock_hertz",
        "gpu_throttled",
        "gpu_ecc_uncorrected_errors_total",
        "gpu_ecc_corrected_errors_total",
        "gpu_pcie_replays_total",
        "gpu_remapped_rows",
        "gpu_recovery_action",
        "gpu_processes",
        "gpu_memory_held_bytes",
    )

    @staticmethod
    def is_installed() -> bool:
        """Whether the driver's library could be loaded on this machine, which is found out without loading it."""
        folders = [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), *STANDARD_FOLDERS]
        if any(os.path.exists(os.path.join(folder, LIBRARY)) for folder in folders if folder):
            return True
        try:
            return LIBRARY.encode() in Path("/etc/ld.so.cache").read_bytes()
        except OSError:
            return False

    def faults(self) -> list[str]:
        """What is wrong with the options, one sentence each."""
        return ["reopen must be longer than 0s"] if self.reopen <= 0 else []

    def open(self, surroundings: Surroundings) -> "_Running":
        view = surroundings.gpus.view if surroundings.gpus else None  # of a daemon before this one
        known = {gpu.uuid: _Known(gpu.index) for gpu in (view.gpus if view else ()) if gpu.uuid and ":" not in gpu.index}
        return _Running(self, surroundings.timeout, Worker("model_watchdog.nvml", NAME), _known=known)


@dataclass
class _Known:
    """A GPU that was there: its number then, and how many readings have been without it."""

    index: str
    missed: int = 0


@dataclass
class _Running:
    config: Nvml
    timeout: float
    worker: Worker
    troubles: dict[str, Reason] = field(default_factory=dict)
    _known: dict[str, _Known] = field(default_factory=dict)
    _opening: "asyncio.Task[dict[str, Any]] | None" = None
    _open_again_at: float = 0.0
    _asleep: str = ""  # why there is nothing to ask until then
    _noted: str = ""
    _silent: int = 0

    async def observe(self) -> Observation:
        """One round over all GPUs. Without a driver nothing is measured, which is no failure; a driver that was there and is gone, or
        does not answer, is a `ProbeError` (watcher)."""
        now = asyncio.get_running_loop().time()
        try:
            if self._asleep and now < self._open_again_at:
                return self._without_driver()
            answer = await self._ask(now)
        except ProbeError:
            self._silent += 1
            crashing = self.worker.failures >= TELL_AFTER and not self.worker.is_hung
            if crashing or (self._silent >= TELL_AFTER and (self.worker.is_hung or self._opening is not None)):
                self.troubles = {TROUBLE: Reason("gpu_driver_crashes" if crashing else "gpu_driver_silent")}
            raise
        self._silent = 0
        if "unavailable" in answer:
            await self._sleep(answer)
            return self._without_driver()
        self._asleep = ""
        if self.worker.failures < TELL_AFTER:
            self.troubles = {}
        return self._describe(answer)

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self.worker.close()

    async def _ask(self, now: float) -> dict[str, Any]:
        """Reads, and before that opens the driver where it is not open, or has been for long."""
        limit = min(ANSWER_WITHIN, self.timeout)
        if self._opening is None and now < self._open_again_at and not self._asleep:
            answer = await self.worker.ask({"do": "read"}, limit)
            if "closed" not in answer and not ("unavailable" in answer and self._known):
                return answer
            if "unavailable" in answer:  # it worked until now: perhaps it has been reloaded, with another library
                await self.worker.stop()
        answer = await self._open(limit)
        if "unavailable" in answer:
            return answer
        self._open_again_at = now + self.config.reopen
        left = limit - (asyncio.get_running_loop().time() - now)
        return await self.worker.ask({"do": "read"}, left) if left > limit / 2 else {"gpus": None, "notes": ["the driver was just opened"]}

    async def _open(self, limit: float) -> dict[str, Any]:
        """Waits for it no longer than for any answer; it may go on beyond that, over several runs."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(self.worker.ask({"do": "open"}, OPEN_WITHIN))
        done, _ = await asyncio.wait([self._opening], timeout=limit)
        if not done:
            raise ProbeError(Failure.WATCHER, f"{NAME} does not answer (no answer within {limit:g} s)")
        opened, self._opening = self._opening, None
        return opened.result()

    async def _sleep(self, answer: Mapping[str, Any]) -> None:
        """Nothing to ask for a while; the child, and the library that it has loaded, are not needed meanwhile."""
        self._asleep = answer["unavailable"]
        await self.worker.stop()
        self._open_again_at = asyncio.get_running_loop().time() + self.config.reopen
        if self._known:
            self.troubles = {TROUBLE: Reason("gpu_driver_gone", {"detail": self._asleep})}
        elif self._noted != self._asleep:
            self._noted = self._asleep
            log.info('event=no_gpus reason="%s: no GPU is watched"', self._asleep)

    def _without_driver(self) -> Observation:
        if self._known:
            raise ProbeError(Failure.WATCHER, self._asleep)
        return Observation((), self._asleep, gpus=())

    def _describe(self, answer: Mapping[str, Any]) -> Observation:
        notes = list(answer["notes"])
        if answer["gpus"] is None:
            return Observation((), notes[0])
        gpus, measured = [], list[Measurement]()
        for told in self._name(answer["gpus"]):
            labels = {"gpu": told["index"], "uuid": told["uuid"]}
            measured.append(("gpu_up", labels, float(told["up"])))
            if not told["up"]:
                notes.insert(0, f"GPU {told['index']} is lost: {told['error']}")
            measured += [(metric, {**labels, **own}, float(value)) for metric, own, value in told.get("measured", ())]
            gpus.append(_to_gpu(told))
            if (held := _find_held(told)) is not None:
                measured.append(("gpu_memory_held_bytes", labels, float(sum(held.values()))))
                notes += [f"GPU {told['index']}: pid {pid} has ended and holds {size >> 20} MiB" for pid, size in held.items()]
        gone = [f"GPU {known.index} is lost: the driver does not name it any more" for known in self._known.values() if known.missed]
        news = tuple(Reason("gpu_xid", {"gpu": index, "uuid": uuid, "xid": code}) for index, uuid, code in answer["xids"])
        return Observation(measured, "; ".join([*gone, *notes]), gpus=tuple(gpus), news=news)

    def _name(self, told: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Every GPU by its UUID: those told of, and those that were there before. A lost one that cannot tell its UUID any more is
        the missing one that had its number. Parts of a divided GPU come and go with its operator, and are not missed."""
        by_index = {known.index: uuid for uuid, known in self._known.items()}
        named = {gpu["uuid"] for gpu in told}
        for gpu in told:
            if gpu["uuid"] is None:
                former = by_index.get(gpu["index"], "")
                gpu["uuid"] = former if former not in named else ""
            if gpu["uuid"] and ":" not in gpu["index"]:
                self._known[gpu["uuid"]] = _Known(gpu["index"])
            yield gpu
        present = {gpu["uuid"] for gpu in told}
        for uuid, known in self._known.items():
            if uuid not in present:
                known.missed += 1
                if known.missed >= LOST_AFTER:
                    yield {"uuid": uuid, "index": known.index, "up": False, "error": "the driver does not name it any more"}


def _find_held(told: Mapping[str, Any]) -> dict[int, int] | None:
    """Bytes by the pids of processes that are no more, and hold memory all the same; None where that cannot be known."""
    counted = any(metric == "gpu_processes" for metric, _, _ in told.get("measured", ()))
    if not counted or os.stat(PID_NAMESPACE).st_ino != INITIAL_PID_NAMESPACE:
        return None
    return {pid: memory for pid, memory in told["processes"] if memory and not _is_there(pid)}


def _is_there(pid: int) -> bool:
    """Asked by a signal that is none: a /proc that hides other users' processes would show them as gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _to_gpu(told: Mapping[str, Any]) -> Gpu:
    values = {metric: float(value) for metric, own, value in told.get("measured", ()) if not own}
    return Gpu(
        told["uuid"],
        told["index"],
        told["up"],
        values.get("gpu_utilization_percent"),
        values.get("gpu_power_watts"),
        values.get("gpu_power_limit_watts"),
        tuple(GpuProcess(pid, memory) for pid, memory in told.get("processes") or ()),
        is_listed=told.get("processes") is not None,
    )
