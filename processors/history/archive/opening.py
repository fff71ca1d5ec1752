"""Opening the history of `music-events` over the services that the environment names."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from msgspec import Struct

from songline.cloud import blobs, eventhubs
from songline.cloud.settings import EventHubsSettings, SettingError, read_blobs, read_eventhubs
from songline.processors.history.archive.blob_files import BlobFiles
from songline.processors.history.archive.history import HubHistory
from songline.processors.history.archive.name_format import DEFAULT_FORMAT, NameFormat, NameFormatError
from songline.processors.history.erasure.forgetting_tail import ForgettingTail
from songline.processors.history.erasure.tail_names import read_keyed
from songline.processors.runtime.hub_metadata import HubMetadata
from songline.schemas.channels import ARCHIVE_BLOBS, MUSIC_EVENTS

ARCHIVE_CONTAINER = "SONGLINE_ARCHIVE_CONTAINER"
ARCHIVE_FORMAT = "SONGLINE_ARCHIVE_FORMAT"

TAIL_GROUP = "$Default"
"""No worker reads in this group: readers with an owner level would disconnect those without one."""


class ArchiveSettings(Struct, frozen=True):
    """Where the archive is: its blob container, and the name format that Capture has."""

    container: str
    names: NameFormat


def read_archive(environ: Mapping[str, str]) -> ArchiveSettings:
    """The archive's settings; raises SettingError."""
    written = environ.get(ARCHIVE_FORMAT) or DEFAULT_FORMAT
    try:
        names = NameFormat(written, MUSIC_EVENTS)
    except NameFormatError as error:
        raise SettingError(ARCHIVE_FORMAT, repr(written), f"a name format of Capture: {error}") from None
    return ArchiveSettings(environ.get(ARCHIVE_CONTAINER) or ARCHIVE_BLOBS, names)


def partition_of(environ: Mapping[str, str], path: str) -> str | None:
    """The partition that the file `path` is of, None where it is no file of this hub's archive. Raises SettingError."""
    name = read_archive(environ).names.parse(path)
    namespace = _namespace(read_eventhubs(environ))
    if name is None or (namespace is not None and name.namespace.lower() != namespace.lower()):
        return None
    return name.partition


@asynccontextmanager
async def open_files(
    environ: Mapping[str, str], hub: EventHubsSettings | None, *, keeps_listing: bool = False
) -> AsyncIterator[BlobFiles]:
    """The files of the archive, of the namespace of `hub` alone where that is known. Raises SettingError."""
    settings = read_archive(environ)
    async with blobs.client(read_blobs(environ)) as account:
        container = account.get_container_client(settings.container)
        yield BlobFiles(container, settings.names, _namespace(hub), keeps_listing=keeps_listing)


@asynccontextmanager
async def open_history(
    environ: Mapping[str, str], *, skip: bool = False, with_tail: bool = True, keeps_listing: bool = False
) -> AsyncIterator[HubHistory]:
    """The history of `music-events`; without `with_tail` of its archive alone. With `keeps_listing`, for what is over
    soon, files are listed once unless something is missing. Raises SettingError."""
    hub = read_eventhubs(environ) if with_tail else None
    async with AsyncExitStack() as stack:
        files = await stack.enter_async_context(open_files(environ, hub, keeps_listing=keeps_listing))
        tail = None
        if hub is not None:
            consumer = partial(eventhubs.consumer, hub, MUSIC_EVENTS, TAIL_GROUP)
            metadata = HubMetadata(await stack.enter_async_context(consumer()))
            tail = ForgettingTail(consumer, metadata, partial(read_keyed, environ))
        yield HubHistory(files, tail, skip=skip)


def _namespace(hub: EventHubsSettings | None) -> str | None:
    """The namespace whose files are read; any on this machine, whose host is not its name."""
    return None if hub is None or hub.plaintext or hub.port is not None else hub.host.partition(".")[0]
