"""`python -m model_watchdog.promql.conformance FILE.test…`: Prometheus' own test scripts, run through this evaluator.

Prints each miss and each statement that was skipped, with the reason, and last how many passed. Skipped is what the evaluator refuses by
name, and what is about native histograms: their samples are no numbers. Where Prometheus ignores such samples beside numbers, they are
loaded as if the series had gone stale there, which is the same to the functions that ignore them.

Exit code 0 where everything in scope passed, 1 where something did not, 2 where a file cannot be read.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from model_watchdog.promql import Expression, Memory, Notes, PromqlError, Unsupported, parse
from model_watchdog.promql.arithmetic import DATES, MATH, is_close
from model_watchdog.promql.elements import Vector
from model_watchdog.promql.evaluating import LOOKBACK, Evaluation
from model_watchdog.promql.labels import EMPTY, NAME, Labels, get, make_labels, show
from model_watchdog.promql.scripts import NATIVE, Clear, Eval, Load, Unknown, Values, read_script
from model_watchdog.promql.storage import STALE
from model_watchdog.promql.tree import Aggregation, Call, Kind, Node, Range, Selector, children

_IGNORE_NATIVE = frozenset(
    {*MATH, *DATES, "clamp", "clamp_max", "clamp_min", "deriv", "max_over_time", "min_over_time", "predict_linear", "quantile_over_time"}
    | {"round", "scalar", "sort", "sort_desc", "stddev_over_time", "stdvar_over_time"}
)
"""Functions that Prometheus defines as ignoring native histograms."""
_IGNORING_AGGREGATIONS = frozenset({"bottomk", "max", "min", "quantile", "stddev", "stdvar", "topk"})
_PLACE = re.compile(r"\s*\(\d+:\d+\)$")


class Miss(Exception):
    """The evaluator did not give what the script expects."""


class Skip(Exception):
    """Out of scope, and why."""


@dataclass
class Score:
    passed: int = 0
    misses: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Stored:
    """What a script has loaded: numbers, and apart from them where native histograms lie."""

    numbers: Memory = field(default_factory=Memory)
    native: Memory = field(default_factory=Memory)
    unread: str = ""

    def load(self, loaded: Load) -> None:
        self.unread = self.unread or loaded.unread
        for labels, values in dict(loaded.series).items():  # of a series stated twice the last counts
            name, rest = get(labels, NAME), tuple(pair for pair in labels if pair[0] != NAME)
            for place, value in enumerate(values):
                at = place * loaded.step / 1000
                if value is None:
                    continue
                if value == NATIVE:
                    self.native.append(name, rest, at, 0.0)
                    self.numbers.append(name, rest, at, STALE)
                else:
                    assert isinstance(value, float)
                    self.numbers.append(name, rest, at, value)
            if loaded.converted and name.endswith("_bucket"):
                self._convert(name.removesuffix("_bucket"), rest, values, loaded.step)

    def _convert(self, name: str, labels: Labels, values: Values, step: int) -> None:
        """Only where the native histograms would lie that Prometheus makes of the classic one here."""
        rest = make_labels(pair for pair in labels if pair[0] != "le")
        for place, value in enumerate(values):
            if value is not None:
                self.native.append(name, rest, place * step / 1000, 0.0)

    def has_native(self, node: Node, at: int, ignored: bool = False) -> bool:
        """Whether an evaluation meets native histograms where they are not ignored."""
        if isinstance(node, Range):
            end = at - node.selector.offset
            return not ignored and any(track.window(end - node.span, end)[0] for track in self.native.find(node.selector))
        if isinstance(node, Selector):
            return not ignored and self._ends_native(node, at - node.offset)
        if isinstance(node, Call):
            if node.function == "absent_over_time" and self._has_numbers(node.arguments[0], at):
                return False  # one that is there is enough
            ignored = node.function in _IGNORE_NATIVE
        elif isinstance(node, Aggregation):
            ignored = node.operator in _IGNORING_AGGREGATIONS
        else:
            ignored = False
        return any(self.has_native(child, at, ignored) for child in children(node))

    def _has_numbers(self, node: Node, at: int) -> bool:
        assert isinstance(node, Range)
        end = at - node.selector.offset
        return any(track.window(end - node.span, end)[0] for track in self.numbers.find(node.selector))

    def _ends_native(self, selector: Selector, until: int) -> bool:
        """Whether the newest sample of a series that fits is a native histogram."""
        numbers = {track.labels: track.times for track in self.numbers.find(selector)}
        for track in self.native.find(selector):
            found = track.find_last(until - LOOKBACK, until)
            if found is not None and not any(found[0] < time <= until for time in numbers.get(track.labels, ())):
                return True
        return False


def run_script(text: str) -> Score:
    """Runs the statements in their order; each miss and skip begins with its line."""
    score, stored = Score(), Stored()
    for statement in read_script(text):
        match statement:
            case Clear():
                stored = Stored()
            case Load():
                stored.load(statement)
                if statement.converted:
                    score.skipped.append((f"{statement.line}: load_with_nhcb", "its native histograms; the classic series are loaded"))
            case Unknown(line, said, why):
                score.skipped.append((f"{line}: {said}", why))
            case Eval():
                _judge(statement, stored, score)
    return score


def _judge(asked: Eval, stored: Stored, score: Score) -> None:
    where = f"{asked.line}: {asked.expression}"
    try:
        _ask(asked, stored)
    except Miss as miss:
        score.misses.append(f"{where}: {miss}")
    except Skip as skip:
        score.skipped.append((where, str(skip)))
    else:
        score.passed += 1


def _ask(asked: Eval, stored: Stored) -> None:
    """Returns where all is as expected; raises Miss or Skip."""
    try:
        expression = parse(asked.expression)
    except Unsupported as refused:
        raise Skip(refused.what) from None
    except PromqlError as error:
        return _compare_failure(asked, str(error), of_parser=True)
    if stored.unread and expression.needs.selectors:
        raise Skip(stored.unread)
    if asked.expects_native or any(stored.has_native(expression.tree, at) for at in _moments(asked)):
        raise Skip("native histograms")
    notes = Notes()
    try:
        _compare_result(asked, expression, stored, notes)
    except PromqlError as error:
        return _compare_failure(asked, str(error), of_parser=False)
    if asked.must_fail:
        raise Miss("did not fail")
    _compare_notes(asked, notes, expression, stored)
    return None


def _moments(asked: Eval) -> Iterator[int]:
    yield asked.begin
    at = asked.begin + asked.step
    while asked.is_range and at <= asked.end:
        yield at
        at += asked.step


def _compare_failure(asked: Eval, said: str, of_parser: bool) -> None:
    """A message of the parser's is worded otherwise than Prometheus words it; that it fails is what counts there."""
    if not asked.must_fail:
        raise Miss(f"failed: {said}")
    for kind, how, text in asked.annotations:
        if kind == "fail" and how and not of_parser and not _says(how, text, said):
            raise Miss(f'failed with "{said}", not with "{text}"')


