"""A version of trending's state, made from a hub's records in one process and handed over to its worker."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from azure.cosmos.aio import ContainerProxy
from azure.storage.blob.aio import ContainerClient

from songline.cloud import eventhubs
from songline.cloud.settings import CloudSettings
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.processors.trending.action_hashes import UserHashes
from songline.processors.trending.cells import wire as partials
from songline.processors.trending.cells.identity_key import IdentityKey
from songline.processors.trending.cells.identity_key_store import read_identity_key
from songline.processors.trending.cells.source_partition import SourcePartition
from songline.processors.trending.faust.batch import Batch
from songline.processors.trending.handover import with_positions
from songline.processors.trending.shards.state import Shard
from songline.processors.trending.song_index import RegionIndex, SongIndex
from songline.processors.trending.spans import first_counted_hour
from songline.processors.trending.state_version import StateVersion
from songline.processors.trending.state_writer import open_state_writer
from songline.schemas.channels import MUSIC_EVENTS
from songline.schemas.policy import ChartPolicy
from songline.schemas.progress import Watermark

SHARDS = 4
OWNER = "rebuild"

Records = Sequence[tuple[int, int, bytes]]
"""Partition, offset, body: all of a hub."""


def fold(
    records: Records, policy: ChartPolicy, key: IdentityKey, now_ms: int
) -> tuple[dict[str, bytes | None], list[Shard], dict[int, int]]:
    """Chunks by key, shards, and the last position of each partition."""
    songs, regions, users = SongIndex(SHARDS), RegionIndex(), UserHashes()
    shards = [Shard(number, OWNER, key, policy) for number in range(SHARDS)]
    for shard in shards:
        shard.advance(now_ms)
    chunks: dict[str, bytes | None] = {}
    positions: dict[int, int] = {}
    for number in sorted({partition for partition, _, _ in records}):
        some = sorted(one for one in records if one[0] == number)
        source = SourcePartition(number, OWNER, SHARDS, songs, regions, users, key, -1, 0, policy)
        offsets = [offset for _, offset, _ in some]
        bodies = [body for _, _, body in some]
        source.apply(Batch(offsets[0], offsets[-1] + 1, offsets, [now_ms] * len(some), bodies))
        source.cells.drop_before(first_counted_hour(now_ms))
        for hour in source.cells.missing():
            source.cells.add(source.cells.new_cell(hour))
        flush = source.flush(now_ms)
        chunks |= flush.chunks
        positions[number] = flush.position
        for place, body in flush.partials:
            shards[place].apply(partials.decode(body))
    return chunks, shards, positions


async def hand_over(
    settings: CloudSettings,
    attempts: ContainerProxy,
    hours: ContainerClient | None,
    version: StateVersion,
    records: Records,
    policy: ChartPolicy,
) -> Mapping[int, int]:
    """Make the version's state of these records, and write it; return the positions from which its worker goes on."""
    now = datetime.now(UTC)
    chunks, shards, positions = fold(records, policy, await read_identity_key(attempts), int(now.timestamp() * 1_000))
    async with eventhubs.consumer(settings.eventhubs, MUSIC_EVENTS, "$Default") as client:
        created_at = (await HubMetadata(client).describe()).created_at
    sources = {
        number: Watermark(position=position, through=now, created_at=created_at)
        for number, position in positions.items()
    }
    async with open_state_writer(version, settings.eventhubs, hours, attempts) as writer:
        await writer.write_chunks(chunks)
        await writer.finish({shard.number: with_positions(shard.flush(), sources) for shard in shards}, sources)
    return positions
