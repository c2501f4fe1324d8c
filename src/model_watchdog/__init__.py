"""A watchdog for GPU model services: watch, decide, restart, prove it, tell."""

__version__ = "0.1.0"
