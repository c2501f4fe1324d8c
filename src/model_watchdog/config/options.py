"""From nodes to values by type hints: a dataclass's fields are its options in the YAML.

Every fault is added with its place and reading goes on; a value that cannot be had is MISSING, so that one fault is
told once. What comes from outside the file (variables, files, credentials) never appears in a text.
"""

import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from model_watchdog.config import values
from model_watchdog.config.document import Entry, Items, Node, Scalar, Table
from model_watchdog.config.faults import Faults, Place, quote, suggest
from model_watchdog.config.masking import MASK, mask_urls
from model_watchdog.config.sources import Filled, FilledUrl, Resolved, Sources
from model_watchdog.config.values import Wrong
from model_watchdog.config.vocabulary import BELONGS, LATER_KEYS
from model_watchdog.core.units import Bytes, Number, Seconds, Secret, Url

MISSING: Final = object()
"""Stands for a value that cannot be had; the reason has been told."""

_SCALARS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    Seconds: ("a duration such as 500ms, 10s, 5m, 2h or 7d", values.read_seconds),
    Bytes: ("a size such as 512MiB or 20GB", values.read_bytes),
    Number: ("a number such as 80, 0.5, 50ms, 20GB or 90%", values.read_number),
    int: ("a whole number such as 3", values.read_int),
    float: ("a number such as 3 or 0.5", values.read_float),
    bool: ("true or false", values.read_bool),
    str: ("a text", str),
    Secret: ("a text, file:/path or credential:NAME", Secret),
    Url: ("an address such as http://127.0.0.1:8000/health", Url),
    Path: ("the path of a file, from the root", Path),
}


@dataclass(frozen=True, slots=True)
class Option:
    """One key of a mapping and the dataclass field it fills."""

    name: str
    field: str
    hint: Any
    required: bool


_known: dict[type[Any], tuple[Option, ...]] = {}


def list_options(cls: type[Any]) -> tuple[Option, ...]:
    """The options of a dataclass; `for_` is written `for`."""
    if cls not in _known:
        hints = get_type_hints(cls)
        _known[cls] = tuple(
            Option(field.name.rstrip("_"), field.name, hints[field.name], field.default is field.default_factory is NO_DEFAULT)
            for field in fields(cls)
            if field.init
        )
    return _known[cls]


