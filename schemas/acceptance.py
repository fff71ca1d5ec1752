"""Accepting events that come in: the contract and its limits, checked item by item."""

import re
from datetime import datetime
from typing import Any

import msgspec

from songline.schemas.decoding import DECODING_ERRORS, Decoder, excerpt
from songline.schemas.envelope import (
    FREE_TEXTS,
    Event,
    ReceivedEnvelope,
    encode,
    open_envelope,
    read_envelope,
    split_type,
)
from songline.schemas.errors import ContractViolationError, PoisonError, Violation
from songline.schemas.event_time import EARLIEST, is_too_late
from songline.schemas.events import ACCEPTED_TYPES, EVENTS, FORMER_EVENTS
from songline.schemas.forgotten import OUTSIDE_RULE, is_forgotten
from songline.schemas.moments import read_moment
from songline.schemas.regions import REGIONS
from songline.schemas.rules import MOMENT_RULE, broken_rule
from songline.schemas.texts import encodable

MAX_EVENT_BYTES = 10_240
MAX_BATCH_EVENTS = 1_000
_EARLIEST_RULE = "not before 2000-01-01"

_anything: Decoder[Any] = Decoder(Any)
# Members as they are written: a number that no contract asks for may be one that nothing can hold, as 1e999 is.
_members: Decoder[dict[str, msgspec.Raw]] = Decoder(dict[str, msgspec.Raw])
_NULL = msgspec.Raw(b"null")


def accept(body: bytes, now: datetime) -> Event:
    """The event in `body`, if it keeps its contract and every limit at `now`.

    Raises ContractViolationError, which names the field, the value that was seen and the rule.
    """
    return _opened(body, now)[1]


def _opened(body: bytes, now: datetime) -> tuple[ReceivedEnvelope, Event]:
    if len(body) > MAX_EVENT_BYTES:
        raise refuse("event", f"{len(body)} bytes", f"at most {MAX_EVENT_BYTES} bytes")
    try:
        envelope = read_envelope(body)
        event = open_envelope(envelope)
    except PoisonError as poison:
        raise _explained(body, poison) from None
    if envelope.partitionkey not in (None, event.partition_key):
        raise refuse("partitionkey", envelope.partitionkey, f"the same as data.userId, {event.partition_key!r}")
    return envelope, check(event, now)


def check(event: Event, now: datetime) -> Event:
    """`event` itself, if every limit that needs more than its type holds at `now`; else raises ContractViolationError.

    For events that were built from `songline.schemas.events` rather than read from bytes.
    """
    if is_too_late(event.time, now):
        raise refuse("time", event.time.isoformat(), f"at most one hour after now, {now.isoformat()}")
    if event.time < EARLIEST:
        raise refuse("time", event.time.isoformat(), _EARLIEST_RULE)
    if is_forgotten(event.data.user_id):
        raise refuse("data.userId", event.data.user_id, OUTSIDE_RULE)
    region = getattr(event.data, "region", None)
    if region is not None and region not in REGIONS:
        raise refuse("data.region", region, "an ISO 3166-1 alpha-2 country code")
    return event


def accepted(body: bytes, now: datetime) -> tuple[Event, bytes]:
    """The event in `body`, as `accept` has it, and the bytes to publish: `body` itself, or the same with its texts
    clean. All else, extensions too, stays as it is."""
    envelope, event = _opened(body, now)
    for name, said in (("resubmitof", envelope.resubmitof), ("resubmitfor", envelope.resubmitfor)):
        if said and said != _NULL:
            # These choose the readers that apply the event, and a sender may not choose them.
            raise refuse(name, _written(said), "no such attribute: `songline parked resubmit` alone sets it")
    return event, _with_clean_texts(body, event)


def validated(event: Event, now: datetime) -> bytes:
    """The encoded form of an event built in code, its texts clean, held to the same contract as one that came as
    bytes; raises ContractViolationError."""
    body = encode(event)
    accept(body, now)
    return body


def refuse(field: str, value: object, rule: str) -> ContractViolationError:
    """An error for one broken rule; `value`, which may be any text, is shown as JSON, cut to 100 characters."""
    shown = excerpt(value, 101) if field == "event" else _as_json(value)
    return ContractViolationError(
        Violation(field=field, value=shown if len(shown) <= 100 else shown[:99] + "…", rule=rule)
    )


def _as_json(value: object) -> str:
    if isinstance(value, str):
        value = encodable(value)
    try:
        return msgspec.json.encode(value).decode()
    except DECODING_ERRORS:
        return excerpt(value, 101)


def _written(value: msgspec.Raw) -> Any:
    try:
        return _anything.decode(bytes(value))
    except PoisonError:
        return excerpt(bytes(value))


def _with_clean_texts(body: bytes, event: Event) -> bytes:
    """`body` with the texts of its data as `event` has them; all else stays as it is written."""
    if type(event.data) not in FREE_TEXTS or (b"\\" not in body and str(body, "utf-8").isprintable()):
        return body
    raw = _members.decode(body)
    clean = msgspec.to_builtins(event.data)
    required, optional = FREE_TEXTS[type(event.data)]
    is_changed = False
    made: dict[str, Any] = {}
    for name, value in _members.decode(bytes(raw["data"])).items():
        if name not in required and name not in optional:
            made[name] = value
            continue
        said = _anything.decode(bytes(value))
        is_changed = is_changed or clean.get(name) != said
        if said is None or name in clean:
            made[name] = clean.get(name)
    return msgspec.json.encode({**raw, "data": made}) if is_changed else body


def _explained(body: bytes, poison: PoisonError) -> ContractViolationError:
    """Which field of `body` broke which rule. Slow, and only for what was already found wanting."""
    try:
        raw = _anything.decode(body)
    except PoisonError as cause:
        return refuse("event", body, f"one JSON object ({cause.detail})")
    if not isinstance(raw, dict):
        return refuse("event", body, "one JSON object")
    try:
        envelope = msgspec.convert(raw, _Attributes)
    except msgspec.ValidationError as error:
        return explain_violation(error, raw)
    try:
        read_moment(envelope.time)
        name, version = split_type(envelope.type)
    except PoisonError as cause:
        if cause.reason in ("unknown-type", "unknown-version"):
            return refuse("type", raw["type"], f"one of {', '.join(ACCEPTED_TYPES)}")
        return refuse("time", raw["time"], _EARLIEST_RULE if cause.reason == "broken-contract" else MOMENT_RULE)
    today, payload = EVENTS[name]
    try:
        msgspec.convert(raw["data"], payload if version == today else FORMER_EVENTS[name, version])
    except msgspec.ValidationError as error:
        return explain_violation(error, raw, prefix="data")
    return refuse("event", body, poison.detail)


class _Attributes(ReceivedEnvelope, frozen=True, kw_only=True):
    # Decoded here, so that the value which breaks a rule can be shown.
    data: Any
    resubmitof: Any = None
    resubmitfor: Any = None


def explain_violation(error: Exception, raw: Any, prefix: str = "") -> ContractViolationError:
    """What msgspec found wrong with `raw` (of JSON's own types), as field, value and rule. `prefix`: the dotted path of
    what was being converted in `raw`."""
    rule = broken_rule(str(error))
    field = ".".join(part for part in (prefix, rule.field) if part)
    if rule.missing:
        return refuse(field, None, rule.rule)
    value: Any = raw
    for part in re.findall(r"[^.\[\]]+", field):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            value = None
    words = '"1.0"' if field == "specversion" else MOMENT_RULE if field == "time" else rule.rule
    return refuse(field or "event", value, words)
