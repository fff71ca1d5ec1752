"""What a service offers to the engine: a node for every link that a client attaches."""

from collections.abc import Awaitable
from typing import Protocol

from localcloud.amqp.receiving_link import Inlet, ReceivingLink
from localcloud.amqp.sending_link import Outlet, SendingLink


class AmqpService(Protocol):
    """Gives a node to each link. Both methods raise AmqpError to refuse; with an awaitable the answer comes later."""

    def attach_sender(self, link: ReceivingLink) -> Inlet | Awaitable[Inlet]:
        """A client wants to send to `link.address`; may set `link.max_message_size` and `link.properties`."""

    def attach_receiver(self, link: SendingLink) -> Outlet | Awaitable[Outlet]:
        """A client wants to receive from `link.address`; may change `link.source` and `link.properties`."""


class RefusedOutlet(Outlet):
    """A link that ends with an error as soon as it is there.

    Some clients ignore an attach that is refused at once: Azure's Python consumer of events retries for ever and
    reports no error.
    """

    def __init__(self, link: SendingLink, error: Exception) -> None:
        self.link = link
        self._error = error

    def on_attached(self) -> None:
        self.link.detach(self._error)
