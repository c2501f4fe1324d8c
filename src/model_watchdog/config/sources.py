"""Where values come from besides the file: `${VAR}`, `${VAR:-default}`, `file:/path`, `credential:NAME`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model_watchdog.config.files import read_secret
from model_watchdog.config.values import Wrong
from model_watchdog.core.units import Url

_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.S)
_CREDENTIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")


class Filled(str):
    """A text that holds what a variable stands for; `written` is what the file says, which can be shown."""

    written: str

    @classmethod
    def of(cls, text: str, written: str) -> "Filled":
        filled = cls(text)
        filled.written = written
        return filled


class FilledUrl(Url):
    """The same for an address."""

    written: str

    @classmethod
    def of(cls, text: str, written: str) -> "FilledUrl":
        filled = cls(text)
        filled.written = written
        return filled


@dataclass(frozen=True, slots=True)
class Resolved:
    """A text with its variables replaced. `origin` names what it came from, or is empty; `missing` says what is not set here."""

    text: str
    origin: str = ""
    missing: str = ""


def tell(text: str) -> str:
    """What can be shown of a text: what the file says, where that is a variable."""
    written: str = getattr(text, "written", text)
    return written


class Sources:
    """The environment and systemd's credentials."""

    def __init__(self, environment: Mapping[str, str], credentials_dir: Path | None) -> None:
        self._environment = environment
        self._credentials_dir = credentials_dir

    def resolve(self, written: str) -> Resolved:
        """Replaces the variables. Raises `Wrong` where a `${` is not one."""
        text, origins, missing, end = "", [], [], 0
        for match in _VARIABLE.finditer(written):
            text += written[end : match.start()]
            end = match.end()
            if match.group() == "$${":
                text += "${"
                continue
            name, default = _read_variable(match.group(1))
            origins.append(f"${{{name}}}")
            value = self._environment.get(name)
            if default is not None and not value:
                value = default
            if value is None:
                missing.append(f"the variable {name} is not set here")
            elif not _is_unicode(value):
                raise Wrong(f"cannot be used: the variable {name} is not UTF-8")
            text += value or ""
        return Resolved(text + written[end:], " and ".join(dict.fromkeys(origins)), "; ".join(dict.fromkeys(missing)))

    def resolve_secret(self, written: str) -> Resolved:
        """The same, and `file:` and `credential:` besides."""
        if written.startswith("credential:"):
            return self._read_credential(written.removeprefix("credential:"))
        resolved = self.resolve(written)
        if written.startswith("file:") and not resolved.missing:
            path = resolved.text.removeprefix("file:")
            if not path.startswith("/"):
                raise Wrong("does not name a file from the root; write file:/path/of/the/file")
            return _read_file(Path(path), f"the file {path}", resolved)
        return resolved

    def _read_credential(self, name: str) -> Resolved:
        if not _CREDENTIAL.fullmatch(name):
            raise Wrong("does not name a credential; write credential:NAME")
        if self._credentials_dir is None:
            return Resolved("", f"credential:{name}", f"the credential {name} is not here: systemd gives credentials to the daemon only")
        return _read_file(self._credentials_dir / name, f"the credential {name}", Resolved("", f"credential:{name}"))


def _read_variable(inside: str | None) -> tuple[str, str | None]:
    match = _INSIDE.fullmatch(inside or "")
    if not match or "${" in (match[2] or ""):
        raise Wrong("holds a ${ that begins no variable; write ${NAME}, ${NAME:-default}, or $${ for the text itself")
    return match[1], match[2]


def _read_file(path: Path, name: str, resolved: Resolved) -> Resolved:
    try:
        text = read_secret(path)
    except ValueError as error:
        return Resolved("", name, f"{name} {error}")
    return Resolved(text, resolved.origin or name)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
