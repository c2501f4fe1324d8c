"""systemd.py, cgroup.py, pidfd.py and the recovery `systemctl` against a real systemd, with both kinds of cgroups."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.box import Box
from tests.rig.waiting import wait_until
from tests.rig.watched_box import PREFIX

SLEEPER = "[Service]\nExecStart=/bin/sleep infinity\n"
REQUIRES = "[Unit]\nRequires=dep.service\nAfter=dep.service\n" + SLEEPER
PRELUDE = """
import asyncio, dataclasses, json, os, sys, time
from model_watchdog.cgroup import processes, processor_seconds, still_alive
from model_watchdog.errors import ProbeError, RecoveryError
from model_watchdog.recoveries import Act
from model_watchdog.recoveries.systemctl import Systemctl
from model_watchdog.systemd import MainProcessWatch, Systemd, UnitReader
arguments = json.loads(sys.argv[1])
systemd = Systemd()
async def read(unit):
    return (await systemd.show([unit]))[unit]
async def main():
"""
RULE = """
polkit.addRule(function (action, subject) {
    if (action.id != "org.freedesktop.systemd1.manage-units" || subject.user != "watcher") return polkit.Result.NOT_HANDLED;
    return action.lookup("unit") == "other.service" ? polkit.Result.NO : polkit.Result.YES;
});
"""


class Asked(Box):
    """A box in which pieces of the project's code are run."""

    def ask(self, code: str, *arguments: Any, user: str = "root") -> Any:
        """Runs `code`, the body of a coroutine that knows `systemd`, `read(unit)` and `arguments`, and gives what it returns."""
        lines = "\n".join(f"    {line}" for line in code.strip().splitlines())
        program = f"{PRELUDE}{lines}\nprint(json.dumps(asyncio.run(main()), default=str))"
        ran = self.run(f"{PREFIX}/bin/python", "-c", program, json.dumps(arguments), user=user)
        return json.loads(ran.stdout)

    def facts(self, unit: str, user: str = "root") -> dict[str, Any]:
        return dict(self.ask("return dataclasses.asdict(await read(arguments[0]))", unit, user=user))

    def why(self, unit: str, last: str = "", user: str = "root") -> tuple[str, str]:
        """The ending of a unit, and its detail."""
        code = "ended = await systemd.why_ended(await read(arguments[0]), arguments[1])\nreturn [ended.ending.value, ended.detail]"
        ending, detail = self.ask(code, unit, last, user=user)
        return ending, detail

    def restart(self, unit: str, user: str = "watcher", *, clear: bool = False) -> tuple[str, str]:
        """What the recovery says: a cause and a detail, or `ok`."""
        code = """
try:
    return ["ok", await Systemctl().restart(Act(arguments[0], await read(arguments[0]), 2.0, arguments[1], systemd))]
except RecoveryError as error:
    return [error.cause, error.detail]
"""
        cause, detail = self.ask(code, unit, clear, user=user)
        return cause, detail

    def life(self, unit: str) -> str:
        """The InvocationID."""
        return self.show(unit, "InvocationID")["InvocationID"]

    def begin(self, unit: str, text: str = SLEEPER) -> str:
        """Writes and starts a unit; its invocation."""
        self.unit(unit, text)
        self.systemctl("reset-failed", unit, check=False)
        self.systemctl("start", unit)
        return self.life(unit)

    def wait_down(self, unit: str) -> None:
        wait_until(
            lambda: self.show(unit, "ActiveState")["ActiveState"] in ("inactive", "failed"), told=lambda: self.show(unit, "ActiveState")
        )


