"""Shared access policies as the services describe them: authorization rules of a namespace, a hub, a queue or a topic.

Source: "Authorize access using shared access signatures" and "Quotas" of Event Hubs and Service Bus (Microsoft Learn).
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from localcloud.sas import AccessRule, Right

MAX_RULES: Final = 12
"""Of a namespace, and of an entity."""


class AuthorizationRule(Struct, frozen=True, kw_only=True, rename="pascal"):
    """Two keys, by either of which a client has the rights. Times are as they came."""

    type: Annotated[str, Meta(min_length=1)] = "SharedAccessAuthorizationRule"
    claim_type: str = ""
    claim_value: str = ""
    rights: tuple[Literal["Manage", "Send", "Listen"], ...] = ()
    created_time: str = ""
    modified_time: str = ""
    key_name: str = ""
    primary_key: str = ""
    secondary_key: str = ""

    def __repr__(self) -> str:
        return f"AuthorizationRule({self.key_name!r})"


def access_rules(rules: Iterable[AuthorizationRule]) -> dict[str, AccessRule]:
    """What `rules` allow, by the names of their keys. A rule without a key opens nothing."""
    keyed = ((rule, tuple(filter(None, (rule.primary_key, rule.secondary_key)))) for rule in rules)
    return {rule.key_name: AccessRule(keys, frozenset(map(Right, rule.rights))) for rule, keys in keyed if keys}


def too_many(rules: tuple[AuthorizationRule, ...]) -> str | None:
    """Why these are too many for one entity, or None."""
    return None if len(rules) <= MAX_RULES else f"AuthorizationRules are {len(rules)}; expected {MAX_RULES} at most"
