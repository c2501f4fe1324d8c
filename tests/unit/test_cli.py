"""The command line: every mistake gets one line and the right exit code, and nothing is imported that the command does not need."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from model_watchdog import __version__, writes
from model_watchdog.cli import CommandError, find_config, find_runtime_dir, find_state_dir, main, suggest
from model_watchdog.cli import completion as completion_command
from model_watchdog.cli.install import FIRST_CONFIG
from model_watchdog.cli.installation import UNIT, fill_rule, fill_unit, resource
from model_watchdog.cli.main import COMMANDS, GLOBAL_OPTIONS, LATER, build_parser, load_command
from model_watchdog.commands import Commands
from model_watchdog.config.loading import load
from model_watchdog.errors import ConfigError, WatchdogError
from model_watchdog.store import Store
from scripts import man

ROOT = Path(__file__).resolve().parents[2]
CALL = "import sys; from model_watchdog.cli.main import main; sys.exit(main())"


class Answer(SimpleNamespace):
    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """`watchdog …` in this process."""

    def run(*words: str | Path) -> Answer:
        code = main.main([str(word) for word in words])
        told = capsys.readouterr()
        return Answer(code=code, out=told.out, err=told.err)

    return run


def spawn(*words: str, stdout: int = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[str]:
    """`watchdog …` in a process of its own."""
    whole = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}
    return subprocess.run([sys.executable, "-c", CALL, *words], stdout=stdout, stderr=subprocess.PIPE, text=True, env=whole, timeout=30)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A command `check` of the test's own; its `run` can be replaced."""
    module: Any = ModuleType("model_watchdog.cli.check")
    module.HELP = COMMANDS["check"]
    module.EXAMPLES = "  watchdog check --colour red"
    module.add_arguments = lambda parser: parser.add_argument("--colour", choices=("red", "green"))
    module.run = lambda args: 0
    monkeypatch.setitem(sys.modules, "model_watchdog.cli.check", module)
    return module


# ---------------------------------------------------------------- finding the command
def test_version(call: Call) -> None:
    assert call("--version").out == f"watchdog {__version__}\n"
    assert call("check", "--version").out == f"watchdog {__version__}\n"


