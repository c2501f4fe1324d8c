"""Numbers in words, letter by letter as Prometheus' templates write them."""

import math
from decimal import Decimal

from model_watchdog.promql.arithmetic import read_date

_LARGE = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_LARGE_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")
_MOST_PLAIN = 6
"""Go writes a number with an exponent from so many digits before its point on."""


def show_float(value: float) -> str:
    """As Go's `%v`: the fewest digits that say it, with an exponent where it is large or small."""
    if not math.isfinite(value):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    said, power = "".join(map(str, digits)), len(digits) - 1 + exponent
    if -4 <= power < _MOST_PLAIN:
        return f"{value:.{max(0, -exponent)}f}"
    fraction = f".{said[1:]}" if said[1:] else ""
    return f"{'-' if sign else ''}{said[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"


def show_short(value: float) -> str:
    """As Go's `%.4g`."""
    if not math.isfinite(value):
        return show_float(value)
    return f"{value:.4g}"


def humanize(value: float) -> str:
    """`1.235k`, `12.3m`: to the nearest thousand's prefix."""
    if value == 0 or not math.isfinite(value):
        return show_short(value)
    if abs(value) >= 1:
        value, prefix = _shorten(value, _LARGE, 1000)
        return show_short(value) + prefix
    value, prefix = _enlarge(value)
    return show_short(value) + prefix


def humanize_1024(value: float) -> str:
    """`1.5Gi`: by 1024."""
    if abs(value) <= 1 or not math.isfinite(value):
        return show_short(value)
    value, prefix = _shorten(value, _LARGE_BINARY, 1024)
    return show_short(value) + prefix


def humanize_percentage(value: float) -> str:
    """`12.5%` of 0.125."""
    return show_short(value * 100) + "%"


def humanize_duration(value: float) -> str:
    """`1h 2m 3s` of seconds; `12.3ms` of less than one."""
    if not math.isfinite(value):
        return show_short(value)
    if value == 0:
        return f"{show_short(value)}s"
    if abs(value) < 1:
        value, prefix = _enlarge(value)
        return f"{show_short(value)}{prefix}s"
    sign, value = ("-", -value) if value < 0 else ("", value)
    whole = int(value)
    days, hours, minutes, seconds = whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{show_short(value)}s"


def humanize_timestamp(value: float) -> str:
    """`2026-01-01 00:00:00 +0000 UTC` of seconds since 1970, to the millisecond. Raises ValueError for what is too far away for Go."""
    if not math.isfinite(value):
        return show_short(value)
    if abs(value) * 1e9 >= 2.0**63:
        raise ValueError(f"{show_float(value)} cannot be represented as a nanoseconds timestamp since it overflows int64")
    milliseconds = int(int(value * 1e9) / 1_000_000)
    seconds, rest = divmod(milliseconds, 1000)
    year, month, day, _ = read_date(seconds)
    clock = f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    fraction = f".{rest:03d}".rstrip("0").rstrip(".")
    return f"{year:04d}-{month:02d}-{day:02d} {clock}{fraction} +0000 UTC"


def _shorten(value: float, prefixes: tuple[str, ...], by: float) -> tuple[float, str]:
    prefix = ""
    for larger in prefixes:
        if abs(value) < by:
            break
        prefix = larger
        value /= by
    return value, prefix


def _enlarge(value: float) -> tuple[float, str]:
    prefix = ""
    for smaller in _SMALL:
        if abs(value) >= 1:
            break
        prefix = smaller
        value *= 1000
    return value, prefix
