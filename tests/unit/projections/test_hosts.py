"""Names that the API answers under, pages that may write, and the settings that say so."""

from collections.abc import Mapping

import httpx
import pytest

from songline.cloud.settings import SettingError
from songline.projections.api import create
from songline.projections.http.front import AllowedNames
from songline.projections.http.hosts import HOSTS, ORIGINS, is_foreign, is_ours, read_hosts, read_origins
from tests.support.nowhere import NOWHERE

NAMES = ("songline.example", "*.music.example")


@pytest.mark.parametrize(
    "host",
    ["songline.example", "SONGLINE.example:443", "songline.example.", "a.music.example", "a.b.music.example:1"],
)
def test_a_name_that_is_set_is_ours(host: str) -> None:
    assert is_ours(host, NAMES)
    assert not is_ours(host, ())
    assert is_ours(host, ("*",))


@pytest.mark.parametrize(
    "host", ["music.example", "xmusic.example", "a.songline.example", "songline.example.evil", "a b", "\0"]
)
def test_a_name_like_it_is_not(host: str) -> None:
    assert not is_ours(host, NAMES)


@pytest.mark.parametrize(
    "host", ["10.0.0.7:80", "[fe80::1]", "localhost", "app.localhost", "api", "songline:8000", "testserver"]
)
def test_what_no_stranger_can_own_is_ours(host: str) -> None:
    assert is_ours(host, ())


@pytest.mark.parametrize(
    ("method", "headers", "foreign"),
    [
        ("POST", {}, False),
        ("GET", {"sec-fetch-site": "cross-site"}, False),
        ("POST", {"sec-fetch-site": "same-origin", "origin": "http://x"}, False),
        ("POST", {"sec-fetch-site": "cross-site", "origin": "https://player.example"}, False),
        ("POST", {"origin": "http://songline:8000"}, False),
        ("POST", {"origin": "https://songline:8000"}, False),
        ("POST", {"origin": "http://songline"}, True),
        ("DELETE", {"origin": "https://player.example.evil"}, True),
        ("PUT", {"sec-fetch-site": "same-site"}, True),
        ("PUT", {"origin": ""}, True),
        ("POST", {"origin": "chrome-extension://abc", "authorization": "Token t"}, False),
        ("POST", {"sec-fetch-site": "cross-site", "authorization": "token t"}, False),
        # Browsers add what they know of a user and a password by themselves.
        ("POST", {"sec-fetch-site": "cross-site", "authorization": "Basic dXNlcjp4"}, True),
        ("POST", {"sec-fetch-site": "cross-site", "authorization": "Bearer t"}, True),
        ("POST", {"origin": "chrome-extension://abc", "cookie": "Token t"}, True),
    ],
)
def test_where_a_write_comes_from(method: str, headers: Mapping[str, str], foreign: bool) -> None:
    seen = is_foreign(method, {"host": "songline:8000", **headers}, ("https://player.example",))
    assert (seen is not None) is foreign


def test_settings_are_read_or_refused() -> None:
    assert read_hosts({HOSTS: " Songline.example, *.music.example ,"}) == NAMES
    assert read_hosts({}) == read_origins({}) == ()
    assert read_origins({ORIGINS: "https://player.example, http://localhost:3000"}) == (
        "https://player.example",
        "http://localhost:3000",
    )
    for wrong in ("https://songline.example", "songline.example:80", "a/b", "*example", "a.*"):
        with pytest.raises(SettingError, match=HOSTS):
            read_hosts({HOSTS: wrong})
    for wrong in ("player.example", "https://player.example/", "*", "ftp://a"):
        with pytest.raises(SettingError, match=ORIGINS):
            read_origins({ORIGINS: wrong})


async def test_a_page_that_is_named_may_read_and_write() -> None:
    app = create(NOWHERE, front=AllowedNames(origins=("https://player.example",)))
    theirs = {"Origin": "https://player.example"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://songline") as client:
        asked = {**theirs, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "Content-Type"}
        preflight = await client.options("/v1/charts", headers=asked)
        read = await client.get("/v1/charts", headers=theirs)
        stranger = await client.get("/v1/charts", headers={"Origin": "https://evil.example"})
        refused = await client.put("/v1/charts", headers={**theirs, "Sec-Fetch-Site": "cross-site"})
    assert preflight.status_code == 200
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert read.headers["access-control-allow-origin"] == "https://player.example"
    assert "access-control-allow-origin" not in stranger.headers
    assert refused.status_code == 405


@pytest.mark.parametrize(
    "origin", ["http://[bad", "http://]", "://", "", "http://songline:8000/", "http://\u2100.example"]
)
def test_an_origin_that_is_no_address_is_foreign(origin: str) -> None:
    assert is_foreign("POST", {"host": "songline:8000", "origin": origin}, ()) == f"Origin: {origin}"
