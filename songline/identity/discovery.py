"""What an issuer says of itself: OpenID Connect Discovery 1.0."""

from msgspec import Struct

from songline.cloud.settings import SettingError
from songline.identity.settings import safe_address
from songline.schemas.decoding import Decoder
from songline.schemas.errors import PoisonError


class IssuerMetadata(Struct):
    """The part of a discovery document that is of use here."""

    issuer: str
    jwks_uri: str
    token_endpoint: str | None = None
    authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False


class DiscoveryError(Exception):
    """An issuer's discovery document can't be used; the message says why."""


_documents = Decoder(IssuerMetadata, "not-an-answer")


def discovery_address(issuer: str) -> str:
    """Where an issuer's discovery document is."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def read_metadata(issuer: str, body: bytes) -> IssuerMetadata:
    """The document in `body`. Raises DiscoveryError: also for that of another issuer, which could name its own keys."""
    try:
        found = _documents.decode(body)
    except PoisonError as poison:
        raise DiscoveryError(f"{discovery_address(issuer)} is no discovery document: {poison.detail}") from None
    if found.issuer != issuer:
        raise DiscoveryError(
            f"{discovery_address(issuer)} is of the issuer {found.issuer[:200]!r}, expected {issuer!r}, to the letter"
        )
    try:
        for name in ("jwks_uri", "token_endpoint", "authorization_endpoint", "revocation_endpoint"):
            if address := getattr(found, name):
                safe_address(name, address)
    except SettingError as error:
        raise DiscoveryError(f"{discovery_address(issuer)}: {error}") from None
    return found
