"""Child processes under a deadline, and the recovery `command` that is made of one."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from model_watchdog.children import OUTPUT_CAP, Finished, run_child
from model_watchdog.core.units import Seconds
from model_watchdog.errors import RecoveryError
from model_watchdog.recoveries import Act
from model_watchdog.recoveries.command import Command
from tests.rig.waiting import wait_until


def run(*argv: str, deadline: float = 10.0, **options: Any) -> Finished:
    return asyncio.run(run_child(argv, deadline, env=os.environ, **options))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


def read_pid(file: Path) -> int:
    wait_until(lambda: file.exists() and file.read_text().strip(), told="the child did not start")
    return int(file.read_text())


# ---------------------------------------------------------------- children
def test_what_a_child_says_and_how_it_ends() -> None:
    assert run("/bin/sh", "-c", "echo out; echo err >&2; exit 3") == Finished(3, b"out\n", b"err\n")
    assert run("/bin/sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    assert run("/bin/cat").stdout == b""  # nothing is on its standard input


def test_more_output_than_is_kept_does_not_block_the_child() -> None:
    ended = run(sys.executable, "-c", "import sys; sys.stdout.write('x' * 3_000_000); sys.stderr.write('y' * 100)")
    assert (ended.returncode, len(ended.stdout), len(ended.stderr)) == (0, OUTPUT_CAP, 100)


def test_a_child_that_would_never_be_done_is_ended_when_it_has_said_enough() -> None:
    began = time.monotonic()
    ended = run("/usr/bin/yes", "line", cap=100_000, enough_at_cap=True)
    assert ended.returncode == -signal.SIGKILL and ended.stdout == (b"line\n" * 20_000)
    assert time.monotonic() - began < 5.0


def test_a_child_that_takes_too_long_is_killed_with_all_it_started(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/inner; echo $$ > {tmp_path}/outer; wait"
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        run("/bin/sh", "-c", script, deadline=0.5, own_session=True)
    assert time.monotonic() - began < 2
    for name in ("inner", "outer"):
        pid = read_pid(tmp_path / name)
        wait_until(lambda pid=pid: not is_running(pid), told=f"{name} is still there")  # type: ignore[misc]


def test_what_a_child_leaves_with_its_output_open_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    ended = run("/bin/sh", "-c", f"sleep 60 & echo $! > {tmp_path}/inner; echo done")
    assert ended == Finished(0, b"done\n", b"")
    assert time.monotonic() - began < 2
    os.kill(read_pid(tmp_path / "inner"), signal.SIGKILL)


def test_a_child_of_a_cancelled_caller_is_killed_and_reaped(tmp_path: Path) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(run_child(["/bin/sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 60"], 30, env=os.environ))
        pid = await asyncio.to_thread(read_pid, tmp_path / "pid")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(500):
            if not Path(f"/proc/{pid}").exists():  # not even a zombie is left
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the child was not reaped")

    asyncio.run(main())


def test_what_cannot_be_started() -> None:
    with pytest.raises(FileNotFoundError):
        run("/nowhere/at/all")
    with pytest.raises(PermissionError):
        run("/etc/passwd")


def test_many_at_once_leave_nothing_behind() -> None:
    async def main() -> int:
        before = len(os.listdir("/proc/self/fd"))
        ended = await asyncio.gather(*(run_child(["/bin/echo", str(number)], 10, env=os.environ) for number in range(30)))
        assert [one.stdout for one in ended] == [f"{number}\n".encode() for number in range(30)]
        return len(os.listdir("/proc/self/fd")) - before

    assert asyncio.run(main()) == 0


@pytest.mark.parametrize("spare", range(7))
def test_without_descriptors_it_is_an_oserror_and_nothing_is_left_behind(spare: int) -> None:
    """Each number of descriptors that is too small fails at another place."""

    async def main() -> None:
        await run_child(["/bin/true"], 10, env=os.environ)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        before = len(os.listdir("/proc/self/fd"))
        free = [os.dup(0) for _ in range(spare + 1)]
        for descriptor in free:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                await run_child(["/bin/sleep", "60"], 10, env=os.environ)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(main())
    subprocess.run(["/bin/true"], check=True)  # reaps what was killed
    children = Path("/proc/self/task", str(os.getpid()), "children").read_text().split()
    assert not any("sleep" in Path(f"/proc/{pid}/comm").read_text() for pid in children if is_running(int(pid)))


# ---------------------------------------------------------------- the recovery
def restart(*command: str, timeout: float = 10.0) -> str:
    act = Act(None, None, 10.0, False, None)  # type: ignore[arg-type]
    return asyncio.run(Command(command, Seconds(timeout)).restart(act))


def refuse(*command: str, timeout: float = 10.0) -> tuple[str, str]:
    with pytest.raises(RecoveryError) as caught:
        restart(*command, timeout=timeout)
    return caught.value.cause, caught.value.detail


def test_a_command_that_succeeds() -> None:
    assert restart("/bin/sh", "-c", "echo starting; echo up") == "up"
    assert restart("/bin/true") == ""


def test_a_command_is_no_shell() -> None:
    assert restart("/bin/echo", "$HOME; exit 1") == "$HOME; exit 1"


def test_a_command_that_fails() -> None:
    assert refuse("/bin/sh", "-c", "echo; echo no such container >&2; exit 7") == (
        "start_failed",
        "/bin/sh ended with exit code 7: no such container",
    )
    assert refuse("/bin/sh", "-c", "kill -9 $$") == ("start_failed", "/bin/sh ended with signal 9")


def test_what_a_command_says_obeys_no_terminal() -> None:
    _, detail = refuse("/bin/sh", "-c", "printf '\\033[31m%0500d\\000' 7; exit 1")
    assert detail.isprintable()
    assert len(detail) < 400


def test_a_command_that_takes_too_long(tmp_path: Path) -> None:
    cause, detail = refuse("/bin/sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 60", timeout=0.3)
    assert cause == "start_timeout"
    assert "0.3 s" in detail
    pid = read_pid(tmp_path / "pid")
    wait_until(lambda: not is_running(pid))


def test_a_command_that_cannot_be_run() -> None:
    assert refuse("/nowhere") == ("cannot_act", "/nowhere cannot be run: No such file or directory")
    assert refuse("/etc/passwd")[0] == "cannot_act"
    assert refuse("a\0b")[0] == "cannot_act"


def test_commands_that_cannot_be() -> None:
    assert len(Command(()).faults()) == 1
    assert len(Command(("",)).faults()) == 1
    assert len(Command(("/bin/true",), Seconds(0.0)).faults()) == 1
    assert Command(("/bin/true",)).faults() == []
