"""Words that are known but not yet understood, so that they are refused as arriving later and not as misspelt."""

LATER_KEYS: dict[str, dict[str, str]] = {
    "file": dict.fromkeys(("include", "rule_files", "heartbeat", "maintenance", "report", "web"), ""),
    "service": {
        "server": "",
        "url": "where the probes of a `server:` go",
        "user": "for a unit of a user manager",
        "heartbeat": "",
        "maintenance": "",
    },
    "rule": dict.fromkeys(("expr", "absent", "over", "as", "equals", "outside", "keep_firing_for", "message"), ""),
    "notifier": dict.fromkeys(("message", "maintenance"), ""),
}
"""Key to what it is, by the kind of mapping it stands in."""

LATER_KINDS: dict[str, tuple[str, ...]] = {
    "probes": ("canary", "kernel", "log", "nvml", "scrape"),
    "notifiers": ("journal",),
    "recoveries": (),
}

LATER_LANGUAGES = ("zh",)

EVERY_PROBE = ("probe_success", "probe_duration_seconds")
"""What is measured around each probe."""

LATER_METRICS: dict[str, tuple[str, ...]] = {
    "nvml": (
        "gpu_up",
        "gpu_utilization_percent",
        "gpu_memory_used_bytes",
        "gpu_memory_total_bytes",
        "gpu_memory_percent",
        "gpu_temperature_celsius",
        "gpu_temperature_limit_celsius",
        "gpu_memory_temperature_celsius",
        "gpu_power_watts",
        "gpu_power_limit_watts",
        "gpu_clock_hertz",
        "gpu_throttled",
        "gpu_ecc_uncorrected_errors_total",
        "gpu_ecc_corrected_errors_total",
        "gpu_pcie_replays_total",
        "gpu_remapped_rows",
        "gpu_recovery_action",
        "gpu_processes",
    ),
    "kernel": ("gpu_xid_errors_total", "host_oom_kills_total"),
    "canary": ("canary_first_token_seconds", "canary_tokens_per_second", "canary_answer_correct"),
    "log": ("log_records_total", "log_consecutive_errors", "log_pattern_matches_total", "log_field"),
}
"""Metrics of probes that arrive later, by the kind that will give them."""

OWN_METRICS = (
    "watchdog_up",
    "watchdog_tick_lag_seconds",
    "watchdog_notifications_queued",
    "watchdog_breaker_open",
    "watchdog_restarts_total",
)
"""What the daemon will tell of itself; no rule can look at it yet."""
