"""The report as JSON, schema 1.

```
{"schema": 1, "host": …, "version": …, "generated_at": …,
 "period": {"since", "until", "measured_since"},            measured_since: null where nothing was measured in it
 "watched": {"seconds", "starts", "deaths"},                of the daemon
 "services": [{"name", "availability",                      share of up + loading + down that was up; null where there was none
   "seconds": {"up", "loading", "down", "paused", "stopped", "sleeping", "unknown", "not_watched"},
   "states": {STATE: seconds}, "outages": [{"since", "until", "recovered"}],
   "detect_seconds", "recover_seconds": {"count", "median", "max"} | null,
   "restarts": {"count", "results": {RESULT: count}, "actors": {ACTOR: count}, "seconds": {…} | null},
   "incidents": {"count", "open", "minutes"},
   "probes": [{"probe", "runs", "failed", "failed_share", "seconds": SPREAD | null}],
   "latencies": [{"metric", "labels", "source": "samples" | "histogram", …SPREAD}],
   "requests": {"metric", "total", "per_second", "errors", "error_share"} | null, "log": {"records", "errors", "error_share"} | null,
   "timeline": [{"since", "until", "kind", "state"}]}],
 "incidents": [as `watchdog incidents --json`, and "cause"], "restarts": [{"id", "service", "at", "actor", "cause", "reason", …}],
 "worse": [{"metric", "labels", "days", "per_day", "begin", "end", "chance", "full_in_days", "change_share"}],
 "wolves": [{"service", "rule", "fired", "count", "median_seconds", "longest_seconds", "again", "change", "advice", "spared"}],
 "fired": how many alerts, "anomalies": [{"at", "service", "rule", "series", "reason"}],       the newest 1000 of them
 "levels": [as the setting of that name: the rules over metrics, with the levels at which they fire],
 "series": [{"metric", "labels", "count", "last", and of a gauge "least", "mean", "most", "quantiles": {SHARE: value},
   "bars": [[from, to, count]], "points": [[unix seconds, least, mean, most]]; of a counter "increase", "per_second"; points of its rate}]}
```

SPREAD is `count, mean, p50, p95, p99, least, most`. Times are RFC 3339 in UTC, but for those of `points`; a number that is none is null.
"""

import math
from typing import Any

from model_watchdog.status import rfc3339

TIMES = ("since", "until", "measured_since", "generated_at", "at", "opened_at", "closed_at", "ended_at")


def as_json(part: Any, key: str = "") -> Any:
    """The document of `gather` with its times as RFC 3339, and without numbers that JSON lacks."""
    if isinstance(part, dict):
        return {name: as_json(value, name) for name, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [as_json(value) for value in part]
    if isinstance(part, bool) or not isinstance(part, (int, float)):
        return part
    if key in TIMES:
        return rfc3339(part)
    return part if math.isfinite(part) else None
