"""Tokens for grants, and the errors of RFC 6749 to the letter."""

import re
from pathlib import Path
from typing import Any

import jwt
import pytest

from localcloud_tests.support.identity import (
    DECLARATION,
    ISSUER,
    PAGE_SECRET,
    RETURN,
    VERIFIER,
    LocalIssuer,
    claims,
    header,
)

SERVICE = ("service", "service-secret")
PRINTABLE = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")


@pytest.fixture
def issuer(tmp_path: Path) -> LocalIssuer:
    return LocalIssuer(tmp_path / "identity")


def checked(issuer: LocalIssuer, token: str, audience: str) -> dict[str, Any]:
    """The claims of a token, checked by another library with the keys that are published."""
    keys = jwt.PyJWKSet.from_dict(issuer.http.get("/keys").json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    found: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["ES256"],
        audience=audience,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    return found


# Client credentials


def test_a_service_gets_a_token_for_itself(issuer: LocalIssuer) -> None:
    status, answer = issuer.post("/token", {"grant_type": "client_credentials"}, SERVICE)
    assert status == 200
    assert answer.items() >= {"token_type": "Bearer", "expires_in": 600, "scope": "orders:write"}.items()
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    found = checked(issuer, answer["access_token"], "shop")
    now = int(issuer.now_s)
    assert found.pop("jti")
    assert found == {
        "iss": ISSUER,
        "sub": "service",
        "aud": "shop",
        "client_id": "service",
        "scope": "orders:write",
        "iat": now,
        "nbf": now,
        "exp": now + 600,
    }
    assert header(answer["access_token"])["typ"] == "at+jwt"


def test_no_two_tokens_are_alike(issuer: LocalIssuer) -> None:
    one, other = (issuer.credentials()[1]["access_token"] for _ in range(2))
    assert claims(one)["jti"] != claims(other)["jti"]


def test_scopes_are_those_that_are_asked_for(issuer: LocalIssuer) -> None:
    _, answer = issuer.credentials(scope="orders:write orders:write")
    assert answer["scope"] == "orders:write"
    assert claims(answer["access_token"])["scope"] == "orders:write"
    assert issuer.credentials()[1]["scope"] == "orders:read orders:write"


def test_a_client_that_may_names_the_subject(issuer: LocalIssuer) -> None:
    _, answer = issuer.credentials(subject="ada")
    assert claims(answer["access_token"]).items() >= {"sub": "ada", "client_id": "cli"}.items()


def test_answers_are_not_stored_on_the_way(issuer: LocalIssuer) -> None:
    good = issuer.http.post("/token", data={"grant_type": "client_credentials"}, auth=SERVICE)
    bad = issuer.http.post("/token", data={})
    for answer in (good, bad):
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")


# Authorization code


def test_a_user_signs_in(issuer: LocalIssuer) -> None:
    sent = issuer.sign_in("ada", scope="openid orders:read", nonce="n-1")
    assert (sent["state"], sent["iss"]) == ("a state&", ISSUER)
    issuer.now_s += 5
    status, answer = issuer.redeem(sent["code"])
    assert status == 200
    assert set(answer) == {"access_token", "id_token", "refresh_token", "token_type", "expires_in", "scope"}
    assert checked(issuer, answer["access_token"], "shop").items() >= {"sub": "ada", "client_id": "page"}.items()
    identity = checked(issuer, answer["id_token"], "page")
    now = int(issuer.now_s)
    assert identity == {
        "iss": ISSUER,
        "sub": "ada",
        "aud": "page",
        "preferred_username": "ada",
        "nonce": "n-1",
        "auth_time": now - 5,
        "iat": now,
        "nbf": now,
        "exp": now + 600,
    }


def test_without_openid_there_is_no_id_token(issuer: LocalIssuer) -> None:
    _, answer = issuer.redeem(issuer.sign_in()["code"])
    assert "id_token" not in answer
    assert answer["scope"] == "orders:read orders:write"


def test_a_public_client_has_its_proof_alone(issuer: LocalIssuer) -> None:
    code = issuer.sign_in(client_id="app", redirect_uri="http://localhost:3000/")["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "http://localhost:3000/"}
    status, answer = issuer.post("/token", {**form, "client_id": "app", "code_verifier": VERIFIER})
    assert status == 200
    assert "refresh_token" not in answer


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": None}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code": "made-up"}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:8000/other"}, "invalid_grant"),
        ({"redirect_uri": RETURN + "&x"}, "invalid_grant"),
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": "v" * 42}, "invalid_grant"),
        ({"code_verifier": "\u00e9" * 43}, "invalid_grant"),
    ],
)
def test_a_code_needs_its_address_and_its_proof(
    issuer: LocalIssuer, changes: dict[str, str | None], error: str
) -> None:
    status, answer = issuer.redeem(issuer.sign_in()["code"], **changes)
    assert (status, answer["error"]) == (400, error)


