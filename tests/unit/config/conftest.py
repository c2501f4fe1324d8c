"""Loads a configuration from a text, as the daemon or `check` would from a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_watchdog.config.loading import InvalidConfig, load
from model_watchdog.config.model import Config
from model_watchdog.probes.nvml import Nvml
from tests.unit.config.schemas import find_schema_faults
from tests.unit.config.texts import Faults, Load


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """`load_text(text, strict=False, credentials=None, VAR="value" ...)`."""

    def load_it(text: str, strict: bool = False, credentials: Path | None = None, **environment: str) -> Config:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        config = load(path, environment=environment, credentials_dir=credentials, strict_secrets=strict)
        assert find_schema_faults(text) == [], "what is taken, an editor must not mark"
        return config

    return load_it


@pytest.fixture
def faults_of(load_text: Load, tmp_path: Path) -> Faults:
    """The faults of a text, each without the directory of the file: `config.yaml:LINE:COLUMN: path: text`."""

    def find(text: str, **options: Any) -> list[str]:
        with pytest.raises(InvalidConfig) as caught:
            load_text(text, **options)
        assert str(caught.value) == "\n".join(caught.value.faults)
        return [line.removeprefix(f"{tmp_path}/") for line in caught.value.faults]

    return find


@pytest.fixture
def find_driver() -> Callable[[], bool]:
    """The true search for the driver's library."""
    return _FIND_DRIVER


_FIND_DRIVER = Nvml.is_installed


@pytest.fixture(autouse=True)
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defaults shown here are those of a machine without GPUs, whichever this one is."""
    monkeypatch.setattr(Nvml, "is_installed", lambda: False)
