"""A whole system behind one address, and a browser that shows its page."""

import asyncio
import os
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from songline.api.guard_settings import AUTH, OPEN
from songline.cloud import blobs
from songline.cloud.settings import read_blobs
from songline.processes.page_client import page_settings, trust_link, write_page_client
from songline.processes.ports import reserved
from songline.schemas.channels import BLOB_CONTAINERS
from tests.support.api import ApiProcess
from tests.support.catalog import CatalogWorker
from tests.support.ingestion import WorkerProcess
from tests.support.library import LibraryWorker
from tests.support.localcloud import LocalCloud
from tests.support.waiting import wait_for
from tests.support.worker import TrendingWorker, make_containers

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = "SONGLINE_CHROMIUM"
NO_BROWSER = (
    f"no Chromium: none of {', '.join(NAMES)} is on PATH; `apt-get install chromium` as root brings it, or {CHROMIUM} "
    "names one"
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
# Seconds after which a projection is stale; while something is played, charts are written twice a second.
STALE_S = 10
PATIENCE_MS = 100_000


class System:
    """All that `songline up` runs except simulated listeners, for the tests of a module; `stack` ends it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        # The issuer has to know the address of the page that signs in before it starts.
        self._closed_port = stack.enter_context(reserved({"--port": 0}))["--port"]
        declared = write_page_client(folder, f"http://127.0.0.1:{self._closed_port}")
        self.cloud = LocalCloud(folder / "cloud", ["--blobs", f"--identity-config={declared}"])
        self._folder = folder
        self._stack = stack

    def start(self) -> None:
        self.cloud.start()
        self._stack.callback(self.cloud.stop)
        asyncio.run(self._make())
        environment = self._environment = {
            **self.cloud.environment,
            AUTH: "off",
            "SONGLINE_STALE": str(STALE_S),
            "SONGLINE_OUTBOX": str(self._folder / "outbox.sqlite"),
        }
        self.trending = TrendingWorker(self.cloud, self._folder / "trending.log")
        workers = (
            self.trending,
            CatalogWorker(self.cloud, self._folder / "catalog.log"),
            LibraryWorker(self.cloud, self._folder / "library.log"),
            WorkerProcess(environment, self._folder / "ingestion.log"),
        )
        for worker in workers:
            worker.start()
            self._stack.callback(worker.kill)
        self.api = ApiProcess(environment, self._folder / "api.log").start()
        self._stack.callback(self.api.kill)
        self.play("warm-up")
        wait_for(
            lambda: httpx.get(f"{self.address}/v1/charts/top/5m", timeout=60).status_code == 200, "the first chart"
        )

    @property
    def address(self) -> str:
        return self.api.address

    def play(self, song: str, times: int = 1) -> None:
        """`times` listeners hear the song."""
        for _ in range(times):
            listener = f"listener-{secrets.token_hex(6)}"
            body = {"userId": listener, "playedMs": 60_000, "durationMs": 180_000, "region": "DE"}
            answer = httpx.post(f"{self.address}/v1/songs/{song}/plays", json=body, timeout=60)
            assert answer.is_success, answer.text

    def start_closed(self) -> ApiProcess:
        """Another process of the API, which asks for tokens, except for charts, songs and the page."""
        address = f"http://127.0.0.1:{self._closed_port}"
        settings = {
            **self._environment,
            **page_settings(self.cloud.data, address),
            AUTH: "on",
            OPEN: "charts,songs,page",
            "SONGLINE_DATA": str(self._folder),
            "SONGLINE_OUTBOX": str(self._folder / "closed-outbox.sqlite"),
        }
        return ApiProcess(settings, self._folder / "closed-api.log").start(self._closed_port)

    @property
    def trust_link(self) -> str:
        """What `songline up` prints: the address that lets a browser sign in, once."""
        link = trust_link(self.cloud.data, self.cloud.issuer)
        assert link is not None
        return link

    def begin(self, listener: str, song: str) -> None:
        """The listener begins to play the song."""
        httpx.put(f"{self.address}/v1/users/{listener}/now-playing", json={"songId": song}, timeout=60)

    async def _make(self) -> None:
        await make_containers(self.cloud.settings())
        async with blobs.client(read_blobs(self.cloud.environment)) as client:
            await blobs.ensure(client, BLOB_CONTAINERS)


class Visit:
    """A page, with its requests and the errors in its console."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.console_errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda line: self.console_errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def go(self, view: str) -> None:
        self.page.goto(f"{self.address}/#{view}")

    def foreign_requests(self) -> list[str]:
        """The addresses of other hosts that the page asked."""
        own = urlsplit(self.address).netloc
        return [url for url in self.requests if url.startswith(("http", "ws")) and urlsplit(url).netloc != own]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with ExitStack() as stack:
        system = System(tmp_path_factory.mktemp("browser"), stack)
        # Playwright keeps a loop in the main thread, in which no other one can run.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(system.start).result()
        yield system


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = os.environ.get(CHROMIUM) or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(NO_BROWSER)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, system: System, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A page of its own, 1440 pixels wide unless the test says otherwise. It must log no error to the console."""
    options: dict[str, Any] = getattr(request, "param", {})
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    context.set_default_timeout(PATIENCE_MS)
    visit = Visit(context.new_page(), system.address)
    yield visit
    context.close()
    assert visit.console_errors == []
    assert visit.foreign_requests() == []
