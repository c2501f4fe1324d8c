"""`watchdog completion`: a script that completes commands, options and the names of services, for bash, zsh or fish.

The script is written from the commands' own parsers, so it cannot fall behind them. The names of services come from the record each time.
"""

import argparse
import contextlib
import sys
from dataclasses import dataclass

from model_watchdog.cli import UsageError, find_state_dir
from model_watchdog.cli.main import COMMANDS, GLOBAL_OPTIONS, build_parser, load_command
from model_watchdog.errors import WatchdogError
from model_watchdog.language import phrase
from model_watchdog.record import Record

HELP = "print a completion script for a shell"
EXAMPLES = """\
  watchdog completion bash | sudo tee /etc/bash_completion.d/watchdog
  watchdog completion zsh > ~/.zfunc/_watchdog              where fpath has ~/.zfunc, before compinit
  watchdog completion fish > ~/.config/fish/completions/watchdog.fish
"""
FILES, DIRECTORIES, SERVICES, NOTHING = "files", "directories", "services", "nothing"


@dataclass(frozen=True)
class Option:
    """An option and what may follow it: FILES, DIRECTORIES, SERVICES, NOTHING that could be completed, or None for no value."""

    name: str
    help: str
    value: str | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", nargs="?", choices=("bash", "zsh", "fish"), help="the shell that will read the script")
    parser.add_argument("--services", action="store_true", help=argparse.SUPPRESS)  # for the scripts: the services of the record


def run(args: argparse.Namespace) -> int:
    if args.services:
        with (
            contextlib.suppress(WatchdogError),
            Record.open(find_state_dir(args)) as record,
        ):  # in the middle of a line nobody wants an error
            print(*(service["name"] for service in record.services()), sep="\n")
        return 0
    if args.shell is None:
        raise UsageError(lambda: phrase("watchdog: for which shell? watchdog completion bash, zsh or fish"))
    sys.stdout.write({"bash": write_bash, "zsh": write_zsh, "fish": write_fish}[args.shell]())
    return 0


def read_commands() -> dict[str, tuple[list[Option], str]]:
    """Each command with its options and with what may follow it as a word of its own: SERVICES, the words themselves, or nothing."""
    found = {}
    everywhere = {option.name for option in _global_options()}
    for name in COMMANDS:
        options: list[Option] = []
        words = ""
        for action in build_parser(name, load_command(name))._actions:
            if action.help == argparse.SUPPRESS:
                continue
            if not action.option_strings:
                words = SERVICES if action.dest == "service" else " ".join(action.choices or ())
            elif action.option_strings[-1] not in everywhere:
                kind = {"FILE": FILES, "DIR": DIRECTORIES, "SERVICE": SERVICES}.get(str(action.metavar), NOTHING)
                value = None if action.nargs == 0 else kind
                options.append(Option(action.option_strings[-1], action.help or "", value))
        found[name] = (options, words)
    return found


def _global_options() -> list[Option]:
    kinds = {"FILE": FILES, "DIR": DIRECTORIES}
    options = [Option(name, text, kinds[metavar]) for name, (metavar, text) in GLOBAL_OPTIONS.items()]
    return [*options, Option("--help", "show the usage", None), Option("--version", "print the version", None)]


_BASH = """\
# bash completion for watchdog
_model_watchdog() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= options= words= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            %(valued)s) ((i++)) ;;
            -*) ;;
            *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $prev in
        %(files)s) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        %(directories)s) compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
    esac
    case $command:$prev in
%(values)s
    esac
    case $command in
%(commands)s
    esac
    [[ $cur == -* ]] && words="$options %(global)s"
    [[ $words == %(services)s ]] && words=$("${COMP_WORDS[0]}" completion --services 2>/dev/null)
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _model_watchdog watchdog model-watchdog
"""


_ASKED = {
    SERVICES: 'COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" completion --services 2>/dev/null)" -- "$cur")); ',
    FILES: 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); ',
    DIRECTORIES: 'compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); ',
}
"""What completes the value of a command's own option."""


