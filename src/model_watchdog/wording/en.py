"""English. The tables below the sentences are templates of `language.phrase`."""

from model_watchdog.core.decision import Cause, Param
from model_watchdog.wording.parts import Params, Sentences, is_flat, number, signal_name, times_off


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


def _counted(params: Params) -> str:
    """` (2 of 3)` until as many are bad as it takes, ` 15 times` from then on; with the question whether it is asked at the right place."""
    few = int(params["count"]) <= int(params["of"])
    notes = [f"{params['count']} of {params['of']}"] if few else []
    notes += [_IS_PORT_RIGHT] if params.get("never") else []
    return ("" if few else f" {params['count']} times") + (f" ({'; '.join(notes)})" if notes else "")


_IS_PORT_RIGHT = "has never answered; is the port in its address right?"


def some(names: Param) -> str:
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
    return f" ({number(params['recent'])} on average of late)" if "recent" in params else ""


def _normal(params: Params) -> str:
    """What it is held against, and how many times it lies off; or why that cannot be told in times."""
    if is_flat(params):
        return f"normal is {number(params['mean'])} without any deviation"
    known = f", and {float(params['new']):.3g} times from every level known" if "new" in params else ""
    usual = f"normal is {number(params['mean'])} with a usual deviation of {number(params['usual'])}"
    return f"{usual}; it lies {times_off(params)} times that away{known}"


