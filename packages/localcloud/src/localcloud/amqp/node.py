"""What a service offers to the engine: a node for every link that a client attaches."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

from localcloud.amqp.performatives import Composite
from localcloud.amqp.types import Described

if TYPE_CHECKING:
    from localcloud.amqp.link import Delivery, OutgoingDelivery, ReceivingLink, SendingLink

DeliveryState = Composite | Described | None


class Inlet(ABC):
    """Takes what a client sends over one link."""

    def on_attached(self) -> None:  # noqa: B027 - for whoever wants to know, as below
        """The client has been told that the link is there."""

    @abstractmethod
    def on_delivery(self, delivery: "Delivery") -> None:
        """Settle it now or later: until then its bytes count towards what the connection may have in flight."""

    def on_detached(self) -> None:  # noqa: B027
        """The link has ended, in whatever way; called once."""


class Outlet:
    """Gives a client what it receives over one link."""

    link: "SendingLink"

    def on_attached(self) -> None:
        """The client has been told that the link is there."""

    def on_credit(self) -> None:
        """Send what there is, while `link.sendable`. Called whenever that may have become true."""

    def on_drain(self) -> None:
        """Everything there was has been sent; one that fetches from elsewhere may answer later."""
        self.link.drained()

    def on_outcome(self, delivery: "OutgoingDelivery", state: DeliveryState, settled: bool) -> None:
        """The client's word on an unsettled delivery, which may come after the link has ended."""

    def on_detached(self) -> None:
        """The link has ended, in whatever way; called once."""


class AmqpService(Protocol):
    """Names nodes. Both methods raise AmqpError to refuse; an awaitable holds the answer back."""

    def attach_sender(self, link: "ReceivingLink") -> Inlet | Awaitable[Inlet]:
        """A client wants to send to `link.address`; may set `link.max_message_size` and `link.properties`."""

    def attach_receiver(self, link: "SendingLink") -> Outlet | Awaitable[Outlet]:
        """A client wants to receive from `link.address`; may change `link.source` and `link.properties`."""


class RefusedOutlet(Outlet):
    """A link that ends with an error as soon as it is there.

    For clients that take no notice of an attach which is refused at once: Azure's Python consumer of events tries
    again for ever and tells nobody.
    """

    def __init__(self, link: "SendingLink", error: Exception) -> None:
        self.link = link
        self._error = error

    def on_attached(self) -> None:
        self.link.detach(self._error)
