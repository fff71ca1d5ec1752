"""Pages: of a query, and of everything in a range. Run on a reading connection."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from localcloud.cosmos import charges, continuation, json_documents, resource_ids
from localcloud.cosmos.catalog import Container
from localcloud.cosmos.continuation import Continuation, ServiceToken
from localcloud.cosmos.damage import checked_body
from localcloud.cosmos.errors import BadRequestError
from localcloud.cosmos.extent import Extent
from localcloud.cosmos.index_only import is_index_only
from localcloud.cosmos.query import plan, syntax
from localcloud.cosmos.query.expressions import ROOT, Row
from localcloud.cosmos.query.program import MAX_LIMIT, Program, compile_query
from localcloud.cosmos.scan import (
    Candidate,
    Scan,
    candidates,
    item_number_of,
    narrowed_extents,
    place_of,
    queried_document,
    range_to_read,
)
from localcloud.cosmos.storage import SqliteSession
from localcloud.cosmos.values import UNDEFINED, OrderKey

MAX_PAGE_BYTES = 4 * 1024 * 1024
AFTER_ALL_ROWS = 2**31
"""The number of a row that comes after all rows of an item."""


@dataclass(frozen=True, slots=True)
class Page:
    """`rows` are JSON texts; `continuation` is None at the end."""

    rows: list[bytes]
    continuation: str | None
    charge: float
    metrics: dict[str, float] = field(default_factory=dict)


def read_items(
    session: SqliteSession, container: Container, extent: Extent, limit: int, token: str | None, now: int
) -> Page:
    """Documents as they are, by effective partition key and id; each page is of one partition key range."""
    state = continuation.decode(token, "items", extent.bounds)
    if isinstance(state, ServiceToken):
        extent, state = _resumed(session, container, extent, state, "items")
    row = state.row
    after = (row[0], row[1], row[2] + "\0") if row is not None else None
    found: list[Candidate] = []
    size = 0
    parts, following = range_to_read(container, [extent], row)
    for candidate in candidates(session, container, parts, None, after, now):
        if found and (len(found) == limit or size + len(candidate.body) > MAX_PAGE_BYTES):
            following = (*found[-1].place, 0)
            break
        found.append(candidate)
        size += len(candidate.body)
    last = Continuation("items", state.extent, row=following) if following else None
    return _page([candidate.body for candidate in found], last, charges.feed(size))


def run_query(
    session: SqliteSession,
    container: Container,
    extent: Extent,
    text: str,
    tree: syntax.Query,
    parameters: dict[str, object],
    *,
    limit: int,
    token: str | None,
    now_ms: int,
) -> Page:
    """One page of a query's results."""
    program = compile_query(tree, parameters, now_ms)
    label = _label(text, tree)
    state = continuation.decode(token, label, extent.bounds)
    if isinstance(state, ServiceToken):
        extent, state = _resumed(session, container, extent, state, label, program)
    extents = narrowed_extents(container, extent, tree, parameters)
    scan = Scan(session, container, extents, tree, parameters, now_ms // 1000)
    if not program.streams or program.from_nothing:
        page, following = _counted(program, scan.rows(program), limit, state)
    elif program.sort:
        page, following = _sorted(program, scan.rows(program), limit, state)
    elif program.offset or program.limit < MAX_LIMIT:
        page, following = _streamed(program, scan, limit, state)
    else:
        page, following = _streamed_by_range(program, scan, limit, state)
    size = sum(map(len, page))
    charge = charges.query(scanned=scan.documents, scanned_bytes=scan.size, returned=len(page), returned_bytes=size)
    metrics = _metrics(scan, page, index_only=is_index_only(tree, container.indexing))
    return _page(page, following, charge, metrics)


def _metrics(scan: Scan, page: list[bytes], *, index_only: bool) -> dict[str, float]:
    """The figures of a query by the service's names. What its index answers alone retrieves no document."""
    retrieved, size = (0, 0) if index_only else (scan.documents, scan.size)
    return {
        "retrievedDocumentCount": retrieved,
        "retrievedDocumentSize": size,
        "outputDocumentCount": len(page),
        "outputDocumentSize": sum(map(len, page)),
        "indexUtilizationRatio": min(1.0, len(page) / retrieved) if retrieved else 1.0,
    }


def has_more_results(
    session: SqliteSession,
    container: Container,
    tree: syntax.Query,
    parameters: dict[str, object],
    *,
    than: int,
    now_ms: int,
) -> bool:
    """Whether a query without aggregates finds more than so many results in the whole container."""
    program = compile_query(tree, parameters, now_ms)
    if program.limit <= than or program.grouped:
        return False
    scan = Scan(
        session, container, narrowed_extents(container, Extent(), tree, parameters), tree, parameters, now_ms // 1000
    )
    rows = scan.rows(program)
    found = iter(_selected(program, rows)) if program.streams else iter(program.results(rows))
    return next(islice(found, program.offset + than, None), None) is not None


def _streamed(program: Program, scan: Scan, limit: int, state: Continuation) -> tuple[list[bytes], Continuation | None]:
    """Rows in the order of the scan. The token holds the place of the last row."""
    last = state.row
    rows = scan.rows(program, last[:3] if last is not None else None)
    if last is not None:
        rows = (row for row in rows if place_of(row) > last)
    return _cut_page(program, rows, limit, state)


def _streamed_by_range(
    program: Program, scan: Scan, limit: int, state: Continuation
) -> tuple[list[bytes], Continuation | None]:
    """The same, but each page is of one partition key range, as at the service: of one without results it is empty."""
    scan.extents, next_range = range_to_read(scan.container, scan.extents, state.row)
    page, following = _streamed(program, scan, limit, state)
    if following is None and next_range is not None:
        following = Continuation(state.of, state.extent, row=next_range, given=state.given + len(page))
    return page, following


def _sorted(
    program: Program, rows: Iterator[Row], limit: int, state: Continuation
) -> tuple[list[bytes], Continuation | None]:
    """Rows in the order of ORDER BY. Rows of equal values come by resource id, in reverse when a value descends.

    That is the order of the service, and clients that go on by tokens of their own rely on it. The token holds the last
    row's values, number and place.
    """
    is_reversed = any(descending for _, descending in program.sort)
    ordered = iter(program.ordered(sorted(rows, key=item_number_of, reverse=is_reversed)))
    last = state.row
    if last is not None:
        if state.sort is None or len(state.sort) != len(program.sort):
            raise BadRequestError("Invalid Continuation Token: it was not given for this query.")
        keys = [OrderKey(value[0] if value else UNDEFINED) for value in state.sort]
        position = (-state.number if is_reversed else state.number, last[3])
        ordered = (row for row in ordered if _is_after(program, row, keys, position, is_reversed=is_reversed))
    return _cut_page(program, ordered, limit, state)


def _is_after(
    program: Program, row: Row, keys: list[OrderKey], position: tuple[int, int], *, is_reversed: bool
) -> bool:
    """`position` is the last row's place among rows of equal values: the number of its item, then its own."""
    for (evaluate, descending), key in zip(program.sort, keys, strict=True):
        value = OrderKey(evaluate(row))
        if value != key:
            return (value < key) if descending else (key < value)
    number = item_number_of(row)
    return (-number if is_reversed else number, place_of(row)[3]) > position


def _cut_page(
    program: Program, rows: Iterator[Row], limit: int, state: Continuation
) -> tuple[list[bytes], Continuation | None]:
    skip = program.offset if state.row is None else 0
    left = program.limit - state.given
    page: list[bytes] = []
    size = 0
    last: Row | None = None
    for row in islice(_selected(program, rows), skip, None):
        if len(page) >= left:
            return page, None
        if last is not None and (len(page) == limit or size > MAX_PAGE_BYTES):
            sort = _sort_values(program, last)
            return page, Continuation(
                state.of,
                state.extent,
                row=place_of(last),
                sort=sort,
                number=item_number_of(last),
                given=state.given + len(page),
            )
        text = json_documents.encode(row[_SELECTED])
        page.append(text)
        size += len(text)
        last = row
    return page, None


_SELECTED = "$selected"


def _selected(program: Program, rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        value = program.select(row)
        if value is not UNDEFINED:
            row[_SELECTED] = value
            yield row


def _counted(
    program: Program, rows: Iterator[Row], limit: int, state: Continuation
) -> tuple[list[bytes], Continuation | None]:
    """Results that need all rows. The token holds how many were given."""
    results = program.results(rows)[program.offset : program.offset + program.limit][state.given :]
    page: list[bytes] = []
    size = 0
    for value in results[:limit]:
        if page and size > MAX_PAGE_BYTES:
            break
        page.append(json_documents.encode(value))
        size += len(page[-1])
    following = (
        Continuation(state.of, state.extent, given=state.given + len(page)) if len(page) < len(results) else None
    )
    return page, following


def _label(text: str, tree: syntax.Query) -> str:
    """The name of a query in its tokens. Clients change the filter of a merged query from page to page."""
    if plan.is_merged(tree):
        text = syntax.text_of_query(replace(tree, where=None))
    return f"query:{zlib.crc32(text.encode()):08x}"


def _page(
    rows: list[bytes], following: Continuation | None, charge: float, metrics: dict[str, float] | None = None
) -> Page:
    return Page(rows, continuation.encode(following) if following is not None else None, charge, metrics or {})


def _resumed(
    session: SqliteSession,
    container: Container,
    extent: Extent,
    token: ServiceToken,
    of: str,
    program: Program | None = None,
) -> tuple[Extent, Continuation]:
    """The extent and the position at which a token in the service's form goes on: after the item that it names.

    The query begins anew when that item is not there or is no longer a result: repeating results is better than losing
    them. Raises BadRequestError for an item outside of `extent`.
    """
    if program is not None and not program.streams:
        return extent, Continuation(of, extent.bounds, given=token.given)
    is_sorted = program is not None and bool(program.sort)
    fresh = extent if is_sorted else extent.within(token.low, extent.high), Continuation(of, extent.bounds)
    number = resource_ids.document_number(container.rid, token.rid) if token.rid else None
    if number is None:
        return fresh
    found = session.connection.execute(
        "SELECT epk, pk, id, body, crc FROM items WHERE container = ? AND number = ?", (container.number, number)
    ).fetchone()
    if found is None:
        return fresh
    epk, pk, id_, written, crc = found
    body = checked_body(session, id_, written, crc)
    if not extent.low <= epk < extent.high or extent.pk not in (None, pk):
        raise BadRequestError(
            "Invalid Continuation Token: its item is in another partition key range or partition key."
        )
    state = Continuation(of, extent.bounds, row=(epk, pk, id_, AFTER_ALL_ROWS), number=number, given=token.given)
    if program is None or not is_sorted:
        return extent, state
    row = next(program.rows({ROOT: queried_document(container, body)}), None)
    if row is None:
        return fresh
    state.sort = _sort_values(program, row)
    return extent, state


def _sort_values(program: Program, row: Row) -> list[list[object]]:
    """A row's ORDER BY values as a continuation token holds them."""
    values = [evaluate(row) for evaluate, _ in program.sort]
    return [[] if value is UNDEFINED else [value] for value in values]
