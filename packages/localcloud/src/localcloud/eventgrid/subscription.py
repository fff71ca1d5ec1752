"""A subscription: a webhook, which events it gets, and what becomes of those that it does not take."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from localcloud.eventgrid.delivery import MAX_ATTEMPTS
from localcloud.unreadable import UNREADABLE

NAME = re.compile(r"[A-Za-z0-9-]{3,64}", re.ASCII)


class SubscriptionError(ValueError):
    """No subscription can be made so. The message says the field, what was seen, and what is expected."""


class SubscriptionOptions(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What the control endpoint is told. Without `included_event_types` all events come. Event Grid's own limits: 1 to
    30 attempts, 1 to 1440 minutes."""

    endpoint_url: Annotated[str, Meta(max_length=2_048)]
    included_event_types: tuple[str, ...] | None = None
    max_delivery_attempts: Annotated[int, Meta(ge=1, le=30)] = MAX_ATTEMPTS
    event_time_to_live_in_minutes: Annotated[int, Meta(ge=1, le=1_440)] = 1_440
    dead_letter_container: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{2,62}\Z")] | None = None


class Subscription(msgspec.Struct, frozen=True, rename="camel"):
    """A subscription as it is kept. `state`: its webhook has agreed, has been asked, or did not agree."""

    name: str
    options: SubscriptionOptions
    state: Literal["Succeeded", "AwaitingManualAction", "Failed"]
    created_s: float

    def wants(self, event_type: str) -> bool:
        """Whether events of the type are for it."""
        types = self.options.included_event_types
        return types is None or event_type in types


def read_options(name: str, body: bytes, *, plain_http: bool) -> SubscriptionOptions:
    """The options in a request. Without `plain_http` only HTTPS is taken, as by Azure. Raises SubscriptionError."""
    if not NAME.fullmatch(name):
        raise SubscriptionError(f"name: saw {name[:80]!r}, expected 3 to 64 of A-Z, a-z, 0-9 and -")
    try:
        options = msgspec.json.decode(body, type=SubscriptionOptions)
    except UNREADABLE as error:
        raise SubscriptionError(f"the body: {error}") from None
    try:
        url = urlsplit(options.endpoint_url)
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or url.scheme not in ("https", "http") or url.username is not None:
        raise SubscriptionError(f"endpointUrl: saw {options.endpoint_url[:200]!r}, expected https://HOST/PATH")
    if url.scheme == "http" and not plain_http:
        raise SubscriptionError(f"endpointUrl: saw {options.endpoint_url[:200]!r}, expected HTTPS")
    if re.search(r"[\x00-\x20\x7f]", options.endpoint_url):
        raise SubscriptionError("endpointUrl: saw a blank or a control character, expected none")
    return options
