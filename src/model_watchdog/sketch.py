"""How values are distributed, read out of a sketch's bins (`rollups`) by the library that defines them. Only who reads loads it."""

from collections.abc import Iterable, Mapping

from ddsketch.ddsketch import BaseDDSketch
from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import DenseStore

from model_watchdog.rollups import ACCURACY, split_bin

_MAPPING = LogarithmicMapping(ACCURACY)


def find_quantiles(bins: Mapping[int, int], shares: Iterable[float]) -> list[float]:
    """The values below which these shares (0 to 1) lie, each right to 1 % of itself. There is at least one bin."""
    positive, negative, zeros = DenseStore(), DenseStore(), 0
    for number, count in bins.items():
        sign, key = split_bin(number)
        if sign == 0:
            zeros += count
        else:
            (positive if sign > 0 else negative).add(key, count)
    sketch = BaseDDSketch(_MAPPING, positive, negative, zeros)
    return [float(sketch.get_quantile_value(share) or 0.0) for share in shares]


def find_middle(number: int) -> float:
    """The value that stands for those of a bin."""
    sign, key = split_bin(number)
    return float(sign * _MAPPING.value(key)) if sign else 0.0
