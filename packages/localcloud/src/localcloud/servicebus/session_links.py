"""Accepts sessions: the attach is answered when one is free."""

import asyncio
from dataclasses import replace
from typing import Final

from localcloud.amqp.sending_link import SendingLink
from localcloud.amqp.types import Described, Map, Symbol, Value
from localcloud.servicebus.amqp_format import ticks
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.changes import LockGrant
from localcloud.servicebus.errors import InvalidArgumentError, NotAllowedError, OperationTimeoutError
from localcloud.servicebus.namespace import ServiceBusNamespace
from localcloud.servicebus.queue_outlet import QueueOutlet

SESSION_FILTER: Final = Symbol("com.microsoft:session-filter")
LOCKED_UNTIL: Final = Symbol("com.microsoft:locked-until-utc")
TIMEOUT: Final = Symbol("com.microsoft:timeout")
DEFAULT_WAIT_MS: Final = 60_000


def filter_of(link: SendingLink) -> Map | None:
    """The source's filter, when it asks for a session."""
    chosen = link.source.filter if link.source else None
    return chosen if chosen is not None and SESSION_FILTER in chosen else None


def check_kind(broker: Broker, path: str, *, with_session: bool) -> None:
    """Raises NotAllowedError for a link with a session to an entity without, or the reverse.

    Raises EntityNotFoundError and EntityDisabledError too.
    """
    requires = broker.outlet(path).policy.requires_session
    if requires and not with_session:
        raise NotAllowedError(f"'{path}' requires sessions: accept one, instead of receiving from all of it.")
    if with_session and not requires:
        raise NotAllowedError(f"'{path}' has no sessions: receive from it without one.")


async def accept(namespace: ServiceBusNamespace, path: str, link: SendingLink) -> QueueOutlet:
    """The outlet of the session that the link asks for by name, or of the next that is free and has messages.

    Raises SessionCannotBeLockedError, and OperationTimeoutError when the next did not come in time.
    """
    chosen = filter_of(link)
    assert chosen is not None
    wanted = chosen[SESSION_FILTER]
    wanted = wanted.value if isinstance(wanted, Described) else wanted
    if isinstance(wanted, str):
        session_id, lock = wanted, await _lock(namespace, path, wanted)
    elif wanted is None:
        session_id, lock = await _next(namespace, path, _wait_ms(link))
    else:
        raise InvalidArgumentError(f"a session id is a string, not {wanted!r}")
    assert link.source is not None
    granted: dict[Value, Value] = {**chosen, SESSION_FILTER: session_id}
    link.source = replace(link.source, filter=granted)
    link.properties = {**(link.properties or {}), LOCKED_UNTIL: ticks(lock.until_ms)}
    return QueueOutlet(namespace, path, link, session_id, lock.token)


def _wait_ms(link: SendingLink) -> int:
    given = (link.requested.properties or {}).get(TIMEOUT)
    return int(given) if isinstance(given, int) and given > 0 else DEFAULT_WAIT_MS


async def _lock(namespace: ServiceBusNamespace, path: str, session_id: str) -> LockGrant:
    token = namespace.new_id()
    return await namespace.run(lambda broker, now_ms: broker.outlet(path).accept_session(session_id, now_ms, token))


class _SessionListener:
    """Sets an event when a session may have become free."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()

    def on_ready(self) -> None:
        self.rung.set()

    def on_reset(self) -> None:
        self.rung.set()


async def _next(namespace: ServiceBusNamespace, path: str, wait_ms: int) -> tuple[str, LockGrant]:
    bell = _SessionListener()
    namespace.subscribe(path, bell)
    try:
        async with asyncio.timeout(wait_ms / 1000):
            while True:
                bell.rung.clear()
                granted = await namespace.run(lambda broker, now_ms: _lock_next(namespace, broker, path, now_ms))
                if granted is not None:
                    return granted
                await bell.rung.wait()
    except TimeoutError:
        raise OperationTimeoutError(f"no session of '{path}' had messages and was free within {wait_ms} ms") from None
    finally:
        namespace.unsubscribe(path, bell)


def _lock_next(namespace: ServiceBusNamespace, broker: Broker, path: str, now_ms: int) -> tuple[str, LockGrant] | None:
    queue = broker.outlet(path)
    session_id = queue.next_session(now_ms)
    return None if session_id is None else (session_id, queue.accept_session(session_id, now_ms, namespace.new_id()))
