"""How single values are written: durations, sizes, shares, numbers, addresses, and what YAML makes of plain words."""

import math
import re
from decimal import Decimal
from urllib.parse import urlsplit

from model_watchdog.core.units import Bytes, Number, Seconds

UNITS_OF_TIME = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
UNITS_OF_SIZE = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)},
    "KB": 1000,
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
}
LONGEST = 3650 * 86400
_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,15})?"
_SECONDS = re.compile(rf"({_NUMBER})({'|'.join(UNITS_OF_TIME)})")
_BYTES = re.compile(rf"({_NUMBER}) ?({'|'.join(UNITS_OF_SIZE)})")
_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,340})?")
_MISREAD = (
    (re.compile(r"y|n|yes|no|on|off|true|false", re.I), "true or false"),
    (re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)(?:e[-+]?[0-9]+)?|[-+]?0[xob][0-9a-f_]+", re.I), "a number"),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"), "a number of base 60"),
    (re.compile(r"[-+]?\.(?:inf|nan)", re.I), "a number"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?"), "a date"),
)


class Wrong(ValueError):
    """Why a text is not the value that is wanted. `reason` never holds the text itself, `hint` may."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason + hint)
        self.reason = reason
        self.hint = hint


def read_seconds(text: str) -> Seconds:
    """`500ms 10s 5m 2h 7d` as seconds. Raises `Wrong`."""
    match = _SECONDS.fullmatch(text)
    if not match:
        if re.fullmatch(_NUMBER, text):
            raise Wrong("has no unit", f"; did you mean {text}s?")
        raise Wrong("is not a duration; write it like 500ms, 10s, 5m, 2h or 7d")
    seconds = Decimal(match[1]) * UNITS_OF_TIME[match[2]]
    if seconds > LONGEST:
        raise Wrong("is too long; ten years are the most")
    return Seconds(float(seconds))


def read_bytes(text: str) -> Bytes:
    """`512MiB 20GB` as bytes. Raises `Wrong`."""
    match = _BYTES.fullmatch(text)
    if not match:
        if re.fullmatch(_NUMBER, text):
            raise Wrong("has no unit", f"; did you mean {text}MiB?")
        raise Wrong("is not a size; write it like 512MiB or 20GB")
    return Bytes(int(Decimal(match[1]) * UNITS_OF_SIZE[match[2]]))


def read_number(text: str) -> Number:
    """A level in a rule: `80`, `0.5`, `50ms` (seconds), `20GB` (bytes), `90%` (90). Raises `Wrong`."""
    share = text.removesuffix("%")
    if _FLOAT.fullmatch(share):
        return Number(float(share))
    for reader in (read_seconds, read_bytes):
        try:
            return Number(float(reader(text)))
        except Wrong:
            continue
    raise Wrong("is not a number; write it like 80, 0.5, 50ms, 20GB or 90%")


def read_int(text: str) -> int:
    """A whole number without `0` in front, `_` or exponent. Raises `Wrong`."""
    if not _INT.fullmatch(text):
        raise Wrong("is not a whole number; write it like 3")
    return int(text)


def read_float(text: str) -> float:
    """A number without exponent. Raises `Wrong`."""
    if not _FLOAT.fullmatch(text):
        raise Wrong("is not a number; write it like 3 or 0.5")
    return float(text)


def read_bool(text: str) -> bool:
    """`true` or `false`. Raises `Wrong`."""
    if text not in ("true", "false"):
        raise Wrong("is not true or false; write one of them")
    return text == "true"


def read_plain(text: str) -> str | int | float | bool | None:
    """What an unquoted word means where any value is allowed. Raises `Wrong` where YAML's readers disagree (`no`, `012`, `1e3`)."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    check_plain_text(text)
    return text


def check_plain_text(text: str) -> None:
    """Raises `Wrong` where an unquoted word is not a text to every reader of YAML."""
    for pattern, meaning in _MISREAD:
        if pattern.fullmatch(text):
            raise Wrong(f"is {meaning} to YAML; if a text is meant, put it in quotes", f': "{text}"')


def check_url(text: str) -> None:
    """Raises `Wrong` unless `text` is an http or https address that can be asked."""
    if re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise Wrong("holds a space or a backslash, which no address does")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Wrong("is not an address; write it like http://127.0.0.1:8000/health") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise Wrong("does not begin with http:// or https://")
    if not parts.hostname or port == 0:
        raise Wrong("names no host and port that can be asked; write it like http://127.0.0.1:8000/health")


def write_seconds(seconds: float) -> str:
    """A duration as the file writes it: read again it is exactly the same."""
    exact = Decimal(repr(float(seconds)))
    for unit in ("d", "h", "m", "s"):
        if exact and exact % UNITS_OF_TIME[unit] == 0:
            return f"{int(exact / UNITS_OF_TIME[unit])}{unit}"
    return f"{_write_decimal(exact / UNITS_OF_TIME['ms'])}ms" if exact else "0s"


def write_bytes(size: int) -> str:
    """A size as the file writes it."""
    for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB"):
        if size and size % UNITS_OF_SIZE[unit] == 0:
            return f"{size // UNITS_OF_SIZE[unit]}{unit}"
    return f"{size}B"


def write_number(number: float) -> str:
    """A finite number without exponent."""
    assert math.isfinite(number)
    return _write_decimal(Decimal(repr(float(number))))


def _write_decimal(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
