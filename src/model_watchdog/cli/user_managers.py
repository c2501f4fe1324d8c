"""What `install` writes for the units of users' managers: a socket for each user, which the daemon alone may use, and the service behind
it. That runs as the user and does, to the units that it is told of here, what systemd/model-watchdog-user lists.
"""

import os
import pwd
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from model_watchdog.cli.installation import UNIT_FILE, resource, resource_path

PREFIX = "model-watchdog-user"
LINGER = Path("/var/lib/systemd/linger")

Users = Mapping[str, Sequence[str]]
"""The units of each user."""


def find_name(user: str) -> str:
    """The unit through which the daemon reaches the user's manager."""
    return f"{PREFIX}-{user}.socket"


def list_files(users: Users) -> dict[Path, str]:
    """Each file with its text. Units are escaped for ExecStart=, where a backslash means something."""
    files = {}
    for user, units in users.items():
        arguments = " ".join(sorted(units)).replace("\\", "\\\\")
        words = {"PROGRAM": str(resource_path(PREFIX)), "UNITS": arguments, "USER": user}
        for template, name in ((f"{PREFIX}.socket", find_name(user)), (f"{PREFIX}@.service", f"{PREFIX}-{user}@.service")):
            files[UNIT_FILE.with_name(name)] = _fill(resource(template), words)
    return files


def find_old(wanted: Mapping[Path, str]) -> list[Path]:
    """What an earlier install wrote, and is not wanted any more."""
    return sorted(path for path in UNIT_FILE.parent.glob(f"{PREFIX}-*") if path.suffix in (".socket", ".service") and path not in wanted)


def object_to_users(users: Users) -> str:
    """Why there can be no such service, or ""."""
    for user in users:
        try:
            uid = pwd.getpwnam(user).pw_uid
        except KeyError:
            return f"there is no user {user}, whose {', '.join(users[user])} the configuration names; useradd {user}, or mend the name"
        if uid == 0:
            return f"{user} is root by another name, and root's units are the system's; take user: out of the configuration"
    return ""


def doubt_users(users: Users) -> list[str]:
    """Users whose manager ends with their last session, and with it their services."""
    return [
        f"the units of {user} end when {user} logs out: sudo loginctl enable-linger {user}"
        for user in users
        if not os.path.exists(LINGER / user)
    ]


def _fill(template: str, words: Mapping[str, str]) -> str:
    """In one go: what is put in may look like a word itself."""
    return re.sub("@([A-Z]+)@", lambda found: words[found[1]], template)
