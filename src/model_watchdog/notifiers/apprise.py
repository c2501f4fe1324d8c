"""Tells people through apprise (chat, mail, SMS, webhooks), in a short-lived child process.

The child costs the daemon no memory, and what hangs or crashes in it takes nothing with it. The address, which is a
secret, reaches it on standard input: arguments and environment can be read by others. This file is both sides: the
daemon imports it without apprise, the child calls `answer`.
"""

import asyncio
import contextlib
import errno
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from model_watchdog.children import run_child
from model_watchdog.core.units import Seconds, Secret
from model_watchdog.errors import CredentialsRefused, NotifyError
from model_watchdog.notifiers import Message

log = logging.getLogger(__name__)

CHILD = "import sys; sys.path[:] = sys.argv[1:]; from model_watchdog.notifiers.apprise import answer; answer()"
ENVIRONMENT = re.compile(r"PATH|HOME|LANG|LC_.*|TZ|TMPDIR|LD_LIBRARY_PATH|SSL_CERT_.*|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|\w+_(proxy|PROXY)")
SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([A-Za-z ]+)|\[SSL: \w+\] ([A-Za-z: -]+)|([Rr]ead timed out)")
LOGIN_REFUSED = re.compile(r"\((53[0458]), b")
"""What smtplib says of a mail server that does not accept the login (RFC 4954)."""
REFUSED = re.compile(
    r"error=(?:401|403|407|53[0458])\b|\((?:401|403)\)|Unauthorized|Verification Failed"
    r"|errcode=(?:300001|300005|310000|93000|40001)\b|code=(?:19001|19021|19022|19024)\b"
)
"""apprise says only that it could not send; these of its words mean that the credentials are to blame, or what a robot is set to admit.

The last two rows are the robots of DingTalk and WeCom (no such token; signature, keyword or address not admitted), and of Feishu.
"""
FORMS = {
    "dingtalk": "dingtalk://TOKEN, or dingtalk://SECRET@TOKEN for a robot that signs; TOKEN follows access_token= in its webhook",
    "feishu": "feishu://TOKEN; TOKEN is the last part of the bot's webhook",
    "wecombot": "wecombot://KEY; KEY follows key= in the bot's webhook",
    "slack": "slack://A/B/C, the three parts behind /services/ in the webhook, or that whole webhook",
    "tgram": "tgram://BOT_TOKEN/CHAT_ID",
    "mailto": "mailto://USER:PASSWORD@SERVER?from=ADDRESS&to=ADDRESS, with %40 for an @ in USER or PASSWORD",
    "ntfy": "ntfys://SERVER/TOPIC, or ntfy://TOPIC for ntfy.sh",
}
"""How an address is to be written, by its scheme."""
SECURE = {"mailtos": "mailto", "ntfys": "ntfy"}
HOSTS = {
    "oapi.dingtalk.com": "dingtalk",
    "open.feishu.cn": "feishu",
    "qyapi.weixin.qq.com": "wecombot",
    "hooks.slack.com": "slack",
    "api.telegram.org": "tgram",
}
"""Hosts of webhooks that people paste as their provider shows them."""
MOST_BYTES = {"wecombot": 2000}
"""What a provider refuses as too long, title and body together, where apprise does not see to it."""
NO_CHILD = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
CONTROL = re.compile(r"\x1b\][^\x07\x1b]*\x07?|\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0e-\x1f\x7f-\x9f]")
CHECK_SECONDS = 20.0
LONGEST_ERROR = 300
TYPES = {"info": "info", "warning": "warning", "critical": "failure"}
"""apprise's notification type by severity."""


@dataclass(frozen=True)
class Apprise:
    """One address in apprise's notation (`mailtos://user:password@host?to=…`, `dingtalk://token`, `json://host/path` …)."""

    url: Secret
    timeout: Seconds = Seconds(30.0)

    async def send(self, message: Message) -> None:
        """Hands the message over. Raises `NotifyError` (`CredentialsRefused`), whose text has no part of the address but its scheme."""
        request = {
            "url": self.url.reveal(),
            "title": _printable(message.title),
            "body": _printable(message.body),
            "type": TYPES[message.severity.value],
            "timeout": self.timeout,
            "attachment": message.attachment,
        }
        try:
            error = await _ask_child(request)
        except TimeoutError:
            error = f"no answer within {self.timeout:g} s"
        if error:
            raise (CredentialsRefused if REFUSED.search(error) else NotifyError)(error)


