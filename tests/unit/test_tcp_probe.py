"""The probe `tcp` against real listeners, ports without one, and names that are none."""

import asyncio
import errno
import os
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from model_watchdog import resolver as resolving
from model_watchdog.core.sample import Failure
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Observation, Surroundings
from model_watchdog.probes.tcp import Tcp
from tests.rig.chaos import closed_port


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def ask(address: str, timeout: float = 2.0) -> Observation:
    async def run() -> Observation:
        running = Tcp(address).open(Surroundings("s", None, timeout, None))  # type: ignore[arg-type]
        return await running.observe()

    return asyncio.run(run())


def fail(address: str, timeout: float = 2.0) -> ProbeError:
    with pytest.raises(ProbeError) as caught:
        ask(address, timeout)
    return caught.value


def test_somebody_listens(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert ask(address).detail == "connected"
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(1) == b"", "the connection is closed at once, and nothing was said"


def test_ipv6() -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with listening:
        assert ask(f"[::1]:{listening.getsockname()[1]}").detail == "connected"


def test_nobody_listens() -> None:
    failed = fail(f"127.0.0.1:{closed_port()}")
    assert (failed.failure, failed.detail) == (Failure.REFUSED, "connection refused")


def test_an_accept_queue_that_is_full_times_out(listener: socket.socket) -> None:
    """A server that hangs takes connections until its queue is full: after that the kernel drops them in silence."""
    listener.listen(0)
    queued = []
    for _ in range(2):
        waiting = socket.socket()
        waiting.setblocking(False)
        assert waiting.connect_ex(listener.getsockname()) in (0, errno.EINPROGRESS)
        queued.append(waiting)
    time.sleep(0.05)
    began = time.monotonic()
    failed = fail(f"127.0.0.1:{listener.getsockname()[1]}", timeout=0.3)
    assert (failed.failure, failed.detail) == (Failure.TIMEOUT, "no connection within 0.3 s")
    assert time.monotonic() - began < 1
    for waiting in queued:
        waiting.close()


def test_a_name_that_is_none_says_nothing_of_the_service() -> None:
    assert fail("no-such-host.invalid:80").failure == Failure.DNS


def test_a_lookup_that_does_not_end_says_nothing_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(host: str) -> tuple[str, ...]:
        await asyncio.sleep(60)
        return ()

    monkeypatch.setattr(resolving.resolver, "resolve", never)
    failed = fail("slow.example:80", timeout=0.2)
    assert (failed.failure, failed.detail) == (Failure.DNS, "the name slow.example was not looked up within 0.2 s")


def test_the_next_address_has_its_turn(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    async def two(host: str) -> tuple[str, ...]:
        return ("127.0.0.2", "127.0.0.1")

    monkeypatch.setattr(resolving.resolver, "resolve", two)
    assert ask(f"both.example:{listener.getsockname()[1]}").detail == "connected"
    assert fail(f"both.example:{closed_port()}").failure == Failure.REFUSED


def test_out_of_descriptors_is_our_own_failure(listener: socket.socket) -> None:
    port = listener.getsockname()[1]

    async def run() -> None:
        running = Tcp(f"127.0.0.1:{port}").open(Surroundings("s", None, 2.0, None))  # type: ignore[arg-type]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
        taken = []
        try:
            while True:
                try:
                    taken.append(os.dup(0))
                except OSError:
                    break
            await running.observe()
        finally:
            for one in taken:
                os.close(one)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    with pytest.raises(ProbeError) as caught:
        asyncio.run(run())
    assert caught.value.failure == Failure.WATCHER


def test_a_connection_with_itself_is_a_port_on_which_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may choose, as the port to connect from, the very port that is connected to: TCP allows it (simultaneous open)."""
    port = closed_port()

    class FromTheSamePort(socket.socket):
        def __init__(self, *arguments: int) -> None:
            super().__init__(*arguments)
            if self.family == socket.AF_INET:  # and not the loop's own pair
                self.bind(("127.0.0.1", port))

    monkeypatch.setattr(socket, "socket", FromTheSamePort)
    assert fail(f"127.0.0.1:{port}").failure == Failure.REFUSED


@pytest.mark.parametrize("address", ["127.0.0.1:8001", "localhost:1", "[::1]:65535", "model-a.lan:80", "my_host:80"])
def test_addresses(address: str) -> None:
    assert Tcp(address).faults() == []


@pytest.mark.parametrize("address", ["", ":80", "host", "host:", "host:0", "host:65536", "::1:80", "http://h:80", "h:80/x", "a b:80"])
def test_what_is_no_address(address: str) -> None:
    assert Tcp(address).faults() == [f'"{address}" is not HOST:PORT; write it like 127.0.0.1:8001, localhost:6379 or "[::1]:8001"']
