"""What may be asked of a user's systemd, and what becomes of an answer; tests/real/test_user_units.py asks a real one."""

import asyncio
import pwd
import re
import subprocess
from pathlib import Path

import pytest

from model_watchdog import managers
from model_watchdog.children import Finished
from model_watchdog.core.unit import UnitFacts, for_journalctl, for_systemctl, split_unit
from model_watchdog.errors import ProbeError, RecoveryError
from model_watchdog.managers import QUESTIONS, VERBS, UserManager

PROGRAM = Path(__file__).resolve().parents[2] / "systemd" / "model-watchdog-user"


def ask(line: str, *units: str) -> str:
    """What its program answers who is allowed those units."""
    done = subprocess.run(["/bin/sh", PROGRAM, *units], input=line, capture_output=True, text=True, timeout=10)
    assert done.returncode == 0 and done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("restart other.service\n", "other.service is none of the units that watchdog install was told of"),
        ("restart a\n", "a is none of the units that watchdog install was told of"),
        ("restart *\n", "these are no names of units"),
        ("restart a.service b.service\n", "one unit at a time"),
        ("restart a.service;id\n", "these are no names of units"),
        ("restart a.service\tid\n", "these are no names of units"),
        ("restart $(id)\n", "these are no names of units"),
        ("restart `id`\n", "these are no names of units"),
        ("restart ../a.service\n", "these are no names of units"),
        ("restart\n", "one unit at a time"),
        ("restart  \n", "one unit at a time"),
        ("reset-failed other.service\n", "other.service is none of the units that watchdog install was told of"),
        ("prove other.service\n", "other.service is none of the units that watchdog install was told of"),
        ("start a.service\n", "no such word"),
        ("stop a.service\n", "no such word"),
        ("kill a.service\n", "no such word"),
        ("set-property a.service x\n", "no such word"),
        ("run a.service\n", "no such word"),
        ("show -Hhost a.service\n", "these are no names of units"),
        ("show a.service -Hhost\n", "these are no names of units"),
        ("show a.service --property=Environment\n", "these are no names of units"),
        ("show a.service  --all\n", "these are no names of units"),
        ("\n", "no such word"),
        ("*\n", "no such word"),
    ],
)
def test_nothing_else_can_be_done_as_the_user(line: str, why: str) -> None:
    assert ask(line, "a.service", "b.service") == f"Access denied: {why}\nexit 4\n"


def test_a_name_with_a_backslash_stays_as_it_is() -> None:
    assert "Access denied" not in ask("restart a\\x2db.service\n", "a\\x2db.service")
    assert "a\\x2db.service is none" in ask("restart a\\x2db.service\n", "a-b.service")


def test_each_line_is_judged_by_itself_and_only_whole_ones() -> None:
    told = ask("start x\n\nrestart b.service\nrestart a.service", "a.service")
    assert told.splitlines() == [
        *("Access denied: no such word", "exit 4") * 2,
        *("Access denied: b.service is none of the units that watchdog install was told of", "exit 4"),
    ]


def test_both_managers_are_asked_the_same() -> None:
    """Each word is there once, with the same properties, options and verbs."""
    text = PROGRAM.read_text()
    for word, arguments in QUESTIONS.items():
        assert word == "state" or f"    {word}) ask {' '.join(arguments)} " in text, word
    for word, arguments in VERBS.items():
        assert f"    {word}) act {' '.join(arguments)} ;;" in text, word
    known = re.findall(r"^ +([a-z-]+)\) a", text, re.MULTILINE)
    assert sorted(known) == sorted((QUESTIONS.keys() | VERBS.keys()) - {"state"})


