"""A replay as it is saved: what its shard and its cells save, by key, and where it goes on. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from songline.processors.history.erasure.names_to_come import NamesToCome
from songline.processors.trending.handover import Hour, SavedValues, hour_of

CHECKPOINT, WORKER = "checkpoint", "worker"
READERS = (CHECKPOINT, WORKER)
"""Each takes what is new for it: what is saved on the way, and what is handed over to the version's worker."""


class ReplayPlace(Struct, frozen=True, array_like=True):
    """Where a rebuild goes on: at the `hour` (UTC, since 1970) that is made next, without `goes_on` only where more
    comes in before it. `created_at`: when the hub was created that was read last; `generations`, of its positions, by
    partition. `erasures`: the ids of those whose names all was read under that was applied."""

    hour: int
    goes_on: bool
    created_at: datetime | None
    generations: dict[int, int] = {}
    erasures: frozenset[str] = frozenset()

    def fits(self, names: NamesToCome) -> bool:
        """Whether what is read under `names` has the names of what was applied."""
        return names.erasures <= self.erasures


class ReplayState(Struct, frozen=True, array_like=True):
    """Where a replay goes on, beside its sets and sums.

    `place` is that of the rebuild. `key`: the id of the key of its sets. `now_ms`: the moment to which its windows were
    moved, 0 for none. `positions`: the last lasting position of each partition that is applied. `first_hour` and
    `ranks` are the replay's.
    """

    place: ReplayPlace
    key: bytes
    now_ms: int
    positions: dict[int, int]
    events: int
    unapplied: int
    first_hour: int | None
    ranks: dict[int, dict[str, dict[str, int]]]


class SavedReplay(Struct, frozen=True):
    """A replay's state, and what its shard (`Shard.flush`) and its cells (`SourceFlush.chunks`) save, by key: all of
    it, or what has changed. None for what is deleted."""

    state: ReplayState
    values: SavedValues
    chunks: SavedValues


class SavedShard:
    """What is saved of a shard, by key."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._new: dict[str, dict[str, None]] = {reader: {} for reader in READERS}
        self._taken: dict[str, set[str]] = {reader: set() for reader in READERS}
        """The keys that each reader has."""

    def add(self, changes: SavedValues) -> None:
        """Take in what a flush returned."""
        for key, value in changes.items():
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value
            for reader, new in self._new.items():
                # In the order of the last flush that had it. What a reader never had, it has not to delete.
                new.pop(key, None)
                if value is not None or key in self._taken[reader]:
                    new[key] = None

    def restore(self, values: SavedValues) -> None:
        """Take in what is saved already: it is new for the worker alone."""
        self.add(values)
        self.take_new(CHECKPOINT)

    def all(self) -> SavedValues:
        """All that holds."""
        return dict(self._values)

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self._values.values()))

    def take_new(self, reader: str) -> SavedValues:
        """What has changed since the reader took it, in the order in which it is to be saved."""
        new, self._new[reader] = self._new[reader], {}
        found = {key: self._values.get(key) for key in new}
        taken = self._taken[reader]
        taken.update(found)
        taken.difference_update(key for key, value in found.items() if value is None)
        return found


class SavedChunks:
    """Chunks of the cells of a replay, by hour and key."""

    def __init__(self) -> None:
        self._hours: dict[Hour, dict[str, bytes]] = {}
        self._new: dict[str, dict[Hour, set[str]]] = {reader: {} for reader in READERS}

    def add(self, chunks: Mapping[str, bytes | None]) -> None:
        """Take in the chunks of a flush, which replace those of the same key."""
        for key, chunk in chunks.items():
            if chunk is not None:
                hour = hour_of(key)
                self._hours.setdefault(hour, {})[key] = chunk
                for new in self._new.values():
                    new.setdefault(hour, set()).add(key)

    def restore(self, chunks: SavedValues) -> None:
        """Take in what is saved already: it is new for the worker alone."""
        self.add(chunks)
        self._new[CHECKPOINT].clear()

    def of(self, partition: int, hour: int) -> Iterable[bytes]:
        """The chunks of an hour."""
        return self._hours.get((partition, hour), {}).values()

    def size_bytes(self, partition: int, hour: int) -> int:
        return sum(map(len, self.of(partition, hour)))

    @property
    def all_bytes(self) -> int:
        """The size of all hours."""
        return sum(len(chunk) for chunks in self._hours.values() for chunk in chunks.values())

    def all(self) -> SavedValues:
        """All that holds."""
        return {key: chunk for chunks in self._hours.values() for key, chunk in chunks.items()}

    def take_new(self, reader: str) -> SavedValues:
        """The chunks that are new since the reader took them, by key."""
        new, self._new[reader] = self._new[reader], {}
        return {key: self._hours[hour][key] for hour, keys in new.items() for key in keys}

    def drop_before(self, hour: int) -> None:
        """Drop the hours before this one."""
        for old in [one for one in self._hours if one[1] < hour]:
            del self._hours[old]
            for new in self._new.values():
                new.pop(old, None)


def merge_saved(state: ReplayState, parts: Iterable[tuple[SavedValues, SavedValues]]) -> SavedReplay:
    """What holds in `state` after all these changes of values and chunks."""
    values: SavedValues = {}
    chunks: SavedValues = {}
    for some_values, some_chunks in parts:
        values |= some_values
        chunks |= some_chunks
    return SavedReplay(
        state,
        {key: one for key, one in values.items() if one is not None},
        {key: one for key, one in chunks.items() if one is not None},
    )
