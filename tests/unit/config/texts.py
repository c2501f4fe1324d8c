"""What the fixtures of this folder are."""

from collections.abc import Callable

from model_watchdog.config.model import Config

Load = Callable[..., Config]
"""A text, and keywords `strict`, `credentials` and variables of the environment, to a configuration."""

Faults = Callable[..., list[str]]
"""The same to the faults of a configuration that cannot be used."""

MINIMAL = """\
services:
  chatglm:
    unit: chatglm
    probes:
      health: {kind: http, url: "http://127.0.0.1:8000/health"}
"""
"""One service, watched sensibly."""