# ---------------------------------------------------------------- the answer
def answering(answer: bytes, place: Path, word: str = "show") -> Finished:
    """What the manager of `alice` makes of an answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readline()).startswith(word.encode())
        writer.write(answer)
        writer.close()

    async def run() -> Finished:
        async with await asyncio.start_unix_server(serve, place / "alice.socket"):
            manager = UserManager("alice")
            return await (manager.ask(word, ["a.service"], 2.0) if word in QUESTIONS else manager.do(word, "a.service", 2.0))

    return asyncio.run(run())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(managers, "SOCKETS", tmp_path)
    return tmp_path


def test_an_answer_and_a_refusal(place: Path) -> None:
    found = answering(b"ActiveState=active\n\nexit 0\n", place)
    assert found == Finished(0, b"ActiveState=active\n\n", b"")
    found = answering(b"Access denied: x\nexit 4\n", place, "restart")
    assert found == Finished(4, b"", b"Access denied: x\n") and managers.is_denied(b"Access denied: x\n")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"ActiveState=active\n", "cannot be asked: .*: the answer was cut off"),
        (b"exit \n", "cut off"),
        (b"exit 0", "cut off"),
        (b"an exit 0\n", "cut off"),
        (b"x" * (managers.CAP + 1), "cut off"),
        (b"", "cut off"),
        (b"Failed to connect to bus: No such file or directory\nexit 1\n", "no systemd of alice runs: .*loginctl enable-linger alice"),
    ],
)
def test_no_answer_is_told_with_the_remedy(place: Path, answer: bytes, why: str) -> None:
    with pytest.raises(ProbeError, match=why):
        answering(answer, place)


def test_questions_share_a_connection_until_its_process_ends(place: Path) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(3):
            word = (await reader.readline()).split()[0]
            if word == b"jobs":
                await asyncio.sleep(1.0)
            writer.write(word + b"\nexit 0\n")
        writer.close()

    async def run() -> None:
        async with await asyncio.start_unix_server(serve, place / "alice.socket"):
            manager = UserManager("alice", keep=True)
            words = ["show", "identify", "began", "show"]
            answers = await asyncio.gather(*(manager.ask(word, [], 2.0) for word in words))
            assert [answer.stdout.decode().strip() for answer in answers] == words and connections == 2
            with pytest.raises(ProbeError, match=r"the systemd of alice did not answer within 0\.1 s"):
                await manager.ask("jobs", [], 0.1)
            assert (await manager.ask("began", [], 2.0)).stdout == b"began\n", "what comes late is nobody's answer"
            assert connections == 3
            await manager.do("restart", "a.service", 2.0)
            assert connections == 4, "a restart may take long, and nothing waits behind it"
            manager.close()

    asyncio.run(run())


def test_a_socket_that_is_not_there(place: Path) -> None:
    why = r"the systemd of alice cannot be asked: .*/alice.socket: No such file or directory \(sudo watchdog install\)"
    with pytest.raises(ProbeError, match=why):
        asyncio.run(UserManager("alice").ask("show", ["a.service"], 1.0))
    with pytest.raises(RecoveryError, match=why):
        asyncio.run(UserManager("alice").do("restart", "a.service", 1.0))


def test_a_user_cannot_have_others_looked_at() -> None:
    user = pwd.getpwuid(65534).pw_name
    manager = UserManager(user)
    own = "/user.slice/user-65534.slice/user@65534.service/app.slice/a.service"
    for cgroup, kept in ((own, own), ("/system.slice/sshd.service", ""), ("/", ""), (f"{own}/../../../../..", "")):
        assert manager.keep_own(UnitFacts("a.service", 0.0, cgroup=cgroup)).cgroup == kept
    assert manager.keep_own(UnitFacts("a.service", 0.0, cgroup=own, main_pid=2**70)).main_pid == 0
    assert UserManager("nobody-of-this-name").keep_own(UnitFacts("a.service", 0.0, cgroup=own)).cgroup == ""


def test_how_a_unit_is_named() -> None:
    assert (split_unit("a.service"), split_unit("alice/a.service")) == (("", "a.service"), ("alice", "a.service"))
    assert (for_systemctl("a.service"), for_systemctl("alice/a.service")) == ("a.service", "--user -M alice@ a.service")
    assert for_journalctl("a.service") == "-u a.service"
    assert for_journalctl("alice/a.service") == "USER_UNIT=a.service + _SYSTEMD_USER_UNIT=a.service"