SENTENCES: Sentences = {
    "healthy": "all probes are good",
    "not_seen": "not looked at yet",
    "end_not_seen": "not running; why is being looked up",
    "silent": lambda p: f"probe {p['probe']} has not answered of late",
    "loading": lambda p: (
        (
            f"loading for {duration(float(p['seconds']))} of at most {duration(float(p['startup']))}"
            if float(p["seconds"]) >= 1
            else f"loading, for at most {duration(float(p['startup']))}"
        )
        + (f"; the last starts took about {duration(float(p['usual']))}" if "usual" in p else "")
    ),
    "stalled": lambda p: (
        f"there is work, and {'engine ' + str(p['engine']) if 'engine' in p else 'the engine'} has made no step for"
        f" {duration(float(p['seconds']))}"
    ),
    "busy_steps": lambda p: f"{p['probe']}: {p['detail']}, but the engine makes its steps",
    "canary_failed": lambda p: f"{p['probe']}: a real request was not answered: {p['detail']}{_counted(p)}",
    "canary_wrong": lambda p: f"{p['probe']}: a real request was answered wrongly: {p['detail']}",
    "asleep": "it sleeps, as its server says",
    "on_cpu": lambda p: (
        f"{float(p['value']) / 2**30:.1f} GiB of the loaded models lie in the host's memory and not on the GPU, so that they are slow"
    ),
    "canary_too_early": "not asked: the service has just been started",
    "canary_asleep": "not asked: the service sleeps",
    "canary_not_well": "not asked: its health is not good",
    "canary_not_seen": "not asked: whether it has work to do could not be seen",
    "canary_busy": "not asked: it has work to do",
    "container_missing": lambda p: f"its work cannot be seen: {p['detail']}",
    "shows_nothing": lambda p: f"{p['probe']} shows nothing: {p['detail']}",
    "canary_never_good": lambda p: f"{p['probe']} has not been answered as it should be yet, so that it proves nothing: {p['detail']}",
    "misdirected": lambda p: f"{p['probe']}: {p['detail']}, as from the beginning: is it the right url, or does it want a key (bearer:)?",
    "no_heartbeat": lambda p: (
        f"{p['probe']}: of its heartbeat, {p['names']}, nothing is on the page; is it the right server: or heartbeat:?"
    ),
    "no_work": lambda p: (
        f"nothing on its page tells whether there is work ({p['names']}), so that neither a stall nor idleness can be told; is work: right?"
    ),
    "queued": lambda p: f"its start waits in systemd's queue, for {duration(float(p['seconds']))} (systemctl list-jobs)",
    "queued_too_long": lambda p: f"its start still waits in systemd's queue, for {duration(float(p['seconds']))} (systemctl list-jobs)",
    "loading_too_long": lambda p: f"still starting after {duration(float(p['seconds']))}, expected at most {duration(float(p['startup']))}",
    "busy": lambda p: f"{p['probe']}: {p['detail']}, but {float(p['cores']):.1f} cores are working",
    "busy_gpu": lambda p: f"{p['probe']}: {p['detail']}, but GPU {p['gpus']} is working",
    "busy_unread": lambda p: f"{p['probe']}: {p['detail']}, and its GPUs cannot be read",
    "busy_both": lambda p: f"{p['probe']}: {p['detail']}, but {float(p['cores']):.1f} cores and GPU {p['gpus']} are working",
    "patience_ended": lambda p: (
        f"{p['probe']} has timed out for longer than {duration(float(p['patience']))} although the service uses its processor"
    ),
    "patience_ended_gpu": lambda p: (
        f"{p['probe']} has timed out for longer than {duration(float(p['patience']))} although GPU {p['gpus']} works"
    ),
    "patience_ended_unread": lambda p: (
        f"{p['probe']} has timed out for longer than {duration(float(p['patience']))}, and the service's GPUs cannot be read"
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
    "systemd_restarts": lambda p: f"{p['why']}; systemd is about to restart it by itself (Restart=)",
    "operator_stop": "stopped on purpose: the journal has a stop job that was not ours",
    "stopped_not_proved": lambda p: "not running, and the journal does not prove why" + (f": {p['detail']}" if p["detail"] else ""),
    "dependency_failed": lambda p: f"a unit that it requires failed: {p['dependency'] or 'see its Requires='}",
    "never_started": "the unit was never started since the host came up",
    "ended": lambda p: f"ended by itself with exit {p['status']}{_life(p)}",
    "killed": lambda p: f"main process was killed by {signal_name(p)}{_life(p)}",
    "oom_killed": lambda p: f"killed by the kernel: out of memory{_life(p)}",
    "exec_failed": lambda p: (
        f"could not be started: systemd exit {p['status']}" + (" (its program cannot be run)" if p["status"] == 203 else "")
    ),
    "start_limit": "systemd refuses to start it: started too often (start-limit-hit)",
    "unit_result": lambda p: f"the unit failed: {p['result']}",
    "flapping": "health keeps changing between good and bad",
    "unstable": lambda p: (
        f"it went bad {p['count']} times within {duration(float(p['seconds']))}; each time is in watchdog events, and is told no more"
    ),
    "flapping_under_systemd": "systemd has restarted it 3 times or more in 5 minutes; the watchdog adds none",
    "new_invocation": lambda p: "a new process runs" + (f" (pid {p['pid']})" if p["pid"] else "") + f", started by {p['by']}",
    "acknowledged": lambda p: f"uid {p['uid']} has taken on incident {p['incident']}" + (f": {p['text']}" if p["text"] else ""),
    "silence_set": lambda p: (
        f"silence {p['id']}: nobody is told of {p['services']} for {duration(float(p['seconds']))}, by uid {p['uid']}: {p['text']}"
    ),
    "silence_ended": lambda p: f"silence {p['id']} was ended by uid {p['uid']}",
    "silence_over": lambda p: f"silence {p['id']} is over",
    "pause_over": "the pause is over",
    "pause_ended": lambda p: f"the pause was ended by uid {p['uid']}",
    "over": lambda p: f"{p['rule']} is over" + (f": {p['series']} is {number(p['value'])}" if "series" in p else ""),
    "above": lambda p: f"{_subject(p)} is {number(p['value'])}, above {number(p['above'])}",
    "below": lambda p: f"{_subject(p)} is {number(p['value'])}, below {number(p['below'])}",
    "equals": lambda p: f"{_subject(p)} is {number(p['value'])}",
    "outside": lambda p: f"{_subject(p)} is {number(p['value'])}, outside {number(p['low'])} to {number(p['high'])}",
    "expr": lambda p: f"{p['expr']} gives {number(p['value'])}" + (f" for {p['labels']}" if p["labels"] else ""),
    "absent": lambda p: f"{p['series']} has not arrived for {duration(float(p['value']))}",
    "message": lambda p: str(p["text"]),
    "unlike": lambda p: f"{_subject(p)} is {number(p['value'])}{_of_late(p)}; {_normal(p)}" if "mean" in p else f"{p['rule']} is over",
    "rule_fired": lambda p: f"rule {p['rule']} asks for a restart (value {number(p['value'])})",
    "restart_started": lambda p: f"restart {p['attempt']} of {p['attempts']}: started, because {p['why']}",
    "restart_failed": lambda p: (
        f"restart {p['attempt']} of {p['attempts']}: failed, {p['what']}" if "attempt" in p else f"restart failed: {p['what']}"
    ),
    "trial_failed": lambda p: f"trial: failed, {p['what']}; next in {duration(float(p['retry_in']))}",
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
    "not_permitted": lambda p: f"systemd denies the right to restart {some(p['unit'])}",
    "rights_back": lambda p: f"the right to restart {some(p['unit'])} is proved",
    "cannot_act_yet": lambda p: f"the watchdog cannot act; next try in {duration(float(p['seconds']))}",
    "cannot_act": lambda p: f"the watchdog cannot act: {p['detail']}",
    "not_needed": "it had recovered or been restarted before the restart was made",
    "stop_job": "a stop of the unit is queued",
    "host_restarted": "the host was started anew before it was known what came of the restart",
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
    "notifier_gone": lambda p: f"{p['notifier']} is no longer configured, so that it is not told: {p['title']}",
    "would_tell": lambda p: f"{p['notifier']} would be told: {p['title']}",
    "gpu_driver_silent": "the GPU driver does not answer, so nothing is known of the GPUs; no service is restarted for that",
    "gpu_driver_crashes": "the GPU driver's library crashes whenever it is asked (3 times in a row); nothing is known of the GPUs",
    "gpu_driver_gone": lambda p: f"GPUs were seen before, but now: {p['detail']}",
    "gpu_xid": lambda p: f"the GPU driver reported Xid {p['xid']} for GPU {p['gpu']} ({p['uuid']}); NVIDIA's Xid catalogue says what it is",
    "disk_missing": lambda p: f"{p['mount']} cannot be measured: {p['detail']}",
    "disk_silent": lambda p: f"{p['mount']} does not answer: its server is gone, or hangs",
    "note": lambda p: str(p["text"]),
    "notifier_misconfigured": lambda p: f"notifier {p['notifier']} is misconfigured: the provider refuses it ({p['detail']})",
    "digest": lambda p: f"{p['count']} messages within {duration(float(p['seconds']))}: {_count_severities(p)}",
    "healed": lambda p: (
        f"healed within {duration(float(p['within']))} without a person: {p['count']}; restarts: {p['restarts']};"
        f" something was wrong for {duration(float(p['seconds']))}"
    ),
    "goes_on": lambda p: f"it has gone on for {duration(float(p['seconds']))}" + (f" ({p['notifier']})" if p["notifier"] else ""),
    "not_acknowledged": lambda p: f"{p['notifier']} was told {duration(float(p['seconds']))} ago, and nobody has acknowledged it",
    "report_made": lambda p: f"the report from {p['since']} to {p['until']} was made: {p['path']}",
    "report_failed": lambda p: f"the report from {p['since']} to {p['until']} could not be made: {p['detail']}",
    "digest_more": lambda p: f"and {p['count']} more",
    "gpu_memory_held": lambda p: f"processes that have ended hold {float(p['value']) / 2**30:.1f} GiB of the memory of GPU {p['gpu']}",
    "vanished": lambda p: f"{p['rule']} is over: {p['series']} is no longer measured",
    "reloaded": lambda p: f"the configuration was read anew: {_tell_changes(p)}",
    "config_fault": lambda p: f"{p['fault']}{_more(p)}",
    "config_rejected": lambda p: f"{p['fault']}{_more(p)}; the configuration before stays in force",
    "taken_out": "it was taken out of the configuration",
    "another_in_its_place": "its name stands for another unit, or another way to restart it, in the configuration now",
}


def _more(params: Params) -> str:
    return f" (and {params['more']} more)" if params["more"] else ""


def _tell_changes(params: Params) -> str:
    told = [f"{word} {some(params[word])}" for word in ("added", "removed", "changed") if params[word]]
    if params["later"]:
        told.append(f"{some(params['later'])} when the restart under way is over")
    return "; ".join(told) or "nothing has changed"


def _count_severities(params: Params) -> str:
    return ", ".join(f"{params[word]} {word}" for word in ("critical", "warning", "info") if params[word])


SAID_BEFORE = {
    "trial_started": "trial: started, because {reason}",
    "restart_withdrawn": "restart not made: {reason}",
    "restart_interrupted": "restart not made: {reason}",
    "recovered": "recovered: {reason}",
    "gave_up": "gave up: {reason}",
    "not_restarted": "not restarted: {reason}",
    "alert_fired": "alert: {reason}",
    "breaker_closed": "circuit breaker closed: {reason}",
    **{state: f"{state}: {{reason}}" for state in ("busy", "degraded", "unhealthy", "dead", "sleeping", "unknown", "stalled")},
}

REMEDIES: dict[Cause, str] = {
    Cause.NOT_PERMITTED: "sudo watchdog install   ·   it is noticed within 5 minutes",
    Cause.MASKED: "sudo systemctl unmask {at}",
    Cause.UNIT_MISSING: "systemctl status {at}   ·   mend the name in config.yaml, then: watchdog check",
    Cause.CANNOT_ACT: "systemctl status dbus polkit   ·   journalctl -u model-watchdog -n 50",
    Cause.OLD_PROCESS_LEFT: "reboot the host; a process that cannot be killed holds the service's memory",
    Cause.RECORD_UNWRITABLE: "df -h /var/lib/model-watchdog   ·   ls -ld /var/lib/model-watchdog",
    Cause.STOPPED_NOT_PROVED: (
        "journalctl {journal} -n 20   ·   if that is empty for the daemon: sudo usermod -aG systemd-journal model-watchdog"
    ),
    Cause.HEALTH_TLS: "renew the certificate, or state ca_file in config.yaml",
    Cause.DEPENDENCY_FAILED: "systemctl list-dependencies {at}",
    Cause.EVIDENCE_MISSING: "watchdog check --show   ·   mend the probe in config.yaml, then: watchdog reload",
}

RULE_REMEDIES = {
    "gpu-lost": "journalctl -k -g NVRM -n 20   ·   a lost GPU needs a reset (nvidia-smi --gpu-reset) or a reboot of the host",
    "gpu-driver": "timeout 10 nvidia-smi   ·   journalctl -k -g NVRM -n 20",
    "gpu-memory-held": "timeout 10 nvidia-smi --query-compute-apps=pid,used_memory --format=csv   ·   nvidia-smi --gpu-reset, or a reboot",
    "config-rejected": "watchdog check   ·   after mending: watchdog reload",
}
"""By the built-in rule that fires, where its cause does not say it."""

TITLES = {
    "alert_fired": "{subject}: {rule} fires",
    "alert_resolved": "{subject}: {rule} is over",
    "host_alert_fired": "{rule} fires",
    "host_alert_resolved": "{rule} is over",
    "recovered": "{subject} was restarted and is well again",
    "gave_up": "{subject} is down and could not be restarted",
    "back": "{subject} is well again",
    "cannot_act": "{subject} cannot be restarted by the watchdog",
    "host_cannot_act": "the watchdog cannot do its work",
    "rights_missing": "{services} cannot be restarted by the watchdog",
    "rights_back": "{services} can be restarted by the watchdog again",
    "operator_stop": "{subject} was stopped on purpose",
    "masked": "{subject} is masked",
    "paused": "{subject} is paused",
    "clock_stepped": "the clock was stepped",
    "gpu_xid": "GPU {gpu} reported an error: Xid {xid}",
    "fail_together": "many services fail together",
    "record_replaced": "the record has been replaced",
    "test": "a test message from model-watchdog",
    "digest": "{count} messages at once",
    "goes_on": "still: {title}",
    "healed": "healed without a person: {count}",
    "report_failed": "a report could not be made",
    "not_acknowledged": "not acknowledged: {title}",
    "config_rejected": "the new configuration was rejected",
    "not_watched": "{subject} is no longer watched",
}
