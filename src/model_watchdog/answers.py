"""Whether the body of an answer is as it was wanted."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

QUOTED = 200
"""Bytes of a body that are shown at most."""


def judge_body(body: bytes, contains: str | None, wanted: Mapping[str, Any] | None) -> str:
    """What is wrong with a body, or "". `wanted` maps dotted paths in a JSON document (`data.0.ready`) to values."""
    if contains is not None and contains.encode() not in body:
        return f'it does not contain "{contains}"'
    if wanted is None:
        return ""
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except (ValueError, RecursionError) as error:
        return f"it is not JSON{_explain(error)}"
    for path, value in wanted.items():
        found = find_value(document, path)
        if not is_same(found, value):
            return f"{path} is {_show(found)}, not {_show(value)}"
    return ""


class _Missing:
    pass


MISSING = _Missing()


def find_value(document: Any, path: str) -> Any:
    """The value at a dotted path, in which numbers count in lists; MISSING where there is none."""
    here = document
    for part in path.split("."):
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(here, list) and part.isdecimal() and len(part) < 7 and int(part) < len(here):
            here = here[int(part)]
        else:
            return MISSING
    return here


def is_same(found: Any, wanted: Any) -> bool:
    """Equal in value and kind: true is not 1, while 1 is 1.0."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, dict) and isinstance(wanted, Mapping):
        return found.keys() == wanted.keys() and all(is_same(found[key], wanted[key]) for key in found)
    if isinstance(found, list) and isinstance(wanted, (list, tuple)):
        return len(found) == len(wanted) and all(map(is_same, found, wanted))
    return type(found) is not _Missing and bool(found == wanted)


def quote_body(body: bytes, secrets: Iterable[str] = ()) -> str:
    """The beginning of a body, safe for a terminal, in quotes; a secret that the server gave back is masked."""
    text = body[:QUOTED].decode("utf-8", "backslashreplace")
    for secret in secrets:
        text = text.replace(secret, "***")
    shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return f"'{shown}'" + ("…" if len(body) > QUOTED else "") if body else "empty"


def _show(value: Any) -> str:
    if value is MISSING:
        return "missing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _explain(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f" ({error.msg} at byte {error.pos})"
    return f" ({error})" if isinstance(error, _Constant) else ""


class _Constant(ValueError):
    pass


def _refuse_constant(name: str) -> Any:
    raise _Constant(f"{name} is no JSON")
