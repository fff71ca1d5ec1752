"""An issuer for tests: its declaration, and its app without a port, under a clock that tests set."""

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from starlette.types import ASGIApp

from localcloud.identity import app
from localcloud.identity.authorization_codes import challenge_of
from localcloud.identity.config import read_identity

ISSUER = "http://127.0.0.1:5302"
RETURN = "http://127.0.0.1:8000/signed-in?from=issuer"
VERIFIER = "v" * 43
PAGE_SECRET = "s/e:c r%t"

DECLARATION: dict[str, Any] = {
    "Clients": [
        {
            "ClientId": "page",
            "Audience": "shop",
            "GrantTypes": ["authorization_code", "refresh_token"],
            "Scopes": ["orders:read", "orders:write"],
            "RedirectUris": [RETURN, "http://127.0.0.1:8000/other"],
            "Secret": PAGE_SECRET,
        },
        {
            "ClientId": "app",
            "Audience": "shop",
            "GrantTypes": ["authorization_code"],
            "Scopes": ["orders:read"],
            "RedirectUris": ["http://localhost:3000/"],
            "Public": True,
        },
        {
            "ClientId": "cli",
            "Audience": "shop",
            "GrantTypes": ["client_credentials"],
            "Scopes": ["orders:read", "orders:write"],
            "AnySubject": True,
        },
        {
            "ClientId": "service",
            "Audience": "shop",
            "GrantTypes": ["client_credentials"],
            "Scopes": ["orders:write"],
            "Secret": "service-secret",
        },
    ],
    "Users": ["ada", "grace"],
    "AccessTokenSeconds": 600,
    "SigningAlgorithm": "ES256",
}


def declare(folder: Path, **changes: Any) -> Path:
    """A file with the declaration."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "identity.json"
    file.write_text(json.dumps({**DECLARATION, **changes}))
    return file


class AppClient:
    """Requests to an app that has no port."""

    def __init__(self, app: ASGIApp, cookies: Mapping[str, str] | None = None) -> None:
        self._app = app
        self._cookies = dict(cookies or {})

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.send("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.send("POST", path, **options)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url=ISSUER, cookies=self._cookies) as client:
                return await client.request(method, path, **options)

        return asyncio.run(sent())


class LocalIssuer:
    """The issuer's app over `folder`, with its clock at `now_s`. The browser `http` is trusted, `stranger` is not."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder = folder
        self.now_s = 1_800_000_000.0
        self._changes = changes
        self.restart()

    def restart(self, **changes: Any) -> None:
        """Start again on what it keeps, with `changes` to its declaration."""
        self._changes |= changes
        self.folder.mkdir(parents=True, exist_ok=True)
        config = read_identity([declare(self.folder, **self._changes)])
        made, self.tokens, _ = app.create(self.folder, config, lambda: ISSUER, lambda: self.now_s)
        self.stranger = AppClient(made)
        trusted = self.stranger.get("/trust", params={"code": self.sign_in_code})
        self.http = AppClient(made, trusted.cookies)

    @property
    def sign_in_code(self) -> str:
        return (self.folder / "sign-in-code").read_text().strip()

    def secret(self, client: str) -> str:
        """The secret that was made for a client."""
        return (self.folder / "secrets" / client).read_text()

    def post(self, path: str, form: dict[str, str], client: tuple[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON of an answer; `client` authenticates by HTTP Basic."""
        headers = {"Authorization": basic(*client)} if client else {}
        answer = self.http.post(path, data=form, headers=headers)
        return answer.status_code, answer.json() if answer.content else None

    def credentials(self, **form: str) -> tuple[int, Any]:
        """A token for the client `cli`."""
        return self.post("/token", {"grant_type": "client_credentials", **form}, ("cli", self.secret("cli")))

    def sign_in(self, user: str = "ada", **changes: str | None) -> dict[str, str]:
        """What is sent back to the client `page` when a user has signed in."""
        answer = self.http.post(f"/sign-in?{authorization(**changes)}", data={"user": user})
        assert answer.status_code == 303, answer.text
        return sent_back(answer.headers["location"])

    def redeem(self, code: str, /, **changes: str | None) -> tuple[int, Any]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": RETURN, "code_verifier": VERIFIER}
        return self.post("/token", _changed(form, changes), ("page", PAGE_SECRET))

    def refresh(self, token: str, /, **form: str) -> tuple[int, Any]:
        return self.post(
            "/token", {"grant_type": "refresh_token", "refresh_token": token, **form}, ("page", PAGE_SECRET)
        )


def authorization(**changes: str | None) -> str:
    """The query of an authorization request of the client `page`; None takes a parameter away."""
    request = {
        "response_type": "code",
        "client_id": "page",
        "redirect_uri": RETURN,
        "state": "a state&",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    }
    return urlencode(_changed(request, changes))


def sent_back(location: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(location).query))


def basic(name: str, secret: str) -> str:
    encoded = urlencode({name: secret}).replace("=", ":", 1)
    return f"Basic {base64.b64encode(encoded.encode()).decode()}"


def claims(token: str) -> dict[str, Any]:
    """What a token says, unchecked."""
    return _part(token, 1)


def header(token: str) -> dict[str, Any]:
    return _part(token, 0)


def _part(token: str, number: int) -> dict[str, Any]:
    part = token.split(".")[number]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


def _changed(form: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**form, **changes}.items() if value is not None}
