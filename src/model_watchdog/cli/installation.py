"""What `install` and `uninstall` have in common: the places, the files of systemd/, and the programs of the system that they call."""

import argparse
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import model_watchdog
from model_watchdog.cli import EXIT_USAGE, CommandError

USER = "model-watchdog"
UNIT = "model-watchdog.service"
CONFIG = Path("/etc/model-watchdog/config.yaml")
STATE_DIR = Path("/var/lib/model-watchdog")
RUNTIME_DIR = Path("/run/model-watchdog")
UNIT_FILE = Path("/etc/systemd/system") / UNIT
WEB_UNIT = "model-watchdog-web.service"
WEB_UNIT_FILE = UNIT_FILE.with_name(WEB_UNIT)
MOST_LINKS = 40
"""As the kernel has it (path_resolution(7))."""
RULE_FILE = Path("/etc/polkit-1/rules.d/50-model-watchdog.rules")


def refuse_directories(args: argparse.Namespace, command: str) -> None:
    """The unit's directories are systemd's to choose; an option that would be ignored is refused."""
    for option, value, place in (("--state-dir", args.state_dir, STATE_DIR), ("--runtime-dir", args.runtime_dir, RUNTIME_DIR)):
        if value is not None:
            raise CommandError(f"{command} takes no {option}: the unit's directory is {place}", EXIT_USAGE)


def resource(name: str) -> str:
    """A file of systemd/: from the installed package, else from the checkout that this is."""
    return resource_path(name).read_text(encoding="utf-8")


def resource_path(name: str) -> Path:
    """Where a file of systemd/ lies: in the installed package, else in the checkout that this is."""
    packaged = Path(model_watchdog.__file__).resolve().parent / "_systemd" / name
    return packaged if packaged.is_file() else Path(__file__).resolve().parents[3] / "systemd" / name


def fill_unit(template: str, entry_point: Path, config: Path | None, sockets: Sequence[str] = ()) -> str:
    """The unit file with its ExecStart and ExecReload. `config` where it is not the usual one; a reload reads the daemon's own.

    `sockets` are started before it.
    """
    commands = {"Start": f"{entry_point} run" + (f" --config {config}" if config else ""), "Reload": f"{entry_point} reload"}
    text, count = re.subn(r"^Exec(Start|Reload)=.*$", lambda match: f"Exec{match[1]}={commands[match[1]]}", template, flags=re.M)
    assert count == len(commands), "the unit file has one ExecStart and one ExecReload"
    wanted = "".join(f"{key}={' '.join(sockets)}\n" for key in ("Wants", "After")) if sockets else ""
    return text.replace("[Unit]\n", f"[Unit]\n{wanted}", 1)


def fill_web_unit(template: str, entry_point: Path) -> str:
    """The page's unit file with its ExecStart. It names its directories: systemd gives them to the daemon's unit only."""
    text, count = re.subn(r"^ExecStart=\S+", f"ExecStart={entry_point}", template, flags=re.M)
    assert count == 1, "the unit file has one ExecStart"
    return text


def fill_rule(template: str, units: Sequence[str]) -> str:
    """The polkit rule with its units, escaped as JSON, which is JavaScript as well."""
    empty = "var units = [];"
    assert template.count(empty) == 1, "the rule has one list of units"
    return template.replace(empty, f"var units = {json.dumps(list(units))};")


def call(*command: str) -> str:
    """What a program of the system answered. Raises `CommandError` with its own words when it fails or is not there."""
    path = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        raise CommandError(f"{command[0]} is missing on this system; install it and try again")
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run([path, *command[1:]], capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        told = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise CommandError(f"{' '.join(command)}: {told}")
    return done.stdout


def is_active() -> bool:
    """Whether systemd runs the daemon's unit now, or is about to; False where there is no systemd to ask."""
    try:
        shown = call("systemctl", "show", "--property=ActiveState", "--value", "--", UNIT)
    except CommandError:
        return False
    return shown.strip() not in ("inactive", "failed", "")


def list_places(path: Path) -> Iterator[Path]:
    """The file that a path leads to, and every directory on the way there: whoever may write to one of them decides what is read."""
    here, left, links = Path("/"), list(path.parts[1:]), 0
    yield here
    while left:
        name = left.pop(0)
        here = here.parent if name == ".." else here / name
        if here.is_symlink() and links < MOST_LINKS:  # with more it cannot be read either
            links += 1
            target = here.readlink()
            left = [*target.parts, *left]
            here = here.parent
            if target.is_absolute():
                here, left = Path("/"), left[1:]
        yield here


def sync_directory(path: Path) -> None:
    """After this a name that was made or taken away in `path` is so after a power failure too."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def report(word: str, what: object) -> None:
    """One line of what was done: created, updated, unchanged, removed, kept."""
    print(f"{word:<10} {what}")
