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
FAILED = re.compile(r".*(error|fail|exception|reject|abort|corrupt)")
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
    """`{total, per_second, errors, error_share}` from a service's counters of requests; None where it has none.

    An error is what the name of a counter says (error, fail, reject …), or a label of its outcome (5xx, error). A service that counts the
    same requests twice (in all, and by their outcome) is told by the counter that has outcomes.
    """
    counters: dict[str, list[Figures]] = defaultdict(list)
    for one in figures:
        if one.is_counter and REQUESTS.fullmatch(one.metric):
            counters[one.metric].append(one)
    asked = {name: series for name, series in counters.items() if not FAILED.fullmatch(name)}
    if not asked:
        return None
    with_outcome = {name: series for name, series in asked.items() if any(label in series[0].labels for label in OUTCOMES)}
    name, series = max((with_outcome or asked).items(), key=lambda item: (_sum(item[1]), item[0]))
    failed = [one for one in series if any(BAD_OUTCOME.fullmatch(one.labels.get(label, "")) for label in OUTCOMES)]
    if not with_outcome:
        failed = [one for other, all_ in counters.items() if FAILED.fullmatch(other) for one in all_]
    total, errors = _sum(series), _sum(failed)
    rate = math.fsum(one.per_second or 0.0 for one in series)
    return {"metric": name, "total": total, "per_second": rate, "errors": errors, "error_share": errors / total if total else None}


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
