"""The record as a document, as a verdict with an exit code, and as lines for people. Reads only; imports little."""

import fcntl
import os
import time

from model_watchdog.client import NotAllowed, NotRunning, ask
from model_watchdog.errors import WatchdogError
from model_watchdog.language import one_line, phrase
from model_watchdog.moments import tell_moment
from model_watchdog.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Doc = dict[str, Any]

SCHEMA = 1
OK, WARNING, CRITICAL, NOT_RUNNING = 0, 1, 2, 3
WORDS = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL", NOT_RUNNING: "UNKNOWN"}
ANSWER_WITHIN = 1.0
UNWRITABLE = "record_unwritable"
_LEVELS = {
    "healthy": OK,
    "busy": OK,
    "loading": OK,
    "sleeping": OK,
    "stopped": OK,
    "degraded": WARNING,
    "unknown": WARNING,
    "unhealthy": CRITICAL,
    "stalled": CRITICAL,
    "dead": CRITICAL,
}
_WARNING_CAUSES = ("stopped_not_proved", "start_timeout")
_DOING = {
    "preflight": "looking again before it is restarted",
    "evidence": "keeping the evidence",
    "stopping": "stopping the old process",
    "starting": "starting a new process",
}


def collect(state_dir: str, runtime_dir: str) -> "tuple[Doc, Doc]":
    """The document of `status --json`, from the record and from a look at the daemon, and what only the table shows.

    That is `progress`, by service how far its restart has got, `sent`, by notifier how many messages it was told today, and `telling`,
    what is silenced and acknowledged; and the daemon's `language`, None where it is not known.
    Raises `WatchdogError` where a daemon runs without a record that can be read.
    """
    said, unread = ask_daemon(runtime_dir), ""
    running = said is not None
    now = time.time()
    try:
        with Record.open(state_dir) as record:
            daemon: Doc = record.daemon() or {}
            services, host, alerts = record.services(), record.host(), record.alerts()
            incidents, notifications, updated_at = record.incidents(), record.notifications(), record.updated_at()
            telling = record.telling()
            if said == {}:  # it cannot be asked: the record tells whether it has ended, or is silent for long
                is_old = _find_old(updated_at, now, daemon.get("longest_every", 30.0), state_dir)
                running = record.setting("running") != "" and not is_old
            sent = record.sent(time.mktime((*time.localtime(now)[:3], 0, 0, 0, 0, 0, -1)))
    except WatchdogError as error:
        if running and _is_forbidden(state_dir):
            raise
        unread = str(error)
        daemon, services, host, alerts, incidents, notifications, updated_at = {}, [], [], [], [], {"queued": 0, "undeliverable": 0}, None
        sent, telling = {}, {"silences": [], "acks": []}
    problems = list(daemon.get("problems", []))
    progress = {service["name"]: service.pop("progress", {}) for service in services}
    for service in services:
        problems += service.pop("problems", [])
    problems += [problem for problem in (said or {}).get("problems", []) if problem not in problems]
    if (running or _is_there(state_dir)) and not any(problem["cause"] == UNWRITABLE for problem in problems):
        if unread:
            problems.append({"cause": UNWRITABLE, "service": None, "reason": unread, "remedy": f"ls -l {state_dir} && df -h {state_dir}"})
        elif running:
            problems += _find_old(updated_at, now, daemon.get("longest_every", 30.0), state_dir)
    doc: Doc = {
        "schema": SCHEMA,
        "generated_at": rfc3339(now),
        "daemon": {
            "running": running,
            "pid": daemon.get("pid") if running else None,
            "version": daemon.get("version"),
            "started_at": daemon.get("started_at"),
            "mode": daemon.get("mode", "active"),
            "config": daemon.get("config"),
            "config_error": (said or daemon).get("config_error"),
            "problems": problems,
        },
        "services": services,
        "host": {"metrics": host},
        "alerts": [alert for alert in alerts if alert["state"] == "firing"],
        "incidents": [
            {"id": row["id"], "service": row["service"] or None, "opened_at": rfc3339(row["opened_at"]), "reason": row["reason"]}
            for row in incidents
        ],
        "notifications": notifications,
    }
    return _clean(doc), _clean({"progress": progress, "sent": sent, "telling": telling, "language": daemon.get("language")})


def _clean(part: "Any") -> "Any":
    """A part of the document with every text in it made safe for a terminal: services, logs and whoever owns the record wrote them."""
    if isinstance(part, str):
        return part if part.isprintable() else one_line(part)
    if isinstance(part, dict):
        return {_clean(name): _clean(value) for name, value in part.items()}
    return [*map(_clean, part)] if isinstance(part, list) else part


