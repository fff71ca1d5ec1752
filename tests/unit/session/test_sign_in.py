"""One sign-in: what is asked, and the check of what comes back."""

from collections.abc import Iterator
from itertools import count
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.api.session.sealing import KEY_BYTES, Sealer
from songline.api.session.sign_in import (
    HOME,
    SIGN_IN_S,
    PendingSignIn,
    SignInFailure,
    authorization_address,
    begin,
    open_pending,
    read_callback,
    safe_return,
)

ISSUER = "https://login.example"
NOW_S = 1_800_000_000.0
SEALER = Sealer((b"k" * KEY_BYTES,))


def pending() -> PendingSignIn:
    numbers: Iterator[int] = count()
    return begin("/#/songs", lambda: f"random-{next(numbers)}", NOW_S)


def checked(changes: dict[str, str | None], *, names_issuer: bool = True, after_s: float = 1.0) -> str | SignInFailure:
    """What is made of a good answer with `changes`; None takes a parameter away."""
    answer = {"code": "the-code", "state": "random-0", "iss": ISSUER, **changes}
    pairs = [(name, value) for name, value in answer.items() if value is not None]
    return read_callback(pairs, pending(), ISSUER, names_issuer=names_issuer, now_s=NOW_S + after_s)


def test_a_good_answer_gives_the_code() -> None:
    assert checked({}) == "the-code"
    assert checked({"session_state": "of the issuer's own"}) == "the-code"


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"state": None}, SignInFailure.OTHER_BROWSER),
        ({"state": "random-1"}, SignInFailure.OTHER_BROWSER),
        ({"state": ""}, SignInFailure.OTHER_BROWSER),
        ({"state": "\u00e9"}, SignInFailure.OTHER_BROWSER),
        ({"iss": None}, SignInFailure.OTHER_ISSUER),
        ({"iss": f"{ISSUER}/"}, SignInFailure.OTHER_ISSUER),
        ({"iss": "https://evil.example"}, SignInFailure.OTHER_ISSUER),
        ({"code": None}, SignInFailure.NO_CODE),
        ({"code": ""}, SignInFailure.NO_CODE),
        ({"error": "access_denied"}, SignInFailure.CANCELLED),
        ({"error": "invalid_scope"}, SignInFailure.REFUSED),
        ({"error": "access_denied", "state": "x"}, SignInFailure.OTHER_BROWSER),
        ({"error": "access_denied", "iss": "https://evil.example"}, SignInFailure.OTHER_ISSUER),
    ],
)
def test_every_other_answer_signs_nobody_in(changes: dict[str, str | None], failure: SignInFailure) -> None:
    assert checked(changes) is failure


def test_an_issuer_that_does_not_name_itself_need_not() -> None:
    assert checked({"iss": None}, names_issuer=False) == "the-code"
    assert checked({"iss": "https://evil.example"}, names_issuer=False) is SignInFailure.OTHER_ISSUER


def test_a_sign_in_is_good_for_ten_minutes() -> None:
    assert checked({}, after_s=SIGN_IN_S) == "the-code"
    assert checked({}, after_s=SIGN_IN_S + 1) is SignInFailure.OVER
    assert checked({}, after_s=-1) is SignInFailure.OVER


@pytest.mark.parametrize("twice", ["state", "code", "iss"])
def test_a_parameter_that_is_there_twice_is_refused(twice: str) -> None:
    answer = [("code", "the-code"), ("state", "random-0"), ("iss", ISSUER)]
    answer.append((twice, dict(answer)[twice]))
    found = read_callback(answer, pending(), ISSUER, names_issuer=True, now_s=NOW_S)
    assert found is SignInFailure.OTHER_BROWSER


def test_a_browser_that_has_begun_nothing_is_not_signed_in() -> None:
    assert read_callback([], None, ISSUER, names_issuer=True, now_s=NOW_S) is SignInFailure.NOT_BEGUN


def test_the_issuer_is_asked_for_a_code_with_proof() -> None:
    address = authorization_address(
        f"{ISSUER}/authorize?p=1", "page", "https://api.example/callback", ("openid", "library:read"), pending()
    )
    parts = urlsplit(address)
    assert address.startswith(f"{ISSUER}/authorize?")
    query = dict(parse_qsl(parts.query))
    challenge = query.pop("code_challenge")
    assert challenge == pending().challenge
    assert "random-2" not in address
    assert query == {
        "p": "1",
        "response_type": "code",
        "client_id": "page",
        "redirect_uri": "https://api.example/callback",
        "scope": "openid library:read",
        "state": "random-0",
        "nonce": "random-1",
        "code_challenge_method": "S256",
    }


def test_the_challenge_is_that_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert PendingSignIn("", "", verifier, "/", 0).challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_what_was_begun_is_known_to_its_browser_alone() -> None:
    begun = pending()
    assert open_pending(SEALER, begun.sealed(SEALER)) == begun
    assert open_pending(SEALER, None) is None
    assert open_pending(SEALER, "changed") is None
    assert open_pending(SEALER, SEALER.seal("sign-in", b"\x01")) is None
    assert open_pending(Sealer((b"o" * KEY_BYTES,)), begun.sealed(SEALER)) is None


@pytest.mark.parametrize("path", ["/", "/#/songs", "/#/songs?q=a%20b", "/docs", "/#/listeners/user-7"])
def test_a_path_of_the_page_is_returned_to(path: str) -> None:
    assert safe_return(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "/a\\..\\evil",
        "\\\\evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "evil",
        "/\t/evil.example",
        "/a\r\nSet-Cookie: a=b",
        "/ b",
        "/\u00e9",
        "/" * 2,
        f"/{'a' * 512}",
    ],
)
def test_nobody_is_sent_anywhere_else(path: str | None) -> None:
    assert safe_return(path) == HOME


@given(st.text(st.sampled_from("/\\.:#?@%ae \t\n"), max_size=12))
def test_no_text_leads_to_another_host(text: str) -> None:
    # Browsers drop tabs and line feeds, and take backslashes for slashes (WHATWG URL).
    seen = safe_return(text).replace("\t", "").replace("\n", "").replace("\\", "/")
    parts = urlsplit(seen)
    assert (parts.scheme, parts.netloc) == ("", "")
    assert seen.startswith("/")
    assert not seen.startswith("//")
