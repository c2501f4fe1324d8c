"""Which series the report draws, and how each is shown: its trend, what fired over it, and how its values are distributed."""

import html
import re
from collections.abc import Sequence
from typing import Any

from model_watchdog.language import phrase, strip_controls
from model_watchdog.levels import is_over
from model_watchdog.report.drawing import draw_bars, draw_line, find_range
from model_watchdog.report.saying import name_series, name_service, say_minute, say_value

Doc = dict[str, Any]

MOST_CHARTS = 120
FIRST = re.compile(
    r"gpu_(utilization|memory|temperature|power).*|host_(cpu|memory|disk|swap|load).*|.*(duration|latency|memory|cpu_percent|first_token).*"
    r"|.*requests?.*_total|canary_.*|log_.*"
)
"""What is drawn before anything else."""
NEVER = re.compile(
    r"(probe_success|unit_active|gpu_up|watchdog_up|gpu_.*(limit|total_bytes).*|host_disk_(read|written).*|.*_bucket|.*_sum)"
)


def write_charts(doc: Doc) -> str:
    """Those of the host and its GPUs, then those of each service; what never changed is not drawn."""
    chosen = choose(doc["series"])
    parts = []
    for service in dict.fromkeys(one["labels"].get("service") for one in chosen):
        drawn = [_write_chart(one, doc) for one in chosen if one["labels"].get("service") == service]
        name = phrase("Host and GPUs") if service is None else name_service(service)
        parts.append(f'<h3>{_escape(name)}</h3><div class="charts">{"".join(drawn)}</div>')
    if parts:
        left = sum(1 for one in doc["series"] if one not in chosen and _varies(one))
        if left:
            parts.append(f'<p class="quiet">{_escape(phrase("{count} more series are in the table below", count=left))}</p>')
    return "".join(parts)


def choose(series: Sequence[Doc]) -> list[Doc]:
    """At most so many, the host's first, then service by service, in the order of their names."""
    drawable = [one for one in series if _varies(one) and not NEVER.fullmatch(one["metric"])]
    best = sorted(drawable, key=lambda one: not FIRST.fullmatch(one["metric"]))[:MOST_CHARTS]
    return sorted(best, key=lambda one: (one["labels"].get("service") or "", one["metric"], sorted(one["labels"].items())))


def _varies(one: Doc) -> bool:
    if "increase" in one:
        return bool(one["increase"]) and len(one["points"]) > 1
    return bool(one["most"] > one["least"]) and len(one["points"]) > 1


def _write_chart(one: Doc, doc: Doc) -> str:
    metric, labels, points = one["metric"], one["labels"], one["points"]
    period = doc["period"]
    since, until = max(period["since"], period["measured_since"] or 0.0), period["until"]
    name, is_rate = name_series(metric, labels), "increase" in one
    level = find_level(one, doc["levels"]) if not is_rate else None
    low, high = find_range(points, level)
    marks = [mark for mark in doc["anomalies"] if mark["service"] in (None, labels.get("service")) and _is_about(mark, one)]
    plot = draw_line(points, since, until, marks, level, phrase("{series} over time", series=name))
    if is_rate:
        told = phrase("{rate} a second on average", rate=say_value(metric, one["per_second"], labels))
    else:
        shares = {
            key: say_value(metric, one["quantiles"][share], labels) for key, share in (("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99"))
        }
        told = phrase("mean {mean}", mean=say_value(metric, one["mean"], labels))
        told += "".join(f" · {key} {text}" for key, text in shares.items())
    parts = [
        f"<figure><figcaption>{_escape(name)}<span>{_escape(told)}</span></figcaption>",
        f'<div class="{"both" if one.get("bars") else ""}"><div>{_ends(say_value(metric, high, labels), phrase("most"))}{plot}',
        f"{_ends(say_value(metric, low, labels), phrase('least'))}{_ends(say_minute(since), say_minute(until))}</div>",
    ]
    if one.get("bars"):
        first, last = one["bars"][0][0], one["bars"][-1][1]
        drawn = draw_bars(one["bars"], phrase("distribution of {series}", series=name))
        ends = _ends(say_value(metric, first, labels), say_value(metric, last, labels))
        parts.append(f"<div>{_ends(phrase('Distribution'), '')}{drawn}{ends}</div>")
    return "".join([*parts, "</div></figure>"])


def find_level(one: Doc, levels: Sequence[Doc]) -> float | None:
    """The level at which a rule over this series fires; None where there is none."""
    for rule in levels:
        if is_over(rule, one["metric"], one["labels"]):
            level = rule["above"] if rule["above"] is not None else rule["below"]
            if level is not None:
                return float(level)
    return None


def _is_about(mark: Doc, one: Doc) -> bool:
    """By the series that the event names; where it names none (of an older version), by the words of its reason."""
    if mark["series"]:
        metric, _, rest = str(mark["series"]).partition("{")
        return metric == one["metric"] and all(f'{name}="{value}"' in rest for name, value in one["labels"].items())
    told = [one["metric"], *(value for name, value in one["labels"].items() if name not in ("service", "uuid"))]
    return all(word in mark["reason"] for word in told)


def _ends(left: str, right: str) -> str:
    return f'<div class="ends"><span>{_escape(left)}</span><span>{_escape(right)}</span></div>'


def _escape(text: object) -> str:
    return html.escape(strip_controls(str(text)))
