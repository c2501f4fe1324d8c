"""The probe `nvml` with its child and pynvml for real; only the driver's library behind them is ours."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from model_watchdog.core.gpu import Gpu, GpuProcess
from model_watchdog.core.units import Seconds
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Observation, Surroundings, nvml
from model_watchdog.probes.nvml import Nvml
from model_watchdog.worker import Worker
from tests.rig.fakenvml import FakeNvml, uuid

Story = Callable[[Any], Awaitable[None]]
SILENT = "GPU driver does not answer (no answer within 0.5 s)"


def watch(story: Story, *, timeout: float = 5.0, reopen: float = 300.0, first: float = 30.0) -> None:
    """Runs a story with an opened probe."""

    async def tell() -> None:
        running = Nvml(Seconds(reopen)).open(Surroundings(None, None, timeout, None))  # type: ignore[arg-type]
        running.worker = Worker("model_watchdog.nvml", "GPU driver", first=first)
        try:
            await story(running)
        finally:
            await running.close()

    asyncio.run(tell())


def values(observation: Observation, gpu: str = "0") -> dict[str, float]:
    """What was measured of one GPU: the metric, with its own label behind it, and the value."""
    found = {}
    for metric, labels, value in observation.measurements:
        if labels["gpu"] == gpu:
            own = "".join(f" {text}" for name, text in labels.items() if name not in ("gpu", "uuid"))
            found[metric + own] = value
    return found


def up(observation: Observation) -> dict[str, float]:
    return {labels["uuid"]: value for metric, labels, value in observation.measurements if metric == "gpu_up"}


async def until_up(running: Any) -> dict[str, float]:
    """Of a child that starts, the first run may only see the driver opened."""
    for _ in range(3):
        if found := up(await running.observe()):
            return found
    raise AssertionError("nothing is measured")


DEAD = 4_194_305
"""A pid that no process can have: the kernel's highest is 2^22."""
ALL = (
    "util=97", "mem_total=85899345920", "mem_used=21474836480", "mem_reserved=536870912", "temp=66", "power_mw=412500",
    "power_limit_mw=700000", "clock.0=1980", "clock.1=1979", "clock.2=2619", "clock.3=1545", "reasons=0x48", "ecc.1.0=3", "ecc.0.0=41",
    "remap_corr=1", "remap_unc=2", "remap_pending=1", "remap_failed=0", "field.82=78", "field.94=5", "field.230=1",
    f"procs={DEAD}:1048576,77", "temp_threshold.0=95", "temp_threshold.1=90", "temp_threshold.2=105", "temp_threshold.3=87",
)  # fmt: skip


