"""Faults at the control socket: the wrong user, and bytes that are no request."""

import json
import subprocess
import time
from itertools import pairwise
from typing import Any

from tests.conftest import FaultRow
from tests.rig.chaos import Chaos
from tests.rig.sinks import HttpSink
from tests.rig.stand import Model, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import DAEMON, USER

SOCKET = "/run/model-watchdog/control.sock"
CLIENT = """
import json, socket, sys, time
path, ends = sys.argv[1:]
for words in map(bytes.fromhex, json.load(sys.stdin)):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        began = time.monotonic()
        client.connect(path)
        answer = b""
        try:
            client.sendall(words)
            if ends == "ends":
                client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all of it was sent
        try:
            while part := client.recv(65536):
                answer += part
        except ConnectionError:
            pass
        print(json.dumps([time.monotonic() - began, json.loads(answer or b"{}")]))
"""
NOT_UNDERSTOOD = {
    "garbage": bytes(range(256)) * 4 + b"\n",
    "100 KB without a line's end": b"x" * 100_000,
    "half a JSON": b'{"command": "pi',
    "nothing": b"",
    "an empty line": b"\n",
    "not UTF-8": b'{"command": "\xff"}\n',
    "a list": b'["ping"]\n',
    "no command": b'{"service": "m1"}\n',
    "a command that is none": b'{"command": ["ping"]}\n',
    "an unknown command": b'{"command": "destroy"}\n',
    "deep": b"[" * 16_000 + b"\n",
    "a pause without an end": b'{"command": "pause", "service": "NAME", "seconds": NaN, "reason": "x"}\n',
    "a pause for ever": b'{"command": "pause", "service": "NAME", "seconds": 1e999, "reason": "x"}\n',
    "a pause without a reason": b'{"command": "pause", "service": "NAME", "seconds": 60}\n',
}
NO_SUCH = {
    "a service that is a list": b'{"command": "restart", "service": [1]}\n',
    "no service": b'{"command": "reset"}\n',
    "a notifier that is a list": b'{"command": "notify-test", "notifier": [1]}\n',
}


def speak(stand: Stand, *said: bytes, user: str = "root", ends: bool = True) -> list[tuple[float, dict[str, Any]]]:
    """Sends each over a connection of its own; gives how long the answer took and the answer, {} for none."""
    command = ("/usr/bin/python3", "-I", "-c", CLIENT, SOCKET, "ends" if ends else "waits")
    ran = stand.box.run(*command, user=user, stdin=json.dumps([words.hex() for words in said]))
    return [tuple(json.loads(line)) for line in ran.stdout.splitlines()]


def watch_counted(stand: Stand, sink: HttpSink, chaos: Chaos) -> Model:
    model = stand.model(program="/bin/sleep infinity")
    model.systemctl("start")
    stand.watch(sink, model.config(probes=f"{{health: {{kind: http, url: '{chaos.url()}', every: 200ms, timeout: 200ms}}}}"))
    stand.wait_state("healthy", model)
    return model


