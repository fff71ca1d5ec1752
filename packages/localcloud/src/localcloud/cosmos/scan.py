"""The items that a query or a feed reads, in the order of their places."""

from collections.abc import Iterator
from dataclasses import dataclass

from localcloud.cosmos import json_documents
from localcloud.cosmos.catalog import Container
from localcloud.cosmos.computed_properties import ComputedDocument
from localcloud.cosmos.continuation import Place, RowPlace
from localcloud.cosmos.damage import checked_body
from localcloud.cosmos.extent import Extent
from localcloud.cosmos.partition import canonical
from localcloud.cosmos.query import bounds, syntax
from localcloud.cosmos.query.expressions import ROOT, Row
from localcloud.cosmos.query.program import Program
from localcloud.cosmos.storage import SqliteSession

MAX_IDS_PUSHED = 500
PLACE, ITEM_NUMBER = "$place", "$number"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item: its place, its number (the part of its resource id that is its own), and its JSON."""

    place: Place
    number: int
    body: bytes


@dataclass(slots=True)
class Scan:
    """The items that a query reads; `documents` and `size` count those read so far, and their bytes."""

    session: SqliteSession
    container: Container
    extents: list[Extent]
    tree: syntax.Query
    parameters: dict[str, object]
    now: int
    documents: int = 0
    size: int = 0

    def rows(self, program: Program, after: Place | None = None) -> Iterator[Row]:
        """The program's rows in the order of their places, from `after` (which comes again)."""
        if program.from_nothing:
            yield {}
            return
        ids = bounds.bounds(self.tree, ("id",), self.parameters)
        for candidate in candidates(self.session, self.container, self.extents, ids, after, self.now):
            self.documents += 1
            self.size += len(candidate.body)
            for number, row in enumerate(program.rows({ROOT: queried_document(self.container, candidate.body)})):
                row[PLACE], row[ITEM_NUMBER] = (*candidate.place, number), candidate.number
                yield row


def candidates(
    session: SqliteSession,
    container: Container,
    extents: list[Extent],
    ids: tuple[object, ...] | None,
    after: Place | None,
    now: int,
) -> Iterator[Candidate]:
    """Items in the order of their places, from `after` (which comes again: a JOIN may have more rows of it)."""
    names = [id_ for id_ in ids if isinstance(id_, str)] if ids is not None else []
    for extent in extents:
        clauses = ["container = ?", "epk >= ?", "epk < ?"]
        values: list[object] = [container.number, extent.low, extent.high]
        if extent.pk is not None:
            clauses.append("pk = ?")
            values.append(extent.pk)
        if after is not None:
            clauses.append("(epk, pk, id) >= (?, ?, ?)")
            values.extend(after)
        if ids is not None and len(names) <= MAX_IDS_PUSHED:
            some = padded(names)
            clauses.append(f"id IN ({', '.join('?' * len(some))})")
            values.extend(some)
        exclude_expired(container, now, clauses, values)
        where = " AND ".join(clauses)
        order = "epk, pk, id"
        statement = f"SELECT {order}, number, body, crc FROM items WHERE {where} ORDER BY {order}"  # noqa: S608 - names of ours
        for epk, pk, id_, number, body, crc in session.connection.execute(statement, values):
            yield Candidate((epk, pk, id_), number, checked_body(session, id_, body, crc))


def padded(names: list[str]) -> list[str]:
    """`names`, the last one repeated until there are a power of two, so that there are few statements: a connection
    keeps the last 128 of them compiled, which takes 19 KB for 50 names."""
    missing = (1 << (len(names) - 1).bit_length()) - len(names) if names else 0
    return [*names, *names[-1:] * missing]


def narrowed_extents(
    container: Container, extent: Extent, tree: syntax.Query, parameters: dict[str, object]
) -> list[Extent]:
    """The logical partitions that the filter names; else the extent."""
    if extent.pk is not None:
        return [extent]
    keys = bounds.combinations(tree, container.key.paths, parameters)
    if keys is None:
        return [extent]
    points = sorted({(container.key.effective(key), canonical(key)) for key in keys})
    return [Extent(epk, epk + "!", pk) for epk, pk in points if extent.low <= epk < extent.high]


def range_to_read(
    container: Container, extents: list[Extent], after: RowPlace | None
) -> tuple[list[Extent], RowPlace | None]:
    """The parts of `extents` in the next partition key range to read, and where the range behind it begins.

    `after` is the place of the last row that was read. None is returned when no range is left behind.
    """
    left: list[tuple[str, list[Extent]]] = []
    for each in container.ranges:
        parts = [extent for whole in extents if (extent := whole.within(each.low, each.high)).low < extent.high]
        if parts and (after is None or after[0] < each.high):
            left.append((each.low, parts))
    return left[0][1] if left else [], (left[1][0], "", "", 0) if len(left) > 1 else None


def queried_document(container: Container, body: bytes) -> object:
    """An item as queries see it: with computed properties."""
    document = json_documents.decode(body)
    if container.computed and isinstance(document, dict):
        return ComputedDocument(document, container.computed)
    return document


def place_of(row: Row) -> RowPlace:
    return row[PLACE]  # type: ignore[return-value]  # put there by `Scan.rows`


def item_number_of(row: Row) -> int:
    return row[ITEM_NUMBER]  # type: ignore[return-value]  # put there by `Scan.rows`


def exclude_expired(container: Container, now: int, clauses: list[str], values: list[object]) -> None:
    """Add the condition that leaves out expired items."""
    if container.default_ttl is not None:
        clauses.append("(coalesce(ttl, ?) = -1 OR ts + coalesce(ttl, ?) > ?)")
        values.extend((container.default_ttl, container.default_ttl, now))
