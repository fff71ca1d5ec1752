"""A bit of a document that has changed while localcloud runs, or before it was killed: no read answers it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey
from azure.cosmos.exceptions import CosmosHttpResponseError

from localcloud.testing import LocalCloudProcess


def connect(cloud: LocalCloudProcess) -> CosmosClient:
    return CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key, retry_total=0, connection_timeout=5)


def change(file: Path) -> None:
    """Change a letter of the document `damaged`, as rot does: the database is told nothing of it."""
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as connection:
        (body,) = connection.execute("SELECT body FROM items WHERE id = 'damaged'").fetchone()
        assert b"a word" in body
        rotten = body.replace(b"a word", b"a ward")
        connection.execute("UPDATE items SET body = ? WHERE id = 'damaged'", (rotten,))


READS: dict[str, Callable[[ContainerProxy], object]] = {
    "point read": lambda container: container.read_item("damaged", "p"),
    "query": lambda container: list(container.query_items("SELECT * FROM c WHERE c.said != ''", partition_key="p")),
    "count": lambda container: list(container.query_items("SELECT VALUE COUNT(1) FROM c", partition_key="p")),
    "query of all": lambda container: list(
        container.query_items("SELECT c.id FROM c", enable_cross_partition_query=True)
    ),
    "change feed": lambda container: list(container.query_items_change_feed(start_time="Beginning")),
    "patch": lambda container: container.patch_item("damaged", "p", [{"op": "set", "path": "/x", "value": 1}]),
    "delete": lambda container: container.delete_item("damaged", "p"),
}


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_document_that_has_changed_is_named_by_every_read(localcloud: LocalCloudProcess, is_killed: bool) -> None:
    file = localcloud.data / "cosmos" / "cosmos.sqlite"
    with connect(localcloud) as client:
        container = client.create_database("kept").create_container("items", PartitionKey("/p"))
        for id_ in ("damaged", "whole"):
            container.create_item({"id": id_, "p": "p", "said": "a word"})
        container.create_item({"id": "elsewhere", "p": "q", "said": "a word"})
    if is_killed:
        localcloud.kill()
    change(file)
    if is_killed:
        localcloud.restart()
    with connect(localcloud) as client:
        container = client.get_database_client("kept").get_container_client("items")
        for name, read in READS.items():
            with pytest.raises(CosmosHttpResponseError) as raised:
                read(container)
            assert raised.value.status_code == 500, name
            assert "the item 'damaged' is not what was written" in str(raised.value), name
        # The others are read.
        assert container.read_item("whole", "p")["said"] == "a word"
        assert len(list(container.query_items("SELECT * FROM c", partition_key="q"))) == 1
        # Written anew it is whole.
        container.upsert_item({"id": "damaged", "p": "p", "said": "another word"})
        assert container.read_item("damaged", "p")["said"] == "another word"
        assert len(list(container.read_all_items())) == 3
    assert f"{file} is damaged: the item 'damaged'" in localcloud.log()
