"""The tail of the hub: the listener's events that the archive does not have yet."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from songline.cloud.extras import load
from songline.processors.history.erasure.capture_progress import EXTRA
from songline.processors.history.erasure.job import HeldRecord
from songline.processors.history.erasure.rename import renamed_body
from songline.schemas.forgotten import ForgottenNames
from songline.schemas.progress import split_position


class HubTailEvents:
    """The end of the hub `music-events` that `environ` names. It goes by itself."""

    name = "hub"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def held(self, user_id: str) -> AsyncIterator[HeldRecord]:
        """The listener's events behind the end of the archive, which are not forgotten yet."""
        opening: Any = load("songline.processors.history.archive.opening", EXTRA)
        names = ForgottenNames(bytes(32))
        async with opening.open_history(self._environ, skip=True) as history:
            for partition in await history.partitions():
                extent = await history.extent(partition)
                after = -1 if extent.last is None else extent.last
                async with aclosing(history.read(partition, after)) as batches:
                    async for batch in batches:
                        for position, body in zip(batch.positions, batch.bodies, strict=True):
                            if renamed_body(body, user_id, names, 0)[0] is body:
                                continue
                            key = f"{partition}:{split_position(position)[1]}"
                            value = {"body": body.decode("utf-8", "replace")}
                            yield HeldRecord(place=self.name, kind="event of the hub", id=key, value=value)
