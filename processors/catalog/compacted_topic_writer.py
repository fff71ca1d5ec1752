"""The hub `catalog`: the songs as a table, which whoever wants all of them reads from the beginning."""

import msgspec
from aiokafka import AIOKafkaProducer

from songline.processors.catalog.song_store import SongStore
from songline.schemas.channels import CATALOG
from songline.schemas.songs import Song

_encoder = msgspec.json.Encoder()


class CompactedTopicWriter:
    """The last record of each key, a song's id, says what `songs` do: the song as JSON, or nothing where it has gone.

    It goes over Kafka: the SDK's AMQP events can't be without a body, which is what compaction takes for a deletion.
    """

    def __init__(self, producer: AIOKafkaProducer, songs: SongStore) -> None:
        self._producer = producer
        self._songs = songs

    async def tell(self, song_id: str, song: Song | None) -> None:
        """Returns when the hub's last record of the song is what its document says, which was `song` just now. Raises
        KafkaError and AzureError."""
        while True:
            body = None if song is None else _encoder.encode(song)
            await self._producer.send_and_wait(CATALOG, body, key=song_id.encode())
            # Workers of several partitions may write one song, and what was said first may be told last. Whoever tells
            # last reads the document after that, so at least he finds what the others have written.
            now = await self._songs.song(song_id)
            if now == song:
                return
            song = now
