"""What trending saves of a version of the charts, outside of its container: where its sealed hours are, and its end."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from azure.cosmos.aio import CosmosClient
from azure.storage.blob.aio import ContainerClient

from songline.cloud import blobs, cosmos
from songline.cloud.http_transport import Guard
from songline.cloud.settings import names_blobs, read_blobs, read_eventhubs
from songline.processors.trending.state_version import StateVersion
from songline.processors.trending.state_writer import remove_state
from songline.schemas.channels import ATTEMPTS, DATABASE, TRENDING_BLOBS


@asynccontextmanager
async def open_hours(environ: Mapping[str, str], guard: Guard | None = None) -> AsyncIterator[ContainerClient | None]:
    """The container of sealed hours, whose requests ask `guard`; None where `environ` names no Blob Storage."""
    if not names_blobs(environ):
        yield None
        return
    async with blobs.client(read_blobs(environ), guard) as account:
        yield account.get_container_client(TRENDING_BLOBS)


async def remove_charts_state(
    version: int, account: CosmosClient, environ: Mapping[str, str], guard: Guard | None = None
) -> None:
    """Remove the sets, sums and positions of a version whose worker does not run. `guard` is asked before anything is
    removed but by `account`, which has its own. Raises AzureError, KafkaError, and what `guard` raises."""
    attempts = cosmos.container(account, DATABASE, ATTEMPTS)
    async with open_hours(environ, guard) as hours:
        await remove_state(StateVersion(version), read_eventhubs(environ), hours, attempts, guard)
