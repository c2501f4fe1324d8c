"""`watchdog run`: the daemon."""

import argparse
import os
import pwd
import signal
import sys
from pathlib import Path

from model_watchdog.cli import CommandError, find_config, find_runtime_dir, find_state_dir
from model_watchdog.language import phrase

HELP = "the daemon: watch, restart, prove it, tell"
EXAMPLES = """\
  sudo runuser -u model-watchdog -- watchdog run --dry-run --runtime-dir /var/lib/model-watchdog/by-hand
                                                              acts on nothing, says what it would do
  watchdog run --config ./config.yaml --state-dir ./state --runtime-dir ./run
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="restart nothing and send nothing; say what would be done")


def run(args: argparse.Namespace) -> int:
    import asyncio  # they take a while, and `--help` need not wait
    import logging

    from model_watchdog.config.loading import load_here
    from model_watchdog.daemon import Daemon
    from model_watchdog.lock import take_lock

    state_dir, runtime_dir = find_state_dir(args), find_runtime_dir(args)
    for directory in (state_dir, runtime_dir):
        _refuse_for_root(directory, state_dir)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it means something: the file is only being read
    config = load_here(find_config(args))
    for directory, option in ((state_dir, "--state-dir"), (runtime_dir, "--runtime-dir")):
        if option == "--runtime-dir" or not is_read_only(directory):  # the record need not be written for services to be watched
            _prepare(directory, option)
    for directory in (runtime_dir, state_dir):  # one daemon a control socket, and one writer a record
        take_lock(directory)
    return asyncio.run(Daemon(config, state_dir, runtime_dir, dry_run=args.dry_run).main())


def is_read_only(directory: Path) -> bool:
    """It lies on a file system that is read-only at present: after an error of its disk, say."""
    try:
        return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _refuse_for_root(directory: Path, state_dir: Path) -> None:
    """Root in a directory of the daemon's user would leave files there that the daemon cannot write, and write where that user leads it."""
    try:
        owner = directory.stat().st_uid
    except OSError:
        return
    if os.geteuid() != 0 or owner == 0:
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    as_owner = f"sudo runuser -u {name} -- watchdog run --dry-run --runtime-dir {state_dir}/by-hand"
    text = "{directory} belongs to {name}, and what root leaves there would stop the daemon; run it as that user: {command}"
    raise CommandError(phrase(text, directory=directory, name=name, command=as_owner))


def _prepare(directory: Path, option: str) -> None:
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        text = "{directory}: {cause}; run it as its unit does (systemctl start model-watchdog), or state {option} DIR"
        raise CommandError(phrase(text, directory=directory, cause=error.strerror, option=option)) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        text = "{directory}: not writable for this user; run it as its unit does, or state {option} DIR"
        raise CommandError(phrase(text, directory=directory, option=option))
