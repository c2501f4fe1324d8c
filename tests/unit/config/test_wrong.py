"""Wrong configurations and exactly what is said of them. Rows 61, 62, 68 and 75 of the fault catalogue."""

from pathlib import Path

import pytest

from model_watchdog.config.loading import InvalidConfig, load
from model_watchdog.config.telling_section import FOR_PEOPLE
from model_watchdog.config.vocabulary import LATER_KEYS, LATER_KINDS, LATER_METRICS, OWN_METRICS
from tests.unit.config.texts import MINIMAL, Faults, Load

LATER = "arrives later; this version does not have it"


def service(*lines: str) -> str:
    """The minimal service with more lines, the first of which is line 6."""
    return MINIMAL + "".join(f"    {line}\n" for line in lines)


def rule(text: str) -> str:
    """One rule `r` of the minimal service: line 7, column 10 is its brace."""
    return service("rules:", f"  r: {text}")


def probe(text: str) -> str:
    """One probe `p` of a service with a unit: line 4, column 10 is its brace."""
    return f"services:\n  a: {{unit: a, probes: {{\n\n      p: {text}\n  }}}}\n"


def test_the_screen_of_a_bad_file(faults_of: Faults) -> None:
    text = """\
services:
  chatglm:
    unit: chatglm-service.service
    probes:
      health:
        kind: http
        url: http://127.0.0.1:8000/health
        every: 30
    recovery:
      braker: {failures: 3}
host:
  rules:
    swap: {metric: host_swap_percnt, above: 50}
"""
    assert faults_of(text) == [
        'config.yaml:8:16: services.chatglm.probes.health.every: "30" has no unit; did you mean 30s?',
        'config.yaml:10:7: services.chatglm.recovery.braker: no such key; did you mean "breaker"?',
        'config.yaml:13:20: host.rules.swap.metric: no probe gives "host_swap_percnt"; did you mean "host_swap_percent"?',
    ]


def notifier(text: str) -> str:
    """One notifier `n` beside another, and one service: line 3 is its own."""
    return f"services: {{chatglm: {{unit: a}}}}\nnotifiers:\n  n: {{kind: apprise, url: 'json://h', {text}}}\n  m: {{kind: apprise, url: 'json://h'}}\n"


def fleet(text: str) -> str:
    """The same, but `n` is an Alertmanager."""
    return notifier(text).replace("apprise, url: 'json://h'", "alertmanager, url: 'http://h'", 1)


DAY = "day must be one of mon to sun for every: week, and a number from 1 to 31 for every: month"
TELLING = {
    notifier("services: [bert]"): '3:50: notifiers.n.services[0]: no service is like "bert"; there is chatglm, host',
    notifier("quiet: {from: '22:00'}"): "3:46: notifiers.n.quiet.until: is missing; it takes a value",
    notifier("quiet: {from: '25:00', until: '07:00'}"): ('3:53: notifiers.n.quiet.from: a time of day is written in quotes, like "22:00"'),
    notifier("quiet: {from: '22:00', until: '07:00', unless: loud}"): (
        '3:86: notifiers.n.quiet.unless: "loud" is not known here; there is critical, info, warning'
    ),
    notifier("escalate: {after: 15m, to: boss}"): '3:3: notifiers.n.escalate.to: there is no notifier "boss"; there is m',
    notifier("escalate: {after: 15m, to: 'n'}"): "3:3: notifiers.n.escalate.to: is this notifier itself; name another",
    fleet("repeat_every: 10m"): f"3:44: notifiers.n.repeat_every: {FOR_PEOPLE}",
    fleet("escalate: {after: 15m, to: m}"): f"3:44: notifiers.n.escalate: {FOR_PEOPLE}",
    fleet("") + "report: {every: week, to: ['n']}\n": f"5:28: report.to[0]: {FOR_PEOPLE}",
    fleet("") + "digest: {to: ['n'], at: '08:00'}\n": f"5:9: digest.to: {FOR_PEOPLE}",
    fleet("").replace("'json://h'", "'json://h', escalate: {after: 15m, to: 'n'}"): f"4:3: notifiers.m.escalate.to: {FOR_PEOPLE}",
    notifier("repeat_every: 1s"): "3:3: notifiers.n: repeat_every must be at least 10s",
    notifier("group_wait: 1h"): "3:3: notifiers.n: group_wait must be at most 10m",
    "maintenance: 5\n": "1:14: maintenance: expected a list of windows in [ ]",
    "maintenance: [{services: ['*'], reason: r, cron: '0 3 * *', for: 2h}]\n": (
        '1:50: maintenance[0].cron: "0 3 * *" is no cron expression: it has 4 fields, not five'
    ),
    "maintenance: [{services: ['*'], reason: r, cron: '0 3 * * 8', for: 2h}]\n": (
        '1:50: maintenance[0].cron: "0 3 * * 8" is no cron expression: 8 is no day of the week'
    ),
    "maintenance: [{services: ['*'], reason: r, cron: '0 3 * * 1'}]\n": (
        "1:15: maintenance[0]: takes either cron and for, or from and until"
    ),
    "maintenance: [{services: ['*'], reason: r, cron: '0 3 * * 1', for: 1s}]\n": "1:15: maintenance[0]: for must lie between 1m and 7d",
    "maintenance: [{services: ['*'], reason: r, from: '2026-12-24', until: '2026-12-25'}]\n": (
        '1:15: maintenance[0]: from and until are written like "2026-12-24 22:00"'
    ),
    "maintenance: [{services: ['*'], reason: r, from: '2026-12-24 22:00', until: '2026-12-23 22:00'}]\n": (
        "1:15: maintenance[0]: until must lie after from"
    ),
    "digest: {to: [ops], at: '09:00'}\n": '1:9: digest.to: there is no notifier "ops"',
    "digest: {to: [], every: 12h}\n": "1:9: digest: every must be a number of days, such as 1d or 7d",
    "heartbeat: {every: 1m}\n": "1:12: heartbeat.url: is missing; it takes an address such as http://127.0.0.1:8000/health",
    "heartbeat: {url: 'http://h', every: 10ms}\n": "1:12: heartbeat: every must be at least 100ms",
}


