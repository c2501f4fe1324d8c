"""What a service was asked and how it answered: by its own counters, by its log, and by our probes."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from model_watchdog.promql.buckets import find_quantile, read_bound
from model_watchdog.report.figures import Figures

Doc = dict[str, Any]

REQUESTS = re.compile(r"(.*[_:])?requests?(_\w+)?_total")
FAILED = re.compile(r".*(error|fail|exception|reject|corrupt).*")
ABORTED = re.compile(r".*(abort|cancel).*")
ALIKE = 0.9
"""Of the counter that has counted most: one that has counted so much counts the same requests."""
OUTCOMES = ("status", "code", "status_code", "http_status", "outcome", "result", "finished_reason")
"""Labels that tell how a request ended."""
BAD_OUTCOME = re.compile(r"5\d\d|5xx|.*(error|fail|exception).*", re.IGNORECASE)
LEVELS = "log_records_total"
BAD_LEVEL = re.compile(r"err(or)?|crit(ical)?|fatal|severe|emerg.*|alert|panic", re.IGNORECASE)
LATENCY = re.compile(
    r".*(duration|latency|first_token|per_output_token|inference|processing|response_time)(_\w+)?_(seconds|ms|milliseconds)"
)
FIELD = re.compile(r".*(time|duration|latency).*")
HISTOGRAM_SHARES = (0.5, 0.95, 0.99)


def tell_requests(figures: Iterable[Figures]) -> Doc | None:
    """`{metric, total, per_second, errors, error_share}` from a service's counters of requests; None where it has none.

    Of several counters it is the one that has counted most, or, of those that have counted about as many, one that tells outcomes. An error
    is an outcome that says so (5xx, error), else what a counter of failures has counted (of several, which may count the same, the one that
    has counted most). A request that was aborted is a client that left, and no error. Where nothing tells errors, both are None.
    """
    counters: dict[str, list[Figures]] = defaultdict(list)
    for one in figures:
        if one.is_counter and REQUESTS.fullmatch(one.metric):
            counters[one.metric].append(one)
    failures = [_sum(counters.pop(name)) for name in list(counters) if FAILED.fullmatch(name)]
    asked = {name: series for name, series in counters.items() if not ABORTED.fullmatch(name)}
    if not asked:
        return None
    most = max(_sum(series) for series in asked.values())
    alike = {name: series for name, series in asked.items() if _sum(series) >= ALIKE * most}
    name, series = max(alike.items(), key=lambda item: (_tells_errors(*item), _sum(item[1]), item[0]))
    errors = None
    if _tells_errors(name, series):
        errors = _sum([one for one in series if any(BAD_OUTCOME.fullmatch(one.labels.get(label, "")) for label in OUTCOMES)])
    elif failures:
        errors = max(failures)
    total, rate = _sum(series), math.fsum(one.per_second or 0.0 for one in series)
    share = None if errors is None or not total else min(1.0, errors / total)
    return {"metric": name, "total": total, "per_second": rate, "errors": errors, "error_share": share}


def _tells_errors(name: str, series: Sequence[Figures]) -> bool:
    """It has outcomes; a counter of what went well has them too, but counts no errors."""
    return "success" not in name and any(label in one.labels for one in series for label in OUTCOMES)


def tell_log(figures: Iterable[Figures]) -> Doc | None:
    """`{records, errors, error_share}` of a service's log; None where none is followed."""
    levels = [one for one in figures if one.metric == LEVELS]
    if not levels:
        return None
    errors = _sum([one for one in levels if BAD_LEVEL.fullmatch(one.labels.get("level", ""))])
    total = _sum(levels)
    return {"records": total, "errors": errors, "error_share": errors / total if total else None}


def tell_probes(figures: Sequence[Figures]) -> list[Doc]:
    """Of each probe how many of its runs failed, and how long it took."""
    durations = {one.labels.get("probe"): one for one in figures if one.metric == "probe_duration_seconds"}
    told: list[Doc] = []
    for one in figures:
        if one.metric == "probe_success":
            took = durations.get(one.labels.get("probe"))
            told.append(
                {
                    "probe": one.labels.get("probe", ""),
                    "runs": one.count,
                    "failed": round(one.count * (1 - one.mean)),
                    "failed_share": 1 - one.mean,
                    "seconds": None if took is None else tell_spread(took),
                }
            )
    return told


def tell_latencies(figures: Sequence[Figures]) -> list[Doc]:
    """Whatever of a service is a latency: gauges by their samples, histograms by their buckets, sums by their mean."""
    told: list[Doc] = []
    for one in figures:
        is_field = one.metric == "log_field" and FIELD.fullmatch(one.labels.get("field", ""))
        if not one.is_counter and (is_field or LATENCY.fullmatch(one.metric)):
            told.append({"metric": one.metric, "labels": one.labels, "source": "samples", **tell_spread(one)})
    return [*told, *_tell_histograms(figures)]


def tell_spread(figures: Figures) -> Doc:
    """Of a gauge: count, mean, quantiles, extremes."""
    _, middle, p95, p99 = figures.quantiles
    spread = {"mean": figures.mean, "p50": middle, "p95": p95, "p99": p99, "least": figures.least, "most": figures.most}
    return {"count": figures.count, **spread}


def _tell_histograms(figures: Sequence[Figures]) -> list[Doc]:
    """Of each histogram, all its label sets together: how many requests, their mean, and quantiles where its buckets are kept."""
    parts: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for one in figures:
        base, _, part = one.metric.rpartition("_")
        if one.is_counter and part in ("sum", "count", "bucket") and LATENCY.fullmatch(base):
            parts[base][part].append(one)
    told: list[Doc] = []
    for base, found in sorted(parts.items()):
        count = _sum(found["count"])
        buckets = [(bound, one.increase or 0.0) for one in found["bucket"] if (bound := read_bound(one.labels.get("le", ""))) is not None]
        quantiles = [find_quantile(share, buckets)[0] if buckets else math.nan for share in HISTOGRAM_SHARES]
        p50, p95, p99 = (None if math.isnan(value) else value for value in quantiles)
        mean = _sum(found["sum"]) / count if count and found["sum"] else None
        if count:
            spread = {"mean": mean, "p50": p50, "p95": p95, "p99": p99, "least": None, "most": None}
            told.append({"metric": base, "labels": {}, "source": "histogram", "count": round(count), **spread})
    return told


def _sum(figures: Iterable[Figures]) -> float:
    return math.fsum(one.increase or 0.0 for one in figures)
