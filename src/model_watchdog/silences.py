"""Silences and acknowledgements in words, for `status` and `silence --list`. Imports little."""

from model_watchdog.language import one_line, phrase
from model_watchdog.moments import tell_moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def show_silence(silence: "dict[str, Any]", now: float) -> str:
    """`3: chatglm until 14:30 (new weights)`."""
    names = ", ".join(phrase("everything") if name == "*" else name for name in silence["services"])
    template = "{id}: {services} until {moment} ({reason})"
    return one_line(phrase(template, id=silence["id"], services=names, moment=tell_moment(silence["until"], now), reason=silence["reason"]))


def show_telling(telling: "dict[str, Any]", now: float) -> "list[tuple[str, str]]":
    """The line of `status` for each, with its heading; nothing where nothing is silenced or acknowledged."""
    lines = []
    silences = [show_silence(silence, now) for silence in telling.get("silences", ()) if silence["until"] > now]
    if silences:
        lines.append((phrase("SILENCED"), phrase("; ").join(silences)))
    acks = [phrase("incident {id} by uid {uid}", id=ack["incident"], uid=ack["uid"]) for ack in telling.get("acks", ())]
    if acks:
        lines.append((phrase("TAKEN ON"), phrase("; ").join(acks)))
    return lines
