"""The sets of a replay as they are saved: what its cells are made from again, and what is handed over."""

from collections.abc import Iterable, Mapping

from songline.processors.trending.handover import Hour, hour_of


class SavedChunks:
    """Chunks of the cells of a replay, by hour and key (`SourceFlush.chunks`)."""

    def __init__(self) -> None:
        self._hours: dict[Hour, dict[str, bytes]] = {}
        self._new: dict[Hour, set[str]] = {}

    def add(self, chunks: Mapping[str, bytes | None]) -> None:
        """Take in the chunks of a flush, which replace those of the same key."""
        for key, chunk in chunks.items():
            if chunk is not None:
                hour = hour_of(key)
                self._hours.setdefault(hour, {})[key] = chunk
                self._new.setdefault(hour, set()).add(key)

    def of(self, partition: int, hour: int) -> Iterable[bytes]:
        """The chunks of an hour."""
        return self._hours.get((partition, hour), {}).values()

    def size_bytes(self, partition: int, hour: int) -> int:
        return sum(map(len, self.of(partition, hour)))

    def take_new(self) -> dict[str, bytes | None]:
        """The chunks that are new since the last call, by key."""
        new, self._new = self._new, {}
        return {key: self._hours[hour][key] for hour, keys in new.items() for key in keys}

    def drop_before(self, hour: int) -> None:
        """Drop the hours before this one."""
        for old in [one for one in self._hours if one[1] < hour]:
            del self._hours[old]
            self._new.pop(old, None)
