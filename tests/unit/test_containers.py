"""Which control group a unit's container is in: from real processes that call themselves monitors, and from an engine's socket."""

import asyncio
import json
import os
import signal
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from model_watchdog import cgroup
from model_watchdog.containers import Containers
from model_watchdog.core.unit import UnitFacts
from tests.rig.waiting import wait_until

ROOT = Path("/sys/fs/cgroup")
ID = "c0ffee" + 58 * "0"
MONITOR = """import os, subprocess, sys
def enter(): open(sys.argv[1], "w").write(str(os.getpid()))
subprocess.run(["/bin/sleep", "1000"], preexec_fn=enter)
"""
WAITS = "import time; time.sleep(1000)"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="control groups are made by root")


class Engine:
    """A container `ID` in a group of its own, below the given folder, and what its engine left beside it."""

    def __init__(self, root: Path) -> None:
        self.group = f"/tests-{os.getpid()}.slice/libpod-{ID}.scope"
        self.folder = root / self.group.strip("/")
        self.inner = self.folder / "container"
        self.inner.mkdir(parents=True)
        self.started: list[subprocess.Popen[bytes]] = []

    def run(self, program: str, *words: str) -> int:
        """A process called `program` with these words in its command line, and a child of it in the container's group; gives its pid."""
        self._start(program, MONITOR, str(self.inner / "cgroup.procs"), *words)
        wait_until(lambda: (self.inner / "cgroup.procs").read_text().split(), 10, "the container did not start")
        return self.started[-1].pid

    def client(self, *words: str) -> UnitFacts:
        """A unit whose main process is a client of the engine's, with these words."""
        return UnitFacts("model.service", 0.0, main_pid=self._start(words[0], WAITS, *words[1:]))

    def stranger(self, program: str, *words: str) -> None:
        """A process of another user's, which lives on."""
        pid = self._start(program, WAITS, *words, user="nobody")
        wait_until(lambda: words[-1].encode() in Path(f"/proc/{pid}/cmdline").read_bytes(), 5, "it did not start")

    def _start(self, program: str, code: str, *words: str, **options: Any) -> int:
        line = [program, "-", *words]
        self.started.append(subprocess.Popen(line, executable="/usr/bin/python3", stdin=subprocess.PIPE, start_new_session=True, **options))
        stdin = self.started[-1].stdin
        assert stdin is not None
        with stdin:
            stdin.write(code.encode())
        return self.started[-1].pid

    def end(self) -> None:
        for process in self.started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for folder in (self.inner, self.folder, self.folder.parent):
            wait_until(lambda folder=folder: not (folder / "cgroup.procs").read_text(), 5, "it lives on")  # type: ignore[misc]
            folder.rmdir()


@pytest.fixture
def engine() -> Iterator[Engine]:
    root = next((root for root in (ROOT, ROOT / "unified", ROOT / "systemd") if (root / "cgroup.procs").exists()), None)
    if root is None or not os.access(root, os.W_OK):
        pytest.skip("no control group can be made here")
    made = Engine(root)
    yield made
    made.end()


def find(facts: UnitFacts, name: str, *sockets: Path) -> str:
    return asyncio.run(Containers(sockets=sockets).find(facts, name))


def test_podmans_container_is_found_by_its_name_without_a_right(engine: Engine) -> None:
    engine.run("conmon", "--api-version", "1", "-c", ID, "-u", ID, "-n", "vllm")
    up = UnitFacts("model.service", 0.0)
    assert find(up, "vllm") == engine.group
    with pytest.raises(LookupError, match="the container bert is not found"):
        find(up, "bert")


def test_a_command_line_that_somebody_else_wrote_is_not_believed(engine: Engine) -> None:
    pid = engine.run("conmon", "-c", ID, "-n", "vllm")
    os.kill(pid, signal.SIGKILL)
    engine.stranger("conmon", "-c", ID, "-n", "vllm")
    with pytest.raises(LookupError):
        find(UnitFacts("model.service", 0.0), "vllm")


