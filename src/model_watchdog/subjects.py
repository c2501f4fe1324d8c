"""The subjects of a replay: a service as `core.service.step` sees it, and the host as `core.host.step_host` does.

What the record does not hold is taken as it most likely was: a failed probe that took all its time timed out with nothing of the service
moving, any other was refused or answered with a bad status; a unit that was down had ended by itself, unless the record's events
say that somebody stopped it. A restart that would have been made is taken to give a new process, which does what the data say.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf

from model_watchdog.core.alert import Alert
from model_watchdog.core.arrivals import Arrivals
from model_watchdog.core.decision import Restart, State
from model_watchdog.core.diagnosis import CANARY_CORRECT
from model_watchdog.core.facts import Facts
from model_watchdog.core.gap import begin_after_gap
from model_watchdog.core.host import HostState, step_host
from model_watchdog.core.restarting import answered
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Failure, Outcome, Sample, SeriesId
from model_watchdog.core.service import step
from model_watchdog.core.state import STALE_AFTER, Service, ServiceState
from model_watchdog.core.unit import Ended, Ending, UnitFacts
from model_watchdog.core.unstable import UNSTABLE
from model_watchdog.ledger import Ledger
from model_watchdog.replaying import Span, Subject, find_newest, keeps_coming

NEW_LIFE = 3.0
"""Seconds by which the start of a unit, reckoned back from its age, must have moved for it to be another one."""

Stops = Sequence[tuple[float, float]]
"""Times, each from and to, in which somebody had stopped the unit on purpose."""


class ServiceSubject(Subject):
    """One service. `inhibited` gives the host's rule that forbade restarts at a time."""

    def __init__(
        self,
        service: Service,
        find_probe: Callable[[SeriesId], str],
        ledger: Ledger,
        inhibited: Callable[[float], str] = lambda at: "",
        stops: Stops = (),
    ) -> None:
        super().__init__(service.name, service.rules, find_probe, ledger)
        self.service = service
        self.state: ServiceState | None = None
        self._kinds = {plan.name: plan.kind for plan in service.probes}
        self._timeouts = {plan.name: float(plan.timeout) for plan in service.probes}
        self._inhibited = inhibited
        self._stops = stops
        self._next_id = 1
        self._life = 0
        self._started: float | None = None
        self._replaced_at = float("-inf")

    @property
    def alerts(self) -> dict[str, Alert]:
        return {} if self.state is None else self.state.alerts

    def begin_after_gap(self, at: float) -> None:
        if self.state is None:
            return
        begin_after_gap(self.service, self.state, at)
        self.state.watched_since = at
        if self.state.arrivals is not None:
            self.state.arrivals = Arrivals.expecting(at, self.state.alerts)

    def feed(self, probe: str, samples: tuple[Sample, ...], at: float) -> None:
        """One run of a probe, and before it what had come due by then."""
        if self.state is None:
            self.state = ServiceState.fresh(self.service, at - max(self._timeouts.values(), default=0.0))  # it was there before
        state, kind = self.state, self._kinds.get(probe, "")
        while state.wake_at is not None and state.wake_at < at:
            self._step([], None, state.wake_at)
        outcome = self._make_outcome(probe, kind, samples, at)
        unit = self._make_facts(samples, at) if kind == "unit" else None
        self._step([outcome], unit, at)

    def is_calm(self, spans: Sequence[Span]) -> bool:
        state, service = self.state, self.service
        if state is None or state.state is not State.HEALTHY or not state.settled or state.attempt is not None or service.progress:
            return False
        if state.problems or state.gave_up or state.busy or state.queued_since is not None or state.unwell_since is not None:
            return False
        begin = min(span.track.column.times[span.begin] for span in spans)
        end = max(span.last for span in spans)
        if state.well_since is None or begin - state.well_since < service.stable or any(state.mute.values()) or state.grace_until > begin:
            return False
        breaker = state.breaker
        if breaker.state != "closed" or breaker.failures or breaker.restarts or breaker.healthy_since is None:
            return False  # an hour of health will change it
        if any(alert.is_firing and alert.rule.then == "restart" for alert in state.alerts.values()):
            return False
        plans = {plan.name: plan for plan in service.probes}
        speaking = set()
        for span in spans:
            metric, probe = span.track.column.series.metric, span.track.probe
            values = span.track.column.values[span.begin : span.end]
            if metric in ("probe_success", "unit_active", CANARY_CORRECT) and min(values) < 1.0:
                return False
            if metric == "unit_restarts_total" and min(values) != max(values):
                return False
            if metric == "unit_uptime_seconds" and not self._is_one_life(span):
                return False
            if metric == "probe_success" and probe in service.health_probes:
                last, plan = state.outcomes.get(probe), plans[probe]
                if last is None or not last.ok or not keeps_coming(span, last.at, STALE_AFTER * plan.every + plan.timeout):
                    return False
                if end - span.last > STALE_AFTER * plan.every + plan.timeout:
                    return False
                speaking.add(probe)
        return speaking == service.health_probes and _all_arrive(state.arrivals, state.alerts, self.rules, spans, end)

    def find_end(self, condition: Alert) -> float:
        """What is unstable is so until it was not bad anew for a while: with alerts that come and go, most of the time."""
        policy, turns = self.service.unstable, self.state.turns if self.state is not None else []
        return turns[-1] + policy.within if condition.rule.name == UNSTABLE and policy is not None and turns else float("-inf")

    def pass_runs(self, spans: Sequence[Span]) -> None:
        assert self.state is not None
        due, unstable = _pass_arrivals(self.state.arrivals, self.state.alerts, self.rules, spans), self.service.unstable
        if unstable is not None and self.state.turns:
            over = self.state.turns[-1] + unstable.within
            due = min(over, inf if due is None else due) if over > max(span.last for span in spans) else due
        self.state.wake_at = due
        for probe, (at, samples) in find_newest(spans).items():
            self.state.outcomes[probe] = self._make_outcome(probe, self._kinds.get(probe, ""), samples, at)
            self.state.judged[probe] = at

    def _is_one_life(self, span: Span) -> bool:
        """The unit's age grew with time all along: nothing began anew."""
        times, ages = (part[span.begin : span.end] for part in (span.track.column.times, span.track.column.values))
        first, last = times[0] - ages[0], times[-1] - ages[-1]
        return self._started is not None and abs(first - self._started) <= NEW_LIFE and abs(last - first) <= NEW_LIFE

    def _step(self, outcomes: Sequence[Outcome], unit: UnitFacts | None, now: float) -> None:
        assert self.state is not None
        facts = Facts(unit=unit, ended=self._ended(unit, now), inhibited=self._inhibited(now), next_id=self._next_id)
        self._next_id += 1
        decisions = step(self.service, self.state, outcomes, facts, now)
        self.ledger.note(self, decisions, now)  # before the restart is answered, which ends what was counted before it
        if any(isinstance(decision, Restart) for decision in decisions):
            self._replaced_at = now
            self._life += 1
            answered(self.state, now)

    def _ended(self, unit: UnitFacts | None, now: float) -> Ended | None:
        if unit is None or not unit.is_down:
            return None
        stopped = any(begin <= now < end for begin, end in self._stops)
        return Ended(Ending.OPERATOR_STOP if stopped else Ending.BY_ITSELF)

    def _make_outcome(self, probe: str, kind: str, samples: tuple[Sample, ...], at: float) -> Outcome:
        """A run as its samples tell of it. One that says nothing of its success, as of numbers from a file, was good."""
        found = {sample.series.metric: sample.value for sample in samples}
        took = max(0.0, found.get("probe_duration_seconds", 0.0))
        ok = found.get("probe_success", 1.0) == 1.0
        failure, detail = None, ""
        if not ok and took >= self._timeouts.get(probe, 5.0) * 0.98:
            failure, detail = Failure.TIMEOUT, f"no answer within {self._timeouts.get(probe, 5.0):g} s"
        elif not ok:
            code = found.get("probe_http_status_code")
            failure, detail = (Failure.REFUSED, "it failed") if code is None else (Failure.STATUS, f"status {code:g}")
        return Outcome(probe, at, at - took if kind != "unit" else at, ok, failure, detail, samples)

    def _make_facts(self, samples: Sequence[Sample], at: float) -> UnitFacts | None:
        found = {sample.series.metric: sample.value for sample in samples}
        if "unit_active" not in found:
            return None  # between two states
        is_up = found["unit_active"] == 1.0
        started = at - found["unit_uptime_seconds"] if "unit_uptime_seconds" in found else None
        if is_up and (self._started is None or (started is not None and abs(started - self._started) > NEW_LIFE)):
            self._life += 1
            self._started = started if started is not None else at
        began = max(self._started if self._started is not None else at, self._replaced_at)
        restarts = int(found.get("unit_restarts_total", 0))
        name, life = self.service.unit or "", str(self._life)
        if is_up:
            return UnitFacts(name, at, main_pid=self._life, invocation=life, restarts=restarts, inactive_exit_at=began)
        ended = {"result": "exit-code", "exit_code": 1, "exit_status": 1, "main_exit_at": at - 1.0, "active_exit_at": at - 0.9}
        return UnitFacts(name, at, active="failed", sub="failed", invocation=life, restarts=restarts, inactive_exit_at=began, **ended)  # type: ignore[arg-type]


