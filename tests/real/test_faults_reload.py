"""The configuration is read anew while the daemon runs: what changed is taken over, a faulty file changes nothing, a restart is finished.

Restarts are those in systemd's journal, messages those at the sink; everything else is asked for by the commands.
"""

import json
import signal
from textwrap import indent

from tests.conftest import FaultRow
from tests.rig.sinks import HttpSink
from tests.rig.stand import SLEEP, Model, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import CONFIG, DAEMON, PREFIX, USER, WATCHDOG

REJECTED = "the new configuration was rejected"
FAULTY = "services:\n  a: {unit: a, startup: 30}\n  b: {unit: b, start: 30s}\n"
FAULTS = (
    f'{CONFIG}:2:25: services.a.startup: "30" has no unit; did you mean 30s?\n'
    f'{CONFIG}:3:16: services.b.start: no such key; did you mean "startup"?\n'
)


def reload(stand: Stand, code: int = 0) -> str:
    """What `watchdog reload` says; `code` is how it must end."""
    done = stand.box.watchdog("reload", check=False)
    assert done.returncode == code, f"reload ended with {done.returncode}: {done.stdout}{done.stderr}\n{stand.log()}"
    return done.stdout + done.stderr


def config_error(stand: Stand) -> str | None:
    error: str | None = stand.box.status()["daemon"]["config_error"]
    return error


def watched(stand: Stand) -> list[str]:
    return [service["name"] for service in stand.box.status()["services"]]


def told_of(stand: Stand, text: str) -> int:
    return sum(text in title for title in stand.told())


def kept(model: Model) -> object:
    """What must not change where nothing was changed."""
    shown = model.shown()
    return shown["since"], shown["breaker"], shown["recovery"], shown["paused_until"]