@pytest.mark.parametrize(("text", "fault"), TELLING.items(), ids=TELLING.values())
def test_what_is_wrong_about_telling(faults_of: Faults, text: str, fault: str) -> None:
    assert faults_of(text) == [f"config.yaml:{fault}"]


REPORT = {
    "report: {every: week, to: [opps]}\n": '2:28: report.to[0]: there is no notifier "opps"; did you mean "ops"?',
    "report: {every: week, to: []}\n": "2:9: report: to must name at least one notifier",
    "report: {every: day, to: [ops]}\n": '2:17: report.every: "day" is not known here; there is month, week',
    "report: {every: week, to: [ops], day: 1}\n": f"2:9: report: {DAY}",
    "report: {every: month, to: [ops], day: mon}\n": f"2:9: report: {DAY}",
    "report: {every: month, to: [ops], day: 32}\n": "2:40: report.day: a day is written like mon, or as a number from 1 to 31",
    "report: {every: week, to: [ops], day: monday}\n": "2:39: report.day: a day is written like mon, or as a number from 1 to 31",
    "report: {every: week, to: [ops], at: 8}\n": '2:38: report.at: a time of day is written in quotes, like "22:00"',
    "report: {every: week, to: [ops], language: de}\n": '2:44: report.language: "de" is not known here; there is en, zh',
    "report: {to: [ops]}\n": "2:9: report.every: is missing; it takes one of week, month",
    "report: {every: week, to: [ops], form: pdf}\n": "2:34: report.form: no such key; there is at, day, every, language, to",
}
AN_OPS = "notifiers: {ops: {kind: apprise, url: 'json://h'}}\n"


@pytest.mark.parametrize(("text", "fault"), REPORT.items(), ids=REPORT.values())
def test_what_is_wrong_about_the_report(faults_of: Faults, text: str, fault: str) -> None:
    assert faults_of(AN_OPS + text) == [f"config.yaml:{fault}"]


UNKNOWN = {
    "servces: {}\n": '1:1: servces: no such key; did you mean "services"?',
    "xyz: {}\n": (
        "1:1: xyz: no such key; there is defaults, digest, heartbeat, host, include, language, maintenance, notifiers, record, report,"
        " rule_files, services"
    ),
    service("start_up: 5m"): '6:5: services.chatglm.start_up: no such key; did you mean "startup"?',
    service("every: 10s"): "6:5: services.chatglm.every: belongs to a probe; write it there: probes: {NAME: {…}}",
    service("Startup: 5m"): '6:5: services.chatglm.Startup: no such key; did you mean "startup"?',
    probe("{kind: http, url: 'http://h/', retry-every: 1s}"): (
        '4:41: services.a.probes.p.retry-every: no such key; did you mean "retry_every"?'
    ),
    probe("{kind: unit, disks: [/]}"): "4:23: services.a.probes.p.disks: no such key; there is every, kind, retry_every, timeout",
    probe("{kind: htpp}"): '4:17: services.a.probes.p.kind: there is no kind "htpp"; did you mean "http"?',
    probe(
        "{kind: 'no way'}"
    ): '4:17: services.a.probes.p.kind: there is no kind "no way"; there is canary, command, host, http, json, log, nvml,'
    " process, scrape, tcp, unit",
    service("recovery: {kind: systemd}"): '6:22: services.chatglm.recovery.kind: there is no kind "systemd"; did you mean "systemctl"?',
    service("recovery: {command: [/bin/true]}"): (
        "6:16: services.chatglm.recovery.command: no such key; there is backoff, breaker, kind, stable"
    ),
    service("recovery: {backoff: {frist: 1s}}"): '6:26: services.chatglm.recovery.backoff.frist: no such key; did you mean "first"?',
    "notifiers: {a: {kind: aprise, url: x}}\n": '1:23: notifiers.a.kind: there is no kind "aprise"; did you mean "apprise"?',
    "notifiers: {a: {kind: apprise, url: 'json://h', min_severity: warn}}\n": (
        '1:63: notifiers.a.min_severity: "warn" is not known here; did you mean "warning"?'
    ),
    "notifiers: {a: {kind: apprise, adress: 'json://h', url: 'json://h'}}\n": (
        "1:32: notifiers.a.adress: no such key; "
        "there is escalate, group_wait, kind, min_severity, quiet, repeat_every, services, timeout, url"
    ),
    "defaults: {probes: {htpp: {}}}\n": '1:21: defaults.probes.htpp: there is no kind "htpp"; did you mean "http"?',
    "defaults: {probes: {http: {timeuot: 1s}}}\n": '1:28: defaults.probes.http.timeuot: no such key; did you mean "timeout"?',
    "defaults: {recovery: {kind: systemctl}}\n": "1:23: defaults.recovery.kind: no such key; there is backoff, breaker, stable",
    "host: {probe: {}}\n": '1:8: host.probe: no such key; did you mean "probes"?',
    "language: en_US\n": '1:11: language: "en_US" is not spoken here; there is en, zh',
    rule("{metric: probe_success, bellow: 1}"): '7:34: services.chatglm.rules.r.bellow: no such key; did you mean "below"?',
    rule("{metric: probe_success, below: 1, then: reboot}"): (
        '7:50: services.chatglm.rules.r.then: "reboot" is not known here; there is alert, inhibit, restart'
    ),
    rule("{metric: probe_success, sigma: 3, window: 5, direction: up}"): (
        '7:66: services.chatglm.rules.r.direction: "up" is not known here; there is above, below, both'
    ),
}