def test_dockers_container_is_found_by_the_file_with_its_number(engine: Engine, tmp_path: Path) -> None:
    engine.run("containerd-shim-runc-v2", "-namespace", "moby", "-id", ID)
    file = tmp_path / "cid"
    facts = engine.client("docker", "run", "--name", "vllm", "--cidfile", str(file), "image")
    wait_until(lambda: b"cidfile" in Path(f"/proc/{facts.main_pid}/cmdline").read_bytes(), 5, "it did not start")
    with pytest.raises(LookupError, match="--cidfile"):
        find(facts, "vllm")
    file.write_text(ID)
    assert find(facts, "vllm") == engine.group
    os.remove(file)
    os.mkfifo(file)
    with pytest.raises(LookupError):
        find(facts, "vllm")  # and does not wait for a writer


def test_an_engine_whose_socket_may_be_used_is_asked(engine: Engine, tmp_path: Path) -> None:
    engine.run("shim")
    inside = int((engine.inner / "cgroup.procs").read_text().split()[0])
    answers: dict[str, tuple[int, Any]] = {
        "/containers/vllm/json": (200, {"Id": ID, "State": {"Pid": inside}}),
        "/containers/gone/json": (404, {"message": "No such container"}),
        "/containers/stopped/json": (200, {"Id": ID, "State": {"Pid": 0}}),
        "/containers/odd/json": (200, ["?"]),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, told = answers[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *args: Any) -> None:
            pass

    path = tmp_path / "docker.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        up = UnitFacts("model.service", 0.0)
        assert find(up, "vllm", path) == engine.group
        for name in ("gone", "stopped", "odd"):
            with pytest.raises(LookupError):
                find(up, name, path)
        with pytest.raises(LookupError):
            find(up, "vllm", tmp_path / "none.sock")
        server.shutdown()


def test_the_reader_adds_it_beside_the_way_and_says_when_it_is_missing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_watchdog.containers.LOOK_EVERY", 0.0)
    containers = Containers({"model.service": "vllm"}, sockets=())
    up = UnitFacts("model.service", 0.0)

    async def take(facts: UnitFacts) -> UnitFacts:
        seen = containers.add_to(facts)
        await asyncio.gather(*containers._tasks.values())
        return seen

    async def run() -> None:
        assert containers.add_to(UnitFacts("other.service", 0.0)).containers == ()
        errors = [(await take(up)).container_error for _ in range(4)]
        assert errors[:3] == ["", "", ""] and "the container vllm is not found" in errors[3]
        engine.run("conmon", "-c", ID, "-n", "vllm")
        await take(up)
        found = await take(up)
        assert found.containers == (engine.group,) and found.container_error == ""
        inside = {int(pid) for pid in (engine.inner / "cgroup.procs").read_text().split()}
        assert cgroup.list_pids(found) == inside, "what runs in it is the unit's"
        containers.expect({})
        assert containers.add_to(up).containers == ()

    asyncio.run(run())


def test_a_container_that_has_another_name_is_looked_for_anew(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_watchdog.containers.LOOK_EVERY", 0.0)
    containers = Containers({"model.service": "vllm"}, sockets=())
    up = UnitFacts("model.service", 0.0)

    async def run() -> None:
        engine.run("conmon", "-c", ID, "-n", "vllm")
        containers.add_to(up)
        looking = list(containers._tasks.values())
        containers.expect({"model.service": "bert"})  # while it is looked for
        await asyncio.gather(*looking)
        assert containers.add_to(up).containers == (), "what was found bears the old name"
        containers.expect({"model.service": "vllm"})
        await asyncio.gather(*containers._tasks.values())
        containers.add_to(up)
        await asyncio.gather(*containers._tasks.values())
        assert containers.add_to(up).containers == (engine.group,)
        containers.expect({"model.service": "bert"})
        assert containers.add_to(up).containers == ()

    asyncio.run(run())


def test_a_group_within_another_counts_once() -> None:
    facts = UnitFacts("m.service", 0.0, cgroup="/system.slice/m.service", containers=("/system.slice/m.service/libpod-1", "/docker/2"))
    assert facts.groups == ("/system.slice/m.service", "/docker/2")
