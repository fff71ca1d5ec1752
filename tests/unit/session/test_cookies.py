"""Cookies as values."""

from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.api.session.cookies import MAX_PARTS, PART_CHARACTERS, CookieJar, CookieTooLargeError, read_cookies

JAR = CookieJar("songline-8000", secure=False)
MAX_COOKIE_BYTES = 4_096
SIGNS = st.text("ABCxyz019-_", max_size=20)


def kept(headers: list[str]) -> dict[str, str]:
    """The cookies that a browser has after these headers."""
    found = {}
    for header in headers:
        for name, morsel in SimpleCookie(header).items():
            if morsel["max-age"] != "0":
                found[name] = morsel.value
    return found


@pytest.mark.parametrize("length", [1, PART_CHARACTERS, PART_CHARACTERS + 1, PART_CHARACTERS * MAX_PARTS])
@pytest.mark.parametrize("secure", [True, False])
def test_a_value_comes_back_however_long_it_is(length: int, secure: bool) -> None:
    jar = CookieJar("songline", secure=secure)
    headers = jar.set("v" * length, 60)
    assert jar.read(kept(headers)) == "v" * length
    assert all(len(header.encode()) <= MAX_COOKIE_BYTES for header in headers)
    # What an earlier, longer value had in further cookies is cleared.
    assert len(headers) == MAX_PARTS


def test_a_value_that_no_browser_takes_is_an_error() -> None:
    with pytest.raises(CookieTooLargeError):
        JAR.set("v" * (PART_CHARACTERS * MAX_PARTS + 1), 60)


def test_attributes_keep_scripts_and_other_sites_out() -> None:
    for header in JAR.set("value", 60):
        assert "; HttpOnly; SameSite=Lax;" in header
        assert "; Path=/;" in header
        assert "Domain" not in header
        assert "Secure" not in header
    for header in CookieJar("songline", secure=True).set("value", 60):
        assert header.startswith("__Host-songline")
        assert header.endswith("; Secure")


def test_clearing_clears_every_part() -> None:
    assert kept(JAR.clear()) == {}
    assert {next(iter(SimpleCookie(header))) for header in JAR.clear()} == set(JAR.names)


def test_a_request_without_the_first_part_has_none() -> None:
    assert JAR.read({}) is None
    assert JAR.read({f"{JAR.name}-1": "rest"}) is None


@given(st.dictionaries(st.sampled_from(["a", "songline", "songline-1"]), SIGNS))
def test_what_a_browser_sends_is_read(cookies: dict[str, str]) -> None:
    header = "; ".join(f"{name}={value}" for name, value in cookies.items()).encode()
    assert read_cookies([(b"host", b"x"), (b"cookie", header)]) == cookies


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_any_bytes_are_read(values: list[bytes]) -> None:
    read_cookies([(b"cookie", value) for value in values])


def test_the_first_of_a_name_counts() -> None:
    assert read_cookies([(b"cookie", b"a=1; a=2"), (b"cookie", b"a=3; b=4")]) == {"a": "1", "b": "4"}