def write_bash() -> str:
    """The script for bash."""
    names, values, commands = _global_options(), [], [f"        '') words='{' '.join(COMMANDS)}' ;;"]
    for command, (options, words) in read_commands().items():
        for option in (option for option in options if option.value):
            values.append(f"        {command}:{option.name}) {_ASKED.get(option.value or '', '')}return ;;")
        commands.append(f"        {command}) words='{words}' options='{' '.join(option.name for option in options)}' ;;")
    return _BASH % {
        "valued": "|".join(option.name for option in names if option.value),
        "files": "|".join(option.name for option in names if option.value == FILES),
        "directories": "|".join(option.name for option in names if option.value == DIRECTORIES),
        "values": "\n".join(values),
        "commands": "\n".join(commands),
        "global": " ".join(option.name for option in names),
        "services": SERVICES,
    }


_ZSH = """\
#compdef watchdog model-watchdog
# zsh completion for watchdog
_model_watchdog_services() { local -a names; names=(${(f)"$(${program} completion --services 2>/dev/null)"}); compadd -a names }
_model_watchdog() {
    local program=${words[1]} state
    local -a global=(
%(global)s
    )
    _arguments -C $global '1:command:->command' '*::argument:->argument' && return
    case $state in
        command)
            local -a commands=(
%(table)s
            )
            _describe command commands ;;
        argument)
            case ${words[1]} in
%(commands)s
            esac ;;
    esac
}
case ${funcstack[1]} in
    _watchdog|_model_watchdog) _model_watchdog "$@" ;;  # autoloaded from fpath
    *) compdef _model_watchdog watchdog model-watchdog ;;  # sourced
esac
"""


def write_zsh() -> str:
    """The script for zsh."""
    actions = {
        FILES: ":file:_files",
        DIRECTORIES: ":directory:_files -/",
        SERVICES: ":service:_model_watchdog_services",
        NOTHING: ":value: ",
    }

    def spec(option: Option) -> str:
        return _quote(f"{option.name}[{_flatten(option.help)}]{actions[option.value] if option.value else ''}")

    commands = []
    for command, (options, words) in read_commands().items():
        word = _quote("1:service:_model_watchdog_services") if words == SERVICES else _quote(f"1:word:({words})") if words else ""
        commands.append(f"                {command}) _arguments $global {' '.join([word, *map(spec, options)]).strip()} ;;")
    return _ZSH % {
        "global": "\n".join(f"        {spec(option)}" for option in _global_options()),
        "table": "\n".join(f"                {_quote(f'{name}:{_flatten(text)}')}" for name, text in COMMANDS.items()),
        "commands": "\n".join(commands),
    }


def write_fish() -> str:
    """The script for fish."""
    lines = ["# fish completion for watchdog"]
    for program in ("watchdog", "model-watchdog"):
        start = f"complete -c {program}"
        lines.append(f"{start} -f")
        for option in _global_options():
            kind = {FILES: "-r -F ", DIRECTORIES: "-x -a '(__fish_complete_directories)' "}.get(option.value or "", "")
            lines.append(f"{start} -l {option.name[2:]} {kind}-d {_quote(option.help)}")
        lines += [f"{start} -n __fish_use_subcommand -a {name} -d {_quote(text)}" for name, text in COMMANDS.items()]
        for command, (options, words) in read_commands().items():
            here = f"{start} -n '__fish_seen_subcommand_from {command}'"
            services = f"-a '({program} completion --services 2>/dev/null)'"
            if words:
                lines.append(f"{here} {services if words == SERVICES else f'-a {_quote(words)}'}")
            for option in options:
                value = {None: "", SERVICES: f" -x {services}", FILES: " -r -F"}.get(option.value, " -x")
                value = " -x -a '(__fish_complete_directories)'" if option.value == DIRECTORIES else value
                lines.append(f"{here} -l {option.name[2:]}{value} -d {_quote(option.help)}")
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    """For all three shells: in single quotes, and without any inside."""
    return "'" + text.replace("'", "’").replace("\\", "") + "'"


def _flatten(text: str) -> str:
    """zsh reads brackets and colons as its own."""
    return text.replace("[", "(").replace("]", ")").replace(":", " -")
