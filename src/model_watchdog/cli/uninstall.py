"""`watchdog uninstall`: takes the unit file and the polkit rule away; configuration, record and user only with `--purge`."""

import argparse
import grp
import os
import pwd
import shutil
from pathlib import Path

from model_watchdog.cli import CommandError, user_managers
from model_watchdog.cli.installation import (
    CONFIG,
    RULE_FILE,
    RUNTIME_DIR,
    STATE_DIR,
    UNIT,
    UNIT_FILE,
    USER,
    WEB_UNIT,
    WEB_UNIT_FILE,
    call,
    is_active,
    refuse_directories,
    report,
    sync_directory,
)

HELP = "take away what install set up"
EXAMPLES = """\
  sudo systemctl disable --now model-watchdog && sudo /opt/model-watchdog/bin/watchdog uninstall
  sudo /opt/model-watchdog/bin/watchdog uninstall --purge   also the configuration, the record and the user: nothing is left
"""
DISABLE = "systemctl disable --now model-watchdog"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--purge", action="store_true", help="also delete the configuration, the record, the user and the group")


def run(args: argparse.Namespace) -> int:
    refuse_directories(args, "uninstall")
    if os.geteuid() != 0:
        raise CommandError("uninstall deletes files under /etc, which takes root: call it with sudo")
    if is_active():
        raise CommandError(f"nothing was changed: the daemon runs; first: {DISABLE}")
    if links := sorted(UNIT_FILE.parent.glob(f"*.wants/{UNIT}")):
        raise CommandError(f"nothing was changed: the unit is enabled ({links[0]}); first: {DISABLE}")
    if links := sorted(UNIT_FILE.parent.glob(f"*.wants/{WEB_UNIT}")):
        raise CommandError(f"nothing was changed: the page's unit is enabled ({links[0]}); first: systemctl disable --now {WEB_UNIT}")
    if args.purge:
        _remove_user()  # first, for it is what can be refused: a process of that user may still run
    had_unit = _remove(UNIT_FILE)
    had_unit |= _remove(WEB_UNIT_FILE)
    for path in (RULE_FILE, *user_managers.find_old({})):
        _remove(path)
    for directory in (Path(f"{UNIT_FILE}.d"), CONFIG.parent, STATE_DIR, RUNTIME_DIR):
        _remove(directory) if args.purge else _tell_kept(directory)
    if had_unit:
        print(f"{'next:':<10} systemctl daemon-reload")
    return 0


def _remove(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    else:
        return False
    sync_directory(path.parent)
    report("removed", path)
    return True


def _tell_kept(directory: Path) -> None:
    if directory != RUNTIME_DIR and directory.exists():
        report("kept", f"{directory}/   (uninstall --purge deletes it)")


def _remove_user() -> None:
    """userdel refuses while a process of the user runs, and says which."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        pass
    else:
        try:
            call("userdel", USER)
        except CommandError as error:
            raise CommandError(f"nothing was changed: {error}") from error
        report("removed", f"user {USER}")
    try:
        grp.getgrnam(USER)  # userdel takes a group of the same name along where nobody else is in it
    except KeyError:
        return
    call("groupdel", USER)
    report("removed", f"group {USER}")
