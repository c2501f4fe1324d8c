"""The functions of templates, and how Go shows values."""

import math
import re
from collections.abc import Callable
from typing import Any

from model_watchdog.patterns import Anywhere
from model_watchdog.promql.durations import read_duration
from model_watchdog.promql.humanizing import (
    humanize,
    humanize_1024,
    humanize_duration,
    humanize_percentage,
    humanize_timestamp,
    show_float,
)
from model_watchdog.promql.relabelling import expand

_HOST_PORT = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):([^:\[\]]*)")
_VERB = re.compile(r"%([-+# 0]*)(\d*)(?:\.(\d*))?([a-zA-Z%])")
_NO_QUERY = "it asks Prometheus; write the value with $value, or another rule"
REFUSED = {
    **dict.fromkeys(("query", "first", "value", "strvalue", "label", "sortByLabel"), _NO_QUERY),
    **dict.fromkeys(("tableLink", "graphLink"), "no page of graphs is here; write a link"),
    **dict.fromkeys(("safeHtml", "tmpl", "args"), "it is for console pages"),
    **dict.fromkeys(("externalURL", "pathPrefix"), "use $externalURL"),
    **dict.fromkeys(
        ("html", "js", "urlquery", "call", "slice", "toTime", "urlQueryEscape", "now"),
        "write the text without it",
    ),
}
"""Functions that Prometheus or Go has in templates, and that are not supported here, with what does instead."""


class TemplateError(Exception):
    """A template cannot be filled in with these values."""


def is_true(value: Any) -> bool:
    """As Go's `if` sees it: everything but false, 0 and what is empty."""
    return bool(value)


def show_value(value: Any) -> str:
    """As Go's `%v`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return show_float(value)
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{value[key]}' for key in sorted(value))}]"
    return str(value)


def _type_of(value: Any) -> str:
    return {bool: "bool", int: "int", float: "float64", str: "string"}.get(type(value), "map[string]string")


def to_float(value: Any) -> float:
    """A number, or a text that is one; raises TemplateError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            if "_" not in value and value == value.strip():
                return float(value)
        except ValueError:
            pass
        raise TemplateError(f'strconv.ParseFloat: parsing "{value}": invalid syntax')
    raise TemplateError(f"can't convert {_type_of(value)} to float")


def _of_number(function: Callable[[float], str]) -> Callable[..., str]:
    def called(*arguments: Any) -> str:
        value = to_float(_only(arguments))
        try:
            return function(value)
        except ValueError as error:
            raise TemplateError(str(error)) from None

    return called


def _of_text(function: Callable[[str], str]) -> Callable[..., str]:
    return lambda *arguments: function(_text(_only(arguments)))


def _only(arguments: tuple[Any, ...], count: int = 1) -> Any:
    if len(arguments) != count:
        raise TemplateError(f"wrong number of args: want {count} got {len(arguments)}")
    return arguments[0]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"wrong type for value; expected string; got {_type_of(value)}")
    return value


def _title(text: str) -> str:
    """The first letter of each word as a capital; the others stay."""
    return re.sub(r"(?:(?<=[^\w'])|^)\w", lambda found: found[0].upper(), text)


def _split_port(text: str) -> tuple[str, str] | None:
    """Host and port; None where it does not name a port."""
    found = _HOST_PORT.fullmatch(text)
    return None if found is None else (found[1] if found[1] is not None else found[2], found[3])


def _strip_port(text: str) -> str:
    split = _split_port(text)
    return text if split is None else split[0]


def _strip_domain(text: str) -> str:
    """The first part of a host's name, with the port that stood there; an address stays."""
    host, port = _split_port(text) or (text, "")
    if ":" in host or re.fullmatch(r"\d+(?:\.\d+){3}", host):
        return text
    first = host.split(".")[0]
    return f"{first}:{port}" if port else first


def _parse_duration(*arguments: Any) -> float:
    text = _text(_only(arguments))
    seconds = read_duration(text)
    if seconds is None:
        raise TemplateError(f'not a valid duration string: "{text}"')
    return seconds


def _match(*arguments: Any) -> bool:
    _only(arguments, 2)
    return _pattern(_text(arguments[0])).is_in(_text(arguments[1]))


def _replace_all(*arguments: Any) -> str:
    _only(arguments, 3)
    pattern, replacement, text = map(_text, arguments)
    return _pattern(pattern).replace(text, lambda groups: expand(replacement, groups))


def _pattern(written: str) -> Anywhere:
    try:
        return Anywhere(written)
    except ValueError as error:
        raise TemplateError(str(error)) from None


def _equals(*arguments: Any) -> bool:
    if len(arguments) < 2:
        raise TemplateError("missing argument for comparison")
    first, *others = arguments
    return any(_pair(first, other)[0] == other for other in others)


