"""What a rebuild makes: a version of a projection, by whatever folds it."""

from collections.abc import Awaitable, Callable

from azure.cosmos.aio import ContainerProxy, CosmosClient
from msgspec import Struct

from songline.cloud.cosmos import Container
from songline.cloud.http_transport import Guard
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.erasure.names_to_come import NOBODY_LEAVES, NamesToCome, nobody_leaves
from songline.processors.history.rebuild.progress import RebuildCount
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.schemas.projections import VersionDocument


class RebuildParts(Struct, frozen=True):
    """What a rebuild has: the `version` that it makes in `container` of `account`, the `history` that it folds, the
    `hub` behind that, and the `count` in which it says how far it is. `until_s`: only events of seconds before are
    folded; None: all. The history is read under the `names` of those whose erasure had begun to rename;
    `read_names` reads whose that are by now. `guard` is asked before anything is written elsewhere than by `account`,
    which asks it itself, and raises where the version is another process's."""

    version: VersionDocument
    account: CosmosClient
    container: ContainerProxy
    history: HubHistory
    hub: HubMetadata
    count: RebuildCount
    until_s: int | None
    names: NamesToCome = NOBODY_LEAVES
    read_names: Callable[[], Awaitable[NamesToCome]] = nobody_leaves
    guard: Guard | None = None


class RebuiltProjection(Struct, frozen=True):
    """How a projection's versions are made: `container` is that of the first one, `key` the field that is its partition
    key, under which `@progress` stands too.

    `rebuild` folds the history behind what the version has applied, saves as it goes, and returns once nothing is left;
    it may be called again, also where it raised ForgottenMeanwhileError. `shelves` gives what a new version's document
    has as its shelves, of a hub with so many partitions.
    """

    name: str
    container: Container
    key: str
    rebuild: Callable[[RebuildParts], Awaitable[None]]
    shelves: Callable[[int], int] = lambda partitions: 0
