"""Text from outside, made safe to be shown."""

import re

_CONTROL = re.compile(
    r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # sequences that a terminal obeys
    r"|[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"  # controls, and what turns text around
)
LONGEST = 300


def clean(text: str, longest: int = LONGEST) -> str:
    """Text from outside, made safe for a terminal, a message and the journal: one line, no control characters, not too long."""
    text = " ".join(strip_controls(text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def strip_controls(text: str) -> str:
    """The text without what a terminal obeys; its spacing stays."""
    return _CONTROL.sub("", text)
