"""Reading the configuration's file and the files of secrets: never blocks, never reads more than it should."""

import os
import stat
from pathlib import Path

from model_watchdog.config.document import EMPTY
from model_watchdog.config.faults import InvalidConfig, make_printable
from model_watchdog.language import retell

CONFIG_CAP = 256 * 1024
SECRET_CAP = 64 * 1024


class Refused(Exception):
    """Why a file is not read; `line` where it is known."""

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.line = line


def read_config(path: Path) -> str:
    """The text of the configuration. Raises `InvalidConfig` (one line, `FILE: ...`) before anything is parsed."""
    try:
        return read_part(path)
    except FileNotFoundError:
        raise _invalid(f"{path}: there is no such file; name one with --config, or let watchdog install write one") from None
    except Refused as error:
        why = retell(str(error), "faults")
        raise _invalid(f"{path}:{error.line}:1: {why}" if error.line else f"{path}: {why}") from None


def read_part(path: Path) -> str:
    """The text of a file of the configuration. Raises FileNotFoundError and `Refused`."""
    content, mode = _read(path, CONFIG_CAP)
    if mode & stat.S_IWOTH and os.geteuid() == 0:
        raise Refused(f"others may write to it, and root reads it; chmod o-w {path}")
    if not content.strip():
        raise Refused(EMPTY)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("is not UTF-8; save it as UTF-8", error.object.count(b"\n", 0, error.start) + 1) from None


def read_secret(path: Path) -> str:
    """The text of a file that holds one secret, without the newline at its end. Raises ValueError that says why not."""
    try:
        content, _ = _read(path, SECRET_CAP)
        return content.decode("utf-8").rstrip("\r\n")
    except FileNotFoundError:
        raise ValueError("does not exist") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except Refused as error:
        raise ValueError(str(error)) from None


def _invalid(line: str) -> InvalidConfig:
    return InvalidConfig([make_printable(retell(line, "faults"))])


def _read(path: Path, cap: int) -> tuple[bytes, int]:
    """Content and mode; raises FileNotFoundError or `Refused`. O_NONBLOCK: a FIFO in the file's place must not hold us up."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise
    except PermissionError:
        raise Refused("may not be read by this user; root and the group model-watchdog should be able to") from None
    except (OSError, ValueError) as error:
        raise Refused(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        facts = os.fstat(descriptor)
        if stat.S_ISDIR(facts.st_mode):
            raise Refused("is a directory; name the file in it")
        if not stat.S_ISREG(facts.st_mode):
            raise Refused("is not a regular file")
        if facts.st_size > cap:
            raise Refused(f"has {facts.st_size} bytes; at most {cap} are read")
        content = b""
        while len(content) <= cap and (chunk := os.read(descriptor, cap + 1 - len(content))):
            content += chunk
        if len(content) > cap:  # it grew meanwhile, or lies about its size as /proc does
            raise Refused(f"has more than {cap} bytes, which is the most that is read")
        return content, facts.st_mode
    except OSError as error:
        raise Refused(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