@pytest.mark.parametrize(("text", "fault"), UNKNOWN.items(), ids=UNKNOWN.values())
def test_fault_61_unknown_words_are_told_with_the_nearest_right_one(faults_of: Faults, text: str, fault: str) -> None:
    assert faults_of(text) == [f"config.yaml:{fault}"]


DURATION = "is not a duration; write it like 500ms, 10s, 5m, 2h or 7d"
TYPES = {
    service("startup: no"): f'6:14: services.chatglm.startup: "no" {DURATION}',
    service("startup: 1:30"): f'6:14: services.chatglm.startup: "1:30" {DURATION}',
    service("startup: 012"): '6:14: services.chatglm.startup: "012" has no unit; did you mean 012s?',
    service("startup: 1e3"): f'6:14: services.chatglm.startup: "1e3" {DURATION}',
    service("startup: .inf"): f'6:14: services.chatglm.startup: ".inf" {DURATION}',
    service("startup: 2020-01-01"): f'6:14: services.chatglm.startup: "2020-01-01" {DURATION}',
    service("startup:"): "6:13: services.chatglm.startup: is empty; it takes a duration such as 500ms, 10s, 5m, 2h or 7d",
    service("startup: [5m]"): ("6:14: services.chatglm.startup: expected a duration such as 500ms, 10s, 5m, 2h or 7d, not a list"),
    service("startup: {m: 5}"): (
        "6:14: services.chatglm.startup: expected a duration such as 500ms, 10s, 5m, 2h or 7d, not keys with values"
    ),
    service("rules: [down]"): "6:12: services.chatglm.rules: expected keys with values, not a list",
    service("recovery: systemctl"): '6:15: services.chatglm.recovery: expected keys with values, not "systemctl"',
    **{
        service(f"recovery: {{breaker: {{failures: {written}}}}}"): (
            f'6:36: services.chatglm.recovery.breaker.failures: "{written}" is not a whole number; write it like 3'
        )
        for written in ("no", "1:30", "012", "1e3", ".inf", "2020-01-01", "3.0", "3s", "many", "1_000", "0x10", "1" * 30)
    },
    service('recovery: {breaker: {failures: "3"}}'): (
        '6:36: services.chatglm.recovery.breaker.failures: "3" is a text because of its quotes; take them away'
    ),
    probe("{kind: http, url: 'http://h/', contains: no}"): (
        '4:51: services.a.probes.p.contains: "no" is true or false to YAML; if a text is meant, put it in quotes: "no"'
    ),
    probe("{kind: http, url: 'http://h/', contains: 012}"): (
        '4:51: services.a.probes.p.contains: "012" is a number to YAML; if a text is meant, put it in quotes: "012"'
    ),
    probe("{kind: http, url: 'http://h/', contains: 2020-01-01}"): (
        '4:51: services.a.probes.p.contains: "2020-01-01" is a date to YAML; if a text is meant, put it in quotes: "2020-01-01"'
    ),
    probe("{kind: http, url: 'http://h/', contains: 1:30}"): (
        '4:51: services.a.probes.p.contains: "1:30" is a number of base 60 to YAML; if a text is meant, put it in quotes: "1:30"'
    ),
    probe("{kind: http, url: 'http://h/', json: {a: 1e3}}"): (
        '4:51: services.a.probes.p.json.a: "1e3" is a number to YAML; if a text is meant, put it in quotes: "1e3"'
    ),
    probe("{kind: http, url: 'http://h/', headers: [a]}"): ("4:50: services.a.probes.p.headers: expected keys with values, not a list"),
    probe("{kind: http, url: 'http://h/', ca_file: ca.pem}"): '4:50: services.a.probes.p.ca_file: "ca.pem" is not a path from the root',
    probe("{kind: http, url: 127.0.0.1}"): '4:28: services.a.probes.p.url: "127.0.0.1" does not begin with http:// or https://',
    "host: {probes: {s: {kind: host, disks: /}}}\n": '1:40: host.probes.s.disks: expected a list in [ ], not "/"',
    "services: [a]\n": "1:11: services: expected keys with values, not a list",
    "services: {a: b}\n": '1:15: services.a: expected keys with values, not "b"',
    **{
        rule(f"{{metric: probe_success, above: {written}}}"): (
            f'7:41: services.chatglm.rules.r.above: "{written}" is not a number; write it like 80, 0.5, 50ms, 20GB or 90%'
        )
        for written in ("no", "1:30", "012", "1e3", ".inf", ".nan", "2020-01-01", "80C")
    },
    rule("{metric: probe_success, below: 1, times: 0}"): "7:51: services.chatglm.rules.r.times: must be at least 1",
    rule("{metric: probe_success, below: 1, for: 5}"): '7:49: services.chatglm.rules.r.for: "5" has no unit; did you mean 5s?',
}


@pytest.mark.parametrize(("text", "fault"), TYPES.items(), ids=TYPES.values())
def test_fault_62_wrong_types_are_refused_with_the_expected_one(faults_of: Faults, text: str, fault: str) -> None:
    assert faults_of(text) == [f"config.yaml:{fault}"]


