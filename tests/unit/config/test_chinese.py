"""The same faults as in the other files, as an operator reads them who knows only Chinese."""

import re
from pathlib import Path

import pytest

from model_watchdog.cli.main import main
from model_watchdog.config.faults import InvalidConfig
from tests.unit.config import test_document, test_sources, test_wrong
from tests.unit.config.texts import Faults, Load

TABLES = (
    test_wrong.UNKNOWN,
    test_wrong.TYPES,
    test_wrong.TIMINGS,
    test_wrong.SERVICES,
    test_wrong.RULES,
    test_wrong.RECORD,
    test_wrong.TELLING,
)
TEXTS = sorted({text for table in TABLES for text in table} | set(test_document.NOT_YAML))
QUOTED = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|[\w.]+: \w+')
ENGLISH = re.compile(r"(?<![\w/.:-])(?:the|is|are|not|of|must|with|such|write|needs|has|takes|does|at least|expected|missing)(?![\w/.-])")


@pytest.mark.parametrize("text", TEXTS)
def test_a_fault_is_told_in_chinese_at_the_same_place(faults_of: Faults, text: str, request: pytest.FixtureRequest) -> None:
    english = faults_of(text)
    request.getfixturevalue("chinese")
    chinese = faults_of(text)
    place = re.compile(r"config\.yaml:\d+:\d+: (?:[\w.\[\]-]+: )?")
    for told, said in zip(chinese, english, strict=True):
        found = place.match(told)
        assert found is not None and said.startswith(found[0])
        rest = QUOTED.sub("", told[found.end() :])
        assert re.search("[\u4e00-\u9fff]", rest) and not ENGLISH.search(rest), f"{said}  ->  {told}"


def test_what_is_not_set_here_is_a_warning_in_chinese(load_text: Load, chinese: None) -> None:
    config = load_text("services: {a: {unit: a}}\nnotifiers: {ops: {kind: apprise, url: '${NOT_SET}'}}\n")
    assert [line.partition(".yaml")[2] for line in config.warnings] == [":2:39: notifiers.ops.url: 警告：此处未设置变量 NOT_SET"]


@pytest.mark.parametrize("text", test_sources.LEAKY.values())
def test_no_secret_is_in_a_fault(load_text: Load, text: str, chinese: None) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load_text(text, X=test_sources.SECRET)
    assert test_sources.SECRET not in str(caught.value)


def test_check_speaks_the_language_of_what_it_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where that is not valid, and not even YAML; a file in another language is another matter."""
    path = tmp_path / "config.yaml"
    for text, code, told in (
        ("language: zh\nservices: {a: {unit: a, startup: 30}}\n", 2, '"30" 缺少单位；是否想写 30s？\n1 处错误；未做任何更改。\n'),
        ("language: 'zh'\nservices: {a: {unit: a\n", 2, '此处以 { 开始的映射没有闭合，或其中缺少 ","\n1 处错误；未做任何更改。\n'),
        ("services: {a: {unit: a}}\nhost: {probes: {}}\nlanguage: zh\n", 0, "有效：1 个服务、1 个探测、0 个通知渠道\n"),
        ("services: {a: {unit: a}}\nhost: {probes: {}}\n", 0, "ok: 1 service, 1 probe, 0 notifiers\n"),
    ):
        path.write_text(text)
        assert main(["--config", str(path), "check"]) == code
        assert capsys.readouterr().out.endswith(told)
