"""The sessions of a queue against a plain model of them, under whatever sequence of operations, time and restarts.

As in the namespace, what is due is done before each operation. A session's lock, and the locks of the messages that its
holder has, end with a restart; messages and states of sessions do not.
"""

from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from localcloud.servicebus import declaration
from localcloud.servicebus.broker import Broker
from localcloud.servicebus.changes import (
    Change,
    MessageState,
    QueuedMessage,
    SessionStateSet,
)
from localcloud.servicebus.entity import EntityDocument
from localcloud.servicebus.errors import (
    MessageLockLostError,
    MessageNotFoundError,
    NotAllowedError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)
from localcloud.servicebus.sessions import END_OF_TIME_MS
from localcloud.servicebus.store import StoredNamespace
from localcloud_tests.support.fuzzing import effort
from localcloud_tests.unit.servicebus.builders import T0, content
from localcloud_tests.unit.servicebus.queue_model import LOCK, Entry, ModelledQueue

TTL = 25_000
NAMES = st.sampled_from(["a", "b", "c"])
HOW = ["complete", "abandon", "abandon", "defer", "defer", "dead_letter", "renew", "release"]


@dataclass
class Held:
    """The lock of a session."""

    token: UUID
    until: int


class SessionMachine(ModelledQueue):
    ttl = TTL

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, Held] = {}
        self.states: dict[str, bytes] = {}
        self.kept_states: dict[str, bytes] = {}
        self.seen: list[tuple[str, UUID]] = []
        self.locks: list[tuple[str, UUID]] = []

    @initialize()
    def make(self) -> None:
        self.document = EntityDocument("q", T0, T0, queue=self.properties(requires_session=True))
        self.broker = Broker()
        self.broker.add(self.document, T0)

    # The model

    def ready(self, session: str) -> list[Entry]:
        of = [e for e in self.alive() if e.session == session and e.state is MessageState.ACTIVE and e.token is None]
        return sorted(of, key=lambda entry: entry.number)

    def advance(self) -> None:
        """What is due, in the queue and in the model."""
        self.broker.advance(self.now)
        for entry in sorted(self.alive(), key=lambda e: (e.due, e.number)):
            if entry.state is MessageState.SCHEDULED and entry.due <= self.now:
                entry.state, entry.number = MessageState.ACTIVE, self.model_number()
            if entry.state is not MessageState.SCHEDULED and entry.token is None and entry.due + TTL <= self.now:
                entry.reason = "TTLExpiredException"
        for session, lock in list(self.held.items()):
            if lock.until <= self.now:
                del self.held[session]
                for entry in [e for e in self.alive() if e.session == session and e.token is not None]:
                    self.model_give_back(entry)

    # What happens

    @rule(session=NAMES, delay=st.sampled_from([0, 0, 0, 3_000]))
    def send(self, session: str, delay: int) -> None:
        self.advance()
        self.names += 1
        name, due = f"m{self.names}", self.now + delay
        made = content(name, message_id=name, session_id=session, due_ms=due if delay else None)
        (number,) = self.broker.send("q", [made], self.now)
        assert number == self.model_number()
        state = MessageState.SCHEDULED if delay else MessageState.ACTIVE
        self.entries.append(Entry(name, number, state, due, session))

    @rule()
    def send_without_session(self) -> None:
        self.advance()
        with pytest.raises(NotAllowedError):
            self.broker.send("q", [content(message_id="none")], self.now)

    @rule(session=NAMES)
    def accept(self, session: str) -> None:
        self.advance()
        token = self.new_token()
        if session in self.held:
            with pytest.raises(SessionCannotBeLockedError):
                self.queue.accept_session(session, self.now, token)
            return
        self.model_accept(session, token)

    @rule()
    def accept_next(self) -> None:
        self.advance()
        found = self.queue.next_session(self.now)
        free = {session for session in ("a", "b", "c") if session not in self.held and self.ready(session)}
        assert found in free if free else found is None
        if found is not None:
            self.model_accept(found, self.new_token())

    def model_accept(self, session: str, token: UUID) -> None:
        lock = self.queue.accept_session(session, self.now, token)
        assert (lock.token, lock.until_ms) == (token, self.now + LOCK)
        self.held[session] = Held(token, lock.until_ms)
        self.locks.append((session, token))

    @rule(session=NAMES, count=st.integers(1, 3), deletes=st.sampled_from([False, False, False, True]))
    def receive(self, session: str, count: int, deletes: bool) -> None:
        self.advance()
        new_token = None if deletes else self.new_token
        if session not in self.held:
            with pytest.raises(SessionLockLostError):
                self.queue.receive(count, self.now, new_token, session)
            return
        expected = self.ready(session)[:count]
        got = self.queue.receive(count, self.now, new_token, session)
        assert [message.sequence for message in got] == [entry.number for entry in expected]
        self.model_take(expected, got, deletes)

    def model_take(self, expected: list[Entry], got: list[QueuedMessage], deletes: bool) -> None:
        for entry, message in zip(expected, got, strict=True):
            assert message.delivery_count == entry.count
            if deletes:
                self.entries.remove(entry)
                continue
            assert message.lock is not None
            assert message.lock.until_ms == self.held[entry.session].until
            entry.token = message.lock.token
            self.seen.append((entry.session, entry.token))

    @precondition(lambda self: any(entry.state is MessageState.DEFERRED for entry in self.entries))
    @rule(session=NAMES, data=st.data())
    def receive_deferred(self, session: str, data: st.DataObject) -> None:
        self.advance()
        number = data.draw(st.integers(1, max(self.next_number, 2)))
        entry = next((e for e in self.alive() if e.number == number and e.session == session), None)
        is_there = entry is not None and entry.state is MessageState.DEFERRED and entry.token is None
        if session not in self.held or entry is None or not is_there:
            error = MessageNotFoundError if session in self.held else SessionLockLostError
            with pytest.raises(error):
                self.queue.receive_deferred([number], self.now, self.new_token, session)
            return
        got = self.queue.receive_deferred([number], self.now, self.new_token, session)
        self.model_take([entry], got, deletes=False)

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), how=st.sampled_from(HOW))
    def settle(self, data: st.DataObject, how: str) -> None:
        self.advance()
        _, token = data.draw(st.sampled_from(self.seen[-4:]))
        entry = next((e for e in self.alive() if e.token == token), None)
        if how != "release" and (entry is None or how == "renew"):
            # Of a session it is the session whose lock is renewed.
            with pytest.raises(MessageLockLostError if entry is None else NotAllowedError):
                self.act(how, token)
            return
        self.act(how, token)
        if entry is not None:
            self.model_settle(entry, how)

    @rule(session=NAMES)
    def renew_session(self, session: str) -> None:
        self.advance()
        if session not in self.held:
            with pytest.raises(SessionLockLostError):
                self.queue.renew_session(session, self.now)
            return
        self.held[session].until = self.now + LOCK
        assert self.queue.renew_session(session, self.now) == self.now + LOCK

    @precondition(lambda self: self.locks)
    @rule(data=st.data())
    def end_session(self, data: st.DataObject) -> None:
        """By its own token, or by one that is over, which ends nothing."""
        self.advance()
        session, token = data.draw(st.sampled_from(self.locks[-3:]))
        self.queue.end_session(session, token, self.now)
        if session in self.held and self.held[session].token == token:
            del self.held[session]
            for entry in self.alive():
                if entry.session == session:
                    entry.token = None

    @rule(session=NAMES, state=st.sampled_from([None, b"", b"one", b"two"]))
    def set_state(self, session: str, state: bytes | None) -> None:
        self.advance()
        if session not in self.held:
            with pytest.raises(SessionLockLostError):
                self.queue.sessions.set_state(session, state, self.now)
            return
        self.queue.sessions.set_state(session, state, self.now)
        self.states.pop(session, None)
        if state is not None:
            self.states[session] = state

    @rule(ms=st.sampled_from([1_000, 4_000, 9_999, 10_000, 10_001, 30_000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule()
    def restart(self) -> None:
        """What is durable is all that there is then."""
        self.what_is_durable_is_what_there_is()
        messages = sorted(self.kept.items())
        stored = StoredNamespace(
            documents=[self.document],
            messages=[(path, message) for (path, _), message in messages],
            sessions=[("q", session, state) for session, state in self.kept_states.items()],
            remembered=[],
            numbers={"q": self.queue.next_sequence, "q/$deadletterqueue": self.dead.next_sequence},
        )
        self.broker = Broker()
        declaration.restore(self.broker, stored, self.now)
        self.held.clear()
        for entry in self.alive():
            entry.token = None

    # What always holds

    @invariant()
    def queue_is_the_model(self) -> None:
        if not hasattr(self, "broker"):
            return
        expected = {e.number: (e.name, e.session, e.state, e.count, e.token) for e in self.alive()}
        assert {
            m.sequence: (
                m.content.message_id,
                m.content.session_id,
                m.state,
                m.delivery_count,
                m.lock.token if m.lock else None,
            )
            for m in self.queue.peek(0, 10_000)
        } == expected
        for session in ("a", "b", "c"):
            numbers = [m.sequence for m in self.queue.peek(0, 10_000, session)]
            assert numbers == sorted(e.number for e in self.alive() if e.session == session)

    @invariant()
    def sessions_are_the_model(self) -> None:
        if not hasattr(self, "broker"):
            return
        sessions = self.queue.sessions
        assert {s: lock.token for s, lock in self.held.items()} == {
            s: lock.token for s, lock in self.held.items() if sessions.is_locked_by(s, lock.token)
        }
        assert [s for s in ("a", "b", "c") if sessions.is_locked(s)] == sorted(self.held)
        named = {e.session for e in self.alive()} | self.states.keys()
        assert sessions.names(END_OF_TIME_MS, self.queue.messages.values()) == sorted(named)
        for session, lock in self.held.items():
            if lock.until > self.now:
                assert sessions.state(session, self.now) == self.states.get(session)

    @invariant()
    def what_is_durable_is_what_there_is(self) -> None:
        super().what_is_durable_is_what_there_is()
        assert self.kept_states == self.states

    def durable(self, message: QueuedMessage) -> QueuedMessage:
        """A session's locks are not."""
        return message._replace(lock=None)

    def apply(self, change: Change) -> None:
        match change:
            case SessionStateSet(_, session, None):
                self.kept_states.pop(session, None)
            case SessionStateSet(_, session, bytes() as state):
                self.kept_states[session] = state
            case _:
                super().apply(change)


TestSessions = SessionMachine.TestCase
TestSessions.settings = effort(40, steps=40)
