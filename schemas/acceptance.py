"""What may come in: the contract and its limits, checked item by item at the edge."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from schemas.envelope import Envelope, Event, encode, in_utc, open_envelope, read_envelope, split_type
from schemas.errors import Poison, Refused, Violation
from schemas.events import EVENTS, TYPE_NAMES
from schemas.regions import REGIONS
from schemas.types import PATTERNS

MAX_EVENT_BYTES = 10_240
MAX_BATCH_EVENTS = 1_000
MAX_FUTURE = timedelta(hours=1)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`(?: - at `\$\.?(?P<path>[^`]*)`)?$")
_AT_PATH = re.compile(r"(?P<rule>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)


def accept(body: bytes, now: datetime) -> Event:
    """The event in `body`, if it keeps its contract and every limit at `now`; else raises Refused, which names the
    field, the value that was seen and the rule."""
    if len(body) > MAX_EVENT_BYTES:
        raise refuse("event", f"{len(body)} bytes", f"at most {MAX_EVENT_BYTES} bytes")
    try:
        envelope = read_envelope(body)
        event = open_envelope(envelope)
    except Poison as poison:
        raise _explained(body, poison) from None
    if envelope.partitionkey not in (None, event.partition_key):
        raise refuse("partitionkey", envelope.partitionkey, f"the same as data.userId, {event.partition_key!r}")
    return check(event, now)


def check(event: Event, now: datetime) -> Event:
    """`event` itself, if every limit that needs more than its type holds at `now`; else raises Refused.

    For events that were built from `schemas.events` rather than read from bytes.
    """
    if event.time > now + MAX_FUTURE:
        raise refuse("time", event.time.isoformat(), f"at most one hour after now, {now.isoformat()}")
    if event.time < EARLIEST:
        raise refuse("time", event.time.isoformat(), "not before 2000-01-01")
    region = getattr(event.data, "region", None)
    if region is not None and region not in REGIONS:
        raise refuse("data.region", region, "an ISO 3166-1 alpha-2 country code")
    return event


def validated(event: Event, now: datetime) -> bytes:
    """The encoded form of an event built in code, held to the same contract as one that came as bytes."""
    body = encode(event)
    accept(body, now)
    return body


def refuse(field: str, value: object, rule: str) -> Refused:
    """A Refused for one broken rule; `value` is shown as JSON, cut to 100 characters."""
    shown = str(value) if field == "event" else msgspec.json.encode(value).decode()
    return Refused(Violation(field=field, value=shown if len(shown) <= 100 else shown[:99] + "…", rule=rule))


def _explained(body: bytes, poison: Poison) -> Refused:
    """Which field of `body` broke which rule. Slow, and only for what was already found wanting."""
    seen = body.decode(errors="replace")
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        return refuse("event", seen, f"one JSON object ({error})")
    if not isinstance(raw, dict):
        return refuse("event", seen, "one JSON object")
    try:
        envelope = msgspec.convert(raw, _Attributes)
        name, version = split_type(envelope.type)
        in_utc(envelope.time)
    except msgspec.ValidationError as error:
        return _translated(str(error), raw, prefix="")
    except Poison as cause:
        if cause.reason == "broken-contract":
            return refuse("time", raw["time"], "not before 2000-01-01")
        return refuse("type", raw["type"], f"one of {', '.join(TYPE_NAMES.values())}")
    if version == EVENTS[name][0]:
        try:
            msgspec.convert(envelope.data, EVENTS[name][1])
        except msgspec.ValidationError as error:
            return _translated(str(error), raw, prefix="data")
    return refuse("event", seen, poison.detail)


class _Attributes(Envelope, frozen=True, kw_only=True):
    data: Any  # decoded here, so that the value which breaks a rule can be shown


def _translated(message: str, raw: dict[str, Any], prefix: str) -> Refused:
    """msgspec's sentence as field, value and rule."""
    if missing := _MISSING.match(message):
        field = ".".join(part for part in (prefix, missing["path"] or "", missing["field"]) if part)
        return refuse(field, None, "a value: the field is required")
    match = _AT_PATH.match(message)
    path = (match["path"] or "") if match else ""
    rule = match["rule"] if match else message
    field = ".".join(part for part in (prefix, path) if part) or "event"
    value: Any = raw
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return refuse(field, value, _in_words(rule))


def _in_words(rule: str) -> str:
    """What msgspec asks for, in words where it speaks of patterns, formats and enumerations."""
    if rule.startswith("Invalid RFC3339"):
        return "a moment as RFC 3339 with an offset, such as 2026-11-22T14:00:00Z"
    if rule.startswith("Invalid enum value"):
        return '"1.0"'
    for pattern, words in PATTERNS.items():
        if repr(pattern) in rule:
            return words
    return rule.removeprefix("Expected ")
