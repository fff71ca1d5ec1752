"""`python -m tests.support.publishing OUTBOX RUN`: a service with an outbox, publishing until it is killed.

Every listener's events are published one after the other, and each that was accepted is told as a line, with `e-USER-N`
as its id: N counts from RUN million on.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from songline.cloud.settings import read_eventhubs
from songline.producers import EventPublisher
from songline.schemas.envelope import Event
from songline.schemas.events import SongLiked

LISTENERS = 40


async def main(outbox: Path, run: int) -> None:
    async with EventPublisher(read_eventhubs(os.environ), outbox=outbox) as publisher:

        async def listen(user: int) -> None:
            for number in count(run * 1_000_000):
                data = SongLiked(user_id=f"user-{user}", song_id=f"song-{number}")
                event = Event(id=f"e-{user}-{number}", source="/tests", time=datetime.now(UTC), data=data)
                where = await publisher.publish(event)
                os.write(1, f"{event.id} {where}\n".encode())
                # A listener likes some songs a second, and no more than that.
                await asyncio.sleep(0.05)

        await asyncio.gather(*(listen(user) for user in range(LISTENERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
