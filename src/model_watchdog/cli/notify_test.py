"""`watchdog notify-test`: does a message reach people?"""

import argparse

from model_watchdog.cli import EXIT_UNKNOWN_NAME, CommandError, find_config, suggest
from model_watchdog.cli.commanding import command, say
from model_watchdog.language import phrase, retell

HELP = "send a test message to each notifier"
EXAMPLES = """\
  watchdog notify-test            the daemon sends, with its own user, credentials and sandbox
  watchdog notify-test ops        one notifier
  watchdog notify-test --local    send from here instead
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("notifier", nargs="?", help="only this notifier")
    parser.add_argument("--local", action="store_true", help="send from this process, not from the daemon")


def run(args: argparse.Namespace) -> int:
    if args.local:
        results = _send_here(args)
    else:
        answer = command(args, {"command": "notify-test", "notifier": args.notifier}, timeout=90.0)
        if "results" not in answer:
            return say(answer)
        results = answer["results"]
    if not results:
        raise CommandError(phrase("there are no notifiers in the configuration; nobody would be told"))
    for name, error in results.items():
        print(phrase("{name}: sent" if error is None else "{name}: failed: {error}", name=name, error=retell(error or "")))
    return 0 if all(error is None for error in results.values()) else 1


def _send_here(args: argparse.Namespace) -> "dict[str, str | None]":
    import asyncio

    from model_watchdog.config.loading import load_here
    from model_watchdog.outbox import send_test

    config = load_here(find_config(args))
    if args.notifier and args.notifier not in config.notifiers:
        raise CommandError(
            phrase("there is no notifier {name}", name=args.notifier) + suggest(args.notifier, config.notifiers), EXIT_UNKNOWN_NAME
        )
    chosen = {name: notifier for name, notifier in config.notifiers.items() if args.notifier in (None, name)}
    return asyncio.run(send_test(chosen))