TIMINGS = {
    probe("{kind: unit, every: 2s, timeout: 3s}"): (
        "4:43: services.a.probes.p.timeout: 3s is longer than every 2s (line 4); timeout must be at most every"
    ),
    probe("{kind: unit, timeout: 11s}"): (
        "4:32: services.a.probes.p.timeout: 11s is longer than every 10s, which is the default; timeout must be at most every"
    ),
    "defaults: {probes: {unit: {timeout: 4s}}}\n" + probe("{kind: unit, every: 2s}"): (
        "5:30: services.a.probes.p.every: 2s is shorter than the timeout 4s of defaults (line 1); timeout must be at most every"
    ),
    "defaults: {probes: {unit: {timeout: 4s, every: 2s}}}\nservices: {a: {unit: a}}\n": (
        "1:37: defaults.probes: 4s is longer than every 2s of services.a.probes.unit; timeout must be at most every"
    ),
    probe("{kind: unit, every: 2s, retry_every: 3s}"): (
        "4:47: services.a.probes.p.retry_every: 3s is slower than every 2s; after a failure it must not run less often"
    ),
    probe("{kind: unit, every: 99ms}"): "4:30: services.a.probes.p.every: must be at least 100ms",
    probe("{kind: unit, retry_every: 0s}"): "4:36: services.a.probes.p.retry_every: must be at least 100ms",
    probe("{kind: unit, timeout: 0s}"): "4:32: services.a.probes.p.timeout: must be at least 1ms",
    service("startup: 0s"): "6:14: services.chatglm.startup: must be at least 100ms",
    service("recovery: {backoff: {first: 10m, max: 1m}}"): (
        "6:16: services.chatglm.recovery.backoff: backoff.max must not be less than backoff.first"
    ),
    service("recovery: {breaker: {failures: 0}}"): "6:16: services.chatglm.recovery.breaker: failures and restarts must be at least 1",
    service("recovery: {breaker: {per: 0s}}"): "6:31: services.chatglm.recovery.breaker.per: must be longer than 0s",
    service("recovery: {breaker: {retry_after: 0s}}"): "6:39: services.chatglm.recovery.breaker.retry_after: must be longer than 0s",
    probe("{kind: http, url: 'http://h/', max_duration: 6s}"): (
        "4:55: services.a.probes.p.max_duration: 6s is longer than the timeout 5s, so it is never reached; it must be at most timeout"
    ),
    "defaults: {probes: {http: {max_duration: 2s}}}\n" + probe("{kind: http, url: 'http://h/', timeout: 1s}"): (
        "1:42: services.a.probes.p.max_duration: 2s is longer than the timeout 1s, so it is never reached; it must be at most timeout"
    ),
    rule("{metric: 'probe_success{probe=\"health\"}', below: 1, for: 4s}"): (
        "7:67: services.chatglm.rules.r.for: 4s is shorter than the time between two samples of the probe health, which runs every 30s "
        "(after a failure every 5s); state times: 2"
    ),
    rule("{metric: unit_tasks, above: 1, for: 1s}"): (
        "7:46: services.chatglm.rules.r.for: 1s is shorter than the time between two samples of the probe unit, which runs every 10s "
        "(after a failure every 5s); state times: 2"
    ),
    rule("{metric: unit_tasks, sigma: 4, max_gap: 10s}"): (
        "7:50: services.chatglm.rules.r.max_gap: 10s is not longer than the time between two samples of the probe unit, "
        "which runs every 10s"
    ),
    "host: {common_cause: {within: 0s}}\n": "1:22: host.common_cause: within must be longer than 0s",
}


FITTING = (
    rule("{metric: probe_duration_seconds, above: 1, for: 5s}"),  # the probe runs every 5s after a failure
    rule("{metric: unit_tasks, above: 1, for: 0s}"),
    rule("{metric: unit_tasks, sigma: 4, max_gap: 11s}"),
    probe("{kind: http, url: 'http://h/', max_duration: 5s}"),
    probe("{kind: unit, every: 2s, timeout: 2s, retry_every: 2s}"),
)


@pytest.mark.parametrize("text", FITTING)
def test_fault_68_timings_that_just_fit_are_taken(load_text: Load, text: str) -> None:
    assert load_text(text).services


@pytest.mark.parametrize(("text", "fault"), TIMINGS.items(), ids=TIMINGS.values())
def test_fault_68_contradictory_timings_are_refused_with_the_rule(faults_of: Faults, text: str, fault: str) -> None:
    assert faults_of(text) == [f"config.yaml:{fault}"]


