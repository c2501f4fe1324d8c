"""What the daemon tells of itself."""

from collections.abc import Mapping

from model_watchdog.outbox import Outbox
from model_watchdog.tick import Watch


def measure_self(watches: Mapping[str, Watch], outbox: Outbox, lag: float) -> list[tuple[str, dict[str, str], float]]:
    """Metric, labels and value; `lag` is by how many seconds the loop was late at most since it was last asked."""
    metrics: list[tuple[str, dict[str, str], float]] = [
        ("watchdog_up", {}, 1.0),
        ("watchdog_tick_lag_seconds", {}, round(lag, 4)),
        ("watchdog_notifications_queued", {}, float(outbox.stats()["queued"])),
    ]
    for name, watch in watches.items():
        metrics.append(("watchdog_breaker_open", {"service": name}, float(watch.state.breaker.state != "closed")))
        for result, count in sorted(watch.state.results.items()):
            metrics.append(("watchdog_restarts_total", {"service": name, "result": result}, float(count)))
    return metrics
