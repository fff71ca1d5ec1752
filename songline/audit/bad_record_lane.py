"""Writes records into the hub that nobody can read, past the API, as anybody with a key can."""

import asyncio
import time
from collections.abc import Iterator

from azure.core.exceptions import AzureError
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventHubError

from songline.audit.history import OperationHistory
from songline.audit.ledger import Ledger
from songline.cloud import eventhubs
from songline.cloud.settings import EventHubsSettings
from songline.schemas.channels import MUSIC_EVENTS


class BadRecordLane:
    """Sends bad records, each to the next partition. One that fails is not sent again: it may be there or not."""

    def __init__(self, settings: EventHubsSettings, ledger: Ledger, history: OperationHistory) -> None:
        self._settings, self._ledger, self._history = settings, ledger, history
        self.is_closed = False

    async def run(self, bodies: Iterator[bytes], each_s: float) -> None:
        """Send a record every `each_s` seconds until `is_closed`."""
        number = 0
        while not self.is_closed:
            try:
                async with eventhubs.producer(self._settings, MUSIC_EVENTS) as producer:
                    partitions = await producer.get_partition_ids()
                    while not self.is_closed:
                        number += 1
                        body, began_s = next(bodies), time.monotonic()
                        await producer.send_batch([EventData(body)], partition_id=partitions[number % len(partitions)])
                        self._ledger.bad_records += 1
                        self._history.record("bad-record", "accepted", bytes=len(body))
                        await asyncio.sleep(max(0.0, each_s - (time.monotonic() - began_s)))
            except (AzureError, EventHubError, OSError) as error:
                self._history.record("bad-record", type(error).__name__)
                await asyncio.sleep(each_s)
