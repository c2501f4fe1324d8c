"""`watchdog report` as people meet it: text, JSON and a page, in both languages, from a record that hostile hands have written in."""

import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from model_watchdog import writes
from model_watchdog.cli.main import main
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.database import connect
from model_watchdog.history import History
from model_watchdog.language import speak
from model_watchdog.record import FILE, SCHEMA
from model_watchdog.report.text import choose_services
from model_watchdog.rollups import DAY, HOUR, Kept
from model_watchdog.transactions import transact, work

EVIL = "</style></script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&\u202e\x1b[31m"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
NOW = time.time()
BEGAN = (NOW - 9 * DAY) // HOUR * HOUR


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine days of two services: one with an outage a day, the other with a name, labels and reasons that would be markup."""
    directory = tmp_path_factory.mktemp("state")
    connection, _ = connect(directory / FILE, BEGAN)
    history = History(connection)
    now, tick = BEGAN, 0
    while now < NOW - 60:
        samples = []
        for name in ("chat", EVIL):
            labels = {"service": name, "probe": "health"}
            is_bad = name == "chat" and tick % 288 in (100, 101)
            samples.append(Sample(SeriesId.of("probe_success", labels), float(not is_bad), now - BEGAN))
            samples.append(Sample(SeriesId.of("probe_duration_seconds", labels), 0.01 + tick * 1e-5, now - BEGAN))
            samples.append(Sample(SeriesId.of("log_records_total", {"service": name, "level": EVIL}), float(tick), now - BEGAN))
        samples.append(Sample(SeriesId.of("gpu_memory_percent", {"gpu": EVIL, "uuid": "u"}), 40 + tick % 7, now - BEGAN))
        transact(connection, history, [writes.samples("boot", BEGAN, samples), *happen(tick, now)])
        while history.has_work(now):
            work(connection, history, now, Kept())
        now, tick = now + 300, tick + 1
    rows = [writes.service_status(name, json.dumps({"name": name}), NOW) for name in ("chat", EVIL)]
    transact(connection, history, [*rows, writes.daemon_info(json.dumps({"language": "zh"}), NOW)])
    connection.close()
    return directory


def happen(tick: int, at: float) -> Iterator[writes.Write]:
    if tick == 0:
        yield writes.event(at, None, "daemon_started", None, "started")
        yield from (writes.event(at, name, "healthy", None, "good") for name in ("chat", EVIL))
    number = tick // 288 + 1
    if tick % 288 == 101:
        yield writes.incident_open(number, "chat", at, f"timed out {EVIL}")
        yield writes.event(at, "chat", "unhealthy", "health_timeout", EVIL, number)
        yield writes.event(at, "chat", "incident_opened", "health_timeout", EVIL, number)
        yield writes.restart_intent(number, "chat", at, "watchdog", "health_timeout", EVIL)
    if tick % 288 == 102:
        yield writes.event(at, "chat", "healthy", None, "good", number)
        yield writes.restart_result(number, "recovered", EVIL, at)
        yield writes.incident_close(number, at)
    if tick % 288 in (200, 201):
        word = "alert_fired" if tick % 288 == 200 else "alert_resolved"
        yield writes.event(at, EVIL, word, None, EVIL, None, f"<b>rule {EVIL}")


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    speak("en")


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


class Reader(HTMLParser):
    """What a browser makes of a page: its elements and their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


