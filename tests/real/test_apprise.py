"""apprise in its child process, against real receivers on this machine; and what of an address may be seen: nothing."""

import asyncio
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model_watchdog.config.model import NotifierConfig
from model_watchdog.core.rule import Severity
from model_watchdog.core.units import Seconds, Secret
from model_watchdog.errors import NotifyError
from model_watchdog.notifiers import Message
from model_watchdog.notifiers import apprise as apprise_module
from model_watchdog.notifiers.apprise import Apprise, check_url, scrub
from model_watchdog.outbox import Delivery, Outbox
from model_watchdog.store import Store
from tests.rig.sinks import HttpSink, SmtpSink
from tests.rig.waiting import wait_until

SRC = Path(apprise_module.__file__).parents[2]
PLANTED = ("us3rname", "pa55word", "t0ken-in-path", "k3y-in-query")


def a_message(severity: Severity = Severity.CRITICAL) -> Message:
    return Message("key", severity, "box: whisper is down – 已停止", "What  it ends <b>&amp; again</b>\nNext  journalctl -u whisper")


def send(url: str, message: Message | None = None, seconds: float = 30.0) -> str | None:
    """None, or the error."""
    try:
        asyncio.run(Apprise(Secret(url), Seconds(seconds)).send(message or a_message()))
    except NotifyError as error:
        return str(error)
    return None


def with_secrets(sink: HttpSink) -> str:
    return f"json://us3rname:pa55word@127.0.0.1:{sink.port}/t0ken-in-path?+X-Key=k3y-in-query"


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        await asyncio.sleep(0.01)


