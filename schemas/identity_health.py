"""What the API serves at `/health/identity`: whether it asks for tokens, and how old the keys are that check them."""

from typing import Literal

from msgspec import Struct

PATH = "/health/identity"


class IdentityHealth(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`issuer` is absent where `auth` is off. `keys_age_seconds` is absent until the issuer's keys were read. With
    `keys_failed` the issuer did not answer when it was asked last; `keys_usable` says whether tokens can be checked."""

    auth: Literal["on", "off"]
    issuer: str | None = None
    keys_age_seconds: float | None = None
    keys_usable: bool = False
    keys_failed: bool = False
