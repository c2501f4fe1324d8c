"""Decisions in words for people. The core gives keys and numbers; every sentence stands here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from model_watchdog.core.decision import Cause, Notification, Reason
from model_watchdog.core.rule import Severity
from model_watchdog.core.unit import for_journalctl, for_systemctl, split_unit
from model_watchdog.language import count_cells, pad, phrase, retell, spoken, strip_controls
from model_watchdog.moments import tell_moment
from model_watchdog.notifiers import Message
from model_watchdog.wording import en, zh
from model_watchdog.wording.parts import Params, Sentences, clean

if TYPE_CHECKING:
    from model_watchdog.core.account import Remind  # it takes half as long again as all of this, which every command waits for

__all__ = [
    "MOST_TITLES",
    "Story",
    "clean",
    "compose",
    "compose_digest",
    "compose_reminder",
    "compose_report",
    "duration",
    "remedy",
    "say",
    "strip_controls",
    "tell_event",
]


_SENTENCES: dict[str, Sentences] = {"en": en.SENTENCES, "zh": zh.SENTENCES}
_DURATION = {"en": en.duration, "zh": zh.duration}
_SOME = {"en": en.some, "zh": zh.some}
_RETOLD = ("detail", "by", "dependency")
"""Params that hold a text which came from elsewhere, or was made where sentences are not."""


def duration(seconds: float) -> str:
    """`12 s`, `3 min 10 s`, `2 h 5 min`, `6 days`: the two largest units that matter."""
    return _DURATION[spoken()](seconds)


def say(reason: Reason) -> str:
    """One sentence for a person."""
    sentence = _SENTENCES[spoken()].get(reason.key)
    if sentence is None:
        return reason.key.replace("_", " ")
    return clean(sentence(_say_inner(reason)) if callable(sentence) else sentence)


def _say_inner(reason: Reason) -> Params:
    """Its params, with what is a text in them in the language that is spoken.

    A reason within a reason becomes its sentence: `why` or `what` is its key, and its params lie beside it.
    """
    params = dict(reason.params)
    inner = next((name for name in ("why", "what") if name in params), None)
    if inner is not None:
        params[inner] = say(Reason(str(params.pop(inner)), params))
    for name in (*_RETOLD, "text") if reason.key == "note" else _RETOLD:
        if name in params:
            params[name] = retell(str(params[name]))
    return params


def tell_event(event: str, reason: str) -> str:
    """An event as one line for people: what happened, where the reason alone does not say it."""
    return phrase("healthy") if event == "healthy" else phrase(en.SAID_BEFORE.get(event, "{reason}"), reason=reason)


def remedy(cause: Cause | None, unit: str | None, service: str | None, notifier: str | None = None) -> str:
    """The command that mends it, or the one that shows more."""
    if notifier is not None:
        return phrase("mend notifiers.{name} in config.yaml   ·   then: watchdog notify-test {name}", name=notifier)
    if cause is Cause.CANNOT_ACT and service is not None and unit is None:
        return phrase("watchdog check   ·   is the program of recovery.command there, and may the daemon's user run it?")
    user = split_unit(unit or "")[0]
    if user and cause is Cause.CANNOT_ACT:
        return f"sudo loginctl enable-linger {user}   ·   sudo watchdog install"
    if cause in en.REMEDIES:
        return phrase(en.REMEDIES[cause], at=for_systemctl(unit or "UNIT"), journal=for_journalctl(unit or "UNIT"))
    return f"journalctl {for_journalctl(unit)} -n 50" if unit else "watchdog status"


@dataclass(frozen=True, slots=True)
class Story:
    """What surrounds a notification. Times are wall clock; `tries` are this incident's restarts with their results.

    `first` is the reason with which it began, in words.
    """

    host: str
    service: str | None
    unit: str | None
    now: datetime
    since: datetime
    first: str = ""
    tries: Sequence[tuple[datetime, str, str]] = ()
    last_log: str = ""
    retry_at: datetime | None = None


def compose(notification: Notification, story: Story) -> Message:
    """The message a person gets: what happened, since when, what was done, what to do next."""
    about, what = notification.about, say(notification.reason)
    lines = [("What", what)]
    if about == "paused":
        until = story.now.timestamp() + float(notification.reason.params["seconds"])
        lines.append(("Until", tell_moment(until, story.now.timestamp())))
    else:
        first = phrase("   ·   first: {reason}", reason=story.first) if about == "gave_up" and story.first not in ("", what) else ""
        lines.append(("Since", f"{story.since:%Y-%m-%d %H:%M:%S}{first}"))
    if story.tries:
        lines.append(("Done", _tell_tries(story, what)))
    if about == "recovered":
        seconds = float(notification.params["seconds"])
        lines.append(("Result", phrase("good again {duration} after the last restart", duration=duration(seconds))))
    if story.last_log:
        lines.append(("Last log", clean(story.last_log)))
    if notification.severity is not Severity.INFO and about not in ("alert_resolved", "back", "recovered", "rights_back", "not_watched"):
        after = phrase("   ·   after mending: watchdog reset {service}", service=story.service) if about == "gave_up" else ""
        known = en.RULE_REMEDIES.get(str(notification.params.get("rule")))
        lines.append(("Next", (phrase(known) if known else remedy(notification.cause, story.unit, story.service)) + after))
    title = _head(notification.severity, story.host) + _title(notification, story)
    return Message(notification.key, notification.severity, title, _align(lines))


def _title(notification: Notification, story: Story) -> str:
    of_host = f"host_{notification.about}"  # its name stands before it
    template = en.TITLES[of_host if story.service is None and of_host in en.TITLES else notification.about]
    services = _SOME[spoken()](notification.params.get("services", ""))
    named = {"rule": "", **notification.params, "subject": story.service or phrase("the watchdog"), "services": services}
    return phrase(template, **named)


def _head(severity: Severity, host: str) -> str:
    """What stands before every title."""
    return phrase("[{severity}] {host}: ", severity=phrase(severity.value), host=host)


def _without_host(message: Message, host: str) -> str:
    """Its title, where the host is named already; one that was composed in another language stays whole."""
    head = _head(message.severity, host)
    rest = message.title.removeprefix(head)
    return message.title if rest == message.title else f"[{phrase(message.severity.value)}] {rest}"


def _align(lines: Sequence[tuple[str, str]]) -> str:
    """The lines of a message, each behind its heading."""
    headings = [phrase(heading) if heading else "" for heading, _ in lines]
    width = max(map(count_cells, headings)) + 2
    return "\n".join(pad(heading, width) + text for heading, (_, text) in zip(headings, lines, strict=True))


MOST_TITLES = 10
"""So many of a flood are named in the one message that stands for it; all are in the record."""


def compose_digest(host: str, messages: Sequence[Message], began: datetime) -> Message:
    """One message for a flood of them, oldest first: how many, how bad, the worst and oldest by their titles."""
    counts = {severity.value: sum(message.severity is severity for message in messages) for severity in Severity}
    worst = max((message.severity for message in messages), key=lambda severity: severity.rank)
    seconds = (datetime.now(began.tzinfo) - began).total_seconds()
    what = say(Reason("digest", {"count": len(messages), "seconds": seconds, **counts}))
    first = sorted(messages, key=lambda message: -message.severity.rank)[:MOST_TITLES]
    titles = [_without_host(message, host) for message in first]
    if len(messages) > len(first):
        titles.append(say(Reason("digest_more", {"count": len(messages) - len(first)})))
    lines = [("What", what), ("Since", f"{began:%Y-%m-%d %H:%M:%S}"), ("Told", titles[0]), *(("", title) for title in titles[1:])]
    lines.append(("Next", "watchdog status   ·   watchdog events --since 1h"))
    title = _head(worst, host) + phrase(en.TITLES["digest"], count=len(messages))
    return Message(f"digest/{messages[0].key}", worst, title, _align(lines))


def compose_reminder(host: str, remind: "Remind", since: datetime, now: datetime) -> Message:
    """An incident goes on, or nobody has acknowledged it. Both times are wall clock."""
    titles = [_strip_head(title, host) for title in remind.titles]
    key = "not_acknowledged" if remind.is_escalation else "goes_on"
    what = say(Reason(key, {"seconds": (now - since).total_seconds(), "notifier": remind.asked}))
    shown = titles[:MOST_TITLES]
    if len(titles) > len(shown):
        shown.append(say(Reason("digest_more", {"count": len(titles) - len(shown)})))
    lines = [("What", what), ("Since", f"{since:%Y-%m-%d %H:%M:%S}"), ("Told", shown[0]), *(("", title) for title in shown[1:])]
    lines.append(("Next", f"watchdog incident show {remind.incident}   ·   watchdog ack {remind.incident}"))
    title = _head(remind.severity, host) + phrase(en.TITLES[key], title=titles[0])
    return Message(remind.key, remind.severity, title, _align(lines))


def compose_ended(host: str, incident: int) -> Message:
    """That an incident is over, for a machine that was told what of it cannot be told to be over by itself."""
    title = f"{_head(Severity.INFO, host)}{phrase('incident {id} is over', id=incident)}"
    return Message(f"incident/{incident}/over", Severity.INFO, title, "")


def compose_healed(host: str, key: str, stories: Sequence[Mapping[str, Any]], seconds: float) -> Message:
    """What was healed without a person within so many seconds: incidents as `stories.list_incidents` gives them."""
    restarts, minutes = sum(story["restarts"] for story in stories), sum(story["minutes"] for story in stories)
    what = say(Reason("healed", {"count": len(stories), "restarts": restarts, "seconds": minutes * 60, "within": seconds}))
    told = [_tell_healed(story) for story in stories[-MOST_TITLES:]]
    if len(stories) > len(told):
        told.append(say(Reason("digest_more", {"count": len(stories) - len(told)})))
    lines = [("What", what), ("Told", told[0]), *(("", line) for line in told[1:]), ("Next", "watchdog incidents")]
    title = _head(Severity.INFO, host) + phrase(en.TITLES["healed"], count=len(stories))
    return Message(key, Severity.INFO, title, _align(lines))


def compose_report(key: str, text: str, path: str) -> Message:
    """A report, in the language in which it was made: its text, of which the first line is its title, and the file that goes with it."""
    title, _, rest = text.strip("\n").partition("\n")
    return Message(key, Severity.INFO, f"[{phrase('info')}] {title}", f"{rest.strip()}\n\n{path}", attachment=path)


def _tell_healed(story: Mapping[str, Any]) -> str:
    names = ", ".join(name or phrase("the host") for name in story["services"][:3])
    return clean(f"{story['id']}  {names}  {duration(story['minutes'] * 60)}  {story['reason']}")


def _strip_head(title: str, host: str) -> str:
    """A title without its severity and the host, which stand before the whole."""
    return next((title.removeprefix(head) for severity in Severity if title.startswith(head := _head(severity, host))), title)


def _tell_tries(story: Story, what: str) -> str:
    """How many, when, and what came of them, where the line above does not say it."""
    times, count = ", ".join(f"{at:%H:%M:%S}" for at, _, _ in story.tries[-6:]), len(story.tries)
    failed = [detail for _, result, detail in story.tries if result == "failed"]
    text = phrase("1 restart ({times})" if count == 1 else "{count} restarts ({times})", count=count, times=times)
    if failed:
        text += phrase(", all failed" if len(failed) == count else ", {count} failed", count=len(failed))
        text += phrase("; last: {reason}", reason=failed[-1]) if failed[-1] != what else ""
    if story.retry_at is not None:
        moment = tell_moment(story.retry_at.timestamp(), story.now.timestamp())
        text += phrase("; breaker open, next trial {moment}", moment=moment)
    return text