class Options:
    """Reads values. Without `sources` a `${` is an ordinary text (as in rules); `strict` makes what is not set a fault."""

    def __init__(self, faults: Faults, sources: Sources | None, strict: bool = False) -> None:
        self.faults = faults
        self.gaps = 0  # values so far that could not be had
        self._sources = sources
        self._strict = strict
        self._outside: list[str] = []  # texts that no fault may hold

    def read(self, node: Node, hint: Any, path: str) -> Any:
        """The value of a node as `hint` wants it, or MISSING."""
        inner, optional = split_optional(hint)
        if optional and isinstance(node, Scalar) and node.is_null:
            return None
        origin = get_origin(inner)
        if inner is Any:
            return self._read_anything(node, path)
        if origin in (list, tuple, Sequence):
            return self._read_items(node, inner, path)
        if origin in (dict, Mapping):
            return self._read_mapping(node, get_args(inner)[1], path)
        if hasattr(inner, "parse"):
            return self._read_parsed(node, inner, path)
        if is_dataclass(inner) and isinstance(inner, type):
            return self._read_dataclass(node, inner, path)
        return self._read_scalar(node, inner, path)

    def read_table(self, node: Node, path: str) -> Table | None:
        """A mapping; an empty value counts as an empty one."""
        if isinstance(node, Scalar) and node.is_null:
            return Table({}, node.place)
        if isinstance(node, Table):
            return node
        said = f", not {quote(node.text)}" if isinstance(node, Scalar) else ", not a list"
        self.refuse(node.place, path, f"expected keys with values{said}")
        return None

    def build(self, cls: type[Any], entries: Mapping[str, Entry], path: str, place: Place, since: int | None = None) -> Any | None:
        """An instance of a dataclass, or None. `place` is where its own faults are told, unless there were others (since `gaps`)."""
        given: dict[str, Any] = {}
        outside, buildable = len(self._outside), True
        gaps = self.gaps if since is None else since
        for option in list_options(cls):
            inside, entry = f"{path}.{option.name}", entries.get(option.name)
            value = self.read(entry.value, option.hint, inside) if entry else MISSING
            if value is not MISSING:
                given[option.field] = value
            elif option.required:
                buildable = False
                if entry is None:
                    self.refuse(place, inside, f"is missing; it takes {describe_hint(option.hint)}")
        if not buildable:
            return None
        try:
            made = cls(**given)
            own_faults = made.faults() if hasattr(made, "faults") else ()
        except ValueError as error:
            made, own_faults = None, (str(error),)
        if self.gaps == gaps:  # otherwise it complains of a value that is not the real one
            for text in own_faults:
                self.refuse(place, path, self._redact(text, outside))
        return made

    def check_keys(self, entries: Mapping[str, Entry], path: str, known: Iterable[str], group: str = "") -> None:
        """Adds a fault for each key that is not in `known`; `group` names the mapping in `vocabulary.LATER_KEYS`."""
        names = list(known)
        later = LATER_KEYS.get(group, {})
        for name, entry in entries.items():
            if name in names:
                continue
            inside = f"{path}.{name}" if path else name
            if name in later:
                what = f" ({later[name]})" if later[name] else ""
                self.refuse(entry.key.place, inside, f"arrives later{what}; this version does not have it")
            elif name in BELONGS.get(group, {}):
                self.refuse(entry.key.place, inside, f"belongs {BELONGS[group][name]}")
            else:
                self.refuse(entry.key.place, inside, f"no such key{suggest(name, names)}")

    def refuse(self, place: Place, path: str, text: str) -> None:
        """Adds a fault."""
        self.gaps += 1
        self.faults.add(place, path, text)

    def _read_items(self, node: Node, hint: Any, path: str) -> Any:
        if not isinstance(node, Items):
            self.refuse(node.place, path, f"expected a list in [ ]{_describe_node(node)}")
            return MISSING
        read = [self.read(item, get_args(hint)[0], f"{path}[{number}]") for number, item in enumerate(node.items)]
        if any(item is MISSING for item in read):
            return MISSING
        return read if get_origin(hint) is list else tuple(read)

    def _read_mapping(self, node: Node, hint: Any, path: str) -> Any:
        if not isinstance(node, Table):
            self.refuse(node.place, path, f"expected keys with values{_describe_node(node)}")
            return MISSING
        read = {name: self.read(entry.value, hint, f"{path}.{name}") for name, entry in node.entries.items()}
        return MISSING if any(value is MISSING for value in read.values()) else read

    def _read_dataclass(self, node: Node, cls: type[Any], path: str) -> Any:
        table = self.read_table(node, path)
        if table is None:
            return MISSING
        self.check_keys(table.entries, path, (option.name for option in list_options(cls)))
        made = self.build(cls, table.entries, path, table.place)
        return MISSING if made is None else made

    def _read_parsed(self, node: Node, cls: Any, path: str) -> Any:
        gaps, outside = self.gaps, len(self._outside)
        plain = self._read_anything(node, path)
        if plain is MISSING or self.gaps != gaps:
            return MISSING
        try:
            return cls.parse(plain)
        except ValueError as error:
            self.refuse(node.place, path, self._redact(str(error), outside))
            return MISSING

    def _read_anything(self, node: Node, path: str) -> Any:
        """What the YAML says: text, number, true, false, null, a list or a mapping of them."""
        if isinstance(node, Items):
            return self._read_items(node, list[Any], path)
        if isinstance(node, Table):
            return self._read_mapping(node, Any, path)
        resolved = self._resolve(node, path)
        if resolved is None or resolved.missing:
            return MISSING
        if resolved.origin:
            return Filled.of(resolved.text, node.text)
        try:
            return values.read_plain(node.text) if node.plain else resolved.text
        except Wrong as wrong:
            self.refuse(node.place, path, f"{quote(node.text)} {wrong}")
            return MISSING

    def _read_scalar(self, node: Node, hint: Any, path: str) -> Any:
        wanted = describe_hint(hint)
        if not isinstance(node, Scalar):
            self.refuse(node.place, path, f"expected {wanted}{_describe_node(node)}")
            return MISSING
        if node.is_null:
            self.refuse(node.place, path, f"is empty; it takes {wanted}")
            return MISSING
        resolved = self._resolve(node, path, hint)
        if resolved is None:
            return MISSING
        if resolved.missing:
            return _PLACEHOLDERS[hint](node.text) if hint in _PLACEHOLDERS else MISSING
        try:
            return _convert(node, resolved, hint)
        except Wrong as wrong:
            self.refuse(node.place, path, _explain(wrong, resolved, hint))
            return MISSING

    def _resolve(self, node: Scalar, path: str, hint: Any = str) -> Resolved | None:
        """The text with what it refers to. None where that is a fault; `missing` is told here."""
        if self._sources is None:
            return Resolved(node.text)
        try:
            resolved = (self._sources.resolve_secret if hint in (Secret, Url) else self._sources.resolve)(node.text)
        except Wrong as wrong:
            self.refuse(node.place, path, str(wrong))
            return None
        if resolved.missing:
            self.gaps += 1
            tell = self.faults.add if self._strict else self.faults.warn
            tell(node.place, path, resolved.missing)
        elif resolved.origin or hint is Secret:
            self._outside.append(resolved.text)
        return resolved

    def _redact(self, text: str, since: int) -> str:
        """A text of a kind, without what was read from outside since then, and without passwords in addresses."""
        for outside in sorted(filter(None, self._outside[since:]), key=len, reverse=True):
            edge = r"\b" if len(outside) < 4 and outside.isalnum() else ""  # or a value of one letter would tear the words apart
            text = re.sub(f"{edge}{re.escape(outside)}{edge}", MASK, text)
        return mask_urls(text)


