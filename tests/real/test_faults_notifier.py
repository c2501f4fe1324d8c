"""Faults of those who are told: down, slow, not understood. And no secret is anywhere to be seen, whatever happens."""

import re
import socket
import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.conftest import FaultRow
from tests.rig.chaos import Chaos, closed_port
from tests.rig.sinks import HttpSink
from tests.rig.stand import Model, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import CONFIG, DAEMON, USER, WATCHDOG

WELL = "was restarted and is well again"


def notifier(name: str, url: str) -> str:
    return f"  {name}: {{kind: apprise, url: '{url}', min_severity: info}}\n"


def watch_counted(stand: Stand, sink: HttpSink, chaos: Chaos, more: str) -> Model:
    """A model, and beside it an endpoint that counts how often it is asked (every 100 ms); `more` are further notifiers."""
    model = stand.model()
    model.start()
    health = "{kind: http, url: 'http://127.0.0.1:%d/health', every: 100ms, timeout: 100ms}"
    probes = f"{{unit: {{kind: unit, every: 1s}}, health: {health % model.port}, counted: {health % chaos.port}}}"
    stand.watch(sink, model.config(stable="300ms", probes=probes), more=more)
    stand.wait_state("healthy", model)
    return model


def longest_wait(chaos: Chaos, since: float) -> float:
    """Seconds between two questions to the endpoint, at most; `since` is CLOCK_MONOTONIC."""
    times = [since, *(request["at"] for request in chaos.requests("/health") if request["at"] > since), time.monotonic()]
    return max(later - earlier for earlier, later in pairwise(times))


def queued(stand: Stand) -> int:
    return int(stand.box.status()["notifications"]["queued"])


def test_fault_69_provider_down(
    stand: Stand, http_sink: HttpSink, chaos: Chaos, start_chaos: Callable[..., Chaos], fault_row: FaultRow
) -> None:
    """One provider refuses connections, another answers 503 twice; a third is well and need not wait for them."""
    port, ill = closed_port(), HttpSink()
    ill.answer = lambda attempt: 503 if attempt <= 2 else 200
    model = watch_counted(stand, http_sink, chaos, notifier("down", f"json://127.0.0.1:{port}/hook") + notifier("ill", ill.url))
    began = time.monotonic()
    model.kill()
    stand.message(WELL)
    assert not ill.messages
    wait_until(lambda: queued(stand) == 2, 5, stand.log)
    assert stand.box.watchdog("status", check=False).returncode == 0, "who is not told is no worse for it"
    wait_until(lambda: len(ill.attempts) == 2, 10, stand.log)
    back = start_chaos(port=port)
    back.wait_for(1, "/hook")
    ill.wait_for(1)
    waits = [later.at - earlier.at for earlier, later in pairwise(ill.attempts)]
    for wait, wanted in zip(waits, (1.0, 2.0), strict=True):
        assert 0.9 * wanted - 0.1 <= wait <= 1.1 * wanted + 1.5, waits  # the sending itself takes a while, too
    wait_until(lambda: queued(stand) == 0, 5, stand.log)
    stand.stays((model, 1), messages=1, seconds=0.5)
    assert (back.count("/hook"), len(ill.messages)) == (1, 1)
    assert longest_wait(chaos, began) < 1.0
    ill.close()
    fault_row(69, "the provider refuses connections, then 1 to 4 s later does not", model.restarts, back.count("/hook"))
    fault_row(69, "the provider answers 503 twice", model.restarts, len(ill.messages))


def test_fault_70_slow_provider(stand: Stand, http_sink: HttpSink, chaos: Chaos, fault_row: FaultRow) -> None:
    """The model crashes again while a message is under way to somebody who takes 20 s for an answer."""
    slow = SlowSink()
    model = watch_counted(stand, http_sink, chaos, notifier("slow", slow.url))
    began = time.monotonic()
    model.kill()
    stand.message(WELL)
    assert slow.asked.wait(5)
    asked = time.monotonic()
    model.kill()
    wait_until(lambda: len(http_sink.messages) == 2, 5, stand.log)
    assert model.restarts == 2
    assert http_sink.messages[1].at < asked + 3.5, "it waited for the slow one"
    wait_until(lambda: "not_told" in [event["event"] for event in stand.box.events()], 10, stand.log)
    assert 3.5 < time.monotonic() - asked < 7, "apprise's own 4 seconds"
    slow.delay = 0.0
    wait_until(lambda: queued(stand) == 0, 10, stand.log)
    assert len(slow.messages) == 2
    assert longest_wait(chaos, began) < 1.0
    stand.stays((model, 2), messages=2, seconds=0.5)
    slow.close()
    fault_row(70, "the provider takes 20 s to answer", model.restarts, len(slow.messages))


