"""Reading the configuration's file and the files of secrets: never blocks, never reads more than it should."""

import os
import stat
from pathlib import Path

from model_watchdog.config.document import EMPTY
from model_watchdog.config.faults import InvalidConfig, make_printable
from model_watchdog.language import retell

CONFIG_CAP = 256 * 1024
SECRET_CAP = 64 * 1024


def read_config(path: Path) -> str:
    """The text of the configuration. Raises `InvalidConfig` (one line, `FILE: ...`) before anything is parsed."""
    try:
        content, mode = _read(path, CONFIG_CAP)
        if mode & stat.S_IWOTH and os.geteuid() == 0:
            raise _Unreadable(f"others may write to it, and root reads it; chmod o-w {path}")
        if not content.strip():
            raise _Unreadable(EMPTY)
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise _invalid(f"{path}: there is no such file; name one with --config, or let watchdog install write one") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _invalid(f"{path}:{line}:1: is not UTF-8; save it as UTF-8") from None
    except _Unreadable as error:
        raise _invalid(f"{path}: {retell(str(error), 'faults')}") from None


def read_secret(path: Path) -> str:
    """The text of a file that holds one secret, without the newline at its end. Raises ValueError that says why not."""
    try:
        content, _ = _read(path, SECRET_CAP)
        return content.decode("utf-8").rstrip("\r\n")
    except FileNotFoundError:
        raise ValueError("does not exist") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except _Unreadable as error:
        raise ValueError(str(error)) from None


def _invalid(line: str) -> InvalidConfig:
    return InvalidConfig([make_printable(retell(line, "faults"))])


class _Unreadable(Exception):
    """Why a file is not read."""


def _read(path: Path, cap: int) -> tuple[bytes, int]:
    """Content and mode; raises FileNotFoundError or `_Unreadable`. O_NONBLOCK: a FIFO in the file's place must not hold us up."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise
    except PermissionError:
        raise _Unreadable("may not be read by this user; root and the group model-watchdog should be able to") from None
    except (OSError, ValueError) as error:
        raise _Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        facts = os.fstat(descriptor)
        if stat.S_ISDIR(facts.st_mode):
            raise _Unreadable("is a directory; name the file in it")
        if not stat.S_ISREG(facts.st_mode):
            raise _Unreadable("is not a regular file")
        if facts.st_size > cap:
            raise _Unreadable(f"has {facts.st_size} bytes; at most {cap} are read")
        content = b""
        while len(content) <= cap and (chunk := os.read(descriptor, cap + 1 - len(content))):
            content += chunk
        if len(content) > cap:  # it grew meanwhile, or lies about its size as /proc does
            raise _Unreadable(f"has more than {cap} bytes, which is the most that is read")
        return content, facts.st_mode
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
