"""What the SDKs raise for anything that a service, or the way to it, does; see `songline.cloud.service_fault`."""

from aiokafka.errors import KafkaError
from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError

SERVICE_ERRORS = (AzureError, EventHubError, KafkaError)