def _says(how: str, wanted: str, said: str) -> bool:
    """Whether a text is the wanted one, wherever in the expression it says it is."""
    wanted, said = wanted.strip('"') if how == "regex" else wanted, _PLACE.sub("", said)
    return re.search(wanted, said) is not None if how == "regex" else _PLACE.sub("", wanted) == said


def _compare_notes(asked: Eval, notes: Notes, expression: Expression, stored: Stored) -> None:
    for kind, how, text in asked.annotations:
        said = list(notes.warnings if kind in ("warn", "no_warn") else notes.infos)
        if kind in ("no_warn", "no_info"):
            if said:
                raise Miss(f"said {said}, and should say nothing")
        elif not said:
            if any(len(stored.native.find(selector)) for selector in expression.needs.selectors):
                raise Skip("annotations about native histograms")
            raise Miss(f"did not say {kind}")
        elif how and not any(_says(how, text, one) for one in said):
            raise Miss(f'said {said}, not "{text}"')


def _compare_result(asked: Eval, expression: Expression, stored: Stored, notes: Notes) -> None:
    if asked.is_range:
        return _compare_steps(asked, expression, stored, notes)
    if asked.window is not None or expression.kind is Kind.RANGE:
        return _compare_window(asked, expression, stored)
    result = expression.evaluate(stored.numbers, asked.begin / 1000, notes)
    if asked.must_fail:
        return None
    if isinstance(result, str):
        if result != asked.text:
            raise Miss(f"gave the string {result!r}")
    elif isinstance(result, float):
        if asked.scalar is None or not is_close(asked.scalar, result):
            raise Miss(f"gave {result}, not {asked.scalar}")
    else:
        _compare_vector(asked, result)
    return None


