"""Opening what the environment names, to ask for erasures and to read what is held of a listener."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

from songline.cloud import blobs, cosmos, servicebus
from songline.cloud.settings import read_blobs, read_cosmos, read_eventhubs, read_servicebus
from songline.processors.history.erasure.assembly import ErasureParts, ErasureServices
from songline.processors.history.erasure.capture_progress import CaptureProgress
from songline.processors.history.erasure.erasure_store import ErasureStore
from songline.processors.ingestion.audio_store import AudioStore
from songline.schemas.channels import DATABASE, ERASURES


@asynccontextmanager
async def open_parts(environ: Mapping[str, str], now: Callable[[], datetime]) -> AsyncIterator[ErasureParts]:
    """The places of erasure, to be read: nothing can be carried out. Raises SettingError."""
    archive = CaptureProgress(environ)
    async with AsyncExitStack() as stack:
        account = await stack.enter_async_context(cosmos.opened(read_cosmos(environ)))
        storage = await stack.enter_async_context(blobs.client(read_blobs(environ)))
        bus = await stack.enter_async_context(servicebus.client(read_servicebus(environ)))
        yield ErasureParts(
            ErasureServices(
                account=account,
                blobs=storage,
                bus=bus,
                eventhubs=read_eventhubs(environ),
                environ=environ,
                archive=archive.container,
                behind=archive.behind,
                audio=AudioStore(storage),
                now=now,
            )
        )


@asynccontextmanager
async def open_erasures(environ: Mapping[str, str]) -> AsyncIterator[ErasureStore]:
    """The erasures. Raises SettingError, and AzureError where their container can't be read: without it, there would
    seem to be none."""
    async with cosmos.opened(read_cosmos(environ)) as account:
        container = cosmos.container(account, DATABASE, ERASURES)
        await container.read()
        yield ErasureStore(container)
