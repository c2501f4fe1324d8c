"""`watchdog install` and `uninstall` on a real system: users, files, systemd and polkit are asked what came of it."""

import re
import shutil
from pathlib import Path
from textwrap import dedent

import pytest

from model_watchdog.cli.install import FIRST_CONFIG
from model_watchdog.cli.installation import fill_rule, resource
from tests.rig.sinks import HttpSink
from tests.rig.waiting import wait_until
from tests.rig.watched_box import CONFIG, DAEMON, PREFIX, USER, WATCHDOG, WatchedBox

UNIT_FILE = f"/etc/systemd/system/{DAEMON}"
RULE_FILE = "/etc/polkit-1/rules.d/50-model-watchdog.rules"
STATE_DIR = "/var/lib/model-watchdog"
SLEEP = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\n"


def config_of(*units: str) -> str:
    lines = [f"  service{number}:\n    unit: '{unit}'" for number, unit in enumerate(units)]
    return "services:\n" + "\n".join(lines) + "\n"


def owner_and_mode(box: WatchedBox, path: str) -> str:
    return box.run("stat", "-c", "%U:%G %a", path).stdout.strip()


def what_is_there(box: WatchedBox) -> str:
    """Everything that install could have left, with its times."""
    places = ("/etc/passwd", "/etc/group", "/etc/model-watchdog", STATE_DIR, "/etc/systemd/system", "/etc/polkit-1")
    return box.run("sh", "-c", f"find {' '.join(places)} -printf '%p %u %g %m %T@ %i\\n' 2>/dev/null | sort", check=False).stdout


def install(box: WatchedBox, *options: str) -> str:
    return box.watchdog("install", *options).stdout


def refuse(box: WatchedBox, *command: str, code: int = 1, user: str = "root") -> str:
    """What install says when it refuses; it has changed nothing then, and says it in words."""
    before = what_is_there(box)
    done = box.run(*command, check=False, user=user)
    assert done.returncode == code, done.stdout + done.stderr
    assert what_is_there(box) == before
    assert "Traceback" not in done.stderr
    return done.stderr


