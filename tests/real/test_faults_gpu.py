"""Faults of the GPUs and their driver, as the installed daemon in a box meets them; judged from outside.

The library that it loads is tests/rig/fakenvml.c, through pynvml as it is; what each reading becomes is in tests/unit/test_nvml_probe.py.
"""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FaultRow, cannot, make_boxes
from tests.rig import frozen
from tests.rig.chaos import Chaos
from tests.rig.fakenvml import IN_BOX, FakeNvml, uuid
from tests.rig.frozen import FrozenFile
from tests.rig.sinks import HttpSink
from tests.rig.stand import Model, Stand
from tests.rig.waiting import holds_for, wait_until
from tests.rig.watched_box import DAEMON

FROZEN = "/opt/frozen"
HOST = "host:\n  probes: {gpu: {kind: nvml, every: 500ms, timeout: 500ms, reopen: 2s}}\n"


@pytest.fixture(scope="module")
def frozen_file(tmp_path_factory: pytest.TempPathFactory, box_available: None) -> Iterator[FrozenFile]:
    """Seen in the box at FROZEN."""
    if reason := frozen.why_not():
        cannot(reason)
    made = FrozenFile(tmp_path_factory.mktemp("frozen"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def gpu_stand(
    installed: Path, tmp_path_factory: pytest.TempPathFactory, fakenvml_built: FakeNvml, frozen_file: FrozenFile
) -> Iterator[Stand]:
    """A box whose daemon finds the library."""
    binds = [(fakenvml_built.directory, IN_BOX), (frozen_file.place, FROZEN)]
    for make in make_boxes(installed, tmp_path_factory):
        stand = Stand(make(binds=binds))
        stand.install()
        lines = "\n".join(f"Environment={name}={value}" for name, value in fakenvml_built.environment(seen_at=IN_BOX).items())
        stand.box.write(f"/etc/systemd/system/{DAEMON}.d/gpu.conf", f"[Service]\n{lines}\nReadWritePaths={FROZEN}\n")
        stand.box.systemctl("daemon-reload")
        yield stand


@pytest.fixture
def stand(gpu_stand: Stand, fakenvml_built: FakeNvml, frozen_file: FrozenFile) -> Iterator[Stand]:
    fakenvml_built.set("count=2")
    yield gpu_stand
    frozen_file.thaw()
    fakenvml_built.set("count=2")
    gpu_stand.end()


def model_on(stand: Stand) -> tuple[Model, int]:
    """A model without an endpoint, running, and its pid."""
    model = stand.model(program="/bin/sleep infinity")
    model.systemctl("start")
    return model, stand.box.main_pid(model.unit)


def gpu_metrics(stand: Stand, metric: str = "gpu_up") -> dict[str, float]:
    """The newest values by UUID, of those that the status still shows."""
    shown = stand.box.status()["host"]["metrics"]
    return {one["labels"]["uuid"]: one["value"] for one in shown if one["metric"] == metric}


def wait_gpus(stand: Stand, wanted: dict[str, float], timeout: float = 15) -> None:
    wait_until(lambda: gpu_metrics(stand) == wanted, timeout, lambda: f"{gpu_metrics(stand)}\n{stand.log()}", every=0.1)


def longest_lag(stand: Stand, seconds: float) -> float:
    """The daemon's own measure of how late its loop was, over so many seconds."""
    longest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        shown: list[dict[str, Any]] = stand.box.status()["host"]["metrics"]
        longest = max([longest, *(one["value"] for one in shown if one["metric"] == "watchdog_tick_lag_seconds")])
        time.sleep(0.2)
    return longest


def children(stand: Stand) -> list[int]:
    """The pids, in the box, of the daemon's children that ask the driver."""
    listed = stand.box.run("sh", "-c", "grep -ls 'model_watchdog[.]nvml' /proc/[0-9]*/cmdline", check=False).stdout.split()
    return [int(Path(path).parent.name) for path in listed]


def test_fault_34_no_driver_library(stand: Stand, fakenvml_built: FakeNvml, http_sink: HttpSink, fault_row: FaultRow) -> None:
    fakenvml_built.hide()
    try:
        model, _ = model_on(stand)
        stand.watch(http_sink, model.config(), more=HOST)
        stand.wait_state("healthy", model)
        wait_until(lambda: "event=no_gpus" in stand.log(), 10, stand.log)
        stand.stays((model, 0), messages=0, seconds=2.5)
        assert stand.log().count("event=no_gpus") == 1
        assert "no NVIDIA driver library found (libnvidia-ml.so.1)" in stand.log()
        assert gpu_metrics(stand) == {} and stand.box.watchdog("status", check=False).returncode == 0
        fault_row(34, "no driver library", model.restarts, len(http_sink.messages))
    finally:
        fakenvml_built.show()
    wait_gpus(stand, {uuid(0): 1, uuid(1): 1})


def test_fault_35_the_driver_goes_and_comes_back(stand: Stand, fakenvml_built: FakeNvml, http_sink: HttpSink, fault_row: FaultRow) -> None:
    fakenvml_built.set("fail.nvmlInitWithFlags=9")
    model, _ = model_on(stand)
    stand.watch(http_sink, model.config(), more=HOST)
    stand.wait_state("healthy", model)
    stand.stays((model, 0), messages=0, seconds=1.0)
    fakenvml_built.set("count=2")
    wait_gpus(stand, {uuid(0): 1, uuid(1): 1})
    fakenvml_built.set("fail.*=9")
    assert "GPUs were seen before, but now: the NVIDIA driver is not loaded" in stand.message("gpu-driver fires").body
    wait_gpus(stand, {})  # what is old is not shown as well
    fakenvml_built.set("count=2")
    stand.message("gpu-driver is over")
    wait_gpus(stand, {uuid(0): 1, uuid(1): 1})
    stand.stays((model, 0), messages=2, seconds=1.0)
    fault_row(35, "the driver is unloaded, and loaded again", model.restarts, len(http_sink.messages))


def test_fault_36_a_lost_gpu(stand: Stand, fakenvml_built: FakeNvml, http_sink: HttpSink, fault_row: FaultRow) -> None:
    (on_0, first), (on_1, second) = model_on(stand), model_on(stand)
    processes = (f"0.procs={first}:1048576", f"1.procs={second}:1048576")
    fakenvml_built.set("count=2", *processes)
    stand.watch(http_sink, on_0.config(), on_1.config(), more=HOST)
    stand.wait_state("healthy", on_0, on_1)
    wait_gpus(stand, {uuid(0): 1, uuid(1): 1})
    fakenvml_built.set("count=2", *processes, "0.lost=1")
    message = stand.message("gpu-lost fires")
    assert message.kind == "failure" and uuid(0) in message.body, message.body
    assert gpu_metrics(stand) == {uuid(0): 0, uuid(1): 1}
    told_of_it = len(http_sink.messages)
    on_0.kill()  # as CUDA programs do whose GPU has gone
    on_1.kill()
    stand.message(f"{on_1.name} was restarted and is well again")
    stand.stays((on_0, 0), (on_1, 1), messages=len(http_sink.messages), seconds=2.0)
    assert any("gpu-lost" in event["reason"] for event in on_0.events() if event["event"] == "not_restarted"), on_0.events()
    stand.box.systemctl("restart", DAEMON)  # it has not forgotten why
    stand.stays((on_0, 0), (on_1, 1), messages=len(http_sink.messages), seconds=3.0)
    fault_row(36, "one of two GPUs is lost: the service on it", on_0.restarts, told_of_it)
    fakenvml_built.set("count=2")
    stand.message(f"{on_0.name} was restarted and is well again")
    stand.message("gpu-lost is over")
    assert on_0.restarts == 1


def test_fault_37_an_xid(stand: Stand, fakenvml_built: FakeNvml, http_sink: HttpSink, fault_row: FaultRow) -> None:
    model, _ = model_on(stand)
    stand.watch(http_sink, model.config(), more=HOST)
    wait_gpus(stand, {uuid(0): 1, uuid(1): 1})
    fakenvml_built.set("count=2", "1.xid=1:79")
    message = stand.message("GPU 1 reported an error: Xid 79")
    assert message.kind == "warning" and uuid(1) in message.body
    sequence = itertools.count(2)

    def again() -> bool:
        fakenvml_built.set("count=2", f"1.xid={next(sequence)}:79")
        return stand.log().count("event=gpu_xid") >= 5

    wait_until(again, 20, stand.log, every=0.7)
    stand.stays((model, 0), messages=1, seconds=2.5)
    fault_row(37, "the driver reports Xid 79 again and again", model.restarts, len(http_sink.messages))


def test_fault_38_41_42_readings(stand: Stand, fakenvml_built: FakeNvml, http_sink: HttpSink, fault_row: FaultRow) -> None:
    fakenvml_built.set("count=2", "0.fail.nvmlDeviceGetPowerUsage=3", "1.util=101", "1.temp=255")
    model, _ = model_on(stand)
    stand.watch(http_sink, model.config(), more=HOST)
    wait_gpus(stand, {uuid(0): 1, uuid(1): 1})
    assert gpu_metrics(stand, "gpu_power_watts") == {uuid(1): 70}
    assert gpu_metrics(stand, "gpu_utilization_percent") == {uuid(0): 0}
    assert gpu_metrics(stand, "gpu_temperature_celsius") == {uuid(0): 40}
    stand.stays((model, 0), messages=0, seconds=1.0)
    noted = [event["reason"] for event in stand.box.events() if event["event"] == "probe_detail"]
    assert noted == ["GPU 1: gpu_utilization_percent of 101 cannot be", "GPU 1: gpu_temperature_celsius of 255 cannot be"]
    fault_row(38, "a card that cannot tell its power", model.restarts, len(http_sink.messages))
    fault_row(42, "a use of 101 %, a temperature of 255 degrees", model.restarts, len(http_sink.messages))
    fakenvml_built.set("count=3", f"0.uuid={uuid(1)}", f"1.uuid={uuid(0)}", "1.temp=50", "2.temp=60")
    wait_until(lambda: gpu_metrics(stand, "gpu_temperature_celsius") == {uuid(0): 50, uuid(1): 40, uuid(2): 60}, 10, stand.log, every=0.2)
    fakenvml_built.set("count=2", f"0.uuid={uuid(1)}", f"1.uuid={uuid(0)}")
    assert uuid(2) in stand.message("gpu-lost fires").body
    stand.stays((model, 0), messages=1, seconds=1.5)
    fault_row(41, "GPUs change their order, one comes, one goes", model.restarts, len(http_sink.messages))


@pytest.mark.parametrize("how", ["sleeps", "in the kernel"])
def test_fault_39_the_driver_hangs(
    stand: Stand, fakenvml_built: FakeNvml, frozen_file: FrozenFile, http_sink: HttpSink, chaos: Chaos, fault_row: FaultRow, how: str
) -> None:
    model, pid = model_on(stand)
    health = f"{{kind: http, url: 'http://127.0.0.1:{chaos.port}/health', every: 100ms, timeout: 100ms}}"
    stand.watch(http_sink, model.config(probes=f"{{unit: {{kind: unit, every: 1s}}, health: {health}}}"), more=HOST)
    wait_gpus(stand, {uuid(0): 1, uuid(1): 1})
    stand.wait_state("healthy", model)
    (child,) = children(stand)
    if how == "in the kernel":
        frozen_file.freeze()
        fakenvml_built.set("count=2", f"hang.*=D:{FROZEN}/file")
    else:
        fakenvml_built.set("count=2", f"0.procs={pid}:1", "hang.*=1")
    before, began = chaos.count(), time.monotonic()
    assert "does not answer" in stand.message("gpu-driver fires").body
    wait_gpus(stand, {})
    assert longest_lag(stand, 3.0) < 0.1
    checks, seconds = chaos.count() - before, time.monotonic() - began
    assert checks >= 7 * seconds, f"{checks} checks in {seconds:.1f} s"
    asked = time.monotonic()
    assert stand.box.status()["daemon"]["running"]
    assert time.monotonic() - asked < 1.0
    if how == "in the kernel":
        assert children(stand) == [child], "it cannot be killed, and no other is started beside it"
        assert stand.box.read(f"/proc/{child}/stat").split()[2] == "D"
    stand.stays((model, 0), messages=1, seconds=0.5)
    main = stand.box.main_pid(DAEMON)
    stand.box.systemctl("stop", "--no-block", DAEMON)
    wait_until(lambda: not ends_later(stand, main), 5, stand.log)
    if how == "in the kernel":
        assert stand.box.read(f"/proc/{child}/stat").split()[2] == "D"
        frozen_file.thaw()
    wait_until(lambda: children(stand) == [], 5, "the child outlived what it waited for")
    fault_row(39, f"the driver hangs ({how})", model.restarts, len(http_sink.messages))


@pytest.mark.parametrize("how", ["hang.nvmlDeviceGetUtilizationRates=1", "fail.nvmlDeviceGetComputeRunningProcesses_v3=999"])
def test_fault_39_a_service_on_gpus_that_cannot_be_read(
    stand: Stand, fakenvml_built: FakeNvml, http_sink: HttpSink, fault_row: FaultRow, how: str
) -> None:
    """It waits for its GPU, which works, when the driver falls silent, or does not tell any more whose process is where."""
    works, beside = (stand.model("TimeoutStopSec=500ms", heals=True) for _ in range(2))
    stand.start(works, beside)
    busy = ("count=2", f"0.procs={stand.box.main_pid(works.unit)}:1048576", "0.util=99", "0.power_mw=500000")
    fakenvml_built.set(*busy)
    times = {"stable": "500ms", "busy_patience": "60s"}
    stand.watch(http_sink, works.config(**times), beside.config(**times), more=HOST)
    stand.wait_state("healthy", works, beside)
    wait_gpus(stand, {uuid(0): 1, uuid(1): 1})
    works.set("hang")
    stand.wait_state("busy", works)
    fakenvml_built.set(*busy, how)
    if how.startswith("hang"):
        wait_until(lambda: works.shown()["reason"].endswith("and its GPUs cannot be read"), 10, stand.log, every=0.1)
        assert "does not answer" in stand.message("gpu-driver fires").body
    beside.set("hang")  # it was never seen on a GPU
    stand.message(f"{beside.name} was restarted and is well again")
    stand.stays((works, 0), (beside, 1), messages=len(http_sink.messages))
    assert works.shown()["state"] == "busy"
    fault_row(39, f"a service works on its GPU; then {how}", works.restarts, len(stand.told(works)))


def ends_later(stand: Stand, pid: int) -> bool:
    """Whether this process of the box still runs."""
    stat = stand.box.run("cat", f"/proc/{pid}/stat", check=False).stdout.split()
    return bool(stat) and stat[2] != "Z"


def test_fault_40_the_library_crashes(stand: Stand, fakenvml_built: FakeNvml, http_sink: HttpSink, fault_row: FaultRow) -> None:
    model, _ = model_on(stand)
    stand.watch(http_sink, model.config(), more=HOST)
    wait_gpus(stand, {uuid(0): 1, uuid(1): 1})
    main = stand.box.main_pid(DAEMON)
    fakenvml_built.set("count=2", "crash.*=1")
    wait_gpus(stand, {})
    model.kill()
    stand.message(f"{model.name} was restarted and is well again")
    assert stand.box.main_pid(DAEMON) == main and children(stand) == []
    holds_for(lambda: "gpu-driver" not in str(stand.told()), 2.0, stand.log, every=0.5)  # one crash is no news
    fault_row(40, "the driver's library crashes; then its service, too", model.restarts, len(http_sink.messages))


def test_fault_f43_a_service_whose_gpu_works_is_not_hung(
    stand: Stand, fakenvml_built: FakeNvml, http_sink: HttpSink, fault_row: FaultRow
) -> None:
    """Its processor stands still all the while, as that of a server does that waits for a long prompt."""
    works, beside = (stand.model("TimeoutStopSec=500ms", heals=True) for _ in range(2))
    stand.start(works, beside)
    on_it = (f"0.procs={stand.box.main_pid(works.unit)}:1048576", f"1.procs={stand.box.main_pid(beside.unit)}:1048576")
    fakenvml_built.set("count=2", *on_it, "0.util=99", "0.power_mw=500000")
    times = {"stable": "500ms", "busy_patience": "60s"}
    stand.watch(http_sink, works.config(**times), beside.config(**times), more=HOST)
    stand.wait_state("healthy", works, beside)
    wait_gpus(stand, {uuid(0): 1, uuid(1): 1})
    works.set("hang")
    beside.set("hang")
    stand.wait_state("busy", works)
    assert works.shown()["reason"].endswith("but GPU 0 is working")
    assert "nothing moved" in stand.message(f"{beside.name} was restarted and is well again").body, "the work of another GPU is not its own"
    stand.stays((works, 0), (beside, 1), messages=1)
    assert works.shown()["state"] == "busy"
    fakenvml_built.set("count=2", *on_it, "0.util=99", "0.power_mw=90000")  # a collective that waits for a dead rank
    assert "nothing moved" in stand.message(f"{works.name} was restarted and is well again").body
    stand.stays((works, 1), (beside, 1), messages=2, seconds=0.5)
    fault_row("F43", "it waits for its GPU, which works; then the GPU only waits, too", works.restarts, len(stand.told(works)))