def children() -> set[int]:
    """The living children of this process."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                status = (entry / "status").read_text()
                if f"\nPPid:\t{os.getpid()}\n" in status and "\nState:\tZ" not in status:
                    found.add(int(entry.name))
        except OSError:
            continue  # it has ended
    return found


@pytest.mark.parametrize(("severity", "kind"), [(Severity.INFO, "info"), (Severity.WARNING, "warning"), (Severity.CRITICAL, "failure")])
def test_a_message_arrives_as_it_is(http_sink, severity, kind):
    message = a_message(severity)
    began = time.monotonic()
    assert send(http_sink.url, message) is None
    assert time.monotonic() - began < 5
    (received,) = http_sink.messages
    assert (received.title, received.body, received.kind) == (message.title, message.body, kind)


def test_half_a_character_does_not_cost_the_message(http_sink):
    assert send(http_sink.url, Message("k", Severity.INFO, "a \udce4 b", "c \udce4 d")) is None
    assert http_sink.messages[0].text == "a ? b\nc ? d"


def test_a_mail_arrives(smtp_sink: SmtpSink):
    url = f"mailto://localhost:{smtp_sink.port}?from=watchdog@box.example&to=ops@box.example&mode=insecure&format=text"
    assert send(url) is None
    (mail,) = smtp_sink.messages
    assert mail.title == a_message().title
    assert "journalctl -u whisper" in mail.body
    assert "<b>&amp; again</b>" in mail.body, "as it is: plain text"


def test_fault_69_provider_down(fault_row):
    error = send("json://127.0.0.1:1/t0ken-in-path")
    assert error is not None
    assert "Connection refused" in error
    assert "t0ken" not in error
    assert "127.0.0.1" not in error, "with some services the token stands where the host does"
    fault_row(69, "json://127.0.0.1:1, nothing listens", 0, "0; queued, tried again after 1, 2, 4 s")


def test_fault_69_the_outbox_tells_it_when_the_provider_is_up(tmp_path, fault_row):
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    sinks: list[HttpSink] = []

    async def main() -> None:
        store = Store.open(tmp_path / "watchdog.db")
        notifier = Apprise(Secret(f"json://127.0.0.1:{port}/"))
        events: list[Delivery] = []
        outbox = Outbox(store, {"ops": NotifierConfig("ops", "apprise", notifier, Severity.INFO)}, on_event=events.append)
        store.put(*outbox.add("ops", a_message()))
        outbox.wake()
        await until(lambda: events)
        assert "Connection refused" in events[0].error
        sinks.append(sink_on(port))
        await until(lambda: outbox.stats()["sent"])
        await outbox.close()
        store.close()

    asyncio.run(main())
    assert [message.title for message in sinks[0].messages] == [a_message().title]
    sinks[0].close()
    fault_row(69, "nothing listens; later it does", 0, 1)


def sink_on(port: int) -> HttpSink:
    """A sink on a port that was refused before."""
    sink = HttpSink()
    relay = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        while True:
            try:
                taken, _ = relay.accept()
            except OSError:
                return
            onward = socket.create_connection(("127.0.0.1", sink.port))
            for source, target in ((taken, onward), (onward, taken)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return sink


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # either side has gone


def test_fault_70_slow_receiver(http_sink, fault_row):
    http_sink.delay = 20.0
    began = time.monotonic()
    error = send(http_sink.url)
    assert error is not None
    assert "timed out" in error
    assert 3 < time.monotonic() - began < 8, "apprise's own 4 seconds"
    fault_row(70, "the receiver takes 20 s", 0, "0 in time; tried again")


def test_fault_70_our_deadline_holds_where_the_address_asks_for_patience(http_sink):
    http_sink.delay = 20.0
    before = children()
    began = time.monotonic()
    assert send(f"{http_sink.url}?rto=15", seconds=1.5) == "no answer within 1.5 s"
    assert time.monotonic() - began < 2.5
    wait_until(lambda: children() <= before, 5, "the child is gone")


def test_fault_70_the_loop_is_free_while_a_message_is_sent(http_sink):
    http_sink.delay = 1.0

    async def main() -> float:
        sending = asyncio.create_task(Apprise(Secret(http_sink.url)).send(a_message()))
        worst = 0.0
        while not sending.done():
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            worst = max(worst, time.perf_counter() - before - 0.01)
        await sending
        return worst

    assert asyncio.run(main()) < 0.1


@pytest.mark.parametrize(("row", "status"), [(71, 429), (71, 500), (72, 401), (71, 302)])
def test_fault_71_72_the_receiver_says_no(http_sink, row, status, fault_row):
    http_sink.status = status
    error = send(with_secrets(http_sink))
    assert error is not None
    assert str(status) in error
    assert http_sink.attempts
    assert not http_sink.messages
    fault_row(row, f"HTTP {status}", 0, "0; queued, tried again")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nosuch://t0ken-in-path", r"no apprise notifier understands this address \(nosuch://\); see the list"),
        ("tgram://t0ken-in-path", r"apprise knows tgram://, but this address is not complete or not right: "),
        ("mailto://us3rname:pa55word@127.0.0.1?from=k3y-in-query@y.z", r"apprise knows mailto://, but "),
        ("", r"begins with a scheme"),
        ("t0ken-in-path", r"begins with a scheme"),
        ("${DINGTALK_URL}", r"begins with a scheme"),
        ("t0ken in path://pa55word", r"begins with a scheme"),
    ],
)
def test_fault_75_no_or_invalid_url(url, words, fault_row):
    for error in (check_url(url), send(url)):
        assert error is not None
        assert re.search(words, error), error
        assert not any(secret in error for secret in PLANTED), error
    fault_row(75, f"the address is {url.split('://')[0] or 'empty'}", 0, 0)


def test_an_address_that_is_understood_passes_the_check(http_sink, smtp_sink):
    assert check_url(with_secrets(http_sink)) is None
    assert check_url(f"mailtos://us3rname:pa55word@localhost:{smtp_sink.port}?to=ops@box.example") is None
    assert not http_sink.attempts, "nothing is sent"


def test_fault_74_the_secret_is_nowhere_to_be_seen(http_sink, tmp_path, caplog, capfd):
    """Not in arguments and environment of the child while it runs, not in logs, errors, standard output, or the record."""
    caplog.set_level(logging.DEBUG)
    http_sink.delay, http_sink.status = 1.0, 500
    seen: list[bytes] = []
    before = children()

    async def main() -> None:
        store = Store.open(tmp_path / "watchdog.db")
        notifier = Apprise(Secret(with_secrets(http_sink)))
        events: list[Delivery] = []
        outbox = Outbox(store, {"ops": NotifierConfig("ops", "apprise", notifier, Severity.INFO)}, on_event=events.append)
        store.put(*outbox.add("ops", a_message()))
        outbox.wake()
        while not events:
            for pid in children() - before:
                for name in ("cmdline", "environ"):
                    try:
                        seen.append(Path(f"/proc/{pid}/{name}").read_bytes())
                    except OSError:
                        continue  # it has ended
            await asyncio.sleep(0.02)
        assert await store.commit()
        await outbox.close()
        store.close()
        logging.getLogger("test").info("%r %s %r", notifier, notifier.url, events)

    os.environ["DINGTALK_URL"] = "dingtalk://pa55word"
    try:
        asyncio.run(main())
    finally:
        del os.environ["DINGTALK_URL"]
    assert any(b"model_watchdog.notifiers.apprise" in text for text in seen), "the child was looked at"
    output = "".join(capfd.readouterr())
    places = [*seen, caplog.text.encode(), output.encode(), (tmp_path / "watchdog.db").read_bytes()]
    for place in places:
        for secret in PLANTED:
            assert secret.encode() not in place, place[:2000]
    assert b"error=500" in (tmp_path / "watchdog.db").read_bytes()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("could not send to json://u:pw@host/tok", "could not send to ***"),
        ("Token abc-DEF%2F1 refused", "Token *** refused"),
        ("token ABC-def/1 refused", "token *** refused"),
        ("user us3rname on h.example: 535 pa55 word", "user *** on ***: 535 ***"),
        ("nothing of it", "nothing of it"),
    ],
)
def test_every_part_of_an_address_is_masked_however_it_is_written(text, clean):
    assert scrub(text, "json://us3rname:pa55%20word@h.example:8443/abc-DEF%2F1?k=v") == clean


def test_a_child_that_is_killed_is_an_error_and_no_more(http_sink):
    http_sink.delay = 3.0
    before = children()

    def kill_it() -> None:
        wait_until(lambda: http_sink_is_asked(http_sink, children() - before), 10)

    def http_sink_is_asked(sink: HttpSink, found: set[int]) -> bool:
        for pid in found:
            try:
                if b"model_watchdog.notifiers.apprise" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    return True
            except OSError:
                continue  # it has ended
        return False

    killer = threading.Thread(target=kill_it)
    killer.start()
    error = send(http_sink.url)
    killer.join()
    assert error == "the child process that sends ended without an answer (killed by signal 9)"


def test_a_cancelled_send_ends_its_child(http_sink):
    http_sink.delay = 20.0
    before = children()

    async def main() -> None:
        sending = asyncio.create_task(Apprise(Secret(f"{http_sink.url}?rto=19")).send(a_message()))
        await until(lambda: children() - before)
        await asyncio.sleep(0.3)  # it imports, or waits for the receiver: whatever it does
        began = time.monotonic()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert time.monotonic() - began < 0.5
        await until(lambda: not children() - before)

    asyncio.run(main())


NO_DESCRIPTORS = """
import asyncio, os, resource, sys
from model_watchdog.core.rule import Severity
from model_watchdog.core.units import Secret
from model_watchdog.notifiers import Message
from model_watchdog.notifiers.apprise import Apprise

