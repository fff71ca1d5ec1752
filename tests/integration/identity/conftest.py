"""Fixtures of the page's sign-in: one issuer for all, and an API and a browser for each test."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import httpx
import pytest

from songline.api.session.settings import PageSettings
from tests.support.localcloud import LocalCloud
from tests.support.page_session import Browser, Clock, PageApi, page_cloud, page_environment


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    cloud = page_cloud(tmp_path_factory.mktemp("page")).start()
    yield cloud
    cloud.stop()


@pytest.fixture(scope="session")
def settings(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> PageSettings:
    found = PageSettings.read(page_environment(cloud, tmp_path_factory.mktemp("data")))
    assert found is not None
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def http(stack: AsyncExitStack) -> httpx.AsyncClient:
    return await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60))


@pytest.fixture
async def api(settings: PageSettings, http: httpx.AsyncClient, clock: Clock, stack: AsyncExitStack) -> PageApi:
    api = PageApi(settings, http, clock.now_s)
    stack.push_async_callback(api.service.close)
    return api


@pytest.fixture
async def browser(api: PageApi, cloud: LocalCloud, stack: AsyncExitStack) -> Browser:
    browser = Browser(api.app, cloud)
    stack.push_async_callback(browser.close)
    return browser