def test_a_code_is_used_by_a_wrong_proof_too(issuer: LocalIssuer) -> None:
    code = issuer.sign_in()["code"]
    assert issuer.redeem(code, code_verifier="w" * 43)[0] == 400
    assert issuer.redeem(code)[1]["error"] == "invalid_grant"


def test_a_code_is_good_for_a_minute(issuer: LocalIssuer) -> None:
    one, other = issuer.sign_in()["code"], issuer.sign_in()["code"]
    issuer.now_s += 60
    assert issuer.redeem(one)[0] == 200
    issuer.now_s += 1
    assert issuer.redeem(other)[1]["error"] == "invalid_grant"


def test_a_code_of_another_client_is_refused_and_stays_good(issuer: LocalIssuer) -> None:
    code = issuer.sign_in()["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": RETURN, "code_verifier": VERIFIER}
    assert issuer.post("/token", {**form, "client_id": "app"})[1]["error"] == "invalid_grant"
    assert issuer.redeem(code)[0] == 200


def test_a_second_use_of_a_code_ends_what_the_first_one_gave(issuer: LocalIssuer) -> None:
    code = issuer.sign_in()["code"]
    refresh = issuer.redeem(code)[1]["refresh_token"]
    issuer.now_s += 300
    assert issuer.redeem(code)[1]["error"] == "invalid_grant"
    assert issuer.refresh(refresh)[1]["error"] == "invalid_grant"


# Refresh tokens


def test_a_refresh_token_gives_the_next_one(issuer: LocalIssuer) -> None:
    first = issuer.redeem(issuer.sign_in()["code"])[1]
    issuer.now_s += 1_000
    status, second = issuer.refresh(first["refresh_token"], scope="orders:read")
    assert status == 200
    assert second["scope"] == "orders:read"
    assert claims(second["access_token"])["exp"] == int(issuer.now_s) + 600
    # What was granted stays, also where less was asked for in between.
    assert issuer.refresh(second["refresh_token"])[1]["scope"] == "orders:read orders:write"


def test_a_refresh_token_that_comes_again_ends_its_family(issuer: LocalIssuer) -> None:
    first = issuer.redeem(issuer.sign_in()["code"])[1]["refresh_token"]
    other = issuer.redeem(issuer.sign_in("grace")["code"])[1]["refresh_token"]
    second = issuer.refresh(first)[1]["refresh_token"]
    assert issuer.refresh(first)[1]["error"] == "invalid_grant"
    assert issuer.refresh(second)[1]["error"] == "invalid_grant"
    assert issuer.refresh(other)[0] == 200


def test_a_refresh_token_asks_for_no_more_than_was_granted(issuer: LocalIssuer) -> None:
    token = issuer.redeem(issuer.sign_in(scope="orders:read")["code"])[1]["refresh_token"]
    assert issuer.refresh(token, scope="orders:write")[1]["error"] == "invalid_scope"
    assert issuer.refresh(token)[1]["scope"] == "orders:read"