NO_UNIT = r"is no name of a unit; it takes letters, digits, : _ . \ @ - and does not begin with - or ."
SERVICES = {
    "services: {a: {}}\n": ["1:12: services.a: nothing could restart it; it needs a unit, or a recovery of kind command"],
    "services: {a: }\n": ["1:12: services.a: nothing could restart it; it needs a unit, or a recovery of kind command"],
    "services: {a: {recovery: {kind: systemctl}, probes: {h: {kind: http, url: 'http://h'}}}}\n": [
        "1:33: services.a.recovery.kind: systemctl needs a unit; state unit: beside recovery:"
    ],
    "services: {a: {recovery: {kind: command, command: [/bin/true]}}}\n": [
        "1:12: services.a.probes: is missing; without a unit and without a probe there is nothing to watch"
    ],
    "services: {a: {unit: a, recovery: {kind: command}}}\n": ["1:25: services.a.recovery.command: is missing; it takes a list in [ ]"],
    "services: {a: {unit: a, recovery: {kind: command, command: []}}}\n": [
        "1:25: services.a.recovery: command needs a program: command: [/usr/bin/docker, restart, NAME]"
    ],
    "services: {-a: {unit: a}}\n": ['1:12: services.-a: "-a" is no name; it takes letters and digits, and after the first of them _ . -'],
    "services: {a b: {unit: a}}\n": [
        '1:12: services.a b: "a b" is no name; it takes letters and digits, and after the first of them _ . -'
    ],
    "services: {a: {unit: '-a'}}\n": [f'1:22: services.a.unit: "-a" {NO_UNIT}'],
    "services: {a: {unit: 'a;b'}}\n": [f'1:22: services.a.unit: "a;b" {NO_UNIT}'],
    "services: {a: {unit: '../a'}}\n": [f'1:22: services.a.unit: "../a" {NO_UNIT}'],
    'services: {a: {unit: "a\\n"}}\n': [f'1:22: services.a.unit: "a\\n" {NO_UNIT}'],
    "services: {a: {unit: .service}}\n": [f'1:22: services.a.unit: ".service" {NO_UNIT}'],
    "services: {a: {unit: a.timer}}\n": ['1:22: services.a.unit: "a.timer" is not a service; only units that end in .service are watched'],
    "services: {a: {unit: a@}}\n": ['1:22: services.a.unit: "a@" is a template; name an instance, such as name@1.service'],
    "services: {a: {unit: model-watchdog}}\n": [
        '1:22: services.a.unit: "model-watchdog" is the watchdog\'s own unit, which it cannot restart; systemd does that'
    ],
    "services:\n  a: {unit: x}\n  b: {unit: x.service}\n": ['3:13: services.b.unit: "x.service" is the unit of a already (line 2)'],
    probe("{}"): [
        "4:7: services.a.probes.p.kind: is missing; there is canary, command, host, http, json, log, nvml, process, scrape, tcp, unit"
    ],
    probe("{kind: http}"): ["4:7: services.a.probes.p.url: is missing; it takes an address such as http://127.0.0.1:8000/health"],
    probe("{kind: host}"): ["4:17: services.a.probes.p.kind: the host is no part of a service; put this probe under host:"],
    "services: {a: {unit: a, probes: {unit: {kind: http, url: 'http://h'}}}}\n": [
        "1:34: services.a.probes.unit: this name belongs to the probe of kind unit; choose another"
    ],
    "services: {a: {unit: a, probes: {p: {kind: unit}, q: {kind: unit}}}}\n": [
        "1:51: services.a.probes.q: a unit is asked once; p does that already"
    ],
    "host: {probes: {p: {kind: host}, q: {kind: host, disks: [/]}}}\n": [
        "1:34: host.probes.q: the host is measured once; p does that already"
    ],
    "host: {probes: {g: {kind: nvml}, p: {kind: host}, h: {kind: nvml}, i: {kind: nvml}}}\n": [
        "1:51: host.probes.h: the GPUs of the host are measured once; g does that already",
        "1:68: host.probes.i: the GPUs of the host are measured once; g does that already",
    ],
    "host: {probes: {u: {kind: unit}}}\n": [
        "1:27: host.probes.u.kind: there is no unit here to ask about; put this probe under a service that has one"
    ],
    "host: {probes: {u: {kind: process}}}\n": [
        "1:27: host.probes.u.kind: there is no unit here to ask about; put this probe under a service that has one"
    ],
    "services: {a: {recovery: {kind: command, command: [/bin/true]}, probes: {p: {kind: process}}}}\n": [
        "1:84: services.a.probes.p.kind: there is no unit here to ask about; state unit: beside probes:"
    ],
    probe("{kind: tcp, address: '8001'}"): [
        '4:7: services.a.probes.p: "8001" is not HOST:PORT; write it like 127.0.0.1:8001, localhost:6379 or "[::1]:8001"'
    ],
    probe("{kind: command, command: []}"): [
        "4:7: services.a.probes.p: command needs a program: command: [/usr/local/bin/check-queue, --brief]"
    ],
    probe("{kind: command, command: /bin/true}"): ['4:35: services.a.probes.p.command: expected a list in [ ], not "/bin/true"'],
    probe("{kind: command, command: [/bin/true], metrics: [queue-depth]}"): [
        '4:7: services.a.probes.p: "queue-depth" cannot be the name of a metric; it takes letters, digits, _ and :, '
        "and does not begin with a digit"
    ],
    probe("{kind: command, command: [/bin/true], metrics: [unit_active]}"): [
        '4:7: services.a.probes.p.metrics: "unit_active" is given by the watchdog itself already; choose another name'
    ],
    probe("{kind: command, command: [/bin/true], metrics: [q]},\n      o: {kind: command, command: [/bin/true], metrics: [q]}"): [
        '5:7: services.a.probes.o.metrics: "q" is given by the probe p already; choose another name'
    ],
    "notifiers: {a: {url: 'json://h'}}\n": ["1:13: notifiers.a.kind: is missing; there is alertmanager, apprise"],
    "notifiers: {a: {kind: apprise}}\n": ["1:13: notifiers.a.url: is missing; it takes a text, file:/path or credential:NAME"],
}


@pytest.mark.parametrize(("text", "faults"), SERVICES.items(), ids=SERVICES)
def test_services_that_cannot_be_watched(faults_of: Faults, text: str, faults: list[str]) -> None:
    assert faults_of(text) == [f"config.yaml:{fault}" for fault in faults]