# ---------------------------------------------------------------- the first time
def test_the_page_has_a_unit_of_its_own_that_reads_and_cannot_command(box: WatchedBox) -> None:
    told = install(box, "--web")
    unit = "model-watchdog-web.service"
    assert f"created    /etc/systemd/system/{unit}" in told and "enable --now model-watchdog-web" in told
    assert f"ExecStart={WATCHDOG} --state-dir" in box.read(f"/etc/systemd/system/{unit}")
    assert "unchanged  /etc/systemd/system/model-watchdog-web.service" in install(box), "it stays without --web"
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "start", DAEMON, unit)
    fetch = "import sys, urllib.request as r; print(r.urlopen('http://127.0.0.1:8712' + sys.argv[1]).read().decode())"

    def get(path: str) -> str:
        return box.run(f"{PREFIX}/bin/python", "-c", fetch, path, check=False).stdout

    wait_until(lambda: '"running": true' in get("/api/v1/status"), 20, lambda: get("/api/v1/status") + str(box.journal(_SYSTEMD_UNIT=unit)))
    assert get("/healthz").strip() == "ok" and "watchdog_up 1" in get("/metrics")
    verified = box.run("systemd-analyze", "verify", f"/etc/systemd/system/{unit}", check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    assert float(box.run("systemd-analyze", "security", "--no-pager", unit, check=False).stdout.split()[-3]) < 1.5
    properties = box.run("systemctl", "show", unit, "-p", "ActiveState,User,DynamicUser,MemoryCurrent").stdout
    assert "ActiveState=active" in properties and "DynamicUser=yes" in properties
    box.run("systemctl", "stop", DAEMON)
    wait_until(
        lambda: '"running": false' in get("/api/v1/status"),
        10,
        lambda: get("/api/v1/status") + box.run("ls", "-la", "/run/model-watchdog", check=False).stdout,
    )
    assert "watchdog_up 0" in get("/metrics")
    box.run("systemctl", "stop", unit)
    assert f"removed    /etc/systemd/system/{unit}" in box.watchdog("uninstall").stdout


def test_first_install(box: WatchedBox) -> None:
    reloads = len([entry for entry in box.journal(_PID="1") if "Reloading" in str(entry.get("MESSAGE"))])
    told = install(box)

    assert USER in box.run("id", "-nG", USER).stdout.split()
    assert "systemd-journal" in box.run("id", "-nG", USER).stdout.split()
    account = box.run("getent", "passwd", USER).stdout.strip().split(":")
    assert int(account[2]) < 1000
    assert account[5:] == [STATE_DIR, "/usr/sbin/nologin"]
    assert owner_and_mode(box, "/etc/model-watchdog") == f"root:{USER} 750"
    assert owner_and_mode(box, CONFIG) == f"root:{USER} 640"
    assert owner_and_mode(box, STATE_DIR) == f"{USER}:{USER} 750"
    assert owner_and_mode(box, UNIT_FILE) == "root:root 644"
    assert owner_and_mode(box, RULE_FILE) == "root:root 644"
    assert f"ExecStart={WATCHDOG} run\n" in box.read(UNIT_FILE)
    assert box.read(RULE_FILE) == fill_rule(resource("50-model-watchdog.rules"), [])
    box.watchdog("check")  # the configuration that it wrote is good
    box.run(WATCHDOG, "check", user=USER)  # and the daemon can read it

    created = re.findall(r"^created +(.*)$", told, re.M)
    assert created == [
        f"group {USER}",
        f"user {USER}",
        "/etc/model-watchdog/",
        f"{STATE_DIR}/",
        CONFIG,
        UNIT_FILE,
        RULE_FILE,
    ]
    assert f"next:      put your services into {CONFIG}\n" in told
    assert "systemctl daemon-reload && systemctl enable --now model-watchdog" in told
    # it started and reloaded nothing, and left no draft
    assert len([entry for entry in box.journal(_PID="1") if "Reloading" in str(entry.get("MESSAGE"))]) == reloads
    assert box.show(DAEMON, "ActiveState")["ActiveState"] == "inactive"
    assert box.run("systemctl", "is-enabled", DAEMON, check=False).stdout.strip() == "disabled"
    assert box.run("find", "/etc", "-name", ".*.new").stdout == ""


def test_the_second_time_nothing_changes(box: WatchedBox) -> None:
    install(box)
    before = what_is_there(box)
    told = install(box)
    assert what_is_there(box) == before
    assert {line.split()[0] for line in told.splitlines() if line[:1].isalpha() and not line.startswith("next:")} == {"unchanged"}


def test_what_was_damaged_is_mended(box: WatchedBox) -> None:
    install(box)
    box.run("sh", "-c", f"chmod 666 {UNIT_FILE}; echo junk >> {RULE_FILE}; chmod 755 {STATE_DIR}; gpasswd -d {USER} systemd-journal")
    told = install(box)
    assert re.findall(r"^updated +(\S+)", told, re.M) == ["user", f"{STATE_DIR}/", UNIT_FILE, RULE_FILE]
    assert owner_and_mode(box, UNIT_FILE) == "root:root 644"
    assert box.read(RULE_FILE) == fill_rule(resource("50-model-watchdog.rules"), [])


def test_a_configuration_that_is_there_stays_as_it_is(box: WatchedBox) -> None:
    box.add_user(USER)
    box.write_config(config_of("model.service", "bert"))
    told = install(box)
    assert box.read(CONFIG) == config_of("model.service", "bert")
    assert 'var units = ["bert.service", "model.service"];' in box.read(RULE_FILE)
    assert "it allows bert.service, model.service" in told
    assert "put your services" not in told


def test_files_that_a_run_by_hand_left_go_to_the_daemon(box: WatchedBox) -> None:
    install(box)
    box.run("sh", "-c", f"touch {STATE_DIR}/watchdog.db; ln -s /etc/shadow {STATE_DIR}/link; ln /etc/hostname {STATE_DIR}/second")
    install(box)
    assert owner_and_mode(box, f"{STATE_DIR}/watchdog.db").startswith(f"{USER}:{USER} ")
    assert owner_and_mode(box, "/etc/shadow").startswith("root:shadow ")  # never through a link
    assert owner_and_mode(box, "/etc/hostname").startswith("root:root ")  # nor what has a name elsewhere


def test_a_configuration_elsewhere(box: WatchedBox) -> None:
    box.write("/srv/models.yaml", config_of("model.service"))
    install(box, "--config", "/srv/models.yaml")
    assert f"ExecStart={WATCHDOG} run --config /srv/models.yaml\n" in box.read(UNIT_FILE)
    assert 'var units = ["model.service"];' in box.read(RULE_FILE)
    assert box.run("test", "-e", CONFIG, check=False).returncode != 0
    box.write("/srv/my models.yaml", config_of("model.service"))
    assert "'/srv/my models.yaml' has a character" in refuse(box, WATCHDOG, "install", "--config", "/srv/my models.yaml")


@pytest.mark.parametrize(
    ("prepare", "wrong"),
    [
        ("chown nobody /srv/watch/config.yaml", "/srv/watch/config.yaml belongs to nobody, not to root"),
        ("chmod 666 /srv/watch/config.yaml", "may write to it, and root reads it"),
        ("chown nobody /srv/watch", "/srv/watch belongs to nobody, not to root"),
        ("chmod 777 /srv/watch", "/srv/watch can be written by everybody"),
    ],
)
def test_a_configuration_that_others_may_write_says_nothing_to_root(box: WatchedBox, prepare: str, wrong: str) -> None:
    box.write("/srv/watch/config.yaml", config_of("model.service"))
    box.run("sh", "-c", prepare)
    assert wrong in refuse(box, WATCHDOG, "install", "--config", "/srv/watch/config.yaml")


def test_of_a_link_the_unit_gets_the_file(box: WatchedBox) -> None:
    """Whoever owns the link's directory can let the link lead elsewhere; so neither the daemon nor an included file may go through it."""
    box.write("/srv/real/config.yaml", config_of("model.service") + "include: conf.d/*.yaml\n")
    box.write("/srv/real/more.yaml", "notifiers: {}\n")
    box.run("sh", "-c", "mkdir /srv/its /srv/real/conf.d; chown nobody /srv/its; ln -s ../real/config.yaml /srv/its/config.yaml")
    box.run("ln", "-s", "../more.yaml", "/srv/real/conf.d/more.yaml")
    install(box, "--config", "/srv/its/config.yaml")
    assert f"ExecStart={WATCHDOG} run --config /srv/real/config.yaml\n" in box.read(UNIT_FILE)

    box.run("sh", "-c", "ln -s /srv/real/more.yaml /srv/its/more.yaml; ln -sf /srv/its/more.yaml /srv/real/conf.d/more.yaml")
    wrong = "/srv/its belongs to nobody, not to root; sudo install -o root -g model-watchdog -m 640 /srv/real/conf.d/more.yaml"
    assert wrong in refuse(box, WATCHDOG, "install", "--config", "/srv/its/config.yaml")


def test_a_rule_file_that_others_may_write_is_refused_as_the_configuration_is(box: WatchedBox) -> None:
    """Its alerts and what it records are seen by the expressions that restart."""
    box.write("/srv/watch/config.yaml", config_of("model.service") + "rule_files: rules.yml\n")
    box.write("/srv/watch/rules.yml", "groups: []\n")
    box.run("sh", "-c", "chmod 666 /srv/watch/rules.yml")
    assert "/srv/watch/rules.yml" in refuse(box, WATCHDOG, "install", "--config", "/srv/watch/config.yaml")


def test_what_is_next_depends_on_whether_the_daemon_runs(box: WatchedBox) -> None:
    box.add_user(USER)
    box.write_config(config_of("model.service"))
    assert "next:      systemctl daemon-reload && systemctl enable --now model-watchdog" in install(box)
    box.write(f"{UNIT_FILE}.d/test.conf", "[Service]\nType=simple\nWatchdogSec=0\nExecStart=\nExecStart=/bin/sleep infinity\n")
    box.systemctl("daemon-reload")
    box.systemctl("start", DAEMON)
    assert "everything is in place, and the daemon runs" in install(box)
    box.write_config(config_of("model.service", "bert.service"))
    assert "next:      systemctl reload model-watchdog" in install(box)
    box.run("sh", "-c", f"echo '# mine' >> {UNIT_FILE}")
    assert "next:      systemctl daemon-reload && systemctl restart model-watchdog" in install(box)


# ---------------------------------------------------------------- --print
def test_print_shows_what_would_be_written_to_anybody(box: WatchedBox) -> None:
    box.add_user("somebody")
    before = what_is_there(box)
    shown = box.run(WATCHDOG, "install", "--print", user="somebody")
    assert what_is_there(box) == before
    assert shown.stderr == ""
    install(box)
    assert shown.stdout == "".join(
        (
            f"==> {CONFIG} (0640 root:{USER}) <==\n{FIRST_CONFIG}\n",
            f"==> {UNIT_FILE} (0644 root:root) <==\n{box.read(UNIT_FILE)}\n",
            f"==> {RULE_FILE} (0644 root:root) <==\n{box.read(RULE_FILE)}",
        )
    )
    told = refuse(box, WATCHDOG, "install", "--print", user="somebody")  # now there is a configuration, and it is not for everybody
    assert f"{CONFIG}: may not be read by this user" in told


# ---------------------------------------------------------------- refused: nothing is changed, and it says what to do
def test_not_root(box: WatchedBox) -> None:
    box.add_user("somebody")
    assert f"sudo {WATCHDOG} install" in refuse(box, WATCHDOG, "install", user="somebody")
    assert "sudo" in refuse(box, WATCHDOG, "uninstall", user="somebody")


def test_an_invalid_configuration(box: WatchedBox) -> None:
    box.write(CONFIG, "services:\n  a:\n    unit: model.service\n    statrup: 5m\n  b:\n    unit: '-x.service'\n")
    told = refuse(box, WATCHDOG, "install")
    assert told.startswith("watchdog: nothing was changed: the configuration is not valid\n")
    assert f"{CONFIG}:4:5: services.a.statrup: " in told
    assert 'did you mean "startup"?' in told
    assert f"{CONFIG}:6:11: services.b.unit" in told


def test_options_without_a_meaning_here(box: WatchedBox) -> None:
    assert "/var/lib/model-watchdog" in refuse(box, WATCHDOG, "install", "--state-dir", "/srv/x", code=64)
    assert "/run/model-watchdog" in refuse(box, WATCHDOG, "uninstall", "--runtime-dir", "/srv/x", code=64)


def test_a_masked_unit(box: WatchedBox) -> None:
    box.systemctl("mask", DAEMON)
    assert f"systemctl unmask {DAEMON}" in refuse(box, WATCHDOG, "install")


@pytest.mark.parametrize(
    ("place", "prepare", "wrong"),
    [
        ("/home/alice/wd", "mkdir -p /home/alice/wd", "/home/alice/wd/bin/watchdog lies under /home"),
        ("/root/wd", "mkdir -p /root/wd", "/root/wd/bin/watchdog lies under /root"),
        ("/srv/open/wd", "mkdir -p /srv/open/wd && chmod 777 /srv/open", "/srv/open can be written by everybody"),
        ("/tmp/wd", "mkdir -p /tmp/wd", "/tmp can be written by everybody"),
        ("/srv/hers/wd", "mkdir -p /srv/hers/wd && chown alice /srv/hers", "/srv/hers belongs to alice, not to root"),
        ("/srv/gone/wd", "mkdir -p /srv/gone/wd && chown 4242 /srv/gone", "/srv/gone belongs to user 4242, not to root"),
        (
            "/srv/team/wd",
            "cd /srv && mkdir -p team/wd && chgrp alice team && chmod 775 team",
            "/srv/team can be written by the group alice",
        ),
    ],
)
def test_an_installation_that_others_may_write_to(box: WatchedBox, place: str, prepare: str, wrong: str) -> None:
    box.add_user("alice")
    box.run("sh", "-c", f"{prepare} && mount --bind {PREFIX} {place}")
    told = refuse(box, f"{place}/bin/python", f"{place}/bin/watchdog", "install")
    assert told.startswith(f"watchdog: nothing was changed: {wrong}; put it where only root may write: python3 -m venv {PREFIX} && ")
    printed = box.run(f"{place}/bin/python", f"{place}/bin/watchdog", "install", "--print")
    assert f"install would refuse: {wrong}" in printed.stderr


def test_a_file_of_the_installation_that_others_may_write_to(box: WatchedBox) -> None:
    box.run("sh", "-c", f"cp {WATCHDOG} /run/watchdog; chmod 666 /run/watchdog; mount --bind /run/watchdog {WATCHDOG}")
    assert f"{WATCHDOG} can be written by everybody" in refuse(box, f"{PREFIX}/bin/python", WATCHDOG, "install")
    box.run("sh", "-c", "chown 4242 /run/watchdog; chmod 755 /run/watchdog")
    assert f"{WATCHDOG} belongs to user 4242, not to root" in refuse(box, WATCHDOG, "install")
    box.run("sh", "-c", "chown 0:0 /run/watchdog; chmod 750 /run/watchdog")
    assert f"{WATCHDOG} cannot be used by the user {USER}; chmod -R go+rX {WATCHDOG}" in refuse(box, WATCHDOG, "install")


def test_no_entry_point(box: WatchedBox) -> None:
    program = """
        import glob, sys
        sys.path += glob.glob("/opt/model-watchdog/lib/python3*/site-packages")
        from model_watchdog.cli.main import main
        sys.exit(main(["install"]))
        """
    box.write("/run/call.py", dedent(program))
    assert "which watchdog shall the unit start? /run/call.py is none; put it" in refuse(box, "python3", "/run/call.py")


def test_a_system_that_cannot_make_users_now(box: WatchedBox) -> None:
    box.run("sh", "-c", "echo 1 > /etc/group.lock")  # pid 1 holds the lock
    told = refuse(box, WATCHDOG, "install")
    assert told.startswith("watchdog: groupadd --system model-watchdog: ")
    assert "cannot lock" in told


def test_a_read_only_etc(box: WatchedBox) -> None:
    install(box)
    box.write_config(config_of("model.service"))
    box.run("mount", "--bind", "-o", "ro", "/etc/polkit-1", "/etc/polkit-1")
    before = box.read(RULE_FILE)
    done = box.watchdog("install", check=False)
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr
    assert RULE_FILE.rpartition("/")[0] in done.stderr
    assert "Traceback" not in done.stderr
    assert box.read(RULE_FILE) == before


# ---------------------------------------------------------------- installed, but something is missing: exit 1 and a line that says what
@pytest.mark.parametrize(
    ("pkaction", "said"),
    [
        ("#!/bin/sh\necho pkaction version 0.105\n", "polkit 0.105 reads no .rules files"),
        (None, "polkit is missing"),
    ],
)
def test_a_polkit_that_is_too_old_or_missing(box: WatchedBox, pkaction: str | None, said: str) -> None:
    box.run("rm", "/usr/bin/pkaction")
    if pkaction:
        box.write("/usr/bin/pkaction", pkaction, mode="755")
    done = box.watchdog("install", check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert box.read(UNIT_FILE)


def test_a_configuration_that_the_daemon_cannot_read(box: WatchedBox) -> None:
    box.unit("model.service", SLEEP)
    box.write(CONFIG, config_of("model.service"), mode="600")
    done = box.watchdog("install", check=False)
    assert done.returncode == 1
    assert done.stderr == f"watchdog: the daemon cannot read {CONFIG}: chgrp {USER} {CONFIG} && chmod g+r {CONFIG}\n"
    box.run("sh", "-c", done.stderr.rpartition(": ")[2])
    install(box)
    box.run("cat", CONFIG, user=USER)


# ---------------------------------------------------------------- installed, but with a warning: what the operator may have meant
def test_a_unit_that_systemd_does_not_know_is_doubted(box: WatchedBox) -> None:
    for name in ("chatglm.service", "vllm@.service", "stopped.service"):
        box.unit(name, SLEEP)
    box.add_user(USER)
    box.write_config(config_of("chatgml.service", "stopped.service", "vllm@7.service", "vlm@7.service", "qqqq"))
    doubts = [
        "watchdog: warning: systemd knows no unit chatgml.service; did you mean chatglm.service?",
        "watchdog: warning: systemd knows no unit qqqq.service",
        "watchdog: warning: systemd knows no unit vlm@7.service; did you mean vllm@7.service?",
    ]
    assert box.watchdog("install", "--print").stderr.splitlines() == doubts
    done = box.watchdog("install", check=False)
    assert done.returncode == 0 and done.stderr.splitlines() == doubts
    assert '"chatgml.service"' in box.read(RULE_FILE)


# ---------------------------------------------------------------- the rule, asked of a real polkit
ODD = "odd\\x2dname@a.service"
ALLOWED = [
    ("start", "model.service"),
    ("stop", "model.service"),
    ("start", "model.service"),  # it is stopped now
    ("restart", "model.service"),
    ("restart", "--no-block", "model.service"),
    ("kill", "--signal=CONT", "model.service"),
    ("kill", "--kill-who=all", "--signal=KILL", "model.service"),
    ("reset-failed", "model.service"),
    ("restart", "model.service"),
    ("restart", "model"),
    ("restart", "gpu@0.service"),
    ("restart", ODD),
    ("restart", "alias.service"),  # configured by its alias; polkit is asked about real.service
    ("restart", "real.service"),
    ("show", "other.service"),
    ("is-active", "other.service"),
]
DENIED = [
    ("start", "other.service"),
    ("stop", "other.service"),
    ("restart", "other.service"),
    ("restart", "--no-block", "other.service"),
    ("reload", "other.service"),
    ("kill", "other.service"),
    ("kill", "--signal=HUP", "other.service"),
    ("reset-failed", "other.service"),
    ("try-restart", "model.service"),
    ("reload", "model.service"),
    ("reload-or-restart", "model.service"),
    ("try-reload-or-restart", "model.service"),
    ("isolate", "sdbox.target"),
    ("clean", "model.service"),
    ("freeze", "model.service"),
    ("set-property", "--runtime", "model.service", "CPUQuota=5%"),
    ("mask", "--runtime", "model.service"),
    ("mask", "model.service"),
    ("enable", "model.service"),
    ("disable", "model.service"),
    ("link", "/run/systemd/system/other.service"),
    ("restart", "gpu@1.service"),
    ("restart", "model.service.service"),
    ("restart", "nosuch.service"),
    ("start", "model.timer"),
    ("start", "poweroff.target"),
    ("restart", "model.service", "other.service"),
    ("restart", "model*", "other.service"),
    ("restart", "polkit.service"),
    ("restart", DAEMON),
    ("reset-failed",),
    ("daemon-reload",),
    ("daemon-reexec",),
    ("set-environment", "A=1"),
    ("set-default", "rescue.target"),
    ("log-level", "debug"),
]


@pytest.fixture(scope="module")
def ruled(module_box: WatchedBox) -> WatchedBox:
    """A box with the rule for model, gpu@0, one with an odd name, and one known by its alias; `other` and gpu@1 are not in it."""
    box = module_box
    for name in ("model", "other", "gpu@", "odd\\x2dname@"):
        box.write(f"/run/systemd/system/{name}.service", SLEEP)
    box.write("/run/systemd/system/real.service", SLEEP)
    box.write("/run/systemd/system/model.timer", "[Timer]\nOnActiveSec=1d\n")
    box.run("ln", "-s", "real.service", "/run/systemd/system/alias.service")
    box.add_user("somebody")
    box.systemctl("daemon-reload")
    box.systemctl("start", "model.service", "other.service", "gpu@0.service", "gpu@1.service", ODD, "real.service")
    box.add_user(USER)
    box.write_config(config_of("model.service", "gpu@0.service", ODD, "alias.service"))
    box.watchdog("install")
    box.systemctl("daemon-reload")
    return box


def pids(box: WatchedBox) -> list[int]:
    return [box.main_pid(unit) for unit in ("other.service", "gpu@1.service", "polkit.service", "systemd-journald.service")]


@pytest.mark.parametrize("words", ALLOWED, ids=" ".join)
def test_the_daemon_may(ruled: WatchedBox, words: tuple[str, ...]) -> None:
    done = ruled.run("setpriv", "--no-new-privs", "systemctl", "--no-ask-password", *words, user=USER, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", DENIED, ids=" ".join)
def test_the_daemon_may_not(ruled: WatchedBox, words: tuple[str, ...]) -> None:
    ruled.systemctl("start", "model.service", "polkit.service")
    before, files = pids(ruled), what_is_there(ruled)
    done = ruled.run("setpriv", "--no-new-privs", "systemctl", "--no-ask-password", *words, user=USER, check=False)
    assert done.returncode != 0
    assert re.search("denied|authentication required|not permitted", done.stderr, re.I), done.stderr
    assert pids(ruled) == before
    assert what_is_there(ruled) == files


def test_the_daemon_may_not_run_a_unit_of_its_own(ruled: WatchedBox) -> None:
    done = ruled.run("systemd-run", "--no-ask-password", "--unit=model2", "true", user=USER, check=False)
    assert done.returncode != 0


@pytest.mark.parametrize("words", [("restart", "model.service"), ("stop", "model.service"), ("kill", "model.service")], ids=" ".join)
def test_nobody_else_may(ruled: WatchedBox, words: tuple[str, ...]) -> None:
    before = ruled.main_pid("model.service")
    for user in ("somebody", "nobody"):
        assert ruled.systemctl(*words, user=user, check=False).returncode != 0
    ruled.run("usermod", "-aG", USER, "somebody")  # a member of the group commands the daemon, not systemd
    assert ruled.systemctl(*words, user="somebody", check=False).returncode != 0
    assert ruled.main_pid("model.service") == before


def test_a_broader_rule_does_not_widen_it(ruled: WatchedBox) -> None:
    """Not even through manage-unit-files, which implies manage-units."""
    everybody = "polkit.addRule(function (action, subject) { return polkit.Result.YES; });"
    ruled.write("/etc/polkit-1/rules.d/90-everybody.rules", everybody)

    def may(user: str, unit: str) -> bool:
        return ruled.systemctl("start", unit, user=user, check=False).returncode == 0

    wait_until(lambda: may("somebody", "other.service"), 10, "polkit does not read the rule")
    assert not may(USER, "other.service")
    assert may(USER, "model.service")
    assert ruled.systemctl("daemon-reload", user=USER, check=False).returncode != 0
    assert ruled.systemctl("mask", "--runtime", "model.service", user=USER, check=False).returncode != 0
    ruled.run("rm", "/etc/polkit-1/rules.d/90-everybody.rules")
    wait_until(lambda: not may("somebody", "other.service"), 10, "polkit still has the rule")


def test_a_service_that_is_added_gets_its_right_and_loses_it_again(ruled: WatchedBox) -> None:
    """Without a restart of polkit: it sees that the file was replaced."""

    def may_restart() -> bool:
        return ruled.systemctl("restart", "gpu@1.service", user=USER, check=False).returncode == 0

    before = ruled.read(CONFIG)
    assert not may_restart()
    ruled.write_config(config_of("model.service", "gpu@1.service"))
    assert f"updated    {RULE_FILE}" in ruled.watchdog("install").stdout
    wait_until(may_restart, 10, "polkit does not read the new rule")
    ruled.write_config(before)
    ruled.watchdog("install")
    wait_until(lambda: not may_restart(), 10, "polkit still has the old rule")


# ---------------------------------------------------------------- uninstall
def test_uninstall_keeps_what_is_the_operators(box: WatchedBox) -> None:
    install(box)
    box.write(f"{STATE_DIR}/watchdog.db", "the record")
    box.write(f"{UNIT_FILE}.d/override.conf", "[Service]\nLoadCredential=ops-url:/root/ops-url\n")
    told = box.watchdog("uninstall").stdout
    for gone in (UNIT_FILE, RULE_FILE):
        assert box.run("test", "-e", gone, check=False).returncode != 0
        assert f"removed    {gone}\n" in told
    assert box.read(CONFIG) == FIRST_CONFIG
    assert box.read(f"{STATE_DIR}/watchdog.db") == "the record"
    assert box.read(f"{UNIT_FILE}.d/override.conf")
    assert f"kept       {STATE_DIR}/" in told
    assert told.endswith("next:      systemctl daemon-reload\n")
    box.run("id", USER)
    again = box.watchdog("uninstall").stdout
    assert "removed" not in again
    install(box)
    assert box.read(f"{STATE_DIR}/watchdog.db") == "the record"


def test_purge_leaves_nothing(box: WatchedBox) -> None:
    before = box.run("sh", "-c", "find /etc /var/lib -path '*polkit*' -o -path '*model-watchdog*' | sort").stdout
    install(box)
    box.write(f"{STATE_DIR}/watchdog.db", "the record")
    box.run("install", "-d", "-o", USER, "/run/model-watchdog")
    box.watchdog("uninstall", "--purge")
    assert box.run("sh", "-c", "find /etc /var/lib -path '*polkit*' -o -path '*model-watchdog*' | sort").stdout == before
    assert box.run("test", "-e", "/run/model-watchdog", check=False).returncode != 0
    assert box.run("id", USER, check=False).returncode != 0
    assert box.run("getent", "group", USER, check=False).returncode != 0
    box.watchdog("uninstall", "--purge")
    install(box)


def test_uninstall_refuses_while_the_daemon_runs_or_is_enabled(box: WatchedBox) -> None:
    install(box)
    box.write(f"{UNIT_FILE}.d/test.conf", "[Service]\nType=simple\nWatchdogSec=0\nExecStart=\nExecStart=/bin/sleep infinity\n")
    box.systemctl("daemon-reload")
    box.systemctl("enable", "--now", DAEMON)
    assert "the daemon runs; first: systemctl disable --now model-watchdog" in refuse(box, WATCHDOG, "uninstall", "--purge")
    box.systemctl("stop", DAEMON)
    assert "the unit is enabled" in refuse(box, WATCHDOG, "uninstall")
    box.systemctl("disable", DAEMON)
    box.watchdog("uninstall")


def test_purge_refuses_while_a_process_of_the_user_runs(box: WatchedBox) -> None:
    install(box)
    sleeper = box.popen("sleep", "60", user=USER)
    wait_until(lambda: box.run("pgrep", "-u", USER, "sleep", check=False).stdout, 10)
    assert "nothing was changed: userdel" in refuse(box, WATCHDOG, "uninstall", "--purge")
    box.run("pkill", "-u", USER)
    sleeper.wait(10)
    box.watchdog("uninstall", "--purge")


def test_a_dry_run_of_roots_does_not_keep_the_daemon_from_starting(box: WatchedBox) -> None:
    """Nor does its user lead root anywhere. What the refusal says, works."""
    install(box)
    box.systemctl("daemon-reload")
    box.write("/etc/victim", "as it was")
    box.run("ln", "-s", "/etc/victim", f"{STATE_DIR}/lock", user=USER)
    refused = box.run(WATCHDOG, "run", "--dry-run", check=False)
    assert refused.returncode == 1 and f"{STATE_DIR} belongs to {USER}" in refused.stderr
    assert (box.read("/etc/victim"), owner_and_mode(box, "/etc/victim")) == ("as it was", "root:root 644")
    box.run("rm", f"{STATE_DIR}/lock")

    (said,) = re.findall("sudo (runuser .*)", refused.stderr)
    by_hand = box.run("timeout", "--signal=INT", "3", "sh", "-c", f"PATH={PREFIX}/bin:$PATH; exec {said}", check=False)
    assert "event=daemon_started" in by_hand.stderr, by_hand.stderr
    box.start_watchdog()


def test_what_a_run_of_roots_has_left_is_told_with_what_gives_it_back(box: WatchedBox) -> None:
    install(box)
    box.systemctl("daemon-reload")
    box.run("sh", "-c", f"umask 077; echo 1 > {STATE_DIR}/lock; touch {STATE_DIR}/watchdog.db")
    assert box.systemctl("start", DAEMON, check=False).returncode != 0
    assert "sudo watchdog install" in box.log(DAEMON)
    install(box)
    box.systemctl("reset-failed", DAEMON)
    box.start_watchdog()


# ---------------------------------------------------------------- as the README says
AS_TYPED = """#!/bin/sh
# In the place of an editor: writes what the test has put beside it under the name of the file.
for path; do
  name=$(basename "$path" | sed 's/^\\.#//; s/^\\(override\\.conf\\).*/\\1/')
  cat "/run/typed/$name" > "$path"
done
"""


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_is_followed_word_by_word(box: WatchedBox, http_sink: HttpSink, readme: str) -> None:
    """From its links on; a local user can read the manual but the notifier's address nowhere, and the message arrives."""
    text = (Path(__file__).resolve().parents[2] / readme).read_text()
    steps = re.findall(r"^    (sudo (?!apt|dnf).*)$", text[text.index("/opt/model-watchdog\n") :], re.MULTILINE)
    steps = steps[steps.index(next(step for step in steps if "ln -s" in step)) :]
    editing = next(step for step in steps if "systemctl edit" in step)
    section, load = re.search(r"(\[Service\])\D+?(LoadCredential=\S+)", editing).groups()  # type: ignore[union-attr]
    secret = f"json://127.0.0.1:{http_sink.port}/S3cret%41Path"
    yaml = next(block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "services:" in block and "notifiers:" in block)
    for name, typed in (("config.yaml", yaml), ("ops-url", f"{secret}\n"), ("override.conf", f"{section}\n{load}\n")):
        box.write(f"/run/typed/{name}", typed, mode="600")
    for name in ("nano", "editor"):
        box.write(f"/usr/local/bin/{name}", AS_TYPED, mode="755")
    box.write("/usr/local/bin/sudo", '#!/bin/sh\nexec "$@"\n', mode="755")
    for name in ("chatglm", "bert"):
        box.write(f"/etc/systemd/system/{name}.service", SLEEP)
    box.systemctl("daemon-reload")
    box.run("mount", "--make-rshared", "/")  # as on a real machine; systemd mounts the credentials for the unit from outside
    assert not shutil.which("man") or box.run("man", "-w", "watchdog", user="nobody", check=False).returncode != 0
    for step in steps:
        typed = f"export SYSTEMD_EDITOR=/usr/local/bin/editor; {step}"
        done = box.run("script", "-qec", typed, "/dev/null", check=False)  # on a terminal, without which systemctl edits nothing
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}{box.log(DAEMON)}"
    assert any("/S3cret" in attempt.path for attempt in http_sink.attempts)
    manual = Path("/usr/local/share/man/man1/watchdog.1")  # where man looks, as /usr/local/bin is in PATH
    assert box.run("head", "-n", "1", str(manual), user="nobody").stdout.startswith(".TH WATCHDOG 1")
    if shutil.which("man"):
        assert box.run("man", "-w", "watchdog", user="nobody").stdout.strip() == f"{PREFIX}/share/man/man1/watchdog.1"
    assert owner_and_mode(box, "/etc/model-watchdog/ops-url") == "root:root 600"
    for command in (
        ("systemctl", "show", DAEMON),
        ("systemctl", "cat", DAEMON),
        ("grep", "-rsD", "skip", "S3cret", "/etc", "/run", "/var/lib"),
    ):
        assert "S3cret" not in box.run(*command, user="nobody", check=False).stdout
