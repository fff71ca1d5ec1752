"""Errors that go over the wire, as an AMQP error with a condition (part 2, section 2.8.15 and on)."""

from typing import Final

from localcloud.amqp.types import Map, Symbol

INTERNAL_ERROR: Final = Symbol("amqp:internal-error")
NOT_FOUND: Final = Symbol("amqp:not-found")
UNAUTHORIZED_ACCESS: Final = Symbol("amqp:unauthorized-access")
DECODE_ERROR: Final = Symbol("amqp:decode-error")
RESOURCE_LIMIT_EXCEEDED: Final = Symbol("amqp:resource-limit-exceeded")
NOT_ALLOWED: Final = Symbol("amqp:not-allowed")
INVALID_FIELD: Final = Symbol("amqp:invalid-field")
NOT_IMPLEMENTED: Final = Symbol("amqp:not-implemented")
ILLEGAL_STATE: Final = Symbol("amqp:illegal-state")
FRAME_SIZE_TOO_SMALL: Final = Symbol("amqp:frame-size-too-small")
CONNECTION_FORCED: Final = Symbol("amqp:connection:forced")
FRAMING_ERROR: Final = Symbol("amqp:connection:framing-error")
WINDOW_VIOLATION: Final = Symbol("amqp:session:window-violation")
ERRANT_LINK: Final = Symbol("amqp:session:errant-link")
HANDLE_IN_USE: Final = Symbol("amqp:session:handle-in-use")
UNATTACHED_HANDLE: Final = Symbol("amqp:session:unattached-handle")
DETACH_FORCED: Final = Symbol("amqp:link:detach-forced")
MESSAGE_SIZE_EXCEEDED: Final = Symbol("amqp:link:message-size-exceeded")
STOLEN: Final = Symbol("amqp:link:stolen")


class AmqpError(Exception):
    """An error for the peer. What it ends depends on where it is raised: a delivery, a link, or as below."""

    def __init__(self, condition: Symbol, description: str, info: Map | None = None) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description
        self.info = info


class AmqpSessionError(AmqpError):
    """Ends the session."""


class AmqpConnectionError(AmqpError):
    """Ends the connection."""


def claims_missing(path: str, right: str | None) -> AmqpError:
    """The credential is good, and lacks a right (None: has none at all). The words are the service's: users look for
    them."""
    needed = right or "Manage,Send,Listen"
    return AmqpError(
        UNAUTHORIZED_ACCESS,
        f"Unauthorized access. '{needed}' claim(s) are required to perform this operation. "
        f"Resource: 'sb://localcloud/{path}'.",
    )


def inactive(limit_s: float, container_id: str) -> AmqpError:
    """Nothing came over a connection for so long. The words are the service's."""
    return AmqpError(
        CONNECTION_FORCED,
        f"The connection was inactive for more than the allowed {limit_s * 1000:.0f} milliseconds and is closed by "
        f"container '{container_id}'.",
    )