def _is_forbidden(state_dir: str) -> bool:
    """This user may not read the record, which says nothing of the daemon. It is not opened: it may be a pipe, which would hold us up."""
    path = f"{state_dir}/watchdog.db"
    try:
        os.stat(path)
    except OSError as error:
        return isinstance(error, PermissionError)
    return not os.access(path, os.R_OK)


def _is_there(state_dir: str) -> bool:
    """There is a record, though perhaps one that cannot be read."""
    return os.path.lexists(f"{state_dir}/watchdog.db")


def is_running(runtime_dir: str) -> bool:
    """A daemon holds the lock, and answers."""
    return ask_daemon(runtime_dir) is not None


def ask_daemon(runtime_dir: str) -> "Doc | None":
    """What a daemon that holds the lock says of itself, which a full disk would keep from the record.

    None where there is none; {} where this user cannot ask: the record's age will tell. Who may not look at the lock asks at once.
    """
    try:
        descriptor = os.open(f"{runtime_dir}/lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except PermissionError:
        descriptor = -1
    except OSError:
        return None
    if descriptor >= 0:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)
    try:
        return ask(runtime_dir, {"command": "ping"}, ANSWER_WITHIN)
    except NotRunning:
        return None
    except NotAllowed:
        return {}


def select(doc: "Doc", name: str) -> None:
    """Leaves one service in the document."""
    doc["services"] = [service for service in doc["services"] if service["name"] == name]
    doc["daemon"]["problems"] = [problem for problem in doc["daemon"]["problems"] if problem["service"] in (name, None)]
    for part in ("alerts", "incidents"):
        doc[part] = [entry for entry in doc[part] if entry["service"] in (name, None)]


def judge(doc: "Doc") -> "tuple[int, str]":
    """The exit code, and the summary behind its word."""
    if not doc["daemon"]["running"]:
        start = "sudo systemctl start model-watchdog   ·   "
        start += phrase("if that fails: {commands}", commands="journalctl -u model-watchdog -n 20, watchdog check")
        return NOT_RUNNING, phrase("the daemon is not running, or does not answer; what is shown is old; {start}", start=start)
    worst, notes = OK, []
    paused = {service["name"] for service in doc["services"] if service["paused_until"]}
    unproved = {service["name"] for service in doc["services"] if service["cause"] == "stopped_not_proved"}
    counts: dict[str, int] = {}
    for service in doc["services"]:
        level = OK if service["name"] in paused else level_of(service)
        worst = max(worst, level)
        word = show_state(service)
        if level == OK:
            counts[word] = counts.get(word, 0) + 1
        else:
            given_up = service["recovery"]["phase"] == "gave_up"
            reason = phrase("gave up; {reason}", reason=service["reason"]) if given_up else service["reason"]
            notes.append((level, phrase("{service} {state} ({reason})", service=service["name"], state=word, reason=reason)))
    for alert in doc["alerts"]:
        if alert["severity"] == "info" or alert["service"] in paused:
            continue
        level = CRITICAL if alert["severity"] == "critical" and alert["service"] not in unproved else WARNING
        worst = max(worst, level)
        if not any(alert["service"] and note.startswith(f"{alert['service']} ") for _, note in notes):
            template = "{rule} fires for {service}" if alert["service"] else "{rule} fires"
            notes.append((level, phrase(template, rule=alert["name"], service=alert["service"])))
    daemon = doc["daemon"]
    notes += [(WARNING, text) for text, _ in _show_problems(daemon["problems"])]
    if daemon["config_error"]:
        notes.append((WARNING, phrase("configuration rejected: {reason}", reason=daemon["config_error"])))
    if daemon["mode"] == "dry-run":
        notes.append((WARNING, phrase("dry run: nothing is restarted")))
    worst = max([worst, *(level for level, _ in notes)])
    told = [note for _, note in sorted(notes, key=lambda note: -note[0])]
    told += [phrase("{count} {state}", count=count, state=word) for word, count in sorted(counts.items())]
    return worst, phrase("; ").join(told) or phrase("no services")


def level_of(service: "Doc") -> int:
    """OK, WARNING or CRITICAL for one service that is not paused."""
    if service["recovery"]["phase"] == "gave_up" and service["state"] != "stopped":
        return CRITICAL
    level = _LEVELS.get(service["state"], WARNING)
    return max(level, WARNING) if service["cause"] in _WARNING_CAUSES and level == OK else level


def show_state(service: "Doc") -> str:
    """The state in one word for people: while a recovery runs, what it does."""
    if service["paused_until"] and service["state"] != "healthy":
        return phrase("paused, {state}", state=phrase(service["state"]))
    return phrase(_find_word(service))


def find_tone(service: "Doc") -> str:
    """What its state is to be shown as: `critical`, `paused`, `restarting`, `verifying`, or a state's own word."""
    word = _find_word(service)
    return "critical" if level_of(service) == CRITICAL and word not in ("restarting", "verifying", "paused") else word


