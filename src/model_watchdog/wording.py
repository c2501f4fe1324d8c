"""Decisions in words for people. The core gives keys and numbers; every sentence stands here."""

import re
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from model_watchdog.core.decision import Cause, Notification, Param, Reason
from model_watchdog.core.rule import Severity
from model_watchdog.core.unit import for_journalctl, for_systemctl, split_unit
from model_watchdog.moments import tell_moment
from model_watchdog.notifiers import Message

Params = Mapping[str, Param]
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


def duration(seconds: float) -> str:
    """`12 s`, `3 min 10 s`, `2 h 5 min`, `6 days`: the two largest units that matter."""
    seconds = max(0.0, seconds)
    if seconds < 10 and seconds % 1:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 and whole < 600 else "")
    if whole < 86400:
        return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 >= 60 else "")
    days, hours = whole // 86400, whole % 86400 // 3600
    return f"{days} day" + ("s" if days != 1 else "") + (f" {hours} h" if hours and days < 3 else "")


def say(reason: Reason) -> str:
    """One sentence for a person."""
    sentence = _SENTENCES.get(reason.key, reason.key.replace("_", " "))
    return clean(sentence(reason.params) if callable(sentence) else sentence)


_SAID_BEFORE = {
    "trial_started": "trial: started, because ",
    "restart_withdrawn": "restart not made: ",
    "restart_interrupted": "restart not made: ",
    "recovered": "recovered: ",
    "gave_up": "gave up: ",
    "not_restarted": "not restarted: ",
    "alert_fired": "alert: ",
    "breaker_closed": "circuit breaker closed: ",
    **{state: f"{state}: " for state in ("busy", "degraded", "unhealthy", "dead", "sleeping", "unknown", "stalled")},
}


def tell_event(event: str, reason: str) -> str:
    """An event as one line for people: what happened, where the reason alone does not say it."""
    return "healthy" if event == "healthy" else _SAID_BEFORE.get(event, "") + reason


def _number(value: Param) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _signal(params: Params) -> str:
    try:
        return signal.Signals(int(params["signal"])).name
    except ValueError:
        return f"signal {params['signal']}"


def _counted(params: Params) -> str:
    """` (2 of 3)` until as many are bad as it takes, ` 15 times` from then on; with the question whether it is asked at the right place."""
    few = int(params["count"]) <= int(params["of"])
    notes = [f"{params['count']} of {params['of']}"] if few else []
    notes += [_IS_PORT_RIGHT] if params.get("never") else []
    return ("" if few else f" {params['count']} times") + (f" ({'; '.join(notes)})" if notes else "")


_IS_PORT_RIGHT = "has never answered; is the port in the url right?"


def _inner(params: Params, name: str) -> str:
    """The sentence of a reason within a reason: its key is `name`, its params lie beside it."""
    return say(Reason(str(params[name]), {other: value for other, value in params.items() if other != name}))


def _some(names: Param) -> str:
    """At most six of many names."""
    listed = str(names).split(", ")
    return ", ".join(listed) if len(listed) <= 6 else f"{', '.join(listed[:5])} and {len(listed) - 5} more"


def _life(params: Params) -> str:
    return f" (pid {params['pid']}, up {duration(float(params['up']))})" if "pid" in params else ""


def _subject(params: Params) -> str:
    """What the value is of: a series, or what the rule makes of it."""
    series = str(params["series"])
    if "minus" in params:
        series += f" less {params['minus']}"
    return f"the {params['as']} of {series} over {duration(float(params['over']))}" if "as" in params else series


def _of_late(params: Params) -> str:
    return f" ({_number(params['recent'])} on average of late)" if "recent" in params else ""


