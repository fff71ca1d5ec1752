"""Descriptions of queues, topics, subscriptions and rules.

One set of names for the emulator's Config.json, the store and the administration interface: the elements of
`QueueDescription` and its kin in the Atom interface ("Service Bus resource provider", namespace
http://schemas.microsoft.com/netservices/2010/10/servicebus/connect). Durations are ISO 8601 there, timedelta here.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from localcloud.authorization_rule import AuthorizationRule, too_many
from localcloud.servicebus import topology
from localcloud.servicebus.errors import InvalidArgumentError

FOR_EVER: Final = timedelta(days=10675199, hours=2, minutes=48, seconds=5, microseconds=477581)
DEAD_LETTER: Final = "$deadletterqueue"
TRANSFER: Final = "$transfer"
MAX_MESSAGE_KILOBYTES: Final = 102_400

Status = Literal["Active", "Disabled", "SendDisabled", "ReceiveDisabled"]
Count = Annotated[int, Meta(ge=1, le=2000)]
Megabytes = Annotated[int, Meta(ge=1, le=81920)]
Kilobytes = Annotated[int, Meta(ge=1, le=MAX_MESSAGE_KILOBYTES)]

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,258}[A-Za-z0-9_])?")
_SHORT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,48}[A-Za-z0-9_])?")
_RULE_NAME = re.compile(r"[$A-Za-z0-9]([A-Za-z0-9._-]{0,48}[A-Za-z0-9_])?")


class EntityDescription(Struct, frozen=True, kw_only=True, rename="pascal"):
    """Properties of every entity. `default_message_time_to_live` is FOR_EVER when messages don't expire."""

    status: Status = "Active"
    default_message_time_to_live: timedelta = FOR_EVER
    auto_delete_on_idle: timedelta = FOR_EVER
    enable_batched_operations: bool = True
    user_metadata: Annotated[str, Meta(max_length=1024)] = ""

    @property
    def sends(self) -> bool:
        return self.status in ("Active", "ReceiveDisabled")

    @property
    def receives(self) -> bool:
        return self.status in ("Active", "SendDisabled")


class ReceivingDescription(EntityDescription, frozen=True, kw_only=True, rename="pascal"):
    """Properties of an entity that messages are received from."""

    lock_duration: timedelta = timedelta(minutes=1)
    max_delivery_count: Count = 10
    requires_session: bool = False
    dead_lettering_on_message_expiration: bool = False
    forward_to: str = ""
    forward_dead_lettered_messages_to: str = ""


class QueueDescription(ReceivingDescription, frozen=True, kw_only=True, rename="pascal"):
    """A queue. Sizes: entity in MiB, message in KiB."""

    requires_duplicate_detection: bool = False
    duplicate_detection_history_time_window: timedelta = timedelta(minutes=10)
    max_size_in_megabytes: Megabytes = 1024
    max_message_size_in_kilobytes: Kilobytes = 256
    enable_partitioning: bool = False
    enable_express: bool = False
    support_ordering: bool = True
    authorization_rules: tuple[AuthorizationRule, ...] = ()


class TopicDescription(EntityDescription, frozen=True, kw_only=True, rename="pascal"):
    """A topic; its messages are kept by its subscriptions. Sizes as a queue's."""

    requires_duplicate_detection: bool = False
    duplicate_detection_history_time_window: timedelta = timedelta(minutes=10)
    max_size_in_megabytes: Megabytes = 1024
    max_message_size_in_kilobytes: Kilobytes = 256
    enable_partitioning: bool = False
    enable_express: bool = False
    support_ordering: bool = True
    authorization_rules: tuple[AuthorizationRule, ...] = ()


SendingDescription = QueueDescription | TopicDescription


def max_message_bytes(properties: SendingDescription) -> int:
    return properties.max_message_size_in_kilobytes * 1024


def max_bytes(properties: SendingDescription) -> int:
    return properties.max_size_in_megabytes * 1024 * 1024


class SubscriptionDescription(ReceivingDescription, frozen=True, kw_only=True, rename="pascal"):
    """A subscription of a topic."""

    dead_lettering_on_filter_evaluation_exceptions: bool = True


