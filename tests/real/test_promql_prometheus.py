"""The same expressions over the same samples, asked of a real Prometheus and of ours.

The data and the moments are such that Prometheus 2 and 3 say the same: no sample lies on the edge of a window, and no series of a counter
begins inside one. Where they differ all the same (`stddev` of NaN, names, what is said of filtered series), ours does as Prometheus 3 does.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from model_watchdog.promql import EvaluationError, Memory, PromqlError, parse
from tests.rig.prometheus import Prometheus, Refused, Result, find_tool, serving

pytestmark = pytest.mark.skipif(
    find_tool("prometheus") is None or find_tool("promtool") is None, reason="no Prometheus on this machine: scripts/setup test unpacks one"
)
BASE = 1_700_000_000
STEP = 10
COUNT = 720  # two hours


@dataclass
class Data:
    memory: Memory = field(default_factory=Memory)
    lines: list[str] = field(default_factory=list)

    def add(self, metric: str, labels: dict[str, str], at: float, value: float) -> None:
        self.memory.append(metric, tuple(sorted(labels.items())), at, value)
        inside = ",".join(f'{name}="{text}"' for name, text in sorted(labels.items()))
        self.lines.append(f"{metric}{{{inside}}} {str(value).replace('inf', 'Inf').replace('nan', 'NaN')} {at:.3f}")

    @property
    def page(self) -> str:
        return "\n".join(sorted(self.lines, key=lambda line: line.split("{")[0])) + "\n# EOF\n"


def make_data(chance: random.Random) -> Data:
    data = Data()
    for status in ("200", "404", "500", "503"):
        for instance in ("a", "b", "c"):
            total = chance.uniform(1e5, 1e6)
            for number in range(COUNT):
                total = chance.uniform(5e4, 1e5) if chance.random() < 0.03 else total + chance.randrange(0, 50)
                data.add("http_requests_total", {"status": status, "instance": instance}, BASE + number * STEP, total)
    for gpu in ("0", "1", "2"):
        level = chance.uniform(40, 90)
        for number in range(COUNT):
            level += chance.uniform(-2, 2)
            if chance.random() < 0.95:
                value = chance.choice([math.nan, math.inf]) if gpu == "2" and chance.random() < 0.01 else level
                data.add("gpu_temperature_celsius", {"gpu": gpu, "instance": "a"}, BASE + number * STEP, value)
        for number in range(0, COUNT, 3):
            data.add("gpu_limit_celsius", {"gpu": gpu, "kind": "slowdown"}, BASE + number * STEP, 75.0)
    for number in range(300):  # it ends before the last third
        data.add("ended", {"instance": "a"}, BASE + number * STEP, float(number % 7))
    for instance in ("a", "b"):
        counts = [chance.randrange(100, 1000) for _ in range(5)]
        for number in range(COUNT):
            counts = [count + chance.randrange(0, 9) for count in counts]
            for place, bound in enumerate(("0.1", "0.5", "1", "5", "+Inf")):
                data.add("latency_seconds_bucket", {"le": bound, "instance": instance}, BASE + number * STEP, sum(counts[: place + 1]))
    return data


SELECTORS = (
    *("http_requests_total", 'http_requests_total{status=~"5.."}', 'http_requests_total{instance!="a"}', "gpu_temperature_celsius"),
    *('gpu_temperature_celsius{gpu!~"0|1"}', 'gpu_temperature_celsius{gpu="0"}', "gpu_limit_celsius", "ended", "missing", 'missing{a="b"}'),
)
COUNTERS = ("http_requests_total", 'http_requests_total{status="500"}', 'http_requests_total{instance=~"a|b"}')
GAUGES = ("gpu_temperature_celsius", 'gpu_temperature_celsius{gpu=~"0|1"}', "gpu_limit_celsius", "ended", "missing")
OF_COUNTERS = ("rate", "irate", "increase", "resets", "changes")
OF_GAUGES = (
    *("delta", "idelta", "deriv", "changes", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time"),
    *("last_over_time", "stddev_over_time", "stdvar_over_time", "present_over_time", "absent_over_time"),
)
OF_VECTORS = ("abs", "ceil", "floor", "round", "sgn", "sqrt", "exp", "ln", "log2", "log10", "sort", "sort_desc", "absent", "timestamp", "-")
OF_TIMES = ("year", "month", "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute")
AGGREGATIONS = ("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")
LABELS = ("instance", "status", "gpu", "kind")


class Generator:
    """Expressions of the alerting subset, each nested a little."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def make(self, depth: int = 3) -> str:
        shapes = [self.selector, self.ranged]
        if depth > 0:
            shapes += [self.ranged, self.call, self.aggregation, self.aggregation, self.with_number, self.binary, self.binary, self.special]
        return self.chance.choice(shapes)(depth - 1)

    def offset(self) -> str:
        return self.chance.choice(["", "", "", " offset 3m", " offset 10m", " offset 90s"])

    def selector(self, depth: int) -> str:
        return self.chance.choice(SELECTORS) + self.offset()

    def ranged(self, depth: int) -> str:
        span = self.chance.choice(["1m", "5m", "7m30s", "10m"])
        if self.chance.random() < 0.5:
            return f"{self.chance.choice(OF_COUNTERS)}({self.chance.choice(COUNTERS)}[{span}]{self.offset()})"
        gauge = f"{self.chance.choice(GAUGES)}[{span}]{self.offset()}"
        match self.chance.randrange(8):
            case 0:
                return f"predict_linear({gauge}, {self.chance.choice([60, 3600])})"
            case 1:
                return f"quantile_over_time({self.chance.choice([0, 0.25, 0.5, 0.9, 1, 2])}, {gauge})"
            case _:
                return f"{self.chance.choice(OF_GAUGES)}({gauge})"

    def call(self, depth: int) -> str:
        inner = self.make(depth)
        match self.chance.randrange(6):
            case 0:
                return f"clamp_max({inner}, {self.number()})"
            case 1:
                return f"clamp_min({inner}, {self.number()})"
            case 2:
                return f"clamp({inner}, {self.number()}, {self.number()})"
            case 3:
                return f"round({inner}, {self.chance.choice([0.1, 5, 10])})"
            case _:
                return f"{self.chance.choice(OF_VECTORS)}({inner})"

    def grouping(self) -> str:
        if self.chance.random() < 0.3:
            return ""
        labels = ", ".join(self.chance.sample(LABELS, self.chance.randrange(0, 3)))
        return f" {self.chance.choice(['by', 'without'])} ({labels}) "

    def aggregation(self, depth: int) -> str:
        inner = self.make(depth)
        match self.chance.randrange(8):
            case 0:
                return f"quantile{self.grouping()}({self.chance.choice([0.1, 0.5, 0.95])}, {inner})"
            case 1:
                return f"count_values{self.grouping()}('value', round({inner}, 10))"
            case 2:
                return f"sum({self.chance.choice(['topk', 'bottomk'])}({self.chance.choice([1, 2, 5])}, {inner}))"
            case _:
                return f"{self.chance.choice(AGGREGATIONS)}{self.grouping()}({inner})"

    def number(self) -> str:
        return self.chance.choice(
            ["0", "1", "-2.5", "75", "1e3", "Inf", "NaN", "scalar(gpu_limit_celsius{gpu='0'})", "(2 ^ 3 % 5)", "time() / 1e9"]
        )

    def with_number(self, depth: int) -> str:
        operator = self.chance.choice(["+", "-", "*", "/", "%", "^", ">", "<", ">=", "<=", "==", "!=", "> bool", "== bool"])
        vector, number = f"({self.make(depth)})", self.number()
        return f"{vector} {operator} {number}" if self.chance.random() < 0.7 else f"{number} {operator} {vector}"

    def binary(self, depth: int) -> str:
        left, right = self.make(depth), self.make(depth)
        matching = self.chance.choice(["", "", " on (instance)", " ignoring (status)", " on (gpu)", " on ()", " ignoring (kind, instance)"])
        operator = self.chance.choice(["+", "-", "*", "/", ">", "<=", "!=", "< bool", "and", "or", "unless", "and", "or", "unless"])
        if operator in ("and", "or", "unless"):
            return f"({left}) {operator}{matching} ({right})"
        if matching and self.chance.random() < 0.5:
            matching += self.chance.choice([" group_left ()", " group_right ()", " group_left (kind)", " group_right (kind)"])
        if self.chance.random() < 0.5:
            right = f"{self.chance.choice(AGGREGATIONS)} by ({self.chance.choice(LABELS)}) ({right})"
        return f"({left}) {operator}{matching} ({right})"

    def special(self, depth: int) -> str:
        span = self.chance.choice(["2m", "5m"])
        match self.chance.randrange(6):
            case 0:
                return f"histogram_quantile({self.chance.choice([0.33, 0.5, 0.9, 0.99])}, rate(latency_seconds_bucket[{span}]))"
            case 1:
                inner = f"sum by (le) (rate(latency_seconds_bucket[{span}]))"
                return f"histogram_quantile({self.chance.choice([-1, 0.5, 0.95, 2])}, {inner})"
            case 2:
                return f"label_replace({self.make(depth)}, 'server', 'on-$1', 'instance', '(.*)')"
            case 3:
                return f"label_join({self.make(depth)}, 'both', '-', 'gpu', 'instance')"
            case 4:
                return f"{self.chance.choice(OF_TIMES)}(timestamp({self.chance.choice(SELECTORS)}))"
            case _:
                return f"vector({self.number()})"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Memory]]:
    data = make_data(random.Random(7))
    with serving(tmp_path_factory.mktemp("prometheus"), data.page) as prometheus:
        yield prometheus, data.memory


