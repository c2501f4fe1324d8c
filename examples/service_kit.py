"""What lets a model service be watched: metrics, a health that proves progress, load shedding. Copy it and service_log.py beside yours.

pip install prometheus-client interlock-cb
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import prometheus_client as metrics
from interlock import CircuitBreaker, CircuitOpenError, Config

from service_log import describe, log, measure_gpu

REQUESTS = metrics.Counter("http_requests_total", "Requests that were answered", ["method", "path", "status"])
SECONDS = metrics.Histogram("request_processing_seconds", "From the request to the end of its answer", ["task"])
FIRST_TOKEN = metrics.Histogram("time_to_first_token_seconds", "From the request to its first token", ["task"])
TOKENS = metrics.Counter("generated_tokens_total", "Tokens that the model gave")
SHED = metrics.Counter("requests_shed_total", "Requests that were turned away, for the model fails")
STEPS = metrics.Counter("model_steps_total", "Steps of the model: the heartbeat")
WORK = metrics.Gauge("requests_in_progress", "Requests that wait for the model, or run on it: the work")

SHEDDING = Config(  # more than half of the last 10 to 20 calls failed: 30 s of 503, and then one trial
    minimum_number_of_calls=10,
    window_size=20,
    failure_rate_threshold=0.501,
    wait_duration_in_open=30.0,
    permitted_calls_in_half_open=1,
)
breaker = CircuitBreaker(name="model", config=SHEDDING)
Token = tuple[str, float]
"""With its score, between 0 and 1."""
LOW = 0.4
"""A score below it is told: what comes in is unlike what the model has learnt."""


class ModelFailed(Exception):
    """It is in the log already, with its stack."""


class Progress:
    """Whether the model gets on with its work: a step now and then, while there is any. No step takes as long as `stuck_after` seconds."""

    def __init__(self, stuck_after: float = 20.0) -> None:
        self._stuck_after, self._lock = stuck_after, threading.Lock()
        self._requests, self._moved_at = 0, 0.0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around what is done for a request."""
        with self._lock:
            self._moved_at = self._moved_at if self._requests else time.monotonic()
            self._requests += 1
        try:
            with WORK.track_inprogress():
                yield
        finally:
            with self._lock:
                self._requests -= 1

    def step(self) -> None:
        STEPS.inc()
        self._moved_at = time.monotonic()

    def is_stuck(self) -> bool:
        return self._requests > 0 and time.monotonic() - self._moved_at > self._stuck_after


progress, one_step_at_a_time = Progress(), threading.Lock()


def run(task: str, content: bytes, tokens: Iterator[Token]) -> Iterator[Token]:
    """What the model gives for this input, token by token, measured and logged. Raises ModelFailed."""
    began, made = time.monotonic(), list[Token]()
    facts: dict[str, Any] = {"module": "inference", "task": task, **describe(content)}
    try:
        with progress.request():
            while token := take(tokens):
                if not made:
                    FIRST_TOKEN.labels(task).observe(time.monotonic() - began)
                made.append(token)
                yield token
    except Exception as error:
        log.error({**facts, "status": "failed", "error": str(error), **measure_gpu()}, exc_info=True)
        raise ModelFailed from error
    SECONDS.labels(task).observe(took := time.monotonic() - began)
    prediction, score = made[0]
    said = {"prediction": prediction, "score": score, "output_tokens": len(made), "inference_time_ms": round(took * 1000, 2)}
    how = (log.warning, "low_confidence") if score < LOW else (log.info, "success")
    how[0]({**facts, "status": how[1], **said, **measure_gpu()})


def take(tokens: Iterator[Token]) -> Token | None:
    """One step of the model; None after the last."""
    with one_step_at_a_time:
        token = next(tokens, None)
    if token is not None:
        progress.step()
        TOKENS.inc()
    return token


def tell_health() -> tuple[dict[str, Any], int]:
    """The body of /healthz and its status. An open breaker is no 503: the process is well, and another start would not help each time."""
    stuck = progress.is_stuck()
    return {"status": "stuck" if stuck else "ok", "breaker": breaker.state.name.lower()}, 503 if stuck else 200


def turn_away(error: CircuitOpenError) -> dict[str, str]:
    """The headers of a 503 that says: not now, but then."""
    SHED.inc()
    return {"Retry-After": str(math.ceil(error.retry_after or 1))}
