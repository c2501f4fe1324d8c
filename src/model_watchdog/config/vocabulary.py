"""Words that are known but not yet understood, so that they are refused as arriving later and not as misspelt."""

LATER_KEYS: dict[str, dict[str, str]] = {
    "file": {"web": ""},
    "notifier": dict.fromkeys(("message", "maintenance"), ""),
}
"""Key to what it is, by the kind of mapping it stands in."""

BELONGS: dict[str, dict[str, str]] = {
    "service": {
        **dict.fromkeys(("every", "timeout", "retry_every", "status", "kind"), "to a probe; write it there: probes: {NAME: {…}}"),
        **dict.fromkeys(("metric", "above", "below", "for", "times", "then", "severity"), "to a rule; write it there: rules: {NAME: {…}}"),
        "maintenance": "to the top of the file; write it there: maintenance: [{services: [NAME], …}]",
        **dict.fromkeys(("stable", "backoff", "breaker"), "to recovery; write it there: recovery: {…}"),
    },
}
"""Keys that stand at the wrong level, by the kind of mapping in which they are found: where they belong."""

LATER_KINDS: dict[str, tuple[str, ...]] = {
    "probes": ("kernel",),
    "notifiers": ("journal",),
    "recoveries": (),
}

EVERY_PROBE = ("probe_success", "probe_duration_seconds")
"""What is measured around each probe."""

LATER_METRICS: dict[str, tuple[str, ...]] = {
    "kernel": ("gpu_xid_errors_total", "host_oom_kills_total"),
}
"""Metrics of probes that arrive later, by the kind that will give them."""

LABELS: dict[str, tuple[str, ...]] = {
    "host_disk_percent": ("mount",),
    "host_disk_": ("device",),
    "host_network_": ("device",),
    "gpu_temperature_limit_celsius": ("gpu", "uuid", "kind"),
    "gpu_clock_hertz": ("gpu", "uuid", "domain"),
    "gpu_throttled": ("gpu", "uuid", "reason"),
    "gpu_remapped_rows": ("gpu", "uuid", "kind"),
    "gpu_xid_errors_total": ("gpu", "uuid", "xid"),
    "gpu_": ("gpu", "uuid"),
    "service_gpu_memory_bytes": ("gpu",),
    "log_records_total": ("level",),
    "log_pattern_matches_total": ("pattern",),
    "log_field": ("field",),
}
"""The labels of metrics besides `service` and `probe`: the first name with which the metric begins."""

ADDED = ("service", "probe")
"""Labels that the watchdog adds by itself; no program can give them."""

OWN_METRICS = (
    "watchdog_up",
    "watchdog_tick_lag_seconds",
    "watchdog_notifications_queued",
    "watchdog_breaker_open",
    "watchdog_restarts_total",
)
"""What the daemon will tell of itself; no rule can look at it yet."""