_SENTENCES: dict[str, str | Callable[[Params], str]] = {
    "healthy": "all probes are good",
    "not_seen": "not looked at yet",
    "end_not_seen": "not running; why is being looked up",
    "silent": lambda p: f"probe {p['probe']} has not answered of late",
    "loading": lambda p: (
        f"loading for {duration(float(p['seconds']))} of at most {duration(float(p['startup']))}"
        if float(p["seconds"]) >= 1
        else f"loading, for at most {duration(float(p['startup']))}"
    ),
    "queued": lambda p: f"its start waits in systemd's queue, for {duration(float(p['seconds']))} (systemctl list-jobs)",
    "queued_too_long": lambda p: f"its start still waits in systemd's queue, for {duration(float(p['seconds']))} (systemctl list-jobs)",
    "loading_too_long": lambda p: f"still starting after {duration(float(p['seconds']))}, expected at most {duration(float(p['startup']))}",
    "busy": lambda p: f"{p['probe']}: {p['detail']}, but {float(p['cores']):.1f} cores are working",
    "busy_gpu": lambda p: f"{p['probe']}: {p['detail']}, but GPU {p['gpus']} is working",
    "busy_both": lambda p: f"{p['probe']}: {p['detail']}, but {float(p['cores']):.1f} cores and GPU {p['gpus']} are working",
    "patience_ended": lambda p: (
        f"{p['probe']} has timed out for longer than {duration(float(p['patience']))} although the service uses its processor"
    ),
    "patience_ended_gpu": lambda p: (
        f"{p['probe']} has timed out for longer than {duration(float(p['patience']))} although GPU {p['gpus']} works"
    ),
    "health_timeout": lambda p: f"{p['probe']} timed out{_counted(p)}" + (", nothing moved" if "still" in p else ""),
    "health_failed": lambda p: f"{p['probe']}: {p['detail']}{_counted(p)}",
    "health_tls": lambda p: f"{p['probe']}: {p['detail']}; a restart cannot mend a certificate",
    "blind": lambda p: f"{p['probe']} cannot be asked: {p['detail']}",
    "systemd_unreachable": lambda p: f"systemd cannot be asked: {p['detail']}",
    "unit_missing": lambda p: f"systemd has no unit {p['unit']} ({p['load']})",
    "masked": "the unit is masked",
    "masked_while_failing": "the unit is failing and masked, so it cannot be restarted",
    "host_stopping": "the host is shutting down",
    "is_stopping": "the unit is being stopped",
    "systemd_restarts": lambda p: f"{_inner(p, 'why')}; systemd is about to restart it by itself (Restart=)",
    "operator_stop": "stopped on purpose: the journal has a stop job that was not ours",
    "stopped_not_proved": lambda p: "not running, and the journal does not prove why" + (f": {p['detail']}" if p["detail"] else ""),
    "dependency_failed": lambda p: f"a unit that it requires failed: {p['dependency'] or 'see its Requires='}",
    "never_started": "the unit was never started since the host came up",
    "ended": lambda p: f"ended by itself with exit {p['status']}{_life(p)}",
    "killed": lambda p: f"main process was killed by {_signal(p)}{_life(p)}",
    "oom_killed": lambda p: f"killed by the kernel: out of memory{_life(p)}",
    "exec_failed": lambda p: (
        f"could not be started: systemd exit {p['status']}" + (" (its program cannot be run)" if p["status"] == 203 else "")
    ),
    "start_limit": "systemd refuses to start it: started too often (start-limit-hit)",
    "unit_result": lambda p: f"the unit failed: {p['result']}",
    "flapping": "health keeps changing between good and bad",
    "flapping_under_systemd": "systemd has restarted it 3 times or more in 5 minutes; the watchdog adds none",
    "new_invocation": lambda p: "a new process runs" + (f" (pid {p['pid']})" if p["pid"] else "") + f", started by {p['by']}",
    "pause_over": "the pause is over",
    "pause_ended": lambda p: f"the pause was ended by uid {p['uid']}",
    "over": lambda p: f"{p['rule']} is over" + (f": {p['series']} is {_number(p['value'])}" if "series" in p else ""),
    "above": lambda p: f"{_subject(p)} is {_number(p['value'])}, above {_number(p['above'])}",
    "below": lambda p: f"{_subject(p)} is {_number(p['value'])}, below {_number(p['below'])}",
    "equals": lambda p: f"{_subject(p)} is {_number(p['value'])}",
    "outside": lambda p: f"{_subject(p)} is {_number(p['value'])}, outside {_number(p['low'])} to {_number(p['high'])}",
    "absent": lambda p: f"{p['series']} has not arrived for {duration(float(p['value']))}",
    "message": lambda p: str(p["text"]),
    "unlike": lambda p: (
        f"{_subject(p)} is {_number(p['value'])}{_of_late(p)}; "
        f"normal is {_number(p['mean'])} with a usual deviation of {_number(p['usual'])}"
        if "mean" in p
        else f"{p['rule']} is over"
    ),
    "rule_fired": lambda p: f"rule {p['rule']} asks for a restart (value {_number(p['value'])})",
    "restart_started": lambda p: f"restart {p['attempt']} of {p['attempts']}: started, because {_inner(p, 'why')}",
    "restart_failed": lambda p: (
        f"restart {p['attempt']} of {p['attempts']}: failed, {_inner(p, 'what')}"
        if "attempt" in p
        else f"restart failed: {_inner(p, 'what')}"
    ),
    "trial_failed": lambda p: f"trial: failed, {_inner(p, 'what')}; next in {duration(float(p['retry_in']))}",
    "operator_asked": lambda p: f"restart asked for by an operator: {p['text']}",
    "restart_under_way": "a restart is under way already",
    "recovered": lambda p: f"well again after {duration(float(p['seconds']))}, and still good after {duration(float(p['stable']))}",
    "holding": lambda p: f"good again; must stay so for {duration(float(p['stable']))}",
    "not_good_in_time": lambda p: (
        f"{p['probe']} was not good within {duration(float(p['startup']))}: {p['detail']}"
        + (f" ({_IS_PORT_RIGHT})" if p.get("never") else "")
    ),
    "start_timeout": lambda p: f"not up within {duration(float(p['startup']))}",
    "call_failed": lambda p: str(p["detail"]),
    "not_restarted": "systemctl reported success, but the same process still runs",
    "ended_again": "it ended again while it was being watched",
    "old_process_left": lambda p: f"processes of the old service cannot be ended (pid {p['pids']}); the host needs a reboot",
    "backoff": lambda p: f"waiting {duration(float(p['seconds']))} before the next restart",
    "open": lambda p: f"the circuit breaker is open; next trial in {duration(float(p['seconds']))}",
    "too_many": lambda p: f"{p['restarts']} restarts within {duration(float(p['per']))} did not help",
    "gave_up": lambda p: f"circuit breaker open for {duration(float(p['seconds']))}",
    "back_by_another_hand": "well again without a restart by the watchdog",
    "dry_run": "would be restarted, but this is a dry run",
    "inhibited": lambda p: f"rule {p['rule']} forbids restarts while it fires",
    "paused": lambda p: f"paused for another {duration(float(p['seconds']))}",
    "pause_set": lambda p: f"paused for {duration(float(p['seconds']))} by uid {p['uid']}: {p['text']}",
    "not_permitted": lambda p: f"systemd denies the right to restart {_some(p['unit'])}",
    "rights_back": lambda p: f"the right to restart {_some(p['unit'])} is proved",
    "cannot_act_yet": lambda p: f"the watchdog cannot act; next try in {duration(float(p['seconds']))}",
    "cannot_act": lambda p: f"the watchdog cannot act: {p['detail']}",
    "not_needed": "it had recovered or been restarted before the restart was made",
    "stop_job": "a stop of the unit is queued",
    "interrupted": "the watchdog was stopped before the restart was made",
    "breaker_reset": lambda p: f"uid {p['uid']} closed the circuit breaker",
    "record_unwritable": lambda p: str(p["detail"]),
    "clock_stepped": lambda p: (
        f"the wall clock was stepped by {duration(abs(float(p['seconds'])))} {'forward' if float(p['seconds']) > 0 else 'back'}"
    ),
    "held_up": lambda p: f"the watchdog was away for {duration(float(p['seconds']))}: stopped, or without the processor",
    "host_slept": lambda p: f"the host slept for {duration(float(p['seconds']))}",
    "common_cause": lambda p: f"{p['services']} services fail together; restarts wait {duration(float(p['seconds']))}",
    "one_at_a_time": lambda p: f"{p['services']} services fail together, and are restarted one at a time; now {p['other']}",
    "fail_together": lambda p: f"{p['services']} services fail together: {p['names']}; they are restarted later, one at a time",
    "just_back": lambda p: f"the watchdog was away; it looks for another {duration(float(p['seconds']))} before it restarts anything",
    "daemon_started": lambda p: f"model-watchdog {p['version']} watches {p['services']} service{'' if p['services'] == 1 else 's'}",
    "daemon_stopped": "model-watchdog was stopped",
    "daemon_died": "the run before was not stopped: it was killed, crashed, or hung until systemd ended it (journalctl -u model-watchdog)",
    "told": lambda p: f"{p['notifier']} was told: {p['title']}",
    "not_told": lambda p: f"{p['notifier']} could not be told yet: {p['detail']}",
    "undeliverable": lambda p: f"{p['notifier']} could not be told within a day: {p['title']} ({p['detail']})",
    "would_tell": lambda p: f"{p['notifier']} would be told: {p['title']}",
    "gpu_driver_silent": "the GPU driver does not answer, so nothing is known of the GPUs; no service is restarted for that",
    "gpu_driver_crashes": "the GPU driver's library crashes whenever it is asked (3 times in a row); nothing is known of the GPUs",
    "gpu_driver_gone": lambda p: f"GPUs were seen before, but now: {p['detail']}",
    "gpu_xid": lambda p: f"the GPU driver reported Xid {p['xid']} for GPU {p['gpu']} ({p['uuid']}); NVIDIA's Xid catalogue says what it is",
    "disk_missing": lambda p: f"{p['mount']} cannot be measured: {p['detail']}",
    "disk_silent": lambda p: f"{p['mount']} does not answer: its server is gone, or hangs",
    "note": lambda p: str(p["text"]),
    "notifier_misconfigured": lambda p: f"notifier {p['notifier']} is misconfigured: the provider refuses its credentials ({p['detail']})",
    "digest": lambda p: f"{p['count']} messages within {duration(float(p['seconds']))}: {_count_severities(p)}",
    "digest_more": lambda p: f"and {p['count']} more",
    "gpu_memory_held": lambda p: f"processes that have ended hold {float(p['value']) / 2**30:.1f} GiB of the memory of GPU {p['gpu']}",
}


