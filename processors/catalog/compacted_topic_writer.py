"""The writer of the compacted hub `catalog`, from which a reader gets all songs by reading it from its beginning."""

import msgspec
from aiokafka import AIOKafkaProducer

from songline.processors.catalog.song_store import SongStore, StoredSong
from songline.schemas.channels import CATALOG

_encoder = msgspec.json.Encoder()


class CompactedTopicWriter:
    """Keeps the hub's last record of each key, a song's id, equal to the song's document in `songs`: the song as JSON,
    or no body where the song is gone.

    The records go over Kafka. Compaction takes a record without a body for a deletion, and the SDK's AMQP events always
    have a body.
    """

    def __init__(self, producer: AIOKafkaProducer, songs: SongStore) -> None:
        self._producer = producer
        self._songs = songs

    async def publish(self, stored: StoredSong) -> None:
        """Return once the hub's last record of the song is what its document says, which was `stored` just now.

        Raises KafkaError and AzureError.
        """
        while True:
            body = None if stored.song is None else _encoder.encode(stored.song)
            await self._producer.send_and_wait(CATALOG, body, key=stored.id.encode())
            # Workers of several partitions may write one song, and an older state may be published last. Each asks for
            # the document after publishing, so the one that publishes last finds what the others have written.
            if await self._songs.is_current(stored):
                return
            stored = await self._songs.read(stored.id)
