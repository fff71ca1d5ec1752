"""Links: what both directions share (part 2, section 2.6).

A link sees its session and its connection as protocols: `LinkSession` and `LinkConnection`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from localcloud.amqp.errors import INTERNAL_ERROR, AmqpError
from localcloud.amqp.performatives import Attach, Composite, Detach, ErrorCondition
from localcloud.amqp.types import Map, Uint, Value
from localcloud.sas import Grant, Keys, Right


class LinkConnection(Protocol):
    """A connection, as links and their nodes see it."""

    @property
    def keys(self) -> Keys:
        """The keys that credentials are checked by."""

    @property
    def now(self) -> Callable[[], float]:
        """The time in Unix seconds."""

    @property
    def grants(self) -> dict[str, Grant]:
        """What was granted to the connection, by the resource that a token was put for."""

    @property
    def peer_max_frame_size(self) -> int:
        """The largest frame that the client takes, in bytes."""

    def authorize(self, path: str, right: Right | None = None) -> None:
        """Raises AmqpError (unauthorized) unless a good credential covers `path` now, with this right or any."""

    def authorize_by(self, token: Value, path: str) -> None:
        """Raises AmqpError (unauthorized) unless `token` covers `path` now."""

    def add_unsettled(self, size: int) -> None:
        """Count `size` bytes of a delivery that is not settled yet."""

    def remove_unsettled(self, size: int) -> None:
        """Stop counting `size` bytes: the delivery is settled."""

    def abort(self) -> None:
        """Cut the connection."""


class LinkSession(Protocol):
    """A session, as links see it."""

    @property
    def connection(self) -> LinkConnection: ...

    def send(self, performative: Composite) -> None: ...

    def flow(
        self,
        handle: Uint | None = None,
        delivery_count: Uint | None = None,
        credit: Uint | None = None,
        *,
        drain: bool = False,
    ) -> None: ...


class Link(ABC):
    """One end of a link.

    `address` is the path of the node (`hub/Partitions/0`), whether the client wrote it as a URI or bare.
    `resource` is the path that has to stay authorized for as long as the link lives, with `right` where one is needed;
    a service sets them by `authorize`.
    """

    def __init__(self, session: LinkSession, attach: Attach, address: str | None) -> None:
        self.session = session
        self.name = attach.name
        self.handle = attach.handle
        self.requested = attach
        self.address = address_path(address or "")
        self.source = attach.source
        self.target = attach.target
        self.properties: Map | None = None
        self.resource: str | None = None
        self.right: Right | None = None
        self.delivery_count = int(attach.initial_delivery_count or 0)
        self.live = False
        self.ended = False

    def authorize(self, resource: str, right: Right | None = None) -> None:
        """Raises AmqpError (unauthorized) unless the connection may use `resource` now, with this right or any."""
        self.session.connection.authorize(resource, right)
        self.resource = resource
        self.right = right

    def detach(self, error: Exception | None = None) -> None:
        """End the link from our side. An `error` that is no AmqpError is sent as an internal error."""
        if self.ended:
            return
        self.end()
        self.session.send(Detach(self.handle, closed=True, error=wire_error(error)))

    def end(self) -> None:
        """End the link without a frame, and release what its node holds for it."""
        if not self.ended:
            self.ended = True
            self._on_end()

    @abstractmethod
    def _on_end(self) -> None: ...

    @abstractmethod
    def attached(self) -> Attach:
        """Our answer to the client's attach."""


def address_path(address: str) -> str:
    """The path of an address: what comes after `scheme://host/`, or else all of it, without outer slashes."""
    return (address.split("://", 1)[1].partition("/")[2] if "://" in address else address).strip("/")


def wire_error(error: Exception | None) -> ErrorCondition | None:
    """The error as it is sent to the client. An exception that is no AmqpError shows no details."""
    if error is None:
        return None
    if isinstance(error, AmqpError):
        return ErrorCondition.from_exception(error)
    return ErrorCondition(INTERNAL_ERROR, "the service failed; its log has the reason")
