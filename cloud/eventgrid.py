"""The client of Event Grid's topic."""

from azure.core.credentials import AzureKeyCredential
from azure.eventgrid.aio import EventGridPublisherClient

from songline.cloud.credentials import entra
from songline.cloud.settings import EventGridSettings


def publisher(settings: EventGridSettings) -> EventGridPublisherClient:
    """A client that sends events to the topic; close it, or use it as a context manager.

    It takes no options: the SDK (4.22) drops those of a topic that is not in a namespace, its transport included.
    """
    credential = entra() if settings.key is None else AzureKeyCredential(settings.key.reveal())
    return EventGridPublisherClient(settings.endpoint, credential)
