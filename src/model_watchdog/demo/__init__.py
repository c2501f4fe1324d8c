"""`watchdog demo`: a small model service, broken on purpose, under the real daemon."""
