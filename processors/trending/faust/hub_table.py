"""A Faust table whose changelog is a hub with a name of its own."""

from typing import Any

from faust.tables.table import Table

from songline.processors.trending.faust.batched_app import BatchedApp


class HubTable(Table):  # type: ignore[misc] # Faust has no types
    """A table whose changelog is `hub`, whatever the group is called. Keys and values are bytes, as they are.

    Faust's usual codec would fail on each of them, and its recovery passes over what it can't decode with no more than
    a warning.
    """

    def __init__(self, app: BatchedApp, name: str, hub: str, partitions: int) -> None:
        self._hub = hub
        super().__init__(
            app, name=name, beacon=app.tables.beacon, partitions=partitions, key_type=bytes, value_type=bytes
        )

    def _changelog_topic_name(self) -> str:
        return self._hub


def add_table(app: BatchedApp, name: str, hub: str, partitions: int) -> Any:
    """A new table of the app."""
    return app.tables.add(HubTable(app, name, hub, partitions))
