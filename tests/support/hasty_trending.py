"""The trending worker, which seals an hour that is over a second after its last event.

`SONGLINE_TEST_DIES=sealed`: it is gone at once when the first block of an hour is in Blob Storage.
`SONGLINE_TEST_BLOCK_BYTES`: so much of an open hour is sealed as soon as it is there, and gets an image; a shard
gets one when so much was saved of it.
"""

import os
from typing import Any

from songline.processors.trending import app
from songline.processors.trending.cells import hour_images, hour_store, late_hours
from songline.processors.trending.cells.sealed_hours import SealedHours
from songline.processors.trending.process import main
from songline.processors.trending.shards import shard_images

add_block = SealedHours.add_block


async def die_after(*arguments: Any) -> int:
    await add_block(*arguments)
    os._exit(9)


if __name__ == "__main__":
    late_hours.IDLE_MS = late_hours.LATE_IDLE_MS = 1_000
    late_hours.INDEXED_BYTES = 1
    app.SEAL_S = app.IMAGES_S = 0.5
    hour_store.BLOCK_BYTES = int(os.environ.get("SONGLINE_TEST_BLOCK_BYTES", hour_store.BLOCK_BYTES))
    hour_images.IMAGE_BYTES = min(hour_images.IMAGE_BYTES, hour_store.BLOCK_BYTES)
    shard_images.IMAGE_BYTES = min(shard_images.IMAGE_BYTES, hour_store.BLOCK_BYTES)
    if os.environ.get("SONGLINE_TEST_DIES") == "sealed":
        SealedHours.add_block = die_after  # type: ignore[method-assign, assignment]
    main()
