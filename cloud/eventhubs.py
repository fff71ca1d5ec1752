"""Event Hubs clients over AMQP."""

from collections.abc import Mapping
from typing import Any

from azure.eventhub import TransportType
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

from songline.cloud import eventhub_frames
from songline.cloud.credentials import entra
from songline.cloud.eventhub_metadata import HubConsumerClient
from songline.cloud.settings import EventHubsSettings
from songline.cloud.tls import client_context


def producer(settings: EventHubsSettings, hub: str, **options: Any) -> EventHubProducerClient:
    """A producer client for `hub`; `options` go to the SDK's constructor."""
    options = {**_wire(settings), **options}
    if settings.connection is not None:
        return EventHubProducerClient.from_connection_string(settings.connection.reveal(), eventhub_name=hub, **options)
    return EventHubProducerClient(
        fully_qualified_namespace=settings.address, eventhub_name=hub, credential=entra(), **options
    )


def consumer(settings: EventHubsSettings, hub: str, group: str, **options: Any) -> EventHubConsumerClient:
    """A consumer client for `hub` in the consumer group `group`; `options` go to the SDK's constructor."""
    eventhub_frames.install()
    options = {**_wire(settings), **options}
    if settings.connection is not None:
        return HubConsumerClient.from_connection_string(
            settings.connection.reveal(),
            consumer_group=group,
            eventhub_name=hub,
            **options,
        )
    return HubConsumerClient(
        fully_qualified_namespace=settings.address,
        eventhub_name=hub,
        consumer_group=group,
        credential=entra(),
        **options,
    )


def partition_ends(properties: Mapping[str, Any]) -> tuple[int, int]:
    """The sequence numbers of a partition's first and last event, as the SDK tells its properties. The last one is
    before the first where the partition is empty."""
    first, last = properties["beginning_sequence_number"], properties["last_enqueued_sequence_number"]
    if properties["is_empty"]:
        # Retention that deleted all events may leave either of the two where it was.
        last = max(last, first - 1)
        first = last + 1
    return first, last


def _wire(settings: EventHubsSettings) -> dict[str, Any]:
    transport = TransportType.AmqpOverWebsocket if settings.websockets else TransportType.Amqp
    tls = client_context(settings.authorities)
    return {"ssl_context": tls, "transport_type": transport, **settings.amqp_options}
