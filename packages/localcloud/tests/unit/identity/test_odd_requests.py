"""Whatever a client sends, it gets an answer that says what is wrong, and never the issuer's own failure."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.identity.discovery import AUTHORIZE, REVOKE, TOKEN
from localcloud_tests.support.identity import RETURN, LocalIssuer, authorization

NAMES = (
    "grant_type",
    "code",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "code_verifier",
    "subject",
)
VALUES = (
    "authorization_code",
    "client_credentials",
    "refresh_token",
    "page",
    "app",
    "cli",
    "service",
    RETURN,
    "openid",
)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

texts = st.sampled_from(VALUES) | st.text(max_size=20)
forms = st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=5), texts), max_size=8).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode("utf-8", "surrogatepass")
)
headers = (
    st.none() | st.binary(max_size=40).map(lambda data: data.hex()) | st.sampled_from(["Basic", "Basic OjpA", "x"])
)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> LocalIssuer:
    folder: Path = tmp_path_factory.mktemp("odd") / "identity"
    return LocalIssuer(folder)


@settings(deadline=None)
@given(st.sampled_from([TOKEN, REVOKE]), forms | st.binary(max_size=100), headers)
def test_odd_forms_are_refused(issuer: LocalIssuer, path: str, body: bytes, header: str | None) -> None:
    authorized = {} if header is None else {"Authorization": header}
    answer = issuer.http.post(path, content=body, headers={**FORM, **authorized})
    if answer.status_code != 200:
        assert answer.status_code in (400, 401), answer.text
        assert set(answer.json()) == {"error", "error_description"}


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["scope", "state", "nonce", "login_hint", "prompt", "display", "x"]), texts))
def test_odd_sign_ins_end_on_a_page_or_at_the_client(issuer: LocalIssuer, changes: dict[str, str]) -> None:
    try:
        query = authorization(**changes)
    except UnicodeEncodeError:  # a lone surrogate is no text that a client could send
        return
    answer = issuer.http.get(f"{AUTHORIZE}?{query}")
    if answer.status_code == 303:
        assert answer.headers["location"].startswith(f"{RETURN}&")
    else:
        assert answer.status_code == 200
    assert "\n" not in answer.headers.get("location", "")
