"""A topic of Event Grid: the azure-eventgrid SDK publishes, webhooks receive."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid.aio import EventGridPublisherClient

from localcloud.eventgrid.access import TopicAccess
from localcloud.eventgrid.server import EventGridServer
from localcloud.eventgrid.webhook_client import WebhookClient
from localcloud.testing.waiting import wait_for_async
from localcloud_tests.support.webhooks import OK, Received, Webhook, status

KEY = "the-topic-s-key"
QUICK = (0.05, 0.1, 0.2)
SOON_S = 90.0


class DeadLetterFolder:
    """Keeps blobs in memory; fails as often as it is told."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.failures = 0

    async def write(self, container: str, name: str, pieces: AsyncIterator[bytes]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the store is away")
        self.blobs[f"{container}/{name}"] = b"".join([piece async for piece in pieces])


class Topic:
    """A topic under test, on a free port."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.letters = DeadLetterFolder()
        options = {"schedule_s": QUICK, "timeout_s": 60.0, **options}
        self._options: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": 0,
            "access": TopicAccess(KEY),
            "blobs": self.letters,
            **options,
        }
        self._folder = folder

    async def __aenter__(self) -> "Topic":
        self._server = EventGridServer(self._folder, **self._options)
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.__aexit__(None, None, None)

    @property
    def endpoint(self) -> str:
        return self._server.endpoint

    async def publish(self, *events: CloudEvent[Any], key: str = KEY) -> None:
        async with EventGridPublisherClient(self.endpoint, AzureKeyCredential(key)) as client:
            await client.send(list(events))

    async def order(self, method: str, path: str, options: object = None, key: str = KEY) -> tuple[int, dict[str, Any]]:
        """A request to the control endpoint: status and answer. What is waited for is read in a thread."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        body = json.dumps(options).encode() if options is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\naeg-sas-key: {key}\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        first, _, content = answer.partition(b"\r\n\r\n")
        return int(first.split()[1]), json.loads(content) if content else {}

    async def subscribe(self, name: str, webhook: Webhook, **options: Any) -> tuple[int, dict[str, Any]]:
        return await self.order("PUT", f"/eventSubscriptions/{name}", {"endpointUrl": webhook.url, **options})

    async def waiting(self, name: str) -> int:
        _, found = await self.order("GET", f"/eventSubscriptions/{name}")
        return int(found["waiting"])


@pytest.fixture
async def topic(tmp_path: Path) -> AsyncIterator[Topic]:
    async with Topic(tmp_path / "topic") as made:
        yield made


def event(number: int = 1, type_: str = "song.uploaded") -> CloudEvent[Any]:
    return CloudEvent(source="/tests", type=type_, id=f"event-{number}", data={"song": "Café", "number": number})


def eventually(probe: Callable[[], object], what: str) -> Awaitable[object]:
    async def look() -> object:
        return probe()

    return wait_for_async(look, what, SOON_S)


async def test_an_event_comes_to_all_that_want_it_as_it_was_sent(topic: Topic) -> None:
    async with Webhook() as all_events, Webhook() as removals:
        assert await topic.subscribe("all-events", all_events) == (
            201,
            {
                "name": "all-events",
                "provisioningState": "Succeeded",
                "endpointUrl": all_events.url,
                "includedEventTypes": None,
                "maxDeliveryAttempts": 30,
                "eventTimeToLiveInMinutes": 1_440,
                "deadLetterContainer": None,
                "waiting": 0,
            },
        )
        await topic.subscribe("removals", removals, includedEventTypes=["song.removed"])
        await topic.publish(event(1), event(2, "song.removed"))
        await eventually(lambda: len(all_events.events) == 2 and len(removals.events) == 1, "all deliveries")
        (removed,) = removals.events
        assert removed.event["id"] == "event-2"
        assert removed.event["data"] == {"song": "Café", "number": 2}
        assert removed.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        assert removed.headers["aeg-event-type"] == "Notification"
        assert removed.headers["aeg-delivery-count"] == "0"
        assert removed.target == "/hook?tenant=7"
        assert {one.event["id"] for one in all_events.events} == {"event-1", "event-2"}


async def test_the_webhook_is_asked_first(topic: Topic) -> None:
    async with Webhook() as webhook:
        await topic.subscribe("asked", webhook)
        (asked,) = webhook.asked
        assert asked.headers["webhook-request-origin"] == "eventgrid.azure.net"
        assert asked.headers["webhook-request-callback"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("agreement", "says"),
    [
        (status(404), "saw status 404"),
        (status(200, "WebHook-Allowed-Origin: elsewhere.example\r\n"), "'elsewhere.example'"),
        (status(302, "Location: http://127.0.0.1:1/\r\nWebHook-Allowed-Origin: *\r\n"), "saw status 302"),
        (b"no HTTP at all\r\n\r\n", "did not answer the handshake"),
        (b"", "closed without an answer"),
    ],
)
async def test_who_does_not_agree_gets_nothing(topic: Topic, agreement: bytes, says: str) -> None:
    async with Webhook(agreement=agreement) as webhook:
        code, answer = await topic.subscribe("refuses", webhook)
        assert code == 400
        assert answer["error"]["code"] == "EndpointValidation"
        assert says in answer["error"]["message"]
        assert await topic.order("GET", "/eventSubscriptions") == (200, {"value": []})
        await topic.publish(event())
        assert webhook.events == []


async def test_a_webhook_may_agree_later_and_once(topic: Topic) -> None:
    async with Webhook(agreement=status(200)) as webhook:
        _, made = await topic.subscribe("later", webhook)
        assert made["provisioningState"] == "AwaitingManualAction"
        await topic.publish(event(1))
        callback = webhook.asked[0].headers["webhook-request-callback"]
        path = "/" + callback.split("/", 3)[3]
        assert (await topic.order("GET", path))[0] == 200
        assert (await topic.order("GET", path))[0] == 404
        await topic.publish(event(2))
        await eventually(lambda: webhook.events, "an event")
        assert [one.event["id"] for one in webhook.events] == ["event-2"]


async def test_an_event_that_fails_is_tried_again_with_the_same_id(topic: Topic) -> None:
    failures = [500, 503, 429]

    def answers(_: Received) -> bytes:
        return status(failures.pop(0)) if failures else OK

    async with Webhook(answers) as webhook:
        await topic.subscribe("fails", webhook)
        await topic.publish(event())
        await eventually(lambda: len(webhook.events) == 4, "the fourth attempt")
        assert {one.event["id"] for one in webhook.events} == {"event-1"}
        assert [one.headers["aeg-delivery-count"] for one in webhook.events] == ["0", "1", "2", "3"]
        assert await wait_for_async(lambda: _is(topic.waiting("fails"), 0), "nothing to wait", SOON_S)


async def _is(number: Awaitable[int], expected: int) -> bool:
    return await number == expected


@pytest.mark.parametrize(
    ("code", "attempts", "reason", "result"),
    [
        (400, 1, "UndeliverableDueToClientError", "BadRequest"),
        (413, 1, "UndeliverableDueToClientError", "RequestEntityTooLarge"),
        (500, 3, "MaxDeliveryAttemptsExceeded", "Http500"),
        (307, 3, "MaxDeliveryAttemptsExceeded", "Http307"),
    ],
)
async def test_what_no_webhook_takes_becomes_a_dead_letter(
    topic: Topic, code: int, attempts: int, reason: str, result: str
) -> None:
    topic.letters.failures = 1
    async with Webhook() as elsewhere:
        location = f"Location: {elsewhere.url}\r\n"
        async with Webhook(lambda _: status(code, location)) as webhook:
            await topic.subscribe("dies", webhook, maxDeliveryAttempts=3, deadLetterContainer="letters")
            await topic.publish(event())
            await eventually(lambda: topic.letters.blobs, "a dead letter")
        ((name, content),) = topic.letters.blobs.items()
        (letter,) = json.loads(content)
        assert name.startswith("letters/LOCALCLOUD/DIES/")
        assert letter["id"] == "event-1"
        assert letter["deadletterreason"] == reason
        assert letter["deliveryresult"] == result
        assert letter["deliveryattempts"] == attempts
        assert elsewhere.events == elsewhere.asked == [], "no redirect is followed"


async def test_what_outlives_its_time_becomes_a_dead_letter_and_is_not_sent_again(tmp_path: Path) -> None:
    moments = [1_800_000_000.0]
    async with (
        Topic(tmp_path / "topic", now_s=lambda: moments[0]) as topic,
        Webhook(lambda _: status(500)) as webhook,
    ):
        await topic.subscribe("late", webhook, eventTimeToLiveInMinutes=1, deadLetterContainer="letters")
        await topic.publish(event(1))
        await eventually(lambda: webhook.events, "an attempt")
        moments[0] += 61
        await eventually(lambda: topic.letters.blobs, "a dead letter")
        (letter,) = json.loads(next(iter(topic.letters.blobs.values())))
        assert letter["deadletterreason"] == "TimeToLiveExceeded"
        assert (letter["deliveryattempts"], letter["deliveryresult"]) == (1, "Http500")
        assert len(webhook.events) == 1
        assert await topic.waiting("late") == 0


async def test_a_bad_webhook_keeps_no_other_one_waiting(topic: Topic) -> None:
    """One never answers, one has an answer without an end, one is gone: the good one gets its events all the same."""

    async with (
        Webhook(lambda _: None) as silent,
        Webhook(lambda _: b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_000_000) as endless,
        Webhook() as good,
    ):
        async with Webhook() as gone:
            await topic.subscribe("gone", gone)
        await topic.subscribe("silent", silent)
        await topic.subscribe("endless", endless)
        await topic.subscribe("good", good)
        await topic.publish(*(event(number) for number in range(50)))
        await eventually(lambda: len({one.event["id"] for one in good.events}) == 50, "all events of the good one")
        await eventually(lambda: silent.events and len(endless.events) > 1, "the others to be tried")
        assert await topic.waiting("silent") == 50


async def test_the_body_of_an_answer_is_not_read(tmp_path: Path) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
            while sent < 1 << 30:
                writer.write(b"a" * 65_536)
                sent += 65_536
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
            ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = WebhookClient(loopback=True, timeout_s=60)
        answer = await client.send("POST", f"http://127.0.0.1:{port}/", {}, b"{}")
        assert answer.status == 200
        await ended.wait()
    assert sent < 1 << 28


async def test_what_was_taken_outlives_a_restart(tmp_path: Path) -> None:
    async with Webhook(lambda _: status(500)) as webhook:
        async with Topic(tmp_path / "topic", schedule_s=(0.3,)) as topic:
            await topic.subscribe("lasts", webhook)
            await topic.publish(event(1), event(2))
        webhook.answers = lambda _: OK
        before = len(webhook.events)
        async with Topic(tmp_path / "topic"):
            await eventually(
                lambda: {one.event["id"] for one in webhook.events[before:]} == {"event-1", "event-2"}, "both"
            )


async def test_without_loopback_this_machine_is_no_webhook(tmp_path: Path) -> None:
    async with Webhook() as webhook, Topic(tmp_path / "topic", loopback=False) as topic:
        code, answer = await topic.subscribe("here", webhook)
        assert (code, answer["error"]["code"]) == (400, "InvalidRequest"), "and no plain HTTP"
        secure = {"endpointUrl": webhook.url.replace("http://", "https://")}
        code, answer = await topic.order("PUT", "/eventSubscriptions/here", secure)
        assert code == 400
        assert "127.0.0.1, which is no public address" in answer["error"]["message"]
        assert webhook.asked == []


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("no", {"endpointUrl": "https://a.example/"}, "name: saw 'no'"),
        ("name", {"endpointUrl": "ftp://a.example/"}, "expected https://"),
        ("name", {"endpointUrl": "https://user:secret@a.example/"}, "expected https://"),
        ("name", {"endpointUrl": "https:///path"}, "expected https://"),
        ("name", {"endpointUrl": "https://a.example/\r\nX: y"}, "expected"),
        ("name", {"endpointUrl": "https://a.example/", "maxDeliveryAttempts": 31}, "maxDeliveryAttempts"),
        ("name", {"endpointUrl": "https://a.example/", "eventTimeToLiveInMinutes": 0}, "eventTimeToLiveInMinutes"),
        ("name", {"endpointUrl": "https://a.example/", "surprise": 1}, "surprise"),
        ("name", {}, "endpointUrl"),
        ("name", [], "the body"),
    ],
)
async def test_a_subscription_that_can_not_be_is_refused(topic: Topic, name: str, options: object, says: str) -> None:
    code, answer = await topic.order("PUT", f"/eventSubscriptions/{name}", options)
    assert code == 400
    assert says in answer["error"]["message"]


