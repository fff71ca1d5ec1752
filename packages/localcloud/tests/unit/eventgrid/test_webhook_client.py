"""Requests to webhooks whose names and answers are not what one hopes for."""

from collections.abc import Sequence

import pytest

from localcloud.eventgrid.addresses import ForbiddenAddressError
from localcloud.eventgrid.webhook_client import WebhookClient, WebhookError
from localcloud_tests.support.webhooks import OK, Webhook, status


def named(webhook: Webhook) -> str:
    """The webhook's address by a name that no name server knows."""
    return webhook.url.replace("127.0.0.1", "hook.invalid")


async def test_a_name_that_changes_is_looked_up_for_each_request_and_connected_to_as_it_was_checked() -> None:
    answers: list[Sequence[str]] = [["127.0.0.1"], ["127.0.0.1", "169.254.169.254"], ["127.0.0.1"]]
    client = WebhookClient(loopback=True, timeout_s=60, resolve=lambda host, port: answers.pop(0))
    async with Webhook() as webhook:
        assert (await client.send("POST", named(webhook), {}, b"{}")).status == 200
        with pytest.raises(WebhookError, match=r"hook\.invalid is 169\.254\.169\.254") as refused:
            await client.send("POST", named(webhook), {}, b"{}")
        assert isinstance(refused.value.__cause__, ForbiddenAddressError)
        assert (await client.send("POST", named(webhook), {}, b"{}")).status == 200
        assert [one.headers["host"].split(":")[0] for one in webhook.events] == ["hook.invalid"] * 2


async def test_the_next_address_of_a_name_is_tried_where_one_takes_no_connection() -> None:
    client = WebhookClient(loopback=True, timeout_s=60, resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    async with Webhook() as webhook:
        url = named(webhook)
        assert (await client.send("POST", url, {}, b"{}")).status == 200
    with pytest.raises(WebhookError):
        await client.send("POST", url, {}, b"{}")


@pytest.mark.parametrize("code", [100, 102, 103])
async def test_what_announces_an_answer_is_none(code: int) -> None:
    announced = f"HTTP/1.1 {code} Soon\r\nWebHook-Allowed-Origin: *\r\n\r\n".encode()
    async with Webhook(lambda _: announced + announced + OK, agreement=announced + status(403)) as webhook:
        client = WebhookClient(loopback=True, timeout_s=60)
        assert (await client.send("POST", webhook.url, {}, b"{}")).status == 200
        refused = await client.send("OPTIONS", webhook.url, {})
        assert (refused.status, "webhook-allowed-origin" in refused.headers) == (403, False)


async def test_announcements_without_an_end_are_no_answer() -> None:
    async with Webhook(lambda _: b"HTTP/1.1 103 Soon\r\n\r\n" * 10_000) as webhook:
        with pytest.raises(WebhookError, match="the head of the answer has more than 65536 bytes"):
            await WebhookClient(loopback=True, timeout_s=60).send("POST", webhook.url, {}, b"{}")
