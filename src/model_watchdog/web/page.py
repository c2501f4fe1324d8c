"""The page and an incident's story as HTML. Every word in it that is not ours is escaped; what changes is drawn by `static/app.js`."""

import html
from datetime import datetime
from typing import Any

from model_watchdog.core.decision import State
from model_watchdog.language import Speaking, phrase, spoken
from model_watchdog.web.live import dump
from model_watchdog.wording import clean, tell_event

Doc = dict[str, Any]

BESIDE = 600.0
"""Seconds before and after an incident that are drawn, at least."""
MAIN_METRICS = (
    "probe_duration_seconds",
    "probe_success",
    "unit_active",
    "service_stalled_seconds",
    "service_gpu_memory_bytes",
)
"""What of a service is drawn around its incident, most telling first."""


def list_texts() -> dict[str, str]:
    """What the script says, in the language that is spoken."""
    return {
        "running": phrase("the daemon runs"),
        "dead_daemon": phrase("the daemon is not running: what is shown is old"),
        "dry_run": phrase("dry run: nothing is restarted"),
        "lost": phrase("the connection is lost; trying again"),
        "live": phrase("live"),
        "no_services": phrase("no services"),
        "none": phrase("none"),
        "no_data": phrase("nothing was measured in this time"),
        "time": phrase("time"),
        "mean": phrase("mean"),
        "least": phrase("least"),
        "most": phrase("most"),
        "fires": phrase("fires at"),
        "expected": phrase("expected range"),
        "anomaly": phrase("an alert fired"),
        "restart": phrase("restart"),
        "incident": phrase("incident"),
        "open": phrase("open"),
        "over": phrase("over"),
        "samples": phrase("{count} samples", count="{count}"),
        "gave_up": phrase("gave up"),
        "paused": phrase("paused"),
        "restarting": phrase("restarting"),
        "verifying": phrase("verifying"),
        "zone": phrase("all times are {zone}", zone="{zone}"),
        "kind_up": phrase("healthy"),
        "kind_busy": phrase("busy"),
        "kind_degraded": phrase("degraded"),
        "kind_loading": phrase("loading"),
        "kind_down": phrase("down"),
        "kind_paused": phrase("paused"),
        "kind_stopped": phrase("stopped on purpose"),
        "kind_sleeping": phrase("sleeping"),
        "kind_unknown": phrase("unknown"),
        "kind_not_watched": phrase("not watched"),
        "mark_restart_started": phrase("restart"),
        "mark_recovered": phrase("recovered"),
        "mark_restart_failed": phrase("the restart failed"),
        "mark_gave_up": phrase("gave up"),
        **{f"state_{state.value}": phrase(state.value) for state in State},
    }


def write_page(doc: Doc, language: str, oldest: float | None = None) -> str:
    """The page, with how things stand in it, so that it is drawn at once; `oldest`: the first thing known (unix seconds)."""
    with Speaking(language):
        main = f"""
<section aria-labelledby="h-services"><h2 id="h-services">{_say("Services")}</h2>
<div class="wide"><table class="stack"><thead><tr><th scope="col">{_say("Service")}</th><th scope="col">{_say("State")}</th>
<th scope="col">{_say("Since")}</th><th scope="col">{_say("Reason")}</th></tr></thead><tbody id="services"></tbody></table></div>
<ul id="problems" class="problems"></ul></section>
<section aria-labelledby="h-alerts"><h2 id="h-alerts">{_say("Alerts")}</h2><ul id="alerts"></ul></section>
<section aria-labelledby="h-host"><h2 id="h-host">{_say("Host and GPUs")}</h2><div id="host" class="tiles"></div>
<div class="wide"><table id="gpus" hidden><thead><tr><th scope="col">GPU</th><th scope="col">{_say("Use")}</th>
<th scope="col">{_say("Memory")}</th><th scope="col">{_say("Temperature")}</th><th scope="col">{_say("Power")}</th></tr></thead>
<tbody id="gpu-rows"></tbody></table></div></section>
<p class="choose"><label for="span">{_say("Time shown")}</label> <select id="span">
<option value="5m">{_say("5 minutes")}</option>
<option value="15m">{_say("15 minutes")}</option>
<option value="1h">{_say("1 hour")}</option><option value="24h" selected>{_say("24 hours")}</option>
<option value="7d">{_say("7 days")}</option><option value="30d">{_say("30 days")}</option></select></p>
<section aria-labelledby="h-timeline"><h2 id="h-timeline">{_say("Timeline")}</h2>
<div id="timeline" role="group" aria-labelledby="h-timeline"></div>
<details><summary>{_say("As a list")}</summary>
<ol id="marks" class="marks" tabindex="0" aria-label="{_say("Timeline")}"></ol></details></section>
<section aria-labelledby="h-trend"><h2 id="h-trend">{_say("Trend and distribution")}</h2>
<p class="choose"><label for="series">{_say("Series")}</label> <select id="series"></select></p>
<div id="chart" role="img" aria-labelledby="chart-text"></div><p id="chart-text" class="quiet"></p>
<div class="two"><div class="wide"><table><thead><tr>
<th scope="col">{_say("Share below")}</th><th scope="col">{_say("Value")}</th></tr></thead>
<tbody id="quantiles"></tbody></table></div><div id="bars" role="img" aria-label="{_say("Distribution")}"></div></div></section>
<section aria-labelledby="h-incidents"><h2 id="h-incidents">{_say("Incidents of the last 30 days")}</h2>
<ul id="incidents"></ul></section>"""
        return _frame(main, {"status": doc, "oldest": oldest})


