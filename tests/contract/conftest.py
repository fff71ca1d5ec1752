"""An API with everything behind it that the workers would have made, for whoever asks it over HTTP."""

import asyncio
from collections.abc import Iterator

import httpx
import msgspec
import pytest
from msgspec import structs

from songline.api.guard_settings import OPEN
from songline.api.limit_settings import REQUESTS
from songline.cloud import blobs, cosmos
from songline.cloud.settings import read_blobs, read_cosmos
from songline.processes.entities import CONTAINERS
from songline.processes.local_identity import OPEN_HERE
from songline.schemas import examples
from songline.schemas.channels import BLOB_CONTAINERS, CHARTS, DATABASE, LIBRARY, LIBRARY_SHELVES, PROJECTIONS, SONGS
from songline.schemas.documents import CURRENT, GLOBAL, KINDS, WINDOWS, chart_key
from songline.schemas.progress import PROGRESS, Watermark, WatermarkDocument
from songline.schemas.projections import LiveVersionDocument
from tests.support.api import ApiProcess
from tests.support.localcloud import LocalCloud, SharedCloud


# First, so that `-m`, the order and xdist see the ids.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each operation of the API an id: schemathesis names them all alike, and of such tests xdist runs one."""
    for item in items:
        if item.path.name == "test_schemathesis.py":
            _, bracket, operation = item.name.partition("[")
            item._id = item.id.with_params(operation.removesuffix("]") if bracket else None)


async def fill(cloud: LocalCloud) -> None:
    """What there is once the workers have run."""
    async with blobs.client(read_blobs(cloud.environment)) as places:
        await blobs.ensure(places, BLOB_CONTAINERS)
    async with cosmos.client(read_cosmos(cloud.environment)) as client:
        await cosmos.ensure(client, DATABASE, CONTAINERS)
        container = cosmos.container(client, DATABASE, CHARTS)
        for kind in KINDS:
            for window in WINDOWS:
                chart = msgspec.to_builtins(structs.replace(examples.CHART, kind=kind, window=window))
                await container.upsert_item({**chart, "id": CURRENT, "chart": chart_key(kind, window, GLOBAL)})
        # Whoever waits for the position of the examples need not wait long.
        reached = {
            partition: Watermark(position=position, through=examples.CHART.complete_through)
            for partition, position in examples.CHART.position.items()
        }
        for name in (SONGS, LIBRARY_SHELVES):
            progress = msgspec.to_builtins(WatermarkDocument(id=PROGRESS, partitions=reached))
            key = {"shelf": PROGRESS} if name == LIBRARY_SHELVES else {}
            await cosmos.container(client, DATABASE, name).upsert_item({**progress, **key})
        live = msgspec.to_builtins(LiveVersionDocument(id=LIBRARY, version=1, shelves=4))
        await cosmos.container(client, DATABASE, PROJECTIONS).upsert_item(live)


@pytest.fixture(scope="session")
def api(cloud_host: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """It asks for tokens as that of `songline up` does."""
    folder = tmp_path_factory.mktemp("asked")
    cloud = SharedCloud(cloud_host).start()
    asyncio.run(fill(cloud))
    settings = {"SONGLINE_OUTBOX": str(folder / "outbox.sqlite"), "SONGLINE_ERASURES": "on", OPEN: OPEN_HERE}
    # Hundreds of requests that are refused come from one address here.
    api = ApiProcess({**cloud.environment, **settings, REQUESTS: "off"}, folder / "api.log")
    yield api.start()
    api.kill()
    cloud.stop()


@pytest.fixture(scope="session")
def address(api: ApiProcess) -> str:
    return api.address


@pytest.fixture(scope="session")
def shown(api: ApiProcess) -> str:
    """The header line of a token with all scopes."""
    return f"Authorization: {api.headers['Authorization']}"


@pytest.fixture(scope="session")
def web(api: ApiProcess) -> Iterator[httpx.Client]:
    """A client of that API, which keeps its connections and may do everything."""
    with api.blocking_client() as client:
        yield client