def make(cgroup: str, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with Asked(tmp_path_factory.mktemp("box") / "box", cgroup=cgroup, read_only_binds=[(installed, PREFIX)]) as made:
        made.add_user("watcher", "systemd-journal")
        made.add_user("blind")
        made.write("/etc/polkit-1/rules.d/50-test.rules", RULE)
        yield made


@pytest.fixture(scope="module")
def box(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    yield from make("auto", installed, tmp_path_factory)


@pytest.fixture(scope="module", params=["v1", "v2"])
def each_box(request: pytest.FixtureRequest, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """One with each kind of cgroups."""
    if request.param == "v1" and not os.path.isdir("/sys/fs/cgroup/memory"):
        pytest.skip("this machine has no cgroup v1 hierarchies")
    yield from make(request.param, installed, tmp_path_factory)


# ---------------------------------------------------------------- what systemd says
def test_facts_of_a_unit_that_is_up(each_box: Asked) -> None:
    life = each_box.begin("up.service", "[Service]\nExecStart=/bin/sleep infinity\nTimeoutStartSec=infinity\nTimeoutStopSec=90061.5\n")
    facts = each_box.facts("up.service", user="blind")
    assert (facts["unit"], facts["load"], facts["active"], facts["sub"]) == ("up.service", "loaded", "active", "running")
    assert facts["invocation"] == life
    assert facts["main_pid"] == each_box.main_pid("up.service")
    assert facts["cgroup"] == "/system.slice/up.service"
    assert facts["timeout_start"] == float("inf")
    assert facts["timeout_stop"] == 90061.5
    assert 0 <= facts["at"] - facts["inactive_exit_at"] < 30
    assert facts["main_exit_at"] is None
    assert facts["job"] == 0


def test_facts_of_a_crash(box: Asked) -> None:
    life = box.begin("crash.service")
    pid = box.kill("crash.service")
    box.wait_down("crash.service")
    facts = box.facts("crash.service")
    assert facts["last_pid"] == pid and 0 < facts["main_exit_at"] - facts["main_start_at"] < 30
    assert (facts["active"], facts["result"], facts["exit_code"], facts["exit_status"]) == ("failed", "signal", 2, 9)
    assert facts["invocation"] == life
    assert facts["main_exit_at"] <= facts["active_exit_at"]


def test_one_call_for_all_units_of_a_moment_by_the_names_they_were_asked_for(box: Asked) -> None:
    box.unit("first.service", SLEEPER)
    box.write("/etc/systemd/system/real.service", SLEEPER + "[Install]\nAlias=alias.service\n")
    box.systemctl("enable", "real.service")
    box.systemctl("start", "real.service", "first.service")
    answer = box.ask(
        """
calls = []
show = systemd.show
async def counted(units, deadline):
    calls.append(list(units))
    return await show(units, deadline)
systemd.show = counted
reader = UnitReader(systemd)
names = ["first.service", "alias.service", "real.service", "missing.service", "first.service"]
found = await asyncio.gather(*(reader.read(name) for name in names))
return [len(calls), [[facts.unit, facts.load, facts.main_pid > 0] for facts in found]]
"""
    )
    assert answer == [
        1,
        [
            ["first.service", "loaded", True],
            ["alias.service", "loaded", True],
            ["real.service", "loaded", True],
            ["missing.service", "not-found", False],
            ["first.service", "loaded", True],
        ],
    ]


def test_one_name_that_cannot_be_one_does_not_hide_the_others(box: Asked) -> None:
    box.begin("first.service")
    found = box.ask("return [facts.load for facts in (await systemd.show(['bad@.service', 'first.service'])).values()]")
    assert found == ["not-found", "loaded"]


def test_masked_and_broken_units(box: Asked) -> None:
    box.run("ln", "-sf", "/dev/null", "/run/systemd/system/masked.service")
    box.unit("broken.service", "[Service\nExecStart=/bin/sleep infinity\n")
    assert box.facts("masked.service")["load"] == "masked"
    assert box.facts("broken.service")["load"] in ("error", "bad-setting")


def test_a_queued_job_is_seen(box: Asked) -> None:
    box.unit("slow.service", "[Service]\nType=notify\nExecStart=/bin/sleep infinity\n")
    box.systemctl("start", "--no-block", "slow.service")
    assert box.facts("slow.service")["job"] > 0
    assert box.ask("return await systemd.has_stop_job('slow.service')") is False
    box.unit("stubborn.service", '[Service]\nExecStart=/bin/bash -c "trap : TERM; while :; do sleep 0.1; done"\nTimeoutStopSec=60\n')
    box.systemctl("start", "stubborn.service")
    box.systemctl("stop", "--no-block", "stubborn.service")
    assert box.ask("return await systemd.has_stop_job('stubborn.service')") is True
    box.systemctl("kill", "--signal=KILL", "stubborn.service", "slow.service")
    assert box.ask("return await systemd.is_host_stopping()") is False


def test_without_a_bus_nothing_is_known(box: Asked) -> None:
    code = """
try:
    await UnitReader(systemd).read("up.service")
except ProbeError as error:
    return [error.failure, error.detail, await systemd.may_restart("up.service"), (await systemd.why_ended(facts, "")).ending.value]
""".replace("try:", "from model_watchdog.core.unit import UnitFacts\nfacts = UnitFacts('up.service', 0.0, active='inactive')\ntry:", 1)
    box.systemctl("stop", "dbus.socket", "dbus.service")
    try:
        failure, detail, may, ending = box.ask(code, user="watcher")
    finally:
        box.systemctl("start", "dbus.socket")
    assert (failure, may, ending) == ("watcher", None, "not_proved")
    assert "Failed to connect to bus" in detail


PROBE = """
from model_watchdog.probes import Surroundings
from model_watchdog.probes.unit import Unit
running = Unit().open(Surroundings("s", arguments[0], 5.0, UnitReader(systemd)))
observed = await running.observe()
return [observed.detail, {metric: value for metric, _, value in observed.measurements}, observed.facts.active]
"""


def test_the_probe_of_a_unit_that_is_up(each_box: Asked) -> None:
    each_box.begin("spins.service", '[Service]\nExecStart=/bin/sh -c "while :; do :; done"\n')
    wait_until(
        lambda: each_box.ask(PROBE, "spins.service", user="blind")[1].get("unit_cpu_seconds_total", 0) > 0.05,
        told=lambda: each_box.ask(PROBE, "spins.service", user="blind"),
    )
    detail, measured, active = each_box.ask(PROBE, "spins.service", user="blind")
    each_box.systemctl("stop", "spins.service")
    assert (detail, active) == ("active (running)", "active")
    assert (measured["unit_active"], measured["unit_restarts_total"]) == (1.0, 0.0)
    assert 0 < measured["unit_uptime_seconds"] < 30


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("[Service]\nExecStart=/bin/sh -c 'exit 3'\n", "failed (exit 3)"),
        ("[Service]\nExecStart=/bin/sh -c 'kill -9 $$$$'\n", "failed (killed by signal 9)"),
        ("[Service]\nExecStart=/bin/true\n", "inactive"),
        ("", "not-found"),
    ],
)
def test_the_probe_of_a_unit_that_is_down_gives_its_facts(box: Asked, text: str, detail: str) -> None:
    unit = "down.service" if text else "nowhere.service"
    if text:
        box.begin(unit, text)
        box.wait_down(unit)
    found, measured, active = box.ask(PROBE, unit)
    assert (found, measured["unit_active"]) == (detail, 0.0)
    assert active in ("failed", "inactive")
    assert "unit_uptime_seconds" not in measured


# ---------------------------------------------------------------- why a unit ended
def test_a_stop_is_proved(each_box: Asked) -> None:
    life = each_box.begin("s.service")
    each_box.systemctl("stop", "s.service")
    assert each_box.why("s.service", life) == ("operator_stop", "")
    assert each_box.why("s.service") == ("operator_stop", "")  # a watchdog that has just been started knows no life
    assert each_box.why("s.service", life, user="watcher") == ("operator_stop", "")


@pytest.mark.parametrize(
    "text",
    [
        "[Service]\nExecStart=/bin/bash -c \"trap 'exit 1' TERM; while :; do sleep 0.05; done\"\n",
        '[Service]\nExecStart=/bin/bash -c "trap : TERM; while :; do sleep 0.05; done"\nTimeoutStopSec=300ms\n',
        '[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c "sleep 0.05; exit 3"\nRestart=always\nRestartSec=60\n',
    ],
    ids=["exit 1 on SIGTERM", "the stop timed out", "waiting for its own Restart="],
)
def test_a_stop_is_proved_whatever_became_of_the_process(box: Asked, text: str) -> None:
    life = box.begin("s.service", text)
    if "RestartSec" in text:
        box.wait("s.service", "SubState", "auto-restart")
    box.systemctl("stop", "s.service")
    assert box.why("s.service", life) == ("operator_stop", "")


def test_a_stop_during_the_start_is_proved(box: Asked) -> None:
    box.unit("s.service", "[Service]\nType=notify\nExecStart=/bin/sleep infinity\n")
    box.systemctl("start", "--no-block", "s.service")
    wait_until(lambda: box.main_pid("s.service"))
    box.systemctl("stop", "s.service")
    assert box.why("s.service")[0] == "operator_stop"


def test_a_stop_that_comes_with_another_units_stop_is_a_stop(box: Asked) -> None:
    box.begin("root.service")
    life = box.begin("part.service", "[Unit]\nPartOf=root.service\n" + SLEEPER)
    box.systemctl("stop", "root.service")
    assert box.why("part.service", life)[0] == "operator_stop"


@pytest.mark.parametrize("how", ["exit 0", "SIGTERM to the main process", "systemctl kill"])
def test_33a_an_end_with_success_is_no_stop(box: Asked, how: str) -> None:
    life = box.begin("e.service", '[Service]\nExecStart=/bin/sh -c "sleep 0.3"\n' if how == "exit 0" else SLEEPER)
    if how == "systemctl kill":
        box.systemctl("kill", "e.service")
    elif how != "exit 0":
        box.kill("e.service", signal.SIGTERM)
    box.wait_down("e.service")
    assert box.show("e.service", "Result")["Result"] == "success"
    assert box.why("e.service", life) == ("by_itself", "")


def test_an_end_after_a_restart_is_not_the_stop_within_the_restart(box: Asked) -> None:
    known = box.begin("e.service")
    box.systemctl("restart", "e.service")
    box.kill("e.service", signal.SIGTERM)
    box.wait_down("e.service")
    assert box.why("e.service", known) == ("by_itself", "")


def test_the_stop_of_an_earlier_life_proves_nothing(box: Asked) -> None:
    known = box.begin("e.service")
    box.systemctl("stop", "e.service")
    box.systemctl("start", "e.service")
    box.kill("e.service", signal.SIGTERM)
    box.wait_down("e.service")
    assert box.why("e.service", known) == ("by_itself", "")


def test_an_end_is_judged_right_in_the_moment_it_is_seen(box: Asked) -> None:
    """systemd answers before the journal has its words: 20 stops and 20 ends, asked at once."""
    code = """
import subprocess
found = []
for number in range(40):
    subprocess.run(["systemctl", "start", "q.service"], check=True)
    facts = await read("q.service")
    if number % 2:
        os.kill(facts.main_pid, 15)
    else:
        subprocess.run(["systemctl", "stop", "--no-block", "q.service"], check=True)
    while (now := await read("q.service")).is_up or not now.is_down:
        pass
    found.append((await systemd.why_ended(now, facts.invocation)).ending.value)
return found
"""
    box.unit("q.service", "[Unit]\nStartLimitIntervalSec=0\n" + SLEEPER)
    assert box.ask(code) == ["operator_stop", "by_itself"] * 20


def test_a_stop_is_a_stop_although_the_unit_was_started_again_before_the_journal_was_read(box: Asked) -> None:
    code = """
import subprocess
found = []
for unit in arguments:
    before = await read(unit)
    subprocess.run(["systemctl", "stop", unit], check=True)
    down = await read(unit)
    subprocess.run(["systemctl", "start", unit], check=True)
    found.append((await systemd.why_ended(down, before.invocation)).ending.value)
return found
"""
    box.begin("q.service")
    box.begin("one.service", "[Service]\nExecStart=/bin/sh -c 'trap \"exit 1\" TERM; while :; do sleep 0.02; done'\n")
    assert box.ask(code, "q.service", "one.service") == ["operator_stop"] * 2


@pytest.mark.parametrize("stops", ["fast", "slow"])
def test_what_is_down_in_an_operators_restart_has_a_job_queued(box: Asked, stops: str) -> None:
    """Up to 1000 looks while it is restarted again and again, until 10 of them fell between the stop and the start."""
    code = """
import subprocess, threading
done, between, down = threading.Event(), 0, 0
def operate():
    while not done.is_set():
        subprocess.run(["systemctl", "restart", "q.service"], check=True)
operator = threading.Thread(target=operate)
operator.start()
for _ in range(250):
    for facts in await asyncio.gather(*[read("q.service") for _ in range(4)]):
        between, down = between + facts.is_between, down + facts.is_down
    if between >= 10:
        break
done.set()
operator.join()
return [between, down]
"""
    program = "sleep infinity" if stops == "fast" else "/bin/sh -c 'trap \"sleep 0.02; exit 0\" TERM; while :; do sleep 0.01; done'"
    box.begin("q.service", f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart={program}\n")
    between, down = box.ask(code)
    assert between == down > 0


def test_33a_a_dependency_that_failed_is_named(box: Asked) -> None:
    box.unit("dep.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/false\n")
    box.unit("needs.service", REQUIRES)
    box.systemctl("start", "needs.service", check=False)
    assert box.why("needs.service") == ("dependency_failed", "dep.service")


def test_a_bound_unit_that_crashed_is_a_failed_dependency_and_no_stop(box: Asked) -> None:
    bound = "[Unit]\nBindsTo=base.service\nAfter=base.service\n" + SLEEPER
    box.begin("base.service")
    life = box.begin("bound.service", bound)
    box.kill("base.service")
    box.wait_down("bound.service")
    assert box.why("bound.service", life) == ("dependency_failed", "base.service")
    box.begin("base.service")  # it is back, by whatever hand
    ending, detail = box.why("bound.service", life)
    assert ending == "by_itself"
    assert "base.service" in detail
    life = box.begin("bound.service", bound)
    box.systemctl("stop", "base.service")
    box.wait_down("bound.service")
    assert box.why("bound.service", life)[0] == "operator_stop"


def test_a_unit_that_was_never_started(box: Asked) -> None:
    box.unit("never.service", SLEEPER)
    assert box.why("never.service") == ("never_started", "")
    box.unit("skipped.service", "[Unit]\nConditionPathExists=/nowhere\n" + SLEEPER)
    box.systemctl("start", "skipped.service")
    ending, detail = box.why("skipped.service")
    assert ending == "never_started"
    assert "condition" in detail


def test_a_transient_unit_that_systemd_has_forgotten(box: Asked) -> None:
    lives = []
    for name in ("gone-a", "gone-b", "gone-c"):
        box.run("systemd-run", "--quiet", f"--unit={name}", "sleep", "infinity")
        lives.append(box.life(name))
    box.systemctl("stop", "gone-a")
    box.kill("gone-b", signal.SIGTERM)
    box.kill("gone-c", signal.SIGKILL)
    box.wait_down("gone-c")
    box.systemctl("reset-failed", "gone-c")
    assert box.facts("gone-a.service")["load"] == "not-found"
    endings = [box.why(f"{name}.service", life)[0] for name, life in zip(("gone-a", "gone-b", "gone-c"), lives, strict=True)]
    assert endings == ["operator_stop", "by_itself", "by_itself"]


def test_an_alias_is_followed(box: Asked) -> None:
    box.write("/etc/systemd/system/real.service", SLEEPER + "[Install]\nAlias=alias.service\n")
    box.systemctl("enable", "real.service")
    box.systemctl("restart", "real.service")
    life = box.life("real.service")
    box.systemctl("stop", "real.service")
    assert box.why("alias.service", life)[0] == "operator_stop"


def test_the_last_line_is_that_of_the_life_that_ended(each_box: Asked) -> None:
    text = "[Service]\nExecStart=/bin/sh -c 'echo first of $$INVOCATION_ID; echo last of $$INVOCATION_ID; exec sleep infinity'\n"
    ended = each_box.begin("says.service", text)
    each_box.systemctl("restart", "says.service")
    lives = {life: f"last of {life}" for life in (ended, each_box.life("says.service"))}
    code = "return await systemd.last_log(arguments[0], arguments[1])"
    for life, line in lives.items():
        wait_until(lambda life=life, line=line: each_box.ask(code, "says.service", life, user="watcher") == line)  # type: ignore[misc]
    assert each_box.ask(code, "says.service", "", user="watcher") == lives[each_box.life("says.service")]
    assert each_box.ask(code, "says.service", ended, user="blind") == ""


def test_without_the_journal_nothing_is_proved(box: Asked) -> None:
    life = box.begin("s.service")
    box.systemctl("stop", "s.service")
    ending, detail = box.why("s.service", life, user="blind")
    assert ending == "not_proved"
    assert "systemd-journal" in detail
    assert box.why("s.service", "0" * 32)[0] == "not_proved"  # a life that the journal does not know


# ---------------------------------------------------------------- the recovery
@pytest.mark.parametrize(
    ("unit", "text", "cause"),
    [
        ("good.service", SLEEPER, "ok"),
        ("other.service", SLEEPER, "not_permitted"),
        ("nowhere.service", "", "unit_missing"),
        ("masked.service", "", "masked"),
        ("false.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n", "start_failed"),
        ("exec.service", "[Service]\nType=exec\nExecStart=/bin/nowhere\n", "start_failed"),
        ("mute.service", "[Service]\nType=notify\nTimeoutStartSec=500ms\nExecStart=/bin/sleep infinity\n", "start_failed"),
        ("needs.service", REQUIRES, "start_failed"),
        ("bad.service", "[Service]\nExecStart=\n", "unit_missing"),
    ],
)
def test_what_a_refusal_means(box: Asked, unit: str, text: str, cause: str) -> None:
    if unit == "masked.service":
        box.run("ln", "-sf", "/dev/null", f"/run/systemd/system/{unit}")
        box.systemctl("daemon-reload")
    if "dep.service" in text:
        box.unit("dep.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
    if text:
        box.unit(unit, text)
    found, detail = box.restart(unit)
    assert found == cause, detail
    assert (detail == "") == (cause == "ok")


def test_33_without_any_rule_it_is_a_denial_too(box: Asked) -> None:
    life = box.begin("good.service")
    assert box.restart("good.service", user="blind")[0] == "not_permitted"
    assert box.life("good.service") == life


def test_33_the_right_to_restart_is_proved_without_a_restart(box: Asked) -> None:
    lives = {unit: box.begin(unit) for unit in ("good.service", "other.service")}
    code = "return [await systemd.may_restart(unit) for unit in arguments]"
    assert box.ask(code, "good.service", "other.service", user="watcher") == [True, False]
    assert {unit: box.life(unit) for unit in lives} == lives
    box.systemctl("stop", "good.service", "other.service")
    starts = {unit: box.starts(unit) for unit in lives}
    assert box.ask(code, "good.service", "other.service", "nowhere.service", user="watcher") == [True, False, None]
    assert {box.show(unit, "ActiveState")["ActiveState"] for unit in lives} == {"inactive"}
    assert {unit: box.starts(unit) for unit in lives} == starts


def test_33_what_proves_the_right_starts_nothing_that_ends_meanwhile(box: Asked) -> None:
    """The question itself, without the look at the unit that comes before it."""
    box.begin("good.service")
    box.systemctl("stop", "good.service")
    code = """
answered = await systemd._do("prove", "good.service", 5.0)
return [answered.returncode, answered.stderr.decode()]
"""
    code_, said = box.ask(code, user="watcher")
    assert code_ == 1 and "only valid for stop" in said
    assert box.show("good.service", "ActiveState")["ActiveState"] == "inactive"
    assert box.systemctl("is-failed", "good.service", check=False).stdout.strip() == "inactive"


def test_32_without_polkit_or_the_bus_it_cannot_act(box: Asked) -> None:
    life = box.begin("good.service")
    box.systemctl("mask", "--runtime", "polkit.service")
    box.systemctl("stop", "polkit.service")
    found, detail = box.restart("good.service")
    box.systemctl("unmask", "--runtime", "polkit.service")
    assert (found, "polkit.service is masked" in detail) == ("cannot_act", True)
    code = """
try:
    await Systemctl().restart(Act("good.service", None, 2.0, True, systemd))
except RecoveryError as error:
    return [error.cause, error.detail]
"""
    box.systemctl("stop", "dbus.socket", "dbus.service")
    try:
        found, detail = box.ask(code, user="watcher")
    finally:
        box.systemctl("start", "dbus.socket")
    assert (found, "Failed to connect to bus" in detail) == ("cannot_act", True)
    assert box.life("good.service") == life


def test_21_the_start_limit_of_a_running_unit(box: Asked) -> None:
    box.begin("limited.service", "[Unit]\nStartLimitIntervalSec=100\nStartLimitBurst=3\n" + SLEEPER)
    causes = [box.restart("limited.service")[0] for _ in range(4)]
    assert causes == ["ok", "ok", "start_limit", "start_limit"]
    assert box.facts("limited.service")["result"] == "start-limit-hit"
    assert box.restart("limited.service", clear=True) == ("ok", "")


def test_21_the_start_limit_of_a_unit_that_crashed(box: Asked) -> None:
    """systemd keeps the crash as Result, and systemctl repeats it; still the limit is recognized, and is in the facts from then on."""
    limit = "[Unit]\nStartLimitIntervalSec=100\nStartLimitBurst=2\n"
    box.begin("loop.service", f'{limit}[Service]\nExecStart=/bin/sh -c "exit 3"\nRestart=always\nRestartSec=10ms\n')
    box.wait("loop.service", "ActiveState", "failed")
    code = """
before = await read("loop.service")
try:
    await Systemctl().restart(Act("loop.service", before, 2.0, False, systemd))
except RecoveryError as error:
    cause = error.cause
after = await read("loop.service")
await systemd.reset_failed("loop.service")
return [before.result, cause, after.result, (await read("loop.service")).result]
"""
    assert box.ask(code, user="watcher") == ["exit-code", "start_limit", "start-limit-hit", "success"]


def test_27_a_stop_during_our_restart_is_no_failure_of_the_unit(box: Asked) -> None:
    box.begin("stubborn.service", '[Service]\nExecStart=/bin/bash -c "trap : TERM; while :; do sleep 0.05; done"\nTimeoutStopSec=2s\n')
    life = box.life("stubborn.service")
    code = """
import subprocess
restarting = asyncio.ensure_future(Systemctl().restart(Act("stubborn.service", await read("stubborn.service"), 2.0, False, systemd)))
while (await read("stubborn.service")).active != "deactivating":
    await asyncio.sleep(0.02)
subprocess.run(["systemctl", "stop", "--no-block", "stubborn.service"], check=True)
try:
    await restarting
except RecoveryError as error:
    return [error.cause, error.detail]
"""
    assert box.ask(code) == ["operator_stop", "Job for stubborn.service canceled."]
    box.wait_down("stubborn.service")
    assert box.why("stubborn.service", life)[0] == "operator_stop"


def test_19_24_a_restart_that_takes_too_long_is_left_to_systemd(box: Asked) -> None:
    box.begin("stubborn.service", '[Service]\nExecStart=/bin/bash -c "trap : TERM; while :; do sleep 0.05; done"\nTimeoutStopSec=2s\n')
    life = box.life("stubborn.service")
    code = """
from model_watchdog.recoveries import systemctl
systemctl.SLACK = -91.5
began = time.monotonic()
try:
    await Systemctl().restart(Act("stubborn.service", await read("stubborn.service"), 2.0, False, systemd))
except RecoveryError as error:
    return [error.cause, time.monotonic() - began]
"""
    cause, took = box.ask(code)
    assert cause == "start_timeout"
    assert took < 1.5
    wait_until(lambda: box.life("stubborn.service") not in (life, ""), told="systemd gave the job up")


def test_86_while_the_host_stops_nothing_is_restarted(installed: Path, tmp_path: Path) -> None:
    with Asked(tmp_path / "box", read_only_binds=[(installed, PREFIX)]) as box:
        box.begin("stops.service", "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 20\n")
        box.begin("model.service", "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 20\n")
        box.systemctl("--no-block", "halt")
        wait_until(lambda: box.run("systemctl", "is-system-running", check=False).stdout.strip() == "stopping")
        assert box.ask("return await systemd.is_host_stopping()") is True
        found, detail = box.restart("model.service", user="root")
        assert found == "host_stopping", detail


# ---------------------------------------------------------------- the unit's processes
WORKER = """[Service]
ExecStart=/bin/bash -c "sleep infinity & (exec -a deep sleep infinity) & while [ ! -e /run/spin ]; do sleep 0.02; done; while :; do :; done"
"""


def test_processes_and_processor_time(each_box: Asked) -> None:
    each_box.run("rm", "-f", "/run/spin")
    each_box.begin("w.service", WORKER)
    wait_until(lambda: len(each_box.ask("return list(processes(await read('w.service')))", user="blind")) >= 3)
    code = """
facts = await read("w.service")
first = processor_seconds(facts)
began = time.monotonic()
await asyncio.sleep(0.6)
return (processor_seconds(facts) - first) / (time.monotonic() - began)
"""
    assert each_box.ask(code, user="blind") < 0.2
    each_box.write("/run/spin", "")
    wait_until(lambda: each_box.ask(code, user="blind") > 0.3)
    each_box.systemctl("stop", "w.service")


def test_processor_time_without_cgroup_v2_is_added_up(each_box: Asked) -> None:
    """As on a machine with nothing but v1: the root of v2 is looked for where there is none."""
    each_box.write("/run/spin", "")
    each_box.begin("w.service", WORKER)
    code = """
from pathlib import Path
import model_watchdog.cgroup as cgroup
facts = await read("w.service")
exact = processor_seconds(facts)
cgroup._read_usage = lambda folder: None
first = processor_seconds(facts)
await asyncio.sleep(0.6)
return [exact, first, processor_seconds(facts) - first]
"""
    wait_until(lambda: each_box.ask("return processor_seconds(await read('w.service'))") > 0.5)
    exact, added, grown = each_box.ask(code, user="blind")
    assert added == pytest.approx(exact, abs=0.15)
    assert grown > 0.1
    each_box.systemctl("stop", "w.service")


def test_what_is_left_of_a_unit(each_box: Asked) -> None:
    """Processes that have ended are gone, zombies too; the same pid with another start time is another process."""
    each_box.begin("w.service", WORKER)
    code = """
import subprocess
before = processes(await read("w.service"))
child = subprocess.Popen(["sleep", "infinity"])
own = frozenset({(child.pid, int(open(f"/proc/{child.pid}/stat").read().rsplit(")")[1].split()[19]))})
alive = [sorted(still_alive(before)) == sorted(pid for pid, _ in before), still_alive(own) == (child.pid,)]
child.kill()
while open(f"/proc/{child.pid}/stat").read().rsplit(")")[1].split()[0] != "Z":
    pass
other = frozenset((pid, started + 1) for pid, started in before)
subprocess.run(["systemctl", "stop", "w.service"], check=True)
return [alive, len(before) >= 3, still_alive(own), still_alive(other), still_alive(before)]
"""
    assert each_box.ask(code) == [[True, True], True, [], [], []]


def test_the_end_of_a_main_process_is_told_at_once(each_box: Asked) -> None:
    each_box.begin("p.service")
    code = """
import signal
loop = asyncio.get_running_loop()
watch, told = MainProcessWatch(), []
pid = (await read("p.service")).main_pid
ended = asyncio.Event()
def tell():
    told.append(time.monotonic())
    ended.set()
assert watch.watch("p.service", pid, tell) and watch.watch("p.service", pid, tell)
began = time.monotonic()
os.kill(pid, signal.SIGKILL)
await asyncio.wait_for(ended.wait(), 5)
assert watch.watch("p.service", pid, tell)  # systemd may go on naming it for a moment
await asyncio.sleep(0.1)
late = len(told)
ended.clear()
watch.watch("q.service", 4194304 - 1, tell)  # gone already
await asyncio.wait_for(ended.wait(), 5)
descriptors = len(os.listdir("/proc/self/fd"))
watch.watch("own", os.getpid(), tell)
watch.close()
return [told[0] - began, late, len(told), len(os.listdir("/proc/self/fd")) - descriptors]
"""
    took, once, in_all, kept = each_box.ask(code)
    assert took < 0.2
    assert (once, in_all, kept) == (1, 2, 0)