AT = "services.chatglm.rules.r"
RULES = {
    rule("{above: 1}"): f"7:7: {AT}.metric: is missing; it takes the name of a metric, such as probe_success",
    rule("{metric: probe_success}"): f"7:7: {AT}: state one of above, below, equals and outside",
    rule("{metric: probe_success, above: 1, below: 3}"): f"7:7: {AT}: state one of above, below, equals and outside",
    rule(
        "{metric: probe_success, above: 1, clear: 3}"
    ): f"7:7: {AT}: clear must not lie above 1, or the alert would end while it is in breach",
    rule("{metric: probe_success, sigma: 0, window: 3}"): f"7:7: {AT}: sigma must be greater than 0",
    rule("{metric: probe_success, sigma: 3, window: 9, smooth: 3}"): (
        f"7:55: {AT}.smooth: belongs to sigma without window, the adaptive form, and this one states window"
    ),
    rule("{metric: probe_success, above: 3, cooldown: 9}"): (
        f"7:44: {AT}.cooldown: belongs to a rule of the form sigma, and this one is of the form threshold"
    ),
    rule("{metric: probe_success, sigma: 3, newness: maybe}"): (f'7:53: {AT}.newness: "maybe" is not known here; there is off, on'),
    rule("{metric: probe_success, sigma: 3, smooth: 0}"): f"7:7: {AT}: smooth must be between 1 and 10000 samples",
    rule("{metric: probe_success, sigma: 3, levels: 65}"): f"7:7: {AT}: levels must be between 1 and 64",
    rule("{metric: probe_success, sigma: 3, backoff: 0.5}"): (f"7:7: {AT}: backoff must be at least 1, which keeps the cooldown as it is"),
    rule("{metric: probe_success, sigma: 3, max_gap: 0s}"): f"7:7: {AT}: max_gap must be longer than 0s",
    rule("{metric: probe_success, sigma: 3, window: 9, clear: 2}"): (
        f"7:55: {AT}.clear: belongs to a rule of the form threshold, and this one is of the form sigma"
    ),
    rule("{metric: probe_success, above: 3, window: 9}"): (
        f"7:44: {AT}.window: belongs to a rule of the form sigma, and this one is of the form threshold"
    ),
    rule("{metric: probe_success, below: 1, for: 1m, times: 3}"): f"7:53: {AT}: states for and times; state one of them",
    rule("{metric: probe_success, below: 1, then: restart}"): (
        f"7:50: {AT}: then: restart must state for or times, such as times: 3, so that no single bad sample restarts it by accident"
    ),
    rule("{metric: probe_success, outside: [3, 1]}"): f"7:7: {AT}: outside takes two levels, the lower one first, such as [10, 90]",
    rule("{metric: probe_success, outside: [3]}"): f"7:7: {AT}: outside takes two levels, the lower one first, such as [10, 90]",
    rule("{metric: probe_success, equals: 1, clear: 1}"): f"7:7: {AT}: clear goes with above or below",
    rule("{metric: probe_success, absent: 0s}"): f"7:7: {AT}: absent must be longer than 0s",
    rule("{metric: probe_success, absent: 5m, times: 2}"): f"7:46: {AT}.times: does not go with absent: absent states the time itself",
    rule("{metric: probe_success, absent: 5m, minus: x}"): f"7:46: {AT}.minus: does not go with absent: absent looks at no value",
    rule("{metric: probe_success, absent: 5m, above: 2}"): (
        f"7:46: {AT}.above: belongs to a rule of the form threshold, and this one is of the form absent"
    ),
    rule("{metric: probe_success, absent: 5m, then: restart}"): (
        f"7:52: {AT}.then: silence proves nothing: it may be the watchdog that does not see. A rule absent may alert or inhibit"
    ),
    rule("{metric: unit_tasks, sigma: 3.5, times: 3, then: restart}"): (
        f"7:59: {AT}.then: that it is unlike its own past does not prove that it is broken. A rule sigma may alert or inhibit"
    ),
    rule("{metric: unit_tasks, sigma: 3, window: 10, then: restart}"): (
        f"7:59: {AT}.then: that it is unlike its own past does not prove that it is broken. A rule sigma may alert or inhibit"
    ),
    rule("{metric: 'probe_success{probe=\"health\"}', absent: 30s}"): (
        f"7:60: {AT}.absent: 30s is not longer than the time between two samples of the probe health, which runs every 30s"
    ),
    rule("{metric: unit_tasks, above: 1, over: 5m}"): f"7:41: {AT}.over: needs as beside it, such as as: avg",
    rule("{metric: unit_tasks, above: 1, as: avg}"): f"7:41: {AT}.as: needs over beside it, such as over: 5m",
    rule("{metric: unit_tasks, above: 1, over: 5m, as: mean}"): (
        f'7:55: {AT}.as: "mean" is not known here; there is avg, increase, max, min, p95, range, rate'
    ),
    rule("{metric: unit_tasks, above: 1, over: 5m, as: rate}"): (
        f'7:55: {AT}.as: rate is for counters, whose names end in _total; "unit_tasks" can fall as well as rise'
    ),
    rule("{metric: unit_restarts_total, above: 1, over: 5m, as: avg}"): (
        f'7:64: {AT}.as: "unit_restarts_total" only ever grows: state rate or increase'
    ),
    rule("{metric: unit_tasks, above: 1, over: 15s, as: max}"): (
        f"7:47: {AT}.over: 15s is shorter than two samples of the probe unit, which runs every 10s"
    ),
    rule("{metric: unit_tasks, above: 1, over: 7d, as: max}"): (
        f"7:47: {AT}.over: 7d holds more than 4096 samples of the probe unit; 20480s is the most"
    ),
    rule("{metric: unit_tasks, below: 1, times: 2, then: restart, keep_firing_for: 1m}"): (
        f"7:66: {AT}.keep_firing_for: does not go with then: restart: a service that is well again must not count as broken"
    ),
    rule("{metric: unit_tasks, above: 1, message: '{value.real}'}"): (
        f'7:50: {AT}.message: "{{value.real}}" stands for nothing; write {{value}}, {{service}} or a label, and {{{{ for a brace itself'
    ),
    rule("{metric: unit_tasks, above: 1, message: 'of {mount}'}"): (
        f"7:50: {AT}.message: {{mount}} stands for nothing here; there is {{value}}, {{service}}"
    ),
    "host: {rules: {r: {metric: 'host_disk_percent{mount=\"/nosuch\"}', above: 1}}}\n": (
        '1:28: host.rules.r.metric: the fill level of "/nosuch" is not measured; add it to disks: of a probe of kind host; there is /'
    ),
    "host: {rules: {r: {metric: host_disk_percent, above: 1, message: '{service}'}}}\n": (
        "1:66: host.rules.r.message: {service} stands for nothing here; there is {value}, {mount}"
    ),
    "host: {probes: {q: {kind: command, command: [/bin/q], metrics: [q]}}, rules: {r: {metric: q, above: 1, message: '{service}'}}}\n": (
        "1:113: host.rules.r.message: {service} stands for nothing here; there is {value}"
    ),
    "host: {rules: {r: {metric: host_load1, minus: host_load5, above: 1}}}\n": (
        '1:47: host.rules.r.minus: "host_load5" is not measured together with "host_load1"; did you mean "host_load1"?'
    ),
    "host: {rules: {r: {metric: host_disk_percent, minus: 'host_disk_percent{mount!=\"/\"}', above: 1}}}\n": (
        '1:54: host.rules.r.minus: takes exact labels only, such as {kind="slowdown"}'
    ),
    rule("no"): f'7:10: {AT}: "no" is no rule; write its metric and level, or off to take a built-in rule away',
    rule("off"): f"7:7: {AT}: off takes away a built-in rule, and this is none; built in here: unhealthy, down,"
    " stalled, canary-failed, wrong-answers",
    rule("{metric: 'probe_success{probe=health}', below: 1}"): (
        f'7:19: {AT}.metric: "probe=health" is not a label matcher; write label="value"'
    ),
    rule(
        "{metric: 'probe_success{probe=\"${P}\"}', below: 1}"
    ): f'7:19: {AT}.metric: no probe of chatglm has the name "${{P}}"; there is health, unit',
    rule("{metric: 'probe_success{probe=\"helth\"}', below: 1}"): (
        f'7:19: {AT}.metric: no probe of chatglm has the name "helth"; did you mean "health"?'
    ),
    rule("{metric: 'probe_success{probe=~\"x.*\"}', below: 1}"): (
        f'7:19: {AT}.metric: no probe of chatglm has the name "x.*"; there is health, unit'
    ),
    rule("{metric: 'unit_active{probe=\"unit\"}', below: 1}"): (
        f'7:19: {AT}.metric: "unit_active" has no label probe; take probe="unit" out'
    ),
    rule("{metric: 'probe_success{prob=\"health\"}', below: 1}"): (
        f'7:19: {AT}.metric: "probe_success" has no label "prob"; did you mean "probe"?'
    ),
    rule("{metric: 'probe_success{service=\"bert\"}', below: 1}"): (
        f'7:19: {AT}.metric: a rule of chatglm sees only series of chatglm; take service="bert" out'
    ),
    rule("{metric: host_load1, above: 1}"): f'7:19: {AT}.metric: no probe of chatglm gives "host_load1"; a probe of kind host would',
    rule("{metric: unit_restarts_total, above: 1}"): (
        f'7:19: {AT}.metric: "unit_restarts_total" only ever grows: state rate or increase, such as over: 5m, as: rate'
    ),
    rule("{metric: gpu_temp, above: 1}"): (f'7:19: {AT}.metric: no probe gives "gpu_temp"; did you mean "gpu_temperature_celsius"?'),
    rule("{metric: gpu_temperature_celsius, above: 1}"): (
        f'7:19: {AT}.metric: no probe of chatglm gives "gpu_temperature_celsius"; a probe of kind nvml would'
    ),
    "host: {rules: {r: {metric: host_load1, above: 1, times: 1, then: restart}}}\n": (
        "1:66: host.rules.r.then: restart of what? A rule of the host may alert or inhibit"
    ),
    "host: {rules: {down: off}}\n": (
        "1:16: host.rules.down: off takes away a built-in rule, and this is none; built in here: "
        "disk-full, memory-short, gpu-lost, gpu-hot, gpu-memory-held"
    ),
    "host: {rules: {gpu-lots: off}}\n": (
        '1:16: host.rules.gpu-lots: off takes away a built-in rule, and this is none; did you mean "gpu-lost"?'
    ),
    "host: {rules: {memory_short: off}}\n": (
        '1:16: host.rules.memory_short: off takes away a built-in rule, and this is none; did you mean "memory-short"?'
    ),
    "host: {probes: {}, rules: {r: {metric: probe_success, below: 1}}}\n": (
        '1:40: host.rules.r.metric: no probe of the host gives "probe_success"'
    ),
    "host: {rules: {r: {metric: 'host_load1{service=\"a\"}', above: 1}}}\n": (
        '1:28: host.rules.r.metric: a rule of the host sees only series of the host; take service="a" out'
    ),
}


