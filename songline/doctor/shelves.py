"""How near the shelves of libraries are to what Cosmos DB takes in one logical partition, for the doctor."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from azure.cosmos.exceptions import CosmosResourceNotFoundError

from songline.cloud import cosmos
from songline.cloud.settings import CosmosSettings
from songline.doctor.facts import FailedQuestion, ShelfFacts
from songline.doctor.finding import Finding
from songline.schemas.channels import DATABASE, LIBRARY, PROJECTIONS
from songline.schemas.decoding import convert
from songline.schemas.projections import LiveVersionDocument, container_of

LIMIT_GB = 20
"""A logical partition takes no more than this. Source: "Azure Cosmos DB service quotas"."""

WARN_PART, FAIL_PART = 0.7, 0.9

_CHECK = "shelves of libraries"
_KB_A_GB = 1024 * 1024
_USAGE = "x-ms-resource-usage"
_SIZE = re.compile(r"(?:^|;)documentsSize=([0-9]+)")


async def ask_shelves(settings: CosmosSettings) -> ShelfFacts | None:
    """The sizes, None while there is no live version. Raises AzureError."""
    client = cosmos.client(settings)
    try:
        item = await cosmos.container(client, DATABASE, PROJECTIONS).read_item(LIBRARY, LIBRARY)
        live = convert(dict(item), LiveVersionDocument)
        found = await cosmos.container(client, DATABASE, container_of(LIBRARY, live.version)).read(
            populate_partition_key_range_statistics=True, populate_quota_info=True
        )
    except CosmosResourceNotFoundError:
        return None
    finally:
        await client.close()
    usage = _SIZE.search(found.get_response_headers().get(_USAGE, ""))
    return ShelfFacts(0 if usage is None else int(usage[1]), live.shelves, named_keys(found))


def named_keys(container: Mapping[str, Any]) -> dict[str, int]:
    """The partition keys that a container's statistics name, with their KB."""
    found = {}
    for of_range in container.get("statistics") or ():
        for key in of_range.get("partitionKeys") or ():
            value = key.get("partitionKey")
            found[str(value[0] if isinstance(value, list) and value else value)] = int(key.get("sizeInKB", 0))
    return found


def shelf_findings(facts: ShelfFacts | FailedQuestion | None) -> Iterator[Finding]:
    """The line about the largest shelf. Listeners are spread by a hash, so shelves are about as large as each other."""
    if facts is None:
        return
    if isinstance(facts, FailedQuestion):
        yield Finding(_CHECK, "warn", f"their size can't be read: {facts.reason}", "see the line about Cosmos DB")
        return
    key, size_kb = max(facts.largest.items(), key=lambda one: one[1], default=("", 0))
    average_kb = facts.total_kb // max(1, facts.shelves)
    if size_kb <= average_kb:
        key, size_kb = "", average_kb
    part = size_kb / (LIMIT_GB * _KB_A_GB)
    which = f"shelf {key}" if key else f"each of {facts.shelves} shelves, about"
    seen = f"{which} {size_kb / _KB_A_GB:.1f} GB, {part:.0%} of what a logical partition takes"
    if part < WARN_PART:
        yield Finding(_CHECK, "ok", seen)
        return
    mend = (
        "make the libraries' next version with more shelves before it is full, for then no library of the shelf "
        "changes any more; Azure's support can raise the limit of a partition key for the time being"
    )
    yield Finding(_CHECK, "fail" if part >= FAIL_PART else "warn", seen, mend)
