"""Reading begins behind what is applied, wherever the group's checkpoint is."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from azure.eventhub.aio import CheckpointStore

from songline.processors.runtime.watermark_store import WatermarkStore
from songline.processors.runtime.watermarked_checkpoint_store import WatermarkedCheckpointStore
from songline.schemas.progress import Watermark

NAMES = ("namespace", "hub", "group")


class _Checkpoints(CheckpointStore):
    """Checkpoints by partition, as the SDK's store gives them."""

    def __init__(self, positions: Mapping[str, int]) -> None:
        self._positions = positions

    async def list_checkpoints(self, *names: str, **_: Any) -> Iterable[dict[str, Any]]:
        return [
            {"partition_id": one, "sequence_number": position, "offset": str(1_000 + position)}
            for one, position in self._positions.items()
        ]

    async def list_ownership(self, *names: str, **_: Any) -> Iterable[dict[str, Any]]:
        raise NotImplementedError

    async def claim_ownership(self, ownership_list: Iterable[dict[str, Any]], **_: Any) -> Iterable[dict[str, Any]]:
        raise NotImplementedError

    async def update_checkpoint(self, checkpoint: dict[str, Any], **_: Any) -> None:
        raise NotImplementedError


class _Watermarks(WatermarkStore):
    def __init__(self, positions: Mapping[str, int]) -> None:
        self._positions = positions

    async def read_all(self) -> Mapping[str, Watermark]:
        return {one: Watermark(position=position, through=None) for one, position in self._positions.items()}


@pytest.mark.parametrize(
    ("checkpoint", "applied", "offset"),
    [
        (100, 700, 700),  # It was killed before it wrote the next one: what is between is not read again.
        (700, 700, 700),
        (700, 100, 100),  # Another version was live.
        (None, 100, 100),
        (700, None, "-1"),  # The container was deleted.
        (None, -1, "-1"),
        (0, 0, "-1"),
    ],
)
async def test_reading_begins_behind_the_watermark(
    checkpoint: int | None, applied: int | None, offset: int | str
) -> None:
    store = WatermarkedCheckpointStore(
        _Checkpoints({} if checkpoint is None else {"2": checkpoint}),
        _Watermarks({} if applied is None else {"2": applied}),
    )
    (given,) = await store.list_checkpoints(*NAMES)
    assert (given["partition_id"], given["offset"]) == ("2", offset)
    assert [given[name] for name in ("fully_qualified_namespace", "eventhub_name", "consumer_group")] == [*NAMES]
    position = -1 if applied is None else applied
    assert (given["sequence_number"], store.given) == (position, {"2": position})


async def test_a_checkpoint_beyond_what_is_applied_is_told(caplog: pytest.LogCaptureFixture) -> None:
    store = WatermarkedCheckpointStore(_Checkpoints({"0": 5, "1": 9, "2": 3}), _Watermarks({"0": 5, "1": 4, "2": 8}))
    with caplog.at_level(logging.WARNING):
        await store.list_checkpoints(*NAMES)
    assert caplog.messages == ["partition 1: the checkpoint, 9, is beyond what is applied: it is read from behind 4 on"]
