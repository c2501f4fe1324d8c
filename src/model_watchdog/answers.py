"""Whether the body of an answer is as it was wanted."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

QUOTED = 200
"""Bytes of a body that are shown at most."""
LEAST_SECRET = 4
"""Characters: what is shorter, or so short a part of a secret, gives nothing away and would mask half of what is said."""
MASK = "***"


class Secrets:
    """Texts that were sent and must never be shown, also where a server gives them back: whole, as JSON, or their half at an edge."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        spelt = {spelling for text in texts for spelling in (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])}
        kept = (text.encode("utf-8", "surrogateescape") for text in spelt if len(text) >= LEAST_SECRET)
        self._texts = sorted(kept, key=len, reverse=True)  # the longest first: one may be a part of another

    def mask(self, text: bytes) -> bytes:
        """The text without them. Call it on all that came, before anything is cut off it."""
        for secret in self._texts:
            text = text.replace(secret, MASK.encode())
        for secret in self._texts:
            sizes = range(min(len(secret) - 1, len(text)), LEAST_SECRET - 1, -1)
            if size := next((size for size in sizes if text.endswith(secret[:size])), 0):
                text = text[:-size] + MASK.encode()
            if size := next((size for size in sizes if text.startswith(secret[-size:])), 0):
                text = MASK.encode() + text[size:]
        return text

    def mask_text(self, text: str) -> str:
        """The same for a text."""
        return self.mask(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


NO_SECRETS = Secrets()


def judge_body(body: bytes, contains: str | None, wanted: Mapping[str, Any] | None, secrets: Secrets = NO_SECRETS) -> str:
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
            return f"{path} is {_show(found, secrets)}, not {_show(value, secrets)}"
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


def quote_body(body: bytes, secrets: Secrets = NO_SECRETS) -> str:
    """The beginning of a body, safe for a terminal, in quotes; a secret that the server gave back is masked."""
    if not body:
        return "empty"
    masked = secrets.mask(body)
    text = masked[:QUOTED].decode("utf-8", "backslashreplace")
    shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return f"'{shown}'" + ("…" if len(masked) > QUOTED else "")


def _show(value: Any, secrets: Secrets) -> str:
    if value is MISSING:
        return "missing"
    plain = secrets.mask_text(value) if isinstance(value, str) else value
    text = secrets.mask_text(json.dumps(plain, ensure_ascii=False, default=str))
    return text if len(text) <= 60 else f"{text[:60]}…"


def _explain(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f" ({error.msg} at byte {error.pos})"
    return f" ({error})" if isinstance(error, _Constant) else ""


class _Constant(ValueError):
    pass


def _refuse_constant(name: str) -> Any:
    raise _Constant(f"{name} is no JSON")
