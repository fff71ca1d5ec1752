"""Compares two versions of a projection, document by document."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from azure.cosmos.aio import ContainerProxy
from msgspec import Struct

from songline.processors.catalog.refolding import MARK
from songline.processors.history.charts.chart_documents import STATE
from songline.processors.history.compare.comparison import VersionComparison, difference_of, joined
from songline.processors.history.compare.shelf_walk import ListenerActions, listeners
from songline.schemas.channels import CHARTS, LIBRARY, SONGS
from songline.schemas.decoding import convert
from songline.schemas.library.action import UserAction
from songline.schemas.library.fold import fold_actions
from songline.schemas.plays import SHARDS_KEY
from songline.schemas.progress import PROGRESS
from songline.schemas.songs import SongDocument

_AT_ONCE = 100
_FRESHNESS = ("asOf", "completeThrough", "position")
"""Fields that say of when a document is, and not what it holds."""


class ComparedVersion(Struct, frozen=True):
    """A version that is compared: its number, container, `shelves` (0 for other projections) and lasting positions."""

    version: int
    container: ContainerProxy
    shelves: int
    positions: Mapping[str, int]


async def compare(projection: str, one: ComparedVersion, other: ComparedVersion) -> VersionComparison:
    """What differs between two versions. Raises UnsettledShelfError, PoisonError and AzureError."""
    partitions = sorted(one.positions.keys() | other.positions.keys(), key=int)
    cut = {part: min(one.positions.get(part, -1), other.positions.get(part, -1)) for part in partitions}
    found = VersionComparison(
        projection=projection,
        versions=(one.version, other.version),
        position=cut,
        is_same_position=all(one.positions.get(part, -1) == other.positions.get(part, -1) for part in partitions),
    )
    if projection == LIBRARY:
        await _compare_libraries(found, one, other)
    else:
        await _compare_documents(found, projection, one, other)
    return found


async def _compare_libraries(found: VersionComparison, one: ComparedVersion, other: ComparedVersion) -> None:
    """Of both versions only actions up to the position are folded."""
    streams = [_applied(listeners(each.container, each.version, each.shelves), found.position) for each in (one, other)]
    async for (_, user_id), left, right in joined(*streams):
        for version, actions in ((one.version, left), (other.version, right)):
            if actions is None:
                found.note_missing(user_id, version)
            else:
                found.count(version)
        if left is None or right is None:
            continue
        folded = [msgspec.to_builtins(fold_actions(actions)) for actions in (left, right)]
        for library in folded:
            library["songs"] = {song["song_id"]: song for song in library["songs"]}
        if detail := difference_of(*folded):
            found.count_differing(user_id, detail)
        else:
            found.equal += 1


async def _applied(
    stream: AsyncIterator[ListenerActions], position: Mapping[str, int]
) -> AsyncIterator[tuple[tuple[str, str], list[UserAction]]]:
    async for listener, actions in stream:
        kept = [one for one in actions if one.partition < 0 or one.position <= position.get(str(one.partition), -1)]
        if kept:
            yield listener, kept


async def _compare_documents(
    found: VersionComparison, projection: str, one: ComparedVersion, other: ComparedVersion
) -> None:
    key = {CHARTS: "chart", SONGS: "id"}.get(projection, "songId")
    async for items in _pages(one.container, key):
        theirs = await _same(other.container, key, items)
        for place, item in items.items():
            found.count(one.version)
            if place not in theirs:
                _note_missing(found, projection, place, item, other.version)
            elif detail := difference_of(_content(item), _content(theirs[place])):
                if any(_is_later(projection, each, found.position) for each in (item, theirs[place])):
                    found.later += 1
                else:
                    found.count_differing(_named(place), detail)
            else:
                found.equal += 1
    async for items in _pages(other.container, key):
        ours = await _same(one.container, key, items)
        for place, item in items.items():
            found.count(other.version)
            if place not in ours:
                _note_missing(found, projection, place, item, one.version)


def _note_missing(
    found: VersionComparison, projection: str, place: tuple[str, str], item: Mapping[str, Any], version: int
) -> None:
    """Note that a version lacks a document, unless the document is of what came later."""
    if _is_later(projection, item, found.position):
        found.later += 1
    else:
        found.note_missing(_named(place), version)


def _is_later(projection: str, item: Mapping[str, Any], position: Mapping[str, int]) -> bool:
    """Whether a document has something from behind the position: of songs alone documents say so."""
    if projection != SONGS:
        return False
    facts = convert(dict(item), SongDocument).all_facts
    return any(fact.position > position.get(str(partition), -1) for (partition, _), fact in facts.items())


async def _pages(container: ContainerProxy, key: str) -> AsyncIterator[dict[tuple[str, str], dict[str, Any]]]:
    """All documents, some at a time, by partition key and id."""
    page: dict[tuple[str, str], dict[str, Any]] = {}
    async for item in container.query_items("SELECT * FROM c", max_item_count=_AT_ONCE):
        if item["id"] in (PROGRESS, MARK) or item.get(key) in (PROGRESS, SHARDS_KEY, STATE):
            continue
        page[item[key], item["id"]] = dict(item)
        if len(page) == _AT_ONCE:
            yield page
            page = {}
    if page:
        yield page


async def _same(
    container: ContainerProxy, key: str, items: Mapping[tuple[str, str], object]
) -> dict[tuple[str, str], dict[str, Any]]:
    """The documents of another version with the same keys and ids."""
    values = {f"@key{number}": one for number, one in enumerate(sorted({one for one, _ in items}))}
    ids = {f"@id{number}": one for number, one in enumerate(sorted({one for _, one in items}))}
    parameters: list[dict[str, object]] = [{"name": name, "value": one} for name, one in (values | ids).items()]
    # By ids too: a chart has thousands of documents, and a page is of few of them.
    which = f"c.{key} IN ({', '.join(values)}) AND c.id IN ({', '.join(ids)})"
    query = f"SELECT * FROM c WHERE {which}"  # noqa: S608 - names of parameters
    found = {(item[key], item["id"]): dict(item) async for item in container.query_items(query, parameters=parameters)}
    return {place: item for place, item in found.items() if place in items}


def _content(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if not name.startswith("_") and name not in _FRESHNESS}


def _named(place: tuple[str, str]) -> str:
    key, document_id = place
    return document_id if key == document_id else f"{key} {document_id}"
