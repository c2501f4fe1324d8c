"""Who may look: names of this host, and secrets of which only hashes are kept.

A file of secrets has one a line: `token HASH`, or `basic USER HASH`; `watchdog web --hash` makes the hashes (scrypt, RFC 7914).
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
import time
from collections.abc import Iterable
from pathlib import Path

from model_watchdog.errors import WatchdogError

COST, BLOCK, PARALLEL = 2**14, 8, 1  # about 50 ms and 16 MiB
MOST_ADDRESSES = 1000
TRIES_A_SECOND = 5
"""So many unknown secrets are looked at: each costs what it is to cost whoever guesses."""
MOST_KNOWN = 1000


def hash_secret(secret: str, salt: bytes | None = None) -> str:
    """`scrypt$SALT$HASH`, both in base64."""
    salt = os.urandom(16) if salt is None else salt
    digest = hashlib.scrypt(secret.encode(), salt=salt, n=COST, r=BLOCK, p=PARALLEL)
    return "$".join(("scrypt", *(base64.b64encode(part).decode() for part in (salt, digest))))


def is_loopback(host: str) -> bool:
    """Only this machine can reach what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Hosts:
    """The names by which this server may be called. A page elsewhere can make a browser call it by a name of that page's own choice, so
    only names that are meant are answered; an address is nobody's name.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {"localhost", *(name.lower() for name in names)}

    def has(self, header: str) -> bool:
        name = header.strip().lower()
        if name.startswith("["):
            name, closed, port = name[1:].partition("]")
            return bool(closed) and is_address(name) and _is_port(port.removeprefix(":"))
        name, _, port = name.partition(":")
        return _is_port(port) and (name in self._names or is_address(name))


def is_address(text: str) -> bool:
    """It is an IP address, of either version."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return text == "" or (text.isascii() and text.isdigit() and len(text) <= 5)


class Secrets:
    """What is known of the secrets; what was right once is not hashed again."""

    def __init__(self, lines: Iterable[tuple[str, str]]) -> None:
        self._hashes = list(lines)  # user ("" for a token) and hash
        self._known: set[bytes] = set()
        self._key = os.urandom(32)
        self._tries: dict[str, list[float]] = {}  # by address
        self._hashing = asyncio.Lock()

    @classmethod
    def read(cls, path: Path) -> "Secrets":
        """Raises `WatchdogError` with place and remedy."""
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise WatchdogError(f"{path}: the secrets cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] not in ("token", "basic") or len(words) != (2 if words[0] == "token" else 3) or not _is_hash(words[-1]):
                raise WatchdogError(f"{path}:{number}: write token HASH or basic USER HASH; watchdog web --hash makes a hash")
            found.append((words[1] if words[0] == "basic" else "", words[-1]))
        if not found:
            raise WatchdogError(f"{path}: no secret is in it; write token HASH or basic USER HASH; watchdog web --hash makes a hash")
        return cls(found)

    async def judge(self, header: str, address: str) -> bool | None:
        """Whether an Authorization header may look; None where too many unknown ones were tried just now from this address.

        Who guesses keeps out nobody who asks from elsewhere, and holds up nobody: a secret is hashed beside the loop, one at a time.
        """
        user, secret = _read_header(header)
        if secret is None:
            return False
        seen = hmac.digest(self._key, f"{user}\0{secret}".encode(errors="replace"), "sha256")
        if seen in self._known:
            return True
        now = time.monotonic()
        tries = self._tries[address] = [at for at in self._tries.pop(address, []) if now - at < 1.0]
        if len(self._tries) > MOST_ADDRESSES:
            del self._tries[next(iter(self._tries))]
        if len(tries) >= TRIES_A_SECOND:
            return None
        tries.append(now)
        async with self._hashing:
            if not await asyncio.to_thread(self._is_right, user, secret):
                return False
        if len(self._known) < MOST_KNOWN:
            self._known.add(seen)
        return True

    def _is_right(self, user: str, secret: str) -> bool:
        return any(name == user and _matches(secret, known) for name, known in self._hashes)


def _read_header(header: str) -> tuple[str, str | None]:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return "", rest.strip()
    if scheme.lower() == "basic":
        try:
            user, colon, secret = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return "", None
        return user, secret if colon and user else None
    return "", None


def _is_hash(text: str) -> bool:
    parts = text.split("$")
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in parts[1:])
        return parts[0] == "scrypt" and len(salt) > 0 and len(digest) == 64
    except (binascii.Error, ValueError):
        return False


def _matches(secret: str, known: str) -> bool:
    salt = base64.b64decode(known.split("$")[1])
    return hmac.compare_digest(hash_secret(secret, salt), known)
