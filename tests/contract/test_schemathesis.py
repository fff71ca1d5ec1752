"""Whatever is asked, the API answers as its document says, and never with a fault of its own."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from msgspec import structs
from schemathesis import Case, CheckContext, Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cloud import blobs, cosmos
from cloud.settings import read_blobs, read_cosmos
from schemas import examples
from schemas.channels import BLOB_CONTAINERS, CHARTS, DATABASE, LIBRARY, SONGS
from schemas.documents import CURRENT, GLOBAL, KINDS, WINDOWS, chart_key
from schemas.progress import PROGRESS, Progress, Reached
from songline import openapi
from songline.entities import CONTAINERS
from tests.support.api import ApiProcess
from tests.support.localcloud import LocalCloud


def no_fault(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """A fault is ours; an answer that names when to come again (a position that is not reached yet) is none."""
    assert response.status_code < 500 or "retry-after" in response.headers, response.text


CHECKS = [no_fault, status_code_conformance, content_type_conformance, response_schema_conformance]
# They have no end, and so no answer to look at.
STREAMS = r"^/v1/live$|/events$|/now-playing$"


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
            partition: Reached(position=position, through=examples.CHART.complete_through)
            for partition, position in examples.CHART.position.items()
        }
        for name in (SONGS, LIBRARY):
            progress = msgspec.to_builtins(Progress(id=PROGRESS, partitions=reached))
            key = {"userId": PROGRESS} if name == LIBRARY else {}
            await cosmos.container(client, DATABASE, name).upsert_item({**progress, **key})


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("asked")
    cloud = LocalCloud(folder / "cloud", ["--blobs"]).start()
    asyncio.run(fill(cloud))
    api = ApiProcess({**cloud.environment, "SONGLINE_OUTBOX": str(folder / "outbox.sqlite")}, folder / "api.log")
    yield api.start().address
    api.kill()
    cloud.stop()


@(schemathesis.openapi.from_dict(openapi.document()).exclude(path_regex=STREAMS).parametrize())
# A body of `audio/*` goes the way of one of `application/octet-stream`, which is tried.
@pytest.mark.filterwarnings("ignore:Skipped test cases with unsupported payload media types:UserWarning")
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_document_says(case: Case[Any], address: str) -> None:
    case.call_and_validate(base_url=address, checks=CHECKS, timeout=20)
