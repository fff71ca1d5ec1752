"""Which addresses may be subscribed."""

from collections.abc import Sequence

import pytest

from songline.broadcasting.subscriptions import SubscriptionRefusedError
from songline.broadcasting.webhook_url import check_webhook
from songline.commands.subscribe import named


async def check(url: str, *addresses: str, is_local: bool = False) -> None:
    async def resolve(host: str) -> Sequence[str]:
        if not addresses:
            raise OSError("no such name")
        return addresses

    await check_webhook(url, is_local=is_local, resolve=resolve)


async def test_a_public_address_over_https_is_taken() -> None:
    await check("https://shop.example/events?key=1", "8.8.8.8", "2001:4860:4860::8888", "64:ff9b::8.8.8.8")


@pytest.mark.parametrize("url", ["http://localhost:9/hook", "https://localhost/hook"])
async def test_this_machine_is_taken_where_the_topic_is_here(url: str) -> None:
    await check(url, "127.0.0.1", "::1", is_local=True)
    with pytest.raises(SubscriptionRefusedError):
        await check(url, "127.0.0.1", "::1")


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "192.168.0.9",
        "192.0.0.192",
        "100.64.0.1",
        "0.0.0.0",
        "::ffff:10.0.0.1",
        "64:ff9b::169.254.169.254",
        "2002:a00:1::",
        "::10.0.0.1",
        "fec0::1",
        "fd00::1",
    ],
)
@pytest.mark.parametrize("is_local", [True, False])
async def test_internal_addresses_are_refused_whatever_else_the_name_is(address: str, is_local: bool) -> None:
    with pytest.raises(SubscriptionRefusedError, match="expected a public address"):
        await check("https://shop.example/", "8.8.8.8", address, is_local=is_local)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "ftp://shop.example/",
        "https://",
        "https://a:b@shop.example/",
        "https://[",
        "https://ä.example/",
    ],
)
async def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SubscriptionRefusedError):
        await check(url, "8.8.8.8")


async def test_plain_http_and_unknown_names_are_refused() -> None:
    with pytest.raises(SubscriptionRefusedError, match="saw HTTP, expected HTTPS"):
        await check("http://shop.example/", "8.8.8.8")
    with pytest.raises(SubscriptionRefusedError, match="can't be found"):
        await check("https://shop.example/")


def test_a_name_is_made_of_the_address() -> None:
    assert named("https://shop.example/a") == named("https://shop.example/a")
    assert named("https://shop.example/a") != named("https://shop.example/b")
    assert named("https://shop.example/a").startswith("shop-example-")
    for url in ("", "https://[", "https://" + "a" * 300 + ".example/", "https://ä.example/"):
        name = named(url)
        assert 3 <= len(name) <= 64
        assert all(sign.isascii() and (sign.isalnum() or sign == "-") for sign in name)
