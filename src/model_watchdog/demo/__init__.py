"""`watchdog demo`: a small model service, broken on purpose, under the real daemon."""

SPOILS = ("sink", "probe", "service", "systemctl")
"""What a test can spoil, to see that the demo notices."""