def test_help_lists_every_command_with_its_line(call: Call) -> None:
    told = call("--help")
    assert (told.code, told.err) == (0, "")
    for name, text in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text)}$", told.out, re.M)
    assert call("-h").out == call("help").out == told.out


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(call: Call, name: str) -> None:
    module = load_command(name)
    assert COMMANDS[name] == module.HELP, "the line in main's table and the module's own"
    assert "watchdog " in module.EXAMPLES
    told = call(name, "--help")
    assert (told.code, told.err) == (0, "")
    assert module.EXAMPLES.rstrip() in told.out
    assert call("help", name).out == told.out
    for option in GLOBAL_OPTIONS:
        assert option in told.out


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_is_a_command_line_that_works(name: str) -> None:
    import shlex

    for line in re.findall(r"^ *(?:sudo )?(?:/opt/model-watchdog/bin/)?watchdog (.*)$", load_command(name).EXAMPLES, re.M):
        words = shlex.split(re.split(r"  +| [|<>&] | && ", line)[0])
        before, found, after = main._split(words)
        assert found == name
        build_parser(name, load_command(name)).parse_args(before + after)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "watchdog: which command? (watchdog --help lists them)"),
        (["statu"], 'watchdog: no such command "statu"; did you mean "status"? (watchdog --help lists them)'),
        (["pasue", "x"], 'watchdog: no such command "pasue"; did you mean "pause"? (watchdog --help lists them)'),
        (["notify"], 'watchdog: no such command "notify"; did you mean "notify-test"? (watchdog --help lists them)'),
        (["xyzzy"], 'watchdog: no such command "xyzzy" (watchdog --help lists them)'),
        (["help", "statu"], 'watchdog: no such command "statu"; did you mean "status"? (watchdog --help lists them)'),
        (["--confg", "x", "check"], 'watchdog: no such option "--confg"; did you mean "--config"? (watchdog --help lists them)'),
        (["--jsn"], 'watchdog: no such option "--jsn"; a command\'s own options stand after the command (watchdog --help lists them)'),
        (["--config"], "watchdog: --config needs a FILE after it"),
        (["check", "--colur", "red"], 'watchdog check: "--colur" is not understood here; did you mean "--colour"? (watchdog check --help'),
        (
            ["check", "--colour", "rde"],
            "watchdog check: argument --colour: invalid choice: 'rde' (choose from 'red', 'green'); did you mean",
        ),
        (["check", "--colour"], "watchdog check: argument --colour: expected one argument (watchdog check --help shows the usage)"),
        (["check", "red"], 'watchdog check: "red" is not understood here (watchdog check --help shows the usage)'),
        (
            ["check", "--col", "red"],
            'watchdog check: "--col" is not understood here',
        ),  # no abbreviations: they would break with a new option
        (["check", "--config="], "watchdog check: argument --config: the path is empty"),
    ],
)
@pytest.mark.usefixtures("command")
def test_wrong_usage_is_64_and_names_the_nearest_right_word(call: Call, words: list[str], said: str) -> None:
    told = call(*words)
    assert told.code == 64
    assert told.out == ""
    assert told.err.startswith(said)
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "watchdog: 要执行哪条命令？（watchdog --help 列出全部）"),
        (["stats"], "watchdog: 没有命令“stats”；是否想输入“status”？（watchdog --help 列出全部）"),
        (["--jsn"], "watchdog: 没有选项“--jsn”；命令自己的选项写在命令之后（watchdog --help 列出全部）"),
        (["--state-dir"], "watchdog: --state-dir 之后须有 DIR"),
        (["drill"], f"watchdog: drill 尚未支持；当前版本为 {__version__}"),
        (["completion"], "watchdog: 用于哪种 shell？watchdog completion bash、zsh 或 fish"),
        (
            ["pause", "a", "--for", "tea", "--reason", "x"],
            'watchdog pause: 参数 --for："tea" 不是时长；应写作 500ms、10s、5m、2h 或 7d（用法见 watchdog pause --help）',
        ),
        (
            ["pause", "a", "--for", "30", "--reason", "x"],
            'watchdog pause: 参数 --for："30" 缺少单位；是否想写 30s？（用法见 watchdog pause --help）',
        ),
        (
            ["pause", "a", "--for", "1m", "--reason", " "],
            "watchdog pause: 参数 --reason：为空；请用几个字说明原因（用法见 watchdog pause --help）",
        ),
        (["pause", "a"], "watchdog pause: 缺少参数：--for, --reason（用法见 watchdog pause --help）"),
        (["pause", "a", "--for"], "watchdog pause: 参数 --for：后面须有一个值（用法见 watchdog pause --help）"),
        (["resume"], "watchdog resume: 须写以下参数之一：service --all（用法见 watchdog resume --help）"),
        (["resume", "a", "--all"], "watchdog resume: 参数 --all：不能与 service 同用（用法见 watchdog resume --help）"),
        (["status", "--all"], "watchdog status: 无法识别“--all”（用法见 watchdog status --help）"),
        (["status", "--json=1"], "watchdog status: 参数 --json：不带值，却写了 '1'（用法见 watchdog status --help）"),
        (["status", "--json", "--watch"], "watchdog status: 参数 --watch：不能与 --json 同用（用法见 watchdog status --help）"),
        (["check", "--state-dir="], "watchdog check: 参数 --state-dir：路径为空（用法见 watchdog check --help）"),
    ],
)
@pytest.mark.usefixtures("english_again")
def test_wrong_usage_is_told_in_the_language_of_the_configuration(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("language: zh\n")
    monkeypatch.setenv("MODEL_WATCHDOG_CONFIG", str(config))
    told = call(*words)
    assert (told.code, told.err) == (64, f"{said}\n")


@pytest.mark.usefixtures("english_again")
def test_wrong_usage_is_told_in_the_language_of_the_configuration_that_it_names(call: Call, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("language: zh\n")
    for options in (["--config", config], [f"--config={config}"]):
        assert call(*options, "stats").err.startswith("watchdog: 没有命令“stats”")
        assert call("stats", *options).err.startswith("watchdog: 没有命令“stats”")
    assert call("stats").err.startswith("watchdog: no such command")


@pytest.mark.parametrize("name", sorted(LATER))
def test_commands_of_later_versions(call: Call, name: str) -> None:
    told = call(name, "--whatever")
    assert (told.code, told.err) == (64, f"watchdog: {name} arrives later; this is version {__version__}\n")


@pytest.mark.parametrize("words", [("pause", "--for", "1m", "--reason", "x"), ("resume",), ("resume", "bert", "--all")])
def test_one_service_or_all(call: Call, words: tuple[str, ...]) -> None:
    told = call(*words)
    assert told.code == 64 and "--all" in told.err


@pytest.mark.parametrize("words", [("pause", "bert", "--for", "1m"), ("restart", "bert")])
@pytest.mark.parametrize("reason", ["", "  ", "\x1b[2J\u200b"])
def test_a_reason_says_something(call: Call, words: tuple[str, ...], reason: str) -> None:
    told = call(*words, "--reason", reason)
    assert told.code == 64 and "--reason: it is empty" in told.err


@pytest.mark.parametrize("request_", [{"command": "pause", "seconds": 60}, {"command": "restart"}])
@pytest.mark.parametrize("reason", ["", " ", "\x1b[2J", None, 7])
def test_the_daemon_wants_a_reason_too(request_: dict[str, Any], reason: object) -> None:
    daemon: Any = SimpleNamespace(watches={"bert": object()}, dry_run=False)
    answer = asyncio.run(Commands(daemon).handle({**request_, "service": "bert", "reason": reason}, 0))
    assert (answer["ok"], answer["error"]) == (False, "bad_request")


def test_the_manual_page_says_what_the_commands_say() -> None:
    assert (ROOT / "docs" / "watchdog.1").read_text() == man.write(), "write it anew: make man"
    if shutil.which("man"):
        done = subprocess.run(["man", "-l", "--warnings", ROOT / "docs" / "watchdog.1"], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr


def test_global_options_stand_before_or_after_the_command(call: Call, command: Any) -> None:
    seen: list[tuple[Any, ...]] = []

    def run(args: Any) -> int:
        seen.append((args.config, args.state_dir, args.runtime_dir, args.colour))
        return 0

    command.run = run
    call("--config", "/c.yaml", "--state-dir=/s", "check", "--runtime-dir", "/r", "--colour", "red")
    call("check", "--colour=red", "--config=/c.yaml", "--runtime-dir", "/r", "--state-dir", "/s")
    call("check")
    assert seen == [(Path("/c.yaml"), Path("/s"), Path("/r"), "red")] * 2 + [(None, None, None, None)]


def test_where_things_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MODEL_WATCHDOG_CONFIG", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)

    def found(**given: Path | None) -> list[Path]:
        args = SimpleNamespace(**{"config": None, "state_dir": None, "runtime_dir": None, **given})
        return [find(args) for find in (find_config, find_state_dir, find_runtime_dir)]  # type: ignore[arg-type]

    assert [*map(str, found())] == ["/etc/model-watchdog/config.yaml", "/var/lib/model-watchdog", "/run/model-watchdog"]
    monkeypatch.setenv("MODEL_WATCHDOG_CONFIG", "/e.yaml")
    monkeypatch.setenv("STATE_DIRECTORY", "/s1:/s2")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/r1")
    assert [*map(str, found())] == ["/e.yaml", "/s1", "/r1"]
    given = {"config": Path("/c"), "state_dir": Path("/s"), "runtime_dir": Path("/r")}
    assert [*map(str, found(**given))] == ["/c", "/s", "/r"]


def test_suggest() -> None:
    assert suggest("chatgml", ["chatglm", "qwen"]) == '; did you mean "chatglm"?'
    assert suggest("--jsno", ["--json", "--version"]) == '; did you mean "--json"?'
    assert suggest("zzz", ["chatglm"]) == suggest("x", []) == ""


# ---------------------------------------------------------------- errors
def fails_with(error: BaseException) -> Callable[[object], int]:
    def run(args: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (WatchdogError("the record is damaged"), 1, "watchdog: the record is damaged\n"),
        (CommandError("no such service", 4), 4, "watchdog: no such service\n"),
        (ConfigError("c.yaml:1:1: wrong\nc.yaml:2:1: wrong too"), 2, "c.yaml:1:1: wrong\nc.yaml:2:1: wrong too\n"),
        (PermissionError(13, "Permission denied", "/var/x"), 1, "watchdog: /var/x: Permission denied\n"),
        (OSError("odd"), 1, "watchdog: odd\n"),
        (KeyboardInterrupt(), 130, ""),
        (ZeroDivisionError("oh"), 70, "this is a bug in watchdog: ZeroDivisionError: oh (MODEL_WATCHDOG_DEBUG=1 shows where)\n"),
    ],
)
def test_errors_are_a_line_and_an_exit_code(
    call: Call, command: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    monkeypatch.delenv("MODEL_WATCHDOG_DEBUG", raising=False)
    command.run = fails_with(error)
    told = call("check")
    assert (told.code, told.out, told.err) == (code, "", said)


def test_a_bug_shows_where_when_asked(call: Call, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_WATCHDOG_DEBUG", "1")
    command.run = fails_with(ZeroDivisionError("oh"))
    told = call("check")
    assert told.err.startswith("Traceback (most recent call last):")
    assert told.err.endswith("(MODEL_WATCHDOG_DEBUG=1 shows where)\n")


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = spawn("completion", "bash", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_output_that_cannot_be_written_is_told() -> None:
    with open("/dev/full", "w") as full:
        done = spawn("completion", "bash", stdout=full.fileno())
    assert (done.returncode, done.stderr) == (1, "watchdog: No space left on device\n")


def test_a_terminal_without_our_signs_gets_question_marks() -> None:
    done = spawn("completion", "zsh", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "close a service?s circuit breaker" in done.stdout


def test_starts_without_stdout() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" --version >&-', sys.executable, CALL],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")


HEAVY = {"asyncio", "httpx", "apscheduler", "apprise", "rich", "click", "yaml", "msgspec", "psutil", "tenacity", "pynvml"}


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["statu"], ["status", "--json", "--state-dir", "/nowhere", "--runtime-dir", "/nowhere"]]
)
def test_starts_fast_because_it_imports_little(words: list[str]) -> None:
    program = f"import sys; from model_watchdog.cli.main import main; code = main({words}); print(*sys.modules, file=sys.stderr)"
    whole = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, env=whole, timeout=30)
    modules = set(done.stderr.splitlines()[-1].split())
    assert not modules & (HEAVY | {"typing", "dataclasses", "inspect", "logging", "subprocess", "traceback"})
    commands = {name for name in modules if name.startswith("model_watchdog.cli.")} - {"model_watchdog.cli.main"}
    assert commands == ({"model_watchdog.cli.status"} if words[0] == "status" else set())


@pytest.mark.parametrize("words", [["replay", "--help"], ["check", "--help"], ["run", "--help"], ["completion", "bash"]])
def test_what_only_tells_of_commands_loads_no_configuration_and_no_rules(words: list[str]) -> None:
    program = f"import sys; from model_watchdog.cli.main import main; code = main({words}); print(*sys.modules, file=sys.stderr)"
    whole = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=whole, timeout=30)
    modules = set(done.stderr.splitlines()[-1].split())
    assert not modules & {"asyncio", "rich.console", "httpx", "model_watchdog.config.loading", "model_watchdog.rehearsing"}


# ---------------------------------------------------------------- events
NOW = 0.0


@pytest.fixture(autouse=True)
def now() -> None:
    """The moment of each test: options such as `--since 6m` count from when they are used, not from when this file was read."""
    global NOW
    NOW = time.time()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A record of two services and a notifier."""
    rows = [
        writes.service_status("chatglm", json.dumps({"name": "chatglm"}), NOW),
        writes.service_status("bge-embed", json.dumps({"name": "bge-embed"}), NOW),
        writes.event(NOW - 3 * 86400, "chatglm", "ended", "crashed", "three days ago", 1),
        writes.event(NOW - 600, "whisper", "ended", "ended_by_itself", "ended by itself with exit 1", 2),
        writes.event(NOW - 300, "chatglm", "restart", None, "restart: \x1b[2J\x1b]0;x\x07started\nlike\ttwo\x9bm events", None),
        writes.event(NOW - 60, None, "configuration", None, "the configuration was read"),
    ]
    store = Store.open(tmp_path / "watchdog.db", wall=lambda: NOW)
    assert asyncio.run(store.commit(*rows))
    store.close()
    return tmp_path


@pytest.fixture
def events(call: Call, state_dir: Path) -> Call:
    return lambda *words: call("events", "--state-dir", state_dir, "--runtime-dir", state_dir, *words)


NOT_RUNNING = "the daemon is not running, so nothing new is recorded; start it: systemctl start model-watchdog\n"


def local(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def test_events_tell_what_happened_oldest_first(events: Call) -> None:
    told = events()
    assert told.code == 0
    assert told.err == NOT_RUNNING
    lines = told.out.splitlines()
    assert [line[:19] for line in lines] == [local(NOW - ago) for ago in (3 * 86400, 600, 300, 60)]
    assert [line[25:] for line in lines] == [
        "  chatglm   three days ago",
        "  whisper   ended by itself with exit 1",
        "  chatglm   restart: started like twom events",  # what a terminal obeys is gone
        "  -         the configuration was read",
    ]
    assert re.fullmatch(r"[+-]\d\d:\d\d", lines[0][19:25])


def test_what_is_said_twice_at_once_is_shown_once_to_people(call: Call, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "watchdog.db", wall=lambda: NOW)
    rows = [writes.event(NOW, service, "alert_fired", "crashed", "was killed by SIGKILL") for service in "aaab"]
    assert asyncio.run(store.commit(*rows))
    store.close()
    places = ("--state-dir", tmp_path, "--runtime-dir", tmp_path)
    assert [line[27:] for line in call("events", *places).out.splitlines()] == [
        "a         alert: was killed by SIGKILL",
        "b         alert: was killed by SIGKILL",
    ]
    assert len(call("events", *places, "--json").out.splitlines()) == 4


def test_an_alert_that_says_what_the_line_after_it_says_is_left_out_for_people(call: Call, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "watchdog.db", wall=lambda: NOW)
    rows = [
        writes.event(NOW, "a", "alert_fired", "crashed", "killed (pid 7)", 1),
        writes.event(NOW, "a", "incident_opened", "crashed", "killed (pid 7)", 1),
        writes.event(NOW, "a", "dead", "crashed", "killed (pid 7)", 1),
        writes.event(NOW, "a", "restart_started", "crashed", "restart 1 of 3: started, because killed (pid 7)", 1),
        writes.event(NOW, "b", "alert_fired", None, "too slow"),
        writes.event(NOW, "a", "alert_fired", None, "too slow"),
        writes.event(NOW + 1, "a", "degraded", None, "too slow"),
    ]
    assert asyncio.run(store.commit(*rows))
    store.close()
    places = ("--state-dir", tmp_path, "--runtime-dir", tmp_path)
    assert [line[27:] for line in call("events", *places).out.splitlines()] == [
        "a         dead: killed (pid 7)",
        "a         restart 1 of 3: started, because killed (pid 7)",
        "b         alert: too slow",
        "a         alert: too slow",
        "a         degraded: too slow",
    ]
    assert len(call("events", *places, "--json").out.splitlines()) == 7


def test_events_as_json(events: Call) -> None:
    rows = [json.loads(line) for line in events("--json").out.splitlines()]
    assert [list(row) for row in rows] == [["at", "service", "event", "cause", "reason", "incident"]] * 4
    assert rows[1] == {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(NOW - 600)) + f".{int(NOW * 1000) % 1000:03d}Z",
        "service": "whisper",
        "event": "ended",
        "cause": "ended_by_itself",
        "reason": "ended by itself with exit 1",
        "incident": 2,
    }
    assert rows[3]["service"] is None
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(row["reason"] for row in rows))


def test_events_are_chosen(events: Call) -> None:
    assert len(events("--since", "1h").out.splitlines()) == 3
    assert len(events("--service", "chatglm").out.splitlines()) == 2
    assert len(events("--service", "chatglm", "--since", "6m").out.splitlines()) == 1
    assert len(events("--service", "whisper").out.splitlines()) == 1  # no longer configured, but something of it is kept


def test_no_events(events: Call) -> None:
    told = events("--since", "10s")
    assert (told.code, told.out, told.err) == (0, "", "nothing happened in the last 10 s\n" + NOT_RUNNING)
    told = events("--service", "bge-embed", "--json")
    assert (told.code, told.out, told.err) == (0, "", "nothing happened to bge-embed\n" + NOT_RUNNING)


def test_events_of_an_unknown_service(events: Call) -> None:
    told = events("--service", "chatgml")
    assert (told.code, told.out, told.err) == (4, "", 'watchdog: no such service: "chatgml"; did you mean "chatglm"?\n')
    told = events("--service", "zzz")
    assert (told.code, told.err) == (4, 'watchdog: no such service: "zzz" (there are: bge-embed, chatglm, whisper)\n')


@pytest.mark.parametrize(
    ("since", "said"), [("30", '"30" has no unit; did you mean 30s?'), ("soon", '"soon" is not a duration; write it like 500ms, 10s')]
)
def test_events_since_what(events: Call, since: str, said: str) -> None:
    told = events("--since", since)
    assert told.code == 64
    assert f"watchdog events: argument --since: {said}" in told.err


def test_events_without_a_record(call: Call, tmp_path: Path) -> None:
    told = call("events", "--state-dir", tmp_path)
    assert told.code == 1
    assert told.err.startswith(f"watchdog: {tmp_path}/watchdog.db: no record there; is --state-dir right")


def test_events_on_a_terminal_give_the_local_time_and_the_date_of_old_ones(state_dir: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    done = spawn("events", "--state-dir", str(state_dir), "--runtime-dir", str(state_dir), stdout=follower, TZ="Asia/Shanghai")
    os.close(follower)
    lines = os.read(leader, 65536).decode().splitlines()
    os.close(leader)
    assert done.returncode == 0
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  chatglm ", lines[0])
    shanghai = time.strftime("%H:%M:%S", time.gmtime(NOW - 600 + 8 * 3600))
    assert lines[1] == f"{shanghai}  whisper   ended by itself with exit 1"


def test_many_events_come_all_of_them(call: Call, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "watchdog.db", wall=lambda: NOW)
    assert asyncio.run(store.commit(*[writes.event(NOW, "a", "e", None, f"number {n}") for n in range(2500)]))
    store.close()
    lines = call("events", "--state-dir", tmp_path, "--runtime-dir", tmp_path).out.splitlines()
    assert [line.rsplit(" ", 1)[1] for line in lines] == [str(n) for n in range(2500)]


# ---------------------------------------------------------------- completion
def complete_in_bash(script: Path, line: str, path: str) -> list[str]:
    """What bash would offer at the end of `line`."""
    program = """
        source "$1"; COMP_WORDS=($2); [[ $2 == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); compopt() { :; }
        _model_watchdog; printf '%s\\n' "${COMPREPLY[@]}" """
    done = subprocess.run(["bash", "-c", program, "bash", script, line], capture_output=True, text=True, env={"PATH": path}, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.fixture
def path_with_watchdog(tmp_path: Path, state_dir: Path) -> str:
    program = tmp_path / "bin" / "watchdog"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT}/src STATE_DIRECTORY={state_dir} exec {sys.executable} -c "{CALL}" "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def test_completion_in_bash(call: Call, tmp_path: Path, path_with_watchdog: str) -> None:
    script = tmp_path / "watchdog.bash"
    script.write_text(call("completion", "bash").out)
    (tmp_path / "c.yaml").touch()

    def offered(line: str) -> list[str]:
        return complete_in_bash(script, line, path_with_watchdog)

    assert offered("watchdog ") == list(COMMANDS)
    assert offered("watchdog re") == ["report", "resume", "restart", "reset", "reload", "replay"]
    assert offered("watchdog --config x re") == ["report", "resume", "restart", "reset", "reload", "replay"]
    assert offered(f"watchdog replay --csv {tmp_path}/c") == [f"{tmp_path}/c.yaml"]
    assert offered("watchdog replay --metric ") == []
    assert offered("watchdog events --s") == ["--service", "--since", "--state-dir"]
    assert offered("watchdog restart ") == ["chatglm", "bge-embed"]
    assert offered("watchdog restart ch") == ["chatglm"]
    assert offered("watchdog events --service b") == ["bge-embed"]
    assert offered("watchdog pause chatglm --for ") == []
    assert offered("watchdog completion ") == ["bash", "zsh", "fish"]
    assert offered(f"watchdog check --config {tmp_path}/c") == [f"{tmp_path}/c.yaml"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_the_shell_can_read(call: Call, tmp_path: Path, shell: str) -> None:
    script = tmp_path / "script"
    script.write_text(call("completion", shell).out)
    for command, (options, _) in completion_command.read_commands().items():
        assert command in script.read_text()
        for option in options:
            assert option.name.lstrip("-") in script.read_text()
    if shutil.which(shell):
        subprocess.run([shell, "-n", script], check=True, timeout=30)


def test_completion_in_fish(call: Call, tmp_path: Path, path_with_watchdog: str) -> None:
    if not shutil.which("fish"):
        pytest.skip("no fish here to ask")
    script = tmp_path / "watchdog.fish"
    script.write_text(call("completion", "fish").out)
    environment = {"PATH": path_with_watchdog, "HOME": str(tmp_path)}

    def offered(line: str) -> list[str]:
        words = ["fish", "--no-config", "-c", f"source {script}; complete -C {line!r}"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, timeout=30)
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    assert sorted(offered("watchdog re")) == ["reload", "replay", "reset", "restart", "resume"]
    assert sorted(offered("watchdog restart ")) == ["bge-embed", "chatglm"]
    assert "--since" in offered("watchdog events --si")


def test_completion_without_a_shell_or_a_record(call: Call, tmp_path: Path) -> None:
    told = call("completion")
    assert (told.code, told.err) == (64, "watchdog: for which shell? watchdog completion bash, zsh or fish\n")
    assert 'did you mean "bash"?' in call("completion", "bahs").err
    told = call("completion", "--services", "--state-dir", tmp_path)
    assert (told.code, told.out, told.err) == (0, "", "")


# ---------------------------------------------------------------- install, as far as it needs no system
def test_the_first_configuration_loads(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(FIRST_CONFIG)
    config = load(path, environment={}, credentials_dir=None, strict_secrets=True)
    assert (dict(config.services), dict(config.notifiers)) == ({}, {})


def test_the_example_in_the_first_configuration_loads_when_its_marks_are_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    example = FIRST_CONFIG[FIRST_CONFIG.index("# services:") : FIRST_CONFIG.rindex("services: {}")]
    path.write_text(re.sub(r"^# ?", "", example, flags=re.M))
    config = load(path, environment={}, credentials_dir=None, strict_secrets=False)
    assert config.services["chatglm"].core.unit == "chatglm.service"
    assert len(config.warnings) == 1  # the credential is not there


def test_files_are_filled_in() -> None:
    unit = fill_unit(resource(UNIT), Path("/srv/wd/bin/watchdog"), Path("/srv/c.yaml"))
    assert [line for line in unit.splitlines() if line.startswith("ExecStart=")] == [
        "ExecStart=/srv/wd/bin/watchdog run --config /srv/c.yaml"
    ]
    rule = fill_rule(resource("50-model-watchdog.rules"), ['a"];b.service', "c\\x2d@1.service", "\u2028"])
    assert 'var units = ["a\\"];b.service", "c\\\\x2d@1.service", "\\u2028"];' in rule


def test_the_modules_of_all_commands_exist_and_no_other_command_hides() -> None:
    for name in COMMANDS:
        module = import_module(f"model_watchdog.cli.{name.replace('-', '_')}")
        assert callable(module.run)
    folder = ROOT / "src" / "model_watchdog" / "cli"
    commands = {path.stem for path in folder.glob("*.py") if re.search(r"^HELP = ", path.read_text(), re.M)}
    assert commands == {name.replace("-", "_") for name in COMMANDS}
