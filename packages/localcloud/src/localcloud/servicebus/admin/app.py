"""The resources of the administration interface.

Source: "Service Bus REST API, resource provider operations" (Microsoft Learn), and what the clients send:

    /$namespaceinfo · /$Resources/queues|topics · /ENTITY · /TOPIC/subscriptions[/SUB[/rules[/RULE]]]

GET reads, PUT creates, PUT with If-Match updates, DELETE deletes.
"""

import logging
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import Element, SubElement

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcloud.sas import CredentialError, Keys, OutOfScopeError, Right
from localcloud.servicebus import entities, registry, topology
from localcloud.servicebus.admin import atom, descriptions, rule_descriptions
from localcloud.servicebus.admin.atom import AtomEntry
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.entity import Entity, EntityDocument, SubscriptionEntity, TopicEntity
from localcloud.servicebus.errors import EntityNotFoundError, InvalidArgumentError, ServiceBusError
from localcloud.servicebus.namespace import ServiceBusNamespace

log = logging.getLogger(__name__)

ENTRY: Final = "application/atom+xml;type=entry;charset=utf-8"
FEED: Final = "application/atom+xml;type=feed;charset=utf-8"
MAX_BODY: Final = 1 << 20

_BELOW_TOPIC: Final = re.compile(
    r"(?P<topic>.+?)/subscriptions(/(?P<subscription>[^/]+)(/rules(/(?P<rule>[^/]+))?)?)?", re.IGNORECASE
)
_RULES: Final = re.compile(r"/rules(/|$)", re.IGNORECASE)


def create(namespace: ServiceBusNamespace, keys: Keys, *, standard: bool = False) -> Starlette:
    """The app. Every request needs a shared access signature that covers its path. `standard`: the tier that the
    namespace says it has."""
    answer = Administration(namespace, keys, standard=standard).answer
    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "PUT", "DELETE"])])


class Administration:
    """Answers requests from the namespace's broker."""

    def __init__(self, namespace: ServiceBusNamespace, keys: Keys, *, standard: bool) -> None:
        self._standard = standard
        self._namespace = namespace
        self._keys = keys

    async def answer(self, request: Request) -> Response:
        path = request.path_params["path"].strip("/")
        try:
            shown = request.headers.get("authorization", "")
            grant = self._keys.check_token(shown, path, self._namespace.now_ms() / 1000)
            if Right.MANAGE not in grant.rights_at(path):
                raise OutOfScopeError(f"the token lacks the right {Right.MANAGE}")
        except CredentialError as reason:
            log.warning("administration refused: %s", reason)
            return Response(atom.error(401, "Unauthorized: the token does not give access."), 401, media_type=ENTRY)
        try:
            return await self._respond(request, path)
        except ServiceBusError as error:
            return Response(atom.error(error.status, str(error)), error.status, media_type=ENTRY)

    async def _respond(self, request: Request, path: str) -> Response:
        body = await request.body()
        if len(body) > MAX_BODY:
            raise InvalidArgumentError(f"the body has {len(body)} bytes; allowed are {MAX_BODY}")
        below = _BELOW_TOPIC.fullmatch(path)
        base = str(request.base_url).rstrip("/")
        if request.method == "GET":
            if path.lower() == "$namespaceinfo":
                return Response(
                    atom.entry(_namespace_info(base, self._namespace.now_ms(), standard=self._standard)),
                    media_type=ENTRY,
                )
            listing = self._listing(path, below)
            if listing:
                return await self._feed(request, f"{base}/{quote(path)}", *listing)
        names = {name: text for name, text in below.groupdict().items() if text} if below else {}
        if "rule" in names:
            subscription = topology.subscription_path(names["topic"], names["subscription"])
            return await self._rule(request, body, base, subscription, names["rule"])
        if below and "subscription" not in names:
            raise InvalidArgumentError(f"{request.method} of {path!r}: name a subscription")
        name = topology.subscription_path(names["topic"], names["subscription"]) if below else path
        return await self._entity(request, body, base, name)

    # Lists

    def _listing(
        self, path: str, below: re.Match[str] | None
    ) -> tuple[str, Callable[[Broker, str], list[AtomEntry]]] | None:
        kind = path.lower()
        if kind == "$resources/queues":
            return "Queues", lambda broker, base: [_entry(e, base) for e in broker.queues.values()]
        if kind == "$resources/topics":
            return "Topics", lambda broker, base: [_entry(e, base) for e in broker.topics.values()]
        if below and not below["subscription"]:
            topic = below["topic"]
            return "Subscriptions", lambda broker, base: [
                _entry(entity, base) for entity in _topic(broker, topic).subscriptions.values()
            ]
        if below and not below["rule"] and _RULES.search(path):
            name = topology.subscription_path(below["topic"], below["subscription"])
            return "Rules", lambda broker, base: _rule_entries(broker, name, base)
        return None

    async def _feed(
        self, request: Request, url: str, title: str, entries: Callable[[Broker, str], list[AtomEntry]]
    ) -> Response:
        skip, top = (_number(request, name, default) for name, default in (("$skip", 0), ("$top", atom.MAX_PAGE)))
        base = str(request.base_url).rstrip("/")
        found = await self._namespace.run(lambda broker, now_ms: entries(broker, base))
        found.sort(key=lambda made: made.title.lower())
        page = atom.feed(title, url, found, skip, min(top, atom.MAX_PAGE), self._namespace.now_ms())
        return Response(page, media_type=FEED)

    # One entity

    async def _entity(self, request: Request, body: bytes, base: str, name: str) -> Response:
        if request.method == "DELETE":
            await self._namespace.run(lambda broker, now_ms: broker.delete(broker.entity(name)))
            return Response(status_code=200)
        if request.method == "PUT":
            description = atom.description_of(body)
            updates = "if-match" in request.headers
            made = await self._namespace.run(
                lambda broker, now_ms: _entry(_put(broker, name, description, now_ms, updates=updates), base)
            )
            return Response(atom.entry(made), 200 if updates else 201, media_type=ENTRY)
        made = await self._namespace.run(lambda broker, now_ms: _entry(broker.entity(name), base))
        return Response(atom.entry(made), media_type=ENTRY)

    async def _rule(self, request: Request, body: bytes, base: str, subscription: str, name: str) -> Response:
        if request.method == "DELETE":
            await self._namespace.run(lambda broker, now_ms: registry.remove_rule(broker, subscription, name))
            return Response(status_code=200)
        exists = "if-match" in request.headers
        if request.method == "PUT":
            made = rule_descriptions.read(name, atom.description_of(body))
            await self._namespace.run(
                lambda broker, now_ms: registry.put_rule(broker, subscription, made, exists=exists)
            )

        def read(broker: Broker, now_ms: int) -> AtomEntry:
            registry.rule(broker, subscription, name)
            return next(e for e in _rule_entries(broker, subscription, base) if e.title.lower() == name.lower())

        entry = await self._namespace.run(read)
        return Response(atom.entry(entry), 201 if request.method == "PUT" and not exists else 200, media_type=ENTRY)