_PLACEHOLDERS: dict[Any, Callable[[str], Any]] = {
    Secret: lambda written: Secret(MASK),
    str: lambda written: Filled.of(written, written),
    Url: lambda written: FilledUrl.of(written, written),
}
"""What stands for a value that is not set here, where something may."""


def describe_hint(hint: Any) -> str:
    """What a value of this type looks like, for a fault."""
    inner, _ = split_optional(hint)
    origin = get_origin(inner)
    if inner in _SCALARS:
        return _SCALARS[inner][0]
    if choices := list_choices(inner):
        return f"one of {', '.join(choices)}"
    if origin in (list, tuple, Sequence):
        return "a list in [ ]"
    return "keys with values" if origin in (dict, Mapping) or is_dataclass(inner) else "a value"


def _convert(node: Scalar, resolved: Resolved, hint: Any) -> Any:
    """Text to value. Raises `Wrong`."""
    text, literal = resolved.text, not resolved.origin
    if choices := list_choices(hint):
        if text not in choices:
            raise Wrong("is not known here", suggest(text, choices))
        return hint(text) if isinstance(hint, type) else text
    if hint in (int, float, bool) and literal and not node.plain:
        raise Wrong("is a text because of its quotes; take them away")
    if hint in (str, Secret, Path) and literal and node.plain:
        values.check_plain_text(text)
    if hint is Secret and not text:
        raise Wrong("is empty")
    if hint is Path and not text.startswith("/"):
        raise Wrong("is not a path from the root")
    if hint is Url:
        values.check_url(text)
    if hint in (str, Url) and not literal:
        return (Filled if hint is str else FilledUrl).of(text, node.text)
    return _SCALARS[hint][1](text)


def _explain(wrong: Wrong, resolved: Resolved, hint: Any) -> str:
    if resolved.origin:
        return f"the value of {resolved.origin} {wrong.reason}"
    if hint is Secret or (hint is Url and re.search("[@?]", resolved.text)):
        return f"the value {wrong.reason}"
    return f"{quote(resolved.text)} {wrong.reason}{wrong.hint}"


def _describe_node(node: Node) -> str:
    if isinstance(node, Scalar):
        return f", not {quote(node.text)}" if node.text else ""
    return ", not a list" if isinstance(node, Items) else ", not keys with values"


def split_optional(hint: Any) -> tuple[Any, bool]:
    """`X | None` to X and True."""
    if get_origin(hint) in (Union, types.UnionType):
        rest = [part for part in get_args(hint) if part is not types.NoneType]
        assert len(rest) == 1, f"{hint} is more than X | None; give it a class with parse()"
        return rest[0], True
    return hint, False


def list_choices(hint: Any) -> tuple[str, ...]:
    """The words that a value of this type may be; empty where it is none of a few words."""
    if get_origin(hint) is Literal:
        return tuple(str(choice) for choice in get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return tuple(str(member.value) for member in hint)
    return ()
