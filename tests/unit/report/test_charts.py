"""What the report draws: each series with what fired over it and nothing else, gaps as gaps, within the frame."""

import re
from typing import Any

import pytest

from model_watchdog.report.charts import choose, find_level, write_charts
from model_watchdog.report.drawing import HEIGHT, WIDTH, draw_bars, draw_line, draw_strip, find_range, split_at_gaps
from model_watchdog.report.saying import say_share, say_value

Doc = dict[str, Any]


def gauge(metric: str, service: str | None = None, points: int = 10, **labels: str) -> Doc:
    made = [(float(number), 1.0, 2.0, 3.0 + number) for number in range(points)]
    known = {**labels, **({"service": service} if service else {})}
    quantiles = {"0.01": 1.0, "0.5": 2.0, "0.95": 3.0, "0.99": 3.0}
    return {
        "metric": metric,
        "labels": known,
        "count": points,
        "last": 2.0,
        "least": 1.0,
        "mean": 2.0,
        "most": 3.0 + points,
        "quantiles": quantiles,
        "bars": [(1.0, 2.0, 3), (2.0, 3.0, 0)],
        "points": made,
    }


def report(*series: Doc, anomalies: list[Doc] | None = None, levels: list[Doc] | None = None) -> Doc:
    period = {"since": 0.0, "until": 10.0, "measured_since": 0.0}
    return {"period": period, "series": list(series), "anomalies": anomalies or [], "levels": levels or []}


def count_marks(doc: Doc) -> dict[str, int]:
    figures = re.findall(r"<figcaption>(.*?)<span>.*?</figcaption>(.*?)</figure>", write_charts(doc))
    return {name: inside.count('class="mark"') for name, inside in figures}


def test_what_fired_is_marked_on_its_series_alone() -> None:
    fired = {"at": 5.0, "service": None, "rule": "hot", "series": 'gpu_power_watts{gpu="1", uuid="b"}', "reason": "hot"}
    doc = report(gauge("gpu_power_watts", gpu="0", uuid="a"), gauge("gpu_power_watts", gpu="1", uuid="b"), anomalies=[fired])
    assert count_marks(doc) == {"gpu_power_watts {gpu=0}": 0, "gpu_power_watts {gpu=1}": 1}


def test_where_an_event_names_no_series_its_words_tell_and_its_service() -> None:
    said = "probe_duration_seconds{probe=health} is 3, above 1"
    fired = [{"at": 5.0, "service": "chat", "rule": None, "series": None, "reason": said}]
    series = gauge("probe_duration_seconds", "chat", probe="health"), gauge("probe_duration_seconds", "bert", probe="health")
    bert, chat = re.findall(r"<figure>.*?</figure>", write_charts(report(*series, anomalies=fired)))
    assert (bert.count('class="mark"'), chat.count('class="mark"')) == (0, 1)


def test_what_never_changed_is_not_drawn_and_the_most_telling_comes_first() -> None:
    flat = {**gauge("gpu_power_watts", gpu="9"), "most": 1.0}
    many = [gauge(f"x{number}") for number in range(150)]
    chosen = choose([*many, flat, gauge("gpu_utilization_percent", gpu="0"), gauge("probe_success", "chat")])
    names = [one["metric"] for one in chosen]
    assert len(chosen) == 120 and "gpu_utilization_percent" in names and "gpu_power_watts" not in names and "probe_success" not in names
    assert "more series are in the table below" in write_charts(report(*many))


@pytest.mark.parametrize(
    ("rule", "level"),
    [
        ({"metric": "m", "service": "chat", "above": 5.0, "below": None}, 5.0),
        ({"metric": "m", "service": "chat", "selector": 'm{gpu="0"}', "above": None, "below": 2.0}, 2.0),
        ({"metric": "m", "service": "bert", "selector": "m", "above": 5.0, "below": None}, None),
        ({"metric": "m", "service": "chat", "selector": 'm{gpu="1"}', "above": 5.0, "below": None}, None),
        ({"metric": "other", "service": "chat", "selector": "other", "above": 5.0, "below": None}, None),
        ({"metric": "m", "service": "chat", "selector": "m", "above": None, "below": None}, None),
    ],
)
def test_the_level_of_a_rule_over_it(rule: Doc, level: float | None) -> None:
    assert find_level(gauge("m", "chat", gpu="0"), [rule]) == level