class HostSubject(Subject):
    """The host, with its own rules."""

    def __init__(self, rules: Sequence[Rule], find_probe: Callable[[SeriesId], str], ledger: Ledger) -> None:
        super().__init__(None, rules, find_probe, ledger)
        self.state = HostState()

    @property
    def alerts(self) -> dict[str, Alert]:
        return self.state.alerts

    def begin_after_gap(self, at: float) -> None:
        for alert in self.state.alerts.values():
            alert.excuse()
        self.state.arrivals = Arrivals.expecting(at, self.state.alerts)

    def feed(self, probe: str, samples: tuple[Sample, ...], at: float) -> None:
        while self.state.wake_at is not None and self.state.wake_at < at:
            woken = self.state.wake_at
            self.ledger.note(self, step_host(self.rules, self.state, [], woken), woken)
        ok = all(sample.value == 1.0 for sample in samples if sample.series.metric == "probe_success")
        outcome = Outcome(probe, at, at, ok, None if ok else Failure.WATCHER, "", samples)
        self.ledger.note(self, step_host(self.rules, self.state, [outcome], at), at)

    def is_calm(self, spans: Sequence[Span]) -> bool:
        for span in spans:
            if span.track.column.series.metric == "probe_success" and min(span.track.column.values[span.begin : span.end]) < 1.0:
                return False
        return _all_arrive(self.state.arrivals, self.state.alerts, self.rules, spans, max(span.last for span in spans))

    def pass_runs(self, spans: Sequence[Span]) -> None:
        self.state.wake_at = _pass_arrivals(self.state.arrivals, self.state.alerts, self.rules, spans)
        for probe, (at, _) in find_newest(spans).items():
            self.state.judged[probe] = at


