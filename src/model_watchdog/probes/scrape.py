"""Reads a service's own metrics, as Prometheus would."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from model_watchdog.answers import quote_body
from model_watchdog.asking import Asking, explain_status, find_faults, read_body
from model_watchdog.core.progress import STALLED_SECONDS
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Seconds, Secret, Url
from model_watchdog.errors import ProbeError
from model_watchdog.exposition import MOST_SERIES, Page, Reader, match_any
from model_watchdog.probes import Observation, Surroundings
from model_watchdog.wire import httpx

BODY_CAP = 16 * 1024 * 1024
"""Bytes of a page: the largest that are known have 5 MB."""
WHERE = "vLLM, SGLang, TGI and llama.cpp serve /metrics (SGLang with --enable-metrics, llama.cpp with --metrics), Triton on port 8002"
OURS = frozenset(
    {
        *("probe_success", "probe_duration_seconds", "probe_http_status_code", "probe_tls_expiry_seconds", STALLED_SECONDS),
        *("unit_active", "unit_restarts_total", "unit_cpu_seconds_total", "unit_memory_bytes", "unit_tasks", "unit_uptime_seconds"),
        *("service_cpu_percent", "service_memory_bytes", "service_gpu_memory_bytes", "service_open_files", "service_threads"),
        *("service_stuck_tasks", "canary_first_token_seconds", "canary_tokens_per_second", "canary_answer_correct", "canary_distance"),
        *(
            "canary_skipped_total",
            "log_records_total",
            "log_consecutive_errors",
            "log_pattern_matches_total",
            "log_field",
            "log_age_seconds",
        ),
    }
)
"""What the watchdog itself measures of a service. A page that gave one of these would speak for the probe that does, and a rule that
restarts would believe it."""


@dataclass(frozen=True)
class Scrape:
    """The kind `scrape`: a page in Prometheus' text format or OpenMetrics. `keep` names the metrics that are wanted, with `*` and `?`; the
    parts of a histogram (`_bucket`, `_sum`, `_count`) are metrics of their own. What `heartbeat` and `work` name is kept as well."""

    url: Url
    keep: tuple[str, ...] = ()
    headers: Mapping[str, Secret] = field(default_factory=dict)
    bearer: Secret | None = None
    ca_file: Path | None = None

    default_every: ClassVar[Seconds] = Seconds(10.0)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names that are stated whole."""
        return tuple(name for name in self.keep if not any(letter in name for letter in "*?["))

    def gives(self, metric: str) -> bool:
        """Whether this metric is kept, where the page has it."""
        return metric not in OURS and bool(match_any(self.keep)(metric))

    def faults(self) -> list[str]:
        """What is wrong with the options, one sentence each."""
        own = ", ".join(name for name in self.keep if name in OURS)
        return find_faults(self) + ([f"keep names what the watchdog itself measures, and no page may give: {own}"] if own else [])

    def open(self, surroundings: Surroundings) -> "_Running":
        """The probe, ready to be run; nothing is connected yet."""
        return _Running(self, surroundings.timeout)


class _Running:
    def __init__(self, config: Scrape, timeout: float) -> None:
        self._asking = Asking(config, timeout)
        self._reader = Reader(config.keep, OURS)

    async def observe(self) -> Observation:
        """Asks once. Raises ProbeError where the answer is no page of metrics, or does not come."""
        return await self._asking.ask(self._take)

    async def close(self) -> None:
        await self._asking.close()

    async def _take(self, response: httpx.Response) -> Observation:
        status = response.status_code
        if not 200 <= status < 300:
            hint = f"; is the path right? {WHERE}" if status in (404, 405) else ""
            raise ProbeError(Failure.STATUS, f"{explain_status(status)}{hint}")
        body = await read_body(response, BODY_CAP, self._asking.secrets)
        page = self._reader.read(body)
        if not page.is_metrics:
            shown = quote_body(body, self._asking.secrets)
            raise ProbeError(Failure.BODY, f"this is no page of metrics: it is {shown}; is the path right? {WHERE}")
        return Observation(page.samples, _describe(page))


def _describe(page: Page) -> str:
    notes = [f"{len(page.samples)} of {page.lines} series"]
    if page.dropped:
        notes.append(f"{page.dropped} more than the {MOST_SERIES} that are kept: name fewer in keep")
    if page.missing:
        notes.append(f"not on the page: {', '.join(page.missing)}")
    if page.refused:
        notes.append(f"the watchdog's own, and left out: {', '.join(page.refused)}")
    return "; ".join(notes)