def _compare(holds: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def compared(*arguments: Any) -> bool:
        _only(arguments, 2)
        left, right = _pair(*arguments)
        if isinstance(left, (bool, dict)):
            raise TemplateError("invalid type for comparison")
        return holds(left, right)

    return compared


def _pair(left: Any, right: Any) -> tuple[Any, Any]:
    """Go compares only what is of one type: $value with 5.0, not with 5."""
    if type(left) is not type(right):
        raise TemplateError(f"incompatible types for comparison: {_type_of(left)} and {_type_of(right)}; write 5.0 to compare with $value")
    return left, right


def _and(*arguments: Any) -> Any:
    return next((argument for argument in arguments if not is_true(argument)), arguments[-1] if arguments else None)


def _or(*arguments: Any) -> Any:
    return next((argument for argument in arguments if is_true(argument)), arguments[-1] if arguments else None)


def _index(*arguments: Any) -> Any:
    value, *keys = arguments
    for key in keys:
        if not isinstance(value, dict):
            raise TemplateError(f"can't index item of type {_type_of(value)}")
        value = value.get(_text(key), "")
    return value


def _length(*arguments: Any) -> int:
    value = _only(arguments)
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict):
        return len(value)
    raise TemplateError(f"len of type {_type_of(value)}")


def _print_formatted(*arguments: Any) -> str:
    if not arguments:
        raise TemplateError("wrong number of args for printf: want at least 1 got 0")
    form, values = _text(arguments[0]), list(arguments[1:])

    def fill(found: "re.Match[str]") -> str:
        if found[4] == "%":
            return "%"
        return _format(found, values.pop(0)) if values else f"%!{found[4]}(MISSING)"

    filled = _VERB.sub(fill, form)
    extra = ", ".join(f"{_type_of(value)}={show_value(value)}" for value in values)
    return f"{filled}%!(EXTRA {extra})" if extra else filled


WIDEST = 1000


def _format(found: "re.Match[str]", value: Any) -> str:
    flags, width, precision, verb = found.groups()
    if max(int(width or 0), int(precision or 0)) > WIDEST:
        raise TemplateError(f"printf: a width or precision of at most {WIDEST} is possible")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if verb in "feEgG" and isinstance(value, float):
        said = _format_float(value, flags, precision, verb)
    elif verb in "dxX" and is_number and not isinstance(value, float):
        said = f"%{'+' if '+' in flags else ''}{verb}" % value
    elif verb == "s" and isinstance(value, str):
        said = value if precision is None else value[: int(precision or 0)]
    elif verb == "q" and isinstance(value, str):
        said = '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    elif verb == "t" and isinstance(value, bool):
        said = show_value(value)
    elif verb == "v":
        said = _format_float(value, flags, precision, "g") if isinstance(value, float) and precision is not None else show_value(value)
    else:
        return f"%!{verb}({_type_of(value)}={show_value(value)})"
    if "-" in flags:
        return said.ljust(int(width or 0))
    if "0" in flags and is_number and math.isfinite(value):
        sign = said[:1] if said[:1] in ("-", "+") else ""
        return sign + said[len(sign) :].rjust(int(width or 0) - len(sign), "0")
    return said.rjust(int(width or 0))


def _format_float(value: float, flags: str, precision: str | None, verb: str) -> str:
    if not math.isfinite(value):
        return "+NaN" if value != value and "+" in flags else show_float(value)
    if verb in "gG" and precision is None:
        return ("+" if "+" in flags and value >= 0 else "") + show_float(value)
    return f"%{'+' if '+' in flags else ''}.{int(precision or 0) if precision is not None else 6}{verb}" % value


# Go computes gt as "not le", and ge as "not lt": both are true of NaN.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": _and,
    "eq": _equals,
    "ge": _compare(lambda left, right: not left < right),
    "gt": _compare(lambda left, right: not left <= right),
    "humanize": _of_number(humanize),
    "humanize1024": _of_number(humanize_1024),
    "humanizeDuration": _of_number(humanize_duration),
    "humanizePercentage": _of_number(humanize_percentage),
    "humanizeTimestamp": _of_number(humanize_timestamp),
    "index": _index,
    "le": _compare(lambda left, right: left <= right),
    "len": _length,
    "lt": _compare(lambda left, right: left < right),
    "match": _match,
    "ne": lambda *arguments: not _equals(*arguments[:2]),
    "not": lambda *arguments: not is_true(_only(arguments)),
    "or": _or,
    "parseDuration": _parse_duration,
    "print": lambda *arguments: "".join(map(show_value, arguments)),
    "printf": _print_formatted,
    "println": lambda *arguments: " ".join(map(show_value, arguments)) + "\n",
    "reReplaceAll": _replace_all,
    "stripDomain": _of_text(_strip_domain),
    "stripPort": _of_text(_strip_port),
    "title": _of_text(_title),
    "toLower": _of_text(str.lower),
    "toUpper": _of_text(str.upper),
}
