"""Units of a user's manager, watched by the daemon as it is installed: what it can do there, and that it can do nothing else."""

import json
from collections.abc import Iterator

import pytest

from tests.rig.sinks import HttpSink
from tests.rig.user_manager import User, UserStand
from tests.rig.watched_box import WatchedBox

SOCKET = "/run/model-watchdog-user/alice.socket"
ASK = (
    "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode())\n"
    "s.shutdown(socket.SHUT_WR)\nwhile more := s.recv(65536): sys.stdout.write(more.decode())"
)


@pytest.fixture(scope="module")
def user_stand(module_box: WatchedBox) -> UserStand:
    alice = User(module_box, "alice")
    alice.begin()
    stand = UserStand(module_box, alice)
    stand.install()
    return stand


@pytest.fixture
def stand(user_stand: UserStand) -> Iterator[UserStand]:
    yield user_stand
    user_stand.end()


def test_a_crash_a_hang_and_a_stop(stand: UserStand, http_sink: HttpSink) -> None:
    crashes, fails, stopped = stand.model(heals=True), stand.model(heals=True), stand.model(heals=True)
    stand.start(crashes, fails, stopped)
    stand.watch(http_sink, crashes.config(), fails.config(), stopped.config())
    stand.wait_state("healthy", crashes, fails, stopped)
    shown = stopped.shown()
    assert (shown["unit"], shown["user"], shown["unit_state"]["active"]) == (stopped.unit, "alice", "active")
    crashes.kill()
    stand.message(f"{crashes.name} was restarted and is well again")
    fails.set("500")
    stand.message(f"{fails.name} was restarted and is well again")
    stopped.systemctl("stop")
    stand.wait_state("stopped", stopped)
    assert stopped.shown()["cause"] == "operator_stop"
    stand.message(f"{stopped.name} was stopped on purpose")
    stand.stays((crashes, 1), (fails, 1), (stopped, 0), messages=3)
    assert crashes.active == fails.active == "active" and stopped.active == "inactive"
    stopped.systemctl("start")
    stand.wait_state("healthy", stopped)
    metrics = json.loads(stand.box.watchdog("status", "--json", check=False).stdout)["services"][0]["probes"]
    assert all(probe["ok"] for probe in metrics)
