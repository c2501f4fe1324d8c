"""The project as it lies on a machine: a wheel, in a virtual environment that every user can run, made for /opt/model-watchdog."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.rig.watched_box import PREFIX

ROOT = Path(__file__).resolve().parents[2]


def why_not() -> str | None:
    """Why the interpreter that runs the tests cannot run for another user; None where it can."""
    for path in (interpreter := _interpreter(), *interpreter.parents):
        if not path.stat().st_mode & 0o001:
            return f"{interpreter} cannot be executed by other users ({path} forbids it); make .venv anew with /usr/bin/python3"
    return None


def _interpreter() -> Path:
    return Path(os.path.realpath(sys.executable))


def build(directory: Path) -> Path:
    """Makes the environment in `directory` (which must not exist yet); it works when it is bound to /opt/model-watchdog.

    What the project needs is copied from the environment that runs the tests; the project itself is built and installed as a wheel.
    """
    subprocess.run([_interpreter(), "-m", "venv", "--without-pip", directory], check=True, timeout=60)
    python = directory / "bin" / "python"
    packages = next(directory.glob("lib/python3*/site-packages"))
    theirs = Path(sysconfig.get_path("purelib"))
    shutil.copytree(theirs, packages, dirs_exist_ok=True, ignore=_only_dependencies)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(directory / "wheel"), str(ROOT))
    wheel = next((directory / "wheel").glob("*.whl"))
    _pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    shutil.rmtree(directory / "wheel")
    for script in (directory / "bin").iterdir():
        if script.is_file() and not script.is_symlink() and (text := script.read_text()).startswith(f"#!{directory}"):
            script.write_text(text.replace(str(directory), PREFIX, 1))
    subprocess.run(["chmod", "-R", "go+rX", directory], check=True)
    return directory


def _pip(*arguments: str) -> None:
    quiet = ("--quiet", "--quiet", "--disable-pip-version-check", "--no-input")
    command = [sys.executable, "-m", "pip", *arguments, *quiet]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"pip {' '.join(arguments)}\n{done.stdout}{done.stderr}"


# of the packages that only tests and building need, those that are large or that would hide the wheel
_NOT_NEEDED = (
    *("pip", "setuptools", "pkg_resources", "_distutils_hack", "model_watchdog", "_editable_impl", "__editable__", "mypy", "ruff"),
    *(
        "hypothesis",
        "_hypothesis",
        "jsonschema",
        "rpds",
        "pytest",
        "_pytest",
        "cryptography",
        "trustme",
        "aiosmtpd",
        "hatchling",
        "librt",
        "ast_serialize",
    ),
)


def _only_dependencies(directory: str, names: list[str]) -> set[str]:
    if not directory.endswith("site-packages"):
        return set()
    return {name for name in names if name.startswith(_NOT_NEEDED) or "__mypyc" in name or name.endswith((".pth", "-stubs"))}
