"""`watchdog doctor`: the whole chain, link by link; for each broken one the command that mends it."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from model_watchdog.cli import find_config, find_runtime_dir, find_state_dir
from model_watchdog.client import NotAllowed, NotRunning, ask
from model_watchdog.errors import ConfigError
from model_watchdog.language import phrase
from model_watchdog.wording import clean

HELP = "look at every link of the chain, and say what mends a broken one"
EXAMPLES = """\
  sudo watchdog doctor              everything, with a test message through each notifier
  sudo watchdog doctor --quiet      no test messages
"""
MARKS = {"good": "✔", "bad": "✘", "note": "!"}
COLOURS = {"good": "\x1b[32m", "bad": "\x1b[31m", "note": "\x1b[33m"}
WAIT = 120.0
"""Seconds for the daemon's examination: a probe takes up to its time-out, a notifier 30 s."""

Link = Mapping[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="send no test messages")
    parser.add_argument("--json", action="store_true", help="one JSON list of {mark, text, remedy}; mark is good, bad or note")


def run(args: argparse.Namespace) -> int:
    links = _examine(args)
    if args.json:
        print(json.dumps(links, ensure_ascii=False))
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for link in links:
            print(_show(link, colour=colour))
    return 1 if any(link["mark"] == "bad" for link in links) else 0


def _show(link: Link, *, colour: bool) -> str:
    mark = MARKS[link["mark"]]
    mark = f"{COLOURS[link['mark']]}{mark}\x1b[0m" if colour else mark
    remedy = f"   → {clean(link['remedy'])}" if link["remedy"] else ""
    return f"{mark} {clean(link['text'])}{remedy}"


def _examine(args: argparse.Namespace) -> list[Link]:
    """The configuration as it lies there, the daemon, and what the daemon finds (or this user, where there is none)."""
    from model_watchdog.config.loading import load

    path = find_config(args)
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    config = None
    try:
        config = load(path, environment=os.environ, credentials_dir=Path(directory) if directory else None, strict_secrets=False)
        links: list[Link] = [_link("good", phrase("{path} is valid", path=path))]
    except ConfigError as error:
        links = [_link("bad", f"{path}: {str(error).splitlines()[0]}", "watchdog check")]
    try:
        answer = ask(os.fspath(find_runtime_dir(args)), {"command": "doctor", "send": not args.quiet}, WAIT)
    except NotRunning:
        text = phrase("the daemon is not running; what follows is seen as this user")
        links.append(_link("bad", text, "sudo systemctl start model-watchdog"))
    except NotAllowed as error:
        links.append(_link("note", phrase("{error}; what follows is seen as this user", error=error), "sudo watchdog doctor"))
    else:
        if "links" in answer:
            return [*links, _link("good", phrase("the daemon runs (pid {pid})", pid=answer["pid"])), *answer["links"]]
        text = phrase("the daemon does not examine itself: {cause}", cause=answer.get("text", ""))
        links.append(_link("bad", text, "sudo systemctl restart model-watchdog"))
    if config is None:
        return links
    import asyncio  # only where no daemon answers

    async def here() -> list[Link]:
        from model_watchdog.examination import examine

        return [link.plain() async for link in examine(config, find_state_dir(args), send=not args.quiet)]

    return [*links, *asyncio.run(here())]


def _link(mark: str, text: str, remedy: str = "") -> Link:
    return {"mark": mark, "text": text, "remedy": remedy}
