"""Requests and their errors, by the counters that servers really have."""

import pytest

from model_watchdog.report.figures import Figures
from model_watchdog.report.requests import tell_requests


def count(metric: str, increase: float, **labels: str) -> Figures:
    return Figures(metric, labels, 10, 0.0, 0.0, increase, increase, increase=increase, per_second=increase / 100)


PLAIN = [count("http_requests_total", 1000), count("http_requests_failed_total", 100), count("http_request_errors_total", 7)]
VLLM = [count("vllm:request_success_total", 90, finished_reason="stop"), count("vllm:request_success_total", 10, finished_reason="abort")]
TWICE = [count("requests_total", 1000), count("model_requests_total", 950, code="200"), count("model_requests_total", 50, code="500")]


@pytest.mark.parametrize(
    ("counters", "told"),
    [
        ([count("http_requests_total", 900, status="200"), count("http_requests_total", 100, status="503")], (1000, 100)),
        (
            PLAIN,
            (1000, 100),
        ),
        ([count("http_requests_total", 1000)], (1000, None)),
        ([count("sglang:num_requests_total", 100), count("sglang:num_aborted_requests_total", 40)], (100, None)),
        (
            [
                count("vllm:request_success_total", 90, finished_reason="stop"),
                count("vllm:request_success_total", 10, finished_reason="abort"),
            ],
            (100, None),
        ),
        ([count("grpc_requests_total", 5, code="OK"), count("http_requests_total", 1000)], (1000, None)),
        (
            [
                count("requests_total", 1000),
                count("model_requests_total", 950, code="200"),
                count("model_requests_total", 50, code="500"),
            ],
            (1000, 50),
        ),
        ([count("tgi_request_count_total", 0), count("http_requests_failed_total", 0)], (0, 0)),
    ],
)
def test_errors_are_what_counters_say_and_nothing_where_they_do_not(counters: list[Figures], told: tuple[float, float | None]) -> None:
    found = tell_requests(counters)
    assert found is not None and (found["total"], found["errors"]) == told
    share = None if told[1] is None or not told[0] else told[1] / told[0]
    assert found["error_share"] == (None if share is None else pytest.approx(share))


def test_a_service_without_such_a_counter_is_not_told() -> None:
    assert tell_requests([count("http_requests_failed_total", 3), count("tokens_total", 7)]) is None
