"""Which browsers may sign users in."""

from pathlib import Path
from typing import Any

import pytest

from localcloud.identity.errors import IdentityStateError
from localcloud.identity.trusted_browsers import TRUST_S, TrustedBrowsers
from localcloud_tests.support.identity import DECLARATION, LocalIssuer, authorization

BEGINS = "http://127.0.0.1:8000/sign-in"
FILE_MODE = 0o600
NOW_S = 1_800_000_000.0


@pytest.fixture
def issuer(tmp_path: Path) -> LocalIssuer:
    first, *others = DECLARATION["Clients"]
    return LocalIssuer(tmp_path / "identity", Clients=[{**first, "InitiateLoginUri": BEGINS}, *others])


def test_a_browser_that_is_not_trusted_gets_no_code(issuer: LocalIssuer) -> None:
    shown = issuer.stranger.get(f"/authorize?{authorization()}")
    assert shown.status_code == 200
    assert 'name="user"' not in shown.text
    assert str(issuer.folder / "sign-in-code") in shown.text
    assert issuer.sign_in_code not in shown.text
    clicked = issuer.stranger.post(f"/sign-in?{authorization()}", data={"user": "ada"})
    assert clicked.status_code == 403
    assert "location" not in clicked.headers


@pytest.mark.parametrize("wrong", ["x", " ", "\u00e9", "a" * 5_000])
def test_a_wrong_code_brings_nothing(issuer: LocalIssuer, wrong: str) -> None:
    code = issuer.sign_in_code
    for answer in (
        issuer.stranger.post(f"/sign-in?{authorization()}", data={"browser_code": wrong}),
        issuer.stranger.get("/trust", params={"code": wrong}),
        issuer.stranger.get("/trust", params={"client_id": "page"}),
    ):
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert issuer.sign_in_code == code


def test_the_code_is_typed_once_and_each_is_good_once(issuer: LocalIssuer) -> None:
    code = issuer.sign_in_code
    typed = issuer.stranger.post(f"/sign-in?{authorization()}", data={"browser_code": f" {code} "})
    assert typed.status_code == 303
    cookie = typed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    shown = issuer.stranger.get(typed.headers["location"], headers={"Cookie": cookie.partition(";")[0]})
    assert 'name="user"' in shown.text
    assert issuer.sign_in_code != code
    assert issuer.stranger.post(f"/sign-in?{authorization()}", data={"browser_code": code}).status_code == 403


def test_the_link_leads_to_the_client_s_own_sign_in(issuer: LocalIssuer) -> None:
    link = {"code": issuer.sign_in_code, "client_id": "page"}
    # Who looks where a link leads does not use the code up.
    looked = issuer.stranger.send("HEAD", "/trust", params=link)
    assert "set-cookie" not in looked.headers
    opened = issuer.stranger.get("/trust", params=link)
    assert (opened.status_code, opened.headers["location"]) == (303, BEGINS)
    assert "set-cookie" in opened.headers
    # A browser that is trusted may open an old link again.
    again = issuer.http.get("/trust", params=link)
    assert (again.status_code, again.headers["location"]) == (303, BEGINS)
    assert issuer.stranger.get("/trust", params=link).status_code == 403


def test_a_browser_that_is_not_trusted_may_cancel(issuer: LocalIssuer) -> None:
    sent = issuer.stranger.post(f"/sign-in?{authorization()}", data={"cancel": "1"})
    assert "error=access_denied" in sent.headers["location"]


def test_trust_outlives_a_restart_and_ends(tmp_path: Path) -> None:
    folder = tmp_path / "identity"
    first = TrustedBrowsers(folder)
    token = first.trust(first.code_file.read_text(), NOW_S)
    assert token is not None
    assert TrustedBrowsers(folder).knows(token, NOW_S + TRUST_S - 1)
    assert not TrustedBrowsers(folder).knows(token, NOW_S + TRUST_S)
    assert not TrustedBrowsers(folder).knows("another", NOW_S)
    for file in folder.iterdir():
        assert file.stat().st_mode & 0o777 == FILE_MODE, file
        assert token not in file.read_text()


@pytest.mark.parametrize("damage", [b"", b"  \n", b"\xff\xfe", None])
def test_a_code_that_is_damaged_or_gone_is_made_anew(tmp_path: Path, damage: bytes | None) -> None:
    browsers = TrustedBrowsers(tmp_path)
    if damage is None:
        browsers.code_file.unlink()
    else:
        browsers.code_file.write_bytes(damage)
    assert browsers.trust("", NOW_S) is None
    assert browsers.trust(browsers.code_file.read_text(), NOW_S) is not None


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"a": "b"}'])
def test_browsers_that_are_damaged_are_named(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "browsers.json").write_bytes(damage)
    with pytest.raises(IdentityStateError, match=r"browsers\.json holds no browsers"):
        TrustedBrowsers(tmp_path)


@pytest.mark.parametrize("uri", ["javascript:alert(1)", "/sign-in", "http://a b/", "http://u:p@127.0.0.1/"])
def test_an_address_that_can_not_begin_a_sign_in_is_named(tmp_path: Path, uri: str) -> None:
    first: dict[str, Any] = {**DECLARATION["Clients"][0], "InitiateLoginUri": uri}
    with pytest.raises(Exception, match="InitiateLoginUri has"):
        LocalIssuer(tmp_path, Clients=[first])
