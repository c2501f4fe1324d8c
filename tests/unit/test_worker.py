"""Worker processes for real: one that answers, hangs, crashes, talks nonsense, or is stuck in the kernel."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from model_watchdog.errors import ProbeError
from model_watchdog.worker import Worker
from tests.rig.waiting import wait_until

CHILD = """
import os, time
from model_watchdog.serving import serve

def answer(request):
    match request["do"]:
        case "echo": return {"said": request["text"], "pid": os.getpid()}
        case "much": return {"said": "x" * 300_000}
        case "sleep": time.sleep(request["seconds"])
        case "crash": os.kill(os.getpid(), 11)
        case "exit": os._exit(3)
        case "bug": raise LookupError("no such thing")
        case "print": print("noise of a library", flush=True)
        case "environment": return {"names": sorted(os.environ)}
        case "stubborn":
            import signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
    return {}

def main():
    serve(answer)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "child_of_a_test.py").write_text(CHILD)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "child_of_a_test"


def run(module: str, story: Callable[[Worker], Awaitable[None]], *, first: float = 0.2, longest: float = 0.8) -> None:
    async def tell() -> None:
        worker = Worker(module, "the thing", first=first, longest=longest)
        try:
            await story(worker)
        finally:
            await worker.close()

    asyncio.run(tell())


async def echo(worker: Worker, text: str = "hello") -> int:
    answer = await worker.ask({"do": "echo", "text": text})
    assert answer["said"] == text
    pid: int = answer["pid"]
    return pid


async def until_gone(pid: int) -> None:
    for _ in range(300):
        if gone(pid):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{pid} lives on")


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_one_child_answers_all_questions_and_ends_when_it_is_closed(module: str) -> None:
    pids = []

    async def story(worker: Worker) -> None:
        assert worker.pid is None
        pids.extend([await echo(worker), await echo(worker, "two\nlines")])
        assert len((await worker.ask({"do": "much"}))["said"]) == 300_000
        assert (await asyncio.gather(*(worker.ask({"do": "echo", "text": str(n)}) for n in range(5))))[4]["said"] == "4"
        began = time.monotonic()
        await worker.close()
        assert time.monotonic() - began < 0.5

    run(module, story)
    assert pids[0] == pids[1] and gone(pids[0])


def test_no_answer_in_time_is_told_at_once_and_the_child_is_ended(module: str) -> None:
    async def story(worker: Worker) -> None:
        hung = await echo(worker)
        began = time.monotonic()
        with pytest.raises(ProbeError, match=r"^the thing does not answer \(no answer within 0\.3 s\)$") as told:
            await worker.ask({"do": "stubborn"}, 0.3)
        assert told.value.failure == "watcher"
        assert time.monotonic() - began < 0.4
        assert worker.is_hung and worker.failures == 1 and worker.abandoned == hung
        await until_gone(hung)
        assert worker.abandoned is None and time.monotonic() - began < 1.5
        with pytest.raises(ProbeError, match="does not answer"):
            await echo(worker)
        await asyncio.sleep(began + 2.4 - time.monotonic())
        assert await echo(worker) != hung

    run(module, story, first=2, longest=2)


def test_while_one_is_stuck_no_other_is_started_and_when_it_comes_free_one_is_at_once(module: str) -> None:
    async def story(worker: Worker) -> None:
        stuck = await echo(worker)
        with pytest.raises(ProbeError):
            await worker.ask({"do": "sleep", "seconds": 0.5}, 0.1)
        with pytest.raises(ProbeError, match="does not answer"):
            await echo(worker)
        assert worker.abandoned == stuck and worker.pid is None
        await until_gone(stuck)
        assert await echo(worker) != stuck, "what it hung in has answered"

    run(module, story, first=30)


def test_a_late_answer_is_not_taken_for_the_next_one(module: str) -> None:
    async def story(worker: Worker) -> None:
        await echo(worker)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):  # the asker gives up, not the worker
                await worker.ask({"do": "sleep", "seconds": 0.3})
        assert await echo(worker) == worker.pid

    run(module, story)


