"""The client of Event Grid's topic."""

from azure.core.credentials import AzureKeyCredential
from azure.eventgrid.aio import EventGridPublisherClient

from songline.cloud.credentials import entra
from songline.cloud.http_transport import HttpTransport
from songline.cloud.settings import EventGridSettings
from songline.cloud.tls import client_context


def publisher(settings: EventGridSettings) -> EventGridPublisherClient:
    """A client that sends events to the topic; close it, or use it as a context manager."""
    credential = entra() if settings.key is None else AzureKeyCredential(settings.key.reveal())
    transport = HttpTransport(tls=client_context(settings.authorities))
    return EventGridPublisherClient(settings.endpoint, credential, transport=transport)
