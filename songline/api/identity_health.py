"""The operation `/health/identity`."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from songline.api.guard_settings import GuardSettings
from songline.identity.verifier import TokenVerifier
from songline.projections.http.responses import plain
from songline.schemas.identity_health import IdentityHealth


def answering(settings: GuardSettings | None) -> Callable[[Request], Awaitable[Response]]:
    """The operation of an API with these settings, None where it asks for no tokens. The app's state has `verifier`."""

    async def identity(request: Request) -> Response:
        if settings is None:
            return plain(IdentityHealth(auth="off"))
        verifier: TokenVerifier = request.app.state.verifier
        return plain(
            IdentityHealth(
                auth="on",
                issuer=settings.verifier.issuer,
                keys_age_seconds=verifier.keys_age_s(),
                keys_usable=verifier.is_usable(),
                keys_failed=verifier.has_failed(),
            )
        )

    return identity