def write_incident(story: Doc, language: str, now: float) -> str:
    """An incident as a story, with its services' main series around it."""
    with Speaking(language):
        names = ", ".join(phrase("the host") if name is None else name for name in story["services"])
        end = _show_time(story["closed_at"]) if story["closed_at"] else _say("no, it goes on")
        facts = [
            (phrase("What"), _isolate(clean(story["reason"]))),
            (phrase("Service"), _isolate(names)),
            (phrase("Since"), _show_time(story["opened_at"])),
            (phrase("Until"), end),
            (phrase("Cost"), _escape(phrase("{minutes} min in which something was wrong", minutes=story["minutes"]))),
        ]
        restarts = [
            _tell_line(row["at"], f"{row['service']}: {clean(row['reason'])}", phrase(row["result"]) if row["result"] else "…")
            for row in story["restarts"]
        ]
        events = [
            _tell_line(row["at"], f"{row['service'] or phrase('the host')}: {clean(tell_event(row['event'], row['reason']))}")
            for row in story["events"]
        ]
        told = [
            _tell_line(row["at"], f"{row['notifier']}: {clean(row['title'])}", _name_message_state(row["state"]))
            for row in story["messages"]
        ]
        parts = [f"<dl>{''.join(f'<dt>{_escape(name)}</dt><dd>{text}</dd>' for name, text in facts)}</dl>"]
        parts.append(f"<section><h2>{_say('Trends around it')}</h2><div id='trends'></div></section>")
        for heading, lines in ((_say("Restarts"), restarts), (_say("What happened"), events), (_say("Messages"), told)):
            listed = "".join(f"<li>{line}</li>" for line in lines[:500]) or f"<li>{_say('none')}</li>"
            parts.append(f"<section><h2>{heading}</h2><ol class='marks' tabindex='0' aria-label='{heading}'>{listed}</ol></section>")
        if story["left"]:
            parts.append(f"<h2>{_say('What is left to do')}</h2><pre>{_escape(chr(10).join(story['left']))}</pre>")
        title = phrase("Incident {id}", id=story["id"])
        main = f"<p><a href='/?lang={language}'>← {_say('Overview')}</a></p><h2>{_escape(title)}</h2>{''.join(parts)}"
        return _frame(main, {"incident": _find_surroundings(story, now)})


def _name_message_state(state: str) -> str:
    names = {
        "queued": phrase("waits to be sent"),
        "held": phrase("held back"),
        "sent": phrase("sent"),
        "dropped": phrase("dropped"),
        "undeliverable": phrase("undeliverable"),
    }
    return names.get(state, state)


def _find_surroundings(story: Doc, now: float) -> Doc:
    """What the script draws: whose series, which, and from when until when (unix seconds)."""
    begin = datetime.fromisoformat(story["opened_at"]).timestamp()
    end = datetime.fromisoformat(story["closed_at"]).timestamp() if story["closed_at"] else now
    beside = max(BESIDE, (end - begin) / 10)
    return {"since": begin - beside, "until": min(end + beside, now), "services": story["services"], "metrics": MAIN_METRICS}


def _show_time(text: str) -> str:
    """RFC 3339 as the commands show a time: this host's zone, until the script says it in the reader's."""
    return f'<time datetime="{_escape(text)}">{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}</time>'


def _tell_line(at: str, text: str, result: str | None = None) -> str:
    return f"{_show_time(at)} {_isolate(text)}" + (f" ({_escape(result)})" if result else "")


def _isolate(text: str) -> str:
    """A text of others: whichever way it runs, it turns nothing around it."""
    return f"<bdi>{_escape(text)}</bdi>"


def _frame(main: str, data: Doc) -> str:
    language = spoken()
    other, its_name = ("zh", "中文") if language == "en" else ("en", "English")
    embedded = "".join(_embed(name, value) for name, value in {**data, "texts": list_texts()}.items())
    here = f"{datetime.now().astimezone():%z}"
    zone = phrase("all times are {zone}", zone=f"UTC{here[:3]}:{here[3:5]}")
    return f"""<!doctype html>
<html lang="{"zh-CN" if language == "zh" else "en"}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>model-watchdog</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/static/uPlot.min.css">
<link rel="stylesheet" href="/static/app.css"><script src="/static/uPlot.iife.min.js" defer></script>
<script src="/static/app.js" defer></script></head><body><a class="skip" href="#main">{_say("To the content")}</a>
<header><h1>model-watchdog</h1><p id="summary" role="status" aria-live="polite"></p>
<p class="quiet"><span id="live"></span> <a href="/report?since=7d&amp;lang={spoken()}" download>{_say("report of 7 days")}</a>
<a href="?lang={other}" lang="{other}" hreflang="{other}">{its_name}</a></p></header>
<main id="main">{main}</main><footer id="zone" class="quiet">{_escape(zone)}</footer>{embedded}</body></html>
"""


def _embed(name: str, value: object) -> str:
    """Data for the script. In it no `<` stands, so nothing in it ends the element."""
    text = dump(value).replace("<", "\\u003c").replace("&", "\\u0026")
    return f'<script type="application/json" id="{name}">{text}</script>\n'


def _say(text: str) -> str:
    return html.escape(phrase(text))


def _escape(text: object) -> str:
    return html.escape(str(text))