def _count_severities(params: Params) -> str:
    return ", ".join(f"{params[word]} {word}" for word in ("critical", "warning", "info") if params[word])


_REMEDIES: dict[Cause, Callable[[str], str]] = {
    Cause.NOT_PERMITTED: lambda unit: "sudo watchdog install   ·   it is noticed within 5 minutes",
    Cause.MASKED: lambda unit: f"sudo systemctl unmask {for_systemctl(unit)}",
    Cause.UNIT_MISSING: lambda unit: f"systemctl status {for_systemctl(unit)}   ·   mend the name in config.yaml, then: watchdog check",
    Cause.CANNOT_ACT: lambda unit: "systemctl status dbus polkit   ·   journalctl -u model-watchdog -n 50",
    Cause.OLD_PROCESS_LEFT: lambda unit: "reboot the host; a process that cannot be killed holds the service's memory",
    Cause.RECORD_UNWRITABLE: lambda unit: "df -h /var/lib/model-watchdog   ·   ls -ld /var/lib/model-watchdog",
    Cause.STOPPED_NOT_PROVED: lambda unit: (
        f"journalctl {for_journalctl(unit)} -n 20   ·   if that is empty for the daemon: sudo usermod -aG systemd-journal model-watchdog"
    ),
    Cause.HEALTH_TLS: lambda unit: "renew the certificate, or state ca_file in config.yaml",
    Cause.DEPENDENCY_FAILED: lambda unit: f"systemctl list-dependencies {for_systemctl(unit)}",
}

