"""The language that people are spoken to in: a text is written in English, with {named} blanks, where it is needed, and looked up here.

One language a process, and another one for a while where somebody asks for it (`Speaking`). It imports little: `status` waits for it.
Sentences that need more than blanks stand in `wording`.
"""

from _thread import _local  # `threading` has it too, and takes a while to import
from functools import lru_cache

TYPE_CHECKING = False  # `typing` costs two milliseconds at each start
if TYPE_CHECKING:
    import re

LANGUAGES = ("en", "zh")


NUMBERS = ("seconds", "limit", "code", "count", "pid")
"""Blanks of details that hold a number."""
TEXTS = ("why", "what", "place")
"""Blanks of details that hold a text of ours."""


Tables = dict[str, dict[str, str]]


class _Spoken:
    language = "en"


class _Here(_local):
    """What is spoken in this thread instead; "" for what the process speaks."""

    language = ""


_here = _Here()


def speak(language: str) -> None:
    """From now on, until it is called again: one of `LANGUAGES`; any other is English."""
    _Spoken.language = language if language in LANGUAGES else "en"


class Speaking:
    """`with Speaking("zh"):` speaks another language meanwhile, in this thread alone; there must be no `await` in between."""

    def __init__(self, language: str) -> None:
        self._language = language if language in LANGUAGES else "en"

    def __enter__(self) -> None:
        self._before, _here.language = _here.language, self._language

    def __exit__(self, *_: object) -> None:
        _here.language = self._before


def spoken() -> str:
    """The language that is spoken: one of `LANGUAGES`."""
    return _here.language or _Spoken.language


@lru_cache(maxsize=len(LANGUAGES))
def _load(language: str) -> Tables:
    """What stands for each English text, by table; nothing for English."""
    if language != "zh":
        return {}
    from model_watchdog.language import (  # no English
        zh,
        zh_details,
        zh_faults,
        zh_promql,
        zh_report,
        zh_rules,
        zh_telling,
        zh_usage,
        zh_web,
    )

    phrases = zh.PHRASES | zh_rules.PHRASES | zh_web.PHRASES | zh_report.PHRASES
    faults = zh_faults.FAULTS | zh_rules.FAULTS | zh_promql.PROMQL | zh_telling.FAULTS | zh_report.FAULTS
    tables = {"phrases": phrases, "details": zh_details.DETAILS, "parts": zh_details.PARTS, "faults": faults}
    return tables | {"usage": faults | zh_usage.USAGE}


def phrase(template: str, **blanks: object) -> str:
    """The text in the language that is spoken, its {blanks} filled in."""
    return _load(spoken()).get("phrases", {}).get(template, template).format(**blanks)


def retell(text: str, table: str = "details") -> str:
    """What was said in English somewhere else, in the language that is spoken.

    `table`: `details` (of a probe, a recovery, a notifier, the record), `parts` of them, `faults` of a configuration, or
    `usage` of a command line. What comes from somebody else (systemd, a service, a provider) is in none, and stays as it is.
    """
    return _retell(text, table, spoken())


@lru_cache(maxsize=512)
def _retell(text: str, table: str, language: str) -> str:
    inner = table if table in ("faults", "usage") else "parts"
    for pattern, template in _patterns(table, language):
        if found := pattern.fullmatch(text):
            blanks = found.groupdict()
            return template.format(**{name: _retell(said, inner, language) if name in TEXTS else said for name, said in blanks.items()})
    return text


@lru_cache(maxsize=8)
def _patterns(table: str, language: str) -> "list[tuple[re.Pattern[str], str]]":
    """What a text may be: what goes on from another one first, and then those that say most."""
    import re
    from string import Formatter

    def read(template: str) -> "re.Pattern[str]":
        shape, seen = "", set[str | None]()
        for literal, blank, _, _ in Formatter().parse(template):
            shape += re.escape(literal)
            if blank in seen:
                shape += f"(?P={blank})"  # the same text twice
            elif blank:
                shape += rf"(?P<{blank}>[\d.e+-]+)" if blank in NUMBERS else f"(?P<{blank}>.+?)"
                seen.add(blank)
        return re.compile(shape, re.DOTALL)

    def rank(template: str) -> tuple[bool, int]:
        return not template.startswith("{why}"), -len(re.sub(r"\{\w+\}", "", template))

    known = _load(language).get(table, {})
    return [(read(told), known[told]) for told in sorted(known, key=rank)]


def one_line(text: str) -> str:
    """Text from outside, made safe for a terminal: one line, no control characters."""
    return " ".join(strip_controls(text).split())


def strip_controls(text: str) -> str:
    """The text without what a terminal obeys, or cannot show; its spacing stays."""
    return text if text.isprintable() else _controls().sub("", text)


@lru_cache(maxsize=1)
def _controls() -> "re.Pattern[str]":
    import re

    return re.compile(
        r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # sequences that a terminal obeys
        r"|[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]"
        r"|[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"  # what turns text around, or hides in it
    )


def count_cells(text: str) -> int:
    """The columns that a text takes on a terminal: Chinese characters take two."""
    if text.isascii():
        return len(text)
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def pad(text: str, cells: int) -> str:
    """The text, with spaces up to so many columns."""
    return text + " " * (cells - count_cells(text))
