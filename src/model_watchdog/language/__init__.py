"""The language that people are spoken to in: a text is written in English, with {named} blanks, where it is needed, and looked up here.

One language a process. It imports little: `status` waits for it. Sentences that need more than blanks stand in `wording`.
"""

from functools import lru_cache

TYPE_CHECKING = False  # `typing` costs two milliseconds at each start
if TYPE_CHECKING:
    import re

LANGUAGES = ("en", "zh")


NUMBERS = ("seconds", "limit", "code", "count", "pid")
"""Blanks of details that hold a number."""
TEXTS = ("why", "what")
"""Blanks of details that hold a text of ours."""


class _Spoken:
    language = "en"
    phrases: "dict[str, str]" = {}  # noqa: RUF012 (replaced as a whole, never changed)
    details: "dict[str, str]" = {}  # noqa: RUF012
    parts: "dict[str, str]" = {}  # noqa: RUF012


def speak(language: str) -> None:
    """From now on, until it is called again: one of `LANGUAGES`; any other is English."""
    _Spoken.language, _Spoken.phrases, _Spoken.details, _Spoken.parts = "en", {}, {}, {}
    if language == "zh":
        from model_watchdog.language import zh, zh_details  # English has no need of them

        _Spoken.language, _Spoken.phrases, _Spoken.details, _Spoken.parts = language, zh.PHRASES, zh_details.DETAILS, zh_details.PARTS
    _patterns.cache_clear()
    retell.cache_clear()


def spoken() -> str:
    """The language that is spoken: one of `LANGUAGES`."""
    return _Spoken.language


def phrase(template: str, **blanks: object) -> str:
    """The text in the language that is spoken, its {blanks} filled in."""
    return _Spoken.phrases.get(template, template).format(**blanks)


@lru_cache(maxsize=512)
def retell(text: str, *, is_part: bool = False) -> str:
    """What a probe, a recovery, a notifier or the record said in English, in the language that is spoken.

    What comes from somebody else (systemd, a service, a provider) is in no table, and stays as it is. `is_part`: it stood within
    another text.
    """
    for pattern, template in _patterns(is_part):
        if found := pattern.fullmatch(text):
            blanks = found.groupdict()
            return template.format(**{name: retell(said, is_part=True) if name in TEXTS else said for name, said in blanks.items()})
    return text


@lru_cache(maxsize=2)
def _patterns(is_part: bool) -> "list[tuple[re.Pattern[str], str]]":
    """What a text may be, those that say most first."""
    import re

    def read(template: str) -> "re.Pattern[str]":
        parts = re.split(r"\{(\w+)\}", template.replace("{{", "\0").replace("}}", "\1"))
        literal = [re.escape(part.replace("\0", "{").replace("\1", "}")) for part in parts]
        blanks = [rf"(?P<{name}>[\d.e+-]+)" if name in NUMBERS else f"(?P<{name}>.+?)" for name in parts]
        return re.compile("".join(blanks[place] if place % 2 else literal[place] for place in range(len(parts))), re.DOTALL)

    known = _Spoken.parts if is_part else _Spoken.details
    return [(read(told), known[told]) for told in sorted(known, key=lambda told: -len(re.sub(r"\{\w+\}", "", told)))]


def count_cells(text: str) -> int:
    """The columns that a text takes on a terminal: Chinese characters take two."""
    if text.isascii():
        return len(text)
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def pad(text: str, cells: int) -> str:
    """The text, with spaces up to so many columns."""
    return text + " " * (cells - count_cells(text))
