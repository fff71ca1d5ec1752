"""The live versions of projections, for the doctor: which one is live, and how far an upgrade is."""

from collections.abc import Iterator

from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.cloud import cosmos
from songline.cloud.settings import CosmosSettings
from songline.doctor.facts import FailedQuestion, LibraryVersionFacts
from songline.doctor.finding import Finding
from songline.schemas.channels import DATABASE, LIBRARY, PROJECTIONS
from songline.schemas.decoding import convert
from songline.schemas.progress import PROGRESS
from songline.schemas.projections import LIBRARY_MIGRATION, LiveVersionDocument, MigrationDocument

_CHECK = "live version of library"


async def ask_versions(settings: CosmosSettings) -> LibraryVersionFacts:
    """What the documents say. Raises AzureError."""
    client = cosmos.client(settings)
    try:
        found = {}
        for container, document in ((PROJECTIONS, LIBRARY), (PROJECTIONS, LIBRARY_MIGRATION), (LIBRARY, PROGRESS)):
            try:
                item = await cosmos.container(client, DATABASE, container).read_item(document, document)
                found[document] = dict(item)
            except CosmosResourceNotFoundError:
                continue
    finally:
        await client.close()
    live, migration = found.get(LIBRARY), found.get(LIBRARY_MIGRATION)
    return LibraryVersionFacts(
        None if live is None else convert(live, LiveVersionDocument),
        None if migration is None else convert(migration, MigrationDocument),
        PROGRESS in found,
    )


def version_findings(facts: LibraryVersionFacts | FailedQuestion) -> Iterator[Finding]:
    """The lines about the live version, and about what an upgrade has left to do."""
    if isinstance(facts, FailedQuestion):
        yield Finding(_CHECK, "fail", facts.reason, "see the line about Cosmos DB")
        return
    live, migration = facts.live, facts.migration
    if live is not None:
        yield Finding(_CHECK, "ok", f"version {live.version}, on {live.shelves} shelves")
    elif migration is not None:
        seen = f"none yet: {migration.converted:,} of {migration.listeners:,} listeners of the former version converted"
        yield Finding(_CHECK, "warn", seen, "let the library worker run: it goes on where it was")
    elif facts.has_former:
        seen = "none yet: libraries of the former version wait to be converted"
        yield Finding(_CHECK, "warn", seen, "start the library worker, which converts them")
    else:
        yield Finding(_CHECK, "ok", "none yet: the library worker makes the first one")
    if live is not None and facts.has_former:
        yield Finding(
            "former libraries",
            "ok",
            f"the container `{LIBRARY}` is the former version's: nothing reads it any more, and it can be deleted",
        )
