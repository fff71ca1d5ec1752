"""String functions. Anything but a string, where one is due, gives undefined."""

import json
import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.query.functions.numbers import is_whole
from localcloud.cosmos.values import UNDEFINED, type_rank
from localcloud.unreadable import UNREADABLE

# Python's own takes NaN, and makes an infinity of a number that is too large.
_decode = msgspec.json.Decoder().decode
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}


def _typed(*kinds: type, of: Callable[..., object]) -> Callable[..., object]:
    """Evaluate only for arguments of these types; a number may be written 2 or 2.0."""

    def evaluate(*values: object) -> object:
        cast = []
        for value, kind in zip(values, kinds, strict=False):
            if kind is int and is_whole(value):
                cast.append(int(value))  # type: ignore[call-overload]
            elif kind is not int and type(value) is kind:
                cast.append(value)
            else:
                return UNDEFINED
        return of(*cast)

    return evaluate


def _search(test: Callable[[str, str], bool]) -> Callable[..., object]:
    """A test of two strings with an optional third argument that makes it ignore case."""

    def search(text: str, part: str, ignore_case: bool = False) -> bool:
        return test(text.casefold(), part.casefold()) if ignore_case else test(text, part)

    return _typed(str, str, bool, of=search)


def concat(*values: object) -> object:
    return "".join(values) if all(isinstance(value, str) for value in values) else UNDEFINED  # type: ignore[arg-type]


def _index_of(text: str, part: str, start: int = 0) -> object:
    return text.find(part, start) if 0 <= start <= len(text) else -1


def _substring(text: str, start: int, length: int) -> str:
    start = max(0, start)
    return text[start : start + max(0, length)]


def _replicate(text: str, times: int) -> object:
    return text * times if 0 <= times <= 10_000 else UNDEFINED


def _to_string(value: object) -> object:
    if value is UNDEFINED:
        return UNDEFINED
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _parse(kinds: frozenset[int]) -> Callable[..., object]:
    def parse(text: str) -> object:
        try:
            value = _decode(text.strip())
        except UNREADABLE:
            return UNDEFINED
        return value if type_rank(value) in kinds else UNDEFINED

    return _typed(str, of=parse)


@lru_cache(maxsize=128)
def _pattern(pattern: str, modifiers: str) -> re.Pattern[str]:
    flags = re.NOFLAG
    for modifier in modifiers:
        if modifier not in _FLAGS:
            raise BadRequestError(f"RegexMatch has the modifier {modifier!r}: expected some of {''.join(_FLAGS)}.")
        flags |= _FLAGS[modifier]
    try:
        return re.compile(pattern, flags)
    except re.error as error:
        raise BadRequestError(f"RegexMatch has a bad pattern {pattern!r}: {error}.") from error


def _regex_match(text: str, pattern: str, modifiers: str = "") -> bool:
    return _pattern(pattern, modifiers).search(text) is not None


@lru_cache(maxsize=128)
def like_pattern(pattern: str, escape: str) -> re.Pattern[str]:
    """LIKE as a regular expression: `%` any text, `_` any character, `[a-z]` and `[^a-z]` one of a set."""
    out = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        closing = pattern.find("]", position + 1)
        if escape and character == escape and position + 1 < len(pattern):
            position += 1
            out.append(re.escape(pattern[position]))
        elif character == "%":
            out.append(".*")
        elif character == "_":
            out.append(".")
        elif character == "[" and closing > 0:
            out.append("[" + pattern[position + 1 : closing].replace("\\", "\\\\") + "]")
            position = closing
        else:
            out.append(re.escape(character))
        position += 1
    return re.compile("".join(out), re.DOTALL)


FUNCTIONS: dict[str, tuple[Callable[..., object], int, int]] = {
    "CONCAT": (concat, 2, 200),
    "CONTAINS": (_search(lambda text, part: part in text), 2, 3),
    "ENDSWITH": (_search(str.endswith), 2, 3),
    "INDEX_OF": (_typed(str, str, int, of=_index_of), 2, 3),
    "LEFT": (_typed(str, int, of=lambda text, count: text[: max(0, count)]), 2, 2),
    "LENGTH": (_typed(str, of=len), 1, 1),
    "LOWER": (_typed(str, of=str.lower), 1, 1),
    "LTRIM": (_typed(str, str, of=str.lstrip), 1, 2),
    "REGEXMATCH": (_typed(str, str, str, of=_regex_match), 2, 3),
    "REPLACE": (_typed(str, str, str, of=lambda text, old, new: text.replace(old, new) if old else text), 3, 3),
    "REPLICATE": (_typed(str, int, of=_replicate), 2, 2),
    "REVERSE": (_typed(str, of=lambda text: text[::-1]), 1, 1),
    "RIGHT": (_typed(str, int, of=lambda text, count: text[-count:] if count > 0 else ""), 2, 2),
    "RTRIM": (_typed(str, str, of=str.rstrip), 1, 2),
    "STARTSWITH": (_search(str.startswith), 2, 3),
    "STRINGEQUALS": (_search(lambda left, right: left == right), 2, 3),
    "STRINGJOIN": (_typed(list, str, of=lambda items, glue: concat(*_between(items, glue))), 2, 2),
    "STRINGSPLIT": (_typed(str, str, of=lambda text, glue: text.split(glue) if glue else [text]), 2, 2),
    "STRINGTOARRAY": (_parse(frozenset({5})), 1, 1),
    "STRINGTOBOOLEAN": (_parse(frozenset({2})), 1, 1),
    "STRINGTONULL": (_parse(frozenset({1})), 1, 1),
    "STRINGTONUMBER": (_parse(frozenset({3})), 1, 1),
    "STRINGTOOBJECT": (_parse(frozenset({6})), 1, 1),
    "SUBSTRING": (_typed(str, int, int, of=_substring), 3, 3),
    "TOSTRING": (_to_string, 1, 1),
    "TRIM": (_typed(str, str, of=str.strip), 1, 2),
    "UPPER": (_typed(str, of=str.upper), 1, 1),
}


def _between(items: list[object], glue: str) -> list[object]:
    return [part for item in items for part in (glue, item)][1:]
