"""The hub `catalog`: the songs as a table, which whoever wants all of them reads from the beginning."""

import msgspec
from aiokafka import AIOKafkaProducer

from songline.processors.catalog.song_store import SongStore, StoredSong
from songline.schemas.channels import CATALOG

_encoder = msgspec.json.Encoder()


class CompactedTopicWriter:
    """The last record of each key, a song's id, says what `songs` do: the song as JSON, or nothing where it has gone.

    It goes over Kafka: the SDK's AMQP events can't be without a body, which is what compaction takes for a deletion.
    """

    def __init__(self, producer: AIOKafkaProducer, songs: SongStore) -> None:
        self._producer = producer
        self._songs = songs

    async def publish(self, stored: StoredSong) -> None:
        """Return when the hub's last record of the song is what its document says, which was `stored` just now.

        Raises KafkaError and AzureError.
        """
        while True:
            body = None if stored.song is None else _encoder.encode(stored.song)
            await self._producer.send_and_wait(CATALOG, body, key=stored.id.encode())
            # Workers of several partitions may write one song, and what was written first may be published last. The
            # last to publish asks after that, so at least they find what the others have written.
            if await self._songs.is_current(stored):
                return
            stored = await self._songs.read(stored.id)
