"""Rules in plain words: which field broke which rule, from what msgspec 0.22 says of a value."""

import re
from typing import Final

from msgspec import Struct

from songline.schemas.types import PATTERNS

MOMENT_RULE: Final = "a moment as RFC 3339 with an offset, such as 2026-11-22T14:00:00Z"
REQUIRED_RULE: Final = "a value: the field is required"

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "bytes": "base64",
    "null": "null",
    "object": "an object",
    "array": "a list",
    "datetime": MOMENT_RULE,
    "date": "a date such as 2026-11-22",
    "uuid": "a UUID",
    "ext": "an extension type",
}

_AT_PATH = re.compile(r"(?P<rule>.*?)(?: - at `(?:key` in `)?(?P<path>\$[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]+)`")
_KIND = re.compile(r"Expected `(?P<kind>[^`]+)`(?:, got `(?P<seen>[^`]+)`)?$")
_NUMBER = re.compile(r"Expected `(?P<kind>int|float)` (?P<sign><=|>=|<|>) (?P<limit>\S+)$")
_LENGTH = re.compile(
    r"Expected `(?P<kind>str|bytes|array|object)` of (?:at (?P<edge>least|most) )?length "
    r"(?P<sign><= |>= )?(?P<limit>\d+)(?: to (?P<most>\d+))?(?:, got \d+)?$"
)
_VALUE = re.compile(r"Invalid (?:enum )?value (?P<value>.+)$", re.DOTALL)
_SIGNS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}
_OF = {"str": "characters", "bytes": "bytes", "array": "items", "object": "fields"}


class BrokenRule(Struct, frozen=True):
    """A rule that was broken: the `field` (dotted path, empty for the whole), the `rule`, and the kind that was `seen`
    where it is the kind that was wrong. `missing`: the field is not there. `own`: `rule` is a sentence of its own."""

    field: str
    rule: str
    seen: str = ""
    missing: bool = False
    own: bool = False

    def __str__(self) -> str:
        if self.missing:
            return f"{self.field} is missing"
        where = f"{self.field}: " if self.field else ""
        if self.own:
            return where + self.rule
        return f"{where}expected {self.rule}" + (f", saw {self.seen}" if self.seen else "")


def broken_rule(message: str) -> BrokenRule:
    """The rule that msgspec's `message` tells of, in words that name no library's types."""
    match = _AT_PATH.match(message)
    path, rule = (match["path"] or "", match["rule"]) if match else ("", message)
    field = path.removeprefix("$").removeprefix(".")
    if missing := _MISSING.match(rule):
        return BrokenRule(f"{field}.{missing['field']}" if field else missing["field"], REQUIRED_RULE, missing=True)
    if unknown := _UNKNOWN.match(rule):
        return BrokenRule(field, f"no field {unknown['field']!r}")
    if kind := _KIND.match(rule):
        return BrokenRule(field, _kinds(kind["kind"]), _kinds(kind["seen"]) if kind["seen"] else "")
    words = _in_words(rule)
    if not words:
        # What a type's own check says, or a form of MessagePack that no contract has.
        return BrokenRule(field, rule.replace("`", ""), own=True)
    return BrokenRule(field, words)


def _in_words(rule: str) -> str:
    for pattern, words in PATTERNS.items():
        if repr(pattern) in rule:
            return words
    if number := _NUMBER.match(rule):
        return f"{_TYPES[number['kind']]}, {_SIGNS[number['sign']]} {number['limit']}"
    if length := _LENGTH.match(rule):
        things = _OF[length["kind"]]
        if length["limit"] == "1" and not length["most"]:
            things = things.removesuffix("s")
        return f"{_TYPES[length['kind']]} of {_amount(length)} {things}"
    if value := _VALUE.match(rule):
        return f"one of the values that the contract has, not {value['value']}"
    if "RFC3339" in rule or "timezone" in rule or "imestamp" in rule:
        return MOMENT_RULE
    if "out of range" in rule:
        return "a number that fits into 64 bits"
    return ""


def _amount(length: re.Match[str]) -> str:
    if length["most"]:
        return f"{length['limit']} to {length['most']}"
    word = {"least": "at least ", "most": "at most ", None: ""}[length["edge"]]
    return (f"{_SIGNS[length['sign'].strip()]} " if length["sign"] else word) + length["limit"]


def _kinds(written: str) -> str:
    """`str | null` as `text or null`."""
    return " or ".join(_TYPES.get(kind, kind) for kind in written.split(" | "))
