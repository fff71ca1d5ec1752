"""Pages: of a query, of everything in a range, of the change feed. Run on a reading connection."""

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from localcloud.cosmos import charges, documents
from localcloud.cosmos.catalog import Container
from localcloud.cosmos.computed import ComputedDocument
from localcloud.cosmos.errors import BadRequest
from localcloud.cosmos.partition import MAX_EPK, MIN_EPK, canonical
from localcloud.cosmos.query import bounds, syntax
from localcloud.cosmos.query.expressions import ROOT, Row
from localcloud.cosmos.query.program import Program, compile_query
from localcloud.cosmos.storage import Session
from localcloud.cosmos.values import UNDEFINED, OrderKey
from localcloud.unreadable import UNREADABLE

MAX_PAGE_BYTES = 4 * 1024 * 1024
MAX_IDS_PUSHED = 500

Place = tuple[str, str, str]  # epk, pk, id: the order of a feed
RowPlace = tuple[str, str, str, int]  # and which of the rows that a JOIN makes of an item


class Token(msgspec.Struct, omit_defaults=True):
    """Where the next page starts. `of` says of what; `row` is the last one given, `sort` its ORDER BY values, each in a
    list that is empty for undefined; `given` counts the results so far."""

    of: str
    row: RowPlace | None = None
    sort: list[list[Any]] | None = None
    given: int = 0


@dataclass(frozen=True, slots=True)
class Extent:
    """Which part of a container: effective partition keys from `low` up to, but not with, `high`.

    `pk` is the text of a full partition key when it is a single one, and `low` its effective partition key.
    """

    low: str = MIN_EPK
    high: str = MAX_EPK
    pk: str | None = None

    def within(self, low: str, high: str) -> "Extent":
        return Extent(max(self.low, low), min(self.high, high), self.pk)


@dataclass(frozen=True, slots=True)
class Page:
    """`rows` are JSON texts; `continuation` is None at the end."""

    rows: list[bytes]
    continuation: str | None
    charge: float
    metrics: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Candidate:
    place: Place
    body: bytes


@dataclass(slots=True)
class _Scanned:
    documents: int = 0
    size: int = 0


def items(
    session: Session, container: Container, extent: Extent, limit: int, continuation: str | None, now: int
) -> Page:
    """Documents as they are, by effective partition key and id."""
    row = _decode(continuation, "items").row
    after = (row[0], row[1], row[2] + "\0") if row is not None else None
    found: list[_Candidate] = []
    size = 0
    more = False
    for candidate in _candidates(session, container, [extent], None, after, now):
        if found and (len(found) == limit or size + len(candidate.body) > MAX_PAGE_BYTES):
            more = True
            break
        found.append(candidate)
        size += len(candidate.body)
    token = _encode(Token("items", row=(*found[-1].place, 0))) if more else None
    return Page([candidate.body for candidate in found], token, charges.feed(size))


def query(
    session: Session,
    container: Container,
    extent: Extent,
    text: str,
    tree: syntax.Query,
    parameters: dict[str, object],
    *,
    limit: int,
    continuation: str | None,
    now_ms: int,
) -> Page:
    """One page of a query's results."""
    program = compile_query(tree, parameters, now_ms)
    label = f"query:{zlib.crc32(text.encode()):08x}"
    state = _decode(continuation, label)
    scanned = _Scanned()
    extents = _narrow(container, extent, tree, parameters)
    ids = bounds.bounds(tree, ("id",), parameters)
    now = now_ms // 1000

    def rows(after: Place | None = None) -> Iterator[Row]:
        if program.from_nothing:
            yield {}
            return
        for candidate in _candidates(session, container, extents, ids, after, now):
            scanned.documents += 1
            scanned.size += len(candidate.body)
            document = documents.decode(candidate.body)
            if container.computed and isinstance(document, dict):
                document = ComputedDocument(document, container.computed)
            row: Row = {ROOT: document}
            for number, bound in enumerate(program.rows(row)):
                bound[_PLACE] = (*candidate.place, number)
                yield bound

    if not program.streams or program.from_nothing:
        page, token = _counted(program, rows(), limit, state)
    elif program.sort:
        page, token = _sorted(program, rows(), limit, state)
    else:
        page, token = _streamed(program, rows(state.row[:3] if state.row else None), limit, state)
    size = sum(map(len, page))
    charge = charges.query(
        scanned=scanned.documents, scanned_bytes=scanned.size, returned=len(page), returned_bytes=size
    )
    metrics = {
        "retrievedDocumentCount": scanned.documents,
        "retrievedDocumentSize": scanned.size,
        "outputDocumentCount": len(page),
        "outputDocumentSize": size,
    }
    return Page(page, _encode(token) if token is not None else None, charge, metrics)


def changes(
    session: Session, container: Container, extent: Extent, *, after_lsn: int, since: int, limit: int, now: int
) -> tuple[list[bytes], int, float]:
    """The latest versions of items written after a log sequence number and not before a time, oldest first.

    Answers the documents, each with `_lsn`, the sequence number to go on after, and the charge.
    """
    clauses = ["container = ?", "lsn > ?", "epk >= ?", "epk < ?", "ts >= ?"]
    values: list[object] = [container.number, after_lsn, extent.low, extent.high, since]
    if extent.pk is not None:
        clauses.append("pk = ?")
        values.append(extent.pk)
    _only_alive(container, now, clauses, values)
    upto = last_lsn(session)
    statement = f"SELECT lsn, body FROM items WHERE {' AND '.join(clauses)} ORDER BY lsn LIMIT ?"  # noqa: S608
    rows = session.connection.execute(statement, (*values, limit + 1)).fetchall()
    found: list[bytes] = []
    size = 0
    last = after_lsn
    for lsn, body in rows[:limit]:
        if found and size + len(body) > MAX_PAGE_BYTES:
            break
        found.append(body[:-1] + f',"_lsn":{lsn}}}'.encode())
        size += len(body)
        last = lsn
    if len(found) == len(rows):
        last = max(last, upto)
    return found, last, charges.feed(size)