def _compare_vector(asked: Eval, result: Vector) -> None:
    if asked.scalar is not None or asked.text is not None:
        raise Miss("gave a vector")
    expected = {labels: values[0] for labels, values in asked.series if values}
    _compare_labels(list(expected), [labels for labels, _ in result])
    for labels, value in result:
        wanted = expected[labels]
        if not isinstance(wanted, float) or not is_close(wanted, value):
            raise Miss(f"{show(labels)} is {value}, not {wanted}")
    if asked.is_ordered and [labels for labels, _ in result] != list(expected):
        raise Miss(f"the order is {', '.join(show(labels) for labels, _ in result)}")


def _compare_labels(expected: list[Labels], found: list[Labels]) -> None:
    if extra := set(found) - set(expected):
        raise Miss(f"gave {', '.join(sorted(map(show, extra)))}, which is not expected")
    if missing := set(expected) - set(found):
        raise Miss(f"did not give {', '.join(sorted(map(show, missing)))}")


def _compare_steps(asked: Eval, expression: Expression, stored: Stored, notes: Notes) -> None:
    """A range query is asked step by step: each series has, at each step, what an instant query gives there."""
    found = dict[Labels, dict[int, float]]()
    for place, at in enumerate(_moments(asked)):
        result = expression.evaluate(stored.numbers, at / 1000, notes)
        if isinstance(result, str):
            raise Miss("gave a string")
        for labels, value in [(EMPTY, result)] if isinstance(result, float) else result:
            found.setdefault(labels, {})[place] = value
    if asked.must_fail:
        return
    expected = {labels: {place: value for place, value in enumerate(values) if isinstance(value, float)} for labels, values in asked.series}
    if asked.scalar is not None:
        expected = {EMPTY: dict.fromkeys(range(len(list(_moments(asked)))), asked.scalar)}
    _compare_labels([labels for labels, values in expected.items() if values], list(found))
    for labels, values in found.items():
        for place in sorted({*values, *expected[labels]}):
            given, wanted = values.get(place), expected[labels].get(place)
            if given is None or wanted is None or not is_close(wanted, given):
                raise Miss(f"{show(labels)} is {given} at step {place}, not {wanted}")


def _compare_window(asked: Eval, expression: Expression, stored: Stored) -> None:
    """A range selector by itself gives its samples."""
    tree = expression.tree
    if not isinstance(tree, Range) or asked.window is None:
        raise Miss("a range vector is compared with something else")
    begin, _, step = asked.window
    found = Evaluation(stored.numbers, asked.begin, Notes()).windows(tree)
    expected = {
        labels: [(begin + place * step, value) for place, value in enumerate(values) if isinstance(value, float)]
        for labels, values in asked.series
    }
    _compare_labels(list(expected), [labels for labels, _ in found])
    for labels, window in found:
        samples = list(zip(window.times, window.values, strict=True))
        if len(samples) != len(expected[labels]) or any(
            at != when or not is_close(wanted, value) for (at, value), (when, wanted) in zip(samples, expected[labels], strict=True)
        ):
            raise Miss(f"{show(labels)} has {samples}, not {expected[labels]}")


def main(names: list[str]) -> int:
    if not names:
        print(__doc__)
        return 2
    passed = missed = 0
    skipped = Counter[str]()
    for name in names:
        try:
            text = Path(name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            print(f"{name} cannot be read: {error}; name scripts of Prometheus' PromQL tests", file=sys.stderr)
            return 2
        score = run_script(text)
        for miss in score.misses:
            print(f"MISS {name}:{miss}")
        for where, why in score.skipped:
            print(f"skipped {name}:{where}: {why}")
            skipped[why] += 1
        passed, missed = passed + score.passed, missed + len(score.misses)
    for why, count in skipped.most_common():
        print(f"{count} skipped: {why}")
    print(f"passed {passed} of {passed + missed} in scope, {skipped.total()} skipped")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