def _pass_arrivals(arrivals: Arrivals | None, alerts: dict[str, Alert], rules: Sequence[Rule], spans: Sequence[Span]) -> float | None:
    """What was passed over has arrived; gives when something will have stayed away for too long, which is all that time alone can bring."""
    if arrivals is None:
        return None
    for rule in rules:
        if rule.silence is not None:
            mine = [span for span in spans if rule in span.track.rules]
            arrivals.seen.setdefault(rule.name, {}).update((span.track.column.series, span.last) for span in mine)
    end = max(span.last for span in spans)
    arrivals.judge(rules, alerts, (), end)
    return arrivals.next_due(rules, alerts, end)


def _all_arrive(arrivals: Arrivals | None, alerts: Mapping[str, Alert], rules: Sequence[Rule], spans: Sequence[Span], end: float) -> bool:
    """Nothing that a rule `absent` expects stays away for too long."""
    for rule in rules:
        if rule.silence is None:
            continue
        if arrivals is None or any(alert.rule.name == rule.name and (alert.is_firing or alert.sent) for alert in alerts.values()):
            return False
        here = {span.track.column.series: span for span in spans if rule in span.track.rules}
        known = arrivals.seen.get(rule.name, {})
        if here.keys() - known.keys() or (not known and end - arrivals.since >= rule.silence):
            return False
        for series, at in known.items():
            span = here.get(series)
            if end - (at if span is None else span.last) >= rule.silence or (span is not None and not keeps_coming(span, at, rule.silence)):
                return False
    return True