_RULE_REMEDIES = {
    "gpu-lost": "journalctl -k -g NVRM -n 20   ·   a lost GPU needs a reset (nvidia-smi --gpu-reset) or a reboot of the host",
    "gpu-driver": "timeout 10 nvidia-smi   ·   journalctl -k -g NVRM -n 20",
    "gpu-memory-held": "timeout 10 nvidia-smi --query-compute-apps=pid,used_memory --format=csv   ·   nvidia-smi --gpu-reset, or a reboot",
}
"""By the built-in rule that fires, where its cause does not say it."""


def remedy(cause: Cause | None, unit: str | None, service: str | None, notifier: str | None = None) -> str:
    """The command that mends it, or the one that shows more."""
    if notifier is not None:
        return f"mend notifiers.{notifier} in config.yaml   ·   then: watchdog notify-test {notifier}"
    if cause is Cause.CANNOT_ACT and service is not None and unit is None:
        return "watchdog check   ·   is the program of recovery.command there, and may the daemon's user run it?"
    user = split_unit(unit or "")[0]
    if user and cause is Cause.CANNOT_ACT:
        return f"sudo loginctl enable-linger {user}   ·   sudo watchdog install"
    mend = _REMEDIES.get(cause) if cause else None
    if mend:
        return mend(unit or "UNIT").format(service=service or "SERVICE")
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


_TITLES = {
    "alert_fired": "{subject}: {rule} fires",
    "alert_resolved": "{subject}: {rule} is over",
    "recovered": "{subject} was restarted and is well again",
    "gave_up": "{subject} is down and could not be restarted",
    "back": "{subject} is well again",
    "cannot_act": "{subject} cannot be restarted by the watchdog",
    "rights_missing": "{services} cannot be restarted by the watchdog",
    "rights_back": "{services} can be restarted by the watchdog again",
    "operator_stop": "{subject} was stopped on purpose",
    "masked": "{subject} is masked",
    "paused": "{subject} is paused",
    "clock_stepped": "the clock was stepped",
    "gpu_xid": "GPU {gpu} reported an error: Xid {xid}",
    "fail_together": "many services fail together",
    "record_replaced": "the record was damaged and has been replaced",
    "test": "a test message from model-watchdog",
    "digest": "{count} messages at once",
}


def compose(notification: Notification, story: Story) -> Message:
    """The message a person gets: what happened, since when, what was done, what to do next."""
    subject = story.service or "the watchdog"
    about = notification.about
    named = {"rule": "", **notification.params, "subject": subject, "services": _some(notification.params.get("services", ""))}
    title = _TITLES[about].format(**named)
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
        mend = _RULE_REMEDIES.get(str(notification.params.get("rule"))) or remedy(notification.cause, story.unit, story.service)
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
    title = _TITLES["digest"].format(count=len(messages))
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
