"""Partitions are shared out once the leader of the group knows all hubs.

A client that could not ask for the hubs, or was told that one of them is not available, knows no partitions of it.
Faust passes over such a hub, and so would assign nothing of it until the client asks again, minutes later.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiokafka.errors import ConsumerStoppedError

log = logging.getLogger(__name__)

AGAIN_S = 0.5
"""The pause between two questions for the hubs."""


def share_out_known_hubs(consumer: Any, tell: Callable[[tuple[str, ...]], None]) -> None:
    """Have `consumer`, an AIOKafkaConsumer that was started, share out nothing while it does not know all hubs of the
    group, and ask for them again.

    `tell` is called with the hubs that are not known, each time partitions are shared out, in the consumer's loop.
    """
    coordinator, client = consumer._coordinator, consumer._client
    share_out = coordinator._perform_assignment

    async def share_out_known(response: Any) -> Any:
        before: tuple[str, ...] = ()
        while True:
            assignments = await share_out(response)
            hubs = coordinator._group_subscription
            unknown = tuple(sorted(hub for hub in hubs if not client.cluster.partitions_for_topic(hub)))
            tell(unknown)
            if not unknown:
                return assignments
            if unknown != before:
                log.warning("no partitions are shared out: nothing is known of hub %s", ", ".join(unknown))
            before = unknown
            asked = asyncio.ensure_future(client.force_metadata_update())
            await asyncio.wait([asked, coordinator._closing], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([coordinator._closing], timeout=AGAIN_S)
            if coordinator._closing.done():
                raise ConsumerStoppedError

    coordinator._perform_assignment = share_out_known
