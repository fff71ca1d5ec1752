"""The API behind its guard, and headers of callers who are let in or not."""

import hmac
import json
from collections.abc import Callable, Mapping
from typing import TypeAlias

import httpx
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from songline.api.app import ApiSettings, compose
from songline.api.limit_settings import REQUESTS
from songline.api.openapi import COMPLETE
from songline.api.operations import OPERATIONS
from songline.identity.scopes import Scope as TokenScope
from songline.identity.settings import AUDIENCE, ISSUER, JWKS
from songline.identity.verifier import TokenVerifier
from tests.support import tokens
from tests.support.tokens import public_pem, raw_token, rsa_key

Headers: TypeAlias = list[tuple[str, str]]

IN = 299
NOW_S = tokens.NOW_S
# Hundreds of refused tokens come from one address here.
ENVIRON = {**COMPLETE, ISSUER: tokens.ISSUER, AUDIENCE: "songline", JWKS: f"{tokens.ISSUER}/keys", REQUESTS: "off"}
USER = "user-7"
CHALLENGE = 'Bearer realm="songline"'
GUARDED = {
    key: operation for key, operation in OPERATIONS.items() if not (operation.is_open or operation.is_of_players)
}
PARAMETERS = {
    "{kind}": "top",
    "{window}": "1h",
    "{song_id}": "song-1",
    "{user_id}": USER,
    "{ingestion_id}": "upload-1",
    "{erasure_id}": "erasure-1",
    "{path:path}": "app.js",
}


def asked(template: str, user: str = USER) -> str:
    """A path of this template."""
    for name, value in {**PARAMETERS, "{user_id}": user}.items():
        template = template.replace(name, value)
    return template


def bearer(text: str) -> Headers:
    return [("Authorization", f"Bearer {text}")]


def allowed(user: str = USER, scopes: str = " ".join(TokenScope)) -> Headers:
    return bearer(tokens.token("ES256", sub=user, scope=scopes))


def shared_secret() -> str:
    """A token that is signed by the public key, as if it were a secret (PyJWT refuses to make one)."""
    head = {"alg": "HS256", "kid": "rsa", "typ": "at+jwt"}
    signed = raw_token(head, json.dumps(tokens.claims()).encode(), b"").rstrip(".")
    return f"{signed}.{tokens.encoded(hmac.digest(public_pem(), signed.encode(), 'sha256'))}"


BAD: Mapping[str, Callable[[], Headers]] = {
    "expired": lambda: bearer(tokens.token(exp=int(NOW_S) - 31)),
    "not yet valid": lambda: bearer(tokens.token(nbf=int(NOW_S) + 31)),
    "without an end": lambda: bearer(tokens.token(exp=None)),
    "another issuer": lambda: bearer(tokens.token(iss="https://login.example/other/v2.0")),
    "another audience": lambda: bearer(tokens.token(aud="another")),
    "no audience": lambda: bearer(tokens.token(aud=None)),
    "no subject": lambda: bearer(tokens.token(sub=None)),
    "algorithm none": lambda: bearer(
        raw_token({"alg": "none", "kid": "rsa"}, json.dumps(tokens.claims()).encode(), b"")
    ),
    "HS256 with the public key": lambda: bearer(shared_secret()),
    "another algorithm than the key's": lambda: bearer(tokens.token("ES256", header={"kid": "rsa"})),
    "an unknown key": lambda: bearer(tokens.token(header={"kid": "other"})),
    "a key in a file": lambda: bearer(tokens.token(header={"kid": "../../dev/null"})),
    "a key that is asked for in SQL": lambda: bearer(tokens.token(header={"kid": "' OR 1=1 --"})),
    "a key of its own": lambda: bearer(tokens.token(header={"kid": "own", "jwk": tokens.jwk("own", rsa_key())})),
    "an id token": lambda: bearer(tokens.token(header={"typ": "id+jwt"})),
    "another signature": lambda: bearer(tokens.token()[:-8] + "AAAAAAAA"),
    "a huge one": lambda: bearer("a" * 60_000),
    "no token": lambda: [("Authorization", "Bearer ")],
    "two in one header": lambda: [("Authorization", f"Bearer {tokens.token()}, Bearer {tokens.token()}")],
    "two headers": lambda: [*bearer(tokens.token()), *bearer(tokens.token())],
    "a good one and another way": lambda: [*bearer(tokens.token()), ("Authorization", "Basic dXNlcjp4")],
    "a password": lambda: [("Authorization", "Basic dXNlci03OnBhc3N3b3Jk")],
    "the bare token": lambda: [("Authorization", tokens.token())],
}
"""Makes the headers of a request with a token that is not good, by what is wrong with it."""


class Inside:
    """A layer behind the guard that answers whatever comes in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=IN)(scope, receive, send)


def composed(settings: Mapping[str, str], *, is_answered: bool = True) -> FastAPI:
    """The whole API over no services at all; `is_answered`: its routes are not reached."""
    read = ApiSettings.read({**ENVIRON, **settings})
    app = compose(read)
    if read.guard is not None:
        issuer = httpx.MockTransport(lambda request: httpx.Response(200, content=tokens.key_set()))
        app.state.verifier = TokenVerifier(read.guard.verifier, httpx.AsyncClient(transport=issuer), lambda: NOW_S)
    if is_answered:
        # The guard of the issuer's tokens, and that of players behind it.
        *_, place = [at for at, layer in enumerate(app.user_middleware) if "matcher" in layer.kwargs]
        app.user_middleware.insert(place + 1, Middleware(Inside))
    return app


def client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