def _topic(broker: Broker, name: str) -> TopicEntity:
    topic = broker.entity(name)
    if not isinstance(topic, TopicEntity):
        raise EntityNotFoundError(name)
    return topic


def _put(broker: Broker, name: str, description: Element, now_ms: int, *, updates: bool) -> Entity:
    kind = atom.local_name(description)
    document = EntityDocument(name, now_ms, now_ms)
    properties: entities.EntityDescription
    if kind == "QueueDescription":
        properties = descriptions.read(description, entities.QueueDescription)
        document = EntityDocument(name, now_ms, now_ms, queue=properties)
    elif kind == "TopicDescription":
        properties = descriptions.read(description, entities.TopicDescription)
        document = EntityDocument(name, now_ms, now_ms, topic=properties)
    elif kind == "SubscriptionDescription":
        properties = descriptions.read(description, entities.SubscriptionDescription)
        document = EntityDocument(name, now_ms, now_ms, subscription=properties, rules=(_default_rule(description),))
    else:
        raise InvalidArgumentError(f"{kind} describes no entity")
    if not updates:
        return registry.create(broker, document, now_ms)
    entity = broker.entity(name)
    registry.update(broker, entity, properties, now_ms)
    return entity


def _default_rule(description: Element) -> entities.RuleDescription:
    given = description.find(atom.tag("DefaultRuleDescription"))
    if given is None:
        return entities.DEFAULT_RULE
    name = given.findtext(atom.tag("Name")) or entities.DEFAULT_RULE.name
    return rule_descriptions.read(name, given)


def _entry(entity: Entity, base: str) -> AtomEntry:
    names = topology.split_subscription(entity.name) if isinstance(entity, SubscriptionEntity) else None
    title = names[1] if names else entity.name
    return AtomEntry(
        title, f"{base}/{quote(entity.name)}", entity.updated_ms, descriptions.write(entity, urlsplit(base).netloc)
    )


def _rule_entries(broker: Broker, path: str, base: str) -> list[AtomEntry]:
    entity = registry.subscription(broker, path)
    url = f"{base}/{quote(entity.name)}/Rules"
    return [
        AtomEntry(
            compiled.rule.name,
            f"{url}/{quote(compiled.rule.name)}",
            entity.updated_ms,
            rule_descriptions.write(compiled.rule, entity.created_ms),
        )
        for compiled in entity.rules.values()
    ]


def _namespace_info(base: str, now_ms: int, *, standard: bool) -> AtomEntry:
    root = Element(atom.tag("NamespaceInfo"))
    for name, text in (
        ("CreatedTime", atom.timestamp(now_ms)),
        ("MessagingSKU", "Standard" if standard else "Premium"),
        *(() if standard else (("MessagingUnits", "1"),)),
        ("ModifiedTime", atom.timestamp(now_ms)),
        ("Name", "sbemulatorns"),
        ("NamespaceType", "Messaging"),
    ):
        SubElement(root, atom.tag(name)).text = text
    return AtomEntry("sbemulatorns", f"{base}/$namespaceinfo", now_ms, root)


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdecimal():
        raise InvalidArgumentError(f"{name}={text!r}; expected a number")
    return int(text)
