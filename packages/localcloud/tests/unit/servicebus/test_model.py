"""The queue against a plain model of it, under whatever sequence of operations and whatever passing of time.

The model is a list of entries and a few obvious loops over it. After every step the queue has to hold the same
messages in the same states, and what it has told to be durable has to rebuild it.
"""

from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from localcloud.servicebus.changes import (
    MessageState,
    QueuedMessage,
)
from localcloud.servicebus.errors import MessageLockLostError, MessageNotFoundError
from localcloud_tests.support.fuzzing import effort
from localcloud_tests.unit.servicebus.builders import broker_with, content
from localcloud_tests.unit.servicebus.queue_model import LOCK, Entry, ModelledQueue

TTL = 12_000
# Weighted towards what takes several steps to show.
HOW = ["complete", "abandon", "abandon", "abandon", "defer", "defer", "dead_letter", "renew", "release"]


class QueueMachine(ModelledQueue):
    ttl = TTL

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[UUID] = []

    @initialize()
    def make(self) -> None:
        self.broker = broker_with({"q": self.properties()})

    # What happens

    @rule(delay=st.sampled_from([0, 0, 0, 1, 20_000]))
    def send(self, delay: int) -> None:
        self.names += 1
        due = self.now + delay
        name = f"m{self.names}"
        made = content(name, message_id=name, due_ms=due if delay else None)
        (number,) = self.broker.send("q", [made], self.now)
        assert number == self.model_number()
        state = MessageState.SCHEDULED if delay else MessageState.ACTIVE
        self.entries.append(Entry(name, number, state, due))

    @rule(count=st.integers(1, 4), deletes=st.sampled_from([False, False, False, True]))
    def receive(self, count: int, deletes: bool) -> None:
        ready = [e for e in self.alive() if e.state is MessageState.ACTIVE and e.token is None]
        expected = sorted(ready, key=lambda entry: entry.number)[:count]
        got = self.queue.receive(count, self.now, None if deletes else self.new_token)
        assert [message.sequence for message in got] == [entry.number for entry in expected]
        self.model_take(expected, got, deletes)

    def model_take(self, expected: list[Entry], got: list[QueuedMessage], deletes: bool) -> None:
        for entry, message in zip(expected, got, strict=True):
            assert message.delivery_count == entry.count
            if deletes:
                self.entries.remove(entry)
                continue
            assert message.lock is not None
            assert message.lock.until_ms == self.now + LOCK
            entry.token, entry.locked_until = message.lock.token, message.lock.until_ms
            self.seen.append(entry.token)

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), how=st.sampled_from(HOW))
    def settle(self, data: st.DataObject, how: str) -> None:
        token = data.draw(st.sampled_from(self.seen[-4:]))
        entry = next((e for e in self.alive() if e.token == token), None)
        if entry is None and how != "release":
            with pytest.raises(MessageLockLostError):
                self.act(how, token)
            return
        self.act(how, token)
        if entry is not None:
            self.model_settle(entry, how)

    def model_settle(self, entry: Entry, how: str) -> None:
        if how == "renew":
            entry.locked_until = self.now + LOCK
            return
        super().model_settle(entry, how)

    @precondition(lambda self: any(entry.state is MessageState.DEFERRED for entry in self.entries))
    @rule(data=st.data())
    def receive_deferred(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, max(self.next_number, 2)))
        entry = next((e for e in self.alive() if e.number == number), None)
        if entry is None or entry.state is not MessageState.DEFERRED or entry.token is not None:
            with pytest.raises(MessageNotFoundError):
                self.queue.receive_deferred([number], self.now, self.new_token)
            return
        self.model_take([entry], self.queue.receive_deferred([number], self.now, self.new_token), deletes=False)

    @precondition(lambda self: any(entry.state is MessageState.SCHEDULED for entry in self.entries))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, max(self.next_number, 2)))
        entry = next((e for e in self.alive() if e.number == number), None)
        if entry is None or entry.state is not MessageState.SCHEDULED:
            with pytest.raises(MessageNotFoundError):
                self.queue.cancel_scheduled([number])
            return
        self.queue.cancel_scheduled([number])
        self.entries.remove(entry)

    @rule(seconds=st.sampled_from([1, 5, 8, 10]))
    def time_passes(self, seconds: int) -> None:
        """In steps, as a timer would: so that what falls due between has its own moment."""
        for _ in range(seconds):
            self.now += 1_000
            self.broker.advance(self.now)
            for entry in sorted(self.alive(), key=lambda e: (e.due, e.number)):
                if entry.state is MessageState.SCHEDULED and entry.due <= self.now:
                    entry.state, entry.number = MessageState.ACTIVE, self.model_number()
                elif entry.token is not None and entry.locked_until <= self.now:
                    self.model_give_back(entry)
                elif entry.token is None and entry.state is not MessageState.SCHEDULED and entry.due + TTL <= self.now:
                    entry.reason = "TTLExpiredException"

    # What always holds

    @invariant()
    def queue_is_the_model(self) -> None:
        if not hasattr(self, "broker"):
            return
        expected = {e.number: (e.name, e.state, e.count, e.token) for e in self.alive()}
        assert {
            m.sequence: (m.content.message_id, m.state, m.delivery_count, m.lock.token if m.lock else None)
            for m in self.queue.peek(0, 10_000)
        } == expected


TestQueue = QueueMachine.TestCase
TestQueue.settings = effort(80, steps=40)
