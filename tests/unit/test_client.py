"""Asking the daemon, or whoever sits at its socket in its place."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model_watchdog import client, status
from model_watchdog.client import NotRunning, ask
from model_watchdog.errors import WatchdogError


@pytest.fixture
def answered(tmp_path: Path) -> Callable[[Callable[[socket.socket], object]], str]:
    """The directory of a socket at which one client is served so."""

    def listen(serve: Callable[[socket.socket], object]) -> str:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(f"{tmp_path}/control.sock")
        listening.listen()

        def run() -> None:
            with listening, contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(4096)
                    serve(connection)

        threading.Thread(target=run, daemon=True).start()
        return str(tmp_path)

    return listen


def drip(connection: socket.socket) -> None:
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def flood(connection: socket.socket) -> None:
    while True:
        connection.sendall(b" " * 65536)


def test_the_answer(answered: Callable[..., str]) -> None:
    assert ask(answered(lambda connection: connection.sendall(b'{"ok": true}\n')), {"command": "ping"}, 2.0) == {"ok": True}


@pytest.mark.parametrize("serve", [drip, flood, lambda connection: time.sleep(3)])
def test_there_is_one_deadline_for_all_of_an_answer(answered: Callable[..., str], serve: Callable[[socket.socket], object]) -> None:
    directory, began = answered(serve), time.monotonic()
    with pytest.raises(NotRunning):
        ask(directory, {"command": "ping"}, 0.5)
    assert time.monotonic() - began < 1.5


def test_an_answer_that_is_waited_for_has_an_end_too(answered: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LARGEST_ANSWER", 200_000)
    with pytest.raises(NotRunning, match="does not end"):
        ask(answered(flood), {"command": "restart"}, None)


@pytest.mark.parametrize("said", [b"1\n", b"[" * 100_000 + b"\n", b"\xff\n", b'{"ok":'])
def test_what_is_no_answer(answered: Callable[..., str], said: bytes) -> None:
    with pytest.raises(NotRunning, match="ended before it had answered"):
        ask(answered(lambda connection: connection.sendall(said)), {"command": "ping"}, 2.0)


def test_a_pipe_in_the_place_of_the_record_holds_nobody_up(answered: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not root either, who may open it, and would wait for somebody who writes."""
    directory = answered(lambda connection: connection.sendall(b'{"ok": true}\n'))
    os.mkfifo(f"{directory}/watchdog.db")
    monkeypatch.setattr(status, "ask_daemon", lambda runtime_dir: {"ok": True})
    caught: list[object] = []

    def collect() -> None:
        try:
            caught.append(status.collect(directory, directory)[0])
        except WatchdogError as error:
            caught.append(error)

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(3)
    assert isinstance(caught[0], dict) and "not a regular file" in caught[0]["daemon"]["problems"][0]["reason"]