@pytest.mark.parametrize(("text", "fault"), RULES.items(), ids=RULES)
def test_rules_that_could_never_be_right(faults_of: Faults, text: str, fault: str) -> None:
    assert faults_of(text) == [f"config.yaml:{fault}"]


RECORD = {
    "record: {raw: 5m}\n": "1:9: record: raw must lie between 10m and 31d",
    "record: {raw: 60d}\n": "1:9: record: raw must lie between 10m and 31d",
    "record: {minutes: 30m}\n": "1:9: record: minutes must lie between 1h and 366d",
    "record: {hours: 20h}\n": "1:9: record: hours must lie between 1d and 3650d",
    "record: {raw: 24}\n": '1:15: record.raw: "24" has no unit; did you mean 24s?',
    "record: {row: 24h}\n": '1:10: record.row: no such key; did you mean "raw"?',
}


@pytest.mark.parametrize(("text", "fault"), RECORD.items(), ids=RECORD)
def test_what_the_record_keeps(faults_of: Faults, text: str, fault: str) -> None:
    assert faults_of(text) == [f"config.yaml:{fault}"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("user: x\n", "6:5: services.chatglm.user: says in whose manager the unit is, and there is none; state unit: beside it"),
        ("unit: a\n    user: root\n", "7:11: services.chatglm.user: root's units are the system's; take user: out"),
        ("unit: a\n    user: a/b\n", '7:11: services.chatglm.user: "a/b" is no name of a user; it takes letters, digits, _ . -'),
        ("unit: a\n    usr: nobody\n", '7:5: services.chatglm.usr: no such key; did you mean "user"?'),
    ],
)
def test_whose_unit_it_is(faults_of: Faults, text: str, fault: str) -> None:
    start = (
        "services:\n  chatglm:\n    recovery: {kind: command, command: [/bin/true]}\n    probes:\n      h: {kind: tcp, address: h:1}\n    "
    )
    assert faults_of(start + text) == [f"config.yaml:{fault}"]