@pytest.fixture(autouse=True)
def pids_are_the_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where these tests run in a container."""
    monkeypatch.setattr(nvml, "INITIAL_PID_NAMESPACE", os.stat(nvml.PID_NAMESPACE).st_ino)


def test_every_metric_in_its_unit(fakenvml: FakeNvml) -> None:
    fakenvml.set("count=1", *ALL)

    async def story(running: Any) -> None:
        observation = await running.observe()
        assert values(observation) == {
            "gpu_up": 1,
            "gpu_utilization_percent": 97,
            "gpu_memory_total_bytes": 80 * 2**30,
            "gpu_memory_used_bytes": 20 * 2**30,
            "gpu_memory_percent": 25,
            "gpu_temperature_celsius": 66,
            "gpu_temperature_limit_celsius shutdown": 95,
            "gpu_temperature_limit_celsius slowdown": 90,
            "gpu_temperature_limit_celsius memory_max": 105,
            "gpu_temperature_limit_celsius gpu_max": 87,
            "gpu_memory_temperature_celsius": 78,
            "gpu_power_watts": 412.5,
            "gpu_power_limit_watts": 700,
            "gpu_clock_hertz graphics": 1_980_000_000,
            "gpu_clock_hertz sm": 1_979_000_000,
            "gpu_clock_hertz memory": 2_619_000_000,
            "gpu_clock_hertz video": 1_545_000_000,
            "gpu_throttled sw_power_cap": 0,
            "gpu_throttled hw_slowdown": 1,
            "gpu_throttled sync_boost": 0,
            "gpu_throttled sw_thermal_slowdown": 0,
            "gpu_throttled hw_thermal_slowdown": 1,
            "gpu_throttled hw_power_brake_slowdown": 0,
            "gpu_throttled display_clock_setting": 0,
            "gpu_ecc_uncorrected_errors_total": 3,
            "gpu_ecc_corrected_errors_total": 41,
            "gpu_pcie_replays_total": 5,
            "gpu_remapped_rows correctable": 1,
            "gpu_remapped_rows uncorrectable": 2,
            "gpu_remapped_rows pending": 1,
            "gpu_remapped_rows failure": 0,
            "gpu_recovery_action": 1,
            "gpu_processes": 2,
            "gpu_memory_held_bytes": 1 << 20,
        }
        assert {metric for metric, _, _ in observation.measurements} == set(Nvml.metrics)
        processes = (GpuProcess(77, None), GpuProcess(DEAD, 1 << 20))
        assert observation.gpus == (Gpu(uuid(0), "0", True, 97, 412.5, 700, processes),)
        assert observation.detail == "GPU 0: pid 4194305 has ended and holds 1 MiB"

    watch(story)


def test_a_round_of_eight_is_quick_and_small(fakenvml: FakeNvml) -> None:
    fakenvml.set("count=8", *ALL)

    async def story(running: Any) -> None:
        await running.observe()
        times = []
        for _ in range(30):
            began = time.perf_counter()
            assert len(up(await running.observe())) == 8
            times.append(time.perf_counter() - began)
        assert min(times) < 0.004, f"{min(times) * 1000:.1f} ms"
        resident = int(Path(f"/proc/{running.worker.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert resident < 16 * 2**20, f"{resident / 2**20:.1f} MiB"

    watch(story)


def test_fault_30_memory_that_the_dead_hold(fakenvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = os.getpid()
    fakenvml.set("count=2", f"0.procs={ours}:1048576,1:4096,{DEAD}:2097152,{DEAD + 1}:1024,{DEAD + 2}", f"1.procs={ours}:1")

    async def story(running: Any) -> None:
        observation = await running.observe()
        held = [values(observation, gpu).get("gpu_memory_held_bytes") for gpu in ("0", "1")]
        assert held == [2097152 + 1024, 0], "one whose memory the driver does not tell counts for nothing"
        assert f"GPU 0: pid {DEAD} has ended and holds 2 MiB" in observation.detail
        fakenvml.set("count=2", "0.fail.nvmlDeviceGetComputeRunningProcesses_v3=999", f"1.procs={ours}:1")
        observation = await running.observe()
        assert "gpu_memory_held_bytes" not in values(observation, "0"), "not known is not none"
        assert [gpu.is_listed for gpu in observation.gpus] == [False, True]
        fakenvml.set("count=2", f"0.procs={DEAD}:2097152")
        monkeypatch.setattr(nvml, "INITIAL_PID_NAMESPACE", 1)
        assert "gpu_memory_held_bytes" not in values(await running.observe(), "0"), "in a container the driver's pids are another's"

    watch(story)


def test_fault_34_no_library(fakenvml: FakeNvml, caplog: pytest.LogCaptureFixture) -> None:
    fakenvml.hide()
    caplog.set_level(logging.INFO)

    async def story(running: Any) -> None:
        for _ in range(3):
            observation = await running.observe()
            assert (observation.measurements, observation.gpus) == ((), ())
            assert observation.detail == "no NVIDIA driver library found (libnvidia-ml.so.1)"
        assert running.worker.pid is None, "nothing to ask, so nothing is paid for"
        assert running.troubles == {}
        assert [record.message for record in caplog.records if "no_gpus" in record.message] == [
            'event=no_gpus reason="no NVIDIA driver library found (libnvidia-ml.so.1): no GPU is watched"'
        ]
        fakenvml.show()
        await asyncio.sleep(0.4)
        assert len(up(await running.observe())) == 2, "installed later, found without a restart"

    try:
        watch(story, reopen=0.3)
    finally:
        if not fakenvml.library.exists():
            fakenvml.show()


@pytest.mark.parametrize(
    ("code", "text"), [(9, "not loaded"), (18, "of different versions; a reboot mends that"), (999, "cannot be opened")]
)
def test_fault_35_a_driver_that_cannot_be_opened(fakenvml: FakeNvml, code: int, text: str) -> None:
    fakenvml.set(f"fail.nvmlInitWithFlags={code}")

    async def story(running: Any) -> None:
        observation = await running.observe()
        assert text in observation.detail and observation.gpus == () and running.troubles == {}
        fakenvml.set("count=1")
        assert (await running.observe()).gpus == (), "asked again from time to time, not each time"
        await asyncio.sleep(1.1)
        assert list(up(await running.observe())) == [uuid(0)]

    watch(story, reopen=1.0)


@pytest.mark.parametrize("code", [1, 9])
def test_fault_35_a_driver_that_goes_and_comes_back(fakenvml: FakeNvml, code: int) -> None:
    async def story(running: Any) -> None:
        await running.observe()
        before = running.worker.pid
        fakenvml.set(f"fail.*={code}")
        with pytest.raises(ProbeError, match=r"the NVIDIA driver (is not loaded|has been unloaded)") as told:
            await running.observe()
        assert told.value.failure == "watcher"
        assert list(running.troubles) == ["gpu-driver"] and running.troubles["gpu-driver"].key == "gpu_driver_gone"
        fakenvml.set("count=2")
        await asyncio.sleep(0.4)
        assert len(up(await running.observe())) == 2
        assert running.worker.pid != before, "a reloaded driver may need another library"
        assert running.troubles == {}

    watch(story, reopen=0.3)


def test_fault_35_a_driver_reloaded_between_two_runs(fakenvml: FakeNvml) -> None:
    async def story(running: Any) -> None:
        await running.observe()
        before = running.worker.pid
        fakenvml.set("count=2", "fail.nvmlDeviceGetCount_v2=1")
        asyncio.get_running_loop().call_later(0.02, fakenvml.set, "count=2")  # while the next child starts
        assert len(up(await running.observe())) == 2, "opened anew at once"
        assert running.worker.pid != before

    watch(story)


def test_fault_36_a_lost_gpu(fakenvml: FakeNvml) -> None:
    fakenvml.set("count=2", "0.procs=4242:1")

    async def story(running: Any) -> None:
        await running.observe()
        fakenvml.set("count=2", "0.lost=1", "1.temp=71")
        observation = await running.observe()
        assert up(observation) == {uuid(0): 0, uuid(1): 1}, "by its UUID, although it cannot tell that any more"
        assert set(values(observation, "0")) == {"gpu_up"}
        assert values(observation, "1")["gpu_temperature_celsius"] == 71
        assert observation.detail == "GPU 0 is lost: GPU is lost"
        assert observation.gpus is not None and [gpu.is_up for gpu in observation.gpus] == [False, True]
        fakenvml.set("count=2")
        assert up(await running.observe()) == {uuid(0): 1, uuid(1): 1}

    watch(story)


def test_fault_36_one_that_was_lost_before_we_came(fakenvml: FakeNvml) -> None:
    fakenvml.set("count=2", "0.lost=1")

    async def story(running: Any) -> None:
        assert up(await running.observe()) == {"": 0, uuid(1): 1}

    watch(story)


@pytest.mark.parametrize("code", [15, 16])
def test_fault_36_lost_in_the_middle_of_a_round(fakenvml: FakeNvml, code: int) -> None:
    fakenvml.set("count=2", f"0.fail.nvmlDeviceGetPowerUsage={code}")

    async def story(running: Any) -> None:
        assert up(await running.observe()) == {uuid(0): 0, uuid(1): 1}

    watch(story)


def test_fault_37_an_xid_is_told_once(fakenvml: FakeNvml) -> None:
    fakenvml.set("count=2", "1.xid=1:31")

    async def story(running: Any) -> None:
        assert (await running.observe()).news == (), "from before we listened"
        fakenvml.set("count=2", "1.xid=2:79")
        (news,) = (await running.observe()).news
        assert (news.key, dict(news.params)) == ("gpu_xid", {"gpu": "1", "uuid": uuid(1), "xid": 79})
        assert (await running.observe()).news == ()
        fakenvml.set("count=2", "1.xid=3:79", "0.xid=1:48")
        assert sorted(news.params["xid"] for news in (await running.observe()).news) == [48, 79]

    watch(story)


def test_fault_38_what_is_not_supported_is_not_asked_again_until_the_driver_is_opened_anew(fakenvml: FakeNvml) -> None:
    missing = ("0.fail.nvmlDeviceGetPowerUsage=3", "absent.nvmlDeviceGetRemappedRows=1", "absent.nvmlDeviceGetCurrentClocksEventReasons=1")
    fakenvml.set("count=2", *missing, "absent.nvmlDeviceGetMemoryInfo_v2=1", "reasons=0x20")

    async def story(running: Any) -> None:
        first = await running.observe()
        assert "gpu_power_watts" not in values(first, "0") and values(first, "1")["gpu_power_watts"] == 70
        assert not any(name.startswith("gpu_remapped_rows") for name in values(first))
        assert values(first)["gpu_throttled sw_thermal_slowdown"] == 1, "by the name that the call had before"
        assert values(first)["gpu_memory_total_bytes"] == 80 * 2**30, "by the first version of the call"
        assert "gpu_memory_temperature_celsius" not in values(first)
        assert first.detail == "", "a card that cannot tell is nothing to note"
        fakenvml.set("count=2")
        assert "gpu_power_watts" not in values(await running.observe())
        await asyncio.sleep(0.6)
        assert values(await running.observe())["gpu_power_watts"] == 70

    watch(story, reopen=0.5)


def test_fault_38_an_error_of_one_call_is_noted_and_asked_again(fakenvml: FakeNvml) -> None:
    fakenvml.set("count=1", "fail.nvmlDeviceGetPowerUsage=999")

    async def story(running: Any) -> None:
        observation = await running.observe()
        assert "gpu_power_watts" not in values(observation) and values(observation)["gpu_up"] == 1
        assert observation.detail == "GPU 0: power: Unknown Error"
        fakenvml.set("count=1")
        assert values(await running.observe())["gpu_power_watts"] == 70

    watch(story)


def test_fault_39_a_driver_that_does_not_answer(fakenvml: FakeNvml) -> None:
    async def story(running: Any) -> None:
        await running.observe()
        hung = running.worker.pid
        fakenvml.set("count=2", "hang.nvmlDeviceGetTemperature=1")
        for run in range(4):
            assert (running.troubles == {}) == (run < 3)
            began = time.monotonic()
            with pytest.raises(ProbeError) as told:
                await running.observe()
            assert time.monotonic() - began < 0.7
            assert (told.value.failure, told.value.detail) == ("watcher", SILENT)
        assert running.troubles["gpu-driver"].key == "gpu_driver_silent"
        for _ in range(300):
            if not Path(f"/proc/{hung}").exists():
                break
            await asyncio.sleep(0.01)
        assert not Path(f"/proc/{hung}").exists()
        fakenvml.set("count=2")
        await asyncio.sleep(0.5)
        assert len(await until_up(running)) == 2
        assert running.troubles == {}

    watch(story, timeout=0.5, first=1.0)


def test_fault_39_a_driver_that_hangs_from_the_first(fakenvml: FakeNvml) -> None:
    fakenvml.set("count=2", "hang.*=1")

    async def story(running: Any) -> None:
        for _ in range(3):
            with pytest.raises(ProbeError, match=r"does not answer \(no answer within 0.5 s\)"):
                await running.observe()
        assert running.troubles["gpu-driver"].key == "gpu_driver_silent"
        pid = running.worker.pid
        fakenvml.set("count=2")
        assert len(await until_up(running)) == 2
        assert running.worker.pid == pid, "a slow start is waited for, and not begun anew"

    watch(story, timeout=0.5)


def test_fault_40_a_library_that_crashes(fakenvml: FakeNvml) -> None:
    async def story(running: Any) -> None:
        crashes = 0
        await running.observe()
        fakenvml.set("count=2", "crash.nvmlDeviceGetPowerUsage=1")
        while running.worker.failures < 3:
            assert running.troubles == {}, "one crash is no news"
            with pytest.raises(ProbeError, match="GPU driver: the process that asks it was killed by SIGSEGV"):
                await running.observe()
            crashes += 1
            await asyncio.sleep(0.05)
            assert crashes < 100
        assert running.troubles["gpu-driver"].key == "gpu_driver_crashes"
        fakenvml.set("count=2")
        await asyncio.sleep(0.5)
        assert len(up(await running.observe())) == 2
        await asyncio.sleep(0.5)
        await running.observe()
        assert running.troubles == {}

    watch(story, first=0.1)


def test_fault_41_by_uuid_whatever_their_order(fakenvml: FakeNvml) -> None:
    fakenvml.set("count=2", "0.uuid=GPU-a", "1.uuid=GPU-b", "0.temp=50", "1.temp=60")

    async def story(running: Any) -> None:
        def temperatures(observation: Observation) -> dict[str, float]:
            return {labels["uuid"]: value for name, labels, value in observation.measurements if name == "gpu_temperature_celsius"}

        assert temperatures(await running.observe()) == {"GPU-a": 50, "GPU-b": 60}
        fakenvml.set("count=3", "0.uuid=GPU-c", "1.uuid=GPU-b", "2.uuid=GPU-a", "0.temp=40", "1.temp=61", "2.temp=51")
        observation = await running.observe()
        assert temperatures(observation) == {"GPU-a": 51, "GPU-b": 61, "GPU-c": 40}
        assert up(observation) == {"GPU-a": 1, "GPU-b": 1, "GPU-c": 1}
        fakenvml.set("count=2", "0.uuid=GPU-c", "1.uuid=GPU-b")
        observation = await running.observe()
        assert up(observation) == {"GPU-b": 1, "GPU-c": 1}, "missed once may be an accident"
        assert observation.detail == "GPU 2 is lost: the driver does not name it any more"
        assert up(await running.observe()) == {"GPU-a": 0, "GPU-b": 1, "GPU-c": 1}
        fakenvml.set("count=3", "0.uuid=GPU-a", "1.uuid=GPU-b", "2.uuid=GPU-c")
        assert up(await running.observe()) == {"GPU-a": 1, "GPU-b": 1, "GPU-c": 1}

    watch(story)


def test_fault_41_the_parts_of_a_divided_gpu_come_and_go(fakenvml: FakeNvml) -> None:
    fakenvml.set("count=2", "0.mig=2", "0:0.mem_total=1000", "0:1.mem_total=1000", "0:1.mem_used=250", f"0:1.procs={os.getpid()}:250")
    first, second = uuid(16, "MIG"), uuid(17, "MIG")

    async def story(running: Any) -> None:
        observation = await running.observe()
        assert up(observation) == {uuid(0): 1, first: 1, second: 1, uuid(1): 1}
        assert values(observation, "0:1") == {
            "gpu_up": 1, "gpu_memory_total_bytes": 1000, "gpu_memory_used_bytes": 250, "gpu_memory_percent": 25, "gpu_processes": 1,
            "gpu_memory_held_bytes": 0,
        }  # fmt: skip
        assert observation.gpus is not None
        assert [(gpu.uuid, gpu.processes) for gpu in observation.gpus if gpu.index == "0:1"] == [(second, (GpuProcess(os.getpid(), 250),))]
        fakenvml.set("count=2", "0.mig=1")
        for _ in range(4):
            assert up(await running.observe()) == {uuid(0): 1, first: 1, uuid(1): 1}, "divided anew by its operator: nothing is lost"

    watch(story)


@pytest.mark.parametrize(
    ("state", "gone", "said"),
    [
        ("util=101", "gpu_utilization_percent", "GPU 0: gpu_utilization_percent of 101 cannot be"),
        ("mem_total=0", "gpu_memory", "GPU 0: gpu_memory_total_bytes of 0 cannot be"),
        ("mem_used=85899345921", "gpu_memory_used_bytes", "GPU 0: gpu_memory_percent of 100 cannot be"),
        ("temp=255", "gpu_temperature_celsius", "GPU 0: gpu_temperature_celsius of 255 cannot be"),
        ("temp=0", "gpu_temperature_celsius", "GPU 0: gpu_temperature_celsius of 0 cannot be"),
        ("field.82=255", "gpu_memory_temperature", "GPU 0: gpu_memory_temperature_celsius of 255 cannot be"),
        ("power_mw=4294967295", "gpu_power_watts", "GPU 0: gpu_power_watts of 4.29497e+06 cannot be"),
    ],
)
def test_fault_42_readings_that_cannot_be(fakenvml: FakeNvml, state: str, gone: str, said: str) -> None:
    fakenvml.set("count=1", state)

    async def story(running: Any) -> None:
        observation = await running.observe()
        assert not [name for name in values(observation) if name.startswith(gone) and name != "gpu_memory_held_bytes"]
        assert values(observation)["gpu_up"] == 1
        assert said in observation.detail

    watch(story)
