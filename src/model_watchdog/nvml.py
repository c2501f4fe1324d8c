"""The child that asks NVIDIA's driver, through pynvml: the only file that imports it. Runs by itself, behind `worker.Worker`.

Two requests: `open` (init, or shutdown and init: what was not supported is asked again) and `read` (one round over all GPUs). An
answer is `{"gpus": […], "notes": […]}`, `{"closed": true}` to a `read` before `open`, or `{"unavailable": text, "code": number}`.
Numbers come in the units of the metrics' names; what the card or the driver cannot tell is absent, and `processes` is null where
they could not be read.
"""

import ctypes
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from model_watchdog.serving import serve

_UNINITIALIZED, _NO_PERMISSION, _NOT_LOADED, _LOST, _RESET_REQUIRED, _UNKNOWN = 1, 4, 9, 15, 16, 999
_CANNOT = frozenset({2, 3, 4, 13, 22, 25, 26})
"""Errors that say that a card or a driver cannot tell: invalid argument, not supported, no permission, function not found, no ECC on a
vGPU, another version of an argument, deprecated."""
_THROTTLES = (
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal_slowdown"),
    (0x40, "hw_thermal_slowdown"),
    (0x80, "hw_power_brake_slowdown"),
    (0x100, "display_clock_setting"),
)
"""Bits of nvmlClocksEventReasons that hold a clock down; idle and the clocks that an operator set are no throttling."""
_XID, _MOST_XIDS = 8, 100
"""nvmlEventTypeXidCriticalError, and how many are read in one round."""
_MEMORY_TEMPERATURE, _PCIE_REPLAYS, _RECOVERY_ACTION = 82, 94, 230
"""Numbers of NVML_FI_DEV_…; an older pynvml has no name for the last."""
_POSSIBLE = {
    "gpu_utilization_percent": (0, 100),
    "gpu_memory_total_bytes": (1, 1 << 50),
    "gpu_memory_percent": (0, 100),
    "gpu_temperature_celsius": (1, 150),
    "gpu_memory_temperature_celsius": (1, 150),
    "gpu_temperature_limit_celsius": (1, 150),
    "gpu_power_watts": (0, 10_000),
    "gpu_power_limit_watts": (1, 10_000),
    "gpu_clock_hertz": (0, 1e10),
}
"""Least and most; a sensor that says 255 degrees has said nothing."""

Reading = tuple[str, dict[str, str], float]


