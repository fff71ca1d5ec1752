"""Committed offsets of all groups, durable in a compacted log of their own as in Kafka's `__consumer_offsets`."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from localcloud.log.batch import build, records
from localcloud.log.partition import PartitionLog

_READ_BYTES = 4 << 20


class CommittedOffset(NamedTuple):
    """The next offset that a group reads of a partition, and the metadata that its client committed with it."""

    offset: int
    leader_epoch: int
    metadata: str


_Key = tuple[str, str, int]


class CommittedOffsets:
    """What each group has committed, by (hub in lower case, partition)."""

    def __init__(self, log: PartitionLog, created_at_ms: Callable[[str], int]) -> None:
        """`created_at_ms` returns when a hub was created (Unix ms).

        Offsets that were committed before that belong to an earlier hub of the same name, whose folder was removed
        while localcloud did not run; they are left out.
        """
        self._log = log
        self._groups: dict[str, dict[tuple[str, int], CommittedOffset]] = {}
        self._decode_key = msgspec.msgpack.Decoder(_Key).decode
        self._decode_value = msgspec.msgpack.Decoder(CommittedOffset).decode
        self._encode = msgspec.msgpack.Encoder().encode
        offset = log.start_offset
        while offset < log.high_watermark:
            batches = log.read(offset, _READ_BYTES)
            for batch in batches:
                for record in records(batch.data):
                    if record.key is not None:
                        key = self._decode_key(record.key)
                        before = batch.enqueued_ms < created_at_ms(key[1])
                        self._apply(key, None if before else record.value)
            offset = batches[-1].last_offset + 1 if batches else log.high_watermark

    def of_group(self, group: str) -> dict[tuple[str, int], CommittedOffset]:
        """By (hub in lower case, partition); empty for a group that never committed."""
        return self._groups.get(group, {})

    def groups(self) -> list[str]:
        return list(self._groups)

    async def commit(self, group: str, positions: dict[tuple[str, int], CommittedOffset], now_ms: int) -> None:
        """Returns when they are on disk. Raises what `PartitionLog.append` raises, and then nothing has changed."""
        await self._write({(group, *key): position for key, position in positions.items()}, now_ms)

    async def forget_group(self, group: str, now_ms: int) -> None:
        await self._write(dict.fromkeys((group, *key) for key in self.of_group(group)), now_ms)

    async def forget_hub(self, hub: str, now_ms: int) -> None:
        """Remove what all groups committed of the hub, so that a hub of the same name starts without offsets."""
        name = hub.lower()
        gone = [(group, *key) for group, held in self._groups.items() for key in held if key[0] == name]
        await self._write(dict.fromkeys(gone), now_ms)

    async def _write(self, changes: dict[_Key, CommittedOffset | None], now_ms: int) -> None:
        if not changes:
            return
        pairs = [
            (self._encode(key), None if position is None else self._encode(position))
            for key, position in changes.items()
        ]
        await self._log.append(build([*pairs], now_ms))
        for key, value in pairs:
            self._apply(self._decode_key(key), value)

    def _apply(self, key: _Key, value: bytes | None) -> None:
        group, hub, partition = key
        if value is not None:
            self._groups.setdefault(group, {})[hub, partition] = self._decode_value(value)
        elif group in self._groups:
            self._groups[group].pop((hub, partition), None)
            if not self._groups[group]:
                del self._groups[group]
