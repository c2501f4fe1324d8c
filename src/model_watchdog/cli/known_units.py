"""What `install` asks systemd about the configured units."""

from collections.abc import Sequence
from difflib import get_close_matches

from model_watchdog.cli import CommandError
from model_watchdog.cli.installation import call


def ask_systemd(unit: str) -> dict[str, str]:
    """A unit's own name (`Id`) and its `LoadState`; {} where systemd cannot be asked."""
    try:
        shown = call("systemctl", "show", "--property=Id,LoadState", "--", unit)
    except CommandError:
        return {}
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def doubt_units(unknown: Sequence[str]) -> list[str]:
    """What is said of units that systemd does not know, each with the nearest that it does. They may be installed later."""
    try:
        listed = call("systemctl", "list-unit-files", "--no-legend", "--no-pager") if unknown else ""
    except CommandError:
        listed = ""
    files = [line.split()[0].rpartition(".") for line in listed.splitlines() if line.strip()]
    lines = []
    for unit in unknown:
        stem, _, kind = unit.rpartition(".")
        instance = stem.partition("@")[2]
        known = [name + instance if name.endswith("@") else name for name, _, its_kind in files if its_kind == kind]
        near = get_close_matches(stem, known, n=1)
        lines.append(f"systemd knows no unit {unit}" + (f"; did you mean {near[0]}.{kind}?" if near else ""))
    return lines