class MomentParameter(Struct, frozen=True, tag="Moment"):
    """A point in time, in Unix milliseconds; without a zone it is taken as UTC, and told without one again."""

    unix_ms: int
    zoned: bool = True


class SpanParameter(Struct, frozen=True, tag="Span"):
    """A length of time."""

    ms: int


# A parameter of a rule.
Scalar = bool | int | float | str | MomentParameter | SpanParameter


class TrueFilter(Struct, frozen=True, tag="TrueFilter"):
    """Every message."""


class FalseFilter(Struct, frozen=True, tag="FalseFilter"):
    """No message."""


class SqlFilter(Struct, frozen=True, tag="SqlFilter"):
    """Messages for which `expression` is true; `parameters` are its @names."""

    expression: str
    parameters: Mapping[str, Scalar] = {}


class CorrelationFilter(Struct, frozen=True, kw_only=True, tag="CorrelationFilter"):
    """Messages whose properties equal every one that is given; None stands for any."""

    correlation_id: str | None = None
    message_id: str | None = None
    to: str | None = None
    reply_to: str | None = None
    label: str | None = None
    session_id: str | None = None
    reply_to_session_id: str | None = None
    content_type: str | None = None
    properties: Mapping[str, Scalar] = {}


Filter = TrueFilter | FalseFilter | SqlFilter | CorrelationFilter


class SqlAction(Struct, frozen=True):
    """What is done to a copy that a rule lets through."""

    expression: str
    parameters: Mapping[str, Scalar] = {}


class RuleDescription(Struct, frozen=True):
    """A subscription takes a message when one of its rules does."""

    name: str
    filter: Filter = TrueFilter()
    action: SqlAction | None = None


DEFAULT_RULE: Final = RuleDescription("$Default")


def check_name(name: str, kind: Literal["entity", "subscription", "rule"] = "entity") -> str:
    """`name`; raises InvalidArgumentError when it can't be the name of an entity of that kind."""
    pattern = {"entity": _NAME, "subscription": _SHORT_NAME, "rule": _RULE_NAME}[kind]
    if kind == "entity" and topology.split_subscription(name):
        raise InvalidArgumentError(f"{name!r} is no {kind} name: /Subscriptions/ in it means a topic's subscription")
    if not pattern.fullmatch(name):
        limit = 260 if kind == "entity" else 50
        raise InvalidArgumentError(
            f"{name!r} is no {kind} name: up to {limit} letters, digits, . - _, ends not by . - or /"
        )
    return name


def check_receiving(entity: ReceivingDescription) -> None:
    """Raises InvalidArgumentError where a value is out of the service's range."""
    if not timedelta(0) < entity.lock_duration <= timedelta(minutes=5):
        raise InvalidArgumentError(f"LockDuration {entity.lock_duration}: expected more than zero, at most 5 minutes")


def check_common(entity: EntityDescription) -> None:
    """Raises InvalidArgumentError where a value is out of the service's range."""
    if entity.default_message_time_to_live <= timedelta(0):
        raise InvalidArgumentError(
            f"DefaultMessageTimeToLive {entity.default_message_time_to_live}: expected more than 0"
        )
    if entity.auto_delete_on_idle < timedelta(minutes=5):
        raise InvalidArgumentError(f"AutoDeleteOnIdle {entity.auto_delete_on_idle}: expected 5 minutes at least")
    if isinstance(entity, ReceivingDescription):
        check_receiving(entity)
    if isinstance(entity, QueueDescription | TopicDescription):
        window = entity.duplicate_detection_history_time_window
        if not timedelta(0) < window <= timedelta(days=7):
            raise InvalidArgumentError(f"DuplicateDetectionHistoryTimeWindow {window}: expected at most 7 days")
        if (wrong := too_many(entity.authorization_rules)) is not None:
            raise InvalidArgumentError(wrong)


def milliseconds(duration: timedelta) -> int | None:
    """Whole milliseconds, None for ever (as does any duration beyond 10,000 years)."""
    return None if duration > timedelta(days=3_650_000) else int(duration.total_seconds() * 1000)
