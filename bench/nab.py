"""The sigma rule on labelled data: `python bench/nab.py DIR`, DIR laid out as tests/data/nab (data/*/*.csv, combined_windows.json).

Prints the benchmark's scores, false alerts, and what a sample costs; then the default on two halves of the series, by the SHA-256 of their
names: whoever tries something tunes it on the even half, and looks at the odd one once, at the end.
"""

import sys
import time
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model_watchdog.core.rule import Condition
from model_watchdog.core.units import Number
from model_watchdog.rules.sigma import AdaptiveSigma, Sigma
from tests.rig.nab import detect_with, measure, read

RULES: dict[str, Condition] = {
    "sigma: 3, window: 10": Sigma(3.0, 10),
    "sigma: 3.5, newness: off": AdaptiveSigma(3.5, newness="off"),
    "sigma: 3.5": AdaptiveSigma(3.5),
    "sigma: 4.5": AdaptiveSigma(4.5),
    "sigma: 4.5, newness: off": AdaptiveSigma(4.5, newness="off"),
    "sigma: 3.5, min_absolute: 5": AdaptiveSigma(3.5, min_absolute=Number(5.0)),
}


def main() -> None:
    series = list(read(Path(sys.argv[1])))
    samples = sum(len(one.values) for one in series)
    print(f"{len(series)} series, {samples} samples")
    print(f"{'rule':<30}{'standard':>10}{'low FP':>10}{'windows':>10}{'false':>8}{'a week':>8}{'us a sample':>13}")
    for name, condition in RULES.items():
        begun = time.process_time()
        found = measure(series, detect_with(condition))
        cost = (time.process_time() - begun) / samples * 1e6
        standard, low = found.scores.values()
        print(
            f"{name:<30}{standard:>10.1f}{low:>10.1f}{found.found:>7}/{found.windows}{found.false:>8}{found.false_a_week:>8.2f}{cost:>13.1f}"
        )
    for name, odd in (("even", 0), ("odd", 1)):
        half = [one for one in series if sha256(one.name.encode()).digest()[0] % 2 == odd]
        if half:
            found = measure(half, detect_with(RULES["sigma: 3.5"]))
            standard, low = found.scores.values()
            counts = f"{found.found:>7}/{found.windows}{found.false:>8}{found.false_a_week:>8.2f}"
            print(f"{f'sigma: 3.5, {name} half':<30}{standard:>10.1f}{low:>10.1f}{counts}")


if __name__ == "__main__":
    main()