def test_a_scope_that_a_client_lost_is_not_given_any_more(issuer: LocalIssuer) -> None:
    token = issuer.redeem(issuer.sign_in(scope="openid orders:read orders:write")["code"])[1]["refresh_token"]
    page, *others = DECLARATION["Clients"]
    issuer.restart(Clients=[{**page, "Scopes": ["orders:read"]}, *others])
    status, answer = issuer.refresh(token)
    assert (status, answer["scope"]) == (200, "openid orders:read")
    assert issuer.refresh(answer["refresh_token"], scope="orders:write")[1]["error"] == "invalid_scope"


def test_a_sign_in_is_over_after_its_time(tmp_path: Path) -> None:
    issuer = LocalIssuer(tmp_path / "identity", RefreshTokenSeconds=100)
    token = issuer.redeem(issuer.sign_in()["code"])[1]["refresh_token"]
    issuer.now_s += 60
    token = issuer.refresh(token)[1]["refresh_token"]
    issuer.now_s += 60
    assert issuer.refresh(token)[1]["error"] == "invalid_grant"


def test_sign_ins_outlive_a_restart_and_codes_do_not(issuer: LocalIssuer) -> None:
    token = issuer.redeem(issuer.sign_in()["code"])[1]["refresh_token"]
    code = issuer.sign_in()["code"]
    issuer.restart()
    status, following = issuer.refresh(token)
    assert status == 200
    assert issuer.redeem(code)[1]["error"] == "invalid_grant"
    issuer.restart()
    assert issuer.refresh(token)[1]["error"] == "invalid_grant"
    assert issuer.refresh(following["refresh_token"])[1]["error"] == "invalid_grant"


def test_nobody_can_use_what_the_files_hold(issuer: LocalIssuer) -> None:
    answer = issuer.redeem(issuer.sign_in()["code"])[1]
    for file in issuer.folder.rglob("*"):
        if file.is_file() and file.name != "identity.json":
            assert file.stat().st_mode & 0o077 == 0, file
            assert answer["refresh_token"] not in file.read_text()


# Revocation


def test_a_revoked_refresh_token_gives_nothing(issuer: LocalIssuer) -> None:
    first = issuer.redeem(issuer.sign_in()["code"])[1]["refresh_token"]
    second = issuer.refresh(first)[1]["refresh_token"]
    assert issuer.post("/revoke", {"token": second}, ("page", PAGE_SECRET)) == (200, None)
    assert issuer.refresh(second)[1]["error"] == "invalid_grant"
    assert issuer.post("/revoke", {"token": second}, ("page", PAGE_SECRET)) == (200, None)


def test_a_token_is_revoked_by_its_client_alone(issuer: LocalIssuer) -> None:
    token = issuer.redeem(issuer.sign_in()["code"])[1]["refresh_token"]
    assert issuer.post("/revoke", {"token": token}, SERVICE)[0] == 200
    assert issuer.post("/revoke", {"token": token, "client_id": "app"})[0] == 200
    assert issuer.post("/revoke", {"token": token}, ("page", "guess"))[1]["error"] == "invalid_client"
    assert issuer.refresh(token)[0] == 200


def test_access_tokens_can_not_be_revoked(issuer: LocalIssuer) -> None:
    token = issuer.credentials()[1]["access_token"]
    status, answer = issuer.post("/revoke", {"token": token, "token_type_hint": "access_token"}, SERVICE)
    assert (status, answer["error"]) == (400, "unsupported_token_type")
    assert issuer.post("/revoke", {"token": "unknown"}, SERVICE)[0] == 200
    assert issuer.post("/revoke", {}, SERVICE)[1]["error"] == "invalid_request"


# Refusals


