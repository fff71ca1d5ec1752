"""The errors of the service.

Each error carries the HTTP status, the sub-status that the SDKs' retry policies look at
(`azure.cosmos.http_constants.SubStatusCodes`), the service's own error code and a message.
"""

import json


class CosmosError(Exception):
    """A response of 4xx or 5xx. `extra` is merged into the error body."""

    status = 500
    code = "InternalServerError"

    def __init__(self, message: str, *, substatus: int = 0, charge: float = 0.0, **extra: object) -> None:
        super().__init__(message)
        self.message = message
        self.substatus = substatus
        self.charge = charge
        self.extra = extra
        self.headers: dict[str, str] = {}


class BadRequestError(CosmosError):
    status = 400
    code = "BadRequest"


def query_error(code: str, message: str, **location: object) -> BadRequestError:
    """An error about the text of a query, in the service's form: the errors as JSON, with severity and code."""
    return BadRequestError(
        "Message: " + json.dumps({"errors": [{"severity": "Error", **location, "code": code, "message": message}]})
    )


class UnauthorizedError(CosmosError):
    status = 401
    code = "Unauthorized"


class ForbiddenError(CosmosError):
    status = 403
    code = "Forbidden"


class NotFoundError(CosmosError):
    status = 404
    code = "NotFound"


class MethodNotAllowedError(CosmosError):
    status = 405
    code = "MethodNotAllowed"


class ConflictError(CosmosError):
    status = 409
    code = "Conflict"


class GoneError(CosmosError):
    status = 410
    code = "Gone"


class PreconditionFailedError(CosmosError):
    status = 412
    code = "PreconditionFailed"


class RequestTooLargeError(CosmosError):
    status = 413
    code = "RequestEntityTooLarge"


class FailedDependencyError(CosmosError):
    """An operation of a transaction was not applied, because another one failed."""

    status = 424
    code = "FailedDependency"


class TooManyRequestsError(CosmosError):
    """The client has exceeded its request units; it may retry after `retry_after_ms`."""

    status = 429
    code = "TooManyRequests"

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(
            'Message: {"Errors":["Request rate is large. More Request Units may be needed, so no changes were made. '
            'Please retry this request later."]}',
            substatus=3200,
        )
        self.retry_after_ms = retry_after_ms
        self.headers = {"x-ms-retry-after-ms": str(retry_after_ms)}


CROSS_PARTITION_QUERY_NOT_SERVABLE = 1004
PARTITION_KEY_MISMATCH = 1001
PARTITION_KEY_RANGE_GONE = 1002
OWNER_NOT_FOUND = 1003
CONTAINER_RID_MISMATCH = 1024

CROSS_PARTITION_DISABLED = (
    "Cross partition query is required but disabled. Please set x-ms-documentdb-query-enablecrosspartition to true, "
    "specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception."
)
