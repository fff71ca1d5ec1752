"""Who comes in: each operation of the API with every kind of token, none of which needs a service."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Match
from starlette.types import Message

from songline.api.app import ApiSettings, compose
from songline.api.guard import private
from songline.api.guard_settings import AUTH, OPEN
from songline.api.operation_matcher import OperationMatcher, UnknownOperationError, keys_of
from songline.api.operations import OPERATIONS, SubjectRule
from songline.cloud.settings import SettingError
from songline.identity.listener_id import listener_id
from songline.identity.scopes import OWN_SCOPES
from songline.identity.scopes import Scope as TokenScope
from songline.identity.settings import ISSUER
from tests.support import tokens
from tests.support.guarded import BAD, CHALLENGE, ENVIRON, GUARDED, IN, allowed, asked, client, composed


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return composed({}, is_answered=False)


@pytest.fixture(scope="module")
def opened() -> FastAPI:
    return composed({OPEN: "charts, songs,page,docs", "SONGLINE_ORIGINS": "https://player.example"})


@pytest.fixture(scope="module")
def answered() -> FastAPI:
    return composed({})


@pytest.fixture
async def http(answered: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(answered) as http:
        yield http


@pytest.fixture
async def open_http(opened: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(opened) as http:
        yield http


def refused(response: httpx.Response, status: int, challenge: str) -> None:
    assert response.status_code == status, (str(response.request.url), response.text)
    assert response.headers["www-authenticate"] == challenge
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["status"] == status


def test_the_table_has_every_route_and_no_other(app: FastAPI) -> None:
    assert keys_of(app.routes) == OPERATIONS.keys()


def test_a_route_that_is_not_in_the_table_is_not_composed(app: FastAPI) -> None:
    for key in (("GET", "/v1/charts"), ("POST", "/v1/events"), ("GET", "/assets/{path:path}")):
        with pytest.raises(UnknownOperationError, match="saw no such operation"):
            OperationMatcher(app.routes, {one: rule for one, rule in OPERATIONS.items() if one != key})


def test_an_operation_with_a_subject_has_a_scope_for_their_own_and_one_for_all() -> None:
    for (_, template), operation in OPERATIONS.items():
        # A player's token is never for everybody.
        assert operation.subject is None or len(operation.scopes) == (1 if operation.is_of_players else 2)
        assert (operation.subject is SubjectRule.PATH) <= ("{user_id}" in template)
        assert ("{user_id}" in template) <= (
            operation.subject is SubjectRule.PATH or operation.scopes == (TokenScope.ADMIN,)
        )


@pytest.mark.parametrize("wrong", BAD)
async def test_no_operation_takes_a_bad_token(
    http: httpx.AsyncClient, open_http: httpx.AsyncClient, wrong: str
) -> None:
    header = BAD[wrong]()
    for method, template in GUARDED:
        refused(await http.request(method, asked(template), headers=header), 401, f'{CHALLENGE}, error="invalid_token"')
        # Where no token is needed, a bad one is not taken for none.
        refused(
            await open_http.request(method, asked(template), headers=header), 401, f'{CHALLENGE}, error="invalid_token"'
        )


async def test_no_operation_goes_without_a_token(http: httpx.AsyncClient, open_http: httpx.AsyncClient) -> None:
    for (method, template), operation in GUARDED.items():
        refused(await http.request(method, asked(template)), 401, CHALLENGE)
        if operation.group is None:
            refused(await open_http.request(method, asked(template)), 401, CHALLENGE)
        else:
            assert (await open_http.request(method, asked(template))).status_code == IN, template


async def test_heads_are_refused_as_well(http: httpx.AsyncClient) -> None:
    for method, template in GUARDED:
        if method == "GET":
            response = await http.head(asked(template), headers={"Range": "bytes=0-10"})
            assert (response.status_code, response.headers["www-authenticate"]) == (401, CHALLENGE), template


@pytest.mark.parametrize("scope", TokenScope)
async def test_each_scope_opens_what_the_table_says_and_nothing_else(
    http: httpx.AsyncClient, scope: TokenScope
) -> None:
    for (method, template), operation in GUARDED.items():
        header = allowed(scopes=f"{scope} openid {scope.upper()} *")
        response = await http.request(method, asked(template), headers=header)
        if not operation.scopes or scope in operation.scopes:
            assert response.status_code == IN, template
        else:
            needed = " ".join(operation.scopes)
            refused(response, 403, f'{CHALLENGE}, error="insufficient_scope", scope="{needed}"')
            assert " or ".join(operation.scopes) in response.json()["detail"]


OF_ONE = {key: operation for key, operation in GUARDED.items() if operation.subject is SubjectRule.PATH}


@pytest.mark.parametrize("other", ["user-8", "USER-7", "user-77", "user-7%20", "%75ser-70", "user-7;", "user-7%00"])
async def test_nobody_reaches_the_data_of_another(http: httpx.AsyncClient, other: str) -> None:
    for (method, template), operation in OF_ONE.items():
        response = await http.request(method, asked(template, other), headers=allowed(scopes=" ".join(OWN_SCOPES)))
        refused(response, 403, f'{CHALLENGE}, error="insufficient_scope", scope="{operation.scopes[1]}"')
        wider = allowed("songline-cli", operation.scopes[1])
        assert (await http.request(method, asked(template, other), headers=wider)).status_code == IN


async def test_a_subject_that_is_no_id_reaches_what_is_its_own(http: httpx.AsyncClient) -> None:
    """The path of `auth0|7` itself is nobody's: it names no listener."""
    for subject in ("auth0|7", "https://login.example/users/7", "ada@example.org"):
        header = allowed(subject, " ".join(OWN_SCOPES))
        others = [listener_id("auth0|8"), listener_id(listener_id(subject))]
        # A slash would make it a path of nothing.
        others += [] if "/" in subject else [quote(subject)]
        for (method, template), operation in OF_ONE.items():
            own = await http.request(method, asked(template, listener_id(subject)), headers=header)
            assert own.status_code == IN, template
            for other in others:
                response = await http.request(method, asked(template, other), headers=header)
                refused(response, 403, f'{CHALLENGE}, error="insufficient_scope", scope="{operation.scopes[1]}"')
                assert listener_id(subject) in response.json()["detail"]


