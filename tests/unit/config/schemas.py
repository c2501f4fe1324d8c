"""What an editor makes of a configuration by its schema: the YAML read as editors read it, and the faults that they mark."""

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from model_watchdog.config.document import Items, Node, Scalar, parse
from model_watchdog.config.faults import Faults
from model_watchdog.config.schema import make_schema
from model_watchdog.config.values import Wrong, read_plain


@cache
def validator() -> Any:
    jsonschema.Draft7Validator.check_schema(make_schema())
    return jsonschema.Draft7Validator(make_schema())


def find_schema_faults(text: str) -> list[str]:
    """`services.a.startup: '30' …`, for each place that is marked."""
    value = _to_plain(parse(text.removeprefix("\ufeff"), Faults(Path("f"))))
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in validator().iter_errors(value)]


def _to_plain(node: Node) -> Any:
    """As YAML 1.2 means it."""
    if isinstance(node, Items):
        return [_to_plain(item) for item in node.items]
    if not isinstance(node, Scalar):
        return {name: _to_plain(entry.value) for name, entry in node.entries.items()}
    try:
        return read_plain(node.text) if node.plain else node.text
    except Wrong:
        return node.text  # `no`, `012`, a date: texts since YAML 1.2