def _find_word(service: "Doc") -> str:
    phase = service["recovery"]["phase"]
    if service["paused_until"]:
        return "paused"
    if phase in _DOING:
        return "restarting"
    return "verifying" if phase in ("verifying", "holding") else str(service["state"])


def rfc3339(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def parse_rfc3339(text: str) -> float:
    """Unix seconds."""
    import calendar

    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def ago(text: "str | None", now: float) -> str:
    """How long ago, in the largest unit that says enough."""
    if not text:
        return ""
    seconds = max(0, int(now - parse_rfc3339(text)))
    if seconds < 60:
        return phrase("{seconds} s", seconds=seconds)
    if seconds < 3600:
        return phrase("{minutes} min", minutes=seconds // 60)
    if seconds < 86400:
        hours, minutes = seconds // 3600, seconds % 3600 // 60
        return phrase("{hours} h {minutes} min" if minutes else "{hours} h", hours=hours, minutes=minutes)
    days = seconds // 86400
    return phrase("{days} days" if days > 1 else "1 day", days=days)


def rows(doc: "Doc", progress: "dict[str, Doc]", now: float) -> "list[tuple[str, str, str, str]]":
    """Service, state, since, reason; a second row where there is more to say."""
    opened = {incident["service"]: incident["opened_at"] for incident in doc["incidents"]}
    table = []
    for service in doc["services"]:
        word = show_state(service)
        shown = word.upper() if find_tone(service) == "critical" else word
        made = progress.get(service["name"], {})
        reason = made.get("why") or ("" if service["state"] == "healthy" else service["reason"])
        is_given_up = service["recovery"]["phase"] == "gave_up"  # a trial passes through other states; for people it is down since it broke
        since = opened.get(service["name"], service["since"]) if is_given_up else service["since"]
        said = [text for text in (reason, _say_more(service, made, now)) if text]
        table.append((service["name"], shown, ago(since, now), said[0] if said else ""))
        table += [("", "", "", more) for more in said[1:]]
    return table


def footer(doc: "Doc", sent: "dict[str, int]", now: float) -> "list[tuple[str, str]]":
    """The lines below the table, each with its heading; those that have nothing to say are left out."""
    lines = []
    host = {metric["metric"]: metric["value"] for metric in doc["host"]["metrics"] if not metric["labels"]}
    disks = [(m["labels"].get("mount"), f"{m['value']:.0f}") for m in doc["host"]["metrics"] if m["metric"] == "host_disk_percent"]
    parts = [phrase("cpu {percent} %", percent=f"{host['host_cpu_percent']:.0f}")] if "host_cpu_percent" in host else []
    parts += [phrase("memory {percent} %", percent=f"{host['host_memory_percent']:.0f}")] if "host_memory_percent" in host else []
    parts += [phrase("disk {mount} {percent} %", mount=mount, percent=percent) for mount, percent in disks]
    parts += [phrase("load {load}", load=f"{host['host_load1']:.1f}")] if "host_load1" in host else []
    if parts:
        lines.append((phrase("HOST"), "   ".join(parts)))
    lines += _show_gpus(doc, now)
    services = {service["name"]: service for service in doc["services"]}
    alerts = [alert for alert in doc["alerts"] if not _is_in_its_row(alert, services.get(alert["service"]))]
    if alerts:
        lines.append((phrase("ALERTS"), " · ".join(_show_alert(alert, now) for alert in sorted(alerts, key=_by_severity))))
    if doc["daemon"]["config_error"]:
        rejected = phrase("rejected, the one before stays in force: {reason}", reason=doc["daemon"]["config_error"])
        lines.append((phrase("CONFIG"), f"{rejected}   →   watchdog check"))
    lines += [(phrase("PROBLEM"), f"{text}   →   {remedy}") for text, remedy in _show_problems(doc["daemon"]["problems"])]
    notifications = doc["notifications"]
    if sent or notifications["queued"] or notifications["undeliverable"]:
        counts = [phrase("{count} sent to {notifier}", count=count, notifier=notifier) for notifier, count in sent.items()]
        told = phrase("{told} today · {count} waiting", told=", ".join(counts) or phrase("none sent"), count=notifications["queued"])
        lost = phrase(" · {count} undeliverable", count=notifications["undeliverable"]) if notifications["undeliverable"] else ""
        lines.append((phrase("MESSAGES"), told + lost))
    return lines


def _show_gpus(doc: "Doc", now: float) -> "list[tuple[str, str]]":
    """A line for each GPU, not for the parts of a divided one, with what is wrong with it."""
    gpus: dict[str, dict[str, float]] = {}
    for metric in doc["host"]["metrics"]:
        if metric["metric"].startswith("gpu_") and ":" not in (number := metric["labels"].get("gpu", ":")):
            gpus.setdefault(number, {})[metric["metric"]] = metric["value"]
    lines = []
    for number in sorted(gpus, key=lambda number: (len(number), number)):
        values = gpus[number]
        parts = [f"{values['gpu_utilization_percent']:.0f} %"] if "gpu_utilization_percent" in values else []
        if "gpu_memory_used_bytes" in values and "gpu_memory_total_bytes" in values:
            used, total = (f"{values[f'gpu_memory_{word}_bytes'] / 2**30:.1f}" for word in ("used", "total"))
            parts.append(phrase("{used} of {total} GiB", used=used, total=total))
        parts += [f"{values['gpu_temperature_celsius']:.0f} \u00b0C"] if "gpu_temperature_celsius" in values else []
        parts += [f"{values['gpu_power_watts']:.0f} W"] if "gpu_power_watts" in values else []
        parts += [phrase("lost")] if values.get("gpu_up") == 0 else []
        fires = [alert for alert in doc["alerts"] if alert["service"] is None and alert["labels"].get("gpu") == number]
        parts += [f"! {alert['name']} ({ago(alert['since'], now)})" for alert in sorted(fires, key=_by_severity)]
        lines.append((f"GPU {number}", "   ".join(parts)))
    return lines


def _show_problems(problems: "list[Doc]") -> "list[tuple[str, str]]":
    """Each with its remedy; the services that may not be restarted are one problem, with one remedy."""
    denied = [problem for problem in problems if problem["cause"] == "not_permitted"]
    names = ", ".join(problem["service"] for problem in denied)
    shown = [(phrase("may not restart {services}", services=names), denied[0]["remedy"])] if denied else []
    for problem in problems:
        if problem not in denied:
            template = "{service}: {reason}" if problem["service"] else "{reason}"
            shown.append((phrase(template, service=problem["service"], reason=problem["reason"]), problem["remedy"]))
    return shown


def _is_in_its_row(alert: "Doc", service: "Doc | None") -> bool:
    """The row of its service says the same already."""
    if service is None or service["state"] == "healthy":
        return False
    return alert["name"] in ("unhealthy", "down") or alert["reason"] == service["reason"]


def _by_severity(alert: "Doc") -> int:
    return ("critical", "warning", "info").index(alert["severity"])


def _show_alert(alert: "Doc", now: float) -> str:
    """`critical whisper down (1 h 8 min)`, `warning gpu-hot GPU 1 (2 min)`: what it is about, not its numbers."""
    labels = {name: value for name, value in alert["labels"].items() if name not in ("service", "uuid")}
    about = [f"GPU {value}" if name == "gpu" else value for name, value in labels.items()]
    named = " ".join([phrase(alert["severity"]), *filter(None, [alert["service"]]), alert["name"], *about])
    return phrase("{alert} ({duration})", alert=named, duration=ago(alert["since"], now))


def _say_more(service: "Doc", progress: "Doc", now: float) -> str:
    recovery, breaker = service["recovery"], service["breaker"]
    if recovery["phase"] == "holding" and progress.get("good_since"):
        held = max(0, int(now - parse_rfc3339(progress["good_since"])))
        return phrase("verifying: good for {held} s of {stable} s", held=held, stable=f"{progress['stable_seconds']:g}")
    if recovery["phase"] == "verifying":
        return phrase("verifying: {reason}", reason=service["reason"])
    if recovery["phase"] in _DOING:
        return phrase(_DOING[recovery["phase"]])
    if breaker["state"] == "half_open" and recovery["phase"] != "gave_up":
        lost = phrase("may be restarted once: what was known of earlier restarts is lost")
        return "" if service["state"] == "healthy" else lost
    if breaker["state"] != "closed":
        trial = tell_moment(parse_rfc3339(breaker["retry_at"]), now) if breaker["retry_at"] else phrase("soon")
        failed = progress.get("failed")
        text = phrase("gave up after {count} failed restarts" if failed else "gave up", count=failed)
        return text + phrase("; next trial {moment} · after mending: watchdog reset {service}", moment=trial, service=service["name"])
    if service["paused_until"]:
        return phrase("paused until {moment}", moment=tell_moment(parse_rfc3339(service["paused_until"]), now))
    return ""


def _find_old(updated_at: "float | None", now: float, longest_every: float, state_dir: str) -> "list[Doc]":
    """The problem of a record that has not been written for long, or nothing."""
    if updated_at is not None and now - updated_at <= 3 * longest_every + 15:
        return []
    if updated_at:
        reason = phrase("the record is {seconds} s old although the daemon answers", seconds=int(now - updated_at))
    else:
        reason = phrase("nothing is in the record although the daemon answers")
    return [{"cause": UNWRITABLE, "service": None, "reason": reason, "remedy": f"df -h {state_dir}"}]
