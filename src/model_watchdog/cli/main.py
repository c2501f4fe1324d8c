"""`watchdog`: finds the command, reads its options, and turns every error into one line and an exit code.

Nothing heavy is imported here: a command's module is imported when that command is used, so `watchdog status` pays only for itself.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from model_watchdog import __version__
from model_watchdog.cli import EXIT_BAD_CONFIG, EXIT_BUG, EXIT_FAILED, EXIT_USAGE, UsageError, learn_language, suggest
from model_watchdog.errors import ConfigError, WatchdogError
from model_watchdog.language import phrase, retell

TYPE_CHECKING = False  # `typing` costs two milliseconds at each start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, Protocol

    class Command(Protocol):
        """What a module of this folder has to offer."""

        HELP: str
        EXAMPLES: str

        def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
        def run(self, args: argparse.Namespace) -> int: ...


# The same words as each module's HELP (a test compares them), kept here so that `--help` imports none of the modules.
COMMANDS = {
    "run": "the daemon: watch, restart, prove it, tell",
    "check": "read the configuration and print every fault in it",
    "status": "how things stand",
    "events": "what happened, oldest first",
    "incidents": "what broke, one line each",
    "incident": "one incident: what broke, what was done, what it cost",
    "report": "what a time was like: availability, incidents, latencies, trends, alarms for nothing",
    "ack": "take an incident on: nobody is reminded of it, and it is not escalated",
    "silence": "tell nobody of a service for a while",
    "pause": "watch a service but do not act on it, for a while",
    "resume": "end a pause",
    "restart": "restart a service now, through the verified recovery",
    "reset": "close a service's circuit breaker",
    "reload": "read the configuration anew, without a restart of the daemon",
    "notify-test": "send a test message to each notifier",
    "doctor": "look at every link of the chain, and say what mends a broken one",
    "install": "set up the user, the directories, the unit and the polkit rule",
    "uninstall": "take away what install set up",
    "web": "serve a page, metrics and JSON from the record, read-only",
    "export-rules": "print the rules as a Prometheus rule file",
    "detect": "run the sigma rule over a CSV of numbers",
    "replay": "try rules on recorded data: what would have fired, and been restarted",
    "demo": "the whole story on this machine in about a minute",
    "schema": "print the JSON Schema of the configuration, for editors",
    "completion": "print a completion script for a shell",
}
SPEAKING = frozenset(
    (
        *("status", "events", "incidents", "incident", "report", "ack", "silence"),
        *("pause", "resume", "restart", "reset", "reload", "notify-test", "doctor"),
    )
)
"""They speak the daemon's language, as wrong usage does, those of `READING` the configuration's; the others, and every --help, English."""
READING = frozenset(("check", "run", "export-rules", "replay"))
LATER = frozenset(("drill",))

GLOBAL_OPTIONS = {
    "--config": ("FILE", "the configuration (default: $MODEL_WATCHDOG_CONFIG, else /etc/model-watchdog/config.yaml)"),
    "--state-dir": ("DIR", "where the record is (default: /var/lib/model-watchdog)"),
    "--runtime-dir": ("DIR", "where the control socket is (default: /run/model-watchdog)"),
}
EXAMPLES = """\
  watchdog check                             is the configuration good?
  watchdog status                            how do things stand?
  watchdog events --since 2h                 what happened tonight?
  watchdog pause chatglm --for 20m --reason "new weights"