def compare(prometheus: Prometheus, memory: Memory, expression: str, at: float) -> str:
    """What is different; "" where nothing is."""
    try:
        theirs = prometheus.ask(expression, at)
    except Refused as refused:
        try:
            ours = parse(expression).evaluate(memory, at)
        except PromqlError:
            return ""
        # A name is taken away later here than in Prometheus by default: what is one label set twice there may be none here.
        return "" if "same labelset" in str(refused) else f"Prometheus refuses it ({refused}), and ours gives {ours}"
    try:
        ours = parse(expression).evaluate(memory, at)
    except EvaluationError as error:
        if "multiple matches" in str(error) and isinstance(theirs, list):
            return ""  # Prometheus 2 says so only of what the comparison leaves over
        return f"ours fails ({error}), and Prometheus gives {theirs}"
    if isinstance(theirs, list):
        is_deviation = any(word in expression for word in ("stddev", "stdvar"))
        return compare_vectors(theirs, ours, is_deviation)
    return "" if isinstance(ours, type(theirs)) and (ours == theirs or is_close(theirs, ours)) else f"{ours}, not {theirs}"


def compare_vectors(theirs: Result, ours: object, is_deviation: bool) -> str:
    """Of the deviation of values of which the first is no finite number Prometheus 2 says 0, and 3 NaN."""
    if not isinstance(ours, list):
        return f"ours is no vector: {ours}"
    expected = {tuple(sorted(labels.items())): value for labels, value in theirs}
    found = dict(ours)
    if expected.keys() != found.keys():
        return f"labels {sorted(found.keys() - expected.keys())} are too many, {sorted(expected.keys() - found.keys())} are missing"
    return "; ".join(
        f"{labels}: {found[labels]}, not {value}"
        for labels, value in expected.items()
        if not is_close(value, found[labels]) and not (is_deviation and math.isnan(found[labels]))
    )


