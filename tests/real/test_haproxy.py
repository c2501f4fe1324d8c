"""Debian's HAProxy with deploy/haproxy.cfg before two hosts: it keeps requests away from a service that the watchdog finds sick."""

import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rig.chaos import closed_port
from tests.rig.page import Page
from tests.rig.plain_daemon import PlainDaemon
from tests.rig.prometheus import find_libraries, find_tool
from tests.rig.waiting import holds_for, wait_until
from tests.rig.web import Web

CONFIG = Path(__file__).resolve().parents[2] / "deploy" / "haproxy.cfg"
PROGRAM = find_tool("haproxy")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no HAProxy on this machine: scripts/setup test unpacks one")
SERVICE = """\
services:
  chatglm:
    startup: 1s
    recovery: {{kind: command, command: ["true"], stable: 200ms, backoff: {{first: 100ms, max: 500ms}}}}
    probes: {{health: {{kind: http, url: "{url}", every: 300ms, timeout: 200ms, retry_every: 300ms}}}}
host: {{probes: {{}}, rules: {{}}}}
"""


class Host:
    """A service, its watchdog, and the watchdog's page."""

    def __init__(self, directory: Path, page: Page) -> None:
        directory.mkdir()
        self.page, self.daemon = page, PlainDaemon(directory)
        self.daemon.configure(SERVICE.format(url=page.url))
        self.daemon.start()
        self.web = Web(self.daemon.state, runtime=self.daemon.runtime)
        self.port = int(page.url.split(":")[2].split("/")[0])

    def close(self) -> None:
        if self.web.process.poll() is None:
            self.web.close()
        self.daemon.stop()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Host]]:
    with Page("/health").serve() as one, Page("/health").serve() as other:
        made: list[Host] = []
        try:
            for number, page in enumerate((one, other), 1):
                page.body = f"gpu-{number}".encode()
                made.append(Host(tmp_path / f"gpu-{number}", page))
            yield made
        finally:
            for host in made:
                host.close()


@pytest.fixture
def ask(hosts: list[Host], tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Asks through HAProxy: which host answers. As configured, but for addresses and intervals."""
    port, text = closed_port(), CONFIG.read_text()
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("balance leastconn", "balance roundrobin")
    text = text.replace("check inter 2s fall 2 rise 2 port 8712", "check inter 100ms fall 2 rise 2")
    for number, host in enumerate(hosts, 1):
        text, made = re.subn(rf"server gpu-{number} \S+", rf"server gpu-{number} 127.0.0.1:{host.port} port {host.web.port}", text)
        assert made == 1
    (tmp_path / "haproxy.cfg").write_text(text)
    log = (tmp_path / "haproxy.log").open("w")
    process = subprocess.Popen([str(PROGRAM), "-db", "-f", str(tmp_path / "haproxy.cfg")], env=find_libraries(), stdout=log, stderr=log)

    def answer() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
                return str(response.read().decode())
        except OSError as error:
            return str(error)

    yield answer
    process.terminate()
    process.wait(10)
    log.close()


def test_haproxy_finds_no_fault_in_its_file() -> None:
    done = subprocess.run([str(PROGRAM), "-c", "-f", str(CONFIG)], env=find_libraries(), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stdout + done.stderr


def test_a_sick_service_gets_no_requests_until_it_is_well(hosts: list[Host], ask: Callable[[], str]) -> None:
    def answering() -> set[str]:
        return {ask() for _ in range(6)}

    def said() -> str:
        return f"{answering()}\n" + "\n".join(host.web.ask("/ready/chatglm")[2] + host.daemon.log()[-800:] for host in hosts)

    sick, well = hosts
    wait_until(lambda: answering() == {"gpu-1", "gpu-2"}, 15, said)
    sick.page.status = 500
    wait_until(lambda: answering() == {"gpu-2"}, 15, said)
    assert sick.web.ask("/ready/chatglm")[0] == 503
    holds_for(lambda: ask() == "gpu-2", 1, said)
    sick.page.status = 200
    wait_until(lambda: answering() == {"gpu-1", "gpu-2"}, 15, said)

    sick.daemon.kill()
    holds_for(lambda: len(answering()) == 2, 1, said)  # a watchdog that is away takes nobody out
    well.web.process.kill()
    wait_until(lambda: answering() == {"gpu-1"}, 15, said)
