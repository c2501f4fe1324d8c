"""What can be wrong with an expression, and with its evaluation."""

from model_watchdog.errors import WatchdogError


class PromqlError(WatchdogError):
    """An expression cannot be used; the text names the cause and the remedy."""


class Unsupported(PromqlError):
    """PromQL, but not of the alerting subset: refused by name, never evaluated by half."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: not supported here; {remedy}")
        self.what = what
        self.remedy = remedy


class EvaluationError(PromqlError):
    """A good expression that these series give no answer to; worded as Prometheus words it, for people look it up."""


DUPLICATES = "vector cannot contain metrics with the same labelset"
