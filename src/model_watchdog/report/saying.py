"""Figures and names as people read them, in the language that is spoken."""

import math
from datetime import datetime
from typing import Any

from model_watchdog.language import one_line, phrase
from model_watchdog.wording import duration

Doc = dict[str, Any]

NOTHING = "–"
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
UNNAMED_LABELS = ("service", "uuid")


def say_value(metric: str, value: float | None, labels: dict[str, str] | None = None) -> str:
    """A value in the unit that its metric's name ends in."""
    if value is None or not math.isfinite(value):
        return NOTHING
    name = (labels or {}).get("field", metric) if metric == "log_field" else metric
    bare = name.removesuffix("_total")
    if bare.endswith("_bytes"):
        return say_bytes(value)
    if bare.endswith("_seconds"):
        return say_seconds(value)
    if bare.endswith(("_ms", "_milliseconds")):
        return say_seconds(value / 1000)
    for ending, unit in (("_percent", "%"), ("_perc", ""), ("_celsius", "°C"), ("_watts", "W"), ("_hertz", "Hz")):
        if bare.endswith(ending):
            return f"{say_number(value)} {unit}".rstrip()
    return say_number(value)


def say_number(value: float | None) -> str:
    """Three digits that count, and thousands apart."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000 or (size >= 1 and value == int(value)):
        return f"{value:,.0f}"
    return f"{value:.3g}" if size >= 1e-4 else f"{value:.1e}"


def say_bytes(value: float) -> str:
    size, power = float(value), 0
    while abs(size) >= 1024 and power < len(_BYTES) - 1:
        size, power = size / 1024, power + 1
    return f"{size:.3g} {_BYTES[power]}" if abs(size) < 1000 else f"{size:.0f} {_BYTES[power]}"


def say_seconds(value: float) -> str:
    """Milliseconds, seconds, and from a minute on as durations are told."""
    if abs(value) >= 60:
        return duration(value)
    if abs(value) >= 1:
        return f"{value:.3g} s"
    return f"{value * 1000:.3g} ms" if value else "0 s"


def say_share(share: float | None, digits: int = 2) -> str:
    """As per cent; what is not quite all is not told as all."""
    if share is None:
        return NOTHING
    if share in (0, 1):
        return "0 %" if share == 0 else "100 %"
    text = f"{share * 100:.{digits}f}"
    if share < 1 and float(text) == 100:
        text = f"> {100 - 10**-digits:.{digits}f}"
    if share > 0 and float(text.lstrip("> ")) == 0:
        text = f"< {10**-digits:.{digits}f}"
    return f"{text} %"


def say_time(at: float | None) -> str:
    """Local time."""
    return NOTHING if at is None else f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"


def say_minute(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}"


def name_series(metric: str, labels: dict[str, str]) -> str:
    """The metric with its labels, without those that are named beside it."""
    told = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in UNNAMED_LABELS)
    return one_line(f"{metric} {{{told}}}" if told else metric)


def name_service(name: str | None) -> str:
    return phrase("the host") if name is None else one_line(name)


def say_times(times: Doc | None) -> str:
    """Median and greatest of some durations."""
    if times is None:
        return NOTHING
    if times["max"] - times["median"] <= 0.05 * times["max"] or times["count"] == 1:
        return say_seconds(times["max"])
    return phrase("{median}, at most {most}", median=say_seconds(times["median"]), most=say_seconds(times["max"]))


def tell_uncounted(seconds: Doc) -> str:
    """What is not counted, and how long it was; nothing where all was."""
    names = {
        "paused": phrase("paused"),
        "stopped": phrase("stopped on purpose"),
        "sleeping": phrase("sleeping"),
        "unknown": phrase("unknown"),
        "not_watched": phrase("not watched"),
    }
    return phrase(", ").join(f"{name} {duration(seconds[kind])}" for kind, name in names.items() if seconds[kind] >= 1)


def tell_restarts(restarts: Doc) -> str:
    """How many, and what came of them."""
    if not restarts["count"]:
        return "0"
    results = phrase(", ").join(f"{count} {name_result(result)}" for result, count in restarts["results"].items())
    return f"{restarts['count']} ({results})"


def name_kind(kind: str) -> str:
    """What a stretch of time counts for."""
    names = {
        "up": phrase("healthy, busy or degraded"),
        "loading": phrase("loading"),
        "down": phrase("down"),
        "paused": phrase("paused"),
        "stopped": phrase("stopped on purpose, or sleeping"),
        "not_watched": phrase("not watched"),
    }
    return names.get(kind, kind)


def name_result(result: str | None) -> str:
    return phrase(result or "open")


def tell_trend(trend: Doc) -> str:
    """One sentence: from where to where, how fast, and how sure it is."""
    metric, labels = trend["metric"], trend["labels"]
    blanks: dict[str, object] = {
        "begin": say_value(metric, trend["begin"], labels),
        "end": say_value(metric, trend["end"], labels),
        "days": trend["days"],
        "slope": ("+" if trend["per_day"] > 0 else "−") + say_value(metric, abs(trend["per_day"]), labels),
        "chance": f"{trend['chance']:.1g}",
    }
    text = phrase("from {begin} to {end} in {days} days: {slope} a day (by chance: p = {chance})", **blanks)
    if trend["full_in_days"] is not None and trend["full_in_days"] < 3650:
        text += phrase("; at 100 % in {days} days", days=f"{trend['full_in_days']:.0f}")
    return text


def tell_wolf(wolf: Doc) -> str:
    """How often, and how short."""
    text = "{count} of {fired} ended by themselves, after {times}; nobody and nothing had done anything"
    lasting = {"count": wolf["count"], "median": wolf["median_seconds"], "max": wolf["longest_seconds"]}
    return phrase(text, count=wolf["count"], fired=wolf["fired"], times=say_times(lasting))
