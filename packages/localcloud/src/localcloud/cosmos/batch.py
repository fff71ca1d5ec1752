"""Many operations in one request: a transactional batch, or the unordered bulk that other SDKs send.

Wire: a JSON array of `{"operationType", "id", "resourceBody", "ifMatch", "partitionKey", …}`. The response is an array
of `{"statusCode", "requestCharge", "eTag", "resourceBody"}`, with status 207 when an operation failed. In a bulk each
operation that exceeds the throughput fails with 429 and a `retryAfterMilliseconds` of its own. Clients wait for each of
them in turn, so the time is that of the one operation, not of the whole batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from localcloud.cosmos import items, json_documents, patch
from localcloud.cosmos.catalog import Container
from localcloud.cosmos.errors import (
    BadRequestError,
    CosmosError,
    FailedDependencyError,
    RequestTooLargeError,
    TooManyRequestsError,
)
from localcloud.cosmos.items import Operation, Result
from localcloud.cosmos.partition import Component, parse_values
from localcloud.cosmos.storage import SqliteSession
from localcloud.cosmos.throughput import Allowance

MAX_OPERATIONS = 100
KINDS = {kind.lower(): kind for kind in ("Create", "Upsert", "Replace", "Patch", "Delete", "Read")}

ParsePatch = Callable[[object], patch.Patch]


@dataclass(frozen=True, slots=True)
class BatchResponse:
    """`results` are JSON texts, one an operation."""

    status: int
    results: list[bytes]
    charge: float
    lsn: int


class BatchError(Exception):
    """An operation failed, so the whole transaction is rolled back."""

    def __init__(self, index: int, error: CosmosError) -> None:
        self.index = index
        self.error = error


def parse_operations(
    data: bytes, container: Container, values: tuple[Component, ...] | None, parse_patch: ParsePatch
) -> list[Operation]:
    """`values` is the partition key of all operations; None when each operation has its own.

    Raises BadRequestError, RequestTooLargeError.
    """
    if len(data) > json_documents.MAX_BYTES:
        raise RequestTooLargeError(f"The batch has {len(data)} bytes where {json_documents.MAX_BYTES} are allowed.")
    listed = json_documents.decode(data)
    if not isinstance(listed, list) or not listed:
        raise BadRequestError("Batch request has no operations. Expected a JSON array with at least one.")
    if len(listed) > MAX_OPERATIONS:
        raise BadRequestError(
            "Batch request has more operations than what is supported. "
            f"It has {len(listed)}, and {MAX_OPERATIONS} are allowed."
        )
    shallow = json_documents.is_shallow(data)
    return [_parse(number, entry, container, values, parse_patch, shallow) for number, entry in enumerate(listed)]


def _parse(
    number: int,
    entry: object,
    container: Container,
    values: tuple[Component, ...] | None,
    parse_patch: ParsePatch,
    shallow: bool,
) -> Operation:
    if not isinstance(entry, dict):
        raise BadRequestError(f"Operation {number} of the batch is not a JSON object.")
    kind = KINDS.get(str(entry.get("operationType", "")).lower())
    if kind is None:
        raise BadRequestError(
            f"Operation {number} of the batch has operationType {entry.get('operationType')!r}: "
            f"expected one of {', '.join(KINDS.values())}."
        )
    if values is None:
        own = entry.get("partitionKey")
        values = parse_values(own if isinstance(own, str) else json_documents.encode(own or []).decode())
    document, change = None, None
    if kind in ("Create", "Upsert", "Replace"):
        document = json_documents.check_document(entry.get("resourceBody"))
        if not shallow:
            json_documents.check_depth(document, json_documents.encode(document))
        key = items.key_of(container, values, str(document["id"]))
        try:
            items.key_of_document(container, document, values)
        except BadRequestError as error:
            return Operation(kind, key, refusal=error)
    if kind not in ("Create", "Upsert") and (kind != "Replace" or entry.get("id") is not None):
        key = items.key_of(container, values, json_documents.check_id(entry.get("id")))
    if kind == "Patch":
        change = parse_patch(entry.get("resourceBody"))
    return Operation(kind, key, document, change, entry.get("ifMatch"), entry.get("ifNoneMatch"))


def apply_all(container: Container, operations: list[Operation], now: int) -> Callable[[SqliteSession], list[Result]]:
    """Return a job that applies all operations, or raises BatchError so that the writer rolls all back."""

    def job(session: SqliteSession) -> list[Result]:
        results = []
        for index, operation in enumerate(operations):
            try:
                results.append(items.apply(session, container, operation, now))
            except CosmosError as error:
                raise BatchError(index, error) from error
        return results

    return job


def apply_each(
    container: Container, operations: list[Operation], now: int, allowance: Allowance
) -> Callable[[SqliteSession], list[Result | CosmosError]]:
    """Return a job that applies each operation by itself; the result of one that failed is its error."""

    def job(session: SqliteSession) -> list[Result | CosmosError]:
        results: list[Result | CosmosError] = []
        spent = 0.0
        for operation in operations:
            wait_ms = allowance.wait_ms(spent)
            if wait_ms is not None:
                results.append(TooManyRequestsError(wait_ms))
                continue
            session.connection.execute("SAVEPOINT operation")
            try:
                results.append(items.apply(session, container, operation, now))
            except CosmosError as error:
                session.connection.execute("ROLLBACK TO operation")
                results.append(error)
            session.connection.execute("RELEASE operation")
            spent += results[-1].charge
        return results

    return job


def response_of_all(results: list[Result], *, minimal: bool) -> BatchResponse:
    texts = [_result_reply(result, minimal=minimal) for result in results]
    return BatchResponse(200, texts, sum(r.charge for r in results), max(r.lsn for r in results))


def response_of_each(results: list[Result | CosmosError], *, minimal: bool) -> BatchResponse:
    texts = [_result_reply(r, minimal=minimal) if isinstance(r, Result) else _of_error(r) for r in results]
    failed = any(isinstance(r, CosmosError) for r in results)
    lsns = [r.lsn for r in results if isinstance(r, Result)]
    return BatchResponse(207 if failed else 200, texts, sum(r.charge for r in results), max(lsns, default=0))


def response_of_failure(count: int, failure: BatchError) -> BatchResponse:
    """The operation that failed has its error; the others have 424 (failed dependency)."""
    other = FailedDependencyError("")
    texts = [_of_error(failure.error if index == failure.index else other) for index in range(count)]
    return BatchResponse(207, texts, failure.error.charge, 0)


def _result_reply(result: Result, *, minimal: bool) -> bytes:
    response: dict[str, object] = {"statusCode": result.status, "requestCharge": result.charge}
    if result.etag:
        response["eTag"] = result.etag
    if result.body and not minimal:
        response["resourceBody"] = msgspec.Raw(result.body)
    return json_documents.encode(response)


def _of_error(error: CosmosError) -> bytes:
    response: dict[str, object] = {
        "statusCode": error.status,
        "subStatusCode": error.substatus,
        "requestCharge": error.charge,
    }
    if error.message:
        response["message"] = error.message
    if isinstance(error, TooManyRequestsError):
        response["retryAfterMilliseconds"] = error.retry_after_ms
    return json_documents.encode(response)
