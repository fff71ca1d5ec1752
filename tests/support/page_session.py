"""The page's sign-in over localcloud's issuer: an API in this process, and browsers that use both."""

import re
import time
from collections.abc import Callable, Mapping
from html import unescape
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI, Request
from starlette.types import ASGIApp

from songline.api.session.session_layer import SESSION_STATE, SessionLayer
from songline.api.session.session_routes import routes
from songline.api.session.session_service import SessionService
from songline.api.session.settings import PageSettings
from songline.identity.caller import RefusalReason
from songline.processes.page_client import page_settings, write_page_client
from songline.schemas.refusal_note import note_of
from tests.support.localcloud import LocalCloud

API = "http://127.0.0.1:8000"
SESSION, SIGN_IN = "songline-8000", "songline-sign-in-8000"
"""The names of the cookies."""
TOKEN_S = 3_600
CODE_FORM = re.compile(r'<form method="post" action="([^"]+)">')


def page_cloud(folder: Path, api: str = API, *arguments: str) -> LocalCloud:
    """A localcloud, not started, whose issuer knows the page of the API at `api`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = write_page_client(folder, api)
    return LocalCloud(folder / "cloud", [*arguments, f"--identity-config={file}"])


def page_environment(cloud: LocalCloud, data: Path, api: str = API) -> Mapping[str, str]:
    """The settings of the page's sign-in."""
    return {**cloud.environment, **page_settings(cloud.data, api), "SONGLINE_DATA": str(data)}


class PageApi:
    """An API that has the sign-in, and operations that tell what reaches them. Its clock is `now_s` of the caller."""

    def __init__(self, settings: PageSettings, http: httpx.AsyncClient, now_s: Callable[[], float]) -> None:
        self.app = app = FastAPI()
        self.service = app.state.page_sessions = SessionService(settings, http, now_s)
        routes(app, ("page",))

        @app.api_route("/v1/echo", methods=["GET", "POST"])
        async def echo(request: Request) -> dict[str, Any]:
            session = request.scope.get("state", {}).get(SESSION_STATE)
            return {
                "authorization": request.headers.getlist("authorization"),
                "subject": None if session is None else session.subject,
            }

        @app.get("/assets/style.css")
        async def asset(request: Request) -> list[str]:
            return request.headers.getlist("authorization")

        self.refused: dict[str, RefusalReason] = {}
        app.add_middleware(_Refusing, refused=self.refused)
        app.add_middleware(SessionLayer, plain=("/", "/assets/"))


class _Refusing:
    """Answers 401 to the tokens in `refused`, as the guard does, and notes why."""

    def __init__(self, app: ASGIApp, refused: dict[str, RefusalReason]) -> None:
        self._app, self._refused = app, refused

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        shown = dict(scope.get("headers", ())).get(b"authorization", b"").decode()
        if (reason := self._refused.get(shown.removeprefix("Bearer "))) is not None:
            note_of(scope).reason = reason
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b"refused"})
            return
        await self._app(scope, receive, send)


class Browser:
    """Requests of a browser: one jar of cookies for all ports, and redirects that are followed one by one."""

    def __init__(self, api: ASGIApp, cloud: LocalCloud, origin: str = API) -> None:
        self._api = httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url=origin)
        self._issuer = httpx.AsyncClient(trust_env=False, timeout=60)
        self._cloud = cloud
        self.cookies: dict[str, str] = {}

    async def close(self) -> None:
        await self._api.aclose()
        await self._issuer.aclose()

    async def send(self, method: str, url: str, **options: Any) -> httpx.Response:
        """One request, to the API by a path or an address, or to the issuer."""
        client = self._issuer if url.startswith(self._cloud.issuer) else self._api
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {**({"Cookie": jar} if jar else {}), **options.pop("headers", {})}
        answer = await client.request(method, url, headers=headers, **options)
        for header in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(header).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        client.cookies.clear()
        return answer

    async def get(self, url: str, **options: Any) -> httpx.Response:
        return await self.send("GET", url, **options)

    async def trust(self) -> None:
        """Open the link that `songline up` prints."""
        link = {"code": self._cloud.sign_in_code}
        assert (await self.get(f"{self._cloud.issuer}/trust?{httpx.QueryParams(link)}")).status_code == 200

    async def to_issuer(self, return_to: str = "/") -> str:
        """Click on `Sign in`: the address of the issuer's page."""
        begun = await self.get("/v1/session/sign-in", params={"return": return_to})
        assert begun.status_code == 303, begun.text
        return begun.headers["location"]

    async def choose(self, address: str, user: str) -> str:
        """Click on a user of the issuer's page: the address of the callback."""
        shown = await self.get(address)
        assert f'value="{user}"' in shown.text, shown.text
        form = CODE_FORM.search(shown.text)
        assert form is not None
        clicked = await self.send("POST", f"{self._cloud.issuer}{unescape(form[1])}", data={"user": user})
        assert clicked.status_code == 303, clicked.text
        return clicked.headers["location"]

    async def sign_in(self, user: str = "user-7", return_to: str = "/") -> httpx.Response:
        """The answer of the callback."""
        await self.trust()
        return await self.get(await self.choose(await self.to_issuer(return_to), user))

    async def session(self) -> Any:
        answer = await self.get("/v1/session")
        assert answer.status_code == 200, answer.text
        return answer.json()


def path_of(location: str) -> str:
    return urlsplit(location).path


class SwitchedTransport(httpx.AsyncHTTPTransport):
    """The way to the issuer, which a test may cut."""

    is_cut = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.is_cut:
            raise httpx.ConnectError("cut by the test", request=request)
        return await super().handle_async_request(request)


class Clock:
    """The time, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now_s(self) -> float:
        return time.time() + self.ahead_s


async def bearer(browser: Browser) -> str:
    """The access token that reaches the API for a request of the browser, "" for a visitor's."""
    shown: list[str] = (await browser.get("/v1/echo")).json()["authorization"]
    return shown[0] if shown else ""
