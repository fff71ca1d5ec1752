"""What tokens open: put to `$cbs` for any form of audience, or sent with a request to `$management`."""

import time
from collections.abc import Iterator
from itertools import count

import pytest

from localcloud.amqp.message import Message
from localcloud.amqp.performatives import Attach, Properties, Source, Target, Transfer
from localcloud.amqp.types import Uint, Value
from localcloud.sas import Keys
from localcloud_tests.integration.eventhubs.hub import Hub
from localcloud_tests.support.amqp import RawClient

NAME = "RootManageSharedAccessKey"


class Stranger(RawClient):
    """A client without rights of its own, with links to `$cbs` and `$management`."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._numbers = count()
        self.open(user=None)
        self.begin()
        for handle, node in enumerate(("$cbs", "$management")):
            sending = Attach(
                f"to-{node}",
                Uint(2 * handle),
                role=False,
                source=Source(),
                target=Target(node),
                initial_delivery_count=Uint(0),
            )
            self.attach(sending)
            self.attach(Attach(f"from-{node}", Uint(2 * handle + 1), role=True, source=Source(node), target=Target()))
            self.flow(2 * handle + 1, 100)

    def request(self, handle: int, reply_to: str, body: Value = None, **properties: Value) -> Message:
        """The response to a request over the link of that handle."""
        request = Message(Properties(message_id="1", reply_to=reply_to), dict(properties.items()), body)
        number = Uint(next(self._numbers))
        self.send(
            Transfer(Uint(handle), delivery_id=number, delivery_tag=b"t", message_format=Uint(0)), request.encode()
        )
        while (got := self.read()) is not None:
            if isinstance(got[0], Transfer):
                return Message.decode(got[1])
        raise AssertionError("the connection ended before the response")

    def put_token(self, audience: str, token: str) -> Value:
        response = self.request(0, "from-$cbs", token, operation="put-token", name=audience, type="sas")
        return response.application_properties["status-code"]

    def read_hub(self, hub: str, **more: Value) -> Value:
        """The status of reading a hub's properties."""
        response = self.request(
            2, "from-$management", operation="READ", name=hub, type="com.microsoft:eventhub", **more
        )
        return response.application_properties["status-code"]


@pytest.fixture
def stranger(hub: Hub) -> Iterator[Stranger]:
    with Stranger(hub.port) as client:
        yield client


def sign(audience: str) -> str:
    return Keys().sign(NAME, audience, int(time.time()) + 60)


@pytest.mark.parametrize(
    "form",
    [
        "sb://127.0.0.1/{}",
        "amqps://ns.servicebus.windows.net:5671/{}/",
        "HTTP://HOST/{}/$management",
        "sb%3A%2F%2F127.0.0.1%2F{}",
        "127.0.0.1:5672/{}",
        "{}",
        "sb://127.0.0.1/",
    ],
)
def test_a_token_put_for_any_form_of_the_hub_opens_its_properties(hub: Hub, stranger: Stranger, form: str) -> None:
    audience = form.format(hub.name.upper() if form.isupper() else hub.name)
    assert stranger.read_hub(hub.name) == 401
    assert stranger.put_token(audience, sign(audience)) == 202
    assert stranger.read_hub(hub.name) == 200


def test_a_token_of_a_request_opens_what_it_is_for(hub: Hub, other_hub: Hub, stranger: Stranger) -> None:
    token = sign(f"sb://127.0.0.1/{hub.name}")
    assert stranger.read_hub(hub.name, security_token=token) == 200
    assert stranger.read_hub(hub.name, security_token=token.encode()) == 200
    assert stranger.read_hub(hub.name, security_token=sign(f"sb://127.0.0.1/{hub.name}/$management")) == 200
    assert stranger.read_hub(other_hub.name, security_token=token) == 401
    # It was for that request only.
    assert stranger.read_hub(hub.name) == 401


def test_a_bad_token_of_a_request_opens_nothing_whatever_was_put(hub: Hub, other_hub: Hub, stranger: Stranger) -> None:
    audience = f"sb://127.0.0.1/{hub.name}"
    assert stranger.put_token(audience, sign(audience)) == 202
    expired = Keys().sign(NAME, audience, int(time.time()) - 1)
    foreign = sign(f"sb://127.0.0.1/{other_hub.name}")
    for token in (expired, foreign, sign(audience)[:-3], sign(f"{audience}/Partitions/0"), "", "eyJ0", 7, b"\xff"):
        assert stranger.read_hub(hub.name, security_token=token) == 401
    assert stranger.read_hub(hub.name, security_token=None) == 200


@pytest.mark.parametrize("audience", ["sb://h/{}-more", "sb://h/x/{}", "sb://h/{}/Partitions/0", "sb://h/{}%2Fx", "x"])
def test_a_token_for_something_else_does_not_open_a_hub(hub: Hub, stranger: Stranger, audience: str) -> None:
    """Whether it is put for its own audience, or for the hub's."""
    other = audience.format(hub.name)
    stranger.put_token(other, sign(other))
    assert stranger.put_token(f"sb://127.0.0.1/{hub.name}", sign(other)) == 401
    assert stranger.read_hub(hub.name) == 401
