"""Gathering: partitions that are read to their end are asked for again only after a while, all of them at once.

A hub answers a waiting fetch with the first event that comes, so at fifty events a second each of them would be a fetch
and a batch of its own. Other hubs are asked for meanwhile; their fetch waits no longer than the gathering does, since
aiokafka has one fetch at a time under way. For the same reason a fetch waits for a moment only while something that was
fetched of another partition is not taken yet: that one is left out, and what comes to it meanwhile would wait as long.
"""

import asyncio
from collections.abc import Container, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

MAX_WAIT_MS = 1_500
"""How long a fetch waits for the first event. Source: Faust's own."""
LEAST_WAIT_MS = 10
BUSY_WAIT_MS = 50
"""How long a fetch waits that leaves partitions out."""

FEW = 100
FEW_TIMES = 2.5
"""With fewer than FEW events in a fetch, what comes next is gathered for so many times as long: each fetch, and all
that follows it up to the charts, costs more than they do."""


class Gathering:
    """The partitions of one consumer. `pauses_s`: hub to the seconds for which its events are gathered. `hubs` are all
    that are read on; of others, something that was fetched may never be taken.

    To be used in the consumer's own thread.
    """

    def __init__(self, pauses_s: Mapping[str, float], hubs: Container[str]) -> None:
        self._pauses_s = pauses_s
        self._hubs = hubs
        self._fetcher: Any = None
        self._ends_s = 0.0

    def attach(self, fetcher: Any) -> None:
        """Use aiokafka's `fetcher`, whose fetches wait no longer than what is gathered by then."""
        if fetcher is self._fetcher:
            return
        self._fetcher = fetcher
        plan = fetcher._get_actions_per_node

        def planned(assignment: Any) -> Any:
            left_ms = round((self._ends_s - monotonic()) * 1_000)
            wait_ms = max(LEAST_WAIT_MS, left_ms) if left_ms > 0 else MAX_WAIT_MS
            if any(tp.topic in self._hubs for tp in fetcher._records):
                wait_ms = min(wait_ms, BUSY_WAIT_MS)
            fetcher._fetch_max_wait_ms = wait_ms
            return plan(assignment)

        fetcher._get_actions_per_node = planned

    def begin(self, fetched: Mapping[Any, Sequence[Any]]) -> None:
        """Gather, where these batches have just been fetched, what comes to the partitions that are read to their
        end."""
        found = [(self._pauses_s[tp.topic], batches) for tp, batches in fetched.items() if tp.topic in self._pauses_s]
        events = sum(len(batch.offsets) for _, batches in found for batch in batches)
        pause_s = max((pause_s for pause_s, _ in found), default=0.0) * (FEW_TIMES if events < FEW else 1)
        if pause_s <= 0 or self._ends_s > monotonic():
            return
        assignment = self._fetcher._subscriptions.subscription.assignment
        states = [assignment.state_value(tp) for tp in assignment.tps if tp.topic in self._pauses_s]
        held = [state for state in states if _is_at_end(state)]
        if held:
            self._ends_s = monotonic() + pause_s
            for state in held:
                state.pause()
            asyncio.get_running_loop().call_later(pause_s, self._end, held)

    def _end(self, held: Iterable[Any]) -> None:
        self._ends_s = 0.0
        for state in held:
            state.resume()


def _is_at_end(state: Any) -> bool:
    return bool(state.has_valid_position and state.highwater is not None and state.position >= state.highwater)
