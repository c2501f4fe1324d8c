"""Real parts for the tests: a systemd in a box, endpoints that misbehave, receivers of messages, a clock that can be stepped."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.register_assert_rewrite("tests.rig")

from scripts.tables import ROWS  # noqa: E402
from tests.rig import box as boxes  # noqa: E402
from tests.rig import installed as installation  # noqa: E402
from tests.rig.chaos import Chaos  # noqa: E402
from tests.rig.fakenvml import FakeNvml  # noqa: E402
from tests.rig.wallclock import WallClock, compiler  # noqa: E402
from tests.rig.watched_box import PREFIX, WatchedBox  # noqa: E402

if TYPE_CHECKING:
    from tests.rig.certificates import Certificates
    from tests.rig.sinks import HttpSink, SmtpSink

REQUIRE = "WATCHDOG_REQUIRE_SYSTEMD"
NOT_RUN = "REAL-SYSTEMD TESTS NOT RUN"


# ---------------------------------------------------------------- a real systemd
def cannot(reason: str) -> None:
    """Skips loudly, or fails where the machine is required to be able."""
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but: {reason}", pytrace=False)
    pytest.skip(f"{NOT_RUN}: {reason}")


@pytest.fixture(scope="session")
def box_available() -> None:
    """Skips, or fails, where no box can be had."""
    if reason := boxes.why_not():
        cannot(reason)


@pytest.fixture(scope="session")
def installed(box_available: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as installed, to be bound to /opt/model-watchdog: bin/watchdog and bin/python, for every user."""
    if reason := installation.why_not():
        cannot(reason)
    return installation.build(tmp_path_factory.mktemp("installed") / "model-watchdog")


MakeBox = Callable[..., WatchedBox]


def make_boxes(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeBox]:
    running: list[WatchedBox] = []

    def make(*, read_only_binds: Any = (), **options: Any) -> WatchedBox:
        directory = tmp_path_factory.mktemp("box") / "box"
        made = WatchedBox(directory, read_only_binds=[(installed, PREFIX), *read_only_binds], **options)
        made.start()
        running.append(made)
        return made

    try:
        yield make
    finally:
        for box in running:
            if box.directory.exists():
                box.stop()


@pytest.fixture
def make_box(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeBox]:
    """Boots boxes with options of `Box`: make_box(cgroup="v2", private_network=True, binds=[(source, target)])."""
    yield from make_boxes(installed, tmp_path_factory)


@pytest.fixture
def box(make_box: MakeBox) -> WatchedBox:
    """A fresh box, with the project at /opt/model-watchdog and tests/rig at /opt/rig."""
    return make_box()


@pytest.fixture(scope="module")
def module_box(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedBox]:
    """One box for all tests of a module; they clean up after themselves."""
    for make in make_boxes(installed, tmp_path_factory):
        yield make()


# ---------------------------------------------------------------- languages
@pytest.fixture
def english_again() -> Iterator[None]:
    """For a test that has a command find out which language to speak."""
    from model_watchdog.language import speak

    yield
    speak("en")


@pytest.fixture
def chinese() -> Iterator[None]:
    """Chinese is spoken."""
    from model_watchdog.language import speak

    speak("zh")
    yield
    speak("en")


# ---------------------------------------------------------------- endpoints
@pytest.fixture
def start_chaos() -> Iterator[Callable[..., Chaos]]:
    """Starts misbehaving endpoints: start_chaos(certfile, keyfile), start_chaos(port=…)."""
    running: list[Chaos] = []

    def start(*arguments: Any, **options: Any) -> Chaos:
        running.append(Chaos(*arguments, **options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def chaos(start_chaos: Callable[..., Chaos]) -> Chaos:
    """A misbehaving HTTP endpoint, which behaves until told otherwise."""
    return start_chaos()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> "Certificates":
    """An authority, a good certificate and the bad ones."""
    from tests.rig.certificates import make

    return make(tmp_path_factory.mktemp("certificates"))


# ---------------------------------------------------------------- receivers of messages
@pytest.fixture
def http_sink() -> Iterator["HttpSink"]:
    """A receiver for apprise's json://."""
    from tests.rig.sinks import HttpSink

    sink = HttpSink()
    yield sink
    sink.close()


@pytest.fixture
def smtp_sink() -> Iterator["SmtpSink"]:
    """A mail server for apprise's mailto://."""
    from tests.rig.sinks import SmtpSink

    sink = SmtpSink()
    yield sink
    sink.close()


# ---------------------------------------------------------------- clocks
@pytest.fixture
def wallclock(tmp_path_factory: pytest.TempPathFactory) -> WallClock:
    """A wall clock that can be stepped."""
    if not compiler():
        pytest.skip("WALL-CLOCK TESTS NOT RUN: no C compiler (as root: apt-get install gcc libc6-dev)")
    directory = tmp_path_factory.mktemp("wallclock")
    directory.chmod(0o755)
    return WallClock(directory)


# ---------------------------------------------------------------- GPUs
@pytest.fixture(scope="session")
def fakenvml_built(tmp_path_factory: pytest.TempPathFactory) -> FakeNvml:
    """The stand-in for the driver's library, compiled once."""
    if not compiler():
        pytest.skip("GPU TESTS NOT RUN: no C compiler (as root: apt-get install gcc libc6-dev)")
    directory = tmp_path_factory.mktemp("fakenvml")
    directory.chmod(0o755)
    return FakeNvml(directory)


@pytest.fixture
def fakenvml(fakenvml_built: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNvml]:
    """Two GPUs, for this process's children: what the driver's library says is told by `set`."""
    for name, value in fakenvml_built.environment().items():
        monkeypatch.setenv(name, value)
    fakenvml_built.set("count=2")
    yield fakenvml_built
    fakenvml_built.set("count=2")  # what hangs may go on, and end


# ---------------------------------------------------------------- the table of faults
FaultRow = Callable[[str | int, str, int | str, int | str], None]


@pytest.fixture
def fault_row(request: pytest.FixtureRequest) -> Iterator[FaultRow]:
    """fault_row(number, injection, restarts, messages): one line of the table that `make faults` prints, as seen from outside."""
    rows: list[dict[str, Any]] = []

    def record(number: str | int, injection: str, restarts: int | str, messages: int | str) -> None:
        rows.append({"number": str(number), "injection": injection, "restarts": str(restarts), "messages": str(messages)})

    yield record
    if path := os.environ.get(ROWS):
        with open(path, "a") as file:
            file.writelines(json.dumps({**row, "test": request.node.nodeid}) + "\n" for row in rows)


# ---------------------------------------------------------------- what pytest is told
def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="only the tests that record a row of the table of faults")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "box_available" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real)
    if config.getoption("--faults"):
        chosen = [item for item in items if "fault_row" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NOT_RUN in str(report.longrepr)]
    if skipped:
        reason = str(skipped[0].longrepr[2] if isinstance(skipped[0].longrepr, tuple) else skipped[0].longrepr)
        terminalreporter.write_line(f"{len(skipped)} {reason.removeprefix('Skipped: ')}", red=True, bold=True)