def test_a_crash_is_told_and_the_next_child_waits_longer_each_time(module: str) -> None:
    async def story(worker: Worker) -> None:
        starts, told = [], set()
        for _ in range(3):
            while True:
                try:
                    await echo(worker)
                    break
                except ProbeError as error:
                    told.add(str(error))
                    await asyncio.sleep(0.01)
            starts.append(time.monotonic())
            with pytest.raises(ProbeError, match="was killed by SIGSEGV"):
                await worker.ask({"do": "crash"})
        assert told == {"the thing: the process that asks it was killed by SIGSEGV"}
        assert 0.2 <= starts[1] - starts[0] < 0.4 <= starts[2] - starts[1] < 0.7
        assert worker.failures == 3 and not worker.is_hung

    run(module, story)


def test_one_that_goes_on_answering_is_forgiven(module: str) -> None:
    async def story(worker: Worker) -> None:
        with pytest.raises(ProbeError, match="ended with exit 3"):
            await worker.ask({"do": "exit"})
        await asyncio.sleep(0.25)
        await echo(worker)
        assert worker.failures == 1
        await asyncio.sleep(0.25)
        await echo(worker)
        assert worker.failures == 0

    run(module, story)


def test_one_killed_between_questions_is_replaced(module: str) -> None:
    async def story(worker: Worker) -> None:
        pid = await echo(worker)
        os.kill(pid, signal.SIGKILL)
        for _ in range(100):
            if gone(pid):
                break
            await asyncio.sleep(0.01)
        assert await echo(worker) != pid

    run(module, story)


def test_a_bug_is_told_as_ours_and_noise_is_no_answer(module: str) -> None:
    async def story(worker: Worker) -> None:
        with pytest.raises(ProbeError, match="a bug in the watchdog: LookupError: no such thing"):
            await worker.ask({"do": "bug"})
        pid = worker.pid
        assert await worker.ask({"do": "print"}) == {"id": 2}
        assert await echo(worker) == pid

    run(module, story)


def test_the_child_gets_no_secret_and_a_session_of_its_own(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINGTALK_URL", "secret")

    async def story(worker: Worker) -> None:
        names = (await worker.ask({"do": "environment"}))["names"]
        assert "DINGTALK_URL" not in names and "PATH" in names
        assert worker.pid is not None and os.getsid(worker.pid) == worker.pid

    run(module, story)


def test_a_module_that_is_not_there(module: str) -> None:
    async def story(worker: Worker) -> None:
        with pytest.raises(ProbeError, match="the thing: the process that asks it ended with exit 1"):
            await worker.ask({"do": "echo"})

    run("no_such_module_anywhere", story)


def test_close_does_not_wait_for_one_that_hangs(module: str) -> None:
    hung = []

    async def story(worker: Worker) -> None:
        hung.append(await echo(worker))
        with pytest.raises(ProbeError):
            await worker.ask({"do": "stubborn"}, 0.1)
        began = time.monotonic()
        await worker.close()
        assert time.monotonic() - began < 0.1

    run(module, story)
    wait_until(lambda: gone(hung[0]) or Path(f"/proc/{hung[0]}/stat").read_text().split()[2] == "Z", 2, "it was left alive")


def test_the_daemon_s_own_end_ends_it(module: str, tmp_path: Path) -> None:
    """Nobody closes it: its pipe does."""
    pids, folder = [], tmp_path

    async def story() -> None:
        worker = Worker(module, "the thing")
        pids.append(await echo(worker))

    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(story())
            (folder / "pid").write_text(str(pids[0]))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    child = int((folder / "pid").read_text())
    wait_until(lambda: gone(child) or Path(f"/proc/{child}/stat").read_text().split()[2] == "Z", 2, "it outlived the daemon")
