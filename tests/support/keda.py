"""How many events KEDA's scaler of Event Hubs takes for unprocessed, by its documentation and its public source (2.18):
`checkpointStrategy: blobMetadata`, one partition after another."""

from azure.core.exceptions import ResourceNotFoundError
from azure.eventhub.aio import EventHubProducerClient
from azure.storage.blob.aio import ContainerClient

MAX_INT64 = 2**63 - 1
STALE_PARTITION_INFO_THRESHOLD = 10_000


def unprocessed(begin: int, last: int, checkpoint: int | None) -> int:
    """What one partition counts, whose events are numbered `begin` to `last` (-1: it never had any)."""
    if last == -1:
        return 0
    if checkpoint is None:
        # One event behind deleted ones is overlooked.
        return last - begin + 1 if (begin, last) == (0, 0) or begin != last else 0
    count = last - checkpoint if last >= checkpoint else MAX_INT64 - checkpoint + last
    return 0 if count > MAX_INT64 - STALE_PARTITION_INFO_THRESHOLD else count


async def lag(producer: EventHubProducerClient, blobs: ContainerClient, namespace: str, hub: str, group: str) -> int:
    """What the scaler counts for `group` over all partitions of `hub`."""
    found = 0
    for partition in await producer.get_partition_ids():
        state = await producer.get_partition_properties(partition)
        blob = blobs.get_blob_client(f"{namespace}/{hub}/{group.lower()}/checkpoint/{partition}")
        try:
            checkpoint = int((await blob.get_blob_properties()).metadata["sequencenumber"])
        except ResourceNotFoundError:
            checkpoint = None
        last = state["last_enqueued_sequence_number"]
        found += unprocessed(state["beginning_sequence_number"], last, checkpoint)
    return found
