"""Whether the answer of a model is one: what is wrong whatever was asked, and what was expected of this question."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEAST_REPEATS = 4
"""One character so many times or more is no word of any language; engines that have gone wrong answer "!!!!" (vllm #14126)."""
LONGEST = 4096
"""Characters of an answer that are judged."""
SHOWN = 60
_NO_NUMBERS = ("nan", "-nan", "inf", "-inf", "infinity", "-infinity", "null", "none", "undefined")
"""What languages write where a number has gone wrong."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer must be: `text` is in it (whatever the case), `regex` matches somewhere, or an embedding lies within `distance`
    (cosine distance, 0 to 2) of `reference`."""

    text: str = ""
    regex: str = ""
    reference: tuple[float, ...] = ()
    distance: float = 0.02
    search: Callable[[str, str], object] = re.search
    """How a pattern is looked for in a text: the shell has a way whose time grows with the text alone."""


def judge_text(answer: str, expected: Expected = Expected(), mask: Callable[[str], str] = str) -> str:
    """What is wrong with it, or nothing. `mask` takes out of the answer what must not be shown."""
    text = answer[:LONGEST].strip()
    dense = "".join(text.split())
    shown = show(mask(answer).strip())
    if not dense:
        return "the answer is empty"
    if len(dense) >= LEAST_REPEATS and len(set(dense)) == 1:
        return f"the answer is one character repeated: {shown}"
    if dense.lower() in _NO_NUMBERS:
        return f"the answer is {shown}"
    if expected.text and expected.text.lower() not in text.lower():
        return f'the answer does not contain "{expected.text}": {shown}'
    if expected.regex and not expected.search(expected.regex, text):
        return f"the answer does not match {expected.regex}: {shown}"
    return ""


def judge_vector(vector: Sequence[float], expected: Expected = Expected()) -> tuple[str, float | None]:
    """What is wrong with an embedding, or nothing; and its cosine distance to the reference, where there is one."""
    if not vector:
        return "the embedding is empty", None
    if not all(math.isfinite(value) for value in vector):
        return "the embedding holds numbers that are none (NaN or infinite)", None
    if not any(vector):
        return "the embedding is all zeros", None
    if not expected.reference:
        return "", None
    if len(vector) != len(expected.reference):
        return f"the embedding has {len(vector)} numbers, and the reference {len(expected.reference)}", None
    product = sum(one * two for one, two in zip(_direction(vector), _direction(expected.reference), strict=True))
    distance = max(0.0, 1.0 - product)
    wrong = f"the embedding lies {distance:.3g} from the reference, more than {expected.distance:g}" if distance > expected.distance else ""
    return wrong, distance


def _direction(vector: Sequence[float]) -> list[float]:
    """The vector, 1 long. It is shortened before it is measured: the squares of great numbers are infinite, and those of small ones 0."""
    most = max(abs(value) for value in vector)
    scaled = [value / most for value in vector]
    size = math.sqrt(sum(value * value for value in scaled))
    return [value / size for value in scaled]


def show(text: str) -> str:
    """The beginning of an answer, safe to print."""
    cut = text[:SHOWN] + ("…" if len(text) > SHOWN else "")
    return f"'{''.join(letter if letter.isprintable() else ' ' for letter in cut)}'"
