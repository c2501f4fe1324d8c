"""From a word in the YAML to a class: kind `http` of `probes` is the class `Http` of `probes/http.py`. Nothing is listed here."""

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

from model_watchdog.config.faults import quote, suggest
from model_watchdog.config.vocabulary import LATER_KINDS


@cache
def list_kinds(folder: str) -> tuple[str, ...]:
    """The kinds of a folder (`probes`, `recoveries`, `notifiers`, `rules`): its files."""
    package = import_module(f"model_watchdog.{folder}")
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")))


@cache
def find_kind(folder: str, word: str) -> type[Any]:
    """The class of a kind; its module is imported now. Raises ValueError that says which kinds there are."""
    if word not in list_kinds(folder):
        if word in LATER_KINDS.get(folder, ()):
            raise ValueError(f"the kind {word} arrives later; this version does not have it")
        raise ValueError(f"there is no kind {quote(word)}{suggest(word, list_kinds(folder))}")
    module = import_module(f"model_watchdog.{folder}.{word}")
    found: type[Any] = getattr(module, "".join(part.capitalize() for part in word.split("_")))
    return found