# ---------------------------------------------------------------- a faulty file
def test_fault_66_a_faulty_file_changes_nothing(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """However it is faulty, and however the daemon is asked to read it; told once a change, until a good one is in force."""
    box, model = stand.box, stand.model()
    model.start()
    stand.watch(http_sink, model.config())
    stand.wait_state("healthy", model)
    good, pid = box.read(CONFIG), box.main_pid(DAEMON)

    box.write_config(FAULTY)
    said = reload(stand, code=2)
    assert said == f"{FAULTS}2 faults; the configuration before stays in force.\n"
    message = stand.message(REJECTED)
    assert message.title.startswith("[warning]") and "(and 1 more)" in message.body and "watchdog check" in message.body
    shown = box.watchdog("status", check=False)
    assert shown.returncode == 1 and shown.stdout.startswith("WARNING: configuration rejected: "), shown.stdout
    assert "\nCONFIG " in shown.stdout
    assert "the configuration was rejected, the one before stays in force" in box.watchdog("doctor", "--quiet", check=False).stdout
    assert config_error(stand) == f"{FAULTS.splitlines()[0]} (and 1 more)"

    assert box.systemctl("reload", DAEMON, check=False).returncode != 0, "the unit's ExecReload has an honest exit code"
    box.kill(DAEMON, signal.SIGHUP)
    wait_until(lambda: stand.log().count("event=config_fault") == 6, 10, stand.log)
    assert told_of(stand, REJECTED) == 1, "the same faults again are nothing new"

    half = good[: good.index("http://127") + 4]  # written without a rename: cut in the middle
    ways = {"half": lambda: box.write_config(half), "empty": lambda: box.write_config(""), "gone": lambda: box.run("rm", CONFIG)}
    ways["unreadable"] = lambda: box.write(CONFIG, good, mode="600", owner="root:root")
    for number, (way, spoil) in enumerate(ways.items(), 2):
        spoil()
        said = reload(stand, code=2)
        assert "1 fault; the configuration before stays in force." in said, (way, said)
        wait_until(lambda number=number: told_of(stand, REJECTED) == number, 10, stand.log)  # type: ignore[misc]
        assert config_error(stand) == said.splitlines()[0]

    model.kill()  # what was in force is in force, whole
    stand.message(f"{model.name} was restarted and is well again")
    assert watched(stand) == [model.name] and model.restarts == 1

    box.write_config(good)
    assert reload(stand) == f"{CONFIG}: the configuration was read anew: nothing has changed\n"
    assert config_error(stand) is None
    assert box.watchdog("status").stdout.startswith("OK: ")
    assert box.systemctl("reload", DAEMON, check=False).returncode == 0
    assert box.main_pid(DAEMON) == pid, "it is the same daemon all the while"
    told = len(http_sink.messages)
    assert told == 1 + len(ways) + 1
    fault_row(66, "reloads of a faulty, half-written, empty, missing or unreadable file", model.restarts, told)


# ---------------------------------------------------------------- in the middle of a restart
def test_fault_67_a_service_that_is_taken_out_in_the_middle_of_its_restart(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """It is finished, recorded and told; then the service is watched no longer. The other one does not notice."""
    box, out, other = stand.box, stand.model("ExecStartPre=/bin/sleep 2"), stand.model()
    stand.start(out, other)
    stand.watch(http_sink, out.config(startup="10s", stable="2s"), other.config())
    stand.wait_state("healthy", out, other)
    other.kill()
    stand.message(f"{other.name} was restarted and is well again")
    box.watchdog("pause", other.name, "--for", "20m", "--reason", "to see that it stays so")
    stand.message(f"{other.name} is paused")
    before = kept(other)
    assert other.shown()["breaker"]["restarts"] == 1

    out.kill()
    wait_until(lambda: out.shown()["recovery"]["phase"] in ("stopping", "starting"), 10, stand.log, every=0.1)
    stand.configure(other.config())
    assert f"removed {out.name}; {out.name} when the restart under way is over" in reload(stand)
    assert watched(stand) == [out.name, other.name]
    stand.message(f"{out.name} was restarted and is well again")
    wait_until(lambda: watched(stand) == [other.name], 10, stand.log, every=0.2)
    events = [event["event"] for event in out.events()]
    assert events.index("recovered") < events.index("not_watched") and events[-1] == "not_watched"
    (restart,) = stand.ask_record(f"SELECT result FROM restart WHERE service = '{out.name}'")
    assert restart == ["recovered"]

    out.kill()
    stand.stays((out, 1), (other, 1), messages=3)
    assert kept(other) == before
    fault_row(67, "taken out of the file in the middle of its restart", out.restarts, 1)
    stand.configure(out.config(), other.config())  # it comes back, with what is known of it
    reload(stand)
    stand.message(f"{out.name} was restarted and is well again", timeout=20)
    wait_until(lambda: out.restarts == 2, 10, stand.log)
    assert out.shown()["breaker"]["restarts"] == 2 and kept(other) == before


def test_what_was_under_way_of_a_service_that_is_gone_at_the_next_start_is_closed(stand: Stand, http_sink: HttpSink) -> None:
    """The daemon is killed in the middle of a restart, and started with a file that names the service no more."""
    out = stand.model("ExecStartPre=/bin/sleep 2")
    out.start()
    stand.watch(http_sink, out.config(startup="10s"))
    stand.wait_state("healthy", out)
    out.kill()
    wait_until(lambda: out.shown()["recovery"]["phase"] == "starting", 10, stand.log, every=0.1)
    stand.configure()
    stand.box.kill(DAEMON)
    wait_until(lambda: stand.box.watchdog("status", check=False).returncode == 0, 15, stand.log, every=0.2)
    assert watched(stand) == [] and stand.box.status()["incidents"] == []
    assert stand.ask_record("SELECT result, detail FROM restart") == [
        ["interrupted", "the watchdog was stopped before the restart was made"]
    ]


# ---------------------------------------------------------------- what has changed, and what has not
def test_services_come_change_and_go(stand: Stand, http_sink: HttpSink) -> None:
    box = stand.box
    stays, changes, goes, comes = models = [stand.model(program=SLEEP) for _ in range(3)] + [stand.model()]
    stand.start(*models)
    fires = "{busy: {metric: unit_tasks, above: 0}}"
    stand.watch(http_sink, stays.config(), changes.config(rules=fires), goes.config(rules=fires))
    stand.wait_state("healthy", stays, changes, goes)
    for model in (changes, goes):
        stand.message(f"{model.name}: busy fires")
    before, pid = kept(stays), box.main_pid(DAEMON)
    rights = len(stays.calls("StartUnit"))
    assert rights == 1

    stand.configure(stays.config(), changes.config(startup="4s"), comes.config())
    said = reload(stand)
    assert said == f"{CONFIG}: the configuration was read anew: added {comes.name}; removed {goes.name}; changed {changes.name}\n"
    stand.message(f"{changes.name}: busy is over")
    stand.message(f"{goes.name} is no longer watched")
    stand.wait_state("healthy", stays, changes, comes)
    stand.wait_rights(comes)
    wait_until(lambda: len(stays.calls("StartUnit")) == 2, 10, stand.log)  # the rule may have changed as well
    for model in (goes, comes, changes):
        model.kill()
    for model in (comes, changes):
        stand.message(f"{model.name} was restarted and is well again")
    stand.stays((goes, 0), (comes, 1), (changes, 1), (stays, 0), messages=6)
    assert kept(stays) == before and box.main_pid(DAEMON) == pid
    assert [event["event"] for event in box.events() if event["event"] in ("reloaded", "daemon_started")] == ["daemon_started", "reloaded"]


def test_what_waits_to_be_told_goes_to_the_notifier_as_it_is_now(stand: Stand, http_sink: HttpSink) -> None:
    """One that is gone is told nothing more; what it was not told is undeliverable."""
    box, model = stand.box, stand.model(program=SLEEP)
    model.start()
    down = "notifiers:\n  ops: {kind: apprise, url: 'json://127.0.0.1:9/', min_severity: info}\n"
    down += "  gone: {kind: apprise, url: 'json://127.0.0.1:9/', min_severity: info}\n"
    stand.watch(http_sink, model.config(), more=down)
    stand.wait_state("healthy", model)
    box.watchdog("pause", model.name, "--for", "20m", "--reason", "nobody can be told")
    wait_until(lambda: box.status()["notifications"]["queued"] == 2, 10, stand.log)
    stand.configure(model.config())
    assert "changed notifiers" in reload(stand)
    stand.message(f"{model.name} is paused", timeout=10)
    found = stand.ask_record("SELECT notifier, state, error FROM outbox ORDER BY notifier")
    assert found == [["gone", "undeliverable", "this notifier is no longer configured"], ["ops", "sent", ""]]
    assert json.loads(box.watchdog("status", "--json", check=False).stdout)["notifications"] == {"queued": 0, "undeliverable": 1}


def test_another_unit_under_the_same_name_is_another_service(stand: Stand, http_sink: HttpSink) -> None:
    before, now = stand.model(program=SLEEP), stand.model(program=SLEEP)
    stand.start(before, now)
    stand.watch(http_sink, before.config(), more="host: {common_cause: off, rules: {short: {metric: host_memory_percent, above: 0}}}\n")
    stand.wait_state("healthy", before)
    stand.message("short fires")
    stand.configure(before.config(unit=now.unit))
    assert f"changed {before.name}, host" in reload(stand)
    stand.message("short is over")
    wait_until(lambda: before.shown()["unit"] == now.unit and before.shown()["state"] == "healthy", 10, stand.log)
    now.kill()
    stand.message(f"{before.name} was restarted and is well again")
    before.kill()
    stand.stays((before, 0), (now, 1), messages=3)


def test_a_pause_holds_whatever_unit_its_name_stands_for(stand: Stand, http_sink: HttpSink) -> None:
    before, now = stand.model(program=SLEEP), stand.model(program=SLEEP)
    stand.start(before, now)
    stand.watch(http_sink, before.config())
    stand.wait_state("healthy", before)
    stand.box.watchdog("pause", before.name, "--for", "1h", "--reason", "new weights")
    stand.configure(before.config(unit=now.unit))
    reload(stand)
    wait_until(lambda: before.shown()["unit"] == now.unit and before.shown()["state"] == "healthy", 10, stand.log)
    now.kill()
    wait_until(lambda: before.shown()["state"] == "dead", 10, stand.log)
    stand.stays((before, 0), (now, 0), messages=1)
    assert before.shown()["paused_until"] is not None


def test_a_unit_that_gets_another_name_in_the_middle_of_its_restart_is_restarted_once(stand: Stand, http_sink: HttpSink) -> None:
    model, name = stand.model("ExecStartPre=/bin/sleep 2"), "renamed"
    model.start()
    stand.watch(http_sink, model.config(startup="10s"))
    stand.wait_state("healthy", model)
    model.kill()
    wait_until(lambda: model.shown()["recovery"]["phase"] == "starting", 10, stand.log, every=0.1)
    stand.configure(model.config(startup="10s").replace(f"{model.name}:", f"{name}:", 1))
    said = reload(stand)
    assert f"added {name}; removed {model.name}; {model.name}, {name} when the restart under way is over" in said
    stand.message(f"{model.name} was restarted and is well again")
    wait_until(lambda: watched(stand) == [name] and stand.box.service(name)["state"] == "healthy", 10, stand.log, every=0.2)
    stand.stays((model, 1), messages=1)


def test_the_configuration_changes_in_the_middle_of_a_restart(stand: Stand, http_sink: HttpSink) -> None:
    """It is finished as it was begun; a file that is as before again takes nothing out."""
    model = stand.model("ExecStartPre=/bin/sleep 2")
    model.start()
    stand.watch(http_sink, model.config(startup="10s"))
    stand.wait_state("healthy", model)
    model.kill()
    wait_until(lambda: model.shown()["recovery"]["phase"] == "starting", 10, stand.log, every=0.1)
    stand.configure()
    assert "when the restart under way is over" in reload(stand)
    slow = model.config(startup="10s", stable="500ms", rules="{busy: {metric: unit_tasks, above: 0}}")
    stand.configure(slow)
    assert f"changed {model.name}; {model.name} when the restart under way is over" in reload(stand)
    stand.message(f"{model.name} was restarted and is well again")
    stand.message(f"{model.name}: busy fires")
    assert "not_watched" not in [event["event"] for event in model.events()]
    stand.stays((model, 1), messages=2, seconds=1.0)


def test_included_files_come_and_go_with_a_reload(stand: Stand, http_sink: HttpSink) -> None:
    """Each is held to what the first is held to: by the daemon, which must read it, and by install, before it may add a right."""
    box, own, more = stand.box, stand.model(program=SLEEP), stand.model(program=SLEEP)
    folder = f"{CONFIG.rpartition('/')[0]}/conf.d"
    stand.start(own, more)
    stand.watch(http_sink, own.config(), more="include: conf.d/*.yaml\n")
    stand.wait_state("healthy", own)
    box.run("mkdir", "-m", "755", folder)
    try:
        box.write(f"{folder}/more.yaml", "services:\n" + indent(more.config(), "  "), mode="640", owner=f"root:{USER}")
        assert f"added {more.name}" in reload(stand)
        stand.wait_state("healthy", own, more)
        more.kill()
        stand.message(f"{more.name} was restarted and is well again")
        for spoiled, fault in (("700", f"{folder} cannot be read: Permission denied"), ("755", "")):
            box.run("chmod", spoiled, folder)
            assert fault in reload(stand, code=2 if fault else 0)
            assert watched(stand) == [own.name, more.name], "a folder that cannot be read is no empty one"
        assert f"{more.unit}" in box.watchdog("install", "--print").stdout
        box.run("chown", USER, f"{folder}/more.yaml")
        refused = box.watchdog("install", check=False)
        assert refused.returncode == 1 and f"{folder}/more.yaml belongs to {USER}, not to root" in refused.stderr, refused.stderr
    finally:
        box.run("rm", "-r", folder)
    assert f"removed {more.name}" in reload(stand)
    assert watched(stand) == [own.name]
    stand.stays((own, 0), (more, 1), messages=2, seconds=0.5)


def test_many_who_ask_at_once_are_all_answered(stand: Stand, http_sink: HttpSink) -> None:
    box, model = stand.box, stand.model(program=SLEEP)
    model.start()
    stand.watch(http_sink, model.config())
    stand.wait_state("healthy", model)
    many = f"for n in 1 2 3 4 5 6; do {WATCHDOG} reload & kill -HUP {box.main_pid(DAEMON)}; done; wait"
    said = box.run("bash", "-c", many).stdout
    assert said.count("the configuration was read anew") == 6, said
    assert [event["event"] for event in box.events()].count("reloaded") < 12, "those that wait share one"
    stand.wait_state("healthy", model)
    stand.stays((model, 0), messages=0, seconds=1.0)


def test_who_may_and_who_is_not_there(stand: Stand, http_sink: HttpSink) -> None:
    box = stand.box
    stand.watch(http_sink)
    assert "nothing has changed" in box.watchdog("reload", user=USER).stdout
    box.systemctl("stop", DAEMON)
    reload(stand, code=3)
    box.run("test", "-s", f"{PREFIX}/share/watchdog.schema.json")
