"""The read API over a localcloud with Blob Storage."""

from collections.abc import AsyncIterator

import httpx
import pytest
from azure.cosmos.aio import CosmosClient
from azure.storage.blob.aio import BlobServiceClient

from songline.cloud import blobs, cosmos
from songline.cloud.settings import read_blobs, read_cosmos
from songline.processes.entities import CONTAINERS
from songline.projections.api import create
from songline.schemas.channels import BLOB_CONTAINERS, DATABASE
from tests.support.localcloud import LocalCloud


@pytest.fixture
async def database(song_cloud: LocalCloud) -> AsyncIterator[CosmosClient]:
    async with cosmos.client(read_cosmos(song_cloud.environment)) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
        yield client


@pytest.fixture
async def places(song_cloud: LocalCloud) -> AsyncIterator[BlobServiceClient]:
    async with blobs.client(read_blobs(song_cloud.environment)) as client:
        await blobs.ensure(client, BLOB_CONTAINERS)
        yield client


@pytest.fixture
async def songs_api(
    song_cloud: LocalCloud, database: CosmosClient, places: BlobServiceClient
) -> AsyncIterator[httpx.AsyncClient]:
    app = create(read_cosmos(song_cloud.environment), read_blobs(song_cloud.environment), poll=0.05, heartbeat=0.1)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline") as client,
    ):
        yield client
