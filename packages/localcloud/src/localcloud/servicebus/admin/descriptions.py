"""Queues, topics and subscriptions as elements.

The names of the elements are those that the properties have in JSON, so this is a walk over either. Durations are ISO
8601, moments XML dateTimes, both in UTC.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement

import msgspec

from localcloud.authorization_rule import AuthorizationRule
from localcloud.servicebus import entities
from localcloud.servicebus.admin.atom import COUNTS, INSTANCE, local_name, tag, timestamp
from localcloud.servicebus.changes import MessageState
from localcloud.servicebus.entities import CorrelationFilter
from localcloud.servicebus.entity import Entity, QueueEntity, SubscriptionEntity, TopicEntity
from localcloud.servicebus.errors import InvalidArgumentError
from localcloud.servicebus.queue import MessageQueue

FOR_EVER_TEXT: Final = "P10675199DT2H48M5.4775807S"
_AUTHORIZATION: Final = "AuthorizationRules"
_FORWARDS: Final = ("ForwardTo", "ForwardDeadLetteredMessagesTo")

EntityT = TypeVar("EntityT", bound=entities.EntityDescription)


def read(description: Element, kind: type[EntityT]) -> EntityT:
    """The properties that a description gives, with the defaults of those it doesn't. Raises InvalidArgumentError."""
    given: dict[str, Any] = {}
    for element in description:
        if element.tag == tag(_AUTHORIZATION):
            given[_AUTHORIZATION] = [_authorization_rule(rule) for rule in element]
        elif not len(element) and element.text and element.tag.startswith(tag("")):
            name = element.tag.removeprefix(tag(""))
            given[name] = _path(element.text) if name in _FORWARDS else element.text
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidArgumentError(f"{kind.__name__}: {error}") from None


def _authorization_rule(element: Element) -> dict[str, Any]:
    given: dict[str, Any] = {local_name(part): part.text or "" for part in element}
    given["Rights"] = [right.text for right in element.iterfind(f"{tag('Rights')}/{tag('AccessRights')}")]
    given["Type"] = element.get(f"{{{INSTANCE}}}type", "").rpartition(":")[2]
    return given


def _path(target: str) -> str:
    """Clients give the address of an entity to forward to; its path is what we keep."""
    return urlsplit(target).path.strip("/") if "://" in target else target


def write(entity: Entity, host: str) -> Element:
    """The description of an entity, with what is known of it at run time.

    What it forwards to is told as an address at `host`, as the service does it.
    """
    root = Element(tag(type(entity.properties).__name__))
    for field in msgspec.structs.fields(entity.properties):
        name, value = field.encode_name, getattr(entity.properties, field.name)
        if name == _AUTHORIZATION:
            _write_authorization(root, value)
        elif name in _FORWARDS and value:
            SubElement(root, tag(name)).text = f"sb://{host}/{value}"
        elif _text(value):
            SubElement(root, tag(name)).text = _text(value)
    for name, text in _runtime(entity).items():
        SubElement(root, tag(name)).text = text
    counts = SubElement(root, tag("CountDetails"))
    for name, count in _counts(entity).items():
        SubElement(counts, f"{{{COUNTS}}}{name}").text = str(count)
    return root


def _write_authorization(root: Element, rules: Sequence[AuthorizationRule]) -> None:
    parent = SubElement(root, tag(_AUTHORIZATION))
    for rule in rules:
        element = SubElement(parent, tag("AuthorizationRule"), {f"{{{INSTANCE}}}type": rule.type})
        for field in msgspec.structs.fields(rule):
            value = getattr(rule, field.name)
            if field.name == "rights":
                rights = SubElement(element, tag("Rights"))
                for right in value:
                    SubElement(rights, tag("AccessRights")).text = right
            elif value and field.name != "type":
                SubElement(element, tag(field.encode_name)).text = value


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return FOR_EVER_TEXT if value >= entities.FOR_EVER else str(msgspec.to_builtins(value))
    return str(value)


def _runtime(entity: Entity) -> Mapping[str, str]:
    known = {
        "CreatedAt": timestamp(entity.created_ms),
        "UpdatedAt": timestamp(entity.updated_ms),
        "AccessedAt": timestamp(entity.accessed_ms),
        "EntityAvailabilityStatus": "Available",
    }
    if isinstance(entity, TopicEntity):
        filters = [rule.rule.filter for sub in entity.subscriptions.values() for rule in sub.rules.values()]
        correlations = sum(isinstance(chosen, CorrelationFilter) for chosen in filters)
        return {
            **known,
            "SizeInBytes": str(entity.bytes),
            "SubscriptionCount": str(len(entity.subscriptions)),
            "SqlFilterCount": str(len(filters) - correlations),
            "CorrelationFilterCount": str(correlations),
        }
    known["MessageCount"] = str(sum(len(queue.messages) for queue in _queues(entity)))
    if isinstance(entity, QueueEntity):
        known["SizeInBytes"] = str(sum(queue.bytes for queue in _queues(entity)))
    return known


def _counts(entity: Entity) -> Mapping[str, int]:
    scheduled = sum(message.state is MessageState.SCHEDULED for message in entity.queue.messages.values())
    dead, transfer = entity.queue.dead_letters, entity.queue.transfer_dead_letters
    return {
        "ActiveMessageCount": len(entity.queue.messages) - scheduled,
        "DeadLetterMessageCount": len(dead.messages) if dead else 0,
        "ScheduledMessageCount": scheduled,
        "TransferMessageCount": 0,
        "TransferDeadLetterMessageCount": len(transfer.messages) if transfer else 0,
    }


def _queues(entity: QueueEntity | SubscriptionEntity) -> list[MessageQueue]:
    return [q for q in (entity.queue, entity.queue.dead_letters, entity.queue.transfer_dead_letters) if q]