def check_url(url: str) -> str | None:
    """Says what is wrong with an address, without its secret parts; None where apprise understands it."""
    request = {"url": url, "timeout": CHECK_SECONDS}
    text = json.dumps(request).encode()
    try:
        child = subprocess.run(_command(), input=text, capture_output=True, timeout=CHECK_SECONDS, env=_environment(), check=False)
    except subprocess.TimeoutExpired:
        return f"apprise did not say within {CHECK_SECONDS:g} s whether it understands this address"
    except OSError:  # no child can be started now
        return _hand_over(request)
    return _read_answer(child.stdout, child.returncode)


def answer() -> None:
    """The child: one request as JSON on standard input, one answer (null, or what went wrong) as JSON on standard output."""
    request = json.load(sys.stdin)
    signal.alarm(int(request["timeout"]) + 5)  # the daemon may be gone
    told = os.dup(1)
    os.dup2(2, 1)  # what a plugin prints is no answer
    error = _hand_over(request)
    os.write(told, json.dumps(error).encode() + b"\n")
    os._exit(0)  # threads of a plugin must not keep it


async def _ask_child(request: dict[str, Any]) -> str | None:
    try:
        with _as_file(json.dumps(request)) as descriptor:
            child = await run_child(_command(), request["timeout"], env=_environment(), stdin=descriptor, own_session=True)
    except TimeoutError:
        raise
    except OSError as error:
        if error.errno not in NO_CHILD:
            return f"the child process that sends could not be started: {error.strerror}"
        log.warning('event=notify_in_process reason="no child process can be started: %s"', error.strerror)
        return await asyncio.wait_for(asyncio.to_thread(_hand_over, request), request["timeout"])
    return _read_answer(child.stdout, child.returncode)


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[int]:
    """A file without a name, in memory, to be read from its start."""
    descriptor = os.memfd_create("request")
    try:
        os.write(descriptor, text.encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _command() -> list[str]:
    """The child finds modules where this process does, and nowhere else: no current directory, no PYTHON* variables."""
    return [sys.executable, "-I", "-c", CHILD, *(path for path in sys.path if os.path.isabs(path))]


def _environment() -> dict[str, str]:
    """What a network library may need; nothing of the daemon's own, which may hold secrets."""
    return {name: value for name, value in os.environ.items() if ENVIRONMENT.fullmatch(name)}


def _read_answer(output: bytes, status: int | None) -> str | None:
    try:
        error = json.loads(output)
    except ValueError:
        how = f"killed by signal {-status}" if status is not None and status < 0 else f"exit {status}"
        return f"the child process that sends ended without an answer ({how})"
    return None if error is None else str(error)


def _hand_over(request: dict[str, Any]) -> str | None:
    """Sends one message, or only checks the address where there is none. Gives what went wrong in safe words."""
    url = request["url"]
    try:
        import apprise
    except ImportError as error:
        return f"the Python package apprise cannot be imported: {error.name}"
    with _kept_log() as lines:
        try:
            sender = apprise.Apprise(asset=apprise.AppriseAsset(app_id="model-watchdog", async_mode=False, storage_mode="memory"))
            if not sender.add(url):
                return _say_unknown(url, apprise.Apprise().details(), lines)
            if getattr(sender[0], "topics", None) == []:
                return f"this address names no topic; write {FORMS['ntfy']}"
            if "body" not in request:
                return None
            most = MOST_BYTES.get(str(sender[0].secure_protocol), 0)
            body = _fit(request["body"], most - len(request["title"].encode()))
            with _bodies_read() as refusals:
                options = {"notify_type": request["type"], "body_format": "text"}
                sent = sender.notify(body=body, title=request["title"], attach=_find_attachment(request, sender[0]), **options)
        except Exception as error:  # a plugin may raise anything, and its text may hold the address
            return f"apprise failed with {type(error).__name__}"
    return None if sent else _shorten(scrub("; ".join(refusals or lines), url)) or "apprise could not send it and did not say why"


def _find_attachment(request: dict[str, Any], service: Any) -> str | None:
    """The file that goes with the message; None where there is none (any more), or the provider takes none: the body names it."""
    path = request.get("attachment")
    return path if path and service.attachment_support and os.path.isfile(path) else None


@contextlib.contextmanager
def _bodies_read() -> Iterator[list[str]]:
    """Reads what providers answer: DingTalk and WeCom refuse with status 200 and an `errcode` in the body, which apprise takes for sent."""
    import requests  # what apprise asks with, and is here because of it

    refusals: list[str] = []
    send = requests.Session.send

    def read(session: Any, prepared: Any, **options: Any) -> Any:
        response = send(session, prepared, **options)
        try:
            said = json.loads(response.content) if response.ok else None
        except ValueError:
            said = None
        if isinstance(said, dict) and said.get("errcode"):
            refusals.append(f"the provider refuses it: errcode={said['errcode']} {said.get('errmsg', '')}")
            raise requests.RequestException(refusals[-1])  # what every plugin takes for not sent
        return response

    requests.Session.send = read  # type: ignore[assignment, method-assign]
    try:
        yield refusals
    finally:
        requests.Session.send = send  # type: ignore[method-assign]


def _fit(body: str, most: int) -> str:
    """The beginning of it, in at most so many bytes; all of it where there is no limit."""
    return body if most <= 0 or len(body.encode()) <= most else body.encode()[: most - 3].decode(errors="ignore") + "…"


def _say_unknown(url: str, details: dict[str, Any], lines: list[str]) -> str:
    scheme, found, rest = url.partition("://")
    form = FORMS.get(SECURE.get(scheme.lower(), scheme.lower()))
    host = HOSTS.get(re.split("[/:?]", rest)[0].lower())
    if host:
        return f"this is a webhook as its provider shows it; write {FORMS[host]}"
    if not found or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return "this is no address of apprise's: it begins with a scheme, as mailto://user:password@host does"
    known = {name for service in details["schemas"] for kind in ("protocols", "secure_protocols") for name in service[kind] or ()}
    if scheme.lower() in known:
        said, known_as = scrub("; ".join(lines), url), f"apprise knows {scheme}://, but this address is not complete or not right: "
        return _shorten(f"{known_as}write {form} ({said})" if form else known_as + said)
    return f"no apprise notifier understands this address ({scheme}://); see the list of addresses in apprise's documentation"


@contextlib.contextmanager
def _kept_log() -> Iterator[list[str]]:
    """Collects what apprise logs as a warning or worse, and of its debug lines the system's word for a network error."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if record.levelno < logging.WARNING:
                found, login = SYSTEM_ERROR.search(text), LOGIN_REFUSED.search(text)
                text = (found[found.lastindex or 0]) if found else ""
                text = f"the mail server refuses the login, error={login[1]}" if login else text
            text = text.strip(" .")
            if text and text not in lines:
                lines.append(text)

    logger = logging.getLogger("apprise")
    before = logger.level, logger.propagate
    keep = Keep()
    logger.addHandler(keep)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logger.removeHandler(keep)
        logger.level, logger.propagate = before


def scrub(text: str, url: str) -> str:
    """The text with every part of the address masked, whichever way it is written."""
    text = re.sub(r"\S+://\S*", "***", text)
    _, _, rest = url.partition("://")
    pieces = {url, rest, *re.split(r"[/:@?&=,;#]", rest)}
    pieces |= {unquote(piece) for piece in pieces}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) > 2 and not (piece.isdigit() and len(piece) < 6):
            text = re.sub(re.escape(piece), "***", text, flags=re.IGNORECASE)
    return text


def _printable(text: str) -> str:
    """Half a character from somebody's log must not cost the message."""
    return text.encode(errors="replace").decode()


def _shorten(text: str) -> str:
    text = " ".join(CONTROL.sub("", text).split())
    return text if len(text) <= LONGEST_ERROR else text[: LONGEST_ERROR - 1] + "…"
