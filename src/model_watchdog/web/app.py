"""The addresses and what they answer. Everything is read; nothing is kept but what is the same for all."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from model_watchdog import status
from model_watchdog.errors import WatchdogError
from model_watchdog.language import LANGUAGES, strip_controls
from model_watchdog.record import Record
from model_watchdog.report.period import NoPeriod
from model_watchdog.stories import as_json, find_story, list_incidents, with_times
from model_watchdog.web import metrics, page
from model_watchdog.web.access import Hosts, Secrets
from model_watchdog.web.charts import find_trend
from model_watchdog.web.guard import Guard
from model_watchdog.web.live import MOST_STREAMS, Live, dump
from model_watchdog.web.reports import Busy, Reports
from model_watchdog.web.timeline import find_timeline

DAY = 86_400.0
READY = ("healthy", "busy", "degraded")
STATIC = Path(__file__).with_name("static")
FILES = {"app.js": "text/javascript", "app.css": "text/css", "uPlot.iife.min.js": "text/javascript", "uPlot.min.css": "text/css"}
_UNITS = {"m": 60.0, "h": 3600.0, "d": DAY}


def make_app(state_dir: str, runtime_dir: str, hosts: Hosts, secrets: Secrets | None) -> Guard:
    """The whole of it, as an ASGI application."""
    site = Site(Live(state_dir, runtime_dir), Reports(state_dir))
    routes = [
        Route("/", site.page),
        Route("/incidents/{id}", site.incident_page),
        Route("/report", site.report),
        Route("/metrics", site.metrics),
        Route("/healthz", site.healthz),
        Route("/ready/{service}", site.ready),
        Route("/static/{name}", site.static),
        Route("/api/v1/status", site.status),
        Route("/api/v1/live", site.live),
        Route("/api/v1/incidents", site.incidents),
        Route("/api/v1/incidents/{id}", site.incident),
        Route("/api/v1/events", site.events),
        Route("/api/v1/series", site.series),
        Route("/api/v1/trend", site.trend),
        Route("/api/v1/timeline", site.timeline),
        Route("/api/v1/report", site.report_document),
    ]
    handlers = {WatchdogError: _tell_error, HTTPException: _tell_http_error}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), hosts, secrets)


class Site:
    """One method an address. Those that read the record are plain functions, which have a thread each: a long question holds up nobody."""

    def __init__(self, live: Live, reports: Reports) -> None:
        self._live, self._reports = live, reports
        self._oldest: float | None = None
        self._files = {name: ((STATIC / name).read_bytes(), kind) for name, kind in FILES.items()}

    async def page(self, request: Request) -> Response:
        doc = await self._live.look()
        if self._oldest is None:
            self._oldest = await asyncio.to_thread(self._find_oldest)
        return _html(page.write_page(doc, _choose_language(request, self._live.language), self._oldest))

    def _find_oldest(self) -> float | None:
        """When the first event that is known happened; None where there is none, or no record to be read while a daemon tells of itself."""
        try:
            with self._live.open() as record:
                rows = record.rows("SELECT at FROM event ORDER BY id LIMIT 1")
        except WatchdogError:
            return None
        return float(rows[0]["at"]) if rows else None

    def incident_page(self, request: Request) -> Response:
        with self._live.open() as record:
            story, spoken = _find_story(record, request), (record.daemon() or {}).get("language")
        return _html(page.write_incident(story, _choose_language(request, spoken), time.time()))

    async def report(self, request: Request) -> Response:
        """One page, to keep and to send: it is downloaded."""
        text = await self._make_report(request, "html")
        name = f"report-{datetime.now():%Y-%m-%d}.html"
        return Response(text, media_type="text/html; charset=utf-8", headers={"content-disposition": f'attachment; filename="{name}"'})

    async def report_document(self, request: Request) -> Response:
        return Response(await self._make_report(request, "json"), media_type="application/json")

    async def _make_report(self, request: Request, form: str) -> bytes:
        await self._live.look()  # the daemon's language is known then
        try:
            language = _choose_language(request, self._live.language)
            return await self._reports.make(request.query_params.get("since", "7d"), language, form)
        except NoPeriod as error:
            raise HTTPException(400, str(error)) from None
        except Busy as error:
            raise HTTPException(503, str(error), {"retry-after": "5"}) from None
        except TimeoutError:
            raise HTTPException(504, "the report takes too long; ask for a shorter time") from None

    async def metrics(self, request: Request) -> Response:
        values = await self._live.measure()
        text = metrics.write(values, with_services_own=request.query_params.get("scrape") == "1")
        return Response(text, media_type=metrics.TYPE)

    def healthz(self, request: Request) -> Response:
        with self._live.open() as record:
            for part in (record.updated_at, record.services, record.last_event, record.incidents):
                part()
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """By what is last known: while the daemon does not run nobody is taken out for it."""
        doc, name = await self._live.look(), request.path_params["service"]
        found = next((service for service in doc["services"] if service["name"] == name), None)
        if found is None:
            unread = next((problem["reason"] for problem in doc["daemon"]["problems"] if problem["cause"] == status.UNWRITABLE), None)
            if unread is not None and not doc["services"]:
                raise HTTPException(503, unread)
            raise HTTPException(404, "there is no such service")
        is_ready = found["state"] in READY
        return PlainTextResponse(f"{found['state']}\n", status_code=200 if is_ready else 503)

    async def static(self, request: Request) -> Response:
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "there is no such file")
        return Response(found[0], media_type=found[1], headers={"cache-control": "max-age=3600"})

    async def status(self, request: Request) -> Response:
        return _json(await self._live.look())

    async def live(self, request: Request) -> Response:
        if self._live.streams >= MOST_STREAMS:
            raise HTTPException(503, f"{MOST_STREAMS} pages are open; close one", headers={"retry-after": "10"})

        events = self._live.follow()
        first = await anext(events)  # it is counted from here on
        return StreamingResponse(_chain(first, events), media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    def incidents(self, request: Request) -> Response:
        now = time.time()
        with self._live.open() as record:
            found = list_incidents(record, now - _read_span(request, 7 * DAY), request.query_params.get("service"), now)
        return _json([as_json(story) for story in found])

    def incident(self, request: Request) -> Response:
        with self._live.open() as record:
            return _json(_find_story(record, request))

    def events(self, request: Request) -> Response:
        since = time.time() - _read_span(request, DAY)
        with self._live.open() as record:
            found = record.events(service=request.query_params.get("service"), since=since, limit=1000)
        return _json([{key: value for key, value in event.items() if key != "id"} for event in found])

    def series(self, request: Request) -> Response:
        with self._live.open() as record:
            return _json(record.series())

    def trend(self, request: Request) -> Response:
        metric, labels = request.query_params.get("metric", ""), _read_labels(request)
        now = time.time()
        with self._live.open() as record:
            since, until = _read_window(request, now)
            doc = find_trend(record, metric, labels, since, until)
            if not doc["at"] and (meant := _find_meant(record, metric, labels)):
                doc = find_trend(record, metric, meant, since, until)
        return _json(doc)

    def timeline(self, request: Request) -> Response:
        now = time.time()
        with self._live.open() as record:
            return _json(find_timeline(record, now - _read_span(request, DAY), now))


async def _chain(first: str, events: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for event in events:
        yield event


def _find_story(record: Record, request: Request) -> dict[str, Any]:
    story = find_story(record, _read_id(request), time.time())
    if story is None:
        raise HTTPException(404, "there is no incident of that number")
    return with_times(story)


def _choose_language(request: Request, of_daemon: str | None) -> str:
    """The one asked for, else the daemon's, in which the reasons are told."""
    return next((one for one in (request.query_params.get("lang"), of_daemon) if one in LANGUAGES), "en")


