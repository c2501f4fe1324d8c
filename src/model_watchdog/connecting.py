"""What stands behind a connection that failed, in a word of `Failure` and a sentence."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Iterator

from model_watchdog.core.sample import Failure
from model_watchdog.errors import ProbeError

_OURS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM}
    | {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EAFNOSUPPORT}
)
"""No descriptor, memory or port of our own, no way there: nothing is known of the target."""
_LOST = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN, errno.ENOTCONN})
_CERTIFICATE = {
    10: "the certificate has expired",
    9: "the certificate is not valid yet",
    18: "the certificate is self-signed",
    19: "the certificate chain ends in a self-signed certificate that is not trusted",
    20: "the certificate's issuer is not trusted",
    21: "the certificate's issuer is not trusted",
    23: "the certificate has been revoked",
    62: "the certificate is for another name",
    64: "the certificate is for another address",
}
"""X509_V_ERR_* of OpenSSL."""
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})


def explain(error: BaseException) -> ProbeError | None:
    """The failure that an exception, or what it came from, tells of; None where it says nothing of a connection."""
    for cause in _causes(error):
        if isinstance(cause, ProbeError):
            return cause
        if isinstance(cause, (ssl.SSLWantReadError, ssl.SSLWantWriteError)):
            continue  # no failure, but OpenSSL's way to ask for a wait, in which the failure came
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = _CERTIFICATE.get(cause.verify_code, cause.verify_message or "the certificate cannot be verified")
            return ProbeError(Failure.TLS, f"tls: {reason}")
        if isinstance(cause, ssl.SSLError):
            return ProbeError(Failure.TLS, f"tls: {_explain_tls(cause)}")
        if isinstance(cause, socket.gaierror):
            return ProbeError(Failure.DNS, f"the name cannot be looked up: {cause.strerror}")
        if isinstance(cause, ConnectionRefusedError):
            return ProbeError(Failure.REFUSED, "connection refused")
        if isinstance(cause, OSError) and cause.errno in _OURS:
            return ProbeError(Failure.WATCHER, f"the watchdog cannot connect: {os.strerror(cause.errno)}")
        if isinstance(cause, OSError) and cause.errno == errno.ETIMEDOUT:
            return ProbeError(Failure.TIMEOUT, "the connection timed out")
        if isinstance(cause, OSError) and (cause.errno in _LOST or isinstance(cause, ConnectionError)):
            return ProbeError(Failure.CONNECTION_LOST, "connection lost")
    return None


async def speaks_plain_http(address: str, port: int) -> bool:
    """Whether the server answers HTTP without TLS. The caller has the deadline."""
    with contextlib.suppress(OSError, asyncio.LimitOverrunError):
        reader, writer = await asyncio.open_connection(address, port, limit=4096)
        try:
            writer.write(b"HEAD / HTTP/1.0\r\n\r\n")
            return (await reader.read(5)).startswith(b"HTTP/")
        finally:
            writer.transport.abort()
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What an exception came from, the deepest first; of a group, its members."""
    below = error.__cause__ or error.__context__
    if below is not None:
        yield from _causes(below)
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _causes(member)
    yield error


def _explain_tls(error: ssl.SSLError) -> str:
    reason = getattr(error, "reason", None) or ""  # only OpenSSL sets it
    if reason in _NOT_TLS:
        return "the server does not speak TLS; is the URL to be http://?"
    if isinstance(error, ssl.SSLEOFError):
        return "the server broke the handshake off"
    return reason.replace("_", " ").lower() or "the handshake failed"
