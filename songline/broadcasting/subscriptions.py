"""Subscriptions of webhooks to songs, which localcloud's topic keeps here and Resource Manager on Azure."""

from typing import Protocol

from msgspec import Struct

from songline.schemas.events import TYPE_NAMES, SongRemoved, SongUploaded

TYPES = {"uploaded": TYPE_NAMES[SongUploaded], "removed": TYPE_NAMES[SongRemoved]}
"""The types of the events that are told, by the word of the command."""


class SubscriptionRefusedError(Exception):
    """A subscription can't be as it was asked for. The message says what was seen and what is expected."""


class SubscriptionsUnreachableError(Exception):
    """What keeps the subscriptions gives no answer."""


class WebhookSubscription(Struct, frozen=True, rename="camel"):
    """A subscription: its name, its webhook, the types of its events, its state in the service's words, and how many
    events wait for it, None where the service does not say."""

    name: str
    url: str
    types: tuple[str, ...]
    state: str
    waiting: int | None = None


class SubscriptionControl(Protocol):
    """Makes, lists and deletes subscriptions. Raises SubscriptionRefusedError and SubscriptionsUnreachableError."""

    @property
    def is_local(self) -> bool:
        """Whether webhooks of this machine can be reached, by plain HTTP too."""

    async def put(self, name: str, url: str, types: tuple[str, ...]) -> WebhookSubscription:
        """Make the subscription, or change it. The service asks the webhook first."""

    async def all(self) -> list[WebhookSubscription]:
        """All subscriptions, by name."""

    async def delete(self, name: str) -> bool:
        """Delete it; return whether there was one."""
