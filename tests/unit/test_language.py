"""Both languages say everything, with the same blanks: what is written in English anywhere has its Chinese, and the other way round."""

import ast
import calendar
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter
from threading import Event, Thread
from typing import Any

import pytest

from model_watchdog import connecting, nvml, status, store
from model_watchdog.cli import table
from model_watchdog.core.decision import Cause, State
from model_watchdog.core.rule import Severity
from model_watchdog.language import (
    NUMBERS,
    TEXTS,
    Speaking,
    count_cells,
    pad,
    phrase,
    retell,
    speak,
    spoken,
    zh_faults,
    zh_report,
    zh_rules,
    zh_web,
)
from model_watchdog.language import zh as chinese_phrases
from model_watchdog.language.zh_details import DETAILS, PARTS
from model_watchdog.language.zh_promql import PROMQL
from model_watchdog.language.zh_usage import USAGE
from model_watchdog.moments import tell_moment
from model_watchdog.wording import duration, en, zh

PHRASES = chinese_phrases.PHRASES | zh_rules.PHRASES | zh_web.PHRASES | zh_report.PHRASES
FAULTS = zh_faults.FAULTS | zh_rules.FAULTS
SOURCE = Path(__file__).parents[2] / "src" / "model_watchdog"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
COMMANDS_ONLY = re.compile(r'(?:sudo |systemctl |journalctl |timeout |df |[·{}"/a-zA-Z0-9 -])+')
"""What is the same in every language."""


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}


# ---------------------------------------------------------------- texts in the source
def texts_of(node: ast.AST, within: ast.AST, blank: str) -> set[str]:
    """Every text that an expression may be, with `blank` for what is only known at run time; a name is looked up in its function."""
    match node:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.JoinedStr(values=values):
            return _join([texts_of(value, within, blank) for value in values])
        case ast.FormattedValue(value=ast.Name() as name):
            return texts_of(name, within, blank) or {blank}
        case ast.FormattedValue(value=ast.Call(func=ast.Name(id=name))) if name in ("quote", "suggest", "_describe_node"):
            return {f'"{blank}"' if name == "quote" else ""}
        case ast.FormattedValue():
            return {blank}
        case ast.IfExp(body=one, orelse=other):
            return texts_of(one, within, blank) | texts_of(other, within, blank)
        case ast.BoolOp(values=values):
            return set().union(*(texts_of(value, within, blank) for value in values))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            parts = [texts_of(left, within, blank), texts_of(right, within, blank)]
            return _join(parts) if any(parts) else set()
        case ast.Name(id=name):
            return set().union(*(texts_of(value, within, blank) for value in _assigned(name, within)))
    return set()


def _join(parts: list[set[str]]) -> set[str]:
    whole = {""}
    for part in parts:
        whole = {before + text for before in whole for text in part or {""}}
    return whole