@pytest.mark.parametrize("status", [429, 500])
def test_fault_71_provider_says_429_or_500(stand: Stand, http_sink: HttpSink, status: int, fault_row: FaultRow) -> None:
    """What it says of when to come back does not reach us through apprise: the waits are our own."""
    ill = HttpSink()
    ill.answer = lambda attempt: status if attempt <= 3 else 200
    model = stand.model()
    model.start()
    stand.watch(http_sink, model.config(stable="300ms"), more=notifier("ill", ill.url))
    stand.wait_state("healthy", model)
    model.kill()
    stand.message(WELL)
    ill.wait_for(1, timeout=20)
    waits = [later.at - earlier.at for earlier, later in pairwise(ill.attempts)]
    for wait, wanted in zip(waits, (1.0, 2.0, 4.0), strict=True):
        assert 0.9 * wanted - 0.1 <= wait <= 1.1 * wanted + 1.5, waits
    wait_until(lambda: queued(stand) == 0, 5, stand.log)
    assert stand.box.status()["daemon"]["problems"] == [], "it is not the credentials"
    stand.stays((model, 1), messages=1, seconds=0.5)
    ill.close()
    fault_row(71, f"the provider answers {status} three times", model.restarts, len(ill.messages))


@pytest.mark.parametrize("status", [401, 403])
def test_fault_72_provider_refuses_the_credentials(stand: Stand, http_sink: HttpSink, status: int, fault_row: FaultRow) -> None:
    refusing = HttpSink()
    refusing.status = status
    model = stand.model()
    model.start()
    stand.watch(http_sink, model.config(stable="300ms"), more=notifier("chat", refusing.url))
    stand.wait_state("healthy", model)
    model.kill()
    stand.message(WELL)
    wait_until(lambda: len(refusing.attempts) == 2, 10, stand.log)
    assert stand.box.status()["daemon"]["problems"] == [], "it may have been an accident"
    wait_until(lambda: stand.box.status()["daemon"]["problems"], 10, stand.log)
    assert len(refusing.attempts) == 3
    (problem,) = stand.box.status()["daemon"]["problems"]
    assert (problem["cause"], problem["service"]) == ("cannot_act", None)
    assert "notifier chat is misconfigured" in problem["reason"] and f"error={status}" in problem["reason"], problem
    assert "watchdog notify-test chat" in problem["remedy"]
    shown = stand.box.watchdog("status", check=False)
    assert shown.returncode == 1 and "notifier chat is misconfigured" in shown.stdout, shown.stdout
    model.kill()
    wait_until(lambda: len(http_sink.messages) == 2, 10, stand.log)  # the others are told all the same
    stand.box.systemctl("restart", DAEMON)
    assert len(stand.box.status()["daemon"]["problems"]) == 1, "and a restart of the daemon does not mend it"
    refusing.status = 200
    stand.box.watchdog("notify-test", "chat")
    wait_until(lambda: stand.box.status()["daemon"]["problems"] == [], 10, stand.log)
    wait_until(lambda: queued(stand) == 0, 40, stand.log)
    told = [message.title for message in refusing.messages if WELL in message.title]
    assert len(told) == 2, "it was tried again all the time"
    events = [event["event"] for event in stand.box.events()]
    assert (events.count("notifier_misconfigured"), events.count("notifier_misconfigured_over")) == (1, 1)
    refusing.close()
    fault_row(72, f"the provider answers {status}", model.restarts, len(http_sink.messages))


FLOOD, FLOOD_SECONDS = 500, 10.0