async def test_a_path_is_the_same_for_the_guard_and_the_router(app: FastAPI) -> None:
    """What the router would not take for an operation is none: 404, or where it says that a path has no slash, 307."""
    own, tricks = (
        allowed(scopes=" ".join(OWN_SCOPES)),
        {
            "/v1/users/user-7/../user-8/library": 404,
            "/v1/users/user-7%2F..%2Fuser-8/library": 404,
            "/v1/users/./user-8/library": 404,
            "//v1/users/user-8/library": 404,
            "/v1//users/user-8/library": 404,
            "/v1/users/user-8/library/": 307,
            "/V1/users/user-8/library": 404,
            "/v1/Users/user-8/library": 404,
            "/v1/users/user-8/library%2F": 307,
            "/v1/users/user-8%2Flibrary": 403,
            "/v1/parked;a=b": 404,
            "/v1/parked%00": 404,
            "/v1/parked%0A": 404,
            "/v1/parked%3Fa": 404,
            "/v1/parked/": 307,
            "/health/../v1/parked": 404,
            "/health/live/../../v1/parked": 404,
            "/assets/../v1/parked": 404,
            "/docs/assets/%2e%2e/%2e%2e/v1/parked": 404,
        },
    )
    for path, expected in tricks.items():
        assert await status_of(app, path, own) == expected, path


async def status_of(app: FastAPI, path: str, headers: list[tuple[str, str]]) -> int:
    """The status of a GET whose path is sent as it stands: clients tidy it up."""
    seen: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            seen.append(message["status"])

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "server": ("127.0.0.1", 8000),
        "headers": [(b"host", b"127.0.0.1"), *((name.lower().encode(), value.encode()) for name, value in headers)],
    }
    await app(scope, receive, send)
    return seen[0]


async def test_other_headers_change_nothing(http: httpx.AsyncClient) -> None:
    own = dict(allowed(scopes=" ".join(OWN_SCOPES)))
    for name, value in {
        "X-HTTP-Method-Override": "GET",
        "X-HTTP-Method": "GET",
        "X-Method-Override": "GET",
        "X-Original-URL": "/health/live",
        "X-Rewrite-URL": "/health/live",
        "X-Forwarded-Prefix": "/health",
        "X-Forwarded-User": "admin",
        "X-User-Id": "user-8",
        "Cookie": "Authorization=Bearer%20x",
        "Proxy-Authorization": own["Authorization"],
    }.items():
        assert (await http.get("/v1/parked", headers={**own, name: value})).status_code == 403, name
        assert (await http.get("/v1/users/user-8/library", headers={**own, name: value})).status_code == 403, name
        assert (await http.get("/v1/parked", headers={name: value})).status_code == 401, name
    assert (await http.get(f"/v1/parked?access_token={tokens.token(scope='admin')}")).status_code == 401


async def test_health_is_open_and_looks_at_no_token(http: httpx.AsyncClient) -> None:
    for header in ([], *(make() for make in BAD.values())):
        assert (await http.get("/health/live", headers=header)).status_code == IN


