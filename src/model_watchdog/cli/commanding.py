"""What the commands to the daemon have in common: ask, and turn the answer into words and an exit code."""

import argparse
import os
import sys
from typing import Any

from model_watchdog.cli import EXIT_FAILED, EXIT_NOT_RUNNING, EXIT_UNKNOWN_NAME, EXIT_USAGE, CommandError, find_runtime_dir, suggest_known
from model_watchdog.client import NotAllowed, NotRunning, ask


def command(args: argparse.Namespace, request: dict[str, Any], timeout: float | None = 10.0) -> dict[str, Any]:
    """The daemon's answer; raises `CommandError` with the right exit code where it is not running, not allowed, or has no such name."""
    try:
        answer = ask(os.fspath(find_runtime_dir(args)), request, timeout)
    except NotRunning as error:
        raise CommandError(str(error), EXIT_NOT_RUNNING) from None
    except NotAllowed as error:
        raise CommandError(str(error), EXIT_FAILED) from None
    if answer.get("error") == "no_such" and not answer["ok"]:
        wanted = str(request.get("service") or request.get("notifier") or request.get("id"))
        raise CommandError(f"{answer['text']}{suggest_known(wanted, answer.get('known', []))}", EXIT_UNKNOWN_NAME)
    return answer


def say(answer: dict[str, Any]) -> int:
    """Prints the answer's text; 0 where it is good, 64 where the request was wrong, else 1."""
    print(answer["text"], file=sys.stdout if answer["ok"] else sys.stderr)
    if answer["ok"]:
        return 0
    return EXIT_USAGE if answer.get("error") == "bad_request" else EXIT_FAILED
