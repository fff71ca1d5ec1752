"""Delivers: a task for each subscription, so that a webhook that is slow, fails or lies keeps no other one waiting."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from localcloud.eventgrid import dead_letters
from localcloud.eventgrid.dead_letters import BlobWriter
from localcloud.eventgrid.delivery import (
    NEVER_AGAIN,
    Attempt,
    DeadLetterFate,
    EventDelivery,
    RetryPolicy,
    after,
    is_expired,
)
from localcloud.eventgrid.store import EventGridStore, WaitingEvent
from localcloud.eventgrid.subscription import Subscription
from localcloud.eventgrid.webhook_client import WebhookClient, WebhookError

AT_ONCE = 8
"""Requests to one webhook at a time."""

LONGEST_SLEEP_S = 60.0
STORE_PAUSE_S = 1.0
TOPIC = "localcloud"

log = logging.getLogger(__name__)


class Dispatcher:
    """Delivers what `store` keeps. `blobs` takes dead letters; None: they are dropped, as where Azure has no
    destination for them. `schedule_s`: the pauses between attempts."""

    def __init__(
        self,
        store: EventGridStore,
        client: WebhookClient,
        blobs: BlobWriter | None,
        schedule_s: tuple[float, ...],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._client = client
        self._blobs = blobs
        self._schedule_s = schedule_s
        self._now_s = now_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._awake: dict[str, asyncio.Event] = {}

    def start(self, subscription: Subscription) -> None:
        """Deliver to the subscription from now on, as it is by now."""
        self.stop(subscription.name)
        self._awake[subscription.name] = asyncio.Event()
        self._tasks[subscription.name] = asyncio.create_task(self._deliver(subscription), name=subscription.name)

    def stop(self, name: str) -> None:
        """Deliver to it no longer."""
        self._awake.pop(name, None)
        if (task := self._tasks.pop(name, None)) is not None:
            task.cancel()

    def wake(self) -> None:
        """Look for what is due: events have come."""
        for awake in self._awake.values():
            awake.set()

    async def close(self) -> None:
        """Stop all; what was under way is delivered again at the next start."""
        tasks = list(self._tasks.values())
        for name in list(self._tasks):
            self.stop(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, subscription: Subscription) -> None:
        name, awake = subscription.name, self._awake[subscription.name]
        policy = RetryPolicy(
            subscription.options.max_delivery_attempts,
            subscription.options.event_time_to_live_in_minutes * 60.0,
            self._schedule_s,
        )
        while True:
            awake.clear()
            try:
                due = self._store.due(name, self._now_s(), AT_ONCE)
                attempts = (self._attempt(subscription, policy, event) for event in due)
                # All of them, before one that failed is due again: none is sent twice at a time.
                for failed in await asyncio.gather(*attempts, return_exceptions=True):
                    if failed is not None:
                        raise failed
                moment = self._now_s() if due else self._store.next_moment_s(name)
            except sqlite3.Error as error:
                log.error("events for %s wait: %s", name, error)
                moment = self._now_s() + STORE_PAUSE_S
            pause_s = LONGEST_SLEEP_S if moment is None else min(LONGEST_SLEEP_S, max(0.0, moment - self._now_s()))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await awake.wait()

    async def _attempt(self, subscription: Subscription, policy: RetryPolicy, event: WaitingEvent) -> None:
        if is_expired(event.delivery, self._now_s(), policy):
            await self._bury(
                subscription, event, event.delivery.attempts, event.last, DeadLetterFate("TimeToLiveExceeded")
            )
            return
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "aeg-event-type": "Notification",
            "aeg-subscription-name": subscription.name.upper(),
            "aeg-delivery-count": str(event.delivery.attempts),
        }
        try:
            answer = await self._client.send("POST", subscription.options.endpoint_url, headers, event.body)
            attempt = Attempt(self._now_s(), answer.status, NEVER_AGAIN.get(answer.status, f"Http{answer.status}"))
        except WebhookError as error:
            attempt = Attempt(self._now_s(), None, str(error)[:200])
        fate = after(event.delivery, attempt, policy)
        if fate is None:
            self._store.remove(event.number)
        elif isinstance(fate, EventDelivery):
            self._store.postpone(event.number, fate, attempt)
        else:
            await self._bury(subscription, event, event.delivery.attempts + 1, attempt, fate)

    async def _bury(
        self, subscription: Subscription, event: WaitingEvent, attempts: int, last: Attempt | None, fate: DeadLetterFate
    ) -> None:
        """Make a dead letter of an event after so many attempts, the `last` one included."""
        container, published_s = subscription.options.dead_letter_container, event.delivery.published_s
        if container is not None and self._blobs is not None:
            content = dead_letters.dead_letter(event.body, published_s, attempts, last, fate.reason)
            # By the event's own moment, so that a second try after a crash writes the same blob.
            name = dead_letters.blob_name(
                TOPIC, subscription.name, datetime.fromtimestamp(published_s, UTC), event.number
            )
            try:
                await dead_letters.write(self._blobs, container, name, content)
            except Exception as error:  # noqa: BLE001  # whatever the store has: the event waits for it
                log.warning("a dead letter of %s can't be written, trying again: %s", subscription.name, error)
                waits = msgspec.structs.replace(event.delivery, next_s=self._now_s() + self._schedule_s[0])
                self._store.postpone(event.number, waits, last or Attempt(self._now_s(), None, "NotAttempted"))
                return
        else:
            log.warning("an event of %s is dropped: %s", subscription.name, fate.reason)
        self._store.remove(event.number)