async def test_preflights_are_open_and_refusals_can_be_read_by_pages(open_http: httpx.AsyncClient) -> None:
    origin = {"Origin": "https://player.example"}
    asks = {**origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
    preflight = await open_http.options("/v1/users/user-7/likes/song-1", headers=asks)
    assert preflight.status_code == 200, preflight.text
    for path, header in (("/v1/parked", []), ("/v1/parked", allowed(scopes="charts:read"))):
        response = await open_http.get(path, headers=[*origin.items(), *header])
        assert response.status_code in (401, 403)
        assert response.headers["access-control-allow-origin"] == "https://player.example"
        assert "WWW-Authenticate" in response.headers["access-control-expose-headers"]


async def test_an_answer_that_needs_a_token_is_kept_by_nobody_else(app: FastAPI) -> None:
    async with client(app) as http:
        await check_caching(http)
    async with client(composed({OPEN: "charts"}, is_answered=False)) as http:
        assert (await http.get("/v1/charts")).headers["cache-control"] == "public, max-age=3600"


async def check_caching(http: httpx.AsyncClient) -> None:
    response = await http.get("/v1/charts", headers=allowed())
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "private, max-age=3600"
    assert "Authorization" in response.headers["vary"]
    again = await http.get("/v1/charts", headers=[*allowed(), ("If-None-Match", response.headers["etag"])])
    assert (again.status_code, again.headers["cache-control"]) == (304, "private, max-age=3600")
    page = await http.get("/", headers=allowed())
    assert page.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [(b"cache-control", b"private"), (b"vary", b"Authorization")]),
        (
            [(b"Cache-Control", b"no-store"), (b"Vary", b"Accept")],
            [(b"cache-control", b"no-store"), (b"vary", b"Accept, Authorization")],
        ),
        (
            [(b"cache-control", b"public, max-age=1"), (b"cache-control", b"no-cache"), (b"etag", b'"a"')],
            [(b"etag", b'"a"'), (b"cache-control", b"private, max-age=1, no-cache"), (b"vary", b"Authorization")],
        ),
    ],
)
def test_what_is_private_says_so(before: list[tuple[bytes, bytes]], after: list[tuple[bytes, bytes]]) -> None:
    assert private(before) == after


PIECES = ["/", "v1", "users", "songs", "charts", "user-7", "library", "audio", "plays", "likes", "events", "health"]
PIECES += [
    "live",
    "docs",
    "assets",
    "..",
    ".",
    "%2F",
    "\n",
    "é",
    "listeners",
    "export",
    "now-playing",
    "ingestions",
    "",
]


@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]), st.lists(st.sampled_from(PIECES), max_size=9)
)
def test_the_guard_matches_as_the_router_does(app: FastAPI, method: str, pieces: list[str]) -> None:
    path = "/" + "/".join(pieces)
    matched = OperationMatcher(app.routes, OPERATIONS).match(method, path)
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": [], "root_path": ""}
    routed = any(route.matches(dict(scope))[0] is Match.FULL for route in app.routes)
    assert (matched is not None) == routed


def test_without_an_issuer_the_api_does_not_start_and_says_what_to_set() -> None:
    for name in ("", "on"):
        with pytest.raises(SettingError, match=rf"{ISSUER}: saw nothing.*{AUTH}=off"):
            ApiSettings.read({**ENVIRON, ISSUER: "", AUTH: name})
    with pytest.raises(SettingError, match=f"{AUTH}: saw 'Off', expected on or off"):
        ApiSettings.read({**ENVIRON, AUTH: "Off"})
    with pytest.raises(SettingError, match=f"{OPEN}: saw 'library', expected some of charts, songs, page, docs"):
        ApiSettings.read({**ENVIRON, OPEN: "charts,library"})


async def test_an_api_that_asks_for_no_tokens_says_so_at_every_start(caplog: pytest.LogCaptureFixture) -> None:
    off = compose(ApiSettings.read({**ENVIRON, ISSUER: "", AUTH: "off"}))
    assert f"{AUTH} is off" in caplog.text
    assert off.state.auth == "off"
    async with client(off) as http:
        assert (await http.get("/v1/charts", headers=BAD["expired"]())).status_code == 200


def test_the_document_names_the_scopes_of_every_operation(app: FastAPI, opened: FastAPI) -> None:
    document = app.openapi()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for method, described in operations.items():
            scopes = OPERATIONS[method.upper(), path].scopes
            assert described["security"] == [{"bearer": [scope]} for scope in scopes]
            assert {"401", "403"} <= described["responses"].keys()
    assert opened.openapi()["paths"]["/v1/charts"]["get"]["security"] == [{}, {"bearer": ["charts:read"]}]
