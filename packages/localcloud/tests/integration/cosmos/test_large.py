"""Large documents and full batches: what they leave in memory is bounded."""

import json
from collections.abc import Callable
from pathlib import Path

from azure.cosmos import CosmosClient, PartitionKey

from localcloud.testing import LocalCloudProcess
from localcloud_tests.support.cosmos import CosmosRequests

BATCHES = 36
DOCUMENTS = 16
TEXT = "x" * 65_000
KEY = {"x-ms-documentdb-partitionkey": '["a"]'}
BATCH = {**KEY, "x-ms-cosmos-is-batch-request": "true", "x-ms-cosmos-batch-atomic": "true"}


def resident_bytes(process: int) -> int:
    """The memory of a process."""
    return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * 4096


def test_memory_stays_small_whatever_is_written_and_read(
    start_localcloud: Callable[..., LocalCloudProcess],
) -> None:
    cloud = start_localcloud()
    with CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key) as client:
        container = client.create_database("large").create_container("large", PartitionKey("/pk"))
        with CosmosRequests(cloud, container.container_link) as requests:

            def write(batch: int) -> None:
                ids = [f"{batch}-{number}" for number in range(DOCUMENTS)]
                operations = [
                    {"operationType": "Upsert", "resourceBody": {"id": one, "pk": "a", "text": TEXT}} for one in ids
                ]
                answer = requests.documents("POST", BATCH, operations)
                assert [one["statusCode"] for one in json.loads(answer.body)] == [201] * DOCUMENTS

            def read(batch: int) -> None:
                for number in range(DOCUMENTS):
                    assert requests.documents("GET", KEY, item=f"{batch}-{number}").status == 200

            write(0)
            read(0)
            before = resident_bytes(cloud.pid)
            for batch in range(1, BATCHES):
                write(batch)
            for batch in range(1, BATCHES):
                read(batch)
            assert resident_bytes(cloud.pid) - before < 48 << 20
