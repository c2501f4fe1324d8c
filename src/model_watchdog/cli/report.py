"""`watchdog report`: what a time was like, from the record alone, so that it also answers when the daemon is dead."""

import argparse
import contextlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from model_watchdog.cli import EXIT_USAGE, CommandError, find_state_dir
from model_watchdog.language import LANGUAGES, phrase, speak, spoken

HELP = "what a time was like: availability, incidents, latencies, trends, alarms for nothing"
EXAMPLES = """\
  watchdog report                                 the last 7 days, in a few lines
  watchdog report --since 30d -o report.html      as one page: to read, to print, to send
  watchdog report --since 2026-10 --language zh -o october.html
  watchdog report --since 2026-10-05 --until 2026-10-12 -o week.json
"""
FORMS = (".html", ".json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", metavar="TIME", default="7d", help="7d, a month such as 2026-10, or a day such as 2026-10-05 (default: 7d)"
    )
    parser.add_argument("--until", metavar="DAY", help="up to the begin of this day, or month (default: its end, or now)")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write it all to FILE.html or FILE.json")
    parser.add_argument("--language", choices=LANGUAGES, help="en or zh (default: the daemon's)")


def run(args: argparse.Namespace) -> int:
    from model_watchdog.report.gather import gather  # it takes a while, and --help need not wait
    from model_watchdog.report.period import NoPeriod, read_period
    from model_watchdog.report.text import write_text

    if args.language:
        speak(args.language)
    if args.output is not None and args.output.suffix not in FORMS:
        raise CommandError(phrase("{path}: its name must end in .html or .json", path=args.output), EXIT_USAGE)
    if args.output is not None:
        check_place(args.output)
    now = time.time()
    try:
        period = read_period(args.since, args.until, now)
    except NoPeriod as error:
        raise CommandError(str(error), EXIT_USAGE) from None
    doc = gather(find_state_dir(args), period, now)
    print(write_text(doc))
    if args.output is not None:
        write_whole(args.output, _write(doc, args.output.suffix))
    return 0


def _write(doc: dict[str, Any], form: str) -> str:
    if form == ".json":
        from model_watchdog.report.document import as_json

        return json.dumps(as_json(doc), ensure_ascii=False, allow_nan=False) + "\n"
    from model_watchdog.report.page import write_page

    return write_page(doc, spoken())


def check_place(path: Path) -> None:
    """Whether a file can be written there, asked before the report is made. Raises `CommandError`."""
    if not path.parent.is_dir():
        raise CommandError(phrase("{path}: there is no directory {parent}; make it first", path=path, parent=path.parent))
    if (path.exists() or path.is_symlink()) and not (path.is_file() and not path.is_symlink()):
        raise CommandError(phrase("{path}: something that is no file is in its place; choose another name", path=path))
    if not os.access(path.parent, os.W_OK):
        raise CommandError(phrase("{path}: nothing can be written in {parent}; choose another place", path=path, parent=path.parent))


def write_whole(path: Path, text: str) -> None:
    """All of it or nothing: whoever reads the file never sees half of one. Raises OSError, which names the path."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
            os.fchmod(descriptor, 0o666 & ~_umask())
            file.write(text)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _umask() -> int:
    """This process's, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