def test_fault_73_flood_of_incidents(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """500 services fail within 10 s, each with a message of its own, half of them critical: their endpoint is silent, and one after
    the other times out.
    """
    lines = []
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(FLOOD)
        for number in range(FLOOD):
            timeout = 4000 + round(1000 * FLOOD_SECONDS * number / FLOOD)
            health = f"{{kind: http, url: 'http://127.0.0.1:{silent.getsockname()[1]}/', every: 1h, timeout: {timeout}ms, retry_every: 1h}}"
            rule = f"{{metric: 'probe_success{{probe=\"health\"}}', below: 1, severity: {'critical' if number % 2 else 'warning'}}}"
            recovery = "{kind: command, command: [/bin/true]}"
            rules = f"{{unhealthy: off, gone: {rule}}}"
            lines.append(f"f{number}: {{startup: 100ms, recovery: {recovery}, probes: {{health: {health}}}, rules: {rules}}}")
        stand.watch(http_sink, *lines)
        began = time.monotonic()
        http_sink.wait_for(1, timeout=20)
        wait_until(lambda: fired(stand) == FLOOD, 30, lambda: f"{fired(stand)} alerts\n{stand.log()}", every=0.5)
        flooded = time.monotonic() - began
        assert len(http_sink.messages) == 1, "the first at once, and nothing more yet"
        wait_until(lambda: queued(stand) == 0, 60, stand.log, every=0.5)
    sent = [(round(message.at - began, 1), message.title) for message in http_sink.messages]
    assert len(sent) == 2, sent
    first, second = http_sink.messages
    assert second.at - first.at >= 29.5, sent
    assert second.title.startswith("[critical]") and second.title.endswith(f": {FLOOD - 1} messages at once"), sent
    assert re.search(r"499 messages within \d+ s: (249|250) critical, (249|250) warning", second.body), second.body
    assert second.body.count("gone fires") == 10 and f"and {FLOOD - 11} more" in second.body, second.body
    assert stand.ask_record("SELECT state, count(*) FROM outbox GROUP BY state") == [["sent", FLOOD]]
    ((restarts,),) = stand.ask_record("SELECT count(*) FROM restart")
    fault_row(73, f"{FLOOD} incidents within {flooded:.0f} s", restarts, len(sent))


def fired(stand: Stand) -> int:
    return int(stand.ask_record("SELECT count(DISTINCT service) FROM event WHERE event = 'alert_fired'")[0][0])


class SlowSink(HttpSink):
    """Takes 20 s for an answer, and by then it is too late. `asked` is set at the first request."""

    def __init__(self) -> None:
        super().__init__()
        self.delay = 20.0
        self.asked = threading.Event()
        self.answer = self._answer

    def _answer(self, attempt: int) -> int:
        self.asked.set()
        return 504 if self.delay else 200


@pytest.mark.parametrize("url", ["nosuch://t0ken-in-path", "tgram://t0ken-in-path", "", "t0ken-in-path"])
def test_fault_75_no_or_invalid_url(stand: Stand, http_sink: HttpSink, url: str, fault_row: FaultRow) -> None:
    box, path = stand.box, "/etc/model-watchdog/other.yaml"
    box.write(path, f"services:\n  a: {{unit: m1.service}}\nnotifiers:\n  odd: {{kind: apprise, url: '{url}'}}\n")
    checked = box.watchdog("--config", path, "check", check=False)
    assert checked.returncode == 2
    assert checked.stdout.startswith(f"{path}:4:29: notifiers.odd.url: "), checked.stdout
    assert "t0ken" not in checked.stdout + checked.stderr
    fault_row(75, f"the address is {url.split('://')[0] or 'empty'!r}", 0, 0)


def test_fault_75_what_is_watched_does_not_suffer(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    model = stand.model()
    model.start()
    stand.watch(http_sink, model.config(stable="300ms"), more=notifier("odd", "nosuch://t0ken-in-path"))
    stand.wait_state("healthy", model)
    tested = stand.box.watchdog("notify-test", check=False)
    assert tested.returncode == 1
    assert "ops: sent" in tested.stdout and "odd: failed: no apprise notifier understands this address (nosuch://)" in tested.stdout
    model.kill()
    stand.message(WELL)
    wait_until(lambda: queued(stand) == 1, 5, stand.log)
    stand.stays((model, 1), messages=2, seconds=0.5)
    assert "t0ken" not in stand.log()
    fault_row(75, "a notifier that nobody understands is configured", model.restarts, len(http_sink.messages))


# ---------------------------------------------------------------- secrets
SECRETS = [f"S3cret{part}" for part in ("User", "Password", "Token", "Bearer", "Header", "File", "Hook", "Path", "Key")]
LONG_BEARER = "S3cretBearer".ljust(75, "x")
"""Longer than what is quoted of a wrong value; its beginning is what must not be seen."""
ENOUGH = "/run/looked-enough"
LOOKER = f"""
import os, time
seen, output = set(), open("/run/looked", "wb", buffering=0)
while not os.path.exists("{ENOUGH}"):
    pids = []
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd"):
        try:
            pids += open(root + "/system.slice/{DAEMON}/cgroup.procs").read().split()
        except OSError:
            continue
    for path in (f"/proc/{{pid}}/{{name}}" for pid in pids for name in ("cmdline", "environ")):
        try:
            text = open(path, "rb").read()
        except OSError:
            continue
        if text not in seen:
            seen.add(text)
            output.write(text + b"\\n")
    time.sleep(0.002)
"""
"""Writes down the arguments and the environment of the daemon and of each of its children, as root sees them."""


def secret_probes(good: int, closed: int) -> str:
    """Probes with a secret in every place that can hold one; what they ask is on port `good`, but for the last one's."""
    often = "every: 100ms, timeout: 100ms, retry_every: 100ms"
    asked = {
        "url": f"url: 'http://S3cretUser:S3cretPassword@127.0.0.1:{good}/url?token=S3cretToken'",
        "bearer": f"url: 'http://127.0.0.1:{good}/bearer', contains: good, bearer: {LONG_BEARER}, headers: {{X-Key: S3cretHeader}}",
        "json": f"url: 'http://127.0.0.1:{good}/json', json: {{headers.authorization: good}}, bearer: {LONG_BEARER}",
        "file": f"url: 'http://127.0.0.1:{good}/file', bearer: 'file:/etc/model-watchdog/secret'",
        "closed": f"url: 'http://S3cretUser:S3cretPassword@127.0.0.1:{closed}/?token=S3cretToken'",
    }
    return ", ".join(["{unit: {kind: unit, every: 1s}", *(f"{name}: {{kind: http, {url}, {often}}}" for name, url in asked.items())]) + "}"


def test_fault_74_no_secret_anywhere(stand: Stand, http_sink: HttpSink, chaos: Chaos, fault_row: FaultRow) -> None:
    """In no journal, status, event, record, message, command line or environment, after success and after every kind of failure."""
    box, model = stand.box, stand.model()
    model.start()
    box.write("/run/looker.py", LOOKER)
    box.write("/etc/model-watchdog/secret", "S3cretFile\n", mode="640", owner=f"root:{USER}")
    hook = "json://S3cretHook:S3cretPassword@127.0.0.1:{}/S3cretPath?+X-Key=S3cretKey"
    more = notifier("hook", hook.format(http_sink.port)) + notifier("dead", hook.format(closed_port()))
    looking = box.popen("/usr/bin/python3", "-I", "/run/looker.py")
    stand.watch(http_sink, model.config(startup="500ms", probes=secret_probes(chaos.port, closed_port())), more=more)
    outputs: list[str] = []

    def ask(*command: str) -> None:
        ran = box.watchdog(*command, check=False)
        outputs.extend((ran.stdout, ran.stderr))

    for mode in ("body:good", "echo", "echo:160", "echo:-60", "500", "hang", "loop", "garbage"):
        chaos.set(mode)
        before = chaos.counts()
        for path in ("/url", "/bearer", "/json", "/file"):
            chaos.wait_for(before.get(path, 0) + 3, path)
        ask("status", "--json")
    http_sink.status = 401
    ask("notify-test")
    http_sink.status = 200
    stand.message("could not be restarted")  # for one of the endpoints is closed all the time
    for command in ("status", "events", "events --json", "check", "check --show", "notify-test", "notify-test --local"):
        ask(*command.split())
    box.write("/run/wrong.yaml", box.read(CONFIG).replace("kind: http", "kind: htp").replace("json://", "jsn://"))
    ask("--config", "/run/wrong.yaml", "check")
    box.run("rm", "/run/wrong.yaml")
    box.write(ENOUGH, "")
    assert looking.wait(timeout=10) == 0

    looked = box.read("/run/looked")
    assert all(seen in looked for seen in (f"{WATCHDOG}\0run", "model_watchdog.notifiers.apprise", "systemctl\0", "RUNTIME_DIRECTORY="))
    journal = box.run("journalctl", "--all", "--output=export").stdout
    assert "daemon_started" in journal
    places = {"/proc": looked, "journal": journal, "answers": "".join(outputs), "messages": str([m.text for m in http_sink.attempts])}
    files = ["/var/lib/model-watchdog", "/run", "/tmp", "/var/tmp", "/home"]
    places["files"] = box.run("grep", "-raoF", *(f"--regexp={secret}" for secret in SECRETS), *files, check=False).stdout
    found = {(place, secret) for place, text in places.items() for secret in SECRETS if secret in text}
    assert not found, {place: places[place][-3000:] for place, _ in found}
    paths = {attempt.path for attempt in http_sink.attempts}
    assert any("S3cretPath" in path for path in paths), "and yet it was used"
    headers = {request["path"]: request["headers"] for request in chaos.requests()}
    assert (headers["/bearer"]["x-key"], headers["/file"]["authorization"]) == ("S3cretHeader", "Bearer S3cretFile")
    fault_row(74, "secrets in URLs, headers, a file and a notifier's address", model.restarts, len(http_sink.messages))