class _Gone(Exception):
    """The driver cannot be asked: it is not there, was never opened, or has been unloaded."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class _Lost(Exception):
    """This GPU does not answer any more."""


class Driver:
    """The driver as this process knows it, between two `open`."""

    def __init__(self) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise _Gone(0, f"the Python package nvidia-ml-py cannot be imported: {error}") from None
        self._n: Any = pynvml
        self._is_open = False
        self._cannot: set[tuple[str, str]] = set()
        self._limits: dict[str, list[Reading]] = {}
        self._notes: list[str] = []
        self._events: Any = None
        self._listening: dict[int | None, tuple[str, str]] = {}  # address of the handle to index and UUID

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if request["do"] == "open":
                self._open()
                return {"open": True}
            if not self._is_open:
                return {"closed": True}
            self._notes = []
            return {"gpus": list(self._read_all()), "notes": self._notes, "xids": self._read_xids()}
        except _Gone as gone:
            self._is_open = False
            return {"unavailable": str(gone), "code": gone.code}

    def _open(self) -> None:
        if self._is_open:
            self._is_open = False
            self._call("nvmlShutdown")
        self._cannot, self._limits = set(), {}
        self._events, self._listening = None, {}
        try:
            self._n.nvmlInit()
        except self._n.NVMLError as error:
            raise _Gone(error.value, _WORDS.get(error.value, f"the NVIDIA driver cannot be opened: {error}")) from None
        self._is_open = True
        self._events = self._try("", "the driver", "events", self._n.nvmlEventSetCreate)

    def _read_all(self) -> Iterator[dict[str, Any]]:
        for index in range(self._call("nvmlDeviceGetCount")):
            uuid = None
            try:
                handle = self._n.nvmlDeviceGetHandleByIndex(index)
                uuid = self._n.nvmlDeviceGetUUID(handle)
                self._listen(handle, str(index), uuid)
                yield self._read(handle, str(index), uuid, _READINGS)
                yield from self._read_parts(handle, index, uuid)
            except self._n.NVMLError as error:
                self._check(error)
                if error.value == _NO_PERMISSION:
                    self._notes.append(f"GPU {index}: {error}")
                else:
                    yield {"uuid": uuid, "index": str(index), "up": False, "error": str(error)}
            except _Lost as lost:
                yield {"uuid": uuid, "index": str(index), "up": False, "error": str(lost)}

    def _listen(self, handle: Any, index: str, uuid: str) -> None:
        """Registers for the errors (Xid) that the driver reports of this GPU, once while it is open."""
        address = ctypes.cast(handle, ctypes.c_void_p).value
        if self._events is not None and self._listening.get(address) != (index, uuid):
            self._listening[address] = index, uuid
            self._try(uuid, f"GPU {index}", "events", partial(self._n.nvmlDeviceRegisterEvents, handle, _XID, self._events))

    def _read_xids(self) -> list[tuple[str, str, int]]:
        """Index, UUID and code of each error that was reported since the last round."""
        found: list[tuple[str, str, int]] = []
        while self._events is not None and len(found) < _MOST_XIDS:
            try:
                event = self._n.nvmlEventSetWait_v2(self._events, 0)
            except self._n.NVMLError as error:
                self._check(error)
                break  # nothing (more) was reported
            index, uuid = self._listening.get(ctypes.cast(event.device, ctypes.c_void_p).value, ("?", ""))
            if (index, uuid, event.eventData) not in found:
                found.append((index, uuid, event.eventData))
        return found

    def _read_parts(self, handle: Any, index: int, uuid: str) -> Iterator[dict[str, Any]]:
        """The parts of a GPU that is divided (MIG), as they are now."""
        mode = self._try(uuid, f"GPU {index}", "mig", lambda: self._n.nvmlDeviceGetMigMode(handle)[0])
        for number in range(self._n.nvmlDeviceGetMaxMigDeviceCount(handle) if mode else 0):
            try:
                part = self._n.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
                name = self._n.nvmlDeviceGetUUID(part)
            except self._n.NVMLError as error:
                self._check(error)
                continue  # this number is not in use
            yield self._read(part, f"{index}:{number}", name, _READINGS_OF_PARTS)

    def _read(self, handle: Any, index: str, uuid: str, readings: "dict[str, _Read]") -> dict[str, Any]:
        measured: list[Reading] = []
        errors = len(self._notes)
        for name, read in readings.items():
            measured += self._try(uuid, f"GPU {index}", name, partial(_all, read, self._n, handle)) or ()
        if not measured and len(self._notes) > errors:
            raise _Lost(self._notes.pop())
        if readings is _READINGS:
            if uuid not in self._limits:
                self._limits[uuid] = list(self._read_limits(handle, uuid, index))
            measured += self._limits[uuid]
        possible = [reading for reading in measured if self._is_possible(reading, index)]
        if all(name != "gpu_memory_percent" for name, _, _ in possible):  # more used than there is
            possible = [reading for reading in possible if reading[0] != "gpu_memory_used_bytes"]
        processes = self._try(uuid, f"GPU {index}", "processes", lambda: _processes(self._n, handle, self._cannot, uuid))
        if processes is not None:
            possible.append(("gpu_processes", {}, len(processes)))
        return {"uuid": uuid, "index": index, "up": True, "measured": possible, "processes": processes}

    def _read_limits(self, handle: Any, uuid: str, index: str) -> Iterator[Reading]:
        """Thresholds do not change while the driver is open."""
        for number, kind in ((0, "shutdown"), (1, "slowdown"), (2, "memory_max"), (3, "gpu_max")):
            limit = self._try(uuid, f"GPU {index}", kind, partial(self._n.nvmlDeviceGetTemperatureThreshold, handle, number))
            if limit:
                yield ("gpu_temperature_limit_celsius", {"kind": kind}, limit)

    def _is_possible(self, reading: Reading, index: str) -> bool:
        name, _, value = reading
        least, most = _POSSIBLE.get(name, (0, float("inf")))
        if least <= value <= most:
            return True
        self._notes.append(f"GPU {index}: {name} of {value:g} cannot be")
        return False

    def _try(self, uuid: str, whose: str, name: str, ask: Callable[[], Any]) -> Any:
        """What `ask` gives, or None: what cannot be told is not asked again while the driver is open, another error is noted."""
        if (uuid, name) in self._cannot:
            return None
        try:
            return ask()
        except self._n.NVMLError as error:
            self._check(error)
            if error.value in (_LOST, _RESET_REQUIRED):
                raise _Lost(str(error)) from None
            if error.value in _CANNOT:
                self._cannot.add((uuid, name))
            else:
                self._notes.append(f"{whose}: {name}: {error}")
            return None

    def _check(self, error: Any) -> None:
        if error.value in (_UNINITIALIZED, _NOT_LOADED):
            raise _Gone(error.value, _WORDS[error.value])

    def _call(self, name: str) -> Any:
        try:
            return getattr(self._n, name)()
        except self._n.NVMLError as error:
            raise _Gone(error.value, _WORDS.get(error.value, f"{name}: {error}")) from None


_WORDS = {
    1: "the NVIDIA driver has been unloaded",
    9: "the NVIDIA driver is not loaded",
    12: "no NVIDIA driver library found (libnvidia-ml.so.1)",
    18: "the NVIDIA driver and its library are of different versions; a reboot mends that",
}

_Read = Callable[[Any, Any], Iterator[Reading]]


def _all(read: _Read, n: Any, handle: Any) -> list[Reading]:
    return list(read(n, handle))


def _utilization(n: Any, handle: Any) -> Iterator[Reading]:
    yield ("gpu_utilization_percent", {}, n.nvmlDeviceGetUtilizationRates(handle).gpu)


def _memory(n: Any, handle: Any) -> Iterator[Reading]:
    """Version 2 counts what the driver keeps for itself apart, as nvidia-smi does; a driver before 510 has only version 1."""
    try:
        memory = n.nvmlDeviceGetMemoryInfo(handle, n.nvmlMemory_v2)
    except n.NVMLError as error:
        if error.value not in _CANNOT:
            raise
        memory = n.nvmlDeviceGetMemoryInfo(handle)
    yield ("gpu_memory_total_bytes", {}, memory.total)
    if memory.total:
        yield ("gpu_memory_used_bytes", {}, memory.used)
        yield ("gpu_memory_percent", {}, 100 * memory.used / memory.total)


def _temperature(n: Any, handle: Any) -> Iterator[Reading]:
    yield ("gpu_temperature_celsius", {}, n.nvmlDeviceGetTemperature(handle, 0))


def _power(n: Any, handle: Any) -> Iterator[Reading]:
    yield ("gpu_power_watts", {}, n.nvmlDeviceGetPowerUsage(handle) / 1000)


def _power_limit(n: Any, handle: Any) -> Iterator[Reading]:
    yield ("gpu_power_limit_watts", {}, n.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000)


def _clock(domain: str, number: int) -> _Read:
    def read(n: Any, handle: Any) -> Iterator[Reading]:
        yield ("gpu_clock_hertz", {"domain": domain}, n.nvmlDeviceGetClockInfo(handle, number) * 1_000_000)

    return read


def _throttled(n: Any, handle: Any) -> Iterator[Reading]:
    """The call was renamed in driver 535."""
    try:
        reasons = getattr(n, "nvmlDeviceGetCurrentClocksEventReasons", n.nvmlDeviceGetCurrentClocksThrottleReasons)(handle)
    except n.NVMLError as error:
        if error.value not in _CANNOT:
            raise
        reasons = n.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
    for bit, reason in _THROTTLES:
        yield ("gpu_throttled", {"reason": reason}, int(bool(reasons & bit)))


def _errors(metric: str, kind: int) -> _Read:
    """ECC errors since the driver was loaded (the volatile counter)."""

    def read(n: Any, handle: Any) -> Iterator[Reading]:
        yield (metric, {}, n.nvmlDeviceGetTotalEccErrors(handle, kind, 0))

    return read


def _remapped(n: Any, handle: Any) -> Iterator[Reading]:
    for kind, count in zip(("correctable", "uncorrectable", "pending", "failure"), n.nvmlDeviceGetRemappedRows(handle), strict=True):
        yield ("gpu_remapped_rows", {"kind": kind}, count)


def _fields(n: Any, handle: Any) -> Iterator[Reading]:
    """Three readings in one call. A field that the card does not have says so by itself; a memory temperature of 0 is none."""
    wanted = {
        _MEMORY_TEMPERATURE: "gpu_memory_temperature_celsius",
        _PCIE_REPLAYS: "gpu_pcie_replays_total",
        _RECOVERY_ACTION: "gpu_recovery_action",
    }
    for field in n.nvmlDeviceGetFieldValues(handle, list(wanted)):
        if field.nvmlReturn == 0:
            value = _value(field)
            if value or field.fieldId != _MEMORY_TEMPERATURE:
                yield (wanted[field.fieldId], {}, value)


def _value(field: Any) -> float:
    """By nvmlValueType: double, unsigned int, long and long long, signed long long and int, unsigned short."""
    names = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
    value: float = getattr(field.value, names[field.valueType])
    return value


_READINGS: dict[str, _Read] = {
    "utilization": _utilization,
    "memory": _memory,
    "temperature": _temperature,
    "power": _power,
    "power limit": _power_limit,
    **{f"{domain} clock": _clock(domain, number) for number, domain in enumerate(("graphics", "sm", "memory", "video"))},
    "throttling": _throttled,
    "uncorrected errors": _errors("gpu_ecc_uncorrected_errors_total", 1),
    "corrected errors": _errors("gpu_ecc_corrected_errors_total", 0),
    "remapped rows": _remapped,
    "fields": _fields,
}
_READINGS_OF_PARTS: dict[str, _Read] = {"memory": _memory}


def _processes(n: Any, handle: Any, cannot: set[tuple[str, str]], uuid: str) -> list[tuple[int, int | None]]:
    """Pid and bytes of all that compute on it, the clients of an MPS server too. Drivers before 510 know only the second version."""
    found: dict[int, int | None] = {}
    for calls in (("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"), _MPS):
        for place, call in enumerate(calls):
            if (uuid, call) in cannot or not hasattr(n, call):  # pynvml before 12.550 lacks the older names
                continue
            try:
                found.update((process.pid, process.usedGpuMemory) for process in getattr(n, call)(handle))
                break
            except n.NVMLError as error:
                if error.value not in _CANNOT or (calls is not _MPS and place == len(calls) - 1):
                    raise
                cannot.add((uuid, call))
    return sorted(found.items())


_MPS = ("nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v2")


def main() -> None:
    """The child."""
    try:
        answer = Driver().answer
    except _Gone as gone:
        unavailable = {"unavailable": str(gone), "code": gone.code}
        serve(lambda request: dict(unavailable))
    else:
        serve(answer)