def sizes(session: Session, container: Container) -> list[tuple[int, int]]:
    """How many items each range of the container has, and of how many bytes."""
    statement = (
        "SELECT count(*), coalesce(sum(length(body)), 0) FROM items WHERE container = ? AND epk >= ? AND epk < ?"
    )
    execute = session.connection.execute
    return [execute(statement, (container.number, of.low, of.high)).fetchone() for of in container.ranges]


def last_lsn(session: Session) -> int:
    """The number of the last write that is on disk."""
    (lsn,) = session.connection.execute("SELECT value FROM counters WHERE name = 'lsn'").fetchone()
    return int(lsn)


_PLACE = "$place"


def _only_alive(container: Container, now: int, clauses: list[str], values: list[object]) -> None:
    """Leave out what has outlived its time to live."""
    if container.default_ttl is not None:
        clauses.append("(coalesce(ttl, ?) = -1 OR ts + coalesce(ttl, ?) > ?)")
        values.extend((container.default_ttl, container.default_ttl, now))


def _narrow(container: Container, extent: Extent, tree: syntax.Query, parameters: dict[str, object]) -> list[Extent]:
    """Logical partitions, when the filter names them; else the extent as it is."""
    if extent.pk is not None:
        return [extent]
    keys = bounds.combinations(tree, container.key.paths, parameters)
    if keys is None:
        return [extent]
    points = sorted({(container.key.effective(key), canonical(key)) for key in keys})
    return [Extent(epk, epk + "!", pk) for epk, pk in points if extent.low <= epk < extent.high]


def _candidates(
    session: Session,
    container: Container,
    extents: list[Extent],
    ids: tuple[object, ...] | None,
    after: Place | None,
    now: int,
) -> Iterator[_Candidate]:
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
            clauses.append(f"id IN ({', '.join('?' * len(names))})")
            values.extend(names)
        _only_alive(container, now, clauses, values)
        statement = f"SELECT epk, pk, id, body FROM items WHERE {' AND '.join(clauses)} ORDER BY epk, pk, id"  # noqa: S608
        for epk, pk, id_, body in session.connection.execute(statement, values):
            yield _Candidate((epk, pk, id_), body)


def _streamed(program: Program, rows: Iterator[Row], limit: int, state: Token) -> tuple[list[bytes], Token | None]:
    """Rows in the order of the scan; the token is the last one's place."""
    last = state.row
    if last is not None:
        rows = (row for row in rows if _place_of(row) > last)
    return _take(program, rows, limit, state)


def _sorted(program: Program, rows: Iterator[Row], limit: int, state: Token) -> tuple[list[bytes], Token | None]:
    """Rows by ORDER BY, then by place; the token is the last one's sort values and place."""
    ordered = iter(program.ordered(rows))
    last = state.row
    if last is not None:
        if state.sort is None or len(state.sort) != len(program.sort):
            raise _bad_token()
        keys = [OrderKey(value[0] if value else UNDEFINED) for value in state.sort]
        ordered = (row for row in ordered if _is_after(program, row, keys, last))
    return _take(program, ordered, limit, state)


def _is_after(program: Program, row: Row, keys: list[OrderKey], place: RowPlace) -> bool:
    for (evaluate, descending), key in zip(program.sort, keys, strict=True):
        value = OrderKey(evaluate(row))
        if value != key:
            return (value < key) if descending else (key < value)
    return _place_of(row) > place


def _take(program: Program, rows: Iterator[Row], limit: int, state: Token) -> tuple[list[bytes], Token | None]:
    skip = program.offset if state.row is None else 0
    left = program.limit - state.given
    page: list[bytes] = []
    size = 0
    last: Row | None = None
    for row in islice(_selected(program, rows), skip, None):
        if len(page) >= left:
            return page, None
        if last is not None and (len(page) == limit or size > MAX_PAGE_BYTES):
            values = [evaluate(last) for evaluate, _ in program.sort]
            sort = [[] if value is UNDEFINED else [value] for value in values]
            return page, Token(state.of, row=_place_of(last), sort=sort, given=state.given + len(page))
        text = documents.encode(row[_SELECTED])
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


def _counted(program: Program, rows: Iterator[Row], limit: int, state: Token) -> tuple[list[bytes], Token | None]:
    """Results that need all rows; the token is how many were given."""
    results = program.results(rows)[program.offset : program.offset + program.limit][state.given :]
    page: list[bytes] = []
    size = 0
    for value in results[:limit]:
        if page and size > MAX_PAGE_BYTES:
            break
        page.append(documents.encode(value))
        size += len(page[-1])
    return page, Token(state.of, given=state.given + len(page)) if len(page) < len(results) else None


def _place_of(row: Row) -> RowPlace:
    return row[_PLACE]  # type: ignore[return-value]  # put there by `query`


def _encode(token: Token) -> str:
    return base64.b64encode(documents.encode(token)).decode()


def _decode(text: str | None, label: str) -> Token:
    """Raises BadRequest for a token that another query gave, or that is none."""
    if not text:
        return Token(label)
    try:
        token = msgspec.json.decode(base64.b64decode(text, validate=True), type=Token)
    except (ValueError, *UNREADABLE):
        raise _bad_token() from None
    if token.of != label or token.given < 0:
        raise _bad_token()
    return token


def _bad_token() -> BadRequest:
    return BadRequest("Invalid Continuation Token: it was not given for this query.")