async def test_a_deleted_subscription_gets_nothing_more(topic: Topic) -> None:
    async with Webhook(lambda _: status(500)) as webhook:
        await topic.subscribe("ends", webhook)
        await topic.publish(event())
        await eventually(lambda: webhook.events, "an attempt")
        assert (await topic.order("DELETE", "/eventSubscriptions/ends"))[0] == 200
        assert (await topic.order("DELETE", "/eventSubscriptions/ends"))[0] == 404
        assert await topic.order("GET", "/eventSubscriptions") == (200, {"value": []})


async def test_without_the_key_nothing_is_taken(topic: Topic) -> None:
    with pytest.raises(ClientAuthenticationError):
        await topic.publish(event(), key="another")
    assert (await topic.order("GET", "/eventSubscriptions", key="another"))[0] == 401
    assert (await topic.order("PUT", "/eventSubscriptions/name", {}, key="another"))[0] == 401


async def test_an_event_without_its_attributes_is_refused_with_all_of_its_batch(topic: Topic) -> None:
    async with Webhook() as webhook:
        await topic.subscribe("strict", webhook)
        async with EventGridPublisherClient(topic.endpoint, AzureKeyCredential(KEY)) as client:
            good = {"id": "1", "source": "/a", "type": "b", "specversion": "1.0"}
            with pytest.raises(HttpResponseError, match="specversion"):
                await client.send([good, {**good, "specversion": "0.3"}])
        await topic.publish(event(7))
        await eventually(lambda: webhook.events, "the good event")
        assert [one.event["id"] for one in webhook.events] == ["event-7"]
