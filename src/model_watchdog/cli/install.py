"""`watchdog install`: the user, the directories, the unit file, and a polkit rule for exactly the configured units.

It looks at everything before it changes anything, replaces files whole, and can be called again at any time: that is how a changed
configuration becomes a changed rule. It starts nothing and reloads nothing.
"""

import argparse
import contextlib
import grp
import os
import pwd
import re
import shutil
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import model_watchdog
from model_watchdog.cli import CommandError, find_config, user_managers
from model_watchdog.cli.installation import (
    CONFIG,
    RULE_FILE,
    STATE_DIR,
    UNIT,
    UNIT_FILE,
    USER,
    WEB_UNIT,
    WEB_UNIT_FILE,
    call,
    fill_rule,
    fill_unit,
    fill_web_unit,
    is_active,
    list_places,
    refuse_directories,
    report,
    resource,
    sync_directory,
)
from model_watchdog.cli.known_units import ask_systemd, doubt_units
from model_watchdog.core.unit import split_unit
from model_watchdog.errors import ConfigError

HELP = "set up the user, the directories, the unit and the polkit rule"
EXAMPLES = """\
  watchdog install --print                       show what would be written, change nothing
  sudo /opt/model-watchdog/bin/watchdog install  the first time, and whenever a service was added or taken out
  sudo /opt/model-watchdog/bin/watchdog install --web   also the unit of the page
"""

FIRST_CONFIG = """\
# model-watchdog: what is watched, and what is done about it.
# After a change:  watchdog check  &&  sudo watchdog install  &&  sudo systemctl reload model-watchdog
#
# A service with a unit and one probe, and nothing else, is watched sensibly. Take the marks away and put in your own
# (and take away the line "services: {}" at the end):
#
# services:
#   chatglm:
#     unit: chatglm.service                # what systemctl restarts
#     startup: 5m                          # how long loading the weights may take
#     probes:
#       health: {kind: http, url: "http://127.0.0.1:8000/health", every: 30s}
#
# notifiers:
#   ops: {kind: apprise, url: "credential:ops-url", min_severity: warning}

services: {}
"""

REMEDY = (
    "put it where only root may write: python3 -m venv /opt/model-watchdog && "
    "/opt/model-watchdog/bin/pip install WHEEL-OR-CHECKOUT && /opt/model-watchdog/bin/watchdog install"
)


