"""`watchdog web`: serves the page, figures and JSON from the record, as a process of its own that can change nothing."""

import argparse
import getpass
import os
import re
import sys
from pathlib import Path

from model_watchdog.cli import EXIT_USAGE, CommandError, find_runtime_dir, find_state_dir

HELP = "serve a page, metrics and JSON from the record, read-only"
EXAMPLES = """\
  watchdog web                                    on http://127.0.0.1:8712/
  watchdog web --hash                             asks for a secret and prints its hash, for the file of --secrets
  watchdog web --listen 0.0.0.0:8712 --host gpu-box-7 --secrets /etc/model-watchdog/web-secrets --tls-cert C.pem --tls-key K.pem
"""
LISTEN = "127.0.0.1:8712"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", metavar="HOST:PORT", default=LISTEN, help=f"where it listens (default: {LISTEN})")
    parser.add_argument("--host", metavar="NAME", action="append", default=[], help="a name by which it is called, besides this host's own")
    parser.add_argument("--secrets", metavar="FILE", type=Path, help="who may look: lines token HASH and basic USER HASH")
    parser.add_argument("--tls-cert", metavar="FILE", type=Path, help="certificate (PEM); goes with --tls-key")
    parser.add_argument("--tls-key", metavar="FILE", type=Path, help="its key (PEM)")
    parser.add_argument("--behind-proxy", action="store_true", help="a proxy before it speaks TLS")
    parser.add_argument("--hash", action="store_true", help="read a secret, print its hash, and end")


def run(args: argparse.Namespace) -> int:
    from model_watchdog.web.access import Hosts, Secrets, hash_secret, is_address, is_loopback  # it takes a while, and --help need not wait

    if args.hash:
        secret = getpass.getpass("secret: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        if not secret:
            raise CommandError("the secret is empty", EXIT_USAGE)
        print(hash_secret(secret))
        return 0
    host, port = _read_listen(args.listen)
    if bool(args.tls_cert) != bool(args.tls_key):
        raise CommandError("--tls-cert and --tls-key go together", EXIT_USAGE)
    if not is_loopback(host):
        if args.secrets is None:
            raise CommandError(f"{host} can be reached from elsewhere: say who may look, with --secrets FILE", EXIT_USAGE)
        if not args.tls_cert and not args.behind_proxy:
            text = "can be reached from elsewhere: give --tls-cert and --tls-key, or --behind-proxy where a proxy before it speaks TLS"
            raise CommandError(f"{host} {text}", EXIT_USAGE)
    for path in filter(None, (args.tls_cert, args.tls_key)):
        if not os.access(path, os.R_OK):
            raise CommandError(f"{path}: it is not there, or cannot be read")
    secrets = Secrets.read(args.secrets) if args.secrets else None
    return _serve(args, host, port, Hosts([os.uname().nodename, *args.host, *([] if is_address(host) else [host])]), secrets)


def _serve(args: argparse.Namespace, host: str, port: int, hosts: object, secrets: object) -> int:
    import socket

    from model_watchdog.web.app import make_app
    from model_watchdog.web.server import serve

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio leaves Nagle's delay of 40 ms on
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)  # who reads its address below may ask at once
    except OSError as error:
        raise CommandError(f"cannot listen on {args.listen}: {error.strerror}; choose another with --listen HOST:PORT") from None
    app = make_app(os.fspath(find_state_dir(args)), os.fspath(find_runtime_dir(args)), hosts, secrets)  # type: ignore[arg-type]
    scheme, shown = "https" if args.tls_cert else "http", f"[{host}]" if ":" in host else host
    print(f"watchdog web: {scheme}://{shown}:{listening.getsockname()[1]}/", flush=True)
    serve(app, listening, args.tls_cert, args.tls_key)
    return 0


def _read_listen(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})", text)
    if not match or int(match[2]) > 65535:
        raise CommandError(f'--listen {text}: write it like {LISTEN} or "[::1]:8712"', EXIT_USAGE)
    return match[1].strip("[]"), int(match[2])
