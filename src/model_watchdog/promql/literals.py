"""The string literals of an expression.

The library that parses takes no backquoted string in a matcher, and reads `\\xff` as a letter where it is half of one. So every literal is
read here, by the rules of Go, which Prometheus follows, and written anew in a form that leaves nothing to read differently.
"""

from model_watchdog.promql.faults import PromqlError

_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
_DIGITS = {"x": 2, "u": 4, "U": 8}
_WRITTEN = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\0": "\\x00"}


def rewrite_literals(text: str) -> tuple[str, str]:
    """The expression with its strings in double quotes and without its comments; and the same with its strings emptied.

    Raises PromqlError for a string that is none. One that is not closed stays as it is, for the parser to say so.
    """
    whole, bare = list[str](), list[str]()
    place = 0
    while place < len(text):
        letter = text[place]
        if letter == "#":
            end = text.find("\n", place)
            place = len(text) if end < 0 else end
            continue
        if letter not in "\"'`":
            whole.append(letter)
            bare.append(letter)
            place += 1
            continue
        end = _find_end(text, place)
        if end < 0:
            whole.append(text[place:])
            break
        value = read_literal(text[place : end + 1])
        whole.append('"' + "".join(_WRITTEN.get(letter, letter) for letter in value) + '"')
        bare.append('""')
        place = end + 1
    return "".join(whole), "".join(bare)


def _find_end(text: str, start: int) -> int:
    """Where the literal that begins here ends; -1 where it does not."""
    quote = text[start]
    place = start + 1
    while place < len(text) and text[place] != quote:
        place += 2 if text[place] == "\\" and quote != "`" else 1
    return place if place < len(text) else -1


def read_literal(literal: str) -> str:
    """What a string in quotes says. Raises PromqlError for one that is none."""
    if len(literal) < 2 or literal[0] not in "\"'`" or literal[-1] != literal[0]:
        raise PromqlError(f"this is no string in quotes: {literal}")
    inside = literal[1:-1]
    if literal[0] == "`":
        return inside
    if "\n" in inside:
        raise PromqlError(f"the string {literal!r} goes over a line's end; write \\n, or put it between backquotes")
    if "\\" not in inside:
        return inside
    read = bytearray()
    place = 0
    while place < len(inside):
        if inside[place] != "\\":
            read += inside[place].encode()
            place += 1
            continue
        said, length = _read_escape(inside, place, literal)
        read += said
        place += length
    try:
        return read.decode()
    except UnicodeDecodeError:
        raise PromqlError(f"the string {literal} is not UTF-8 once its escapes are read; write the letter itself") from None


def _read_escape(inside: str, place: int, literal: str) -> tuple[bytes, int]:
    """What an escape stands for, and how many letters it takes."""
    kind = inside[place + 1]
    if kind in _SIMPLE:
        return _SIMPLE[kind].encode(), 2
    digits, base = (inside[place + 1 : place + 4], 8) if kind in "01234567" else (inside[place + 2 : place + 2 + _DIGITS.get(kind, 0)], 16)
    wanted = 3 if base == 8 else _DIGITS.get(kind, 0)
    try:
        if not wanted or len(digits) != wanted or not digits.isalnum():
            raise ValueError
        number = int(digits, base)
        said = chr(number).encode() if kind in "uU" else bytes([number])
    except (ValueError, OverflowError):
        raise PromqlError(f"the string {literal} has an escape that is none: \\{kind}; a backslash is written \\\\") from None
    return said, wanted + (1 if base == 8 else 2)
