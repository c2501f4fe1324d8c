"""Writes docs/watchdog.1, the manual page, from the commands' own parsers, so that it cannot fall behind them. `--check` only compares."""

import argparse
import sys
from pathlib import Path

from model_watchdog.cli.main import COMMANDS, EXAMPLES, GLOBAL_OPTIONS, build_parser, load_command

PAGE = Path(__file__).resolve().parents[1] / "docs" / "watchdog.1"
EVERYWHERE = {*GLOBAL_OPTIONS, "--help", "--version"}
FILES = {
    "/etc/model-watchdog/config.yaml": "the configuration; another one by --config or $MODEL_WATCHDOG_CONFIG",
    "/var/lib/model-watchdog/watchdog.db": "the record, an SQLite file, which status and events read; another directory by --state-dir",
    "/run/model-watchdog/control.sock": "the socket through which commands reach the daemon; another directory by --runtime-dir",
    "/etc/polkit-1/rules.d/50-model-watchdog.rules": "what the daemon may restart, as written by watchdog install",
}
CODES = {
    "0": "all is well, or done",
    "1": "not done, or (status) a warning",
    "2": "the configuration is invalid, or (status) something is critical",
    "3": "the daemon is not running, or does not answer",
    "4": "there is no such service, notifier or id",
    "5": "(run) another daemon runs",
    "64": "wrong usage",
}


def escape(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def write_options(parser: argparse.ArgumentParser) -> list[str]:
    lines = []
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or (
            action.option_strings and action.option_strings[-1] in {*GLOBAL_OPTIONS, "--help", "--version"}
        ):
            continue
        name = ", ".join(action.option_strings) or action.dest.upper()
        value = f" {action.metavar or action.dest.upper()}" if action.option_strings and action.nargs != 0 else ""
        lines += [".TP", f".B {escape(name + value)}", escape(action.help or "")]
    return lines


def write_examples(text: str) -> list[str]:
    return [".EX", *(escape(line) for line in text.rstrip().splitlines()), ".EE"]


def write() -> str:
    lines = [
        '.TH WATCHDOG 1 "" "model\\-watchdog" "User Commands"',
        ".SH NAME",
        "watchdog, model\\-watchdog \\- watch GPU model services, restart what is broken, prove it, tell people",
        ".SH SYNOPSIS",
        ".B watchdog",
        "[global options] COMMAND [options]",
        ".SH DESCRIPTION",
        escape(
            "A daemon (watchdog run, as model-watchdog.service) watches the services of one YAML file: their units, health, processes and"
        ),
        escape("GPUs. It restarts through systemctl what is really broken, proves that it worked, and tells people when it did not."),
        "The other commands ask it, read its record, or set it up.",
        ".SH GLOBAL OPTIONS",
    ]
    for option, (metavar, text) in GLOBAL_OPTIONS.items():
        lines += [".TP", f".B {escape(f'{option} {metavar}')}", escape(text)]
    lines.append(".SH COMMANDS")
    for name, text in COMMANDS.items():
        command = load_command(name)
        parser = build_parser(name, command)
        lines += [
            f".SS watchdog {escape(name)}",
            escape(f"{text[0].upper()}{text[1:]}."),
            *write_options(parser),
            ".P",
            *write_examples(command.EXAMPLES),
        ]
    lines += [".SH EXIT STATUS"]
    for code, text in CODES.items():
        lines += [".TP", f".B {code}", escape(text)]
    lines += [".SH FILES"]
    for path, text in FILES.items():
        lines += [".TP", f".I {escape(path)}", escape(text)]
    lines += [".SH EXAMPLES", *write_examples(EXAMPLES), ".SH SEE ALSO", escape("systemctl(1), journalctl(1), polkit(8)")]
    return "\n".join(lines) + "\n"


def main() -> int:
    page = write()
    if "--check" in sys.argv[1:]:
        if PAGE.exists() and PAGE.read_text() == page:
            return 0
        print("docs/watchdog.1 is not what the commands say; write it anew: make man", file=sys.stderr)
        return 1
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
