"""The errors that the project raises on purpose. Each says the place, the cause and the remedy."""

from collections.abc import Mapping, Sequence


class WatchdogError(Exception):
    """Something went wrong that an operator can understand and mend."""


class ConfigError(WatchdogError):
    """The configuration cannot be used; the text holds every fault, one a line."""


class ProbeError(WatchdogError):
    """A probe found its target bad, or could not ask.

    `failure` is one word of `core.sample.Failure`; the text is for a person and holds no secret;
    `measurements` are what was measured all the same (`probes.Measurement`).
    """

    def __init__(self, failure: str, detail: str, measurements: Sequence[tuple[str, Mapping[str, str], float]] = ()) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail
        self.measurements = measurements


class RecoveryError(WatchdogError):
    """A restart could not even be asked for. `cause` is one word of `core.diagnosis.Cause`."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


class NotifyError(WatchdogError):
    """A message could not be handed over; the text is safe to show."""


class CredentialsRefused(NotifyError):
    """The provider does not accept the credentials; only a person can mend that."""
