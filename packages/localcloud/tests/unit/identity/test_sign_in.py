"""The authorization endpoint and its page."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from localcloud_tests.support.identity import ISSUER, RETURN, LocalIssuer, authorization, sent_back


class Forms(HTMLParser):
    """The forms of a page: addresses, and the users that its buttons name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.actions: list[str] = []
        self.users: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        if tag == "form":
            self.actions.append(found.get("action") or "")
        if tag == "button" and found.get("name") == "user":
            self.users.append(found.get("value") or "")


@pytest.fixture
def issuer(tmp_path: Path) -> LocalIssuer:
    return LocalIssuer(tmp_path / "identity")


def test_one_click_signs_a_user_in(issuer: LocalIssuer) -> None:
    shown = issuer.http.get(f"/authorize?{authorization()}")
    forms = Forms(shown.text)
    assert shown.status_code == 200
    assert forms.users == ["ada", "grace"]
    sent = issuer.http.post(forms.actions[0], data={"user": forms.users[0]})
    assert sent.status_code == 303
    assert sent.headers["location"].startswith(f"{RETURN}&code=")
    assert issuer.redeem(sent_back(sent.headers["location"])["code"])[0] == 200


def test_a_request_may_be_posted(issuer: LocalIssuer) -> None:
    shown = issuer.http.post(
        "/authorize", content=authorization(), headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert Forms(shown.text).users == ["ada", "grace"]


def test_any_user_may_be_named(issuer: LocalIssuer) -> None:
    shown = issuer.http.get(f"/authorize?{authorization(login_hint='user-7')}")
    assert 'value="user-7"' in shown.text
    assert issuer.sign_in("user-7")["code"]


def test_some_users_may_grant_more(tmp_path: Path) -> None:
    issuer = LocalIssuer(tmp_path / "identity", UserScopes={"grace": ["admin", "orders:read"]})
    asked = "openid orders:read admin"
    granted = {}
    for user in ("ada", "grace"):
        granted[user] = issuer.redeem(issuer.sign_in(user, scope=asked)["code"])[1]
    assert granted["ada"]["scope"] == "openid orders:read"
    assert granted["grace"]["scope"] == asked
    # Without a scope it is all that the user may grant.
    assert issuer.redeem(issuer.sign_in("ada")["code"])[1]["scope"] == "orders:read orders:write"
    assert issuer.redeem(issuer.sign_in("grace")["code"])[1]["scope"] == "orders:read orders:write admin"
    # What is taken from the user since is not given any more.
    issuer.restart(UserScopes={})
    assert issuer.refresh(granted["grace"]["refresh_token"])[1]["scope"] == "openid orders:read"


def test_a_user_who_cancels_goes_back(issuer: LocalIssuer) -> None:
    sent = issuer.http.post(f"/sign-in?{authorization()}", data={"cancel": "1"})
    assert sent_back(sent.headers["location"]).items() >= {"error": "access_denied", "state": "a state&"}.items()


@pytest.mark.parametrize("user", ["", "a b", "<b>", "a" * 129, "\u00e9"])
def test_a_name_that_is_none_is_said_on_a_page(issuer: LocalIssuer, user: str) -> None:
    answer = issuer.http.post(f"/sign-in?{authorization()}", data={"user": user})
    assert answer.status_code == 400
    assert "expected" in answer.text
    assert "b" not in Forms(answer.text).tags


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "nobody"},
        {"client_id": "cli"},
        {"redirect_uri": None},
        {"redirect_uri": ""},
        {"redirect_uri": "http://evil.example/"},
        {"redirect_uri": RETURN + "/"},
        {"redirect_uri": RETURN.upper()},
        {"redirect_uri": RETURN.partition("?")[0]},
        {"redirect_uri": RETURN + "#x"},
        {"redirect_uri": "http://localhost:3000/"},
    ],
)
@pytest.mark.parametrize("path", ["/authorize", "/sign-in"])
def test_nobody_is_sent_to_an_address_that_is_not_declared(
    issuer: LocalIssuer, changes: dict[str, str | None], path: str
) -> None:
    address = f"{path}?{authorization(**changes)}"
    answer = issuer.http.get(address) if path == "/authorize" else issuer.http.post(address, data={"user": "ada"})
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "expected" in answer.text


@pytest.mark.parametrize("twice", ["client_id", "redirect_uri", "state", "scope"])
def test_a_parameter_stands_there_once(issuer: LocalIssuer, twice: str) -> None:
    answer = issuer.http.get(f"/authorize?{authorization(scope='orders:read')}&{twice}=x")
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "x" * 44}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"scope": "orders:delete"}, "invalid_scope"),
        ({"scope": "openid orders:read orders:delete"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"request_uri": "http://a/"}, "request_uri_not_supported"),
    ],
)
@pytest.mark.parametrize("path", ["/authorize", "/sign-in"])
def test_other_errors_go_back_to_the_client(
    issuer: LocalIssuer, changes: dict[str, str | None], error: str, path: str
) -> None:
    address = f"{path}?{authorization(**changes)}"
    answer = issuer.http.get(address) if path == "/authorize" else issuer.http.post(address, data={"user": "ada"})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{RETURN}&error=")
    sent = sent_back(answer.headers["location"])
    assert sent.pop("error_description")
    assert sent == {"from": "issuer", "error": error, "state": "a state&", "iss": ISSUER}


def test_markup_of_a_request_is_text(issuer: LocalIssuer) -> None:
    mark = '"><script>alert(1)</script>'
    shown = issuer.http.get(f"/authorize?{authorization(login_hint=mark, state=mark)}")
    refused = issuer.http.get(f"/authorize?{authorization(client_id=mark)}")
    for answer in (shown, refused):
        assert "script" not in Forms(answer.text).tags


def test_pages_keep_others_out(issuer: LocalIssuer) -> None:
    headers = issuer.http.get(f"/authorize?{authorization()}").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    # Without the client's origin a browser would not follow the redirect that answers the form.
    assert "form-action 'self' http://127.0.0.1:8000;" in policy
    assert "unsafe" not in policy
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


def test_the_issuer_describes_itself(issuer: LocalIssuer) -> None:
    found: dict[str, Any] = issuer.http.get("/.well-known/openid-configuration").json()
    assert issuer.http.get("/.well-known/oauth-authorization-server").json() == found
    assert found["issuer"] == ISSUER
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["scopes_supported"] == ["openid", "profile", "offline_access", "orders:read", "orders:write"]
    for name in ("authorization_endpoint", "token_endpoint", "revocation_endpoint", "jwks_uri"):
        path = found[name].removeprefix(ISSUER)
        assert issuer.http.send("OPTIONS", path).status_code == 405, name