KNOWN = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "footer",
        "nav",
        "section",
        "a",
        "h1",
        "h2",
        "h3",
        "p",
        "br",
        "b",
    ),
    *("div", "span", "table", "thead", "tbody", "tr", "th", "td", "code", "figure", "figcaption", "svg", "rect", "path"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_of_what_others_wrote_becomes_markup_and_nothing_comes_from_elsewhere(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], language: str
) -> None:
    path = tmp_path / "report.html"
    assert call(capsys, "report", "--state-dir", state, "--since", "8d", "--language", language, "-o", path)[0] == 0
    page = path.read_text()
    reader = Reader(page)
    assert {tag for tag, _ in reader.elements} <= KNOWN
    names = {name for _, attributes in reader.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")} and not names & {"src", "srcset", "style", "action", "xlink:href"}
    assert all((attributes["href"] or "").startswith("#") for tag, attributes in reader.elements if tag == "a")
    assert "url(" not in page and "@import" not in page and "http://" not in page and "https://" not in page
    assert "alert(1)" in reader.text and "\u202e" not in page and "\x1b" not in page
    policy = next(attributes for tag, attributes in reader.elements if attributes.get("http-equiv"))
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def test_each_language_is_whole(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = {}
    for language in ("en", "zh"):
        path = tmp_path / f"{language}.html"
        _, text, _ = call(capsys, "report", "--state-dir", state, "--language", language, "-o", path)
        pages[language] = Reader(path.read_text()), text
    english, text = pages["en"]
    assert not CHINESE.search(english.text) and not CHINESE.search(text)
    chinese, told = pages["zh"]
    assert ("html", {"lang": "zh-CN"}) in chinese.elements and ("html", {"lang": "en"}) in english.elements
    headings = re.findall(r"<h2>(.*?)</h2>", (tmp_path / "zh.html").read_text())
    assert len(headings) == 9 and all(CHINESE.search(heading) for heading in headings)
    heads = re.findall(r'<th scope="col">(.*?)</th>', (tmp_path / "zh.html").read_text())
    assert all(CHINESE.search(head) or re.fullmatch(r"p\d\d", head) for head in heads), heads
    for line in filter(None, told.replace(EVIL, "").splitlines()):
        assert CHINESE.search(line) or "chat" in line or "alert" in line, line


def test_the_daemons_language_is_spoken_unless_another_is_asked_for(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert CHINESE.search(call(capsys, "report", "--state-dir", state)[1])
    assert not CHINESE.search(call(capsys, "report", "--state-dir", state, "--language", "en")[1])


def test_the_text_is_a_few_lines_that_no_terminal_obeys(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = call(capsys, "report", "--state-dir", state, "--since", "8d", "--language", "en")
    assert len(text.splitlines()) < 40 and "\x1b" not in text
    assert re.search(r"^chat +9\d\.\d\d % +5 min +5 min +8 \(8 recovered\)", text, re.MULTILINE), text
    assert "Rules that cried wolf" in text and "8 of 8 ended by themselves, after 5 min" in text


def test_json_has_the_documented_shape(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.json"
    call(capsys, "report", "--state-dir", state, "--since", "8d", "--language", "en", "-o", path)
    doc = json.loads(path.read_text())
    assert doc["schema"] == 1
    assert set(doc) == {
        *("schema", "host", "version", "generated_at", "period", "watched", "services", "incidents", "restarts", "worse", "wolves"),
        *("fired", "anomalies", "series", "levels"),
    }
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", doc["period"][name]) for name in ("since", "until", "measured_since"))
    chat, evil = doc["services"]
    assert (chat["name"], evil["name"], evil["availability"]) == ("chat", EVIL, 1.0)
    assert chat["detect_seconds"] == {"count": 8, "median": 300.0, "max": 300.0} == chat["recover_seconds"]
    assert (len(chat["outages"]), chat["incidents"]["count"], chat["restarts"]["results"]) == (8, 8, {"recovered": 8})
    assert chat["availability"] == pytest.approx(1 - 8 * 300 / sum(chat["seconds"][kind] for kind in ("up", "down", "loading")))
    assert doc["incidents"][0]["cause"] == "health_timeout"
    (worse,) = [one for one in doc["worse"] if one["labels"]["service"] == "chat"]
    assert (worse["metric"], worse["days"]) == ("probe_duration_seconds", 8)
    assert worse["per_day"] == pytest.approx(288e-5, rel=0.01)
    (wolf,) = doc["wolves"]
    assert (wolf["rule"], wolf["count"], wolf["service"]) == ("<b>rule", 8, EVIL)


def test_a_file_that_cannot_be_written_leaves_the_one_that_is_there(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = tmp_path / "nowhere" / "r.html"
    code, out, error = call(capsys, "report", "--state-dir", state, "-o", away)
    assert code == 1 and out == "" and error.startswith(f"watchdog: {away}") and str(away.parent) in error
    for path in (tmp_path / "pipe.html", tmp_path / "link.html", tmp_path / "folder.html"):
        os.mkfifo(path) if "pipe" in path.name else path.symlink_to("/dev/null") if "link" in path.name else path.mkdir()
        assert call(capsys, "report", "--state-dir", state, "-o", path)[0] == 1
        path.rmdir() if path.is_dir() else path.unlink()
    assert call(capsys, "report", "--state-dir", state, "--language", "en", "-o", tmp_path / "r.pdf")[0] == 64
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("--since", "yesterday"), 64, "--since yesterday: write it like 7d, 2026-10 or 2026-10-05"),
        (("--until", "now"), 64, "--until now: write it like 2026-10-05, or 2026-10 for the first of a month"),
        (("--language", "de"), 64, "没有 'de'（可选：'en', 'zh'）"),
    ],
)
def test_wrong_usage(state: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, error: str) -> None:
    found, _, said = call(capsys, "report", "--state-dir", state, "--language", "en", *words)
    assert found == code and error in said


def test_records_that_cannot_be_read_say_so_as_for_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no record there" in call(capsys, "report", "--state-dir", tmp_path)[2]
    (tmp_path / FILE).write_bytes(b"")
    assert "the record is empty" in call(capsys, "report", "--state-dir", tmp_path)[2]
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.close()
    code, _, error = call(capsys, "report", "--state-dir", tmp_path)
    assert code == 1 and f"the record has schema {SCHEMA + 1}" in error
    (tmp_path / FILE).write_bytes(b"no database at all" * 1000)
    assert "the record is damaged" in call(capsys, "report", "--state-dir", tmp_path)[2]


def test_a_record_without_anything_in_it_yet_is_a_report_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    connection, _ = connect(tmp_path / FILE, NOW)
    connection.close()
    code, text, _ = call(capsys, "report", "--state-dir", tmp_path, "-o", tmp_path / "r.html")
    assert code == 0 and "watched for 0 s (0 %)" in text and "no services" in text
    assert "nothing was measured in this time" in (tmp_path / "r.html").read_text()


def test_of_very_many_services_the_text_tells_those_that_were_least_available() -> None:
    many = [{"name": f"s{number}", "availability": 0.9 if number % 10 == 0 else None if number % 7 == 0 else 1.0} for number in range(500)]
    chosen = choose_services(many)
    assert len(chosen) == 30 and all(service["availability"] == 0.9 for service in chosen)
    assert [service["name"] for service in chosen][:3] == ["s0", "s10", "s20"]
    assert choose_services(many[:30]) == many[:30]
