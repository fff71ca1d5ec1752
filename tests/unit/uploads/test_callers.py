"""Who calls, behind named proxies and without."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songline.cloud.settings import SettingError
from songline.producers.http.callers import PROXIES, Callers

NAMED = Callers.read({PROXIES: "10.0.0.0/8, 192.0.2.7,fd00::/8"})


def scope(client: str | None, **headers: str) -> dict[str, Any]:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"client": None if client is None else (client, 4711), "headers": named}


@pytest.mark.parametrize(
    ("client", "headers", "caller"),
    [
        ("203.0.113.9", {}, "203.0.113.9"),
        (None, {}, None),
        # Who is no named proxy is believed nothing.
        ("203.0.113.9", {"x_forwarded_for": "198.51.100.1"}, "203.0.113.9"),
        ("203.0.113.9", {"forwarded": "for=198.51.100.1"}, "203.0.113.9"),
        ("10.1.2.3", {"x_forwarded_for": "198.51.100.1"}, "198.51.100.1"),
        ("10.1.2.3", {}, "10.1.2.3"),
        ("10.1.2.3", {"x_forwarded_for": ""}, "10.1.2.3"),
        # What stands before the last stranger anybody can have written.
        ("10.1.2.3", {"x_forwarded_for": "1.1.1.1, 198.51.100.1"}, "198.51.100.1"),
        ("10.1.2.3", {"x_forwarded_for": "1.1.1.1, 198.51.100.1, 192.0.2.7"}, "198.51.100.1"),
        ("10.1.2.3", {"x_forwarded_for": "10.9.9.9"}, "10.9.9.9"),
        ("10.1.2.3", {"x_forwarded_for": "198.51.100.1:5123"}, "198.51.100.1"),
        ("10.1.2.3", {"forwarded": 'for=1.1.1.1, for="198.51.100.1:80";proto=https;by=10.1.2.3'}, "198.51.100.1"),
        # A proxy writes one of them, and passes the other on as its caller wrote it.
        ("10.1.2.3", {"forwarded": "For=198.51.100.1", "x_forwarded_for": "1.1.1.1"}, "10.1.2.3"),
        ("10.1.2.3", {"forwarded": "proto=https", "x_forwarded_for": "198.51.100.1"}, "10.1.2.3"),
        ("10.1.2.3", {"forwarded": "for=198.51.100.1", "x_forwarded_for": "1.1.1.1, 198.51.100.1"}, "198.51.100.1"),
        # Nor does a quotation mark that a caller leaves open swallow what a proxy adds.
        ("10.1.2.3", {"forwarded": 'for="x, for="198.51.100.1:80"'}, "198.51.100.1"),
        ("10.1.2.3", {"forwarded": 'by="x;for=1.1.1.1, for=198.51.100.1'}, "198.51.100.1"),
        ("10.1.2.3", {"forwarded": "for=198.51.100.1 ; proto=https; by=10.1.2.3"}, "198.51.100.1"),
        ("10.1.2.3", {"forwarded": 'for="[2001:db8:1:2:3::4]:4711"'}, "2001:db8:1:2::/64"),
        ("10.1.2.3", {"forwarded": "for=_hidden"}, "_hidden"),
        ("10.1.2.3", {"forwarded": "for=unknown, for=198.51.100.1"}, "198.51.100.1"),
        ("::ffff:203.0.113.9", {}, "203.0.113.9"),
        ("2001:db8::1", {}, "2001:db8::/64"),
        ("fd00::1", {"x_forwarded_for": "2001:db8::2"}, "2001:db8::/64"),
        ("fe80::1%eth0", {}, "fe80::/64"),
    ],
)
def test_the_caller_is_the_last_one_that_is_no_named_proxy(
    client: str | None, headers: dict[str, str], caller: str | None
) -> None:
    assert NAMED.of(scope(client, **headers)) == caller


def test_without_named_proxies_nothing_is_believed() -> None:
    assert Callers().of(scope("127.0.0.1", x_forwarded_for="198.51.100.1")) == "127.0.0.1"


@given(st.text(max_size=200), st.text(max_size=200))
def test_nothing_that_is_said_makes_it_fail(forwarded: str, passed_on: str) -> None:
    headers = [(b"forwarded", forwarded.encode()), (b"x-forwarded-for", passed_on.encode())]
    assert NAMED.of({"client": ("10.0.0.1", 1), "headers": headers}) is not None


@pytest.mark.parametrize("text", ["proxy", "10.0.0.0/33", "10.0.0.7:80", "*"])
def test_a_proxy_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=PROXIES):
        Callers.read({PROXIES: text})
