"""Opening what the commands about versions need, over the services that the environment names."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from azure.cosmos.aio import CosmosClient
from msgspec import Struct

from songline.cloud import cosmos, eventhubs
from songline.cloud.http_transport import Guard
from songline.cloud.settings import read_cosmos, read_eventhubs
from songline.processors.history.archive.hub_tail import HubTail
from songline.processors.history.versions.lag import LagMeter
from songline.processors.history.versions.projections import VersionedProjection
from songline.processors.history.versions.switching import VersionSwitcher
from songline.processors.history.versions.version_store import VersionStore
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.schemas.channels import DATABASE, MUSIC_EVENTS, PROJECTIONS

READ_GROUP = "$Default"
"""No worker reads in this group."""


class VersionServices(Struct, frozen=True):
    """The account, the documents of versions in it, and the hub. `now` gives the time of day."""

    account: CosmosClient
    store: VersionStore
    hub: HubMetadata
    lag: LagMeter
    now: Callable[[], datetime]
    environ: Mapping[str, str]

    def open_account(self, guard: Guard) -> AbstractAsyncContextManager[CosmosClient]:
        """A client of its own for the account, which asks `guard` before each request."""
        return cosmos.opened(read_cosmos(self.environ), guard)

    def switcher(self, projection: VersionedProjection) -> VersionSwitcher:
        """What switches the versions of a projection."""
        return VersionSwitcher(projection, self.account, self.store, self.lag, self.environ, self.now)


@asynccontextmanager
async def open_versions(environ: Mapping[str, str]) -> AsyncIterator[VersionServices]:
    """The services while the context lasts. Raises SettingError."""
    account_settings, hub_settings = read_cosmos(environ), read_eventhubs(environ)
    async with AsyncExitStack() as stack:
        account = await stack.enter_async_context(cosmos.opened(account_settings))
        consumer = partial(eventhubs.consumer, hub_settings, MUSIC_EVENTS, READ_GROUP)
        hub = HubMetadata(await stack.enter_async_context(consumer()))
        store = VersionStore(cosmos.container(account, DATABASE, PROJECTIONS), _now)
        yield VersionServices(account, store, hub, LagMeter(MUSIC_EVENTS, HubTail(consumer, hub), _now), _now, environ)


def _now() -> datetime:
    return datetime.now(UTC)
