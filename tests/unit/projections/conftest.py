"""The read API over an account that does not answer, asked in this process."""

from collections.abc import AsyncIterator

import httpx
import pytest

from songline.projections.api import create
from tests.support.nowhere import NOWHERE


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    app = create(NOWHERE)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline") as client,
    ):
        client.app = app  # type: ignore[attr-defined]
        yield client
