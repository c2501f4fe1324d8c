"""A rule's own message: a text with `{value}`, `{service}` or a label in it. Nothing else is replaced, and nothing evaluated."""

import re
from collections.abc import Mapping

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def list_names(template: str) -> list[str]:
    """What it wants to be replaced. Raises ValueError where a brace is no part of that; `{{` and `}}` are braces themselves."""
    names = []
    for part in _PART.finditer(template):
        if part.group() in ("{{", "}}"):
            continue
        if part[1] is None or not _NAME.fullmatch(part[1]):
            raise ValueError(f'"{part.group()}" stands for nothing; write {{value}}, {{service}} or a label, and {{{{ for a brace itself')
        names.append(part[1])
    return names


def fill(template: str, values: Mapping[str, str]) -> str:
    """The text with each name replaced; by nothing where there is no such value."""
    return _PART.sub(lambda part: part.group()[0] if part[1] is None else values.get(part[1], ""), template)