def _read_id(request: Request) -> int:
    text = request.path_params["id"]
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise HTTPException(404, "an incident's number is wanted")
    return int(text)


def _read_span(request: Request, default: float) -> float:
    """`since=30m`, `6h`, `7d`: how far back."""
    text = request.query_params.get("since")
    if text is None:
        return default
    match = re.fullmatch(r"([0-9]{1,5})([mhd])", text)
    if not match or not 0 < float(match[1]) * _UNITS[match[2]] <= 400 * DAY:
        raise HTTPException(400, "since: write it like 30m, 6h or 7d; 400d is the longest")
    return float(match[1]) * _UNITS[match[2]]


def _read_window(request: Request, now: float) -> tuple[float, float]:
    """`from=` and `until=` in unix seconds, or `since=` up to now."""
    begin, end = request.query_params.get("from"), request.query_params.get("until")
    if begin is None and end is None:
        return now - _read_span(request, DAY), now
    if not all(text and re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,9})?", text) for text in (begin, end)):
        raise HTTPException(400, "from and until go together: write them in unix seconds")
    since, until = float(begin or 0), float(end or 0)
    if not 0 < until - since <= 400 * DAY:
        raise HTTPException(400, "until: it comes after from, by 400 days at most")
    return since, until


def _find_meant(record: Record, metric: str, labels: dict[str, str]) -> dict[str, str] | None:
    """The labels as they are kept, of a series whose labels were handed out clean."""
    for one in record.series():
        if one["metric"] == metric and one["labels"] != labels and _clean(one["labels"]) == labels:
            return dict(one["labels"])
    return None


def _read_labels(request: Request) -> dict[str, str]:
    try:
        labels = json.loads(request.query_params.get("labels", "{}"))
    except (ValueError, RecursionError):
        labels = None
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise HTTPException(400, 'labels: write them as a JSON object of texts, like {"gpu": "0"}')
    return labels


def _clean(value: object) -> object:
    """Every text of it without what a terminal obeys or what turns text around."""
    if isinstance(value, str):
        return strip_controls(value)
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list | tuple) else value


def _json(value: object) -> Response:
    return Response(dump(_clean(value)).encode(errors="replace"), media_type="application/json")


def _html(text: str) -> Response:
    return Response(text.encode(errors="replace"), media_type="text/html; charset=utf-8")


async def _tell_error(request: Request, error: Exception) -> Response:
    """The record cannot be read: why, and what mends it."""
    if request.url.path.startswith("/api/"):
        return Response(dump({"error": str(error)}), status_code=503, media_type="application/json")
    return PlainTextResponse(f"{error}\n", status_code=503)


async def _tell_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/api/"):
        return Response(dump({"error": error.detail}), error.status_code, error.headers, "application/json")
    return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)
