"""The newest values in Prometheus' text format 0.0.4: names, labels and units as everywhere else here."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from model_watchdog.core.decision import State

HELP = {
    "probe_success": "Whether the probe was good.",
    "probe_duration_seconds": "How long the probe took.",
    "probe_http_status_code": "The status code of the answer.",
    "probe_tls_expiry_seconds": "How long the certificate is still valid.",
    "unit_active": "Whether the unit is active.",
    "unit_restarts_total": "Restarts of the unit by systemd itself.",
    "unit_cpu_seconds_total": "Processor time of the unit.",
    "unit_memory_bytes": "Memory of the unit.",
    "unit_tasks": "Tasks of the unit.",
    "unit_uptime_seconds": "How long the unit has been active.",
    "service_cpu_percent": "Processor use of the service's processes; 100 is one core.",
    "service_memory_bytes": "Memory of the service's processes.",
    "service_gpu_memory_bytes": "GPU memory of the service's processes.",
    "service_open_files": "Open files of the service's processes.",
    "service_threads": "Threads of the service's processes.",
    "service_stuck_tasks": "Tasks of the service that wait in the kernel and cannot be killed.",
    "host_cpu_percent": "Processor use of the host.",
    "host_load1": "Load of the host over a minute.",
    "host_memory_percent": "Memory in use.",
    "host_memory_available_bytes": "Memory that can be had without swapping.",
    "host_swap_percent": "Swap in use.",
    "host_disk_percent": "Space in use on a file system.",
    "host_disk_read_bytes_total": "Bytes read from a disk.",
    "host_disk_written_bytes_total": "Bytes written to a disk.",
    "host_network_received_bytes_total": "Bytes received by a network device.",
    "host_network_sent_bytes_total": "Bytes sent by a network device.",
    "gpu_up": "Whether the GPU answers.",
    "gpu_utilization_percent": "Share of the time in which the GPU was busy.",
    "gpu_memory_used_bytes": "GPU memory in use.",
    "gpu_memory_total_bytes": "GPU memory.",
    "gpu_memory_percent": "Share of the GPU memory that is in use.",
    "gpu_temperature_celsius": "Temperature of the GPU.",
    "gpu_temperature_limit_celsius": "Temperature at which the GPU slows down or switches off.",
    "gpu_memory_temperature_celsius": "Temperature of the GPU's memory.",
    "gpu_memory_held_bytes": "GPU memory that no process holds and that is not free.",
    "gpu_power_watts": "Power that the GPU draws.",
    "gpu_power_limit_watts": "Power that the GPU may draw.",
    "gpu_clock_hertz": "Clock of a part of the GPU.",
    "gpu_throttled": "Whether the GPU is slowed down for a reason.",
    "gpu_ecc_uncorrected_errors_total": "Memory errors that could not be corrected.",
    "gpu_ecc_corrected_errors_total": "Memory errors that were corrected.",
    "gpu_pcie_replays_total": "Packets that had to be sent again on the bus.",
    "gpu_remapped_rows": "Rows of memory that were replaced, or are to be.",
    "gpu_recovery_action": "What the driver wants to be done: 0 nothing.",
    "gpu_processes": "Processes on the GPU.",
    "gpu_xid_errors_total": "Errors that the driver has logged.",
    "host_oom_kills_total": "Processes that the kernel has killed for want of memory.",
    "canary_first_token_seconds": "Time to the first token of a synthetic request.",
    "canary_tokens_per_second": "Tokens a second of a synthetic request.",
    "canary_answer_correct": "Whether the answer to a synthetic request was right.",
    "canary_skipped_total": "Synthetic requests that were left out.",
    "service_stalled_seconds": "How long the engine has not advanced though it has work.",
    "log_records_total": "Records in the log.",
    "log_consecutive_errors": "Records of errors in a row.",
    "log_pattern_matches_total": "Records that a pattern fits.",
    "log_field": "The newest value of a field in the log.",
    "log_age_seconds": "How long ago the newest record was written, by its own time.",
    "watchdog_up": "Whether the daemon runs.",
    "watchdog_tick_lag_seconds": "How late the daemon's rounds begin, at most.",
    "watchdog_notifications_queued": "Messages that wait.",
    "watchdog_breaker_open": "Whether the service's circuit breaker is not closed.",
    "watchdog_restarts_total": "Restarts by the daemon.",
    "watchdog_service_state": "Whether the service is in that state; of its states one is 1.",
}
"""The names that are ours; every other one is a service's own."""
TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Value = tuple[str, Mapping[str, str], float]


def tell_states(services: Iterable[Mapping[str, Any]]) -> list[Value]:
    """1 for the state that each service of `status --json` is in, 0 for the others: so that a state that is left ends in a graph."""
    return [
        ("watchdog_service_state", {"service": service["name"], "state": state.value}, float(state.value == service["state"]))
        for service in services
        for state in State
    ]


def write(values: Iterable[Value], *, with_services_own: bool) -> str:
    """One page; of a series told twice the later counts."""
    families: dict[str, dict[str, float]] = {}
    for metric, labels, value in values:
        if metric in HELP or with_services_own:
            families.setdefault(metric, {})[_write_labels(labels)] = value
    lines = []
    for metric in sorted(families):
        if metric in HELP:
            lines += [f"# HELP {metric} {HELP[metric]}", f"# TYPE {metric} {'counter' if metric.endswith('_total') else 'gauge'}"]
        lines += [f"{metric}{labels} {_write_number(value)}" for labels, value in families[metric].items()]
    return "\n".join([*lines, ""])


def _write_labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()) + "}"


def _write_number(value: float) -> str:
    if math.isfinite(value):
        return repr(value) if value != int(value) or abs(value) >= 1e15 else str(int(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
