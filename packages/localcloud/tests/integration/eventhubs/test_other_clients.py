"""The endpoint through Qpid Proton, an AMQP client by other people."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from localcloud.sas import Keys
from localcloud_tests.integration.eventhubs.hub import Hub

pytest.importorskip("proton", reason="Qpid Proton has no wheels: it is there only where a C compiler is")

from proton import Described, Disposition, Message, ulong
from proton import symbol as Symbol  # noqa: N812 - it makes values of that type
from proton.reactor import Filter
from proton.utils import BlockingConnection, LinkDetached

NAME, SECRET = "RootManageSharedAccessKey", "SAS_KEY_VALUE"


@contextmanager
def connection(
    hub: Hub, user: str | None = NAME, password: str = SECRET, **options: Any
) -> Iterator[BlockingConnection]:
    mechanism: dict[str, Any] = (
        {"allowed_mechs": "PLAIN", "user": user, "password": password} if user else {"allowed_mechs": "ANONYMOUS"}
    )
    opened = BlockingConnection(
        f"amqp://127.0.0.1:{hub.port}", timeout=60, allow_insecure_mechs=True, **mechanism, **options
    )
    try:
        yield opened
    finally:
        opened.close()


def reader(hub: Hub, number: int = 0) -> str:
    return f"{hub.name}/ConsumerGroups/$Default/Partitions/{number}"


def test_send_and_receive_over_bare_addresses(hub: Hub) -> None:
    with connection(hub) as client:
        sender = client.create_sender(f"{hub.name}/Partitions/0")
        for number in range(1200):  # more than the credit that is granted at once
            sender.send(Message(body=f"{number}".encode(), properties={"n": number}, inferred=True))
        receiver = client.create_receiver(reader(hub), credit=7)
        for number in range(1200):
            message: Any = receiver.receive()
            assert bytes(message.body) == str(number).encode()
            assert message.properties == {"n": number}
            assert message.annotations["x-opt-sequence-number"] == number


def test_a_big_message_goes_in_many_small_frames(hub: Hub) -> None:
    body = bytes(range(256)) * 2000
    with connection(hub, max_frame_size=512) as client:
        client.create_sender(f"{hub.name}/Partitions/0").send(Message(body=body, inferred=True))
        assert client.create_receiver(reader(hub)).receive().body == body


def test_drain_gives_the_credit_back(hub: Hub) -> None:
    with connection(hub) as client:
        sender = client.create_sender(f"{hub.name}/Partitions/0")
        for number in range(3):
            sender.send(Message(body=str(number).encode(), inferred=True))
        receiver: Any = client.create_receiver(reader(hub), credit=0)
        receiver.link.drain(10)
        client.wait(lambda: receiver.link.credit == 0 and not receiver.link.draining(), timeout=60)
        assert len(receiver.fetcher.incoming) == 3


@pytest.mark.parametrize("descriptor", [Symbol("apache.org:selector-filter:string"), ulong(0x468C00000004)], ids=str)
def test_both_forms_of_the_selector(hub: Hub, descriptor: Any) -> None:
    with connection(hub) as client:
        sender = client.create_sender(f"{hub.name}/Partitions/0")
        for number in range(3):
            sender.send(Message(body=str(number).encode(), inferred=True))
        selector = Filter(
            {Symbol("apache.org:selector-filter:string"): Described(descriptor, "amqp.annotation.x-opt-offset > '1'")}
        )
        assert client.create_receiver(reader(hub), options=selector).receive().body == b"2"


def test_unknown_entities_are_not_found(hub: Hub) -> None:
    with connection(hub) as client:
        for address in ("nowhere", f"{hub.name}/Partitions/4", f"{hub.name}/Partitions/x", f"{hub.name}/a/b/c", ""):
            with pytest.raises(LinkDetached, match="could not be found"):
                client.create_sender(address)
        for address in (reader(hub, 4), reader(hub).replace("$Default", "unknown"), hub.name):
            with pytest.raises(LinkDetached, match="could not be found"):
                client.create_receiver(address).receive()


def test_without_rights_nothing_is_attached(hub: Hub) -> None:
    with connection(hub, user=None) as client:
        with pytest.raises(LinkDetached, match="unauthorized-access"):
            client.create_sender(hub.name)
        with pytest.raises(LinkDetached, match="unauthorized-access"):
            client.create_receiver(reader(hub)).receive()


@pytest.mark.parametrize(("user", "password"), [("nobody", SECRET), (NAME, "wrong")])
def test_a_wrong_key_is_refused(hub: Hub, user: str, password: str) -> None:
    with pytest.raises(Exception, match="amqp:unauthorized-access"), connection(hub, user, password):
        pass


class Requests:
    """Request and response over one node, with a reply address that the server makes up."""

    def __init__(self, client: BlockingConnection, node: str) -> None:
        self._receiver = client.create_receiver(node, name="reply-to-me")
        self._sender = client.create_sender(node)

    def ask(self, **fields: Any) -> Any:
        self._sender.send(Message(id="request-1", reply_to="reply-to-me", **fields))
        answer = self._receiver.receive()
        assert answer.correlation_id == "request-1"
        return answer


def test_rights_come_with_a_token_and_go_with_it(hub: Hub) -> None:
    keys, now = Keys(), int(time.time())
    audience = f"sb://localhost/{hub.name}"

    def put(expires: int, name: str = audience) -> int:
        properties = {"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": name}
        answer = requests.ask(properties=properties, body=keys.sign(NAME, audience, expires))
        return int(answer.properties["status-code"])

    with connection(hub, user=None) as client:
        requests = Requests(client, "$cbs")
        assert put(now - 1) == 401
        assert put(now + 100, "sb://localhost/other") == 401
        assert put(now + 100) == 202
        sender = client.create_sender(hub.name)
        assert sender.send(Message(body=b"x", inferred=True)).remote_state == Disposition.ACCEPTED
        with pytest.raises(LinkDetached, match="unauthorized-access"):
            client.create_sender("hub-0-and-more")


def test_management_through_another_client(hub: Hub) -> None:
    with connection(hub) as client:
        requests = Requests(client, "$management")
        ask: Callable[..., Any] = lambda **properties: requests.ask(properties=properties, body=None)  # noqa: E731
        answer = ask(operation="READ", type="com.microsoft:eventhub", name=hub.name)
        assert answer.properties["status-code"] == 200
        assert list(answer.body["partition_ids"].elements) == ["0", "1", "2", "3"]
        for status, properties in (
            (404, {"operation": "READ", "type": "com.microsoft:eventhub", "name": "nowhere"}),
            (400, {"operation": "READ", "type": "com.microsoft:colour", "name": hub.name}),
            (400, {"operation": "READ", "type": "com.microsoft:eventhub"}),
            (501, {"operation": "WRITE", "type": "com.microsoft:eventhub", "name": hub.name}),
        ):
            assert ask(**properties).properties["status-code"] == status
