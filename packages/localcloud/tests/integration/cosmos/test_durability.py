"""What was acknowledged survives SIGKILL, and a batch is there as a whole or not at all."""

import itertools
import threading

from azure.core.exceptions import AzureError
from azure.cosmos import ContainerProxy, CosmosClient, PartitionKey

from localcloud.testing import LocalCloudProcess
from localcloud.testing.waiting import wait_for

WRITERS = 3
BATCH = 5


def connect(cloud: LocalCloudProcess) -> CosmosClient:
    return CosmosClient(cloud.cosmos_endpoint, cloud.cosmos_key, retry_total=0, connection_timeout=5)


def test_sigkill_under_load_loses_nothing_acknowledged(localcloud: LocalCloudProcess) -> None:
    acknowledged: list[tuple[str, int]] = []

    def write(container: ContainerProxy, writer: int) -> None:
        for number in itertools.count():
            items = [("create", ({"id": f"{number}-{part}", "pk": f"w{writer}"},)) for part in range(BATCH)]
            try:
                container.execute_item_batch(items, f"w{writer}")
            except AzureError:
                return
            acknowledged.append((f"w{writer}", number))

    with connect(localcloud) as client:
        database = client.create_database("kept")
        containers = [
            database.create_container(
                "items", PartitionKey("/pk"), indexing_policy={"indexingMode": "none", "automatic": False}
            )
        ]
        threads = [threading.Thread(target=write, args=(containers[0], writer)) for writer in range(WRITERS)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(acknowledged) >= 60, "writes to be acknowledged")
        localcloud.kill()
        for thread in threads:
            thread.join()
    localcloud.restart()
    with connect(localcloud) as client:
        container = client.get_database_client("kept").get_container_client("items")
        assert container.read()["indexingPolicy"]["indexingMode"] == "none"
        parts: dict[tuple[str, int], int] = {}
        for item in container.read_all_items():
            key = (item["pk"], int(item["id"].partition("-")[0]))
            parts[key] = parts.get(key, 0) + 1
        assert set(acknowledged) <= set(parts)
        assert set(parts.values()) == {BATCH}
        etag = container.create_item({"id": "after", "pk": "w0"})["_etag"]
        assert etag > max(item["_etag"] for item in container.read_all_items() if item["id"] != "after")
