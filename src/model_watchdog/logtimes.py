"""When a record of a log was written, by what it says itself."""

import json
import math
import re
import zoneinfo
from datetime import datetime, tzinfo
from typing import Any

KEYS = ("time", "timestamp", "ts", "asctime", "@timestamp")
"""Where JSON records say it; the first that is there."""
LOOKED_AT = 50
"""So many of the newest lines are looked at for one that says a time: a traceback has none."""
TAIL = 1 << 16
_STAMP = re.compile(rb"^\W{0,2}(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:(?:Z|[+-]\d\d:?\d\d))?)")
_EARLIEST = 1e9
_MILLISECONDS = 1e11
"""A number above this does not count seconds since 1970, but thousandths of them, or of those."""


def find_zone(name: str | None) -> tzinfo | None:
    """The zone of that name; None is the machine's own. Raises ValueError where there is none here."""
    if name is None:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f'there is no time zone "{name}" on this machine, as "Asia/Shanghai" would be one') from None


def find_newest(piece: bytes, *, is_json: bool, zone: tzinfo | None, now: float) -> float | None:
    """The time of the newest record in these lines that says one, in Unix seconds. A time without a zone is of `zone`."""
    for line in reversed(piece[-TAIL:].splitlines()[-LOOKED_AT:]):
        written = _find_in_json(line) if is_json else _find_in_text(line)
        if written is not None and (at := read_time(written, zone, now)) is not None:
            return at
    return None


def read_time(written: str | float, zone: tzinfo | None, now: float) -> float | None:
    """ISO 8601, or seconds (milli-, micro-, nanoseconds) since 1970, as Unix seconds; None for anything else.

    In the hour that comes twice when summer time ends, it is the one that is not after `now`.
    """
    try:
        if isinstance(written, str):
            at = datetime.fromisoformat(written.strip())
        else:
            number = float(written) if math.isfinite(written) else 0.0
            while number > _MILLISECONDS:
                number /= 1000
            return number if number > _EARLIEST else None
        if at.tzinfo is None and zone is not None:
            at = at.replace(tzinfo=zone)
        late, early = at.replace(fold=1).timestamp(), at.replace(fold=0).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return late if late <= now else early


def _find_in_text(line: bytes) -> str | None:
    found = _STAMP.match(line)
    return found[1].decode() if found else None


def _find_in_json(line: bytes) -> str | float | None:
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    found = next((record[key] for key in KEYS if key in record), None)
    return found if isinstance(found, str | int | float) and not isinstance(found, bool) else None
