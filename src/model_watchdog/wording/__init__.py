"""Decisions in words for people. The core gives keys and numbers; every sentence stands here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from model_watchdog.core.decision import Cause, Notification, Reason
from model_watchdog.core.rule import Severity
from model_watchdog.moments import tell_moment
from model_watchdog.notifiers import Message
from model_watchdog.wording import en
from model_watchdog.wording.en import duration
from model_watchdog.wording.parts import Params, clean, strip_controls

__all__ = ["MOST_TITLES", "Story", "clean", "compose", "compose_digest", "duration", "remedy", "say", "strip_controls", "tell_event"]


def say(reason: Reason) -> str:
    """One sentence for a person."""
    sentence = en.SENTENCES.get(reason.key)
    if sentence is None:
        return reason.key.replace("_", " ")
    return clean(sentence(_say_inner(reason.params)) if callable(sentence) else sentence)


def _say_inner(params: Params) -> Params:
    """A reason within a reason as its sentence: `why` or `what` is its key, and its params lie beside it."""
    inner = next((name for name in ("why", "what") if name in params), None)
    if inner is None:
        return params
    beside = {name: value for name, value in params.items() if name != inner}
    return {**params, inner: say(Reason(str(params[inner]), beside))}


def tell_event(event: str, reason: str) -> str:
    """An event as one line for people: what happened, where the reason alone does not say it."""
    return "healthy" if event == "healthy" else en.SAID_BEFORE.get(event, "") + reason


def remedy(cause: Cause | None, unit: str | None, service: str | None, notifier: str | None = None) -> str:
    """The command that mends it, or the one that shows more."""
    if notifier is not None:
        return f"mend notifiers.{notifier} in config.yaml   ·   then: watchdog notify-test {notifier}"
    if cause is Cause.CANNOT_ACT and service is not None and unit is None:
        return "watchdog check   ·   is the program of recovery.command there, and may the daemon's user run it?"
    mend = en.REMEDIES.get(cause) if cause else None
    if mend:
        return mend(unit or "UNIT").format(service=service or "SERVICE")
    return f"journalctl -u {unit} -n 50" if unit else "watchdog status"


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
    subject = story.service or "the watchdog"
    about = notification.about
    named = {"rule": "", **notification.params, "subject": subject, "services": en.some(notification.params.get("services", ""))}
    title = en.TITLES[about].format(**named)
    if about in ("alert_fired", "alert_resolved") and story.service is None:
        title = title.removeprefix(f"{subject}: ")  # the host's own: its name stands before it
    if about == "cannot_act" and story.service is None:
        title = "the watchdog cannot do its work"
    what = say(notification.reason)
    lines = [("What", what)]
    if about == "paused":
        until = story.now.timestamp() + float(notification.reason.params["seconds"])
        lines.append(("Until", tell_moment(until, story.now.timestamp())))
    else:
        first = f"   ·   first: {story.first}" if about == "gave_up" and story.first not in ("", what) else ""
        lines.append(("Since", f"{story.since:%Y-%m-%d %H:%M:%S}{first}"))
    if story.tries:
        lines.append(("Done", _tell_tries(story, what)))
    if about == "recovered":
        lines.append(("Result", f"good again {duration(float(notification.params['seconds']))} after the last restart"))
    if story.last_log:
        lines.append(("Last log", clean(story.last_log)))
    if notification.severity is not Severity.INFO and about not in ("alert_resolved", "back", "recovered", "rights_back"):
        after = f"   ·   after mending: watchdog reset {story.service}" if about == "gave_up" else ""
        mend = en.RULE_REMEDIES.get(str(notification.params.get("rule"))) or remedy(notification.cause, story.unit, story.service)
        lines.append(("Next", mend + after))
    width = max(len(name) for name, _ in lines) + 2
    body = "\n".join(f"{name:<{width}}{text}" for name, text in lines)
    return Message(notification.key, notification.severity, f"[{notification.severity}] {story.host}: {title}", body)


MOST_TITLES = 10
"""So many of a flood are named in the one message that stands for it; all are in the record."""


def compose_digest(host: str, messages: Sequence[Message], began: datetime) -> Message:
    """One message for a flood of them, oldest first: how many, how bad, the worst and oldest by their titles."""
    counts = {severity.value: sum(message.severity is severity for message in messages) for severity in Severity}
    worst = max((message.severity for message in messages), key=lambda severity: severity.rank)
    seconds = (datetime.now(began.tzinfo) - began).total_seconds()
    what = say(Reason("digest", {"count": len(messages), "seconds": seconds, **counts}))
    first = sorted(messages, key=lambda message: -message.severity.rank)[:MOST_TITLES]
    titles = [message.title.replace(f" {host}: ", " ", 1) for message in first]
    if len(messages) > len(first):
        titles.append(say(Reason("digest_more", {"count": len(messages) - len(first)})))
    lines = [("What", what), ("Since", f"{began:%Y-%m-%d %H:%M:%S}"), ("Told", titles[0]), *(("", title) for title in titles[1:])]
    lines.append(("Next", "watchdog status   ·   watchdog events --since 1h"))
    body = "\n".join(f"{name:<7}{text}" for name, text in lines)
    title = en.TITLES["digest"].format(count=len(messages))
    return Message(f"digest/{messages[0].key}", worst, f"[{worst}] {host}: {title}", body)


def _tell_tries(story: Story, what: str) -> str:
    """How many, when, and what came of them, where the line above does not say it."""
    times = ", ".join(f"{at:%H:%M:%S}" for at, _, _ in story.tries[-6:])
    count = len(story.tries)
    failed = [detail for _, result, detail in story.tries if result == "failed"]
    text = f"{count} restart{'s' if count != 1 else ''} ({times})"
    if failed:
        text += f", {'all' if len(failed) == count else len(failed)} failed"
        text += f"; last: {failed[-1]}" if failed[-1] != what else ""
    if story.retry_at is not None:
        text += f"; breaker open, next trial {tell_moment(story.retry_at.timestamp(), story.now.timestamp())}"
    return text