def test_a_time_without_samples_is_a_gap() -> None:
    points = [(float(at), 1.0, 1.0, 1.0) for at in (0, 1, 2, 3, 20, 21, 22)]
    assert [len(piece) for piece in split_at_gaps(points)] == [4, 3]
    assert draw_line(points, 0, 30, [], None, "x").count("M") == 4, "two pieces of the band and two of the line"
    assert len(split_at_gaps(points[:1])) == 1


def test_everything_lies_within_the_frame() -> None:
    points = [(float(at), -5.0 - at, at * 1.0, 7.0 * at) for at in range(50)]
    drawn = draw_line(points, 0, 50, [{"at": 25.0, "reason": "<&>"}], 9.0, '"label"')
    for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", drawn):
        assert -0.1 <= float(x) <= WIDTH + 0.1 and -0.1 <= float(y) <= HEIGHT + 0.1
    assert "&lt;&amp;&gt;" in drawn and 'aria-label="&quot;label&quot;"' in drawn


@pytest.mark.parametrize(
    ("points", "level", "found"),
    [
        ([(0.0, 1.0, 2.0, 3.0)], None, (1.0, 3.0)),
        ([(0.0, 1.0, 2.0, 3.0)], 4.0, (1.0, 4.0)),
        ([(0.0, 1.0, 2.0, 3.0)], 1000.0, (1.0, 3.0)),
        ([(0.0, 2.0, 2.0, 2.0)], None, (1.9, 2.1)),
        ([(0.0, 0.0, 0.0, 0.0)], None, (-0.5, 0.5)),
    ],
)
def test_a_level_is_shown_where_it_does_not_flatten_the_line(points: Any, level: float | None, found: tuple[float, float]) -> None:
    assert find_range(points, level) == pytest.approx(found)


def test_bars_are_as_tall_as_their_share_and_an_outage_of_a_second_in_a_month_is_seen() -> None:
    heights = [float(tall) for tall in re.findall(r' height="([\d.]+)"', draw_bars([(0, 1, 10), (1, 2, 5), (2, 3, 0)], "x"))]
    assert heights == [100.0, 50.0, 0.0]
    month = 30 * 86_400.0
    spans = [
        {"since": 0.0, "until": 1000.0, "kind": "up", "state": "healthy"},
        {"since": 1000.0, "until": 1001.0, "kind": "down", "state": "dead"},
        {"since": 1001.0, "until": month, "kind": "up", "state": "healthy"},
    ]
    drawn = draw_strip(spans, 0.0, month, "x")
    assert float(re.findall(r'k-down" x="[\d.]+" width="([\d.]+)"', drawn)[0]) >= 5
    assert drawn.index("k-down") > drawn.rindex("k-up"), "on top of the others"


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("service_memory_bytes", 3 * 2**30, "3 GiB"),
        ("probe_duration_seconds", 0.00123, "1.23 ms"),
        ("probe_duration_seconds", 75.0, "1 min 15 s"),
        ("gpu_temperature_celsius", 61.25, "61.2 °C"),
        ("http_requests_total", 1234567.0, "1,234,567"),
        ("host_load1", None, "–"),
        ("host_load1", float("nan"), "–"),
    ],
)
def test_values_are_told_in_their_units(metric: str, value: float | None, text: str) -> None:
    assert say_value(metric, value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, "100 %"), (0.999999, "> 99.99 %"), (0.9989, "99.89 %"), (0, "0 %"), (0.000001, "< 0.01 %"), (None, "–")],
)
def test_what_is_not_quite_all_is_not_told_as_all(share: float | None, text: str) -> None:
    assert say_share(share) == text