@pytest.mark.parametrize(
    ("form", "client"),
    [
        ({}, None),
        ({"client_id": "service"}, None),
        ({"client_id": "service", "client_secret": "guess"}, None),
        ({"client_id": "nobody", "client_secret": "service-secret"}, None),
        ({"client_id": "page", "client_secret": "service-secret"}, None),
        ({"client_id": "app", "client_secret": "x"}, None),
        ({}, ("service", "guess")),
        ({}, ("service", "")),
        ({}, ("nobody", "service-secret")),
        ({}, ("app", "x")),
        ({}, ("service", "service-secret\u00e9")),
    ],
)
def test_every_client_that_is_not_known_is_told_the_same(
    issuer: LocalIssuer, form: dict[str, str], client: tuple[str, str] | None
) -> None:
    assert issuer.post("/token", {"grant_type": "client_credentials", **form}, client) == (
        401,
        {
            "error": "invalid_client",
            "error_description": "expected a client that is declared, with its secret (HTTP Basic or client_secret)",
        },
    )


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic YQ==", "Bearer abc", "", "Basic /////w=="])
def test_a_header_that_names_no_client_is_refused(issuer: LocalIssuer, header: str) -> None:
    answer = issuer.http.post("/token", data={"grant_type": "client_credentials"}, headers={"Authorization": header})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_a_secret_may_hold_any_character(issuer: LocalIssuer) -> None:
    assert issuer.post("/revoke", {"token": "x"}, ("page", PAGE_SECRET))[0] == 200
    assert issuer.post("/revoke", {"token": "x", "client_id": "page", "client_secret": PAGE_SECRET})[0] == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password", "username": "ada"}, "unsupported_grant_type"),
        ({"grant_type": 'x"\\\u00e9\n'}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "x"}, "unauthorized_client"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "unauthorized_client"),
        ({"grant_type": "client_credentials", "scope": "orders:read"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "scope": "orders:write  "}, "invalid_scope"),
        ({"grant_type": "client_credentials", "subject": "ada"}, "unauthorized_client"),
        ({"grant_type": "client_credentials", "client_secret": "service-secret"}, "invalid_request"),
        ({"grant_type": "client_credentials", "client_id": "page"}, "invalid_request"),
    ],
)
def test_a_wrong_request_gets_the_error_for_it(issuer: LocalIssuer, form: dict[str, str], error: str) -> None:
    status, answer = issuer.post("/token", form, SERVICE)
    assert (status, answer["error"]) == (400, error)
    assert PRINTABLE.fullmatch(answer["error_description"])
    assert "service-secret" not in answer["error_description"]


@pytest.mark.parametrize("subject", ["a b", "../ada", "a" * 129, "\u00e9", "a\n"])
def test_a_subject_is_a_name(issuer: LocalIssuer, subject: str) -> None:
    assert issuer.credentials(subject=subject)[1]["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"grant_type=client_credentials&grant_type=client_credentials", "application/x-www-form-urlencoded"),
        (b"grant_type=%ff", "application/x-www-form-urlencoded"),
        (b"grant_type=\xff", "application/x-www-form-urlencoded"),
        (b"&".join(b"%d=1" % number for number in range(200)), "application/x-www-form-urlencoded"),
        (b'{"grant_type": "client_credentials"}', "application/json"),
        (b"grant_type=client_credentials", ""),
    ],
)
def test_a_body_that_is_no_form_is_refused(issuer: LocalIssuer, body: bytes, kind: str) -> None:
    answer = issuer.http.post("/token", content=body, headers={"Content-Type": kind}, auth=SERVICE)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_large_body_is_not_collected(issuer: LocalIssuer) -> None:
    form = {"grant_type": "client_credentials", "scope": "x" * 70_000}
    status, answer = issuer.post("/token", form, SERVICE)
    assert (status, answer["error"]) == (413, "invalid_request")


@pytest.mark.parametrize("path", ["/token", "/revoke", "/sign-in"])
def test_secrets_are_not_taken_from_an_address(issuer: LocalIssuer, path: str) -> None:
    assert issuer.http.get(f"{path}?grant_type=client_credentials").status_code == 405


def test_a_page_of_another_site_can_not_ask(issuer: LocalIssuer) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Host": "issuer.example.com"}, {"Origin": "http://a.example"}):
        for path in ("/token", "/sign-in"):
            assert issuer.http.post(path, data={"user": "ada"}, headers=headers).status_code == 403


def test_what_can_not_be_written_is_not_given_away(issuer: LocalIssuer) -> None:
    code = issuer.sign_in()["code"]
    issuer.folder.rename(issuer.folder.with_name("elsewhere"))
    status, answer = issuer.redeem(code)
    assert (status, answer["error"]) == (503, "temporarily_unavailable")