async def main():
    await asyncio.to_thread(int)  # the thread is there
    descriptor = os.dup(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptor + int(sys.argv[2]), 4096))
    os.close(descriptor)
    await Apprise(Secret(sys.argv[1])).send(Message("k", Severity.INFO, "t", "b"))
    print("apprise" in sys.modules)

asyncio.run(main())
"""


@pytest.mark.parametrize("descriptors", [4, 5, 6])
def test_without_a_child_it_is_sent_in_process_as_the_last_resort(http_sink, descriptors):
    """So few descriptors are left that the pipes of a child cannot be had, but a connection can."""
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    command = [sys.executable, "-c", NO_DESCRIPTORS, http_sink.url, str(descriptors)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment, check=False)
    assert done.stdout.strip() == "True", done.stderr
    assert "event=notify_in_process" in done.stderr
    assert len(http_sink.messages) == 1


def test_the_daemon_does_not_load_apprise(http_sink):
    code = (
        "import asyncio, sys; from model_watchdog.core.rule import Severity; from model_watchdog.core.units import Secret;"
        "from model_watchdog.notifiers import Message; from model_watchdog.notifiers.apprise import Apprise, check_url;"
        "check_url(sys.argv[1]); asyncio.run(Apprise(Secret(sys.argv[1])).send(Message('k', Severity.INFO, 't', 'b')));"
        "print([name for name in sys.modules if name.split('.')[0] in ('apprise', 'requests')])"
    )
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run(
        [sys.executable, "-c", code, http_sink.url], capture_output=True, text=True, timeout=30, env=environment, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture
def installed_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A virtual environment that finds the package as an installed one does, by a file in its site-packages."""
    directory = tmp_path_factory.mktemp("venv")

    def make() -> Path:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True, timeout=60)
        (site_packages,) = directory.glob("lib/python*/site-packages")
        libraries = [path for path in sys.path if path.endswith("site-packages")]
        (site_packages / "installed.pth").write_text("\n".join([str(SRC), *libraries]) + "\n")
        return directory / "bin" / "python"

    return make


def test_it_works_installed_without_any_variable_and_from_any_directory(http_sink, installed_environment, tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('the current directory was searched')\n")
    code = (
        "import asyncio, sys; sys.path.remove(''); from model_watchdog.core.rule import Severity;"
        "from model_watchdog.core.units import Secret; from model_watchdog.notifiers import Message;"
        "from model_watchdog.notifiers.apprise import Apprise;"
        "asyncio.run(Apprise(Secret(sys.argv[1])).send(Message('k', Severity.INFO, 't', 'b')))"
    )
    command = [installed_environment(), "-c", code, http_sink.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={}, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert len(http_sink.messages) == 1
