"""A Faust table whose changelog is a hub with a name of its own."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from faust.tables.table import Table
from faust.types import TP

from songline.processors.trending.faust.batched_app import BatchedApp


class HubTable(Table):  # type: ignore[misc] # Faust has no types
    """A table whose changelog is `hub`, whatever the group is called. Keys and values are bytes, as they are.

    Faust's usual codec would fail on each of them, and its recovery passes over what it can't decode with no more than
    a warning.

    `begin` is called with the partitions that are assigned, before they are recovered. It returns the offsets behind
    which recovery begins, of those of which it has the state at that offset.
    """

    def __init__(self, app: BatchedApp, name: str, hub: str, partitions: int) -> None:
        self._hub = hub
        self.begin: Callable[[Collection[int]], Awaitable[Mapping[int, int]]] | None = None
        self._offsets: Mapping[int, int] = {}
        super().__init__(
            app, name=name, beacon=app.tables.beacon, partitions=partitions, key_type=bytes, value_type=bytes
        )

    def _changelog_topic_name(self) -> str:
        return self._hub

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Begin anew, before Faust asks for `persisted_offset`."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        if self.begin is not None:
            self._offsets = await self.begin({tp.partition for tp in assigned if tp.topic == self._hub})

    def persisted_offset(self, tp: TP) -> int | None:
        """The last offset that needs no recovery; Faust has it recovered once more. None: all is recovered."""
        return self._offsets.get(tp.partition)


def add_table(app: BatchedApp, name: str, hub: str, partitions: int) -> Any:
    """A new table of the app."""
    return app.tables.add(HubTable(app, name, hub, partitions))