"""


class Parser(argparse.ArgumentParser):
    """argparse ends the process with 2 on wrong usage; here 2 means an invalid configuration."""

    def error(self, message: str) -> "NoReturn":
        raise _misuse(self.prog, lambda: _improve(message))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; nothing is raised, whatever happens."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a sign that the terminal's encoding lacks is no reason to say nothing
    try:
        code = _dispatch(list(sys.argv[1:] if argv is None else argv))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `watchdog events | head`: the reader has what it wanted
        _discard_stdout()
        return 141
    except UsageError as error:
        _learn_early(sys.argv[1:] if argv is None else argv)
        return _fail(error.tell(), EXIT_USAGE)
    except ConfigError as error:  # its lines begin with the place in the file
        return _fail(str(error), EXIT_BAD_CONFIG)
    except WatchdogError as error:
        return _fail(f"watchdog: {error}", getattr(error, "exit_code", EXIT_FAILED))
    except OSError as error:
        return _fail(f"watchdog: {_describe(error)}", EXIT_FAILED)
    except Exception as error:
        return _fail(f"this is a bug in watchdog: {type(error).__name__}: {error} (MODEL_WATCHDOG_DEBUG=1 shows where)", EXIT_BUG)


def build_parser(name: str, command: "Command") -> argparse.ArgumentParser:
    """The parser of one command. The global options are in it too: they may stand before or after the command."""
    parser = Parser(
        prog=f"watchdog {name}",
        description=command.HELP,
        epilog=f"examples:\n{command.EXAMPLES.rstrip()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    group = parser.add_argument_group("global options")
    for option, (metavar, text) in GLOBAL_OPTIONS.items():
        group.add_argument(option, metavar=metavar, type=_read_path, help=text)
    group.add_argument("--version", action="version", version=f"watchdog {__version__}")
    return parser


def load_command(name: str) -> "Command":
    """The module of the command `name`."""
    return import_module(f"model_watchdog.cli.{name.replace('-', '_')}")


def _dispatch(words: list[str]) -> int:
    before, name, after = _split(words)
    if name is None:
        if any(word in ("-h", "--help") for word in before):
            print(_overview())
            return 0
        if "--version" in before:
            print(f"watchdog {__version__}")
            return 0
        raise UsageError(lambda: phrase("watchdog: which command? (watchdog --help lists them)"))
    if name in LATER:
        raise UsageError(lambda: phrase("watchdog: {name} arrives later; this is version {version}", name=name, version=__version__))
    if name not in COMMANDS:
        text = 'watchdog: no such command "{name}"{near} (watchdog --help lists them)'
        raise UsageError(lambda: phrase(text, name=name, near=suggest(name, COMMANDS)))
    command = load_command(name)
    parser = build_parser(name, command)
    try:
        args, unknown = parser.parse_known_args(before + after)
    except SystemExit as done:  # argparse has printed the help or the version
        return int(done.code or 0)
    if unknown:
        word = unknown[0]
        options = [option for action in parser._actions for option in action.option_strings if word.startswith("-")]
        meant = word.partition("=")[0]
        raise _misuse(parser.prog, lambda: phrase('"{word}" is not understood here{near}', word=word, near=suggest(meant, options)))
    if name in SPEAKING | READING:
        learn_language(args, of_daemon=name in SPEAKING)
    return command.run(args)


def _split(words: list[str]) -> tuple[list[str], str | None, list[str]]:
    """The global options before the command, the command, and what follows it."""
    before: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, has_value, _ = word.partition("=")
        if word in ("-h", "--help", "--version"):
            return [*before, word], None, []
        if word == "help":
            return ([], rest[0], ["--help"]) if rest else (["--help"], None, [])
        if option in GLOBAL_OPTIONS:
            before.append(word)
            if not has_value:
                if not rest:
                    raise _lacking(word)
                before.append(rest.pop(0))
        elif word.startswith("-"):
            raise _unknown(word)
        else:
            return before, word, rest
    return before, None, []


def _lacking(option: str) -> UsageError:
    """Nothing follows a global option."""
    return UsageError(lambda: phrase("watchdog: {option} needs a {what} after it", option=option, what=GLOBAL_OPTIONS[option][0]))


def _unknown(word: str) -> UsageError:
    """It stands before the command, and is no global option."""

    def tell() -> str:
        near = suggest(word.partition("=")[0], [*GLOBAL_OPTIONS, "--help", "--version"])
        near = near or phrase("; a command's own options stand after the command")
        return phrase('watchdog: no such option "{word}"{near} (watchdog --help lists them)', word=word, near=near)

    return UsageError(tell)


def _misuse(prog: str, tell: "Callable[[], str]") -> UsageError:
    """What `tell` says of the options of a command."""
    return UsageError(lambda: phrase("{prog}: {fault} ({prog} --help shows the usage)", prog=prog, fault=tell()))


def _learn_early(words: Sequence[str]) -> None:
    """Learns the language from a command line that is wrong: the global options in it say where."""
    found = dict.fromkeys(("config", "state_dir", "runtime_dir"), "")
    for word, after in zip(words, [*words[1:], ""], strict=False):
        option, has_value, value = word.partition("=")
        if option in GLOBAL_OPTIONS:
            found[option[2:].replace("-", "_")] = value if has_value else after
    args = argparse.Namespace(**{name: Path(text) if text else None for name, text in found.items()})
    with contextlib.suppress(OSError):  # English is good enough for the fault itself
        learn_language(args, of_daemon=True)


def _overview() -> str:
    commands = "\n".join(f"  {name:<12} {text}" for name, text in COMMANDS.items())
    options = "\n".join(f"  {option + ' ' + metavar:<18} {text}" for option, (metavar, text) in GLOBAL_OPTIONS.items())
    return (
        "usage: watchdog [global options] COMMAND [options]\n\n"
        "A watchdog for GPU model services: it watches, restarts, proves it, and tells.\n\n"
        f"commands:\n{commands}\n\n"
        f"global options, before or after the command:\n{options}\n  {'--version':<18} print the version\n\n"
        f"examples:\n{EXAMPLES}\nwatchdog COMMAND --help says more about a command."
    )


def _improve(message: str) -> str:
    """argparse's words, in the language, with the nearest right one where a choice was misspelt."""
    told = retell(message, "usage")
    _, found, rest = message.partition("invalid choice: '")
    if not found:
        return told
    word, _, choices = rest.partition("' (choose from ")
    return told + suggest(word, [choice.strip(" '") for choice in choices.rstrip(")").split(",")])


def _read_path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def _describe(error: OSError) -> str:
    """Place and cause of an error of the operating system."""
    cause = error.strerror or str(error)
    return f"{error.filename}: {cause}" if error.filename else cause


def _fail(text: str, exit_code: int) -> int:
    """Says why, and where for a developer who asks for it."""
    if os.environ.get("MODEL_WATCHDOG_DEBUG") == "1":
        import traceback

        traceback.print_exc()
    if sys.stdout is not None and not sys.stdout.closed:
        _flush_quietly()
    print(text, file=sys.stderr)
    return exit_code


def _flush_quietly() -> None:
    """What was printed before the error comes first; that it cannot be printed is not worth a second error."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard_stdout()


def _discard_stdout() -> None:
    """Without this the interpreter complains at its end that it cannot flush what nobody reads."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (AttributeError, OSError, ValueError):  # there is no real stdout: nothing to discard
        return
