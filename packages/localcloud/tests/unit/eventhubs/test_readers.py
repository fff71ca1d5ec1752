"""Owner levels, and the limit of readers."""

import pytest

from localcloud.amqp.errors import AmqpError
from localcloud.eventhubs.readers import MAX_READERS, PartitionReaders


class Client:
    def __init__(self, readers: PartitionReaders, owner_level: int | None) -> None:
        self.name = f"level {owner_level}"
        self.owner_level = owner_level
        self.stopped: AmqpError | None = None
        self._readers = readers
        readers.add("partition", self)

    def disconnect(self, error: AmqpError) -> None:
        self.stopped = error
        self._readers.remove("partition", self)


@pytest.mark.parametrize("newcomer", [5, 6])
@pytest.mark.parametrize("present", [None, 5])
def test_an_owner_disconnects_readers_that_are_not_above_it(present: int | None, newcomer: int) -> None:
    readers = PartitionReaders()
    loser = Client(readers, present)
    winner = Client(readers, newcomer)
    assert loser.stopped
    assert loser.stopped.condition == "amqp:link:stolen"
    assert winner.stopped is None


@pytest.mark.parametrize("newcomer", [None, 0, 4])
def test_a_reader_below_the_owner_is_refused(newcomer: int | None) -> None:
    readers = PartitionReaders()
    owner = Client(readers, 5)
    with pytest.raises(AmqpError, match="amqp:link:stolen"):
        Client(readers, newcomer)
    assert owner.stopped is None


def test_readers_without_a_level_share_up_to_the_limit() -> None:
    readers = PartitionReaders()
    clients = [Client(readers, None) for _ in range(MAX_READERS)]
    with pytest.raises(AmqpError, match="amqp:resource-limit-exceeded"):
        Client(readers, None)
    readers.remove("partition", clients[0])
    Client(readers, None)


def test_an_owner_disconnects_every_reader_and_others_may_read_when_it_has_left() -> None:
    readers = PartitionReaders()
    clients = [Client(readers, None) for _ in range(MAX_READERS)]
    owner = Client(readers, 0)
    assert all(client.stopped for client in clients)
    readers.remove("partition", owner)
    Client(readers, None)
