"""The view of the GPUs: what follows what, who works on which, and whose restarts a lost one forbids."""

from model_watchdog.core.decision import Event, Notification, Reason
from model_watchdog.core.gpu import Gpu, GpuProcess
from model_watchdog.core.host import MOST_NOTES, NEWS_FOR, HostState, note_details, set_troubles, tell_news
from model_watchdog.core.memory import recall_host, remember_host
from model_watchdog.gpuview import GPU_LOST, GpuHolder
from model_watchdog.wording import say

A, B = "GPU-a", "GPU-b"


def gpu(uuid: str, *pids: int, is_up: bool = True) -> Gpu:
    return Gpu(uuid, "0", is_up, processes=tuple(GpuProcess(pid, 1 << 20) for pid in pids))


def held(*gpus: Gpu, **pids: int) -> GpuHolder:
    holder = GpuHolder()
    holder.take(1.0, gpus, {service: frozenset({pid}) for service, pid in pids.items()})
    return holder


def test_which_gpus_a_service_works_on() -> None:
    holder = held(gpu(A, 10, 11), gpu(B, 12))
    assert [found.uuid for found in holder.of({11, 99})] == [A]
    assert [found.uuid for found in holder.of([10, 12])] == [A, B]
    assert holder.of({99}) == ()
    assert GpuHolder().of({10}) == ()


def test_a_lost_gpu_forbids_restarts_of_those_who_worked_on_it_also_when_they_have_ended() -> None:
    holder = held(gpu(A, 10), gpu(B, 12), chat=10, bert=12)
    assert [holder.inhibits(name) for name in ("chat", "bert", "other")] == ["", "", ""]
    holder.take(2.0, [gpu(A, is_up=False), gpu(B, 12)], {"bert": frozenset({12})})  # chat crashed with its GPU
    assert [holder.inhibits(name) for name in ("chat", "bert", "other")] == [GPU_LOST, "", ""]
    assert [found.uuid for found in holder.of({10})] == [A], "the last known processes are kept"
    holder.take(3.0, [gpu(A, is_up=False), gpu(B, 12)], {"chat": frozenset({20}), "bert": frozenset({12})})
    assert holder.inhibits("chat") == GPU_LOST
    holder.take(4.0, [gpu(A), gpu(B, 12)], {"chat": frozenset({20})})  # it was reset
    assert holder.inhibits("chat") == ""
    holder.take(5.0, [gpu(A, is_up=False)], {})
    assert holder.inhibits("chat") == "", "chat did not use it any more when it was lost"


def test_a_gpu_that_is_lost_before_its_services_are_known_forbids_all_the_same() -> None:
    holder = held(gpu(A, 10), gpu(B, 12))  # the daemon has just started: no unit was looked at yet
    known = {"chat": frozenset({10}), "bert": frozenset({12})}
    holder.take(2.0, [gpu(A, is_up=False), gpu(B, 12)], known)
    assert [holder.inhibits(name) for name in ("chat", "bert")] == [GPU_LOST, ""]
    holder.take(3.0, [gpu(A, is_up=False), gpu(B, 12)], {"new": frozenset({10})})
    assert holder.inhibits("new") == "", "a number that is used again by another service, long after"


def test_processes_that_could_not_be_read_are_those_of_before() -> None:
    holder = held(gpu(A, 10), chat=10)
    hidden = Gpu(A, "0", True, 99.0, is_listed=False)
    holder.take(2.0, [hidden], {"chat": frozenset({10})})
    assert [(found.uuid, found.utilization_percent) for found in holder.of({10})] == [(A, 99.0)]
    holder.take(3.0, [gpu(A, is_up=False)], {})
    assert holder.inhibits("chat") == GPU_LOST, "one list that failed has not made it forget"
    holder.take(4.0, [gpu(A)], {})
    assert holder.of({10}) == (), "a list that is empty is known"


def test_a_lost_gpu_lets_go_of_a_service_that_was_moved_to_another() -> None:
    holder = held(gpu(A, 10), gpu(B), chat=10)
    lost = gpu(A, is_up=False)
    holder.take(2.0, [lost, gpu(B, 20)], {"chat": frozenset({10, 20})})
    assert holder.inhibits("chat") == GPU_LOST, "the process that was on it is still there"
    holder.take(3.0, [lost, gpu(B)], {"chat": frozenset({20})})
    assert holder.inhibits("chat") == GPU_LOST, "its new process is on no GPU: for want of that one, for all we know"
    later = GpuHolder()
    later.recall(holder.remember("boot 1"), "boot 1", 4.0)
    for one in (holder, later):
        one.take(5.0, [lost, gpu(B, 20)], {"chat": frozenset({20})})
        assert one.inhibits("chat") == ""
        one.take(6.0, [lost, gpu(B)], {})
        assert one.inhibits("chat") == "", "nor does it come back with its next end"


