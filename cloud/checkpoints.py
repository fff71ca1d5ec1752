"""The SDK's checkpoint store: checkpoints and owners of partitions, as blobs of a container."""

from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore

from songline.cloud.credentials import entra
from songline.cloud.http_transport import HttpTransport
from songline.cloud.settings import BlobSettings
from songline.cloud.tls import client_context


def store(settings: BlobSettings, container: str) -> BlobCheckpointStore:
    """A checkpoint store in the blob container `container`; close it, or use it as a context manager."""
    transport = HttpTransport(tls=client_context(settings.authorities))
    if settings.connection is not None:
        return BlobCheckpointStore.from_connection_string(settings.connection.reveal(), container, transport=transport)
    assert settings.endpoint is not None
    return BlobCheckpointStore(settings.endpoint, container, credential=entra(), transport=transport)
