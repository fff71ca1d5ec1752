"""What is under way to a webhook while the store fails."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from localcloud.eventgrid import dispatcher
from localcloud.eventgrid.dispatcher import Dispatcher
from localcloud.eventgrid.store import EventGridStore
from localcloud.eventgrid.subscription import Subscription, SubscriptionOptions
from localcloud.eventgrid.webhook_client import WebhookAnswer, WebhookClient
from localcloud.testing.waiting import wait_for_async

SHOP = Subscription("shop", SubscriptionOptions(endpoint_url="https://shop.example/songs"), "Succeeded", 5.0)
FAILING, SLOW = b'{"id":"failing"}', b'{"id":"slow"}'


class FailingStore(EventGridStore):
    """A store that can't remove an event when it is asked to first."""

    has_failed = False

    def remove(self, number: int) -> None:
        if not self.has_failed:
            self.has_failed = True
            raise sqlite3.OperationalError("disk I/O error")
        super().remove(number)


class SlowWebhook(WebhookClient):
    """A webhook that takes everything, `SLOW` only once it `may_answer`. `most` counts the requests at a time."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.most: Counter[bytes] = Counter()
        self._now: Counter[bytes] = Counter()

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> WebhookAnswer:
        self._now[body] += 1
        self.most[body] = max(self.most[body], self._now[body])
        if body == SLOW:
            await self.may_answer.wait()
        self._now[body] -= 1
        return WebhookAnswer(200, {})


async def test_no_event_is_sent_twice_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that the store fails on is tried again once the others have their answers."""
    monkeypatch.setattr(dispatcher, "STORE_PAUSE_S", 0.0)
    webhook = SlowWebhook()
    with FailingStore(tmp_path / "eventgrid.db") as store:
        store.put_subscription(SHOP, "secret")
        store.publish([("shop", FAILING), ("shop", SLOW)], 7.0)
        delivering = Dispatcher(store, webhook, None, (1.0,), now_s=lambda: 8.0)
        delivering.start(SHOP)
        # Turns of the loop in which the event would be due again.
        for _ in range(100):
            await asyncio.sleep(0)
        assert store.has_failed
        webhook.may_answer.set()

        async def all_are_taken() -> bool:
            return not store.count("shop")

        await wait_for_async(all_are_taken, "both events to be taken")
        await delivering.close()
    assert webhook.most == {FAILING: 1, SLOW: 1}
