"""What is wrong with an expression, a rule file or a template, as somebody reads it who knows only Chinese."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from model_watchdog.language import retell
from model_watchdog.promql import Memory, PromqlError, parse
from model_watchdog.promql.alerting import RunningGroup
from model_watchdog.promql.refusals import EXPERIMENTAL, NATIVE
from model_watchdog.promql.rulefile import read_rule_file
from model_watchdog.promql.template_functions import REFUSED as REFUSED_IN_TEMPLATES
from model_watchdog.promql.templating import read_template
from tests.unit.promql import test_alerting, test_evaluating, test_parsing, test_rulefile

CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(r"(?<![\w/.:-])(?:the|is|are|not|of|must|with|it|such|write|needs|has|takes|does|use|there)(?![\w/.-])")
QUOTED = re.compile(r'"[^"]*"|\{\{.*?\}\}|`[^`]*`|不是 PromQL 表达式：.*|cannot be used: .*|无效的转义：.*|无法使用：.*')


def said_by(wrong: Callable[[], Any]) -> str:
    with pytest.raises(PromqlError) as error:
        wrong()
    return str(error.value)


def parameters(function: Any) -> list[Any]:
    (mark,) = [mark for mark in function.pytestmark if mark.name == "parametrize"]
    return list(mark.args[1])


def texts() -> Iterator[str]:
    for text in (*test_parsing.WRONG, *test_parsing.REFUSED, "a[5m] + 1"):
        yield said_by(lambda text=text: parse(text))  # type: ignore[misc]
    yield said_by(lambda: parse("a[5m]").evaluate(Memory(), 0))
    for text, _ in parameters(test_alerting.test_what_is_no_template_or_none_of_ours_is_refused):
        yield said_by(lambda text=text: read_template(text))  # type: ignore[misc]
    for content, _, _ in test_rulefile.FAULTS:
        yield from (fault.text for fault in read_rule_file(content)[1])
    memory = Memory()
    for name in "abc":
        memory.append(name, (), 0, 1.0)
    for text, _ in parameters(test_evaluating.test_what_these_series_give_no_answer_to_is_said_in_prometheus_words):
        yield said_by(lambda text=text: parse(text).evaluate(memory, 0))  # type: ignore[misc]
    for number in range(3):
        memory.append("d", (("x", str(number)),), 0, 1.0)
    content = {"groups": [{"name": "g", "limit": 2, "rules": [{"alert": "A", "expr": "d"}, {"record": "r", "expr": "d"}]}]}
    yield from (text for _, text in RunningGroup(read_rule_file(content)[0][0]).evaluate(memory, 0)[1])
    for name, remedy in {**EXPERIMENTAL, **dict.fromkeys(NATIVE, "use topk")}.items():
        yield f"{name}() is experimental in Prometheus: not supported here; {remedy}"
    yield from (f"{name} in a template: not supported here; {remedy}" for name, remedy in REFUSED_IN_TEMPLATES.items())


@pytest.mark.parametrize("text", sorted(set(texts())))
def test_it_is_told_in_chinese(text: str, chinese: None) -> None:
    told = retell(text, "faults")
    rest = QUOTED.sub("", told)
    assert CHINESE.search(told) and not ENGLISH.search(rest), f"not in language/zh_promql.py: {text}  ({told})"
