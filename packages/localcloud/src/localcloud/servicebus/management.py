"""Requests to the `$management` node of an entity.

Operations: "AMQP in Azure Service Bus: request-response-based operations" (Microsoft Learn).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID

from localcloud.amqp.errors import AmqpError
from localcloud.amqp.message import Message
from localcloud.amqp.performatives import Accepted, ErrorCondition, Modified, Rejected
from localcloud.amqp.receiving_link import ReceivingLink
from localcloud.amqp.types import Array, Int, Map, Symbol, Timestamp, Value
from localcloud.sas import Right
from localcloud.servicebus import rule_format
from localcloud.servicebus.amqp_format import delivered
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.changes import QueuedMessage
from localcloud.servicebus.errors import InvalidArgumentError, ServerBusyError, ServiceBusError, UnsupportedError
from localcloud.servicebus.message import DESCRIPTION, REASON, BodyFile, MessageContent, read_content
from localcloud.servicebus.namespace import ServiceBusNamespace
from localcloud.servicebus.queue import MessageQueue
from localcloud.servicebus.queue_outlet import settle
from localcloud.servicebus.registry import put_rule, remove_rule, subscription

PREFIX: Final = "com.microsoft:"
MAX_PEEKED: Final = 250
MAX_PEEKED_BYTES: Final = 900_000  # of one answer, so that it stays within what clients take for a message
NO_CONTENT: Final = 204
_SENDING: Final = frozenset({"schedule-message", "cancel-scheduled-message"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ManagementReply:
    body: Map
    status: int = 200


class RequestFields:
    """The body of a request; raises InvalidArgumentError for a field that is missing or of another type."""

    def __init__(self, body: Value) -> None:
        if not isinstance(body, dict):
            raise InvalidArgumentError("the body of a request to $management is a map")
        self._body = {str(key): value for key, value in body.items()}

    def optional(self, name: str, kind: type[T]) -> T | None:
        value = self._body.get(name)
        if value is not None and not isinstance(value, kind):
            raise InvalidArgumentError(f"{name} is a {type(value).__name__}; expected {kind.__name__}")
        return value

    def required(self, name: str, kind: type[T]) -> T:
        value = self.optional(name, kind)
        if value is None:
            raise InvalidArgumentError(f"the request lacks {name}")
        return value

    def required_list(self, name: str, kind: type[T]) -> list[T]:
        """An array or a list."""
        value = self._body.get(name)
        items = value.items if isinstance(value, Array) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, kind) for item in items):
            raise InvalidArgumentError(f"{name}: expected an array of {kind.__name__}")
        return [item for item in items if isinstance(item, kind)]


class EntityManagement:
    """Answers requests that concern the queue, or the entity, at `path`."""

    def __init__(self, namespace: ServiceBusNamespace, path: str) -> None:
        self._namespace = namespace
        self._path = path
        self._operations: dict[str, Callable[[RequestFields], Awaitable[ManagementReply]]] = {
            "renew-lock": self._renew_lock,
            "renew-session-lock": self._renew_session_lock,
            "peek-message": self._peek,
            "schedule-message": self._schedule,
            "cancel-scheduled-message": self._cancel_scheduled,
            "receive-by-sequence-number": self._receive_deferred,
            "update-disposition": self._update_disposition,
            "get-session-state": self._get_session_state,
            "set-session-state": self._set_session_state,
            "get-message-sessions": self._get_message_sessions,
            "add-rule": self._add_rule,
            "remove-rule": self._remove_rule,
            "enumerate-rules": self._enumerate_rules,
        }

    async def handle(self, request: Message, link: ReceivingLink) -> Message:
        try:
            name = str(request.application_properties.get("operation")).removeprefix(PREFIX)
            operation = self._operations.get(name)
            if operation is None:
                raise UnsupportedError(f"{name!r} is no operation; there are {', '.join(self._operations)}")
            link.session.connection.authorize(link.address, Right.SEND if name in _SENDING else Right.LISTEN)
            answer = await operation(RequestFields(request.body))
        except AmqpError as error:
            return _response(401, error.description, error.condition)
        except ServiceBusError as error:
            return _response(error.status, str(error), error.condition)
        return _response(answer.status, "OK" if answer.status == 200 else "NoContent", None, answer.body)

    async def _run(self, operation: Callable[[MessageQueue, int], T]) -> T:
        return await self._namespace.run(lambda broker, now_ms: operation(broker.queue_at(self._path), now_ms))

    async def _renew_lock(self, fields: RequestFields) -> ManagementReply:
        tokens = fields.required_list("lock-tokens", UUID)
        ends = await self._run(lambda queue, now_ms: [queue.renew(token, now_ms) for token in tokens])
        return ManagementReply({"expirations": Array(tuple(Timestamp(end) for end in ends))})

    async def _renew_session_lock(self, fields: RequestFields) -> ManagementReply:
        session_id = fields.required("session-id", str)
        end = await self._run(lambda queue, now_ms: queue.renew_session(session_id, now_ms))
        return ManagementReply({"expiration": Timestamp(end)})

    async def _peek(self, fields: RequestFields) -> ManagementReply:
        start, session_id = fields.required("from-sequence-number", int), fields.optional("session-id", str)
        count = min(fields.required("message-count", int), MAX_PEEKED)
        found = await self._run(lambda queue, now_ms: queue.peek(start, count, session_id))
        peeked: list[Value] = []
        size = 0
        for message in found:
            payload = await self._payload(message._replace(lock=None))
            size += 0 if payload is None else len(payload)
            if peeked and size > MAX_PEEKED_BYTES:
                break
            if payload is not None:
                peeked.append({"message": payload})
        return ManagementReply({"messages": peeked}) if peeked else ManagementReply({}, NO_CONTENT)

    async def _payload(self, message: QueuedMessage) -> bytes | None:
        try:
            return delivered(message, await self._namespace.read_body(message.content))
        except FileNotFoundError:
            return None

    async def _schedule(self, fields: RequestFields) -> ManagementReply:
        contents: list[MessageContent] = []
        for entry in fields.required_list("messages", dict):
            content = read_content(RequestFields(entry).required("message", bytes), self._namespace.new_id())
            contents.append(await self._namespace.store_body(content))
        blobs = [content.body.name for content in contents if isinstance(content.body, BodyFile)]
        numbers = await self._namespace.run(lambda broker, now_ms: broker.send(self._path, contents, now_ms), blobs)
        return ManagementReply({"sequence-numbers": Array(tuple(numbers))})

    async def _cancel_scheduled(self, fields: RequestFields) -> ManagementReply:
        sequences = fields.required_list("sequence-numbers", int)
        await self._run(lambda queue, now_ms: queue.cancel_scheduled(sequences))
        return ManagementReply({})

    async def _receive_deferred(self, fields: RequestFields) -> ManagementReply:
        sequences, session_id = fields.required_list("sequence-numbers", int), fields.optional("session-id", str)
        deletes = fields.optional("receiver-settle-mode", int) == 0
        new_token = None if deletes else self._namespace.new_id
        taken = await self._run(lambda queue, now_ms: queue.receive_deferred(sequences, now_ms, new_token, session_id))
        messages: list[Value] = []
        for message in taken:
            payload = await self._payload(message)
            if payload is None:
                raise ServerBusyError(f"message {message.sequence} went while it was read")
            entry: Map = {"message": payload}
            if message.lock is not None:
                entry["lock-token"] = message.lock.token
            messages.append(entry)
        return ManagementReply({"messages": messages})

    async def _update_disposition(self, fields: RequestFields) -> ManagementReply:
        tokens, status = fields.required_list("lock-tokens", UUID), fields.required("disposition-status", str)
        changes = fields.optional("properties-to-modify", dict)
        if status == "completed":
            outcome: Accepted | Modified | Rejected = Accepted()
        elif status == "abandoned":
            outcome = Modified(delivery_failed=True, message_annotations=changes)
        elif status in ("defered", "deferred"):
            outcome = Modified(delivery_failed=True, undeliverable_here=True, message_annotations=changes)
        elif status == "suspended":
            info: Map = dict(changes or {})
            info[REASON] = fields.optional("deadletter-reason", str)
            info[DESCRIPTION] = fields.optional("deadletter-description", str)
            outcome = Rejected(ErrorCondition(Symbol(PREFIX + "dead-letter"), info=info))
        else:
            raise InvalidArgumentError(
                f"{status!r} is no disposition-status; expected completed, abandoned, defered, suspended"
            )

        def operation(queue: MessageQueue, now_ms: int) -> None:
            for token in tokens:
                settle(queue, token, outcome, now_ms)

        await self._run(operation)
        return ManagementReply({})

    async def _get_session_state(self, fields: RequestFields) -> ManagementReply:
        session_id = fields.required("session-id", str)
        state = await self._run(lambda queue, now_ms: queue.sessions.state(session_id, now_ms))
        return ManagementReply({"session-state": state})

    async def _set_session_state(self, fields: RequestFields) -> ManagementReply:
        session_id, state = fields.required("session-id", str), fields.optional("session-state", bytes)
        await self._run(lambda queue, now_ms: queue.sessions.set_state(session_id, state, now_ms))
        return ManagementReply({})

    async def _get_message_sessions(self, fields: RequestFields) -> ManagementReply:
        since, skip, top = (fields.required(name, int) for name in ("last-updated-time", "skip", "top"))
        names = await self._run(lambda queue, now_ms: queue.sessions.names(since, queue.messages.values()))
        page = names[skip : skip + top]
        if not page:
            return ManagementReply({}, NO_CONTENT)
        return ManagementReply({"skip": Int(skip + len(page)), "sessions-ids": Array(tuple(page))})

    async def _add_rule(self, fields: RequestFields) -> ManagementReply:
        made = rule_format.read(fields.required("rule-name", str), fields.required("rule-description", dict))
        await self._namespace.run(lambda broker, now_ms: put_rule(broker, self._path, made, exists=False))
        return ManagementReply({})

    async def _remove_rule(self, fields: RequestFields) -> ManagementReply:
        name = fields.required("rule-name", str)
        await self._namespace.run(lambda broker, now_ms: remove_rule(broker, self._path, name))
        return ManagementReply({})

    async def _enumerate_rules(self, fields: RequestFields) -> ManagementReply:
        skip, top = fields.optional("skip", int) or 0, fields.required("top", int)

        def operation(broker: Broker, now_ms: int) -> list[Value]:
            entity = subscription(broker, self._path)
            return [
                {"rule-description": rule_format.description(compiled.rule, entity.created_ms)}
                for compiled in list(entity.rules.values())[skip : skip + top]
            ]

        rules = await self._namespace.run(operation)
        return ManagementReply({"rules": rules}) if rules else ManagementReply({}, NO_CONTENT)


def _response(status: int, description: str, condition: str | None = None, body: Map | None = None) -> Message:
    properties: Map = {"statusCode": Int(status), "statusDescription": description}
    if condition is not None:
        properties["errorCondition"] = Symbol(condition)
    return Message(application_properties=properties, body=body or {})
