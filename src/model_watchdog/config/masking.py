"""What is shown in place of a secret."""

import re

MASK = "***"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]*")
_USERINFO = re.compile(r"(?<=://)[^/?#]*@")
_QUERY = re.compile(r"([?&;][^=&;#]*(?:token|key|pass|pwd|secret|sig|auth|cred)[^=&;#]*=)[^&;#]*", re.I)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://).*", re.S)


def mask_url(text: str) -> str:
    """An address without user, password, and the values of query parameters whose names speak of secrets."""
    return _QUERY.sub(rf"\g<1>{MASK}", _USERINFO.sub(f"{MASK}@", text))


def mask_urls(text: str) -> str:
    """A text with the addresses in it masked."""
    return _ADDRESS.sub(lambda match: mask_url(match.group()), text)


def mask_secret(text: str) -> str:
    """`***`; of an address the scheme is kept, because it says what kind of service is meant."""
    return _SCHEME.sub(rf"\g<1>{MASK}", text) if _SCHEME.fullmatch(text) else MASK
