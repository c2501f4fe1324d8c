"""What it costs to evaluate alerting expressions over what was measured."""

import statistics
import time
from collections.abc import Callable

from model_watchdog.promql import Expression, Memory, add_needs, parse

Note = Callable[[str, str, str], None]
SERIES, STEP, SPAN = 50, 10, 300
BASE = 1_700_000_000
EXPRESSIONS = {
    "a threshold": "gpu_temperature_celsius > 80",
    "a rate": "rate(http_requests_total[5m]) > 10",
    "a share": 'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.05',
    "a share of each": "rate(http_errors_total[5m]) / rate(http_requests_total[5m]) > 0.05",
    "a mean": "avg_over_time(gpu_temperature_celsius[5m]) > 75",
    "a deviation": "abs(rolling_sigma(gpu_temperature_celsius[5m])) > 3",
}


def fill(memory: Memory, until: int) -> None:
    """Samples of the last ten minutes, of fifty series of each metric."""
    for at in range(until - 2 * SPAN, until + 1, STEP):
        take(memory, at)


def take(memory: Memory, at: int) -> None:
    for number in range(SERIES):
        labels = (("instance", f"host-{number}"), ("service", "model"), ("status", "500" if number % 5 == 0 else "200"))
        memory.append("http_requests_total", labels, at, (at - BASE) * (number + 1) / 3)
        memory.append("http_errors_total", labels, at, (at - BASE) * (number + 1) / 100)
        memory.append("gpu_temperature_celsius", labels, at, 60 + (at // STEP * (number + 7)) % 17)


def measure_rules(note: Note) -> None:
    """One rule over fifty series of five minutes, and two hundred of them every ten seconds."""
    rules = {name: parse(text) for name, text in EXPRESSIONS.items()}
    needs = add_needs(rule.needs for rule in rules.values())
    memory = Memory(needs.selectors, needs.span)
    fill(memory, BASE + 10_000)
    for name, rule in rules.items():
        note(f"expr over {SERIES} series, 5 min at 10 s: {name}", f"{time_rule(rule, memory, BASE + 10_000):.2f} ms", "≤ 1 ms")
    note("200 such rules every 10 s, and their samples", f"{time_rounds(list(rules.values()), memory):.2f} % of a core", "≤ 3 % of a core")


def time_rule(rule: Expression, memory: Memory, at: int) -> float:
    """The median of many evaluations, in milliseconds."""
    times = []
    for _ in range(200):
        begun = time.process_time()
        rule.evaluate(memory, at + 0.5)
        times.append((time.process_time() - begun) * 1000)
    return statistics.median(times)


def time_rounds(rules: list[Expression], memory: Memory) -> float:
    """The share of a core, in per cent, of ten rounds of 200 rules with new samples before each."""
    rounds, spent = 10, time.process_time()
    for number in range(1, rounds + 1):
        at = BASE + 10_000 + number * STEP
        take(memory, at)
        for place in range(200):
            rules[place % len(rules)].evaluate(memory, at + 0.5)
    return (time.process_time() - spent) / (rounds * STEP) * 100