def is_close(theirs: object, ours: object) -> bool:
    if not isinstance(theirs, float) or not isinstance(ours, float):
        return False
    return (theirs != theirs and ours != ours) or math.isclose(theirs, ours, rel_tol=1e-9, abs_tol=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_generated_expressions_give_what_prometheus_gives(both: tuple[Prometheus, Memory], seed: int) -> None:
    chance = random.Random(seed)
    generator = Generator(chance)
    different, answered = [], 0
    for _ in range(150):
        expression = generator.make()
        at = BASE + chance.randrange(1500, COUNT * STEP - 100) + 0.5 + chance.randrange(0, 400) / 1000
        said = compare(*both, expression, at)
        if said:
            different.append(f"{expression}  at {at}: {said}")
        answered += bool(_answer(both[1], expression, at))
    assert not different, "\n".join(different)
    assert answered > 60, "too many expressions give nothing"


def _answer(memory: Memory, expression: str, at: float) -> object:
    try:
        return parse(expression).evaluate(memory, at)
    except PromqlError:
        return None


@pytest.mark.parametrize(
    "expression",
    [
        'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m])) > 0.05',
        "gpu_temperature_celsius > on (gpu) group_left (kind) gpu_limit_celsius * 0.8",
        "absent(ended) or ended offset 1h",
        "histogram_quantile(0.99, sum by (le, instance) (rate(latency_seconds_bucket[5m]))) > 0.5",
        "predict_linear(gpu_temperature_celsius[10m], 3600) > 90 unless gpu_temperature_celsius < 50",
        "(gpu_temperature_celsius - avg_over_time(gpu_temperature_celsius[10m])) / stddev_over_time(gpu_temperature_celsius[10m])",
        "count by (instance) (changes(http_requests_total[10m]) > 5) == 4",
        'label_replace(http_requests_total, "class", "${1}xx", "status", "(.)..")',
        "-2 ^ 2 * 3 % 5 - -1",
        '"text"',
        "time() - timestamp(ended offset 1h)",
    ],
)
def test_what_alerts_are_made_of_gives_what_prometheus_gives(both: tuple[Prometheus, Memory], expression: str) -> None:
    for at in (BASE + 2000.5, BASE + 4003.25, BASE + 7100.75):
        assert compare(*both, expression, at) == ""


@pytest.mark.parametrize(
    "text",
    [
        *("rate(http_requests_total)", "sum(1)", "a and 1", "1 > 2", "a{b=~'['}", "foo(a)", "a +", "a[5x]", "{}", "{a=''}", "a b"),
        *(
            "topk(a, b)",
            "a and on() group_left b",
            "a + on(x) group_left(x) b",
            "-'x'",
            "sum(a[5m])",
            "a{b='c'",
            "rate(a[5m]",
            "a or bool b",
        ),
        *("clamp(a)", "label_replace(a, 'b')", "histogram_quantile(a, b)", "'x' + 1", "a offset 5m offset 6m", "count_values(1, a)"),
    ],
)
def test_what_prometheus_refuses_is_refused(both: tuple[Prometheus, Memory], text: str) -> None:
    with pytest.raises(Refused):
        both[0].ask(text, BASE + 100.5)
    with pytest.raises(PromqlError):
        parse(text)