@pytest.mark.parametrize("key", LATER_KEYS["file"])
def test_later_sections(faults_of: Faults, key: str) -> None:
    assert faults_of(f"{key}: x\n") == [f"config.yaml:1:1: {key}: {LATER}"]


@pytest.mark.parametrize("kind", LATER_KINDS["probes"])
def test_later_probes(faults_of: Faults, kind: str) -> None:
    assert faults_of(probe(f"{{kind: {kind}, path: /x}}")) == [
        f"config.yaml:4:17: services.a.probes.p.kind: the kind {kind} arrives later; this version does not have it"
    ]


def test_a_later_notifier(faults_of: Faults) -> None:
    assert faults_of("notifiers: {a: {kind: journal}}\n") == [
        "config.yaml:1:23: notifiers.a.kind: the kind journal arrives later; this version does not have it",
    ]


@pytest.mark.parametrize("metric", [*OWN_METRICS, *(metric for metrics in LATER_METRICS.values() for metric in metrics)])
def test_later_metrics(faults_of: Faults, metric: str) -> None:
    (fault,) = faults_of(rule(f"{{metric: {metric}, above: 1}}"))
    assert fault.endswith(("arrives later", "arrive later"))
    assert f'"{metric}"' in fault


COMMAND = """\
services:
  a:
    unit: a
    probes: {queue: {kind: command, command: [/bin/true], metrics: [queue_depth]}}
    rules: {deep: {metric: METRIC, above: 100}}
"""


def test_rules_see_what_a_probe_itself_names(load_text: Load, faults_of: Faults) -> None:
    (rule,) = [rule for rule in load_text(COMMAND.replace("METRIC", "queue_depth")).services["a"].core.rules if rule.name == "deep"]
    assert rule.selector.metric == "queue_depth"
    assert faults_of(COMMAND.replace("METRIC", "queue_dept")) == [
        'config.yaml:5:28: services.a.rules.deep.metric: no probe gives "queue_dept"; did you mean "queue_depth"?'
    ]
    elsewhere = "  b: {unit: b, rules: {deep: {metric: queue_depth, above: 100}}}\n"
    (fault,) = faults_of(COMMAND.replace("METRIC", "queue_depth") + elsewhere)
    assert fault.startswith('config.yaml:6:39: services.b.rules.deep.metric: no probe gives "queue_depth"')
    broken = COMMAND.replace("METRIC", "queue_depth").replace("/bin/true", "")
    assert faults_of(broken) == [
        "config.yaml:4:14: services.a.probes.queue: command needs a program: command: [/usr/local/bin/check-queue, --brief]"
    ], "the rule is not to blame"


def test_a_probe_that_cannot_be_read_makes_no_other_faults(faults_of: Faults) -> None:
    text = rule("{metric: gpu_heat, above: 1}").replace("kind: http", "kind: kernel")
    assert faults_of(text) == [
        "config.yaml:5:22: services.chatglm.probes.health.kind: the kind kernel arrives later; this version does not have it"
    ]


def test_a_wrong_default_is_told_once_and_in_its_place(faults_of: Faults) -> None:
    text = "defaults: {startup: 5, probes: {unit: {every: 5}}}\nservices: {a: {unit: a}, b: {unit: b}}\n"
    assert faults_of(text) == [
        'config.yaml:1:21: defaults.startup: "5" has no unit; did you mean 5s?',
        'config.yaml:1:47: defaults.probes.unit.every: "5" has no unit; did you mean 5s?',
    ]


BAD_NOTIFIERS = {
    "nosuch://host": "2:29: notifiers.ops.url: no apprise notifier understands this address (nosuch://); see the list of addresses in",
    "": "2:29: notifiers.ops.url: the value is empty",
    "no address": "2:29: notifiers.ops.url: ",
}


@pytest.mark.parametrize(("url", "fault"), BAD_NOTIFIERS.items(), ids=BAD_NOTIFIERS)
def test_fault_75_an_address_that_no_notifier_understands(tmp_path: Path, url: str, fault: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f'notifiers:\n  ops: {{kind: apprise, url: "{url}"}}\n')
    with pytest.raises(InvalidConfig) as caught:
        load(path, environment={}, credentials_dir=None, strict_secrets=True, ask_notifiers=True)
    (told,) = caught.value.faults
    assert told.startswith(f"{path}:{fault}")


def test_one_file_with_many_faults_tells_all_of_them_in_order(faults_of: Faults) -> None:
    text = """\
rule_files: [a.yml]
services:
  a:
    unit: a
    startup: 300
    probs: {}
    probes:
      h: {kind: http, url: "http://h:x/", every: 30}
    rules:
      slow: {metric: probe_duration_second, above: 1e3}
  a: {unit: b}
notifiers:
  ops: {kind: apprise, url: "${", min_severity: warn}
"""
    places = [line.split(": ")[0].removeprefix("config.yaml:") for line in faults_of(text)]
    assert places == ["1:14", "5:14", "6:5", "8:28", "8:50", "10:22", "10:52", "11:3", "13:29", "13:49"]
