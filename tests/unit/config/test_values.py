"""Durations, sizes, numbers, addresses: as written, and back. Row 62 of the fault catalogue."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_watchdog.config import values
from model_watchdog.config.values import Wrong

DURATIONS = {"500ms": 0.5, "10s": 10, "5m": 300, "2h": 7200, "7d": 604800, "1.5s": 1.5, "0s": 0, "0.1ms": 0.0001, "3650d": 315360000}
SIZES = {"1B": 1, "512MiB": 512 * 2**20, "20GB": 20 * 10**9, "20 GB": 20 * 10**9, "1.5KiB": 1536, "3kB": 3000, "3KB": 3000, "2TiB": 2**41}
NUMBERS = {"80": 80, "-3": -3, "0.5": 0.5, "90%": 90, "50ms": 0.05, "1h": 3600, "20GB": 20e9, "0": 0}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_durations(text: str, seconds: float) -> None:
    assert values.read_seconds(text) == seconds


@pytest.mark.parametrize(("text", "size"), SIZES.items())
def test_sizes(text: str, size: int) -> None:
    assert values.read_bytes(text) == size


@pytest.mark.parametrize(("text", "number"), NUMBERS.items())
def test_numbers_of_rules(text: str, number: float) -> None:
    assert values.read_number(text) == number


WRONG_DURATIONS = {
    "30": "has no unit; did you mean 30s?",
    "2.5": "has no unit; did you mean 2.5s?",
    "4000d": "is too long; ten years are the most",
    **dict.fromkeys(
        (
            "",
            "s",
            "-5s",
            "+5s",
            "5 s",
            "5S",
            "1h30m",
            "1e3s",
            "no",
            "1:30",
            ".inf",
            ".5s",
            "5.s",
            "2020-01-01",
            "5\u0665s",
            "9" * 400 + "s",
        ),
        "is not a duration; write it like 500ms, 10s, 5m, 2h or 7d",
    ),
}


@pytest.mark.parametrize(("text", "reason"), WRONG_DURATIONS.items())
def test_wrong_durations(text: str, reason: str) -> None:
    with pytest.raises(Wrong) as caught:
        values.read_seconds(text)
    assert str(caught.value) == reason


ODD = (
    "no",
    "yes",
    "1:30",
    "012",
    "1e3",
    "1_000",
    "0x10",
    ".inf",
    ".nan",
    "-.inf",
    "2020-01-01",
    "",
    "~",
    "true",
    "+5",
    "5.",
    ".5",
    "\u0665",
)


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("read", [values.read_int, values.read_float, values.read_number, values.read_bytes, values.read_seconds])
def test_fault_62_what_yaml_would_turn_into_something_else_is_no_number(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(Wrong):
        read(text)


READ_PLAIN = {
    "ok": "ok",
    "3": 3,
    "-3": -3,
    "0.5": 0.5,
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
    "2xx": "2xx",
    "30s": "30s",
    "127.0.0.1": "127.0.0.1",
    "a:b": "a:b",
}


@pytest.mark.parametrize(("text", "value"), READ_PLAIN.items())
def test_plain_words_are_what_every_reader_of_yaml_takes_them_for(text: str, value: object) -> None:
    read = values.read_plain(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text", sorted({*ODD, "On", "OFF", "True", "1.5e3", "12:30:45", "2020-01-01T00:00:00Z"} - {"", "~", "true", "\u0665"})
)
def test_fault_62_plain_words_that_readers_disagree_on(text: str) -> None:
    with pytest.raises(Wrong, match="to YAML; if a text is meant, put it in quotes"):
        values.read_plain(text)


GOOD_URLS = ("http://127.0.0.1:8000/health", "https://box.example", "http://u:p@h/?a=b#c", "http://[::1]:8000/", "HTTP://h")
BAD_URLS = {
    "127.0.0.1:8000": "does not begin with http:// or https://",
    "ftp://h/": "does not begin with http:// or https://",
    "": "does not begin with http:// or https://",
    "http://": "names no host and port that can be asked; write it like http://127.0.0.1:8000/health",
    "http:///health": "names no host and port that can be asked; write it like http://127.0.0.1:8000/health",
    "http://h:0/": "names no host and port that can be asked; write it like http://127.0.0.1:8000/health",
    "http://h:99999/": "is not an address; write it like http://127.0.0.1:8000/health",
    "http://h:port/": "is not an address; write it like http://127.0.0.1:8000/health",
    "http://[::1/": "is not an address; write it like http://127.0.0.1:8000/health",
    "http://h/a b": "holds a space or a backslash, which no address does",
    "http://h/\n": "holds a space or a backslash, which no address does",
}


@pytest.mark.parametrize("url", GOOD_URLS)
def test_addresses(url: str) -> None:
    values.check_url(url)


@pytest.mark.parametrize(("url", "reason"), BAD_URLS.items())
def test_wrong_addresses(url: str, reason: str) -> None:
    with pytest.raises(Wrong) as caught:
        values.check_url(url)
    assert str(caught.value) == reason


WRITTEN = {0.5: "500ms", 10.0: "10s", 90.0: "90s", 300.0: "5m", 86400.0: "1d", 0.0: "0s", 0.0001: "0.1ms", 1.5: "1500ms"}


@pytest.mark.parametrize(("seconds", "text"), WRITTEN.items())
def test_durations_are_written_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert values.write_seconds(seconds) == text


@given(st.integers(0, 3650 * 86400 * 1000).map(lambda ms: ms / 1000))
def test_a_duration_survives_being_written(seconds: float) -> None:
    assert values.read_seconds(values.write_seconds(seconds)) == seconds


@given(st.integers(0, 2**50))
def test_a_size_survives_being_written(size: int) -> None:
    assert values.read_bytes(values.write_bytes(size)) == size


@given(st.floats(-1e15, 1e15, allow_nan=False))
def test_a_number_survives_being_written(number: float) -> None:
    assert values.read_number(values.write_number(number)) == number


@given(st.text(max_size=30))
def test_no_text_makes_a_reader_raise_anything_else(text: str) -> None:
    for read in (values.read_seconds, values.read_bytes, values.read_number, values.read_int, values.read_float, values.read_plain):
        try:
            read(text)
        except Wrong:
            continue
    try:
        values.check_url(f"http://{text}")
    except Wrong:
        return