def test_a_view_that_is_stale_says_so_until_the_next_reading() -> None:
    holder = held(gpu(A, 10), chat=10)
    holder.turn_stale()
    assert holder.view is not None and holder.view.is_stale
    holder.take(2.0, [gpu(A)], {})
    assert not holder.view.is_stale


def test_a_daemon_started_later_knows_until_the_next_boot() -> None:
    holder = held(gpu(A, 10), gpu(B, 12), chat=10)
    holder.take(2.0, [gpu(A, is_up=False), gpu(B, 12)], {})
    later = GpuHolder()
    later.recall(holder.remember("boot 1"), "boot 1", 3.0)
    assert later.inhibits("chat") == GPU_LOST and later.view is not None and later.view.is_stale
    assert [(found.uuid, found.is_up) for found in later.view.gpus] == [(A, False), (B, True)]
    assert [found.uuid for found in later.of({10})] == [A], "a driver that is silent from the start on takes nobody off its GPU"
    rebooted = GpuHolder()
    rebooted.recall(holder.remember("boot 1"), "boot 2", 3.0)
    assert rebooted.inhibits("chat") == "" and rebooted.view is None


def told(state: HostState, names: list[str], *, probe: str = "gpu", is_good: bool = True, at: float = 1.0) -> list[str]:
    """What people are told after a run with these troubles; the events beside it are checked to say the same."""
    troubles = {name: Reason("note", {"text": name}) for name in names}
    decisions = set_troubles(state, probe, troubles, is_good=is_good, now=at)
    messages = [one for one in decisions if isinstance(one, Notification)]
    events = [one.event for one in decisions if isinstance(one, Event)]
    assert events == [one.about for one in messages]
    return [f"{one.about} {one.params['rule']}" for one in messages]


def test_the_same_xid_is_told_again_only_after_an_hour_without_it() -> None:
    state = HostState()

    def report(at: float, uuid: str = A, code: int = 13) -> list[str]:
        decisions = tell_news(state, Reason("gpu_xid", {"gpu": "0", "uuid": uuid, "xid": code}), at)
        assert [one.event for one in decisions if isinstance(one, Event)] == ["gpu_xid"], "each is an event"
        return [one.about for one in decisions if isinstance(one, Notification)]

    assert report(0.0) == ["gpu_xid"]
    assert [report(at) for at in (10.0, 3000.0, 6000.0)] == [[], [], []], "it has never been away for an hour"
    assert report(6000.0, B) == report(6000.0, A, 79) == ["gpu_xid"]
    assert report(6000.0 + NEWS_FOR) == ["gpu_xid"]
    assert len(state.news) == 1


def test_what_a_probe_leaves_out_is_an_event_once() -> None:
    state = HostState()

    def note(at: float, *notes: str) -> list[str]:
        decisions = note_details(state, "gpu", notes, at)
        return [say(one.reason) for one in decisions if isinstance(one, Event) and one.event == "probe_detail"]

    assert note(0.0, "power: Unknown Error", "utilization of 101 cannot be") == ["power: Unknown Error", "utilization of 101 cannot be"]
    assert note(10.0, "utilization of 101 cannot be", "power: Unknown Error") == []
    assert note(10.0 + NEWS_FOR, "power: Unknown Error") == ["power: Unknown Error"]
    values = [note(5000.0 + count, f"utilization of {200 + count} cannot be") for count in range(100)]
    assert sum(map(len, values)) == MOST_NOTES - 1, "one whose value differs each time does not fill the record"
    assert note(6000.0 + NEWS_FOR, "utilization of 500 cannot be") == ["utilization of 500 cannot be"]


def test_trouble_with_a_sensor_is_told_once_and_so_is_its_end() -> None:
    state = HostState()
    assert told(state, ["gpu-driver"]) == ["alert_fired gpu-driver"]
    assert told(state, ["gpu-driver", "disk-silent /x"]) == ["alert_fired disk-silent /x"]
    assert told(state, [], probe="system") == [], "what another probe says ends nothing of this one"
    assert told(state, [], is_good=False) == [], "nor does a run without an answer"
    later = recall_host((), remember_host(state), 0.0, 0.0)
    assert told(later, ["gpu-driver"]) == ["alert_resolved disk-silent /x"]
    assert told(later, []) == ["alert_resolved gpu-driver"]
    assert told(later, []) == []
    assert told(later, ["gpu-driver"]) == ["alert_fired gpu-driver"]
    assert not state.inhibited(0.0), "silence restarts nothing, and forbids nothing"
