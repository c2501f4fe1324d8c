"""sd_notify without its library, against a real socket."""

import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_watchdog.sdnotify import alive_within, notify


@pytest.fixture(params=["path", "abstract"])
def listening(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    address = str(tmp_path / "notify") if request.param == "path" else f"\0model-watchdog-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address.replace("\0", "@"))
        yield receiver


def test_what_is_told_arrives(listening: socket.socket) -> None:
    assert notify("READY=1\nSTATUS=watching 2 services, 1 böse")
    assert listening.recv(1000).decode() == "READY=1\nSTATUS=watching 2 services, 1 böse"


def test_nobody_who_reads_blocks_nobody(listening: socket.socket) -> None:
    told = [notify("WATCHDOG=1" + " " * 1000) for _ in range(5000)]
    assert told[0]
    assert not told[-1]


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/at/all", "@model-watchdog-nobody"])
def test_without_systemd_nothing_happens(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not notify("READY=1")


@pytest.mark.parametrize(("told", "seconds"), [("30000000", 30.0), ("300000", 0.3), ("", math.inf), ("0", math.inf), ("soon", math.inf)])
def test_within_what_time_systemd_wants_to_hear(monkeypatch: pytest.MonkeyPatch, told: str, seconds: float) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", told)
    assert alive_within() == seconds
