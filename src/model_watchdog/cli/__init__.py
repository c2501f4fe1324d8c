"""The commands: one file a command, imported only when that command is used, because `watchdog status` has to start fast.

A command is a module named like it (`notify-test` is `notify_test.py`) with `HELP`, `EXAMPLES`, `add_arguments(parser)` and
`run(args) -> exit code`; `main` finds it by its name. `args.config`, `args.state_dir` and `args.runtime_dir` are a Path or None.
"""

import argparse
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from model_watchdog.errors import WatchdogError
from model_watchdog.language import one_line, phrase, speak

EXIT_FAILED = 1
EXIT_BAD_CONFIG = 2
EXIT_NOT_RUNNING = 3
EXIT_UNKNOWN_NAME = 4
EXIT_ALREADY_RUNNING = 5
EXIT_USAGE = 64
EXIT_BUG = 70


class CommandError(WatchdogError):
    """A command could not do its work: one line for a person, and the exit code that says which kind of failure it was."""

    def __init__(self, text: str, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class UsageError(WatchdogError):
    """The command line itself is wrong. `tell` says how; it is called when the language is known."""

    def __init__(self, tell: Callable[[], str]) -> None:
        super().__init__()
        self.tell = tell


def find_config(args: argparse.Namespace) -> Path:
    """The configuration file: `--config`, else `$MODEL_WATCHDOG_CONFIG`, else the one under /etc."""
    return args.config or Path(os.environ.get("MODEL_WATCHDOG_CONFIG") or "/etc/model-watchdog/config.yaml")


def find_state_dir(args: argparse.Namespace) -> Path:
    """The directory of the record: `--state-dir`, else systemd's `$STATE_DIRECTORY`, else the one under /var/lib."""
    return args.state_dir or _systemd_directory("STATE_DIRECTORY") or Path("/var/lib/model-watchdog")


def find_runtime_dir(args: argparse.Namespace) -> Path:
    """The directory of the control socket: `--runtime-dir`, else systemd's `$RUNTIME_DIRECTORY`, else the one under /run."""
    return args.runtime_dir or _systemd_directory("RUNTIME_DIRECTORY") or Path("/run/model-watchdog")


def learn_language(args: argparse.Namespace, *, of_daemon: bool) -> None:
    """Speaks as the configuration says, which need not be valid for that, or as the daemon does, by its record; else English."""
    import re  # argparse has loaded it

    from model_watchdog.record import Record  # only for the commands that speak

    language = None
    try:
        if of_daemon:
            with Record.open(find_state_dir(args)) as record:
                language = (record.daemon() or {}).get("language")
    except (WatchdogError, ValueError):
        pass
    said = _glance(find_config(args)) if language is None else ""
    found = re.search(r"""^language: *["']?(\w+)""", said, re.MULTILINE)
    speak(language or (found[1] if found else "en"))


def _glance(path: Path) -> str:
    """What is in a file, as far as it is one and may be read; what is wrong with it is told later. A FIFO must not hold us up."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with open(descriptor, "rb") as file:
            return file.read(256 * 1024).decode(errors="replace") if stat.S_ISREG(os.fstat(descriptor).st_mode) else ""
    except OSError:
        return ""


def suggest(word: str, words: Iterable[str]) -> str:
    """`; did you mean "x"?` for the nearest of `words`, or nothing when none is near."""
    import difflib  # only when something was misspelt

    bare = {candidate.lstrip("-"): candidate for candidate in words}  # the dashes of options would make all of them look alike
    near = difflib.get_close_matches(word.lstrip("-"), bare, n=1)
    return phrase('; did you mean "{word}"?', word=bare[near[0]]) if near else ""


def suggest_known(word: str, words: Iterable[str]) -> str:
    """As `suggest`, and all that there are."""
    known = list(words)
    return suggest(word, known) + phrase(" (there are: {names})", names=", ".join(known) or phrase("none"))


def read_duration(text: str) -> float:
    """An option's `500ms 10s 5m 2h 7d` as seconds, for argparse's `type=`."""
    from model_watchdog.config.values import Wrong, read_seconds  # only where a duration was given

    try:
        return read_seconds(text)
    except Wrong as wrong:
        raise argparse.ArgumentTypeError(f'"{text}" {wrong}') from None


def read_reason(text: str) -> str:
    """An option's text that says why, for argparse's `type=`; nothing, or nothing that can be seen, says nothing."""
    if not one_line(text):
        raise argparse.ArgumentTypeError("it is empty; say why in a few words")
    return text


def _systemd_directory(variable: str) -> Path | None:
    """systemd separates several directories by colons; the first is ours."""
    first = os.environ.get(variable, "").partition(":")[0]
    return Path(first) if first else None
