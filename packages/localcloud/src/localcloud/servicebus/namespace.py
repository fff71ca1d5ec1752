"""The namespace at run time: the broker with its clock, its store and the links that wait for messages.

An operation changes the broker at once and is acknowledged when the store has it. When the store fails, the broker is
read again from disk: what was not acknowledged has not happened.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from uuid import UUID

from localcloud.disk import reason
from localcloud.servicebus import declaration
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.config import NamespaceConfig
from localcloud.servicebus.errors import ServerBusyError
from localcloud.servicebus.message import BodyFile, MessageContent
from localcloud.servicebus.standard_limits import EntityLimits
from localcloud.servicebus.store import BLOB_BYTES, MessageStore, StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")

STORE_PAUSE_S = 1.0
"""What is due waits so much longer while the disk refuses it: each try reads the whole namespace again."""


class QueueListener(Protocol):
    """Is called when something happens in a queue."""

    def on_ready(self) -> None:
        """There may be something to receive, or a session may have ended."""

    def on_reset(self) -> None:
        """The broker was read anew: what was in memory only, as locks of sessions, is gone."""


class ServiceBusNamespace:
    """The entities and messages of `store`, with those of `config` declared; `now_ms` is the clock. What is made later
    is held to `limits`."""

    def __init__(
        self,
        store: MessageStore,
        config: NamespaceConfig,
        now_ms: Callable[[], int],
        new_id: Callable[[], UUID],
        limits: EntityLimits | None = None,
    ) -> None:
        self._limits = limits
        self.now_ms = now_ms
        self.new_id = new_id
        self._store = store
        self._config = config
        self._listeners: dict[str, dict[QueueListener, None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waking = False
        self._pause_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Raises ConfigError when the declaration contradicts what is stored."""
        self._loop = asyncio.get_running_loop()
        self._store.start()
        self.broker = self._read()
        await self.run(lambda broker, now_ms: declaration.declare(broker, self._config, now_ms))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer:
            self._timer.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.close()

    def apply(self, operation: Callable[[Broker, int], T], blobs: Sequence[str] = ()) -> tuple[T, Awaitable[None]]:
        """The answer of `operation`, and what to await until its effects are on disk (or ServerBusyError).

        Raises what the operation raises. `blobs` are bodies that it may have used.
        """
        now_ms = self.now_ms()
        self.broker.advance(now_ms)
        try:
            answer = operation(self.broker, now_ms)
            self.broker.forward_ready(now_ms)
        except BaseException:
            self.spawn(self._flush(blobs))
            raise
        return answer, self._flush(blobs)

    async def run(self, operation: Callable[[Broker, int], T], blobs: Sequence[str] = ()) -> T:
        """The answer of `operation`, when its effects are on disk. Raises what it raises, or ServerBusyError."""
        answer, durable = self.apply(operation, blobs)
        await durable
        return answer

    async def store_body(self, content: MessageContent) -> MessageContent:
        """The message, with a big body moved to a file."""
        body = content.body
        if isinstance(body, BodyFile) or len(body) < BLOB_BYTES:
            return content
        try:
            blob = await asyncio.to_thread(self._store.write_blob, str(self.new_id()), body)
        except OSError as error:
            raise ServerBusyError(f"the message can't be stored: {reason(error)}") from None
        return replace(content, body=blob)

    async def read_body(self, content: MessageContent) -> bytes:
        """Raises FileNotFoundError when the message has gone meanwhile."""
        body = content.body
        return await asyncio.to_thread(self._store.read_blob, body) if isinstance(body, BodyFile) else body

    def subscribe(self, path: str, listener: QueueListener) -> None:
        """Call `listener` when something happens in the queue at `path`."""
        self._listeners.setdefault(path, {})[listener] = None

    def unsubscribe(self, path: str, listener: QueueListener) -> None:
        listeners = self._listeners.get(path, {})
        listeners.pop(listener, None)
        if not listeners:
            self._listeners.pop(path, None)

    # Inside

    def _flush(self, blobs: Sequence[str] = ()) -> Coroutine[Any, Any, None]:
        """Hand the changes to the store now; what is returned awaits them."""
        committed = self._store.commit(self.broker.take_changes(), blobs)
        if not self._waking:
            # Later: the caller may itself be a listener that is in the midst of an operation.
            self._waking = True
            self._loop.call_soon(self._wake)
        self._arm()
        return self._durable(committed, self.broker)

    async def _durable(self, committed: "asyncio.Future[None]", broker: Broker) -> None:
        try:
            await asyncio.shield(committed)
        except StoreError as error:
            if self.broker is broker:
                self._reset(error)
            raise ServerBusyError(f"the change can't be stored: {error}") from None
        self._pause_s = 0.0

    def _wake(self) -> None:
        self._waking = False
        for queue in self.broker.take_ready():
            listeners = self._listeners.get(queue.path, {})
            for listener in list(listeners):
                listener.on_ready()
            if len(listeners) > 1:
                # The first listener comes last the next time.
                first = next(iter(listeners))
                del listeners[first]
                listeners[first] = None

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        due = self.broker.next_due
        if due is not None:
            # A day at most, because the clock may be set.
            delay = min(max(0, due - self.now_ms()) / 1000 + 0.001 + self._pause_s, 86_400)
            self._timer = self._loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.spawn(self.run(lambda broker, now_ms: None))

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end, also while closing. ServerBusyError is ignored."""
        task = self._loop.create_task(_logged(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _reset(self, error: StoreError) -> None:
        log.debug("starting again from what is on disk: %s", error)
        self._pause_s = STORE_PAUSE_S
        self.broker = self._read()
        for listeners in list(self._listeners.values()):
            for listener in list(listeners):
                listener.on_reset()
        self._arm()

    def _read(self) -> Broker:
        broker = Broker(self._limits)
        declaration.restore(broker, self._store.load(), self.now_ms())
        return broker


async def _logged(coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        await coroutine
    except ServerBusyError:
        pass  # the store has told what the disk refused
    except Exception:
        log.exception("a task of the namespace failed")
