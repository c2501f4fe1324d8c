"""Numbers as Prometheus computes with them: no operation fails; where mathematics has no answer there is infinity or NaN."""

import math
from collections.abc import Callable

_SECONDS_A_DAY = 86_400
_SMALLEST, _LARGEST = 2.2250738585072014e-308, 1.7976931348623157e308


def divide(left: float, right: float) -> float:
    if right:
        return left / right
    if not left or left != left or right != right:
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def is_close(left: float, right: float, tolerance: float = 1e-6) -> bool:
    """Equal up to that share of both together, by default that by which Prometheus' own tests compare; NaN is NaN."""
    if left == right or (left != left and right != right):
        return True
    difference, size = abs(left - right), abs(left) + abs(right)
    if left == 0 or right == 0 or size < _SMALLEST:
        return difference < tolerance * _SMALLEST
    return difference / min(size, _LARGEST) < tolerance


def take_remainder(left: float, right: float) -> float:
    try:
        return math.fmod(left, right)
    except ValueError:  # by zero, or of infinity
        return math.nan


def raise_to(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except OverflowError:
        return -math.inf if left < 0 and math.fmod(right, 2) else math.inf
    except ValueError:
        if left == 0:  # to a negative power
            return math.copysign(math.inf, left) if math.fmod(right, 2) in (1.0, -1.0) else math.inf
        return math.nan


ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": divide,
    "%": take_remainder,
    "^": raise_to,
    "atan2": math.atan2,
}
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}


def _tame(function: Callable[[float], float], beyond: Callable[[float], float] = lambda value: math.inf) -> Callable[[float], float]:
    """The function, with NaN where it has no answer, and `beyond` where that is too large for a number."""

    def computed(value: float) -> float:
        try:
            return function(value)
        except OverflowError:
            return beyond(value)
        except ValueError:
            return math.nan

    return computed


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    def computed(value: float) -> float:
        if value > 0:
            return function(value)
        return -math.inf if value == 0 else math.nan

    return computed


def _atanh(value: float) -> float:
    if abs(value) == 1:
        return math.copysign(math.inf, value)
    return math.atanh(value)


def _sign(value: float) -> float:
    return 1.0 if value > 0 else -1.0 if value < 0 else value


def _floor(value: float) -> float:
    return math.copysign(float(math.floor(value)), value) if math.isfinite(value) else value


def _ceil(value: float) -> float:
    return math.copysign(float(math.ceil(value)), value) if math.isfinite(value) else value


def round_to(value: float, nearest: float) -> float:
    """To the nearest multiple; a half goes up."""
    inverse = divide(1.0, nearest)
    return divide(_floor(value * inverse + 0.5), inverse)


def smaller(left: float, right: float) -> float:
    """As Go has it: minus infinity before all, and then NaN."""
    if -math.inf in (left, right):
        return -math.inf
    return left if left != left or left < right else right


def larger(left: float, right: float) -> float:
    """As Go has it: infinity before all, and then NaN."""
    if math.inf in (left, right):
        return math.inf
    return left if left != left or left > right else right


MATH: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "acos": _tame(math.acos),
    "acosh": _tame(math.acosh),
    "asin": _tame(math.asin),
    "asinh": _tame(math.asinh),
    "atan": math.atan,
    "atanh": _tame(_atanh),
    "ceil": _ceil,
    "cos": _tame(math.cos),
    "cosh": _tame(math.cosh),
    "deg": lambda value: value * 180 / math.pi,
    "exp": _tame(math.exp),
    "floor": _floor,
    "ln": _logarithm(math.log),
    "log10": _logarithm(math.log10),
    "log2": _logarithm(math.log2),
    "rad": lambda value: value * math.pi / 180,
    "sgn": _sign,
    "sin": _tame(math.sin),
    "sinh": _tame(math.sinh, lambda value: math.copysign(math.inf, value)),
    "sqrt": _tame(math.sqrt),
    "tan": _tame(math.tan),
    "tanh": math.tanh,
}


def read_date(seconds: float) -> tuple[int, int, int, int]:
    """Year, month, day of the month, and day of the year, in UTC; by the calendar that is used today, whenever it was."""
    days = int(seconds) // _SECONDS_A_DAY + 719_468  # since 1 March of the year 0, so that a leap day is the last of its year
    era, of_era = divmod(days, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = year_of_era + era * 400 + (month <= 2)
    day = of_year - (153 * shifted + 2) // 5 + 1
    return year, month, day, sum(_days_in(year, before) for before in range(1, month)) + day


def _days_in(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _of_date(read: Callable[[float], int]) -> Callable[[float], float]:
    """Of a time in seconds since 1970; NaN of what is no time."""
    return lambda seconds: float(read(seconds)) if math.isfinite(seconds) else math.nan


DATES: dict[str, Callable[[float], float]] = {
    "day_of_month": _of_date(lambda seconds: read_date(seconds)[2]),
    "day_of_week": _of_date(lambda seconds: (int(seconds) // _SECONDS_A_DAY + 4) % 7),
    "day_of_year": _of_date(lambda seconds: read_date(seconds)[3]),
    "days_in_month": _of_date(lambda seconds: _days_in(*read_date(seconds)[:2])),
    "hour": _of_date(lambda seconds: int(seconds) // 3600 % 24),
    "minute": _of_date(lambda seconds: int(seconds) // 60 % 60),
    "month": _of_date(lambda seconds: read_date(seconds)[1]),
    "year": _of_date(lambda seconds: read_date(seconds)[0]),
}
