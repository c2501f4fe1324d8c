"""The file before it is parsed: size, kind, rights. Rows 63 and 65 of the fault catalogue."""

import os
import tempfile
import time
from pathlib import Path

import pytest

from model_watchdog.config.files import CONFIG_CAP, read_config, read_secret
from model_watchdog.config.loading import InvalidConfig, load


def fault_of(path: Path) -> str:
    with pytest.raises(InvalidConfig) as caught:
        load(path, environment={}, credentials_dir=None, strict_secrets=True)
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].startswith(f"{path}: ")
    return caught.value.faults[0].removeprefix(f"{path}: ")


def test_fault_63_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("services:\n" + "  a: {unit: b}\n" * 350_000)
    started = time.process_time()
    text = fault_of(path)
    assert time.process_time() - started < 0.05  # parsing it would take seconds
    assert text == f"has {path.stat().st_size} bytes; at most 262144 are read"


def test_a_file_of_exactly_the_cap_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("services: {}\n" + "#" * (CONFIG_CAP - 13))
    assert len(read_config(path)) == CONFIG_CAP


def test_fault_65_missing(tmp_path: Path) -> None:
    assert fault_of(tmp_path / "no.yaml") == "there is no such file; name one with --config, or let watchdog install write one"


def test_fault_65_directory(tmp_path: Path) -> None:
    assert fault_of(tmp_path) == "is a directory; name the file in it"


def test_fault_65_fifo_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    os.mkfifo(path)
    started = time.perf_counter()
    assert fault_of(path) == "is not a regular file"
    assert time.perf_counter() - started < 1


def test_fault_65_device() -> None:
    assert fault_of(Path("/dev/zero")) == "is not a regular file"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused what others may write to")
def test_fault_65_writable_by_others_while_root_reads(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("services: {}\n")
    path.chmod(0o666)
    assert fault_of(path) == f"others may write to it, and root reads it; chmod o-w {path}"
    path.chmod(0o660)
    assert read_config(path) == "services: {}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_fault_65_unreadable() -> None:
    with tempfile.TemporaryDirectory() as directory:  # pytest's own directories are closed to others
        Path(directory).chmod(0o755)
        path = Path(directory) / "config.yaml"
        path.write_text("services: {}\n")
        path.chmod(0o600)
        os.seteuid(65534)
        try:
            assert fault_of(path) == "may not be read by this user; root and the group model-watchdog should be able to"
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("content", [b"", b"  \n\n"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert fault_of(path) == "is empty; config.example.yaml shows what can be in it"


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbfservices: {}\r\nlanguage: en\r\n")
    assert load(path, environment={}, credentials_dir=None, strict_secrets=True).services == {}


def test_what_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes("services: {}\n# Schl\u00fcssel\n".encode("latin-1"))
    with pytest.raises(InvalidConfig) as caught:
        read_config(path)
    assert caught.value.faults == (f"{path}:2:1: is not UTF-8; save it as UTF-8",)


def test_a_name_that_could_move_the_cursor_is_printed_as_an_escape(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2J.yaml"
    with pytest.raises(InvalidConfig) as caught:
        read_config(path)
    assert "\x1b" not in str(caught.value)
    assert "\\x1b[2J.yaml" in str(caught.value)


def test_a_secret_loses_the_newline_at_its_end_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" a\nb \r\n")
    assert read_secret(path) == " a\nb "


def test_a_secret_is_read_up_to_64_kib(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("x" * 65536)
    assert len(read_secret(path)) == 65536
    path.write_text("x" * 65537)
    with pytest.raises(ValueError, match="has 65537 bytes; at most 65536 are read"):
        read_secret(path)


def test_a_secret_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not UTF-8"):
        read_secret(path)