def test_fault_77_wrong_user(stand: Stand, http_sink: HttpSink, chaos: Chaos, fault_row: FaultRow) -> None:
    box, model = stand.box, watch_counted(stand, http_sink, chaos)
    box.add_user("stranger")
    box.add_user("colleague", USER)
    pause = ("pause", model.name, "--for", "10m", "--reason", "mine")
    refused = box.watchdog(*pause, user="stranger", check=False)
    assert refused.returncode == 1 and "not allowed" in refused.stderr and "usermod -aG" in refused.stderr, refused.stderr
    box.run("chmod", "755", "/run/model-watchdog")  # and if somebody opens the doors
    box.run("chmod", "666", SOCKET)
    request = {"command": "pause", "service": model.name, "seconds": 60, "reason": "x"}
    for _, answer in speak(stand, *[json.dumps(request).encode() + b"\n"] * 3, user="stranger"):
        assert (answer["ok"], answer["error"]) == (False, "denied")
    for command in (pause, ("restart", model.name, "--reason", "mine"), ("reset", model.name), ("notify-test",)):
        refused = box.watchdog(*command, user="stranger", check=False)
        assert refused.returncode == 1 and "not allowed" in refused.stderr and "bug" not in refused.stderr, refused.stderr
    assert box.service(model.name)["paused_until"] is None
    assert stand.log().count("event=control_refused") == 1, "once a minute"
    fault_row(77, "a stranger commands, with and without the doors open", model.restarts, len(http_sink.messages))
    for user in ("colleague", USER, "root"):
        assert box.watchdog(*pause, user=user).returncode == 0
        assert box.watchdog("resume", model.name, user=user).returncode == 0
    http_sink.wait_for(3)  # of the pauses
    assert model.restarts == 0


def test_fault_78_not_understood(stand: Stand, http_sink: HttpSink, chaos: Chaos, fault_row: FaultRow) -> None:
    model = watch_counted(stand, http_sink, chaos)
    before = chaos.count()
    said = [words.replace(b"NAME", model.name.encode()) for words in NOT_UNDERSTOOD.values()]
    for injection, (seconds, answer) in zip(NOT_UNDERSTOOD, speak(stand, *said), strict=True):
        assert (answer.get("error"), seconds < 1) == ("bad_request", True), (injection, seconds, answer)
        assert answer["text"].startswith("bad request: ")
    for injection, (_, answer) in zip(NO_SUCH, speak(stand, *NO_SUCH.values()), strict=True):
        assert answer.get("error") == "no_such", (injection, answer)
    ((seconds, answer),) = speak(stand, b'{"command": "pi', ends=False)
    assert (answer, 1.8 < seconds < 3) == ({}, True), "whoever says nothing more is not waited for"
    chaos.wait_for(before + 5)
    assert stand.box.watchdog("status", check=False).returncode == 0
    stand.stays((model, 0), messages=0, seconds=0.5)
    restarts = model.restarts
    for injection in (*NOT_UNDERSTOOD, *NO_SUCH, "half a JSON, and then silence"):
        fault_row(78, injection, restarts, len(http_sink.messages))


CROWD = """
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
clients = []
while len(clients) < 1000:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    try:
        client.connect(sys.argv[1])
    except BlockingIOError:
        time.sleep(0.001)  # the queue is full: come again
        continue
    clients.append(client)
print(len(clients), flush=True)
time.sleep(3)
"""


def test_fault_79_a_thousand_idle_clients(stand: Stand, http_sink: HttpSink, chaos: Chaos, fault_row: FaultRow) -> None:
    model = watch_counted(stand, http_sink, chaos)
    before, began = chaos.count(), time.monotonic()
    crowd = stand.box.popen("/usr/bin/python3", "-I", "-c", CROWD, SOCKET, stdout=subprocess.PIPE)
    try:
        assert crowd.stdout is not None
        assert int(crowd.stdout.readline()) == 1000
        open_files = int(stand.box.run("sh", "-c", f"ls /proc/{stand.box.main_pid(DAEMON)}/fd | wc -l").stdout)
        assert open_files < 100, f"{open_files} descriptors: idle clients are not shown out"
        wait_until(lambda: stand.box.watchdog("pause", model.name, "--for", "1s", "--reason", "x", check=False).returncode == 0, 10)
    finally:
        crowd.kill()
        crowd.wait()
    chaos.wait_for(before + 5)
    times = [request["at"] for request in chaos.requests("/health") if request["at"] > began]
    assert max(later - earlier for earlier, later in pairwise(times)) < 0.6, "it is asked every 200 ms"
    assert stand.box.watchdog("status", check=False).returncode == 0 and model.restarts == 0
    fault_row(79, "a thousand connections that say nothing", model.restarts, 0)