def _assigned(name: str, within: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(within):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    yield node.value
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    yield from (v for t, v in zip(target.elts, node.value.elts, strict=True) if isinstance(t, ast.Name) and t.id == name)


def functions() -> Iterator[tuple[Path, ast.AST, ast.Call]]:
    """Each call in the source, with the function that it stands in."""
    for path, tree in trees().items():
        around: dict[int, ast.AST] = {id(call): tree for call in ast.walk(tree) if isinstance(call, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                around |= {id(call): node for call in ast.walk(node) if isinstance(call, ast.Call)}  # the inner ones come later
        yield from ((path, around[id(call)], call) for call in ast.walk(tree) if isinstance(call, ast.Call))


def name_of(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


# ---------------------------------------------------------------- phrases
OF_TABLES = {
    *en.TITLES.values(),
    *en.REMEDIES.values(),
    *en.RULE_REMEDIES.values(),
    *en.SAID_BEFORE.values(),
    *table._BAD.values(),
    *status._DOING.values(),
    *(state.value for state in State),
    *(severity.value for severity in Severity),
    *("paused", "restarting", "verifying", "recovered", "failed", "withdrawn", "interrupted", "active", "dry-run", "{reason}"),
    *("What", "Since", "Until", "Done", "Result", "Last log", "Told", "Next"),
    *calendar.day_abbr,
}
"""Templates that are not written where `phrase` is called."""


def test_every_phrase_has_its_chinese_and_none_is_left_over() -> None:
    used = set(OF_TABLES)
    for path, within, call in functions():
        if name_of(call) in ("phrase", "_say") and path.parent.name != "language":
            used |= texts_of(call.args[0], within, "")
    assert not used - PHRASES.keys(), f"not in language/zh.py: {sorted(used - PHRASES.keys())}"
    assert not PHRASES.keys() - used, f"said nowhere: {sorted(PHRASES.keys() - used)}"


def test_doctor_says_nothing_past_the_phrases() -> None:
    said = [texts_of(call.args[1], within, "") for _, within, call in functions() if name_of(call) == "Link"]
    assert len(said) > 20
    assert not [texts for texts in said if any(re.search("[a-z]", text) for text in texts)]


@pytest.mark.parametrize(
    ("told", "chinese"), [*PHRASES.items(), *DETAILS.items(), *PARTS.items(), *FAULTS.items(), *USAGE.items(), *PROMQL.items()]
)
def test_both_fill_the_same_blanks(told: str, chinese: str) -> None:
    assert fields(told) == fields(chinese)
    assert told != chinese or COMMANDS_ONLY.fullmatch(told), f"{told} is not Chinese"
    assert not re.search(r"[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]", chinese), f"a space between Chinese and Latin: {chinese}"
    assert not re.search(r"[\u4e00-\u9fff][,;:?!(]", fieldless(chinese)), f"full-width punctuation: {chinese}"


def fieldless(template: str) -> str:
    return re.sub(r"\{\w+\}", "", template)


def test_one_language_at_a_time() -> None:
    assert (spoken(), phrase("soon")) == ("en", "soon")
    speak("zh")
    assert (spoken(), phrase("soon"), retell("connection refused")) == ("zh", "即将开始", "连接被拒绝")
    speak("en")
    assert (spoken(), phrase("soon"), retell("connection refused")) == ("en", "soon", "connection refused")
    speak("tlh")
    assert spoken() == "en"


def test_one_thread_speaks_another_language_and_no_other_thread_hears_it() -> None:
    inside, done = Event(), Event()
    heard: list[str] = []

    def speak_chinese() -> None:
        with Speaking("zh"):
            inside.set()
            assert done.wait(10)
            heard.extend((phrase("soon"), retell("connection refused")))
        heard.append(phrase("soon"))

    thread = Thread(target=speak_chinese)
    thread.start()
    assert inside.wait(10)
    assert (phrase("soon"), retell("connection refused")) == ("soon", "connection refused")
    done.set()
    thread.join(10)
    assert heard == ["即将开始", "连接被拒绝", "soon"]


# ---------------------------------------------------------------- sentences
class Asked(dict[str, Any]):
    """Params that are whatever a sentence asks for; `asked` is what it asked for. `full`: everything that may be there is."""

    def __init__(self, *, full: bool) -> None:
        super().__init__()
        self.asked: set[str] = set()
        self._full = full

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return 11 + len(name) if self._full else 0

    def get(self, name: str, default: Any = None) -> Any:
        is_there = name in self
        return self[name] if is_there else default

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return self._full


def test_both_have_the_same_sentences() -> None:
    assert en.SENTENCES.keys() == zh.SENTENCES.keys()


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("key", en.SENTENCES)
def test_both_sentences_are_made_of_the_same(key: str, full: bool) -> None:
    asked, said = [], []
    for sentences in (en.SENTENCES, zh.SENTENCES):
        params, sentence = Asked(full=full), sentences[key]
        said.append(sentence(params) if callable(sentence) else sentence)
        asked.append(params.asked)
    assert asked[0] == asked[1]
    if asked[0] not in ({"text"}, {"detail"}, {"fault", "more"}):  # words of somebody else
        assert not CHINESE.search(said[0])
        assert CHINESE.search(said[1])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0.4 秒"),
        (12, "12 秒"),
        (190, "3 分 10 秒"),
        (599, "9 分 59 秒"),
        (671, "11 分钟"),
        (1800, "30 分钟"),
        (3600, "1 小时"),
        (7500, "2 小时 5 分"),
        (86_400, "1 天"),
        (6e5, "6 天"),
    ],
)
def test_durations(seconds: float, text: str, chinese: None) -> None:
    assert duration(seconds) == text


def test_a_moment_has_its_weekday(chinese: None) -> None:
    assert re.fullmatch(r"周[一二三四五六日] \d\d:\d\d", tell_moment(3 * 86_400.0, 86_400.0))


# ---------------------------------------------------------------- details
DETAIL_OF = {"ProbeError": 1, "RecoveryError": 1, "NotifyError": 0, "Ended": 1, "Observation": 1, "Outcome": 5, "_Gone": 1, "_fail": 1}
"""Which argument of these calls is a text that `retell` is given."""
RETURNED = {
    "answers.py": ("judge_body",),
    "connecting.py": ("_explain_tls",),
    "http.py": ("_explain_ca",),
    "apprise.py": ("_ask_child", "_read_answer", "_hand_over"),
    "observing.py": ("observe", "_observe"),
    "database.py": ("set_aside", "_prepare"),
}
"""Functions that give such a text, or a part of one."""


def details() -> Iterator[str]:
    """Each with 7 where something is filled in."""
    for path, within, call in functions():
        place = DETAIL_OF.get(name_of(call))
        if place is None or path.name == "main.py":
            continue
        given = [keyword.value for keyword in call.keywords if keyword.arg == "detail"] or call.args[place : place + 1]
        for value in given:
            yield from texts_of(value, within, "7")
    for path, tree in trees().items():
        for function in ast.walk(tree):
            if getattr(function, "name", "") in RETURNED.get(path.name, ()):
                for node in ast.walk(function):
                    if isinstance(node, ast.Return) and node.value is not None:
                        value = node.value.elts[-1] if isinstance(node.value, ast.Tuple) else node.value
                        yield from texts_of(value, function, "7")
    yield from connecting._CERTIFICATE.values()
    yield from nvml._WORDS.values()
    yield from (text.format(directory=7, path=7) for text in store.REMEDIES.values())
    yield from ("systemd's own Restart=", "somebody else", "the right to restart the unit is proved")
    yield "the watchdog was restarted; it verifies the restart under way"


@pytest.mark.parametrize("text", sorted(text for text in set(details()) if re.search("[a-z]{2}", text)))
def test_every_detail_has_its_chinese(text: str, chinese: None) -> None:
    assert retell(text) != text or retell(text, "parts") != text, f"not in language/zh_details.py: {text}"


@pytest.mark.parametrize(
    ("text", "chinese_text"),
    [
        ("no answer within 5 s", "5 秒内无应答"),
        ("status 503", "状态码 503"),
        ("tls: the certificate has expired", "TLS：证书已过期"),
        ("tls: bad record mac", "TLS：bad record mac"),
        ("unexpected body: a.b is false, not true; it is '; it is'", "响应体不符：a.b 为 false，应为 true；内容为 '; it is'"),
        ("unexpected body: it is not JSON (no); it is 'x'", "响应体不符：不是 JSON (no)；内容为 'x'"),
        ("/bin/x cannot tell: exit code 3, a, b", "/bin/x 无法判断：退出码 3，a, b"),
        (
            "systemctl was not found in PATH: install systemd, or use recovery: {kind: command}",
            "PATH 中没有 systemctl：请安装 systemd，或使用 recovery: {kind: command}",
        ),
        ("Job for a.service failed because the control process exited with error code.",) * 2,
        ("the provider refuses it: errcode=310000 keywords not in content", "对方拒绝：errcode=310000 keywords not in content"),
        ("status quo",) * 2,
        ("queue is full, not empty",) * 2,
    ],
)
def test_what_was_said_in_english_is_told_in_chinese_and_the_words_of_others_stay(text: str, chinese_text: str, chinese: None) -> None:
    assert retell(text) == chinese_text


# ---------------------------------------------------------------- faults of the configuration
FAULT_OF = {"refuse": 2, "add": 2, "warn": 2, "_refuse": 2, "_stop": 2, "Wrong": 0, "ValueError": 0, "_Unreadable": 0, "_invalid": 0}
LISTING = ("faults", "_find_url_faults", "_find_ca_faults", "check_url", "_say_unknown")
"""Functions outside `config` that give faults."""
PIECES = re.compile(r", not |; |the host$|the GPUs|the probe |YAML$|is \d|did you|the form")
"""What is only a piece of a fault where it stands in the source."""


def faults() -> Iterator[str]:
    for path, within, call in functions():
        place = FAULT_OF.get(name_of(call))
        if place is not None and path.parent.name in ("config", "rules", "probes", "recoveries", "notifiers"):
            for value in call.args[place : place + 1]:
                yield from texts_of(value, within, "7")
    for path, tree in trees().items():
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef) or not (function.name in LISTING or path.parent.name == "config"):
                continue
            for node in ast.walk(function):
                given: list[ast.expr] = []
                if isinstance(node, ast.Return) and node.value is not None:
                    given = [node.value, *getattr(node.value, "elts", ())]
                elif isinstance(node, ast.Call) and name_of(node) == "append":
                    given = list(node.args)
                for value in given:
                    yield from texts_of(value, function, "7")


@pytest.mark.parametrize("text", sorted({text for text in faults() if re.search("[a-z]{2} [a-z]", text) and not PIECES.match(text)}))
def test_every_fault_has_its_chinese(text: str, chinese: None) -> None:
    told = retell(text, "faults")
    assert CHINESE.search(told) and not ENGLISH.search(told), f"not in language/zh_faults.py: {text} ({told})"


ENGLISH = re.compile(r"(?<![\w/.:-])(?:the|is|are|not|of|must|with|it|such|write|needs|has|takes|does)(?![\w/.-])")


def test_blanks_of_details_are_known() -> None:
    named = {name for table in (DETAILS, PARTS, FAULTS) for template in table for name in fields(template)}
    assert set(NUMBERS) | set(TEXTS) <= named
    for cause in Cause:
        assert cause.value not in PHRASES or cause.value in {state.value for state in State}, "causes stay English in JSON"


# ---------------------------------------------------------------- columns
def test_chinese_characters_take_two_columns() -> None:
    assert (count_cells("healthy"), count_cells("健康"), count_cells("健康 ok …·")) == (7, 4, 10)
    assert pad("健康", 6) + "|" == "健康  |"
    assert pad("too long", 3) == "too long"
