"""What the sentences of every language are made with."""

import signal
from collections.abc import Callable, Mapping

from model_watchdog.core.baseline import LEAST
from model_watchdog.core.decision import Param
from model_watchdog.language import one_line

Params = Mapping[str, Param]
Sentences = Mapping[str, str | Callable[[Params], str]]
"""By a reason's key: a sentence, or what makes it of the reason's params."""
LONGEST = 300


def clean(text: str, longest: int = LONGEST) -> str:
    """Text from outside, made safe for a terminal, a message and the journal: one line, no control characters, not too long."""
    text = one_line(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def number(value: Param) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def signal_name(params: Params) -> str:
    try:
        return signal.Signals(int(params["signal"])).name
    except ValueError:
        return f"signal {params['signal']}"


def is_flat(params: Params) -> bool:
    """It has not deviated at all, so nothing can be said in deviations."""
    return float(params["usual"]) <= LEAST


def times_off(params: Params) -> str:
    """How many usual deviations the value (its average of late, where that is what counts) lies away from the normal one."""
    usual, off = float(params["usual"]), abs(float(params["recent" if "recent" in params else "value"]) - float(params["mean"]))
    return f"{off / usual:.3g}"