@dataclass(frozen=True)
class Plan:
    """What `install` would write. `units` are the units of the rule, `users` those of each user's manager; `objection` is why it must
    not be done, or empty.

    `doubts` are about what may be done all the same: units that systemd does not know.
    """

    entry_point: Path
    config: Path
    configs: Sequence[Path]  # the configuration itself, and the files that it includes
    is_first: bool  # there is no configuration yet, and one is written
    units: Sequence[str]
    users: user_managers.Users
    objection: str
    doubts: Sequence[str]
    has_web: bool

    @property
    def unit_text(self) -> str:
        sockets = [user_managers.find_name(user) for user in self.users]
        return fill_unit(resource(UNIT), self.entry_point, None if self.config == CONFIG else self.config, sockets)

    @property
    def rule_text(self) -> str:
        return fill_rule(resource(RULE_FILE.name), self.units)

    @property
    def files(self) -> dict[Path, str]:
        """All that root writes for systemd and polkit."""
        web = {WEB_UNIT_FILE: fill_web_unit(resource(WEB_UNIT), self.entry_point)} if self.has_web else {}
        return {UNIT_FILE: self.unit_text, RULE_FILE: self.rule_text, **web, **user_managers.list_files(self.users)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--print", action="store_true", help="print the files that it would write, and change nothing")
    parser.add_argument("--web", action="store_true", help="also the unit of `watchdog web`; once written it is kept up to date without it")


def run(args: argparse.Namespace) -> int:
    refuse_directories(args, "install")
    if not args.print and os.geteuid() != 0:
        raise CommandError(f"install writes to /etc and makes a user, which takes root: sudo {_find_entry_point()} install")
    plan = _make_plan(Path(os.path.abspath(find_config(args))), args.web or WEB_UNIT_FILE.exists())
    if args.print:
        return _print_plan(plan)
    if plan.objection:
        raise CommandError(f"nothing was changed: {plan.objection}")
    return _carry_out(plan)


# ---------------------------------------------------------------- what is to be written
def _make_plan(config: Path, has_web: bool) -> Plan:
    entry_point = _find_entry_point()
    is_first = config == CONFIG and not _is_there(config)
    if not is_first:  # the unit names the file itself: whoever owns the directory of a link could let it lead elsewhere
        config = Path(os.path.realpath(config))
    groups, files = ({}, [config]) if is_first else _read_units(config)
    asked = {unit: ask_systemd(unit) for unit in groups.pop("", [])}
    # polkit asks for a unit's own name, where the configured one is an alias
    units = sorted({*asked, *(answer.get("Id") or unit for unit, answer in asked.items())})
    doubts = doubt_units([unit for unit, answer in asked.items() if answer.get("LoadState") == "not-found"])
    doubts += user_managers.doubt_users(groups)
    objection = _object_to_names(entry_point, config) or _object_to_code(entry_point) or ("" if is_first else _object_to_authors(files))
    objection = objection or user_managers.object_to_users(groups)
    return Plan(entry_point, config, files, is_first, units, groups, objection, doubts, has_web)


def _is_there(path: Path) -> bool:
    """Also true for what this user may not see, and for a link to nothing: neither is to be written over."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _read_units(config: Path) -> tuple[dict[str, list[str]], list[Path]]:
    """The units that the configuration names, by the user whose manager has them ("": the system's); and its files, included ones too."""
    from model_watchdog.config.loading import load_here_leniently

    try:
        loaded = load_here_leniently(config)
    except ConfigError as error:
        raise CommandError(f"nothing was changed: the configuration is not valid\n{error}") from error
    groups: dict[str, list[str]] = {}
    for user, unit in sorted(split_unit(service.core.unit) for service in loaded.services.values() if service.core.unit):
        groups.setdefault(user, []).append(unit)
    return groups, [config, *loaded.included, *loaded.rule_files]


def _find_entry_point() -> Path:
    """The `watchdog` that runs now, as a path without links."""
    for path in (Path(sys.argv[0]), Path(sys.executable).parent / "watchdog"):
        if path.name in ("watchdog", "model-watchdog") and path.is_file():
            return path.resolve()
    raise CommandError(f"which watchdog shall the unit start? {sys.argv[0]} is none; {REMEDY}")


def _object_to_names(entry_point: Path, config: Path) -> str:
    """Why the unit file cannot be written as it should be, or ""."""
    for path in (entry_point, config):
        if not re.fullmatch(r"[A-Za-z0-9/._+@=-]+", str(path)):
            return f"the path {str(path)!r} has a character that means something else in a unit file; use another path"
    if UNIT_FILE.is_symlink():
        return f"{UNIT_FILE} is a link (to {UNIT_FILE.readlink()}), so the unit is masked or another's: systemctl unmask {UNIT}"
    return ""


def _object_to_code(entry_point: Path) -> str:
    """Why this installation must not be started by the unit, or "": whoever may write to it would have the daemon's rights."""
    package = Path(model_watchdog.__file__).resolve().parent
    for path in (entry_point, Path(sys.prefix).resolve(), Path(sys.executable).resolve(), package):
        if path.is_relative_to("/home") or path.is_relative_to("/root"):
            return f"{path} lies under /{path.parts[1]}; {REMEDY}"
        for part in (path, *path.parents):
            if wrong := _object_to_path(part):
                return wrong
    return ""


def _object_to_authors(files: Sequence[Path]) -> str:
    """Why this configuration must not say what the daemon may restart, or "": whoever may write it would say so."""
    for file in files:
        for part in list_places(file):
            if wrong := _object_to_writers(part):
                there = CONFIG if file is files[0] else CONFIG.parent / "conf.d" / file.name
                return f"{wrong}; sudo install -o root -g {USER} -m 640 {file} {there}"
    return ""


def _object_to_writers(path: Path) -> str:
    """Who else than root may change what lies at this path, or ""."""
    facts = path.stat()
    if facts.st_uid != 0:
        return f"{path} belongs to {_name_user(facts.st_uid)}, not to root"
    if facts.st_mode & stat.S_IWOTH:
        return f"{path} can be written by everybody"
    if facts.st_mode & stat.S_IWGRP and facts.st_gid != 0:
        return f"{path} can be written by the group {_name_group(facts.st_gid)}"
    return ""


def _object_to_path(path: Path) -> str:
    if wrong := _object_to_writers(path):
        return f"{wrong}; {REMEDY}"
    facts = path.stat()
    needed = stat.S_IXOTH if path.is_dir() else stat.S_IXOTH | stat.S_IROTH
    if facts.st_mode & needed != needed:
        return f"{path} cannot be used by the user {USER}; chmod -R go+rX {path}"
    return ""


def _name_user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _name_group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _print_plan(plan: Plan) -> int:
    if plan.is_first:
        print(f"==> {CONFIG} (0640 root:{USER}) <==\n{FIRST_CONFIG}")
    print("\n".join(f"==> {path} (0644 root:root) <==\n{text}" for path, text in plan.files.items()), end="")
    for line in plan.doubts:
        print(f"watchdog: warning: {line}", file=sys.stderr)
    if plan.objection:
        print(f"watchdog: install would refuse: {plan.objection}", file=sys.stderr)
    return 0


# ---------------------------------------------------------------- doing it
def _carry_out(plan: Plan) -> int:
    _make_user()
    uid, gid = pwd.getpwnam(USER).pw_uid, grp.getgrnam(USER).gr_gid
    _make_directory(CONFIG.parent, 0, gid)
    _make_directory(STATE_DIR, uid, gid)
    if plan.is_first:
        _write(CONFIG, FIRST_CONFIG, 0o640, gid)
    else:
        report("unchanged", f"{plan.config} (it is yours)")
    new = {path for path, text in plan.files.items() if _write(path, text, 0o644, 0)}
    for path in user_managers.find_old(plan.files):
        path.unlink()
        report("removed", path)
        new.add(path)
    units = [*plan.units, *(f"{unit} of {user}" for user, own in plan.users.items() for unit in own)]
    report("", f"it allows {', '.join(units) or 'nothing yet: no unit is configured'}")
    for line in plan.doubts:
        print(f"watchdog: warning: {line}", file=sys.stderr)
    problems = [line for line in (_object_to_polkit(), *(_object_to_config(file, gid) for file in plan.configs)) if line]
    for line in problems:
        print(f"watchdog: {line}", file=sys.stderr)
    _tell_next(plan, bool(new - {RULE_FILE, WEB_UNIT_FILE}), RULE_FILE in new)
    if WEB_UNIT_FILE in new:
        print(f"{'page:':<10} systemctl daemon-reload && systemctl enable --now {WEB_UNIT}   (http://127.0.0.1:8712/)")
    return 1 if problems else 0


def _make_user() -> None:
    try:
        grp.getgrnam(USER)
        report("unchanged", f"group {USER}")
    except KeyError:
        call("groupadd", "--system", USER)
        report("created", f"group {USER}")
    try:
        pwd.getpwnam(USER)
        report("unchanged", f"user {USER}")
    except KeyError:
        shell = next((path for path in ("/usr/sbin/nologin", "/sbin/nologin") if os.path.exists(path)), "/bin/false")
        home = ("--home-dir", str(STATE_DIR), "--no-create-home")
        call("useradd", "--system", "--gid", USER, *home, "--shell", shell, "--comment", "model-watchdog daemon", USER)
        report("created", f"user {USER}")
    try:
        readers = grp.getgrnam("systemd-journal")
    except KeyError:
        return  # a system without that group has no journal to read
    if USER not in readers.gr_mem:
        call("usermod", "--append", "--groups", readers.gr_name, USER)
        report("updated", f"user {USER}: now in the group {readers.gr_name}, to read the journal")


def _make_directory(path: Path, uid: int, gid: int) -> None:
    """Makes or mends a directory of 0750; what lies in the daemon's own is given to it (a run by hand may have left files of root's)."""
    word = "unchanged" if path.exists() else "created"
    path.mkdir(parents=True, mode=0o750, exist_ok=True)
    facts = path.stat()
    mended = (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) != (uid, gid, 0o750)
    if mended:
        os.chown(path, uid, gid)
        path.chmod(0o750)
    if uid != 0:
        mended |= _own_contents(path, uid, gid)
    report("updated" if mended and word == "unchanged" else word, f"{path}/")


def _own_contents(path: Path, uid: int, gid: int) -> bool:
    """By descriptors, never through a link, no file with a second name: nobody can lead root to a file that lies elsewhere."""
    changed = False
    for _, directories, files, descriptor in os.fwalk(path):
        for name in directories + files:
            with contextlib.suppress(FileNotFoundError):  # the daemon may run, and its files come and go
                facts = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if (facts.st_uid, facts.st_gid) != (uid, gid) and (stat.S_ISDIR(facts.st_mode) or facts.st_nlink == 1):
                    os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
                    changed = True
    return changed


def _write(path: Path, text: str, mode: int, gid: int) -> bool:
    """Writes a file of root's, whole or not at all. Returns whether that changed anything."""
    content = text.encode()
    there = path.exists()
    if there:
        facts = path.lstat()
        if (facts.st_uid, facts.st_gid, facts.st_mode) == (0, gid, stat.S_IFREG | mode) and path.read_bytes() == content:
            report("unchanged", path)
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name begins with a dot and does not end in .rules or .service: neither polkit nor systemd takes it for one of theirs.
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(content)
        os.fchown(file.fileno(), 0, gid)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_directory(path.parent)
    report("updated" if there else "created", path)
    return True


def _object_to_polkit() -> str:
    """Why the rule has no effect here, or ""."""
    if shutil.which("pkaction") is None:
        return "polkit is missing, so the daemon may not restart anything: install polkitd (Debian, Ubuntu) or polkit (RHEL)"
    version = call("pkaction", "--version").split()[-1]
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    if numbers < [0, 106]:
        return f"polkit {version} reads no .rules files (0.106 is the first that does): on this system the daemon may not restart anything"
    return ""


def _object_to_config(config: Path, gid: int) -> str:
    """Why the daemon could not read its configuration, or ""."""
    facts = config.stat()
    readable = facts.st_mode & stat.S_IROTH or (facts.st_gid == gid and facts.st_mode & stat.S_IRGRP)
    return "" if readable else f"the daemon cannot read {config}: chgrp {USER} {config} && chmod g+r {config}"


def _tell_next(plan: Plan, new_unit: bool, new_rule: bool) -> None:
    steps: list[str] = []
    if not plan.units and not plan.users:
        steps = [
            f"put your services into {plan.config}",
            f"{plan.entry_point} check",
            f"{plan.entry_point} install   (again, for the rule)",
        ]
    running = is_active()
    if new_unit or not running:
        steps.append(f"systemctl daemon-reload && systemctl {'restart' if running else 'enable --now'} model-watchdog")
    elif new_rule:
        steps.append("systemctl reload model-watchdog   (it reads its configuration anew)")
    for number, step in enumerate(steps):
        print(f"{'next:' if number == 0 else '':<10} {step}")
    if not steps:
        print("everything is in place, and the daemon runs")
